"""The tokens with which a model ends its turn, and the one it pads with, by its own files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL_FILES = ("generation_config.json", "config.json")
"""What says where a model stops, likelier first."""

TOKENIZER_FILE = "tokenizer_config.json"
"""Names the padding token by its text, where the model's files name none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stops:
    """The tokens with which a model may end its turn."""

    ids: frozenset[int]
    """Token ids; empty: not known."""

    pad_id: int | None
    """The token that pads; None: none is named."""

    path: Path | None
    """The file that names `ids`."""


NOTHING_KNOWN = Stops(ids=frozenset(), pad_id=None, path=None)


def read_stops(directory: Path) -> Stops:
    """Return what `generation_config.json`, else `config.json`, says of the end of a turn.

    Each of the two keys is read from the first file that has it; the padding token from
    `tokenizer_config.json` if neither has. `eos_token` there is not read: nothing that generates
    text stops at it.

    Args:
        directory: Of a Hugging Face model.

    Raises:
        ValueError: A file is not JSON, or a token of it no id.
    """
    ids: frozenset[int] = frozenset()
    path = pad_id = None
    for file in (directory / name for name in MODEL_FILES):
        content = _read(file)
        if path is None and (found := _ids(file, content, "eos_token_id")):
            ids, path = found, file
        if pad_id is None:
            pad_id = next(iter(_ids(file, content, "pad_token_id")), None)
    if pad_id is None:
        pad_id = _padding_of_tokenizer(_read(directory / TOKENIZER_FILE))
    return Stops(ids=ids, pad_id=pad_id, path=path)


def _read(path: Path) -> dict[str, Any]:
    """Return the object in a file; an empty one for no file."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: expected a JSON object: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, found {content!r:.40}")
    return content


def _ids(path: Path, content: dict[str, Any], key: str) -> frozenset[int]:
    named = content.get(key)
    ids = named if isinstance(named, list) else [] if named is None else [named]
    # `true` is an integer to Python; padding of -1 is how some files say that there is none.
    if all(type(token) is int for token in ids):
        return frozenset(token for token in ids if token >= 0)
    raise ValueError(
        f"{path}: expected {key} to be a token id or a list of them, found {named!r:.40}; "
        "correct that file"
    )


def _padding_of_tokenizer(content: dict[str, Any]) -> int | None:
    """Return the id of `pad_token`; None where the file does not list its added tokens."""
    named, listed = content.get("pad_token"), content.get("added_tokens_decoder")
    text = named.get("content") if isinstance(named, dict) else named
    if text is None or not isinstance(listed, dict):
        return None
    ids = (
        int(token)
        for token, added in listed.items()
        if token.isdecimal() and isinstance(added, dict) and added.get("content") == text
    )
    return next(ids, None)
