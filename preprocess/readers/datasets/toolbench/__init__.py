"""Dataset `toolbench`: ToolBench and the data that ToolLLaMA is fine-tuned on.

Its files come in six shapes: requests with candidate APIs, search trees of answers, conversations
for fine-tuning, results of an evaluation, documents of tools, and shapes of their responses.
"""

from __future__ import annotations

from preprocess.readers.datasets.toolbench.shapes import convert
from preprocess.readers.names import Named
from preprocess.readers.reader import Reader

READER = Reader(
    name="toolbench",
    kind="trajectory",
    license="Apache-2.0",
    terms="code and data for research; responses came from RapidAPI's hub and from ChatGPT",
    url="https://github.com/OpenBMB/ToolBench",
    released="2023-07",
    published="126,486 instances, 16,464 APIs",
    layout="instruction/*.json, answer/*/*.json, toolllama_*.json, tools/<category>/*.json",
    unit="an element of an array; else a file",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
)
