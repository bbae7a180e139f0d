"""Near-duplicate removal, records to survivors, against datasketch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.measure import Result, measure

if TYPE_CHECKING:
    from pathlib import Path

THRESHOLD = 0.8
WORD = re.compile(r"\w+")


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
