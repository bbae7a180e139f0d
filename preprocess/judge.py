"""Whether a complete output is good enough to go on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.agreement import refuse_difference
from preprocess.errors import UserError
from preprocess.run_directory import REJECTED

if TYPE_CHECKING:
    from pathlib import Path

    from preprocess.manifest import Manifest
    from preprocess.run_options import RunOptions


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
