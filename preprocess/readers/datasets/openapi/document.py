"""What an OpenAPI document documents: operations, schemas, itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from preprocess.readers.datasets.openapi import pages
from preprocess.readers.datasets.openapi.references import References
from preprocess.readers.datasets.openapi.requests import request_of
from preprocess.readers.draft import Draft
from preprocess.records import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.readers.native import Native

type Json = Any

_SHOWN: dict[str, type] = {
    "summary": object,
    "description": object,
    "parameters": list,
    "requestBody": object,
    "responses": dict,
}
"""What an operation's text and schema say of it, where it is what OpenAPI has there."""

_KIND = "tool_documentation"


def drafts_of(native: Native) -> Iterator[Draft]:
    """Yield a draft for each operation, each schema that no request takes, and the document."""
    document: dict[str, Json] = native.value
    references = References(document)
    url = _address(document) or _host(document)
    heading = pages.title_of(document)
    used: set[str] = set()
    names: set[str] = set()
    listed: list[str] = []
    rest: dict[str, Json] = {}
    for path, item in _items(document.get("paths")):
        operations = references.resolve(item)
        if not isinstance(operations, dict):
            rest[path] = item
            continue
        shared = operations.get("parameters", [])
        others = _others(operations, item)
        if others:
            rest[path] = others
        for method in pages.METHODS:
            operation = operations.get(method)
            if not isinstance(operation, dict):
                continue
            name = _name(operation, method, path)
            part = _unique(name, names)
            request = request_of(operation, shared, references)
            used |= request.schemas
            listed.append(f"{method.upper()} {path}: {pages.first_line(operation) or name}")
            address = f"{_address(operation) or _address(operations) or url}{path}"
            yield Draft(
                kind=_KIND,
                part=part,
                tools=(
                    Tool(
                        name=name,
                        description=pages.description_of(operation),
                        parameters=request.schema,
                    ),
                ),
                preface=f"{heading}\n{method.upper()} {address}",
                appendix=pages.responses(operation, references),
                meta={
                    "method": method,
                    "path": path,
                    **({"locations": request.locations} if request.locations else {}),
                    **{key: value for key, value in operation.items() if not _is_shown(key, value)},
                    **request.rest,
                },
                url=address if address.startswith("http") and "{" not in address else None,
            )
    for name, schema in references.schemas.items():
        if name not in used:
            yield Draft(
                kind=_KIND,
                part=_unique(f"schema {name}", names),
                text=pages.schema_page(heading, name, schema),
                meta={"schema": name},
            )
    yield Draft(
        kind=_KIND,
        part=_unique("document", names),
        text=pages.document_page(document, url, listed),
        meta=_remaining(document, rest, references),
    )


def _items(value: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        yield from value.items()


def _is_shown(key: str, value: Json) -> bool:
    return key in _SHOWN and isinstance(value, _SHOWN[key])


def _others(operations: dict[str, Json], item: Json) -> dict[str, Json]:
    """Return what a path says beyond its operations and their parameters."""
    used = [name for name in pages.METHODS if isinstance(operations.get(name), dict)]
    if used and isinstance(operations.get("parameters"), list):
        used.append("parameters")
    others = {key: value for key, value in operations.items() if key not in used}
    if operations is not item:  # a reference, beside which more may stand
        others |= {key: value for key, value in item.items() if key != "$ref"}
    return others


def _name(operation: dict[str, Json], method: str, path: str) -> str:
    identifier = operation.get("operationId")
    return identifier if isinstance(identifier, str) and identifier.strip() else f"{method} {path}"


def _unique(name: str, names: set[str]) -> str:
    """Return a part's name that no other part of the document has, without line breaks."""
    plain = " ".join(name.split())
    part, number = plain, 2
    while part in names:
        part, number = f"{plain} ({number})", number + 1
    names.add(part)
    return part


def _address(part: dict[str, Json]) -> str:
    """Return where a document, a path or an operation is served, if it says so itself."""
    servers = part.get("servers")
    if isinstance(servers, list) and servers and isinstance(servers[0], dict):
        return str(servers[0].get("url", "")).rstrip("/")
    return ""


def _host(document: dict[str, Json]) -> str:
    """Return where an API is served, as OpenAPI 2 says it."""
    host = document.get("host")
    if not isinstance(host, str):
        return ""
    schemes = document.get("schemes")
    scheme = schemes[0] if isinstance(schemes, list) and schemes else "https"
    base = document.get("basePath")
    return f"{scheme}://{host}{base if isinstance(base, str) else ''}".rstrip("/")


def _remaining(
    document: dict[str, Json], rest: dict[str, Json], references: References
) -> dict[str, Json]:
    """Return what stands in no page: all but paths, schemas, and what the page shows."""
    paged = [references.schemas]
    if isinstance(document.get("paths"), dict):
        paged.append(document["paths"])
    meta = {key: value for key, value in document.items() if not _is_one(value, paged)}
    components = document.get("components")
    if isinstance(components, dict):
        others = {key: value for key, value in components.items() if not _is_one(value, paged)}
        del meta["components"]
        if others:
            meta["components"] = others
    if rest:
        meta["paths"] = rest
    return meta


def _is_one(value: Json, those: list[Json]) -> bool:
    return any(value is each for each in those)
