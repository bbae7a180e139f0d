//! Small tokenizers written by hand: what each setting does to the ids, seen from outside.

use std::path::PathBuf;

use _rust_ext::Error;
use _rust_ext::tokenizer::Tokenizer;
use serde_json::{Value, json};

/// The character that stands for a byte in a `tokenizer.json`, by the rule of GPT-2.
fn spelled(byte: u8) -> char {
    let printable = |b: u8| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let rank = (0..byte).filter(|&b| !printable(b)).count();
    let code_point = if printable(byte) {
        u32::from(byte)
    } else {
        256 + u32::try_from(rank).expect("below 256")
    };
    char::from_u32(code_point).expect("below 512")
}

/// A tokenizer whose bytes are their own ids, with `ab`, `abc` and ` a` as 256 to 258.
fn small() -> Value {
    let mut vocab: serde_json::Map<String, Value> =
        (0..=255u8).map(|byte| (spelled(byte).to_string(), json!(byte))).collect();
    for (token, id) in [("ab", 256), ("abc", 257), ("Ġa", 258)] {
        vocab.insert(token.to_owned(), json!(id));
    }
    json!({
        "added_tokens": [added(259, "<|end|>", true), added(260, "<tool>", false)],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
        "model": {
            "type": "BPE",
            "vocab": vocab,
            "merges": [["a", "b"], ["Ġ", "a"], ["ab", "c"]],
        },
    })
}

fn added(id: u32, content: &str, special: bool) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": special})
}

fn load(content: &Value) -> Tokenizer {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("tokenizer.json");
    std::fs::write(&path, content.to_string()).expect("written");
    Tokenizer::load(directory.path()).expect("loaded")
}

fn encode(tokenizer: &Tokenizer, text: &str, parse_special: bool) -> Vec<u32> {
    let mut ids = Vec::new();
    tokenizer.encoder().encode(text, parse_special, &mut ids).expect("encoded");
    ids
}

#[test]
fn merges_go_by_rank_and_stay_inside_words() {
    let tokenizer = load(&small());
    assert_eq!(tokenizer.fallback_reason(), None);
    assert_eq!(encode(&tokenizer, "abc abc a", false), [257, 32, 257, 258]);
    assert_eq!(encode(&tokenizer, "a'sb", false), [97, 39, 115, 98]);
    assert_eq!(tokenizer.vocab_size(), 261);
}

#[test]
fn special_tokens_are_text_unless_parsed_and_others_always_match() {
    let tokenizer = load(&small());
    assert_eq!(encode(&tokenizer, "ab<|end|><tool>", true), [256, 259, 260]);
    let ids = encode(&tokenizer, "<|end|><tool>", false);
    assert_eq!(ids, [60, 124, 101, 110, 100, 124, 62, 260]);
    assert_eq!(tokenizer.special_tokens().collect::<Vec<_>>(), [("<|end|>", 259)]);
}

#[test]
fn whole_words_win_over_merges_only_where_the_file_says_so() {
    let mut content = small();
    content["model"]["merges"] = json!([["b", "c"], ["a", "b"], ["ab", "c"]]);
    content["model"]["vocab"]["bc"] = json!(259);
    content["added_tokens"] = json!([]);
    assert_eq!(encode(&load(&content), "abc", false), [97, 259]);
    content["model"]["ignore_merges"] = json!(true);
    assert_eq!(encode(&load(&content), "abc", false), [257]);
}

#[test]
fn a_prefix_space_and_nfc_are_applied_between_added_tokens() {
    let mut content = small();
    content["pre_tokenizer"]["add_prefix_space"] = json!(true);
    content["normalizer"] = json!({"type": "NFC"});
    let tokenizer = load(&content);
    assert_eq!(tokenizer.fallback_reason(), None);
    assert_eq!(encode(&tokenizer, "a<tool>e\u{301}", false), [258, 260, 32, 195, 169]);
    assert_eq!(encode(&tokenizer, "", false), [0; 0]);
}

#[test]
fn a_file_that_asks_for_more_is_left_to_the_library_with_the_reason() {
    let mut content = small();
    content["normalizer"] = json!({"type": "Lowercase"});
    let tokenizer = load(&content);
    assert_eq!(tokenizer.fallback_reason(), Some(r#"normalizer {"type":"Lowercase"}"#));
    assert_eq!(encode(&tokenizer, "ABC<|end|>", true), [257, 259]);
    assert_eq!(encode(&tokenizer, "<|END|>", false).len(), 7);
}

#[test]
fn ids_and_tokens_lead_to_each_other() {
    let tokenizer = load(&small());
    assert_eq!(tokenizer.token_to_id("Ġa"), Some(258));
    assert_eq!(tokenizer.id_to_token(260).as_deref(), Some("<tool>"));
    assert_eq!((tokenizer.token_to_id("zz"), tokenizer.id_to_token(261)), (None, None));
    let error = tokenizer.decode(&[261]).expect_err("no such id");
    assert_eq!(error.to_string(), "id 261 is not below the vocabulary size 261");
}

#[test]
fn a_long_word_is_merged_whole() {
    let tokenizer = load(&small());
    let ids = encode(&tokenizer, &"abc".repeat(400_000), false);
    assert_eq!(ids, vec![257; 400_000]);
}

#[test]
fn a_missing_file_is_an_io_error_that_names_it() {
    let path = PathBuf::from("absent/tokenizer.json");
    match Tokenizer::load(&path) {
        Err(Error::Io { path: named, .. }) => assert_eq!(named, path),
        other => panic!("expected an Io error, got {other:?}"),
    }
}

proptest::proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(text in "(abc|ab| |<tool>|<\\|end\\|>|é|\\PC){0,30}") {
        thread_local!(static TOKENIZER: Tokenizer = load(&small()));
        TOKENIZER.with(|tokenizer| {
            for parse_special in [false, true] {
                let ids = encode(tokenizer, &text, parse_special);
                assert_eq!(tokenizer.decode(&ids).expect("decoded"), text.as_bytes());
            }
        });
    }
}
