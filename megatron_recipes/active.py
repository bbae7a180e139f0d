"""What of a config the built model and optimizer really do.

Much of Megatron-Core switches itself off without a word: FP8 without Transformer Engine, overlap
without sequence parallelism. So each feature is read off the object that carries it out, and a
run that asked for one that is not there stops before its first step.
"""

import contextlib
import os
from dataclasses import dataclass
from typing import Any

import torch
from megatron.core import fp8_utils
from megatron.core.distributed import DistributedDataParallel
from megatron.core.models.common.language_module import language_module
from megatron.core.tensor_parallel import layers as linear_layers
from megatron.core.utils import get_te_version

from megatron_recipes.config import ExecutionConfig, TrainingConfig
from megatron_recipes.documents import packs_documents
from megatron_recipes.transformer_config import DTYPES
from megatron_recipes.user_buffers import user_buffers_are_open
from megatron_recipes.world import uses_transformer_engine


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """One field of the config, and what was found of it."""

    field: str
    """The field that asks for it."""

    requested: str
    """Its value; "" where it asks for nothing."""

    found: str
    """What the built objects do; "" where they do nothing of the kind."""


def require_active(
    config: TrainingConfig, chunks: list[DistributedDataParallel], optimizer: Any
) -> list[str]:
    """Return a line for each feature that is active.

    Raises:
        ValueError: A requested one is not, or another than requested is.
    """
    lines = [f"layers: {_layers(chunks)}"]
    for feature in active_features(config, chunks, optimizer):
        if feature.requested not in ("", feature.found):
            raise ValueError(
                f"{feature.field} ({feature.requested}) was requested, but what was built has "
                f"{feature.found or 'nothing of it'}; set {feature.field} to what this machine "
                "can do, or install what it needs"
            )
        if feature.found:
            lines.append(f"{feature.field}: {feature.found}")
    return lines


def active_features(
    config: TrainingConfig, chunks: list[DistributedDataParallel], optimizer: Any
) -> list[Feature]:
    """Return every feature that a built model and optimizer can have, with what was found."""
    return [
        *_precision_features(config, chunks),
        *_layout_features(config, chunks),
        *_execution_features(config, chunks),
        *_optimizer_features(config, optimizer),
    ]


def chosen_attention() -> str:
    """Return the kernel that Transformer Engine chose in the first forward pass, or ""."""
    if not uses_transformer_engine():
        return ""
    from transformer_engine.pytorch.attention import dot_product_attention

    choice = dot_product_attention._attention_backends
    for kind in ("flash", "fused", "unfused"):
        if choice.get(f"use_{kind}_attention"):
            backend = choice.get(f"{kind}_attention_backend")
            return f"{kind} {backend}" if backend is not None else kind
    return ""


def require_chosen_attention(config: TrainingConfig) -> list[str]:
    """Return a line that names the kernel of the first forward pass, where one was chosen.

    Raises:
        ValueError: Another was requested.
    """
    requested, chosen = config.execution.attention_backend, chosen_attention()
    if not chosen or requested == "local":
        return []
    if requested not in ("auto", chosen.split()[0]):
        raise ValueError(
            f"attention_backend ({requested}) was requested, but Transformer Engine chose "
            f"{chosen}; set attention_backend=auto, or install what {requested} needs"
        )
    return [f"active: attention kernel: {chosen}"]


def _layers(chunks: list[DistributedDataParallel]) -> str:
    if _uses_te(_layer(chunks)):
        return f"Transformer Engine {get_te_version()}"
    return "Megatron-Core's local ones"


def _layer(chunks: list[DistributedDataParallel]) -> Any:
    return chunks[0].module.decoder.layers[0]


def _uses_te(layer: Any) -> bool:
    module = type(layer.self_attention.linear_qkv).__mro__
    return any(base.__module__.startswith("transformer_engine.") for base in module)


def _said(requested: bool) -> str:
    return "true" if requested else ""


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _precision_features(
    config: TrainingConfig, chunks: list[DistributedDataParallel]
) -> list[Feature]:
    precision, has_fp8 = config.precision, config.precision.fp8 != "none"
    parameters = [parameter for chunk in chunks for parameter in chunk.parameters()]
    gradients = {buffer.grad_dtype for chunk in chunks for buffer in chunk.buffers}
    in_fp8 = any(fp8_utils.is_float8tensor(parameter) for parameter in parameters)
    wanted = torch.float32 if precision.grad_reduce_in_fp32 else DTYPES[precision.params_dtype]
    return [
        Feature(
            field="params_dtype",
            requested=precision.params_dtype,
            found="+".join(sorted({_dtype_name(parameter.dtype) for parameter in parameters})),
        ),
        Feature(
            field="grad_reduce_in_fp32",
            requested=_dtype_name(wanted),
            found="+".join(sorted(_dtype_name(dtype) for dtype in gradients)),
        ),
        Feature(
            field="fp8",
            requested=f"{precision.fp8} {precision.fp8_recipe}" if has_fp8 else "",
            found=_found_fp8(chunks),
        ),
        Feature(
            field="fp8_param_gather",
            requested=_said(precision.fp8_param_gather),
            found=_said(in_fp8 and all(chunk.ddp_config.fp8_param_gather for chunk in chunks)),
        ),
    ]


def _found_fp8(chunks: list[DistributedDataParallel]) -> str:
    transformer = chunks[0].config
    # The context that layers which are not kept in BF16 will run in.
    context = fp8_utils.get_fp8_context(transformer)
    if isinstance(context, contextlib.nullcontext) or not _uses_te(_layer(chunks)):
        return ""
    return f"{transformer.fp8} {transformer.fp8_recipe}"


def _layout_features(
    config: TrainingConfig, chunks: list[DistributedDataParallel]
) -> list[Feature]:
    layout, transformer, first = config.layout, chunks[0].config, _layer(chunks)
    projection, data_parallel = first.self_attention.linear_qkv, chunks[0].ddp_config
    gathers = all(chunk.remove_forward_pre_hook_handles for chunk in _hooked(chunks))
    return [
        Feature(
            field="sequence_parallel",
            requested=_said(layout.sequence_parallel),
            found=_said(bool(projection.sequence_parallel)),
        ),
        Feature(
            field="tp_comm_overlap",
            requested=_said(layout.tp_comm_overlap),
            found=_said(_overlaps_tensor_parallel(projection)),
        ),
        Feature(
            field="virtual_pipeline_model_parallel_size",
            requested=_above_one(layout.virtual_pipeline_model_parallel_size),
            found=_above_one(len(chunks)) if transformer.overlap_p2p_comm else "",
        ),
        Feature(
            field="context_parallel_size",
            requested=_above_one(layout.context_parallel_size),
            found=_above_one(_context_size(first.self_attention.core_attention)),
        ),
        Feature(
            field="overlap_grad_reduce",
            requested=_said(layout.overlap_grad_reduce),
            found=_said(data_parallel.overlap_grad_reduce),
        ),
        Feature(
            field="overlap_param_gather",
            requested=_said(layout.overlap_param_gather),
            found=_said(data_parallel.overlap_param_gather and gathers),
        ),
    ]


def _hooked(chunks: list[DistributedDataParallel]) -> list[DistributedDataParallel]:
    return [chunk for chunk in chunks if chunk.use_forward_hook]


def _above_one(number: int) -> str:
    return str(number) if number > 1 else ""


def _overlaps_tensor_parallel(projection: Any) -> bool:
    overlaps = any(
        value is True for name, value in vars(projection).items() if name.startswith("ub_overlap_")
    )
    return overlaps and user_buffers_are_open()


def _context_size(attention: Any) -> int:
    group = getattr(attention, "context_group", None) or getattr(attention, "cp_group", None)
    return 1 if group is None else group.size()


def _execution_features(
    config: TrainingConfig, chunks: list[DistributedDataParallel]
) -> list[Feature]:
    execution, transformer, first = config.execution, chunks[0].config, _layer(chunks)
    attention = execution.attention_backend
    return [
        Feature(
            field="recompute_granularity",
            requested="" if execution.recompute_granularity == "none" else _recompute(execution),
            found=_found_recompute(transformer, first),
        ),
        Feature(
            field="cross_entropy",
            requested="" if execution.cross_entropy == "none" else execution.cross_entropy,
            found=_found_cross_entropy(transformer),
        ),
        Feature(
            field="gradient_accumulation_fusion",
            requested=_said(execution.gradient_accumulation_fusion),
            found=_said(_fuses_accumulation(chunks)),
        ),
        Feature(
            field="attention_backend",
            requested="" if attention == "auto" else attention,
            found=_found_attention(first.self_attention.core_attention),
        ),
        Feature(field="document_bounded_attention", requested="", found=_found_bounds(config)),
    ]


def _found_bounds(config: TrainingConfig) -> str:
    if not config.batch.document_bounded_attention:
        return ""
    return "packed sequences" if packs_documents(config) else "a mask"


def _recompute(execution: ExecutionConfig) -> str:
    if execution.recompute_granularity == "full":
        return f"full {execution.recompute_method} {execution.recompute_num_layers}"
    return " ".join(["selective", *sorted(execution.recompute_modules.replace(",", " ").split())])


def _found_recompute(transformer: Any, layer: Any) -> str:
    if transformer.recompute_granularity == "full":
        return f"full {transformer.recompute_method} {transformer.recompute_num_layers}"
    modules = {
        "core_attn": layer.self_attention.checkpoint_core_attention,
        "layernorm": layer.recompute_input_layernorm or layer.recompute_pre_mlp_layernorm,
        "mlp": layer.recompute_mlp,
    }
    found = sorted(name for name, is_recomputed in modules.items() if is_recomputed)
    return " ".join(["selective", *found]) if found else ""


def _found_cross_entropy(transformer: Any) -> str:
    if not transformer.cross_entropy_loss_fusion:
        return ""
    kind: str = transformer.cross_entropy_fusion_impl
    return "" if kind == "te" and language_module.te_parallel_cross_entropy is None else kind


def _fuses_accumulation(chunks: list[DistributedDataParallel]) -> bool:
    found = []
    for chunk in chunks:
        for module in chunk.modules():
            for name in ("gradient_accumulation_fusion", "fuse_wgrad_accumulation"):
                found += [value] if isinstance(value := getattr(module, name, None), bool) else []
    return bool(found) and all(found) and linear_layers._grad_accum_fusion_available


def _found_attention(attention: Any) -> str:
    if not isinstance(attention, torch.nn.Module) or hasattr(attention, "context_group"):
        return "local"
    kinds = {"flash": "FLASH", "fused": "FUSED", "unfused": "UNFUSED"}
    allowed = [k for k, name in kinds.items() if os.environ.get(f"NVTE_{name}_ATTN", "1") == "1"]
    return allowed[0] if len(allowed) == 1 else "auto"


def _optimizer_features(config: TrainingConfig, optimizer: Any) -> list[Feature]:
    parts = [part for part in optimizer.chained_optimizers if part.optimizer is not None]
    names = {type(part).__name__ for part in parts} | {type(p.optimizer).__name__ for p in parts}
    precision = config.precision
    moments = f"{precision.exp_avg_dtype} {precision.exp_avg_sq_dtype}"
    return [
        Feature(
            field="use_distributed_optimizer",
            requested=str(config.layout.use_distributed_optimizer).lower(),
            found=str("DistributedOptimizer" in names).lower(),
        ),
        Feature(
            field="use_precision_aware_optimizer",
            requested=moments if precision.use_precision_aware_optimizer else "",
            found=_found_moments(parts),
        ),
        Feature(field="optimizer", requested="", found=" over ".join(sorted(names))),
    ]


def _found_moments(parts: list[Any]) -> str:
    for part in parts:
        types = getattr(part.optimizer, "name_to_dtype_map", None)
        if types and part.config.use_precision_aware_optimizer:
            return f"{_dtype_name(types['exp_avg'])} {_dtype_name(types['exp_avg_sq'])}"
    return ""
