"""Training prompts of xLAM: sections between `[BEGIN OF ...]` and `[END OF ...]`, and an answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.answered_turns import Turns
from preprocess.readers.draft import Draft
from preprocess.readers.function_calls import Calls, kind_of
from preprocess.readers.function_documents import tools_of
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.understand.json_text import loads
from preprocess.readers.understand.schemas import json_schema, python_parameters

if TYPE_CHECKING:
    from preprocess.records import Tool

_BEGIN, _END = "[BEGIN OF ", "[END OF "
_MARKS = ("```json", "```", "[TOOL_CALLS]")
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
    answer = _answer(output)
    calls = loads(answer, native) if answer.startswith("[") else None
    if calls:
        turns.called(turns.calls.of_objects(calls))
    else:
        turns.said("assistant", output)
    kept = {key: value[key] for key in value if key not in ("instruction", "input", "output")}
    draft = conversation_draft(tools, rest, turns, kept)
    draft.text = f"{prompt}{output}"
    return draft


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
    meta |= turns.notes()
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
