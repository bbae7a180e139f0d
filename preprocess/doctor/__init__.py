"""`preprocess doctor`: what would go wrong, said before anything runs.

One module a concern, each a few functions from what is known to findings: `vocabulary`,
`special_tokens` and `encoder` for a tokenizer and its model, `file_system` for a directory,
`machine` for cores, memory and Slurm, `plan_needs` for a plan.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from preprocess import _rust_ext
from preprocess.doctor.encoder import check_encoder
from preprocess.doctor.facts import Vocabulary, read_model_files
from preprocess.doctor.file_system import check_directory
from preprocess.doctor.findings import Finding, as_json, as_table, fail, ok, warn
from preprocess.doctor.machine import available_bytes, check_machine
from preprocess.doctor.plan_needs import check_plan
from preprocess.doctor.plan_options import check_options
from preprocess.doctor.special_tokens import check_special_tokens
from preprocess.doctor.vocabulary import check_vocabulary
from preprocess.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Patient", "as_json", "as_table", "doctor"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """What is looked at."""

    tokenizer: Path | None = None
    """A tokenizer's file, or a directory of one."""
    model: Path | None = None
    """A model's directory, or its config.json."""
    eod: str | None = None
    """As `tokenize --eod` takes it."""
    plan: Plan | None = None
    directory: Path | None = None
    """Where the run will write; None: the plan's own, if there is one."""
    workers: int | None = None
    memory_bytes: int | None = None


def doctor(patient: Patient, parse_size: Callable[[str], int]) -> list[Finding]:
    """Return what every check says, in the order of the data.

    `parse_size` reads a size as the command line does.

    Raises:
        UserError: A path that was named is not there, or a file is not what it should be.
    """
    findings = []
    if patient.tokenizer is not None:
        findings += _tokenizer(patient.tokenizer, patient.model, patient.eod)
    directory = patient.directory or (patient.plan.directory if patient.plan else None)
    if directory is not None:
        findings += check_directory(directory)
    findings += check_machine(patient.workers, patient.memory_bytes)
    if patient.plan is not None and directory is not None:
        free = shutil.disk_usage(_existing(directory)).free
        findings += check_options(patient.plan)
        findings += check_plan(patient.plan, free, available_bytes(), parse_size)
    return findings


def _tokenizer(path: Path, model: Path | None, eod: str | None) -> list[Finding]:
    files = read_model_files(path, model)
    try:
        tokenizer = _rust_ext.Tokenizer.load(path)
    except _rust_ext.TokenizerError as error:
        return [fail("tokenizer", str(error), "take another file of the same tokenizer")]
    vocabulary = Vocabulary.of(tokenizer, eod)
    return [
        *check_vocabulary(vocabulary, files),
        *check_special_tokens(vocabulary, files),
        *_same_file(tokenizer, model),
        *check_encoder(tokenizer),
    ]


def _same_file(tokenizer: _rust_ext.Tokenizer, model: Path | None) -> list[Finding]:
    """Compare the tokenizer with the file of the same name in the model's directory."""
    if model is None:
        return []
    folder = model if model.is_dir() else model.parent
    beside = folder / Path(tokenizer.file).name
    if not beside.is_file():
        return []
    subject = "tokenizer of the model"
    with beside.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found == tokenizer.sha256:
        return [ok(subject, f"{beside.name} is the same file")]
    return [
        warn(
            subject,
            f"{beside} has the SHA-256 {found[:16]}..., the tokenizer {tokenizer.sha256[:16]}...",
            "take the tokenizer of the model, unless the other one is meant",
        )
    ]


def _existing(directory: Path) -> Path:
    place = directory.absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    return place
