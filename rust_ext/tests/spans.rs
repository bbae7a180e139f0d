//! Records in spans: ids against those of the rendered string, masks against hand-made ones.

use std::path::PathBuf;

use _rust_ext::tokenizer::{Span, Tokenizer};
use proptest::prelude::*;
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

fn added(id: u32, content: &str, special: bool, strips: bool) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": strips,
           "rstrip": strips, "normalized": !special, "special": special})
}

/// Bytes are their own ids; `ab`, `abc`, ` a` and the two bytes of `é` are 256 to 259.
fn byte_level(adds_prefix_space: bool, normalizer: &Value) -> Value {
    let mut vocab: serde_json::Map<String, Value> =
        (0..=255u8).map(|byte| (spelled(byte).to_string(), json!(byte))).collect();
    for (token, id) in [("ab", 256), ("abc", 257), ("Ġa", 258), ("Ã©", 259)] {
        vocab.insert(token.to_owned(), json!(id));
    }
    json!({
        "added_tokens": [
            added(260, "<|end|>", true, false),
            added(261, "<tool>", false, false),
            added(262, "<|strip|>", true, true),
        ],
        "normalizer": normalizer,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": adds_prefix_space,
                          "trim_offsets": false},
        "model": {
            "type": "BPE",
            "vocab": vocab,
            "merges": [["a", "b"], ["Ġ", "a"], ["ab", "c"], ["Ã", "©"]],
        },
    })
}

/// A model with `SentencePiece`'s spaces, put in front of the beginning of the input only.
fn metaspace() -> Value {
    let mut vocab = serde_json::Map::new();
    for (id, token) in
        ["<unk>", "<s>", "▁", "a", "b", "▁a", "ab", "<", ">", "s", "é"].iter().enumerate()
    {
        vocab.insert((*token).to_owned(), json!(id));
    }
    json!({
        "added_tokens": [added(0, "<unk>", true, false), added(1, "<s>", true, false)],
        "normalizer": null,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first",
                          "split": false},
        "model": {"type": "BPE", "vocab": vocab, "unk_token": "<unk>",
                  "merges": [["▁", "a"], ["a", "b"]]},
    })
}

fn load(content: &Value) -> Tokenizer {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path: PathBuf = directory.path().join("tokenizer.json");
    std::fs::write(&path, content.to_string()).expect("written");
    Tokenizer::load(&path).expect("loaded")
}

fn text(text: &str, trained: bool) -> Span<'_> {
    Span { text: text.into(), special: false, trained }
}

fn token(text: &str, trained: bool) -> Span<'_> {
    Span { text: text.into(), special: true, trained }
}

fn encode(tokenizer: &Tokenizer, spans: &[Span<'_>]) -> (Vec<u32>, Vec<u8>) {
    let (mut ids, mut mask) = (vec![7], vec![9]);
    tokenizer.encoder().encode_spans(spans, &mut ids, &mut mask).expect("encoded");
    assert_eq!((ids.remove(0), mask.remove(0)), (7, 9));
    assert_eq!(ids.len(), mask.len());
    (ids, mask)
}

fn rendered(tokenizer: &Tokenizer, spans: &[Span<'_>]) -> Vec<u32> {
    let joined: String = spans.iter().map(|span| &*span.text).collect();
    let mut ids = Vec::new();
    tokenizer.encoder().encode(&joined, true, &mut ids).expect("encoded");
    ids
}

#[test]
fn a_token_across_a_border_is_kept_whole_and_trained() {
    let tokenizer = load(&byte_level(false, &Value::Null));
    let spans = [text("xa", false), text("bc", true), text("x", false), token("<|end|>", true)];
    assert_eq!(encode(&tokenizer, &spans), (vec![120, 257, 120, 260], vec![0, 1, 0, 1]));
    // A special token between them is a border that no token crosses.
    let spans = [text("a", false), token("<|end|>", false), text("bc", true)];
    assert_eq!(encode(&tokenizer, &spans), (vec![97, 260, 98, 99], vec![0, 0, 1, 1]));
}

#[test]
fn special_tokens_spelled_in_text_stay_text_and_others_are_found_across_spans() {
    let tokenizer = load(&byte_level(false, &Value::Null));
    let (ids, mask) = encode(&tokenizer, &[text("<|end|>", true), text("<to", false)]);
    assert_eq!(ids, b"<|end|><to".map(u32::from));
    assert_eq!(mask, [1, 1, 1, 1, 1, 1, 1, 0, 0, 0]);
    let (ids, mask) = encode(&tokenizer, &[text("<to", false), text("ol>b", true)]);
    assert_eq!((ids, mask), (vec![261, 98], vec![1, 1]));
    // An added token that is not special may be named, too.
    assert_eq!(encode(&tokenizer, &[token("<tool>", false)]), (vec![261], vec![0]));
}

#[test]
fn a_span_that_names_no_special_token_is_an_error_with_its_name() {
    for content in [byte_level(false, &Value::Null), metaspace()] {
        let tokenizer = load(&content);
        let (mut ids, mut mask) = (Vec::new(), Vec::new());
        let spans = [text("a", true), token("ab", true)];
        let error = tokenizer.encoder().encode_spans(&spans, &mut ids, &mut mask).unwrap_err();
        assert!(error.to_string().starts_with("span 1 is to be a special token, but \"ab\" is"));
    }
}

#[test]
fn composed_characters_prefix_spaces_and_stripped_ones_keep_the_borders() {
    let tokenizer = load(&byte_level(true, &json!({"type": "NFC"})));
    // A space in front goes with the text; the combining acute joins the e before it.
    let spans = [text("be", false), text("\u{301}b", true)];
    assert_eq!(encode(&tokenizer, &spans), (vec![32, 98, 259, 98], vec![0, 0, 1, 1]));
    let spans = [text("a \n", true), token("<|strip|>", false), text(" ", false), text(" a", true)];
    let (ids, mask) = encode(&tokenizer, &spans);
    assert_eq!((ids, mask), (vec![258, 262, 258], vec![1, 0, 1]));
    assert_eq!(rendered(&tokenizer, &spans), [258, 262, 258]);
}

#[test]
fn only_the_beginning_of_the_input_gets_a_space_where_the_fallback_says_so() {
    let tokenizer = load(&metaspace());
    assert!(tokenizer.fallback_reason().is_some());
    let spans = [text("a", false), token("<s>", false), text("a<s", false), text(">b", true)];
    // ▁a <s> a < s > b
    assert_eq!(encode(&tokenizer, &spans), (vec![5, 1, 3, 7, 9, 8, 4], vec![0, 0, 0, 0, 0, 1, 1]));
    let (ids, mask) =
        encode(&tokenizer, &[token("<s>", false), text("a", false), text("b é", true)]);
    assert_eq!((ids, mask), (vec![1, 6, 2, 10], vec![0, 1, 1, 1]));
}

#[test]
fn nothing_gives_nothing() {
    for content in [byte_level(true, &Value::Null), metaspace()] {
        let tokenizer = load(&content);
        assert_eq!(encode(&tokenizer, &[]), (vec![], vec![]));
        assert_eq!(encode(&tokenizer, &[text("", true)]).0.len(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn spans_give_the_ids_of_the_rendered_string(
        parts in proptest::collection::vec(
            (0..4_usize, "[abc é\u{301}\n▁>to]{0,6}", any::<bool>()), 0..8),
        tokenizer in 0..5_usize,
    ) {
        let nfc = json!({"type": "NFC"});
        let content = match tokenizer {
            0 => byte_level(false, &Value::Null),
            1 => byte_level(true, &Value::Null),
            2 => byte_level(true, &nfc),
            3 => byte_level(false, &nfc),
            _ => metaspace(),
        };
        let specials: &[&str] =
            if tokenizer == 4 { &["<s>"] } else { &["<|end|>", "<|strip|>", "<tool>"] };
        let tokenizer = load(&content);
        let spans: Vec<Span<'_>> = parts
            .iter()
            .map(|(kind, content, trained)| match specials.get(*kind) {
                Some(special) => token(special, *trained),
                None => text(content, *trained),
            })
            .collect();
        let (ids, mask) = encode(&tokenizer, &spans);
        prop_assert_eq!(&ids, &rendered(&tokenizer, &spans));
        // What is trained alone is trained; what nothing trains is not.
        if spans.iter().all(|span| span.trained || span.text.is_empty()) {
            prop_assert!(mask.iter().all(|&each| each == 1));
        }
        if spans.iter().all(|span| !span.trained || span.text.is_empty()) {
            prop_assert!(mask.iter().all(|&each| each == 0));
        }
    }
}
