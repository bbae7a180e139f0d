"""Every encoder that is measured, behind one shape: prepare, encode, flatten.

`prepare` makes of the texts what the library takes, `encode` is what is timed in memory, and
`flatten` makes one array of ids and one of offsets from what it gave: end to end all three count.
Each runs on one thread, and parses special tokens as its reference does by default.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import references

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.models import Model

type Flat = tuple[NDArray[np.uint32], NDArray[np.int64]]


def flatten_rows(rows: Sequence[Any]) -> Flat:
    """Return the ids of all rows in one array, and where each row begins, the end included."""
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    arrays = [np.asarray(row, dtype=np.uint32) for row in rows]
    ids = np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.uint32)
    return ids, np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])


@dataclass(frozen=True, slots=True)
class Encoder:
    """A loaded tokenizer of one library."""

    encode: Callable[[Any], Any]
    flatten: Callable[[Any], Flat] = flatten_rows
    prepare: Callable[[list[str]], Any] = list


def _ours(model: Model) -> Encoder:
    from preprocess import _rust_ext

    tokenizer = _rust_ext.Tokenizer.load(model.path)
    if tokenizer.fallback_reason is not None:
        raise ValueError(f"our own encoder does not do it: {tokenizer.fallback_reason}")
    flat = getattr(tokenizer, "encode_flat", None)
    if flat is not None:
        return Encoder(lambda texts: flat(texts, parse_special=True, workers=1), _as_given)
    return Encoder(lambda texts: tokenizer.encode_batch(texts, parse_special=True, workers=1))


def _tokenizers(model: Model) -> Encoder:
    if model.family != "tokenizers":
        raise ValueError("not a tokenizer.json")
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(model.path)
    return Encoder(
        lambda texts: tokenizer.encode_batch_fast(texts, add_special_tokens=False),
        lambda encodings: flatten_rows([encoding.ids for encoding in encodings]),
    )


def _tiktoken(model: Model) -> Encoder:
    encoding = references.tiktoken_encoding(model)
    return Encoder(
        lambda texts: [encoding.encode_to_numpy(text, allowed_special="all") for text in texts]
    )


def _sentencepiece(model: Model) -> Encoder:
    if model.family != "sentencepiece":
        raise ValueError("not a SentencePiece model")
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=model.path)
    return Encoder(lambda texts: processor.encode(texts, num_threads=1))


def _fastokens(model: Model) -> Encoder:
    from fastokens import _native

    if model.family == "sentencepiece":
        raise ValueError("does not read SentencePiece models")
    if model.family == "tiktoken":
        tokenizer = _native.Tokenizer.from_tiktoken(model.path, encoding=f"{model.name}_base")
    else:
        tokenizer = _native.Tokenizer.from_file(model.path)

    def flatten(given: tuple[bytes, bytes]) -> Flat:
        return np.frombuffer(given[0], np.uint32), np.frombuffer(given[1], np.int64)

    return Encoder(lambda texts: tokenizer.encode_batch_flat(texts, False), flatten)


def _gigatoken(model: Model) -> Encoder:
    import gigatoken

    match model.family:
        case "sentencepiece":
            tokenizer = gigatoken.Tokenizer.from_sentencepiece(model.path)
        case "tiktoken":
            tokenizer = gigatoken.Tokenizer.from_tiktoken(
                model.path,
                pretokenizer=model.name,
                special_tokens=references.SPECIAL[model.name],
            )
        case _:
            tokenizer = gigatoken.Tokenizer(model.path)

    def flatten(given: Any) -> Flat:
        layout = given.layout
        start, end = int(layout.offsets.data[0]), int(layout.offsets.data[-1])
        return layout.content.data[start:end], layout.offsets.data - start

    return Encoder(
        lambda texts: tokenizer.encode_batch(texts, parallel=False),
        flatten,
        lambda texts: [text.encode() for text in texts],
    )


def _kitoken(model: Model) -> Encoder:
    import kitoken

    load = {
        "tokenizers": kitoken.Kitoken.from_tokenizers_file,
        "sentencepiece": kitoken.Kitoken.from_sentencepiece_file,
        "tiktoken": kitoken.Kitoken.from_tiktoken_file,
    }[model.family]
    tokenizer = load(model.path)
    specials = model.family != "sentencepiece"  # its control pieces never match text
    return Encoder(lambda texts: tokenizer.encode_all(texts, specials))


def _as_given(flat: Flat) -> Flat:
    return flat


OURS = "ours"
LOADERS: dict[str, Callable[[Model], Encoder]] = {
    OURS: _ours,
    "tokenizers": _tokenizers,
    "sentencepiece": _sentencepiece,
    "tiktoken": _tiktoken,
    "kitoken": _kitoken,
    "fastokens": _fastokens,
    "gigatoken": _gigatoken,
}


def version(name: str) -> str | None:
    """Return the version of a peer's package, None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
