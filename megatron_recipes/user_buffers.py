"""The memory through which Transformer Engine overlaps tensor parallel communication.

Megatron-Core takes `tp_comm_overlap` for granted: its layers ask for buffers that somebody else
has opened.
"""

from megatron_recipes.config import TrainingConfig

_opened: list[tuple[int, ...]] = []


def open_user_buffers(config: TrainingConfig) -> None:
    """Open the buffers if the layout overlaps; all processes call this together, once."""
    layout, batch = config.layout, config.batch
    if not layout.tp_comm_overlap or _opened:
        return
    # Only where it is installed; `show` refuses the overlap without it.
    from transformer_engine.pytorch.module.base import (
        UserBufferQuantizationMode,
        initialize_ub,
    )

    tokens = batch.sequence_length * batch.micro_batch_size // layout.context_parallel_size
    shape = (tokens, config.model.hidden_size)
    modes = [UserBufferQuantizationMode.NONE]
    if config.precision.fp8 != "none":
        modes.append(UserBufferQuantizationMode.FP8)
    initialize_ub(
        shape=list(shape),
        tp_size=layout.tensor_model_parallel_size,
        quantization_modes=modes,
        bootstrap_backend="nccl",
    )
    _opened.append(shape)


def user_buffers_are_open() -> bool:
    """Whether this process has opened them."""
    return bool(_opened)
