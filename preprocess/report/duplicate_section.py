"""The duplicates: how many, in clusters of what size, how surely found, and ten pairs to see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from preprocess.differences import excerpts
from preprocess.loss_alarm import LARGEST_SHARE
from preprocess.report.figures import Picture, draw_cluster_sizes, draw_recall
from preprocess.report.markup import (
    Cell,
    Markup,
    figure,
    figures,
    join,
    percent,
    plural,
    section,
    table,
    tag,
)
from preprocess.report.recall import NUM_SEEDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from preprocess.differences import Piece
    from preprocess.report.clusters import Duplicates, Loss
    from preprocess.report.collect import Run
    from preprocess.report.pairs import Pair
    from preprocess.report.recall import Recall

SHOWN_CHARACTERS = 500
SOURCES_SHOWN = 20
PAIRS_SHOWN = "Some pairs, spread over similarity and sources: what stays and what fell to it."
OWN_CONTENT = " Of a conversation the words that were said are shown, since those are compared."
FELL = {
    "exact": "exact duplicates",
    "near": "near ones",
    "url": "whose address another record has",
}


def duplicates(run: Run) -> tuple[Markup, list[Picture]]:
    """Return the section of all dedup stages."""
    title = "Duplicates"
    if not run.duplicates:
        is_there = any(stage.command == "dedup" for stage in run.stages)
        text = (
            "No clusters.parquet could be read." if is_there
            else "No dedup stage is complete yet."
        )  # fmt: skip
        return section("duplicates", title, tag("p", text)), []
    shown = [_stage(found) for found in run.duplicates]
    pictures = [each for _, found in shown for each in found]
    return section("duplicates", title, *(text for text, _ in shown)), pictures


def _stage(found: Duplicates) -> tuple[Markup, list[Picture]]:
    heading = tag("h3", found.stage)
    cut = [tag("p", sentence) for sentence in _cuts(found)]
    if not len(found.sizes):
        none = "It found no records that are equal." if cut else "It found no duplicates."
        return join([heading, tag("p", none), *cut, _losses(found.losses)]), []
    drawn = list(_figures(found))
    body = [
        heading,
        tag("p", _summary(found)),
        *cut,
        *(tag("p", sentence) for sentence in _giant_buckets(found)),
        figures(*(figure(picture, caption) for picture, caption in drawn)),
        _largest(found),
        _losses(found.losses),
        tag("p", PAIRS_SHOWN + OWN_CONTENT * (found.scope == "near")) if found.pairs else "",
        *(_pair(number, pair, found.scope) for number, pair in enumerate(found.pairs, 1)),
    ]
    return join(body), [picture for picture, _ in drawn]


def _summary(found: Duplicates) -> str:
    fallen = sum(found.kinds.values())
    kinds = [f"{count:,} {FELL.get(kind, kind)}" for kind, count in found.kinds.items()]
    return (
        f"{plural(fallen, 'record')} fell: {', '.join(kinds)}, in "
        f"{plural(len(found.sizes), 'cluster')}; the largest has "
        f"{plural(int(found.sizes[-1]), 'record')}."
    )


def _cuts(found: Duplicates) -> Iterator[str]:
    """Yield what there is to say of parts that were cut out of texts."""
    parts, size = found.details.get("pieces_cut"), found.details.get("bytes_cut")
    if not isinstance(parts, int) or not isinstance(size, int):
        return
    what = found.scope if found.scope in ("line", "paragraph") else "repeat"
    yield (
        f"{plural(parts, what)} of {plural(size, 'byte')} in all went out of the texts; nothing "
        f"was left of {plural(found.num_emptied, 'record')}. cuts.parquet says where the same "
        "stays."
    )


def _giant_buckets(found: Duplicates) -> Iterator[str]:
    """Yield what there is to say of records that share a band with very many."""
    count = found.details.get("giant_buckets")
    largest = found.details.get("largest_bucket")
    if isinstance(count, int) and count:
        size = f", the largest of {plural(largest, 'record')}" if isinstance(largest, int) else ""
        yield (
            f"{plural(count, 'band')} held more than 10,000 records each{size}: boilerplate, most "
            "likely. Of each the first survivors were compared, not all pairs."
        )
    full = found.details.get("full_clusters")
    if isinstance(full, int) and full:
        yield (
            f"{plural(full, 'cluster')} took as many near-duplicates as --max-cluster allows; of "
            "further ones others stayed, each with a cluster of its own."
        )


def _figures(found: Duplicates) -> Iterator[tuple[Picture, str]]:
    name = re.sub(r"[^\w.-]", "_", found.stage)
    yield (
        draw_cluster_sizes(f"clusters_{name}.png", found.sizes),
        "Clusters by size; the record that stays is counted.",
    )
    if found.recall is not None:
        yield draw_recall(f"recall_{name}.png", found.recall), _recall_caption(found.recall)


def _recall_caption(recall: Recall) -> str:
    lines = [
        f"A pair is found if it shares one of {recall.num_bands} bands of {recall.rows_per_band} "
        "slots; the line is the theory, "
        f"1 - (1 - J^{recall.rows_per_band})^{recall.num_bands}.",
        f"The dots were measured on texts of this run, signed anew with {NUM_SEEDS} other choices "
        f"of the permutations: {plural(recall.records.num_pairs, 'pair')} of records that are in "
        f"one cluster, and {plural(recall.beginnings.num_pairs, 'pair')} of a text and its own "
        "beginning. Bars are two standard errors.",
    ]
    if recall.found is not None and recall.threshold is not None:
        measured, theory = recall.found
        lines.append(
            f"Of the pairs of records with a similarity of {recall.threshold:g} and more "
            f"{measured:.1%} share a band; theory says {theory:.1%}."
        )
    return " ".join(lines)


def _largest(found: Duplicates) -> Markup:
    rows: list[list[Cell]] = [[tag("code", name), size] for name, size in found.largest]
    return table(["largest clusters, by their first record", "records"], rows)


def _losses(losses: tuple[Loss, ...]) -> Markup:
    if not losses:
        return Markup("")
    rows: list[list[Cell]] = [
        [
            each.source,
            each.records,
            each.fallen,
            percent(each.fallen, each.records),
            f"more than {LARGEST_SHARE:.0%}"
            if each.fallen > LARGEST_SHARE * each.records
            else None,
        ]
        for each in losses[:SOURCES_SHOWN]
    ]
    more = len(losses) - SOURCES_SHOWN
    caption = f"What each source lost{f'; {more:,} more lost less' if more > 0 else ''}."
    return table(["source", "read", "fell", "share", "to look at"], rows, caption)


def _pair(number: int, pair: Pair, scope: str) -> Markup:
    similarity = f", similarity {pair.similarity:.3f}"
    if pair.kind == "near":
        verdict = f"near duplicate{similarity}"
    elif pair.kind == "url":
        verdict = "the same address"
    elif pair.texts is None or pair.texts[0] == pair.texts[1]:
        verdict = f"{pair.kind} duplicate"
    elif scope == "exact":
        verdict = "exact duplicate but for case, white space or composed characters"
    else:
        verdict = f"{pair.kind} duplicate of a record that fell to this one{similarity}"
    return tag("div", tag("h3", f"Pair {number}: {verdict}"), _texts(pair), class_="cluster")


def _texts(pair: Pair) -> Markup:
    if pair.texts is None:
        names = tag("ul", *(tag("li", tag("code", name)) for name in (pair.kept, pair.dropped)))
        gone = tag("p", "Their texts are no longer where the stage read them.", class_="soft")
        return join([names, gone])
    sides = [
        (f"{heading}: {name}", _marked(pieces))
        for heading, name, pieces in zip(
            ("stays", "dropped"),
            (pair.kept, pair.dropped),
            excerpts(*pair.texts, SHOWN_CHARACTERS),
            strict=True,
        )
    ]
    if pair.texts[0] == pair.texts[1]:
        headings = [tag("h4", heading) for heading, _ in sides]
        return join([*headings, tag("h4", "Both are equal"), tag("pre", sides[0][1])])
    return tag(
        "div",
        *(tag("div", tag("h4", heading), tag("pre", text)) for heading, text in sides),
        class_="pair",
    )


def _marked(pieces: Iterable[Piece]) -> Markup:
    shown: list[str] = []
    for text, is_different in pieces:
        words = text.rstrip() if is_different else ""
        shown += [tag("mark", words)] if words else []
        shown.append(text[len(words) :])
    return join(shown)
