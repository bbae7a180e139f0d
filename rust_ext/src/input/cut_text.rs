//! A record's line with parts of its text cut out, everything else byte for byte.
//!
//! Cuts are places in the text, the line holds it with escapes: one character of the text may be
//! two, six or twelve bytes of the line. Only the escapes are looked at; what stays is copied with
//! those it had.

use std::ops::Range;

use memchr::memchr;

use super::member::find_value;

/// Appends `line` to `to`, the bytes `cuts` of its text left out; `None` where that cannot be: the
/// line holds no such text, or a cut is not between its characters.
///
/// `cuts` ascend and do not overlap. Of equal keys the last one is the text, as everywhere.
pub(crate) fn cut_text(
    line: &[u8],
    text_field: &str,
    cuts: impl IntoIterator<Item = Range<usize>>,
    to: &mut Vec<u8>,
) -> Option<()> {
    let value = find_value(line, text_field).ok()??;
    if line[value.start] != b'"' {
        return None;
    }
    // Between its quotes.
    let raw = &line[..value.end - 1];
    let mut place = Place { raw, at: value.start + 1, text_at: 0, escape: None };
    let mut copied = 0;
    for cut in cuts {
        place.go_to(cut.start)?;
        to.extend_from_slice(&line[copied..place.at]);
        place.go_to(cut.end)?;
        copied = place.at;
    }
    to.extend_from_slice(&line[copied..]);
    Some(())
}

/// A place in a text and in the string of JSON that it is written as.
struct Place<'a> {
    /// The line up to the quote behind the text.
    raw: &'a [u8],
    /// In `raw`.
    at: usize,
    /// In the text.
    text_at: usize,
    /// Where the next backslash is, at or behind `at`; `None` until it was looked for.
    escape: Option<usize>,
}

impl Place<'_> {
    /// Goes on to a place of the text; `None` if that is inside an escape or behind the end.
    fn go_to(&mut self, target: usize) -> Option<()> {
        while self.text_at < target {
            let escape = self.next_escape();
            let step = (escape - self.at).min(target - self.text_at);
            self.at += step;
            self.text_at += step;
            if self.text_at < target {
                let (raw_bytes, text_bytes) = escape_lengths(&self.raw[self.at..])?;
                self.at += raw_bytes;
                self.text_at += text_bytes;
            }
        }
        (self.text_at == target).then_some(())
    }

    fn next_escape(&mut self) -> usize {
        if let Some(escape) = self.escape.filter(|&escape| escape >= self.at) {
            return escape;
        }
        let found = memchr(b'\\', &self.raw[self.at..]);
        *self.escape.insert(found.map_or(self.raw.len(), |offset| self.at + offset))
    }
}

/// Returns how long the escape is that `raw` begins with, and how long what it stands for.
fn escape_lengths(raw: &[u8]) -> Option<(usize, usize)> {
    if *raw.get(1)? != b'u' {
        return Some((2, 1));
    }
    let digits = std::str::from_utf8(raw.get(2..6)?).ok()?;
    let code = u32::from_str_radix(digits, 16).ok()?;
    match char::from_u32(code) {
        Some(c) => Some((6, c.len_utf8())),
        // Half a pair: the text was read, so the other half follows.
        None => Some((12, 4)),
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // one cut is a list of cuts
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn cut(line: &str, cuts: &[Range<usize>]) -> Option<String> {
        let mut to = Vec::new();
        cut_text(line.as_bytes(), "text", cuts.iter().cloned(), &mut to)?;
        Some(String::from_utf8(to).unwrap())
    }

    #[test]
    fn everything_around_the_text_stays_as_it_was() {
        let line =
            r#" {"id" : "aé" ,"text":"one\ntwo\nthree" , "x": 1e5, "meta": {"text":"two"}} "#;
        let after = r#" {"id" : "aé" ,"text":"one\nthree" , "x": 1e5, "meta": {"text":"two"}} "#;
        assert_eq!(cut(line, &[4..8]).unwrap(), after);
        assert_eq!(cut(line, &[]).unwrap(), line);
        let none = r#" {"id" : "aé" ,"text":"" , "x": 1e5, "meta": {"text":"two"}} "#;
        assert_eq!(cut(line, &[0..4, 4..13]).unwrap(), none);
    }

    #[test]
    fn escapes_count_as_what_they_stand_for() {
        let line = r#"{"text": "\u00e9a\ud83d\ude00\\\/\"\u20acb\u0041"}"#;
        // é 0..2, a 2, the face 3..7, \ 7, / 8, " 9, € 10..13, b 13, A 14
        assert_eq!(cut(line, &[0..2]).unwrap(), r#"{"text": "a\ud83d\ude00\\\/\"\u20acb\u0041"}"#);
        assert_eq!(cut(line, &[3..7]).unwrap(), r#"{"text": "\u00e9a\\\/\"\u20acb\u0041"}"#);
        assert_eq!(
            cut(line, &[7..8, 9..13]).unwrap(),
            r#"{"text": "\u00e9a\ud83d\ude00\/b\u0041"}"#
        );
        assert_eq!(cut(line, &[2..15]).unwrap(), r#"{"text": "\u00e9"}"#);
        for inside in [1..2, 0..1, 3..5, 12..13, 0..16] {
            assert_eq!(cut(line, std::slice::from_ref(&inside)), None, "{inside:?}");
        }
    }

    #[test]
    fn the_last_of_equal_keys_is_the_text() {
        let line = r#"{"text": "abc", "te\u0078t": "abc", "other": "abc"}"#;
        let after = r#"{"text": "abc", "te\u0078t": "ac", "other": "abc"}"#;
        assert_eq!(cut(line, &[1..2]).unwrap(), after);
        for line in [r#"{"text": "abc", "text": 5}"#, r#"{"x": "abc"}"#, "{}", "[]", r#"{"text""#] {
            assert_eq!(cut(line, &[1..2]), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_is_left_is_the_text_without_the_cuts(
            text in "(\\PC|[\"\\\\/\n\t\u{0}é東😀]){0,40}",
            places in prop::collection::vec(0_usize..41, 0..8),
            spelling in 0..3,
        ) {
            let bounds: Vec<usize> =
                text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let mut places: Vec<usize> =
                places.into_iter().map(|place| bounds[place % bounds.len()]).collect();
            places.sort_unstable();
            let cuts: Vec<_> = places.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
            let quoted = match spelling {
                0 => serde_json::to_string(&text).unwrap(),
                1 => format!("\"{}\"", text.encode_utf16().fold(String::new(), |mut to, unit| {
                    write!(to, "\\u{unit:04X}").unwrap();
                    to
                })),
                _ => serde_json::to_string(&text).unwrap().replace('/', "\\/"),
            };
            let line = format!("{{\"a\": [{quoted}], \"text\":{quoted}, \"b\":{quoted}}}");
            let found = cut(&line, &cuts).unwrap();
            let mut left = text.clone();
            for cut in cuts.iter().rev() {
                left.replace_range(cut.clone(), "");
            }
            let read: serde_json::Value = serde_json::from_str(&found).unwrap();
            prop_assert_eq!(read["text"].as_str().unwrap(), left);
            let start = format!("{{\"a\": [{quoted}], \"text\":\"");
            prop_assert!(found.starts_with(&start));
            let end = format!("\", \"b\":{quoted}}}");
            prop_assert!(found.ends_with(&end));
        }
    }
}
