"""A bad step, named: the documents of its batch, with record ids and sources, as a JSON file.

Which documents a step reads is a function of the dataset's indices, so nothing is noted while the
training goes well; the indices and the lists of ids are looked up when a step is bad.

`bad_step_NNNNNNN.json`: `step`, `reason`, `loss`, `grad_norm` and `learning_rate` (as text where
they are no numbers), `checkpoint` (the last good one, or null), `attempts` that met it, and
`sequences`, one for each prefix that a sample is read from: `sample`, `micro_batch`,
`data_parallel_rank`, `micro_batch_loss`, `group`, `prefix` and `documents`: `document`, `id`,
`source`, `first_token`, `tokens`.
"""

import contextlib
import io
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from megatron_recipes.blend import Blend
from megatron_recipes.config import TrainingConfig
from megatron_recipes.whole_files import write_json

MOST_SOURCES = 5

MicroBatchLosses = dict[tuple[int, int], float]
"""Mean loss by data parallel rank and number of the micro batch."""


def bad_step_path(directory: Path, step: int) -> Path:
    """Return where a bad step is described."""
    return directory / f"bad_step_{step:07d}.json"


def known_bad_steps(directory: Path, after_step: int) -> list[str]:
    """Return a line for each step still to come that was bad in an earlier attempt."""
    lines = []
    for path in sorted(directory.glob("bad_step_*.json")):
        found = json.loads(path.read_bytes())
        if found["step"] > after_step:
            lines.append(
                f"step {found['step']} was bad in attempt {_listed(found['attempts'])} "
                f"({found['reason']}); its batch comes again"
            )
    return lines


def describe_bad_step(
    directory: Path,
    config: TrainingConfig,
    blend: Blend,
    dataset: Any,
    entry: dict[str, Any],
    reason: str,
    checkpoint: Path | None,
    losses: MicroBatchLosses,
) -> str:
    """Write the file of a bad step and return one line about it.

    Args:
        directory: The checkpoint directory.
        config: The training.
        blend: Says which group a part belongs to.
        dataset: What the training reads.
        entry: The step's metrics: `step`, `loss`, `grad_norm`, `learning_rate`, `attempt`.
        reason: Why it is bad.
        checkpoint: The last good one.
        losses: Of its micro batches, as far as they are known.
    """
    path = bad_step_path(directory, entry["step"])
    before = json.loads(path.read_bytes())["attempts"] if path.exists() else []
    groups = {str(part.prefix): group.name for group in blend.train for part in group.parts}
    sequences = list(_sequences(config, dataset, entry["step"], groups, losses))
    _name_records(sequences)
    content = {
        "step": entry["step"],
        "reason": reason,
        **{name: _number(entry[name]) for name in ("loss", "grad_norm", "learning_rate")},
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "attempts": [*before, entry["attempt"]],
        "sequences": sequences,
    }
    try:
        write_json(path, content)
        listed = f"listed in {path}"
    except OSError as error:  # the step is bad whether or not the disk is full
        listed = f"not listed, since {path} cannot be written: {error.strerror}"
    return _line(content, listed, before, directory)


def _sequences(
    config: TrainingConfig,
    dataset: Any,
    step: int,
    groups: dict[str, str],
    losses: MicroBatchLosses,
) -> Iterator[dict[str, Any]]:
    batch, replicas = config.batch, config.layout.data_parallel_size
    for place in range(batch.global_batch_size):
        sample = (step - 1) * batch.global_batch_size + place
        pass_number, within = divmod(place, batch.micro_batch_size * replicas)
        replica = within // batch.micro_batch_size
        for prefix, documents in _read_by(dataset, sample):
            yield {
                "sample": sample,
                "micro_batch": pass_number,
                "data_parallel_rank": replica,
                "micro_batch_loss": _number(losses.get((replica, pass_number))),
                "group": groups.get(prefix),
                "prefix": prefix,
                "documents": documents,
            }


def _read_by(dataset: Any, sample: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the prefixes that a sample is read from, each with its stretches of documents."""
    if hasattr(dataset, "runs_of"):  # conversations of several prefixes may share a sequence
        runs: dict[str, list[dict[str, Any]]] = {}
        for prefix, run in dataset.runs_of(sample):
            runs.setdefault(prefix, []).append(run)
        yield from runs.items()
        return
    part, part_sample = _part_of(dataset, sample)
    yield str(part.dataset_path), list(_documents(part, part_sample))


def _part_of(dataset: Any, sample: int) -> tuple[Any, int]:
    """Return the part of a blend that a sample is read from, and its number there."""
    if not hasattr(dataset, "dataset_index"):  # one part is not blended
        return dataset, sample
    part = dataset.datasets[int(dataset.dataset_index[sample])]
    return part, int(dataset.dataset_sample_index[sample])


def _documents(part: Any, sample: int) -> Iterator[dict[str, Any]]:
    """Yield the stretches of documents that a sequence of a part is made of, in its order."""
    place = int(part.shuffle_index[sample])
    (first, skipped), (last, end) = part.sample_index[place], part.sample_index[place + 1]
    for position in range(int(first), int(last) + 1):
        document = int(part.document_index[position])
        start = int(skipped) if position == first else 0
        # The last label is the token after the sequence.
        stop = int(end) + 1 if position == last else int(part.dataset.sequence_lengths[document])
        if stop > start:
            yield {"document": document, "first_token": start, "tokens": stop - start}


def _name_records(sequences: list[dict[str, Any]]) -> None:
    """Add to every document its record's id and source; null where the ids are not kept."""
    wanted: dict[str, set[int]] = {}
    for sequence in sequences:
        numbers = {document["document"] for document in sequence["documents"]}
        wanted.setdefault(sequence["prefix"], set()).update(numbers)
    ids = {prefix: _record_ids(prefix, numbers) for prefix, numbers in wanted.items()}
    for sequence in sequences:
        for document in sequence["documents"]:
            name = ids[sequence["prefix"]].get(document["document"])
            document |= {"id": name, "source": name.split("/", 1)[0] if name else None}


def _record_ids(prefix: str, numbers: set[int]) -> dict[int, str]:
    path = Path(f"{prefix}.ids.zst")
    if not path.is_file():
        return {}
    found: dict[int, str] = {}
    last = max(numbers, default=-1)
    # A file of ids that is damaged leaves documents without a name, and no error beside the step's.
    with (
        contextlib.suppress(OSError, zstandard.ZstdError),
        path.open("rb") as stored,
        zstandard.ZstdDecompressor().stream_reader(stored, read_across_frames=True) as lines,
        io.TextIOWrapper(lines, encoding="utf-8", errors="replace", newline="\n") as text,
    ):
        for number, line in enumerate(text):
            if number in numbers:
                found[number] = line.rstrip("\n")
            if number >= last:
                break
    return found


def _line(content: dict[str, Any], listed: str, before: list[int], directory: Path) -> str:
    documents = [each for sequence in content["sequences"] for each in sequence["documents"]]
    sources = Counter(each["source"] or "unknown" for each in documents)
    named = ", ".join(f"{name} {count}" for name, count in sources.most_common(MOST_SOURCES))
    more = len(sources) - MOST_SOURCES
    stands = content["checkpoint"] or f"no checkpoint in {directory}"
    if before:
        advice = (
            f"it was bad in attempt {_listed(before)} too: begin another training --from "
            "there, with a lower learning_rate or without these documents"
        )
    else:
        advice = "the same command tries the step again"
    return (
        f"step {content['step']} is bad: {content['reason']}; its {len(content['sequences'])} "
        f"sequences are of {len(documents)} documents (by source: {named}"
        f"{f' and {more} more sources' if more > 0 else ''}), {listed}; nothing of the "
        f"step is kept, the training stands at {stands}; {advice}"
    )


def _listed(attempts: list[int]) -> str:
    return ", ".join(map(str, attempts))


def _number(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else str(value)
