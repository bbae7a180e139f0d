"""Indexed dataset in, trained checkpoint out, on Megatron-Core.

The modules in the order in which a training meets them: `cli`; `config` (what is trained, and what
is refused), `recipes` (named configs), `settings` (changes to them, and what a resumed run may
change), `blend` (the files trained on), `flops`, `memory`, `estimate` and `show` (what it costs),
`job` (one training, resolved), `run_directory` and `claim` (its files, and whose they are),
`launch`, `rank` and `stop` (processes and signals), `cpu` (what Megatron-Core needs where there is
no GPU), `world` (process groups), `batching`, `data` and `tuning` (which tokens, in which order),
`model`, `optimizer`, `forward`, `checkpoints`, `guards` (what ends a training or holds it up),
`metrics` and `reports` (what is told of it), `train` (the loop), `plan` (several trainings),
`benchmark`, `convert` and `plot`.
"""
