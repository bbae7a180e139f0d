"""Real text as a blend, where none is given: text files, a tokenizer trained on them.

The datasets are written by Megatron-Core's own builder, so that nothing compiled of the product is
needed here. They lie under a digest of the text and of what is made of it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from megatron_recipes.blend import read_blend
from megatron_recipes.rank import prepare_megatron

if TYPE_CHECKING:
    from benchmarks.gpu.options import Options

SUFFIXES = (".md", ".py", ".rs", ".txt")
VOCABULARY, TINY_VOCABULARY = 8192, 512
TINY_FILES = 40
VERSION = 1
"""Of what is made here: another makes other datasets of the same text."""

END = "<|endoftext|>"
HELD_OUT = 20
"""Files that are not trained on."""


NOT_TEXT = ("target", "runs", "out", "results", "site-packages", "node_modules")
"""Directories of what was built or found here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """What trainings read."""

    blend: Path
    """The blend file."""

    digest: str
    """Of its contents: two trainings that read the same have the same."""

    @property
    def tokenizer(self) -> Path | None:
        """The tokenizer's file beside the blend file, if it is there."""
        path = self.blend.with_name("tokenizer.json")
        return path if path.exists() else None

    def figures(self) -> dict[str, Any]:
        """Return what results say of it."""
        blend = read_blend(self.blend)
        return {
            "digest": self.digest,
            "tokens": sum(part.tokens for group in blend.train for part in group.parts),
            "vocabulary": blend.vocab_size,
        }


def text_of(options: Options) -> Text:
    """Return the given blend file, or one made of the text.

    Raises:
        ValueError: There is too little text, or the blend file is refused.
    """
    if options.blend:
        return Text(blend=options.blend, digest=_digest(read_blend(options.blend).identity()))
    texts = _texts(options)
    made_of = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    settings = [VERSION, _vocabulary(options), HELD_OUT, END]
    digest = _digest([settings, made_of])
    directory = options.work / "text" / digest
    if not directory.exists():
        unfinished = directory.with_name(f"{digest}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        _make(unfinished / "blend.json", texts, _vocabulary(options))
        unfinished.replace(directory)
    return Text(blend=directory / "blend.json", digest=digest)


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _vocabulary(options: Options) -> int:
    return TINY_VOCABULARY if options.tiny else VOCABULARY


def _texts(options: Options) -> list[str]:
    """Return the files' texts, in the order of their digests: kinds are mixed, always the same."""
    files = [
        path
        for path in options.text.rglob("*")
        if path.suffix in SUFFIXES
        and not any(_is_left_out(part) for part in path.relative_to(options.text).parts)
        and path.is_file()
    ]
    texts = [path.read_text("utf-8", errors="replace") for path in sorted(files)]
    texts = sorted(filter(None, texts), key=lambda text: hashlib.sha256(text.encode()).digest())
    if len(texts) < HELD_OUT:
        raise ValueError(
            f"{options.text}: expected at least {HELD_OUT} files of {', '.join(SUFFIXES)}, found "
            f"{len(texts)}; give a directory of text by --text, or a blend file by --blend"
        )
    return texts[: TINY_FILES + HELD_OUT] if options.tiny else texts


def _is_left_out(part: str) -> bool:
    return part.startswith(".") or part in NOT_TEXT


def _make(blend: Path, texts: list[str], vocabulary: int) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    blend.parent.mkdir(parents=True, exist_ok=True)
    path = blend.with_name("tokenizer.json")
    tokenizer.save(str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    end = tokenizer.token_to_id(END)
    assert end is not None, "it is a special token"
    encoded = [[*each.ids, end] for each in tokenizer.encode_batch(texts)]
    learned = tokenizer.get_vocab_size()
    parts = {"train": encoded[HELD_OUT:], "valid": encoded[:HELD_OUT]}
    for name, documents in parts.items():
        _write(blend.with_name(name), documents, learned, end, digest)
    content = {
        "train": [{"group": "text", "weight": 1.0, "prefixes": ["train"]}],
        "valid": [{"group": "text", "prefixes": ["valid"]}],
        "test": [],
    }
    blend.write_text(json.dumps(content))


def _write(
    prefix: Path, documents: list[list[int]], vocabulary: int, end: int, tokenizer: str
) -> None:
    import numpy as np
    import xxhash

    prepare_megatron()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Megatron-Core warns of while it is imported
        from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    binary, index = prefix.with_suffix(".bin"), prefix.with_suffix(".idx")
    builder = IndexedDatasetBuilder(str(binary), dtype=np.uint16)
    for document in documents:
        builder.add_document(np.array(document), [len(document)])
    builder.finalize(str(index))
    sidecar = {
        "tokenizer": {"sha256": tokenizer, "file": "tokenizer.json"},
        "vocab_size": vocabulary,
        "eod_id": end,
        "dtype": "uint16",
        "documents": len(documents),
        "tokens": sum(map(len, documents)),
        "group": "text",
        "bin_xxh3": xxhash.xxh3_64_hexdigest(binary.read_bytes()),
        "idx_xxh3": xxhash.xxh3_64_hexdigest(index.read_bytes()),
    }
    prefix.with_suffix(".json").write_text(json.dumps(sidecar))
