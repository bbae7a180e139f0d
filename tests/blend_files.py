"""Indexed datasets and blend files for the tests, written by Megatron-Core's own builder."""

import hashlib
import json
import warnings
from pathlib import Path

import numpy

EOD = 0


def write_part(
    prefix: Path,
    *,
    num_documents: int = 40,
    document_length: int = 200,
    vocab_size: int = 300,
    seed: int = 0,
    tokenizer: str = "one",
) -> Path:
    """Write `.bin`, `.idx` and sidecar: documents that count in steps of a random width."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Megatron-Core warns of while it is imported
        from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    generator = numpy.random.default_rng(seed)
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=numpy.uint16)
    for _ in range(num_documents):
        start, stride = generator.integers(1, vocab_size), generator.integers(1, 4)
        tokens = 1 + (start + stride * numpy.arange(document_length - 1)) % (vocab_size - 1)
        document = numpy.append(tokens, EOD)
        builder.add_document(document, [document_length])
    builder.finalize(f"{prefix}.idx")
    sidecar = {
        "tokenizer": {"sha256": hashlib.sha256(tokenizer.encode()).hexdigest(), "file": "t.json"},
        "vocab_size": vocab_size,
        "eod_id": EOD,
        "dtype": "uint16",
        "documents": num_documents,
        "tokens": num_documents * document_length,
        "group": prefix.parent.name,
        "bin_xxh3": f"{num_documents:04x}{document_length:04x}{seed:08x}",
        "idx_xxh3": f"{num_documents:08x}{document_length:08x}",
    }
    Path(f"{prefix}.json").write_text(json.dumps(sidecar))
    return prefix


def write_blend(directory: Path, *, vocab_size: int = 300) -> Path:
    """Write three groups, one of them in two parts, with held-out parts for two of them."""
    train, valid = [], []
    for seed, (group, weight, num_parts) in enumerate((("agent", 0.5, 2), ("code", 0.5, 1))):
        (directory / group).mkdir(parents=True)
        prefixes = []
        for part in range(num_parts):
            name = f"{group}/part-{part:05d}"
            write_part(
                directory / name,
                num_documents=80 // num_parts,  # of 100 steps of `tiny`, less than 4 epochs
                seed=10 * seed + part,
                vocab_size=vocab_size,
            )
            prefixes.append(name)
        train.append({"group": group, "weight": weight, "prefixes": prefixes})
        held_out = f"{group}/valid-00000"
        write_part(directory / held_out, seed=99 + seed, num_documents=10, vocab_size=vocab_size)
        valid.append({"group": group, "prefixes": [held_out]})
    blend = directory / "blend.json"
    blend.write_text(json.dumps({"train": train, "valid": valid, "test": []}))
    return blend
