"""Dataset `gorilla_apizoo`: APIs that people documented for Gorilla's API zoo.

One object per API, in an array; what `api_arguments` says of an argument is prose that mostly
begins with its type.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.readers.cards import code, prose, section
from preprocess.readers.draft import Draft
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable, outcome, read_json
from preprocess.readers.reader import Options, Reader
from preprocess.records import Outcome, Tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TYPE = re.compile(
    r"(?:\[REQUIRED\]\s*)?(string|integer|boolean|number|object|array)\s*(?:$|[:(])", re.IGNORECASE
)
_LAST_COMMA = re.compile(rb'(?s)("(?:[^"\\]|\\.)*+")|,(?=\s*[}\]])')
_QUESTIONS = ("questions", "Questions")


def convert(native: Native) -> Iterator[Draft]:
    """Yield the documentation of the API."""
    value = native.value
    if not isinstance(value, dict) or not isinstance(value.get("api_name"), str):
        raise Unreadable("unknown_layout")
    if not isinstance(value.get("api_call"), str):
        raise Unreadable("unknown_layout")
    functionality = value.get("functionality")
    description = functionality if isinstance(functionality, str) else ""
    arguments = value.get("api_arguments")
    tool = Tool(name=value["api_name"], description=description, parameters=_parameters(arguments))
    yield Draft(
        kind="tool_documentation", tools=(tool,), appendix=_appendix(value), meta=_rest(value)
    )


def _appendix(value: dict[str, Any]) -> str:
    """Return what a contributor says beyond the tool, each under its heading."""
    questions = next((value[key] for key in _QUESTIONS if key in value), None)
    more = value.get("meta_data", value.get("metadata"))
    arguments = value.get("api_arguments")
    sections = [
        section("Call:", code(value["api_call"])),
        section("Arguments:", "" if _are_prose(arguments) else prose(arguments)),
        section("Requirements:", prose(value.get("env_requirements"))),
        section("Example:", code(value.get("example_code"))),
        section("About:", prose(more)),
        section("Questions that it answers:", prose(questions)),
    ]
    return "\n\n".join(each for each in sections if each)


def _are_prose(arguments: Any) -> bool:
    """Return whether arguments are all said by the tool: prose by name."""
    return isinstance(arguments, dict) and all(map(_is_string, arguments.values()))


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _rest(value: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that the tool does not say whole; lists keep their form here alone."""
    said = ["api_name"]
    if _is_string(value.get("functionality")):
        said.append("functionality")
    if _are_prose(value.get("api_arguments")):
        said.append("api_arguments")
    return {key: value[key] for key in value if key not in said}


def _parameters(arguments: Any) -> dict[str, Any]:
    """Return the schema of arguments by name; prose gives the type only where it begins so."""
    properties: dict[str, Any] = {}
    required = []
    for name, said in arguments.items() if isinstance(arguments, dict) else ():
        properties[name] = about = {}
        if not isinstance(said, str):
            continue
        about["description"] = said
        if match := _TYPE.match(said.lstrip()):
            about["type"] = match[1].lower()
        if said.lstrip().startswith("[REQUIRED]"):
            required.append(name)
    return {"type": "object", "properties": properties, "required": required}


def read_file(path: Path, relative: str, options: Options, limit_bytes: int) -> Iterator[Outcome]:
    """Yield the outcome of each native record; commas before a closing bracket are left out."""
    del options
    for each in read_json(READER, path, relative, limit_bytes, convert):
        yield _mended(each) if each.rejection else each


def _mended(rejected: Outcome) -> Outcome:
    """Return the outcome of a record without commas that end a list or an object, if that helps."""
    rejection = rejected.rejection
    if rejection is None or rejection.reason != "invalid_json":
        return rejected
    raw = _LAST_COMMA.sub(lambda match: match[1] or b"", rejection.raw)
    again = outcome(READER, raw, rejection.origin, convert) if raw != rejection.raw else rejected
    if again.rejection:
        return rejected
    repairs = (*again.repairs, "trailing_comma_in_json")
    return msgspec.structs.replace(again, repairs=repairs)


READER = Reader(
    name="gorilla_apizoo",
    kind="tool_documentation",
    license="Apache-2.0",
    url="https://github.com/ShishirPatil/gorilla/tree/main/data/apizoo",
    released="2023 and later",
    published="27 files",
    layout="*.json, *.JSON: arrays",
    unit="an API",
    accepts=Named(".json", ".jsonl"),
    read_file=read_file,
    streams=True,
)
