"""Dataset `gorilla_apibench`: instructions, API calls and API cards of Gorilla's APIBench.

`code` holds the instruction and the answer in one of three layouts: `###Instruction: ...` and
`###Output: <<<domain>>>: ...`, the same with the answer as `{'domain': ...}`, or all of it as
`{'Instruction': ..., 'Output': {...}}` with quotes and newlines that no parser takes. It stays as
it is; where its two parts are certain they are messages too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from preprocess.readers.cards import code, page, prose
from preprocess.readers.draft import Draft
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.reader import Reader
from preprocess.records import Message, Tool

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKED = re.compile(r"(?s)### ?Instruction:(.*?)### ?Output:(.*)")
_QUOTED = re.compile(r"(?s)\s*\{\s*'Instruction':(.*?),\s*'Output':(.*)\}\s*")
_MARKERS = (re.compile("### ?Instruction:"), re.compile("### ?Output:"))
_KEYS = (re.compile("'Instruction':"), re.compile("'Output':"))
_NAME = re.compile(r"[A-Za-z_][\w.\-]*")
_UNSAID = frozenset(("", "n/a", "none", "not specified"))


def convert(native: Native) -> Iterator[Draft]:
    """Yield the instruction with its answer, and the card of its API."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("unknown_layout")
    if isinstance(value.get("code"), str):
        yield _instruction(value)
        if isinstance(value.get("api_data"), dict):
            yield _card(value["api_data"], "documentation")
    elif "api_name" in value and "api_call" in value:
        yield _card(value)
    elif "question_id" in value and isinstance(value.get("text"), str):
        yield _evaluated(value)
    else:
        raise Unreadable("unknown_layout")


def _instruction(value: dict[str, Any]) -> Draft:
    kept = {key: value[key] for key in value if key != "code"}
    if isinstance(value.get("api_data"), dict):
        del kept["api_data"]  # it is the other record
    text = value["code"]
    if not text.strip():
        raise Unreadable("empty_text")
    return Draft(kind="function_call", text=text, messages=_messages(text), meta=kept)


def _messages(text: str) -> tuple[Message, ...]:
    """Return instruction and answer, where the text has the words before each exactly once."""
    pattern, once = (_MARKED, _MARKERS) if text.startswith("#") else (_QUOTED, _KEYS)
    match = pattern.fullmatch(text)
    if match is None or any(len(word.findall(text)) != 1 for word in once):
        return ()
    asked, answer = match[1].strip(), match[2].strip()
    if pattern is _QUOTED and asked[:1] == asked[-1:] and asked[:1] in "'\"" and len(asked) > 1:
        asked = asked[1:-1]
    if not asked or not answer:
        return ()
    return (Message(role="user", content=asked), Message(role="assistant", content=answer))


def _card(card: dict[str, Any], part: str = "") -> Draft:
    """Return the documentation of an API."""
    name, description = _text(card, "api_name"), _text(card, "description")
    sections = [
        ("Domain", prose(card.get("domain"))),
        ("Framework", prose(card.get("framework"))),
        ("Functionality", prose(card.get("functionality"))),
        ("Call", code(card.get("api_call"), "python")),
        ("Arguments", prose(card.get("api_arguments"))),
        ("Requirements", prose(card.get("python_environment_requirements"))),
        ("Example", code(card.get("example_code"), "python")),
        ("Performance", prose(card.get("performance"))),
    ]
    text = page(name, description, [each for each in sections if not _is_unsaid(each[1])])
    if not text:
        raise Unreadable("empty_text")
    names = _arguments(card)
    properties: dict[str, Any] = (
        {} if names is None else {"properties": {name: {} for name in names}}
    )
    schema = {"type": "object", **properties}
    tools = (Tool(name=name, description=description, parameters=schema),) if name else ()
    meta = {"api_data": card} if part else card
    return Draft(kind="tool_documentation", part=part, text=text, tools=tools, meta=meta)


def _text(card: dict[str, Any], key: str) -> str:
    value = card.get(key)
    return value if isinstance(value, str) else ""


def _is_unsaid(text: str) -> bool:
    """Return whether a section, or each line of a list in it, says only that there is nothing."""
    lines = [
        line.rpartition(": ")[2] if line.startswith("- ") else line for line in text.split("\n")
    ]
    return all(line.strip().lower() in _UNSAID for line in lines)


def _arguments(card: dict[str, Any]) -> list[str] | None:
    """Return the names of the arguments that a card lists, None if it lists no names.

    Of what type they are it never says.
    """
    given = card.get("api_arguments")
    if not isinstance(given, dict | list):
        return None
    are_names = all(isinstance(name, str) and _NAME.fullmatch(name) for name in given)
    return list(given) if are_names else None


def _evaluated(value: dict[str, Any]) -> Draft:
    """Return a question of the evaluation, or a model's answer to one."""
    text = value["text"]
    if not text.strip():
        raise Unreadable("empty_text")
    is_answer = "answer_id" in value
    role = "assistant" if is_answer else "user"
    meta = {key: value[key] for key in value if key != "text"}
    message = Message(role=role, content=text)  # type: ignore[arg-type]
    return Draft(kind="function_call", text=text, messages=(message,), meta=meta)


READER = Reader(
    name="gorilla_apibench",
    kind="function_call",
    license="Apache-2.0",
    url="https://github.com/ShishirPatil/gorilla",
    released="2023-05",
    published="16k pairs of an instruction and an API call",
    layout="data/apibench/*.json, data/api/*.jsonl: JSON Lines, whatever the extension",
    unit="an instruction with its API, or the card of an API",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
)
