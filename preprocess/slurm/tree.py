"""The jobs of a plan as a tree: each stage below the last one that it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from preprocess.slurm.work import Work

Jobs = dict[str, dict[str, list[tuple[str, str, bool]]]]
"""Stage -> step -> number, tasks and whether it was submitted just now."""


def tree(run: Path, works: Sequence[Work], jobs: Jobs) -> Iterator[str]:
    """Yield the lines of the tree."""
    order = {work.name: number for number, work in enumerate(works)}
    below: dict[str | None, list[Work]] = {}
    for work in works:
        parent = max(work.needs, key=order.__getitem__, default=None)
        below.setdefault(parent, []).append(work)
    yield str(run)
    yield from _branches(None, below, jobs, "")


def _branches(
    parent: str | None, below: dict[str | None, list[Work]], jobs: Jobs, indent: str
) -> Iterator[str]:
    children = below.get(parent, [])
    for number, work in enumerate(children):
        is_last = number == len(children) - 1
        others = [name for name in work.needs if name != parent]
        after = f"  (also after {', '.join(others)})" if others else ""
        yield f"{indent}{'`-' if is_last else '|-'} {work.name}: {_shown(work, jobs)}{after}"
        yield from _branches(work.name, below, jobs, indent + ("   " if is_last else "|  "))


def _shown(work: Work, jobs: Jobs) -> str:
    if work.is_done:
        return "done"
    steps = []
    for step, found in jobs[work.name].items():
        numbers = " ".join(
            f"{job}{f'[{tasks}]' if tasks else ''}{'' if is_new else ' (in the queue)'}"
            for job, tasks, is_new in found
        )
        steps.append(f"{step} {numbers}")
    return " -> ".join(steps) or "nothing to submit"
