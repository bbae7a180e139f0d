"""The tokenizer of a model's directory, and the small files that travel with its weights.

A checkpoint's tokenizer is known by the SHA-256 of one file, as that of a dataset is. Which file
of a directory it is must be decided as the tokenizer of the datasets decides it: `tokenizer.json`,
else `tokenizer.model`, else the only rank file of tiktoken.
"""

import base64
import binascii
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NAMES = ("tokenizer.json", "tokenizer.model")
_RANK_LINE = re.compile(rb"([A-Za-z0-9+/]+=*) (\d+)\s*")
_HEAD_BYTES = 1024

_MODEL_FILES = ("config.json", "generation_config.json", "LICENSE*", "NOTICE*", "USE_POLICY*")
"""What belongs to a model whatever its weights are; a model card describes these weights only."""

_TOKENIZER_FILES = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.*",
)
"""What a tokenizer's library reads beside the file itself."""

# A SentencePiece model is a protocol buffer; its pieces are the repeated field 1 of the message.
_PIECE_FIELD, _LENGTH_DELIMITED = 1, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokenizer:
    """A tokenizer's file."""

    file: Path
    """It."""

    sha256: str
    """Of its bytes."""

    num_ids: int
    """One more than the highest id, added tokens included. Of a rank file: without its special
    tokens, which it does not name."""

    kind: str
    """`json`, `sentencepiece` or `ranks`."""

    @property
    def usual_name(self) -> str:
        """The name under which it is found in a directory."""
        return {"json": _NAMES[0], "sentencepiece": _NAMES[1]}.get(self.kind, self.file.name)


def travelling_files(directory: Path, tokenizer: Tokenizer, *, own: bool) -> dict[str, Path]:
    """Return the files that are kept with a model's weights, by the name they get.

    Args:
        directory: The model's.
        tokenizer: Its tokenizer.
        own: Whether that is the directory's own. The files of another one replace all of its: those
            beside it where it lies in a directory under a usual name, else the file alone.
    """
    found = _matching(directory, _MODEL_FILES)
    if own:
        found |= _matching(directory, _TOKENIZER_FILES)
    elif tokenizer.file.name in _NAMES:
        found |= _matching(tokenizer.file.parent, _TOKENIZER_FILES)
    return found | {tokenizer.usual_name: tokenizer.file}


def _matching(directory: Path, patterns: tuple[str, ...]) -> dict[str, Path]:
    files = sorted(file for pattern in patterns for file in directory.glob(pattern))
    return {file.name: file for file in files if file.is_file()}


def read_tokenizer(path: Path, *, sha256: str = "") -> Tokenizer:
    """Return the tokenizer at a path: a file, or a directory that has one.

    Args:
        path: The file or directory.
        sha256: Of the file to take, where a directory has it under a usual name.

    Raises:
        OSError: There is none.
        ValueError: It cannot be read, or there are several.
    """
    usual = [path / name for name in _NAMES if sha256 and (path / name).is_file()]
    file = next((file for file in usual if _sha256(file) == sha256), None) or _find(path)
    content = file.read_bytes()
    try:
        kind, num_ids = _kind_and_ids(file, content)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(
            f"{file}: expected a tokenizer.json, a SentencePiece model or a rank file: {error!r}"
        ) from None
    return Tokenizer(file=file, sha256=_sha256(file), num_ids=num_ids, kind=kind)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    for name in _NAMES:
        if (path / name).is_file():
            return path / name
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else []
    ranks = [file for file in files if _is_rank_file(file)]
    if len(ranks) == 1:
        return ranks[0]
    if ranks:
        names = ", ".join(file.name for file in ranks)
        raise ValueError(f"{path}: several rank files, name one by --tokenizer: {names}")
    raise FileNotFoundError(
        f"{path}: expected {', '.join(_NAMES)} or a tiktoken rank file, found none; "
        "name the model's tokenizer by --tokenizer"
    )


def _is_rank_file(file: Path) -> bool:
    with file.open("rb") as opened:
        line = opened.read(_HEAD_BYTES).split(b"\n")[0]
    match = _RANK_LINE.fullmatch(line)
    try:
        return bool(match and base64.b64decode(match[1], validate=True))
    except binascii.Error:
        return False


def _kind_and_ids(file: Path, content: bytes) -> tuple[str, int]:
    if _is_rank_file(file):
        return "ranks", 1 + max(int(line.split()[1]) for line in content.splitlines() if line)
    if content.lstrip()[:1] == b"{":
        return "json", _num_ids_of_json(json.loads(content))
    beside = file.with_name("added_tokens.json")
    added = json.loads(beside.read_bytes()).values() if beside.is_file() else ()
    return "sentencepiece", max(_count_pieces(content), *(number + 1 for number in added), 1)


def _num_ids_of_json(content: dict[str, Any]) -> int:
    vocabulary = content["model"]["vocab"]
    if isinstance(vocabulary, dict):
        ids = list(vocabulary.values())
    else:  # Unigram: the place in the list is the id
        ids = list(range(len(vocabulary)))
    ids += [token["id"] for token in content.get("added_tokens") or []]
    return int(max(ids)) + 1


def _count_pieces(content: bytes) -> int:
    count = position = 0
    while position < len(content):
        tag, position = _varint(content, position)
        if tag & 7 != _LENGTH_DELIMITED:
            raise ValueError(f"no SentencePiece model: field of kind {tag & 7} at {position}")
        length, position = _varint(content, position)
        count += tag >> 3 == _PIECE_FIELD
        position += length
    if not count or position != len(content):
        raise ValueError("no SentencePiece model, or one that is cut off")
    return count


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
