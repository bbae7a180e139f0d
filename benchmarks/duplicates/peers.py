"""Libraries that remove near duplicates, each as its users write it: records in, survivors out.

All get word 5-grams, 14 bands of 8 rows and the threshold 0.8, on one thread, read `.jsonl.zst`
through zstandard and orjson and write the lines that survive. What a library's own words are is
said in its function.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NGRAM_SIZE = 5
NUM_BANDS = 14
ROWS_PER_BAND = 8
NUM_PERMUTATIONS = NUM_BANDS * ROWS_PER_BAND
THRESHOLD = 0.8
WORD = re.compile(r"\w+")
READ_BYTES = 1 << 20
BATCH = 1_000
"""Documents handed over at once, to what takes many."""


def shingles_of(text: str) -> list[str]:
    r"""Return runs of five words, `\w+` lower-cased; of a shorter text all its words."""
    words = WORD.findall(text.lower())
    count = max(len(words) - NGRAM_SIZE + 1, 1)
    return [" ".join(words[start : start + NGRAM_SIZE]) for start in range(count)]


def _lines(source: Path) -> Iterator[tuple[bytes, str]]:
    import orjson
    import zstandard

    with source.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(
            file, read_size=READ_BYTES, read_across_frames=True
        )
        for line in io.BufferedReader(stream, READ_BYTES):
            yield line, orjson.loads(line)["text"]


def _keep_what_is_new(source: Path, output: Path, is_new: Callable[[int, str], bool]) -> None:
    output.mkdir()
    with (output / "survivors.jsonl").open("wb") as out:
        for number, (line, text) in enumerate(_lines(source)):
            if is_new(number, text):
                out.write(line)


def gaoya(source: Path, output: Path) -> None:
    """As its README has it: a document that nothing similar is indexed for goes in.

    Its own analyzer in Rust: words are what stands between white space, lower-cased.
    """
    index = _gaoya_index("word")

    def is_new(number: int, text: str) -> bool:
        if index.query(text):
            return False
        index.insert_document(number, text)
        return True

    _keep_what_is_new(source, output, is_new)


def gaoya_shingled(source: Path, output: Path) -> None:
    r"""The same with shingles made outside, once for both calls: words are `\w+`."""
    index = _gaoya_index(shingles_of).minhash_index

    def is_new(number: int, text: str) -> bool:
        shingles = shingles_of(text)
        if index.query_tokens(shingles):
            return False
        index.insert_tokens(number, shingles)
        return True

    _keep_what_is_new(source, output, is_new)


def _gaoya_index(analyzer: Any) -> Any:
    from gaoya.minhash import MinHashStringIndex

    return MinHashStringIndex(
        hash_size=32,
        jaccard_threshold=THRESHOLD,
        num_bands=NUM_BANDS,
        band_size=ROWS_PER_BAND,
        num_hashes=NUM_PERMUTATIONS,
        analyzer=analyzer,
        lowercase=True,
        ngram_range=(NGRAM_SIZE, NGRAM_SIZE),
        id_container="smallvec",
    )


def rensa(source: Path, output: Path) -> None:
    r"""As its README has it: batches of keys and tokens; candidates are checked by the estimate.

    The tokens are shingles made in Python: words are `\w+`.
    """
    from rensa import RMinHashDeduplicator

    deduplicator = RMinHashDeduplicator(
        threshold=THRESHOLD, num_perm=NUM_PERMUTATIONS, use_lsh=True, num_bands=NUM_BANDS
    )
    output.mkdir()
    with (output / "survivors.jsonl").open("wb") as out:
        for batch in itertools.batched(enumerate(_lines(source)), BATCH):
            keep = deduplicator.add_pairs(
                (str(number), shingles_of(text)) for number, (_, text) in batch
            )
            out.writelines(line for (_, (line, _)), kept in zip(batch, keep, strict=True) if kept)


def datasketch(source: Path, output: Path) -> None:
    r"""What its users write: insert unless something similar is there already; words are `\w+`."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=NUM_PERMUTATIONS, params=(NUM_BANDS, ROWS_PER_BAND))

    def is_new(number: int, text: str) -> bool:
        sketch = MinHash(num_perm=NUM_PERMUTATIONS)
        sketch.update_batch([shingle.encode() for shingle in set(shingles_of(text))])
        if index.query(sketch):
            return False
        index.insert(number, sketch)
        return True

    _keep_what_is_new(source, output, is_new)


def datatrove(source: Path, output: Path) -> None:
    """Its four stages, as in its example, each by the local executor with one task at a time.

    Words are those of its tokenizer for English, after its normalisation.
    """
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    config = MinhashConfig(
        n_grams=NGRAM_SIZE, num_buckets=NUM_BANDS, hashes_per_bucket=ROWS_PER_BAND
    )
    work = output.with_name(f"{output.name}-work")
    shutil.rmtree(work, ignore_errors=True)

    def reader() -> Any:
        return JsonlReader(str(source.parent), glob_pattern=source.name, compression="zstd")

    signatures, buckets, removed = (str(work / name) for name in ("sigs", "buckets", "removed"))
    stages: list[tuple[list[Any], int]] = [
        ([reader(), MinhashDedupSignature(signatures, config=config)], 1),
        ([MinhashDedupBuckets(signatures, buckets, config=config)], NUM_BANDS),
        ([MinhashDedupCluster(buckets, removed, config=config)], 1),
        (
            [reader(), MinhashDedupFilter(removed), JsonlWriter(str(output), compression=None)],
            1,
        ),
    ]
    for number, (pipeline, tasks) in enumerate(stages):
        logs = str(work / f"logs-{number}")
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=logs).run()


def text_dedup(source: Path, output: Path) -> None:
    r"""Its module with a `config.toml`, as in its README; words are what `\W` leaves between."""
    _text_dedup(source, output, check_false_positive=False)


def text_dedup_checked(source: Path, output: Path) -> None:
    """The same with `check_false_positive`: pairs are compared within their clusters."""
    _text_dedup(source, output, check_false_positive=True)


def _text_dedup(source: Path, output: Path, *, check_false_positive: bool) -> None:
    import datasets
    import text_dedup.minhash
    from text_dedup.config.base import load_config_from_toml

    cache = output.with_name(f"{output.name}-cache")
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir()
    datasets.config.HF_DATASETS_CACHE = cache
    settings = cache / "config.toml"
    settings.write_text(
        f"""
[input]
input_type = "local_files"
file_type = "json"
[input.read_arguments]
path = "json"
data_files = {json.dumps(str(source))}
split = "train"
cache_dir = {json.dumps(str(cache))}
[algorithm]
algorithm_name = "minhash"
text_column = "text"
num_proc = 1
num_perm = {NUM_PERMUTATIONS}
bands = {NUM_BANDS}
rows = {ROWS_PER_BAND}
ngram_size = {NGRAM_SIZE}
threshold = {THRESHOLD}
check_false_positive = {json.dumps(check_false_positive)}
[output]
output_dir = {json.dumps(str(output))}
[debug]
"""
    )
    text_dedup.minhash.main(load_config_from_toml(settings))


PEERS: dict[str, Callable[[Path, Path], None]] = {
    "gaoya": gaoya,
    r"gaoya, words \w+": gaoya_shingled,
    "rensa": rensa,
    "datasketch": datasketch,
    "text-dedup": text_dedup,
    "text-dedup, checked": text_dedup_checked,
    "datatrove": datatrove,
}

SLOW = ("text-dedup", "text-dedup, checked", "datatrove")
"""Those that need minutes, or more memory than there may be: they get a slice."""

PACKAGES = ("gaoya", "rensa", "datasketch", "text-dedup", "datatrove", "spacy", "orjson", "numpy")
