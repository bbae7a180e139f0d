"""What `--require` can ask of a record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from preprocess.records import Record

type Requirement = Callable[[Record], str | None]
"""Why a record is dropped, in snake_case; None where it fulfils the requirement."""


def valid_calls(record: Record) -> str | None:
    """Ask that every call of a record is valid; one without calls is."""
    checks = record.meta.get("checks")
    if not isinstance(checks, dict) or checks["valid"]:
        return None  # a reader that takes fields as they are may have one of that name
    return f"invalid_calls_{checks['faults'][0]['fault']}"


REQUIREMENTS: Final[dict[str, Requirement]] = {"valid-calls": valid_calls}
"""By the name that `--require` takes."""
