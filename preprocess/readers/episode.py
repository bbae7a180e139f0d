"""A trajectory as it is told: what was said, what was called, what came back.

For sources that spell calls as text: arguments are parsed here, and a call that the model itself
spelled wrongly stays the text that it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.native import Unreadable
from preprocess.readers.observations import note_truncated
from preprocess.readers.understand.json_text import loads
from preprocess.records import Message, ToolCall

if TYPE_CHECKING:
    from preprocess.readers.native import Native
    from preprocess.readers.turns import Role


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
        """Add a turn of the assistant that calls a function.

        Args:
            content: What it says before the call.
            name: The function.
            arguments: JSON of an object; nothing at all is an object without members. Anything
                else is what a model got wrong, and the call becomes lines of the content.
            loss: Whether the turn is trained on.

        Returns:
            Whether it is a call.
        """
        parsed = self._parse(arguments)
        if parsed is None:
            self.num_malformed += 1
            lines = [content] if content else []
            text = "\n".join([*lines, f"Action: {name}", f"Action Input: {arguments}"])
            self.say("assistant", text, loss)
            return False
        call = ToolCall(id=f"call_{self._num_calls}", name=name, arguments=parsed)
        self._num_calls += 1
        self._open.append(call)
        self.messages.append(
            Message(role="assistant", content=content, tool_calls=(call,), loss=loss)
        )
        return True

    def observe(self, content: str, name: str | None = None, loss: bool | None = None) -> None:
        """Add what came back, the answer to the first call without one.

        Args:
            content: What the environment said.
            name: The function that says it; it answers no call of another one.
            loss: Whether the turn is trained on.
        """
        self._observations.append(content)
        answered = None
        for position, call in enumerate(self._open):
            if name in (None, call.name):
                answered = self._open.pop(position).id
                break
        self.messages.append(
            Message(role="tool", content=content, tool_call_id=answered, loss=loss)
        )

    def note(self, meta: dict[str, Any]) -> dict[str, Any]:
        """Return `meta` with the counts of cut observations and of malformed calls added."""
        note_truncated(meta, self._observations)
        if self.num_malformed:
            meta["malformed_calls"] = self.num_malformed
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
