"""What a stage or training asks of the cluster: `[slurm]` of the plan over the site's defaults.

```toml
[slurm]                # for every stage, not for trainings
tasks = 64
[slurm.tokens_agent]   # for one stage or one training, by its name
memory = "64G"
options = ["--constraint=bigmem"]
```
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from preprocess.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection

    from preprocess.plan import Plan
    from preprocess.slurm.site import Site


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What one stage or training asks for; empty or 0: the site's default."""

    tasks: int = 0
    at_once: int = 0
    cpus: int = 0
    memory: str = ""
    time: str = ""
    partition: str = ""
    nodes: int = 0
    """Of a training; 0: as few as hold its processes."""
    options: tuple[str, ...] = ()
    """Further options of sbatch."""

    def over(self, site: Site) -> Resources:
        """Return them with the site's defaults for a data stage."""
        return replace(
            self,
            tasks=self.tasks or site.tasks,
            at_once=self.at_once or site.tasks_at_once,
            cpus=self.cpus or site.cpus,
            memory=self.memory or site.memory,
            time=self.time or site.time,
            partition=self.partition or site.cpu_partition,
        )


def read_resources(
    plan: Plan, stages: Collection[str], trainings: Collection[str] = ()
) -> dict[str, Resources]:
    """Return what each stage and training asks for, by its name.

    What `[slurm]` says of all is for stages: their partition or memory would starve a training.

    Raises:
        UserError: A key or a name that is not known, a value of another kind.
    """
    where = f"{plan.path}: [slurm]"
    general = {key: value for key, value in plan.slurm.items() if not isinstance(value, dict)}
    common = _resources(where, Resources(), general)
    asked = dict.fromkeys(stages, common) | dict.fromkeys(trainings, Resources())
    for name, table in plan.slurm.items():
        if isinstance(table, dict):
            if name not in asked:
                raise UserError(
                    f"{where}: expected names of stages or trainings, found {name!r}; there are "
                    f"{', '.join(asked)}"
                )
            asked[name] = _resources(f"{plan.path}: [slurm.{name}]", asked[name], table)
    return asked


def _resources(where: str, common: Resources, table: dict[str, Any]) -> Resources:
    known = {field.name: getattr(common, field.name) for field in fields(Resources)}
    changes: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise UserError(f"{where}: expected {', '.join(known)}, found {key!r}; remove it")
        if isinstance(known[key], tuple):
            good = isinstance(value, list) and all(isinstance(each, str) for each in value)
            value = tuple(value) if good else value
        elif isinstance(known[key], int):
            good = isinstance(value, int) and not isinstance(value, bool) and value > 0
        else:
            good = isinstance(value, str) and value != ""
        if not good:
            kind = {int: "a whole number above 0", str: "a text"}.get(type(known[key]), "a list")
            raise UserError(f"{where}: expected {kind} as {key}, found {value!r}")
        changes[key] = value
    return replace(common, **changes)
