"""YAML as JSON understands it: no dates, no `yes` for true, no numbers of base 60."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import yaml

from preprocess.readers.native import Unreadable

if TYPE_CHECKING:
    from collections.abc import Hashable

MOST_NODES = 5_000_000
"""Aliases can make gigabytes of a kilobyte; no API has so many nodes."""

MOST_DEPTH = 512


class _Loader(yaml.CSafeLoader):
    """Reads scalars as the JSON schema of YAML 1.2 does."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False|TRUE|FALSE", "tTfF"),
    ("null", r"null|Null|NULL|~|", "nN~\0"),
    ("int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", "-0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(rf"^(?:{_pattern})$"),
        [char if char != "\0" else "" for char in _first],
    )


def _construct_number(loader: _Loader, node: yaml.ScalarNode) -> float | Decimal | int:
    spelled = loader.construct_scalar(node)
    if spelled.lstrip("-").isdecimal():
        return int(spelled)
    value = float(spelled)
    return value if repr(value) == spelled else Decimal(spelled)  # a version 1.10 is not 1.1


def _construct_map(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    made: dict[str, Any] = {}
    loader.flatten_mapping(node)
    for key_node, value_node in node.value:
        key: Hashable = loader.construct_object(key_node, deep=True)
        name = key if isinstance(key, str) else str(key_node.value)  # 200: as a key of JSON
        if name in made:
            raise Unreadable("duplicate_key")
        made[name] = loader.construct_object(value_node, deep=True)
    return made


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_number)


def load_yaml(data: bytes) -> Any:
    """Return what a YAML file says.

    Raises:
        Unreadable: `empty_file`, `invalid_utf8`, `invalid_yaml`, `duplicate_key`, `too_deep`, or
            `alias_bomb`.
    """
    if not data.strip():
        raise Unreadable("empty_file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("invalid_utf8") from error
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise Unreadable("invalid_yaml") from error
    except RecursionError as error:
        raise Unreadable("too_deep") from error
    _check_size(value)
    return value


def _check_size(value: Any) -> None:
    """Refuse what aliases blow up: each node counts as often as it would be written."""
    seen = 0
    stack = [(value, 0)]
    while stack:
        node, depth = stack.pop()
        seen += 1
        if seen > MOST_NODES:
            raise Unreadable("alias_bomb")
        if depth > MOST_DEPTH:
            raise Unreadable("too_deep")
        if isinstance(node, dict):
            stack += [(each, depth + 1) for each in node.values()]
        elif isinstance(node, list):
            stack += [(each, depth + 1) for each in node]
