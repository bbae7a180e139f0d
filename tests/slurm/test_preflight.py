"""Which nodes a pre-flight calls bad, by what they said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from megatron_recipes.preflight import check_node, groups, judge, report

if TYPE_CHECKING:
    from pathlib import Path

NODES = ["a", "b", "c", "d"]


def said(**changed: str) -> list[str]:
    lines = {name: f"{name} ok clock=1000.0 python=3.12;torch=2.11" for name in NODES}
    return [line for line in (lines | changed).values() if line]


def rates(**changed: float) -> list[str]:
    """Return lines of all scopes; a name is a scope and its nodes, as pair_a_b."""
    lines = {}
    for scope, size in (("node", 300.0), ("pair", 90.0), ("next", 90.0), ("all", 80.0)):
        for group in groups(scope, len(NODES)):
            names = [NODES[node] for node in group]
            lines["_".join([scope, *names])] = (scope, names, size)
    for key, value in changed.items():
        scope, names, _ = lines[key]
        lines[key] = (scope, names, value)
    return [
        f"{scope} {','.join(names)} {rate}" for scope, names, rate in lines.values() if rate >= 0
    ]


def test_good_nodes_are_good() -> None:
    verdict = judge(NODES, said(), rates())
    assert verdict.bad == {}
    assert "all-reduce, node: 300.0 GB/s, least 300.0, 4 of 4 groups" in verdict.notes


@pytest.mark.parametrize(
    ("lines", "measured", "bad"),
    [
        (said(b="b bad GPU 3 has 7 uncorrected memory errors"), rates(), {"b": "GPU 3 has 7"}),
        (said(c=""), rates(), {"c": "did not answer"}),
        (said(d="d ok clock=1060.0 python=3.12;torch=2.11"), rates(), {"d": "its clock is +60.0"}),
        (said(a="a ok clock=1000.0 python=3.12;torch=2.9"), rates(), {"a": "has python=3.12, tor"}),
        (said(), rates(node_c=120.0), {"c": "all-reduce, node c: 120.0 GB/s, the median is 300.0"}),
        (said(), rates(node_d=-1), {"d": "all-reduce, node d: did not finish"}),
        (said(), rates(pair_a_b=9.0, next_b_c=9.0), {"b": "all-reduce, next b,c: 9.0 GB/s"}),
        (said(), rates(pair_c_d=-1, next_d_a=-1), {"d": "all-reduce, next d,a: did not finish"}),
    ],
)
def test_the_bad_node_is_named_with_the_reason(
    lines: list[str], measured: list[str], bad: dict[str, str]
) -> None:
    found = judge(NODES, lines, measured).bad
    assert list(found) == list(bad)
    for name, reason in bad.items():
        assert found[name].startswith(reason)


def test_one_slow_pair_blames_neither(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = judge(NODES, said(), rates(pair_a_b=9.0))
    assert verdict.bad == {}
    assert report(verdict, None) == 1, "but somebody has to look"
    assert "SLOW all-reduce, pair a,b: 9.0 GB/s" in capsys.readouterr().out


def test_bad_nodes_are_excluded_once(tmp_path: Path) -> None:
    verdict = judge(NODES, said(c=""), rates())
    path = tmp_path / "excluded.txt"
    path.write_text("x  # by hand\n")
    assert report(verdict, path) == 1
    assert report(verdict, path) == 1
    assert [line.split()[0] for line in path.read_text().splitlines()] == ["x", "c"]


def test_each_node_meets_two_others() -> None:
    for count in (2, 3, 4, 5, 8):
        met = groups("pair", count) + groups("next", count)
        for node in range(count):
            others = [pair for pair in met if node in pair]
            assert 1 <= len(others) <= 2
            assert all(len(set(pair)) == 2 for pair in others)


def test_a_node_says_what_is_wrong_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURMD_NODENAME", "n7")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert check_node(tmp_path, with_versions=False) == "n7 ok"
    assert check_node(tmp_path, with_versions=True).startswith("n7 ok clock=")
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
    monkeypatch.setenv("FORGE_HEALTH_COMMAND", "echo too hot >&2; exit 3")
    bad = check_node(tmp_path / "file" / "below", with_versions=False)
    assert bad == "n7 bad FORGE_HEALTH_COMMAND ended with status 3 too hot"
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "8")
    assert "Slurm gave 8 GPUs, nvidia-smi shows 0" in check_node(tmp_path, with_versions=False)
