"""What a run of `dedup` has to say that no user should have to look for.

A rule of `keep` that decides nothing, since no record has the source or the number that it names,
is misspelt, most likely. A cluster that is full may leave more of its kind than a user expects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from preprocess import _rust_ext
from preprocess.loss_alarm import SourceLoss

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from preprocess.dedup_config import DedupConfig
    from preprocess.inputs import Unit

MOST_NAMES = 8
"""Names that a notice spells out."""


class Connected(msgspec.Struct, frozen=True, kw_only=True):
    """What `connect` found, as far as it is told."""

    sources: dict[str, SourceLoss]
    full_clusters: int
    with_keep_number: int


def notices(found: Connected, config: DedupConfig, units: Sequence[Unit]) -> Iterator[str]:
    """Yield a line for each thing of the run that a user should know."""
    there = {name for name, loss in found.sources.items() if loss.records}
    for rule in config.keep:
        name, _, value = rule.partition(":")
        if name == "source":
            missing = [source for source in value.split(",") if source not in there]
            if missing:
                yield (
                    f"--keep {rule}: expected records of these sources, none is of "
                    f"{_listed(missing)}; there are {_listed(sorted(there))}"
                )
        elif name in ("highest", "lowest") and not found.with_keep_number:
            yield (
                f"--keep {rule}: expected numbers in {value}, no record has one there, at its top "
                f"or in its meta; the first one has {_listed(_number_fields(units))}"
            )
    if found.full_clusters:
        clusters = "1 cluster" if found.full_clusters == 1 else f"{found.full_clusters:,} clusters"
        yield (
            f"{clusters} reached --max-cluster {config.max_cluster}; of further near-duplicates "
            "others survive, each with a cluster of its own; raise it to keep fewer"
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:MOST_NAMES]))  # names may hold anything
    more = len(names) - MOST_NAMES
    return f"{shown} and {more:,} more" if more > 0 else shown or "none"


def _number_fields(units: Sequence[Unit]) -> list[str]:
    """Return the fields of the first record that hold numbers, as a rule of `keep` names them."""
    try:
        line = _rust_ext.read_line(units[0].files[0].path, 0)
        record = msgspec.json.decode(line)
    except (ValueError, OSError):  # no record, or none that can be read: it is told elsewhere
        return []
    if not isinstance(record, dict):
        return []
    meta = record.get("meta")
    return [*_numbers(record), *(_numbers(meta) if isinstance(meta, dict) else [])]


def _numbers(fields: dict[str, Any]) -> list[str]:
    return [name for name, value in fields.items() if type(value) in (int, float)]
