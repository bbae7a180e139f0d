"""`python -m benchmarks [--corpus FILE] [--tokenizer NAME=PATH ...]`: run all, print, keep.

Without a corpus the text is this machine's own Python library, made into records first.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import dedup, tokenize
from benchmarks.measure import Result, load_texts

RESULTS = Path(__file__).parent / "results"


def main(
    corpus: Annotated[Path | None, typer.Option(help="A .jsonl(.gz|.zst) file.")] = None,
    tokenizer: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH of a tokenizer.json, again for more.")
    ] = None,
    megabytes: Annotated[int, typer.Option(help="Text to take of the corpus.")] = 40,
) -> None:
    """Measure ours and its peers on the same text."""
    if wrong := [each for each in tokenizer or [] if "=" not in each]:
        raise typer.BadParameter(f"--tokenizer: expected NAME=PATH, got {wrong[0]!r}")
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        source = corpus or _own_library(work)
        texts = load_texts(source, megabytes * 1_000_000)
        named = dict(each.split("=", 1) for each in tokenizer or [])
        if not named:
            named = {"16k": str(_own_tokenizer(work, source))}
        results: list[Result] = []
        for name, path in named.items():
            results += tokenize.run(name, Path(path), texts, work)
        results += dedup.run(texts, work)
    _show(results)
    _keep(results, source.name if corpus else "Python's own library", texts)


def _own_library(work: Path) -> Path:
    command = ["preprocess", "ingest", _stdlib(), str(work / "own"), "--dataset", "source_code"]
    subprocess.run(command, check=True)
    return next((work / "own").glob("part-*.jsonl.zst"))


def _stdlib() -> str:
    import sysconfig

    return sysconfig.get_paths()["stdlib"]


def _own_tokenizer(work: Path, source: Path) -> Path:
    command = ["preprocess", "train-tokenizer", str(source), str(work / "tokenizer")]
    subprocess.run([*command, "--vocab-size", "16384", "--sample-bytes", "16MiB"], check=True)
    return work / "tokenizer/tokenizer.json"


def _show(results: list[Result]) -> None:
    table = Table("what", "who", "MB/CPU-s", "ours / theirs", "same answer")
    for result in results:
        ours = next(each for each in results if each.what == result.what and each.is_ours)
        ratio = "" if result.is_ours else f"{ours.rate / result.rate:.1f}"
        table.add_row(result.what, result.who, f"{result.rate:.1f}", ratio, result.agreement)
    Console().print(table)


def _keep(results: list[Result], corpus: str, texts: list[str]) -> None:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "corpus": corpus,
        "records": len(texts),
        "text_bytes": sum(len(text.encode()) for text in texts),
        "results": [result.to_json() for result in results],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "peers.json"
    path.write_text(json.dumps(content, indent=2) + "\n")
    print(f"kept in {path}")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


typer.run(main)
