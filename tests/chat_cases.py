"""Conversations for the tests of chat templates: made ones, and how a reference is asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

type Json = Any

TEXTS = [
    "", " ", "the quick dog", "  Straße\n\n", "中文 😀 e\u0301", "a <b> & \"c\" 'd' \\ \x1f\x7f",
    "{\"name\": \"f\"}", "```python\nx = [1]\n```", "user", "<|im_start", "|>", "</think>",
    "\u2028x",
]  # fmt: skip
VALUES = [0, -1, 1.5, 1e-7, 1e22, True, None, "é\n", "", [1, [2, {}]], {"k": {"l": []}}, "</b>"]
LITERALS = ["<|im_end|>", "<|eot_id|>", "<tool_call>", "a<|endoftext|>b", "[INST]", "</s>"]


def conversation(choices: random.Random, *, most_calls: int = 2, literals: bool = False) -> Json:
    """Return a record with messages: system or none, tools or none, calls, replies, any text."""
    texts = TEXTS + LITERALS if literals else TEXTS
    tools = [tool(choices, texts, number) for number in range(choices.randrange(4))]
    messages: list[Json] = []
    if choices.random() < 0.5:
        messages.append({"role": "system", "content": choices.choice(texts)})
    calls = 0
    for _ in range(choices.randrange(1, 4)):
        messages.append({"role": "user", "content": choices.choice(texts)})
        while most_calls and choices.random() < 0.4:
            made = [
                call(choices, texts, calls + number)
                for number in range(choices.randint(1, most_calls))
            ]
            calls += len(made)
            messages.append({"role": "assistant", "content": "", "tool_calls": made})
            messages += [
                {"role": "tool", "content": choices.choice(texts), "tool_call_id": each["id"]}
                for each in made
            ]
        messages.append({"role": "assistant", "content": choices.choice(texts)})
    for message in messages:
        if message["role"] in ("user", "assistant") and choices.random() < 0.2:
            message["loss"] = choices.random() < 0.5
    return {"id": f"hand/a#{choices.randrange(1 << 40)}", "messages": messages, "tools": tools}


def tool(choices: random.Random, texts: list[str], number: int) -> Json:
    schema = {"type": "object", "properties": {"x": {"default": choices.choice(VALUES)}}}
    return {
        "name": f"tool_{number}",
        "description": choices.choice(texts),
        "parameters": choices.choice([{}, schema]),
    }


def call(choices: random.Random, texts: list[str], number: int) -> Json:
    names = ["x", "größe", "a b"]
    arguments = {name: choices.choice([*VALUES, choices.choice(texts)]) for name in names}
    return {"id": f"call_{number}", "name": f"tool_{number % 3}", "arguments": arguments}


def line(record: Json) -> bytes:
    return json.dumps(record, ensure_ascii=choice_of(record)).encode()


def choice_of(record: Json) -> bool:
    """Return whether a line spells characters by escapes: both ways are the same record."""
    return len(record["messages"]) % 2 == 0


def real(directory: Path) -> Iterator[Json]:
    """Yield the conversations of ../shared that are as our schema says."""
    import agent_records

    for record in agent_records.records(directory):
        messages = [clean(message) for message in record["messages"]]
        if all(message is not None for message in messages):
            tools = record["tools"]
            is_plain = all(isinstance(t, dict) and "function" not in t for t in tools)
            yield {
                "id": record["id"],
                "source": record["source"],
                "messages": messages,
                "tools": tools if is_plain else [],
            }


def clean(message: Json) -> Json | None:
    if message["role"] not in ("system", "user", "assistant", "tool"):
        return None
    content = message.get("content")
    if not isinstance(content, str | None):
        return None
    cleaned = {"role": message["role"], "content": content or ""}
    calls = [each.get("function", each) for each in message.get("tool_calls", [])]
    if not all(isinstance(each["arguments"], dict) for each in calls):
        return None
    if calls:
        cleaned["tool_calls"] = [
            {"id": f"call_{number}", "name": each["name"], "arguments": each["arguments"]}
            for number, each in enumerate(calls)
        ]
    return cleaned


def for_reference(record: Json) -> tuple[list[Json], list[Json] | None]:
    """Return messages and tools as `transformers` wants them."""
    messages = []
    for message in record["messages"]:
        asked = {key: value for key, value in message.items() if key != "loss"}
        if calls := message.get("tool_calls"):
            asked["tool_calls"] = [
                {
                    "id": each["id"],
                    "type": "function",
                    "function": {"name": each["name"], "arguments": each["arguments"]},
                }
                for each in calls
            ]
        messages.append(asked)
    tools = [{"type": "function", "function": each} for each in record["tools"]]
    return messages, tools or None
