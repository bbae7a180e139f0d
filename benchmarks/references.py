"""What ids are compared with: the libraries that define them, each in both of its modes.

`tokenizers` is the reference of a `tokenizer.json`, `sentencepiece` of a `.model`, `tiktoken` of a
rank file. Special tokens that a text spells are parsed, or they are text like any other.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tiktoken

    from benchmarks.models import Model

# Published with tiktoken 0.14.0 (tiktoken_ext/openai_public.py).
PATTERNS = {
    "gpt2": (r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"),
    "cl100k": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
    "o200k": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
SPECIAL = {
    "cl100k": {
        "<|endoftext|>": 100257,
        "<|fim_prefix|>": 100258,
        "<|fim_middle|>": 100259,
        "<|fim_suffix|>": 100260,
        "<|endofprompt|>": 100276,
    },
    "o200k": {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
}


class Reference(Protocol):
    """A library that defines ids."""

    special_tokens: list[str]

    def encode(self, texts: Sequence[str], *, parse_special: bool) -> list[list[int]]:
        """Return the ids of each text, on one thread if the environment says so."""


class HuggingFace:
    """A `tokenizer.json` in the `tokenizers` library."""

    def __init__(self, path: str | Path) -> None:
        import tokenizers

        self.parsing = tokenizers.Tokenizer.from_file(str(path))
        self.literal = tokenizers.Tokenizer.from_file(str(path))
        self.literal.encode_special_tokens = True
        added = self.parsing.get_added_tokens_decoder().values()
        self.special_tokens = [token.content for token in added if token.special]

    def encode(self, texts: Sequence[str], *, parse_special: bool) -> list[list[int]]:
        tokenizer = self.parsing if parse_special else self.literal
        batch = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in batch]


class SentencePiece:
    """A `.model` in the `sentencepiece` library; its control pieces never match text."""

    def __init__(self, path: str | Path) -> None:
        import sentencepiece

        self.model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self.special_tokens: list[str] = []

    def encode(self, texts: Sequence[str], *, parse_special: bool) -> list[list[int]]:
        del parse_special
        return [self.model.encode(text) for text in texts]


class Tiktoken:
    """Ranks in the `tiktoken` library."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self.encoding = encoding
        self.special_tokens = sorted(encoding.special_tokens_set)

    def encode(self, texts: Sequence[str], *, parse_special: bool) -> list[list[int]]:
        if parse_special:
            return [self.encoding.encode(text, allowed_special="all") for text in texts]
        return [self.encoding.encode_ordinary(text) for text in texts]


def load_reference(model: Model) -> Reference:
    """Return the library that defines the ids of a tokenizer."""
    match model.family:
        case "tokenizers":
            return HuggingFace(model.path)
        case "sentencepiece":
            return SentencePiece(model.path)
        case _:
            return Tiktoken(tiktoken_encoding(model))


def tiktoken_encoding(model: Model) -> tiktoken.Encoding:
    """Return tiktoken's encoding of a rank file, or of a `tokenizer.json` whose ids are ranks.

    Raises:
        ValueError: The file cannot be given to tiktoken.
    """
    import tiktoken

    if model.family == "tiktoken":
        lines = [line.split() for line in Path(model.path).read_bytes().splitlines()]
        ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
        pattern, special = PATTERNS[model.name], SPECIAL[model.name]
    elif model.family == "tokenizers":
        pattern, ranks, special = _as_ranks(json.loads(Path(model.path).read_text("utf-8")))
    else:
        raise ValueError("tiktoken does not read SentencePiece models")
    return tiktoken.Encoding(
        model.name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special
    )


def _as_ranks(content: dict[str, object]) -> tuple[str, dict[bytes, int], dict[str, int]]:
    state: dict[str, object] = content["model"]  # type: ignore[assignment]
    vocab: dict[str, int] = state["vocab"]  # type: ignore[assignment]
    added: list[dict[str, object]] = content["added_tokens"]  # type: ignore[assignment]
    special = {str(token["content"]): int(str(token["id"])) for token in added}
    byte_of = {character: byte for byte, character in enumerate(byte_characters())}
    ranks = {
        bytes(byte_of[character] for character in token): rank
        for token, rank in vocab.items()
        if token not in special
    }
    return _pattern_of(content["pre_tokenizer"]), ranks, special


def _pattern_of(pre_tokenizer: object) -> str:
    match pre_tokenizer:
        case {"type": "ByteLevel", "use_regex": False}:
            raise ValueError("a tokenizer without a pattern")
        case {"type": "ByteLevel"}:
            return PATTERNS["gpt2"]
        case {"type": "Sequence", "pretokenizers": [{"pattern": {"Regex": pattern}}, *_]}:
            return str(pattern)
        case _:
            raise ValueError("a tokenizer whose pattern tiktoken cannot have")


def byte_characters() -> list[str]:
    """Return the character that stands for each byte in a `tokenizer.json`, by GPT-2's rule."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    code_points = {byte: byte for byte in printable}
    code_points.update({byte: 256 + rank for rank, byte in enumerate(others)})
    return [chr(code_points[byte]) for byte in range(256)]
