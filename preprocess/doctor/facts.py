"""What the checks know: the tokenizer as it was loaded, and the files that speak of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.end_of_document import EndOfDocument, resolve_eod
from preprocess.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess._rust_ext import Tokenizer

CONFIG = "config.json"
GENERATION = "generation_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """A tokenizer without its rules: tokens and ids, as its own file gives them."""

    tokens: tuple[str | None, ...]
    """By id, added tokens included; None where an id has no token."""
    special: dict[str, int]
    eod: EndOfDocument | None
    eod_problem: str = ""
    """Why there is no end-of-document token."""
    ids: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        ids = {token: number for number, token in enumerate(self.tokens) if token is not None}
        object.__setattr__(self, "ids", {**ids, **self.special})

    @property
    def size(self) -> int:
        """One more than the highest id."""
        return len(self.tokens)

    def shown(self, number: int) -> str:
        """Return an id with its token."""
        token = self.tokens[number] if 0 <= number < self.size else None
        return f"{number} ({token})" if token is not None else f"{number} (no token)"

    @staticmethod
    def of(tokenizer: Tokenizer, eod: str | None) -> Vocabulary:
        """Return the vocabulary of a loaded tokenizer; `eod` as `tokenize --eod` takes it."""
        found, problem = None, ""
        try:
            found = resolve_eod(tokenizer, eod)
        except UserError as error:
            problem = str(error)
        return Vocabulary(
            tokens=tuple(tokenizer.id_to_token(number) for number in range(tokenizer.vocab_size)),
            special=dict(tokenizer.special_tokens),
            eod=found,
            eod_problem=problem,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFiles:
    """What a model's and a tokenizer's configuration files say; empty where there is none."""

    config: dict[str, Any] = field(default_factory=dict)
    generation: dict[str, Any] = field(default_factory=dict)
    tokenizer: dict[str, Any] = field(default_factory=dict)
    special_tokens: dict[str, Any] = field(default_factory=dict)

    @property
    def embedding_rows(self) -> int | None:
        """Rows of the embedding; None where no file says so."""
        rows = self.vocab_size
        return rows if isinstance(rows, int) and not isinstance(rows, bool) else None

    @property
    def vocab_size(self) -> Any:
        """What config.json gives as such; of a model with several parts, that of its text."""
        inner = self.config.get("text_config")
        if isinstance(inner, dict) and inner.get("vocab_size") is not None:
            return inner["vocab_size"]
        return self.config.get("vocab_size")


def read_model_files(tokenizer: Path | None, model: Path | None) -> ModelFiles:
    """Return what stands beside a tokenizer and in a model's directory.

    Each file is taken from the directory that it belongs to, else from the other one.

    Raises:
        UserError: The model is neither a directory with a config.json nor such a file, or a file
            is no JSON object.
    """
    folders = []
    if model is not None:
        config = model / CONFIG if model.is_dir() else model
        if not config.is_file():
            raise UserError(
                f"{model}: expected a model's directory with a {CONFIG}, or that file, found "
                "neither; check --model"
            )
        folders.append(config.parent)
    else:
        config = None
    if tokenizer is not None:
        folders.append(tokenizer if tokenizer.is_dir() else tokenizer.parent)

    def first(name: str, order: list[Path]) -> dict[str, Any]:
        return next((_read(each / name) for each in order if (each / name).is_file()), {})

    return ModelFiles(
        config=_read(config) if config else first(CONFIG, folders),
        generation=first(GENERATION, folders),
        tokenizer=first(TOKENIZER_CONFIG, folders[::-1]),
        special_tokens=first(SPECIAL_TOKENS, folders[::-1]),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(path.read_bytes())
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: expected JSON, but {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content
