"""Every trained token of real conversations, decoded: the assistant's turns, and nothing else.

Through the real commands, from the native files of function-calling datasets to the samples that
a training of stage 3 reads. What each template lets an assistant say is written down here once
more, from the templates' publications; the decoders are the reference libraries'.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import pytest
import zstandard

from megatron_recipes.blend import read_blend
from megatron_recipes.job import resolve_config
from megatron_recipes.settings import with_vocabulary
from megatron_recipes.tuning.checks import check_masks
from megatron_recipes.tuning.conversations import PackedConversations, pack_group, packing_line
from megatron_recipes.tuning.stop_tokens import Stops
from megatron_recipes.tuning.words import Words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.shared

DATASETS = (
    "agentohana_xlam", "api_bank", "apigen_xlam60k", "glaive", "hammer_eval", "nexusraven",
    "openfunctions", "stabletoolbench", "swe_agent", "toolalpaca", "toolbench",
    "agentinstruct",  # whose turns say themselves which of them are trained
)  # fmt: skip
TEMPLATES = {
    "llama3_1": ("llama3_1", "llama3_8b_stage3"),
    "qwen2_5": ("qwen2_5", "qwen2_5_7b_stage3"),
    "mistral_v3": ("mistral_v3", "mistral_7b_stage3"),
    "hermes": ("qwen2_5", "qwen2_5_7b_stage3"),
}
"""Template -> tokenizer, and recipe."""
STOPS = {"llama3_1": 128_009, "qwen2_5": 151_645, "mistral_v3": 2}
"""Tokenizer -> where its model stops, by its generation_config.json."""

type Json = Any


def preprocess(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "preprocess", *map(str, arguments)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def lines_of(path: Path) -> list[bytes]:
    return zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().splitlines()


@functools.cache
def record_ids(prefix: str) -> list[str]:
    """Return the record of each document."""
    return [line.decode() for line in lines_of(Path(f"{prefix}.ids.zst"))]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    directory = tmp_path_factory.mktemp("records")
    for name in DATASETS:
        preprocess(
            "ingest", shared / "data/agent" / name, directory / name, "--dataset", name,
            "--licenses", "any", "--workers", "1",
        )  # fmt: skip
    return directory


def packed(records: Path, directory: Path, shared: Path, template: str) -> PackedConversations:
    """Tokenize the records with a template and pack them as its recipe of stage 3 does."""
    tokenizer, recipe = TEMPLATES[template]
    preprocess(
        "tokenize", *(records / name for name in DATASETS), directory / "tokens",
        "--tokenizer", shared / "tokenizers" / tokenizer, "--chat-template", template,
        "--holdout", "0", "--workers", "1",
    )  # fmt: skip
    preprocess("blend", f"agent={directory / 'tokens'}:1", directory / "blend.json")
    blend = read_blend(directory / "blend.json")
    config = with_vocabulary(resolve_config(recipe, ()), blend.vocab_size)
    assert config.batch.sequence_length == 8192
    return pack_group(config, blend.train[0])


def mask_warnings(dataset: PackedConversations, shared: Path, tokenizer: str) -> list[str]:
    """Return what a training would say of the masks; each dataset's turns all end in a stop."""
    prefix = dataset.documents.prefixes[0]
    return check_masks(
        dataset.documents,
        Stops(ids=frozenset([STOPS[tokenizer]]), pad_id=None, path=Path("generation_config.json")),
        eod_id=json.loads(Path(f"{prefix}.json").read_text())["eod_id"],
        words=Words(shared / "tokenizers" / tokenizer),
    )


def trained_runs(dataset: PackedConversations) -> dict[str, list[list[int]]]:
    """Return of each record, by id, the runs of labels whose loss counts, in its order."""
    found: dict[str, list[tuple[int, list[int]]]] = {}
    for index in range(len(dataset)):
        sample = dataset[index]
        labels, counts = sample["labels"].numpy(), sample["loss_mask"].numpy()
        bounds = sample["cu_seqlens"].tolist()
        end = 0
        for (prefix, run), begin in zip(dataset.runs_of(index), bounds, strict=False):
            assert begin == end
            end = begin + run["tokens"] - 1
            record = record_ids(prefix)[run["document"]]
            runs = found.setdefault(record, [])
            border = numpy.flatnonzero(numpy.diff(counts[begin:end])) + 1
            for places in numpy.split(numpy.arange(begin, end), border):
                if counts[places[0]]:
                    runs.append((run["first_token"], labels[places].tolist()))
        assert not counts[end:].any(), "padding is never trained"
    return {
        record: [labels for _, labels in sorted(runs, key=lambda run: run[0])]
        for record, runs in found.items()
    }


def cut_records(dataset: PackedConversations) -> set[str]:
    """Return the ids of records that are longer than a sequence."""
    room, found = dataset.sequence_length + 1, set()
    for document in numpy.flatnonzero(dataset.documents.lengths > room).tolist():
        part, number = dataset.documents.place(document)
        found.add(record_ids(dataset.documents.prefixes[part])[number])
    return found


def calls_of(message: Json) -> list[Json]:
    return [
        {"name": call["name"], "arguments": call["arguments"]}
        for call in message.get("tool_calls") or []
    ]


def say_llama(message: Json, _calls: Iterator[int]) -> str:
    calls = calls_of(message)
    if calls:
        [call] = calls
        said = {"name": call["name"], "parameters": call["arguments"]}
        return json.dumps(said, ensure_ascii=False) + "<|eot_id|>"
    return message["content"].strip() + "<|eot_id|>"


def say_qwen(message: Json, _calls: Iterator[int]) -> str:
    parts = [message["content"]] if message["content"] else []
    parts += [
        f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>"
        for call in calls_of(message)
    ]
    said = "\n".join(parts) + "<|im_end|>"
    # A line end that begins what is said shares its token with the one behind the header.
    return f"\n{said}" if said.startswith("\n") else said


def say_mistral(message: Json, numbers: Iterator[int]) -> str:
    calls = []
    for call in message.get("tool_calls") or []:
        number, name = next(numbers), call.get("id") or ""
        name = name if re.fullmatch("[a-zA-Z0-9]{9}", name) else f"call{number:05d}"
        calls.append({"name": call["name"], "arguments": call["arguments"], "id": name})
    if calls:
        return f"[TOOL_CALLS]{json.dumps(calls, ensure_ascii=False)}</s>"
    return message["content"].rstrip() + "</s>"


SAYS: dict[str, Callable[[Json, Iterator[int]], str]] = {
    "llama3_1": say_llama,
    "qwen2_5": say_qwen,
    "hermes": say_qwen,
    "mistral_v3": say_mistral,
}


class Reference:
    """The library that a tokenizer belongs to."""

    def __init__(self, directory: Path) -> None:
        path = directory / "tokenizer.json"
        self.json = self.model = None
        if path.is_file():
            from tokenizers import Tokenizer

            self.json = Tokenizer.from_file(str(path))
            return
        from sentencepiece import SentencePieceProcessor

        self.model = SentencePieceProcessor(model_file=str(directory / "tokenizer.model"))

    def decode(self, ids: list[int]) -> str:
        if self.json:
            return str(self.json.decode(ids, skip_special_tokens=False))
        return "".join(  # it leaves control tokens out
            "".join(map(self.model.id_to_piece, part)) if is_control else self.model.decode([*part])
            for is_control, part in itertools.groupby(ids, self.model.is_control)
        )

    def encode(self, turn: str) -> list[int]:
        """Return the ids of a turn with its control tokens."""
        if self.json:
            return list(self.json.encode(turn, add_special_tokens=False).ids)
        # Control tokens are none in text to that library; a turn has one at either end.
        begin, said, end = re.fullmatch(r"(\[TOOL_CALLS\])?(.*?)(</s>)", turn, re.DOTALL).groups()
        control = [[self.model.piece_to_id(piece)] if piece else [] for piece in (begin, end)]
        return [*control[0], *self.model.encode(said), *control[1]]


def spoken(record: Json) -> list[Json]:
    """Return the messages of an assistant."""
    return [message for message in record["messages"] if message["role"] == "assistant"]


def expected_turns(template: str, messages: list[Json]) -> list[str]:
    numbers = itertools.count()
    turns = [(message.get("loss"), SAYS[template](message, numbers)) for message in messages]
    return [text for loss, text in turns if loss is not False]


def calls_in(template: str, turn: str) -> list[Json]:
    """Return the calls that a trained turn makes, read as a server of the model would."""
    if template == "llama3_1":
        if not turn.startswith('{"name": "'):
            return []
        call = json.loads(turn.removesuffix("<|eot_id|>"))
        return [{"name": call["name"], "arguments": call["parameters"]}]
    if template == "mistral_v3":
        if not turn.startswith("[TOOL_CALLS]"):
            return []
        calls = json.loads(turn.removeprefix("[TOOL_CALLS]").removesuffix("</s>"))
        return [{"name": call["name"], "arguments": call["arguments"]} for call in calls]
    found = re.findall(r"<tool_call>\n(.*?)\n</tool_call>", turn, re.DOTALL)
    return [json.loads(call) for call in found]


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_trained_token_is_an_assistants_and_sequences_are_full(
    tmp_path: Path, shared: Path, records: Path, template: str
) -> None:
    dataset = packed(records, tmp_path, shared, template)
    known = {
        record["id"]: record
        for name in DATASETS
        for path in sorted((records / name).glob("part-*.jsonl.zst"))
        for record in map(json.loads, lines_of(path))
    }
    reference = Reference(shared / "tokenizers" / TEMPLATES[template][0])
    runs = trained_runs(dataset)
    cut = cut_records(dataset)
    # Nothing that fits is left out: what is, is longer than a sequence and has no turn that fits.
    everything = {each for part in dataset.documents.prefixes for each in record_ids(part)}
    assert dataset.pieces.num_dropped == len(everything - runs.keys())
    assert everything - runs.keys() <= cut
    assert not mask_warnings(dataset, shared, TEMPLATES[template][0])
    num_calls = 0
    for record_id, labels in runs.items():
        messages = spoken(known[record_id])
        turns = [reference.decode(ids) for ids in labels]
        expected = expected_turns(template, messages)
        if record_id in cut:  # what is left of it is some of its turns, in their order
            rest = iter(expected)
            assert turns
            assert all(turn in rest for turn in turns), record_id
            continue
        assert turns == expected, record_id
        assert labels == [reference.encode(turn) for turn in expected], record_id
        called = [call for turn in turns for call in calls_in(template, turn)]
        trained = [each for each in messages if each.get("loss") is not False]
        assert called == [call for each in trained for call in calls_of(each)], record_id
        num_calls += len(called)
    assert len(runs) - len(cut) >= 500
    assert num_calls >= 500
    num_tokens = sum(len(run) for labels in runs.values() for run in labels)
    assert num_tokens == dataset.pieces.trained_tokens
    line = packing_line("agent", dataset)
    print(f"{template}: {len(runs):,} records, {num_calls:,} calls; {line}")
    [filled] = re.findall(r"filled ([0-9.]+)%", line)
    assert float(filled) >= 98.0
