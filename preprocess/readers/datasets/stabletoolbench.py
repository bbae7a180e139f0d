"""Dataset `stabletoolbench`: ToolBench's test requests that can be answered, and answers to them.

Responses come from a cache or from a model that plays the API. All shapes are ToolBench's.
"""

from __future__ import annotations

from preprocess.readers.datasets.toolbench.shapes import convert
from preprocess.readers.names import Named
from preprocess.readers.reader import Reader

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
    convert=convert,
)
