"""Python source to the values that JSON can hold, with the digits that were written.

Source is parsed, never run. A tuple or a set becomes a list in the order written, since JSON has no
other word for it; everything that JSON cannot hold (bytes, complex numbers, `inf`) is refused.
"""

from __future__ import annotations

import ast
import re
import warnings
from decimal import Decimal, InvalidOperation
from typing import Any, Final

LONGEST_SOURCE_BYTES: Final = 4 << 20
"""Longer source is refused: its syntax tree takes a hundred times the memory of its text."""

_JSON_NAMES: Final = {"true": True, "false": False, "null": None}
"""Words of JSON between Python literals: nothing else can be meant by them."""

_STRING: Final = re.compile(r"""(?s)[A-Za-z]*(?:'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")""")


class NotLiteral(ValueError):  # noqa: N818 - it names a state of the source
    """The source is not a literal, or one that JSON cannot hold."""


def parse(source: str, mode: str) -> ast.AST:
    """Return the syntax tree of `source`; `mode` is that of `ast.parse`.

    Raises:
        NotLiteral: It is not Python, or too long or too deep to be parsed.
    """
    if len(source) > LONGEST_SOURCE_BYTES:
        raise NotLiteral("too long")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # escapes such as `\d`, which mean themselves
        try:
            return ast.parse(source, mode=mode)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise NotLiteral("not Python") from error


class Reading:
    """Values of the nodes of one source."""

    def __init__(self, source: str, *, joins_strings: bool) -> None:
        """Read nodes parsed from `source`.

        Args:
            source: The text that was parsed.
            joins_strings: Whether `"a" "b"` is `"ab"`. It is in source that a person wrote; in a
                printed value it is a missing comma.
        """
        self._lines = [line.encode() for line in re.split(r"\r\n|\r|\n", source)]
        self._joins_strings = joins_strings
        self.has_other_keys = False
        """Whether a key was a number, a truth value or None, and is now its JSON spelling."""

    def value(self, node: ast.AST) -> Any:
        """Return what the literal at `node` stands for.

        Raises:
            NotLiteral: It holds anything but literals, or what JSON cannot hold.
        """
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
                return [self.value(element) for element in elements]
            case ast.Dict():
                return self._object(node)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant() as operand):
                return self._signed(sign, operand)
            case ast.Name(id=name) if name in _JSON_NAMES:
                return _JSON_NAMES[name]
        raise NotLiteral(type(node).__name__)

    def _constant(self, node: ast.Constant) -> Any:
        value = node.value
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._string(node, value)
        if isinstance(value, int):
            return value
        if isinstance(value, float):
            return self._float(node, value)
        raise NotLiteral(type(value).__name__)

    def _string(self, node: ast.Constant, value: str) -> str:
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise NotLiteral("lone surrogate")
        if not self._joins_strings and not _is_one_string(self._source(node)):
            raise NotLiteral("strings without a comma")
        return value

    def _float(self, node: ast.Constant, value: float) -> float | Decimal:
        try:
            exact = Decimal(self._source(node).replace("_", ""))
        except InvalidOperation as error:
            raise NotLiteral("an exponent out of range") from error
        if Decimal(repr(value)) == exact:  # never so for `inf`, which a long exponent gives
            return value
        return exact

    def _signed(self, sign: ast.unaryop, operand: ast.Constant) -> Any:
        value = self._constant(operand)
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise NotLiteral("sign before no number")
        return value if isinstance(sign, ast.UAdd) else -value

    def _object(self, node: ast.Dict) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                raise NotLiteral("unpacking")
            name = self._key(key)
            if name in made:
                raise NotLiteral("one key twice")
            made[name] = self.value(value)
        return made

    def _key(self, node: ast.AST) -> str:
        key = self.value(node)
        if isinstance(key, str):
            return key
        if isinstance(key, list | dict):
            raise NotLiteral("a key that is no scalar")
        self.has_other_keys = True
        if key is None:
            return "null"
        return str(key).lower() if isinstance(key, bool) else str(key)

    def _source(self, node: ast.Constant) -> str:
        """Return the source of a constant; columns of syntax trees count bytes of UTF-8."""
        last = node.end_lineno or node.lineno
        lines = self._lines[node.lineno - 1 : last]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return b"\n".join(lines).decode()


def _is_one_string(source: str) -> bool:
    if source.lstrip("rRuU").startswith(("'''", '"""')):
        return True
    return _STRING.fullmatch(source) is not None
