"""How fast native files of agent data become records, in MB of JSON per CPU-second.

    python -m benchmarks.ingest --samples DIR

DIR holds real records of each format (`toolbench`, `api_pack`, ...). Files of 200 MB are made of
them with ids, names and values varied. Ours reads, validates, checks each call, renders, writes
and hashes compressed shards; the peer is what a script of one's own begins with: `json` parses each
record and writes it again to a `.jsonl.zst`, and understands none of it.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import machine, process_tree
from benchmarks.native.variants import samples_of, variants

RESULTS = Path(__file__).parent / "results"
SIZE_BYTES = 200_000_000
FILE_BYTES = 50_000_000
TARGET = 25.0
"""MB of JSON per CPU-second, for each format."""

RUNS = 3

SCRIPT = """
import json, sys, zstandard
with zstandard.open(sys.argv[1], "wb", zstandard.ZstdCompressor(level=3)) as out:
    for name in sys.argv[2:]:
        with open(name, encoding="utf-8") as file:
            value = json.load(file)
        for record in value if isinstance(value, list) else [value]:
            out.write(json.dumps(record, ensure_ascii=False).encode() + b"\\n")
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A native format, and where real records of it are."""

    dataset: str
    pattern: str
    is_file_each: bool
    """Whether a file holds one record, else an array of them."""


FORMATS = (
    Format(
        dataset="toolbench", pattern="toolbench/data_example/answer/**/*.json", is_file_each=True
    ),
    Format(dataset="api_pack", pattern="api_pack/src/data/**/*.json", is_file_each=False),
    Format(dataset="agenttraj_l", pattern="agenttraj_l/agentenv/**/*.jsonl", is_file_each=False),
    Format(dataset="apigen_xlam60k", pattern="apigen_xlam60k/*.json", is_file_each=False),
    Format(dataset="openapi", pattern="openapi/**/*.json", is_file_each=True),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What one format took."""

    dataset: str
    json_bytes: int
    native: int
    out: int
    rejected: int
    cpu_seconds: float
    peak_bytes: int
    peer_cpu_seconds: float

    @property
    def rate(self) -> float:
        """MB of JSON per CPU-second."""
        return self.json_bytes / 1e6 / self.cpu_seconds


def main(
    samples: Annotated[Path, typer.Option(help="Real records of each format.")],
    megabytes: Annotated[int, typer.Option(help="Of each format.")] = SIZE_BYTES // 1_000_000,
    scratch: Annotated[Path | None, typer.Option(help="Where files of the run go.")] = None,
    only: Annotated[str | None, typer.Option(help="This dataset alone.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the figures.")] = False,
) -> None:
    """Measure every format."""
    rows = []
    for form in FORMATS:
        if only in (None, form.dataset):
            with tempfile.TemporaryDirectory(dir=scratch) as work:
                rows.append(_measure(form, samples, megabytes * 1_000_000, Path(work)))
            print(f"{form.dataset}: {rows[-1].rate:.1f} MB/CPU-s", file=sys.stderr)
    _show(rows)
    if keep:
        RESULTS.mkdir(exist_ok=True)
        content: dict[str, Any] = {"machine": machine.describe(), "rows": [asdict(r) for r in rows]}
        (RESULTS / "ingest.json").write_text(json.dumps(content, indent=1) + "\n")


def _measure(form: Format, samples: Path, size_bytes: int, work: Path) -> Row:
    paths = sorted(path for path in samples.glob(form.pattern) if path.stat().st_size)
    files = _write(form, samples_of(paths), size_bytes, work / "native")
    best: process_tree.Usage | None = None
    program = (sys.executable, "-m", "preprocess", "ingest")
    options = ("--dataset", form.dataset, "--workers", "1", "--licenses", "any")
    for _ in range(RUNS):
        shutil.rmtree(work / "out", ignore_errors=True)
        usage = process_tree.run(
            [*program, str(work / "native"), str(work / "out"), *options],
        )
        if usage.status:
            raise SystemExit(f"{form.dataset}: {usage.stderr}")
        if best is None or usage.cpu_seconds < best.cpu_seconds:
            best = usage
    assert best is not None
    counts = json.loads((work / "out" / "manifest.json").read_text())["counts"]
    peer = process_tree.run(
        [sys.executable, "-c", SCRIPT, str(work / "peer.zst"), *map(str, files)]
    )
    return Row(
        dataset=form.dataset,
        json_bytes=sum(path.stat().st_size for path in files),
        native=counts["native"],
        out=counts["out"],
        rejected=sum(counts["rejected"].values()),
        cpu_seconds=best.cpu_seconds,
        peak_bytes=best.peak_bytes,
        peer_cpu_seconds=peer.cpu_seconds,
    )


def _write(form: Format, samples: list[Any], size_bytes: int, target: Path) -> list[Path]:
    """Write native files: one a record, or arrays of 50 MB."""
    target.mkdir()
    files: list[Path] = []
    held: list[bytes] = []
    size = 0

    def close() -> None:
        nonlocal size
        path = target / f"{len(files):06}.json"
        path.write_bytes(held[0] if form.is_file_each else b"[" + b",\n".join(held) + b"]")
        files.append(path)
        held.clear()
        size = 0

    for line in variants(samples, size_bytes):
        held.append(line)
        size += len(line)
        if form.is_file_each or size >= FILE_BYTES:
            close()
    if held:
        close()
    return files


def _show(rows: list[Row]) -> None:
    table = Table("dataset", "MB", "native", "out", "rejected", "MB/CPU-s", "json alone", "target")
    for row in rows:
        table.add_row(
            row.dataset,
            f"{row.json_bytes / 1e6:.0f}",
            f"{row.native:,}",
            f"{row.out:,}",
            f"{row.rejected:,}",
            f"{row.rate:.1f}",
            f"{row.json_bytes / 1e6 / row.peer_cpu_seconds:.1f}",
            "holds" if row.rate >= TARGET else "missed",
        )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
