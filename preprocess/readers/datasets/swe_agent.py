"""Dataset `swe_agent`: trajectories of SWE-agent, one `.traj` file each.

What the model saw and said is `history`; newer demonstrations have nothing else. `trajectory` has
the same steps as the environment saw them (action, observation without the prompt, state), and
stays in `meta` with `info` and the rest. Agents that call functions have `tool_calls`, the others
write their command in a code block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.draft import Draft, note
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.observations import note_truncated
from preprocess.readers.openai_turns import openai_turns
from preprocess.readers.reader import Reader
from preprocess.readers.turns import observations, text_of_parts

if TYPE_CHECKING:
    from collections.abc import Iterator


_KEPT_ELSEWHERE = frozenset({"tool_call_ids"})
_REPEATED = ("thought", "action")
"""Fields of a turn that its content often repeats."""


def convert(native: Native) -> Iterator[Draft]:
    """Yield the draft of a trajectory."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("no_object")
    name = "history" if "history" in value else "messages"
    if not isinstance(value.get(name), list):
        raise Unreadable("unknown_layout")
    turns = [_plain(turn) for turn in value[name]]
    conversation = openai_turns(turns, native, _KEPT_ELSEWHERE)
    messages = tuple(conversation.messages)
    meta = {each: value[each] for each in value if each != name}
    if conversation.fields:
        note(meta, "turn_fields", conversation.fields)
    note_truncated(meta, observations(messages))
    yield Draft(kind="trajectory", messages=messages, meta=meta)


def _plain(turn: Any) -> Any:
    """Return a turn in OpenAI's spelling, without what its content repeats."""
    if not isinstance(turn, dict):
        return turn
    made = dict(turn)
    answered = turn.get("tool_call_ids")
    if isinstance(answered, list) and len(answered) == 1:
        made["tool_call_id"] = answered[0]
    elif answered:
        raise Unreadable("turn_answers_several_calls")
    content = text_of_parts(turn.get("content"))
    for name in _REPEATED:
        if isinstance(turn.get(name), str) and turn[name].strip("\n") in content:
            del made[name]
    return made


READER = Reader(
    name="swe_agent",
    kind="trajectory",
    license="MIT",
    url="https://github.com/SWE-agent/SWE-agent",
    released="2024-04",
    published="demonstrations and test data of its repository",
    layout="trajectories/**/*.traj",
    unit="a file",
    accepts=Named(".traj", ".traj.json"),
    convert=convert,
)
