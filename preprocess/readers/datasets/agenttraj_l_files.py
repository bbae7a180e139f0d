"""What lies beside AgentTraj-L's trajectories in AgentGym's repository: goals, prompts, sessions.

Goals are tasks for tools (`goal`, `subgoals`, `additional_info`). Prompts for tools hold function
documents and solved examples in steps; other prompts hold an instruction and examples as text. A
session is a log of what a person saw in WebShop, one page a line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.exact_json import to_json_text
from preprocess.readers.draft import Draft
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.observations import note_truncated
from preprocess.readers.openai_turns import beyond_tools, tools_of
from preprocess.readers.turns import request
from preprocess.readers.understand.json_text import loads
from preprocess.readers.whole import head_of, read_together
from preprocess.records import Message, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from preprocess.readers.reader import Reader
    from preprocess.records import Outcome, Tool

_ACTION = re.compile(r"\s*(\S+)\s+with Action Input:\s*(\{.*\})\s*", re.DOTALL)
_STEP_NAMES = frozenset({"Think", "Thought", "Action", "Action Input", "Observation"})
_TOOL_PROMPT_FIELDS = frozenset({"tool_set_message", "in_context_examples"})
_PROMPT_FIELDS = frozenset({"system_msg", "instruction", "examples"})
_SESSION = re.compile(rb'\s*\{\s*"page"\s*:\s*"[^"]*"\s*,\s*"url"\s*:\s*"[^"]*"\s*,\s*"goal"\s*:')


def convert_goal(value: dict[str, Any]) -> Draft:
    """Return the draft of a task; its answer and its grading stay in `meta`."""
    messages = (request(value["goal"]),)
    meta = {name: value[name] for name in value if name != "goal"}
    return Draft(kind="function_call", messages=messages, meta=meta)


def convert_tool_prompts(native: Native) -> Iterator[Draft]:
    """Yield the documents of a file of prompts for tools, and each way each example is solved."""
    value = native.value
    documents, examples = value["tool_set_message"], value.get("in_context_examples", [])
    if not isinstance(documents, list) or not isinstance(examples, list):
        raise Unreadable("unknown_layout")
    if not documents:
        raise Unreadable("no_tool")
    tools = tools_of(documents)
    meta = {name: value[name] for name in value if name not in _TOOL_PROMPT_FIELDS}
    if beyond := beyond_tools(documents):
        meta["tool_set_message"] = beyond
    yield Draft(kind="tool_documentation", tools=tools, meta=meta, part="documentation")
    solved = [draft for each in examples for draft in _solved(each, value, tools, native)]
    for number, draft in enumerate(solved):
        draft.part = str(number)
        yield draft


def _solved(
    example: Any, value: dict[str, Any], tools: tuple[Tool, ...], native: Native
) -> Iterator[Draft]:
    """Yield one draft for each way that an example is solved; `meta` has the steps as given."""
    ways = (
        [name for name in example if _are_steps(example[name])] if isinstance(example, dict) else []
    )
    if not ways:
        raise Unreadable("example_without_steps")
    rest = {name: example[name] for name in example if name not in ways and name != "goal"}
    first = []
    if isinstance(value.get("system_message"), str):
        first.append(Message(role="system", content=value["system_message"]))
    if isinstance(example.get("goal"), str):
        first.append(Message(role="user", content=example["goal"]))
    for way in ways:
        messages = (*first, *_solution(example[way], native))
        meta = {**rest, way: example[way]}
        note_truncated(meta, [each.content for each in messages if each.role == "tool"])
        yield Draft(kind="trajectory", tools=tools, messages=messages, meta=meta)


def _are_steps(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_step, value))


def _is_step(step: Any) -> bool:
    said = (
        dict([step])
        if isinstance(step, list) and len(step) == 2 and isinstance(step[0], str)
        else step
    )
    return (
        isinstance(said, dict)
        and bool(said)
        and said.keys() <= _STEP_NAMES
        and all(isinstance(said[name], str) for name in said if name != "Observation")
    )


def _solution(steps: list[Any], native: Native) -> Iterator[Message]:
    """Yield the messages of an example: thoughts before the call that they lead to."""
    thoughts: list[str] = []
    open_call: str | None = None
    calls = 0
    for name, said in (pair for step in steps for pair in _pairs(step)):
        if name == "Action":
            call = _call(said, calls, native)
            calls += call is not None
            content = "\n".join(thoughts if call else [*thoughts, said])
            yield Message(role="assistant", content=content, tool_calls=(call,) if call else ())
            thoughts, open_call = [], call.id if call else None
        elif name == "Observation":
            said = said if isinstance(said, str) else to_json_text(said)
            if thoughts:
                yield Message(role="assistant", content="\n".join(thoughts))
                thoughts = []
            yield Message(
                role="tool" if open_call else "user", content=said, tool_call_id=open_call
            )
            open_call = None
        else:
            thoughts.append(said)
    if thoughts:
        yield Message(role="assistant", content="\n".join(thoughts))


def _pairs(step: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(step, list):
        yield step[0], step[1]
        return
    for name in step:
        if name == "Action" and "Action Input" in step:
            yield name, f"{step[name]} with Action Input: {step['Action Input']}"
        elif name != "Action Input":
            yield name, step[name]


def _call(said: str, number: int, native: Native) -> ToolCall | None:
    spelled = _ACTION.fullmatch(said)
    if spelled is None:
        return None
    try:
        arguments = loads(spelled[2], native)
    except Unreadable:
        return None
    if not isinstance(arguments, dict):
        return None
    return ToolCall(id=f"call_{number}", name=spelled[1], arguments=arguments)


def is_prompts(value: dict[str, Any]) -> bool:
    """Return whether a value holds an instruction with examples, or several by environment."""
    return _is_prompt(value) or (
        bool(value) and all(isinstance(each, dict) and _is_prompt(each) for each in value.values())
    )


def _is_prompt(value: dict[str, Any]) -> bool:
    return bool(value) and value.keys() <= _PROMPT_FIELDS and _texts(value) is not None


def convert_prompts(value: dict[str, Any]) -> Iterator[Draft]:
    """Yield an instruction with its examples as one text; of several, one by environment."""
    several = {"": value} if _is_prompt(value) else value
    for number, (name, prompt) in enumerate(several.items()):
        texts = [
            text
            for field in ("system_msg", "instruction", "examples")
            for text in _texts(prompt.get(field)) or ()
        ]
        text = "\n\n".join(texts)
        if not text.strip():
            raise Unreadable("prompt_without_text")
        yield Draft(
            kind="trajectory",
            text=text,
            meta={"environment": name} if name else {},
            part=str(number) if name else "",
        )


def _texts(value: Any) -> list[str] | None:
    """Return the texts in a value, a list of lines as one; None where it holds anything else."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        if not all(isinstance(each, str) for each in value):
            return None
        return ["".join(each if each.endswith("\n") else f"{each}\n" for each in value)]
    if isinstance(value, dict):
        inner = [_texts(each) for each in value.values()]
        return None if None in inner else [text for each in inner for text in each or ()]
    return None


def is_session(path: Path) -> bool:
    """Return whether a file begins as the log of a person's session does."""
    return _SESSION.match(head_of(path)) is not None


def read_session(reader: Reader, path: Path, relative: str, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of the log of a person's session."""
    return read_together(reader, path, relative, limit_bytes, _convert_session)


def _convert_session(native: Native) -> Iterator[Draft]:
    pages = native.value
    if not all(isinstance(page, dict) and isinstance(page.get("goal"), dict) for page in pages):
        raise Unreadable("unknown_layout")
    goal = pages[0]["goal"]
    if not isinstance(goal.get("instruction_text"), str):
        raise Unreadable("session_without_instruction")
    if any(page["goal"] != goal for page in pages):
        raise Unreadable("session_of_several_goals")
    steps = [{name: page[name] for name in page if name != "goal"} for page in pages]
    shown = "\n".join(_page(step) for step in steps)
    meta = {"goal": goal, "steps": steps}
    if "reward" in steps[-1]:
        meta["reward"] = steps[-1]["reward"]
    yield Draft(kind="trajectory", text=f"{goal['instruction_text']}\n\n{shown}", meta=meta)


def _page(step: dict[str, Any]) -> str:
    said = {name: step[name] for name in step if name not in ("page", "url")}
    words = [str(step.get("page", "")), str(step.get("url", ""))]
    return " ".join((*words, *([to_json_text(said)] if said else [])))
