"""`--train-roles`: whose turns are trained where a message does not say."""

from __future__ import annotations

from typing import Final

ROLES: Final = ("system", "user", "assistant", "tool")
DEFAULT: Final = ("assistant",)


def parse_roles(text: str) -> tuple[str, ...]:
    """Return the roles that are trained, in the order of the schema.

    >>> parse_roles("tool,assistant=1,user=0")
    ('assistant', 'tool')

    Raises:
        ValueError: A word that is no role, a role twice, or a weight that is neither 0 nor 1: a
            mask says whether a token counts, not how much.
    """
    table: dict[str, bool] = {}
    for part in text.split(","):
        role, _, weight = (each.strip() for each in part.partition("="))
        if role not in ROLES:
            raise ValueError(f"train_roles: expected roles among {', '.join(ROLES)}, got {role!r}")
        if role in table:
            raise ValueError(f"train_roles: expected each role once, got {role!r} twice")
        if weight not in ("", "0", "1"):
            raise ValueError(
                f"train_roles: expected a weight of 0 or 1 for {role}, got {weight!r}; a mask says "
                "whether a token counts, not how much"
            )
        table[role] = weight != "0"
    return tuple(role for role in ROLES if table.get(role))
