"""Dataset `api_pack`: API Pack's instructions, endpoints and the documents they come from.

What its pipeline wrote, stage by stage: OpenAPI documents (with generated `api_calls` in each
operation), one row per endpoint and language, example requests, candidates of instructions and
their judgements, and the final instructions with `code` in one text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.api_pack_endpoints import documentation, endpoint, operations
from preprocess.readers.cards import section
from preprocess.readers.draft import Draft
from preprocess.readers.names import Named
from preprocess.readers.native import Native, Unreadable
from preprocess.readers.reader import Reader
from preprocess.records import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

_FINAL = frozenset(("code", "api_call_data"))
_ROW = frozenset(("api_call", "functionality", "lang"))
_JUDGED = frozenset(("candidate", "functionality"))
_INSTRUCTION, _OUTPUT = "###Instruction:", "\n###Output:\n"


def convert(native: Native) -> Iterator[Draft]:
    """Yield an instruction, the documentation of its endpoint, or both."""
    value = native.value
    if not isinstance(value, dict):
        raise Unreadable("unknown_layout")
    keys = value.keys()
    if keys >= _FINAL:
        yield from _final(value)
    elif keys >= _ROW:
        yield endpoint(value)
    elif keys >= _JUDGED:
        yield _example(value, value["candidate"], "")
    elif isinstance(value.get("list"), list) and len(value) == 1 and value["list"]:
        for number, each in enumerate(value["list"]):
            if not isinstance(each, dict):
                raise Unreadable("unknown_layout")
            yield _example(each, each.get("output"), str(number))
    elif isinstance(value.get("paths"), dict) and ("swagger" in value or "openapi" in value):
        yield from operations(native)
    else:
        raise Unreadable("unknown_layout")


def _final(value: dict[str, Any]) -> Iterator[Draft]:
    """Yield a final instruction as it is, and the documentation of its endpoint."""
    text, about = value["code"], value["api_call_data"]
    if not isinstance(text, str) or not text.strip() or not isinstance(about, dict):
        raise Unreadable("unknown_layout")
    api = value.get("api_data")
    used = {"code", "api_call_data"} | ({"api_data"} if isinstance(api, dict) else set())
    rest = {key: value[key] for key in value if key not in used}
    yield Draft(kind="function_call", text=text, messages=_messages(text), meta=rest)
    yield endpoint({**api, **about} if isinstance(api, dict) else about, "documentation")


def _messages(text: str) -> tuple[Message, ...]:
    """Return instruction and output, where the text is those two and nothing before them."""
    asked, output, answer = text.removeprefix(_INSTRUCTION).partition(_OUTPUT)
    if not text.startswith(_INSTRUCTION) or not output or _OUTPUT in answer:
        return ()
    if not asked.strip() or not answer.strip():
        return ()
    user = Message(role="user", content=asked.strip())
    return (user, Message(role="assistant", content=answer.rstrip()))


def _example(value: dict[str, Any], request: Any, part: str) -> Draft:
    """Return an endpoint with a request that a person or a model wrote for it."""
    if not isinstance(request, str) or not request.strip():
        raise Unreadable("no_question")
    return documentation(value, [section("Request:", request)], part)


READER = Reader(
    name="api_pack",
    kind="function_call",
    license="CC-BY-4.0",
    terms="name API Pack as the source; OpenAPI documents without its calls are CC0-1.0",
    url="https://github.com/zguo0525/API-Pack",
    released="2024-02",
    published="1.1M instructions, 10 languages",
    layout="src/**/*.json: arrays of instructions or endpoints, OpenAPI documents",
    unit="an instruction, an endpoint in one language, or a document",
    accepts=Named(".json", ".jsonl"),
    convert=convert,
)
