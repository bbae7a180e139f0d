"""Results of ToolBench's evaluation: a file of answers by the id of their request.

`{query_id: {"query", "available_tools", "answer": {"method", "total_steps", "final_answer",
"answer_details": [{"role", "message", "next": [...]}]}}}`. A tool's message holds a call and its
response, as an object or as Python printed it, sometimes cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.datasets.toolbench.functions import functions_of
from preprocess.readers.draft import Draft
from preprocess.readers.episode import Episode
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.turns import role_of
from preprocess.readers.understand.json_text import loads
from preprocess.records import portable_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_CALL = {"name", "arguments", "response"}
_NODE = {"role", "message", "next"}


def convert_results(native: Native) -> Iterator[Draft]:
    """Yield the run of each request; what a tool's message holds of a cut call stays its text."""
    for identifier, result in native.value.items():
        yield _draft(native, portable_path(identifier), result)


def _draft(native: Native, part: str, result: dict[str, Any]) -> Draft:
    query, answer = result.get("query"), result["answer"]
    if not isinstance(answer, dict) or not isinstance(query, str):
        raise Unreadable("invalid_result")
    details = answer.get("answer_details")
    if not isinstance(details, list):
        raise Unreadable("invalid_answer_details")
    tools, more = functions_of(result.get("available_tools"))
    run = _Run(native, query)
    run.follow(details)
    told = ("query", "available_tools") if run.has_query else ("available_tools",)
    meta = {key: result[key] for key in result if key not in told}
    if not run.is_verbatim:
        meta["answer"] = answer
    else:
        meta["answer"] = {key: answer[key] for key in answer if key != "answer_details"}
    if more:
        meta["available_tools"] = more
    return Draft(
        kind="trajectory",
        tools=tools,
        messages=tuple(run.episode.messages),
        meta=run.episode.note(meta),
        part=part,
    )


class _Run:
    """One path through the details of an answer: the last branch wherever there are several."""

    def __init__(self, native: Native, query: str) -> None:
        self.episode = Episode(native)
        self.is_verbatim = True
        """Whether the messages say all that the details say, in their own words."""

        self._native = native
        self._query = query
        self._is_asked = False
        self.has_query = False
        """Whether the request is told, and not another one."""

    def follow(self, nodes: list[Any]) -> None:
        while nodes:
            self.is_verbatim &= len(nodes) == 1
            node = nodes[-1]
            if not isinstance(node, dict) or not isinstance(node.get("next", []), list):
                raise Unreadable("invalid_answer_details")
            self._tell(role_of(node.get("role")), node.get("message"))
            self.is_verbatim &= node.keys() <= _NODE
            nodes = node.get("next", [])
        if not self._is_asked:
            raise Unreadable("no_request_in_answer_details")

    def _tell(self, role: Any, message: Any) -> None:
        if role == "tool":
            self._tell_call(message)
            return
        if not isinstance(message, str):
            raise Unreadable("invalid_answer_details")
        if role == "user" and not self._is_asked:
            self._is_asked = True
            # Some files have it cut, others empty; the whole of it stands beside the answer.
            self.has_query = self._query.startswith(message)
            message = self._query if self.has_query else message
        if message:
            self.episode.say(role, message)

    def _tell_call(self, message: Any) -> None:
        call = self._call(message)
        if call is None:
            if not isinstance(message, str):
                raise Unreadable("invalid_answer_details")
            self.episode.observe(message)
            return
        self.is_verbatim &= call is message and call.keys() <= _CALL
        name, arguments, response = call.get("name"), call.get("arguments"), call.get("response")
        if not isinstance(name, str) or not isinstance(arguments, str):
            raise Unreadable("invalid_function_call")
        self.episode.call("", name, arguments)
        if isinstance(response, str) and (response or name != "Finish"):
            self.episode.observe(response, name)
        elif response not in (None, ""):
            self.is_verbatim = False

    def _call(self, message: Any) -> dict[str, Any] | None:
        """Return the call that a message holds; None where it breaks off."""
        if isinstance(message, str):
            if not message.rstrip().endswith("}"):
                return None  # most are cut, and no reading of them would help
            try:
                message = loads(message, self._native)
            except Unreadable:
                return None
        return message if isinstance(message, dict) and "name" in message else None
