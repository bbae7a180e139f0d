"""The one place where a stage's output is begun, resumed, counted and completed.

While a stage runs, its directory holds:

| file | is |
|---|---|
| `run.json` | what was begun: stage, options, inputs, number of units; another run is refused |
| `units/UUUUU-SSSSS-SERIES.EXT` | shard S of unit U, whole |
| `units/UUUUU.json` | unit U is done: its shards, counts and inputs |
| `units/UUUUU-SSSSS-rejected.jsonl.zst` | unreadable records met while shard S was made |
| `units/UUUUU-SSSSS.json` | shard S is done, and how far unit U was read |
| `tasks/I-of-N.json` | task I has done all its units |
| `tasks/STEP-I-of-N.json` | task I has done its part of a step before the last one |

Completing renames the shards to `SERIES-NNNNN.EXT`, numbered in the order of the input, writes
`manifest.json` last and removes the rest but `run.json` and `rejected.jsonl.zst`. Every move is a
rename to a name that only depends on the input, so a run may be killed anywhere and started again,
and two equal runs at once are harmless.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.begun import Begun, begin_or_resume, read_begun
from preprocess.errors import UserError
from preprocess.fetch import local_unit, named
from preprocess.manifest import (
    RUN,
    Agreement,
    Counts,
    Manifest,
    Shard,
    concatenate,
    read_journal,
    read_manifest,
    sync_directory,
    to_json,
    write_manifest,
    write_whole,
)
from preprocess.unit_result import UnitResult

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from preprocess.inputs import Unit
    from preprocess.run_options import RunOptions

VERSION = "0.1.0"
REJECTED = "rejected.jsonl.zst"


class RunDirectory:
    """The output directory of one stage."""

    def __init__(self, path: Path, begun: Begun, units: list[Unit]) -> None:
        self.path = path
        self.units = units
        self._begun = begun
        self._started = time.monotonic()

    @property
    def journal(self) -> Path:
        """Where shards lie until the directory is complete."""
        return self.path / "units"

    @staticmethod
    def begin(path: Path, stage: str, config: dict[str, Any], units: list[Unit]) -> RunDirectory:
        """Begin a directory, or go on with one that was begun alike.

        Raises:
            UserError: It was begun with another stage, other inputs or options, or holds files
                that are not ours.
        """
        begun = Begun(
            stage=stage,
            version=VERSION,
            # As it reads back, so that it can be compared.
            config=msgspec.json.decode(msgspec.json.encode(config)),
            inputs=[
                {"path": file.relative, "bytes": file.bytes, "xxh3": file.xxh3}
                for unit in units
                for file in unit.files
            ],
            units=len(units),
        )
        begin_or_resume(path, begun)
        directory = RunDirectory(path, begun, units)
        if read_manifest(path) is None:
            directory.journal.mkdir(exist_ok=True)
        else:
            directory.discard_journal()  # of a run that was killed after its last step
        return directory

    @property
    def config(self) -> dict[str, Any]:
        """The options that it was begun with."""
        return self._begun.config

    def seconds(self) -> float:
        """Return how long this process has been at it."""
        return round(time.monotonic() - self._started, 3)

    def discard_journal(self) -> None:
        """Remove what is only of use until the directory is complete."""
        shutil.rmtree(self.journal, ignore_errors=True)
        shutil.rmtree(self.path / "tasks", ignore_errors=True)

    def manifest(self) -> Manifest | None:
        """Return the manifest if the directory is complete."""
        return read_manifest(self.path)

    def shard_path(self, unit: int, shard: int, series: str, extension: str) -> Path:
        """Return where a shard lies until the directory is complete."""
        return self.journal / f"{unit:05}-{shard:05}-{series}{extension}"

    def rejected_path(self, unit: int, shard: int) -> Path:
        """Return where unreadable records of a unit lie until the directory is complete."""
        return self.journal / f"{unit:05}-{shard:05}-{REJECTED}"

    def result(self, unit: int) -> UnitResult | None:
        """Return what became of a unit, or None if it is not done."""
        return read_journal(self.journal / f"{unit:05}.json", UnitResult)

    def units_of(self, options: RunOptions) -> list[Unit]:
        """Return the units of this task, all of them where there are no tasks."""
        if options.task is None:
            return self.units
        return self.units[options.task :: options.num_tasks]

    def run(self, options: RunOptions, do: Callable[[Unit], UnitResult]) -> None:
        """Do every unit of this task that is not done."""
        for unit in self.units_of(options):
            if self.result(unit.index) is None:
                if self.manifest() is not None:
                    return  # an equal run has completed the directory meanwhile
                try:
                    result = self._do(unit, do)
                    write_whole(self.journal / f"{unit.index:05}.json", to_json(result))
                except FileNotFoundError:
                    # An equal run that is ahead of us gives our files their final names, and in
                    # the end removes the journal: then the unit, or all, is done already.
                    if self.result(unit.index) is None and self.manifest() is None:
                        raise
        if options.task is not None:
            self._finish_task(options.task, options.num_tasks)

    def _do(self, unit: Unit, do: Callable[[Unit], UnitResult]) -> UnitResult:
        """Do a unit, what of it lies elsewhere fetched for as long."""
        with local_unit(unit, self.journal) as local:
            result = do(local)
            if local is unit:
                return result
            problems = [named(each, unit.files, self.journal) for each in result.problems]
            return msgspec.structs.replace(result, problems=problems)

    def _finish_task(self, task: int, num_tasks: int) -> None:
        done = [unit.index for unit in self.units if unit.index % num_tasks == task]
        self._mark(task, num_tasks, None, {"units": done})

    def finish_step(self, step: str, options: RunOptions) -> None:
        """Note that a task has done its part of a step that has others behind it."""
        if self.manifest() is None:
            self._mark(options.task or 0, options.num_tasks, step, {"step": step})

    def _mark(self, task: int, num_tasks: int, step: str | None, content: dict[str, Any]) -> None:
        mark = task_mark(self.path, task, num_tasks, step)
        mark.parent.mkdir(exist_ok=True)
        write_whole(mark, to_json({"task": task, "num_tasks": num_tasks, **content}))

    def missing(self) -> list[int]:
        """Return the units that are not done."""
        return [unit for unit in range(self._begun.units) if self.result(unit) is None]

    def complete(self, details: dict[str, Any] | None = None) -> Manifest:
        """Give the shards their final names and write the manifest.

        Raises:
            UserError: A unit is not done yet, or a shard is not what the journal says of it.
        """
        try:
            return self._complete(details or {})
        except FileNotFoundError:
            # An equal run that is done removes the journal while we look at it.
            finished = self.manifest()
            if finished is None:
                raise
            return finished

    def _complete(self, details: dict[str, Any]) -> Manifest:
        finished = self.manifest()
        if finished is not None:
            # An equal run completed it; what we wrote since then is of no use.
            self.discard_journal()
            return finished
        results = [self.result(unit) for unit in range(self._begun.units)]
        missing = [number for number, result in enumerate(results) if result is None]
        if missing:
            finished = self.manifest()  # an equal run may just have completed it
            if finished is not None:
                return finished
            raise UserError(
                f"{self.path}: expected all {len(results)} units, {len(missing)} are not done "
                f"(the first is {missing[0]}); run the tasks that are missing"
            )
        done = [result for result in results if result is not None]
        shards = self._rename(done)
        self._gather_rejected(len(done))
        sums: dict[str, Any] = {}
        for result in done:
            for name, value in result.details.items():
                sums[name] = sums.get(name, 0) + value
        manifest = Manifest(
            stage=self._begun.stage,
            version=self._begun.version,
            config=self._begun.config,
            inputs=[entry for result in done for entry in result.inputs],
            shards=shards,
            counts=Counts.total(result.counts for result in done),
            seconds=self.seconds(),
            details={**sums, **details},
            check=Agreement.total(result.check for result in done),
            problems=[problem for result in done for problem in result.problems],
            notices=[notice for result in done for notice in result.notices],
        )
        sync_directory(self.path)
        write_manifest(self.path, manifest)
        self.discard_journal()
        return manifest

    def _rename(self, results: list[UnitResult]) -> list[Shard]:
        shards: dict[str, list[Shard]] = {}
        for unit, result in enumerate(results):
            for each in result.shards:
                numbered = shards.setdefault(each.series, [])
                stem = f"{each.series}-{len(numbered):05}"
                # The shard's own file moves last: where it stands, all of it does.
                for extension, file in reversed(each.files.items()):
                    _move(
                        self.shard_path(unit, each.shard, each.series, extension),
                        self.path / f"{stem}{extension}",
                        file.bytes,
                    )
                main, *others = each.files
                numbered.append(
                    Shard(
                        name=f"{stem}{main}",
                        records=each.records,
                        bytes=each.files[main].bytes,
                        text_bytes=each.text_bytes,
                        xxh3=each.files[main].xxh3,
                        composition=each.composition,
                        tokens=each.tokens,
                        sidecars={other: each.files[other].xxh3 for other in others},
                    )
                )
        return [shard for series in sorted(shards) for shard in shards[series]]

    def _gather_rejected(self, units: int) -> None:
        """Append the units' files, in the order of the input."""
        numbered = []
        for path in self.journal.glob(f"*-{REJECTED}"):
            unit, shard, *_ = path.name.split("-")
            if unit.isdigit() and int(unit) < units:
                numbered.append((int(unit), int(shard), path))
        # What an equal run has begun to remove it has gathered already.
        if numbered and self.manifest() is None:
            concatenate(self.path / REJECTED, (path for _, _, path in sorted(numbered)))


def task_mark(path: Path, task: int, num_tasks: int, step: str | None = None) -> Path:
    """Return the file that says that a task has done its part, of one step where there are more."""
    stem = f"{task}-of-{num_tasks}.json"
    return path / "tasks" / (stem if step is None else f"{step}-{stem}")


def complete_directory(path: Path) -> Manifest:
    """Complete a directory whose tasks have all run (`preprocess verify --complete`).

    Raises:
        UserError: Nothing was begun there, or a unit is not done yet.
    """
    begun = read_begun(path)
    if begun is None:
        raise UserError(f"{path}: expected a directory that a stage began, found no {RUN} in it")
    return RunDirectory(path, begun, []).complete()


def _move(source: Path, target: Path, size: int) -> None:
    place = source
    try:
        found = source.stat().st_size
    except FileNotFoundError:
        # Moved before a kill, or by an equal run at the same time.
        if not target.exists():
            raise
        place, found = target, target.stat().st_size
    if found != size:
        raise UserError(
            f"{place}: expected the {size:,} bytes that were written, found {found:,}; "
            f"remove {target.parent} and run again"
        )
    if place is source:
        with contextlib.suppress(FileNotFoundError):  # an equal run was faster
            source.rename(target)
