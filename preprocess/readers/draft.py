"""From what a reader understood of a native record to the record that is written.

A reader says what was called, said and documented; here the record gets its id, its text (unless
the source's own text is the best there is) and the checks of its calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.checks import check_calls
from preprocess.records import Message, Origin, Record, Tool
from preprocess.render import text_of

if TYPE_CHECKING:
    from preprocess.readers.reader import Reader


_SOURCE_FIELDS = "source_fields"
_OURS = ("checks", "template", "benchmark", _SOURCE_FIELDS)
"""What `meta` says by these names is never the source's."""


class Draft(msgspec.Struct, kw_only=True):
    """One record as a reader understood it."""

    kind: str
    tools: tuple[Tool, ...] = ()
    messages: tuple[Message, ...] = ()
    text: str | None = None
    """Text of the source that pre-training sees as it is; None: rendered from the rest."""

    preface: str = ""
    """Text of the source that stands before what is rendered."""

    appendix: str = ""
    """Text of the source that stands behind it."""

    meta: dict[str, Any] = {}
    """Every field of the native record that stands nowhere else, under its own name."""

    part: str = ""
    """Tells it from the others where one native record gives several."""

    license: str | None = None
    """Where one file or record has another licence than its dataset."""

    url: str | None = None

    benchmark: str = ""
    """The benchmark that it belongs to, where a dataset brings one along; its source then."""


class _Apart(dict[str, Any]):
    """Fields of a source that have the names of ours; not a field of the source itself."""


def note(meta: dict[str, Any], name: str, value: Any) -> None:
    """Set a field of `meta` that is ours; a field that the source has by its name makes way.

    The source's field is then one of the object `source_fields`.
    """
    if name in meta:
        _set_apart(meta, name)
    meta[name] = value


def note_all(meta: dict[str, Any], fields: dict[str, Any]) -> None:
    """Set several fields of `meta` that are ours; see `note`."""
    for name, value in fields.items():
        note(meta, name, value)


def _set_apart(meta: dict[str, Any], name: str) -> None:
    kept = meta.get(_SOURCE_FIELDS)
    apart = kept if isinstance(kept, _Apart) else {}
    if apart is not kept and _SOURCE_FIELDS in meta:
        apart = {_SOURCE_FIELDS: kept}
    if name != _SOURCE_FIELDS:
        apart = {**apart, name: meta.pop(name)}
    meta[_SOURCE_FIELDS] = _Apart(apart)


class Dropped(msgspec.Struct, frozen=True):
    """A record that a reader's rule leaves out."""

    reason: str


def finish(reader: Reader, origin: Origin, draft: Draft) -> Record:
    """Return the record of a draft.

    Raises:
        ValueError: The draft has neither text nor anything to render.
    """
    path = f"{origin.path}:{draft.part}" if draft.part else origin.path
    benchmark = draft.benchmark or (reader.name if reader.is_benchmark else "")
    source = benchmark or reader.name
    identifier = f"{source}/{path}#{origin.record}"
    if draft.url:
        origin = Origin(path=origin.path, record=origin.record, url=draft.url)
    meta = dict(draft.meta)
    for name in _OURS:
        if name in meta:
            _set_apart(meta, name)
    checks = check_calls(draft.tools, draft.messages)
    if checks is not None:
        note(meta, "checks", checks)
    if benchmark:
        note(meta, "benchmark", benchmark)
    text = draft.text
    if text is None:
        text, template = text_of(identifier, draft.kind, draft.tools, draft.messages)
        note(meta, "template", template)
    if draft.preface or draft.appendix:
        text = "\n\n".join(filter(None, (draft.preface, text, draft.appendix)))
    return Record(
        id=identifier,
        text=text,
        kind=draft.kind,
        source=source,
        license=draft.license or reader.license,
        origin=origin,
        tools=draft.tools,
        messages=draft.messages,
        meta=meta,
    )
