"""Published runs of the model that was measured, and in what each differs from the measurement."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from megatron_recipes.config import TrainingConfig
from megatron_recipes.config.gpus import GPUS
from megatron_recipes.estimate.published import MODELS, RUNS, PublishedRun

SLOWER_BOARDS = re.compile(r"pcie|nvl\b", re.IGNORECASE)
"""In the names of boards with fewer multiprocessors or less power than SXM's; drivers name that
by its memory ("NVIDIA H100 80GB HBM3")."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Anchor:
    """One published run; padding counts in its tokens, as its source has it."""

    name: str
    """Model, kind, precision, GPUs."""

    source: str
    """Who published it."""

    gpu: str
    """Which GPU, and which board of it."""

    gpus: int
    """How many."""

    precision: str
    """Of the matrix products: `BF16` or `FP8`."""

    sequence_length: int
    """In tokens."""

    tokens_per_second_per_gpu: float
    """What was published."""

    differs_in: tuple[str, ...]
    """Of GPU, precision, attention (whole or bounded by documents) and sequence length what is
    another one in the measurement; if anything is, the two do not compare."""

    def described(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return asdict(self) | {"differs_in": list(self.differs_in)}


def anchors(config: TrainingConfig, device: str) -> list[Anchor]:
    """Return published runs of the same model and kind, those that compare first.

    Args:
        config: What was measured.
        device: On what, as the driver names it.
    """
    found = [
        _anchor(run, config, device)
        for run in RUNS
        if _is_same_model(run, config)
        and run.work.trains_weights
        and bool(run.work.attended_tokens) == config.batch.pack_conversations
    ]
    return sorted(found, key=lambda anchor: len(anchor.differs_in))


def _is_same_model(run: PublishedRun, config: TrainingConfig) -> bool:
    known, model = run.work.model, config.model
    return known in MODELS.values() and all(
        getattr(known, name) == getattr(model, name)
        for name in ("num_layers", "hidden_size", "ffn_hidden_size", "vocab_size")
    )


def _anchor(run: PublishedRun, config: TrainingConfig, device: str) -> Anchor:
    gpu, length = run.work.execution.gpu, run.work.batch.sequence_length
    precision = "FP8" if run.work.is_fp8 else "BF16"
    same = (
        ("GPU", _is_board(device, gpu)),
        ("precision", precision == _precision(config)),
        ("attention", bool(run.work.attended_tokens) == config.batch.document_bounded_attention),
        ("sequence length", length == config.batch.sequence_length),
    )
    return Anchor(
        name=run.name,
        source=run.source,
        gpu=GPUS[gpu].name,
        gpus=run.work.num_gpus,
        precision=precision,
        sequence_length=length,
        tokens_per_second_per_gpu=run.tokens_per_second_per_gpu,
        differs_in=tuple(name for name, is_same in same if not is_same),
    )


def _is_board(device: str, gpu: str) -> bool:
    is_kind = re.search(rf"\b{gpu}\b", device, re.IGNORECASE) is not None
    return is_kind and SLOWER_BOARDS.search(device) is None


def _precision(config: TrainingConfig) -> str:
    if config.precision.fp8 != "none":
        return "FP8"
    return "BF16" if config.precision.params_dtype == "bfloat16" else "FP32"
