"""What `show` and `list` print, what they follow from, and what is refused for data and weights."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from blend_files import write_blend

from megatron_recipes.blend import read_blend
from megatron_recipes.config import ModelConfig
from megatron_recipes.duration import estimate_duration
from megatron_recipes.flops import count_parameters, flops_per_token, recomputed_flops_per_token
from megatron_recipes.limits import check_limits
from megatron_recipes.model_identity import model_identity
from megatron_recipes.recipes import MODELS, RECIPES, find_recipe, recipe_list
from megatron_recipes.recipes.continual import STAGES
from megatron_recipes.settings import apply_settings, with_fields, with_vocabulary
from megatron_recipes.show import describe
from megatron_recipes.source import check_source

ROOT = Path(__file__).parents[1]


def llama(layers: int, hidden: int, ffn: int, heads: int, groups: int, vocab: int) -> ModelConfig:
    return ModelConfig(
        num_layers=layers,
        hidden_size=hidden,
        ffn_hidden_size=ffn,
        num_attention_heads=heads,
        num_query_groups=groups,
        kv_channels=hidden // heads,
        vocab_size=vocab,
    )


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("llama3_8b", 8_030_261_248),
        ("llama3_70b", 70_553_706_496),
        ("mistral_7b", 7_248_023_552),
        ("qwen2_5_7b", 7_615_616_512),
    ],
)
def test_published_models_have_their_number_of_parameters(name: str, count: int) -> None:
    assert count_parameters(find_recipe(name).model) == count


@pytest.mark.parametrize(
    ("model", "sequence", "linear", "full", "causal"),
    [
        (find_recipe("llama3_8b").model, 4096, 45.03, 51.47, 48.25),
        (find_recipe("llama3_8b").model, 8192, 45.03, 57.91, 51.47),
        (find_recipe("mistral_7b").model, 4096, 42.68, 49.12, 45.90),
        (find_recipe("mistral_7b").model, 8192, 42.68, 55.57, 49.12),
        (llama(32, 4096, 11008, 32, 32, 32000), 4096, 39.64, 46.08, 42.86),
        (llama(16, 2048, 8192, 32, 8, 128256), 8192, 7.41, 10.64, 9.03),
        (find_recipe("llama3_70b").model, 8192, 417.0, 481.4, 449.2),
        (llama(126, 16384, 53248, 128, 8, 128256), 8192, 2422, 2625, 2524),
    ],
)
def test_flops_per_token_of_published_models(
    model: ModelConfig, sequence: int, linear: float, full: float, causal: float
) -> None:
    found = flops_per_token(model, sequence)
    assert found.linear / 1e9 == pytest.approx(linear, rel=1e-3)
    assert found.full / 1e9 == pytest.approx(full, rel=1e-3)
    assert found.causal / 1e9 == pytest.approx(causal, rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "layers", "attention"),
    [
        ("full uniform 3", 32, 32),
        ("full block 5", 5, 5),
        ("full block 5 vp", 20, 20),  # of each of 2 stages' 2 chunks of 8 layers
        ("selective core_attn", 0, 32),
    ],
)
def test_recomputed_operations_are_those_of_a_forward_pass(
    settings: str, layers: int, attention: int
) -> None:
    granularity, method, *rest = settings.split()
    fields: dict[str, object] = {"recompute_granularity": granularity}
    if granularity == "full":
        fields |= {"recompute_method": method, "recompute_num_layers": int(rest[0])}
    else:
        fields |= {"recompute_modules": method, "recompute_method": "none"}
        fields |= {"recompute_num_layers": 0}
    if "vp" in rest:
        fields |= {"pipeline_model_parallel_size": 2, "virtual_pipeline_model_parallel_size": 2}
    config = with_fields(find_recipe("llama3_8b"), **fields)
    flops = flops_per_token(config.model, 8192)
    of_output = 6 * 128_256 * 4096
    of_layers = (flops.linear - of_output) / 3 / 32 * layers
    of_attention = (flops.causal - flops.linear) / 3 / 32 * attention
    assert recomputed_flops_per_token(config) == pytest.approx(of_layers + of_attention)


def test_time_is_tokens_times_flops_over_what_the_gpus_do() -> None:
    config = find_recipe("llama3_8b")
    duration = estimate_duration(config, 0.4)
    assert duration is not None
    tokens, flops = 24_576 * 512 * 8192, flops_per_token(config.model, 8192).causal
    assert duration.seconds == pytest.approx(tokens * flops / (0.4 * 989e12 * 8))
    assert duration.gpu_hours == pytest.approx(duration.seconds * 8 / 3600)
    stated = estimate_duration(find_recipe("llama3_8b_fp8"))
    assert stated is not None
    assert (stated.mfu, stated.peak_flops) == (0.36, 1979e12)


@pytest.mark.parametrize("mfu", [0.0, 1.5, float("nan")])
def test_a_utilization_that_is_no_share_is_refused(mfu: float) -> None:
    with pytest.raises(ValueError, match=r"--mfu \((0.0|1.5|nan)\) must be a share above 0"):
        estimate_duration(find_recipe("llama3_8b"), mfu)


def test_a_utilization_of_cpus_is_refused() -> None:
    with pytest.raises(ValueError, match=r"--mfu \(0.4\) has no effect with gpu \(cpu\)"):
        estimate_duration(with_vocabulary(find_recipe("tiny"), 512), 0.4)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_shown_on_one_screen(name: str) -> None:
    config = find_recipe(name)
    config = config if config.model.vocab_size else with_vocabulary(config, 16384)
    lines = describe(config, None).splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 100
    assert f"parameters      {count_parameters(config.model):,}" in lines
    assert lines[0] == f"{name}: {config.description}"
    assert config.recipe == name


def test_names_of_variants_say_what_they_are() -> None:
    assert len(RECIPES) == 1 + len(STAGES) * 4 * len(MODELS)
    config = find_recipe("llama3_70b_stage2_h200_fp8")
    assert (config.execution.gpu, config.precision.fp8) == ("h200", "hybrid")
    assert config.optimization.learning_rate < find_recipe("llama3_70b").optimization.learning_rate
    assert config.optimization.lr_warmup_init == (
        find_recipe("llama3_70b").optimization.min_learning_rate
    )
    with pytest.raises(ValueError, match=r"stage \(4\) must be one of 1, 2, 3"):
        MODELS[0](stage=4)
    for model in MODELS:
        assert f"{model.__name__:10}  {model().description}" in recipe_list().splitlines()


def test_environment_follows_the_layout() -> None:
    whole = with_fields(find_recipe("llama3_8b_h200"), pipeline_model_parallel_size=1)
    shared = with_fields(whole, tensor_model_parallel_size=2, pipeline_model_parallel_size=2)
    assert dict(whole.process_environment)["CUDA_DEVICE_MAX_CONNECTIONS"] == "32"
    assert dict(shared.process_environment)["CUDA_DEVICE_MAX_CONNECTIONS"] == "1"
    assert "NCCL_P2P_NET_CHUNKSIZE" in dict(shared.process_environment)
    assert "NCCL_P2P_NET_CHUNKSIZE" not in dict(whole.process_environment)
    assert find_recipe("tiny").process_environment == ()


def test_epochs_of_each_group_are_shown_and_limited(tmp_path: Path) -> None:
    blend = read_blend(write_blend(tmp_path / "data"))
    config = with_vocabulary(find_recipe("tiny"), 300)
    check_limits(config, blend)
    lines = describe(config, blend).splitlines()
    expected = "agent   50.0%  51,200 tokens trained / 16,000 in 2 parts = 3.20 epochs"
    assert f"{'':16}{expected}" in lines
    assert f"{'':16}code   held out: 2,000 tokens" in lines
    longer = apply_settings(config, ["num_steps=200"])
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_limits(longer, blend)
    assert str(caught.value) == (
        "group agent would be read 6.40 times: num_steps (200) x 1,024 tokens, of which 102,400 "
        "from its 16,000, is more than max_epochs (4); lower num_steps or the group's weight, or "
        "raise max_epochs"
    )
    check_limits(apply_settings(longer, ["max_epochs=7"]), blend)


def hugging_face(directory: Path, tokenizer: Path, **changes: object) -> Path:
    """Write what `show --from` reads of a model: the sizes of `tiny`, and a tokenizer."""
    sizes = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 128,
        "num_hidden_layers": 4,
        "intermediate_size": 352,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 384,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
    }
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(sizes | changes))
    (directory / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    return directory


def test_weights_of_another_model_or_tokenizer_are_refused(tmp_path: Path, tokenizer: Path) -> None:
    blend = read_blend(write_blend(tmp_path / "data"))
    config = with_vocabulary(find_recipe("tiny"), 300)
    same = hugging_face(tmp_path / "same", tokenizer)
    assert check_source(same, config, None).startswith(f"{same}: same model, tokenizer sha256 ")
    deeper = hugging_face(tmp_path / "deeper", tokenizer, num_hidden_layers=6)
    with pytest.raises(ValueError, match=r"num_layers=6 \(the recipe has 4\); take its recipe"):
        check_source(deeper, config, None)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_source(same, config, blend)
    message = str(caught.value)
    assert message.startswith(f"--from {same}: tokenizer.json has sha256 ")
    assert f"and 288 tokens, the data was made with {blend.tokenizer:.12} of 300" in message
    with pytest.raises(FileNotFoundError, match="found no such directory"):
        check_source(tmp_path / "nothing", config, blend)


def test_checkpoint_of_another_model_or_tokenizer_is_refused(tmp_path: Path) -> None:
    blend = read_blend(write_blend(tmp_path / "data"))
    config = with_vocabulary(find_recipe("tiny"), 300)
    state = {
        "step": 7,
        "consumed_samples": 28,
        "model": model_identity(config),
        "tokenizer": blend.tokenizer,
        "files": {},
    }
    checkpoint = tmp_path / "run/step_0000007"
    checkpoint.mkdir(parents=True)
    (checkpoint / "checkpoint.json").write_text(json.dumps(state))
    told = f"{checkpoint}: same model, tokenizer sha256 {blend.tokenizer:.12}"
    assert check_source(checkpoint.parent, config, blend) == told
    assert check_source(checkpoint, find_recipe("tiny"), None) == told  # vocabulary left open
    with pytest.raises(ValueError, match="num_layers is 4 there and 6 here"):
        check_source(checkpoint, apply_settings(config, ["num_layers=6"]), blend)
    (checkpoint / "checkpoint.json").write_text(json.dumps(state | {"tokenizer": "another"}))
    with pytest.raises(ValueError, match=f"tokenizer is another there and {blend.tokenizer} here"):
        check_source(checkpoint, config, blend)


def test_show_needs_no_torch_and_little_time(tmp_path: Path) -> None:
    program = (
        "import sys, time; from megatron_recipes.cli import run; "
        "status = run(['show', 'llama3_70b', '--set', 'num_steps=1000']); "
        "slow = {'torch', 'numpy', 'megatron'} & set(sys.modules); "
        "print(status, sorted(slow), time.process_time(), file=sys.stderr)"
    )
    seconds = []
    for _ in range(3):
        result = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        status, slow, used = result.stderr.split()
        assert (status, slow) == ("0", "[]")
        seconds.append(float(used))
    assert min(seconds) < 0.5
    assert "70,553,706,496" in result.stdout


def test_printing_a_config_takes_a_millisecond() -> None:
    config = find_recipe("llama3_70b")
    started = time.process_time()
    for _ in range(20):
        describe(config)
    assert time.process_time() - started < 1
