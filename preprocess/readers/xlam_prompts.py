"""Training prompts of xLAM: sections between `[BEGIN OF ...]` and `[END OF ...]`, and an answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.exact_json import to_json_text
from preprocess.readers.answered_turns import Turns
from preprocess.readers.draft import Draft, note_all
from preprocess.readers.function_calls import Calls, kind_of
from preprocess.readers.function_documents import tools_of
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.schemas import json_schema, python_parameters

if TYPE_CHECKING:
    from preprocess.records import Tool

_BEGIN, _END = "[BEGIN OF ", "[END OF "
_MARKS = ("```json", "```", "[TOOL_CALLS]")
_SECTIONS = frozenset(
    ("TASK INSTRUCTION", "AVAILABLE TOOLS", "FORMAT INSTRUCTION", "QUERY", "HISTORY STEPS")
)
"""Those that are understood; the format is that of the answer, and stands in the text alone."""
_REQUIRED = re.compile(r"Required is (true|false)\.?\s*$")


def prompt_draft(value: dict[str, Any], native: Native) -> Draft:
    """Return a prompt with its answer: as the text it is, and what its sections say.

    Raises:
        Unreadable: `unknown_prompt`; a section that does not end, comes twice, or is no query,
            or text between the sections.
    """
    prompt, output = value["instruction"], value.get("output")
    sections = _sections(prompt)
    if not isinstance(output, str) or "QUERY" not in sections or value.get("input"):
        raise Unreadable("unknown_prompt")
    turns = Turns(Calls(native))
    documents = loads(sections.get("AVAILABLE TOOLS") or "[]", native)
    tools, rest = tools_of(documents, _marked if _has_marks(documents) else either_parameters)
    if task := sections.get("TASK INSTRUCTION"):
        turns.said("system", task)
    turns.said("user", sections["QUERY"])
    if history := sections.get("HISTORY STEPS"):
        for step in _steps(loads(history, native)):
            add_step(step, turns, native)
    thought, calls = _called(_answer(output), native)
    if calls:
        turns.called(turns.calls.of_objects(calls), thought)
    else:
        turns.said("assistant", output)
    kept = {key: value[key] for key in value if key not in ("instruction", "input", "output")}
    if others := {name: text for name, text in sections.items() if name not in _SECTIONS}:
        kept["sections"] = others
    draft = conversation_draft(tools, rest, turns, kept)
    draft.text = f"{prompt}{output}"
    return draft


def add_step(step: Any, turns: Turns, native: Native) -> dict[str, Any]:
    """Add a step of the older layout: a thought with calls, what came of them, the user's words.

    Returns:
        What the step says beyond that.

    Raises:
        Unreadable: `invalid_step` or `invalid_call`.
    """
    if not isinstance(step, dict):
        raise Unreadable("invalid_step")
    thought = step.get("thought") or ""
    calls = turns.calls.of_objects(inner(step.get("tool_calls"), native) or [])
    if not isinstance(thought, str):
        raise Unreadable("invalid_step")
    if thought or calls:
        turns.called(calls, thought)
    observation, words = step.get("next_observation"), step.get("user_input")
    if isinstance(observation, dict | list) and observation:
        observation = to_json_text(observation)
    if text := _said(observation):
        turns.answered(text)
    if text := _said(words):
        turns.said("user", text)
    return {key: step[key] for key in step if key not in _STEP_KEYS}


_STEP_KEYS = frozenset(("thought", "tool_calls", "next_observation", "user_input"))


def _said(text: Any) -> str:
    if text and not isinstance(text, str):
        raise Unreadable("invalid_step")
    return text or ""


def inner(value: Any, native: Native) -> Any:
    """Return a value, or what stands in it where it is a string."""
    return loads(value, native) if isinstance(value, str) and value.strip() else value


def _steps(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unreadable("unknown_prompt")
    return value


def _called(answer: str, native: Native) -> tuple[str, Any]:
    """Return thought and calls of an answer: a list of calls, or an object with both.

    An answer in words has neither.
    """
    if answer.startswith("["):
        return "", loads(answer, native)
    if not answer.startswith("{") or '"tool_calls"' not in answer:
        return "", None
    value = loads(answer, native)
    if not isinstance(value, dict) or not value.keys() <= {"thought", "tool_calls"}:
        return "", None
    thought = value.get("thought") or ""
    return (thought, value["tool_calls"]) if isinstance(thought, str) else ("", None)


def _sections(prompt: str) -> dict[str, str]:
    """Return what stands in each section, without the blanks around it."""
    sections: dict[str, str] = {}
    at = 0
    while rest := prompt[at:].lstrip():
        at = len(prompt) - len(rest)
        name, closed, _ = rest.removeprefix(_BEGIN).partition("]")
        begin = at + len(_BEGIN) + len(name) + 1
        mark = f"{_END}{name}]"
        end = prompt.find(mark, begin)
        if not rest.startswith(_BEGIN) or not closed or end < 0 or name in sections:
            raise Unreadable("unknown_prompt")
        sections[name] = prompt[begin:end].strip()
        at = end + len(mark)
    return sections


def _answer(output: str) -> str:
    """Return an answer without its fence, or the word before it."""
    answer = output.strip().removesuffix("</s>").strip()
    mark = next((mark for mark in _MARKS if answer.startswith(mark)), "")
    return answer.removeprefix(mark).removesuffix("```" if "`" in mark else "").strip()


def conversation_draft(
    tools: tuple[Tool, ...], rest: list[dict[str, Any]], turns: Turns, meta: dict[str, Any]
) -> Draft:
    """Return the draft of a conversation; `rest` is what documents say beyond their tools."""
    messages = turns.finished()
    if rest:
        meta["tools"] = rest
    note_all(meta, turns.notes())
    return Draft(kind=kind_of(tools, messages), tools=tools, messages=messages, meta=meta)


def either_parameters(given: Any) -> dict[str, Any]:
    """Return the schema of parameters, a JSON Schema or a flat map with words of Python."""
    is_schema = isinstance(given, dict) and isinstance(given.get("properties"), dict)
    return json_schema(given) if is_schema or not given else python_parameters(given)


def _has_marks(documents: Any) -> bool:
    """Return whether any parameter of a prompt's tools says that it is required, or is not."""
    listed = documents if isinstance(documents, list) else []
    given = [each.get("parameters") for each in listed if isinstance(each, dict)]
    flats = [flat for flat in given if isinstance(flat, dict)]
    return any(_mark(about) is not None for flat in flats for about in flat.values())


def _mark(about: Any) -> bool | None:
    """Return what a parameter says in `required`, or at the end of its description."""
    if not isinstance(about, dict):
        return None
    if isinstance(about.get("required"), bool):
        return bool(about["required"])
    match = _REQUIRED.search(str(about.get("description"))[-40:])
    return match[1] == "true" if match else None


def _marked(given: Any) -> dict[str, Any]:
    """Return the schema of flat parameters, of which those are required that say so."""
    known = given.items() if isinstance(given, dict) else ()
    return python_parameters(given, [name for name, about in known if _mark(about)])
