"""Stage `dedup`: exact, then near duplicates fall; every dropped record names its survivor.

Two records are near-duplicates when the Jaccard similarity of their sets of shingles, runs of
`ngram_size` words lower-cased, is at or above the threshold. MinHash finds the candidates, the
texts decide. A conversation, a record with `messages`, is compared by what was said and called in
it: system prompts, tools and the rendered text, which a whole dataset may share, do not count.

**The survivor rule.** Records are decided in an order: that of `keep`, then that of the input. Of
records with equal text the first one goes on. The rest is decided in that order: a record is
compared with the survivors that share a band with it, the first one first, and is dropped at the
first one whose true similarity is at or above the threshold; if there is none, it survives. What
has its text is dropped with it, unless it is compared by other words, as the plain copy of a
conversation is: of these the first one stays. So a dropped record always names a survivor that is
truly similar or has its text, and nothing chains away. Of records that share one band, only the
first 64 survivors are compared with, which keeps boilerplate from costing quadratic time. At most
`max_cluster` near-duplicates fall to one survivor; then it is as if it were not there: a further
one falls to the next survivor that it is similar to, or survives and takes others itself. With
`verify=False` the classic single link is used instead: of all records that are connected by shared
bands the first survives, however similar the others are.

Four steps, each starting only when the one before is whole; they meet in files of the journal:

| step | per | reads | writes |
|---|---|---|---|
| sign | unit | records | `UUUUU.words`; `UUUUU.sign`: ids, hashes of texts and of bands |
| bands | range of a band, of the texts, of the ids | hashes | `bucket-PPPPP`: who shares one |
| connect | run | buckets, words of candidates | `verdicts` and `clusters.parquet` |
| drop | unit | records, verdicts | `part-NNNNN.jsonl.zst` or `.jsonl` |

Between connect and drop a source that would lose too much stops the run (`loss_alarm`).

Memory is what `memory_bytes` says, whatever the number of records: what does not fit is sorted in
files of the journal, or beside them in files without a name. Texts are read twice, by sign and by
drop; what connect compares are the words that sign has stored.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from preprocess.dedup_config import DedupConfig
from preprocess.dedup_run import STEPS
from preprocess.dedup_scopes import refuse_oversized, run_of
from preprocess.errors import Misuse, UserError
from preprocess.fetch import named
from preprocess.inputs import record_files, refuse_inside, units_of
from preprocess.judge import judge
from preprocess.run_directory import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from preprocess.manifest import Manifest
    from preprocess.run_options import RunOptions

__all__ = ["STEPS", "DedupConfig", "dedup"]


def dedup(
    inputs: Sequence[str],
    output: Path,
    config: DedupConfig,
    options: RunOptions,
    *,
    step: str | None = None,
    allow_loss: Collection[str] = (),
) -> Manifest | None:
    """Drop exact and near duplicates; write survivors, `clusters.parquet` and the manifest.

    Args:
        inputs: Files, globs or directories of records; earlier ones win over later ones.
        output: The directory to write.
        config: What counts as a duplicate.
        options: What the run may use.
        step: One of `STEPS`; None runs all four in order.
        allow_loss: Sources that may lose more records than `loss_alarm` lets pass.

    Returns:
        The manifest, or None where other steps or tasks have to complete the directory.

    Raises:
        UserError: No record files, an id that occurs twice, a step before this one that is not
            whole, another run's directory, damaged files, a source that would lose too much.
        Misuse: An unknown step, or a task without a step.
    """
    if step is not None and step not in STEPS:
        raise Misuse(f"expected a step of {', '.join(STEPS)}, got {step}")
    if step is None and options.task is not None:
        raise Misuse(
            "expected --step with --task: the steps of all tasks follow one another; "
            f"give --step {STEPS[0]} to all tasks first"
        )
    refuse_inside(inputs, output)
    units = units_of(record_files(list(inputs)))
    refuse_oversized(units, config, options)
    directory = RunDirectory.begin(output, "dedup", asdict(config) | options.limits(), units)
    run = run_of(directory, config, options)
    manifest = directory.manifest()
    if manifest is None:
        try:
            for each in STEPS if step is None else (step,):
                if each == "drop":
                    run.refuse_losses(allow_loss)
                run.do(each)
                if step is not None and step != STEPS[-1]:
                    directory.finish_step(step, options)
        except FileNotFoundError:
            # An equal run that completes the directory removes the journal under our feet.
            if directory.manifest() is None:
                raise
        except ValueError as error:
            # What the extension refuses: damaged files, an id that occurs twice, too little memory.
            files = (file for unit in units for file in unit.files)
            raise UserError(named(str(error), files, directory.journal)) from error
        if options.task is not None or step not in (None, "drop"):
            return None
        manifest = directory.complete()
    judge(manifest, output, options)
    return manifest
