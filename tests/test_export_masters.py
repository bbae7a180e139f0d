"""What an export and a next training take where weights were rounded: the optimizer's masters."""

import json
import queue
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blend_files import write_blend
from checkpoint_runs import small_job, tensors, train
from forked_world import run_world
from hf_models import FAMILIES, assert_same_weights, change_json, read_weights, save_model
from training_world import build, small, step_through

from megatron_recipes import cli
from megatron_recipes.checkpoints.content import digest_file
from megatron_recipes.checkpoints.master_weights import DISTRIBUTED, FP8_WEIGHTS, WHOLE
from megatron_recipes.checkpoints.state import load_training, load_weights, saved_state
from megatron_recipes.config import ModelConfig, TrainingConfig
from megatron_recipes.convert import tensors as convert_tensors
from megatron_recipes.convert.tensors import TensorSpec
from megatron_recipes.convert.torch_dist import TorchDistReader, TorchDistWriter
from megatron_recipes.model_identity import layout_sizes
from megatron_recipes.run_directory import STATE_FILE, FileContent, find_checkpoint, write_state
from megatron_recipes.settings import apply_settings
from megatron_recipes.start_lines import fp8_lines

BF16 = "params_dtype=bfloat16"
TP2_PP2 = ("tensor_model_parallel_size=2", "pipeline_model_parallel_size=2", BF16)
DP2 = ("data_parallel_size=2", "overlap_grad_reduce=true", "overlap_param_gather=true", BF16)
CP2 = ("context_parallel_size=2", BF16)
INTERLEAVED = ("pipeline_model_parallel_size=2", "virtual_pipeline_model_parallel_size=2", BF16)
WITHOUT = ("use_distributed_optimizer=false", BF16)
CASES = {
    "llama": TP2_PP2,  # a head size that hidden_size does not give
    "mistral": CP2,  # which the optimizer shards like replicas
    "qwen2": DP2,  # biases of queries, keys and values; tied embeddings
    "qwen2 TP2 PP2": TP2_PP2,  # whose last stage has a copy of the embedding
}
EXACT, ROUNDED = "exact", "rounded"


def convert(*arguments: str | Path) -> int:
    return cli.run(["convert", *map(str, arguments)])


def config_of(checkpoint: Path, *settings: str) -> TrainingConfig:
    state = find_checkpoint(checkpoint).state["model"]
    fields = [
        f"{name}={str(value).lower()}"
        for name, value in state.items()
        if name in ModelConfig.__dataclass_fields__
    ]
    return apply_settings(small(), [*fields, *settings])


def fp8(weight: Any) -> Any:
    """What is left of a matrix in FP8 with one scale for all of it."""
    import torch

    scale = 448 / weight.abs().max().float()
    return ((weight.float() * scale).to(torch.float8_e4m3fn).float() / scale).to(weight.dtype)


def round_to_fp8(chunks: list[Any]) -> None:
    import torch

    with torch.no_grad():
        for chunk in chunks:
            for name, parameter in chunk.module.named_parameters():
                if ".linear_" in name and parameter.dim() == 2:
                    parameter.copy_(fp8(parameter))


def save(path: Path, state: dict[str, Any]) -> None:
    import torch.distributed
    from megatron.core import dist_checkpointing
    from megatron.core.dist_checkpointing.strategies import filesystem_async

    filesystem_async._results_queue = queue.Queue()  # not one of a manager process
    if torch.distributed.get_rank() == 0:
        path.mkdir(parents=True)
    torch.distributed.barrier()
    dist_checkpointing.save(state, str(path))
    torch.distributed.barrier()


def train_and_save(config: TrainingConfig, source: Path, run: Path) -> None:
    """Save a training of two steps as it is, and with its weights as FP8 would leave them."""
    from megatron_recipes.forward import gather_weights

    world, chunks, optimizer = build(config)
    load_weights(find_checkpoint(source), chunks, optimizer)
    step_through(config, world, chunks, optimizer, 2)
    gather_weights(chunks)
    save(run / EXACT / "step_0000002", saved_state(config, chunks, optimizer))
    round_to_fp8(chunks)
    save(run / ROUNDED / "step_0000002", saved_state(config, chunks, optimizer))


def describe(run: Path, source: Path, config: TrainingConfig, *, is_fp8: bool) -> None:
    """Write what the training loop writes beside the tensors."""
    step = run / "step_0000002"
    contents = {
        file.name: FileContent(num_bytes=file.stat().st_size, sha256=digest_file(file))
        for file in step.iterdir()
    }
    state = find_checkpoint(source).state
    more = {
        "step": 2,
        FP8_WEIGHTS: is_fp8,
        "layout": layout_sizes(config),
        "use_distributed_optimizer": config.layout.use_distributed_optimizer,
    }
    write_state(step, state | more, contents)
    shutil.copytree(find_checkpoint(source).path / "hf", run / "hf")


def trained(directory: Path, family: str, *settings: str) -> Path:
    """Return a directory with two trainings' checkpoints: `EXACT`, and `ROUNDED` that says FP8."""
    hf = save_model(directory / "hf", family)
    imported = directory / "imported"
    assert convert("import", hf, imported) == 0
    config = config_of(imported, *settings)
    run_world(train_and_save, config.layout.world_size, config, imported, directory)
    describe(directory / EXACT, imported, config, is_fp8=False)
    describe(directory / ROUNDED, imported, config, is_fp8=True)
    return directory


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Each case, trained when it is first asked for."""
    made: dict[str, Path] = {}

    def run(case: str) -> Path:
        if case not in made:
            directory = tmp_path_factory.mktemp("runs")
            made[case] = trained(directory, case.split()[0], *CASES[case])
        return made[case]

    return run


def assert_equal(found: Path, expected: Path) -> None:
    assert_same_weights(found, expected)
    assert (found / "config.json").read_bytes() == (expected / "config.json").read_bytes()


def num_differing(one: Path, other: Path) -> int:
    import torch

    ours, theirs = read_weights(one), read_weights(other)
    return sum(not torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.parametrize("case", CASES)
def test_masters_are_exported_where_the_training_kept_weights_in_fp8(
    case: str,
    runs: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(convert_tensors, "BLOCK_BYTES", 2000)  # several blocks a tensor
    run = runs(case)
    capsys.readouterr()
    assert convert("export", run / EXACT, tmp_path / "model") == 0
    assert "weights: as the model computes with them\n" in capsys.readouterr().err
    assert convert("export", run / EXACT, tmp_path / "master", "--weights", "master") == 0
    assert "weights: the optimizer's masters, each rounded once\n" in capsys.readouterr().err
    assert_equal(tmp_path / "master", tmp_path / "model")

    assert convert("export", run / ROUNDED, tmp_path / "of-fp8") == 0
    said = capsys.readouterr().err
    assert "masters, each rounded once; the model's were rounded to FP8 by the training\n" in said
    assert "tensors as in the checkpoint, by xxh3" in said
    assert_equal(tmp_path / "of-fp8", tmp_path / "model")

    assert convert("export", run / ROUNDED, tmp_path / "fp8", "--weights", "model") == 0
    assert "them, rounded to FP8 by the training\n" in capsys.readouterr().err
    num_matrices = 4 * 7  # of a layer
    assert num_differing(tmp_path / "fp8", tmp_path / "model") == num_matrices

    in_float32 = tmp_path / "float32"
    assert convert("export", run / ROUNDED, in_float32, "--dtype", "float32") == 0
    exact = read_weights(in_float32)
    for name, tensor in read_weights(tmp_path / "model").items():
        assert exact[name].dtype == torch.float32
        assert torch.equal(exact[name].bfloat16(), tensor), name
        assert not torch.equal(exact[name], tensor.float()), name


def without_optimizer(run: Path, target: Path) -> Path:
    """Return a copy of a run's checkpoint that has weights alone."""
    step = run / "step_0000002"
    reader = TorchDistReader(step)
    (target / step.name).mkdir(parents=True)
    with TorchDistWriter(target / step.name) as writer:
        for key in reader.tensors:
            if not key.startswith("optimizer."):
                copy_tensor(reader, writer, key)
        contents = writer.finish(4)
    write_state(target / step.name, find_checkpoint(run).state, contents)
    shutil.copytree(run / "hf", target / "hf")
    return target


def rows_of(reader: TorchDistReader, key: str) -> list[tuple[tuple[int, int], Any]]:
    """Return each layer's place among the layers, and its rows."""
    size = reader.tensors[key].size
    num_layers = 4 if "layers" in key else 0
    if not num_layers:
        return [((0, 0), reader.read_rows(key, None, 0, size[0]))]
    return [
        ((layer, num_layers), reader.read_rows(key, layer, 0, size[1]))
        for layer in range(num_layers)
    ]


def copy_tensor(reader: TorchDistReader, writer: TorchDistWriter, key: str) -> None:
    for layer, rows in rows_of(reader, key):
        writer.add_rows(key, TensorSpec(tuple(rows.shape), rows.dtype), 0, rows, layer)


def test_rounded_weights_without_masters_are_exported_only_if_asked_for(
    runs: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = without_optimizer(runs("llama") / ROUNDED, tmp_path / "run")
    capsys.readouterr()
    assert convert("export", run, tmp_path / "hf") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "expected the optimizer's master weights, found none of " in line
    assert "--weights model exports the model's, which the training rounded to FP8" in line
    assert not (tmp_path / "hf").exists()
    assert convert("export", run, tmp_path / "hf", "--weights", "model") == 0
    assert "rounded to FP8 by the training" in capsys.readouterr().err
    assert convert("export", runs("llama") / ROUNDED, tmp_path / "2", "--weights", "model") == 0
    assert_equal(tmp_path / "hf", tmp_path / "2")
    change_json(run / "step_0000002" / STATE_FILE, **{FP8_WEIGHTS: False})
    assert convert("export", run, tmp_path / "3", "--weights", "master") == 1
    assert capsys.readouterr().err.endswith("--weights model exports the model's\n")
    assert convert("export", run, tmp_path / "3", "--weights", "best") == 2
    assert "--weights takes model, master, not 'best'" in capsys.readouterr().err


def test_masters_of_an_optimizer_that_is_not_distributed(tmp_path: Path) -> None:
    run = trained(tmp_path, "qwen2", *WITHOUT)
    assert any(name.startswith(WHOLE) for name in tensors(run / EXACT / "step_0000002"))
    assert convert("export", run / EXACT, tmp_path / "model") == 0
    assert convert("export", run / ROUNDED, tmp_path / "master") == 0
    assert_equal(tmp_path / "master", tmp_path / "model")


def with_rests(run: Path, target: Path) -> Path:
    """Return a copy of a run's checkpoint with masters as Transformer Engine's FusedAdam has them.

    Its bytes: the upper half of a float32, one more where the lower half is 2^15 or above, is the
    weight; the lower half lies beside it.
    """
    import torch

    step = run / "step_0000002"
    reader = TorchDistReader(step)
    (target / step.name).mkdir(parents=True)
    with TorchDistWriter(target / step.name) as writer:
        for key in reader.tensors:
            if not key.startswith(DISTRIBUTED):
                continue
            name = key.removeprefix(DISTRIBUTED)
            for layer, master in rows_of(reader, key):
                halves = master.view(torch.int16).view(*master.shape, 2)
                rest = halves[..., 0].clone()
                weight = (halves[..., 1] + (rest < 0).short()).view(torch.bfloat16)
                for saved, rows in ((key, rest), (name, weight)):
                    spec = TensorSpec(tuple(rows.shape), rows.dtype)
                    writer.add_rows(saved, spec, 0, rows, layer)
        contents = writer.finish(4)
    write_state(target / step.name, find_checkpoint(run).state, contents)
    shutil.copytree(run / "hf", target / "hf")
    return target


def test_masters_that_the_precision_aware_optimizer_splits_are_joined(
    runs: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = with_rests(runs("qwen2") / EXACT, tmp_path / "run")
    arguments = ("--weights", "master", "--dtype", "float32")
    assert convert("export", run, tmp_path / "joined", *arguments) == 0
    assert convert("export", runs("qwen2") / EXACT, tmp_path / "whole", *arguments) == 0
    assert_equal(tmp_path / "joined", tmp_path / "whole")
    change_json(run / "step_0000002" / STATE_FILE, **{FP8_WEIGHTS: True})
    capsys.readouterr()
    assert convert("export", run, tmp_path / "fp8") == 1  # half of a master is lost
    assert "found none of" in capsys.readouterr().err


def start_and_save(config: TrainingConfig, source: Path, target: Path) -> None:
    """Save what a next training begins with."""
    _, chunks, optimizer = build(config)
    load_weights(find_checkpoint(source), chunks, optimizer)
    save(target, saved_state(config, chunks, optimizer))


@pytest.mark.parametrize("layout", [DP2, INTERLEAVED, TP2_PP2])
def test_next_training_begins_with_the_masters(
    layout: tuple[str, ...], runs: Callable[[str], Path], tmp_path: Path
) -> None:
    run = runs("qwen2 TP2 PP2")
    config = config_of(run / ROUNDED, *layout)
    world_size = config.layout.world_size
    run_world(start_and_save, world_size, config, run / ROUNDED, tmp_path / "started")
    before, found = tensors(run / EXACT / "step_0000002"), tensors(tmp_path / "started")
    kept = [name for name in found if name.startswith(DISTRIBUTED)]
    for name in kept:
        weight = name.removeprefix(DISTRIBUTED)
        assert found[name] == before[name], name
        assert found[weight] == before[weight], weight  # rounded once, not as FP8 left them
    assert len(kept) >= 9


def test_next_training_in_float32_or_without_a_distributed_optimizer_begins_with_the_masters(
    runs: Callable[[str], Path], tmp_path: Path
) -> None:
    run = runs("llama")
    before = tensors(run / EXACT / "step_0000002")
    weights = [name for name in before if not name.startswith("optimizer.")]
    for settings in (("params_dtype=float32",), WITHOUT):
        config, target = config_of(run / ROUNDED, *settings), tmp_path / settings[0]
        run_world(start_and_save, 1, config, run / ROUNDED, target)
        found = tensors(target)
        for name in weights:
            if settings == WITHOUT:
                assert found[name] == before[name], name
                assert found[WHOLE + name] == before[DISTRIBUTED + name], name
            else:
                assert found[name] == before[DISTRIBUTED + name], name


def resume_and_save(config: TrainingConfig, source: Path, target: Path) -> None:
    _, chunks, optimizer = build(config)
    load_training(find_checkpoint(source), config, chunks, optimizer)
    save(target, saved_state(config, chunks, optimizer))


def test_resumed_weights_are_what_the_optimizer_makes_of_its_masters(
    runs: Callable[[str], Path], tmp_path: Path
) -> None:
    for case in ("llama", "qwen2"):
        run = runs(case)
        config = config_of(run / ROUNDED, *CASES[case])
        world_size = config.layout.world_size
        run_world(resume_and_save, world_size, config, run / ROUNDED, tmp_path / case)
        assert tensors(tmp_path / case) == tensors(run / EXACT / "step_0000002")


def test_every_family_is_among_the_cases() -> None:
    assert {case.split()[0] for case in CASES} == set(FAMILIES)


def test_checkpoint_says_whether_weights_were_kept_in_fp8_and_the_next_training_what_it_takes(
    tmp_path: Path, runs: Callable[[str], Path]
) -> None:
    blend, first = write_blend(tmp_path / "data"), tmp_path / "first"
    settings = ("stop_at_step=1", BF16)
    train(small_job(blend, first, *settings))
    file = first / "step_0000001" / STATE_FILE
    assert json.loads(file.read_bytes())[FP8_WEIGHTS] is False
    said = "its training rounded weights to FP8: taken from its optimizer's masters instead"
    for is_fp8 in (False, True):
        change_json(file, **{FP8_WEIGHTS: is_fp8})
        lines = train(small_job(blend, tmp_path / f"{is_fp8}", *settings, start_from=first))
        assert (said in lines) == is_fp8
    run = without_optimizer(runs("llama") / ROUNDED, tmp_path / "run")
    assert list(fp8_lines(find_checkpoint(run))) == [
        "its training rounded weights to FP8, and no masters are beside them: taken rounded"
    ]
