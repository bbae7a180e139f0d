"""On which processes it is computed."""

from dataclasses import dataclass

from megatron_recipes.config.checks import named, require_not_negative, require_positive


@dataclass(frozen=True, kw_only=True, slots=True)
class LayoutConfig:
    """How the work is spread over processes. A resumed run may change all of it."""

    tensor_model_parallel_size: int = 1
    """Processes that share every matrix."""

    pipeline_model_parallel_size: int = 1
    """Groups of consecutive layers, each on its own processes."""

    virtual_pipeline_model_parallel_size: int = 1
    """Model chunks each pipeline stage holds; above 1 the schedule interleaves them."""

    num_layers_in_first_pipeline_stage: int = 0
    """Layers of the first stage, which also holds the embedding; 0: as many as the others."""

    num_layers_in_last_pipeline_stage: int = 0
    """Layers of the last stage, which also holds the output layer; 0: as many as the others."""

    context_parallel_size: int = 1
    """Processes that share every sequence. Packed conversations bind a resumed run: it may be what
    divides the one it was begun with."""

    data_parallel_size: int = 1
    """Replicas, each with its part of the batch."""

    sequence_parallel: bool = False
    """Split activations outside the matrices along the sequence; needs tensor parallelism."""

    tp_comm_overlap: bool = False
    """Overlap tensor parallel communication with matrix products, through Transformer Engine's
    user buffers; without sequence parallelism Megatron-Core would switch it off silently."""

    overlap_grad_reduce: bool = False
    """Reduce gradients of a bucket while the backward pass goes on."""

    overlap_param_gather: bool = False
    """Gather the weights of a bucket while the forward pass goes on."""

    use_distributed_optimizer: bool = True
    """Shard the optimizer's state over replicas; several need it. One replica saves the same form
    with it, so that several can resume. May not change on resume."""

    def __post_init__(self) -> None:
        require_positive(
            self,
            "tensor_model_parallel_size",
            "pipeline_model_parallel_size",
            "virtual_pipeline_model_parallel_size",
            "context_parallel_size",
            "data_parallel_size",
        )
        require_not_negative(
            self, "num_layers_in_first_pipeline_stage", "num_layers_in_last_pipeline_stage"
        )
        self._check_pipeline()
        self._check_tensor_parallelism()
        self._check_replicas()

    def _check_pipeline(self) -> None:
        if self.pipeline_model_parallel_size > 1:
            return
        for name, unset in (
            ("virtual_pipeline_model_parallel_size", 1),
            ("num_layers_in_first_pipeline_stage", 0),
            ("num_layers_in_last_pipeline_stage", 0),
        ):
            if getattr(self, name) != unset:
                raise ValueError(
                    f"{named(self, name)} needs {named(self, 'pipeline_model_parallel_size')} "
                    "above 1"
                )

    def _check_tensor_parallelism(self) -> None:
        if self.sequence_parallel and self.tensor_model_parallel_size == 1:
            raise ValueError(
                "sequence_parallel (true) needs tensor_model_parallel_size (1) above 1; "
                "Megatron-Core would ignore it"
            )
        if self.tp_comm_overlap and not self.sequence_parallel:
            raise ValueError(
                "tp_comm_overlap (true) needs sequence_parallel, not sequence_parallel (false); "
                "Megatron-Core would switch it off"
            )

    def _check_replicas(self) -> None:
        sizes = named(self, "data_parallel_size", "context_parallel_size")
        if self.num_replicas > 1 and not self.use_distributed_optimizer:
            raise ValueError(
                f"use_distributed_optimizer (false) needs one replica, but data_parallel_size "
                f"({self.data_parallel_size}) x context_parallel_size "
                f"({self.context_parallel_size}) is {self.num_replicas}"
            )
        if self.num_replicas == 1 and (self.overlap_grad_reduce or self.overlap_param_gather):
            name = "overlap_grad_reduce" if self.overlap_grad_reduce else "overlap_param_gather"
            raise ValueError(f"{name} (true) has no effect with one replica: {sizes}")
        if self.overlap_param_gather and not self.overlap_grad_reduce:
            raise ValueError(
                "overlap_param_gather (true) needs overlap_grad_reduce, "
                "not overlap_grad_reduce (false)"
            )

    @property
    def model_parallel_size(self) -> int:
        """Processes that hold one replica of the model."""
        return (
            self.tensor_model_parallel_size
            * self.pipeline_model_parallel_size
            * self.context_parallel_size
        )

    @property
    def world_size(self) -> int:
        """Processes in all."""
        return self.model_parallel_size * self.data_parallel_size

    @property
    def num_replicas(self) -> int:
        """Processes that hold the same weights, over which gradients are summed."""
        return self.data_parallel_size * self.context_parallel_size

    def check_world_size(self, world_size: int) -> None:
        """Refuse a number of started processes that this layout does not fill exactly."""
        if world_size != self.world_size:
            raise ValueError(
                f"{world_size} processes were started, but tensor_model_parallel_size "
                f"({self.tensor_model_parallel_size}) x pipeline_model_parallel_size "
                f"({self.pipeline_model_parallel_size}) x context_parallel_size "
                f"({self.context_parallel_size}) x data_parallel_size "
                f"({self.data_parallel_size}) is {self.world_size}"
            )
