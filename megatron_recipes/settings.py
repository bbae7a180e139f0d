"""Changes to a recipe (`--set field=value`) and what a resumed run may change.

A field is named alone: no name occurs in two sections, so `num_steps=10` needs no path.
"""

import dataclasses
import difflib
from collections.abc import Iterable
from typing import Any, cast

from megatron_recipes.config import TrainingConfig

SECTIONS = ("model", "layout", "precision", "execution", "batch", "optimization", "schedule")

MAY_CHANGE = frozenset(
    {
        "description",
        "environment",
        "batch.micro_batch_size",
        "batch.max_epochs",
        "schedule.stop_at_step",
        "schedule.checkpoint_interval",
        "schedule.keep_checkpoints",
        "schedule.keep_every",
        "schedule.async_save",
        "schedule.hang_timeout_seconds",
        "schedule.loss_spike_factor",
        "schedule.evaluation_interval",
        "schedule.log_interval",
    }
)
"""What a run may have different from the run it resumes, beside all of `layout` and `execution` (a
checkpoint binds only whether the optimizer is distributed, which loading it checks, and how
conversations are packed, which may forbid a `context_parallel_size`).

None of these changes which tokens a step sees or what is computed from them. At another layout
or micro batch the sums are taken in another order, so losses agree to rounding, not to the bit.
"""


def field_sections() -> dict[str, str]:
    """Return the section of every field that `--set` takes."""
    sections = {field.name: field.type for field in dataclasses.fields(TrainingConfig)}
    return {
        field.name: section
        for section in SECTIONS
        for field in dataclasses.fields(cast("Any", sections[section]))
    }


def parse_value(name: str, text: str, like: object) -> object:
    """Return `text` as a value of the type of `like`.

    Raises:
        ValueError: It is none; the message names field, type and text.
    """
    if isinstance(like, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{name} takes true or false, not {text!r}")
        return text.lower() == "true"
    if isinstance(like, str):
        return text
    kind = type(like)
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        noun = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name} takes {noun}, not {text!r}") from None


def apply_settings(config: TrainingConfig, settings: Iterable[str]) -> TrainingConfig:
    """Return `config` with each `field=value` applied, checked once all are.

    Raises:
        ValueError: A setting has no `=`, names no field, names one twice or has a value of the
            wrong type; or the changed config is refused.
    """
    sections = field_sections()
    changes: dict[str, dict[str, Any]] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals:
            raise ValueError(f"--set takes field=value, not {setting!r}")
        if name not in sections:
            near = difflib.get_close_matches(name, sections, n=1)
            listed = "`megatron-recipes show RECIPE --fields` lists them"
            hint = f"did you mean {near[0]}?" if near else listed
            raise ValueError(f"--set names no field of a recipe: {name!r}; {hint}")
        changed = changes.setdefault(sections[name], {})
        if name in changed:
            raise ValueError(f"--set names {name} twice")
        changed[name] = parse_value(
            name, text.strip(), getattr(getattr(config, sections[name]), name)
        )
    return _replace(config, changes)


def with_fields(config: TrainingConfig, **fields: Any) -> TrainingConfig:
    """Return `config` with fields changed, whatever sections they are in, checked once all are.

    >>> from megatron_recipes.recipes import find_recipe
    >>> with_fields(find_recipe("tiny"), num_steps=20, data_parallel_size=2).layout.world_size
    2

    Raises:
        ValueError: The changed config is refused.
    """
    sections = field_sections()
    changes: dict[str, dict[str, Any]] = {}
    for name, value in fields.items():
        changes.setdefault(sections[name], {})[name] = value
    return _replace(config, changes)


def _replace(config: TrainingConfig, changes: dict[str, dict[str, Any]]) -> TrainingConfig:
    replaced: dict[str, Any] = {
        section: dataclasses.replace(getattr(config, section), **values)
        for section, values in changes.items()
    }
    return dataclasses.replace(config, **replaced)


def with_vocabulary(config: TrainingConfig, vocab_size: int) -> TrainingConfig:
    """Return `config` with the vocabulary of the data where it left that open.

    Raises:
        ValueError: The data's vocabulary is another than the model's. One that is greater has ids
            without a row in the embedding; one that is smaller comes from another tokenizer.
    """
    model = config.model
    if model.vocab_size == 0:
        return with_fields(config, vocab_size=vocab_size)
    if vocab_size == model.vocab_size:
        return config
    problem = (
        f"the blend's tokenizer has {vocab_size} tokens, "
        f"{'more' if vocab_size > model.vocab_size else 'fewer'} than vocab_size "
        f"({model.vocab_size}) of the model"
    )
    if dataclasses.replace(model, vocab_size=vocab_size).padded_vocab_size == (
        model.padded_vocab_size
    ):
        remedy = (
            f"set vocab_size={vocab_size} if it is the model's: that pads to the same "
            f"{model.padded_vocab_size} rows"
        )
    elif vocab_size > model.vocab_size:
        remedy = f"set vocab_size={vocab_size} for a model that is not trained yet, or leave it 0"
    else:
        remedy = "tokenize with the tokenizer of the model"
    raise ValueError(f"{problem}; {remedy}")


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested dicts and lists as one dict with dotted keys."""
    if isinstance(value, dict):
        pairs = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, list | tuple):
        pairs = [(str(index), part) for index, part in enumerate(value)]
    else:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, part in pairs:
        flat |= flatten(part, f"{prefix}.{key}" if prefix else key)
    return flat


def may_change(key: str) -> bool:
    """Whether a resumed run may have another value under this dotted key."""
    return (
        key.startswith(("layout.", "execution."))
        or key.split(".")[0] in MAY_CHANGE
        or key in MAY_CHANGE
    )


def first_difference(saved: dict[str, Any], now: dict[str, Any]) -> str:
    """Return `key (there X, now Y)` of the first value that may not differ but does, or ""."""
    before, after = flatten(saved), flatten(now)
    for key in [*before, *(key for key in after if key not in before)]:
        if not may_change(key) and before.get(key) != after.get(key):
            there, here = before.get(key, "nothing"), after.get(key, "nothing")
            return f"{key} (there {there}, now {here})"
    return ""
