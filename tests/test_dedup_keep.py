"""Which of records that are alike stays: the rules of `--keep`."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from test_dedup import clusters, content, edited, run, survivors, words, write

from preprocess.dedup import DedupConfig

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Preprocess


def alike(random: Random, number: int) -> list[dict[str, Any]]:
    """Return a copy, a near copy and a longer near copy of a text, in any order."""
    text = words(random, 150)
    texts = [text, text, edited(random, text, 1), [*text, "and", "more"]]
    members = [
        {
            "id": f"r{number}-{member}",
            "source": random.choice(["web", "agent", "code", "books"]),
            "text": " ".join(each),
            "meta": {"score": random.choice([None, 1, 2.5, -3, 1e300])},
        }
        for member, each in enumerate(texts)
    ]
    random.shuffle(members)
    return members


def expected_order(rule: str, record: dict[str, Any]) -> float:
    """Return a number that is the smallest of the record that is to stay."""
    name, _, value = rule.partition(":")
    if name == "longest":
        return -len(record["text"].encode())
    if name == "source":
        names = value.split(",")
        return names.index(record["source"]) if record["source"] in names else len(names)
    number = record["meta"][value]
    if number is None:
        return float("inf")
    return float(-number if name == "highest" else number)


@pytest.mark.parametrize(
    "rules",
    [
        ("longest",),
        ("highest:score",),
        ("lowest:score",),
        ("source:agent,code",),
        ("source:agent", "longest"),
        ("source:books,web", "highest:score"),
    ],
)
def test_of_each_group_the_best_by_the_rules_stays(tmp_path: Path, rules: tuple[str, ...]) -> None:
    random = Random(31)
    groups = [alike(random, number) for number in range(60)]
    records = [record for group in groups for record in group]
    source = write(tmp_path / "a.jsonl.zst", records)
    manifest = run([source], tmp_path / "out", DedupConfig(keep=rules, threshold=0.7))
    expected = []
    for group in groups:
        keys = [tuple(expected_order(rule, record) for rule in rules) for record in group]
        expected.append(group[keys.index(min(keys))])
    assert survivors(tmp_path / "out") == expected
    assert manifest.counts.out == 60
    named = {row["record"]: row["survivor"] for row in clusters(tmp_path / "out")}
    for group, kept in zip(groups, expected, strict=True):
        assert {named[record["id"]] for record in group} == {kept["id"]}
    assert json.loads((tmp_path / "out" / "run.json").read_bytes())["config"]["keep"] == list(rules)


def conversation(random: Random) -> dict[str, Any]:
    said = " ".join(words(random, 120))
    return {
        "id": "agent-1",
        "source": "agent",
        "kind": "conversation",
        "text": f"<|user|>{said}<|end|>",
        "messages": [{"role": "user", "content": said}],
    }


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("is_equal", [True, False])
def test_a_web_copy_falls_to_the_agent_record_wherever_it_stands(
    tmp_path: Path, preprocess: Preprocess, first: int, is_equal: bool
) -> None:
    agent = conversation(Random(32))
    # A page that shows the conversation: its text as it is, or only what was said.
    text = agent["text"] if is_equal else agent["messages"][0]["content"]
    page = {"id": "page-1", "source": "web", "text": text}
    if is_equal:
        # Equal texts are copies whatever their own content is.
        agent["messages"] = [{"role": "user", "content": " ".join(words(Random(33), 50))}]
    others = [
        {"id": f"o{n}", "source": "web", "text": " ".join(words(Random(n), 50))} for n in range(9)
    ]
    pair = [agent, page] if first == 0 else [page, agent]
    write(tmp_path / "a.jsonl", [pair[0], *others, pair[1]])
    done = preprocess("dedup", "a.jsonl", "out", "--keep", "source:agent", "--keep", "longest")
    assert done.returncode == 0, done.stderr
    found = {row["record"]: row["survivor"] for row in clusters(tmp_path / "out")}
    assert found == {"agent-1": "agent-1", "page-1": "agent-1"}
    assert {record["id"] for record in survivors(tmp_path / "out")} == {
        "agent-1",
        *(other["id"] for other in others),
    }


def test_rules_do_not_depend_on_units_and_memory(tmp_path: Path) -> None:
    random = Random(34)
    records = [record for number in range(500) for record in alike(random, number)]
    random.shuffle(records)
    config = DedupConfig(keep=("source:code", "highest:score"))
    for number, part in enumerate([records[:700], records[700:]]):
        write(tmp_path / f"{number}.jsonl", part)
    sources = [tmp_path / "0.jsonl", tmp_path / "1.jsonl"]
    run(sources, tmp_path / "one", config)
    run(sources, tmp_path / "two", config, workers=3)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    write(tmp_path / "all.jsonl", records)
    run([tmp_path / "all.jsonl"], tmp_path / "all", config, memory_bytes=300_000)
    assert survivors(tmp_path / "all") == survivors(tmp_path / "one")
    assert clusters(tmp_path / "all") == clusters(tmp_path / "one")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (["best"], "expected --keep as first, longest, highest:FIELD"),
        (["highest:"], 'got "highest:"'),
        (["longest", "source:a"], 'got "source:a" after "longest"'),
        (["source:a,a"], "with a once"),
    ],
)
def test_what_is_no_rule_is_refused_before_any_work(
    tmp_path: Path, preprocess: Preprocess, rules: list[str], message: str
) -> None:
    write(tmp_path / "a.jsonl", [{"id": "a", "text": "a"}])
    options = [option for rule in rules for option in ("--keep", rule)]
    done = preprocess("dedup", "a.jsonl", "out", *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="expected"):
        DedupConfig(keep=tuple(rules))


def test_a_rule_that_decides_nothing_is_told(tmp_path: Path, preprocess: Preprocess) -> None:
    source = write(tmp_path / "a.jsonl", alike(Random(3), 0))
    names = sorted({json.loads(line)["source"] for line in source.read_text().splitlines()})
    assert "wbe" not in names
    rules = ["--keep", "source:wbe", "--keep", "highest:scroe"]
    done = preprocess("dedup", str(source), str(tmp_path / "out"), *rules)
    assert done.returncode == 0
    first = json.loads(source.read_text().splitlines()[0])["meta"]["score"]
    expected = [
        "--keep source:wbe: expected records of these sources, none is of 'wbe'; there "
        f"are {', '.join(map(repr, names))}",
        "--keep highest:scroe: expected numbers in scroe, no record has one there, at its top or "
        f"in its meta; the first one has {'none' if first is None else repr('score')}",
    ]
    for line in expected:
        assert f"  notice: {line}\n" in done.stderr
    assert json.loads((tmp_path / "out/manifest.json").read_text())["notices"] == expected


def test_a_rule_that_one_record_answers_is_not_told(tmp_path: Path) -> None:
    # Numbers whose keys are all ones in their lower half, or nearly.
    for number, score in enumerate([0, -0.0, 1, -1e300, 1.7976931348623157e308]):
        records = [{"text": "a", "source": "b"}, {"text": "c", "source": "d", "meta": {"f": score}}]
        source = write(tmp_path / f"{number}.jsonl", records)
        for rules in [("highest:f",), ("lowest:f",), ("source:d,b", "highest:f")]:
            output = tmp_path / f"{number}-{'-'.join(rules)}"
            assert run([source], output, DedupConfig(keep=rules)).notices == []
            source = write(source, [*records[:1], {**records[1], "meta": {"f": None}}])
            again = run([source], output.with_name(f"{output.name}-null"), DedupConfig(keep=rules))
            assert len(again.notices) == 1
            source = write(source, records)


def test_steps_of_tasks_tell_the_same(tmp_path: Path, preprocess: Preprocess) -> None:
    source = write(tmp_path / "a.jsonl", alike(Random(3), 0))
    for step in ("sign", "bands", "connect", "drop"):
        tasks = ["--step", step, "--task", "0", "--num-tasks", "1", "--keep", "lowest:other"]
        assert preprocess("dedup", str(source), str(tmp_path / "out"), *tasks).returncode == 0
    assert preprocess("verify", str(tmp_path / "out"), "--complete").returncode == 0
    notices = json.loads((tmp_path / "out/manifest.json").read_text())["notices"]
    assert len(notices) == 1
    assert notices[0].startswith("--keep lowest:other: expected numbers in")
