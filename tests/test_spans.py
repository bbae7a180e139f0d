"""Records in spans: ids as the reference has them, masks by position, all the way to a blend."""

from __future__ import annotations

import json
import random
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xxhash

from preprocess import _rust_ext

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Preprocess

Spans = list[tuple[str, bool, bool]]


@pytest.fixture(scope="session")
def chat_tokenizer(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small tokenizer with the marks of turns."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(tokenizer))
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    path = tmp_path_factory.mktemp("chat") / "tokenizer.json"
    made.save(str(path))
    return path


def turn(role: str, content: str, *, trained: bool) -> Spans:
    return [
        ("<|im_start|>", True, False),
        (f"{role}\n", False, False),
        (content, False, trained),
        ("<|im_end|>", True, trained),
        ("\n", False, False),
    ]


def chat(number: int) -> Spans:
    asked = turn("user", f"the quick question {number}?", trained=False)
    return [*asked, *turn("assistant", f"the lazy answer <|im_end|> {number}", trained=True)]


def record(number: int, spans: Spans, kind: str = "trajectory") -> dict[str, Any]:
    return {
        "id": f"hand/a#{number}",
        "kind": kind,
        "source": "hand",
        "spans": [
            {"text": text, "special": special, "trained": trained, "role": {"is": "kept"}}
            for text, special, trained in spans
        ],
    }


def write(path: Path, records: list[Any]) -> None:
    path.write_text("".join(f"{json.dumps(each)}\n" for each in records))


def documents(prefix: Path, dtype: type[np.generic]) -> list[list[int]]:
    content = prefix.with_name(prefix.name + ".idx").read_bytes()
    count = int(np.frombuffer(content, np.uint64, 1, 18)[0])
    lengths = np.frombuffer(content, np.int32, count, 34)
    elements = np.fromfile(prefix.with_name(prefix.name + ".bin"), dtype)
    return [part.tolist() for part in np.split(elements, np.cumsum(lengths)[:-1])]


def test_a_mask_stands_beside_every_dataset_and_says_what_spans_say(
    tmp_path: Path, preprocess: Preprocess, chat_tokenizer: Path
) -> None:
    loaded = _rust_ext.Tokenizer.load(chat_tokenizer)
    write(tmp_path / "a.jsonl", [record(number, chat(number)) for number in range(300)])
    for workers in ("1", "2"):
        done = preprocess(
            "tokenize", "a.jsonl", f"out{workers}", "--tokenizer", chat_tokenizer,
            "--spans-field", "spans", "--holdout", "0.1", "--workers", workers,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    names = [
        f"{series}-00000{kind}" for series in ("part", "valid") for kind in (".bin", "_mask.bin")
    ]
    for name in [*names, "part-00000_mask.idx", "part-00000.json"]:
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()
    [eod] = [id for token, id in loaded.special_tokens if token == "<|endoftext|>"]
    ids = documents(tmp_path / "out1/part-00000", np.uint16)
    masks = documents(tmp_path / "out1/part-00000_mask", np.uint8)
    from preprocess.readers.lines import read_lines

    numbers = [
        int(line.data.rpartition(b"#")[2])
        for line in read_lines(tmp_path / "out1/part-00000.ids.zst")
    ]
    assert len(ids) == len(masks) == len(numbers) > 200
    for number, document, mask in zip(numbers, ids, masks, strict=True):
        expected, expected_mask = loaded.encode_spans(chat(number))
        # The last span is a line end that is not trained: neither is the end of the document.
        assert document == [*expected.tolist(), eod]
        assert mask == [*expected_mask.tolist(), 0]
        trained = [each for each, is_trained in zip(document, mask, strict=True) if is_trained]
        assert loaded.decode(trained) == f"the lazy answer <|im_end|> {number}<|im_end|>"
    sidecar = json.loads((tmp_path / "out1/part-00000.json").read_text())
    assert sidecar["trained_tokens"] == sum(map(sum, masks))
    done = preprocess("verify", "out1")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = preprocess("inspect", "out1", "--record", "0", "--tokenizer", chat_tokenizer)
    expected_text = f"assistant\n⟦the lazy answer <|im_end|> {numbers[0]}<|im_end|>⟧\n<|endoftext|>"
    assert expected_text in shown.stdout


def test_the_end_of_the_document_is_trained_where_the_last_token_is(
    tmp_path: Path, preprocess: Preprocess, chat_tokenizer: Path
) -> None:
    spans = [[("the dog", False, False), (" answers", False, True), ("", False, False)]]
    write(tmp_path / "a.jsonl", [record(0, each) for each in spans])
    done = preprocess(
        "tokenize", "a.jsonl", "out", "--tokenizer", chat_tokenizer, "--spans-field", "spans",
        "--holdout", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [mask] = documents(tmp_path / "out/part-00000_mask", np.uint8)
    assert mask[-1] == 1
    assert mask[0] == 0


def test_a_control_token_ends_a_turn_by_itself(
    tmp_path: Path, preprocess: Preprocess, chat_tokenizer: Path
) -> None:
    spans = [("the dog", False, False), (" answers", False, True), ("<|im_end|>", True, True)]
    write(tmp_path / "a.jsonl", [record(0, spans)])
    done = preprocess(
        "tokenize", "a.jsonl", "out", "--tokenizer", chat_tokenizer, "--spans-field", "spans",
        "--holdout", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [mask] = documents(tmp_path / "out/part-00000_mask", np.uint8)
    assert mask[-2:] == [1, 0], "no end of document is trained behind the end of a turn"


def test_records_without_spans_or_with_nothing_to_train_are_counted(
    tmp_path: Path, preprocess: Preprocess, chat_tokenizer: Path
) -> None:
    records = [
        record(0, chat(0)),
        record(1, turn("user", "only a question", trained=False)),
        record(2, []),
        record(3, [("", False, True)]),
        record(4, [("<|tool|>", True, True)]),
        {"id": "hand/a#5", "text": "no spans"},
        {"id": "hand/a#6", "spans": [{"text": "a"}]},
        record(7, [("<|endoftext|>", True, True)]),
    ]
    write(tmp_path / "a.jsonl", records)
    done = preprocess(
        "tokenize", "a.jsonl", "out", "--tokenizer", chat_tokenizer, "--spans-field", "spans",
        "--max-rejected", "0.5", "--holdout", "0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "out/manifest.json").read_text())["counts"]
    assert counts["out"] == 1
    assert counts["dropped"] == {"no_tokens": 2, "nothing_trained": 1}
    assert counts["rejected"] == {
        "end_of_document_inside": 1,
        "malformed_spans": 1,
        "no_spans": 1,
        "unknown_special_token": 1,
    }


def make_part_of_valid(directory: Path) -> None:
    """Name the held-out shard of a directory `part-00001`, in its manifest too."""
    for path in sorted(directory.glob("valid-00000*")):
        path.rename(path.with_name(path.name.replace("valid-00000", "part-00001")))
    manifest = directory / "manifest.json"
    manifest.write_text(manifest.read_text().replace("valid-00000", "part-00001"))


@pytest.fixture
def masked(tmp_path: Path, preprocess: Preprocess, chat_tokenizer: Path) -> Path:
    """Return a directory of two shards with masks."""
    write(tmp_path / "c.jsonl", [record(number, chat(number)) for number in range(90)])
    done = preprocess(
        "tokenize", "c.jsonl", "out", "--tokenizer", chat_tokenizer, "--spans-field", "spans",
        "--holdout", "0.4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    make_part_of_valid(tmp_path / "out")
    return tmp_path / "out"


def test_a_merged_dataset_keeps_its_mask_and_verify_proves_it(
    tmp_path: Path, preprocess: Preprocess, masked: Path
) -> None:
    # Shards that no manifest lists are none, and a mask is no shard.
    for path in sorted(masked.glob("part-00000*")):
        shutil.copy(path, path.with_name(path.name.replace("part-00000", "part-00002")))
    done = preprocess("merge", "out", "all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in tmp_path.glob("*all*")) == [
        "all.bin", "all.ids.zst", "all.idx", "all.json", "all_mask.bin", "all_mask.idx",
    ]  # fmt: skip
    parts = ["out/part-00000_mask", "out/part-00001_mask"]
    joined = [mask for part in parts for mask in documents(tmp_path / part, np.uint8)]
    assert documents(tmp_path / "all_mask", np.uint8) == joined
    assert len(joined) == 90
    sidecar = json.loads((tmp_path / "all.json").read_text())
    assert sidecar["trained_tokens"] == sum(map(sum, joined))
    done = preprocess("verify", "all")
    assert (done.returncode, "6 files" in done.stdout + done.stderr) == (0, True), done.stdout
    mask = tmp_path / "all_mask.bin"
    content = bytearray(mask.read_bytes())
    content[content.index(0)] = 1
    mask.write_bytes(content)
    done = preprocess("verify", "all")
    assert done.returncode == 1
    assert f"expected {sum(map(sum, joined))} trained tokens, found" in done.stdout + done.stderr


@pytest.mark.parametrize("what", ["content", "value", "lengths", "missing file", "missing mask"])
def test_a_mask_that_is_not_what_it_should_be_ends_the_merge_and_leaves_nothing(
    tmp_path: Path, preprocess: Preprocess, masked: Path, what: str
) -> None:
    prefix, mask = masked / "part-00001", masked / "part-00001_mask.bin"
    sidecar = json.loads((masked / "part-00001.json").read_text())
    content = bytearray(mask.read_bytes())
    expected = "preprocess merge: "
    if what in ("content", "value"):
        content[content.index(1)] = 0 if what == "content" else 2
        mask.write_bytes(content)
        expected += (
            f"out/part-00001_mask.bin: {'expected the xxh3' if what == 'content' else 'tok'}"
        )
    elif what == "lengths":
        lengths = [len(each) for each in documents(prefix, np.uint16)]
        lengths[0], lengths[1] = lengths[0] + lengths[1] - 1, 1
        index = bytearray((masked / "part-00001_mask.idx").read_bytes())
        index[34 : 34 + 4 * len(lengths)] = np.array(lengths, dtype=np.int32).tobytes()
        ends = np.cumsum(np.array([0, *lengths[:-1]], dtype=np.int64))
        index[34 + 4 * len(lengths) : 34 + 12 * len(lengths)] = ends.tobytes()
        (masked / "part-00001_mask.idx").write_bytes(index)
        # Else the hash alone would say so.
        sidecar["mask_idx_xxh3"] = xxhash.xxh3_64_hexdigest(bytes(index))
        (masked / "part-00001.json").write_text(json.dumps(sidecar))
        expected += "out/part-00001_mask: expected documents as long as those beside it, found oth"
    elif what == "missing file":
        mask.unlink()
        expected += "out/part-00001_mask.bin: "
    else:
        for name in ("trained_tokens", "mask_bin_xxh3", "mask_idx_xxh3"):
            del sidecar[name]
        (masked / "part-00001.json").write_text(json.dumps(sidecar))
        expected += "out/part-00001: expected a mask as beside out/part-00000, found none; merge on"
    before = sorted(path.name for path in tmp_path.iterdir())
    done = preprocess("merge", "out", "all")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(expected), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_merge_without_masks_leaves_none_of_an_earlier_one(
    tmp_path: Path, preprocess: Preprocess, masked: Path, chat_tokenizer: Path
) -> None:
    assert preprocess("merge", str(masked), "all").returncode == 0
    assert (tmp_path / "all_mask.bin").exists()
    write(tmp_path / "t.jsonl", [{"text": "the dog"}])
    done = preprocess(
        "tokenize", "t.jsonl", "plain", "--tokenizer", chat_tokenizer, "--holdout", "0"
    )
    assert done.returncode == 0, done.stderr
    assert preprocess("merge", "plain", "all").returncode == 0
    assert not list(tmp_path.glob("all_mask*"))
    done = preprocess("verify", "all")
    assert (done.returncode, "4 files" in done.stdout + done.stderr) == (0, True), done.stdout


def test_a_blend_with_a_mask_is_refused_by_training(
    tmp_path: Path, preprocess: Preprocess, masked: Path
) -> None:
    from megatron_recipes.blend import check_masks, read_blend

    done = preprocess("blend", "agent=out:1", "blend.json")
    assert done.returncode == 0, done.stderr
    with pytest.raises(
        ValueError, match=r"part-00000\.json: .* found a mask that trains"
    ) as caught:
        check_masks(read_blend(tmp_path / "blend.json"), packs_conversations=False)
    assert "\n" not in str(caught.value)
    for path in masked.glob("part-*.json"):
        sidecar = json.loads(path.read_text())
        path.write_text(json.dumps({**sidecar, "trained_tokens": sidecar["tokens"]}))
    check_masks(read_blend(tmp_path / "blend.json"), packs_conversations=False)


def test_check_and_spans_are_refused_together(
    tmp_path: Path, preprocess: Preprocess, chat_tokenizer: Path
) -> None:
    write(tmp_path / "a.jsonl", [record(0, chat(0))])
    done = preprocess(
        "tokenize", "a.jsonl", "out", "--tokenizer", chat_tokenizer, "--spans-field", "spans",
        "--check", "3",
    )  # fmt: skip
    assert done.returncode == 2
    assert "expected --check or --spans-field, got both" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_blend_does_not_mix_datasets_with_and_without_a_mask(
    tmp_path: Path, preprocess: Preprocess, chat_tokenizer: Path
) -> None:
    write(tmp_path / "a.jsonl", [{**record(0, chat(0)), "text": "the dog"}])
    for name, more in (("with", ["--spans-field", "spans"]), ("without", [])):
        done = preprocess(
            "tokenize", "a.jsonl", name, "--tokenizer", chat_tokenizer, "--holdout", "0", *more
        )
        assert done.returncode == 0, done.stderr
    done = preprocess("blend", "agent=with:0.5", "text=without:0.5", "blend.json")
    assert done.returncode == 1
    assert "expected a mask beside all parts or none, but with/part-00000 has one" in done.stderr
    done = preprocess("blend", "agent=with:1", "blend.json")
    assert done.returncode == 0, done.stderr
    blend = json.loads((tmp_path / "blend.json").read_text())
    assert blend["train"][0]["prefixes"] == ["with/part-00000"]


def test_rows_of_parquet_have_no_spans(
    tmp_path: Path, preprocess: Preprocess, chat_tokenizer: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "a.parquet")
    done = preprocess(
        "tokenize", "a.parquet", "out", "--tokenizer", chat_tokenizer, "--spans-field", "spans"
    )
    assert done.returncode == 1
    assert "a.parquet: expected lines of JSON for --spans-field" in done.stderr


WORDS = [
    "a",
    "the ",
    " ",
    "\n",
    "é",
    "e",
    "\u0301",
    "中",
    "1",
    "23",
    "user",
    "\t",
    "😀",
    "'s",
    "각",
]


@pytest.mark.shared
@pytest.mark.parametrize("name", ["gpt2", "llama3", "llama3_1", "qwen2_5"])
def test_ids_are_those_of_the_rendered_string(shared: Path, name: str) -> None:
    from tokenizers import Tokenizer

    path = shared / "tokenizers" / name / "tokenizer.json"
    loaded, reference = _rust_ext.Tokenizer.load(path), Tokenizer.from_file(str(path))
    specials = [token.content for token in reference.get_added_tokens_decoder().values()]
    choices = random.Random(5)
    compared = 0
    for _ in range(1_000):
        spans: Spans = []
        for _ in range(choices.randrange(1, 8)):
            is_special = choices.random() < 0.3
            text = "".join(choices.choices(WORDS, k=choices.randrange(9)))
            if is_special:
                text = choices.choice(specials)
            spans.append((text, is_special, choices.random() < 0.5))
        ids, mask = loaded.encode_spans(spans)
        expected = reference.encode("".join(text for text, _, _ in spans), add_special_tokens=False)
        assert ids.tolist() == expected.ids
        compared += len(expected.ids)
        trained = [is_trained for text, _, is_trained in spans for _ in text]
        if name != "qwen2_5":  # the reference's offsets of composed characters are of one part only
            by_offset = [any(trained[start:end]) for start, end in expected.offsets]
            assert mask.astype(bool).tolist() == by_offset
    assert compared > 10_000


@pytest.mark.shared
def test_each_text_between_control_pieces_is_a_text_of_its_own(shared: Path) -> None:
    import sentencepiece

    path = shared / "tokenizers/mistral_v3/tokenizer.model"
    loaded = _rust_ext.Tokenizer.load(path)
    reference = sentencepiece.SentencePieceProcessor(model_file=str(path))
    spans: Spans = [
        ("<s>", True, False),
        ("[INST]", True, False),
        ("What is [INST]", False, False),
        (" this?", False, False),
        ("[/INST]", True, False),
        ("It is a ", False, True),
        ("中😀 thing", False, True),
        ("</s>", True, True),
    ]
    ids, mask = loaded.encode_spans(spans)
    asked, answer = reference.encode("What is [INST] this?"), reference.encode("It is a 中😀 thing")
    begin, inst, end_inst, end = (
        reference.piece_to_id(p) for p in ("<s>", "[INST]", "[/INST]", "</s>")
    )
    assert ids.tolist() == [begin, inst, *asked, end_inst, *answer, end]
    assert mask.tolist() == [0] * (len(asked) + 3) + [1] * (len(answer) + 1)
