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
CONTEXT_CHARACTERS = 60
"""Shown before the first difference, where the beginnings of two texts are equal."""


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
    if cluster.texts[0] == cluster.texts[1]:
        text, _ = _excerpts(*cluster.texts)
        return join([tag("h4", "Both are equal"), tag("pre", text)])
    kept, dropped = _excerpts(*cluster.texts)
    marked = mark_differences(kept, dropped)
    return tag(
        "div",
        tag("div", tag("h4", "stays: ", cluster.kept.record), tag("pre", marked[0])),
        tag("div", tag("h4", "dropped: ", cluster.dropped.record), tag("pre", marked[1])),
        class_="pair",
    )


def _excerpts(kept: str, dropped: str) -> tuple[str, str]:
    """Return the beginnings of two texts, or where these are equal, the first difference."""
    start = 0
    if kept != dropped and kept[:SHOWN_CHARACTERS] == dropped[:SHOWN_CHARACTERS]:
        start = max(0, _common_prefix(kept, dropped) - CONTEXT_CHARACTERS)
    return _excerpt(kept, start), _excerpt(dropped, start)


def _common_prefix(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _excerpt(text: str, start: int) -> str:
    end = start + SHOWN_CHARACTERS
    return f"{'… ' if start else ''}{text[start:end]}{' …' if end < len(text) else ''}"


def mark_differences(one: str, other: str) -> tuple[Markup, Markup]:
    """Return both texts with the words marked that the other does not have in that place."""
    words = re.findall(r"\s+|\S+", one), re.findall(r"\s+|\S+", other)
    matcher = difflib.SequenceMatcher(None, *words, autojunk=False)
    marked: tuple[list[str], list[str]] = ([], [])
    for operation, *bounds in matcher.get_opcodes():
        for side, (first, last) in enumerate((bounds[:2], bounds[2:])):
            text = "".join(words[side][first:last])
            is_marked = operation != "equal" and text.strip()
            marked[side].append(tag("mark", text) if is_marked else text)
    return join(marked[0]), join(marked[1])
