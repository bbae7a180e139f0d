"""Which layers each stage of the pipeline holds, as Megatron-Core spreads them."""

from megatron_recipes.config.checks import named
from megatron_recipes.config.layout import LayoutConfig
from megatron_recipes.config.network import ModelConfig


def layers_per_stage(model: ModelConfig, layout: LayoutConfig) -> tuple[int, ...]:
    """Return the number of layers of each pipeline stage, first to last.

    Source: Megatron-Core 0.19.2, `get_num_layers_to_build`: the first and the last stage take what
    is stated, the others share the rest evenly.

    Raises:
        ValueError: The layers cannot be spread so, or a stage's over its model chunks.
    """
    stages = layout.pipeline_model_parallel_size
    first = layout.num_layers_in_first_pipeline_stage
    last = layout.num_layers_in_last_pipeline_stage
    if stages == 1:
        return (model.num_layers,)
    num_middle = stages - (first > 0) - (last > 0)
    rest = model.num_layers - first - last
    if not first and not last:
        _check_even(model, layout)
    elif rest < num_middle or (num_middle == 0 and rest) or (num_middle and rest % num_middle):
        raise ValueError(
            f"{named(model, 'num_layers')} minus "
            f"{named(layout, *_uneven_names(layout))} leaves {rest}, which must be a positive "
            f"multiple of the {num_middle} other stages of "
            f"{named(layout, 'pipeline_model_parallel_size')}"
            if num_middle
            else f"{named(layout, *_uneven_names(layout))} must sum to "
            f"{named(model, 'num_layers')} with {named(layout, 'pipeline_model_parallel_size')}"
        )
    share = rest // num_middle if num_middle else 0
    layers = (first or share, *[share] * (stages - 2), last or share)
    _check_chunks(layers, layout)
    return layers


def _uneven_names(layout: LayoutConfig) -> list[str]:
    names = ("num_layers_in_first_pipeline_stage", "num_layers_in_last_pipeline_stage")
    return [name for name in names if getattr(layout, name)]


def _check_even(model: ModelConfig, layout: LayoutConfig) -> None:
    if model.num_layers % layout.pipeline_model_parallel_size:
        raise ValueError(
            f"num_layers ({model.num_layers}) must be a multiple of "
            f"pipeline_model_parallel_size ({layout.pipeline_model_parallel_size})"
        )


def _check_chunks(layers: tuple[int, ...], layout: LayoutConfig) -> None:
    chunks = layout.virtual_pipeline_model_parallel_size
    for stage, count in enumerate(layers):
        if count % chunks:
            raise ValueError(
                f"the {count} layers of stage {stage} must be a multiple of "
                f"virtual_pipeline_model_parallel_size ({chunks})"
            )


def micro_batches_in_flight(
    stage: int, layout: LayoutConfig, num_microbatches: int
) -> tuple[int, int]:
    """Return how many forward passes of a model chunk a stage keeps at most, and of how many.

    Source: Megatron-Core 0.19.2, `get_pp_rank_microbatches`: those of the warm-up and the one that
    is under way.

    Returns:
        Passes kept, and the chunks of a stage: 23 of 5 are 4.6 passes of the whole stage.
    """
    stages, chunks = (
        layout.pipeline_model_parallel_size,
        layout.virtual_pipeline_model_parallel_size,
    )
    before_others = stages - stage - 1
    if chunks > 1:
        before_others = 2 * before_others + (chunks - 1) * stages
    return min(before_others + 1, num_microbatches * chunks), chunks
