"""Templates of the documentation of tools.

Whatever a schema holds stands in each of them: what a layout has no place for is added as JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from preprocess.render.python_signature import signature
from preprocess.render.schema_parts import Parameter, parts_of
from preprocess.render.spans import Unfit
from preprocess.render.values import is_plain, json_block, json_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from preprocess.records import Tool


def openai_lines(tools: Sequence[Tool]) -> str:
    """Return one line of JSON for each tool, in the layout of OpenAI's functions."""
    return "\n".join([json_text({"type": "function", "function": tool}) for tool in tools])


def json_schemas(tools: Sequence[Tool]) -> str:
    """Return the JSON of each tool, indented, with its parameters as JSON Schema."""
    return "\n\n".join([json_block(tool) for tool in tools])


def plain_lines(tools: Sequence[Tool]) -> str:
    """Return each tool as its name with its description, and its parameters as JSON."""
    return "\n\n".join(
        [
            f"{tool.name}: {tool.description}\nParameters: {json_text(tool.parameters)}"
            for tool in tools
        ]
    )


def python_signatures(tools: Sequence[Tool]) -> str:
    """Return each tool as a Python function with its docstring.

    Raises:
        Unfit: A name is none in Python, or a description would end the docstring.
    """
    return "\n\n\n".join([signature(tool) for tool in tools])


def markdown(tools: Sequence[Tool]) -> str:
    """Return each tool as a section of Markdown with a table of its parameters.

    A list stands in place of the table where a cell would break it.

    Raises:
        Unfit: A name would break its own markup.
    """
    return "\n\n".join([_section(tool) for tool in tools])


_HEAD: Final = "| Parameter | Type | Required | Description |\n|---|---|---|---|"
_HEAD_DETAILS: Final = (
    "| Parameter | Type | Required | Description | Details |\n|---|---|---|---|---|"
)


def _section(tool: Tool) -> str:
    if not is_plain(tool.name):
        raise Unfit
    parameters, rest = parts_of(tool.parameters)
    lines = [f"### `{tool.name}`"]
    if tool.description:
        lines.append(tool.description)
    if parameters:
        lines.append(_table(parameters) or _list(parameters))
    if rest:
        lines.append(f"Schema: {json_text(rest)}")
    return "\n\n".join(lines)


def _table(parameters: list[Parameter]) -> str | None:
    """Return the table of the parameters; None where a cell holds a bar or a newline.

    Raises:
        Unfit: A name would break its own markup.
    """
    has_details = any([each[4] for each in parameters])  # noqa: C419 - a generator costs more
    rows = [_HEAD_DETAILS if has_details else _HEAD]
    for name, is_required, word, description, rest in parameters:
        if not is_plain(name):
            raise Unfit
        row = f"| `{name}` | {word or ''} | {'yes' if is_required else 'no'} | {description} |"
        if has_details:
            row += f" {json_text(rest)} |" if rest else "  |"
        rows.append(row)
    table = "\n".join(rows)
    num_rows = len(rows) + 1
    num_bars = num_rows * (6 if has_details else 5)
    return table if table.count("|") == num_bars and table.count("\n") == num_rows - 1 else None


def _list(parameters: list[Parameter]) -> str:
    lines = []
    for name, is_required, word, description, rest in parameters:
        needed = "required" if is_required else "optional"
        line = f"- `{name}` ({word}, {needed})" if word else f"- `{name}` ({needed})"
        if description:
            line += ": " + description.replace("\n", "\n  ")
        lines.append(f"{line} {json_text(rest)}" if rest else line)
    return "\n".join(lines)
