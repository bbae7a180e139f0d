//! A unit's lines without what is cut out of them.

use super::Cut;
use crate::input::cut_text::cut_text;
use crate::{Error, Result};

/// The field that cuts are places in.
const TEXT_FIELD: &str = "text";

/// What is left of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// So many bytes of text.
    Text(u64),
    /// Nothing but white space.
    Nothing,
}

/// Appends a line, whose text is `text`, without the parts of it that `cuts` name.
///
/// `cuts` are those of this record. Nothing is appended where nothing is left. All but the text
/// stays byte for byte, and what stays of the text is spelled as it was.
///
/// # Errors
/// `Argument` where a cut is none of this text: the input has changed since it was signed.
pub fn append_cut(line: &[u8], text: &str, cuts: &[Cut], to: &mut Vec<u8>) -> Result<Left> {
    let left = left(text, cuts).ok_or_else(changed)?;
    if left != Left::Nothing {
        let ranges = cuts.iter().map(|cut| cut.start as usize..cut.end as usize);
        cut_text(line, TEXT_FIELD, ranges, to).ok_or_else(changed)?;
    }
    Ok(left)
}

/// Returns what is said of a record that is not as it was signed.
pub(crate) fn changed() -> Error {
    Error::Argument(
        "expected a record as it was signed, its text has changed; run again into a new directory"
            .into(),
    )
}

/// Returns what is left of a text, `None` if the cuts are none of it.
fn left(text: &str, cuts: &[Cut]) -> Option<Left> {
    let (mut end, mut bytes, mut is_blank) = (0, 0, true);
    let ends = cuts.iter().map(|cut| (cut.start as usize, cut.end as usize));
    for (cut_start, cut_end) in ends.chain([(text.len(), text.len())]) {
        let kept = text.get(end..cut_start)?;
        is_blank &= kept.trim_start().is_empty();
        bytes += kept.len() as u64;
        end = cut_end;
    }
    Some(if is_blank { Left::Nothing } else { Left::Text(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(line: &str, text: &str, cuts: &[(u32, u32)]) -> Result<(Left, String)> {
        let cuts: Vec<Cut> = cuts
            .iter()
            .map(|&(start, end)| Cut { record: 0, start, end, survivor: 0, survivor_start: 0 })
            .collect();
        let mut to = Vec::new();
        let left = append_cut(line.as_bytes(), text, &cuts, &mut to)?;
        Ok((left, String::from_utf8(to).unwrap()))
    }

    #[test]
    fn a_line_loses_what_is_cut_and_a_blank_rest_is_nothing() {
        let line = r#"{"id": "a", "text": "one\ntwo\n\u00e9nd"}"#;
        let text = "one\ntwo\nénd";
        let (left, rest) = apply(line, text, &[(0, 4), (8, 10)]).unwrap();
        assert_eq!(left, Left::Text(6));
        assert_eq!(rest, r#"{"id": "a", "text": "two\nnd"}"#);
        let nothing = (Left::Nothing, String::new());
        assert_eq!(apply(line, text, &[(0, 3), (4, 7), (8, 12)]).unwrap(), nothing);
        assert_eq!(apply(line, text, &[(0, 12)]).unwrap(), nothing);
    }

    #[test]
    fn cuts_of_another_text_are_refused() {
        let (line, text) = (r#"{"text": "onaé"}"#, "onaé");
        for cuts in [&[(0, 6)][..], &[(4, 5)], &[(2, 1)], &[(1, 2), (0, 1)]] {
            let error = apply(line, text, cuts).unwrap_err().to_string();
            assert!(error.contains("its text has changed"), "{cuts:?}: {error}");
        }
        assert!(apply(line, "onaée", &[(5, 6)]).is_err(), "the line has another text");
    }
}
