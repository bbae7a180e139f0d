"""What several test files use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"

Preprocess = Callable[..., subprocess.CompletedProcess[str]]


def pytest_configure(config: pytest.Config) -> None:
    # Whatever loads a tokenizer here, in this process or below, leaves the user's cache alone.
    directory = tempfile.TemporaryDirectory(prefix="hephaestus-forge-cache-")
    config.add_cleanup(directory.cleanup)
    os.environ["HEPHAESTUS_FORGE_CACHE"] = directory.name
    # A shell that starts this in the background has it ignore Ctrl-C, and processes inherit that:
    # the tests that send it would wait for nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def signals_left_alone() -> Iterator[None]:
    """Fail the test that leaves Ctrl-C ignored: the ones after it could not interrupt anything."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    assert signal.pthread_sigmask(signal.SIG_SETMASK, mask) == mask, "other signals are blocked"
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    assert handler is signal.default_int_handler, f"SIGINT was left with {handler}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED.is_dir():
        return
    skip = pytest.mark.skip(reason=f"{SHARED} with its real records and tokenizers is not here")
    for item in items:
        if "shared" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def shared() -> Path:
    return SHARED


@pytest.fixture
def preprocess(tmp_path: Path) -> Preprocess:
    """Run the command line in `tmp_path` as a user does."""

    def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "preprocess", *map(str, arguments)]
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            command, cwd=tmp_path, text=True, capture_output=True, check=False, **options
        )

    return run


def write_records(path: Path, texts: Iterable[str], kind: str = "text") -> None:
    """Write a record file by hand."""
    lines = [
        json.dumps(
            {"id": f"hand/{path.name}#{number}", "text": text, "kind": kind, "source": "hand"}
        )
        for number, text in enumerate(texts)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level tokenizer of 300 entries, trained here."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(
        ["the quick brown fox and the lazy dog and the other one"] * 9, trainer
    )
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    made.save(str(path))
    return path
