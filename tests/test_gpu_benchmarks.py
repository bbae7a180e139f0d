"""The check of a GPU: what of it needs none, by the same script, and what it says of trouble."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from gpu_script import HIDING, SCRIPT, environment_of, options_at

from benchmarks.gpu import cases, curves, memory, text, throughput, twin
from benchmarks.gpu.needs import PARTS, wanted
from benchmarks.gpu.report import read_results
from megatron_recipes.memory import check_memory
from megatron_recipes.recipes import find_recipe
from megatron_recipes.settings import apply_settings

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_SECONDS = 580
OPTIONAL = {"typer", "matplotlib", "zstandard", "tokenizers", "xxhash"}


def run_script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *arguments],
        env=environment_of(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Every part, at the sizes of a test: results and output.

    Transformer Engine is there, and fails without a GPU, as on a machine whose GPU is not used.
    Packages that parts are not said to need are not there.
    """
    path = tmp_path_factory.mktemp("gpu")
    engine = path / "site/transformer_engine/__init__.py"
    engine.parent.mkdir(parents=True)
    engine.write_text("raise RuntimeError('imported without a GPU')\n")
    (path / "site/sitecustomize.py").write_text(HIDING)
    output = ""
    for parts in (("kernels", "twin", "memory"), ("throughput",), ("curves", "checkpoints")):
        named = {name for part in parts for name in wanted(part, on_gpu=False, has_blend=False)}
        ran = run_script(
            "none", *parts, "--device", "cpu", "--tiny",
            OUT=str(path / "out"), WORK=str(path / "work"), PYTHONPATH=str(path / "site"),
            HIDDEN=" ".join(OPTIONAL - named),
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        output += ran.stdout
    return path, output


def steps_of(path: Path, part: str) -> dict[str, dict[str, Any]]:
    content = json.loads((path / "out" / f"{part}.json").read_text())
    assert content["device"] == "cpu"
    for step in content["steps"]:
        run = content["runs"][step["run"]]
        assert (run["commit"], run["device"]) == ("tested", "cpu")
        assert run["packages"]["torch"] != "absent"
        assert step["date"] >= run["date"]
    assert content["ended"] in content["runs"]
    return {step["name"]: step for step in content["steps"]}


@pytest.mark.slow
def test_every_part_writes_what_a_cpu_can_find(done: tuple[Path, str]) -> None:
    path, _ = done
    found = {part: steps_of(path, part) for part in PARTS}
    kernels = found["kernels"]
    assert kernels["weight gradient"]["errors"]["fp32"] < 1e-4
    linear = kernels["linear tensorwise"]
    assert (linear["ok"], linear["skipped"]) == (None, "needs a GPU and Transformer Engine")
    assert 0 < found["twin"]["float32"]["largest_gap"] < 0.05
    assert found["twin"]["CPU twin, BF16"]["fall"] > 1
    bf16 = found["throughput"]["BF16"]
    assert bf16["figures"]["tokens_per_second_per_gpu"] > 0
    assert "half_stack" not in bf16
    assert not any(name.startswith("mfu") for name in bf16["figures"])
    assert len(found["curves"]["FP8"]["losses"]) == curves.TINY_STEPS
    assert found["curves"]["comparison"]["relative_difference"] == 0
    assert "BF16 against itself, no FP8 on a CPU" in found["curves"]["comparison"]["verdict"]
    read = found["curves"]["text"]["digest"]
    assert found["curves"]["FP8"]["inputs"] == found["checkpoints"]["resumed"]["inputs"] == read
    resumed = found["checkpoints"]["resumed"]
    assert resumed["attempts"] == [1, 1, 1, 2, 2, 2]
    assert resumed["losses"] == found["checkpoints"]["unbroken"]["losses"]
    assert "model.safetensors" in found["checkpoints"]["export"]["file_bytes"]
    assert found["checkpoints"]["import of the export"]["ok"]
    assert len(found["memory"]) == len(memory.CASES) == 5
    for step in found["memory"].values():
        assert step["predicted_bytes"] == step["found_bytes"]
        assert step["compared"].startswith("static bytes alone")
        assert "gpu=cpu" in step["settings"]
    fp8 = found["memory"]["FP8 weights and products"]
    assert any(line.startswith("fp8: ") for line in fp8["not_on_a_cpu"])
    # Without FP8, and with the same sizes, nothing tells it from another configuration.
    assert fp8["same_as"] == ["BF16, float32 states"]


@pytest.mark.slow
def test_what_is_done_is_not_repeated(done: tuple[Path, str], tmp_path: Path) -> None:
    path, _ = done
    out = tmp_path / "out"
    ran = run_script(
        "none", "curves", "--device", "cpu", "--tiny",
        OUT=str(out), WORK=str(tmp_path), RESUME=str(path / "out"),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    text, summary = ran.stdout.splitlines()
    assert text.startswith("ok: text: ")
    assert summary == f"curves: 0 of 4 failed; {out}/curves.json"
    before = {step["name"]: step for step in read_results(path / "out/curves.json")["steps"]}
    for step in read_results(out / "curves.json")["steps"]:
        assert step["name"] == "text" or step == before[step["name"]]


@pytest.mark.slow
def test_checkpoints_go_on_where_their_files_are_not(
    done: tuple[Path, str], tmp_path: Path
) -> None:
    path, _ = done
    content = read_results(path / "out/checkpoints.json")
    content["steps"] = [step for step in content["steps"] if "import" not in step["name"]]
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier/checkpoints.json").write_text(json.dumps(content))
    ran = run_script(
        "none", "checkpoints", "--device", "cpu", "--tiny",
        OUT=str(tmp_path / "out"), WORK=str(tmp_path), RESUME=str(tmp_path / "earlier"),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    steps = steps_of(tmp_path, "checkpoints")
    assert steps["import of the export"]["ok"]
    # Its losses are all that is needed of it.
    assert "ok: unbroken" not in ran.stdout
    assert "ok: stopped" in ran.stdout


def test_a_machine_without_a_gpu_is_told_so(tmp_path: Path) -> None:
    ran = run_script("none", "kernels", CUDA_VISIBLE_DEVICES="", WORK=str(tmp_path),
                     OUT=str(tmp_path / "out"))  # fmt: skip
    assert ran.returncode == 2
    assert "expected a GPU of compute capability 9.0 (H100, H200), found none" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", throughput.PLANS)
def test_llama_3_8b_fits_one_h200_whole(name: str, tmp_path: Path) -> None:
    options = options_at(tmp_path, device="cuda", tiny=False)
    for fields in throughput.PLANS[name]:
        config = cases.one_gpu(options, **(throughput.BATCH | fields))
        check_memory(config)
        recipe, *settings = cases.arguments_of(config)
        again = apply_settings(find_recipe(recipe), settings[1::2])
        assert again == config
        assert (config.layout.world_size, config.batch.sequence_length) == (1, 8192)
    first = cases.one_gpu(options, **throughput.PLANS[name][0])
    assert first.model == find_recipe("llama3_8b").model
    assert first.precision.use_precision_aware_optimizer


def test_every_config_of_a_gpu_is_accepted(tmp_path: Path) -> None:
    options = options_at(tmp_path, device="cuda", tiny=False)
    fields = [memory.BASE | each for each in memory.CASES.values()]
    fields += [twin.TWO_LAYERS | each for each, _ in twin.VARIANTS.values()]
    fields += [curves.EIGHT_LAYERS | {"num_steps": 200} | each for each in ({}, cases.FP8)]
    configs = [cases.one_gpu(options, **each) for each in fields]
    assert len(set(configs)) == len(configs)
    for config in configs:
        check_memory(config)


def test_datasets_are_those_of_their_text(tmp_path: Path) -> None:
    def written(name: str, word: str) -> Path:
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        for number in range(30):
            (directory / f"{number}.md").write_text(f"{word} {number}\n")
        return directory

    options = options_at(tmp_path, text=written("a", "one"))
    first = text.text_of(options)
    stamp = first.blend.stat().st_mtime_ns
    assert first.tokenizer is not None
    again = text.text_of(options)
    assert (again, again.blend.stat().st_mtime_ns) == (first, stamp)
    other = text.text_of(dataclasses.replace(options, text=written("b", "two")))
    larger = text.text_of(dataclasses.replace(options, tiny=False))
    written("a", "three")
    changed = text.text_of(options)
    found = {each.digest: each.figures()["tokens"] for each in (first, other, larger, changed)}
    assert len(found) == 4
    given = text.text_of(dataclasses.replace(options, blend=first.blend))
    assert given.digest != text.text_of(dataclasses.replace(options, blend=other.blend)).digest
    assert given.figures()["tokens"] == first.figures()["tokens"]


def test_a_half_made_dataset_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        (tmp_path / f"{number}.md").write_text(f"words {number}\n")
    options = options_at(tmp_path, text=tmp_path)

    def interrupted(*_arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(text, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            text.text_of(options)
    assert text.text_of(options).figures()["tokens"] > 0


def test_too_little_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("words")
    with pytest.raises(ValueError, match=r"expected at least 20 files of .*, found 1"):
        text.text_of(options_at(tmp_path, text=tmp_path))
