"""`merge` and `verify`: the whole is its parts, and every kind of damage is named."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xxhash
import zstandard
from conftest import Preprocess, write_records

from preprocess import _rust_ext
from preprocess.errors import UserError
from preprocess.merge import merge
from preprocess.sidecar import read_sidecar

with warnings.catch_warnings():
    # Theirs: optional packages that are missing, escapes in docstrings.
    warnings.simplefilter("ignore")
    from megatron.core.datasets.indexed_dataset import IndexedDataset, IndexedDatasetBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike

EOD = 9
VOCABULARY = 300


def quiet(_records: int, _bytes: int) -> None:
    """Show no progress."""


def make_part(
    prefix: Path, documents: Sequence[ArrayLike], dtype: type = np.uint16, **sidecar: Any
) -> None:
    """Write a dataset by hand, with everything that stands beside it."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    documents = [np.asarray(document, dtype=dtype) for document in documents]
    flat = np.concatenate(documents)
    (prefix.with_suffix(".bin")).write_bytes(flat.tobytes())
    lengths = np.array([len(document) for document in documents], dtype=np.uint32)
    size = VOCABULARY if dtype is np.uint16 else 100_000
    _rust_ext.rebuild_index(prefix, lengths, vocab_size=size)
    ids = "".join(f"hand/{prefix.name}#{number}\n" for number in range(len(documents)))
    prefix.with_suffix(".ids.zst").write_bytes(zstandard.compress(ids.encode()))
    write_sidecar(prefix, documents=len(documents), tokens=len(flat), **sidecar)


def write_sidecar(prefix: Path, **changes: Any) -> None:
    """Write or change the sidecar; the hashes are those of the files."""
    path = prefix.with_suffix(".json")
    content = {
        "tokenizer": {"sha256": "0" * 64, "file": "tokenizer.json"},
        "vocab_size": VOCABULARY,
        "eod_id": EOD,
        "dtype": "uint16",
        "group": "text",
    }
    if path.exists():
        content = json.loads(path.read_text())
    for name, suffix in (("bin", ".bin"), ("idx", ".idx"), ("ids", ".ids.zst")):
        file = prefix.with_suffix(suffix).read_bytes()
        content[f"{name}_xxh3"] = xxhash.xxh3_64_hexdigest(file)
    path.write_text(json.dumps({**content, **changes}))


def make_directory(directory: Path, parts: int = 3) -> list[list[int]]:
    """Write shards with a manifest that lists them; return the documents of all."""
    everything = []
    for number in range(parts):
        documents = [[number + 10, each % 200 + 20, EOD] for each in range(number * 7 + 2)]
        documents.append([*range(10, 299), EOD])
        make_part(directory / f"part-{number:05}", documents)
        everything += documents
    write_manifest(directory)
    return everything


def write_manifest(directory: Path) -> None:
    """Write a manifest that lists the parts of a directory."""
    shards = [
        {
            "name": f"{prefix.name}.bin",
            "records": read_sidecar(prefix).documents,
            "bytes": prefix.with_suffix(".bin").stat().st_size,
            "text_bytes": 1,
            "xxh3": read_sidecar(prefix).bin_xxh3,
        }
        for prefix in (path.with_suffix("") for path in sorted(directory.glob("part-*.bin")))
    ]
    total = sum(shard["records"] for shard in shards)  # type: ignore[misc]
    manifest = {
        "stage": "tokenize",
        "version": "0",
        "config": {},
        "inputs": [],
        "shards": shards,
        "counts": {"native": total, "in": total, "out": total},
        "seconds": 0,
    }
    (directory / "manifest.json").write_text(json.dumps(manifest))


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_whole_is_its_parts_as_megatron_joins_them(tmp_path: Path) -> None:
    documents = make_directory(tmp_path / "in")
    merged = merge(tmp_path / "in", tmp_path / "out" / "all.v1", quiet)
    assert merged.moved_by in ("copy_file_range", "sendfile", "read and write")
    assert (merged.documents, merged.tokens) == (len(documents), sum(map(len, documents)))
    dataset = IndexedDataset(str(tmp_path / "out" / "all.v1"))
    assert [list(ids) for ids in dataset] == documents
    assert list(dataset.document_indices) == list(range(len(documents) + 1))
    theirs = IndexedDatasetBuilder(str(tmp_path / "theirs.bin"), dtype=np.uint16)
    for number in range(3):
        theirs.add_index(str(tmp_path / f"in/part-{number:05}"))
    theirs.finalize(str(tmp_path / "theirs.idx"))
    for extension, xxh3 in ((".bin", merged.bin.xxh3), (".idx", merged.idx.xxh3)):
        ours = (tmp_path / "out" / f"all.v1{extension}").read_bytes()
        assert ours == (tmp_path / f"theirs{extension}").read_bytes(), extension
        assert xxh3 == xxhash.xxh3_64_hexdigest(ours)
    ids = (tmp_path / "out/all.v1.ids.zst").read_bytes()
    assert merged.ids.xxh3 == xxhash.xxh3_64_hexdigest(ids)
    lines = zstandard.ZstdDecompressor().stream_reader(ids, read_across_frames=True).read().split()
    assert lines == [
        f"hand/part-{part:05}#{number}".encode()
        for part in range(3)
        for number in range(part * 7 + 3)
    ]
    extensions = (".bin", ".ids.zst", ".idx", ".json")
    assert sorted(files(tmp_path / "out")) == [f"all.v1{extension}" for extension in extensions]


def test_a_merge_over_another_one_leaves_only_the_new(tmp_path: Path) -> None:
    make_directory(tmp_path / "a", 2)
    make_directory(tmp_path / "b", 3)
    merge(tmp_path / "b", tmp_path / "fresh" / "all", quiet)
    for source in ("a", "b", "b"):
        merge(tmp_path / source, tmp_path / "out" / "all", quiet)
    assert files(tmp_path / "out") == files(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokenizer", {"sha256": "1" * 64, "file": "tokenizer.json"}),
        ("vocab_size", VOCABULARY + 1),
        ("eod_id", 8),
        ("eod_id", None),
        ("dtype", "int32"),
    ],
)
def test_parts_of_another_run_are_refused(tmp_path: Path, name: str, value: object) -> None:
    make_directory(tmp_path / "in")
    write_sidecar(tmp_path / "in/part-00001", **{name: value})
    with pytest.raises(UserError, match=rf"part-00001: expected the {name} of .*part-00000, "):
        merge(tmp_path / "in", tmp_path / "out" / "all", quiet)
    assert not (tmp_path / "out").exists()


def test_another_element_type_than_the_sidecar_says_is_refused(tmp_path: Path) -> None:
    make_directory(tmp_path / "in")
    make_part(tmp_path / "in/part-00001", [[1, EOD]], np.int32)
    with pytest.raises(ValueError, match="expected uint16 elements and one sequence a document"):
        merge(tmp_path / "in", tmp_path / "out" / "all", quiet)
    assert files(tmp_path / "out") == {}


def test_a_missing_shard_is_no_merge(tmp_path: Path) -> None:
    make_directory(tmp_path / "in")
    (tmp_path / "in/part-00001.idx").unlink()
    with pytest.raises(UserError, match=r"part-00001\.idx: expected the shard that the manifest"):
        merge(tmp_path / "in", tmp_path / "out" / "all", quiet)


def test_more_documents_than_megatron_counts_are_refused_before_a_byte_is_written(
    tmp_path: Path,
) -> None:
    make_directory(tmp_path / "in")
    for number in (0, 1):
        prefix = tmp_path / f"in/part-{number:05}"
        count = 2**30
        with prefix.with_suffix(".idx").open("wb") as file:
            header = b"MMIDIDX\x00\x00" + (1).to_bytes(8, "little") + b"\x08"
            file.write(header + count.to_bytes(8, "little") + (count + 1).to_bytes(8, "little"))
            file.truncate(34 + 12 * count + 8 * (count + 1))  # sparse: takes no disk
    with pytest.raises(ValueError, match=r"at most 2147483647 documents .* got 2147483665"):
        merge(tmp_path / "in", tmp_path / "out" / "all", quiet)
    assert files(tmp_path / "out") == {}


@pytest.mark.parametrize(
    ("suffix", "change", "message"),
    [
        (".bin", lambda raw: raw[:2] + b"\x0c" + raw[3:], "the xxh3 .* found .* in the copy"),
        (".bin", lambda raw: raw[:-2] + b"\x0c\x00", "expected one end-of-document token"),
        (".bin", lambda raw: b"\xff\xff" + raw[2:], "token 65535 of document 0 is not below"),
        (".bin", lambda raw: raw[:-2], "sequence 9 should end at byte 634, .* has 632"),
        (".bin", lambda raw: raw + b"\x00\x00", "expected 634 bytes by the index, found 636"),
        (".idx", lambda raw: raw[:34] + b"\x04" + raw[35:], "sequence 1 should begin at byte 8"),
        (".ids.zst", lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "expected the xxh3 "),
    ],
)  # fmt: skip
def test_a_damaged_part_ends_the_merge_and_leaves_nothing(
    tmp_path: Path, suffix: str, change: Callable[[bytes], bytes], message: str
) -> None:
    make_directory(tmp_path / "in")
    path = tmp_path / f"in/part-00001{suffix}"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(_rust_ext.CorruptDataError, match=message):
        merge(tmp_path / "in", tmp_path / "out" / "all", quiet)
    assert files(tmp_path / "out") == {}


def test_an_index_of_other_documents_is_refused(tmp_path: Path) -> None:
    make_directory(tmp_path / "in")
    for path in (tmp_path / "in").glob("part-*.bin"):
        write_sidecar(path.with_suffix(""), eod_id=None)
    # As many documents and tokens as before, and no token that would end each of them.
    lengths = np.array([290] + [3] * 9, dtype=np.uint32)
    _rust_ext.rebuild_index(tmp_path / "in/part-00001", lengths, vocab_size=VOCABULARY)
    message = r"part-00001\.idx: expected the xxh3 \w+ of its sidecar, found"
    with pytest.raises(_rust_ext.CorruptDataError, match=message):
        merge(tmp_path / "in", tmp_path / "out" / "all", quiet)
    assert files(tmp_path / "out") == {}


def test_a_full_disk_leaves_nothing_and_the_next_run_ends_in_the_same_bytes(
    tmp_path: Path,
) -> None:
    make_directory(tmp_path / "in")
    for number in range(3):
        make_part(tmp_path / f"in/part-{number:05}", [[1, EOD]] * 100)
    merge(tmp_path / "in", tmp_path / "whole" / "all", quiet)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # The second limit is met by the index, when all the rest is written.
        for size in (1_000, 3_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
            with pytest.raises(OSError, match="File too large"):
                merge(tmp_path / "in", tmp_path / "out" / "all", quiet)
            assert files(tmp_path / "out") == {}, size
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    merge(tmp_path / "in", tmp_path / "out" / "all", quiet)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_kill_while_names_are_given_leaves_no_index_beside_other_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_directory(tmp_path / "a", 2)
    make_directory(tmp_path / "b", 3)
    merge(tmp_path / "a", tmp_path / "out" / "all", quiet)
    true = type(tmp_path).replace

    def killed(path: Path, target: Path) -> None:
        if target.name == "all.ids.zst":
            raise KeyboardInterrupt
        true(path, target)

    monkeypatch.setattr(type(tmp_path), "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        merge(tmp_path / "b", tmp_path / "out" / "all", quiet)
    assert sorted(files(tmp_path / "out")) == ["all.bin", "all.ids.zst"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problems": ["x.jsonl.zst: it breaks off"]}, "whole output, but x.jsonl.zst: it breaks"),
        (
            {"check": {"references": ["a 1"], "checked": 2, "equal": 1, "differing": ["x#1"]}},
            "1 differ, x#1 for example",
        ),
    ],
)
def test_an_unsound_directory_is_no_input(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    make_directory(tmp_path / "in")
    path = tmp_path / "in/manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UserError, match=message):
        merge(tmp_path / "in", tmp_path / "out" / "all", quiet)
    assert not (tmp_path / "out").exists()


def test_nothing_of_others_is_written_over(tmp_path: Path) -> None:
    make_directory(tmp_path / "in")
    make_directory(tmp_path / "other")
    (tmp_path / "package.json").write_text("{}")
    for prefix, message in (
        (tmp_path / "package", r"package\.json: expected nothing or the sidecar"),
        (tmp_path / "other", "expected a prefix .*, found a directory"),
        (tmp_path / "other/all", r"found manifest\.json in"),
    ):
        with pytest.raises(UserError, match=message):
            merge(tmp_path / "in", prefix, quiet)
    assert (tmp_path / "package.json").read_text() == "{}"


def test_private_files_of_the_dead_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_directory(tmp_path / "in")
    (tmp_path / "out").mkdir()
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    gone = subprocess.Popen(["true"])
    gone.wait()
    kept = [
        f".all.here-{os.getpid()}-0123456789abcdef.tmp.bin",
        f".all.there-{gone.pid}-0123456789abcdef.tmp.bin",
        f".all2.here-{gone.pid}-0123456789abcdef.tmp.bin",
    ]
    for name in (*kept, f".all.here-{gone.pid}-0123456789abcdef.tmp.bin"):
        (tmp_path / "out" / name).touch()
    merge(tmp_path / "in", tmp_path / "out" / "all", quiet)
    assert sorted(name for name in files(tmp_path / "out") if name[0] == ".") == sorted(kept)


def test_a_full_disk_is_said_of_the_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_directory(tmp_path / "in")

    def full(*_arguments: object, **_options: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", ".private.bin")

    monkeypatch.setattr(_rust_ext, "merge_datasets", full)
    with pytest.raises(UserError, match=r"out/all: expected to write there, but no space .* merge"):
        merge(tmp_path / "in", tmp_path / "out" / "all", quiet)


def make_large_directory(directory: Path) -> None:
    """Write 300 MB of shards that are quickly made."""
    document = np.append(np.tile(np.arange(10, 300), 3_000), EOD)
    make_part(directory / "part-00000", [document] * 10)
    for number in range(1, 17):
        for file in list(directory.glob("part-00000.*")):
            os.link(file, directory / file.name.replace("00000", f"{number:05}"))
    write_manifest(directory)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_merge_killed_in_the_middle_leaves_nothing_under_the_final_name(
    tmp_path: Path, number: signal.Signals
) -> None:
    make_large_directory(tmp_path / "in")
    command = [sys.executable, "-m", "preprocess", "merge", "in", "out/all"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)

    def begun() -> int:
        with contextlib.suppress(FileNotFoundError):  # not there yet, or just renamed
            return max((file.stat().st_size for file in (tmp_path / "out").iterdir()), default=0)
        return 0

    while process.poll() is None and not begun():
        time.sleep(0.001)
    process.send_signal(number)
    message = process.communicate(timeout=60)[1]
    if process.returncode == 0:
        pytest.skip("the merge was faster than the signal")
    there = [path.name for path in (tmp_path / "out").iterdir() if path.name[0] != "."]
    assert there == []
    if number == signal.SIGINT:
        assert process.returncode == 130, message
        assert "interrupted" in message
        assert list((tmp_path / "out").iterdir()) == []
    merge(tmp_path / "in", tmp_path / "out" / "all", quiet)
    merge(tmp_path / "in", tmp_path / "whole" / "all", quiet)
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()


def test_memory_grows_with_neither_documents_nor_their_lengths(tmp_path: Path) -> None:
    count = 3_000_000
    long = np.append(np.full(30_000_000, 5, dtype=np.uint16), EOD)
    make_part(tmp_path / "in/part-00000", [[1, EOD], long])
    prefix = tmp_path / "in/part-00001"
    make_part(prefix, [[1, EOD]])
    prefix.with_suffix(".bin").write_bytes(np.tile(np.array([1, EOD], np.uint16), count).tobytes())
    lengths = np.full(count, 2, dtype=np.uint32)
    _rust_ext.rebuild_index(prefix, lengths, vocab_size=VOCABULARY)
    write_sidecar(prefix, documents=count, tokens=2 * count)
    make_large_directory(tmp_path / "more")
    write_manifest(tmp_path / "in")
    script = (
        "from pathlib import Path\n"
        "from preprocess.merge import merge\n"
        "from preprocess._rust_ext import audit_dataset\n"
        "quiet = lambda *_: None\n"
        # Not `ru_maxrss`: it outlives `exec`, and so would begin at the peak of this process.
        "status = Path('/proc/self/status')\n"
        "peak = lambda: int(status.read_text().split('VmHWM:')[1].split()[0])\n"
        "merge(Path('more'), Path('out/small'), quiet)\n"
        "before = peak()\n"
        "merge(Path('in'), Path('out/all'), quiet)\n"
        f"audit_dataset('out/all', eod_id={EOD}, vocab_size={VOCABULARY})\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # The long document alone is 60 MB, the index of the short ones 60 MB.
    assert int(done.stdout) < 8 << 10, done.stdout


def rebuilt(prefix: Path, documents: list[list[int]]) -> None:
    """Replace a part by other documents, with hashes that fit: only the content is wrong."""
    make_part(prefix, documents)


def index_words(prefix: Path, offset: int, *words: int) -> None:
    """Overwrite 64-bit words of an index."""
    path = prefix.with_suffix(".idx")
    raw = bytearray(path.read_bytes())
    raw[offset : offset + 8 * len(words)] = b"".join(word.to_bytes(8, "little") for word in words)
    path.write_bytes(raw)
    write_sidecar(prefix)


THREE = [[1, EOD], [2, 3, EOD], [4, EOD]]
"""Lengths at 34, pointers at 46, document indices at 70."""

DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "an end missing": (
        lambda prefix: rebuilt(prefix, [[1, EOD], [2, 3, 4], [4, EOD]]),
        "expected one end-of-document token 9 at the end of each document, 1 documents differ, "
        "the first is 1",
    ),
    "an end inside": (
        lambda prefix: rebuilt(prefix, [[1, EOD], [2, EOD, EOD], [EOD, EOD]]),
        "2 documents differ, the first is 1",
    ),
    "an id past the vocabulary": (
        lambda prefix: rebuilt(prefix, [[1, EOD], [2, VOCABULARY, EOD]]),
        "token 300 of document 1 is not below the vocabulary size 300",
    ),
    "a pointer": (
        lambda prefix: index_words(prefix, 46 + 8, 6),
        "sequence 1 should begin at byte 4, its pointer says 6",
    ),
    "the last pointer": (
        lambda prefix: index_words(prefix, 46 + 16, 10 + 2**32),
        "sequence 2 should begin at byte 10, its pointer says 4294967306",
    ),
    "a document boundary that falls": (
        lambda prefix: index_words(prefix, 70 + 8, 2, 1),
        "document boundary 2 is wrong: expected them to rise from 0 to 3",
    ),
    "a document boundary past the end": (
        lambda prefix: index_words(prefix, 70 + 16, 4),
        "document boundary 2 is wrong",
    ),
    "documents that end early": (
        lambda prefix: index_words(prefix, 70 + 24, 2),
        "document boundary 3 is wrong",
    ),
    "documents that begin late": (
        lambda prefix: index_words(prefix, 70, 1),
        "document boundary 0 is wrong",
    ),
    "an empty document": (
        lambda prefix: index_words(prefix, 70 + 8, 0),
        "expected one sequence a document, found 3 in 3 documents, 1 of them without any",
    ),
    "a file cut short": (
        lambda prefix: os.truncate(prefix.with_suffix(".bin"), 12),
        "sequence 2 should end at byte 14, ",
    ),
    "a file with more behind it": (
        lambda prefix: os.truncate(prefix.with_suffix(".bin"), 16),
        "expected 14 bytes by the index, found 16",
    ),
    "another count in the sidecar": (
        lambda prefix: write_sidecar(prefix, tokens=8),
        "expected tokens 8 by its sidecar, found 7",
    ),
    "another element type in the sidecar": (
        lambda prefix: write_sidecar(prefix, dtype="int32"),
        "expected dtype int32 by its sidecar, found uint16",
    ),
    "an id too few": (
        lambda prefix: prefix.with_suffix(".ids.zst").write_bytes(zstandard.compress(b"a\nb\n")),
        "expected 3 ids, found 2",
    ),
    "ids cut short": (
        lambda prefix: os.truncate(prefix.with_suffix(".ids.zst"), 20),
        "part-00000.ids.zst: ",
    ),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_verify_names_the_damage(tmp_path: Path, preprocess: Preprocess, what: str) -> None:
    prefix = tmp_path / "part-00000"
    make_part(prefix, THREE)
    sound = preprocess("verify", "part-00000")
    assert (sound.returncode, sound.stdout) == (0, "part-00000: 4 files are sound\n")
    damage, message = DAMAGES[what]
    damage(prefix)
    found = preprocess("verify", "part-00000")
    assert found.returncode == 1
    assert message in found.stdout
    assert "Traceback" not in found.stderr


def test_verify_holds_the_shards_against_the_manifest(
    tmp_path: Path, preprocess: Preprocess
) -> None:
    make_directory(tmp_path / "in")
    assert preprocess("verify", "in").returncode == 0
    documents = [[7, EOD]] * 4
    make_part(tmp_path / "in/part-00000", documents)
    found = preprocess("verify", "in")
    assert found.returncode == 1
    for line in (
        "expected 3 documents, found 4",
        "bytes, found 16",
        "part-00000.bin: expected xxh3",
    ):
        assert line in found.stdout, line


def test_a_merge_of_what_tokenize_wrote_is_sound(
    tmp_path: Path, preprocess: Preprocess, tokenizer: Path
) -> None:
    write_records(tmp_path / "in.jsonl", [f"text {number}" for number in range(2_000)])
    done = preprocess("tokenize", "in.jsonl", "out", "--tokenizer", tokenizer, "--holdout", "0.3")
    assert done.returncode == 0, done.stderr
    for series in ("part", "valid"):
        merged = preprocess("merge", "out", f"merged/{series}", "--series", series)
        assert merged.returncode == 0, merged.stderr
        assert merged.stderr.startswith("preprocess merge: ")
        verified = preprocess("verify", f"merged/{series}")
        assert (verified.returncode, verified.stdout) == (
            0,
            f"merged/{series}: 4 files are sound\n",
        )
