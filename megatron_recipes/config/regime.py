"""How it is trained: the tokens of a step, the optimizer, the steps."""

import math
from dataclasses import dataclass

from megatron_recipes.config.checks import (
    named,
    require_default,
    require_not_negative,
    require_one_of,
    require_positive,
)
from megatron_recipes.config.layout import LayoutConfig

LR_DECAY_STYLES = ("constant", "linear", "cosine", "WSD")
WSD_DECAY_STYLES = ("exponential", "linear", "cosine", "minus_sqrt")


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchConfig:
    """Tokens of one step."""

    sequence_length: int
    """Tokens of a sequence, documents joined; one more is read for the last label."""

    micro_batch_size: int
    """Sequences of one forward pass of a replica. A resumed run may change it."""

    global_batch_size: int
    """Sequences of one step, over all replicas."""

    document_bounded_attention: bool = False
    """No token attends to another document of its sequence, and positions begin anew in each."""

    pack_conversations: bool = False
    """Train on conversations with masks, packed whole into sequences; what the mask leaves out is
    read, not learned. Needs `document_bounded_attention`."""

    split_long_conversations: bool = True
    """Cut a conversation longer than a sequence at the ends of turns; false: drop it. Either is
    counted."""

    max_epochs: float = 4.0
    """A blend group that is read more often than this is refused; of conversations its packed
    sequences are counted. Four is where repeating begins to gain little: Muennighoff et al.,
    "Scaling Data-Constrained Language Models" (2023)."""

    def __post_init__(self) -> None:
        require_positive(
            self, "sequence_length", "micro_batch_size", "global_batch_size", "max_epochs"
        )
        if self.pack_conversations and not self.document_bounded_attention:
            raise ValueError(
                "pack_conversations (true) needs document_bounded_attention (false) to be true: "
                "conversations of one sequence must not see each other"
            )
        if not (self.pack_conversations or self.split_long_conversations):
            raise ValueError(
                "split_long_conversations (false) has no effect while pack_conversations is false"
            )

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one step trains on."""
        return self.global_batch_size * self.sequence_length

    def num_microbatches(self, layout: LayoutConfig) -> int:
        """Forward passes of a replica in one step."""
        return self.global_batch_size // (self.micro_batch_size * layout.data_parallel_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizationConfig:
    """AdamW, its learning rate over the steps, and gradient clipping."""

    learning_rate: float
    """The highest learning rate, reached after the warm-up."""

    min_learning_rate: float = 0.0
    """Where the decay ends, at the last step; 0 with `constant`, which has none."""

    lr_warmup_steps: int = 0
    """Steps over which the rate rises linearly from `lr_warmup_init`: with `--from`, re-warming."""

    lr_warmup_init: float = 0.0
    """The rate before the first step of the warm-up."""

    lr_decay_style: str = "cosine"
    """`constant`, `linear`, `cosine`, or `WSD` (constant, then annealed over
    `lr_wsd_decay_steps`)."""

    lr_wsd_decay_steps: int = 0
    """The steps at the end over which `WSD` anneals."""

    lr_wsd_decay_style: str = "exponential"
    """How `WSD` anneals: `exponential`, `linear`, `cosine` or `minus_sqrt`."""

    weight_decay: float = 0.1
    """Of matrices; norms and biases have none."""

    adam_beta1: float = 0.9
    """Decay of the first moment."""

    adam_beta2: float = 0.95
    """Decay of the second moment."""

    adam_eps: float = 1e-8
    """Added to the root of the second moment."""

    clip_grad: float = 1.0
    """The greatest norm a step's gradient keeps."""

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate", "adam_eps", "clip_grad")
        require_not_negative(
            self,
            "min_learning_rate",
            "lr_warmup_steps",
            "lr_warmup_init",
            "lr_wsd_decay_steps",
            "weight_decay",
        )
        require_one_of("lr_decay_style", self.lr_decay_style, LR_DECAY_STYLES)
        require_one_of("lr_wsd_decay_style", self.lr_wsd_decay_style, WSD_DECAY_STYLES)
        if self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"min_learning_rate ({self.min_learning_rate}) must not exceed "
                f"learning_rate ({self.learning_rate})"
            )
        if self.lr_decay_style == "constant" and self.min_learning_rate:
            raise ValueError(
                f"min_learning_rate ({self.min_learning_rate}) has no effect with lr_decay_style "
                "constant; set it to 0"
            )
        if self.lr_warmup_init > self.learning_rate:
            raise ValueError(
                f"lr_warmup_init ({self.lr_warmup_init}) must not exceed "
                f"learning_rate ({self.learning_rate})"
            )
        if not self.lr_warmup_steps:
            require_default(self, "with lr_warmup_steps (0)", "lr_warmup_init")
        for name, beta in (("adam_beta1", self.adam_beta1), ("adam_beta2", self.adam_beta2)):
            if not 0 <= beta < 1:
                raise ValueError(f"{name} ({beta}) must be in [0, 1)")
        if (self.lr_decay_style == "WSD") != (self.lr_wsd_decay_steps > 0):
            raise ValueError(
                f"lr_wsd_decay_steps ({self.lr_wsd_decay_steps}) must be positive with "
                f"lr_decay_style WSD and 0 otherwise; the style is {self.lr_decay_style}"
            )
        if self.lr_decay_style != "WSD":
            reason = f"with lr_decay_style ({self.lr_decay_style})"
            require_default(self, reason, "lr_wsd_decay_style")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleConfig:
    """How long, and what happens on the way."""

    num_steps: int
    """Steps of the whole training: the learning rate and the order of the data follow from it."""

    stop_at_step: int = -1
    """Save and end at this step as if by a signal; -1: never. May change on resume."""

    checkpoint_interval: int = 1000
    """Steps from one checkpoint to the next; the last step is always saved. May change."""

    keep_checkpoints: int = 2
    """Newest checkpoints that stay. May change."""

    keep_every: int = 0
    """Checkpoints of a multiple of this step stay for good; 0: none does. May change."""

    async_save: bool = True
    """Write checkpoints while the training goes on. May change."""

    evaluation_interval: int = 0
    """Steps from one evaluation to the next, beside those before the first step and after the
    last; 0: only those. May change."""

    evaluation_sequences: int = 64
    """Held-out sequences of each group an evaluation reads, always the same ones."""

    log_interval: int = 1
    """Steps from one printed line to the next; every step is in the metrics file. May change."""

    hang_timeout_seconds: float = 1800.0
    """A step, or a collective, that takes longer than this ends the run, naming the process that
    the others wait for. May change."""

    loss_spike_factor: float = 0.0
    """A step whose loss exceeds this many times the running mean of the last 100 ends the run as
    one that is no number does; 0: only such a one does. May change."""

    seed: int = 1234
    """Of the initial weights and of the order of the data."""

    def __post_init__(self) -> None:
        require_positive(
            self,
            "num_steps",
            "checkpoint_interval",
            "keep_checkpoints",
            "evaluation_sequences",
            "log_interval",
            "hang_timeout_seconds",
        )
        require_not_negative(self, "evaluation_interval", "seed", "keep_every")
        if self.seed >= 2**32:
            raise ValueError(f"seed ({self.seed}) must be below {2**32}, which NumPy's seeds are")
        if self.keep_every % self.checkpoint_interval:
            raise ValueError(
                f"{named(self, 'keep_every')} must be a multiple of "
                f"{named(self, 'checkpoint_interval')}, or no checkpoint has such a step"
            )
        if self.loss_spike_factor and not 1 < self.loss_spike_factor < math.inf:
            raise ValueError(
                f"loss_spike_factor ({self.loss_spike_factor}) must be 0 or above 1: every other "
                "step is above the mean"
            )
        if not -1 <= self.stop_at_step <= self.num_steps:
            raise ValueError(
                f"stop_at_step ({self.stop_at_step}) must be -1 or in 0..num_steps "
                f"({self.num_steps})"
            )
