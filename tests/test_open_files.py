"""A blend of more parts than a shell lets a process have files open."""

import json
import resource
import subprocess
import sys
from pathlib import Path

from blend_files import write_masked_part
from test_training import ROOT
from test_tuning import PACKED

FEW = 160
"""Less than the parts need; a training of one part needs about half."""


def test_a_blend_may_have_more_parts_than_files_are_allowed_unasked(tmp_path: Path) -> None:
    names = [f"part-{number:05d}" for number in range(40)]
    for seed, name in enumerate(names):
        write_masked_part(tmp_path / name, num_documents=2, seed=seed)
    blend = tmp_path / "blend.json"
    train = [{"group": "agent", "weight": 1.0, "prefixes": names}]
    blend.write_text(json.dumps({"train": train, "valid": [], "test": []}))
    settings = [*PACKED, "stop_at_step=0", "max_epochs=500"]
    arguments = ["train", "tiny", "--blend", str(blend), "--checkpoint-dir", str(tmp_path / "run")]
    for setting in settings:
        arguments += ["--set", setting]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    done = subprocess.run(
        [sys.executable, "-m", "megatron_recipes", *arguments],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, hard)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "conversations of agent: 80 in " in done.stderr
