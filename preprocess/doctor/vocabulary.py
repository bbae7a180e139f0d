"""The tokenizer's size against the model's, and what is odd in itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from preprocess.doctor.findings import Finding, fail, ok, warn
from preprocess.tokenize import dtype_of

if TYPE_CHECKING:
    from preprocess.doctor.facts import ModelFiles, Vocabulary

SHOWN = 5

PADDED_TO = 128
"""Megatron pads the embedding to a multiple of this times the tensor-parallel size; source:
`--make-vocab-size-divisible-by` of Megatron-LM."""


def check_vocabulary(vocabulary: Vocabulary, files: ModelFiles) -> list[Finding]:
    """Return what size, gaps and repeated tokens say."""
    return [
        *(_no_rows(files) or embedding(vocabulary, files.embedding_rows)),
        gaps(vocabulary),
        repeated(vocabulary),
        declared_tokens(vocabulary, files),
        element_type(vocabulary),
    ]


def _no_rows(files: ModelFiles) -> list[Finding]:
    """Say that a configuration does not give the rows of the embedding as a number."""
    if not files.config or files.embedding_rows is not None:
        return []
    subject, found = "vocabulary and embedding", files.vocab_size
    if found is None:
        return [
            warn(
                subject,
                "config.json has no vocab_size: whether each id has a row is not known",
                "take the config.json of the model, or compare it by hand",
            )
        ]
    return [
        fail(
            subject,
            f"vocab_size of config.json is {str(found)[:60]!r}, which is no integer",
            "write the rows of the embedding there",
        )
    ]


def embedding(vocabulary: Vocabulary, rows: int | None) -> list[Finding]:
    """Compare the ids with the rows of the model's embedding."""
    subject = "vocabulary and embedding"
    size = vocabulary.size
    padded = -(-max(size, rows or 0) // PADDED_TO) * PADDED_TO
    if rows is None:
        return [
            ok(
                subject,
                f"{size:,} ids; no config.json says how many rows the model has",
                "--model DIR compares them",
            )
        ]
    if size > rows:
        beyond = [vocabulary.shown(number) for number in range(rows, size)]
        return [
            fail(
                subject,
                f"{size:,} ids, added tokens included, but vocab_size is {rows:,}: "
                f"{len(beyond):,} ids have no row ({_listed(beyond)})",
                "enlarge the embedding, or take the tokenizer that the model was trained with",
            )
        ]
    spare = f", {rows - size:,} rows without a token" if rows > size else ""
    return [
        ok(
            subject,
            f"{size:,} ids, added tokens included, {rows:,} rows{spare}; Megatron makes it "
            f"{padded:,} at tensor_model_parallel_size 1",
        )
    ]


def gaps(vocabulary: Vocabulary) -> Finding:
    """Look for ids without a token."""
    missing = [str(number) for number, token in enumerate(vocabulary.tokens) if token is None]
    if not missing:
        return ok("gaps", "every id has a token")
    return warn(
        "gaps",
        f"{len(missing):,} ids have no token ({_listed(missing)})",
        "nothing for training; a model that generates one of them cannot be decoded",
    )


def repeated(vocabulary: Vocabulary) -> Finding:
    """Look for tokens with several ids."""
    counts = Counter(token for token in vocabulary.tokens if token is not None)
    twice = [token for token, count in counts.items() if count > 1]
    if not twice:
        return ok("repeated tokens", "every token has one id")
    return warn(
        "repeated tokens",
        f"{len(twice):,} tokens have several ids ({_listed(twice)})",
        "only one of them is ever written; mend the tokenizer's file",
    )


def declared_tokens(vocabulary: Vocabulary, files: ModelFiles) -> Finding:
    """Compare the added tokens that tokenizer_config.json lists with those of the tokenizer."""
    subject = "added tokens of tokenizer_config.json"
    declared = files.tokenizer.get("added_tokens_decoder")
    if not isinstance(declared, dict):
        return ok(subject, "it lists none")
    wrong = []
    for number, entry in declared.items():
        content = entry.get("content") if isinstance(entry, dict) else entry
        if str(number).isdecimal() and vocabulary.ids.get(str(content)) != int(number):
            wrong.append(f"{content} should be {number}")
    if not wrong:
        return ok(subject, f"all {len(declared):,} have the ids that it says")
    return fail(
        subject,
        f"{len(wrong):,} of {len(declared):,} differ from the tokenizer ({_listed(wrong)})",
        "take both files from the same model",
    )


def element_type(vocabulary: Vocabulary) -> Finding:
    """Say how Megatron stores the ids."""
    dtype = dtype_of(vocabulary.size)
    size = 2 if dtype == "uint16" else 4
    return ok("element type", f"{dtype}, as Megatron decides by the vocabulary: {size} bytes an id")


def _listed(values: list[str]) -> str:
    more = ", ..." if len(values) > SHOWN else ""
    return ", ".join(values[:SHOWN]) + more
