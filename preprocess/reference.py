"""The library that a tokenizer's file belongs to: whose ids ours must be.

`tokenizers` for a tokenizer.json, `sentencepiece` for its models, `tiktoken` for rank files. The
last two are the optional group `check`; only who asks for a check needs them.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess._rust_ext import Tokenizer


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A library that has loaded the same file."""

    name: str
    """Library and version."""
    encode: Callable[[str], list[int]]
    """Ids of a text; special tokens spelled in it are text, nothing is put around it."""


def load_reference(tokenizer: Tokenizer) -> Reference:
    """Return the reference of a tokenizer.

    Raises:
        UserError: The library is not installed, or none can read the file.
    """
    file = Path(tokenizer.file)
    if tokenizer.kind.startswith("SentencePiece") and file.suffix != ".json":
        model = _library("sentencepiece", file).SentencePieceProcessor(model_file=str(file))
        return Reference(name=_named("sentencepiece"), encode=model.encode)
    if ", tiktoken " in tokenizer.kind:
        beside = file.with_name("tokenizer.json")
        try:
            return _tiktoken(tokenizer, file)
        except _UnknownRanksError:
            if not beside.exists():
                raise UserError(
                    f"{file}: expected a rank file that tiktoken publishes the pattern of, found "
                    "another; put its tokenizer.json beside it, or leave --check out"
                ) from None
            return _tokenizers(beside)
    return _tokenizers(file)


def _tokenizers(file: Path) -> Reference:
    loaded = _library("tokenizers", file).Tokenizer.from_file(str(file))
    loaded.no_truncation()
    loaded.no_padding()
    loaded.encode_special_tokens = True

    def encode(text: str) -> list[int]:
        ids: list[int] = loaded.encode(text, add_special_tokens=False).ids
        return ids

    return Reference(name=_named("tokenizers"), encode=encode)


class _UnknownRanksError(Exception):
    """tiktoken does not know the rank file."""


def _tiktoken(tokenizer: Tokenizer, file: Path) -> Reference:
    tiktoken = _library("tiktoken", file)
    published = _published(tokenizer.sha256)
    lines = (line.split() for line in file.read_bytes().splitlines() if line)
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    encoding = tiktoken.Encoding(**{**published, "mergeable_ranks": ranks})

    def encode(text: str) -> list[int]:
        ids: list[int] = encoding.encode(text, disallowed_special=())
        return ids

    return Reference(name=_named("tiktoken"), encode=encode)


def _published(sha256: str) -> dict[str, Any]:
    """Return pattern and special tokens that tiktoken itself gives a rank file.

    Its constructors fetch the file by network; here they only name it by its hash.
    """
    public = _library("tiktoken_ext.openai_public", None)
    for construct in public.ENCODING_CONSTRUCTORS.values():
        asked: list[str] = []
        with _replaced(public, "load_tiktoken_bpe", asked), _replaced(
            public, "data_gym_to_mergeable_bpe_ranks", asked
        ):  # fmt: skip
            published: dict[str, Any] = construct()
        if asked == [sha256]:
            return {name: value for name, value in published.items() if name != "explicit_n_vocab"}
    raise _UnknownRanksError


@contextlib.contextmanager
def _replaced(module: Any, name: str, asked: list[str]) -> Iterator[None]:
    """Have a loader of rank files note the hash that it should find, and load nothing."""

    def note(*_arguments: object, **options: Any) -> dict[bytes, int]:
        asked.append(options.get("expected_hash", ""))
        return {}

    original = getattr(module, name)
    setattr(module, name, note)
    try:
        yield
    finally:
        setattr(module, name, original)


def _library(name: str, file: Path | None) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition("_")[0]
        raise UserError(
            f"expected the library {package} to compare with{f' for {file}' if file else ''}, it "
            f"is not installed; `pip install {package}`, or leave --check out"
        ) from None


def _named(package: str) -> str:
    return f"{package} {version(package)}"
