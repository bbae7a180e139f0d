"""What every file of the agent datasets gives: one line a file, or a folder of documents.

    PYTHONPATH=tests .venv/bin/python -m golden ../shared/data/agent

writes `tests/golden.tsv` anew. A line that changes is a change of what users get: read the records
before it is committed.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from preprocess.readers import READERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.readers import Reader

TABLE = Path(__file__).with_name("golden.tsv")
GATHERED = ("text", "api_docs", "openapi")
"""Datasets of thousands of documents: a line for each folder below the dataset's."""

NOT_READ = "not read"
FIRST = ("native", "out")


def table(root: Path) -> list[str]:
    """Return the lines, in the order of the paths."""
    counts: dict[str, Counter[str]] = {}
    for directory in sorted(path for path in root.iterdir() if path.is_dir()):
        reader = READERS[directory.name]
        for path in sorted(each for each in directory.rglob("*") if each.is_file()):
            relative = PurePosixPath(path.relative_to(directory))
            name = _name(directory.name, relative)
            counts.setdefault(name, Counter()).update(dict(_fates(reader, path, relative)))
    return [f"{name}\t{_shown(counts[name])}" for name in sorted(counts)]


def _name(dataset: str, relative: PurePosixPath) -> str:
    if dataset in GATHERED and len(relative.parts) > 1:
        return f"{dataset}/{relative.parts[0]}/"
    return f"{dataset}/{relative}"


def _fates(reader: Reader, path: Path, relative: PurePosixPath) -> Iterator[tuple[str, int]]:
    if not reader.accepts(relative):
        yield NOT_READ, 1
        return
    found: Counter[str] = Counter()
    for outcome in reader.read(path, str(relative)):
        found["native"] += 1
        found["out"] += len(outcome.records)
        found.update(f"dropped {reason}" for reason in outcome.dropped)
        found.update(f"repaired {what}" for what in outcome.repairs)
        if outcome.rejection is not None:
            found[f"rejected {outcome.rejection.reason}"] += 1
    yield from found.items()


def _shown(counts: Counter[str]) -> str:
    first = [f"{name} {counts[name]}" for name in ("native", "out") if name in counts]
    rest = sorted(
        f"{name} {count}" for name, count in counts.items() if name not in ("native", "out")
    )
    return "; ".join([*first, *rest])


if __name__ == "__main__":
    TABLE.write_text("\n".join(table(Path(sys.argv[1]))) + "\n", encoding="utf-8")
