"""YAML as JSON understands it: no dates, no `yes` for true, no numbers of base 60."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml

from preprocess.readers.native import Unreadable
from preprocess.readers.yaml_depth import deeper_than

MOST_NODES = 5_000_000
"""Aliases can make gigabytes of a kilobyte; no API has so many nodes."""

MOST_DEPTH = 512

_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.CSafeLoader):
    """Reads scalars as the JSON schema of YAML 1.2 does, and merge keys as YAML 1.1 does.

    Tags of other types (dates, bytes, sets) are errors, as those of unknown ones are.
    """


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False|TRUE|FALSE", "tTfF"),
    ("null", r"null|Null|NULL|~|", "nN~\0"),
    ("int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", "-0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(rf"^(?:{_pattern})$"),
        [char if char != "\0" else "" for char in _first],
    )


def _construct_number(loader: _Loader, node: yaml.ScalarNode) -> float | Decimal | int:
    spelled = loader.construct_scalar(node)
    try:
        if spelled.lstrip("-").isdecimal():
            return int(spelled)
        value = float(spelled)
        return value if repr(value) == spelled else Decimal(spelled)  # a version 1.10 is not 1.1
    except (ValueError, InvalidOperation) as error:  # too many digits, or tagged as a number
        raise Unreadable("invalid_number") from error


def _construct_truth(loader: _Loader, node: yaml.ScalarNode) -> bool:
    spelled = loader.construct_scalar(node).lower()
    if spelled not in ("true", "false"):
        raise Unreadable("invalid_yaml")
    return bool(spelled == "true")


def _construct_map(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise Unreadable("invalid_yaml")
    made: dict[str, Any] = {}
    own: set[str] = set()
    for key_node, value_node in node.value:
        value = loader.construct_object(value_node, deep=True)
        if key_node.tag == _MERGE:
            for each in _merged(value):
                made = {**each, **made}
            continue
        if not isinstance(key_node, yaml.ScalarNode):
            raise Unreadable("key_is_no_scalar")
        name = str(key_node.value)  # 200: as a key of JSON
        if name in own:
            raise Unreadable("duplicate_key")
        own.add(name)
        made[name] = value
    return made


def _merged(value: Any) -> list[dict[str, Any]]:
    """Return what a merge key brings, what counts most first; keys of the map itself do more."""
    several = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in several):
        raise Unreadable("invalid_merge_key")
    return several


_Loader.yaml_constructors = {
    tag: _Loader.yaml_constructors[tag]
    for tag in (None, "tag:yaml.org,2002:null", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:str")
}
_Loader.add_constructor("tag:yaml.org,2002:bool", _construct_truth)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_number)


def load_yaml(data: bytes) -> Any:
    """Return what a YAML file says.

    Raises:
        Unreadable: `empty_file`, `invalid_utf8`, `invalid_yaml`, `invalid_number`, `too_deep`,
            `duplicate_key`, `key_is_no_scalar`, `invalid_merge_key`, or `alias_bomb`.
    """
    if not data.strip():
        raise Unreadable("empty_file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("invalid_utf8") from error
    try:
        if deeper_than(MOST_DEPTH, text):
            raise Unreadable("too_deep")
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
