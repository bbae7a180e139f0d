"""Environment variables that follow from the layout, so that `--set` cannot leave them behind."""

from megatron_recipes.config.execution import ExecutionConfig
from megatron_recipes.config.layout import LayoutConfig

CONNECTIONS = "CUDA_DEVICE_MAX_CONNECTIONS"


def layout_environment(
    layout: LayoutConfig, execution: ExecutionConfig
) -> tuple[tuple[str, str], ...]:
    """Return what a GPU's driver and NCCL are told of a layout; nothing on CPUs.

    Source: Megatron-LM 0.19 for the connections, NVIDIA's pipeline recipes for the chunk size.
    """
    if execution.gpu == "cpu":
        return ()
    # One connection keeps kernels in the order of their launch, so that communication of tensor
    # and context parallelism begins before the product it overlaps with. Where only gradients
    # overlap, more queues are faster.
    shares = layout.tensor_model_parallel_size > 1 or layout.context_parallel_size > 1
    variables = [(CONNECTIONS, "1" if shares else "32")]
    if layout.pipeline_model_parallel_size > 1:
        variables.append(("NCCL_P2P_NET_CHUNKSIZE", "2097152"))  # activations between stages
    return tuple(variables)
