"""Which files of a directory are a dataset's, by the end of their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import PurePath

_COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True, init=False)
class Named:
    """Whether a file has one of these suffixes, in any case, maybe compressed.

    An object and no function in a function: readers go to other processes.
    """

    suffixes: tuple[str, ...]

    def __init__(self, *suffixes: str) -> None:
        object.__setattr__(self, "suffixes", suffixes)

    def __call__(self, relative: PurePath) -> bool:
        """Return whether a file's name ends so."""
        name = relative.name.lower()
        for suffix in _COMPRESSED:
            name = name.removesuffix(suffix)
        return name.endswith(self.suffixes)
