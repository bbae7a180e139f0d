"""The page of a run made by hand: every figure in it is known."""

from __future__ import annotations

import json
import re
import struct
import tomllib
from html.parser import HTMLParser
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from preprocess.differences import compare_words
from preprocess.errors import UserError
from preprocess.manifest import (
    Counts,
    InputEntry,
    Manifest,
    Shard,
    Share,
    hash_file,
    write_manifest,
)
from preprocess.report import lengths, report
from preprocess.report.figures import compact, draw_shares
from preprocess.report.pairs import draw_sample
from preprocess.report.recall import measure_recall
from preprocess.report.stages import read_plan, read_stages

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "docs/<script>alert(1)</script>/" + "long" * 40 + "#0"
TWIN = "docs/b.txt#0"
VOID = {"br", "img", "link", "meta"}


class Page(HTMLParser):
    """What a browser would make of the page, as far as it matters here."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.words: list[str] = []
        self.places: list[str] = []
        self.place = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for key, value in attrs if key in ("src", "href", "action")]
        assert not any(key.startswith("on") for key, _ in attrs)
        if tag == "section":
            self.place = dict(attrs)["id"] or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)
            self.places.append(self.place)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def row(self, section: str, first: str) -> str:
        """Return what the table of a section says from the cell that reads `first` on."""
        words = [
            word for place, word in zip(self.places, self.words, strict=True) if place == section
        ]
        return " ".join(words[words.index(first) : words.index(first) + 20])


def add_stage(
    run: Path,
    name: str,
    stage: str,
    shards: list[Shard],
    inputs: list[InputEntry],
    counts: Counts,
    problems: list[str] | None = None,
) -> None:
    directory = run / name
    directory.mkdir(parents=True, exist_ok=True)
    write_manifest(
        directory,
        Manifest(
            stage=stage,
            version="0.1.0",
            config={"option": f"<of {name}>"},
            inputs=inputs,
            shards=shards,
            counts=counts,
            seconds=2.0,
            problems=problems or [],
        ),
    )


def records(path: Path, texts: dict[str, str], kind: str = "text") -> Shard:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": key, "text": text}) + "\n" for key, text in texts.items()]
    path.write_bytes(zstandard.compress("".join(lines).encode()))
    size, xxh3 = hash_file(path)
    text_bytes = 3_000_000
    share = Share(source="docs", kind=kind, records=len(texts), text_bytes=text_bytes)
    return Shard(
        name=path.name,
        records=len(texts),
        bytes=size,
        text_bytes=text_bytes,
        xxh3=xxh3,
        composition=[share],
    )


def entry(path: Path, shard: Shard) -> InputEntry:
    return InputEntry(
        path=str(path / shard.name), bytes=shard.bytes, records=shard.records, xxh3=shard.xxh3
    )


def index(prefix: Path, lengths: list[int], kind: str) -> Shard:
    """Write an index and what `tokenize` would say of it; 1,000 bytes of text a token."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    header = b"MMIDIDX\0\0" + struct.pack("<QBQQ", 1, 8, len(lengths), len(lengths) + 1)
    body = np.array(lengths, "<i4").tobytes()
    prefix.with_suffix(".idx").write_bytes(header + body + bytes(16 * len(lengths) + 8))
    tokens = sum(lengths)
    share = Share(source="docs", kind=kind, records=len(lengths), text_bytes=4 * tokens)
    return Shard(
        name=f"{prefix.name}.bin",
        records=len(lengths),
        bytes=2 * tokens,
        text_bytes=4 * tokens,
        xxh3="0" * 16,
        composition=[share],
        tokens=tokens,
    )


def add_clusters(directory: Path) -> None:
    rows = {
        "record": [EVIL, TWIN, "docs/c.txt#0", "docs/d.txt#0", "docs/e.txt#0"],
        "cluster": [0, 0, 0, 3, 3],
        "survivor": [EVIL, EVIL, EVIL, "docs/d.txt#0", "docs/d.txt#0"],
        "kind": ["survivor", "near", "exact", "survivor", "exact"],
        "estimated": [1.0, 0.8, 1.0, 1.0, 1.0],
        "jaccard": [None, 0.8125, None, None, None],
    }
    pq.write_table(pa.table(rows), directory / "clusters.parquet")


def add_training(run: Path, *, steps: int = 4) -> None:
    directory = run / "tiny"
    directory.mkdir(parents=True)
    lines = [
        {"kind": "evaluation", "step": 0, "group": "text", "loss": 8.0, "tokens": 30},
        *(
            {
                "kind": "step",
                "step": step,
                "loss": 9.0 - step,
                "learning_rate": 1e-3,
                "grad_norm": 1.0,
                "tokens_per_second": 500.0,
                "seconds": 0.5,
                "consumed_tokens": 100 * step,
                "attempt": 1 if step < 3 else 2,
            }
            for step in range(1, steps + 1)
        ),
    ]
    if steps == 4:
        lines.append({"kind": "evaluation", "step": 4, "group": "text", "loss": 4.0, "tokens": 30})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (directory / "metrics.jsonl").write_text(text + '{"kind": "step", "st')


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run: `z_read` -> `unique` -> `tokens` -> `blend.json` -> `tiny`."""
    run = tmp_path / "run"
    texts = {
        EVIL: "alpha beta gamma </pre><script>delta</script>",
        TWIN: "alpha beta  omega </pre><script>delta</script>",
        "docs/c.txt#0": "alpha beta gamma </pre><script>delta</script>",
        "docs/d.txt#0": "the same words",
        "docs/e.txt#0": "the same words",
    }
    read = records(run / "z_read" / "part-00000.jsonl.zst", texts)
    native = InputEntry(path="/data/<b>.txt", bytes=6_000_000, records=7, xxh3="1" * 16)
    counts = Counts(native=9, in_=7, out=5, dropped={"not_prose": 2}, rejected={"bad_utf8": 2})
    add_stage(run, "z_read", "ingest", [read], [native], counts)
    kept = {key: texts[key] for key in (EVIL, "docs/d.txt#0")}
    unique = records(run / "unique" / "part-00000.jsonl.zst", kept)
    counts = Counts(native=5, in_=5, out=2, dropped={"exact": 2, "near": 1})
    add_stage(run, "unique", "dedup", [unique], [entry(run / "z_read", read)], counts)
    add_clusters(run / "unique")
    shards = [
        index(run / "tokens" / "part-00000", [10, 20, 170], "text"),
        index(run / "tokens" / "valid-00000", [30], "text"),
    ]
    counts = Counts(native=4, in_=4, out=4)
    add_stage(run, "tokens", "tokenize", shards, [entry(run / "unique", unique)], counts)
    blend = {
        "train": [{"group": "text", "weight": 1.0, "prefixes": ["tokens/part-00000"]}],
        "valid": [{"group": "text", "prefixes": ["tokens/valid-00000"]}],
        "test": [],
    }
    (run / "blend.json").write_text(json.dumps(blend))
    add_training(run)
    return run


def test_page_shows_the_figures_of_the_run(run: Path, tmp_path: Path) -> None:
    page = Page(report(run, tmp_path / "out"))
    text = page.text
    assert "1 files read, 6.0 MB" in text
    assert "7 records made of them" in text
    assert "3 records dropped as duplicates" in text
    assert "230 tokens, of 0.0 MB of text in 4 documents" in text
    assert "8.00 → 4.00 held-out loss, text" in text
    assert "not prose 2" in text
    assert "bad utf8 2" in text
    assert "3 records fell: 2 exact duplicates, 1 near ones, in 2 clusters" in text
    assert "near duplicate, similarity 0.812" in text
    assert "Resumed before step 3." in text
    assert "/data/" not in text


def test_flow_has_records_text_seconds_and_speed_of_every_stage(run: Path, tmp_path: Path) -> None:
    page = Page(report(run, tmp_path / "out"))
    assert page.row("flow", "z_read").startswith(
        "z_read ingest 7 5 not prose 2 bad utf8 2 3.0 - 2.0 3.0 complete"
    )
    # It read the 3 MB of text that z_read wrote, in 2 seconds.
    assert page.row("flow", "unique").startswith("unique dedup 5 2 exact 2 near 1 - 3.0 - 2.0 1.5")
    assert "tokens tokenize 4 4 - - 0.0 230 2.0 1.5 complete" in page.text


def test_stages_stand_in_the_order_of_their_inputs(run: Path) -> None:
    stages, _ = read_stages(run, read_plan(run, []), [])
    assert [stage.name for stage in stages] == ["z_read", "unique", "tokens"]


def test_a_moved_run_keeps_its_order(run: Path, tmp_path: Path) -> None:
    moved = run.rename(tmp_path / "elsewhere")
    stages, _ = read_stages(moved, read_plan(moved, []), [])
    assert [stage.name for stage in stages] == ["z_read", "unique", "tokens"]


def test_plan_decides_the_order_and_names_what_is_not_begun(run: Path, tmp_path: Path) -> None:
    plan = '[[stage]]\nname = "{}"\ncommand = "{}"\n'
    text = "".join(
        plan.format(*pair)
        for pair in (("tokens", "tokenize"), ("later", "merge"), ("page", "report"))
    )
    (run / "plan.toml").write_text(text + '[[training]]\nname = "big"\nblend = "blend.json"\n')
    stages, _ = read_stages(run, read_plan(run, []), [])
    assert [stage.name for stage in stages] == ["tokens", "later", "z_read", "unique"]
    page = Page(report(run, tmp_path / "out"))
    assert page.row("flow", "later").startswith("later merge - - - - - - - - not begun")
    assert "big It has not made a step yet." in page.text
    assert tomllib.loads((run / "plan.toml").read_text())["training"][0]["name"] == "big"


def test_lengths_weights_and_epochs_are_those_of_the_indexes(run: Path, tmp_path: Path) -> None:
    page = Page(report(run, tmp_path / "out"))
    # 400 tokens seen of 200, all of this group; its held-out part has 30.
    assert page.row("mixture", "text").startswith("text 1.00 200 100.0% 30 2.000")
    # Documents, 5 %, median, mean, 95 %, longest of 10, 20, 30 and 170 tokens.
    assert page.row("lengths", "text").startswith("text 4 10 20 57.5 170 170")
    # 8 nats are 11.542 bits, and a token is 4 bytes.
    assert page.row("training", "text").startswith("text 30 8.0000 0 4.0000 4 -4.0000 2.885 1.443")


def test_nothing_is_loaded_and_nothing_runs(run: Path, tmp_path: Path) -> None:
    path = report(run, tmp_path / "out")
    page = Page(path)
    assert "script" not in page.tags
    assert all(address.startswith("data:") for address in page.loaded)
    assert "http" not in path.read_text(encoding="utf-8").replace("http-equiv", "")
    assert "url(" not in path.read_text(encoding="utf-8")


def test_texts_and_ids_are_shown_as_text(run: Path, tmp_path: Path) -> None:
    page = Page(report(run, tmp_path / "out"))
    assert EVIL in page.text
    assert "</pre><script>delta</script>" in page.text
    assert "<of unique>" in page.text


def test_words_that_differ_are_marked(run: Path, tmp_path: Path) -> None:
    content = report(run, tmp_path / "out").read_text(encoding="utf-8")
    assert "alpha beta <mark>gamma</mark> &lt;/pre&gt;" in content
    assert "alpha beta  <mark>omega</mark> &lt;/pre&gt;" in content
    assert "Both are equal</h4><pre>the same words</pre>" in content


def test_other_white_space_is_no_difference() -> None:
    pieces = compare_words("  one two\nthree", "  one  two three four")
    assert pieces == (
        [("  one two\nthree", False)],
        [("  one  two three ", False), ("four", True)],
    )


def test_a_late_difference_is_shown_with_what_stands_before_it(run: Path, tmp_path: Path) -> None:
    same = "word " * 100
    path = run / "z_read" / "part-00000.jsonl.zst"
    records(path, {EVIL: f"{same}here", TWIN: f"{same}there"})
    content = report(run, tmp_path / "out").read_text(encoding="utf-8")
    assert "word <mark>here</mark></pre>" in content
    assert "word <mark>there</mark></pre>" in content


def test_equal_runs_give_equal_bytes(run: Path, tmp_path: Path) -> None:
    pages = [report(run, tmp_path / name) for name in ("one", "two")]
    files = [sorted(path.parent.iterdir()) for path in pages]
    names = [path.name for path in files[0]]
    assert names == [
        "card.md",
        "clusters_unique.png",
        "composition_by_kind.png",
        "composition_by_source.png",
        "document_lengths.png",
        "flow.png",
        "loss_tiny.png",
        "report.html",
        "speed_tiny.png",
    ]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]


def test_output_may_be_a_page_in_the_run(run: Path) -> None:
    path = report(run, run / "page" / "mine.html")
    assert path == run / "page" / "mine.html"
    first = path.read_bytes()
    assert (run / "page" / "flow.png").read_bytes().startswith(b"\x89PNG")
    assert report(run, path).read_bytes() == first


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("tiny", "No training has begun yet."),
        ("blend.json", "There is no blend file yet."),
        ("tokens", "Nothing is tokenized yet."),
        ("unique", "No dedup stage is complete yet."),
        ("unique/clusters.parquet", "No clusters.parquet could be read."),
        ("z_read/part-00000.jsonl.zst", "Their texts are no longer where the stage read them."),
        ("tokens/part-00000.idx", "part-00000.idx"),
    ],
)
def test_what_is_missing_is_said_in_a_sentence(
    run: Path, tmp_path: Path, missing: str, said: str
) -> None:
    gone = run / missing
    if gone.is_dir():
        for path in gone.iterdir():
            path.unlink()
        gone.rmdir()
    else:
        gone.unlink()
    assert said in Page(report(run, tmp_path / "out")).text


@pytest.mark.parametrize(
    "damaged",
    ["unique/clusters.parquet", "tokens/part-00000.idx", "tokens/manifest.json", "plan.toml"],
)
def test_what_is_damaged_is_named(run: Path, tmp_path: Path, damaged: str) -> None:
    (run / damaged).write_bytes(b"{nonsense")
    page = Page(report(run, tmp_path / "out"))
    problems = page.text[page.text.index(" Problems ") :]
    assert damaged.rsplit("/", 1)[-1] in problems
    assert "expected" in problems


def test_begun_stage_says_how_far_it_is(run: Path, tmp_path: Path) -> None:
    units = run / "half" / "units"
    units.mkdir(parents=True)
    begun = {"stage": "filter", "version": "0.1.0", "config": {}, "inputs": [], "units": 9}
    (run / "half" / "run.json").write_text(json.dumps(begun))
    for name in ("00000.json", "00001.json", "00002-00000.json"):
        (units / name).write_text("{}")
    page = Page(report(run, tmp_path / "out"))
    assert page.row("flow", "half").startswith(
        "half filter - - - - - - - - begun: 2 of 9 units done"
    )
    assert "3 of 4 stages complete" in page.text


def test_unfinished_training_has_no_loss_after(run: Path, tmp_path: Path) -> None:
    for path in (run / "tiny").iterdir():
        path.unlink()
    (run / "tiny").rmdir()
    add_training(run, steps=2)
    page = Page(report(run, tmp_path / "out"))
    assert "It is not finished." in page.text
    assert page.row("training", "text").startswith("text 30 8.0000 0 - - - 2.885 -")
    assert "1 unreadable lines are left out" in page.text


def test_lost_training_shows_that_it_is_not_a_number(run: Path, tmp_path: Path) -> None:
    with (run / "tiny" / "metrics.jsonl").open("w") as file:
        file.write('{"kind": "step", "step": 1, "loss": 9.0}\n')
        file.write('{"kind": "step", "step": 2, "loss": NaN, "tokens_per_second": NaN}\n')
    assert "9.00 → nan" in Page(report(run, tmp_path / "out")).text


def test_problem_of_a_stage_is_shown(run: Path, tmp_path: Path) -> None:
    add_stage(run, "cut", "ingest", [], [], Counts(), ["/data/a.gz: ends early"])
    page = Page(report(run, tmp_path / "out"))
    assert "1 problem, see below" in page.text
    assert "cut: /data/a.gz: ends early" in page.text


def test_many_documents_are_sampled_and_counted_whole(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(run / "tokens" / "part-00000", [5, 7] * 500, "text")
    monkeypatch.setattr(lengths, "LARGEST_SAMPLE", 2)
    monkeypatch.setattr(lengths, "BLOCK_LENGTHS", 64)
    # The manifest says 4 documents, of which every second is looked at: 500 of 5, and one of 30.
    page = Page(report(run, tmp_path / "out"))
    assert page.row("lengths", "text").startswith("text 1,001 5 5 5.0 5 30")
    assert "One document in 2 was looked at." in page.text


def test_merged_dataset_is_counted_instead_of_its_shards(run: Path, tmp_path: Path) -> None:
    index(run / "merged", [10, 20, 170], "text")
    sidecar = {
        "tokenizer": {"sha256": "a", "file": "b"}, "vocab_size": 9, "eod_id": 0, "dtype": "uint16",
        "documents": 3, "tokens": 200, "group": "mixed",
        "bin_xxh3": "", "idx_xxh3": "", "ids_xxh3": "",
    }  # fmt: skip
    (run / "merged.json").write_text(json.dumps(sidecar))
    blend = {"train": [{"group": "prose", "weight": 1.0, "prefixes": ["merged"]}]}
    (run / "blend.json").write_text(json.dumps(blend))
    page = Page(report(run, tmp_path / "out"))
    assert page.row("mixture", "prose").startswith("prose 1.00 200 100.0% - 2.000")
    assert page.row("lengths", "prose").startswith("prose 3 10 20 66.7 170 170")
    assert "text 4 10" not in page.text


def cluster_rows(pairs: list[tuple[str, str, str, float | None]]) -> list[dict[str, Any]]:
    """Return rows of `clusters.parquet` for (survivor, dropped, kind, similarity)."""
    rows = {}
    for kept, dropped, kind, jaccard in pairs:
        survivor = {"record": kept, "kind": "survivor", "estimated": 1.0, "jaccard": None}
        rows.setdefault(kept, {**survivor, "cluster": kept, "survivor": kept})
        fallen = {"record": dropped, "kind": kind, "estimated": 0.5, "jaccard": jaccard}
        rows[dropped] = {**fallen, "cluster": kept, "survivor": kept}
    return list(rows.values())


def write_clusters(directory: Path, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows)
    kinds = table["kind"].combine_chunks().dictionary_encode()
    place = table.schema.get_field_index("kind")
    pq.write_table(table.set_column(place, "kind", kinds), directory / "clusters.parquet")


def test_largest_clusters_are_named(run: Path, tmp_path: Path) -> None:
    pairs: list[tuple[str, str, str, float | None]] = [
        (f"docs/{cluster}#0", f"docs/{cluster}#{number}", kind, jaccard)
        for cluster, (size, kind, jaccard) in enumerate(
            [(2, "near", 0.9), (40, "exact", None), (9, "exact", None), (3, "near", 0.95)]
        )
        for number in range(1, size)
    ]
    write_clusters(run / "unique", cluster_rows(pairs))
    page = Page(report(run, tmp_path / "out"))
    assert page.row("duplicates", "docs/1#0").startswith("docs/1#0 40 docs/2#0 9 docs/3#0 3 docs/0")
    assert "50 records fell: 47 exact duplicates, 3 near ones, in 4 clusters" in page.text


def test_ten_pairs_are_spread_over_similarity_and_sources(run: Path, tmp_path: Path) -> None:
    # Most pairs are of one source and one similarity.
    pairs: list[tuple[str, str, str, float | None]] = [
        ("big/a#0", f"big/a#{number}", "near", 0.951) for number in range(1, 400)
    ]
    similarities = [0.801, 0.821, 0.841, 0.861, 0.881, 0.901, 0.921, 0.961, 0.981]
    pairs += [("big/b#0", f"big/b{s}#1", "near", s) for s in similarities]
    pairs += [(f"s{n}/a#0", f"s{n}/a#1", "near", 0.951) for n in range(3)]
    pairs += [("big/c#0", f"big/c#{number}", "exact", None) for number in range(1, 9)]
    write_clusters(run / "unique", cluster_rows(pairs))
    text = Page(report(run, tmp_path / "out")).text
    shown = re.findall(r"Pair (\d+): (near|exact) duplicate(?:, similarity ([\d.]+))? (\w+)/", text)
    assert [number for number, *_ in shown] == [str(number) for number in range(1, 11)]
    assert [kind for _, kind, *_ in shown] == ["near"] * 8 + ["exact"] * 2
    found = [float(similarity) for _, _, similarity, _ in shown[:8]]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0.801, 0.981)
    assert {source for *_, source in shown} == {"big", "s0", "s1", "s2"}
    assert len(set(found)) >= 5


def test_recall_is_measured_on_the_texts_of_the_run(run: Path, tmp_path: Path) -> None:
    random = Random(5)
    texts, pairs = {}, []
    for number in range(40):
        base = [f"w{random.randrange(10_000)}" for _ in range(300)]
        edited = list(base)
        for _ in range(1 + number // 8):
            edited[random.randrange(300)] = "edited"
        texts |= {f"docs/{number}#0": " ".join(base), f"docs/{number}#1": " ".join(edited)}
        pairs.append((f"docs/{number}#0", f"docs/{number}#1", "near", 0.8 + number / 200))
    records(run / "z_read" / "part-00000.jsonl.zst", texts)
    write_clusters(run / "unique", cluster_rows(pairs))
    manifest = json.loads((run / "unique" / "manifest.json").read_text())
    config = {"ngram_size": 5, "num_bands": 14, "rows_per_band": 8, "seed": 0, "threshold": 0.8}
    manifest["config"] = config
    (run / "unique" / "manifest.json").write_text(json.dumps(manifest))
    page = Page(report(run, tmp_path / "out"))
    assert "the line is the theory, 1 - (1 - J^8)^14." in page.text
    assert "40 pairs of records that are in one cluster" in page.text
    found = re.search(r"0.8 and more ([\d.]+)% share a band; theory says ([\d.]+)%", page.text)
    assert found is not None
    measured, theory = map(float, found.groups())
    assert abs(measured - theory) < 1
    assert (tmp_path / "out" / "recall_unique.png").read_bytes().startswith(b"\x89PNG")

    sample = draw_sample(run / "unique" / "clusters.parquet")
    recall = measure_recall(config, sample, texts)
    assert recall is not None
    for points in (recall.records, recall.beginnings):
        off = np.abs(points.share - recall.theory(points.jaccard))
        assert (off < 4 * points.error + 0.02).all()
    assert recall.beginnings.jaccard.min() < 0.1
    assert measure_recall({**config, "num_bands": 1}, sample, texts) != recall
    assert measure_recall(config, sample, {}) is None
    unverified = measure_recall({**config, "verify": False}, sample, texts)
    assert unverified is not None
    assert unverified.threshold is None


def test_losses_of_sources_and_giant_buckets_are_told(run: Path, tmp_path: Path) -> None:
    manifest = json.loads((run / "z_read" / "manifest.json").read_text())
    shares = [("big", 1_000), ("lost", 200), ("whole", 50)]
    manifest["shards"][0]["composition"] = [
        {"source": source, "kind": "text", "records": count, "text_bytes": 9}
        for source, count in shares
    ]
    (run / "z_read" / "manifest.json").write_text(json.dumps(manifest))
    manifest = json.loads((run / "unique" / "manifest.json").read_text())
    manifest["shards"][0]["composition"] = [
        {"source": source, "kind": "text", "records": count, "text_bytes": 9}
        for source, count in (("big", 900), ("lost", 20), ("whole", 50))
    ]
    manifest["details"] = {"giant_buckets": 2, "largest_bucket": 12_345, "full_clusters": 7}
    (run / "unique" / "manifest.json").write_text(json.dumps(manifest))
    page = Page(report(run, tmp_path / "out"))
    assert page.row("duplicates", "lost").startswith(
        "lost 200 180 90.0% more than 30% big 1,000 100 10.0% - "
    )
    assert "whole" not in page.text[page.text.index("What each source lost") :]
    assert "2 bands held more than 10,000 records each, the largest of 12,345 records" in page.text
    assert "7 clusters took as many near-duplicates as --max-cluster allows" in page.text


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (999, "999"), (1_500, "1.5k"), (9_999, "10k"), (999_999, "1M"), (3e-4, "0.0003")],
)
def test_numbers_of_an_axis_are_short(number: float, shown: str) -> None:
    assert compact(number) == shown


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_no_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=f"{name}: expected .*, found (none|nothing there); give"):
        report(tmp_path / name, tmp_path / "out")


def test_file_as_output_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file: expected a directory or a name that ends in"):
        report(run, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_sources_named_like_kinds_leave_colours_for_the_others() -> None:
    shares = {f"source {n}": 100 - n for n in range(9)} | {"text": 3, "web": 2, "code": 1}
    assert draw_shares("a.png", "by source", shares).png.startswith(b"\x89PNG")
