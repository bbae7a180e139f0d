"""JSON as sources spell it: characters as they are, keys in their order, numbers exact.

One encoder and one decoder for records, readers, checks and templates: what one of them writes,
another reads as the same value.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec


def exact_number(spelled: str) -> float | Decimal:
    """Return a number that is written with the digits it was read with, as far as they matter."""
    value = float(spelled)
    shortest = repr(value)
    if shortest == spelled:
        return value
    try:
        exact = Decimal(spelled)
    except InvalidOperation as error:
        raise ValueError(f"the exponent of {spelled[:40]} is out of range") from error
    return value if Decimal(shortest) == exact else exact


ENCODER: Final = msgspec.json.Encoder(decimal_format="number")

DECODER: Final = msgspec.json.Decoder(float_hook=exact_number)
"""Numbers that a double cannot hold are `Decimal`."""


def to_json_text(value: Any) -> str:
    """Return a value as JSON without blanks."""
    return ENCODER.encode(value).decode()
