"""`preprocess datasets --measure`: what each source of a corpus can teach, by stated rules.

The columns are those by which the paper *Hephaestus* (arXiv 2502.06589, table 1) compares agent
corpora. Each says in which share of a source's records a rule holds:

| column | a record counts if |
|---|---|
| code | its kind is `code`, or what is said in it holds a fenced block |
| language | what is said in it has five words or more in one place |
| trajectory | its kind is `trajectory`, or an observation answers a call |
| documentation | a tool has a description, or its kind is `tool_documentation` |
| call | an assistant's turn calls a tool |
| multi-step | two turns of the assistant act: they call a tool, or it is a trajectory |
| refinement | after an observation the assistant says something and acts again |
| multi-turn | the user speaks again after the assistant did |

Said is what messages and descriptions of tools hold, of a record without them its text, so that a
template's own marks do not count. Observations are turns of role `tool`; in a trajectory without
them, the user's turns between the assistant's. An API is a tool's name with its description.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import xxhash

from preprocess import _rust_ext
from preprocess.errors import UserError
from preprocess.fetch import local_files
from preprocess.inputs import record_files
from preprocess.readers.record_lines import read_record_lines
from preprocess.records import TruncatedInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from preprocess.readers.lines import Line

CAPABILITIES = (
    "code",
    "language",
    "trajectory",
    "documentation",
    "call",
    "multi-step",
    "refinement",
    "multi-turn",
)
LEAST_WORDS = 5
BATCH_BYTES = 4 << 20


class _Tool(msgspec.Struct):
    name: str = ""
    description: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str = ""
    tool_calls: list[Any] = []


class _Record(msgspec.Struct):
    text: str
    kind: str = "text"
    source: str = "-"
    tools: list[_Tool] = []
    messages: list[_Message] = []


@dataclass(slots=True)
class Measured:
    """What was counted of one source."""

    records: int = 0
    tokens: int = 0
    text_bytes: int = 0
    apis: set[int] = field(default_factory=set)
    """xxh3 of each API's name and description."""
    capabilities: Counter[str] = field(default_factory=Counter)
    """Records for which the rule of a column holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What was counted of a corpus."""

    sources: dict[str, Measured]
    unreadable: int
    """Lines that are no records; no source is known of them."""
    has_tokens: bool


def measure(inputs: Sequence[str], tokenizer: Path | None) -> Measurement:
    """Count the records, tokens, APIs and capabilities of each source.

    Args:
        inputs: Record files or directories of them.
        tokenizer: What counts tokens; None: they are not counted.

    Raises:
        UserError: No record files, or Parquet files among them.
        TokenizerError: The tokenizer's file is not understood.
    """
    encoder = _rust_ext.Tokenizer.load(tokenizer) if tokenizer else None
    sources: defaultdict[str, Measured] = defaultdict(Measured)
    unreadable = 0
    decoder = msgspec.json.Decoder(_Record)
    batch: list[tuple[Measured, str]] = []
    held = 0
    for line in _lines(inputs):
        try:
            record = decoder.decode(line.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            unreadable += 1
            continue
        measured = sources[record.source]
        size = _add(measured, record)
        if encoder is None:
            continue
        batch.append((measured, record.text))
        held += size
        if held >= BATCH_BYTES:
            _count_tokens(encoder, batch)
            held = 0
    if encoder is not None:
        _count_tokens(encoder, batch)
    return Measurement(
        sources=dict(sources), unreadable=unreadable, has_tokens=tokenizer is not None
    )


def _lines(inputs: Sequence[str]) -> Iterator[Line]:
    with tempfile.TemporaryDirectory(prefix="preprocess-measure-") as scratch:
        for file in record_files(list(inputs)):
            if file.path.suffix == ".parquet":
                raise UserError(
                    f"{file.shown}: expected record files of lines to measure, found Parquet; make "
                    "records of it with `preprocess ingest --dataset jsonl`"
                )
            with local_files((file,), Path(scratch)) as (local,):
                yield from _lines_of(local.path)


def _lines_of(path: Path) -> Iterator[Line]:
    try:
        yield from (line for line in read_record_lines(path, "text") if line.data.strip())
    except TruncatedInput as error:
        raise UserError(str(error)) from error


def _add(measured: Measured, record: _Record) -> int:
    size = len(record.text.encode())
    measured.records += 1
    measured.text_bytes += size
    for tool in record.tools:
        measured.apis.add(xxhash.xxh3_64_intdigest(f"{tool.name}\n{tool.description}".encode()))
    measured.capabilities.update(capabilities(record))
    return size


def _count_tokens(encoder: _rust_ext.Tokenizer, batch: list[tuple[Measured, str]]) -> None:
    _, offsets = encoder.encode_flat([text for _, text in batch])
    for (measured, _), tokens in zip(batch, np.diff(offsets), strict=True):
        measured.tokens += int(tokens)
    batch.clear()


def capabilities(record: _Record) -> Iterator[str]:
    """Yield the columns whose rule holds for a record."""
    is_trajectory = record.kind == "trajectory"
    acts = [
        bool(message.tool_calls) or is_trajectory
        for message in record.messages
        if message.role == "assistant"
    ]
    said = list(_said(record))
    if record.kind == "code" or any("```" in each for each in said):
        yield "code"
    if record.kind != "code" and any(map(_is_language, said)):
        yield "language"
    if is_trajectory or _observations(record, is_trajectory=False):
        yield "trajectory"
    if record.kind == "tool_documentation" or any(tool.description for tool in record.tools):
        yield "documentation"
    if any(message.tool_calls for message in record.messages):
        yield "call"
    if sum(acts) > 1:
        yield "multi-step"
    if _refines(record, is_trajectory=is_trajectory):
        yield "refinement"
    if _is_multi_turn(record):
        yield "multi-turn"


def _said(record: _Record) -> Iterator[str]:
    if not record.messages and not record.tools:
        yield record.text
    yield from (message.content for message in record.messages if message.role != "tool")
    yield from (tool.description for tool in record.tools)


def _is_language(text: str) -> bool:
    return len(text.split(None, LEAST_WORDS)) >= LEAST_WORDS


def _observations(record: _Record, *, is_trajectory: bool) -> list[int]:
    """Return where the environment answers."""
    roles = [message.role for message in record.messages]
    found = [at for at, role in enumerate(roles) if role == "tool"]
    if found or not is_trajectory:
        return found
    return [at for at, role in enumerate(roles) if role == "user" and "assistant" in roles[:at]]


def _refines(record: _Record, *, is_trajectory: bool) -> bool:
    for at in _observations(record, is_trajectory=is_trajectory):
        after = record.messages[at + 1 : at + 2]
        if after and after[0].role == "assistant" and after[0].content.strip():
            later = record.messages[at + 1 :]
            if any(each.tool_calls for each in later) or (
                is_trajectory and not any(each.tool_calls for each in record.messages)
            ):
                return True
    return False


def _is_multi_turn(record: _Record) -> bool:
    roles = [message.role for message in record.messages]
    if "assistant" not in roles:
        return False
    return "user" in roles[roles.index("assistant") :]
