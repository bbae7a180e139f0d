"""Whether an environment's answer was cut before the agent saw it.

Three signs, each certain enough to be counted and none to change a value: a notice that says so,
a tail of dots (ToolBench cuts after 1,024 characters and adds "..."), and JSON or a Python literal
that breaks off: a string, a list or an object that was opened and never closed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.readers.draft import note

if TYPE_CHECKING:
    from collections.abc import Iterable

_TAILS = ("...", "…")
_NOTICE = re.compile(
    r"<response clipped>"  # SWE-agent's editor
    r"|\[[^\[\]\n]*\btruncated\b[^\[\]\n]*\]"  # AgentBench, OpenHands, MINT
    r"|\(truncated\)",
    re.IGNORECASE,
)
_STRUCTURE = re.compile(r"""\s*(?:\{\s*["'}]|\[\s*[\[{"'\]\d-])""")
"""How a list or an object begins, in JSON or Python; `[File: a.py]` and `[x, y]` do not."""

_TOKEN = re.compile(
    r"""
      "(?:[^"\\]|\\.)*+"   # a whole string; possessive, so that a hostile one costs one pass
    | '(?:[^'\\]|\\.)*+'
    | [\[\]{}]
    | ["']                 # a string that never ends
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSED_BY = {"{": "}", "[": "]"}
_DECODER = msgspec.json.Decoder()


def count_truncated(observations: Iterable[str]) -> int:
    """Return how many of these observations were cut."""
    return sum(map(is_truncated, observations))


def note_truncated(meta: dict[str, Any], observations: Iterable[str]) -> None:
    """Set `truncated_observations` of a record's `meta` if there are any."""
    if count := count_truncated(observations):
        note(meta, "truncated_observations", count)


def is_truncated(observation: str) -> bool:
    r"""Return whether an observation was cut.

    >>> is_truncated('{"error": "", "response": "Ready"}')
    False
    >>> is_truncated('{"error": "", "response": "Rea')
    True
    >>> is_truncated("{'titles': ['Up', 'Wall-E', 'Ra...")
    True
    >>> is_truncated("[File: setup.py (3 lines)]\n1: 'a' {")
    False
    """
    if _has_tail(observation):
        return True
    if ("runcated" in observation or "RUNCATED" in observation or "clipped" in observation) and (
        _NOTICE.search(observation)
    ):
        return True
    if _STRUCTURE.match(observation) is None:
        return False
    try:
        value = _DECODER.decode(observation)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return _breaks_off(observation)
    return isinstance(value, dict) and _holds_truncated(value)


def _has_tail(text: str) -> bool:
    end = text.rstrip()
    return end.endswith(_TAILS) and end.strip(".…") != ""


def _holds_truncated(envelope: dict[str, Any]) -> bool:
    """Return whether an answer that came in an envelope, as a string of it, was cut.

    Any string of the envelope may be JSON that breaks off; dots end sentences of descriptions
    too, so they count only where `response` is the whole of the answer.
    """
    response = envelope.get("response")
    if isinstance(response, str) and _has_tail(response):
        return True
    return any(
        isinstance(text, str) and _STRUCTURE.match(text) is not None and _breaks_off(text)
        for text in envelope.values()
    )


def _breaks_off(text: str) -> bool:
    """Return whether a list or an object that begins a text is never closed."""
    ends_well = text.rstrip().endswith(_CLOSED_BY[text.lstrip()[0]])
    depth = 0
    for token in _TOKEN.finditer(text):
        spelled = token[0]
        if spelled in "[{":
            depth += 1
        elif spelled in "]}":
            depth -= 1
            if depth <= 0:
                return False  # closed; what follows is other text
        elif len(spelled) == 1:
            # A quote that opens a string to the end of the text; where the text ends as the
            # object does, it is rather an apostrophe that its author did not escape.
            return not ends_well
    return depth > 0
