"""The scopes of `dedup` besides `near`, held against what their rules say, in plain Python."""

from __future__ import annotations

import json
import unicodedata
from random import Random
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from test_dedup import content, options, read_lines, survivors, write

from preprocess import _rust_ext
from preprocess.dedup import STEPS, DedupConfig, dedup
from preprocess.errors import UserError
from preprocess.progress import report
from preprocess.run_directory import complete_directory
from preprocess.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Preprocess

    from preprocess.manifest import Manifest

Record = dict[str, Any]
Cut = tuple[str, int, int, str, int]


def run(inputs: list[Path], output: Path, config: DedupConfig, **changes: Any) -> Manifest:
    manifest = dedup([str(path) for path in inputs], output, config, options(**changes))
    assert manifest is not None
    with report("verify", None) as progress:
        assert verify(output, progress)[1] == []
    return manifest


def cuts(output: Path) -> list[Cut]:
    rows = pq.read_table(output / "cuts.parquet").to_pylist()
    columns = ("record", "start", "end", "survivor", "survivor_start")
    return [tuple(row[column] for column in columns) for row in rows]


def normal(text: str) -> str:
    # Character by character: Python's own lower() looks at what stands around a sigma.
    lower = "".join(map(str.lower, unicodedata.normalize("NFC", text)))
    return " ".join(lower.split())


def pieces(text: bytes, scope: str) -> list[tuple[int, int, str]]:
    """First byte, behind the last and normal form of each piece with what goes with it."""
    found: list[tuple[int, int, str]] = []
    at, is_open = 0, False
    for line in text.splitlines(keepends=True) if b"\r" not in text else text.split(b"\n"):
        length = len(line)
        is_blank = not line.decode().strip()
        if is_blank:
            if found and scope == "paragraph":
                start, _, form = found[-1]
                found[-1] = (start, at + length, form)
            is_open = False
        elif scope == "paragraph" and is_open:
            start, _, form = found[-1]
            found[-1] = (start, at + length, normal(f"{form} {line.decode()}"))
        else:
            found.append((at, at + length, normal(line.decode())))
            is_open = True
        at += length
    return found


def expected_cuts(records: list[Record], scope: str, min_chars: int) -> list[Cut]:
    """By a dictionary from normal forms to where they stand first."""
    first: dict[str, tuple[str, int]] = {}
    texts: set[str] = set()
    found: list[Cut] = []
    for record in records:
        if record["text"] in texts:
            continue  # a copy falls as a whole
        texts.add(record["text"])
        for start, end, form in pieces(record["text"].encode(), scope):
            if len(form) < min_chars:
                continue
            survivor, survivor_start = first.setdefault(form, (record["id"], start))
            if (survivor, survivor_start) != (record["id"], start) and not record.get("messages"):
                found.append((record["id"], start, end, survivor, survivor_start))
    return found


def cut_texts(records: list[Record], found: list[Cut]) -> dict[str, str]:
    """What the cuts leave of each text."""
    left = {record["id"]: record["text"].encode() for record in records}
    for record, start, end, survivor, survivor_start in reversed(found):
        kept = next(each["text"].encode() for each in records if each["id"] == survivor)
        assert kept[survivor_start:], "it stands in the survivor"
        left[record] = left[record][:start] + left[record][end:]
    return {identifier: text.decode() for identifier, text in left.items()}


def page_corpus(seed: int, count: int) -> list[Record]:
    """Records made of few lines, many of them shared, some spelled otherwise."""
    random = Random(seed)
    lines = [
        " ".join(random.choice(["Wort", "été", "東京", "😀", "word", "x"]) for _ in range(length))
        for length in [random.randrange(1, 9) for _ in range(40)]
    ]
    records: list[Record] = []
    for number in range(count):
        chosen = [random.choice(lines) for _ in range(random.randrange(1, 8))]
        spelled = [
            random.choice([line, line.upper(), f"  {line} ", unicodedata.normalize("NFD", line)])
            for line in chosen
        ]
        text = "".join(line + random.choice(["\n", "\n", "\n\n", "\n \n"]) for line in spelled)
        record: Record = {"id": f"r{number}", "text": text[: -random.randrange(2)] or text}
        if random.random() < 0.1:
            record["messages"] = [{"role": "user", "content": "hi"}]
        if random.random() < 0.1 and records:
            record["text"] = random.choice(records)["text"]
        records.append(record)
    return records


@pytest.mark.parametrize("scope", ["line", "paragraph"])
def test_pieces_that_a_record_before_has_are_cut_and_nothing_else(
    tmp_path: Path, scope: str
) -> None:
    records = page_corpus(1, 300)
    lines = [
        json.dumps(record, ensure_ascii=number % 2 == 0).encode()
        for number, record in enumerate(records)
    ]
    source = write(tmp_path / "a.jsonl", lines)
    config = DedupConfig(scope=scope, min_piece_chars=10)
    manifest = run([source], tmp_path / "out", config)
    expected = expected_cuts(records, scope, 10)
    assert cuts(tmp_path / "out") == expected
    assert len(expected) > 200
    left = cut_texts(records, expected)
    texts: set[str] = set()
    copies = [r["id"] for r in records if r["text"] in texts or texts.add(r["text"])]  # type: ignore[func-returns-value]
    kept = [r for r in records if r["id"] not in copies and left[r["id"]].strip()]
    assert [record["id"] for record in survivors(tmp_path / "out")] == [r["id"] for r in kept]
    for record, before in zip(survivors(tmp_path / "out"), kept, strict=True):
        assert record == before | {"text": left[record["id"]]}
    dropped = manifest.counts.dropped
    assert dropped["exact_duplicate"] == len(copies)
    assert dropped["nothing_left"] == len(records) - len(copies) - len(kept) > 0
    assert manifest.counts.in_ == manifest.counts.out + sum(dropped.values())
    assert manifest.details["pieces_cut"] == len(expected)
    assert manifest.details["bytes_cut"] == sum(end - start for _, start, end, _, _ in expected)
    (shard,) = manifest.shards
    assert shard.text_bytes == sum(len(left[r["id"]].encode()) for r in kept)
    assert "cuts.parquet" in manifest.beside


def test_a_line_stays_as_it_was_spelled_but_for_what_is_cut(tmp_path: Path) -> None:
    shared = r"A line that is long enough to be cut: \u00e9\ud83d\ude00\/\" and more"
    lines = [
        rb'{"id": "a", "text": "%s\nrest"}' % shared.encode(),
        rb' { "id":"b" ,"text" : "one\u0041\t\n%s\n\u00e9nd" , "n": 1E5,"meta": {"x":"\u00e9"} }'
        % shared.upper().replace(r"\U00E9\UD83D\UDE00", r"\u00C9\ud83d\ude00").encode(),
    ]
    source = write(tmp_path / "a.jsonl", lines)
    run([source], tmp_path / "out", DedupConfig(scope="line"))
    assert read_lines(tmp_path / "out" / "part-00000.jsonl.zst") == [
        lines[0] + b"\n",
        rb' { "id":"b" ,"text" : "one\u0041\t\n\u00e9nd" , "n": 1E5,"meta": {"x":"\u00e9"} }'
        + b"\n",
    ]


def substring_corpus(seed: int, count: int) -> list[Record]:
    random = Random(seed)
    letters = "abcdefgé東😀 "
    runs = ["".join(random.choices(letters, k=random.randrange(10, 90))) for _ in range(30)]
    records: list[Record] = []
    for number in range(count):
        parts = [
            random.choice(runs)[random.randrange(8) :]
            if random.random() < 0.6
            else "".join(random.choices(letters, k=random.randrange(1, 40)))
            for _ in range(random.randrange(1, 6))
        ]
        records.append({"id": f"r{number}", "text": "".join(parts)})
    # Copies of a text fall before anything is cut; here all are cut.
    return list({record["text"]: record for record in reversed(records)}.values())[::-1]


def expected_substring_cuts(records: list[Record], length: int) -> dict[str, list[bool]]:
    """For each byte of each text whether it is cut, by the rule and by looking everywhere."""
    seen: dict[bytes, tuple[str, int]] = {}
    found = {}
    for record in records:
        text = record["text"].encode()
        is_cut = [False] * len(text)
        is_start = [byte & 0xC0 != 0x80 for byte in text] + [True]
        for at in range(len(text) - length + 1):
            where, first = seen.setdefault(text[at : at + length], (record["id"], at))
            if where == record["id"] and first + length > at:
                continue
            start, end = at, at + length
            while not is_start[start]:
                start += 1
            while not is_start[end]:
                end -= 1
            is_cut[start:end] = [True] * (end - start)
        found[record["id"]] = is_cut
    return found


def test_repeats_are_cut_but_for_their_first_occurrence(tmp_path: Path) -> None:
    records = substring_corpus(3, 200)
    source = write(tmp_path / "a.jsonl", records)
    config = DedupConfig(scope="substring", min_substring_bytes=20)
    manifest = run([source], tmp_path / "out", config)
    expected = expected_substring_cuts(records, 20)
    texts = {record["id"]: record["text"].encode() for record in records}
    found = {identifier: [False] * len(text) for identifier, text in texts.items()}
    rows = cuts(tmp_path / "out")
    for record, start, end, survivor, survivor_start in rows:
        found[record][start:end] = [True] * (end - start)
        kept = slice(survivor_start, survivor_start + end - start)
        assert texts[record][start:end] == texts[survivor][kept]
        assert not any(expected[survivor][kept]), "what a cut names stays"
    assert found == expected
    left = {
        identifier: bytes(
            byte for byte, gone in zip(text, expected[identifier], strict=True) if not gone
        ).decode()
        for identifier, text in texts.items()
    }
    after = {record["id"]: record["text"] for record in survivors(tmp_path / "out")}
    assert after == {identifier: text for identifier, text in left.items() if text.strip()}
    assert manifest.counts.dropped["nothing_left"] == len(records) - len(after)
    assert manifest.details["pieces_cut"] == len(rows) > 100


def test_texts_that_cannot_lie_in_memory_are_refused_before_anything_is_read(
    tmp_path: Path,
) -> None:
    records = [{"id": str(number), "text": str(number) * 1_000} for number in range(1_000)]
    first = tmp_path / "first"
    run([write(tmp_path / "a.jsonl", records)], first, DedupConfig(scope="exact"))
    config = DedupConfig(scope="substring")
    with pytest.raises(
        UserError, match=r"--scope substring: expected --memory of \d+ bytes .* got 9000000"
    ):
        run([first], tmp_path / "second", config, memory_bytes=9_000_000)
    assert not (tmp_path / "second").exists()
    with pytest.raises(UserError, match="--scope substring: expected"):
        run([tmp_path / "a.jsonl"], tmp_path / "loose", config, memory_bytes=9_000_000)


def test_exact_compares_normal_forms(tmp_path: Path) -> None:
    texts = ["Café  au\nlait", "cafe\u0301 au lait ", "café au lait!", "CAFÉ AU LAIT"]
    records = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
    source = write(tmp_path / "a.jsonl", records)
    manifest = run([source], tmp_path / "out", DedupConfig(scope="exact"))
    assert [record["id"] for record in survivors(tmp_path / "out")] == ["0", "2"]
    assert manifest.counts.dropped == {"exact_duplicate": 2}
    rows = pq.read_table(tmp_path / "out" / "clusters.parquet").to_pylist()
    found = [(row["record"], row["survivor"], row["kind"], row["jaccard"]) for row in rows]
    assert found == [
        ("0", "0", "survivor", 1.0),
        ("1", "0", "exact", None),
        ("3", "0", "exact", None),
    ]


def test_url_compares_addresses_and_keeps_records_without_one(tmp_path: Path) -> None:
    urls = ["http://A.example/x/?utm_source=f", None, "http://a.example/x#top", None, "http://b.ex"]
    records = [
        {"id": str(number), "text": "t", "origin": {"path": "p"} | ({"url": url} if url else {})}
        for number, url in enumerate(urls)
    ]
    source = write(tmp_path / "a.jsonl", records)
    manifest = run([source], tmp_path / "out", DedupConfig(scope="url"))
    assert [record["id"] for record in survivors(tmp_path / "out")] == ["0", "1", "3", "4"]
    assert manifest.counts.dropped == {"same_url": 1}
    rows = pq.read_table(tmp_path / "out" / "clusters.parquet").to_pylist()
    assert [(row["record"], row["survivor"], row["kind"]) for row in rows] == [
        ("0", "0", "survivor"),
        ("2", "0", "url"),
    ]


@pytest.mark.parametrize("scope", ["exact", "url", "line", "paragraph", "substring"])
def test_workers_tasks_memory_and_restarts_change_no_byte(tmp_path: Path, scope: str) -> None:
    records = page_corpus(5, 400)
    for number, record in enumerate(records):
        record["origin"] = {"url": f"http://a.example/{number % 300}"}
    sources = [
        write(tmp_path / f"{name}.jsonl.zst", records[start::3])
        for start, name in enumerate(["a", "b", "c"])
    ]
    config = DedupConfig(scope=scope, min_piece_chars=10, min_substring_bytes=24)
    inputs = []
    for source in sources:
        inputs.append(tmp_path / f"shard-{source.stem}")
        run([source], inputs[-1], DedupConfig(scope="url"))
    run(inputs, tmp_path / "one", config)
    run(inputs, tmp_path / "two", config, workers=3)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    run(inputs, tmp_path / "little", config, memory_bytes=4 << 20)
    limited = ("run.json", "manifest.json")  # they say what the longest record may be
    of_little = content(tmp_path / "little")
    for name, held in content(tmp_path / "one").items():
        assert name in limited or of_little[name] == held
    given = [str(path) for path in inputs]
    for step in STEPS:
        for task in (2, 0, 1):
            changes = {"task": task, "num_tasks": 3}
            dedup(given, tmp_path / "tasks", config, options(**changes), step=step)
    complete_directory(tmp_path / "tasks")
    assert content(tmp_path / "tasks") == content(tmp_path / "one")
    # Each step is lost once, with all that follows from it.
    for step, lost in [
        ("sign", "*"),
        ("bands", "bucket-*"),
        ("bands", "cuts-*"),
        ("connect", "verdicts"),
        ("connect", "cuts"),
        ("drop", "0000[01].json"),
    ]:
        output = tmp_path / f"lost-{step}-{lost.strip('*')}"
        for each in STEPS[: STEPS.index(step) + 1]:
            dedup(given, output, config, options(task=0, num_tasks=1), step=each)
        for path in (output / "units").glob(lost):
            path.unlink()
        assert run(inputs, output, config).counts.out > 0
        assert content(output) == content(tmp_path / "one")


def test_agent_data_that_would_lose_its_text_stops_the_run(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    shared = [f"line {number} of what several of the records have" for number in range(9)]
    records = [
        {
            "id": f"{source}/{number}",
            "source": source,
            "kind": kind,
            "text": "\n".join([f"{source} {number} alone", *shared[number % 3 :: 3]]),
        }
        for source, kind, count in (
            ("tools", "tool_documentation", 120),
            ("pages", "text", 120),
            ("few", "tool_documentation", 99),
        )
        for number in range(count)
    ]
    write(tmp_path / "a.jsonl", records)
    command = ("dedup", "a.jsonl", "out", "--scope", "line")
    done = preprocess(*command)
    assert done.returncode == 1
    size = sum(len(record["text"]) for record in records[:120])
    # Of each of the nine lines one stays; the last of a text has no line feed.
    went = size - sum(len(f"tools {number} alone\n") for number in range(120))
    went -= sum(map(len, shared)) + 6
    assert done.stderr.splitlines()[-1] == (
        "preprocess dedup: expected no source to lose more than 30% of its text, tools would lose "
        f"{went:,} of {size:,} bytes of text ({went / size:.1%}); nothing was dropped: look at "
        "out/cuts.parquet, then run the same command with --allow-loss tools, or with other "
        "options into a new directory"
    )
    assert not list((tmp_path / "out").glob("part-*"))
    alone = (*command, "--step", "drop", "--task", "0", "--num-tasks", "1")
    assert "tools would lose" in preprocess(*alone).stderr
    assert preprocess(*command, "--allow-loss", "tools").returncode == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["details"]["pieces_cut"] == 3 * (120 + 120 + 99) - 9


def test_what_a_kill_leaves_of_the_table_goes_with_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "a.jsonl", page_corpus(5, 50))
    config = DedupConfig(scope="line", min_piece_chars=10)
    with monkeypatch.context() as patched:

        def killed(*_: Any, output: Path, **__: Any) -> None:
            output.with_name(f".{output.name}.half").write_bytes(b"PAR1")
            raise KeyboardInterrupt

        patched.setattr("preprocess._rust_ext.write_cuts", killed)
        with pytest.raises(KeyboardInterrupt):
            run([source], tmp_path / "out", config)
    run([source], tmp_path / "out", config)
    run([source], tmp_path / "whole", config)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_an_output_with_cuts_is_an_input(tmp_path: Path) -> None:
    records = page_corpus(7, 50)
    config = DedupConfig(scope="line", min_piece_chars=10)
    run([write(tmp_path / "a.jsonl", records)], tmp_path / "one", config)
    manifest = run([tmp_path / "one"], tmp_path / "two", config)
    assert manifest.counts.native == len(survivors(tmp_path / "one"))
    assert cuts(tmp_path / "two") == []
    # What is left of two records can be the same, where it is too short to be cut.
    assert manifest.counts.dropped.keys() <= {"exact_duplicate"}
    left = [json.dumps(record) for record in survivors(tmp_path / "one")]
    texts = {json.loads(record)["text"]: record for record in reversed(left)}
    kept = [json.dumps(record) for record in survivors(tmp_path / "two")]
    assert kept == [record for record in left if record in texts.values()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scope", "page"], "scope (page) must be one of near, exact, url, line, paragraph, sub"),
        (["--scope", "exact", "--threshold", "0.7"], "expected --scope near with --threshold"),
        (["--scope", "url", "--no-verify"], "expected --scope near with --no-verify"),
        (["--min-piece-chars", "9"], "expected --scope line or paragraph with --min-piece-chars"),
        (
            ["--scope", "line", "--min-substring-bytes", "99"],
            "expected --scope substring with --min-substring-bytes, got --scope line",
        ),
    ],
)
def test_options_without_effect_are_refused(
    preprocess: Preprocess, tmp_path: Path, arguments: list[str], message: str
) -> None:
    write(tmp_path / "a.jsonl", [{"text": "a"}])
    done = preprocess("dedup", "a.jsonl", "out", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_a_kill_leaves_of_a_table_goes_with_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "a.jsonl", [{"id": "a", "text": f"{'one line ' * 9}\nother"}])

    def killed(*_: Any, output: Path, **__: Any) -> None:
        output.with_name(f".{output.name}.1.tmp").write_bytes(b"half")
        raise KeyboardInterrupt

    for table in ("write_clusters", "write_cuts"):
        with monkeypatch.context() as patched:
            patched.setattr(_rust_ext, table, killed)
            with pytest.raises(KeyboardInterrupt):
                run([source], tmp_path / "out", DedupConfig(scope="line"))
    run([source], tmp_path / "out", DedupConfig(scope="line"))
    expected = {"clusters.parquet", "cuts.parquet", "manifest.json", "run.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected | {
        "part-00000.jsonl.zst"
    }
