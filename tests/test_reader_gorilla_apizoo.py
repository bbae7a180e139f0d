"""The API zoo: prose about arguments, keys that vary, an extension in capitals, broken arrays."""

from pathlib import Path, PurePosixPath

import pytest
from leaves import counts, lost_leaves, read_all
from read_values import own_meta, record_of, rejected

from preprocess.readers import READERS

READER = READERS["gorilla_apizoo"]
NATIVE = {
    "user_name": "someone",
    "api_name": "Letters - send",
    "api_call": "service.letters().send(to: str)",
    "api_version": "v1",
    "api_arguments": {
        "to": "[REQUIRED] string: Whom to send it.",
        "copies": "integer (Optional, how many)",
        "when": "Required. A date.",
        "paper": ["a4", "a5"],
        "stamp": True,
    },
    "functionality": "Sends a letter.",
    "env_requirements": ["postal"],
    "example_code": "send('Ann')",
    "meta_data": {"description": "Letters go by post.", "documentation_link": "https://a.org"},
    "questions": ["Write to Ann."],
}


def test_an_api_is_a_page_and_a_tool(tmp_path: Path) -> None:
    record = record_of(READER, tmp_path, NATIVE)
    assert record.kind == "tool_documentation"
    assert "Letters - send" in record.text
    assert "Sends a letter." in record.text
    assert "[REQUIRED] string: Whom to send it." in record.text
    assert record.text.endswith(
        "\n\nCall:\n```\nservice.letters().send(to: str)\n```\n\nArguments:\n"
        '{"to":"[REQUIRED] string: Whom to send it.","copies":"integer (Optional, how many)",'
        '"when":"Required. A date.","paper":["a4","a5"],"stamp":true}\n\n'
        "Requirements:\n- postal\n\nExample:\n```\nsend('Ann')\n```\n\n"
        "About:\n- description: Letters go by post.\n- documentation_link: https://a.org\n\n"
        "Questions that it answers:\n- Write to Ann."
    )
    kept = [key for key in NATIVE if key not in ("api_name", "functionality")]
    assert own_meta(record) == {key: NATIVE[key] for key in kept}


def test_arguments_in_prose_alone_stand_in_the_tool(tmp_path: Path) -> None:
    value = {**NATIVE, "api_arguments": {"to": "string: Whom"}}
    record = record_of(READER, tmp_path, value)
    assert "Arguments:\n" not in record.text.partition("Call:\n")[2]
    assert "api_arguments" not in record.meta


def test_prose_gives_a_type_only_where_it_begins_so(tmp_path: Path) -> None:
    (tool,) = record_of(READER, tmp_path, NATIVE).tools
    assert tool.name == "Letters - send"
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "to": {"description": "[REQUIRED] string: Whom to send it.", "type": "string"},
            "copies": {"description": "integer (Optional, how many)", "type": "integer"},
            "when": {"description": "Required. A date."},
            "paper": {},
            "stamp": {},
        },
        "required": ["to"],
    }


@pytest.mark.parametrize("key", ["questions", "Questions"])
def test_questions_have_two_spellings(tmp_path: Path, key: str) -> None:
    value = {"api_name": "a", "api_call": "b()", key: ["Why?"], "metadata": {"x": 1}}
    record = record_of(READER, tmp_path, value)
    assert "- Why?" in record.text
    assert "- x: 1" in record.text
    assert own_meta(record) == {name: value[name] for name in value if name != "api_name"}


def test_files_in_capitals_are_read() -> None:
    assert READER.accepts(PurePosixPath("KubernetesAPI.JSON"))
    assert not READER.accepts(PurePosixPath("README.md"))


def test_a_comma_before_a_closing_bracket_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"api_name": "a, }", "api_call": "[1,]", "questions": ["b",], }')
    (made,) = READER.read(path, path.name)
    assert made.repairs == ("trailing_comma_in_json",)
    assert own_meta(made.records[0]) == {"api_call": "[1,]", "questions": ["b"]}
    assert made.records[0].tools[0].name == "a, }"


def test_what_no_comma_explains_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"api_name": "a", "api_call": "b(",, }')
    (made,) = READER.read(path, path.name)
    assert made.rejection is not None
    assert made.rejection.reason == "invalid_json"
    assert made.rejection.raw == path.read_bytes()
    assert rejected(READER, tmp_path, {"api_name": "a"}) == "unknown_layout"


@pytest.mark.shared
def test_every_real_record_is_read_whole(shared: Path) -> None:
    root = shared / "data/agent/gorilla_apizoo"
    whole = [path for path in sorted(root.iterdir()) if path.suffix == ".json"]
    outcomes = [each for path in whole for each in read_all(READER, path, root)]
    assert counts(outcomes) == {"native": 510, "out": 510}
    assert [lost_leaves(READER, path, root)[1] for path in whole] == [[]] * len(whole)


@pytest.mark.shared
def test_of_a_broken_array_nothing_disappears(shared: Path) -> None:
    path = shared / "data/agent/gorilla_apizoo/KubernetesAPI.JSON"
    outcomes = list(READER.read(path, path.name))
    text = path.read_text()
    fates = [each.rejection.raw.decode() for each in outcomes if each.rejection]
    names = [record.tools[0].name for each in outcomes for record in each.records]
    for line in text.split("\n"):
        if '"api_name"' in line:
            name = line.split('": "')[1].rstrip('",')
            assert name in names or any(name in raw for raw in fates), name
