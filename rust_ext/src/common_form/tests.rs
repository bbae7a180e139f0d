//! Whole records of both forms; that they are those of the readers, `tests/test_common_form.py` says.

use super::{CommonForm, Lines, Source};

fn source(name: &str) -> Source<'_> {
    Source { name, license: "MIT", path: "a.json", ordinal: 3 }
}

fn made(form: CommonForm, raw: &str) -> Option<String> {
    let mut lines = Lines::default();
    let made = form.lines(raw.as_bytes(), source("d"), &mut lines)?;
    let text = std::str::from_utf8(made.as_bytes()).unwrap();
    assert_eq!(text.lines().count(), made.records);
    Some(text.to_owned())
}

const REQUEST: &str = r#"{"id": 1, "query": "q?",
    "answers": "[{\"name\": \"f\", \"arguments\": {\"a\": 1}}]",
    "tools": "[{\"name\": \"f\", \"description\": \"F\", \"parameters\": {\"a\": {\"type\": \"int\"}}}]"}"#;

#[test]
fn a_request_is_one_line() {
    let line = made(CommonForm::Apigen, REQUEST).unwrap();
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["id"], "d/a.json#3");
    assert_eq!(value["tools"][0]["parameters"]["properties"]["a"]["type"], "integer");
    assert_eq!(value["messages"][1]["tool_calls"][0]["id"], "call_0");
    assert_eq!(value["meta"]["checks"]["valid"], true);
    assert!(value["text"].as_str().unwrap().contains("q?"));
}

#[test]
fn a_call_that_does_not_fit_is_not_common() {
    assert_eq!(made(CommonForm::Apigen, &REQUEST.replace(r#"\"a\": 1"#, r#"\"a\": true"#)), None);
    assert_eq!(made(CommonForm::Apigen, &REQUEST.replace(r#"\"a\": 1"#, "")), None);
    assert_eq!(made(CommonForm::Apigen, &REQUEST.replace("q?", " ")), None);
}

#[test]
fn a_document_gives_its_operations_the_schemas_nobody_takes_and_itself() {
    let raw = r##"{"swagger": "2.0", "info": {"title": "T"}, "paths": {"/a": {"post": {"parameters":
        [{"in": "body", "name": "b", "schema": {"$ref": "#/definitions/S"}}]}}},
        "definitions": {"S": {"type": "object"}, "U": {"type": "string"}}}"##;
    let lines = made(CommonForm::Openapi, raw).unwrap();
    let ids: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].to_string())
        .collect();
    let parts = ["post /a", "schema U", "document"].map(|part| format!("\"d/a.json:{part}#3\""));
    assert_eq!(ids, parts);
    assert!(lines.contains("#/$defs/S"));
}

#[test]
fn room_that_is_used_again_holds_nothing_of_before() {
    let mut lines = Lines::default();
    for _ in 0..2 {
        let made = CommonForm::Apigen.lines(REQUEST.as_bytes(), source("d"), &mut lines);
        assert_eq!(made.map(|made| made.records), Some(1));
    }
    assert!(CommonForm::Openapi.lines(b"{}", source("d"), &mut lines).is_none());
}
