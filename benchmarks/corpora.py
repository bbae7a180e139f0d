"""The texts that are measured on, each kept as one file that every worker process reads alike.

A file holds the number of documents and their lengths in bytes, all uint64, then the texts as
UTF-8.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import string
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CHINESE = re.compile("[\u3400-\u9fff]")
CHINESE_SHARE = 0.15
"""Of its characters: above it a web document counts as Chinese."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """Documents in a file."""

    name: str
    path: str
    documents: int
    text_bytes: int
    sha256: str
    """Of the file described above, so of the texts and their order."""

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return asdict(self)


def store(name: str, texts: Iterable[str], directory: Path) -> Corpus:
    """Write documents into `directory`."""
    encoded = [text.encode() for text in texts]
    lengths = np.array([len(encoded), *map(len, encoded)], dtype=np.uint64)
    content = lengths.tobytes() + b"".join(encoded)
    path = directory / f"{name}.texts"
    path.write_bytes(content)
    return Corpus(
        name=name,
        path=str(path),
        documents=len(encoded),
        text_bytes=int(lengths[1:].sum()),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def load(path: str | Path) -> list[str]:
    """Return the documents of such a file."""
    content = Path(path).read_bytes()
    count = int.from_bytes(content[:8], "little")
    start = 8 * (count + 1)
    ends = start + np.cumsum(np.frombuffer(content[8:start], dtype=np.uint64)).astype(np.int64)
    texts = []
    for end in ends.tolist():
        texts.append(content[start:end].decode())
        start = end
    return texts


def within(texts: Iterable[str], limit_bytes: int) -> list[str]:
    """Return texts from the beginning, up to a number of UTF-8 bytes."""
    taken = []
    for text in texts:
        if limit_bytes <= 0:
            break
        taken.append(text)
        limit_bytes -= len(text.encode())
    return taken


def chinese(texts: Iterable[str]) -> list[str]:
    """Return the documents that hold much Chinese."""
    return [text for text in texts if len(CHINESE.findall(text)) > CHINESE_SHARE * len(text)]


def python_library() -> Iterator[str]:
    """Yield the sources of this machine's own Python library, by path."""
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if "site-packages" not in path.parts:
            yield from _text_of(path)


def json_documents(directory: Path) -> Iterator[str]:
    """Yield JSON below a directory, by path: the lines of `.jsonl`, whole `.json` files."""
    for path in sorted([*directory.rglob("*.json"), *directory.rglob("*.jsonl")]):
        for text in _text_of(path):
            lines = text.splitlines()
            yield from filter(
                None, lines if path.suffix == ".jsonl" or _is_lines(lines) else [text]
            )


def _is_lines(lines: list[str]) -> bool:
    """Tell JSON lines in a file that is called `.json` by its first line being whole."""
    try:
        json.loads(lines[0])
    except (ValueError, IndexError):
        return False
    return len(lines) > 1


def _text_of(path: Path) -> Iterator[str]:
    if not path.is_file():
        return
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        return  # a test of the library itself, mostly
    if text:
        yield text


def _letters(count: int) -> str:
    return "".join(random.Random(2).choices(string.ascii_lowercase, k=count))


def _emoji(count: int) -> str:
    faces = [chr(point) for point in range(0x1F300, 0x1F650)]
    return "".join(random.Random(3).choices(faces, k=count // 4))


def _thai(count: int) -> str:
    letters = [chr(point) for point in range(0x0E01, 0x0E3B)]
    return "".join(random.Random(4).choices(letters, k=count // 3))


WORST: dict[str, Callable[[int], str]] = {
    "one word": lambda count: "a" * count,
    "random letters": _letters,
    "all spaces": lambda count: " " * count,
    "base64": lambda count: base64.b64encode(random.Random(5).randbytes(count * 3 // 4)).decode(),
    "emoji": _emoji,
    "Thai": _thai,
    "random Latin-1": lambda count: random.Random(6).randbytes(count * 2 // 3).decode("latin-1"),
}
"""Texts of about `count` bytes that a careless encoder is slow on."""
