"""Jinja as `transformers` sets it up for chat templates, but for the clock.

The same sandbox, white space, `tojson`, `raise_exception` and loop controls, so that a rendering is
the same string. `strftime_now` is there only for a record that has a date of its own. What stands
in `{% generation %}` comes out between two marks, which `turns.py` takes out again: so it is known
where it lies wherever the template puts it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

import jinja2
import jinja2.ext
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2.parser import Parser

BEGIN, END = "\U0010ff00", "\U0010ff01"
"""Marks around what a template says the assistant generated: characters without a meaning."""


class GenerationTag(jinja2.ext.Extension):
    """`{% generation %} ... {% endgeneration %}`."""

    tags = {"generation"}  # noqa: RUF012 - Jinja declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        """Return the block as a call of `_mark` with what is inside."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Callable[[], str]) -> str:
        return f"{BEGIN}{caller()}{END}"


def make_environment() -> ImmutableSandboxedEnvironment:
    """Return an environment for chat templates."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    return environment


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def literals(source: str, environment: jinja2.Environment) -> list[str]:
    """Return the strings that a template itself can print."""
    tree = environment.parse(source)
    data = [node.data for node in tree.find_all(nodes.TemplateData)]
    constants = [node.value for node in tree.find_all(nodes.Const)]
    return [*data, *(value for value in constants if isinstance(value, str))]
