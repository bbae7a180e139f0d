"""The page: one file of HTML that loads nothing, runs nothing, and reads well on a phone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preprocess.report.contents import document_lengths, mixture, parts
from preprocess.report.duplicate_section import duplicates
from preprocess.report.markup import Cell, Markup, join, plural, section, table, tag
from preprocess.report.overview import flow, headline
from preprocess.report.training_section import trainings
from preprocess.run_directory import VERSION

if TYPE_CHECKING:
    from preprocess.report.collect import Run
    from preprocess.report.figures import Picture
    from preprocess.report.stages import Stage

STYLE_SHEET = Path(__file__).with_name("page.css")
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""A browser keeps the promise that nothing is fetched, whatever a text may hold."""


def build(run: Run) -> tuple[str, list[Picture]]:
    """Return the page and its figures; they depend on the run alone."""
    found = [
        flow(run),
        parts(run),
        (mixture(run), []),
        document_lengths(run),
        duplicates(run),
        trainings(run),
        (places(run), []),
        (notes(run), []),
        (configurations(run), []),
    ]
    name = run.directory.resolve().name
    body = join(
        [
            tag("h1", f"Report of {name}"),
            tag("p", _state(run), class_="lead"),
            headline(run),
            *(text for text, _ in found),
            tag("footer", f"Made by preprocess report {VERSION} from manifests and metrics."),
        ]
    )
    return _document(name, body), [each for _, pictures in found for each in pictures]


def _document(name: str, body: Markup) -> str:
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", **{"http-equiv": "Content-Security-Policy", "content": POLICY}),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"Report of {name}"),
        tag("style", Markup(STYLE_SHEET.read_text(encoding="utf-8"))),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', body), lang='en')}\n"


def _state(run: Run) -> str:
    done = sum(stage.state == "complete" for stage in run.stages)
    finished = sum(each.is_done for each in run.trainings)
    text = f"{done} of {plural(len(run.stages), 'stage')} complete"
    if run.trainings:
        text += f", {finished} of {plural(len(run.trainings), 'training')} finished"
    return f"{text}."


def places(run: Run) -> Markup:
    """Return where everything lies."""
    rows: list[list[Cell]] = [
        [tag("code", _below(run, stage.directory)), _holds(stage)] for stage in run.stages
    ]
    rows += [[tag("code", _below(run, each.path)), "blend file"] for each in run.blends]
    rows += [
        [tag("code", f"{each.name}/"), "metrics.jsonl and checkpoints of the training"]
        for each in run.trainings
    ]
    place = tag("p", "Below ", tag("code", str(run.directory.resolve())), ":")
    return section("places", "Where everything lies", place, table(["path", "holds"], rows))


def _below(run: Run, path: Path) -> str:
    return f"{path.relative_to(run.directory)}{'/' if path.is_dir() else ''}"


def _holds(stage: Stage) -> str:
    if stage.manifest is None:
        return f"{stage.command or 'a stage'}: {stage.state}"
    shards = stage.manifest.shards
    size = sum(shard.bytes for shard in shards) / 1e6
    return f"{stage.command}: {plural(len(shards), 'shard')}, {size:,.1f} MB stored"


def notes(run: Run) -> Markup:
    """Return what the stages complain of, and what could not be read; nothing if all is well."""
    problems = [
        f"{stage.name}: {problem}"
        for stage in run.stages
        for problem in (stage.manifest.problems if stage.manifest else [])
    ]
    lines = [*problems, *run.notes]
    if not lines:
        return Markup("")
    items = [tag("li", line, class_="warn") for line in lines]
    return section("problems", "Problems", tag("ul", *items))


def configurations(run: Run) -> Markup:
    """Return version, options and figures of every stage, folded."""
    folded = [_configuration(stage) for stage in run.stages if stage.manifest]
    if not folded:
        return Markup("")
    return section("configuration", "Versions and options", *folded)


def _configuration(stage: Stage) -> Markup:
    manifest = stage.manifest
    assert manifest is not None
    rows: list[list[Cell]] = [["version", manifest.version]]
    rows += [[name, _value(value)] for name, value in manifest.config.items()]
    rows += [[f"found: {name}", _value(value)] for name, value in manifest.details.items()]
    rows += [["inputs", plural(len(manifest.inputs), "file")]]
    summary = tag("summary", f"{stage.name}: {manifest.stage} {manifest.version}")
    return tag("details", summary, table(["option", "value"], rows))


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return tag("code", text)
