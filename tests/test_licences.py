"""Which licences are let in, and what a wrong list is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preprocess.licences import Licences, named

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Preprocess


def test_a_list_of_licences_is_sorted_and_each_stands_once() -> None:
    assert named(" MIT,Apache-2.0, MIT ") == ("Apache-2.0", "MIT")


@pytest.mark.parametrize("listed", ["", " ", ",", "MIT,,Apache-2.0", "MIT,"])
def test_an_empty_name_is_none(listed: str) -> None:
    with pytest.raises(ValueError, match="expected SPDX names with commas between, or any, got"):
        named(listed)


def test_case_does_not_matter() -> None:
    assert Licences(("mit",)).reason_to_drop("MIT") is None
    assert Licences(("ANY",)).reason_to_drop("MIT") == "license"
    assert Licences(("mit",)).reason_to_drop("MIT-0") == "license"


@pytest.mark.parametrize("listed", ["", "MIT,"])
def test_a_wrong_list_is_a_misuse(preprocess: Preprocess, tmp_path: Path, listed: str) -> None:
    (tmp_path / "a.txt").write_text("A text.")
    done = preprocess("ingest", "a.txt", "out", "--dataset", "text", "--licenses", listed)
    assert done.returncode == 2
    assert done.stderr == (
        "preprocess ingest: --licenses: expected SPDX names with commas between, or any, got "
        f"{listed!r}\n"
    )


def test_a_run_that_leaves_all_out_says_which_option_lets_them_in(
    preprocess: Preprocess, tmp_path: Path
) -> None:
    native = [{"query": "Is it up?", "reference": 'is_up(site = "a")'}]
    (tmp_path / "a.json").write_text(json.dumps(native))
    done = preprocess("ingest", "a.json", "out", "--dataset", "nexusraven")
    assert done.returncode == 1
    assert "non_commercial_license 1" in done.stderr
    assert "allow their licences by --licenses" in done.stderr


def test_a_column_that_is_not_there_is_the_user_s_to_name(
    preprocess: Preprocess, tmp_path: Path
) -> None:
    pq.write_table(pa.table({"body": ["a"]}), tmp_path / "a.parquet")
    done = preprocess("ingest", "a.parquet", "out", "--dataset", "jsonl")
    assert done.returncode == 1
    assert "expected a column named 'text', found body; name it with --text-field" in done.stderr
    assert "please report" not in done.stderr
