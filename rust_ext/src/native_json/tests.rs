//! Whole files: layouts, faults, and what is read behind them.

use super::checker::fault_of;
use super::fault::Fault;
use super::splitter::{HEAD_BYTES, Splitter};
use super::window::BLOCK_BYTES;

type Split = Vec<(String, &'static str)>;

fn split_in(name: &str, content: &[u8], limit: usize, block_bytes: usize) -> Split {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    let mut splitter = Splitter::in_blocks(&path, limit, block_bytes).unwrap();
    let mut split = Vec::new();
    while let Some(natives) = splitter.next_batch().unwrap() {
        let natives = natives.to_vec();
        for native in natives {
            let raw = String::from_utf8_lossy(&splitter.bytes()[native.range]).into_owned();
            split.push((raw, native.fault.map_or("", Fault::reason)));
        }
    }
    split
}

/// Splits in blocks of every size that makes a difference, which must make none.
fn split(name: &str, content: impl AsRef<[u8]>) -> Split {
    let content = content.as_ref();
    let whole = split_in(name, content, 1 << 20, BLOCK_BYTES);
    // The first block decides what a list is.
    let is_open = content.starts_with(b"[") && (name == "a.jsonl" || content.contains(&b'\n'));
    for block_bytes in (1..content.len().min(80)).filter(|_| !is_open) {
        assert_eq!(split_in(name, content, 1 << 20, block_bytes), whole, "{block_bytes}");
    }
    whole
}

fn good(records: &[&str]) -> Split {
    records.iter().map(|record| ((*record).to_owned(), "")).collect()
}

#[test]
fn every_layout_gives_its_records() {
    let records = good(&["{\"a\": 1}", "{\"b\": [2, {}]}"]);
    for content in [
        "[{\"a\": 1}, {\"b\": [2, {}]}]",
        "[\n  {\"a\": 1},\n  {\"b\": [2, {}]}\n]\n",
        "{\"a\": 1}\n{\"b\": [2, {}]}\n",
        "{\"a\": 1}\r\n\r\n{\"b\": [2, {}]}",
        "{\"a\": 1}{\"b\": [2, {}]}",
        "\u{feff}{\"a\": 1}\n\u{feff}{\"b\": [2, {}]}",
        "[{\"a\": 1}]\n[{\"b\": [2, {}]}]x".trim_end_matches('x'),
    ] {
        let found = split("a.json", content);
        if content.starts_with("[{\"a\": 1}]\n") {
            assert_eq!(found, good(&["[{\"a\": 1}]", "[{\"b\": [2, {}]}]"]));
        } else {
            assert_eq!(found, records, "{content}");
        }
    }
    let pretty = "{\n  \"a\": 1\n}";
    assert_eq!(split("a.json", pretty), good(&[pretty]));
    assert_eq!(split("a.json", "1\n\"x\"\nnull 2"), good(&["1", "\"x\"", "null", "2"]));
    assert_eq!(split("a.json", "[]"), good(&[]));
    assert_eq!(split("a.jsonl", "[]\n"), good(&["[]"]));
    assert_eq!(split("a.jsonl.gz", ""), [(String::new(), "empty_file")]);
}

#[test]
fn a_fault_inside_of_a_record_rejects_it_alone() {
    for (record, reason) in [
        ("{\"a\": NaN}", "not_a_number"),
        ("[-Infinity]", "not_a_number"),
        ("{\"a\": 1, \"\\u0061\": 2}", "duplicate_key"),
        ("{\"a\": {\"b\": 1, \"c\": 2, \"b\": 1}}", "duplicate_key"),
        ("[\"\\ud800\"]", "lone_surrogate"),
        ("[\"\\ud800\\u0061\"]", "lone_surrogate"),
        ("[\"\\udc00\\ud800\"]", "lone_surrogate"),
        ("[\"a\0b\"]", "nul_byte"),
        ("[\"a\tb\"]", "invalid_json"),
        ("[\"\\x41\"]", "invalid_json"),
        ("[\"\\u12g4\"]", "invalid_json"),
        ("[01]", "invalid_json"),
        ("[1.]", "invalid_json"),
        ("[1 2]", "invalid_json"),
        ("{'a': 1}", "invalid_json"),
        ("{\"a\": 1,}", "invalid_json"),
        ("{a: 1}", "invalid_json"),
        ("[tru]", "invalid_json"),
        ("oops", "invalid_json"),
    ] {
        let bad = (record.to_owned(), reason);
        let expected = [("{\"n\": 1}".to_owned(), ""), bad, ("{\"n\": 2}".to_owned(), "")];
        if record.starts_with('{') {
            let array = format!("[{{\"n\": 1}}, {record}, {{\"n\": 2}}]");
            assert_eq!(split("a.json", array), expected, "{record}");
        }
        let pretty = format!("[\n  {{\"n\": 1}},\n  {record},\n  {{\"n\": 2}}\n]");
        if record.starts_with('{') {
            assert_eq!(split("a.json", pretty), expected, "{record}");
        }
        let lines = format!("{{\"n\": 1}}\n{record}\n{{\"n\": 2}}\n");
        let found = split("a.jsonl", &lines);
        let found: Vec<_> =
            found.iter().map(|(raw, why)| (raw.trim_end().to_owned(), *why)).collect();
        assert_eq!(found, expected, "{record}");
    }
    let whole = "{\"a\": \"\\ud83d\\ude00\", \"b\": \"\\u0000\\u00e9\"}";
    assert_eq!(split("a.json", whole), good(&[whole]));
    let latin = split("a.jsonl", b"{\"a\": \"caf\xe9\"}\n{\"a\": 1}\n");
    assert_eq!((latin[0].1, &latin[1].0[..], latin.len()), ("invalid_utf8", "{\"a\": 1}", 2));
}

#[test]
fn a_key_that_occurs_twice_is_found_among_many() {
    let keys: Vec<_> = (0..2_000).map(|key| format!("\"k{key}\": {{\"k0\": 1}}")).collect();
    let whole = format!("{{{}}}", keys.join(", "));
    assert_eq!(split("a.json", &whole), good(&[&whole]));
    let twice = format!("{{{}, \"k7\": 1}}", keys.join(", "));
    assert_eq!(split("a.json", &twice)[0].1, "duplicate_key");
}

#[test]
fn nesting_is_bounded_and_what_follows_is_read() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    for (depth, reason) in [(512, ""), (513, "too_deep"), (100_000, "too_deep")] {
        let content = format!("{{\"a\": 1}}\n{}\n{{\"b\": 1}}\n", nested(depth));
        let found = split_in("a.jsonl", content.as_bytes(), 1 << 20, BLOCK_BYTES);
        assert_eq!((found.len(), found[1].1), (3, reason));
    }
    let open = "[".repeat(100_000);
    assert_eq!(split_in("a.jsonl", open.as_bytes(), 1 << 20, 5_000)[0].1, "truncated");
}

#[test]
fn a_file_that_breaks_off_gives_what_was_whole() {
    let whole = "[{\"a\": 1}, {\"b\": \"x\"}]";
    for length in 1..whole.len() {
        let found = split("a.json", &whole[..length]);
        let (last, before) = found.split_last().unwrap();
        assert_eq!(last.1, "truncated", "{length}");
        assert!(before.iter().all(|(_, reason)| reason.is_empty()), "{length}");
        assert_eq!(before.len(), usize::from(length > 8) + usize::from(length > 20), "{length}");
    }
    let lines = "{\"a\": 1}\n{\"b\": \"x";
    let expected = [("{\"a\": 1}".to_owned(), ""), ("{\"b\": \"x".to_owned(), "truncated")];
    assert_eq!(split("a.jsonl", lines), expected);
}

#[test]
fn a_broken_record_ends_where_the_next_one_certainly_begins() {
    let reasons = |name: &str, content: &str| -> Vec<_> {
        split(name, content).into_iter().map(|(_, reason)| reason).collect()
    };
    // A string that does not end, in an array with a record a line, or several lines.
    let pretty = "[\n  {\n    \"a\": \"x\n  },\n  {\n    \"a\": \"y\"\n  }\n]";
    assert_eq!(reasons("a.json", pretty), ["invalid_json", ""]);
    let flat = "[{\"a\": \"x}, {\"a\": \"y\"}, {\"a\": \"z\"}]";
    assert_eq!(reasons("a.json", flat), ["invalid_json"]);
    let lines = "{\"a\": [\n{\"b\": 1}\n{\"c\": 1}\n{\"a\": {\n{\"b\": 1}\n";
    assert_eq!(reasons("a.jsonl", lines), ["invalid_json", "", "", "invalid_json", ""]);
    assert_eq!(reasons("a.json", lines), ["invalid_json", "", "", "invalid_json", ""]);
    // A part of a broken record is no record.
    let zero = "{\n\"a\": [\n{\n\"b\": 1\n},\noops\n]\n}\n";
    assert!(reasons("a.json", zero).iter().all(|reason| !reason.is_empty()));
    let garbage = "<html>\n<p>1</p>\n2\n</html>\n";
    assert_eq!(reasons("a.json", garbage), ["invalid_json"]);
    assert_eq!(reasons("a.jsonl", garbage), ["invalid_json", "invalid_json", "", "invalid_json"]);
    assert_eq!(reasons("a.json", "[1, 2,]"), ["", "", "invalid_json"]);
    assert_eq!(reasons("a.json", "[1,, 2]"), ["", "invalid_json", ""]);
    assert_eq!(reasons("a.json", "[{} {}, {}]"), ["", "", ""]);
    assert_eq!(reasons("a.json", "[1 2, 3]"), ["", "invalid_json", ""]);
    assert_eq!(reasons("a.json", "[{}}, {}]"), ["", "invalid_json"]);
    assert_eq!(reasons("a.json", "[{}] x"), ["", "invalid_json"]);
    assert_eq!(reasons("a.json", "{} x {}"), ["", "invalid_json"]);
}

#[test]
fn a_record_over_the_limit_is_its_head_and_its_neighbours_stay() {
    let long = format!("{{\"n\": 0, \"a\": \"{}\", \"n\": 1}}", "\\\"[x,".repeat(2_000));
    let broken = format!("{{\"n\": 0, 'a': \"{}\", \"n\": 1}}", "\\\"[x,".repeat(2_000));
    for long in [long, broken] {
        for block_bytes in [100, 1_000, 4_096, BLOCK_BYTES] {
            for content in [
                format!("[{{\"b\": 1}}, {long}, {{\"c\": 1}}]"),
                format!("{{\"b\": 1}}\n{long}\n{{\"c\": 1}}\n"),
            ] {
                let found = split_in("a.json", content.as_bytes(), 2_000, block_bytes);
                let reasons: Vec<_> = found.iter().map(|(_, reason)| *reason).collect();
                assert_eq!(reasons, ["", "over_memory", ""], "{block_bytes}");
                assert_eq!(found[1].0, long[..HEAD_BYTES]);
                assert_eq!(found[2].0, "{\"c\": 1}");
            }
        }
    }
}

#[test]
fn wide_files_are_one_rejection() {
    let wide: Vec<u8> = "[{\"a\": 1}]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for content in [[&b"\xff\xfe"[..], &wide].concat(), wide] {
        let found = split_in("a.json", &content, 1 << 20, BLOCK_BYTES);
        assert_eq!((found.len(), found[0].1), (1, "invalid_utf8"));
    }
}

#[test]
fn a_value_by_itself_is_checked_alike() {
    for (value, fault) in [
        ("{\"a\": [1, null]}\n", None),
        (" 1.5", None),
        ("\"x\"", None),
        ("", Some(Fault::InvalidJson)),
        ("1 2", Some(Fault::InvalidJson)),
        ("[1", Some(Fault::InvalidJson)),
        ("-", Some(Fault::InvalidJson)),
        ("{\"a\": 1, \"a\": 1}", Some(Fault::DuplicateKey)),
        ("[NaN]", Some(Fault::NotANumber)),
    ] {
        assert_eq!(fault_of(value.as_bytes()), fault, "{value}");
    }
    assert_eq!(fault_of(b"\"\xff\""), Some(Fault::InvalidUtf8));
}
