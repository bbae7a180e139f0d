"""The checkpoint directory of a training, as files: nothing here imports torch.

| name | is |
|---|---|
| `config.json` | the resolved config, the blend's identity and where the weights came from |
| `step_0000100/` | a whole checkpoint: it got this name when every process had written its part |
| `.step_0000100.unfinished/` | one whose save has not finished, or that is being removed |
| `step_0000100.damaged/` | one that was found to be damaged; nothing reads or removes it |
| `hf/` | config and tokenizer of the Hugging Face model whose weights this began with |
| `imported/` | that model as a checkpoint, where `--from` named its directory |
| `metrics.jsonl` | one object a step and one per evaluation |
| `cache/` | Megatron-Core's dataset indices |
| `logs/attempt-N/rank-R.log` | what libraries print, per start and process |
| `.lock` | held by the training that runs in it |
| `DONE` | there when the last step is trained |
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megatron_recipes.settings import first_difference
from megatron_recipes.whole_files import write_json

STATE_FILE = "checkpoint.json"
HF_FILES = "hf"
"""The directory, in a checkpoint or beside those of a training, that keeps the small files of the
Hugging Face model the weights came from."""
_STEP_NAME = re.compile(r"step_(\d{7,})")
_UNFINISHED_NAME = re.compile(r"\.step_(\d{7,})\.unfinished")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileContent:
    """What a file of a checkpoint must be found to hold."""

    num_bytes: int
    """Its size."""

    sha256: str
    """The digest of all its bytes."""


def write_state(
    directory: Path, state: dict[str, Any], contents: Mapping[str, FileContent]
) -> None:
    """Write `checkpoint.json` into a checkpoint whose other files are on the disk.

    Args:
        directory: The checkpoint, still under the name of an unfinished one.
        state: What the checkpoint is.
        contents: Every other file, by its path in the directory.
    """
    names = sorted(contents)
    files = {name: contents[name].num_bytes for name in names}
    digests = {name: contents[name].sha256 for name in names}
    write_json(directory / STATE_FILE, state | {"files": files, "sha256": digests})


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A whole checkpoint."""

    path: Path
    """Its directory."""

    step: int
    """Steps done."""

    consumed_samples: int
    """Sequences trained on."""

    state: dict[str, Any]
    """`checkpoint.json`: also `model`, `layout`, `tokenizer`, and the size and SHA-256 of every
    file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IncompleteCheckpoint:
    """A directory that is no whole checkpoint."""

    path: Path
    """It."""

    reason: str
    """Why it is none."""

    is_finished: bool
    """Whether it was one once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDirectory:
    """The checkpoint directory of one training."""

    path: Path
    """The directory; made by `prepare`."""

    @property
    def metrics(self) -> Path:
        """The metrics file."""
        return self.path / "metrics.jsonl"

    @property
    def cache(self) -> Path:
        """Dataset indices."""
        return self.path / "cache"

    @property
    def imported(self) -> Path:
        """Where a Hugging Face directory that the training starts from is imported."""
        return self.path / "imported"

    @property
    def done(self) -> Path:
        """The mark of a finished training."""
        return self.path / "DONE"

    def step_directory(self, step: int) -> Path:
        """Return where the checkpoint of a step is when whole."""
        return self.path / f"step_{step:07d}"

    def unfinished_directory(self, step: int) -> Path:
        """Return where the checkpoint of a step is written."""
        return self.path / f".step_{step:07d}.unfinished"

    def log(self, attempt: int, rank: int) -> Path:
        """Return the file that takes what libraries print."""
        return self.path / "logs" / f"attempt-{attempt}" / f"rank-{rank}.log"

    def prepare(self, identity: dict[str, Any], *, writes: bool = True) -> None:
        """Make the directory for a training, or refuse one that was begun as another.

        Args:
            identity: The resolved config, the `blend`'s identity, and `from`.
            writes: Whether to write `config.json`: one process of a training does.

        Raises:
            ValueError: The directory was begun with other values, or is no training's.
        """
        saved = self.path / "config.json"
        if saved.exists():
            try:
                before = json.loads(saved.read_bytes())
            except ValueError as error:
                raise ValueError(f"{saved}: expected the config of a training: {error}") from None
            difference = first_difference(before, identity)
            if difference:
                raise ValueError(
                    f"{self.path} was begun with another {difference}; "
                    "give the same, or another --checkpoint-dir"
                )
        elif self.path.is_dir() and self._has_foreign_files():
            raise ValueError(
                f"{self.path}: expected a training's directory or an empty one; "
                "it has files, but no config.json"
            )
        elif self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(f"{self.path}: expected a directory, found a file")
        self.path.mkdir(parents=True, exist_ok=True)
        if writes:
            write_json(saved, identity)

    def _has_foreign_files(self) -> bool:
        # Processes that start together see each other's logs and temporary files.
        return any(
            entry.name != "logs" and not entry.name.startswith(".") for entry in self.path.iterdir()
        )

    def newest_checkpoint(self) -> tuple[Checkpoint | None, list[str]]:
        """Return the newest whole checkpoint, and a line for each newer one that is not whole.

        It is whole by its files and their sizes; their content is not read.
        """
        ignored: list[str] = []
        for found in self.checkpoints():
            if isinstance(found, Checkpoint):
                return found, ignored
            ignored.append(f"ignored checkpoint {found.path}: {found.reason}")
        return None, ignored

    def checkpoints(self) -> Iterator[Checkpoint | IncompleteCheckpoint]:
        """Yield every checkpoint, the newest first."""
        for path, is_finished in self._candidates():
            reason = incompleteness(path) if is_finished else "its save did not finish"
            if reason:
                yield IncompleteCheckpoint(path=path, reason=reason, is_finished=is_finished)
            else:
                yield read_checkpoint(path)

    def _candidates(self) -> Iterator[tuple[Path, bool]]:
        found = []
        for path in self.path.iterdir() if self.path.is_dir() else ():
            for pattern, is_finished in ((_STEP_NAME, True), (_UNFINISHED_NAME, False)):
                match = pattern.fullmatch(path.name)
                if match:
                    found.append((int(match[1]), is_finished, path))
        for _, is_finished, path in sorted(found, reverse=True):
            yield path, is_finished

    def remove_unfinished(self) -> None:
        """Remove what saves and removals that were interrupted have left."""
        for path, is_finished in list(self._candidates()):
            if not is_finished:
                shutil.rmtree(path)

    def retire_superseded(self, keep: int, keep_every: int) -> list[Path]:
        """Take their names from the whole checkpoints that are no longer kept.

        Args:
            keep: The newest ones that stay.
            keep_every: Those of a multiple of this step stay too; 0: no others.

        Returns:
            What is to be removed: under these names nothing takes one for whole, even partly
            removed.
        """
        leaving = []
        whole = [path for path, is_finished in self._candidates() if is_finished]
        for path in [path for path in whole if not incompleteness(path)][keep:]:
            step = int(path.name.removeprefix("step_"))
            if not keep_every or step % keep_every:
                leaving.append(path.replace(self.unfinished_directory(step)))
        return leaving

    def set_aside(self, checkpoint: Path) -> Path:
        """Give a damaged checkpoint a name under which nothing reads it; return that name."""
        aside = checkpoint.with_name(f"{checkpoint.name}.damaged")
        if aside.exists():
            shutil.rmtree(aside)
        return checkpoint.replace(aside)

    def next_attempt(self, rank: int | None = None) -> int:
        """Return the number of this start, from 1: of all, or of those that `rank` took part in."""
        name = f"rank-{0 if rank is None else rank}.log"
        attempts = [
            int(log.parent.name.removeprefix("attempt-"))
            for log in self.path.glob(f"logs/attempt-*/{name}")
        ]
        return max(attempts, default=0) + 1


def incompleteness(path: Path) -> str:
    """Return why a directory is no whole checkpoint, or "" if it is one."""
    try:
        state = json.loads((path / STATE_FILE).read_bytes())
        files = dict(state["files"])
        _ = state["step"], state["consumed_samples"]
    except FileNotFoundError:
        return f"it has no {STATE_FILE}"
    except (ValueError, KeyError, TypeError):
        return f"its {STATE_FILE} is damaged"
    for name, size in files.items():
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes instead of {size}"
    return ""


def read_checkpoint(path: Path) -> Checkpoint:
    """Return what `checkpoint.json` of a whole checkpoint says."""
    state = json.loads((path / STATE_FILE).read_bytes())
    return Checkpoint(
        path=path, step=state["step"], consumed_samples=state["consumed_samples"], state=state
    )


def find_checkpoint(path: Path, *, asked_by: str = "--from ") -> Checkpoint:
    """Return the checkpoint at a path: a step's directory, or a training's newest.

    Args:
        path: What the user named.
        asked_by: The option it was named by, for messages.

    Raises:
        FileNotFoundError: There is nothing at `path`.
        ValueError: It is no checkpoint, or not a whole one.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"{asked_by}{path}: expected a checkpoint, found no such directory")
    if _STEP_NAME.fullmatch(path.resolve().name):
        reason = incompleteness(path)
        if reason:
            raise ValueError(f"{asked_by}{path}: expected a whole checkpoint, but {reason}")
        return read_checkpoint(path.resolve())
    checkpoint, _ = RunDirectory(path=path.resolve()).newest_checkpoint()
    if checkpoint is None:
        raise ValueError(
            f"{asked_by}{path}: expected a checkpoint directory of megatron-recipes, found no "
            f"whole step_NNNNNNN in it{', and no config.json of a model' if asked_by else ''}"
        )
    return checkpoint


def hf_files(checkpoint: Path) -> Path | None:
    """Return the Hugging Face files kept with a checkpoint: its own, or those of its training."""
    for directory in (checkpoint / HF_FILES, checkpoint.parent / HF_FILES):
        if directory.is_dir():
            return directory
    return None
