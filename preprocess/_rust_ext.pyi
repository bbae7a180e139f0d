"""The compiled part of `preprocess`: its contract with Python."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__version__: str

class CorruptDataError(ValueError):
    """A file is not what it claims to be."""

class TokenizerError(ValueError):
    """A tokenizer file is not understood."""

class Tokenizer:
    """A tokenizer as its file defines it. Immutable, to be shared by threads."""

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Tokenizer:
        """Load a tokenizer.json, a tiktoken rank file or a SentencePiece model.

        A directory stands for the tokenizer in it.

        Raises:
            OSError: The file cannot be read.
            TokenizerError: It is not understood, or would give other ids than its reference.
        """

    @property
    def vocab_size(self) -> int:
        """One more than the highest id, added tokens included."""

    @property
    def sha256(self) -> str:
        """SHA-256 of the loaded file, in hexadecimal."""

    @property
    def file(self) -> Path:
        """The loaded file."""

    @property
    def kind(self) -> str:
        """Model and pre-tokenizer in a few words."""

    @property
    def fallback_reason(self) -> str | None:
        """Why the tokenizers library does the work, None if it does not."""

    @property
    def special_tokens(self) -> list[tuple[str, int]]:
        """Special tokens and their ids, by id."""

    def token_to_id(self, token: str) -> int | None:
        """Return the id of a token as its file spells it, None without one."""

    def id_to_token(self, id: int) -> str | None:
        """Return a token as its file spells it, None for an id without one."""

    def encode(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Return the ids of one text, without what a post-processor would add.

        Args:
            text: Any text.
            parse_special: Whether special tokens spelled in the text become their ids.
        """

    def encode_batch(
        self, texts: Sequence[str], *, parse_special: bool = False, workers: int = 1
    ) -> list[NDArray[np.uint32]]:
        """Return the ids of each text, on as many threads as `workers` says."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; bytes that are no UTF-8 become U+FFFD.

        Raises:
            ValueError: An id is no token.
        """

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Return the bytes of ids."""
