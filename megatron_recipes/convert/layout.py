"""Which rows of which Megatron-Core tensor are a Hugging Face tensor.

h hidden, d head size, g key/value heads (query groups), q query heads of a group, f feed-forward,
V vocabulary, P vocabulary padded. Both rotate halves of a head, so no row moves within a head.

| Hugging Face | rows | Megatron-Core | rows |
|---|---|---|---|
| `model.embed_tokens.weight`, `lm_head.weight` | V | `embedding.word_embeddings.weight`, `output_layer.weight` | P |
| `q_proj`, `k_proj`, `v_proj` | g q d, g d, g d | `linear_qkv`: for each group its q heads, its key, its value | g (q + 2) d |
| `gate_proj`, `up_proj` | f, f | `linear_fc1`: one behind the other | 2 f |
| `o_proj`, `down_proj`, norms | | `linear_proj`, `linear_fc2`, norms | the same |

Norms in front of a matrix go by the name that Transformer Engine's fused layers give them, with
Megatron-Core's own layers too.
"""  # noqa: E501

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from megatron_recipes.config import ModelConfig
from megatron_recipes.convert.tensors import RowReader, TensorSource, TensorSpec, describe
from megatron_recipes.convert.torch_dist import TorchDistWriter

EMBEDDING, OUTPUT_LAYER = "model.embed_tokens.weight", "lm_head.weight"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the rows of a Hugging Face tensor are among those of a Megatron-Core tensor."""

    key: str
    """The Megatron-Core tensor."""

    shape: tuple[int, ...]
    """Of the Hugging Face tensor."""

    total_rows: int
    """Rows of the Megatron-Core tensor."""

    layer: int | None = None
    """The layer of it; None: it is no tensor of layers."""

    first: int = 0
    """Where the first row is."""

    run: int = 0
    """Consecutive rows that stay together; 0: all."""

    stride: int = 0
    """From the beginning of one run to that of the next."""

    def runs(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Return the runs that rows `start` to `stop` are made of.

        Yields:
            The first row here, the first row there, and how many.
        """
        run = self.run or self.shape[0]
        while start < stop:
            number, within = divmod(start, run)
            count = min(run - within, stop - start)
            yield start, self.first + number * self.stride + within, count
            start += count

    def runs_there(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Return the runs whose rows in the Megatron-Core tensor are in `start` to `stop`.

        Yields:
            The first row here, the first row there, and how many.
        """
        run = self.run or self.shape[0]
        stride = self.stride or self.total_rows
        number = max(0, (start - self.first) // stride)
        while number * run < self.shape[0]:
            begin = self.first + number * stride
            first, last = max(start, begin), min(stop, begin + run)
            if first < last:
                yield number * run + first - begin, first, last - first
            if begin >= stop:
                break
            number += 1


def places(model: ModelConfig, num_rows: int) -> dict[str, Place]:
    """Return the place of every Hugging Face tensor, in the order that files have them.

    Args:
        model: Its `padded_vocab_size` is the rows of Megatron-Core's tables.
        num_rows: Rows of the tables in Hugging Face's.
    """
    table = Place(
        key="embedding.word_embeddings.weight",
        shape=(num_rows, model.hidden_size),
        total_rows=model.padded_vocab_size,
    )
    found = {EMBEDDING: table}
    for layer in range(model.num_layers):
        for name, place in _layer_places(model, layer):
            found[f"model.layers.{layer}.{name}"] = place
    hidden = model.hidden_size
    found["model.norm.weight"] = Place(
        key="decoder.final_layernorm.weight", shape=(hidden,), total_rows=hidden
    )
    if not model.share_embeddings_and_output_weights:
        found[OUTPUT_LAYER] = Place(
            key="output_layer.weight", shape=table.shape, total_rows=table.total_rows
        )
    return found


def _layer_places(model: ModelConfig, layer: int) -> Iterator[tuple[str, Place]]:
    hidden, ffn, head = model.hidden_size, model.ffn_hidden_size, model.kv_channels
    groups, heads = model.num_query_groups, model.num_attention_heads
    queries = heads // groups * head

    def place(key: str, shape: tuple[int, ...], total: int = 0, **more: int) -> Place:
        key = f"decoder.layers.{key}"
        return Place(key=key, layer=layer, shape=shape, total_rows=total or shape[0], **more)

    qkv, fc1 = "self_attention.linear_qkv", "mlp.linear_fc1"
    for name, first, run in (
        ("q", 0, queries),
        ("k", queries, head),
        ("v", queries + head, head),
    ):
        stride = queries + 2 * head
        kinds = {"weight": (groups * run, hidden), "bias": (groups * run,)}
        for kind in ("weight", "bias") if model.add_qkv_bias else ("weight",):
            yield (
                f"self_attn.{name}_proj.{kind}",
                place(
                    f"{qkv}.{kind}",
                    kinds[kind],
                    groups * stride,
                    first=first,
                    run=run,
                    stride=stride,
                ),
            )
    yield (
        "self_attn.o_proj.weight",
        place("self_attention.linear_proj.weight", (hidden, heads * head)),
    )
    yield "mlp.gate_proj.weight", place(f"{fc1}.weight", (ffn, hidden), 2 * ffn)
    yield "mlp.up_proj.weight", place(f"{fc1}.weight", (ffn, hidden), 2 * ffn, first=ffn)
    yield "mlp.down_proj.weight", place("mlp.linear_fc2.weight", (hidden, ffn))
    yield "input_layernorm.weight", place(f"{qkv}.layer_norm_weight", (hidden,))
    yield "post_attention_layernorm.weight", place(f"{fc1}.layer_norm_weight", (hidden,))


def check_names_and_shapes(found: Mapping[str, TensorSpec], model: ModelConfig, where: str) -> None:
    """Refuse weights that are not those of a model, name by name.

    Raises:
        ValueError: A tensor is missing, of another shape, or none of the model's; or the layers of
            a tensor differ in type.
    """
    expected = places(model, model.vocab_size)
    for name, place in expected.items():
        if name not in found:
            raise ValueError(f"{where}: expected the tensor {name}, found no such tensor")
        if found[name].shape != place.shape:
            raise ValueError(
                f"{where}: {name} is {describe(found[name])}; its config.json makes it "
                f"{list(place.shape)}"
            )
    for name in found:
        if name not in expected:
            raise ValueError(
                f"{where}: has the tensor {name}, which a model of its config.json has not"
            )


def check_one_type(found: Mapping[str, TensorSpec], model: ModelConfig, where: str) -> None:
    """Refuse weights of which one Megatron-Core tensor would have several types.

    Raises:
        ValueError: It names two tensors.
    """
    first: dict[str, str] = {}
    for name, place in places(model, model.vocab_size).items():
        other = first.setdefault(place.key, name)
        if found[name].dtype != found[other].dtype:
            raise ValueError(
                f"{where}: {name} is {describe(found[name])} and {other} is "
                f"{describe(found[other])}; give --dtype to make them one"
            )


def write_weights(
    writer: TorchDistWriter, source: TensorSource, model: ModelConfig
) -> Iterator[str]:
    """Write a Hugging Face source, its tables padded, as Megatron-Core's tensors.

    Yields:
        The name of each Hugging Face tensor that is written.
    """
    parts: dict[tuple[str, int | None], list[str]] = {}
    of = places(model, model.padded_vocab_size)
    for name, place in of.items():
        parts.setdefault((place.key, place.layer), []).append(name)
    for (key, layer), names in parts.items():
        one = source.specs[names[0]]
        spec = TensorSpec((of[names[0]].total_rows, *one.shape[1:]), one.dtype)
        for start, stop in spec.blocks():
            rows = torch.empty((stop - start, *spec.shape[1:]), dtype=spec.dtype)
            for name in names:
                for here, there, count in of[name].runs_there(start, stop):
                    rows[there - start : there - start + count] = source.read(
                        name, here, here + count
                    )
            which = (0, 0) if layer is None else (layer, model.num_layers)
            writer.add_rows(key, spec, start, rows, which)
        yield from names


class CheckpointWeights:
    """The weights of a checkpoint under Hugging Face's names."""

    def __init__(self, reader: RowReader, model: ModelConfig, num_rows: int, where: str) -> None:
        """Look every tensor up.

        Args:
            reader: The weights of a checkpoint, or its master weights.
            model: What `checkpoint.json` says the model is.
            num_rows: Rows of the tables to show; those behind are padding.
            where: The checkpoint, for messages.

        Raises:
            ValueError: A tensor is missing or of another shape.
        """
        self._reader, self._places = reader, places(model, num_rows)
        self.specs: dict[str, TensorSpec] = {}
        for name, place in self._places.items():
            leading = () if place.layer is None else (model.num_layers,)
            shape = (*leading, place.total_rows, *place.shape[1:])
            found = reader.tensors.get(place.key)
            if found is None or tuple(found.size) != shape:
                raise ValueError(
                    f"{where}: expected {place.key} of shape {list(shape)}, found "
                    f"{list(found.size) if found else 'no such tensor'}"
                )
            self.specs[name] = TensorSpec(place.shape, found.properties.dtype)

    def read(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Return rows `start` to `stop` of a tensor."""
        place = self._places[name]
        runs = list(place.runs(start, stop))
        # From the first row to the last at once: what lies between is of the same pieces.
        begin, end = runs[0][1], runs[-1][1] + runs[-1][2]
        there = self._reader.read_rows(place.key, place.layer, begin, end)
        if len(runs) == 1:
            return there
        return torch.cat([there[row - begin : row - begin + count] for _, row, count in runs])
