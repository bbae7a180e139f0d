//! A number of a record, wherever users say that it is.

use super::json::{Fault, Scanner};

/// Returns the number that a field of the object on a line has, at its top level or else in its
/// `meta`; `None` if there is none, or something else, or the line is no object.
///
/// Of equal keys the last one counts, as everywhere. The line is read once more: this is for
/// options that few use.
pub(crate) fn number_of(line: &[u8], field: &str) -> Option<f64> {
    let mut scanner = Scanner::new(line);
    let mut found = Found::default();
    // A line that breaks off has no number; it is not asked for one.
    found.object(&mut scanner, line, field, true).ok()?;
    found.top.or(found.meta)
}

#[derive(Default)]
struct Found {
    top: Option<f64>,
    meta: Option<f64>,
}

impl Found {
    /// Passes an object and takes the number of `field`, and of an object in `meta` at the top.
    fn object(
        &mut self,
        scanner: &mut Scanner<'_>,
        line: &[u8],
        field: &str,
        is_top: bool,
    ) -> Result<(), Fault> {
        scanner.open_object()?;
        if scanner.peek()? == b'}' {
            return scanner.close_object();
        }
        loop {
            let key = scanner.string()?;
            let key = super::fields::unquote(line, &key).unwrap_or_default();
            scanner.expect(b':')?;
            if is_top && *key == *b"meta" {
                self.meta = None;
            }
            if key == field.as_bytes() {
                let value = number(scanner, line)?;
                *(if is_top { &mut self.top } else { &mut self.meta }) = value;
            } else if is_top && *key == *b"meta" && scanner.peek()? == b'{' {
                self.object(scanner, line, field, false)?;
            } else {
                scanner.skip_value()?;
            }
            if !scanner.accept(b',')? {
                break;
            }
        }
        scanner.close_object()
    }
}

/// Passes a value and returns it if it is a number that is finite as 64 bits.
fn number(scanner: &mut Scanner<'_>, line: &[u8]) -> Result<Option<f64>, Fault> {
    let first = scanner.peek()?;
    let start = scanner.position();
    scanner.skip_value()?;
    if first != b'-' && !first.is_ascii_digit() {
        return Ok(None);
    }
    let digits = std::str::from_utf8(&line[start..scanner.position()]).unwrap_or_default();
    Ok(digits.parse().ok().filter(|value: &f64| value.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_at_the_top_or_in_meta() {
        for (line, expected) in [
            (r#"{"score": 5}"#, Some(5.0)),
            (
                r#"{"text": "\"score\": 1", "meta": {"a": [{"score": 9}], "score": -1.5e2}}"#,
                Some(-150.0),
            ),
            (r#"{"meta": {"score": 1}, "score": 2}"#, Some(2.0)),
            (r#"{"meta": {"score": 1}, "meta": {}}"#, None),
            (r#"{"meta": {"score": 1}, "meta": [1]}"#, None),
            (r#"{"score": 1, "score": "2"}"#, None),
            (r#"{"score": 1, "score": 3}"#, Some(3.0)),
            (r#"{"sc\u006fre": 4}"#, Some(4.0)),
            (r#"{"meta": {"meta": {"score": 1}}}"#, None),
            (r#"{"other": {"score": 1}}"#, None),
            (r#"{"score": null, "meta": {"score": 7}}"#, Some(7.0)),
            (r#"{"score": true}"#, None),
            (r#"{"score": 1e999}"#, None),
            (r#"{}"#, None),
            (r#"[{"score": 1}]"#, None),
            (r#"{"score": 1"#, None),
        ] {
            assert_eq!(number_of(line.as_bytes(), "score"), expected, "{line}");
        }
        assert_eq!(number_of(br#"{"meta": 5}"#, "meta"), Some(5.0));
        assert_eq!(number_of(br#"{"a": 1, "meta": {"a": 2}}"#, "meta"), None);
    }
}
