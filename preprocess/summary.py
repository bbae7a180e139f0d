"""What a stage says when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.manifest import Manifest
from preprocess.run_directory import REJECTED

if TYPE_CHECKING:
    from pathlib import Path


def summarize(stage: str, output: Path, manifest: object) -> str:
    """Return lines on what went in, what came out, what became of the rest and what to know."""
    if not isinstance(manifest, Manifest):
        return (
            f"preprocess {stage}: this task is done; when all are, "
            f"`preprocess verify {output} --complete` makes {output} whole"
        )
    counts = manifest.counts
    text = sum(shard.text_bytes for shard in manifest.shards)
    tokens = sum(shard.tokens or 0 for shard in manifest.shards)
    lines = [
        f"preprocess {stage}: {counts.in_:,} records in, {counts.out:,} out, "
        f"{text / 1e6:,.1f} MB of text{f', {tokens:,} tokens' if tokens else ''}, "
        f"{len(manifest.shards)} shards, {manifest.seconds:.1f} s -> {output}"
    ]
    if counts.dropped:
        lines.append(f"  dropped: {_reasons(counts.dropped)}")
    if "non_commercial_license" in counts.dropped:
        lines.append("  their licence forbids commercial use; --licenses names it, or any")
    if counts.repaired:
        lines.append(f"  repaired: {_reasons(counts.repaired)}")
    if counts.rejected:
        lines.append(f"  rejected: {_reasons(counts.rejected)}; see {output / REJECTED}")
    if manifest.check:
        lines.append(f"  check: {manifest.check}")
    lines += [f"  notice: {notice}" for notice in manifest.notices]
    return "\n".join(lines)


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in counts.items())
