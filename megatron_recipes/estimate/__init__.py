"""What a training would cost: the time of a step from operations, bytes moved and links.

Nothing is measured here and nothing is fitted in advance: rates of kernels and links are published
figures (`rates`), the rest is arithmetic over a config (`step_time`). `published` holds runs that
others measured, `fit` says how far the arithmetic is from them, `layouts` uses it to choose.
Neither torch nor a GPU is needed.
"""
