"""Tables kept between two loads: the same tokenizer again, never a stale one, never an error."""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sentencepiece
import zstandard

from preprocess._rust_ext import Tokenizer

SHARED = Path(__file__).resolve().parents[2] / "shared"
NAMES = [
    "gpt2",
    "llama3",
    "llama3/tokenizer.model",
    "llama3_1",
    "qwen2_5",
    "mistral_v3",
    "tiktoken/9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
    "tiktoken/fb374d419588a4632f3f557e76b4b70aebbca790",
]
HEADER_BYTES = 72
TEXTS = [
    "the quick brown fox, don't  you know\n\n e\u0301 \u4e2d\u6587 \U0001f600 12345 <|endoftext|>",
    "<tool>x</tool> \u2581 <s>[INST] <|im_start|><|begin_of_text|><|eot_id|> \x00\x7f",
    "",
    "the" * 500,
]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory of this test's own."""
    directory = tmp_path / "cache"
    monkeypatch.setenv("HEPHAESTUS_FORGE_CACHE", str(directory))
    return directory


def fresh(path: Path) -> Tokenizer:
    """Load without looking at any cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEPHAESTUS_FORGE_CACHE", "")
        return Tokenizer.load(path)


def only_file(cache: Path) -> Path:
    (file,) = cache.iterdir()
    return file


def from_cache(path: Path, cache: Path) -> Tokenizer:
    """Load from tables, which must be there, and show that they were used: none were written."""
    before = {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in cache.iterdir()}
    assert before
    loaded = Tokenizer.load(path)
    assert before == {f: (f.stat().st_ino, f.stat().st_mtime_ns) for f in cache.iterdir()}
    return loaded


def assert_equal(ours: Tokenizer, other: Tokenizer, texts: list[str]) -> int:
    """Assert that nothing tells the two apart and return how many ids were compared."""
    for name in ("kind", "vocab_size", "special_tokens", "sha256", "file", "fallback_reason"):
        assert getattr(ours, name) == getattr(other, name), name
    tokens = [ours.id_to_token(i) for i in range(ours.vocab_size)]
    assert tokens == [other.id_to_token(i) for i in range(ours.vocab_size)]
    known = [token for token in tokens if token is not None]
    assert [ours.token_to_id(t) for t in known] == [other.token_to_id(t) for t in known]
    num_ids = 0
    for parse_special in (False, True):
        rows = ours.encode_batch(texts, parse_special=parse_special)
        expected = other.encode_batch(texts, parse_special=parse_special)
        assert [row.tolist() for row in rows] == [row.tolist() for row in expected]
        assert [ours.decode_bytes(row.tolist()) for row in rows] == [
            other.decode_bytes(row.tolist()) for row in rows
        ]
        num_ids += sum(map(len, rows))
    return num_ids


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_a_second_load_gives_what_the_first_gives(name: str, cache: Path) -> None:
    path = SHARED / "tokenizers" / name
    documents = SHARED / "data" / "web_docs.jsonl.zst"
    for needed in (path, documents):
        if not needed.exists():
            pytest.skip(f"{needed} is missing")
    with documents.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file)
        lines = itertools.islice(io.TextIOWrapper(stream, "utf-8"), 150)
        texts = [json.loads(line)["text"] for line in lines]
    built = fresh(path)
    first = Tokenizer.load(path)
    second = from_cache(path, cache)
    assert assert_equal(first, built, TEXTS) > 200
    assert assert_equal(second, built, texts + TEXTS) > 200_000


def changed(tokenizer: Path, **settings: object) -> bytes:
    return json.dumps(json.loads(tokenizer.read_bytes()) | settings).encode()


def sentencepiece_model(path: Path) -> Path:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on the mat <sep> a hat for 12 cats"] * 20),
        model_writer=model,
        model_type="bpe",
        vocab_size=283,
        byte_fallback=True,
        normalization_rule_name="identity",
        user_defined_symbols=["<sep>"],
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())
    return path


@pytest.mark.parametrize("what", ["plain", "settings", "sentencepiece"])
def test_a_small_tokenizer_is_the_same_the_second_time(
    what: str, tmp_path: Path, tokenizer: Path, cache: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    flags = {"single_word": True, "lstrip": True, "rstrip": True, "special": False}
    match what:
        case "plain":
            path.write_bytes(tokenizer.read_bytes())
        case "settings":
            added = json.loads(tokenizer.read_bytes())["added_tokens"]
            size = fresh(tokenizer).vocab_size
            tool = {"id": size, "content": "<tool>", "normalized": False, **flags}
            accent = {"id": size + 1, "content": "e\u0301", "normalized": True, **flags}
            pre_tokenizer = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}
            content = changed(
                tokenizer,
                added_tokens=[*added, tool, accent],
                normalizer={"type": "NFC"},
                pre_tokenizer=pre_tokenizer,
            )
            path.write_bytes(content)
        case _:
            sentencepiece_model(path)
    built = fresh(path)
    assert built.fallback_reason is None
    texts = [*TEXTS, "a <tool> b<tool> e\u0301 <sep>cats", "  the  mat "]
    assert_equal(Tokenizer.load(path), built, texts)
    assert assert_equal(from_cache(path, cache), built, texts) > 1_000


def test_a_changed_file_is_built_anew(tmp_path: Path, tokenizer: Path, cache: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(tokenizer.read_bytes())
    assert Tokenizer.load(path).encode("the") == fresh(path).encode("the")
    model = json.loads(tokenizer.read_bytes())["model"]
    path.write_bytes(changed(tokenizer, model=model | {"merges": []}))
    os.utime(path, ns=(tokenizer.stat().st_atime_ns, tokenizer.stat().st_mtime_ns))
    assert len(Tokenizer.load(path).encode("the")) == 3
    assert len(from_cache(path, cache).encode("the")) == 3
    assert len(list(cache.iterdir())) == 2


def test_a_damaged_or_foreign_table_file_is_built_anew(tokenizer: Path, cache: Path) -> None:
    built = fresh(tokenizer)
    Tokenizer.load(tokenizer)
    file = only_file(cache)
    whole = file.read_bytes()
    assert whole[:8] == b"HFTABLES"
    assert whole[8:24].decode() == file.stem.rpartition("-")[2]
    assert whole[24:56].hex() == built.sha256
    # Every part of the header, then places all over the sections.
    places = [0, 8, 23, 24, 55, 56, 63, 64, 71, HEADER_BYTES]
    places += range(HEADER_BYTES, len(whole), len(whole) // 200)
    damaged = [whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :] for at in places]
    damaged += [whole[:at] for at in (0, 7, HEADER_BYTES, len(whole) // 2, len(whole) - 1)]
    damaged += [whole + b"\0", whole[:8] + b"0" * 16 + whole[24:], b"\0" * len(whole)]
    for content in damaged:
        assert content != whole
        file.write_bytes(content)
        loaded = Tokenizer.load(tokenizer)
        assert loaded.encode(TEXTS[0]) == built.encode(TEXTS[0])
        assert file.read_bytes() == whole
    assert len(damaged) > 200
    assert assert_equal(from_cache(tokenizer, cache), built, TEXTS) > 1_000


LOAD = "import sys; from preprocess._rust_ext import Tokenizer; print(Tokenizer.load(sys.argv[1]))"


def load_apart(path: Path, before: str = "", **environment: str) -> None:
    """Load in a process of its own, which must succeed without a word."""
    root = str(Path(__file__).resolve().parents[1])
    kept = {name: os.environ[name] for name in ("PATH",) if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", before + LOAD, str(path)],
        env={**kept, "PYTHONPATH": root, **environment},
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "byte-level BPE" in done.stdout


def files_below(directory: Path) -> list[str]:
    return sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()
    )


def test_the_directory_follows_the_environment(tmp_path: Path, tokenizer: Path) -> None:
    home, given = tmp_path / "home", tmp_path / "given"
    home.mkdir()
    load_apart(tokenizer, HOME=str(home), HEPHAESTUS_FORGE_CACHE="")
    load_apart(tokenizer, HOME="not/absolute", XDG_CACHE_HOME="nor/this")
    assert files_below(tmp_path) == []
    load_apart(tokenizer, HOME=str(home), HEPHAESTUS_FORGE_CACHE=str(given))
    name = only_file(given).name
    assert files_below(tmp_path) == [f"given/{name}"]
    load_apart(tokenizer, HOME=str(home), XDG_CACHE_HOME=str(tmp_path / "xdg"))
    load_apart(tokenizer, HOME=str(home), XDG_CACHE_HOME="relative")
    assert files_below(tmp_path) == [
        f"given/{name}",
        f"home/.cache/hephaestus-forge/{name}",
        f"xdg/hephaestus-forge/{name}",
    ]


def test_where_tables_cannot_be_kept_loading_goes_on(tmp_path: Path, tokenizer: Path) -> None:
    (tmp_path / "file").touch()
    load_apart(tokenizer, HEPHAESTUS_FORGE_CACHE=str(tmp_path / "file"))
    load_apart(tokenizer, HEPHAESTUS_FORGE_CACHE=str(tmp_path / "file" / "below"))
    load_apart(tokenizer, HEPHAESTUS_FORGE_CACHE="/proc/none")
    # No file may grow beyond this, as on a full disk.
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
    load_apart(tokenizer, full, HEPHAESTUS_FORGE_CACHE=str(tmp_path / "full"))
    assert list((tmp_path / "full").iterdir()) == []
    pipe = tmp_path / "pipe"
    load_apart(tokenizer, HEPHAESTUS_FORGE_CACHE=str(pipe))
    file = only_file(pipe)
    file.unlink()
    os.mkfifo(file)
    load_apart(tokenizer, HEPHAESTUS_FORGE_CACHE=str(pipe))
    assert only_file(pipe).is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_no_error(tmp_path: Path, tokenizer: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    load_apart(tokenizer, HEPHAESTUS_FORGE_CACHE=str(closed))
    assert list(closed.iterdir()) == []


def test_processes_that_load_at_once_leave_one_whole_file(tokenizer: Path, cache: Path) -> None:
    root = str(Path(__file__).resolve().parents[1])
    script = LOAD.replace("print(", "[print(").replace("1]))", "1])) for _ in range(50)]")
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tokenizer)],
            env={**os.environ, "PYTHONPATH": root},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    assert [process.communicate()[1] for process in running] == [b""] * 4
    assert [process.returncode for process in running] == [0] * 4
    assert only_file(cache).suffix == ".tables"
    assert assert_equal(from_cache(tokenizer, cache), fresh(tokenizer), TEXTS) > 1_000


def test_what_is_left_to_the_library_is_not_kept(
    tmp_path: Path, tokenizer: Path, cache: Path
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(changed(tokenizer, normalizer={"type": "Lowercase"}))
    assert Tokenizer.load(path).fallback_reason is not None
    assert not cache.exists()
