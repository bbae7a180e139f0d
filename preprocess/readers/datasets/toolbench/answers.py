"""ToolBench's answers: a request, the functions that may help, and the search for an answer.

`{"win", "tree", "forward_args", "compare_candidates", "answer_generation": {"query", "function",
"train_messages", ...}}`. `train_messages` are the conversations of the search, each as it stood
when the model was asked: most grow out of the one before, and the last one led to the answer. A
search that failed has none; its last attempt is then the last path of its tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.datasets.toolbench.functions import functions_of
from preprocess.readers.draft import Draft
from preprocess.readers.episode import Episode, Spelled
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.openai_turns import beyond_call
from preprocess.readers.turns import role_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.records import Tool

_SPOKEN = frozenset({"role", "content", "function_call", "tool_calls"})
_ANSWERED = _SPOKEN | {"tool_call_id", "name"}


def convert_answer(native: Native) -> Iterator[Draft]:
    """Yield the conversation that led to the answer, then those that are no part of a later one.

    What the search says beyond that (its tree, its scores) is in `meta` of the first.
    """
    value: dict[str, Any] = native.value
    generation = value["answer_generation"]
    if not isinstance(generation, dict):
        raise Unreadable("invalid_answer_generation")
    tools, more = functions_of(generation.get("function"))
    rest = {key: generation[key] for key in generation if key not in ("function", "train_messages")}
    if more:
        rest["function"] = more
    meta = {**value, "answer_generation": rest}
    chains = generation.get("train_messages") or []
    if chains:
        yield from _conversations(native, tools, chains, meta)
    else:
        yield from _attempts(native, tools, value, meta)


def _conversations(
    native: Native, tools: tuple[Tool, ...], chains: Any, meta: dict[str, Any]
) -> Iterator[Draft]:
    if not isinstance(chains, list) or not all(map(_is_chain, chains)):
        raise Unreadable("invalid_train_messages")
    numbers = _longest(chains)
    for part, number in enumerate(numbers):
        episode = Episode(native)
        extra = _tell(episode, chains[number])
        own = dict(meta) if part == 0 else {}
        if extra:
            own["train_message_fields"] = extra
        if len(numbers) > 1:
            own["train_messages"] = number
        yield Draft(
            kind="trajectory",
            tools=tools,
            messages=tuple(episode.messages),
            meta=episode.note(own),
            part=str(part) if len(numbers) > 1 else "",
        )


def _is_chain(chain: Any) -> bool:
    return isinstance(chain, list) and bool(chain) and all(isinstance(m, dict) for m in chain)


def _longest(chains: list[list[Any]]) -> list[int]:
    """Return the numbers of the conversations that no later one begins with, the last one first."""
    numbers = [len(chains) - 1]
    for number in range(len(chains) - 2, -1, -1):
        chain = chains[number]
        if not any(chains[later][: len(chain)] == chain for later in numbers):
            numbers.append(number)
    return numbers


def _tell(episode: Episode, chain: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tell one conversation; returns the fields of its turns that have no place in a message."""
    extra = []
    for number, turn in enumerate(chain):
        role = role_of(turn.get("role"))
        content = turn.get("content")
        if content is None:
            content = ""
        elif not isinstance(content, str):
            raise Unreadable("content_is_no_text")
        known = _SPOKEN
        given = _given(turn)
        if given:
            episode.calls(content, [_call(each) for each in given])
        elif role == "tool":
            episode.observe(content, turn.get("name"), identifier=turn.get("tool_call_id"))
            if episode.messages[-1].tool_call_id is not None:
                known = _ANSWERED
        else:
            episode.say(role, content)
        rest = {key: turn[key] for key in turn if key not in known}
        if any(beyond := [beyond_call(each) for each in given]):
            rest["tool_calls"] = beyond
        if rest:
            extra.append({"turn": number, **rest})
    return extra


def _given(turn: dict[str, Any]) -> list[Any]:
    """Return the calls of a turn, in OpenAI's newer spelling, the only one with ids."""
    given = turn.get("tool_calls") or []
    if not isinstance(given, list):
        raise Unreadable("invalid_function_call")
    if turn.get("function_call") is not None:
        given = [*given, {"function": turn["function_call"]}]
    return given


def _call(given: Any) -> Spelled:
    call = given.get("function") if isinstance(given, dict) else None
    name = call.get("name") if isinstance(call, dict) else None
    arguments = call.get("arguments") if isinstance(call, dict) else None
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise Unreadable("invalid_function_call")
    identifier = given.get("id")
    return Spelled(name, arguments, identifier if isinstance(identifier, str) else None)


def _attempts(
    native: Native, tools: tuple[Tool, ...], value: dict[str, Any], meta: dict[str, Any]
) -> Iterator[Draft]:
    query = value["answer_generation"].get("query")
    if not isinstance(query, str) or not query.strip():
        raise Unreadable("no_train_messages_and_no_query")
    paths = _paths(value)
    for part, path in enumerate(paths):
        episode = Episode(native)
        episode.say("user", query)
        _follow(episode, path)
        yield Draft(
            kind="trajectory",
            tools=tools,
            messages=tuple(episode.messages),
            meta=episode.note(dict(meta) if part == 0 else {}),
            part=str(part) if len(paths) > 1 else "",
        )


def _paths(value: dict[str, Any]) -> list[list[Any]]:
    """Return the nodes of each attempt: those of each chain, or of the last path of the tree."""
    tries = value.get("trys")
    if isinstance(tries, list) and tries:
        return [_chain(each) for each in tries]
    tree = value.get("tree")
    node = tree.get("tree") if isinstance(tree, dict) else None
    path = []
    while isinstance(node, dict):
        path.append(node)
        children = node.get("children")
        node = children[-1] if isinstance(children, list) and children else None
    return [path]


def _chain(attempt: Any) -> list[Any]:
    chain = attempt.get("chain") if isinstance(attempt, dict) else None
    if not isinstance(chain, list):
        raise Unreadable("invalid_tries")
    return chain


def _follow(episode: Episode, path: list[Any]) -> None:
    """Tell what the nodes of a path say: a thought, the name of a function, its arguments."""
    thought, name = "", None
    for node in path:
        if not isinstance(node, dict):
            raise Unreadable("invalid_tree")
        kind, text = node.get("node_type"), node.get("description")
        if not isinstance(text, str):
            raise Unreadable("invalid_tree")
        if kind == "Thought":
            if thought:
                episode.say("assistant", thought)
            thought = text
        elif kind == "Action":
            name = text
        elif kind == "Action Input":
            if name is None:
                continue  # the root of a tree
            episode.call(thought, name, text)
            observation = node.get("observation")
            if isinstance(observation, str) and observation:
                episode.observe(observation)
            thought, name = "", None
        else:
            raise Unreadable("invalid_tree")
    if thought:
        episode.say("assistant", thought)
    if name is not None:
        episode.say("assistant", f"Action: {name}")
