"""Middle of the page: what the data is made of, how it is mixed, how long the documents are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.report.blends import Blend, group_order, tokens_of
from preprocess.report.collect import composition, has_tokens
from preprocess.report.figures import Picture, draw_lengths, draw_shares
from preprocess.report.markup import (
    Cell,
    Markup,
    decimal,
    figure,
    figures,
    megabytes,
    percent,
    plural,
    section,
    table,
    tag,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from preprocess.blend import Part
    from preprocess.manifest import Share
    from preprocess.report.collect import Run
    from preprocess.report.trainings import Training


def parts(run: Run) -> tuple[Markup, list[Picture]]:
    """Return the composition by kind and by source."""
    title = "What it is made of"
    if not any(stage.manifest and stage.manifest.composition() for stage in run.stages):
        return section("composition", title, tag("p", "No stage has written records yet.")), []
    kinds = composition(run.last_stages, lambda share: share.kind)
    sources = composition(run.last_stages, lambda share: share.source)
    pictures = [
        draw_shares(f"composition_by_{key}.png", f"by {key}", sizes)
        for key, shares in (("kind", kinds), ("source", sources))
        if sum((sizes := {name: share.text_bytes for name, share in shares.items()}).values())
    ]
    where = ", ".join(stage.name for stage in run.last_stages)
    return (
        section(
            "composition",
            title,
            tag("p", f"What is left, in {where}.", class_="lead"),
            figures(*(figure(each, "Shares of the bytes of text.") for each in pictures)),
            _parts_table(run, "kind", lambda share: share.kind),
            _parts_table(run, "source", lambda share: share.source),
        ),
        pictures,
    )


def _parts_table(run: Run, name: str, key: Callable[[Share], str]) -> Markup:
    first = composition(run.first_stages, key)
    last = composition(run.last_stages, key)
    total = sum(share.text_bytes for share in last.values())
    rows: list[list[Cell]] = []
    for value in [*last, *(value for value in first if value not in last)]:
        before, after = first.get(value), last.get(value)
        records = after.records if after else 0
        text_bytes = after.text_bytes if after else 0
        rows.append(
            [
                value,
                before.records if before else None,
                records,
                percent(records, before.records) if before else None,
                megabytes(text_bytes),
                percent(text_bytes, total),
            ]
        )
    headings = [name, "records at first", "records left", "left", "text MB left", "share of text"]
    return table(headings, rows)


def mixture(run: Run) -> Markup:
    """Return the groups: weights of the blend against the tokens that are there."""
    title = "How it is mixed"
    if not run.blends:
        text = "There is no blend file yet."
        return section("mixture", title, tag("p", text), _groups_table(run))
    return section("mixture", title, *(_blend_table(run, blend) for blend in run.blends))


def _groups_table(run: Run) -> Markup:
    tokens: dict[str, int] = {}
    for dataset in run.datasets:
        if not dataset.is_held_out:
            tokens[dataset.group] = tokens.get(dataset.group, 0) + dataset.tokens
    if not tokens:
        return Markup("")
    rows: list[list[Cell]] = [
        [group, tokens[group], percent(tokens[group], sum(tokens.values()))]
        for group in sorted(tokens, key=group_order)
    ]
    return table(["group", "training tokens", "share of tokens"], rows)


def _blend_table(run: Run, blend: Blend) -> Markup:
    trainings = [each for each in run.trainings if each.steps and _uses(each, blend, run)]
    counts = [tokens_of(blend, part, run.datasets) for part in blend.train]
    total = sum(count or 0 for count in counts)
    rows: list[list[Cell]] = [
        [
            part.group,
            decimal(part.weight),
            count,
            percent(count, total) if count is not None else None,
            _held_out_tokens(run, blend, part.group),
            *(_epochs(each, part, count) for each in trainings),
        ]
        for part, count in zip(blend.train, counts, strict=True)
    ]
    headings = ["group", "weight", "training tokens", "share of tokens", "held-out tokens"]
    headings += [f"epochs in {each.name}" for each in trainings]
    caption = (
        f"{blend.path.relative_to(run.directory)}. The weight is the share of what is trained on; "
        "where it is above the share of tokens, the group is seen more often than the others."
    )
    return table(headings, rows, caption)


def _held_out_tokens(run: Run, blend: Blend, group: str) -> int | None:
    found = [part for part in blend.held_out if part.group == group]
    counts = [tokens_of(blend, part, run.datasets) for part in found]
    return sum(count or 0 for count in counts) if found and None not in counts else None


def _uses(training: Training, blend: Blend, run: Run) -> bool:
    """Return whether a training took this blend, by the plan; without one, by being the only one.

    The plan may name the file, or the stage that wrote it.
    """
    if training.blend is None or len(run.blends) == 1:
        return len(run.blends) == 1
    name = Path(training.blend)
    return name in (blend.path.relative_to(run.directory), Path(blend.path.parent.name))


def _epochs(training: Training, part: Part, tokens: int | None) -> Cell:
    if not tokens or part.weight is None:
        return None
    return decimal(training.steps[-1].consumed_tokens * part.weight / tokens, 3)


def document_lengths(run: Run) -> tuple[Markup, list[Picture]]:
    """Return how long the documents are, by group."""
    title = "How long the documents are"
    if not run.lengths:
        is_made = any(has_tokens(stage) for stage in run.stages)
        text = "No index could be read." if is_made else "Nothing is tokenized yet."
        return section("lengths", title, tag("p", text)), []
    picture = draw_lengths("document_lengths.png", run.lengths)
    rows: list[list[Cell]] = [
        [
            each.group,
            each.documents,
            each.percentile(0.05),
            each.percentile(0.5),
            decimal(float(each.tokens.mean()), 1),
            each.percentile(0.95),
            int(each.tokens[-1]),
        ]
        for each in run.lengths
    ]
    headings = ["group", "documents", "5 % up to", "median", "mean", "95 % up to", "longest"]
    stride = run.lengths[0].stride
    sampled = f" One document of {plural(stride, 'document')} was looked at." if stride > 1 else ""
    caption = f"Tokens in a document, its end included; held-out documents too.{sampled}"
    return (
        section(
            "lengths",
            title,
            figures(figure(picture, "Documents by length.")),
            table(headings, rows, caption),
        ),
        [picture],
    )
