"""Encoding against every peer: in memory, to disk, at the extremes.

    python -m benchmarks.tokenize --tokenizers DIR --web FILE.jsonl.zst --json DIR

Ids are compared with the reference before anything is timed; each peer runs in a process of its
own, on one thread. Without options it measures on this machine's own Python library with a
tokenizer that is trained on it. `--quick` takes a small slice of everything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks import chart, corpora, extremes, in_memory, machine, readme, tables, to_disk
from benchmarks.models import Model, find_models
from benchmarks.rig import Rig
from benchmarks.source import copy_records, own_records, texts_of
from benchmarks.targets import judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.corpora import Corpus
    from benchmarks.in_memory import Row
    from benchmarks.to_disk import DiskRow

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).resolve().parents[1] / "README.md"

SLICE_BYTES = 20_000_000
OTHER_BYTES = 8_000_000
"""Of code and of JSON."""

WORST_BYTES = 10_000_000
QUICK = 50
"""By how much `--quick` divides every size."""


def main(
    tokenizers: Annotated[Path | None, typer.Option(help="Folders gpt2, llama3, ...")] = None,
    web: Annotated[Path | None, typer.Option(help="Web text as .jsonl.zst.")] = None,
    json_directory: Annotated[Path | None, typer.Option("--json", help="JSON files.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="A tokenizer's name, again for more.")
    ] = None,
    peer_python: Annotated[str, typer.Option(help="Python with the peers.")] = sys.executable,
    results: Annotated[Path, typer.Option(help="Where JSON and PNG go.")] = RESULTS,
    quick: Annotated[bool, typer.Option("--quick", help="A small slice of everything.")] = False,
    keep: Annotated[bool, typer.Option(help="Write the figures into README.md.")] = False,
) -> None:
    """Measure our encoder and its peers on the same texts."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        source = web or own_records(work)
        rig = Rig(
            work=work,
            peer_python=peer_python,
            models=_models(tokenizers, only, source, work),
            corpora={},
            source=source,
            slice_source=work / "slice.jsonl.zst",
        )
        rig = _with_corpora(rig, json_directory, QUICK if quick else 1)
        content = _run(rig, results, is_whole=not quick)
    content["source"] = source.name if web else "Python's own library"
    path = results / "tokenize.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    if keep:
        readme.rewrite(README, content)
    print(f"kept in {path}")


def _run(rig: Rig, results: Path, *, is_whole: bool) -> dict[str, Any]:
    described, versions = machine.describe(), rig.versions()
    say("references")
    expected = in_memory.make_references(rig)
    rows = _told(in_memory.run(rig, expected))
    disk = _told(to_disk.run(rig, rows))
    say("starting, reading, scaling, hostile texts")
    figures = [
        *extremes.loading(rig),
        *extremes.reading(rig, is_whole=is_whole),
        *extremes.scaling(rig),
        *extremes.worst(rig, rows, WORST_BYTES // (1 if is_whole else QUICK)),
    ]
    targets = judge(rows, disk, figures)
    tables.show(rows, disk, targets)
    results.mkdir(parents=True, exist_ok=True)
    web = rig.corpora["web"]
    caption = (
        f"{web.text_bytes / 1e6:.0f} MB, {web.documents:,} documents; {described['processor']}, "
        f"one worker, commit {described['commit']}, {described['date']}"
    )
    chart.draw(rows, disk, results / "tokenize.png", caption)
    return {
        "machine": described,
        "versions": versions,
        "models": [model.name for model in rig.models],
        "corpora": {name: _describe(corpus) for name, corpus in rig.corpora.items()},
        "in_memory": [row.to_json() for row in rows],
        "to_disk": [row.to_json() for row in disk],
        "figures": [figure.to_json() for figure in figures],
        "targets": [target.to_json() for target in targets],
    }


def _told[T: (Row, DiskRow)](rows: Iterator[T]) -> list[T]:
    taken = []
    for row in rows:
        taken.append(row)
        say(f"{row.model}, {row.corpus}: {row.who}")
    return taken


def say(what: str) -> None:
    """Tell a person who waits what is being done."""
    print(what, file=sys.stderr, flush=True)


def _describe(corpus: Corpus) -> dict[str, Any]:
    return {key: value for key, value in corpus.to_json().items() if key != "path"}


def _with_corpora(rig: Rig, json_directory: Path | None, divisor: int) -> Rig:
    """Return the rig with all corpora stored, and its source cut where a small run asks for it."""
    source = rig.source
    web = list(texts_of(source))
    if divisor > 1:
        web = corpora.within(web, sum(len(text.encode()) for text in web) // divisor)
        source = rig.work / "web.jsonl.zst"
        copy_records(rig.source, source, len(web))
    part = corpora.within(web, SLICE_BYTES // divisor)
    copy_records(source, rig.slice_source, len(part))
    folder = json_directory or Path(sysconfig.get_paths()["purelib"])
    texts = {
        "web": web,
        "web slice": part,
        "code": corpora.within(corpora.python_library(), OTHER_BYTES // divisor),
        "Chinese": corpora.chinese(web),
        "JSON": corpora.within(corpora.json_documents(folder), OTHER_BYTES // divisor),
    }
    stored = {
        name: corpora.store(name.replace(" ", "-"), each, rig.work)
        for name, each in texts.items()
        if each
    }
    return Rig(
        work=rig.work,
        peer_python=rig.peer_python,
        models=rig.models,
        corpora=stored,
        source=source,
        slice_source=rig.slice_source,
    )


def _models(
    directory: Path | None, only: list[str] | None, source: Path, work: Path
) -> list[Model]:
    if directory is None:
        return [_own_model(source, work)]
    found = find_models(directory)
    names = [model.name for model in found]
    if not found or (unknown := [name for name in only or [] if name not in names]):
        wanted = ", ".join(unknown) if found else "folders gpt2, llama3, ..., tiktoken"
        raise typer.BadParameter(f"expected {wanted} in {directory}, found {', '.join(names)}")
    return [model for model in found if not only or model.name in only]


def _own_model(source: Path, work: Path) -> Model:
    command = [sys.executable, "-m", "preprocess", "train-tokenizer", str(source)]
    command += [str(work / "tokenizer"), "--vocab-size", "16384", "--sample-bytes", "16MiB"]
    subprocess.run(command, check=True)
    return Model(name="own_16k", path=str(work / "tokenizer/tokenizer.json"))


if __name__ == "__main__":
    typer.run(main)
