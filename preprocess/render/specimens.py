"""A made-up record with one of everything that templates write, for their fingerprint."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from preprocess.records import Message, Tool, ToolCall

TOOLS: Final = (
    Tool(
        name="weather.forecast",
        description="Forecast of a city.\nIn words.",
        parameters={
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Name | code", "minLength": 1},
                "days": {"type": "integer", "description": "How many.", "default": 3},
                "units": {"type": "array", "items": {"type": "string"}},
                "at": {"type": ["string", "null"], "x-type": "date"},
                "exact": {"type": "boolean", "description": "Ä <é>\nor not"},
            },
            "required": ["city", "exact"],
            "additionalProperties": False,
        },
    ),
    Tool(
        name="noop",
        description="",
        parameters={"type": "object", "properties": {"a": {"type": "number"}}, "required": []},
    ),
    Tool(name="bare", description="Nothing.", parameters={}),
)

MESSAGES: Final = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="How is <Rome> & Zürich?"),
    Message(
        role="assistant",
        content="I look.",
        tool_calls=(
            ToolCall(
                id="call_0", name="weather.forecast", arguments={"city": 'R"\n', "exact": True}
            ),
            ToolCall(
                id="x-1",
                name="noop",
                arguments={"a": Decimal("1E+400"), "not a name": [None, {"b": 1.5}]},
            ),
        ),
    ),
    Message(role="tool", content="sunny", tool_call_id="x-1"),
    Message(role="tool", content="", tool_call_id="call_0"),
    Message(
        role="assistant", content="", tool_calls=(ToolCall(id="y", name="bare", arguments={}),)
    ),
    Message(role="tool", content="{}"),
    Message(role="assistant", content="Sunny.", loss=True),
)
