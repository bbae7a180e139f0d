"""What the stages of a run left behind, in the order in which the data passed them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.errors import UserError
from preprocess.manifest import RUN, Manifest, Shard, read_manifest
from preprocess.plan import PLAN
from preprocess.sidecar import with_suffix

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The names in the run's copy of its plan; empty where there is none."""

    stages: dict[str, str] = field(default_factory=dict)
    """Stage -> its command, in order."""
    trainings: tuple[str, ...] = ()
    blends: dict[str, str] = field(default_factory=dict)
    """Training -> the blend that it was given, as the plan writes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One directory below RUN, or a stage that the plan names and nobody began."""

    name: str
    directory: Path
    command: str
    """The subcommand that made it; empty if unknown."""
    manifest: Manifest | None
    state: str
    """complete, or in words how far it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origins:
    """Which stage a stage's input came from."""

    shards: dict[tuple[str, str, str], Shard]
    """(stage, file name, xxh3) -> the shard. The hash keeps a moved run readable, and another
    run's stage of the same name apart."""

    def of(self, stage: Stage) -> list[tuple[str, Shard]]:
        """Return the shards that a stage read, each with the stage that wrote it."""
        found = []
        for entry in stage.manifest.inputs if stage.manifest else []:
            path = Path(entry.path)
            shard = self.shards.get((path.parent.name, path.name, entry.xxh3))
            if shard is not None:
                found.append((path.parent.name, shard))
        return found


def read_plan(run: Path, notes: list[str]) -> Plan:
    """Return the names in `plan.toml`; what is wrong with it becomes a note."""
    try:
        plan = tomllib.loads((run / PLAN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Plan()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        notes.append(f"{PLAN}: expected a plan, but {error}; the order is that of the inputs")
        return Plan()
    trainings = _tables(plan, "training")
    return Plan(
        stages={
            table["name"]: str(table.get("command", ""))
            for table in _tables(plan, "stage")
            if table.get("command") != "report"  # this page is not part of what it shows
        },
        trainings=tuple(table["name"] for table in trainings),
        blends={table["name"]: str(table["blend"]) for table in trainings if "blend" in table},
    )


def _tables(plan: dict[str, Any], key: str) -> list[dict[str, Any]]:
    tables = plan.get(key, [])
    return [
        table
        for table in (tables if isinstance(tables, list) else [])
        if isinstance(table, dict) and isinstance(table.get("name"), str)
    ]


def read_stages(run: Path, plan: Plan, notes: list[str]) -> tuple[list[Stage], Origins]:
    """Return the stages in order, and where each got its input.

    The order is the plan's; what the plan does not name follows, each stage behind those that
    it read, else by name.
    """
    found = {}
    for directory in sorted(path for path in run.iterdir() if path.is_dir()):
        stage = read_stage(directory, notes)
        if stage is not None:
            found[stage.name] = stage
    origins = Origins(
        shards={
            (stage.name, shard.name, shard.xxh3): shard
            for stage in found.values()
            for shard in (stage.manifest.shards if stage.manifest else [])
        }
    )
    planned = [
        found.pop(name) if name in found else stage_without_manifest(run / name, command)
        for name, command in plan.stages.items()
    ]
    return planned + _sorted_by_input(found, origins), origins


def read_stage(directory: Path, notes: list[str]) -> Stage | None:
    """Return what a stage left in a directory, None if none did; damage becomes a note."""
    try:
        manifest = read_manifest(directory)
    except UserError as error:
        notes.append(str(error))
        manifest = None
    if manifest is not None:
        return Stage(
            name=directory.name,
            directory=directory,
            command=manifest.stage,
            manifest=manifest,
            state="complete",
        )
    if not (directory / RUN).is_file():
        return None
    command, state = _begun(directory)
    return Stage(
        name=directory.name, directory=directory, command=command, manifest=None, state=state
    )


class _Begun(msgspec.Struct):
    """The part of `run.json` that matters here."""

    stage: str
    units: int


def _begun(directory: Path) -> tuple[str, str]:
    try:
        begun = msgspec.json.decode((directory / RUN).read_bytes(), type=_Begun)
    except (OSError, msgspec.MsgspecError):
        return "", "begun, and its run.json is damaged"
    # `00012.json` is a finished unit, `00012-00003.json` a finished shard of one.
    done = sum(path.stem.isdigit() for path in (directory / "units").glob("*.json"))
    return begun.stage, f"begun: {done:,} of {begun.units:,} units done"


def stage_without_manifest(path: Path, command: str) -> Stage:
    """Return a stage that a plan names, of which there is no manifest."""
    # What `blend` and `merge` write has no manifest: it is renamed when it is whole.
    is_there = path.exists() or with_suffix(path, ".idx").exists()
    state = "complete" if is_there else "not begun"
    return Stage(name=path.name, directory=path, command=command, manifest=None, state=state)


def _sorted_by_input(stages: dict[str, Stage], origins: Origins) -> list[Stage]:
    before = {
        name: {source for source, _ in origins.of(stage)} & stages.keys() - {name}
        for name, stage in stages.items()
    }
    placed: dict[str, Stage] = {}
    while len(placed) < len(stages):
        open_names = [name for name in sorted(stages) if name not in placed]
        ready = [name for name in open_names if before[name] <= placed.keys()]
        # Inputs cannot go in circles; should manifests say so nevertheless, the name decides.
        placed[(ready or open_names)[0]] = stages[(ready or open_names)[0]]
    return list(placed.values())


def total_text_bytes(shards: Iterable[Shard]) -> int:
    """Return the UTF-8 bytes of text in some shards."""
    return sum(shard.text_bytes for shard in shards)


def total_tokens(shards: Iterable[Shard]) -> int:
    """Return the tokens in some shards, 0 where they hold text."""
    return sum(shard.tokens or 0 for shard in shards)
