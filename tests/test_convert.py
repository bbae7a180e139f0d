"""Hugging Face models to checkpoints and back: bit for bit, at any layout, and the same logits."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from blend_files import write_blend
from forked_world import run_world
from hf_models import (
    FAMILIES,
    NUM_IDS,
    TOKENIZER,
    VOCABULARY,
    assert_same_weights,
    change_json,
    logits,
    read_weights,
    save_model,
)
from training_world import build, save_weights, small

from megatron_recipes import cli
from megatron_recipes.checkpoints.content import digest_file
from megatron_recipes.checkpoints.state import load_weights
from megatron_recipes.config import ModelConfig, TrainingConfig
from megatron_recipes.convert.hf_config import read_hf_config
from megatron_recipes.convert.hf_model import settings_that_differ
from megatron_recipes.convert.tensors import TensorSpec
from megatron_recipes.convert.tokenizer_files import read_tokenizer
from megatron_recipes.job import Job, make_job
from megatron_recipes.recipes import find_recipe
from megatron_recipes.run_directory import STATE_FILE, FileContent, find_checkpoint, write_state
from megatron_recipes.settings import apply_settings

TP2_PP2 = ("tensor_model_parallel_size=2", "pipeline_model_parallel_size=2")
INTERLEAVED = ("pipeline_model_parallel_size=2", "virtual_pipeline_model_parallel_size=2")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model of each family: Qwen 2.5 in bfloat16, the others in float32."""
    directory = tmp_path_factory.mktemp("hf")
    for family in FAMILIES:
        save_model(directory / family, family)
    return directory


@pytest.fixture
def llama(models: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(models / "llama", tmp_path / "llama"))


def convert(*arguments: str | Path) -> int:
    return cli.run(["convert", *map(str, arguments)])


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Return the one line that a command fails with."""
    assert convert(*arguments) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def training_of(checkpoint: Path, *settings: str) -> TrainingConfig:
    state = find_checkpoint(checkpoint).state["model"]
    fields = [
        f"{name}={str(value).lower()}" for name, value in state.items() if name in MODEL_FIELDS
    ]
    return apply_settings(small(), [*fields, *settings])


MODEL_FIELDS = set(ModelConfig.__dataclass_fields__)


def load_and_save(config: TrainingConfig, source: Path, target: Path) -> None:
    _, chunks, optimizer = build(config)
    load_weights(find_checkpoint(source), chunks, optimizer)
    save_weights(chunks, str(target))


def load_and_compute(config: TrainingConfig, source: Path, tokens: Any) -> Any:
    import torch

    _, chunks, optimizer = build(config)
    load_weights(find_checkpoint(source), chunks, optimizer)
    with torch.no_grad():
        positions = torch.arange(tokens.shape[1]).expand(tokens.shape)
        return chunks[0].module.eval()(tokens, positions, None)


def resaved(source: Path, run: Path, layout: tuple[str, ...]) -> Path:
    """Load a checkpoint at a layout and save it there, as a training would at its first step."""
    config = training_of(source, *layout)
    run.mkdir()
    step = run / "step_0000007"
    run_world(load_and_save, config.layout.world_size, config, source, step)
    state = find_checkpoint(source).state
    contents = {
        file.name: FileContent(num_bytes=file.stat().st_size, sha256=digest_file(file))
        for file in step.iterdir()
    }
    write_state(step, state | {"step": 7}, contents)
    shutil.copytree(find_checkpoint(source).path / "hf", run / "hf")  # as a training keeps them
    return run


def assert_same_model(found: Path, expected: Path) -> None:
    assert_same_weights(found, expected)
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        assert (found / name).read_bytes() == (expected / name).read_bytes(), name


@pytest.mark.parametrize("family", FAMILIES)
def test_round_trip_through_tp2_pp2_is_bitwise_and_logits_are_those_of_transformers(
    family: str, models: Path, tmp_path: Path
) -> None:
    import torch

    assert convert("import", models / family, tmp_path / "imported") == 0
    run = resaved(tmp_path / "imported", tmp_path / "run", TP2_PP2)
    assert convert("export", run, tmp_path / "exported") == 0
    assert_same_model(tmp_path / "exported", models / family)

    tokens = torch.randint(VOCABULARY, (2, 64), generator=torch.Generator().manual_seed(1))
    (ours,) = run_world(load_and_compute, 1, training_of(run), run, tokens)
    theirs = logits(tmp_path / "exported", tokens)
    ours = ours[..., :VOCABULARY]
    assert theirs.std() > 0.1
    assert (ours - theirs).abs().max() < 1e-4
    assert torch.equal(ours.argmax(-1), theirs.argmax(-1))


def test_round_trip_through_an_interleaved_pipeline_in_bfloat16_is_bitwise(tmp_path: Path) -> None:
    hf = save_model(tmp_path / "hf", "qwen2", dtype="bfloat16", tie_word_embeddings=False)
    assert convert("import", hf, tmp_path / "imported") == 0
    layout = (*INTERLEAVED, "params_dtype=bfloat16")
    run = resaved(tmp_path / "imported", tmp_path / "run", layout)
    assert convert("export", run, tmp_path / "exported", "--max-shard-size", "100KB") == 0
    assert_same_model(tmp_path / "exported", hf)
    assert len(list((tmp_path / "exported").glob("*.safetensors"))) > 5


def test_transformers_opens_a_sharded_export(models: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    assert convert("import", models / "mistral", tmp_path / "imported") == 0
    arguments = ["export", tmp_path / "imported", tmp_path / "hf", "--max-shard-size", "0.1MB"]
    assert convert(*arguments) == 0
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "hf").state_dict()
    for name, tensor in read_weights(models / "mistral").items():
        assert torch.equal(opened[name], tensor), name


def test_checkpoint_without_hugging_face_files_gets_a_config_that_computes_the_same(
    llama: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    for family in ("llama", "qwen2"):
        imported, exported = tmp_path / f"imported-{family}", tmp_path / f"exported-{family}"
        assert convert("import", models / family, imported) == 0
        shutil.rmtree(imported / "step_0000000/hf")
        change_json(
            imported / "step_0000000" / STATE_FILE, files={}, sha256={}
        )  # it was never there
        capsys.readouterr()
        assert convert("export", imported, exported) == 0
        assert "no Hugging Face files were kept" in capsys.readouterr().err
        tokens = torch.arange(60).view(1, 60) * 7 % VOCABULARY
        assert torch.equal(logits(exported, tokens), logits(models / family, tokens))
    assert convert("export", tmp_path / "imported-llama", tmp_path / "named", "--hf", llama) == 0
    assert_same_model(tmp_path / "named", llama)


def test_type_is_changed_where_asked_for(models: Path, tmp_path: Path) -> None:
    import torch

    assert convert("import", models / "llama", tmp_path / "half", "--dtype", "bfloat16") == 0
    assert convert("export", tmp_path / "half", tmp_path / "hf") == 0
    assert json.loads((tmp_path / "hf/config.json").read_text())["dtype"] == "bfloat16"
    for name, tensor in read_weights(models / "llama").items():
        assert torch.equal(read_weights(tmp_path / "hf")[name], tensor.bfloat16()), name
    assert convert("export", tmp_path / "half", tmp_path / "32", "--dtype", "float32") == 0
    assert read_weights(tmp_path / "32")["lm_head.weight"].dtype == torch.float32


def test_added_tokens_get_the_mean_of_the_rows_and_padding_is_cut_again(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    grown = tmp_path / "grown"
    assert convert("import", models / "llama", grown, "--vocab-size", 600) == 0
    said = capsys.readouterr().err
    assert "tables of 500 rows: 100 added for new tokens and 40 as padding, each the mean" in said
    assert find_checkpoint(grown).state["model"]["padded_vocab_size"] == 640
    assert convert("export", grown, tmp_path / "hf") == 0
    assert json.loads((tmp_path / "hf/config.json").read_text())["vocab_size"] == 600
    before, after = read_weights(models / "llama"), read_weights(tmp_path / "hf")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        assert after[name].shape == (600, 64)
        assert torch.equal(after[name][:500], before[name])
        mean = before[name].double().mean(0).float()
        assert torch.allclose(after[name][500:], mean.expand(100, 64), atol=1e-7)


def test_tables_that_are_a_multiple_already_are_not_padded(models: Path, tmp_path: Path) -> None:
    arguments = ["--make-vocab-size-divisible-by", 4]
    assert convert("import", models / "llama", tmp_path / "run", *arguments) == 0
    assert find_checkpoint(tmp_path / "run").state["model"]["padded_vocab_size"] == 500


def test_config_of_transformers_4_means_the_same(llama: Path, tmp_path: Path) -> None:
    content = json.loads((llama / "config.json").read_text())
    rope = content.pop("rope_parameters")
    theta = rope.pop("rope_theta")
    content |= {"rope_theta": theta, "rope_scaling": rope, "torch_dtype": content.pop("dtype")}
    (llama / "config.json").write_text(json.dumps(content))
    assert convert("import", llama, tmp_path / "run") == 0
    model = find_checkpoint(tmp_path / "run").state["model"]
    assert (model["rotary_base"], model["rotary_scaling_factor"]) == (500_000, 8.0)
    assert model["kv_channels"] == 24
    assert convert("export", tmp_path / "run", tmp_path / "hf") == 0
    assert (tmp_path / "hf/config.json").read_bytes() == (llama / "config.json").read_bytes()


def test_output_layer_stored_beside_the_embedding_it_is_tied_to_is_left_out(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.torch import save_file

    hf = Path(shutil.copytree(models / "qwen2", tmp_path / "hf"))
    embedding = read_weights(hf)["model.embed_tokens.weight"]
    index = hf / "model.safetensors.index.json"
    weight_map = json.loads(index.read_text())["weight_map"] | {
        "lm_head.weight": "head.safetensors"
    }
    change_json(index, weight_map=weight_map)
    save_file({"lm_head.weight": embedding}, hf / "head.safetensors")
    assert convert("import", hf, tmp_path / "run") == 0
    assert "left out, since they follow from the rest: 1" in capsys.readouterr().err
    save_file({"lm_head.weight": embedding + 1}, hf / "head.safetensors")
    assert "has other values than model.embed_tokens.weight" in refusal(
        capsys, "import", hf, tmp_path / "other"
    )


REFUSED_CONFIGS = {
    "mlp_bias": (True, "mlp_bias is True; expected False"),
    "attention_bias": (True, "attention_bias is True; expected False"),
    "hidden_act": ("gelu", "hidden_act is gelu; expected silu"),
    "sliding_window": (4096, "sliding_window is 4096; expected null"),
    "quantization_config": ({"bits": 4}, "quantization_config is"),
    "model_type": ("gpt2", "LlamaForCausalLM of model_type gpt2; expected one of"),
    "architectures": (["LlamaForSequenceClassification"], "LlamaForSequenceClassification of"),
    "num_attention_heads": (3, "num_attention_heads (3) must be a multiple of num_query_groups"),
    "hidden_size": ("big", "hidden_size is big; expected a positive whole number"),
    "head_dim": (23, "kv_channels (23) must be even"),
    "rms_norm_eps": (-1.0, "layernorm_epsilon (-1.0) must be positive"),
    "max_position_embeddings": ("8k", "max_position_embeddings is 8k; expected a positive whole"),
    "layer_types": (5, "expected the config of a model: TypeError"),
    "rope_parameters": ([1], "expected the config of a model: AttributeError"),
    "num_hidden_layers": (5, "expected the tensor model.layers.4."),
    "intermediate_size": (170, "model.layers.0.mlp.gate_proj.weight is [176, 64] float32"),
    "vocab_size": (520, "model.embed_tokens.weight is [500, 64] float32"),
    "tie_word_embeddings": (True, "lm_head.weight has other values than"),
}


def test_window_that_a_mistral_has_unless_it_says_so_is_refused(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hf = Path(shutil.copytree(models / "mistral", tmp_path / "mistral"))
    content = json.loads((hf / "config.json").read_text())
    del content["sliding_window"]
    (hf / "config.json").write_text(json.dumps(content))
    assert "sliding_window is 4096; expected null" in refusal(
        capsys, "import", hf, tmp_path / "run"
    )


@pytest.mark.parametrize("field", REFUSED_CONFIGS)
def test_config_that_cannot_be_computed_is_refused_in_one_line(
    field: str, llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value, message = REFUSED_CONFIGS[field]
    change_json(llama / "config.json", **{field: value})
    line = refusal(capsys, "import", llama, tmp_path / "run")
    assert message in line
    assert str(llama) in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low_freq_factor": 2.0}, "low_freq_factor of the rotary scaling is 2.0; expected 1.0"),
        ({"rope_type": "yarn"}, "rope_type is yarn; expected default or llama3"),
        ({"factor": 0.5}, "factor of the rotary scaling is 0.5"),
        ({"rope_theta": 0.5}, "rope_theta is 0.5; expected a whole number"),
    ],
)
def test_rotary_scaling_other_than_what_is_computed_is_refused(
    change: dict[str, Any],
    message: str,
    llama: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rope = FAMILIES["llama"]["rope_parameters"] | change
    change_json(llama / "config.json", rope_parameters=rope)
    assert message in refusal(capsys, "import", llama, tmp_path / "run")


def first_shard(hf: Path) -> Path:
    return min(hf.glob("*.safetensors"))


def cut(hf: Path) -> None:
    os.truncate(first_shard(hf), first_shard(hf).stat().st_size - 10)


def cut_in_header(hf: Path) -> None:
    os.truncate(first_shard(hf), 100)


def remove_shard(hf: Path) -> None:
    first_shard(hf).unlink()


def remove_index(hf: Path) -> None:
    (hf / "model.safetensors.index.json").unlink()


def pickle_instead(hf: Path) -> None:
    remove_index(hf)
    (hf / "pytorch_model.bin").touch()


def add_tensor(hf: Path) -> None:
    change_shard(hf, lambda weights: weights | {"model.extra.weight": any_of(weights)})


def repeat_tensor(hf: Path) -> None:
    change_shard(hf, lambda weights: weights | {"model.embed_tokens.weight": any_of(weights)})


def rename_tensor(hf: Path) -> None:
    change_shard(hf, lambda weights: {"model.other.weight": any_of(weights)})


def make_integers(hf: Path) -> None:
    change_shard(hf, lambda weights: {name: weight.int() for name, weight in weights.items()})


def make_some_half(hf: Path) -> None:
    change_shard(hf, lambda weights: {name: weight.half() for name, weight in weights.items()})


def any_of(weights: dict[str, Any]) -> Any:
    return next(iter(weights.values())).clone()


def no_tokenizer(hf: Path) -> None:
    (hf / "tokenizer.json").unlink()


def great_tokenizer(hf: Path) -> None:
    change_json(hf / "tokenizer.json", added_tokens=[{"id": 777, "content": "<x>"}])


def broken_tokenizer(hf: Path) -> None:
    (hf / "tokenizer.json").write_text('{"model": 3}')


def broken_config(hf: Path) -> None:
    (hf / "config.json").write_text("{")


def change_shard(hf: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    from safetensors.torch import load_file, save_file

    file = sorted(hf.glob("*.safetensors"))[:2][-1]
    save_file(change(load_file(file)), file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, "bytes instead of"),
        (cut_in_header, "its 100 bytes do not hold the header"),
        (remove_shard, "expected the shard that model.safetensors.index.json names, it is missing"),
        (remove_index, "expected model.safetensors or model.safetensors.index.json, found neither"),
        (pickle_instead, "found pytorch_model.bin, a pickle"),
        (add_tensor, "has the tensor model.extra.weight, which a model of its config.json has not"),
        (repeat_tensor, "model.embed_tokens.weight is also in model-000"),
        (rename_tensor, "found no such tensor; fetch both again"),
        (make_integers, "is I32; expected F32, BF16, F16"),
        (make_some_half, "give --dtype to make them one"),
        (no_tokenizer, "expected tokenizer.json, tokenizer.model or a tiktoken rank file"),
        (great_tokenizer, "has 778 ids and the tables have 500 rows; give --vocab-size 778"),
        (broken_tokenizer, "expected a tokenizer.json, a SentencePiece model or a rank file"),
        (broken_config, "expected JSON"),
    ],
)
def test_damaged_or_foreign_directory_is_refused_in_one_line(
    spoil: Any, message: str, llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(llama)
    line = refusal(capsys, "import", llama, tmp_path / "run")
    assert message in line
    assert str(llama) in line
    assert not (tmp_path / "run").exists()


def test_recipe_of_another_model_is_refused_with_the_settings_that_differ(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, "import", models / "llama", tmp_path / "run", "--recipe", "tiny")
    assert "hidden_size=64 (the recipe has 128)" in line
    assert "num_layers" not in line
    hf = save_model(
        tmp_path / "hf",
        "llama",
        hidden_size=128,
        intermediate_size=352,
        head_dim=32,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
    )
    assert convert("import", hf, tmp_path / "run", "--recipe", "tiny") == 0


def test_conversion_that_ends_early_leaves_nothing_that_looks_whole(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from megatron_recipes.convert import exporting, importing

    def ends_early(original: Any) -> Any:
        def writing(*arguments: Any, **options: Any) -> Iterator[str]:
            for number, name in enumerate(original(*arguments, **options)):
                if number == 5:
                    raise KeyboardInterrupt
                yield name

        return writing

    run, hf = tmp_path / "run", tmp_path / "hf"
    with monkeypatch.context() as patch:
        patch.setattr(importing, "write_weights", ends_early(importing.write_weights))
        assert convert("import", models / "llama", run) == 1
    assert not (run / "step_0000000").exists()
    assert convert("import", models / "llama", run) == 0
    with monkeypatch.context() as patch:
        patch.setattr(exporting, "write_directory", ends_early(exporting.write_directory))
        assert convert("export", run, hf) == 1
    assert not hf.exists()
    assert convert("export", run, hf) == 0
    assert [path.name for path in tmp_path.glob(".*")] == []
    assert_same_model(hf, models / "llama")


def test_what_was_written_wrong_is_noticed(
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from megatron_recipes.convert import torch_dist

    original = torch_dist.TorchDistWriter.add_rows

    def add_rows(self: Any, key: str, spec: TensorSpec, start: int, rows: Any, layer: Any) -> None:
        if layer == (2, 4) and "linear_qkv.weight" in key:
            rows[17, 3] += 1
        original(self, key, spec, start, rows, layer)

    with monkeypatch.context() as patch:
        patch.setattr(torch_dist.TorchDistWriter, "add_rows", add_rows)
        assert convert("import", models / "llama", tmp_path / "run") == 1
    said = capsys.readouterr().err
    assert "read again, model.layers.2.self_attn.q_proj.weight has other values" in said
    assert not (tmp_path / "run/step_0000000").exists()


def test_damaged_checkpoint_is_not_exported(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert("import", models / "llama", tmp_path / "run") == 0
    step = tmp_path / "run/step_0000000"
    file = step / "__0_0.distcp"
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 64  # inside a weight: nothing but its value is another
    file.write_bytes(content)
    capsys.readouterr()
    line = refusal(capsys, "export", tmp_path / "run", tmp_path / "hf")
    assert f"{step}: {file.name} is not as it was written: its SHA-256 differs" in line
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize("command", ["import", "export"])
def test_disk_that_is_full_is_told_with_its_place(
    command: str, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = models / "llama", tmp_path / "target"
    if command == "export":
        assert convert("import", source, tmp_path / "run") == 0
        source = tmp_path / "run"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    capsys.readouterr()
    try:
        assert convert(command, source, target) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "cannot be" in line]
    assert re.fullmatch(
        rf"megatron-recipes convert {command}: {tmp_path}/\S+\.unfinished: cannot be finished: "
        r"File too large; [\d,]+ bytes are free there now; make room, the same command begins anew",
        line,
    )
    assert convert(command, source, target) == 0


def test_target_that_is_there_is_kept_if_the_same_and_refused_if_not(
    llama: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, hf = tmp_path / "run", tmp_path / "hf"
    for _ in range(2):
        assert convert("import", llama, run) == 0
        assert convert("export", run, hf) == 0
    assert capsys.readouterr().err.count("already there, and equal") == 2
    assert "is of another model, tokenizer or" in refusal(capsys, "import", models / "mistral", run)
    change_shard(llama, lambda weights: {name: 2 * tensor for name, tensor in weights.items()})
    assert "has other values" in refusal(capsys, "import", llama, run)
    change_shard(hf, lambda weights: {name: 2 * tensor for name, tensor in weights.items()})
    assert "has other values" in refusal(capsys, "export", run, hf)
    (tmp_path / "thesis.txt").touch()
    assert "expected a new or empty directory" in refusal(capsys, "import", llama, tmp_path)
    assert "expected nothing, or an export" in refusal(capsys, "export", run, tmp_path)


def test_export_refuses_files_of_another_model_or_tokenizer(
    llama: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert convert("import", llama, run) == 0
    capsys.readouterr()
    line = refusal(capsys, "export", run, tmp_path / "hf", "--hf", models / "mistral")
    assert "kv_channels is 16" in line
    (llama / "tokenizer.json").write_text(TOKENIZER + " ")
    line = refusal(capsys, "export", run, tmp_path / "hf", "--hf", llama)
    assert "was trained with" in line
    piece = run / "step_0000000/__0_0.distcp"
    content = bytearray(piece.read_bytes())
    content[: len(content) // 2] = bytes(len(content) // 2)
    piece.write_bytes(content)
    assert "is not as it was written" in refusal(capsys, "export", run, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()
    assert "expected a checkpoint" in refusal(capsys, "export", tmp_path / "x", tmp_path / "hf")


def test_misuse_has_status_2(models: Path, tmp_path: Path) -> None:
    arguments = ["export", models, tmp_path / "hf"]
    assert convert(*arguments, "--max-shard-size", "many") == 2
    assert convert(*arguments, "--dtype", "int4") == 2
    assert convert("import", models / "llama", tmp_path / "run", "--recipe", "nothing") == 2


def test_tokenizer_named_apart_replaces_the_one_of_the_directory(
    llama: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "tokenizer.json").write_text(TOKENIZER.replace("t7", "seven"))
    (llama / "vocab.json").touch()
    assert convert("import", llama, tmp_path / "run", "--tokenizer", other) == 0
    kept = tmp_path / "run/step_0000000/hf"
    assert (kept / "tokenizer.json").read_bytes() == (other / "tokenizer.json").read_bytes()
    assert sorted(file.name for file in kept.iterdir()) == [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
    ]


MISTRAL = (
    "hidden_size=64",
    "ffn_hidden_size=176",
    "kv_channels=16",
    "vocab_size=500",
    "sequence_length=64",
)


def test_training_starts_from_a_hugging_face_directory(models: Path, tmp_path: Path) -> None:
    blend = write_blend(tmp_path / "data", vocab_size=NUM_IDS, tokenizer=TOKENIZER)
    run, source, said = tmp_path / "run", models / "mistral", []

    def job(*settings: str) -> Job:
        return make_job(
            "tiny",
            blend=blend,
            checkpoint_dir=run,
            start_from=source,
            settings=[*MISTRAL, *settings],
        )

    with pytest.raises(ValueError, match=r"num_layers=4 \(the recipe has 2\)"):
        job("num_layers=2")
    assert not run.exists()
    begins = job()
    begins.run.prepare(begins.identity())
    begins.fetch_start(said.append)
    assert said[0] == f"importing {source} into {run / 'imported'}"
    assert begins.start_from
    assert begins.start_from.path == run / "imported/step_0000000"
    assert (run / "hf/tokenizer.json").read_text() == TOKENIZER

    again = job()  # as each process of the training, and whoever resumes it
    assert again.identity() == begins.identity()
    assert again.hf_model is None
    assert again.start_from
    assert again.start_from.state["imported_from"] == str(source)
    (source / "tokenizer.json").write_text(TOKENIZER + " ")
    shutil.rmtree(run / "imported")
    try:
        with pytest.raises(ValueError, match=r"tokenizer\.json has sha256 [0-9a-f]+ and"):
            job()
    finally:
        (source / "tokenizer.json").write_text(TOKENIZER)


def test_training_from_a_hugging_face_directory_is_exported_with_its_files(
    models: Path, tmp_path: Path
) -> None:
    blend = write_blend(tmp_path / "data", vocab_size=NUM_IDS, tokenizer=TOKENIZER)
    arguments = ["train", "tiny", "--blend", blend, "--checkpoint-dir", tmp_path / "run"]
    arguments += ["--from", models / "mistral"]
    for setting in (*MISTRAL, "num_steps=20", "stop_at_step=2", "async_save=false"):
        arguments += ["--set", setting]
    ended = subprocess.run(
        [sys.executable, "-m", "megatron_recipes", *map(str, arguments)],
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert convert("export", tmp_path / "run", tmp_path / "hf") == 0
    for name in ("config.json", "tokenizer.json", "generation_config.json"):
        assert (tmp_path / "hf" / name).read_bytes() == (models / "mistral" / name).read_bytes()
    before, after = read_weights(models / "mistral"), read_weights(tmp_path / "hf")
    assert sorted(before) == sorted(after)
    changes = [(after[name] - tensor).abs().max().item() for name, tensor in before.items()]
    assert 0 < max(changes) < 0.01  # two steps from those weights, not from others


@pytest.mark.shared
@pytest.mark.parametrize("name", ["llama3", "llama3_1", "qwen2_5", "mistral_v3", "gpt2"])
def test_tokenizer_is_the_one_that_makes_the_data(name: str, shared: Path) -> None:
    from preprocess._rust_ext import Tokenizer

    ours, theirs = (
        read_tokenizer(shared / "tokenizers" / name),
        Tokenizer.load(shared / "tokenizers" / name),
    )
    assert (ours.sha256, ours.num_ids) == (theirs.sha256, theirs.vocab_size)
    assert ours.file.name == Path(theirs.file).name


PUBLISHED = {  # of the models' config.json on Hugging Face, as transformers 4 wrote them
    "llama3_8b": {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
        "vocab_size": 128256,
    },
    "mistral_7b": {
        "architectures": ["MistralForCausalLM"],
        "model_type": "mistral",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0,
        "sliding_window": None,
        "tie_word_embeddings": False,
        "vocab_size": 32768,
    },
    "qwen2_5_7b": {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "max_position_embeddings": 131072,
        "max_window_layers": 28,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 131072,
        "tie_word_embeddings": False,
        "use_sliding_window": False,
        "vocab_size": 152064,
    },
}


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_published_config_is_the_model_of_its_recipe(recipe: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED[recipe] | {"hidden_act": "silu"}))
    wanted = find_recipe(recipe).model
    found = read_hf_config(tmp_path, divisor=wanted.make_vocab_size_divisible_by).model
    assert settings_that_differ(found, wanted) == []
