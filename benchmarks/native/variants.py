"""Large files of a native format, from a few real records: ids, names and values varied.

Of each copy some of the words and numbers are others, by a seeded rule that maps a word alike
wherever it stands in the record: calls still name their tools, arguments their parameters, JSON
in strings stays JSON. Words of the format itself (keys that most records have, roles, types)
stay.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

type Json = Any

FORMAT_WORDS = frozenset({
    "system", "assistant", "function", "human", "observation", "string", "number", "integer",
    "boolean", "array", "object", "required", "optional", "properties", "parameters",
    "description", "default", "content", "arguments", "Thought", "thought", "Action", "Input",
    "Observation", "Instruction", "Output", "domain", "provider", "explanation", "search",
    "click", "finish", "Finish", "success", "return", "answer", "final", "swagger", "openapi",
    "application", "error", "response", "STRING", "NUMBER", "BOOLEAN", "items", "schema",
    "format", "paths", "query", "header", "formData", "double", "float", "binary", "password",
    "multi", "basic", "apiKey", "oauth", "implicit", "accessCode", "false", "webshop",
})  # fmt: skip
# A letter behind a backslash is an escape's, and what follows it might be part of a word or not.
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{5,}")
_NUMBER = re.compile(r"(?<![\\\w.])[1-9]\d{2,}(?![\w.])")
ONE_IN = 3
"""So manieth word is varied."""


def samples_of(paths: Sequence[Path]) -> list[Json]:
    """Return the native records of some files: elements of arrays, or whole files."""
    found: list[Json] = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            found += [json.loads(line) for line in text.splitlines() if line.strip()]
            continue
        value = json.loads(text)
        found += value if isinstance(value, list) else [value]
    return found


def variants(samples: Sequence[Json], size_bytes: int) -> Iterator[bytes]:
    """Yield native records as JSON until there is so much of them, never twice the same."""
    structure = _structure(samples)
    made = copy = 0
    while made < size_bytes:
        for sample in samples:
            line = json.dumps(_Copy(copy, structure).of(sample), ensure_ascii=False).encode()
            made += len(line) + 2
            yield line
            if made >= size_bytes:
                return
        copy += 1


def _structure(samples: Sequence[Json]) -> frozenset[str]:
    """Return the words of the format: its own keys, of whatever depth, as most records have."""
    seen: Counter[str] = Counter()
    for sample in samples:
        seen.update(set(_keys(sample)))
    least = len(samples) / 4
    common = (key for key, count in seen.items() if count >= least)
    return FORMAT_WORDS.union(word for key in common for word in _WORD.findall(key))


def _keys(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for each in value.values():
            yield from _keys(each)
    elif isinstance(value, list):
        for each in value:
            yield from _keys(each)


class _Copy:
    def __init__(self, number: int, structure: frozenset[str]) -> None:
        self._seed = number
        self._structure = structure
        self._words: dict[str, str] = {}

    def of(self, value: Json) -> Json:
        if isinstance(value, str):
            return _NUMBER.sub(self._number, _WORD.sub(self._word, value))
        if isinstance(value, dict):
            return {_WORD.sub(self._word, key): self.of(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.of(each) for each in value]
        return value

    def _word(self, match: re.Match[str]) -> str:
        word = match[0]
        if word not in self._words:
            drawn = xxhash.xxh3_64_intdigest(word.encode(), self._seed)
            varied = word not in self._structure and drawn % ONE_IN == 0
            ending = "".join(chr(97 + (drawn >> shift) % 26) for shift in (8, 16, 24))
            self._words[word] = word[:-2] + ending if varied and self._seed else word
        return self._words[word]

    def _number(self, match: re.Match[str]) -> str:
        drawn = xxhash.xxh3_64_intdigest(match[0].encode(), self._seed)
        return str(10 ** (len(match[0]) - 1) + drawn % (9 * 10 ** (len(match[0]) - 1)))
