"""All that the page shows, gathered from the files of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.errors import UserError
from preprocess.manifest import Share
from preprocess.report.blends import Blend, Dataset, read_blends, read_datasets
from preprocess.report.clusters import Duplicates, read_duplicates
from preprocess.report.lengths import Lengths, read_lengths
from preprocess.report.stages import Origins, Stage, read_plan, read_stages
from preprocess.report.trainings import Training, read_trainings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What lies in a run's directory."""

    directory: Path
    stages: list[Stage]
    origins: Origins
    blends: list[Blend]
    datasets: list[Dataset]
    lengths: list[Lengths]
    duplicates: list[Duplicates]
    trainings: list[Training]
    notes: list[str] = field(default_factory=list)
    """What could not be read, one line each."""

    @property
    def first_stages(self) -> list[Stage]:
        """The complete stages that read nothing another stage wrote."""
        return [stage for stage in self.stages if stage.manifest and not self.origins.of(stage)]

    @property
    def last_stages(self) -> list[Stage]:
        """The stages that hold what is left: those that made tokens, else those nobody refined."""
        holding = [
            stage for stage in self.stages if stage.manifest and stage.manifest.composition()
        ]
        tokens = [stage for stage in holding if has_tokens(stage)]
        read = {name for stage in holding for name, _ in self.origins.of(stage)}
        return tokens or [stage for stage in holding if stage.name not in read]


def has_tokens(stage: Stage) -> bool:
    """Return whether a stage wrote datasets of tokens."""
    shards = stage.manifest.shards if stage.manifest else []
    return any(shard.tokens is not None for shard in shards)


def collect(run: Path) -> Run:
    """Read a run's directory; what is missing or damaged is left out and noted.

    Raises:
        UserError: It is no directory, or nothing in it comes from a stage or a training.
    """
    if not run.is_dir():
        raise UserError(
            f"{run}: expected the directory of a run, found "
            f"{'a file' if run.exists() else 'nothing there'}; give the directory that the plan "
            "names under [run]"
        )
    notes: list[str] = []
    plan = read_plan(run, notes)
    stages, origins = read_stages(run, plan, notes)
    trainings = read_trainings(run, plan, notes)
    if not stages and not trainings:
        raise UserError(
            f"{run}: expected a folder of each stage with its manifest.json or run.json, found "
            "none; give the directory that the plan names under [run]"
        )
    blends = read_blends(run)
    datasets = read_datasets(stages, blends)
    return Run(
        directory=run,
        stages=stages,
        origins=origins,
        blends=blends,
        datasets=datasets,
        lengths=read_lengths(datasets, notes),
        duplicates=read_duplicates(stages, origins, notes),
        trainings=trainings,
        notes=notes,
    )


def composition(stages: Iterable[Stage], key: Callable[[Share], str]) -> dict[str, Share]:
    """Return the records and bytes of text of some stages' output, summed by a key of the share."""
    sums: dict[str, Share] = {}
    for stage in stages:
        for share in stage.manifest.composition() if stage.manifest else []:
            before = sums.get(key(share))
            sums[key(share)] = Share(
                source=share.source,
                kind=share.kind,
                records=share.records + (before.records if before else 0),
                text_bytes=share.text_bytes + (before.text_bytes if before else 0),
            )
    return dict(sorted(sums.items(), key=lambda item: (-item[1].text_bytes, item[0])))
