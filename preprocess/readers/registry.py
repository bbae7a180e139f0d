"""Every reader by its dataset's name; a reader's module is imported when it is looked up."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from preprocess.readers.reader import Reader

_MODULES = {
    "fireact": "datasets.fireact",
    "toolalpaca": "datasets.toolalpaca",
    "toolbench": "datasets.toolbench",
    "stabletoolbench": "datasets.stabletoolbench",
    "agenttraj_l": "datasets.agenttraj_l",
    "lumos": "datasets.lumos",
    "agent_flan": "datasets.agent_flan",
    "agentinstruct": "datasets.agentinstruct",
    "nexusraven": "datasets.nexusraven",
    "gorilla_apibench": "datasets.gorilla_apibench",
    "gorilla_apizoo": "datasets.gorilla_apizoo",
    "openfunctions": "datasets.openfunctions",
    "api_pack": "datasets.api_pack",
    "agentohana_xlam": "datasets.agentohana_xlam",
    "apigen_xlam60k": "datasets.apigen_xlam60k",
    "glaive": "datasets.glaive",
    "hammer_eval": "datasets.hammer_eval",
    "taskbench": "datasets.taskbench",
    "metatool": "datasets.metatool",
    "api_bank": "datasets.api_bank",
    "react": "datasets.react",
    "swe_agent": "datasets.swe_agent",
    "adp_samples": "datasets.adp_samples",
    "openapi": "datasets.openapi",
    "api_docs": "datasets.api_docs",
    "python_api": "python_api",
    "source_code": "source_code",
    "package_text": "package_text",
    "text": "datasets.text",
    "web": "datasets.web",
    "jsonl": "jsonl",
    "webarena": "benchmarks.webarena",
    "agentbench": "benchmarks.agentbench",
    "bfcl_v1": "benchmarks.bfcl_v1",
    "bfcl_v3": "benchmarks.bfcl_v3",
}
"""Modules below this package by dataset, in the order of the table that users see."""


BENCHMARKS = frozenset(
    name for name, module in _MODULES.items() if module.startswith("benchmarks.")
)
"""Datasets no record of which is ever trained on."""


class Registry(Mapping[str, "Reader"]):
    """Readers by name; each module holds one, as `READER`."""

    def __getitem__(self, name: str) -> Reader:
        module = importlib.import_module(f"preprocess.readers.{_MODULES[name]}")
        reader: Reader = module.READER
        return reader

    def __contains__(self, name: object) -> bool:
        return name in _MODULES  # a look at the name alone imports nothing

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


READERS = Registry()
