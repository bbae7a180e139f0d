"""Runs of Llama models on Megatron that their authors published, to hold the estimate against.

Sources: the performance summary of Megatron-Bridge (containers 25.09 and 25.11), NVIDIA's DGX Cloud
benchmarking recipes (24.09 and 25.04; their fine-tuning recipe for Llama 3), and the performance
page of the NeMo framework (24.07). What a source leaves open (length of packed documents, which
gathers overlap) is filled in as its recipes have it.
"""

from dataclasses import dataclass

from megatron_recipes.config import (
    BatchConfig,
    ExecutionConfig,
    LayoutConfig,
    ModelConfig,
    PrecisionConfig,
)
from megatron_recipes.estimate.workload import Workload

PACKED_DOCUMENT_TOKENS = 1000.0
"""Mean length of what the fine-tuning runs pack (SQuAD-like records); attention is 2 % of those
runs, so it hardly matters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRun:
    """One run as it was published."""

    name: str
    """Model, kind, precision, GPUs."""

    family: str
    """Runs that share source, model and kind: what is held out together."""

    source: str
    """Who published it."""

    work: Workload
    """What a step did."""

    tokens_per_second_per_gpu: float
    """What was measured."""


def _llama(
    num_layers: int, hidden: int, ffn: int, heads: int, groups: int, vocab: int
) -> ModelConfig:
    return ModelConfig(
        num_layers=num_layers,
        hidden_size=hidden,
        ffn_hidden_size=ffn,
        num_attention_heads=heads,
        num_query_groups=groups,
        kv_channels=128,
        vocab_size=vocab,
    )


MODELS = {
    "Llama-3-8B": _llama(32, 4096, 14336, 32, 8, 128_256),
    "Llama-2-7B": _llama(32, 4096, 11008, 32, 32, 32_000),
    "Llama-3-70B": _llama(80, 8192, 28672, 64, 8, 128_256),
    "Llama-3.1-405B": _llama(126, 16384, 53248, 128, 8, 128_256),
}


def _run(
    model: str,
    source: str,
    precision: str,
    num_gpus: int,
    tokens: float,
    *,
    sizes: tuple[int, int, int, int] = (1, 1, 1, 1),
    global_batch_size: int = 128,
    sequence_length: int = 8192,
    kind: str = "pre-training",
    recomputed_layers: int = 0,
) -> PublishedRun:
    tensor, pipeline, context, virtual = sizes
    replicas = num_gpus // (tensor * pipeline * context)
    is_packed = kind != "pre-training"
    work = Workload(
        model=MODELS[model],
        layout=LayoutConfig(
            tensor_model_parallel_size=tensor,
            pipeline_model_parallel_size=pipeline,
            virtual_pipeline_model_parallel_size=virtual,
            context_parallel_size=context,
            data_parallel_size=replicas,
            sequence_parallel=tensor > 1,
            overlap_grad_reduce=True,
            overlap_param_gather=True,
        ),
        precision=PrecisionConfig(
            params_dtype="bfloat16",
            fp8="hybrid" if precision == "FP8" else "none",
            grad_reduce_in_fp32=False,
        ),
        execution=ExecutionConfig(
            gpu="h100",
            recompute_granularity="full" if recomputed_layers else "none",
            recompute_method="block" if recomputed_layers else "none",
            recompute_num_layers=recomputed_layers,
        ),
        batch=BatchConfig(
            sequence_length=sequence_length,
            micro_batch_size=1,
            global_batch_size=global_batch_size,
        ),
        attended_tokens=PACKED_DOCUMENT_TOKENS if is_packed else 0.0,
        trains_weights=kind != "LoRA",
    )
    return PublishedRun(
        name=f"{model} {kind} {precision}, {num_gpus} H100",
        family=f"{source} {model} {kind}",
        source=source,
        work=work,
        tokens_per_second_per_gpu=tokens,
    )


_CP2 = (1, 1, 2, 1)
_SFT = {"kind": "SFT", "global_batch_size": 32, "sequence_length": 4096}
_LORA = _SFT | {"kind": "LoRA"}

RUNS = (
    _run("Llama-3-8B", "Megatron-Bridge 25.11", "FP8", 8, 14_451, recomputed_layers=5),
    _run("Llama-3-8B", "DGXC 25.04", "FP8", 8, 14_048, sizes=_CP2),
    _run("Llama-3-8B", "DGXC 25.04", "FP8", 128, 13_740, sizes=_CP2, global_batch_size=2048),
    _run("Llama-3-8B", "DGXC 25.04", "BF16", 8, 10_682, sizes=_CP2),
    _run("Llama-3-8B", "DGXC 25.04", "BF16", 128, 10_630, sizes=_CP2, global_batch_size=2048),
    _run("Llama-3-8B", "DGXC 24.09", "BF16", 8, 10_153, sizes=_CP2),
    _run("Llama-3-8B", "DGXC 24.09", "FP8", 8, 13_555, sizes=_CP2),
    _run("Llama-3-8B", "DGXC fine-tuning", "BF16", 8, 12_412, **_SFT),  # type: ignore[arg-type]
    _run("Llama-3-8B", "DGXC fine-tuning", "FP8", 8, 17_246, **_SFT),  # type: ignore[arg-type]
    _run("Llama-3-8B", "DGXC fine-tuning", "BF16", 8, 17_809, **_LORA),  # type: ignore[arg-type]
    _run("Llama-3-8B", "DGXC fine-tuning", "FP8", 8, 24_094, **_LORA),  # type: ignore[arg-type]
    _run("Llama-2-7B", "NeMo 24.07", "FP8", 8, 16_934, sequence_length=4096),
    _run("Llama-3-70B", "DGXC 25.04", "BF16", 64, 1_118, sizes=(4, 4, 2, 5)),
    _run(
        "Llama-3-70B",
        "DGXC 25.04",
        "BF16",
        2048,
        1_117,
        sizes=(4, 4, 2, 5),
        global_batch_size=4096,
    ),
    _run("Llama-3-70B", "Megatron-Bridge 25.09", "FP8", 64, 1_664, sizes=(4, 8, 1, 5)),
    _run(
        "Llama-3-70B",
        "DGXC fine-tuning",
        "FP8",
        32,
        1_638,
        sizes=(4, 4, 1, 5),
        global_batch_size=32,
        sequence_length=4096,
        kind="SFT",
    ),
    _run(
        "Llama-3.1-405B",
        "Megatron-Bridge 25.09",
        "FP8",
        1024,
        328,
        sizes=(8, 8, 2, 8),
        global_batch_size=512,
    ),
)
"""In the order of their sources' tables."""
