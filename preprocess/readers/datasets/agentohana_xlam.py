"""Dataset `agentohana_xlam`: AgentOhana and xLAM's unified trajectories.

Three layouts: unified (`conversation` with OpenAI's turns), the older one (`steps` of thought,
calls and next observation), and the training prompt, where sections between `[BEGIN OF ...]`
and `[END OF ...]` hold the task, the tools and the query. Lists may be strings that hold JSON or
a Python literal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.answered_turns import Turns
from preprocess.readers.draft import Draft
from preprocess.readers.function_calls import Calls, kind_of
from preprocess.readers.function_documents import tools_of
from preprocess.readers.git_lfs import pointer_outcome
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable, read_json
from preprocess.readers.observations import note_truncated
from preprocess.readers.reader import Options, Reader
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.schemas import json_schema, python_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.records import Outcome, Tool

_SECTION = re.compile(r"(?s)\[BEGIN OF ([A-Z -]+)\]\n?(.*?)\n?\[END OF \1\]\s*")
_FENCED = re.compile(r"(?s)\s*(?:```(?:json)?\s*(.*?)\s*```|\[TOOL_CALLS\]\s*(.*?))\s*(?:</s>)?\s*")
_REQUIRED = re.compile(r"Required is (true|false)\.?\s*$")
_TURN_KEYS = frozenset(("role", "content", "tool_calls", "name", "tool_call_id"))


def convert(native: Native) -> Iterator[Draft]:
    """Yield the trajectory, or the judgement of one."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("unknown_layout")
    if "conversation" in value:
        yield _unified(value, native)
    elif "steps" in value and "user_query" in value:
        yield _steps(value, native)
    elif isinstance(value.get("instruction"), str) and "[BEGIN OF " in value["instruction"]:
        yield _prompt(value, native)
    elif value.keys() >= {"score", "explanation"} and isinstance(value["explanation"], str):
        rest = {key: value[key] for key in value if key != "explanation"}
        yield Draft(kind="text", text=value["explanation"], meta=rest)
    else:
        raise Unreadable("unknown_layout")


def _unified(value: dict[str, Any], native: Native) -> Draft:
    turns = Turns(Calls(native))
    tools, rest = tools_of(_inner(value.get("tools"), native) or [], _parameters)
    task = value.get("task_instruction")
    if isinstance(task, str) and task.strip():
        turns.said("system", task)
    names: list[Any] = []
    for turn in _list(_inner(value["conversation"], native)):
        _turn(turn, turns, native, names)
    used = {"conversation", "tools"} | ({"task_instruction"} if isinstance(task, str) else set())
    meta = {key: value[key] for key in value if key not in used}
    if any(names):
        meta["tool_names"] = names
    return _draft(tools, rest, turns, meta)


def _turn(turn: Any, turns: Turns, native: Native, names: list[Any]) -> None:
    """Take one turn in OpenAI's layout."""
    if not isinstance(turn, dict) or turn.keys() - _TURN_KEYS:
        raise Unreadable("invalid_turn")
    content = turn.get("content")
    text = "" if content is None else content
    if not isinstance(text, str):
        raise Unreadable("invalid_turn")
    if turn.get("role") == "tool":
        identifier = turn.get("tool_call_id")
        turns.answered(text, identifier if isinstance(identifier, str) else None)
        names.append(turn.get("name"))
        return
    calls = _inner(turn.get("tool_calls"), native) or []
    if turn.get("role") == "assistant":
        turns.called(turns.calls.of_objects(calls), text)
    elif calls:
        raise Unreadable("invalid_turn")
    else:
        turns.said(str(turn.get("role")), text)


def _steps(value: dict[str, Any], native: Native) -> Draft:
    """Return the trajectory of the older layout."""
    turns = Turns(Calls(native))
    tools, rest = tools_of(_inner(value.get("tools"), native) or [], _parameters)
    if not isinstance(value["user_query"], str):
        raise Unreadable("no_question")
    turns.said("user", value["user_query"])
    left: list[Any] = []
    for step in _list(_inner(value["steps"], native)):
        if not isinstance(step, dict):
            raise Unreadable("invalid_step")
        thought = step.get("thought") or ""
        calls = turns.calls.of_objects(_inner(step.get("tool_calls"), native) or [])
        if not isinstance(thought, str):
            raise Unreadable("invalid_step")
        if thought or calls:
            turns.called(calls, thought)
        if _said(step.get("next_observation")):
            turns.answered(step["next_observation"])
        if _said(step.get("user_input")):
            turns.said("user", step["user_input"])
        left.append({key: step[key] for key in step if key not in _STEP_KEYS})
    meta = {key: value[key] for key in value if key not in ("user_query", "tools", "steps")}
    if any(left):
        meta["steps"] = left
    return _draft(tools, rest, turns, meta)


_STEP_KEYS = frozenset(("thought", "tool_calls", "next_observation", "user_input"))


def _said(text: Any) -> bool:
    if text is not None and not isinstance(text, str):
        raise Unreadable("invalid_step")
    return bool(text)


def _prompt(value: dict[str, Any], native: Native) -> Draft:
    """Return a training prompt: its own text, and what its sections say."""
    prompt, output = value["instruction"], value.get("output")
    sections = dict(_SECTION.findall(prompt))
    if _SECTION.sub("", prompt).strip() or not isinstance(output, str):
        raise Unreadable("unknown_prompt")
    if len(_SECTION.findall(prompt)) != len(sections) or "QUERY" not in sections:
        raise Unreadable("unknown_prompt")
    turns = Turns(Calls(native))
    documents = loads(sections.get("AVAILABLE TOOLS", "").strip() or "[]", native)
    tools, rest = tools_of(documents, _marked if _has_marks(documents) else _parameters)
    if task := sections.get("TASK INSTRUCTION", "").strip():
        turns.said("system", task)
    turns.said("user", sections["QUERY"].strip())
    match = _FENCED.fullmatch(output)
    answer = (match[1] or match[2] or "") if match else output
    calls = loads(answer, native) if answer.strip().startswith("[") else None
    if calls:
        turns.called(turns.calls.of_objects(calls))
    else:
        turns.said("assistant", output)
    meta = {key: value[key] for key in value if key not in ("instruction", "output")}
    if not isinstance(value.get("input", ""), str) or value.get("input"):
        raise Unreadable("unknown_prompt")
    meta.pop("input", None)
    draft = _draft(tools, rest, turns, meta)
    draft.text = f"{prompt}{output}"
    return draft


def _has_marks(documents: Any) -> bool:
    """Return whether any parameter of a prompt's tools says that it is required, or is not."""
    listed = documents if isinstance(documents, list) else []
    flats = [each.get("parameters") for each in listed if isinstance(each, dict)]
    return any(
        _mark(about) is not None
        for flat in flats
        if isinstance(flat, dict)
        for about in flat.values()
    )


def _mark(about: Any) -> bool | None:
    """Return what a parameter says in `required`, or at the end of its description."""
    if not isinstance(about, dict):
        return None
    if isinstance(about.get("required"), bool):
        return bool(about["required"])
    match = _REQUIRED.search(str(about.get("description")))
    return match[1] == "true" if match else None


def _marked(given: Any) -> dict[str, Any]:
    """Return the schema of flat parameters, of which those are required that say so."""
    known = given.items() if isinstance(given, dict) else ()
    return python_parameters(given, [name for name, about in known if _mark(about)])


def _parameters(given: Any) -> dict[str, Any]:
    """Return the schema of parameters in either way that the sources spell them."""
    is_schema = isinstance(given, dict) and isinstance(given.get("properties"), dict)
    return json_schema(given) if is_schema or not given else python_parameters(given)


def _draft(
    tools: tuple[Tool, ...], rest: list[dict[str, Any]], turns: Turns, meta: dict[str, Any]
) -> Draft:
    messages = turns.finished()
    if rest:
        meta["tools"] = rest
    if turns.calls.extras:
        meta["tool_calls"] = turns.calls.extras
    note_truncated(meta, [each.content for each in messages if each.role == "tool"])
    return Draft(kind=kind_of(tools, messages), tools=tools, messages=messages, meta=meta)


def _inner(value: Any, native: Native) -> Any:
    return loads(value, native) if isinstance(value, str) and value.strip() else value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unreadable("unknown_layout")
    return value


def read_file(path: Path, relative: str, options: Options, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of each native record, or the rejection of a pointer to the data."""
    del options
    pointer = pointer_outcome(path, relative)
    if pointer is not None:
        return iter((pointer,))
    return read_json(READER, path, relative, limit_bytes, convert)


READER = Reader(
    name="agentohana_xlam",
    kind="trajectory",
    license="CC-BY-NC-4.0",
    terms="for research only, not for commercial use",
    url="https://github.com/SalesforceAIResearch/xLAM",
    released="2024-02 and later",
    published="98,000 trajectories",
    layout="*.json: an array of unified trajectories, or training prompts",
    unit="a trajectory",
    accepts=Named(".json", ".jsonl"),
    read_file=read_file,
    streams=True,
)
