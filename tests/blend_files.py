"""Indexed datasets and blend files for the tests, written by Megatron-Core's own builder."""

import hashlib
import json
import warnings
from pathlib import Path

import numpy

EOD = 0


def write_documents(
    prefix: Path, documents: list[list[int]], *, vocab_size: int = 300, tokenizer: str = "one"
) -> Path:
    """Write `.bin`, `.idx` and sidecar."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Megatron-Core warns of while it is imported
        from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=numpy.uint16)
    for document in documents:
        builder.add_document(numpy.array(document), [len(document)])
    builder.finalize(f"{prefix}.idx")
    content = json.dumps([document[:3] for document in documents])
    sidecar = {
        "tokenizer": {"sha256": hashlib.sha256(tokenizer.encode()).hexdigest(), "file": "t.json"},
        "vocab_size": vocab_size,
        "eod_id": EOD,
        "dtype": "uint16",
        "documents": len(documents),
        "tokens": sum(map(len, documents)),
        "group": prefix.parent.name,
        "bin_xxh3": hashlib.sha256(content.encode()).hexdigest()[:16],
        "idx_xxh3": f"{len(documents):016x}",
    }
    Path(f"{prefix}.json").write_text(json.dumps(sidecar))
    return prefix


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
    generator = numpy.random.default_rng(seed)
    documents = []
    for _ in range(num_documents):
        start, stride = generator.integers(1, vocab_size), generator.integers(1, 4)
        tokens = 1 + (start + stride * numpy.arange(document_length - 1)) % (vocab_size - 1)
        documents.append([*tokens.tolist(), EOD])
    return write_documents(prefix, documents, vocab_size=vocab_size, tokenizer=tokenizer)


def write_blend(directory: Path, *, vocab_size: int = 300, tokenizer: str = "one") -> Path:
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
                tokenizer=tokenizer,
            )
            prefixes.append(name)
        train.append({"group": group, "weight": weight, "prefixes": prefixes})
        held_out = f"{group}/valid-00000"
        write_part(
            directory / held_out,
            seed=99 + seed,
            num_documents=10,
            vocab_size=vocab_size,
            tokenizer=tokenizer,
        )
        valid.append({"group": group, "prefixes": [held_out]})
    blend = directory / "blend.json"
    blend.write_text(json.dumps({"train": train, "valid": valid, "test": []}))
    return blend


def write_masked_part(
    prefix: Path,
    *,
    num_documents: int,
    vocab_size: int = 300,
    seed: int = 5,
    turn_lengths: tuple[int, int] = (3, 15),
) -> Path:
    """Write conversations with their mask: two questions, two answers, and an end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Megatron-Core warns of while it is imported
        from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    generator = numpy.random.default_rng(seed)
    documents, masks = [], []
    for _ in range(num_documents):
        mask = numpy.repeat([0, 1, 0, 1], generator.integers(*turn_lengths, 4))
        start = generator.integers(1, vocab_size)
        document = 1 + (start + numpy.arange(len(mask))) % (vocab_size - 1)
        documents.append(numpy.append(document, EOD))
        masks.append(numpy.append(mask, 0).astype(numpy.uint8))
    write_documents(prefix, [document.tolist() for document in documents], vocab_size=vocab_size)
    builder = IndexedDatasetBuilder(f"{prefix}_mask.bin", dtype=numpy.uint8)
    for mask in masks:
        builder.add_document(mask, [len(mask)])
    builder.finalize(f"{prefix}_mask.idx")
    sidecar = Path(f"{prefix}.json")
    trained = int(sum(mask.sum() for mask in masks))
    content = json.loads(sidecar.read_text()) | {"trained_tokens": trained, "mask_bin_xxh3": "3"}
    sidecar.write_text(json.dumps(content))
    return prefix


def write_masked_blend(directory: Path, *, vocab_size: int = 300) -> Path:
    """Write two groups of conversations, `agent` of 60 and `tools` of 30, with parts held out."""
    train, valid = [], []
    for seed, (group, weight, count) in enumerate((("agent", 0.7, 60), ("tools", 0.3, 30)), 5):
        (directory / group).mkdir(parents=True)
        for kind, number, part in (("part", count, seed), ("valid", 11 * seed - 40, 99 + seed)):
            write_masked_part(
                directory / f"{group}/{kind}-00000",
                num_documents=number,
                vocab_size=vocab_size,
                seed=part,
            )
        train.append({"group": group, "weight": weight, "prefixes": [f"{group}/part-00000"]})
        valid.append({"group": group, "prefixes": [f"{group}/valid-00000"]})
    blend = directory / "blend.json"
    blend.write_text(json.dumps({"train": train, "valid": valid, "test": []}))
    return blend
