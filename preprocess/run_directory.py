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
import os
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.agreement import refuse_difference
from preprocess.errors import Misuse, UserError
from preprocess.fetch import local_unit, named
from preprocess.manifest import (
    MANIFEST,
    RUN,
    Agreement,
    Counts,
    InputEntry,
    Manifest,
    Shard,
    Share,
    concatenate,
    hash_file,
    read_journal,
    read_manifest,
    sync_directory,
    to_json,
    write_manifest,
    write_whole,
)

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.inputs import Unit

VERSION = "0.1.0"
REJECTED = "rejected.jsonl.zst"
DEFAULT_MEMORY_BYTES_PER_WORKER = 2 << 30
LEAST_MEMORY_BYTES = 64 << 10
"""Below it records of a usual length would be rejected: a unit was forgotten."""
MAX_RECORD_BYTES = 2 << 30
"""The longest record that is read, on any machine; `MAX_LINE_BYTES` of the extension."""

ProgressCallback = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What a run may use; nothing here changes a byte of the output but `max_record_bytes`."""

    workers: int
    memory_bytes: int
    task: int | None = None
    """This task's number, from 0; None: all units, and complete the directory."""
    num_tasks: int = 1
    max_rejected: float = 0.05
    """Largest share of native records that may be unreadable."""
    report: Callable[[str, int | None], contextlib.AbstractContextManager[ProgressCallback]] = (
        lambda _label, _total: contextlib.nullcontext(lambda _records, _text_bytes: None)
    )
    """Given a label and the bytes of text expected (None: unknown), shows progress."""

    def __post_init__(self) -> None:
        if self.memory_bytes < LEAST_MEMORY_BYTES:
            raise Misuse(
                f"expected --memory of {LEAST_MEMORY_BYTES >> 10} KiB or more, got "
                f"{self.memory_bytes} bytes; give it a unit, as 512MiB"
            )

    def limits(self) -> dict[str, int]:
        """Return what `run.json` must say of the memory, nothing where there is enough of it.

        Less memory than `MAX_RECORD_BYTES` rejects records that more would read: a run that
        began with it must go on with as much.
        """
        limit = self.memory_bytes
        return {"max_record_bytes": limit} if limit < MAX_RECORD_BYTES else {}


class FileSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Size and hash of a finished file."""

    bytes: int
    xxh3: str


class UnitShard(msgspec.Struct, frozen=True, kw_only=True):
    """A shard of a unit, before it has its final number."""

    shard: int
    series: str
    """`part`, or `valid` for what is held out."""
    records: int
    text_bytes: int
    files: dict[str, FileSummary]
    """Extension -> its file; the first one is the shard's own, the others stand beside it."""
    composition: list[Share] = []
    tokens: int | None = None


class UnitResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a unit."""

    shards: list[UnitShard]
    counts: Counts
    inputs: list[InputEntry]
    problems: list[str] = []
    notices: list[str] = []
    details: dict[str, int] = {}
    """Figures that are summed over the units."""
    check: Agreement | None = None


class _Begun(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `run.json`."""

    stage: str
    version: str
    config: dict[str, Any]
    inputs: list[dict[str, Any]]
    units: int


class RunDirectory:
    """The output directory of one stage."""

    def __init__(self, path: Path, begun: _Begun, units: list[Unit]) -> None:
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
        begun = _Begun(
            stage=stage,
            version=VERSION,
            config=_plain(config),
            inputs=[
                {"path": file.relative, "bytes": file.bytes, "xxh3": file.xxh3}
                for unit in units
                for file in unit.files
            ],
            units=len(units),
        )
        _make_directory(path)
        existing = _read_begun(path)
        if existing is None:
            _refuse_foreign(path)
            existing = _claim(path, begun)
        _refuse_other(path, existing, begun)
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
    begun = _read_begun(path)
    if begun is None:
        raise UserError(f"{path}: expected a directory that a stage began, found no {RUN} in it")
    return RunDirectory(path, begun, []).complete()


def judge(manifest: Manifest, directory: Path, options: RunOptions) -> None:
    """Say what is wrong with a complete output.

    Raises:
        UserError: An input was truncated, too much was rejected, nothing is left, or sampled
            records have other ids than the reference library gives them.
    """
    counts = manifest.counts
    rejected = sum(counts.rejected.values())
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts.rejected.items())
    if manifest.problems:
        raise UserError(
            f"{manifest.problems[0]}; what could be read is in {directory}; replace the file and "
            "run again into a new directory"
        )
    if counts.native and rejected > options.max_rejected * counts.native:
        raise UserError(
            f"expected at most {options.max_rejected:.1%} unreadable records, {rejected:,} of "
            f"{counts.native:,} were rejected ({reasons}); they are in {directory / REJECTED}, "
            "what could be read is kept; mend the input, or raise --max-rejected"
        )
    if counts.out == 0:
        by_licence = not {"license", "non_commercial_license"}.isdisjoint(counts.dropped)
        dropped = ", ".join(f"{reason} {count:,}" for reason, count in counts.dropped.items())
        raise UserError(
            f"expected records, none is left of {counts.native:,} in the input"
            f"{f' (dropped: {dropped})' if dropped else ''}"
            f"{f' (rejected: {reasons})' if reasons else ''}; "
            f"{'allow their licences by --licenses, or ' if by_licence else ''}"
            f"check the input of {directory}"
        )
    refuse_difference(manifest.check, counts.out, directory)


def _plain(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration as it reads back from JSON, so that it can be compared."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(config))
    return plain


def _make_directory(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise UserError(f"{path}: expected a directory to write into, found a file")
    path.mkdir(parents=True, exist_ok=True)


def _read_begun(path: Path) -> _Begun | None:
    try:
        content = (path / RUN).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return msgspec.json.decode(content, type=_Begun)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path / RUN}: expected what a stage wrote there, but {error}; choose a new directory"
        ) from error


def _refuse_foreign(path: Path) -> None:
    ours = {RUN, MANIFEST, "units", "tasks"}
    for name in sorted(entry.name for entry in path.iterdir()):
        if name not in ours and not name.startswith("."):
            raise UserError(
                f"{path}: expected an empty or new directory, found {name} in it; "
                "choose another, nothing there was touched"
            )


def _claim(path: Path, begun: _Begun) -> _Begun:
    """Write `run.json` unless somebody else just did; return what stands there."""
    # Not the number of the process alone: of two machines on one disk both may have it.
    private = path / f".{RUN}.{os.getpid()}-{secrets.token_hex(8)}.tmp"
    write_whole(private, to_json(begun))
    try:
        # A link fails where the name is taken, on NFS too: of two runs one wins.
        os.link(private, path / RUN)
    except FileExistsError:
        pass
    except OSError:
        # A file system without links; the rename is still whole.
        private.replace(path / RUN)
    finally:
        private.unlink(missing_ok=True)
    existing = _read_begun(path)
    assert existing is not None
    return existing


def _refuse_other(path: Path, existing: _Begun, begun: _Begun) -> None:
    if existing == begun:
        return
    if existing.stage != begun.stage:
        difference = f"stage {existing.stage}, not {begun.stage}"
    elif existing.version != begun.version:
        difference = f"version {existing.version}, not {begun.version}"
    elif existing.config != begun.config:
        name = min(
            name
            for name in existing.config.keys() | begun.config.keys()
            if existing.config.get(name) != begun.config.get(name)
        )
        if name == "max_record_bytes":
            raise UserError(_other_memory(path, existing, begun))
        difference = f"{name} {existing.config.get(name)!r}, not {begun.config.get(name)!r}"
    else:
        difference = f"other inputs ({_first_difference(existing.inputs, begun.inputs)})"
    raise UserError(
        f"{path}: this directory was begun with {difference}; "
        "choose a new directory, or remove this one"
    )


def _other_memory(path: Path, existing: _Begun, begun: _Begun) -> str:
    """Say that the limits of a record differ, which follow from the memory."""

    def shown(limit: int | None) -> str:
        return f"{limit} bytes" if limit else f"{MAX_RECORD_BYTES >> 30}GiB or more"

    before, now = (each.config.get("max_record_bytes") for each in (existing, begun))
    return (
        f"{path}: this directory was begun with --memory {shown(before)}, not {shown(now)}, which "
        "decides how long a record may be; give the same again, choose a new directory, or remove "
        "this one"
    )


def _first_difference(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> str:
    for old, new in zip(before, now, strict=False):
        if old["path"] != new["path"]:
            return f"{old['path']} where {new['path']} is now"
        if old != new:
            return f"{old['path']} has changed"
    return f"{len(before)} files, {len(now)} now"


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


def file_summary(path: Path) -> FileSummary:
    """Return the size and hash of a file."""
    size, xxh3 = hash_file(path)
    return FileSummary(bytes=size, xxh3=xxh3)
