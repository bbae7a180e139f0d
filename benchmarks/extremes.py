"""What a rate on web text does not say: starting, reading, a second worker, hostile texts."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import corpora, end_to_end
from benchmarks.measure import measure, wall
from benchmarks.to_disk import one_record
from preprocess import _rust_ext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.in_memory import Row
    from benchmarks.models import Model
    from benchmarks.rig import Rig

ROOT = Path(__file__).parent.parent
STARTS = 5
RUNS = 3
SCALED = ("gpt2", "llama3")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One number with its name."""

    what: str
    model: str
    value: float
    unit: str

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {"what": self.what, "model": self.model, "value": self.value, "unit": self.unit}


def loading(rig: Rig) -> Iterator[Figure]:
    """Wall time of loading a tokenizer, first with no kept tables, then with those of before."""
    for model in rig.models:
        shutil.rmtree(rig.work / "cache", ignore_errors=True)
        seconds = [rig.ask("load", model=model.to_json())["seconds"] for _ in range(1 + STARTS)]
        for what, value in (("load, first", seconds[0]), ("load, again", min(seconds[1:]))):
            yield Figure(what=what, model=model.name, value=1e3 * value, unit="ms")


def reading(rig: Rig, *, is_whole: bool) -> Iterator[Figure]:
    """CPU time around the encoder, of the whole way only where there is time to build its bench."""
    scan = measure(RUNS, lambda: _rust_ext.scan_records(rig.source))[0]
    size = rig.corpora["web"].text_bytes
    yield Figure(what="reading, JSON", model="", value=1e9 * scan / size, unit="ns/byte")
    if is_whole and shutil.which("cargo"):
        yield from _around_the_encoder(rig)


def _around_the_encoder(rig: Rig) -> Iterator[Figure]:
    """Take the encoder's place by a stand-in: a difference of two runs would drown in noise."""
    output = rig.work / "around"
    output.mkdir()
    command = ["cargo", "bench", "--quiet", "--bench", "around_the_encoder", "--"]
    command += [str(rig.source.resolve()), str(output)]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for dtype, value in re.findall(r"1 workers, (\w+) +([\d.]+) ns/byte", printed):
        yield Figure(what="reading, JSON, writing", model=dtype, value=float(value), unit="ns/byte")


def _ours(rows: list[Row], model: str) -> Row:
    return next(row for row in rows if (row.model, row.corpus, row.who) == (model, "web", "ours"))


def scaling(rig: Rig) -> Iterator[Figure]:
    """Two workers, as a share of what two runs of one worker side by side write in that time."""
    for model in rig.models:
        if model.name not in SCALED and len(rig.models) > 1:
            continue
        alone = _wall(rig, model, 1, 2) - _wall(rig, model, 1, 2, started_only=True)
        together = _wall(rig, model, 2, 1) - _wall(rig, model, 2, 1, started_only=True)
        share = alone / 2 / together
        yield Figure(what="two workers / two runs", model=model.name, value=share, unit="share")


def _wall(
    rig: Rig, model: Model, workers: int, at_once: int, *, started_only: bool = False
) -> float:
    source = one_record(rig) if started_only else rig.source
    outputs = [rig.work / f"scaled-{number}" for number in range(at_once)]
    commands = [
        end_to_end.our_command(model, source, output, workers=workers) for output in outputs
    ]
    return wall(RUNS, lambda: end_to_end.run_afresh(commands, outputs))


def worst(rig: Rig, rows: list[Row], text_bytes: int) -> Iterator[Figure]:
    """Time per byte of texts that a careless encoder is slow on, over that of web text."""
    files = {
        name: corpora.store(name.replace(" ", "-"), [make(text_bytes)], rig.work)
        for name, make in corpora.WORST.items()
    }
    for model in rig.models:
        web = _ours(rows, model.name)
        assert web.cold is not None, "ours was timed"
        for name, corpus in files.items():
            answer = rig.ask("memory", model=model.to_json(), corpus=corpus.path, passes=1)
            ratio = (answer["cold"] / corpus.text_bytes) / (web.cold / web.text_bytes)
            yield Figure(what=name, model=model.name, value=ratio, unit="x web text")
