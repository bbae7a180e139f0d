"""What a benchmark makes of what it measured: clock, tokens, operations, energy, published runs."""

import time
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from blend_files import write_blend, write_masked_blend
from forked_world import run_world

from megatron_recipes.benchmark.anchors import anchors
from megatron_recipes.benchmark.clock import StepClock, timed_steps
from megatron_recipes.benchmark.report import markdown, picture
from megatron_recipes.benchmark.results import FORMULAS, Result
from megatron_recipes.figures import StepFigures
from megatron_recipes.flops import flops_per_token
from megatron_recipes.recipes import find_recipe
from megatron_recipes.settings import apply_settings, with_fields

PNG = b"\x89PNG"
BOUNDED = ("document_bounded_attention=true", "vocab_size=300", "sequence_length=64")


def result(recipe: str, *seconds: float, **measured: Any) -> Result:
    plain = {
        "seconds": list(seconds),
        "losses": [11.8, 11.7],
        "peak_memory_bytes": 70e9,
        "joules": 5600.0 * sum(seconds),
        "active": ["layers: ..."],
        "device": "NVIDIA H100 80GB HBM3",
    }
    return Result(config=find_recipe(recipe), measured=plain | measured)


class StandInDevice:
    """A GPU's queue: work that is asked for is done later, a mark is reached behind it."""

    def __init__(self) -> None:
        self.asked = 0.0
        self.waited = 0

    def event(self, *, enable_timing: bool) -> Any:
        assert enable_timing
        device = self

        class Event:
            reached = -1.0

            def record(self) -> None:
                self.reached = device.asked

            def synchronize(self) -> None:
                device.waited += 1

            def elapsed_time(self, later: Any) -> float:
                assert device.waited, "a time that the device has not reached yet"
                return float(1000 * (later.reached - self.reached))

        return Event()


def test_steps_end_with_the_last_kernel_they_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    device = StandInDevice()
    monkeypatch.setattr(torch.cuda, "Event", device.event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: pytest.fail("the queue ran empty"))

    def step(number: int) -> float:
        assert device.waited == 0, "no step waits for the one before"
        device.asked += (0.5, 0.25, 2.0)[number]  # the optimizer's kernels, still queued
        return float(number)

    losses, seconds = timed_steps(step, 3, StepClock(torch.device("cuda")))
    assert losses == [0.0, 1.0, 2.0]
    assert seconds == pytest.approx([0.5, 0.25, 2.0])
    assert device.waited == 1


def test_on_a_cpu_the_clock_touches_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Event", lambda **_: pytest.fail("a CPU has no events"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: pytest.fail("nor a queue"))
    _, seconds = timed_steps(
        lambda _number: time.sleep(0.02) or 0.0, 2, StepClock(torch.device("cpu"))
    )
    assert len(seconds) == 2
    assert all(0.02 <= each < 0.2 for each in seconds)


def test_figures_follow_from_the_median_step() -> None:
    found = result("llama3_8b_fp8", 30.0, 36.0, 50.0).figures()
    tokens = 512 * 8192 / 36 / 8
    assert found["tokens_per_second_per_gpu"] == pytest.approx(tokens)
    assert found["model_tflops_per_gpu_causal"] == pytest.approx(tokens * 51.47e9 / 1e12, rel=1e-3)
    assert found["mfu_causal_of_1979_fp8"] == pytest.approx(tokens * 51.47e9 / 1979e12, rel=1e-3)
    assert found["mfu_full_of_989_bf16"] == pytest.approx(tokens * 57.91e9 / 989e12, rel=1e-3)
    assert found["recomputed_tflops_per_gpu"] > 0
    mean_step = (30 + 36 + 50) / 3
    assert found["joules_per_token"] == pytest.approx(5600 * mean_step / (512 * 8192))
    assert not [name for name in found if "padding" in name or name == "attended_tokens"]
    others = [name for name in found if not name.startswith(tuple(FORMULAS))]
    times = ["fastest_step_seconds", "slowest_step_seconds"]
    assert others == [*times, "first_loss", "last_loss", "gpus"]


def test_packed_conversations_count_their_own_tokens_and_pairs() -> None:
    room = 2 * find_recipe("llama3_8b_stage3").batch.tokens_per_step  # two steps
    lengths = numpy.full(room // 1024, 1000)
    content = {
        "tokens": int(lengths.sum()),
        "squares": int((lengths**2).sum()),
        "padding": int(room - lengths.sum()),
    }
    packed = result("llama3_8b_stage3", 10.0, 10.0, content=content)
    found = packed.figures()
    assert found["attended_tokens"] == 1000
    assert found["padding_share"] == pytest.approx(24 / 1024)
    whole = found["tokens_per_second_per_gpu_with_padding"]
    assert whole == pytest.approx(room / 2 / 10 / packed.config.layout.world_size)
    tokens = found["tokens_per_second_per_gpu"]
    assert tokens == pytest.approx(whole * 1000 / 1024)
    flops = flops_per_token(packed.config.model, 1000)
    assert found["model_tflops_per_gpu_causal"] == pytest.approx(tokens * flops.causal / 1e12)
    assert found["model_tflops_per_gpu_full"] == pytest.approx(tokens * flops.full / 1e12)
    assert found["joules_per_token"] == pytest.approx(5600.0 * 20 / content["tokens"])
    text = markdown([packed], {}, {})
    assert "| tokens/s/GPU with padding |" in text
    assert "| padding | 2.3% |" in text
    assert "sum l^2 / sum l" in text


def test_packed_samples_are_what_they_are_made_of(tmp_path: Path) -> None:
    write_masked_blend(tmp_path, vocab_size=300)
    prefix = str(tmp_path / "agent/part-00000")
    for multiple in (1, 4):
        found, expected = run_world(_content_of_an_epoch, 1, prefix, multiple)[0]
        assert found == expected
        assert found[2] > 0


def _content_of_an_epoch(prefix: str, multiple: int) -> tuple[list[int], list[int]]:
    from megatron_recipes.benchmark.reading import content_of
    from megatron_recipes.tuning.conversations import MixedConversations, PackedConversations
    from megatron_recipes.tuning.masked_documents import MaskedDocuments

    packed = PackedConversations(MaskedDocuments([prefix]), 128, seed=1, document_multiple=multiple)
    mixed = MixedConversations([packed], [1.0], len(packed))
    found = content_of(mixed, range(len(packed)), 128)
    inputs = packed.pieces.lengths - 1
    room = 128 * len(packed)
    expected = [int(inputs.sum()), int((inputs**2).sum()), int(room - inputs.sum())]
    return [found.tokens, found.squares, found.padding], expected


def test_bounded_attention_is_counted_from_the_samples_of_the_measured_steps(
    tmp_path: Path,
) -> None:
    blend = write_blend(tmp_path / "data")
    config = apply_settings(find_recipe("tiny"), BOUNDED)
    (measured, expected), *_ = run_world(_measured_in_a_world, 1, config, blend, tmp_path)
    assert measured["content"] == expected
    assert len(measured["seconds"]) == 2
    assert len(measured["losses"]) == 3
    assert measured["joules"] is None
    figures = Result(config=config, measured=measured).figures()
    # Documents of 200 tokens are cut by sequences of 64, so that most sequences are one document.
    assert 32 < figures["attended_tokens"] < 64
    assert "padding_share" not in figures


def _measured_in_a_world(config: Any, path: Path, directory: Path) -> tuple[Any, dict[str, int]]:
    import json

    from megatron_recipes.benchmark import measure as measuring
    from megatron_recipes.blend import read_blend

    seen: list[Any] = []

    class Watched:
        """The dataset, noting what the steps read."""

        def __init__(self, dataset: Any) -> None:
            self._dataset = dataset

        def __len__(self) -> int:
            return len(self._dataset)

        def __getitem__(self, index: int) -> Any:
            sample = self._dataset[index]
            seen.append(sample["cu_seqlens"].numpy())
            return sample

    whole = measuring._dataset
    measuring._dataset = lambda wanted: Watched(whole(wanted))
    measuring.measure(
        measuring.Measurement(
            config=config,
            blend=read_blend(path),
            warm_up_steps=1,
            num_steps=2,
            profile=False,
            directory=directory,
        ),
        print,
    )
    batch = config.batch.global_batch_size
    lengths = numpy.concatenate([numpy.diff(bounds) for bounds in seen[batch : 3 * batch]])
    expected = {
        "tokens": int(lengths.sum()),
        "squares": int((lengths.astype(int) ** 2).sum()),
        "padding": 0,
    }
    return json.loads((directory / "measured.json").read_text()), expected


def test_a_training_says_where_it_counts_whole_sequences() -> None:
    plain = apply_settings(find_recipe("tiny"), ("vocab_size=300",))
    bounded = apply_settings(find_recipe("tiny"), BOUNDED)
    assert StepFigures(plain).of(1.0)["flops_formula"] == "causal"
    assert StepFigures(bounded).of(1.0)["flops_formula"] == "causal, of whole sequences"


def test_energy_is_the_sum_of_all_gpus_or_not_known() -> None:
    from megatron_recipes.benchmark.measure import sum_if_all

    assert sum_if_all([1.5, 2.5]) == 4.0
    assert sum_if_all([1.5, None]) is None
    unknown = result("llama3_8b", 1.0, joules=None)
    assert not [name for name in unknown.figures() if "joules" in name]


def test_a_cpu_has_no_utilization() -> None:
    tiny = with_fields(find_recipe("tiny"), vocab_size=512)
    measured = {**result("llama3_8b", 1.0).measured, "joules": None, "device": "cpu"}
    on_cpu = Result(config=tiny, measured=measured)
    assert not [name for name in on_cpu.figures() if name.startswith(("mfu", "joules"))]
    text = markdown([on_cpu], {}, {})
    assert "tokens/s/process" in text.splitlines()[0]
    assert "| processes | 1 |" in text


def test_published_runs_stand_beside_the_same_model_and_say_in_what_they_differ() -> None:
    found = anchors(find_recipe("llama3_8b"), "NVIDIA H100 80GB HBM3")
    assert len(found) == 7
    like_it = [anchor for anchor in found if not anchor.differs_in]
    assert {anchor.precision for anchor in like_it} == {"BF16"}
    assert found[: len(like_it)] == like_it
    assert {anchor.differs_in for anchor in found} == {(), ("precision",)}
    fp8 = anchors(find_recipe("llama3_8b_h200_fp8"), "NVIDIA H200")
    assert {anchor.differs_in for anchor in fp8} == {("GPU",), ("GPU", "precision")}
    tuned = anchors(find_recipe("llama3_8b_stage3"), "NVIDIA H100 80GB HBM3")
    assert [anchor.name[:14] for anchor in tuned] == ["Llama-3-8B SFT"] * 2
    assert all("sequence length" in anchor.differs_in for anchor in tuned)
    assert tuned[0].sequence_length == 4096
    assert anchors(find_recipe("mistral_7b"), "NVIDIA H100") == []
    bounded = with_fields(find_recipe("llama3_8b_stage3"), pack_conversations=False)
    differing = [anchor.differs_in for anchor in anchors(bounded, "NVIDIA H100")]
    assert len(differing) == 7
    assert all("attention" in names for names in differing)


@pytest.mark.parametrize("device", ["NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA GH100", "cpu"])
def test_published_runs_of_another_board_do_not_compare(device: str) -> None:
    found = anchors(find_recipe("llama3_8b"), device)
    assert found
    assert all("GPU" in anchor.differs_in for anchor in found)


def test_a_published_run_of_another_kind_is_marked() -> None:
    found = result("llama3_8b", 50.0)
    text = markdown([found], {}, {})
    row = next(line for line in text.splitlines() if "Megatron-Bridge 25.11" in line)
    assert row.endswith("| 8 H100 SXM | 8,192 | FP8 | 14,451 | **no**: other precision |")
    assert "| 8 H100 SXM | 8,192 | BF16 | 10,682 | yes |" in text
    assert "model TFLOP/s / dense peak" in text
    assert picture([found]).startswith(PNG)
