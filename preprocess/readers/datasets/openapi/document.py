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

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_SHOWN = frozenset(("summary", "description", "parameters", "requestBody", "responses"))
_KIND = "tool_documentation"


def drafts_of(native: Native) -> Iterator[Draft]:
    """Yield a draft for each operation, each schema that no request takes, and the document."""
    document: dict[str, Json] = native.value
    references = References(document)
    url = _address(document)
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
        methods = [name for name in METHODS if isinstance(operations.get(name), dict)]
        said = {*methods, "parameters"} if methods else set()
        others = {key: value for key, value in operations.items() if key not in said}
        if others:
            rest[path] = others
        for method in methods:
            operation = operations[method]
            name = _name(operation, method, path)
            part = _unique(name, names)
            request = request_of(operation, shared, references)
            used |= request.schemas
            listed.append(f"{method.upper()} {path}: {pages.first_line(operation) or name}")
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
                preface=f"{heading}\n{method.upper()} {url}{path}",
                appendix=pages.responses(operation, references),
                meta={
                    "method": method,
                    "path": path,
                    **({"locations": request.locations} if request.locations else {}),
                    **{key: value for key, value in operation.items() if key not in _SHOWN},
                    **request.rest,
                },
                url=f"{url}{path}" if url.startswith("http") and "{" not in path else None,
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
        meta=_remaining(document, rest),
    )


def _items(value: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        yield from value.items()


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


def _address(document: dict[str, Json]) -> str:
    """Return where the API is served, as far as the document says."""
    servers = document.get("servers")
    if isinstance(servers, list) and servers and isinstance(servers[0], dict):
        return str(servers[0].get("url", "")).rstrip("/")
    host = document.get("host")
    if not isinstance(host, str):
        return ""
    schemes = document.get("schemes")
    scheme = schemes[0] if isinstance(schemes, list) and schemes else "https"
    base = document.get("basePath")
    return f"{scheme}://{host}{base if isinstance(base, str) else ''}".rstrip("/")


def _remaining(document: dict[str, Json], rest: dict[str, Json]) -> dict[str, Json]:
    """Return what stands in no page: all but paths, schemas, and what the page shows."""
    components = document.get("components")
    meta = {
        key: value
        for key, value in document.items()
        if key not in ("paths", "definitions", "components")
    }
    if isinstance(components, dict):
        others = {key: value for key, value in components.items() if key != "schemas"}
        if others:
            meta["components"] = others
    if rest:
        meta["paths"] = rest
    return meta
