"""What a config refuses: one line each, with the fields and their values."""

import pytest

from megatron_recipes.recipes import find_recipe
from megatron_recipes.settings import apply_settings

FP8 = ["params_dtype=bfloat16", "gpu=h100", "fp8=hybrid"]


def refusal(*settings: str) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the callers match the whole text
        apply_settings(find_recipe("tiny"), settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["global_batch_size=6", "data_parallel_size=2"],
            "global_batch_size (6) must be a multiple of micro_batch_size (2) x "
            "data_parallel_size (2) = 4",
        ),
        (
            ["tensor_model_parallel_size=3"],
            "num_attention_heads (4) must be a multiple of tensor_model_parallel_size (3)",
        ),
        (
            ["tensor_model_parallel_size=4"],
            "num_query_groups (2) must be a multiple of tensor_model_parallel_size (4)",
        ),
        (
            ["ffn_hidden_size=351", "tensor_model_parallel_size=2"],
            "ffn_hidden_size (351) must be a multiple of tensor_model_parallel_size (2)",
        ),
        (
            ["num_query_groups=3"],
            "num_attention_heads (4) must be a multiple of num_query_groups (3)",
        ),
        (
            ["pipeline_model_parallel_size=3"],
            "num_layers (4) must be a multiple of pipeline_model_parallel_size (3)",
        ),
        (
            ["sequence_parallel=true"],
            "sequence_parallel (true) needs tensor_model_parallel_size (1) above 1; "
            "Megatron-Core would ignore it",
        ),
        (
            ["sequence_length=255", "sequence_parallel=true", "tensor_model_parallel_size=2"],
            "sequence_length (255) must be a multiple of 2, for tensor_model_parallel_size (2) "
            "with sequence_parallel (true) and context_parallel_size (1)",
        ),
        (
            ["context_parallel_size=2", "sequence_length=254"],
            "sequence_length (254) must be a multiple of 4, for tensor_model_parallel_size (1) "
            "with sequence_parallel (false) and context_parallel_size (2)",
        ),
        (
            [
                "vocab_size=301",
                "make_vocab_size_divisible_by=1",
                "tensor_model_parallel_size=2",
            ],
            "vocab_size (301), padded by make_vocab_size_divisible_by (1) to 301, must be a "
            "multiple of tensor_model_parallel_size (2)",
        ),
        (
            ["use_distributed_optimizer=false", "data_parallel_size=2"],
            "use_distributed_optimizer (false) needs one replica, but data_parallel_size (2) x "
            "context_parallel_size (1) is 2",
        ),
        (
            ["fp8_recipe=delayed"],
            "fp8_recipe (delayed) has no effect while fp8 is none; leave it at tensorwise",
        ),
        (
            ["lr_decay_style=constant"],
            "min_learning_rate (0.0002) has no effect with lr_decay_style constant; set it to 0",
        ),
        (["learning_rate=nan"], f"learning_rate (nan) must be a number below {2**63}"),
        (["clip_grad=inf"], f"clip_grad (inf) must be a number below {2**63}"),
        (["num_steps=1" + 400 * "0"], f"num_steps (1{23 * '0'}) must be a number below {2**63}"),
        (["weight_decay=nan"], f"weight_decay (nan) must be a number below {2**63}"),
        (["weight_decay=-0.1"], "weight_decay (-0.1) must not be negative"),
        (["fp8=hybrid"], "fp8 (hybrid) needs params_dtype bfloat16, not float32"),
        (["params_dtype=float16"], "params_dtype (float16) must be one of float32, bfloat16"),
        (["kv_channels=31"], "kv_channels (31) must be even for rotary positions"),
        (["num_steps=0"], "num_steps (0) must be positive"),
        (["stop_at_step=101"], "stop_at_step (101) must be -1 or in 0..num_steps (100)"),
        (["clip_grad=0"], "clip_grad (0.0) must be positive"),
        (["adam_beta2=1"], "adam_beta2 (1.0) must be in [0, 1)"),
        (
            ["learning_rate=1e-5"],
            "min_learning_rate (0.0002) must not exceed learning_rate (1e-05)",
        ),
        (
            ["lr_wsd_decay_steps=5"],
            "lr_wsd_decay_steps (5) must be positive with lr_decay_style WSD and 0 otherwise; "
            "the style is cosine",
        ),
        (
            ["num_steps=10"],
            "lr_warmup_steps (10) plus lr_wsd_decay_steps (0) must be below num_steps (10)",
        ),
        # Pipelines: stages, chunks, and what Megatron-Core 0.19 asks of the micro batches.
        (
            ["virtual_pipeline_model_parallel_size=2"],
            "virtual_pipeline_model_parallel_size (2) needs pipeline_model_parallel_size (1) "
            "above 1",
        ),
        (
            ["num_layers_in_first_pipeline_stage=1"],
            "num_layers_in_first_pipeline_stage (1) needs pipeline_model_parallel_size (1) above 1",
        ),
        (
            ["pipeline_model_parallel_size=2", "virtual_pipeline_model_parallel_size=4"],
            "the 2 layers of stage 0 must be a multiple of virtual_pipeline_model_parallel_size "
            "(4)",
        ),
        (
            [
                "pipeline_model_parallel_size=2",
                "virtual_pipeline_model_parallel_size=2",
                "global_batch_size=6",
            ],
            "virtual_pipeline_model_parallel_size (2) interleaves groups of "
            "pipeline_model_parallel_size (2) micro batches, but global_batch_size (6) / "
            "(micro_batch_size (2) x data_parallel_size (1)) makes 3, no multiple of it",
        ),
        (
            ["pipeline_model_parallel_size=2", "num_layers_in_first_pipeline_stage=4"],
            "num_layers (4) minus num_layers_in_first_pipeline_stage (4) leaves 0, which must be "
            "a positive multiple of the 1 other stages of pipeline_model_parallel_size (2)",
        ),
        (
            [
                "pipeline_model_parallel_size=2",
                "num_layers_in_first_pipeline_stage=2",
                "num_layers_in_last_pipeline_stage=1",
            ],
            "num_layers_in_first_pipeline_stage (2), num_layers_in_last_pipeline_stage (1) must "
            "sum to num_layers (4) with pipeline_model_parallel_size (2)",
        ),
        # Tensor and data parallelism.
        (
            ["tensor_model_parallel_size=2", "tp_comm_overlap=true"],
            "tp_comm_overlap (true) needs sequence_parallel, not sequence_parallel (false); "
            "Megatron-Core would switch it off",
        ),
        (
            ["tensor_model_parallel_size=2", "sequence_parallel=true", "tp_comm_overlap=true"],
            "tp_comm_overlap (true) needs a GPU and Transformer Engine, not gpu (cpu)",
        ),
        (
            ["overlap_grad_reduce=true"],
            "overlap_grad_reduce (true) has no effect with one replica: data_parallel_size (1), "
            "context_parallel_size (1)",
        ),
        (
            ["overlap_param_gather=true", "data_parallel_size=2"],
            "overlap_param_gather (true) needs overlap_grad_reduce, not overlap_grad_reduce "
            "(false)",
        ),
        (
            ["tensor_model_parallel_size=2", "data_parallel_size=2", "gpus_per_node=3"],
            "tensor_model_parallel_size (2) must divide gpus_per_node (3): matrices are not "
            "shared between machines",
        ),
        (
            [
                "data_parallel_size=2",
                "context_parallel_size=3",
                "gpus_per_node=4",
                "sequence_length=252",
            ],
            "tensor_model_parallel_size (1) x pipeline_model_parallel_size (1) x "
            "context_parallel_size (3) x data_parallel_size (2) = 6 processes must be a multiple "
            "of gpus_per_node (4), or fit one machine",
        ),
        # Precision.
        (
            ["grad_reduce_in_fp32=false"],
            "grad_reduce_in_fp32 (false) has no effect with params_dtype (float32); leave it at "
            "true",
        ),
        (
            ["fp8_param_gather=true"],
            "fp8_param_gather (true) has no effect while fp8 is none; leave it at false",
        ),
        (
            [*FP8, "fp8_recipe=blockwise", "fp8_param_gather=true"],
            "fp8_param_gather (true) does not go with fp8_recipe (blockwise); take tensorwise or "
            "delayed",
        ),
        (
            [
                *FP8,
                "fp8_recipe=delayed",
                "fp8_param_gather=true",
                "use_precision_aware_optimizer=true",
            ],
            "fp8_param_gather (true) and use_precision_aware_optimizer (true) do not go together "
            "with fp8_recipe (delayed); take tensorwise, or set one of them to false",
        ),
        (
            [*FP8, "fp8_amax_history_len=16"],
            "fp8_amax_history_len (16) has no effect with fp8_recipe (tensorwise); leave it at 1",
        ),
        (
            [*FP8, "fp8_recipe=delayed", "fp8_amax_history_len=16"],
            "fp8_amax_history_len (16), fp8_amax_compute_algo (most_recent): max is of a history "
            "above 1, most_recent of 1; the other would be ignored",
        ),
        (
            [*FP8, "fp8_recipe=delayed", "num_layers_at_start_in_bf16=1"],
            "num_layers_at_start_in_bf16 (1) does not go with fp8_recipe (delayed): Megatron-Core "
            "keeps no layer in BF16 there",
        ),
        (
            [*FP8, "num_layers_at_end_in_bf16=5"],
            "num_layers_at_end_in_bf16 (5) must not exceed num_layers (4) / "
            "pipeline_model_parallel_size (1) = 4",
        ),
        (
            [*FP8, "num_layers_at_start_in_bf16=2", "num_layers_at_end_in_bf16=2"],
            "num_layers_at_start_in_bf16 (2) and num_layers_at_end_in_bf16 (2) leave none of "
            "num_layers (4) to fp8 (hybrid)",
        ),
        (
            ["params_dtype=bfloat16", "fp8=hybrid"],
            "fp8 (hybrid) needs a GPU and Transformer Engine, not gpu (cpu)",
        ),
        (
            [*FP8, "ffn_hidden_size=360"],
            "ffn_hidden_size (360) / tensor_model_parallel_size (1) = 360 must be a multiple of "
            "16 for fp8 (hybrid) with fp8_recipe (tensorwise)",
        ),
        (
            ["exp_avg_dtype=bfloat16"],
            "exp_avg_dtype (bfloat16) has no effect with use_precision_aware_optimizer (false); "
            "leave it at float32",
        ),
        (
            ["use_precision_aware_optimizer=true"],
            "use_precision_aware_optimizer (true) needs params_dtype bfloat16, not params_dtype "
            "(float32)",
        ),
        (
            [
                "use_precision_aware_optimizer=true",
                "params_dtype=bfloat16",
                "main_grads_dtype=bfloat16",
            ],
            "main_grads_dtype (bfloat16), grad_reduce_in_fp32 (true): the optimizer reads "
            "gradients as they were reduced, so float32 goes with true and bfloat16 with false",
        ),
        (
            [
                "use_precision_aware_optimizer=true",
                "params_dtype=bfloat16",
                "gpu=h200",
                "use_distributed_optimizer=false",
            ],
            "use_precision_aware_optimizer (true) needs use_distributed_optimizer, not "
            "use_distributed_optimizer (false)",
        ),
        # Execution.
        (["gpu=a100"], "gpu (a100) must be one of cpu, h100, h200"),
        (
            ["recompute_method=block"],
            "recompute_method (block) has no effect with recompute_granularity (none); leave it "
            "at none",
        ),
        (
            ["recompute_granularity=full", "recompute_method=uniform"],
            "recompute_granularity (full) needs recompute_method uniform or block and "
            "recompute_num_layers above 0, not recompute_method (uniform), recompute_num_layers "
            "(0)",
        ),
        (
            [
                "recompute_granularity=full",
                "recompute_method=block",
                "recompute_num_layers=3",
                "pipeline_model_parallel_size=2",
            ],
            "recompute_num_layers (3) must not exceed the 2 layers of a model chunk, of "
            "num_layers (4) at pipeline_model_parallel_size (2) and "
            "virtual_pipeline_model_parallel_size (1)",
        ),
        (
            ["recompute_granularity=selective"],
            'recompute_modules ("") must be core_attn, mlp or core_attn,mlp with '
            "recompute_granularity (selective)",
        ),
        (
            ["recompute_granularity=selective", "recompute_modules=mlp,layernorm"],
            "recompute_modules (mlp,layernorm) must be core_attn, mlp or core_attn,mlp with "
            "recompute_granularity (selective)",
        ),
        (
            ["cross_entropy=te"],
            "cross_entropy (te) needs a GPU and Transformer Engine, not gpu (cpu)",
        ),
        (
            ["gradient_accumulation_fusion=true"],
            "gradient_accumulation_fusion (true) needs a GPU and Transformer Engine, not gpu (cpu)",
        ),
        (
            ["attention_backend=flash"],
            "attention_backend (flash) needs a GPU and Transformer Engine, not gpu (cpu)",
        ),
        (
            ["attention_backend=fused", "gpu=h100"],
            "attention_backend (fused) does not take params_dtype (float32)",
        ),
        (
            ["attention_backend=flash", "gpu=h100", "params_dtype=bfloat16", "kv_channels=20"],
            "attention_backend (flash) needs heads of a multiple of 8 up to 256, not kv_channels "
            "(20)",
        ),
        (
            ["context_parallel_size=2", "gpu=h100"],
            "context_parallel_size (2) needs attention_backend auto, flash or fused in BF16, or "
            "local, not attention_backend (auto) with params_dtype (float32)",
        ),
        (
            [
                "context_parallel_size=2",
                "gpu=h100",
                "params_dtype=bfloat16",
                "document_bounded_attention=true",
            ],
            "document_bounded_attention (true) does not go with context_parallel_size (2) on a "
            "GPU, where documents of any length cannot be shared; take attention_backend local or "
            "share less",
        ),
        # The regime.
        (
            ["max_position_embeddings=128"],
            "sequence_length (256) exceeds max_position_embeddings (128), which the model was "
            "made for",
        ),
        (["rotary_scaling_factor=0.5"], "rotary_scaling_factor (0.5) must be a number from 1"),
        (
            ["lr_warmup_init=0.1"],
            "lr_warmup_init (0.1) must not exceed learning_rate (0.002)",
        ),
        (
            ["lr_warmup_init=0.001", "lr_warmup_steps=0"],
            "lr_warmup_init (0.001) has no effect with lr_warmup_steps (0); leave it at 0.0",
        ),
        (
            ["lr_wsd_decay_style=linear"],
            "lr_wsd_decay_style (linear) has no effect with lr_decay_style (cosine); leave it at "
            "exponential",
        ),
        (
            ["keep_every=30"],
            "keep_every (30) must be a multiple of checkpoint_interval (25), or no checkpoint has "
            "such a step",
        ),
        (
            ["loss_spike_factor=0.9"],
            "loss_spike_factor (0.9) must be 0 or above 1: every other step is above the mean",
        ),
        (["hang_timeout_seconds=0"], "hang_timeout_seconds (0.0) must be positive"),
        (
            ["seed=4294967296"],
            "seed (4294967296) must be below 4294967296, which NumPy's seeds are",
        ),
        (["num_step=5"], "--set names no field of a recipe: 'num_step'; did you mean num_steps?"),
        (["num_steps"], "--set takes field=value, not 'num_steps'"),
        (["num_steps=5.5"], "num_steps takes a whole number, not '5.5'"),
        (["learning_rate=fast"], "learning_rate takes a number, not 'fast'"),
        (["sequence_parallel=yes"], "sequence_parallel takes true or false, not 'yes'"),
        (["seed=1", "seed=2"], "--set names seed twice"),
    ],
)
def test_refusal_names_every_number(settings: list[str], message: str) -> None:
    assert refusal(*settings) == message
