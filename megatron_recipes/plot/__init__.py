"""`megatron-recipes plot`: runs compared, as PNG figures and one HTML page."""
