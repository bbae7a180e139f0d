"""Dataset `stabletoolbench`: ToolBench's test requests that can be answered, and answers to them.

Responses come from a cache or from a model that plays the API. All shapes are ToolBench's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.readers.datasets.toolbench.shapes import convert
from preprocess.readers.names import Named
from preprocess.readers.native import read_json
from preprocess.readers.reader import Options, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.records import Outcome


def read_file(
    path: Path,
    relative: str,
    options: Options,  # noqa: ARG001
    limit_bytes: int,
) -> Iterator[Outcome]:
    """Yield the outcome of each native record of a file."""
    return read_json(READER, path, relative, limit_bytes, convert)


READER = Reader(
    name="stabletoolbench",
    kind="trajectory",
    license="Apache-2.0",
    terms="requests of ToolBench's test split: leave them out where ToolBench's scores count",
    url="https://github.com/THUNLP-MT/StableToolBench",
    released="2024-03",
    published="765 solvable queries",
    layout="solvable_queries/*/*.json, data_example/*/*/*.json",
    unit="an element of an array; else a file",
    accepts=Named(".json", ".jsonl"),
    read_file=read_file,
    streams=True,
)
