"""A trajectory as it is told: what was said, what was called, what came back.

For sources that spell calls as text: arguments are parsed here, and a call that the model itself
spelled wrongly stays the text that it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from preprocess.readers.draft import note
from preprocess.readers.native import Unreadable
from preprocess.readers.observations import note_truncated
from preprocess.readers.understand.json_text import loads
from preprocess.records import Message, ToolCall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from preprocess.readers.native import Native
    from preprocess.readers.turns import Role


class Spelled(NamedTuple):
    """A call as its source spells it."""

    name: str
    arguments: str
    id: str | None = None


class Episode:
    """The messages of one record so far, and what `meta` has to say about them."""

    def __init__(self, native: Native) -> None:
        self.messages: list[Message] = []
        self.num_malformed = 0
        """Calls whose arguments are no JSON object; they are text."""

        self._native = native
        self._num_calls = 0
        self._open: list[ToolCall] = []
        self._observations: list[str] = []

    def say(self, role: Role, content: str, loss: bool | None = None) -> None:
        """Add a turn of text."""
        self.messages.append(Message(role=role, content=content, loss=loss))

    def call(self, content: str, name: str, arguments: str, loss: bool | None = None) -> bool:
        """Add a turn of the assistant that calls one function; see `calls`."""
        return self.calls(content, [Spelled(name, arguments)], loss)

    def calls(self, content: str, spelled: Sequence[Spelled], loss: bool | None = None) -> bool:
        """Add a turn of the assistant that calls functions.

        Args:
            content: What it says before the calls.
            spelled: The calls. Arguments are JSON of an object; nothing at all is an object
                without members. Anything else is what a model got wrong, and then all calls of
                the turn become lines of its content.
            loss: Whether the turn is trained on.

        Returns:
            Whether they are calls.
        """
        parsed = [self._parse(each.arguments) for each in spelled]
        if any(arguments is None for arguments in parsed):
            self.num_malformed += parsed.count(None)
            lines = [content] if content else []
            for each in spelled:
                lines += [f"Action: {each.name}", f"Action Input: {each.arguments}"]
            self.say("assistant", "\n".join(lines), loss)
            return False
        made = tuple(
            ToolCall(
                id=each.id or f"call_{self._num_calls + number}",
                name=each.name,
                arguments=arguments or {},
            )
            for number, (each, arguments) in enumerate(zip(spelled, parsed, strict=True))
        )
        self._num_calls += len(made)
        self._open += made
        self.messages.append(Message(role="assistant", content=content, tool_calls=made, loss=loss))
        return True

    def observe(
        self,
        content: str,
        name: str | None = None,
        loss: bool | None = None,
        identifier: str | None = None,
    ) -> None:
        """Add what came back, the answer to the first call without one.

        Args:
            content: What the environment said.
            name: The function that says it; it answers no call of another one.
            loss: Whether the turn is trained on.
            identifier: The call that it answers, where the source says so.
        """
        self._observations.append(content)
        answered = None
        for position, call in enumerate(self._open):
            if call.id == identifier if identifier else name in (None, call.name):
                answered = self._open.pop(position).id
                break
        self.messages.append(
            Message(role="tool", content=content, tool_call_id=answered, loss=loss)
        )

    def note(self, meta: dict[str, Any]) -> dict[str, Any]:
        """Return `meta` with the counts of cut observations and of malformed calls added."""
        note_truncated(meta, self._observations)
        if self.num_malformed:
            note(meta, "malformed_calls", self.num_malformed)
        return meta

    def _parse(self, arguments: str) -> dict[str, Any] | None:
        if not arguments.strip():
            self._native.repaired("empty_arguments")
            return {}
        try:
            parsed = loads(arguments, self._native)
        except Unreadable:
            return None
        return parsed if isinstance(parsed, dict) else None
