"""The functions that ToolBench gave its models, in OpenAI's spelling, as tools."""

from __future__ import annotations

from typing import Any

from preprocess.readers.native import Unreadable
from preprocess.readers.openai_turns import beyond_tools, tools_of
from preprocess.records import Tool


def functions_of(functions: Any) -> tuple[tuple[Tool, ...], dict[str, Any]]:
    """Return the tools, and what the functions say beyond that, by name; none is no function.

    The list `optional` of their parameters is no keyword of JSON Schema. Where it names what
    `required` leaves out, it says nothing and is left out too.

    Raises:
        Unreadable: It is no list of functions with names and parameters.
    """
    if not isinstance(functions, list | None):
        raise Unreadable("invalid_functions")
    given = functions or []
    tools = tools_of(given)
    return tuple(map(_without_optional, tools)), beyond_tools(given)


def _without_optional(tool: Tool) -> Tool:
    parameters = tool.parameters
    properties, required = parameters.get("properties"), parameters.get("required")
    if "optional" not in parameters or not isinstance(properties, dict):
        return tool
    needed = required if isinstance(required, list) else []
    if parameters["optional"] != [name for name in properties if name not in needed]:
        return tool
    kept = {key: value for key, value in parameters.items() if key != "optional"}
    return Tool(name=tool.name, description=tool.description, parameters=kept)
