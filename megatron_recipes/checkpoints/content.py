"""Whether the files of a checkpoint hold what was written: every process reads its share of them.

The sizes of files are looked at before a training starts; a flipped bit would show in the losses
only, if anywhere. So before a checkpoint is loaded its files are read once more, each by one
process, and the digests compared with those that were taken while they were written.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch.distributed

from megatron_recipes.run_directory import Checkpoint, RunDirectory


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(checkpoint: Checkpoint) -> str:
    """Return what is wrong with the content of a checkpoint, or "": the same on every process.

    Every process calls this together. A file without a digest counts as sound.
    """
    digests = sorted(checkpoint.state.get("sha256", {}).items())
    rank, world_size = torch.distributed.get_rank(), torch.distributed.get_world_size()
    found: list[str] = [""] * world_size
    torch.distributed.all_gather_object(
        found, first_damage(checkpoint.path, digests[rank::world_size])
    )
    return next(filter(None, found), "")


def first_damage(directory: Path, digests: Iterable[tuple[str, str]]) -> str:
    """Return what is wrong with the first file that has not the digest of its name, or ""."""
    for name, expected in digests:
        try:
            if digest_file(directory / name) != expected:
                return f"{name} is not as it was written: its SHA-256 differs"
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}"
    return ""


def require_sound(checkpoint: Checkpoint) -> None:
    """Refuse to begin with the weights of a damaged checkpoint; every process calls this together.

    Raises:
        ValueError: A file is not as it was written.
    """
    reason = damage(checkpoint)
    if reason:
        raise ValueError(f"--from {checkpoint.path}: {reason}; start from another checkpoint")


def newest_sound_checkpoint(run: RunDirectory, tell: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest checkpoint whose content is sound; every process calls this together.

    Newer ones that are not are set aside. Rank 0 looks for them, so that processes never resume
    from different steps when a shared file system shows them different lists.

    Args:
        run: Where.
        tell: Prints a line; only rank 0 calls it.

    Raises:
        ValueError: There are checkpoints, but none is sound: nothing is begun anew unasked.
    """
    damaged: list[tuple[Path, str]] = []
    for found in _from_rank_0(lambda: list(run.checkpoints())):
        reason = damage(found) if isinstance(found, Checkpoint) else found.reason
        if not reason:
            _from_rank_0(lambda: _set_aside(run, damaged, tell))
            assert isinstance(found, Checkpoint)
            return found
        if isinstance(found, Checkpoint) or found.is_finished:
            damaged.append((found.path, reason))
        elif torch.distributed.get_rank() == 0:
            tell(f"ignored checkpoint {found.path}: {reason}")
    if damaged:
        path, reason = damaged[0]
        raise ValueError(
            f"{path}: {reason}, and no older checkpoint is sound; bring back a copy of it, or "
            f"remove {run.path} to begin anew"
        )
    return None


def _set_aside(
    run: RunDirectory, damaged: list[tuple[Path, str]], tell: Callable[[str], None]
) -> None:
    for path, reason in damaged:
        tell(f"ignored checkpoint {path}: {reason}; it is now {run.set_aside(path).name}")


def _from_rank_0(act: Callable[[], Any]) -> Any:
    found = [act() if torch.distributed.get_rank() == 0 else None]
    torch.distributed.broadcast_object_list(found, src=0)
    return found[0]
