"""Names of types in other languages, and Python's type expressions, as JSON Schema."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from preprocess.readers.understand.literals import NotLiteral, Reading, parse

WORDS: Final = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
"""Those of JSON Schema itself."""

SAME: Final = {
    "string": "string",
    "str": "string",
    "text": "string",
    "integer": "integer",
    "int": "integer",
    "number": "number",
    "float": "number",
    "double": "number",
    "boolean": "boolean",
    "bool": "boolean",
    "array": "array",
    "list": "array",
    "object": "object",
    "dict": "object",
    "dictionary": "object",
    "null": "null",
    "none": "null",
    "nonetype": "null",
}
"""Words, in lower case, that say no more than JSON Schema's own."""

NARROWER: Final = {
    "long": "integer",
    "short": "integer",
    "byte": "integer",
    "bigint": "integer",
    "char": "string",
    "character": "string",
    "date": "string",
    "datetime": "string",
    "time": "string",
    "tuple": "array",
    "set": "array",
    "frozenset": "array",
    "arraylist": "array",
    "sequence": "array",
    "iterable": "array",
    "hashmap": "object",
    "map": "object",
    "mapping": "object",
}
"""Words, in lower case, that say more; they are kept as `x-type`."""

ANYTHING: Final = frozenset({"any", "typing.any"})
"""Words for no restriction at all."""

_UNIONS: Final = frozenset({"Union", "typing.Union"})
_OPTIONALS: Final = frozenset({"Optional", "typing.Optional"})
_LITERALS: Final = frozenset({"Literal", "typing.Literal"})
_OPTIONAL_MARK: Final = re.compile(r"\s*,\s*(?:\(?optional\)?)\s*$", re.IGNORECASE)
_DEFAULT_MARK: Final = re.compile(
    r"\s*,\s*(?:optional\s*,\s*)?defaults?(?:\s+(?:to|is|of))?\s*[:=]?\s*(.+?)\s*$",
    re.IGNORECASE | re.DOTALL,
)
_PARENTHESES: Final = re.compile(r"^\s*(list|array|tuple|set)\((\w+)\)\s*$", re.IGNORECASE)
_LONGEST: Final = 1000
"""Characters of a type that is taken apart; the patterns take quadratic time on blanks."""

_DATE: Final = re.compile(r"(?:date|time|datetime)\b", re.IGNORECASE)


@dataclass(frozen=True)
class TypeWords:
    """What the words of a type say."""

    schema: dict[str, Any] = field(default_factory=dict)
    """Keywords of JSON Schema; a `default` that the words name is one of them."""

    is_optional: bool = False
    """Whether they say that the parameter may be left out."""


def plain_type(word: Any) -> dict[str, Any]:
    """Return the keywords for the value of `type` in a schema that is not quite JSON Schema.

    A list of types, which JSON Schema allows, is mapped word for word.
    """
    if isinstance(word, list) and word:
        return _several(word)
    if not isinstance(word, str):
        return {"x-type": word}
    name = word.strip().lower()
    if name in SAME:
        return {"type": SAME[name]}
    return dict(parse_type(word).schema)


def parse_type(words: Any) -> TypeWords:
    """Return what a type as Python programmers write it says; no words say nothing."""
    if words is None:
        return TypeWords()
    if not isinstance(words, str):
        return TypeWords(plain_type(words))
    return _parse(words) if len(words) <= _LONGEST else TypeWords({"x-type": words})


@lru_cache(maxsize=4096)
def _parse(words: str) -> TypeWords:
    text, default, is_optional = words.strip(), "", False
    if match := _DEFAULT_MARK.search(text):
        text, default, is_optional = text[: match.start()], match[1], True
    if match := _OPTIONAL_MARK.search(text):
        text, is_optional = text[: match.start()], True
    schema = _expression(text)
    if "type" not in schema and schema and "anyOf" not in schema and "enum" not in schema:
        schema = {"x-type": words}
    if default:
        schema = {**schema, "default": _default(default, schema.get("type")), "x-type": words}
    return TypeWords(schema, is_optional)


def _expression(text: str) -> dict[str, Any]:
    """Return the schema of a type without its marks; `x-type` alone where it is unknown."""
    name = text.strip().lower()
    if name in SAME:
        return {"type": SAME[name]}
    if name in ANYTHING:
        return {}
    if name in NARROWER:
        return {"type": NARROWER[name], "x-type": text}
    if match := _PARENTHESES.match(text):
        return _expression(f"{match[1]}[{match[2]}]")
    if _DATE.match(text):
        return {"type": "string", "x-type": text}
    try:
        tree = parse(text, "eval")
        assert isinstance(tree, ast.Expression)
        if isinstance(tree.body, ast.Subscript | ast.BinOp):
            return _composed(tree.body, text)
    except (NotLiteral, RecursionError):
        pass
    return {"x-type": text}


def _composed(node: ast.expr, source: str) -> dict[str, Any]:
    """Return the schema of `List[int]`, `Union[..]`, `int | str` and the like."""
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _union([left, right])
        case ast.Subscript(value=ast.Name() | ast.Attribute() as outer, slice=inner):
            arguments = list(inner.elts) if isinstance(inner, ast.Tuple) else [inner]
            return _generic(ast.unparse(outer), arguments, source)
    return _expression(ast.unparse(node))


def _generic(outer: str, arguments: list[ast.expr], source: str) -> dict[str, Any]:
    if outer in _UNIONS:
        return _union(arguments)
    if outer in _OPTIONALS:
        return _union([*arguments, ast.Constant(None)])
    if outer in _LITERALS:
        reading = Reading(source, joins_strings=True)
        return {"enum": [reading.value(argument) for argument in arguments]}
    base = _expression(outer.rpartition(".")[2])
    match base.get("type"):
        case "object" if len(arguments) == 2:
            values = _part(arguments[1])
            known = base if _is_string(arguments[0]) else {**base, "x-type": source}
            return {**known, "additionalProperties": values} if values else dict(known)
        case "array":
            return _array(base, arguments, source)
    return {"x-type": source}


def _array(base: dict[str, Any], arguments: list[ast.expr], source: str) -> dict[str, Any]:
    is_tuple = str(base.get("x-type", "")).lower() == "tuple"
    whole = {"type": "array", "x-type": source} if "x-type" in base else {"type": "array"}
    endless = len(arguments) == 2 and _is_ellipsis(arguments[1])
    if is_tuple and not endless:
        number = len(arguments)
        parts = [_part(argument) for argument in arguments]
        return {**whole, "prefixItems": parts, "minItems": number, "maxItems": number}
    if len(arguments) == 1 or (is_tuple and endless):
        items = _part(arguments[0])
        return {**whole, "items": items} if items else whole
    return {"type": "array", "x-type": source}


def _union(nodes: list[ast.expr]) -> dict[str, Any]:
    choices = [_part(node) for node in nodes]
    if any(not choice for choice in choices):
        return {}  # one of them allows anything
    words = [choice["type"] for choice in choices if set(choice) == {"type"}]
    if len(words) == len(choices) and all(isinstance(word, str) for word in words):
        return {"type": list(dict.fromkeys(words))}
    return {"anyOf": choices}


def _part(node: ast.expr) -> dict[str, Any]:
    if isinstance(node, ast.Constant) and node.value is None:
        return {"type": "null"}
    if isinstance(node, ast.Subscript | ast.BinOp):
        return _composed(node, ast.unparse(node))
    return _expression(ast.unparse(node))


def _is_string(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "str"


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _several(words: list[Any]) -> dict[str, Any]:
    parts = [plain_type(word) for word in words]
    if all(set(part) == {"type"} and isinstance(part["type"], str) for part in parts):
        return {"type": list(dict.fromkeys(part["type"] for part in parts))}
    if any("type" not in part for part in parts):
        return {"x-type": words}
    return {"type": list(dict.fromkeys(part["type"] for part in parts)), "x-type": words}


def _default(text: str, kind: Any) -> Any:
    """Return the default that the words of a type name, as a value of the type."""
    if kind == "string" and text[:1] not in "'\"":
        return text
    try:
        tree = parse(text, "eval")
        assert isinstance(tree, ast.Expression)
        return Reading(text, joins_strings=True).value(tree.body)
    except (NotLiteral, RecursionError):
        return text
