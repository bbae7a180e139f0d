"""Which ids a text has to spell, and which its reader can tell by counting."""

from __future__ import annotations


class Links:
    """The calls and answers of one conversation, in order.

    The id of a call goes without saying when it is `call_<n>`, n counting the calls from 0; that
    in an answer when it is the call's that has waited longest.
    """

    def __init__(self) -> None:
        self._num_calls = 0
        self._waiting: dict[str, None] = {}

    def call(self, identifier: str) -> str:
        """Return what has to be spelled of a call's id."""
        expected = f"call_{self._num_calls}"
        self._num_calls += 1
        self._waiting[identifier] = None
        return "" if identifier == expected else identifier

    def answer(self, identifier: str | None) -> str:
        """Return what has to be spelled of the id in an answer."""
        first = next(iter(self._waiting), None)
        if identifier is None:
            return ""
        self._waiting.pop(identifier, None)
        return "" if identifier == first else identifier
