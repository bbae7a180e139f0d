"""`preprocess explain` and `inspect` on what the scopes of `dedup` drop and cut."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from preprocess.dedup import DedupConfig, dedup
from preprocess.errors import UserError
from preprocess.explain import explain
from preprocess.run_options import RunOptions

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Preprocess

OPTIONS = RunOptions(workers=1, memory_bytes=64 << 20, max_rejected=0.5)
LINE = "this line is long enough to be one that is compared with others"
OTHER = "another line of which no other record than this one has a copy"


def made(tmp_path: Path, scope: str, *records: dict[str, Any]) -> Path:
    """Return the output of a scope for records with the ids a, b, c, ..."""
    lines = (json.dumps({"id": name} | each) for name, each in zip("abcdef", records, strict=False))
    (tmp_path / "in.jsonl").write_text("".join(f"{line}\n" for line in lines))
    config = DedupConfig(scope=scope)
    dedup([str(tmp_path / "in.jsonl")], tmp_path / "out", config, OPTIONS)
    return tmp_path / "out"


def lines_of(identifier: str, run: Path) -> list[str]:
    shown = io.StringIO()
    assert explain(identifier, run, Console(file=shown, width=40)) == []
    return shown.getvalue().splitlines()[1:]


def test_equal_normal_forms_are_no_copies_of_other_records(tmp_path: Path) -> None:
    out = made(tmp_path, "exact", {"text": "One two"}, {"text": "one  TWO"}, {"text": "One two"})
    said = "out\tdedup\tdropped\texact duplicate of a"
    assert lines_of("b", out) == [
        f"{said} but for case, white space or composed characters",
        "\t8 bytes of text",
        "\tstays: ⟦One two⟧",
        "\tdropped: ⟦one TWO⟧",
    ]
    assert lines_of("c", out)[0] == said
    (tmp_path / "in.jsonl").unlink()
    assert lines_of("b", out)[0] == said


def test_addresses_are_named_as_what_is_the_same(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"text": "red", "origin": {"url": "http://a.example/#x"}},
        {"text": "blue", "origin": {"url": "http://A.example"}, "messages": [{"content": "blue"}]},
    ]
    out = made(tmp_path, "url", *records)
    assert lines_of("b", out) == [
        "out\tdedup\tdropped\tsame_url, its address counts as that of a",
        "\thttp://A.example, 4 bytes of text",
        "\tstays: ⟦red⟧",
        "\tdropped: ⟦blue⟧",
    ]


@pytest.mark.parametrize("scope", ["line", "paragraph", "substring"])
def test_what_was_cut_is_told_with_the_place_where_it_stays(tmp_path: Path, scope: str) -> None:
    text = "\n".join([LINE] * 4) if scope == "substring" else LINE
    size = len(text)
    out = made(
        tmp_path,
        scope,
        {"text": f"{text}\n\n{OTHER}"},
        {"text": f"{OTHER[:30]}\n\n{text}"},
        {"text": text},
        {"text": text},
        {"text": ""},
    )
    start = 32
    lost = f"{size} bytes: bytes {{}} to {{}}, which stay in a from byte 0 on"
    kept = lines_of("b", out)
    assert kept[0] == "out\tdedup\tkept\trecord 1 of part-00000.jsonl.zst"
    assert kept[3] == "\t1 part of its text went, " + lost.format(start, start + size)
    assert lines_of("c", out) == [
        "out\tdedup\tdropped\tnothing_left, as others have all that its text says",
        f"\t{size} bytes of text",
        "\t1 part of its text went, " + lost.format(0, size),
    ]
    copy = lines_of("d", out)
    assert copy[0] == "out\tdedup\tdropped\texact duplicate of c"
    assert copy[2] == f"\tc lost a part as well: {lost.split(': ')[1].format(0, size)}"
    assert lines_of("a", out)[-1] == "\t2 parts went elsewhere, since the same stays in it"
    assert lines_of("e", out)[0] == "out\tdedup\tdropped\tempty_text, it has no text"
    with pytest.raises(UserError, match="expected a record with the id 'f'"):
        lines_of("f", out)


def test_of_many_parts_the_first_are_shown(tmp_path: Path) -> None:
    lines = [f"{number} {LINE}" for number in range(7)]
    turned = [f"{line}\nshort {number}" for number, line in enumerate(reversed(lines))]
    out = made(tmp_path, "line", {"text": "\n".join(lines)}, {"text": "\n".join(turned)})
    said = lines_of("b", out)[-1]
    assert said.startswith("\t7 parts of its text went, 462 bytes: bytes 0 to 66, which stay in a ")
    assert said.count("which stay in a from byte ") == 5
    assert said.endswith("; and 2 more")


def test_damaged_cuts_are_named(tmp_path: Path) -> None:
    out = made(tmp_path, "line", {"text": LINE}, {"text": f"x\n{LINE}"})
    pq.write_table(pa.table({"record": ["b"]}), out / "cuts.parquet")
    with pytest.raises(UserError, match=r"cuts\.parquet: expected record, start"):
        lines_of("b", out)


def test_a_stage_that_waits_is_named_where_no_stage_knows_the_id(tmp_path: Path) -> None:
    out = made(tmp_path, "near", {"text": LINE})
    (out / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"check the id; not complete: out \(begun"):
        lines_of("a", out)


def test_inspect_says_why_each_record_fell(tmp_path: Path, preprocess: Preprocess) -> None:
    words = [f"word{number}" for number in range(60)]
    near = " ".join([*words[:58], "other", "end"])
    texts = [" ".join(words), near, near, " ".join(words)]
    out = made(tmp_path, "near", *({"text": text} for text in texts))
    done = preprocess("inspect", out, "--clusters", 1)
    assert done.stdout.splitlines() == [
        "4 records",
        "  a  survives",
        "  b  similar to a (Jaccard 0.931)",
        "  c  equal to one that fell to a (Jaccard 0.931)",
        "  d  equal to a",
    ]


def test_inspect_says_of_addresses_that_they_are_the_same(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    origin = {"url": "http://a.example"}
    texts = ("red", "blue")
    out = made(tmp_path, "url", *({"text": text, "origin": origin} for text in texts))
    done = preprocess("inspect", out, "--clusters", 1)
    assert done.stdout.splitlines() == ["2 records", "  a  survives", "  b  same address as a"]
