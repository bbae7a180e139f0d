"""Docstrings in Google, NumPy or Sphinx style to Markdown that always looks the same.

Source of the parsers: griffe. The style is told by its heuristics, which look at the text only.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from textwrap import indent
from typing import Any

from griffe import (
    Docstring,
    DocstringElement,
    DocstringNamedElement,
    DocstringSection,
    DocstringSectionKind,
    Function,
    Parser,
    infer_docstring_style,
    parse,
)

from preprocess.records import escape_surrogates

_TITLES = {
    DocstringSectionKind.parameters: "Parameters",
    DocstringSectionKind.other_parameters: "Other parameters",
    DocstringSectionKind.type_parameters: "Type parameters",
    DocstringSectionKind.returns: "Returns",
    DocstringSectionKind.yields: "Yields",
    DocstringSectionKind.receives: "Receives",
    DocstringSectionKind.raises: "Raises",
    DocstringSectionKind.warns: "Warns",
    DocstringSectionKind.attributes: "Attributes",
    DocstringSectionKind.functions: "Functions",
    DocstringSectionKind.classes: "Classes",
    DocstringSectionKind.modules: "Modules",
    DocstringSectionKind.type_aliases: "Type aliases",
}
_ARGUMENTS = (DocstringSectionKind.parameters, DocstringSectionKind.other_parameters)
# Words that a style spends on saying what a line is; the rendering says it in its own way.
_MARKS = re.compile(
    r"(?:arg|args|argument|arguments|Arg|Args|Argument|Arguments|Parameters|Params|param|"
    r"parameter|Attributes|attribute|Example|Examples|except|exception|Exceptions|"
    r"Keyword|Other|Returns|return|returns|Return|Raises|raise|raises|rtype|type|"
    r"optional|Note|Warning|Yields|Methods|Functions|Classes|Modules)"
)
# One item for a Returns section, `type: description`, as Google's guide has it: several items
# would cut prose that runs over lines.
_OPTIONS: dict[Parser, dict[str, Any]] = {
    Parser.google: {
        "warnings": False,
        "trim_doctest_flags": False,
        "returns_multiple_items": False,
        "returns_named_value": False,
        "receives_multiple_items": False,
        "receives_named_value": False,
    },
    Parser.numpy: {"warnings": False, "trim_doctest_flags": False},
    Parser.sphinx: {"warnings": False},
}


@dataclass(frozen=True, kw_only=True)
class Documentation:
    """A docstring, taken apart."""

    summary: str = ""
    """Its first paragraph, on one line."""

    markdown: str = ""
    """All of it, its sections with bold titles."""

    descriptions: dict[str, str] = field(default_factory=dict)
    """What it says about each parameter, by name without stars."""

    types: dict[str, str] = field(default_factory=dict)
    """The types that it gives them, where it does."""

    attributes: frozenset[str] = frozenset()
    """Names of the attributes that it documents."""


def read_docstring(docstring: Docstring | None) -> Documentation:
    """Parse a docstring.

    Nothing of its text is lost but the marks of its style: where the parser would lose a word
    (an item that it cannot split, a type that the signature gives differently), the text stands
    as its author wrote it.
    """
    if docstring is None or not docstring.value.strip():
        return Documentation()
    docstring.value = escape_surrogates(docstring.value)
    sections = _sections(docstring)
    arguments = [item for s in sections if s.kind in _ARGUMENTS for item in s.value]
    attributes = [
        item.name for s in sections if s.kind is DocstringSectionKind.attributes for item in s.value
    ]
    markdown = "\n\n".join(filter(None, map(_section, sections)))
    if not markdown or _words(docstring.value) - _words(markdown):
        markdown = docstring.value
    return Documentation(
        summary=first_paragraph(docstring.value),
        markdown=markdown,
        descriptions={_bare(a.name): " ".join(a.description.split()) for a in arguments},
        types={_bare(a.name): str(a.annotation) for a in arguments if a.annotation},
        attributes=frozenset(attributes),
    )


def first_paragraph(text: str) -> str:
    """Return the lines before the first blank one, joined."""
    return " ".join(text.strip().partition("\n\n")[0].split())


def _sections(docstring: Docstring) -> list[DocstringSection]:
    """Return the sections of a docstring; none where it has no style, or its parser fails."""
    text = docstring.value
    docstring.value = text + "\n"  # the heuristics miss a last line that no newline follows
    style, _ = infer_docstring_style(docstring)
    docstring.value = text
    if style is None:
        return []
    try:
        return parse(docstring, style, **_OPTIONS[style])
    except Exception:  # a parser meets text that it was not made for; the text is kept
        return []


def documentation_of(function: Function) -> Documentation:
    """Return what is said about a function, in its docstring and beside its parameters."""
    overloads = function.overloads or ()
    docstring = function.docstring or next((o.docstring for o in overloads if o.docstring), None)
    documentation = read_docstring(docstring)
    beside = {
        parameter.name: escape_surrogates(parameter.docstring.value)
        for parameter in function.parameters
        if parameter.docstring
    }
    if not beside:
        return documentation
    descriptions = {name: " ".join(text.split()) for name, text in beside.items()}
    is_written = function.lineno != 0  # else made from fields, which the class lists
    items = [list_item(f"`{name}`", text) for name, text in beside.items() if is_written]
    section = "**Parameters**\n\n" + "\n".join(items) if items else ""
    return replace(
        documentation,
        markdown="\n\n".join(filter(None, (documentation.markdown.rstrip("\n"), section))),
        descriptions={**descriptions, **documentation.descriptions},
    )


def _words(text: str) -> Counter[str]:
    return Counter(word for word in re.findall(r"\w+", text) if not _MARKS.fullmatch(word))


def _bare(name: str) -> str:
    return name.lstrip("*\\")


def _section(section: DocstringSection) -> str:
    match section.kind:
        case DocstringSectionKind.text:
            body, title = section.value.strip("\n").rstrip(), ""
        case DocstringSectionKind.examples:
            body, title = "\n\n".join(text.strip("\n") for _, text in section.value), "Examples"
        case DocstringSectionKind.admonition:
            body, title = section.value.description.strip("\n"), section.value.kind.title()
        case DocstringSectionKind.deprecated:
            body, title = f"{section.value.annotation}: {section.value.description}", "Deprecated"
        case _:
            body, title = _items(section.value), _TITLES[section.kind]
    title = (section.title or title).strip()
    return f"**{title}**\n\n{body}" if title and body.strip() else body


def _items(elements: Iterable[DocstringElement]) -> str:
    return "\n".join(map(_item, elements))


def _item(element: DocstringElement) -> str:
    notes = [f"`{element.annotation}`"] if element.annotation else []
    if not isinstance(element, DocstringNamedElement) or not element.name:
        return list_item("".join(notes), element.description)
    if element.value and element.value not in ("()", "{}"):  # those stand for * and ** arguments
        notes.append(f"default `{element.value}`")
    head = f"`{element.name}`" + (f" ({', '.join(notes)})" if notes else "")
    return list_item(head, element.description)


def list_item(head: str, description: str) -> str:
    """Return a Markdown list item whose further lines are indented below it."""
    body = description.strip()
    if not head or not body:
        return "- " + indent(head or body, "  ")[2:]
    return f"- {head}: " + indent(body, "  ")[2:]
