"""Masks that real commands make and that are not to be trained: refused before the first step."""

import json
import shutil
from pathlib import Path

import pytest
from hf_models import change_json
from test_chat_jinja import TAIL, chat_directory
from test_training import command, metrics, run
from test_tuning_commands import (
    MODEL,
    PLAN,
    SHORT,
    TUNED,
    Preprocess,
    blend_of,
    checkpoint,
    conversation,
    model,
    refusal,
    tune,
    write_conversations,
    write_records,
)

__all__ = ["chat_directory", "checkpoint", "model"]

WHOLE_TURNS = (
    "{%- for message in messages %}{% generation %}{{- '<|im_start|>' + message.role + '\\n' }}"
    "{{- message.content + '<|im_end|>' }}{% endgeneration %}" + TAIL
)
"""Every turn is marked, with its header."""
ALL_TEXTS = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}"
    "{% generation %}{{- message.content + '<|im_end|>' }}{% endgeneration %}" + TAIL
)
"""Every turn is marked, without its header."""


@pytest.mark.parametrize(
    ("template", "masked"),
    [(WHOLE_TURNS, "only single tokens"), (ALL_TEXTS, "only '\\n<|im_start|>assistant\\n'")],
)
def test_a_template_that_marks_every_message_is_refused(
    tmp_path: Path,
    preprocess: Preprocess,
    model: Path,
    checkpoint: Path,
    template: str,
    masked: str,
) -> None:
    (tmp_path / "every.jinja").write_text(template)
    blend = blend_of(tmp_path, preprocess, model, "every.jinja")
    sidecar = json.loads((tmp_path / "tokens/part-00000.json").read_text())
    assert 0 < sidecar["trained_tokens"] < sidecar["tokens"], "not all ones"
    line = refusal(tune(blend, checkpoint, tmp_path / "run"))
    assert f"{tmp_path}/tokens/part-00000_mask: expected a mask that trains the assistant" in line
    assert f"that 42 of 42 documents mask nothing that anybody says, {masked}" in line
    assert not (tmp_path / "run/metrics.jsonl").exists()


def test_roles_that_were_asked_for_are_trained(
    tmp_path: Path, preprocess: Preprocess, model: Path, checkpoint: Path
) -> None:
    records = [conversation(number, num_turns=1 + number % 2) for number in range(40)]
    write_records(tmp_path / "chat.jsonl", records)
    done = preprocess(
        "tokenize", "chat.jsonl", "tokens", "--tokenizer", model, "--chat-template", "hermes",
        "--train-roles", "user,assistant", "--holdout", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name, given in (("asked", "tokens"), ("merged", "all")):
        done = preprocess("merge", "tokens", "all")
        assert done.returncode == 0, done.stderr
        assert preprocess("blend", f"chat={given}:1", f"{name}.json").returncode == 0
        done = tune(tmp_path / f"{name}.json", checkpoint, tmp_path / name)
        assert done.returncode == 0, done.stderr
        # The roles of a merged dataset are not known any more.
        assert ("only if it was asked for (--train-roles)" in done.stderr) == (name == "merged")
        assert any(line.startswith("  > the quick fox ") for line in done.stderr.splitlines())


def test_a_plan_refuses_masks_before_its_first_training(
    tmp_path: Path, preprocess: Preprocess, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which the third would have refused, weeks later."""
    texts = [{"id": f"hand/t#{n}", "text": f"the quick brown fox {n} " * 20} for n in range(40)]
    write_records(tmp_path / "text.jsonl", texts)
    write_conversations(tmp_path / "chat.jsonl")
    settings, tuned = ", ".join((*MODEL, *SHORT)), ", ".join(TUNED)
    base = Path(shutil.copytree(model, tmp_path / "base"))
    plan = PLAN.format(model=base, settings=settings, tuned=tuned)
    (tmp_path / "plan.toml").write_text(plan)
    done = preprocess("run", "plan.toml")
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    named = base / "generation_config.json"
    stop = json.loads(named.read_text())["eos_token_id"]
    change_json(named, eos_token_id=5, pad_token_id=None)
    for directory in (base, Path("run/stage1/hf")):
        if directory != base:  # as a training has that was started, before what it was made of
            shutil.copytree(base, directory)
        done = run(command("plan", "plan.toml"))
        assert "Warning" not in done.stderr
        line = refusal(done)
        assert line.startswith("megatron-recipes plan: training stage3: ")
        found = f"end in a stop token of the model, [5] ({directory}/generation_config.json), "
        assert found in line
        assert f"end in {stop} ('<|im_end|>'), which {directory}/generation_config.json doe" in line
    change_json(Path("run/stage1/hf/generation_config.json"), eos_token_id=[5, stop])
    done = run(command("plan", "plan.toml", "--json"))
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "run").glob("*/step_*")) == []


def test_a_base_model_is_tuned_with_the_end_of_turn_that_was_added(
    tmp_path: Path, preprocess: Preprocess, model: Path
) -> None:
    """Refused as long as it stops at the end of documents alone; then as the line says."""
    blend = blend_of(tmp_path, preprocess, model, "hermes")
    eod = json.loads((tmp_path / "tokens/part-00000.json").read_text())["eod_id"]
    stop = json.loads((model / "generation_config.json").read_text())["eos_token_id"]
    base = Path(shutil.copytree(model, tmp_path / "base"))
    change_json(base / "generation_config.json", eos_token_id=eod, pad_token_id=None)
    directory = tmp_path / "run"
    line = refusal(tune(blend, base, directory))
    named = directory / "hf/generation_config.json"
    assert f"stop token of the model, [{eod}] ({named}), found 0 of " in line
    assert f"end in {stop} ('<|im_end|>'), which {named} does not name: add it to eos_tok" in line
    assert "masked" not in line.partition(": ")[2].replace("part-00000_mask", "")
    change_json(named, eos_token_id=[eod, stop])
    # Nor does it end the training that nobody can read the sample.
    kept = (directory / "hf/tokenizer.json").read_bytes()
    (directory / "hf/tokenizer.json").write_text("{")
    done = tune(blend, base, directory)
    assert done.returncode == 0, done.stderr
    assert len([each for each in metrics(directory) if each["kind"] == "step"]) == 2
    [line] = [each for each in done.stderr.splitlines() if "shown as ids" in each]
    assert line.startswith(f"tokens are shown as ids: {directory}/hf/tokenizer.json cannot be read")
    assert "Traceback" not in done.stderr
    (directory / "hf/tokenizer.json").write_bytes(kept)
    done = run(command("convert", "export", directory, tmp_path / "exported"))
    assert done.returncode == 0, done.stderr
    exported = json.loads((tmp_path / "exported/generation_config.json").read_text())
    assert exported["eos_token_id"] == [eod, stop], "what serves the tuned model stops there"
