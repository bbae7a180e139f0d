"""Whether a directory keeps the promises that every stage relies on, and how fast it is."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.doctor.findings import Finding, fail, ok, warn

if TYPE_CHECKING:
    from collections.abc import Callable

PROBE_BYTES = 64 << 20
"""Written to measure: enough to reach the disk, little enough to wait for."""

SLOW_BYTES_PER_SECOND = 50e6
"""`tokenize` with one worker writes about so much."""

LOW_BYTES = 10 << 30
NETWORKED = {"nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "fuse.sshfs"}


def check_directory(directory: Path) -> list[Finding]:
    """Try the directory, or the nearest one above it that exists; nothing is left in it."""
    place = directory.absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    probe = place / f".doctor.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        probe.mkdir()
    except OSError as error:
        return [
            fail(
                f"writing to {place}",
                f"refused: {error.strerror}",
                "choose another directory, or mend the permissions",
            )
        ]
    try:
        return [
            kind_of(place, Path("/proc/mounts")),
            space(place, shutil.disk_usage(place).free, os.statvfs(place).f_favail),
            *(
                attempt(name, probe, trial)
                for name, trial in (
                    ("rename over a file", rename_replaces),
                    ("exclusive creation", creates_once),
                    ("hard links", links_once),
                )
            ),
            speed(probe),
        ]
    finally:
        shutil.rmtree(probe, ignore_errors=True)


def attempt(name: str, probe: Path, trial: Callable[[Path], str]) -> Finding:
    """Run a trial, which returns what is wrong or nothing."""
    try:
        wrong = trial(probe)
    except OSError as error:
        wrong = f"refused: {error.strerror}"
    if not wrong:
        return ok(name, "works")
    if name == "hard links":  # the one promise that there is a way around
        return warn(name, wrong, "do not start the same command twice at once here")
    return fail(name, wrong, "finished files could be lost or mixed; choose another file system")


def rename_replaces(probe: Path) -> str:
    """Try that a rename puts a whole file in the place of another, and that fsync works."""
    old, new = probe / "old", probe / "new"
    old.write_bytes(b"old")
    with new.open("wb") as file:
        file.write(b"new")
        file.flush()
        os.fsync(file.fileno())
    new.replace(old)
    descriptor = os.open(probe, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    is_whole = old.read_bytes() == b"new" and not new.exists()
    return "" if is_whole else "the old content, or both names, are still there"


def creates_once(probe: Path) -> str:
    """Try that a name that is taken cannot be created."""
    taken = probe / "taken"
    taken.touch(exist_ok=False)
    try:
        taken.touch(exist_ok=False)
    except FileExistsError:
        return ""
    return "a name that is taken was created again"


def links_once(probe: Path) -> str:
    """Try that of two links to one name the second fails: so equal runs agree on who began."""
    source, target = probe / "source", probe / "target"
    source.touch()
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            return f"not there: {error.strerror}"
        raise
    try:
        os.link(source, target)
    except FileExistsError:
        return ""
    return "a name that is taken was linked again"


def speed(probe: Path) -> Finding:
    """Measure writing with fsync, and one fsync of nothing."""
    subject = "speed of writing"
    path = probe / "speed"
    block = secrets.token_bytes(1 << 20)  # nothing a file system could compress away
    try:
        with path.open("wb") as file:
            started = time.monotonic()
            for _ in range(PROBE_BYTES >> 20):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            seconds = time.monotonic() - started
            started = time.monotonic()
            os.fsync(file.fileno())
            sync = time.monotonic() - started
    except OSError as error:
        return fail(
            subject, f"refused: {error.strerror}", "free some space or choose another place"
        )
    return judge_speed(PROBE_BYTES / seconds, sync)


def judge_speed(bytes_per_second: float, sync_seconds: float) -> Finding:
    """Say what a speed means for a run."""
    found = (
        f"{bytes_per_second / 1e6:,.0f} MB/s to the disk, an empty fsync takes "
        f"{sync_seconds * 1e3:.1f} ms"
    )
    if bytes_per_second < SLOW_BYTES_PER_SECOND:
        return warn("speed of writing", found, "the disk is slower than one worker; choose another")
    return ok("speed of writing", found)


def space(place: Path, free: int, inodes: int) -> Finding:
    """Look at what is free."""
    found = f"{free / 1e9:,.1f} GB and {inodes:,} files free in {place}"
    if free < LOW_BYTES:
        return warn("free space", found, "--plan PLAN.toml says what a plan needs")
    # Some file systems make inodes as needed, and say that none is free.
    return ok("free space", found if inodes else f"{free / 1e9:,.1f} GB free in {place}")


def kind_of(place: Path, mounts: Path) -> Finding:
    """Say which file system it is, by the longest mount point above it."""
    subject = "file system"
    best, kind = "", "unknown"
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, mount, found, *_ = line.split()
        # The table writes spaces as \040.
        mount = mount.replace("\\040", " ")
        if len(mount) >= len(best) and place.is_relative_to(mount):
            best, kind = mount, found
    if kind in ("tmpfs", "ramfs"):
        return warn(
            subject,
            f"{kind} at {best}: it is memory, and gone after a restart",
            "choose a disk for what shall stay",
        )
    if kind in NETWORKED:
        return ok(subject, f"{kind} at {best}, shared: nothing of ours locks or maps files there")
    return ok(subject, f"{kind} at {best or place}")
