"""JSON Schema of a Python signature: what is certain from annotations, and nothing guessed.

An annotation without an exact counterpart in JSON stands as `x-python-type`, without a `type`.
"""

import ast
import json
import math
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import lru_cache
from typing import Any

from griffe import Parameter, ParameterKind

type Schema = dict[str, Any]

_SCALARS = {
    "int": "integer",
    "float": "number",
    "str": "string",
    "bool": "boolean",
    "None": "null",
}
# A JSON array arrives as a list, a JSON object as a dict: only what accepts those is exact.
_ARRAYS = frozenset(("list", "List", "Sequence", "MutableSequence", "Iterable", "Collection"))
_OBJECTS = frozenset(("dict", "Dict", "Mapping", "MutableMapping"))
_VARIADIC = (ParameterKind.var_positional, ParameterKind.var_keyword)


class _InexactError(Exception):
    """The annotation has no exact counterpart in JSON Schema."""


def schema_of_annotation(annotation: str) -> Schema:
    """Return the schema of values that an annotation admits."""
    return deepcopy(_schema_of_annotation(annotation))


@lru_cache(maxsize=65536)
def _schema_of_annotation(annotation: str) -> Schema:
    try:
        return _of_node(ast.parse(annotation, mode="eval").body)
    except (_InexactError, SyntaxError, ValueError, RecursionError):
        return {"x-python-type": annotation}


def _of_node(node: ast.expr) -> Schema:
    if isinstance(node, ast.Constant):
        if node.value is None:
            return {"type": "null"}
        if isinstance(node.value, str):  # a forward reference
            return _of_node(ast.parse(node.value, mode="eval").body)
        raise _InexactError
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([node.left, node.right])
    if isinstance(node, ast.Subscript):
        return _of_subscript(_name(node.value), _elements(node.slice))
    return _of_name(_name(node))


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    raise _InexactError


def _elements(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _of_name(name: str) -> Schema:
    if name in _SCALARS:
        return {"type": _SCALARS[name]}
    if name in _ARRAYS:
        return {"type": "array"}
    if name in _OBJECTS:
        return {"type": "object"}
    if name in ("Any", "object"):
        return {}
    raise _InexactError


def _of_subscript(name: str, arguments: list[ast.expr]) -> Schema:
    if name == "Optional":
        return _union([*arguments, ast.Constant(None)])
    if name == "Union":
        return _union(arguments)
    if name == "Literal":
        return {"enum": [_literal(argument) for argument in arguments]}
    if name in ("Annotated", "Final", "ClassVar", "Required", "NotRequired"):
        return _of_node(arguments[0])
    if name in _ARRAYS and len(arguments) == 1:
        return {"type": "array", "items": _of_node(arguments[0])}
    if name in _OBJECTS and len(arguments) == 2 and _of_node(arguments[0]) == {"type": "string"}:
        return {"type": "object", "additionalProperties": _of_node(arguments[1])}
    raise _InexactError


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | bool | None):
        return node.value
    raise _InexactError


def _union(nodes: Iterable[ast.expr]) -> Schema:
    """Join alternatives; where all but one are `null`, in the type of that one."""
    members: list[Schema] = []
    for node in nodes:
        schema = _of_node(node)
        members += schema.get("anyOf", [schema])
    if {} in members:
        return {}
    members = [member for i, member in enumerate(members) if member not in members[:i]]
    if len(members) == 1:
        return members[0]
    if all(member.keys() == {"type"} for member in members):
        types: list[str] = []
        for member in members:
            types += member["type"] if isinstance(member["type"], list) else [member["type"]]
        return {"type": list(dict.fromkeys(types))}
    others = [member for member in members if member != {"type": "null"}]
    if len(others) == 1:
        return _nullable(others[0])
    return {"anyOf": members}


def _nullable(schema: Schema) -> Schema:
    if "enum" in schema:
        return {"enum": [*schema["enum"], None]}
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def literal_default(source: str) -> tuple[bool, Any]:
    """Return whether a default is a literal that JSON can express exactly, and its value."""
    try:
        value = ast.literal_eval(source)
        if not _is_exact_json(value):
            return False, None
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False, None
    return True, value


def _is_exact_json(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_exact_json, value))
    if isinstance(value, dict):
        keys_are_names = all(isinstance(key, str) for key in value)
        return keys_are_names and all(map(_is_exact_json, value.values()))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int | bool)


def schema_of_parameters(
    parameters: Iterable[Parameter],
    descriptions: Mapping[str, str],
    documented_types: Mapping[str, str],
) -> Schema:
    """Return the schema of a call's arguments as one object, by name.

    Args:
        parameters: The signature, without `self` or `cls`.
        descriptions: What the docstring says about each, by name without stars.
        documented_types: The types it gives, used where the signature has no annotation.
    """
    properties: dict[str, Schema] = {}
    required: list[str] = []
    additional: Schema | bool = False
    for parameter in parameters:
        annotation = parameter.annotation or documented_types.get(parameter.name)
        schema = schema_of_annotation(str(annotation)) if annotation else {}
        if parameter.kind is ParameterKind.var_keyword:
            additional = schema or True
            continue
        if parameter.kind is ParameterKind.var_positional:
            schema = {"type": "array", "items": schema} if schema else {"type": "array"}
        if description := descriptions.get(parameter.name):
            schema = {**schema, "description": description}
        if parameter.kind not in _VARIADIC:
            if parameter.default is None:
                required.append(parameter.name)
            else:
                is_literal, value = literal_default(str(parameter.default))
                schema = {**schema, "default": value} if is_literal else schema
        properties[parameter.name] = schema
    schema = {"type": "object", "properties": properties, "required": required}
    return {**schema, "additionalProperties": additional}
