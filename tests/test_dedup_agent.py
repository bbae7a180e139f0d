"""Agent data is not web text: what `dedup` removes of it, held against brute force.

The reference here shares no code with ours: its words are those of a regular expression, its
shingles are tuples of words, and it compares every record with every survivor.
"""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING, Any

import agent_records
import msgspec
import pyarrow.parquet as pq
import pytest
import regex  # type: ignore[import-untyped]  # its scripts are not ours
import zstandard

from preprocess.dedup import DedupConfig, dedup
from preprocess.errors import UserError
from preprocess.run_options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from preprocess.manifest import Manifest

NGRAM_SIZE = 5
THRESHOLD = Fraction(8, 10)
LARGEST_LOSS = 0.02
"""A source may lose so much more of its records than by brute force."""

type Shingles = frozenset[tuple[str, ...]]


def words(text: str) -> list[str]:
    """Return the words as the manual defines them."""
    scripts = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan")
    signs = "〆〱-〵〼ーｰﾞﾟ"  # of Chinese and Japanese, though Unicode has them in no script
    unspaced = f"[{''.join(rf'\p{{{script}}}' for script in scripts)}{signs}]"
    letter = r"[\p{Alphabetic}\p{N}_]"
    found = regex.findall(rf"(?V1)[{unspaced}&&{letter}]|[{letter}--{unspaced}]+", text)
    return ["".join(character.lower() for character in word) for word in found]


def shingles(text: str) -> Shingles:
    found = words(text)
    count = max(1, len(found) - NGRAM_SIZE + 1) if found else 0
    return frozenset(tuple(found[at : at + NGRAM_SIZE]) for at in range(count))


def jaccard(one: Shingles, other: Shingles) -> Fraction:
    common = len(one & other)
    return Fraction(common, max(1, len(one) + len(other) - common))


class Call(msgspec.Struct):
    name: msgspec.Raw = msgspec.Raw(b"null")
    arguments: msgspec.Raw = msgspec.Raw(b"null")
    function: msgspec.Raw = msgspec.Raw(b"null")


class Message(msgspec.Struct):
    role: str
    content: msgspec.Raw = msgspec.Raw(b"null")
    tool_calls: list[Call] = []


class Line(msgspec.Struct):
    text: str
    messages: list[Message] = []


def own_content(line: bytes) -> str:
    """Return what was said and called, as the line spells it; without messages, the text."""
    record = msgspec.json.decode(line, type=Line)
    pieces = []
    for message in record.messages:
        if message.role == "system":
            continue
        pieces.append(message.content)
        for call in message.tool_calls:
            nested = bytes(call.function) != b"null"
            inner = msgspec.json.decode(call.function, type=Call) if nested else call
            pieces += [inner.name, inner.arguments]
    spelled = [bytes(piece) for piece in pieces]
    said = [
        str(msgspec.json.decode(piece)) if piece.startswith(b'"') else piece.decode()
        for piece in spelled
        if piece != b"null"
    ]
    return "\n".join(said) if "".join(said).strip() else record.text


def brute_force(texts: Sequence[str], sets: Sequence[Shingles]) -> set[int]:
    """Return the records that the rule removes, each compared with all survivors before it."""
    removed: set[int] = set()
    seen: set[str] = set()
    holders: dict[tuple[str, ...], list[int]] = {}
    for number, (text, own) in enumerate(zip(texts, sets, strict=True)):
        common = Counter(holder for each in own for holder in holders.get(each, ()))
        is_near = any(
            Fraction(count, len(own) + len(sets[other]) - count) >= THRESHOLD
            for other, count in common.items()
        )
        if text in seen or is_near:
            removed.add(number)
        else:
            for each in own:
                holders.setdefault(each, []).append(number)
        seen.add(text)
    return removed


def run(lines: Sequence[bytes], directory: Path, **options: Any) -> Manifest:
    source = directory / "records.jsonl.zst"
    source.write_bytes(zstandard.compress(b"".join(line + b"\n" for line in lines)))
    limits = RunOptions(workers=1, memory_bytes=256 << 20)
    manifest = dedup([str(source)], directory / "out", DedupConfig(), limits, **options)
    assert manifest is not None
    return manifest


def removed_rows(output: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(output / "clusters.parquet").to_pylist()
    return [row for row in rows if row["kind"] != "survivor"]


def kept_ids(output: Path) -> list[str]:
    kept = []
    for part in sorted(output.glob("part-*.jsonl.zst")):
        with zstandard.open(part, "rt", encoding="utf-8", newline="\n") as file:
            kept += [json.loads(line)["id"] for line in file]
    return kept


def by_source(identifiers: Iterable[str]) -> Counter[str]:
    return Counter(identifier.split("/", 1)[0] for identifier in identifiers)


def encoded(records: Iterable[Any]) -> list[bytes]:
    return [json.dumps(record, ensure_ascii=False).encode() for record in records]


@pytest.mark.shared
def test_agent_sets_lose_what_brute_force_removes_and_no_more(shared: Path, tmp_path: Path) -> None:
    records = list(agent_records.records(shared / "data" / "agent"))
    lines = encoded(records)
    sets = [shingles(own_content(line)) for line in lines]
    names = [record["id"] for record in records]
    expected = by_source(names[n] for n in brute_force([r["text"] for r in records], sets))
    totals = by_source(names)
    # Sets that repeat themselves are let go, but only those in which brute force finds as much.
    repetitive = {
        source
        for source, count in totals.items()
        if count >= 100 and expected[source] > 0.3 * count
    }
    manifest = run(lines, tmp_path, allow_loss=repetitive)
    assert manifest.counts.in_ == len(records) > 9_000

    rows = removed_rows(tmp_path / "out")
    kept = kept_ids(tmp_path / "out")
    place = {name: number for number, name in enumerate(names)}
    assert kept == [name for name in names if name in set(kept)]
    assert {row["record"] for row in rows} == set(names) - set(kept)
    first_with: dict[str, int] = {}
    for number, each in enumerate(records):
        first_with.setdefault(each["text"], number)
    fell_to = {row["record"]: row["survivor"] for row in rows}
    for row in rows:
        record, survivor = place[row["record"]], place[row["survivor"]]
        assert row["survivor"] in set(kept)
        assert survivor < record
        similarity = jaccard(sets[record], sets[survivor])
        assert similarity >= THRESHOLD, (row, similarity)
        if row["kind"] == "exact":
            # Of an earlier record, which survives or falls to the same survivor.
            first = first_with[records[record]["text"]]
            assert first < record
            assert first == survivor or fell_to[names[first]] == row["survivor"]
        else:
            assert row["jaccard"] == pytest.approx(float(similarity), abs=1e-12)
    found = by_source(row["record"] for row in rows)
    assert sum(found.values()) > 500
    excess = {s: (found[s] - expected[s]) / total for s, total in totals.items()}
    assert max(excess.values()) <= LARGEST_LOSS, excess


def template_records(count: int) -> list[Any]:
    """Records of one system prompt, one set of tools and one template, each about its own thing."""
    random = Random(6854)
    vocabulary = [
        "".join(random.choices("abcdefghijklmnoprstuvwz", k=random.randrange(3, 9)))
        for _ in range(5_000)
    ]
    tools: list[Any] = [
        {
            "name": f"find_{name}",
            "description": " ".join(random.choices(vocabulary, k=25)),
            "parameters": {
                "type": "object",
                "properties": {
                    word: {"type": "string"} for word in random.choices(vocabulary, k=4)
                },
            },
        }
        for name in vocabulary[:12]
    ]
    made = []
    for number in range(count):
        question, answer = (" ".join(random.choices(vocabulary, k=k)) for k in (9, 12))
        argument = " ".join(random.choices(vocabulary, k=2))
        call = agent_records.called((random.choice(tools)["name"], {"query": argument}))
        messages = [
            agent_records.user(question),
            call,
            {"role": "tool", "content": json.dumps({"result": answer})},
            {"role": "assistant", "content": f"I found this for you: {answer}. Anything else?"},
        ]
        made.append(agent_records.record("calls", f"calls/a#{number}", messages, tools))
    return made


def test_a_shared_template_costs_no_record(tmp_path: Path) -> None:
    records = template_records(3_000)
    one, other = (shingles(record["text"]) for record in records[:2])
    assert jaccard(one, other) > THRESHOLD  # what a rule that looks at texts would go by
    manifest = run(encoded(records), tmp_path)
    assert manifest.counts.out == len(records)
    assert manifest.counts.dropped == {}
    assert removed_rows(tmp_path / "out") == []


def test_without_its_messages_the_template_would_cost_nearly_all(tmp_path: Path) -> None:
    records = template_records(3_000)
    for record in records:
        del record["messages"]
    lines = encoded(records)
    with pytest.raises(
        UserError,
        match=r"no source to lose more than 30% of its records, calls would lose 2,\d{3} of 3,000 "
        r"records \((?:9\d|100)\.\d%: 0 exact and 2,\d{3} near duplicates\); nothing was dropped: "
        r"look at the pairs \(`preprocess inspect \S*/out --clusters 10`\), "
        r"then .* --allow-loss calls",
    ):
        run(lines, tmp_path)
    assert len(removed_rows(tmp_path / "out")) > 2_700
    assert list((tmp_path / "out").glob("part-*")) == []
    manifest = run(lines, tmp_path, allow_loss={"calls"})
    assert manifest.counts.out < 300


def test_a_plain_copy_of_a_conversation_that_fell_stays(tmp_path: Path) -> None:
    said = [f"word{number}" for number in range(60)]
    template = " ".join(f"template{number}" for number in range(400))

    def conversation(identifier: str, content: str) -> dict[str, Any]:
        messages = [{"role": "user", "content": content}]
        text = f"{identifier} {template} {content}"
        return {"id": identifier, "text": text, "messages": messages}

    first = conversation("first", " ".join(said))
    second = conversation("second", " ".join([*said, "more"]))
    plain = {"id": "plain", "text": second["text"]}
    again = {"id": "again", "text": second["text"]}
    same = second | {"id": "same"}
    run(encoded([first, second, plain, again, same]), tmp_path)
    # What `second` says is what `first` says; the text of `plain` is not.
    rows = {row["record"]: (row["survivor"], row["kind"]) for row in removed_rows(tmp_path / "out")}
    assert rows == {
        "second": ("first", "near"),
        "again": ("plain", "exact"),
        "same": ("first", "exact"),
    }
    assert kept_ids(tmp_path / "out") == ["first", "plain"]
