"""Ids like one that no record has: most are a letter or a folder away from what was meant."""

from __future__ import annotations

import heapq
import re
from os.path import commonpath
from typing import TYPE_CHECKING

import msgspec

from preprocess.inputs import RECORD_SUFFIXES
from preprocess.readers.lines import read_lines
from preprocess.records import TruncatedInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.report.stages import Stage

NUM_SHOWN = 3
LEAST_ALIKE = 0.6
SEARCHED_BYTES = 128 << 20
"""Stored bytes that are looked at: a few seconds, however large the run is."""
_ID = re.compile(rb'"id"\s*:\s*("(?:[^"\\]|\\.)*")')


def near_misses(identifier: str, stages: list[Stage]) -> list[str]:
    """Return the ids among the first records of the run that are most like this one."""
    scored = ((_alike(identifier, other), other) for other in _ids(stages))
    # Of equally good ones the first in alphabetical order, whatever stage they are from.
    best = heapq.nsmallest(
        NUM_SHOWN, {(-score, other) for score, other in scored if score >= LEAST_ALIKE}
    )
    return [other for _, other in best]


def _alike(one: str, other: str) -> float:
    """Return the share of two ids that is alike at both ends; 1 if one holds the other."""
    first, second = one.casefold(), other.casefold()
    if first in second or second in first:
        return 1.0
    start = len(commonpath([first, second]))
    end = len(commonpath([first[start:][::-1], second[start:][::-1]]))
    return (start + end) / max(len(first), len(second))


def _ids(stages: list[Stage]) -> Iterator[str]:
    searched = 0
    for path in _record_files(stages):
        searched += path.stat().st_size
        if searched > SEARCHED_BYTES:
            return
        try:
            for line in read_lines(path):
                match = _ID.search(line.data)
                if match is not None:
                    yield str(msgspec.json.decode(match[1]))
        except (TruncatedInput, msgspec.MsgspecError, UnicodeDecodeError):
            continue  # only a hint is lost


def _record_files(stages: list[Stage]) -> Iterator[Path]:
    for stage in stages:
        for shard in stage.manifest.shards if stage.manifest else []:
            path = stage.directory / shard.name
            if shard.name.endswith(RECORD_SUFFIXES) and path.is_file():
                yield path
