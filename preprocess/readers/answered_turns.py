"""A conversation as it is read, turn by turn: which call each answer of a tool belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from preprocess.readers.native import Unreadable
from preprocess.readers.observations import note_truncated
from preprocess.records import Message

if TYPE_CHECKING:
    from preprocess.readers.function_calls import Calls
    from preprocess.records import ToolCall


class Turns:
    """The messages of one record."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.reasoning: dict[str, int] = {}
        """How many characters of a turn's content, from its beginning, are reasoning that the
        source keeps apart; by the turn's ordinal."""
        self.fields: list[dict[str, Any]] = []
        """Fields of turns that have no place in a message, beside the turn's ordinal."""
        self._messages: list[Message] = []
        self._open: list[str] = []

    def keep(self, turn: dict[str, Any], known: frozenset[str]) -> None:
        """Note what the turn that comes next says beyond the fields known."""
        rest = {key: turn[key] for key in turn if key not in known}
        if rest:
            self.fields.append({"turn": len(self._messages), **rest})

    def said(self, role: str, content: str, reasoning: int = 0) -> None:
        """Add a turn without calls."""
        if role not in ("system", "user", "assistant"):
            raise Unreadable("unknown_role")
        known: Literal["system", "user", "assistant"] = role  # type: ignore[assignment]
        self._note(reasoning)
        self._messages.append(Message(role=known, content=content))

    def called(self, calls: tuple[ToolCall, ...], content: str = "", reasoning: int = 0) -> None:
        """Add a turn of the assistant that may make calls."""
        self._note(reasoning)
        self._messages.append(Message(role="assistant", content=content, tool_calls=calls))
        self._open = [call.id for call in calls] or self._open

    def answered(self, content: str, identifier: str | None = None) -> None:
        """Add a tool's answer: to the call with that id, else to the first one still open.

        One answer to several calls at once stands as the answer to the first of them.
        """
        if identifier is None and self._open:
            identifier = self._open[0]
        self._open = [call for call in self._open if call != identifier]
        self._messages.append(Message(role="tool", content=content, tool_call_id=identifier))

    def finished(self) -> tuple[Message, ...]:
        """Return the messages; raises `Unreadable` (`no_turns`) where there is none."""
        if not self._messages:
            raise Unreadable("no_turns")
        return tuple(self._messages)

    def notes(self) -> dict[str, Any]:
        """Return what stands in no message, for `meta`."""
        made: dict[str, Any] = {}
        if self.reasoning:
            made["reasoning_characters"] = self.reasoning
        if self.fields:
            made["turn_fields"] = self.fields
        if self.calls.extras:
            made["tool_calls"] = self.calls.extras
        note_truncated(made, [each.content for each in self._messages if each.role == "tool"])
        return made

    def _note(self, reasoning: int) -> None:
        if reasoning:
            self.reasoning[str(len(self._messages))] = reasoning
