"""The stages that may know a record, in the order in which it passed them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.errors import UserError
from preprocess.manifest import MANIFEST, RUN
from preprocess.report.stages import read_plan, read_stage, read_stages

if TYPE_CHECKING:
    from preprocess.report.stages import Stage


def stages_of(run: Path, notes: list[str]) -> list[Stage]:
    """Return the stages of a run, or a stage behind those that it read from.

    Raises:
        UserError: The directory is neither.
    """
    if (run / MANIFEST).is_file() or (run / RUN).is_file():
        return _chain(run, notes)
    if run.is_dir():
        stages, _ = read_stages(run, read_plan(run, notes), notes)
        if stages:
            return stages
    found = "none" if run.is_dir() else "a file" if run.exists() else "nothing there"
    raise UserError(
        f"{run}: expected the directory of a run or of one stage, with a manifest.json or "
        f"run.json in it or in its folders, found {found}; check the path"
    )


def _chain(last: Path, notes: list[str]) -> list[Stage]:
    """Return a stage and all that its inputs came through, each behind what it read."""
    placed: dict[Path, Stage] = {}
    open_directories: set[Path] = set()

    def place(directory: Path) -> None:
        key = directory.resolve()
        if key in placed or key in open_directories:
            return
        stage = read_stage(directory, notes)
        if stage is None:
            return
        open_directories.add(key)
        for parent in _read_from(stage):
            place(parent)
        placed[key] = stage

    place(last.resolve())
    return list(placed.values())


def _read_from(stage: Stage) -> list[Path]:
    """Return the directories of the files that a stage read, or where they were moved to."""
    entries = stage.manifest.inputs if stage.manifest else []
    parents = dict.fromkeys(Path(entry.path).parent for entry in entries)
    moved = stage.directory.resolve().parent
    return [parent if (parent / MANIFEST).is_file() else moved / parent.name for parent in parents]
