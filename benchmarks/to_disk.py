"""Records to ids on disk: ours, each exact peer's encoder, and Megatron's path."""

from __future__ import annotations

import io
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import zstandard

from benchmarks import end_to_end
from benchmarks.datasets import is_concatenation, read_dataset, shards_of
from benchmarks.in_memory import WHOLE, Row
from benchmarks.peers import OURS
from benchmarks.worker import count_different, digests_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.models import Model
    from benchmarks.rig import Rig

RUNS = 3
"""Of ours and of the fast peers, each in a process of its own: the least counts."""

MEGATRON = "Megatron's path"
MEGATRON_WHOLE = ("gpt2", "llama3")
"""Through Megatron's path on the whole corpus; others on the slice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskRow:
    """One way from records to disk, starting and loading left out."""

    model: str
    corpus: str
    who: str
    text_bytes: int
    seconds: float
    """CPU-seconds."""

    agreement: str

    @property
    def rate(self) -> float:
        """MB of text per CPU-second."""
        return self.text_bytes / 1e6 / self.seconds

    def to_json(self) -> dict[str, Any]:
        """Return all of it, with the rate."""
        return {**asdict(self), "rate": self.rate}


def run(rig: Rig, rows: list[Row]) -> Iterator[DiskRow]:
    """Measure ours, then every peer that was exact in memory, for each tokenizer."""
    for model in rig.models:
        for corpus in ("web", "web slice"):
            yield _ours(rig, model, corpus)
        yield from _peers(rig, model, [row for row in rows if row.model == model.name])
        yield _megatron(rig, model, "web" if model.name in MEGATRON_WHOLE else "web slice")


def _source(rig: Rig, corpus: str) -> Path:
    return rig.source if corpus == "web" else rig.slice_source


def _output(rig: Rig, corpus: str) -> Path:
    return rig.work / f"ours-{corpus.replace(' ', '-')}"


def _ours(rig: Rig, model: Model, corpus: str) -> DiskRow:
    output = _output(rig, corpus)
    start = end_to_end.our_seconds(model, one_record(rig), rig.work / "start", runs=RUNS)
    seconds = end_to_end.our_seconds(model, _source(rig, corpus), output, runs=RUNS)
    found = b"".join(digests_of(*read_dataset(prefix)) for prefix in shards_of(output))
    expected = rig.digests(model, corpus, "literal").read_bytes()[: len(found)]
    documents = rig.corpora[corpus].documents
    different = count_different(found, expected)
    if different or len(found) != documents * 8:
        raise RuntimeError(
            f"{model.name} on {corpus}: {different} of {documents} documents on disk have other "
            f"ids than the reference, {len(found) // 8} were written: there is nothing to time"
        )
    return DiskRow(
        model=model.name,
        corpus=corpus,
        who=OURS,
        text_bytes=rig.corpora[corpus].text_bytes,
        seconds=seconds - start,
        agreement=f"0 of {documents:,} documents differ from the reference",
    )


def one_record(rig: Rig) -> Path:
    """Return records that cost nothing but starting and loading."""
    path = rig.work / "one.jsonl"
    path.write_text('{"id": "one#0", "text": "a"}\n')
    return path


def _peers(rig: Rig, model: Model, rows: list[Row]) -> Iterator[DiskRow]:
    wrong = {row.who for row in rows if row.different or row.failed}
    for who in dict.fromkeys(row.who for row in rows):
        if who == OURS or who in wrong:
            continue
        corpus = "web" if who in WHOLE else "web slice"
        row = _peer(rig, model, corpus, who)
        if row is not None:
            yield row


def _peer(rig: Rig, model: Model, corpus: str, who: str) -> DiskRow | None:
    dtype = read_dtype(shards_of(_output(rig, corpus))[0])
    answers = [
        rig.ask(
            "peer_end_to_end",
            peer=who,
            model=model.to_json(),
            source=str(_source(rig, corpus)),
            output=str(rig.work / "peer.bin"),
            dtype=dtype,
        )
        for _ in range(RUNS if who in WHOLE else 1)
    ]
    if reason := answers[0].get("failed"):
        print(f"{who}, {model.name}: not measured to disk: {reason}", file=sys.stderr)
        return None
    return DiskRow(
        model=model.name,
        corpus=corpus,
        who=who,
        text_bytes=rig.corpora[corpus].text_bytes,
        seconds=min(answer["seconds"] for answer in answers),
        agreement=f"{answers[0]['ids']:,} ids",
    )


def read_dtype(prefix: Path) -> str:
    """Return numpy's name of the element type that ours chose, for peers to write the same."""
    ids, _ = read_dataset(prefix)
    return "<u2" if prefix.with_suffix(".bin").stat().st_size == 2 * len(ids) else "<i4"


def _megatron(rig: Rig, model: Model, corpus: str) -> DiskRow:
    lines = rig.work / "lines.jsonl"
    _decompress(_source(rig, corpus), lines)
    prefix = rig.work / "megatron"
    start = end_to_end.megatron_seconds(model, one_record(rig), prefix)
    seconds = end_to_end.megatron_seconds(model, lines, prefix)
    ours = [shard.with_suffix(".bin") for shard in shards_of(_output(rig, corpus))]
    same = is_concatenation(prefix.with_suffix(".bin"), ours)
    lines.unlink()
    return DiskRow(
        model=model.name,
        corpus=corpus,
        who=MEGATRON,
        text_bytes=rig.corpora[corpus].text_bytes,
        seconds=seconds - start,
        agreement=".bin equal to ours" if same else "WRONG: .bin differs from ours",
    )


def _decompress(source: Path, target: Path) -> None:
    with source.open("rb") as file, target.open("wb") as out:
        stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        shutil.copyfileobj(io.BufferedReader(stream), out)
