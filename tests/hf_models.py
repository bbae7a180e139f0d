"""Small Hugging Face models with random weights, as `transformers` saves them."""

import json
import warnings
from pathlib import Path
from typing import Any

VOCABULARY = 500
NUM_IDS = 500

TOKENIZER = json.dumps(
    {
        "model": {"type": "BPE", "vocab": {f"t{number}": number for number in range(NUM_IDS - 1)}},
        "added_tokens": [{"id": NUM_IDS - 1, "content": "<|endoftext|>", "special": True}],
    }
)

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 16_384,
}

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {  # a head size that hidden_size does not give; the positions of Llama 3.1
        "head_dim": 24,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500_000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
    "mistral": {"rms_norm_eps": 1e-5, "sliding_window": None},
    "qwen2": {"tie_word_embeddings": True},
}


def save_model(directory: Path, family: str, *, dtype: str = "float32", **changes: Any) -> Path:
    """Write a model with every weight random, in several shards, and a tokenizer's file."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = AutoConfig.for_model(family, **{**SIZES, **FAMILIES[family], **changes})
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
        generator = torch.Generator().manual_seed(5)
        for parameter in model.parameters():  # norms of ones and biases of zeros would prove little
            noise = torch.randn(parameter.shape, generator=generator) * 0.1
            is_norm = bool((parameter == 1).all())
            parameter.data = (noise + is_norm).to(parameter.dtype)
        model.save_pretrained(directory, max_shard_size="150KB")
    (directory / "tokenizer.json").write_text(TOKENIZER)
    (directory / "tokenizer_config.json").write_text('{"eos_token": "<|endoftext|>"}')
    return directory


def read_weights(directory: Path) -> dict[str, Any]:
    """Return every tensor of a directory, read by the safetensors library."""
    from safetensors.torch import load_file

    files = sorted(directory.glob("*.safetensors"))
    weights: dict[str, Any] = {}
    for file in files:
        weights |= load_file(file)
    return weights


def assert_same_weights(found: Path, expected: Path) -> None:
    """Hold every tensor of a directory against that of another, bit by bit."""
    import torch

    ours, theirs = read_weights(found), read_weights(expected)
    assert sorted(ours) == sorted(theirs)
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype, name
        assert torch.equal(ours[name].view(torch.uint8), tensor.view(torch.uint8)), name


def logits(directory: Path, tokens: Any) -> Any:
    """Return what `transformers` computes, in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model = AutoModelForCausalLM.from_pretrained(
            directory, dtype=torch.float32, attn_implementation="eager"
        )
        return model(tokens).logits


def change_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; None removes one."""
    content = json.loads(path.read_text()) | changes
    kept = {name: value for name, value in content.items() if value is not None}
    path.write_text(json.dumps(kept))
