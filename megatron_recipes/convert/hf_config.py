"""`config.json` of a Hugging Face model, and the `ModelConfig` it means.

Written by transformers 4 or 5: rotary settings are `rope_theta` and `rope_scaling` there, both in
`rope_parameters` here. What Megatron-Core would compute otherwise than transformers is refused.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from megatron_recipes.config import ModelConfig

CONFIG_FILE = "config.json"

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
}
"""The architecture of each `model_type` that is converted."""

_ONLY: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "partial_rotary_factor": (1.0, None),
    "quantization_config": (None,),
}
"""Values that a field may have where it is there: nothing else can be computed."""

_LLAMA3_SCALING = {
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
"""What Megatron-Core computes with, and cannot be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HfConfig:
    """A model's `config.json`."""

    content: dict[str, Any]
    """All of it."""

    model: ModelConfig
    """What it means; `vocab_size` is the rows of its tables."""

    @property
    def family(self) -> str:
        """Its `model_type`."""
        return str(self.content["model_type"])


def is_hf_directory(path: Path) -> bool:
    """Whether a path is a directory as `save_pretrained` writes it."""
    try:
        return "model_type" in json.loads((path / CONFIG_FILE).read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def read_hf_config(directory: Path, *, divisor: int) -> HfConfig:
    """Return the config of a model's directory.

    Args:
        directory: Where `config.json` is.
        divisor: `make_vocab_size_divisible_by` of the `ModelConfig`.

    Raises:
        OSError: There is none.
        ValueError: It is damaged, or the model is none that Megatron-Core's GPTModel computes as
            `ModelConfig` describes it; the message names field and value.
    """
    path = directory / CONFIG_FILE
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: expected a Hugging Face model's directory, found no {CONFIG_FILE} in it"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(content).__name__}")
    try:
        _check_architecture(path, content)
        _check_computable(path, content)
        return HfConfig(content=content, model=_model(path, content, divisor))
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {text}") from None
    except (TypeError, AttributeError, OverflowError) as error:  # a list where a name belongs
        raise ValueError(f"{path}: expected the config of a model: {error!r}") from None


def _check_architecture(path: Path, content: dict[str, Any]) -> None:
    family, found = content.get("model_type"), content.get("architectures") or []
    expected = ARCHITECTURES.get(str(family))
    if expected is None or found not in ([], [expected]):
        raise ValueError(
            f"{path}: the architecture is {', '.join(map(str, found)) or 'not named'} of "
            f"model_type {family}; expected one of {', '.join(ARCHITECTURES.values())}"
        )


def _check_computable(path: Path, content: dict[str, Any]) -> None:
    for name, allowed in _ONLY.items():
        value = content.get(name, allowed[0])
        if value not in allowed:
            raise ValueError(f"{path}: {name} is {value}; expected {allowed[0]}")
    # What transformers takes where the field is absent; 4,096 in the first Mistral.
    window = content.get("sliding_window", 4096 if content["model_type"] == "mistral" else None)
    if content.get("use_sliding_window", content["model_type"] != "qwen2") and window is not None:
        raise ValueError(
            f"{path}: sliding_window is {window}; expected null: attention sees all before it"
        )
    for kind in content.get("layer_types") or []:
        if kind != "full_attention":
            raise ValueError(f"{path}: layer_types has {kind}; expected full_attention alone")


def _model(path: Path, content: dict[str, Any], divisor: int) -> ModelConfig:
    def number(name: str, default: int | None = None) -> int:
        value = content.get(name)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise ValueError(f"{path}: {name} is {value}; expected a positive whole number")
        return value

    hidden, heads = number("hidden_size"), number("num_attention_heads")
    if content.get("head_dim") is None and hidden % heads:
        raise ValueError(
            f"{path}: hidden_size ({hidden}) is no multiple of num_attention_heads ({heads}), and "
            "no head_dim is given"
        )
    epsilon = content.get("rms_norm_eps", 1e-6)  # the default of all three
    if not isinstance(epsilon, int | float):
        raise ValueError(f"{path}: rms_norm_eps is {epsilon}; expected a number")
    is_tied = content.get("tie_word_embeddings") or False
    if not isinstance(is_tied, bool):
        raise ValueError(f"{path}: tie_word_embeddings is {is_tied}; expected true or false")
    base, factor = _rotary(path, content)
    return ModelConfig(
        num_layers=number("num_hidden_layers"),
        hidden_size=hidden,
        ffn_hidden_size=number("intermediate_size"),
        num_attention_heads=heads,
        num_query_groups=number("num_key_value_heads", heads),
        kv_channels=number("head_dim", hidden // heads),
        vocab_size=number("vocab_size"),
        make_vocab_size_divisible_by=divisor,
        max_position_embeddings=(
            number("max_position_embeddings") if content.get("max_position_embeddings") else 0
        ),
        rotary_base=base,
        rotary_scaling_factor=factor,
        add_qkv_bias=content["model_type"] == "qwen2",
        layernorm_epsilon=epsilon,
        share_embeddings_and_output_weights=is_tied,
    )


def _rotary(path: Path, content: dict[str, Any]) -> tuple[int, float]:
    """Return base and scaling factor of the rotary positions."""
    together = content.get("rope_parameters") or {}
    scaling = together or content.get("rope_scaling") or {}
    base = together.get("rope_theta", content.get("rope_theta", 10_000))
    if not isinstance(base, int | float) or base != int(base):
        raise ValueError(f"{path}: rope_theta is {base}; expected a whole number")
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind == "default":
        return int(base), 1.0
    if kind != "llama3":
        raise ValueError(f"{path}: rope_type is {kind}; expected default or llama3")
    for name, expected in _LLAMA3_SCALING.items():
        if scaling.get(name) != expected:
            raise ValueError(
                f"{path}: {name} of the rotary scaling is {scaling.get(name)}; expected "
                f"{expected}, which is what Megatron-Core computes"
            )
    factor = scaling.get("factor")
    if not isinstance(factor, int | float) or factor < 1:
        raise ValueError(f"{path}: factor of the rotary scaling is {factor}; expected 1 or more")
    return int(base), float(factor)


def with_rows_and_dtype(content: dict[str, Any], *, vocab_size: int, dtype: str) -> dict[str, Any]:
    """Return a config with the rows of its tables and the type of its weights as they are now.

    The type stands where it stood: `dtype` with transformers 5, `torch_dtype` with 4.
    """
    name = "torch_dtype" if "torch_dtype" in content and "dtype" not in content else "dtype"
    return content | {"vocab_size": vocab_size, name: dtype}


def make_hf_config(model: ModelConfig, dtype: str) -> dict[str, Any]:
    """Return a config for a model that did not come from Hugging Face.

    It is a Llama, or a Qwen 2.5 where query, key and value have a bias. Which tokens begin and
    end a text is left to the tokenizer.
    """
    family = "qwen2" if model.add_qkv_bias else "llama"
    scaling = None
    if model.rotary_scaling_factor != 1:
        scaling = {"rope_type": "llama3", "factor": model.rotary_scaling_factor, **_LLAMA3_SCALING}
    config = {
        "architectures": [ARCHITECTURES[family]],
        "model_type": family,
        "bos_token_id": None,
        "eos_token_id": None,
        "hidden_act": "silu",
        "hidden_size": model.hidden_size,
        "intermediate_size": model.ffn_hidden_size,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.num_attention_heads,
        "num_key_value_heads": model.num_query_groups,
        "head_dim": model.kv_channels,
        "vocab_size": model.vocab_size,
        "rms_norm_eps": model.layernorm_epsilon,
        "rope_theta": float(model.rotary_base),
        "rope_scaling": scaling,
        "tie_word_embeddings": model.share_embeddings_and_output_weights,
        "torch_dtype": dtype,
    }
    if model.max_position_embeddings:
        config["max_position_embeddings"] = model.max_position_embeddings
    return config
