"""Which files of a directory are a dataset's, by the end of their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import PurePath

_COMPRESSED = (".gz", ".zst")


def named(*suffixes: str) -> Callable[[PurePath], bool]:
    """Return whether a file has one of these suffixes, in any case, maybe compressed."""

    def accepts(relative: PurePath) -> bool:
        name = relative.name.lower()
        for suffix in _COMPRESSED:
            name = name.removesuffix(suffix)
        return name.endswith(suffixes)

    return accepts
