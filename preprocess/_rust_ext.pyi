"""The contract of the compiled module; checked against the build by stubtest.

Calls of more than a few milliseconds release the interpreter, call `progress(records, bytes)`
every 100 ms, and end with KeyboardInterrupt after Ctrl-C. Arguments that can never work raise
ValueError, files the matching OSError, damaged data CorruptDataError.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import final

import numpy as np
from numpy.typing import NDArray

type _Path = str | PathLike[str]
type _Progress = Callable[[int, int], object] | None

__version__: str

class CorruptDataError(ValueError):
    """A file is not what it claims to be."""

class TokenizerError(ValueError):
    """A tokenizer file is not understood."""

@final
class Tokenizer:
    """A tokenizer as its file defines it. Immutable."""

    @property
    def vocab_size(self) -> int:
        """One more than the highest id, added tokens included."""
    @property
    def sha256(self) -> str:
        """SHA-256 of the loaded file, in hexadecimal."""
    @property
    def file(self) -> PathLike[str]:
        """The loaded file."""
    @property
    def kind(self) -> str:
        """Model and pre-tokenizer in a few words."""
    @property
    def fallback_reason(self) -> str | None:
        """Why the tokenizers library does the work, None if it does not."""
    @property
    def special_tokens(self) -> list[tuple[str, int]]:
        """Special tokens and their ids."""
    @staticmethod
    def load(path: _Path) -> Tokenizer:
        """Load a tokenizer.json, a tiktoken rank file, a SentencePiece model, or a directory."""
    def token_to_id(self, token: str) -> int | None:
        """Return the id of a token as its file spells it, None without one."""
    def id_to_token(self, id: int) -> str | None:
        """Return a token as its file spells it, None for an id without one."""
    def encode(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Return the ids of one text."""
    def encode_batch(
        self, texts: Sequence[str], *, parse_special: bool = False, workers: int = 1
    ) -> list[NDArray[np.uint32]]:
        """Return the ids of each text."""
    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids; bytes that are no UTF-8 become U+FFFD."""

def tokenize_unit(
    tokenizer: Tokenizer,
    files: Sequence[tuple[_Path, str]],
    *,
    journal: _Path,
    unit: int,
    text_field: str,
    kinds: Sequence[str],
    eod_id: int | None,
    holdout: float,
    shard_text_bytes: int | None,
    workers: int,
    memory_bytes: int,
    progress: _Progress = None,
) -> str:
    """Tokenize the files of a unit into shards in `journal`; return its summary as JSON."""

def audit_dataset(
    prefix: _Path,
    *,
    eod_id: int | None = None,
    vocab_size: int | None = None,
    progress: _Progress = None,
) -> str:
    """Prove a dataset sound.

    Returns JSON with `sequences`, `documents`, `tokens`, `misplaced_eod`, `dtype`, `bin_bytes`.
    """

def read_document(prefix: _Path, document: int) -> list[int]:
    """Return the elements of one document."""

def merge_datasets(prefixes: Sequence[_Path], output: _Path, *, progress: _Progress = None) -> str:
    """Join datasets into one.

    Returns JSON with `documents`, `tokens`, and `bin` and `idx`, each `bytes` and `xxh3`.
    """

def rebuild_index(prefix: _Path, lengths: NDArray[np.uint32], *, vocab_size: int) -> None:
    """Write `PREFIX.idx` for a `.bin` whose documents have these lengths, one sequence each."""

def scan_records(path: _Path, *, text_field: str = "text", progress: _Progress = None) -> str:
    """Read a record file to its end.

    Returns JSON with `records`, `text_bytes`, `bytes`, `xxh3` and `problem` (None if sound).
    """

def read_line(path: _Path, record: int) -> bytes:
    """Return the line of a record file with this number, blank lines not counted."""
