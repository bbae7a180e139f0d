"""The tokenizers that are measured, found in a directory by the names of its folders."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDERS = {
    "gpt2": "tokenizer.json",
    "llama3": "tokenizer.json",
    "llama3_1": "tokenizer.json",
    "qwen2_5": "tokenizer.json",
    "mistral_v3": "tokenizer.model",
}
RANK_FILES = {
    "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7": "cl100k",
    "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d": "o200k",
}
"""SHA-256 of tiktoken's published files; source: tiktoken 0.14.0, tiktoken_ext/openai_public.py."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """One tokenizer."""

    name: str
    path: str
    """The file that every library loads."""

    @property
    def family(self) -> str:
        """Which library is its reference: tokenizers, sentencepiece or tiktoken."""
        if self.name in RANK_FILES.values():
            return "tiktoken"
        return "sentencepiece" if self.path.endswith(".model") else "tokenizers"

    def to_json(self) -> dict[str, Any]:
        """Return what a worker process needs to know it by."""
        return asdict(self)


def find_models(directory: Path) -> list[Model]:
    """Return the known tokenizers of a directory with a folder for each.

    Rank files lie together in one folder, `tiktoken`, under any names: their content says which
    they are.
    """
    return list(_find(directory))


def _find(directory: Path) -> Iterator[Model]:
    for name, file in FOLDERS.items():
        path = directory / name / file
        if path.is_file():
            yield Model(name=name, path=str(path.resolve()))
    for path in sorted((directory / "tiktoken").glob("*")):
        name = RANK_FILES.get(hashlib.sha256(path.read_bytes()).hexdigest(), "")
        if name:
            yield Model(name=name, path=str(path.resolve()))
