"""What is asked of single fields, each refusal naming field and value."""

import math


def require_positive(section: object, *names: str) -> None:
    """Refuse fields of a section that are not above 0, or no number."""
    for name in names:
        value = getattr(section, name)
        if not 0 < value < math.inf:  # not a number is neither
            raise ValueError(f"{name} ({value}) must be positive")


def require_not_negative(section: object, *names: str) -> None:
    """Refuse fields of a section that are below 0, or no number."""
    for name in names:
        value = getattr(section, name)
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} ({value}) must be a number that is not negative")


def require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a field whose value is none of its choices."""
    if value not in choices:
        raise ValueError(f"{name} ({value}) must be one of {', '.join(choices)}")
