"""Where metrics go beside `metrics.jsonl`: TensorBoard and Weights & Biases, if asked for.

Both are optional packages, looked for before any process starts. A resumed training goes on in
the same TensorBoard directory, without what came after its checkpoint, and in the same run of
Weights & Biases, which passes over steps it has already: those of a resumed training are equal.
"""

import hashlib
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class SinkOptions:
    """Which of them are asked for."""

    tensorboard: bool = False
    """Whether to write `tensorboard/` in the checkpoint directory."""

    wandb_project: str = ""
    """The project at Weights & Biases, or ""; WANDB_MODE=offline sends nothing."""

    def check_installed(self) -> None:
        """Refuse what is not installed.

        Raises:
            ValueError: It names the option and the package.
        """
        for is_asked, option, package in (
            (self.tensorboard, "--tensorboard", "tensorboard"),
            (bool(self.wandb_project), "--wandb", "wandb"),
        ):
            if is_asked and importlib.util.find_spec(package) is None:
                raise ValueError(
                    f"{option} needs the package {package}, which is not installed; "
                    f"pip install {package}, or leave the option out"
                )


class Sink(Protocol):
    """What takes the entries of `metrics.jsonl`."""

    def write(self, entry: dict[str, Any]) -> None:
        """Take one entry."""

    def close(self) -> None:
        """Write the rest."""


def open_sinks(options: SinkOptions, directory: Path, step: int, config: Any) -> list[Sink]:
    """Return the sinks of a training that goes on behind `step`; one process calls this.

    Args:
        options: Which.
        directory: The checkpoint directory.
        step: The last step that counts.
        config: The resolved config, as JSON.
    """
    sinks: list[Sink] = []
    if options.tensorboard:
        sinks.append(TensorBoard(directory / "tensorboard", step))
    if options.wandb_project:
        sinks.append(WeightsAndBiases(options.wandb_project, directory, config))
    return sinks


def scalars(entry: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield names and numbers of an entry: a step's under `train/`, a group's loss under `valid/`.

    >>> list(scalars({"kind": "evaluation", "step": 5, "group": "code", "loss": 2.5}))
    [('valid/code/loss', 2.5)]
    """
    if entry["kind"] == "evaluation":
        yield f"valid/{entry['group']}/loss", entry["loss"]
        return
    for name, value in entry.items():
        if name not in ("step", "attempt") and isinstance(value, int | float):
            yield f"train/{name}", value


class TensorBoard:
    """Event files of TensorBoard."""

    def __init__(self, directory: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Of an earlier attempt nothing behind the checkpoint is shown.
        self._writer: Any = SummaryWriter(str(directory), purge_step=step + 1)

    def write(self, entry: dict[str, Any]) -> None:
        """Take one entry."""
        for name, value in scalars(entry):
            self._writer.add_scalar(name, value, entry["step"])

    def close(self) -> None:
        """Write the rest."""
        self._writer.close()


class WeightsAndBiases:
    """A run at Weights & Biases, named after the checkpoint directory."""

    def __init__(self, project: str, directory: Path, config: Any) -> None:
        wandb: Any = importlib.import_module("wandb")

        self._run: Any = wandb.init(
            project=project,
            name=directory.name,
            # The same directory is the same run, in whatever attempt.
            id=hashlib.sha256(str(directory).encode()).hexdigest()[:16],
            resume="allow",
            dir=str(directory),
            config=config,
        )

    def write(self, entry: dict[str, Any]) -> None:
        """Take one entry."""
        self._run.log(dict(scalars(entry)), step=entry["step"])

    def close(self) -> None:
        """Send the rest."""
        self._run.finish()
