"""What every process of a forked world needs: imported once, by the server they are forked from."""

import warnings

from megatron_recipes import cpu, fused_weight_gradient

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what Megatron-Core warns of while it is imported
    fused_weight_gradient.install()
    cpu.install()  # before the first import of Megatron-Core, which is in the next lines

    import megatron_recipes.forward
    import megatron_recipes.train  # noqa: F401
