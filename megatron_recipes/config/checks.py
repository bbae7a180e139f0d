"""What is asked of single fields, each refusal naming field and value."""

import dataclasses
from typing import Any

MAX_VALUE = 2**63
"""More than anything counts, and little enough to be computed with."""


def shown(value: object) -> str:
    """Return a value as a shell's `--set` takes it: booleans in lower case, no text as `""`."""
    if isinstance(value, bool):
        return str(value).lower()
    return '""' if value == "" else str(value)


def named(section: object, *names: str) -> str:
    """Return fields with their values, `name (value)`, joined by commas."""
    return ", ".join(f"{name} ({shown(getattr(section, name))})" for name in names)


def require_positive(section: object, *names: str) -> None:
    """Refuse fields of a section that are not above 0, or no number."""
    for name in names:
        value = getattr(section, name)
        _require_bounded(name, value)
        if value <= 0:
            raise ValueError(f"{name} ({value}) must be positive")


def require_not_negative(section: object, *names: str) -> None:
    """Refuse fields of a section that are below 0, or no number."""
    for name in names:
        value = getattr(section, name)
        _require_bounded(name, value)
        if value < 0:
            raise ValueError(f"{name} ({value}) must not be negative")


def _require_bounded(name: str, value: float) -> None:
    """Refuse what is no number, or too great."""
    if not abs(value) < MAX_VALUE:
        raise ValueError(f"{name} ({value!s:.24}) must be a number below {MAX_VALUE}")


def require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a field whose value is none of its choices."""
    if value not in choices:
        raise ValueError(f"{name} ({shown(value)}) must be one of {', '.join(choices)}")


def require_default(section: Any, reason: str, *names: str) -> None:
    """Refuse fields that were set though nothing would read them.

    Args:
        section: A section of a config.
        reason: Why they have no effect, as `with recompute_granularity (none)`.
        names: Its fields.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(section)}
    for name in names:
        if getattr(section, name) != defaults[name]:
            raise ValueError(
                f"{named(section, name)} has no effect {reason}; "
                f"leave it at {shown(defaults[name])}"
            )
