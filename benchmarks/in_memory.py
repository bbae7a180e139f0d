"""Encoding in memory: ids first, then the time of the first pass and of the fastest later one."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.peers import LOADERS, OURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.models import Model
    from benchmarks.rig import Rig

PASSES = {True: 4, False: 2}
"""By whether a peer is fast: one pass is cold, the others warm."""

WHOLE = (OURS, "fastokens", "gigatoken")
"""Measured on the whole web corpus; others take minutes and are measured on a slice of it."""

REFERENCES_AT_ONCE = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One encoder on one corpus."""

    model: str
    corpus: str
    who: str
    text_bytes: int = 0
    documents: int = 0
    different: int = 0
    """Documents whose ids are not the reference's."""

    ids: int = 0
    expected_ids: int = 0
    cold: float | None = None
    """CPU-seconds of the first pass; None if it was not timed."""

    warm: float | None = None
    failed: str | None = None
    """Why there is nothing to measure."""

    @property
    def is_exact(self) -> bool:
        """Whether there were ids, and every document had the reference's."""
        return self.failed is None and self.ids > 0 and self.different == 0

    def rate(self, seconds: float | None) -> float | None:
        """Return MB of text per CPU-second."""
        return None if seconds is None else self.text_bytes / 1e6 / seconds

    def to_json(self) -> dict[str, Any]:
        """Return all of it, with the rates."""
        rates = {"cold_rate": self.rate(self.cold), "warm_rate": self.rate(self.warm)}
        return {**asdict(self), "is_exact": self.is_exact, **rates}


def make_references(rig: Rig) -> dict[tuple[str, str], int]:
    """Encode all corpora with the references; return the number of ids of each, by model."""
    corpora = [corpus for name, corpus in rig.corpora.items() if not name.endswith(" slice")]
    wanted = [(model, corpus) for corpus in corpora for model in rig.models]

    def one(model: Model, corpus: str) -> int:
        answer = rig.ask(
            "reference",
            model=model.to_json(),
            corpus=rig.corpora[corpus].path,
            parsed=str(rig.digests(model, corpus)),
            literal=str(rig.digests(model, corpus, "literal")),
        )
        if "failed" in answer or answer["ids"] == 0:
            raise RuntimeError(f"no ids of {model.name} to compare with on {corpus}: {answer}")
        return int(answer["ids"])

    with ThreadPoolExecutor(REFERENCES_AT_ONCE) as pool:
        counts = pool.map(lambda pair: one(pair[0], pair[1].name), wanted)
        return {
            (model.name, corpus.name): count
            for (model, corpus), count in zip(wanted, counts, strict=True)
        }


def run(rig: Rig, expected_ids: dict[tuple[str, str], int]) -> Iterator[Row]:
    """Measure every encoder on every corpus, corpus after corpus."""
    for model in rig.models:
        rows: list[Row] = []
        failed: set[str] = set()
        for corpus, who in itertools.product(rig.corpora, LOADERS):
            if who in failed or not _is_measured(corpus, who):
                continue
            row = _measure(rig, model, corpus, who, expected_ids)
            failed |= {who} if row.failed else set()
            rows.append(row)
            yield row
        fastest = fastest_exact(rows, model.name)
        if fastest is not None and fastest.corpus == "web slice":
            yield _measure(rig, model, "web", fastest.who, expected_ids)


def _is_measured(corpus: str, who: str) -> bool:
    if corpus == "web":
        return who in WHOLE
    return corpus != "web slice" or who not in WHOLE or who == OURS


def fastest_exact(rows: list[Row], model: str) -> Row | None:
    """Return the row of the fastest peer that is exact on web text, on the whole if it is there."""
    peers = [
        row
        for row in rows
        if row.model == model
        and row.corpus in ("web", "web slice")
        and row.who != OURS
        and row.is_exact
        and row.warm
    ]
    wrong = {row.who for row in rows if row.model == model and row.different}
    right = [row for row in peers if row.who not in wrong]
    return max(
        right, key=lambda row: (row.rate(row.warm) or 0.0, row.corpus == "web"), default=None
    )


def _measure(
    rig: Rig, model: Model, corpus: str, who: str, expected_ids: dict[tuple[str, str], int]
) -> Row:
    of = rig.corpora[corpus]
    passes = PASSES[who in WHOLE or corpus == "web"]
    job = {"model": model.to_json(), "corpus": of.path, "passes": passes}
    digests = str(rig.digests(model, corpus))
    if corpus.startswith("web"):  # what was compared shall leave nothing behind, caches nor memory
        answer = rig.ask("compare", peer=who, digests=digests, **job)
        if "failed" not in answer:
            answer |= rig.ask("memory", peer=who, **job)
    else:
        answer = rig.ask("memory", peer=who, digests=digests, **job)
    if who == OURS and answer["different"]:
        raise RuntimeError(
            f"{model.name} on {corpus}: {answer['different']} of {answer['documents']} documents "
            "have other ids than the reference: there is no use in timing"
        )
    row = Row(model=model.name, corpus=corpus, who=who, text_bytes=of.text_bytes)
    return replace(row, **answer, expected_ids=expected_ids.get((model.name, corpus), 0))
