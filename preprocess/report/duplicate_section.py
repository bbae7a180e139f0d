"""The duplicates: how many, in clusters of what size, and three of them to look at."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from preprocess.report.figures import Picture, draw_cluster_sizes
from preprocess.report.markup import (
    Markup,
    figure,
    figures,
    join,
    plural,
    section,
    tag,
)

if TYPE_CHECKING:
    from preprocess.report.clusters import Cluster, Duplicates, Member
    from preprocess.report.collect import Run

SHOWN_CHARACTERS = 300
COMPARED_CHARACTERS = 2_000
"""Words are compared beyond what is shown: one text's end may be further down in the other."""
CONTEXT_CHARACTERS = 60
"""Shown before the first difference, where the beginnings of two texts are equal."""

type Piece = tuple[str, bool]
"""Some words, and whether they differ from the other text's."""


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
    if not len(found.sizes):
        return join([heading, tag("p", "It found no duplicates.")]), []
    picture = draw_cluster_sizes(f"clusters_{_file_name(found.stage)}.png", found.sizes)
    summary = (
        f"{plural(found.num_exact + found.num_near, 'record')} fell: {found.num_exact:,} exact "
        f"duplicates, {found.num_near:,} near ones, in {plural(len(found.sizes), 'cluster')}; the "
        f"largest has {plural(int(found.sizes[-1]), 'record')}."
    )
    caption = "Clusters by size; the record that stays is counted."
    clusters = [_cluster(number, each) for number, each in enumerate(found.examples, 1)]
    return (
        join([heading, tag("p", summary), figures(figure(picture, caption)), *clusters]),
        [picture],
    )


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)


def _cluster(number: int, cluster: Cluster) -> Markup:
    title = f"Cluster {number}: {plural(cluster.size, 'record')}"
    items = [tag("li", *_member(each)) for each in cluster.members]
    if more := cluster.size - len(items):
        items.append(tag("li", f"and {more:,} more", class_="soft"))
    return tag("div", tag("h3", title), tag("ul", *items), _texts(cluster), class_="cluster")


def _member(member: Member) -> list[str]:
    if member.kind == "survivor":
        verdict = "stays"
    elif member.similarity is None:
        verdict = f"{member.kind} duplicate"
    else:
        verdict = f"{member.kind} duplicate, similarity {member.similarity:.3f}"
    return [tag("code", member.record), tag("span", f" {verdict}", class_="soft")]


def _texts(cluster: Cluster) -> Markup:
    if cluster.texts is None:
        return tag("p", "Their texts are no longer where the stage read them.", class_="soft")
    kept, dropped = cluster.texts
    if kept == dropped:
        return join([tag("h4", "Both are equal"), tag("pre", *_cut([(kept, False)]))])
    marked = _marked_excerpts(kept, dropped)
    return tag(
        "div",
        tag("div", tag("h4", "stays: ", cluster.kept.record), tag("pre", marked[0])),
        tag("div", tag("h4", "dropped: ", cluster.dropped.record), tag("pre", marked[1])),
        class_="pair",
    )


def _marked_excerpts(kept: str, dropped: str) -> tuple[Markup, Markup]:
    """Return the beginnings of two texts, or where these are equal, the first difference."""
    start = 0
    if kept[:SHOWN_CHARACTERS] == dropped[:SHOWN_CHARACTERS]:
        start = max(0, _common_prefix(kept, dropped) - CONTEXT_CHARACTERS)
    end = start + COMPARED_CHARACTERS
    lead = ["\N{HORIZONTAL ELLIPSIS} "] if start else []
    one, other = compare_words(kept[start:end], dropped[start:end])
    return join([*lead, *_cut(one)]), join([*lead, *_cut(other)])


def _common_prefix(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def compare_words(one: str, other: str) -> tuple[list[Piece], list[Piece]]:
    """Return both texts in pieces, each with whether the other lacks its words in that place.

    White space is kept, but does not count: other line breaks are no difference.
    """
    words = [re.findall(r"^\s+|\S+\s*", text) for text in (one, other)]
    first_keys, second_keys = ([word.strip() for word in found] for found in words)
    matcher = difflib.SequenceMatcher(None, first_keys, second_keys, autojunk=False)
    pieces: tuple[list[Piece], list[Piece]] = ([], [])
    for operation, *bounds in matcher.get_opcodes():
        for side, (first, last) in enumerate((bounds[:2], bounds[2:])):
            if first < last:
                pieces[side].append(("".join(words[side][first:last]), operation != "equal"))
    return pieces


def _cut(pieces: list[Piece]) -> list[str]:
    """Return the first `SHOWN_CHARACTERS` of the pieces, those that differ marked."""
    shown: list[str] = []
    room = SHOWN_CHARACTERS
    for text, is_different in pieces:
        words = text[:room].rstrip() if is_different else ""
        shown += [tag("mark", words)] if words else []
        shown.append(text[len(words) : room])
        room -= min(room, len(text))
        if not room:
            break
    is_cut = sum(len(text) for text, _ in pieces) > SHOWN_CHARACTERS
    return [*shown, " \N{HORIZONTAL ELLIPSIS}"] if is_cut else shown
