"""Small plans for the cluster, and how their outputs are compared with those of a local run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCES = ("north", "east", "south", "west")
WORDS = ("river", "stone", "lamp", "paper", "window", "harbour", "letter", "engine", "garden")

PLAN = """
[run]
directory = "{directory}"

{ingests}
[[stage]]
name = "unique"
command = "dedup"
input = ["north", "east", "south", "west"]

[[stage]]
name = "tokenizer"
command = "train-tokenizer"
input = "unique"
options = {{ vocab_size = 512 }}

[[stage]]
name = "tokens"
command = "tokenize"
input = "unique"
options = {{ tokenizer = "tokenizer", holdout = 0.1 }}

[[stage]]
name = "blend.json"
command = "blend"
input = ["text=tokens:1"]

[slurm.north]
tasks = {tasks}
[slurm.east]
tasks = 1
[slurm.south]
tasks = 1
[slurm.west]
tasks = 1
"""

INGEST = """[[stage]]
name = "{name}"
command = "ingest"
input = "{directory}/{name}.jsonl"
options = {{ dataset = "jsonl", text_field = "text", max_rejected = 0.2 }}
"""

TRAINING = """
[[training]]
name = "model"
recipe = "tiny"
blend = "blend.json"
[training.set]
num_layers = 2
hidden_size = 32
ffn_hidden_size = 64
num_attention_heads = 2
num_query_groups = 2
kv_channels = 16
sequence_length = 64
num_steps = {num_steps}
lr_warmup_steps = 2
checkpoint_interval = {interval}
evaluation_sequences = 4
{more}
"""


def write_sources(directory: Path) -> None:
    """Write four files of records; some texts stand in several of them, one line is broken."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(SOURCES):
        lines = []
        for record in range(120):
            seed = record if record % 5 == 0 else 1000 * number + record
            words = [WORDS[(seed * 31 + each * each * 7) % len(WORDS)] for each in range(60)]
            lines.append(json.dumps({"text": f"Page {seed}: {' '.join(words)}."}))
        lines.append("{broken")
        (directory / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


def small_plan(path: Path, run: Path, sources: Path, *, tasks: int, training: str = "") -> Path:
    """Write the plan of the tests and return its path."""
    ingests = "\n".join(INGEST.format(name=name, directory=sources) for name in SOURCES)
    path.write_text(PLAN.format(directory=run, ingests=ingests, tasks=tasks) + training)
    return path


def run_locally(plan: Path, environment: Mapping[str, str], cwd: Path) -> None:
    """Run a plan's stages on this machine, without any Slurm."""
    command = [sys.executable, "-m", "preprocess", "run", str(plan)]
    done = subprocess.run(
        command, cwd=cwd, env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


def contents(run: Path, skip: frozenset[str] = frozenset()) -> dict[str, bytes]:
    """Return every file of a run's stages by its path, what differs by nature taken out.

    That is `seconds` and the absolute paths of inputs in a manifest; the directory's own name.
    """
    found = {}
    for path in sorted(run.rglob("*")):
        relative = path.relative_to(run)
        if not path.is_file() or relative.parts[0] in skip | {"slurm", "plan.toml"}:
            continue
        content = path.read_bytes()
        if path.name == "manifest.json":
            manifest = json.loads(content)
            del manifest["seconds"]
            for entry in manifest["inputs"]:
                entry["path"] = Path(entry["path"]).name
            content = json.dumps(manifest).encode()
        found[str(relative)] = content.replace(str(run).encode(), b"RUN")
    return found


def losses(directory: Path) -> dict[int, float]:
    """Return the loss of each step of a training."""
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return {entry["step"]: entry["loss"] for entry in entries if entry["kind"] == "step"}
