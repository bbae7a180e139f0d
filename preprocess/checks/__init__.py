"""What holds of a record's function calls: each function exists, its arguments fit the schema."""

from collections.abc import Callable

from preprocess.checks.calls import check_calls
from preprocess.records import Record

REQUIREMENTS: dict[str, Callable[[Record], str | None]] = {}
"""What `--require` names: given a record, why it has to go, or None."""

__all__ = ["REQUIREMENTS", "check_calls"]
