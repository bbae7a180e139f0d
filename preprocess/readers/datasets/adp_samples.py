"""Dataset `adp_samples`: raw records of the datasets that the Agent Data Protocol unifies.

Each dataset keeps its own shape, and the shape decides: conversations (CodeActInstruct,
Orca-AgentInstruct, LLaVA-Plus), messages (SWE-Gym, SWE-smith, NNetNav, Toucan), steps of SWE-agent
(Nebius), pages and actions (WebArena), or a prompt with its response (Synatra).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.datasets.adp_shapes import (
    Said,
    agent_steps,
    chat,
    page_actions,
    prompt_and_response,
    tool_messages,
)
from preprocess.readers.draft import Draft, note_all
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.observations import note_truncated
from preprocess.readers.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_SHAPES: tuple[tuple[frozenset[str], Callable[[Native], Said]], ...] = (
    (frozenset({"conversations"}), chat),
    (frozenset({"messages"}), tool_messages),
    (frozenset({"trajectory", "intent"}), page_actions),
    (frozenset({"trajectory", "instance_id"}), agent_steps),
    (frozenset({"prompt", "response"}), prompt_and_response),
)
"""Which fields tell a shape, and what reads it."""


def convert(native: Native) -> Iterator[Draft]:
    """Yield the drafts of a record: the functions that it documents, and what was said and done."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("no_object")
    shape = next((read for fields, read in _SHAPES if fields <= value.keys()), None)
    if shape is None:
        raise Unreadable("unknown_layout")
    said = shape(native)
    meta: dict[str, Any] = {name: value[name] for name in value if name not in said.used}
    note_all(meta, said.meta)
    note_truncated(meta, said.observations)
    if said.tools:
        yield Draft(kind="tool_documentation", tools=said.tools, part="documentation")
    yield Draft(kind=said.kind, tools=said.tools, messages=tuple(said.messages), meta=meta)


READER = Reader(
    name="adp_samples",
    kind="trajectory",
    license="unknown",
    terms="each dataset has its own licence, which its records do not state",
    url="https://github.com/neulab/agent-data-protocol",
    released="2025-10",
    published="a few records of each of its datasets",
    layout="<dataset>/sample_raw.json, or the datasets' own *.json, *.jsonl",
    unit="an element of an array, or a line",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
)
