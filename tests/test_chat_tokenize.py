"""`tokenize --chat-template`: equal bytes for any workers, books that balance, errors in a line."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from test_chat_jinja import GENERATION, PLAIN, chat_directory
from test_spans import documents

from preprocess import _rust_ext
from preprocess.chat.roles import parse_roles

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Preprocess

__all__ = ["chat_directory"]


def conversation(number: int) -> dict[str, Any]:
    asked = {"role": "user", "content": f"the quick question {number} <|im_end|>"}
    answer = {"role": "assistant", "content": f"the lazy answer {number}", "loss": None}
    return {
        "id": f"hand/a#{number}",
        "text": "unused",
        "kind": "trajectory",
        "source": "hand",
        "messages": [asked, answer],
    }


def write(path: Path, records: list[Any]) -> None:
    path.write_text("".join(f"{json.dumps(each)}\n" for each in records))


@pytest.mark.parametrize("given", ["hermes", "directory", "generation.jinja"])
def test_shards_are_the_same_for_any_workers_tasks_and_kills(
    tmp_path: Path, preprocess: Preprocess, chat_directory: Path, given: str
) -> None:
    (tmp_path / "generation.jinja").write_text(GENERATION)
    template = chat_directory if given == "directory" else given
    for name, first in (("a", 0), ("b", 300)):
        write(tmp_path / f"{name}.jsonl", [conversation(first + n) for n in range(300)])
    options = [
        "--tokenizer", chat_directory, "--chat-template", template, "--holdout", "0.1",
    ]  # fmt: skip
    for workers in ("1", "3"):
        done = preprocess(
            "tokenize", "a.jsonl", "b.jsonl", f"out{workers}", *options, "--workers", workers
        )
        assert done.returncode == 0, done.stderr
    for task in ("0", "1"):
        done = preprocess(
            "tokenize", "a.jsonl", "b.jsonl", "tasks", *options, "--task", task, "--num-tasks", "2",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert preprocess("verify", "tasks", "--complete").returncode == 0
    names = sorted(
        path.name for path in (tmp_path / "out1").iterdir() if path.name != "manifest.json"
    )
    assert "part-00000_mask.bin" in names
    for name in names:
        one = (tmp_path / "out1" / name).read_bytes()
        assert (
            one
            == (tmp_path / "out3" / name).read_bytes()
            == (tmp_path / "tasks" / name).read_bytes()
        )
    manifests = [
        json.loads((tmp_path / name / "manifest.json").read_text())
        for name in ("out1", "out3", "tasks")
    ]
    for manifest in manifests:
        assert manifest["details"]["literal_special_tokens"] == 600
        assert manifest["counts"] == {**manifest["counts"], "in": 600, "out": 600}
        assert manifest["config"]["train_roles"] == ["assistant"]
        assert (manifest["config"]["chat_template_sha256"] is None) == (given == "hermes")
    loaded = _rust_ext.Tokenizer.load(chat_directory)
    import numpy as np

    ids = documents(tmp_path / "out1/part-00000", np.uint16)
    masks = documents(tmp_path / "out1/part-00000_mask", np.uint8)
    for document, mask in zip(ids, masks, strict=True):
        trained = [each for each, is_trained in zip(document, mask, strict=True) if is_trained]
        assert loaded.decode(trained).startswith("the lazy answer ")
        assert loaded.decode(trained).endswith("<|im_end|>")
        assert loaded.decode(document).endswith("\n<|endoftext|>")
    assert preprocess("verify", "out1").returncode == 0


def test_what_has_no_rendering_is_counted_and_what_is_damaged_is_kept(
    tmp_path: Path, preprocess: Preprocess, chat_directory: Path
) -> None:
    call = {"id": "c", "name": "f", "arguments": {}}
    turns: list[Any] = [
        conversation(0)["messages"],
        [{"role": "user", "content": "only a question"}],
        [{"role": "assistant", "content": "", "tool_calls": [call | {"name": 'f"'}]}],
        [{"role": "nobody", "content": "a"}],
        None,
    ]
    records = [{"id": f"hand/a#{n}", "messages": each} for n, each in enumerate(turns)]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in records) + "{\n")
    done = preprocess(
        "tokenize", "a.jsonl", "out", "--tokenizer", chat_directory, "--chat-template", "hermes",
        "--max-rejected", "0.5", "--holdout", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (
        "1 times messages spell a token of the tokenizer: they are text"
        in done.stdout + done.stderr
    )
    counts = json.loads((tmp_path / "out/manifest.json").read_text())["counts"]
    assert counts["out"] == 1
    assert counts["in"] == 4
    assert counts["dropped"] == {"no_messages": 1, "nothing_trained": 1, "template_call_name": 1}
    assert counts["rejected"] == {"invalid_json": 1, "malformed_messages": 1}


def test_another_template_or_other_roles_are_another_run(
    tmp_path: Path, preprocess: Preprocess, chat_directory: Path
) -> None:
    write(tmp_path / "a.jsonl", [conversation(0)])
    base = ["tokenize", "a.jsonl", "out", "--tokenizer", chat_directory, "--holdout", "0"]
    (tmp_path / "t.jinja").write_text(PLAIN)
    assert preprocess(*base, "--chat-template", "t.jinja").returncode == 0
    (tmp_path / "t.jinja").write_text(PLAIN + "x")
    for more in (["t.jinja"], ["hermes"]):
        done = preprocess(*base, "--chat-template", *more)
        assert done.returncode == 1, done.stderr
        assert "chat_template" in done.stderr
    (tmp_path / "t.jinja").write_text(PLAIN)
    done = preprocess(*base, "--chat-template", "t.jinja", "--train-roles", "assistant,user")
    assert done.returncode == 1
    assert "train_roles" in done.stderr


def test_options_that_do_not_go_together_are_refused_in_a_line(
    tmp_path: Path, preprocess: Preprocess, chat_directory: Path
) -> None:
    write(tmp_path / "a.jsonl", [conversation(0)])
    cases = [
        (
            ["--chat-template", "hermes", "--spans-field", "s"],
            "expected --chat-template or a field",
        ),
        (["--chat-template", "hermes", "--check", "3"], "expected --check or --chat-template, got"),
        (["--train-roles", "tool"], "must be left out without a chat_template"),
        (
            ["--chat-template", "hermes", "--train-roles", "assistant=0.5"],
            "expected a weight of 0 or 1 for assistant, got '0.5'",
        ),
        (
            ["--chat-template", "hermes", "--train-roles", "model"],
            "expected roles among system, us",
        ),
        (["--chat-template", "llama3_1"], "expected the control tokens of the chat template llama"),
    ]
    for more, expected in cases:
        done = preprocess("tokenize", "a.jsonl", "out", "--tokenizer", chat_directory, *more)
        assert done.returncode == 2 or "control tokens" in expected
        assert done.returncode != 0
        assert expected in " ".join(done.stderr.split()), done.stderr
        assert not (tmp_path / "out").exists()


def test_rows_of_parquet_have_no_messages(
    tmp_path: Path, preprocess: Preprocess, chat_directory: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    done = preprocess(
        "tokenize", "a.parquet", "out", "--tokenizer", chat_directory, "--chat-template", "hermes"
    )
    assert done.returncode == 1
    assert "a.parquet: expected lines of JSON for --chat-template" in done.stderr


@pytest.mark.shared
def test_documents_of_mistral_end_with_their_last_turn(
    tmp_path: Path, preprocess: Preprocess, shared: Path
) -> None:
    write(tmp_path / "a.jsonl", [conversation(0)])
    base = [
        "tokenize", "a.jsonl", "out", "--tokenizer", shared / "tokenizers/mistral_v3",
        "--chat-template", "mistral_v3", "--holdout", "0",
    ]  # fmt: skip
    done = preprocess(*base, "--eod", "</s>")
    assert done.returncode == 1
    assert "--eod </s>: expected a token that ends documents alone" in done.stderr
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    done = preprocess(*base)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "out/manifest.json").read_text())["config"]
    assert config["eod"] is None
    assert config["eod_reason"] == "none, since mistral_v3 writes </s> in conversations"
    import numpy as np

    [document] = documents(tmp_path / "out/part-00000", np.uint16)
    assert (document[0], document[-1], document.count(2)) == (1, 2, 1)
    assert preprocess("verify", "out").returncode == 0


def test_inspect_shows_a_rendered_record(
    tmp_path: Path, preprocess: Preprocess, chat_directory: Path
) -> None:
    write(tmp_path / "a.jsonl", [conversation(0), conversation(1), {"id": "hand/a#2"}])
    base = ["inspect", "a.jsonl", "--chat-template", "hermes", "--tokenizer", chat_directory]
    done = preprocess(*base, "--record", "1")
    assert done.returncode == 0, done.stderr
    assert (
        "<|im_start|>user\nthe quick question 1 <|im_end|><|im_end|>\n"
        "<|im_start|>assistant\n⟦the lazy answer 1<|im_end|>⟧\n"
    ) in done.stdout
    assert "tokens spelled in its data, which are text: 1\n" in done.stdout
    done = preprocess(*base, "--record", "2")
    assert done.returncode == 1
    assert "hermes: expected a record that the template can express, but no_messages" in done.stderr
    done = preprocess("inspect", "a.jsonl", "--chat-template", "hermes")
    assert done.returncode == 2
    assert "expected --tokenizer with --chat-template" in done.stderr


def test_roles_are_a_table_of_0_and_1() -> None:
    assert parse_roles("tool, assistant") == ("assistant", "tool")
    assert parse_roles("assistant=0,user=1") == ("user",)
    for text, expected in [
        ("assistant=2", "expected a weight of 0 or 1 for assistant, got '2'"),
        ("", "expected roles among system, user, assistant, tool, got ''"),
        ("user,user", "got 'user' twice"),
    ]:
        with pytest.raises(ValueError, match=expected):
            parse_roles(text)
