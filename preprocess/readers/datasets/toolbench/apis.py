"""RapidAPI's documents of APIs as tools, named as ToolBench's answers call them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from preprocess.readers.native import Unreadable
from preprocess.readers.understand.schemas import rapidapi_parameters
from preprocess.records import Tool

LONGEST_NAME_CHARACTERS: Final = 64
"""ToolBench keeps the end of longer names; OpenAI's functions allow no more."""

_OTHER = re.compile(r"[^0-9A-Za-z\u4e00-\u9fa5^]+")
_PYTHON_WORDS: Final = frozenset({"from", "class", "return", "false", "true", "id", "and"})
_IN_TOOL: Final = ("required_parameters", "optional_parameters")


@lru_cache(maxsize=1 << 16)
def function_name(tool_name: str, api_name: str) -> str:
    """Return the name that ToolBench gives the function of an API.

    Lower case, everything but letters and digits an underscore, `is_` before words that Python
    reserves (and before `id`), `_for_` between API and tool.

    >>> function_name("Kick.com API | Kick API", "Get Channel Clips")
    'get_channel_clips_for_kick_com_api_kick_api'
    >>> function_name("The Cocktail DB", "5 Day")
    '5_day_for_the_cocktail_db'
    """
    api = _standard(api_name)
    if api in _PYTHON_WORDS:
        api = f"is_{api}"
    return f"{api}_for_{_standard(tool_name)}"[-LONGEST_NAME_CHARACTERS:]


def _standard(name: str) -> str:
    return _OTHER.sub("_", name).lower().strip("_")


def tools_of(apis: Any, tool_name: str | None = None) -> tuple[Tool, ...]:
    """Return the tools that a list of APIs documents.

    Args:
        apis: RapidAPI's objects.
        tool_name: The tool that all of them belong to, where they do not say so themselves.

    Raises:
        Unreadable: `invalid_api_list` or `invalid_parameters`.
    """
    if not isinstance(apis, list):
        raise Unreadable("invalid_api_list")
    return tuple(_tool(api, tool_name) for api in apis)


def _tool(api: Any, tool_name: str | None) -> Tool:
    if not isinstance(api, dict):
        raise Unreadable("invalid_api_list")
    name = api.get("api_name", api.get("name"))
    owner = api.get("tool_name", tool_name)
    if not isinstance(name, str) or not isinstance(owner, str | None):
        raise Unreadable("invalid_api_list")
    description = api.get(_described(api))
    required, optional = (api.get(key) or [] for key in _IN_TOOL)
    if not isinstance(required, list) or not isinstance(optional, list):
        raise Unreadable("invalid_parameters")
    return Tool(
        name=name if owner is None else function_name(owner, name),
        description=description if isinstance(description, str) else "",
        parameters=rapidapi_parameters(required, optional),
    )


def _described(api: dict[str, Any]) -> str:
    """Return the field that holds an API's description."""
    return "api_description" if "api_description" in api else "description"


def beyond_tools(apis: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what APIs say beyond their tools: the names as they were, method, response, ..."""
    return [
        {
            key: value
            for key, value in api.items()
            if key not in _IN_TOOL and not (key == _described(api) and isinstance(value, str))
        }
        for api in apis
    ]
