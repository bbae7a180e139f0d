"""Numbers of tasks as arrays that a site takes.

Slurm refuses an array with an index of `MaxArraySize` or more. So task T is the element
`T % size` of an array that is told the offset `T - T % size`.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def split(tasks: Iterable[int], size: int) -> dict[int, list[int]]:
    """Return the indices of each array by its offset.

    >>> split([0, 1, 7, 8, 9], 4)
    {0: [0, 1], 4: [3], 8: [0, 1]}
    """
    arrays: dict[int, list[int]] = {}
    for task in sorted(tasks):
        arrays.setdefault(task - task % size, []).append(task % size)
    return arrays


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as `--array` takes them.

    >>> ranges([0, 1, 2, 5, 7, 8])
    '0-2,5,7-8'
    """
    ordered = sorted(numbers)
    runs = groupby(enumerate(ordered), key=lambda pair: pair[1] - pair[0])
    found = []
    for _, run in runs:
        values = [value for _, value in run]
        found.append(f"{values[0]}-{values[-1]}" if len(values) > 1 else str(values[0]))
    return ",".join(found)
