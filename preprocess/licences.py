"""Which licences a corpus takes: what forbids commercial use stays out unless it is named."""

from __future__ import annotations

from dataclasses import dataclass

ANY = "any"
"""Stands for every licence there is."""

_MARKS = frozenset(("NC", "NONCOMMERCIAL"))


def is_non_commercial(license_: str) -> bool:
    """Return whether an SPDX identifier names a licence that forbids commercial use.

    >>> is_non_commercial("CC-BY-NC-SA-4.0"), is_non_commercial("Apache-2.0")
    (True, False)
    """
    words = license_.upper().replace("NON-COMMERCIAL", "NONCOMMERCIAL").replace("_", "-").split("-")
    return not _MARKS.isdisjoint(words)


def named(listed: str) -> tuple[str, ...]:
    """Return the licences of a list with commas between, sorted, each once.

    Raises:
        ValueError: One is empty, and so is a list without any.
    """
    found = {name.strip() for name in listed.split(",")}
    if "" in found:
        raise ValueError(f"expected SPDX names with commas between, or any, got {listed!r}")
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class Licences:
    """What `--licenses` lets in."""

    allowed: tuple[str, ...] = ()
    """SPDX identifiers, or `any`; empty: all but what is non-commercial."""

    def reason_to_drop(self, license_: str) -> str | None:
        """Return why a record of this licence stays out, None where it does not."""
        if not self.allowed:
            return "non_commercial_license" if is_non_commercial(license_) else None
        if license_ in self.allowed or ANY in self.allowed:
            return None
        if license_.casefold() in map(str.casefold, self.allowed):  # as SPDX compares them
            return None
        return "license"
