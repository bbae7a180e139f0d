"""Tokens as a person reads them, by the tokenizer that travels with a model.

Only people read this: nothing is trained by it. So a tokenizer that cannot be read ends no
training; ids stand where its words would, and a line says why.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

JSON, SENTENCEPIECE = "tokenizer.json", "tokenizer.model"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """A tokenizer that was loaded, or what stands for one."""

    decode: Callable[[list[int]], str]
    """Ids -> text, control tokens by their names."""

    is_control: Callable[[int], bool | None]
    """Whether a token is a control token; None: not known."""

    problem: str | None = None
    """Why `decode` gives ids; None: it gives words."""


class Words:
    """The tokenizer of a directory; it is loaded when it is first asked."""

    def __init__(self, directory: Path | None) -> None:
        """Note the directory; None: no model's files are known."""
        self.directory = directory

    @property
    def problem(self) -> str | None:
        """Why tokens are shown as ids, in a line; None: they are not."""
        return self._reader.problem

    def text(self, ids: Sequence[int]) -> str:
        """Return what tokens spell; their ids where no tokenizer says it."""
        return self._reader.decode(list(ids))

    def named(self, token: int) -> str:
        """Return the id of a token, and its text if that is known."""
        return str(token) if self.problem else f"{token} ({self.text([token])!r})"

    def is_control(self, token: int) -> bool | None:
        """Return whether it is a control token; None: not known."""
        return self._reader.is_control(token)

    @cached_property
    def _reader(self) -> Reader:
        if self.directory is None:
            return _ids_alone("no files of the model that the training began with are here")
        for name, load in ((JSON, _load_json), (SENTENCEPIECE, _load_sentencepiece)):
            path = self.directory / name
            if not path.is_file():
                continue
            try:
                return load(path)
            except ImportError as error:
                return _ids_alone(f"{path} needs {error.name}; pip install {error.name}")
            except Exception as error:  # `tokenizers` has no class of its own
                said = " ".join(str(error).split())
                return _ids_alone(f"{path} cannot be read: {said:.200}")
        return _ids_alone(f"{self.directory} has neither {JSON} nor {SENTENCEPIECE}")


def _ids_alone(problem: str) -> Reader:
    return Reader(
        decode=lambda ids: " ".join(map(str, ids)), is_control=lambda _: None, problem=problem
    )


def _load_json(path: Path) -> Reader:
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(path))
    added = loaded.get_added_tokens_decoder()
    special = {number for number, token in added.items() if token.special}
    return Reader(
        decode=lambda ids: str(loaded.decode(ids, skip_special_tokens=False)),
        is_control=special.__contains__,
    )


def _load_sentencepiece(path: Path) -> Reader:
    from sentencepiece import SentencePieceProcessor

    model: Any = SentencePieceProcessor(model_file=str(path))
    size = model.vocab_size()

    def name(token: int) -> str:
        # Ids behind the last piece are of tokens that were added without a piece.
        return str(model.id_to_piece(token)) if token < size else f"<{token}>"

    def is_control(token: int) -> bool:
        return bool(token >= size or model.is_control(token))

    def decode(ids: list[int]) -> str:  # the library leaves control tokens out
        return "".join(
            "".join(map(name, run)) if is_named else str(model.decode(list(run)))
            for is_named, run in itertools.groupby(ids, is_control)
        )

    return Reader(decode=decode, is_control=is_control)
