"""Near-duplicate removal, records to survivors, against datasketch.

    python -m benchmarks.dedup --corpus FILE.jsonl.zst

Without a corpus the text is this machine's own Python library, made into records first.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.corpora import within
from benchmarks.measure import measure
from benchmarks.source import own_records, texts_of

RESULTS = Path(__file__).parent / "results"
THRESHOLD = 0.8
WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One measurement."""

    what: str
    who: str
    is_ours: bool
    text_bytes: int
    cpu_seconds: float
    """The least of the runs."""
    agreement: str = ""
    """What was compared, and how it came out."""

    @property
    def rate(self) -> float:
        """MB of text per CPU-second."""
        return self.text_bytes / 1e6 / self.cpu_seconds

    def to_json(self) -> dict[str, Any]:
        """Return all of it, with the rate."""
        return {**asdict(self), "megabytes_per_cpu_second": round(self.rate, 2)}


def main(
    corpus: Annotated[Path | None, typer.Option(help="A .jsonl.zst file.")] = None,
    megabytes: Annotated[int, typer.Option(help="Text to take of the corpus.")] = 40,
) -> None:
    """Measure ours and datasketch on the same text."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        source = corpus or own_records(work)
        texts = within(texts_of(source), megabytes * 1_000_000)
        results = run(texts, work)
    _show(results)
    content = {
        **machine.describe(),
        "corpus": corpus.name if corpus else "Python's own library",
        "records": len(texts),
        "text_bytes": results[0].text_bytes,
        "results": [result.to_json() for result in results],
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "dedup.json").write_text(json.dumps(content, indent=2) + "\n")


def _show(results: list[Result]) -> None:
    ours = results[0]
    table = Table("what", "who", "MB/CPU-s", "ours / theirs", "same answer")
    for result in results:
        ratio = "" if result.is_ours else f"{ours.rate / result.rate:.1f}"
        table.add_row(result.what, result.who, f"{result.rate:.1f}", ratio, result.agreement)
    Console().print(table)


def run(texts: list[str], work: Path) -> list[Result]:
    """Measure both on the same records."""
    size = sum(len(text.encode()) for text in texts)
    records = work / "dedup.jsonl"
    records.write_text(
        "".join(
            json.dumps({"id": f"r#{number}", "text": text}) + "\n"
            for number, text in enumerate(texts)
        )
    )
    tiny = work / "tiny.jsonl"
    tiny.write_text('{"text": "a"}\n')

    def our_run(source: Path, output: str) -> float:
        command = [sys.executable, "-m", "preprocess", "dedup", str(source), str(work / output)]
        return measure(
            1, lambda: subprocess.run([*command, "--workers", "1"], check=True, capture_output=True)
        )[0]

    # Start is left out: the peer runs in this process, which has started.
    seconds = our_run(records, "unique") - our_run(tiny, "unique-start")
    manifest = json.loads((work / "unique/manifest.json").read_text())
    their_seconds, kept = measure(1, lambda: _datasketch(records, work / "theirs.jsonl"))
    removed = len(texts) - manifest["counts"]["out"]
    what = "dedup, records to survivors"
    return [
        Result(
            what=what,
            who="ours, each removal confirmed by its true Jaccard",
            is_ours=True,
            text_bytes=size,
            cpu_seconds=seconds,
            agreement=f"{removed:,} of {len(texts):,} removed",
        ),
        Result(
            what=what,
            who="datasketch MinHashLSH, 14 x 8, not confirmed",
            is_ours=False,
            text_bytes=size,
            cpu_seconds=their_seconds,
            agreement=f"{len(texts) - kept:,} of {len(texts):,} removed",
        ),
    ]


def _datasketch(source: Path, target: Path) -> int:
    """What its users write: insert unless something similar is there already."""
    from datasketch import MinHash, MinHashLSH

    lsh = MinHashLSH(num_perm=112, params=(14, 8))
    kept = 0
    with source.open() as lines, target.open("w") as out:
        for number, line in enumerate(lines):
            words = WORD.findall(json.loads(line)["text"].lower())
            shingles = {
                " ".join(words[start : start + 5]).encode()
                for start in range(max(len(words) - 4, 1))
            }
            sketch = MinHash(num_perm=112)
            sketch.update_batch(list(shingles))
            if not lsh.query(sketch):
                lsh.insert(number, sketch)
                out.write(line)
                kept += 1
    return kept


if __name__ == "__main__":
    typer.run(main)
