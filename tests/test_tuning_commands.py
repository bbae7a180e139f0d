"""Stage 3 as a user runs it: from records and a Hugging Face model, and what is refused there."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hf_models import change_json, save_model
from test_chat_jinja import GENERATION, chat_directory
from test_training import command, metrics, run

__all__ = ["chat_directory"]

type Preprocess = Callable[..., subprocess.CompletedProcess[str]]

LENGTH = 96
MODEL = ("hidden_size=64", "ffn_hidden_size=176", "kv_channels=16", f"sequence_length={LENGTH}")
TUNED = ("document_bounded_attention=true", "pack_conversations=true")
SHORT = ("num_steps=2", "lr_warmup_steps=0", "max_epochs=100", "async_save=false")
UNTRAINED_STOP = GENERATION.replace(
    "{{- '<|im_end|>' }}{% endgeneration %}", "{% endgeneration %}{{- '<|im_end|>' }}"
)


def conversation(number: int, num_turns: int = 1, words: int = 4) -> dict[str, Any]:
    """Return a record whose answers are of the words that the tokenizer has merged."""
    messages = []
    for turn in range(num_turns):
        messages.append({"role": "user", "content": f"the quick fox {number} {turn}"})
        answer = " ".join(("the", "lazy", "dog", "and")[place % 4] for place in range(words))
        messages.append({"role": "assistant", "content": answer})
    return {"id": f"hand/a#{number}", "source": "hand", "messages": messages}


@pytest.fixture(scope="module")
def model(chat_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that ends its turns with <|im_end|>, and pads with it."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(chat_directory / "tokenizer.json"))
    stop = tokenizer.token_to_id("<|im_end|>")
    directory = tmp_path_factory.mktemp("model") / "hf"
    size = tokenizer.get_vocab_size()
    save_model(directory, "mistral", vocab_size=size, eos_token_id=stop, pad_token_id=stop)
    for path in chat_directory.iterdir():
        shutil.copy(path, directory)
    generation = json.loads((directory / "generation_config.json").read_text())
    assert (generation["eos_token_id"], generation["pad_token_id"]) == (stop, stop)
    return directory


def write_records(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(each)}\n" for each in records))


def write_conversations(path: Path) -> None:
    """Write 40 that fit a sequence, one that is cut behind a turn, one whose answer is too long."""
    short = [conversation(number, num_turns=1 + number % 2) for number in range(40)]
    write_records(path, [*short, conversation(40, num_turns=8), conversation(41, words=200)])


PLAN = """
[run]
directory = "run"
[[stage]]
name = "tokens_text"
command = "tokenize"
input = "text.jsonl"
options = {{ tokenizer = "{model}", holdout = 0.0 }}
[[stage]]
name = "text.json"
command = "blend"
input = ["text=tokens_text:1"]
[[stage]]
name = "tokens_chat"
command = "tokenize"
input = "chat.jsonl"
options = {{ tokenizer = "{model}", holdout = 0.0, chat_template = "hermes" }}
[[stage]]
name = "chat.json"
command = "blend"
input = ["chat=tokens_chat:1"]
[[training]]
name = "stage1"
recipe = "tiny"
blend = "text.json"
from = "{model}"
set = {{ {settings} }}
[[training]]
name = "stage2"
recipe = "tiny"
blend = "text.json"
from = "stage1"
set = {{ {settings}, learning_rate = 4e-4 }}
[[training]]
name = "stage3"
recipe = "tiny"
blend = "chat.json"
from = "stage2"
set = {{ {settings}, {tuned}, learning_rate = 2e-4 }}
"""


def test_a_plan_ends_in_a_tuned_model(
    tmp_path: Path, preprocess: Preprocess, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_records(
        tmp_path / "text.jsonl",
        [{"id": f"hand/t#{n}", "text": f"the quick brown fox {n} " * 20} for n in range(40)],
    )
    write_conversations(tmp_path / "chat.jsonl")
    settings, tuned = ", ".join((*MODEL, *SHORT)), ", ".join(TUNED)
    plan = PLAN.format(model=model, settings=settings, tuned=tuned)
    (tmp_path / "plan.toml").write_text(plan)
    done = preprocess("run", "plan.toml")
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    trained = run(command("plan", "plan.toml"))
    assert trained.returncode == 0, trained.stderr
    stages = [tmp_path / f"run/stage{number}" for number in (1, 2, 3)]
    for stage in stages:
        assert (stage / "DONE").exists()
        assert [each["step"] for each in metrics(stage) if each["kind"] == "step"] == [1, 2]
        assert (stage / "hf/tokenizer.json").exists(), "what an export needs travels along"
    lines = trained.stderr.splitlines()
    assert any(line.startswith(f"starting from the weights of {stages[1]}/step_") for line in lines)
    [packed] = [line for line in lines if line.startswith("conversations of chat: 41 in ")]
    assert "1 conversations cut at turns, 1 dropped" in packed
    assert "padding token" in trained.stderr
    assert any(line.startswith("  > the lazy dog and<|im_end|>") for line in lines)
    assert not any(line.startswith("  >") and "fox" in line for line in lines)


@pytest.fixture(scope="module")
def checkpoint(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model as a checkpoint."""
    directory = tmp_path_factory.mktemp("checkpoint") / "imported"
    done = run(command("convert", "import", model, directory))
    assert done.returncode == 0, done.stderr
    return directory


def tune(blend: Path, checkpoint: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    arguments: list[str | Path] = ["train", "tiny", "--blend", blend, "--from", checkpoint]
    arguments += ["--checkpoint-dir", directory]
    for setting in (*MODEL, *SHORT, *TUNED):
        arguments += ["--set", setting]
    return run(command(*arguments))


def blend_of(directory: Path, preprocess: Preprocess, model: Path, template: str) -> Path:
    write_conversations(directory / "chat.jsonl")
    done = preprocess(
        "tokenize", "chat.jsonl", "tokens", "--tokenizer", model, "--chat-template", template,
        "--holdout", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = preprocess("blend", "chat=tokens:1", "blend.json")
    assert done.returncode == 0, done.stderr
    return directory / "blend.json"


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a training fails with."""
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if "expected" in line]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


def test_a_stop_token_that_is_masked_is_refused(
    tmp_path: Path, preprocess: Preprocess, model: Path, checkpoint: Path
) -> None:
    (tmp_path / "untrained.jinja").write_text(UNTRAINED_STOP)
    blend = blend_of(tmp_path, preprocess, model, "untrained.jinja")
    line = refusal(tune(blend, checkpoint, tmp_path / "run"))
    assert "expected the loss of the stop token to count, found " in line
    assert "generation_config.json" in line


def test_a_template_without_the_models_stop_token_is_refused(
    tmp_path: Path, preprocess: Preprocess, model: Path
) -> None:
    blend = blend_of(tmp_path, preprocess, model, "hermes")
    other = Path(shutil.copytree(model, tmp_path / "other"))
    # As a model whose turns end in some other token.
    change_json(other / "generation_config.json", eos_token_id=5, pad_token_id=None)
    line = refusal(tune(blend, other, tmp_path / "run"))
    assert "expected trained turns to end in a stop token of the model, [5] (" in line
    assert "or use the chat template that belongs to the model" in line


def test_masks_of_ones_and_of_zeros_are_refused_before_anything_starts(
    tmp_path: Path, preprocess: Preprocess, model: Path, checkpoint: Path
) -> None:
    blend = blend_of(tmp_path, preprocess, model, "hermes")
    sidecar = tmp_path / "tokens/part-00000.json"
    content = json.loads(sidecar.read_text())
    for trained, said in ((content["tokens"], "trains all of"), (0, "trains none of")):
        sidecar.write_text(json.dumps({**content, "trained_tokens": trained}))
        line = refusal(tune(blend, checkpoint, tmp_path / "run"))
        assert f"{said} {content['tokens']:,} tokens" in line
    assert not (tmp_path / "run").exists()
