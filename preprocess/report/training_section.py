"""The trainings: loss, learning rate and speed by step, held-out loss before and after."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from preprocess.report.blends import group_order
from preprocess.report.figures import Picture, draw_loss, draw_speed
from preprocess.report.markup import (
    Cell,
    Markup,
    decimal,
    figure,
    figures,
    join,
    plural,
    section,
    table,
    tag,
)

if TYPE_CHECKING:
    from preprocess.report.collect import Run
    from preprocess.report.trainings import Evaluation, Training


def trainings(run: Run) -> tuple[Markup, list[Picture]]:
    """Return the section of all trainings."""
    title = "What the model learnt"
    if not run.trainings:
        return section("training", title, tag("p", "No training has begun yet.")), []
    tokens_per_byte = _tokens_per_byte(run)
    shown = [_training(each, tokens_per_byte) for each in run.trainings]
    pictures = [each for _, found in shown for each in found]
    return section("training", title, *(text for text, _ in shown)), pictures


def _training(
    training: Training, tokens_per_byte: dict[str, float]
) -> tuple[Markup, list[Picture]]:
    heading = tag("h3", training.name)
    if not training.steps and not training.evaluations:
        return join([heading, tag("p", "It has not made a step yet.")]), []
    stem = re.sub(r"[^\w.-]", "_", training.name)
    pictures = [draw_loss(f"loss_{stem}.png", training)]
    captions = ["Loss by step."]
    if training.steps:
        pictures.append(draw_speed(f"speed_{stem}.png", training))
        captions.append("Learning rate and tokens a second by step.")
    drawn = [figure(*pair) for pair in zip(pictures, captions, strict=True)]
    parts = [heading, _summary(training), figures(*drawn), _held_out(training, tokens_per_byte)]
    return join(parts), pictures


def _summary(training: Training) -> Markup:
    if not training.steps:
        return tag("p", "It was evaluated, and has not made a step yet.")
    last = training.steps[-1]
    seconds = sum(step.seconds for step in training.steps)
    text = (
        f"{plural(last.step, 'step')}, {last.consumed_tokens:,} tokens, "
        f"{seconds:,.0f} s of steps; loss {training.steps[0].loss:.4f} at step "
        f"{training.steps[0].step:,}, {last.loss:.4f} at step {last.step:,}."
    )
    if resumed := training.resumptions:
        text += f" Resumed before step {', '.join(f'{step:,}' for step in resumed)}."
    if not training.is_done:
        text += " It is not finished."
    return tag("p", text)


def _held_out(training: Training, tokens_per_byte: dict[str, float]) -> Markup:
    pairs = training.before_and_after()
    if not pairs:
        return tag("p", "There is no evaluation on held-out documents yet.")
    rows = [
        _held_out_row(group, *pairs[group], tokens_per_byte.get(group))
        for group in sorted(pairs, key=group_order)
    ]
    headings = [
        "group", "held-out tokens", "loss before", "at step", "loss after", "after step",
        "change", "bits per byte before", "bits per byte after",
    ]  # fmt: skip
    caption = (
        "Loss on documents that were never trained on, in nats per token. Bits per byte of their "
        "text does not depend on the tokenizer."
    )
    return table(headings, rows, caption)


def _held_out_row(
    group: str, before: Evaluation, after: Evaluation | None, rate: float | None
) -> list[Cell]:
    return [
        group,
        before.tokens or None,
        decimal(before.loss, 4),
        before.step,
        decimal(after.loss, 4) if after else None,
        after.step if after else None,
        decimal(after.loss - before.loss, 4) if after else None,
        decimal(before.loss / math.log(2) * rate, 3) if rate else None,
        decimal(after.loss / math.log(2) * rate, 3) if rate and after else None,
    ]


def _tokens_per_byte(run: Run) -> dict[str, float]:
    """Return tokens by byte of held-out text for every group whose text is known."""
    sums: dict[str, tuple[int, int]] = {}
    for dataset in run.datasets:
        if dataset.is_held_out and dataset.text_bytes:
            tokens, size = sums.get(dataset.group, (0, 0))
            sums[dataset.group] = (tokens + dataset.tokens, size + dataset.text_bytes)
    return {group: tokens / size for group, (tokens, size) in sums.items()}
