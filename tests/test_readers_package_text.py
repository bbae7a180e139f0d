"""The prose of packages: which files, which text, which licence."""

import json
from pathlib import Path, PurePosixPath

import pytest

from preprocess.readers import READERS
from preprocess.readers.package_text import document_type
from preprocess.records import Outcome, encode

READER = READERS["package_text"]

METADATA = """\
Metadata-Version: 2.4
Name: example
Version: 1.0
License-Expression: MIT
Description-Content-Type: text/markdown

# Example

Größe: it works.
"""


def read(folder: Path, name: str, text: str | bytes) -> Outcome:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (outcome,) = READER.read(path, name)
    return outcome


def test_the_description_of_metadata_is_its_body(tmp_path: Path) -> None:
    outcome = read(tmp_path, "example-1.0.dist-info/METADATA", METADATA)
    assert json.loads(encode(outcome.records[0])) == {
        "id": "package_text/example-1.0.dist-info/METADATA#0",
        "text": "# Example\n\nGröße: it works.",
        "kind": "text",
        "source": "package_text",
        "license": "MIT",
        "origin": {"path": "example-1.0.dist-info/METADATA", "record": 0},
        "meta": {"document": "metadata", "distribution": "example"},
    }


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        ("Name: a\nDescription: A.\n        B.\n        \n        C.\n\n", "A.\nB.\n\nC."),
        ("Name: a\nDescription: One.\n       |Two.\n", "One.\nTwo."),
    ],
)  # fmt: skip
def test_the_description_can_be_a_field(tmp_path: Path, metadata: str, text: str) -> None:
    assert read(tmp_path, "a.egg-info/PKG-INFO", metadata).records[0].text == text


def test_a_body_that_claims_to_be_something_else_is_still_text(tmp_path: Path) -> None:
    for header in (
        "Content-Transfer-Encoding: base64",
        "Content-Type: multipart/mixed; boundary=x",
    ):
        outcome = read(
            tmp_path, "a.dist-info/METADATA", f"Name: a\n{header}\n\n--x\n\nabcd\n--x--\n"
        )
        assert outcome.records[0].text == "--x\n\nabcd\n--x--"


@pytest.mark.parametrize("body", ["", "\n\n", "\nUNKNOWN\n"])
def test_metadata_without_description_is_dropped_as_empty(tmp_path: Path, body: str) -> None:
    metadata = f"Name: a\nVersion: 1\n{body}"
    assert read(tmp_path, "a.dist-info/METADATA", metadata).dropped == ("empty",)


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("README", "readme"),
        ("pkg/readme.rst", "readme"),
        ("README.cn.md", "readme"),
        ("LICENSE", "licence"),
        ("a/LICENCE.txt", "licence"),
        ("LICENSE-MIT", "licence"),
        ("COPYING.LESSER", "licence"),
        ("a.dist-info/licenses/vendor/x.txt", "licence"),
        ("a.dist-info/licenses/BSD", "licence"),
        ("tests/LICENSE", "licence"),
        ("CHANGES.rst", "documentation"),
        ("NEWS", "documentation"),
        ("docs/guide.md", "documentation"),
        ("a.dist-info/METADATA", "metadata"),
        ("METADATA", None),
        ("requirements.txt", None),
        ("dev-requirements-3.txt", None),
        ("a.dist-info/top_level.txt", None),
        ("a.dist-info/entry_points.txt", None),
        ("a.dist-info/RECORD", None),
        ("CMakeLists.txt", None),
        ("tests/notes.txt", None),
        ("pkg/data/table.txt", None),
        ("license.py", None),
        ("a.csv", None),
    ],
)
def test_the_name_decides_what_a_document_is(name: str, document: str | None) -> None:
    assert document_type(PurePosixPath(name)) == document
    assert READER.accepts(PurePosixPath(name)) == (document is not None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0041;LATIN;Lu;0;L;;;;;N;;;;0061;\n" * 20, "not_prose"),
        ("alpha\nbeta\ngamma\n" * 20, "not_prose"),
        ("1 2 3 4 5 6\n" * 20, "not_prose"),
        (" \n", "empty"),
    ],
)
def test_tables_and_lists_are_dropped(tmp_path: Path, text: str, reason: str) -> None:
    assert read(tmp_path, "notes.txt", text).dropped == (reason,)


@pytest.mark.parametrize(
    "text",
    [
        "Usage\n=====\n\nRun the program, then read what it printed.\n\n    run --all\n",
        "运行程序然后阅读它打印的内容。如果没有打印任何内容请再试一次。\n" * 3,
    ],
)
def test_prose_is_kept_unchanged(tmp_path: Path, text: str) -> None:
    (record,) = read(tmp_path, "guide/usage.txt", text).records
    assert record.text == text
    assert record.meta == {"document": "documentation"}
    assert record.id == "package_text/guide/usage.txt#0"


def test_undecodable_documents_are_rejected(tmp_path: Path) -> None:
    rejection = read(tmp_path, "README", b"caf\xe9").rejection
    assert rejection is not None
    assert (rejection.reason, rejection.raw) == ("invalid_utf8", b"caf\xe9")
    rejection = read(tmp_path, "LICENSE", b"a\0").rejection
    assert rejection is not None
    assert rejection.reason == "binary"
