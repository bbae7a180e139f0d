"""Indexed dataset in, trained checkpoint out, on Megatron-Core.

The modules in the order in which a training meets them: `config` (what is trained, and what is
refused), `recipes` (named configs), `settings` (changes to them, and what a resumed run may
change), `blend` (the files trained on), `flops` and `show` (what it costs), `launch` (processes),
`cpu` (what Megatron-Core needs where there is no GPU), `world` (process groups), `batching` and
`data` (which tokens, in which order), `model`, `optimizer`, `checkpoint`, `metrics`, `evaluation`,
`train` (the loop), `plan` (several trainings).
"""
