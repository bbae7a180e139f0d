from __future__ import annotations

import json
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard

from preprocess import _rust_ext
from preprocess.dedup import STEPS, DedupConfig, dedup
from preprocess.errors import Misuse, UserError
from preprocess.run_directory import complete_directory
from preprocess.run_options import RunOptions

if TYPE_CHECKING:
    from preprocess.manifest import Manifest

WEB_DOCS = Path(__file__).parents[1] / "../shared/data/web_docs.jsonl.zst"

needs_web_docs = pytest.mark.skipif(not WEB_DOCS.exists(), reason="../shared/data is missing")


def options(**changes: Any) -> RunOptions:
    return RunOptions(**{"workers": 1, "memory_bytes": 32 << 20, **changes})


def words(random: Random, count: int) -> list[str]:
    return [f"w{random.randrange(100_000)}" for _ in range(count)]


def edited(random: Random, text: list[str], edits: int) -> list[str]:
    found = list(text)
    for _ in range(edits):
        found[random.randrange(len(found))] = f"x{random.randrange(100_000)}"
    return found


def corpus(seed: int, groups: int) -> list[dict[str, str]]:
    """Records in groups of alike and equal texts, shuffled."""
    random = Random(seed)
    records = []
    for group in range(groups):
        base = words(random, random.randrange(1, 200))
        for member in range(random.choice([1, 1, 2, 5])):
            text = base if random.random() < 0.3 else edited(random, base, random.randrange(6))
            records.append(
                {
                    "id": f"r{group}-{member}",
                    "kind": random.choice(["text", "code"]),
                    "source": "s",
                    "text": " ".join(text),
                }
            )
    random.shuffle(records)
    return records


def write(path: Path, lines: list[Any]) -> Path:
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    content = b"".join(line + b"\n" for line in raw)
    path.write_bytes(zstandard.compress(content) if path.suffix == ".zst" else content)
    return path


def read_lines(path: Path) -> list[bytes]:
    if path.suffix == ".jsonl":
        return path.read_bytes().splitlines(keepends=True)
    with zstandard.open(path, "rb") as file:
        raw: bytes = file.read()
        return raw.splitlines(keepends=True)


def fingerprint_of(signed: Path) -> int:
    """Return the mark of the run that wrote a file of the journal."""
    return int.from_bytes(signed.read_bytes()[16:24], "little")


def content(directory: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(directory.iterdir()):
        found[path.name] = path.read_bytes()
        if path.name == "manifest.json":
            manifest = json.loads(found[path.name])
            del manifest["seconds"]
            found[path.name] = json.dumps(manifest).encode()
    return found


def survivors(directory: Path) -> list[dict[str, Any]]:
    parts = sorted(directory.glob("part-*.jsonl*"))
    return [json.loads(line) for part in parts for line in read_lines(part)]


def clusters(directory: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(directory / "clusters.parquet").to_pylist()
    return rows


def jaccard(left: np.ndarray, right: np.ndarray) -> float:
    common = len(np.intersect1d(left, right, assume_unique=True))
    return common / (len(left) + len(right) - common) if common else 0.0


class EverySource(frozenset[str]):
    """Lets every source lose what it loses: the corpora here repeat themselves."""

    def __contains__(self, _: object) -> bool:
        return True


def run(
    inputs: list[Path], output: Path, config: DedupConfig | None = None, **changes: Any
) -> Manifest:
    manifest = dedup(
        [str(path) for path in inputs],
        output,
        config or DedupConfig(),
        options(**changes),
        allow_loss=EverySource(),
    )
    assert manifest is not None
    return manifest


def check(records: list[dict[str, Any]], output: Path, config: DedupConfig) -> None:
    """Hold the output to the survivor rule, by brute force on sets of shingles."""
    sets = dict(
        zip(
            [record["id"] for record in records],
            _rust_ext.shingle_hashes([record["text"] for record in records], ngram_size=5),
            strict=True,
        )
    )
    texts = {record["id"]: record["text"] for record in records}
    order = {record["id"]: number for number, record in enumerate(records)}
    kept = [record["id"] for record in survivors(output)]
    assert kept == [record["id"] for record in records if record["id"] in set(kept)]
    rows = clusters(output)
    dropped = [row for row in rows if row["kind"] != "survivor"]
    assert {row["record"] for row in dropped} == texts.keys() - set(kept)
    assert [row["record"] for row in rows] == sorted((r["record"] for r in rows), key=order.get)  # type: ignore[arg-type]
    for row in dropped:
        record, survivor = row["record"], row["survivor"]
        assert survivor in kept
        assert order[survivor] < order[record]
        assert row["cluster"] == survivor
        if texts[record] == texts[survivor]:
            assert (row["kind"], row["jaccard"], row["estimated"]) == ("exact", 1.0, 1.0)
        else:
            true = jaccard(sets[record], sets[survivor])
            assert row["jaccard"] == true
            assert true >= config.threshold
    named = {row["survivor"] for row in dropped}
    assert {row["record"] for row in rows if row["kind"] == "survivor"} == named


def test_survivors_are_the_input_lines_and_every_dropped_record_names_one(tmp_path: Path) -> None:
    records = corpus(1, 300)
    lines = [json.dumps(record, separators=(", ", ":")).encode() for record in records]
    source = write(tmp_path / "a.jsonl", lines)
    manifest = run([source], tmp_path / "out")
    check(records, tmp_path / "out", DedupConfig())
    counts = manifest.counts
    assert counts.native == counts.in_ == len(records)
    assert counts.dropped["exact_duplicate"] > 20
    assert counts.dropped["near_duplicate"] > 20
    (shard,) = manifest.shards
    kept = read_lines(tmp_path / "out" / shard.name)
    assert set(kept) <= {line + b"\n" for line in lines}
    assert len(kept) == shard.records == counts.out == sum(s.records for s in shard.composition)
    texts = [json.loads(line)["text"] for line in kept]
    assert shard.text_bytes == sum(len(text.encode()) for text in texts)
    assert [share.kind for share in shard.composition] == ["code", "text"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "clusters.parquet",
        "manifest.json",
        "part-00000.jsonl.zst",
        "run.json",
    ]


def test_near_duplicates_of_a_dropped_record_do_not_chain(tmp_path: Path) -> None:
    base = [f"w{number}" for number in range(104)]
    # Each of 100 shingles; replacing the words of one end changes 5 at a time.
    chain = [" ".join(base[start:] + [f"y{n}" for n in range(start)]) for start in range(0, 40, 4)]
    records = [{"id": str(number), "text": text} for number, text in enumerate(chain)]
    source = write(tmp_path / "a.jsonl", records)
    run([source], tmp_path / "out")
    check(records, tmp_path / "out", DedupConfig())
    assert len(survivors(tmp_path / "out")) > 1
    run([source], tmp_path / "single", DedupConfig(verify=False))
    assert [record["id"] for record in survivors(tmp_path / "single")] == ["0"]
    rows = clusters(tmp_path / "single")
    assert [row["kind"] for row in rows] == ["survivor"] + ["near"] * 9
    assert rows[0]["estimated"] == 1.0
    assert rows[9]["jaccard"] is None
    assert rows[9]["estimated"] < 0.8


def test_copies_of_a_near_duplicate_name_its_survivor(tmp_path: Path) -> None:
    random = Random(3)
    base = words(random, 400)
    near = " ".join([*base[:398], "other", "end"])
    records = [
        {"id": "a", "text": " ".join(base)},
        {"id": "b", "text": near},
        {"id": "c", "text": near},
        {"id": "d", "text": "!!!"},
        {"id": "e", "text": "!!!"},
        {"id": "f", "text": "???"},
    ]
    manifest = run([write(tmp_path / "a.jsonl", records)], tmp_path / "out")
    assert manifest.counts.dropped == {"exact_duplicate": 2, "near_duplicate": 1}
    found = {row["record"]: (row["survivor"], row["kind"]) for row in clusters(tmp_path / "out")}
    assert found == {
        "a": ("a", "survivor"),
        "b": ("a", "near"),
        "c": ("a", "exact"),
        "d": ("d", "survivor"),
        "e": ("d", "exact"),
    }


def test_workers_and_tasks_change_no_byte(tmp_path: Path) -> None:
    records = corpus(2, 4000)
    thirds = [records[start::3] for start in range(3)]
    for number, third in enumerate(thirds):
        run_input = write(tmp_path / f"{number}.jsonl", third)
        # A record directory each: their shards are units.
        run([run_input], tmp_path / f"in-{number}", DedupConfig(verify=False, rows_per_band=900))
    inputs = [str(tmp_path / f"in-{number}") for number in range(3)]
    expected = None
    for number, workers in enumerate([1, 2, 7]):
        output = tmp_path / f"out-{number}"
        manifest = dedup(inputs, output, DedupConfig(), options(workers=workers))
        assert manifest is not None
        assert len(manifest.shards) == 3
        expected = expected or content(output)
        assert content(output) == expected
    assert expected is not None
    for num_tasks in (1, 3, 5):
        output = tmp_path / f"tasks-{num_tasks}"
        for step in STEPS:
            for task in reversed(range(num_tasks)):
                given = options(task=task, num_tasks=num_tasks)
                assert dedup(inputs, output, DedupConfig(), given, step=step) is None
        complete_directory(output)
        assert content(output) == expected


def test_a_run_stopped_after_any_file_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", corpus(4, 200))
    run([source], tmp_path / "whole")
    for stop in STEPS[:-1]:
        output = tmp_path / f"stopped-{stop}"
        for step in STEPS[: STEPS.index(stop) + 1]:
            dedup([str(source)], output, DedupConfig(), options(), step=step)
        made = sorted((output / "units").iterdir())
        made[-1].unlink()
        run([source], output)
        assert content(output) == content(tmp_path / "whole")


def test_a_step_waits_for_the_one_before(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", corpus(5, 20))
    output = tmp_path / "out"
    with pytest.raises(UserError, match="expected the step sign to be whole before bands, 2 of"):
        dedup([str(source)], output, DedupConfig(), options(), step="bands")
    dedup([str(source)], output, DedupConfig(), options(), step="sign")
    with pytest.raises(UserError, match=r"bands to be whole before connect, 16 .* bucket-00000"):
        dedup([str(source)], output, DedupConfig(), options(), step="connect")
    with pytest.raises(UserError, match="connect to be whole before drop"):
        dedup([str(source)], output, DedupConfig(), options(), step="drop")
    with pytest.raises(Misuse, match="expected a step of sign, bands"):
        dedup([str(source)], output, DedupConfig(), options(), step="sort")
    with pytest.raises(Misuse, match="expected --step with --task"):
        dedup([str(source)], output, DedupConfig(), options(task=0, num_tasks=2))


def test_damaged_and_foreign_intermediates_are_refused_by_name(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", corpus(6, 20))
    output = tmp_path / "out"
    dedup([str(source)], output, DedupConfig(), options(), step="sign")
    signed = output / "units" / "00000.sign"
    whole = signed.read_bytes()
    signed.write_bytes(whole[:-7])
    with pytest.raises(UserError, match=r"00000\.sign: expected it to end in HF-SIGNS"):
        dedup([str(source)], output, DedupConfig(), options(), step="bands")
    other = tmp_path / "other"
    dedup([str(source)], other, DedupConfig(seed=9), options(), step="sign")
    signed.write_bytes((other / "units" / "00000.sign").read_bytes())
    with pytest.raises(UserError, match=r"00000\.sign: it was made with other options or inputs"):
        dedup([str(source)], output, DedupConfig(), options(), step="bands")


@pytest.mark.parametrize(
    ("step", "name"),
    [("connect", "bucket-00003"), ("connect", "00000.words"), ("drop", "verdicts")],
)
def test_what_is_damaged_between_steps_is_named(tmp_path: Path, step: str, name: str) -> None:
    base = words(Random(1), 100)
    records = [{"id": str(n), "text": " ".join([*base, f"x{n}"])} for n in range(30)]
    source = write(tmp_path / "a.jsonl", records)
    output = tmp_path / "out"
    for before in STEPS[: STEPS.index(step)]:
        dedup([str(source)], output, DedupConfig(), options(), step=before)
    damaged = output / "units" / name
    content = bytearray(damaged.read_bytes())
    content[len(content) // 3] ^= 16
    damaged.write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}: .* checksum"):
        dedup([str(source)], output, DedupConfig(), options(), step=step)


def test_an_input_that_changes_between_steps_is_noticed(tmp_path: Path) -> None:
    records = corpus(7, 50)
    source = write(tmp_path / "a.jsonl", records)
    output = tmp_path / "out"
    for step in STEPS[:-1]:
        dedup([str(source)], output, DedupConfig(), options(), step=step)
    signed, verdicts = output / "units" / "00000.sign", output / "units" / "verdicts"
    for changed in ([{**records[0], "extra": 1}, *records[1:]], records[:-1], [*records, {}]):
        write(source, changed)
        with pytest.raises(_rust_ext.CorruptDataError, match="it has changed since"):
            _rust_ext.drop_duplicates(
                [(source, "a.jsonl")],
                unit=0,
                fingerprint=fingerprint_of(signed),
                signatures=[signed],
                verdicts=verdicts,
                journal=output / "units",
                shard_text_bytes=None,
                format="jsonl",
                compression_level=3,
                workers=1,
                memory_bytes=1 << 24,
            )


def test_an_id_that_occurs_twice_names_both_inputs(tmp_path: Path) -> None:
    first = write(tmp_path / "a.jsonl", [{"id": "x", "text": "a"}, {"id": "twin", "text": "b"}])
    second = write(tmp_path / "b.jsonl.zst", [{"id": "twin", "text": "c"}])
    with pytest.raises(
        UserError,
        match=r"every id once, twin occurs in \S*a\.jsonl \(record 1\) and in "
        r"\S*b\.jsonl\.zst \(record 0\)",
    ):
        run([first, second], tmp_path / "out")


def test_unreadable_lines_are_rejected_and_empty_texts_dropped(tmp_path: Path) -> None:
    good = [{"id": str(number), "text": f"text {number}"} for number in range(200)]
    lines: list[Any] = [*good, b"{", b'{"text": "\xff"}', {"text": ""}, {"text": "no id"}]
    manifest = run([write(tmp_path / "a.jsonl", lines)], tmp_path / "out")
    counts = manifest.counts
    assert (counts.native, counts.in_, counts.out) == (204, 202, 201)
    assert counts.rejected == {"invalid_json": 1, "invalid_utf8": 1}
    assert counts.dropped == {"empty_text": 1}
    rejected = [json.loads(line) for line in read_lines(tmp_path / "out" / "rejected.jsonl.zst")]
    assert rejected[0] == {
        "origin": {"path": "a.jsonl", "record": 200},
        "reason": "invalid_json",
        "raw": "{",
    }


def test_a_truncated_input_is_an_error_after_all_that_could_be_read(tmp_path: Path) -> None:
    random = Random(8)
    records = [{"id": str(n), "text": " ".join(words(random, 300))} for n in range(2000)]
    source = write(tmp_path / "a.jsonl.zst", records)
    source.write_bytes(source.read_bytes()[:-5000])
    with pytest.raises(UserError, match=r"a\.jsonl\.zst: expected a whole compressed file"):
        run([source], tmp_path / "out")
    assert len(survivors(tmp_path / "out")) > 1500


def test_shards_stay_shards_and_an_emptied_one_stays(tmp_path: Path) -> None:
    records = [{"id": f"a{number}", "text": f"text {number}"} for number in range(50)]
    again = [{**record, "id": f"b{number}"} for number, record in enumerate(records)]
    for name, part in (("a", records), ("b", again)):
        run([write(tmp_path / f"{name}.jsonl", part)], tmp_path / name)
    manifest = run([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert [shard.records for shard in manifest.shards] == [50, 0]
    assert read_lines(tmp_path / "out" / "part-00001.jsonl.zst") == []
    assert manifest.counts.dropped == {"exact_duplicate": 50}


def test_loose_files_are_cut_into_shards_by_their_text(tmp_path: Path) -> None:
    random = Random(9)
    records = [{"id": str(n), "text": " ".join(words(random, 200))} for n in range(4000)]
    source = write(tmp_path / "a.jsonl", records)
    manifest = run([source], tmp_path / "out", DedupConfig(shard_text_bytes=1 << 20))
    assert len(manifest.shards) == 3  # cut between batches of 1 MiB of lines
    assert survivors(tmp_path / "out") == records


def test_giant_groups_take_linear_time(tmp_path: Path) -> None:
    equal = [
        {"id": f"e{number}", "text": "the same words in every record"} for number in range(100_000)
    ]
    head = " ".join(f"h{number}" for number in range(60))
    alike = [{"id": f"n{number}", "text": f"{head} tail {number}"} for number in range(50_000)]
    source = write(tmp_path / "a.jsonl", [*equal, *alike])
    started = time.process_time()
    manifest = run([source], tmp_path / "out", memory_bytes=64 << 20)
    assert time.process_time() - started < 30
    # Of those that are alike 10,000 fall to the first, as many to the next that is left, and so on.
    assert manifest.counts.dropped == {"exact_duplicate": 99_999, "near_duplicate": 49_995}
    assert manifest.counts.out == 1 + 5
    assert manifest.details["full_clusters"] == 4
    assert manifest.notices == [
        "4 clusters reached --max-cluster 10000; of further near-duplicates others survive, each "
        "with a cluster of its own; raise it to keep fewer"
    ]
    assert manifest.details["giant_buckets"] > 5
    assert 40_000 < manifest.details["largest_bucket"] <= 50_000
    uncapped = DedupConfig(max_cluster=100_000)
    manifest = run([source], tmp_path / "all", uncapped, memory_bytes=64 << 20)
    assert manifest.counts.out == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": 0.0}, r"threshold \(0.0\) must be above 0 and at most 1"),
        ({"threshold": 1e-19}, r"threshold \(1e-19\) must have at most 18 decimals"),
        ({"ngram_size": 0}, r"ngram_size \(0\) must be between 1 and 1000"),
        ({"seed": -1}, r"seed \(-1\) must be between 0 and"),
        ({"max_cluster": 0}, r"max_cluster \(0\) must be between 1 and"),
        ({"format": "parquet"}, r"format \(parquet\) must be one of jsonl.zst, jsonl"),
        ({"compression_level": 23}, r"compression_level \(23\) must be between 1 and 22"),
    ],
)
def test_a_config_that_cannot_work_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DedupConfig(**changes)


def brute_force_pairs(sets: list[np.ndarray], least: float) -> dict[tuple[int, int], float]:
    """Return all pairs of at least this similarity, through an inverted index."""
    sizes = np.array([len(each) for each in sets])
    _, numbers, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    holders = np.repeat(np.arange(len(sets)), sizes)[np.argsort(numbers, kind="stable")]
    starts = np.cumsum(counts) - counts
    pairs = {}
    for record, shingles in enumerate(np.split(numbers, np.cumsum(sizes)[:-1])):
        many = counts[shingles]
        inside = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        common = np.bincount(holders[np.repeat(starts[shingles], many) + inside], minlength=record)
        common = common[:record]
        similarity = common / np.maximum(sizes[:record] + sizes[record] - common, 1)
        for earlier in np.flatnonzero(similarity >= least).tolist():
            pairs[earlier, record] = float(similarity[earlier])
    return pairs


def neighbouring_lines(count: int) -> list[bytes]:
    """Return lines of texts that begin alike, in the order of the input, each text once.

    The documents are shuffled: 5,000 in a row would hold fewer than a hundred similar pairs.
    """
    with zstandard.open(WEB_DOCS, "rt", encoding="utf-8", newline="\n") as file:
        by_text = {json.loads(line)["text"]: number for number, line in enumerate(file)}
    wanted = {by_text[text] for text in sorted(by_text)[30_000 : 30_000 + count]}
    with zstandard.open(WEB_DOCS, "rt", encoding="utf-8", newline="\n") as file:
        return [line.rstrip("\n").encode() for n, line in enumerate(file) if n in wanted]


def shares_a_band(texts: list[str], pairs: list[tuple[int, int]], seed: int) -> np.ndarray:
    numbers, flat = np.unique(np.array(pairs), return_inverse=True)
    signed = _rust_ext.minhash_signatures(
        [texts[number] for number in numbers], ngram_size=5, num_permutations=112, seed=seed
    ).reshape(len(numbers), 14, 8)
    left, right = flat.reshape(-1, 2).T
    shares: np.ndarray = (signed[left] == signed[right]).all(axis=2).any(axis=1)
    return shares


@pytest.mark.shared
@needs_web_docs
def test_recall_and_precision_on_web_documents_by_brute_force(tmp_path: Path) -> None:
    lines = neighbouring_lines(5000)
    records = [json.loads(line) for line in lines]
    source = write(tmp_path / "a.jsonl", lines)
    config = DedupConfig()
    run([source], tmp_path / "out", config, memory_bytes=256 << 20)
    check(records, tmp_path / "out", config)

    texts = [record["text"] for record in records]
    sets = _rust_ext.shingle_hashes(texts, ngram_size=5)
    pairs = brute_force_pairs(sets, config.threshold)
    assert len(pairs) > 1000
    # Pairs share records, and all share the permutations of a seed: the error of one seed is five
    # times that of independent pairs, so the recall is measured over many.
    recalls = [np.mean(shares_a_band(texts, list(pairs), seed)) for seed in range(16)]
    expected = np.mean([config.collision_probability(each) for each in pairs.values()])
    standard_error = np.std(recalls, ddof=1) / 4
    assert np.mean(recalls) >= 0.97
    assert abs(np.mean(recalls) - expected) < 4 * standard_error
    sharing = shares_a_band(texts, list(pairs), config.seed)
    share_a_band = [pair for pair, shares in zip(pairs, sharing, strict=True) if shares]
    kept = {record["id"] for record in survivors(tmp_path / "out")}
    both = [
        (one, other)
        for one, other in share_a_band
        if records[one]["id"] in kept and records[other]["id"] in kept
    ]
    assert both == []


def test_less_memory_in_a_later_step_cuts_no_record(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", [{"id": "long", "text": "word " * 1_000_000}])
    output = tmp_path / "out"
    for step in STEPS[:-1]:
        dedup([str(source)], output, DedupConfig(), options(), step=step)
    with pytest.raises(UserError, match="begun with --memory 33554432 bytes, not 2097152 bytes"):
        dedup([str(source)], output, DedupConfig(), options(memory_bytes=2 << 20), step="drop")
