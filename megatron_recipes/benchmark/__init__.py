"""`megatron-recipes benchmark`: the throughput of a recipe, measured, with every formula named."""
