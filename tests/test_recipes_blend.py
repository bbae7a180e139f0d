"""Blend files and sidecars: what they give, and what each kind of damage is told as."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from blend_files import write_blend, write_part

from megatron_recipes.blend import read_blend
from megatron_recipes.settings import first_difference


@pytest.fixture
def blend_file(tmp_path: Path) -> Path:
    return write_blend(tmp_path / "data")


def change(path: Path, edit: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def refusal(path: Path) -> str:
    with pytest.raises((ValueError, OSError)) as caught:
        read_blend(path)
    return str(caught.value)


def test_weights_of_a_group_are_spread_by_tokens(tmp_path: Path, blend_file: Path) -> None:
    write_part(tmp_path / "data/agent/part-00001", num_documents=120)
    prefixes, weights = read_blend(blend_file).weighted_prefixes()
    names = [str(Path(prefix).relative_to(tmp_path / "data")) for prefix in prefixes]
    assert names == ["agent/part-00000", "agent/part-00001", "code/part-00000"]
    assert weights == pytest.approx([0.125, 0.375, 0.5])


def test_empty_parts_are_left_out(tmp_path: Path, blend_file: Path) -> None:
    write_part(tmp_path / "data/agent/part-00001", num_documents=0)
    assert read_blend(blend_file).weighted_prefixes()[1] == pytest.approx([0.5, 0.5])


def test_identity_does_not_depend_on_where_the_files_lie(tmp_path: Path) -> None:
    here, there = write_blend(tmp_path / "here"), write_blend(tmp_path / "there")
    assert read_blend(here).identity() == read_blend(there).identity()


def test_identity_tells_the_order_of_groups_apart(blend_file: Path) -> None:
    before = read_blend(blend_file).identity()
    change(blend_file, lambda blend: blend["train"].reverse())
    assert first_difference(before, read_blend(blend_file).identity()) == (
        "train.0.group (there agent, now code)"
    )


def test_another_tokenizer_is_refused(tmp_path: Path, blend_file: Path) -> None:
    data = tmp_path / "data"
    write_part(data / "code/part-00000", tokenizer="two")
    assert refusal(blend_file) == (
        f"{data}/code/part-00000 was made with another tokenizer (sha256 3fc4ccfe7458) than "
        f"{data}/agent/part-00000 (sha256 7692c3ad3540); tokenize both with one"
    )


def test_another_end_of_document_is_refused(tmp_path: Path, blend_file: Path) -> None:
    data = tmp_path / "data"
    change(data / "code/part-00000.json", lambda sidecar: sidecar.update(eod_id=7))
    assert refusal(blend_file) == (
        f"eod_id of {data}/code/part-00000 is 7, of {data}/agent/part-00000 0; tokenize both alike"
    )


def test_truncated_bin_is_refused(tmp_path: Path, blend_file: Path) -> None:
    bin_file = tmp_path / "data/code/part-00000.bin"
    bin_file.write_bytes(bin_file.read_bytes()[:-2])
    assert refusal(blend_file) == (
        f"{bin_file}: expected 32000 bytes (16000 tokens of uint16, says part-00000.json), "
        "found 31998; tokenize it again"
    )


def test_missing_index_is_refused(tmp_path: Path, blend_file: Path) -> None:
    prefix = tmp_path / "data/code/part-00000"
    Path(f"{prefix}.idx").unlink()
    assert refusal(blend_file) == f"{prefix}.idx: missing, though {prefix}.json exists"


def test_missing_sidecar_is_refused(tmp_path: Path, blend_file: Path) -> None:
    sidecar = tmp_path / "data/code/part-00000.json"
    sidecar.unlink()
    assert refusal(blend_file) == (
        f"{sidecar}: expected the sidecar of an indexed dataset, found no such file"
    )


def test_missing_blend_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    assert refusal(path) == f"{path}: expected a blend file, found no such file"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda blend: blend["train"][0].update(weight=0.7),
            "the weights under train must sum to 1, they sum to 1.2",
        ),
        (
            lambda blend: blend["train"][0].update(weight=float("nan")),
            "group agent needs a weight above 0, found nan",
        ),
        (
            lambda blend: blend["train"][0].update(weight=-1),
            "group agent needs a weight above 0, found -1",
        ),
        (lambda blend: blend["train"][0].update(prefixes=[]), "group agent under train lists no"),
        (lambda blend: blend.update(train=[]), "expected at least one group under train"),
        (
            lambda blend: blend["train"][0].update(group="code"),
            "each entry under train needs its own group, found 'code'",
        ),
    ],
)
def test_malformed_blend_is_refused(
    blend_file: Path, edit: Callable[[Any], None], message: str
) -> None:
    change(blend_file, edit)
    said = refusal(blend_file)
    assert said.startswith(f"{blend_file}: ")
    assert message in said


@pytest.mark.parametrize(
    ("kind", "place"), [("train", "group code under train"), ("valid", "group agent under valid")]
)
def test_part_that_is_listed_twice_is_refused(blend_file: Path, kind: str, place: str) -> None:
    number = {"train": 1, "valid": 0}[kind]
    change(
        blend_file, lambda blend: blend[kind][number].update(prefixes=["code/../agent/part-00001"])
    )
    assert refusal(blend_file) == (
        f"{blend_file}: expected each part once, found {blend_file.parent}/agent/part-00001 in "
        f"group agent under train and in {place}; leave one out"
    )


def test_blend_that_is_no_json_is_refused(blend_file: Path) -> None:
    blend_file.write_text("{")
    assert refusal(blend_file).startswith(f"{blend_file}: expected a blend file in JSON: ")
