"""Near-duplicate removal against every peer: how fast, how right, how it grows.

    python -m benchmarks.dedup --web FILE.jsonl.zst

End to end from `.jsonl.zst` to survivors; what is removed is held against all similar pairs, found
by brute force. Each run is a process of its own, whose whole tree is measured. Without options it
measures on this machine's own Python library. `--quick` takes a small slice of everything.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import zstandard

from benchmarks import machine, shingles
from benchmarks.duplicates import chart, end_to_end, growth, readme, same_bytes, tables, truth
from benchmarks.duplicates.peers import PACKAGES
from benchmarks.duplicates.rig import Rig
from benchmarks.duplicates.targets import judge
from benchmarks.source import lines_of, own_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).resolve().parents[1] / "README.md"

SLICE_BYTES = 30_000_000
"""For peers that need minutes."""

SCRIPT_BYTES = 60_000_000
QUICK = 20
"""By how much `--quick` divides every size."""

COPIED = 4
"""Every so manieth record of Python's own library comes again."""

RUNS = 3


def main(
    web: Annotated[Path | None, typer.Option(help="Web text as .jsonl.zst.")] = None,
    peer_python: Annotated[str, typer.Option(help="Python with the peers.")] = sys.executable,
    results: Annotated[Path, typer.Option(help="Where JSON and PNG go.")] = RESULTS,
    scratch: Annotated[
        Path | None, typer.Option(help="Where files of the run go: up to 15 GB.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A small slice of everything.")] = False,
    keep: Annotated[bool, typer.Option(help="Write the figures into README.md.")] = False,
) -> None:
    """Measure ours and its peers on the same records."""
    divisor = QUICK if quick else 1
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        rig = Rig(
            work=Path(directory).resolve(), peer_python=peer_python, runs=1 if quick else RUNS
        )
        source = web or _with_copies(own_records(rig.work), rig.work / "copies.jsonl.zst")
        _store(rig, source, divisor)
        content = _run(rig, SCRIPT_BYTES // divisor, results)
    content["source"] = web.name if web else "Python's own library, a fourth of it twice"
    path = results / "dedup.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    if keep:
        readme.rewrite(README, content)
    print(f"kept in {path}")


def _with_copies(source: Path, target: Path) -> Path:
    """Write records of which some come again, a few lines shorter.

    Source code that was written by hand has hardly any near-duplicates.
    """
    with zstandard.open(target, "wb", zstandard.ZstdCompressor(level=3)) as out:
        for number, line in enumerate(lines_of(source)):
            out.write(line)
            if number % COPIED == 0:
                record = json.loads(line)
                lines = record["text"].splitlines(keepends=True)
                record["text"] = "".join(lines[: -max(len(lines) // 20, 1)]) or "nothing left"
                record["id"] = f"copy of {record['id']}"
                out.write(json.dumps(record).encode() + b"\n")
    return target


def _store(rig: Rig, source: Path, divisor: int) -> None:
    """Make the corpora: all records, or the first of them, and a slice."""
    size = sum(map(_text_bytes, lines_of(source)))
    web = rig.store("web", _within(lines_of(source), size // divisor))
    rig.store("web slice", _within(lines_of(web.path), SLICE_BYTES // divisor))


def _within(lines: Iterable[bytes], limit_bytes: int) -> Iterator[bytes]:
    """Yield lines from the beginning, until there is so much text."""
    for line in lines:
        if limit_bytes <= 0:
            return
        limit_bytes -= _text_bytes(line)
        yield line


def _text_bytes(line: bytes) -> int:
    return len(json.loads(line)["text"].encode())


def _run(rig: Rig, script_bytes: int, results: Path) -> dict[str, Any]:
    described = machine.describe()
    say("all similar pairs, by brute force")
    web = rig.corpus("web")
    own = truth.find(web, shingles.own_classes())
    plain = truth.find(web, shingles.plain_classes())
    rows = []
    for row in end_to_end.run(rig, own, plain):
        rows.append(row)
        say(f"{row.who}, {row.corpus}, {row.format} {row.simd}: {row.failed or f'{row.rate:.1f}'}")
    clusters = truth.hold_clusters(own, web, end_to_end.output_of(rig, end_to_end.OURS, web))
    recall = truth.recall(own)
    del own, plain
    say("growing, other scripts, the same bytes")
    scripts = list(growth.in_scripts(rig, script_bytes))
    same = list(same_bytes.run(rig))
    grown = list(growth.grow(rig, os.cpu_count() or 1))
    targets = judge(rows, clusters, recall, grown, scripts, same)
    tables.show(rows, grown, scripts, same, targets)
    results.mkdir(parents=True, exist_ok=True)
    caption = (
        f"{web.text_bytes / 1e6:.0f} MB, {web.records:,} records; {described['processor']}, one "
        f"worker, commit {described['commit']}, {described['date']}"
    )
    chart.draw(rows, grown, results / "dedup.png", caption)
    return {
        "machine": described,
        "versions": _versions(rig),
        "corpora": {name: rig.corpus(name).to_json() for name in ("web", "web slice")},
        "end_to_end": [row.to_json() for row in rows],
        "clusters": asdict(clusters),
        "recall": asdict(recall),
        "grown": [each.to_json() for each in grown],
        "scripts": [each.to_json() for each in scripts],
        "same_bytes": [each.to_json() for each in same],
        "targets": [target.to_json() for target in targets],
    }


def _versions(rig: Rig) -> dict[str, str | None]:
    """Return the versions of the peers, None for those that are not installed."""
    job = json.dumps({"job": "versions", "peer": "", "packages": PACKAGES})
    done = subprocess.run(
        [rig.peer_python, "-m", "benchmarks.worker"],
        input=job,
        capture_output=True,
        text=True,
        check=True,
        env=rig.environment({}),
    )
    versions: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return versions


def say(what: str) -> None:
    """Tell a person who waits what is being done."""
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    typer.run(main)
