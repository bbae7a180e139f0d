"""What a plan will take of the disk and of memory, before it runs.

A prediction by rules of thumb, each rather high: it is to refuse what cannot fit, not to bill it.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess.doctor.findings import Finding, fail, ok, warn
from preprocess.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from preprocess.plan import Plan, Stage

EXPANSION = {".gz": 4.0, ".zst": 5.0, ".parquet": 4.0, ".bz2": 5.0, ".xz": 6.0}
"""Bytes of text for each stored byte; technical web text in zstd has 7, other text 3 to 4."""

STORED_PER_TEXT = 0.4
"""Records as `.jsonl.zst`; web text takes 0.14, short records with much around them more."""

TOKENS_PER_BYTE = 0.3
"""Llama 3 makes 0.25 of English web text, GPT-2 0.41 of text with much code: 2 bytes each."""

BYTES_PER_TOKEN = 4

BYTES_PER_RECORD = 4_700
"""Of web text; see ARCHITECTURE.md, as for the next."""

DEDUP_BYTES_PER_RECORD = 488 + 14 * 16

RECORD_COMMANDS = {"ingest", "filter", "retrieve", "dedup", "decontaminate"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What a stage leaves on the disk and what it needs for a while."""

    stage: str
    command: str
    text_bytes: float
    """Of what it gives on."""
    stored_bytes: float
    passing_bytes: float = 0.0


def check_plan(
    plan: Plan, free: int, memory: int | None, parse_size: Callable[[str], int]
) -> list[Finding]:
    """Compare what a plan needs with what there is."""
    inputs, missing = given_inputs(plan)
    findings = [
        fail(
            "plan: input",
            f"{path}: nothing there",
            "check the path; a plan's inputs are paths or the names of earlier stages",
        )
        for path in missing
    ]
    findings.append(disk(needs(plan, inputs), free))
    findings += stage_memory(plan, memory, parse_size)
    return findings


def given_inputs(plan: Plan) -> tuple[dict[str, float], list[str]]:
    """Return the bytes of text that each path given to a stage holds, and the paths not there."""
    made = {str(plan.directory / stage.name) for stage in plan.stages}
    sizes: dict[str, float] = {}
    missing = []
    for stage in plan.stages:
        for path in stage.inputs:
            if path in made or path in sizes or stage.command in ("blend", "report"):
                continue
            found = [Path(each) for each in glob.glob(path, recursive=True)]  # noqa: PTH207
            if not found and not any(Path(path).is_relative_to(each) for each in made):
                missing.append(path)
            sizes[path] = sum(map(text_bytes, found))
    return sizes, missing


def text_bytes(path: Path) -> float:
    """Return about how much text a file or a directory holds."""
    if path.is_dir():
        manifest = read_manifest(path)
        if manifest is not None:
            return float(sum(shard.text_bytes for shard in manifest.shards))
        return sum(text_bytes(each) for each in path.rglob("*") if each.is_file())
    return path.stat().st_size * EXPANSION.get(path.suffix, 1.0)


def needs(plan: Plan, inputs: dict[str, float]) -> list[Need]:
    """Return what each stage needs, taking each to keep all that it is given."""
    texts = dict(inputs)
    found = []
    for stage in plan.stages:
        text = sum(texts.get(path, 0.0) for path in stage.inputs)
        need = need_of(stage, text)
        texts[str(plan.directory / stage.name)] = need.text_bytes
        found.append(need)
    return found


def need_of(stage: Stage, text: float) -> Need:
    """Return what one stage makes of so much text."""
    tokens = text * TOKENS_PER_BYTE * BYTES_PER_TOKEN
    stored = passing = 0.0
    if stage.command in RECORD_COMMANDS:
        stored = text * STORED_PER_TEXT
    elif stage.command in ("tokenize", "merge"):
        stored = tokens
    if stage.command == "dedup":
        passing = text / BYTES_PER_RECORD * DEDUP_BYTES_PER_RECORD
    return Need(
        stage=stage.name,
        command=stage.command,
        text_bytes=text,
        stored_bytes=stored,
        passing_bytes=passing,
    )


def disk(found: Sequence[Need], free: int) -> Finding:
    """Compare the sum with the free space; what is needed for a while counts where it is most."""
    subject = "plan: disk"
    total = sum(each.stored_bytes for each in found)
    total += max((each.passing_bytes for each in found), default=0.0)
    parts = ", ".join(
        f"{each.stage} {size(each.stored_bytes + each.passing_bytes)}"
        for each in found
        if each.stored_bytes
    )
    text = f"about {size(total)} if nothing is dropped ({parts or 'nothing to write'}), "
    text += f"{size(free)} free"
    if total > free:
        return fail(subject, text, "free some space, or set another [run] directory")
    if total > free / 2:
        return warn(subject, text, "a prediction may be off by half: have more free")
    return ok(subject, text)


def size(count: float) -> str:
    """Return bytes as users read them."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def stage_memory(
    plan: Plan, available: int | None, parse_size: Callable[[str], int]
) -> list[Finding]:
    """Compare the memory that stages ask for with what there is."""
    asked = {}
    for stage in plan.stages:
        arguments = list(stage.arguments)
        if "--memory" in arguments[:-1]:
            asked[stage.name] = parse_size(arguments[arguments.index("--memory") + 1])
    if available is None or not asked:
        return []
    too_much = {name: wanted for name, wanted in asked.items() if wanted > available}
    if too_much:
        names = ", ".join(f"{name} {size(wanted)}" for name, wanted in too_much.items())
        return [
            fail(
                "plan: memory",
                f"{names} asked for, {size(available)} available",
                "lower --memory of these stages, or take a larger machine",
            )
        ]
    return [ok("plan: memory", f"{size(max(asked.values()))} at most, {size(available)} available")]
