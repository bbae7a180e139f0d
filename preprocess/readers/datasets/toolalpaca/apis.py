"""An API of ToolAlpaca: its documentation, and what was asked of it.

`{"Name", "Description", "Documentation": "<OpenAPI 3 as JSON>", "NLDocumentation",
"Function_Description", "Function_Projection", "Instructions": [...]}`. Evaluation files have
`Golden_Answers`, a list of `{"Action", "Action_Input"}` per request; the training file has
`Instances`, the conversations that an agent and a simulated API had.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.exact_json import to_json_text
from preprocess.readers.datasets.toolalpaca.tools import tools_of
from preprocess.readers.draft import Draft, Dropped
from preprocess.readers.episode import Episode
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.understand.json_text import loads
from preprocess.records import Message, Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(r"[\w.-]+")
_ACTION = re.compile(r"\n?(?:ASSISTANT )?Action ?\d*:[^\n]*\n(?:ASSISTANT )?Action ?\d* ?Input")
_KNOWN_OF_INSTANCE = frozenset({"input", "output", "Final Thought", "intermediate_steps"})


def convert_api(native: Native) -> Iterator[Draft | Dropped]:
    """Yield the documentation of an API, its requests with their calls, and its conversations.

    What of the requests could not be understood stands in the documentation's `meta`.
    """
    value: dict[str, Any] = native.value
    tools = _tools(native)
    meta = {key: each for key, each in value.items() if key not in ("Golden_Answers", "Instances")}
    calls, unread = _requests(native, tools)
    runs, broken = _instances(native, tools)
    if value.get("Golden_Answers") is not None:
        del meta["Instructions"]
    if unread:
        meta["unreadable_answers"] = unread
    if broken:
        meta["unreadable_instances"] = broken
    yield Draft(
        kind="tool_documentation",
        tools=tools,
        text=None if tools else _text(value),
        meta=meta,
        part="documentation",
    )
    yield from calls
    yield from runs


def _tools(native: Native) -> tuple[Tool, ...]:
    """Return the tools of the documentation; none where it is not written as OpenAPI."""
    document = native.value.get("Documentation")
    if isinstance(document, str):
        try:
            document = loads(document, native)
        except Unreadable:
            return ()
    return tools_of(document, native.value.get("Function_Projection"))


def _text(value: dict[str, Any]) -> str:
    """Return the documentation in words, for an API without readable OpenAPI."""
    keys = ("Name", "Description", "Introduction", "NLDocumentation", "Functions", "Documentation")
    texts = [value[key] for key in keys if isinstance(value.get(key), str) and value[key].strip()]
    if not texts:
        raise Unreadable("no_documentation")
    return "\n\n".join(dict.fromkeys(texts))


def _requests(
    native: Native, tools: tuple[Tool, ...]
) -> tuple[list[Draft | Dropped], list[dict[str, Any]]]:
    """Return the requests with golden answers, and those whose answers are no certain calls."""
    answers = native.value.get("Golden_Answers")
    if answers is None:
        return [], []
    requests = native.value.get("Instructions")
    if not isinstance(answers, list) or not isinstance(requests, list):
        raise Unreadable("invalid_golden_answers")
    if len(answers) != len(requests):
        raise Unreadable("not_one_answer_per_request")
    made: list[Draft | Dropped] = []
    unread = []
    for number, (request, answer) in enumerate(zip(requests, answers, strict=True)):
        if not isinstance(request, str) or not request.strip() or not isinstance(answer, list):
            raise Unreadable("invalid_request")
        calls = _calls(answer, native)
        if isinstance(calls, str):
            made.append(Dropped(calls))
            unread.append({"Instruction": request, "Golden_Answer": answer})
            continue
        messages = (
            Message(role="user", content=request),
            Message(role="assistant", content="", tool_calls=calls),
        )
        meta = {key: native.value[key] for key in ("Name", "Category") if key in native.value}
        draft = Draft(
            kind="function_call", tools=tools, messages=messages, meta=meta, part=str(number)
        )
        made.append(draft)
    return made, unread


def _calls(answer: list[Any], native: Native) -> tuple[ToolCall, ...] | str:
    """Return the calls of one answer, or why they are none.

    Inputs hold ranges, alternatives and placeholders for what an earlier call returns
    (`{"id": ${id from search}}`): those are not JSON and say no value.
    """
    calls: list[ToolCall] = []
    for each in answer:
        if not isinstance(each, dict) or each.keys() != {"Action", "Action_Input"}:
            raise Unreadable("invalid_golden_answer")
        name, given = each["Action"], each["Action_Input"]
        if not isinstance(name, str) or not isinstance(given, str | dict):
            raise Unreadable("invalid_golden_answer")
        if not _NAME.fullmatch(name):
            return "invalid_action"  # `[Optional]f`: it may be called
        try:
            arguments = loads(given, native) if isinstance(given, str) else given
        except Unreadable:
            return "invalid_action_input"
        if not isinstance(arguments, dict):
            return "invalid_action_input"
        calls.append(ToolCall(id=f"call_{len(calls)}", name=name, arguments=arguments))
    return tuple(calls) if calls else "no_golden_answer"


def _instances(native: Native, tools: tuple[Tool, ...]) -> tuple[list[Draft | Dropped], list[Any]]:
    """Return the conversations, and what an agent left that is none."""
    instances = native.value.get("Instances")
    if instances is None:
        return [], []
    if not isinstance(instances, list):
        raise Unreadable("invalid_instances")
    made: list[Draft | Dropped] = []
    broken = []
    for number, instance in enumerate(instances):
        if isinstance(instance, dict) and _is_told(instance):
            made.append(_instance(native, tools, instance, f"instance-{number}"))
        else:
            made.append(Dropped("no_conversation"))
            if instance:
                broken.append(instance)
    return made, broken


def _is_told(instance: dict[str, Any]) -> bool:
    steps = instance.get("intermediate_steps", [])
    return (
        isinstance(instance.get("input"), str)
        and bool(instance["input"].strip())
        and isinstance(instance.get("output"), str)
        and isinstance(steps, list)
        and all(map(_is_step, steps))
    )


def _is_step(step: Any) -> bool:
    """Whether it is `[[action, action input, log], observation]`."""
    return (
        isinstance(step, list)
        and len(step) == 2
        and isinstance(step[0], list)
        and len(step[0]) == 3
        and all(isinstance(part, str) for part in (step[0][0], step[0][2]))
        and isinstance(step[0][1], str | dict)
    )


def _instance(
    native: Native, tools: tuple[Tool, ...], instance: dict[str, Any], part: str
) -> Draft:
    episode = Episode(native)
    episode.say("user", instance["input"])
    logs = []
    for (action, given, log), observation in instance.get("intermediate_steps", []):
        arguments = given if isinstance(given, str) else to_json_text(given)
        said = _ACTION.search(log)
        thought = log[: said.start()] if said else log
        if said:
            logs.append(log)
        episode.call(thought.strip(), action, arguments)
        episode.observe(observation if isinstance(observation, str) else to_json_text(observation))
    last = [instance.get("Final Thought"), instance["output"]]
    said_last = [text for text in last if isinstance(text, str) and text.strip()]
    if said_last:
        episode.say("assistant", "\n".join(said_last))
    meta = {key: native.value[key] for key in ("Name", "Category") if key in native.value}
    meta |= {key: each for key, each in instance.items() if key not in _KNOWN_OF_INSTANCE}
    if logs:
        meta["log"] = logs
    return Draft(
        kind="trajectory",
        tools=tools,
        messages=tuple(episode.messages),
        meta=episode.note(meta),
        part=part,
    )
