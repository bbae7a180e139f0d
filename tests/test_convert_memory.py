"""The memory of a conversion does not follow the size of the model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hf_models import TOKENIZER

from megatron_recipes.checkpoints.master_weights import DISTRIBUTED, FP8_WEIGHTS
from megatron_recipes.config import ModelConfig
from megatron_recipes.convert.hf_config import make_hf_config
from megatron_recipes.convert.layout import places, write_weights
from megatron_recipes.convert.safetensors_files import write_directory
from megatron_recipes.convert.tensors import BLOCK_BYTES, Adapted, TensorSpec, num_bytes
from megatron_recipes.convert.torch_dist import CACHE_BYTES, TorchDistWriter
from megatron_recipes.run_directory import write_state

# A process that a large one starts counts that one's memory as its own peak (`ru_maxrss` outlives
# `exec`), so a small one starts it and measures.
MEASURED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
assert os.waitstatus_to_exitcode(status) == 0
print(usage.ru_maxrss * 1024)
"""


class RandomWeights:
    """bfloat16 weights of a model, the same at each reading, without holding them."""

    def __init__(self, model: ModelConfig) -> None:
        import torch

        self.specs = {
            name: TensorSpec(place.shape, torch.bfloat16)
            for name, place in places(model, model.vocab_size).items()
        }

    def read(self, name: str, start: int, stop: int) -> Any:
        import torch

        torch.manual_seed(hash((name, start)) % 2**31)
        shape = (stop - start, *self.specs[name].shape[1:])
        return torch.randn(shape, dtype=torch.bfloat16)


def model_of(num_layers: int, hidden: int, vocabulary: int) -> ModelConfig:
    return ModelConfig(
        num_layers=num_layers,
        hidden_size=hidden,
        ffn_hidden_size=hidden * 7 // 2,
        num_attention_heads=hidden // 128,
        num_query_groups=4,
        kv_channels=128,
        vocab_size=vocabulary,
        max_position_embeddings=8192,
    )


def made_model(directory: Path, model: ModelConfig) -> int:
    """Write a model of four shards; returns the bytes of its weights."""
    directory.mkdir()
    weights = RandomWeights(model)
    total = num_bytes(weights)
    for _ in write_directory(directory, weights, max_shard_bytes=total // 4):
        pass
    (directory / "config.json").write_text(json.dumps(make_hf_config(model, "bfloat16")))
    (directory / "tokenizer.json").write_text(TOKENIZER)
    return total


class TrainedWriter(TorchDistWriter):
    """Writes weights in bfloat16 and their masters, as a training does."""

    def add_rows(
        self, key: str, spec: TensorSpec, start: int, rows: Any, layer: tuple[int, int]
    ) -> None:
        import torch

        super().add_rows(DISTRIBUTED + key, spec, start, rows, layer)
        rounded = TensorSpec(spec.shape, torch.bfloat16)
        super().add_rows(key, rounded, start, rows.bfloat16(), layer)


def made_checkpoint(run: Path, model: ModelConfig) -> None:
    """Write the checkpoint of a training that kept its weights in FP8."""
    import torch

    step = run / "step_0000001"
    step.mkdir(parents=True)
    with TrainedWriter(step) as writer:
        masters = Adapted(RandomWeights(model), dtype=torch.float32, rows={})
        for _ in write_weights(writer, masters, model):
            pass
        contents = writer.finish(model.num_layers)
    fields = {name: getattr(model, name) for name in ModelConfig.__dataclass_fields__}
    write_state(
        step, {"step": 1, "consumed_samples": 1, "model": fields, FP8_WEIGHTS: True}, contents
    )


def peak_bytes(*arguments: str | Path) -> int:
    command = [sys.executable, "-m", "megatron_recipes", "convert", *map(str, arguments)]
    measured = [sys.executable, "-c", MEASURED, *command]
    return int(subprocess.run(measured, capture_output=True, check=True).stdout)


@pytest.mark.parametrize(
    ("num_layers", "hidden", "vocabulary"),
    [
        pytest.param(6, 1024, 48_000, id="0.34 GB"),
        pytest.param(10, 2048, 64_000, id="1.6 GB", marks=pytest.mark.bench),
    ],
)
def test_conversion_takes_few_blocks_beside_what_the_program_does(
    num_layers: int, hidden: int, vocabulary: int, tmp_path: Path
) -> None:
    models = {"small": (1, 512, 512), "great": (num_layers, hidden, vocabulary)}
    sizes = []
    for name, numbers in models.items():
        sizes.append(made_model(tmp_path / name, model_of(*numbers)))
        made_checkpoint(tmp_path / f"{name}-trained", model_of(*numbers))
    assert sizes[1] > 20 * sizes[0]
    for arguments in (
        ("import", "{}", "{}-run"),
        ("export", "{}-run", "{}-hf", "--max-shard-size", "1GB"),
        ("export", "{}-trained", "{}-masters", "--max-shard-size", "1GB"),
    ):
        peaks = [
            peak_bytes(*(argument.format(tmp_path / name) for argument in arguments))
            for name in models
        ]
        print(arguments[:2], f"{sizes[1]:,}", peaks, peaks[1] - peaks[0] >> 20)
        assert peaks[1] - peaks[0] < CACHE_BYTES + 2 * BLOCK_BYTES, arguments
