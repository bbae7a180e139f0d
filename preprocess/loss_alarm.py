"""The alarm of `dedup`: a source that would lose most of its records stops the run.

Records made from one template can look alike to any rule; a whole dataset has been lost that way
without a word. So before anything is dropped, each source's loss is held against a limit, and one
beyond it goes on only where somebody has looked and says so by name.

Near-duplicates count for every source. Of agent data (tool documentation, trajectories, function
calls) exact duplicates count as well: such a set is made record by record, and copies by the third
of it mean that it was read twice, or wrongly. Of web pages, code and text copies are what a crawl
is full of. For the same reason agent data must not lose more of its text where parts are cut.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import msgspec

from preprocess.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

LARGEST_SHARE = 0.3
"""Share of a source's records that falls without a question."""

LEAST_RECORDS = 100
"""Of fewer records, a share says little."""

NAMES_SHOWN = 5


class SourceLoss(msgspec.Struct, frozen=True, kw_only=True):
    """What a source would lose."""

    records: int
    """That were read, those that fall included."""
    exact: int
    near: int
    agent_records: int = 0
    """Of the records, those of agent data."""
    agent_fallen: int = 0

    @property
    def fallen(self) -> int:
        """Records that fall, for whatever reason."""
        return self.exact + self.near

    @property
    def largest_share(self) -> float:
        """The share of its records that falls, or of those of agent data if that is larger."""
        return max(
            self.fallen / max(self.records, 1), self.agent_fallen / max(self.agent_records, 1)
        )

    @property
    def is_alarming(self) -> bool:
        """Whether so much is lost that somebody has to look at it."""
        of_all = _is_beyond(self.records, self.near)
        return of_all or _is_beyond(self.agent_records, self.agent_fallen)

    def describe(self, equal: str) -> str:
        """Return it as users read it, `equal` being what duplicates are that are not near.

        Of agent data alone, where only that is alarming.
        """
        if self.agent_records < self.records and not _is_beyond(self.records, self.near):
            share = self.agent_fallen / max(self.agent_records, 1)
            return (
                f"{self.agent_fallen:,} of its {self.agent_records:,} records of agent data "
                f"({share:.1%}, {equal} duplicates included)"
            )
        return (
            f"{self.fallen:,} of {self.records:,} records ({self.fallen / self.records:.1%}: "
            f"{self.exact:,} {equal} and {self.near:,} near duplicates)"
        )


class TextLoss(msgspec.Struct, frozen=True, kw_only=True):
    """What a source of agent data would lose where parts of texts are cut."""

    records: int
    text_bytes: int
    cut_bytes: int

    @property
    def share(self) -> float:
        """Of the text, what would go."""
        return self.cut_bytes / self.text_bytes if self.text_bytes else 0.0

    @property
    def is_alarming(self) -> bool:
        """Whether so much is lost that somebody has to look at it."""
        return self.records >= LEAST_RECORDS and self.share > LARGEST_SHARE

    def describe(self) -> str:
        """Return it as users read it."""
        return f"{self.cut_bytes:,} of {self.text_bytes:,} bytes of text ({self.share:.1%})"


def _is_beyond(records: int, fallen: int) -> bool:
    return records >= LEAST_RECORDS and fallen > LARGEST_SHARE * records


def refuse_losses(
    losses: Mapping[str, SourceLoss],
    allowed: Collection[str],
    output: Path,
    *,
    equal: str = "exact",
) -> None:
    """Stop before a source loses more than it may.

    Args:
        losses: What each source would lose.
        allowed: Sources that may lose any number.
        output: The directory of the run, where `clusters.parquet` is to be looked at.
        equal: What duplicates are called that are not near.

    Raises:
        UserError: Naming the source that loses most, and how to go on; or a source is allowed
            that no record is of.
    """
    if unknown := sorted(set(allowed) - losses.keys()):
        raise UserError(
            f"--allow-loss: expected a source of the input ({_some(sorted(losses))}), "
            f"got {unknown[0]!r}; correct the name"
        )
    alarming = [
        (-loss.largest_share, source)
        for source, loss in losses.items()
        if loss.is_alarming and source not in allowed
    ]
    look = f"the pairs (`preprocess inspect {shlex.quote(str(output))} --clusters 10`)"
    told = {source: losses[source].describe(equal) for _, source in sorted(alarming)}
    _refuse(told, "records", look)


def refuse_text_losses(
    losses: Mapping[str, TextLoss], allowed: Collection[str], table: Path
) -> None:
    """Stop before a source of agent data loses more of its text than it may.

    Args:
        losses: What each source would lose.
        allowed: Sources that may lose any part.
        table: The `cuts.parquet` that is to be looked at.

    Raises:
        UserError: Naming the source that loses most, and how to go on.
    """
    alarming = [
        (-loss.share, source)
        for source, loss in losses.items()
        if loss.is_alarming and source not in allowed
    ]
    told = {source: losses[source].describe() for _, source in sorted(alarming)}
    _refuse(told, "text", str(table))


def _refuse(told: Mapping[str, str], what: str, look: str) -> None:
    """Refuse what these sources would lose, the one that loses most first."""
    if not told:
        return
    sources = list(told)
    others = f", and {_some(sources[1:])} too much as well" if len(sources) > 1 else ""
    options = " ".join(f"--allow-loss {shlex.quote(source)}" for source in sources[:NAMES_SHOWN])
    raise UserError(
        f"expected no source to lose more than {LARGEST_SHARE:.0%} of its {what}, "
        f"{sources[0]} would lose {told[sources[0]]}{others}; nothing was dropped: look at "
        f"{look}, then run the same command with {options}, or with other options into a new "
        "directory"
    )


def _some(names: list[str]) -> str:
    """Return the first names and how many more there are."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
