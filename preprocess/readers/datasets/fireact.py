"""Dataset `fireact`: trajectories of ReAct, Reflexion and chain of thought with a search tool.

`alpaca_format/*.json` is an array of `{"instruction", "input", "output"}`, the output one text of
`Thought:`, `Action:` and `Observation:` lines; `gpt_format/*.jsonl` has the same as messages, an
observation being a turn of the user. Bamboogle's test questions lie beside them.
"""

from __future__ import annotations

import csv
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from preprocess.readers.draft import Draft
from preprocess.readers.lines import read_lines
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable, read_json
from preprocess.readers.observations import note_truncated
from preprocess.readers.reader import Options, Reader
from preprocess.readers.turns import plain_turns
from preprocess.records import Message, Origin, Outcome, Rejection, portable_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STEP = re.compile(r"^(?:Thought|Action|Observation): ?", re.MULTILINE)
_OPTIONS = re.compile(r"(?:[A-Z]\. ?[^\n]*\n)+")
_REWARD = re.compile(r"Observation: Episode finished, reward = (\S+)\s*\Z")
_IS_TABLE = Named(".csv")


def read_file(
    path: Path,
    relative: str,
    options: Options,  # noqa: ARG001
    limit_bytes: int,
) -> Iterator[Outcome]:
    """Yield the outcome of each record; a row of a table of test questions is one."""
    if _IS_TABLE(PurePosixPath(relative)):
        return _read_questions(path, relative, limit_bytes)
    return read_json(READER, path, relative, limit_bytes, convert)


def convert(native: Native) -> Iterator[Draft]:
    """Yield the trajectory of one record, in either format."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("unknown_shape")
    if "messages" in value or "conversations" in value:
        yield _of_messages(value)
    elif isinstance(value.get("instruction"), str) and isinstance(value.get("output"), str):
        yield _of_alpaca(native)
    else:
        raise Unreadable("unknown_shape")


def _of_messages(value: dict[str, Any]) -> Draft:
    key = "messages" if "messages" in value else "conversations"
    told = plain_turns(value[key])
    if not any(turn.content.strip() for turn in told.messages):
        raise Unreadable("empty_conversation")
    meta = {name: each for name, each in value.items() if name != key}
    if told.fields:
        meta["message_fields"] = told.fields
    return _draft(told.messages, meta, None)


def _of_alpaca(native: Native) -> Draft:
    """Return the record of an instruction and the text that answers it, which stays the text."""
    value: dict[str, Any] = native.value
    question, output = value["instruction"], value["output"]
    given = value.get("input") or ""
    if not isinstance(given, str):
        raise Unreadable("unknown_shape")
    if not question.strip() or not output.strip():
        raise Unreadable("empty_turn")
    options = _OPTIONS.match(output)
    if options and question.startswith("Question: ") and _STEP.match(output, options.end()):
        # The question was cut at its first line; the other format has it whole.
        native.repaired("options_moved_to_question")
        question, output = f"{question}\n{options[0].rstrip()}", output[options.end() :]
    if given:
        question = f"{question}\n{given}"
    messages = [Message(role="user", content=question), *_steps(output)]
    meta = {
        name: each for name, each in value.items() if name not in ("instruction", "input", "output")
    }
    return _draft(messages, meta, f"{question}\n{output}")


def _steps(output: str) -> list[Message]:
    """Return the turns of an output: thought and action together, an observation as the user's.

    The lines must alternate as the environment writes them; else the output is one turn.
    """
    starts = [match.start() for match in _STEP.finditer(output)]
    words = [output[start : start + 1] for start in starts]  # T, A or O
    if not words or starts[0] or words != ["T", "A", "O"] * (len(words) // 3):
        return [Message(role="assistant", content=output)]
    ends = [*starts[1:], len(output)]
    messages = []
    for thought in range(0, len(starts), 3):
        said = output[starts[thought] : ends[thought + 1]].rstrip("\n")
        seen = output[starts[thought + 2] : ends[thought + 2]].rstrip("\n")
        messages += [Message(role="assistant", content=said), Message(role="user", content=seen)]
    return messages


def _draft(messages: list[Message], meta: dict[str, Any], text: str | None) -> Draft:
    observations = [
        turn.content
        for turn in messages[1:]
        if turn.role == "user" and turn.content.startswith("Observation")
    ]
    note_truncated(meta, observations)
    reward = _REWARD.match(messages[-1].content)
    if reward:
        meta.setdefault("reward", reward[1])  # as it is spelled: `True` or `1`
    return Draft(kind="trajectory", messages=tuple(messages), text=text, meta=meta)


def _read_questions(path: Path, relative: str, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the fate of each row below the header: test questions are not for training."""
    name = portable_path(relative)
    raw: list[bytes] = []

    def lines() -> Iterator[str]:
        for line in read_lines(path, limit_bytes):
            raw.append(line.data)
            yield line.data.decode("utf-8", "replace") + "\n"

    rows = csv.reader(lines())
    is_test = next(rows, [])[:2] == ["Question", "Answer"]
    raw.clear()
    for ordinal, row in enumerate(rows):
        if is_test and len(row) == 2:
            yield Outcome(dropped=("test_question",))
        else:
            origin, data = Origin(path=name, record=ordinal), b"\n".join(raw)
            yield Outcome(rejection=Rejection(origin=origin, reason="unknown_shape", raw=data))
        raw.clear()


READER = Reader(
    name="fireact",
    kind="trajectory",
    license="MIT",
    url="https://github.com/anchen1011/FireAct",
    released="2023-10",
    published="4 pairs of files of 500 to 2,063 trajectories",
    layout="finetune/alpaca_format/*.json, finetune/gpt_format/*.jsonl",
    unit="an element of an array or a line; a row of a table",
    accepts=Named(".json", ".jsonl", ".csv"),
    read_file=read_file,
    streams=True,
)
