"""Hugging Face model directories to and from Megatron-Core's checkpoints, without a model.

Every Hugging Face tensor of the Llama family is some rows of one Megatron-Core tensor, so a
conversion moves rows: `layout.py` says which. It needs no process group, and no more memory than
one block of rows beside what reading one stored piece takes.

| module | is |
|---|---|
| `tensors.py` | tensors by name, read a block of rows at a time; comparing two such sources |
| `safetensors_files.py` | directories of safetensors: one such source, and writing them |
| `torch_dist.py` | Megatron-Core's checkpoint format, written and read without Megatron-Core |
| `layout.py` | which rows of which tensor are whose; a checkpoint as such a source |
| `hf_config.py` | `config.json` to and from `ModelConfig` |
| `tokenizer_files.py` | which files travel with the weights, and what the tokenizer is |
| `importing.py`, `exporting.py` | the two directions |
| `commands.py` | `megatron-recipes convert` |
"""
