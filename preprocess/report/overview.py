"""Top of the page: the run in a few numbers, and what every stage took in and gave out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from preprocess.report.figures import Picture, draw_flow
from preprocess.report.markup import (
    Cell,
    Markup,
    decimal,
    figure,
    figures,
    join,
    megabytes,
    plural,
    section,
    table,
    tag,
)
from preprocess.report.stages import total_text_bytes, total_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from preprocess.report.collect import Run
    from preprocess.report.stages import Stage
    from preprocess.report.trainings import Training


def headline(run: Run) -> Markup:
    """Return the tiles: what went in, what came out, what was learnt."""
    tiles = [*_data_tiles(run), *(tile for each in run.trainings for tile in _loss_tiles(each))]
    if not tiles:
        return tag("p", "Nothing is complete yet.", class_="lead")
    return tag("ul", *(tag("li", tag("b", big), tag("span", small)) for big, small in tiles),
               class_="tiles")  # fmt: skip


def _data_tiles(run: Run) -> Iterator[tuple[str, str]]:
    manifests = [stage.manifest for stage in run.first_stages if stage.manifest]
    if manifests:
        files = {entry.path: entry.bytes for each in manifests for entry in each.inputs}
        records = sum(each.counts.in_ for each in manifests)
        yield f"{len(files):,}", f"files read, {sum(files.values()) / 1e6:,.1f} MB"
        yield f"{records:,}", "records made of them"
    deduplicated = [
        stage.manifest for stage in run.stages if stage.manifest and stage.command == "dedup"
    ]
    if deduplicated:
        yield (
            f"{sum(each.counts.in_ - each.counts.out for each in deduplicated):,}",
            "records dropped as duplicates",
        )
    shards = [
        shard
        for stage in run.last_stages
        for shard in (stage.manifest.shards if stage.manifest else [])
    ]
    if tokens := total_tokens(shards):
        yield (
            f"{tokens:,}",
            f"tokens, of {total_text_bytes(shards) / 1e6:,.1f} MB of text in "
            f"{plural(sum(shard.records for shard in shards), 'document')}",
        )


def _loss_tiles(training: Training) -> Iterator[tuple[str, str]]:
    if training.steps:
        first, last = training.steps[0], training.steps[-1]
        yield f"{last.step:,}", f"steps of {training.name}, {last.consumed_tokens:,} tokens seen"
        yield _change(first.loss, last.loss), f"loss of {training.name}, first to last step"
    for group, (before, after) in training.before_and_after().items():
        if after is not None:
            yield _change(before.loss, after.loss), f"held-out loss, {group}"


def _change(before: float, after: float) -> str:
    no_break = "\N{NO-BREAK SPACE}"
    return f"{before:.2f}{no_break}\N{RIGHTWARDS ARROW}{no_break}{after:.2f}"


def flow(run: Run) -> tuple[Markup, list[Picture]]:
    """Return the table of the stages, and the figure of it."""
    if not run.stages:
        return section("flow", "What every stage did", tag("p", "No stage has begun.")), []
    rows = [
        (
            stage.name,
            stage.manifest.counts.out,
            sum(stage.manifest.counts.dropped.values()),
            sum(stage.manifest.counts.rejected.values()),
        )
        for stage in run.stages
        if stage.manifest
    ]
    pictures = [draw_flow("flow.png", rows)] if any(any(row[1:]) for row in rows) else []
    headings = [
        "stage", "command", "records in", "out", "dropped", "rejected", "text MB", "tokens",
        "seconds", "MB/s", "state",
    ]  # fmt: skip
    caption = (
        "Records in = out + dropped. Rejected native records were unreadable and are kept beside "
        "the shards. MB/s: of the text read, or of the stored bytes where that is not known. "
        "Seconds are those of the last start: a stage that was killed and resumed took longer."
    )
    return (
        section(
            "flow",
            "What every stage did",
            table(headings, [_flow_row(run, stage) for stage in run.stages], caption),
            _agreement(run),
            figures(*(figure(each, "Records by stage.") for each in pictures)),
        ),
        pictures,
    )


def _agreement(run: Run) -> Markup:
    """Return what the reference library said of the ids, a line a stage that asked it."""
    checks = [(stage.name, stage.manifest.check) for stage in run.stages if stage.manifest]
    return join(
        tag(
            "p",
            f"{name}: {check}.",
            class_="lead" if check.equal == check.checked else "warn",
        )
        for name, check in checks
        if check is not None
    )


def _flow_row(run: Run, stage: Stage) -> list[Cell]:
    manifest = stage.manifest
    if manifest is None:
        return [stage.name, stage.command, *[None] * 8, stage.state]
    seconds = manifest.seconds
    state = stage.state
    if manifest.problems:
        state = tag(
            "span", f"{plural(len(manifest.problems), 'problem')}, see below", class_="warn"
        )
    return [
        stage.name,
        stage.command,
        manifest.counts.in_,
        manifest.counts.out,
        _reasons(manifest.counts.dropped),
        _reasons(manifest.counts.rejected),
        megabytes(total_text_bytes(manifest.shards)),
        total_tokens(manifest.shards) or None,
        decimal(seconds, 1),
        decimal(_bytes_read(run, stage) / 1e6 / seconds, 1) if seconds > 0 else None,
        state,
    ]


def _reasons(counts: dict[str, int]) -> Markup | None:
    given = [f"{reason.replace('_', ' ')} {count:,}" for reason, count in counts.items() if count]
    return join(tag("div", each) for each in given) if given else None


def _bytes_read(run: Run, stage: Stage) -> int:
    found = run.origins.of(stage)
    if stage.manifest is None or found:
        return total_text_bytes(shard for _, shard in found)
    return sum(entry.bytes for entry in stage.manifest.inputs)
