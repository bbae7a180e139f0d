//! A text as lines or as paragraphs.

use std::ops::Range;

use memchr::memchr;

/// What a text is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// What a line feed ends, or the end of the text.
    Line,
    /// Lines that are not blank, one after another; a blank one holds white space alone.
    Paragraph,
}

/// A piece of a text that is not blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What pieces are compared by; white space at its ends makes no difference.
    pub content: Range<usize>,
    /// What goes with it when it is cut out: up to where the next line begins, or the first line
    /// that is not blank after a paragraph.
    pub extent: Range<usize>,
}

/// Calls `take` with the pieces of a text, in order.
pub fn each_piece(text: &str, grain: Grain, mut take: impl FnMut(Piece)) {
    let mut open: Option<Piece> = None;
    for line in lines(text) {
        let is_blank = text[line.clone()].trim_start().is_empty();
        match &mut open {
            Some(paragraph) if is_blank => paragraph.extent.end = line.end,
            Some(paragraph)
                if grain == Grain::Paragraph && paragraph.extent.end == paragraph.content.end =>
            {
                paragraph.content.end = line.end;
                paragraph.extent.end = line.end;
            }
            _ if is_blank => {}
            _ => {
                let next = Piece { content: line.clone(), extent: line };
                if let Some(piece) = open.replace(next) {
                    take(piece);
                }
            }
        }
        if grain == Grain::Line
            && let Some(piece) = open.take()
        {
            take(piece);
        }
    }
    if let Some(piece) = open {
        take(piece);
    }
}

/// The lines of a text, each with its line feed.
fn lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = &text.as_bytes()[start..];
        if rest.is_empty() {
            return None;
        }
        let length = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        start += length;
        Some(start - length..start)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(text: &str, grain: Grain) -> Vec<(&str, &str)> {
        let mut found = Vec::new();
        each_piece(text, grain, |piece| {
            found.push((text[piece.content].trim(), &text[piece.extent]));
        });
        found
    }

    #[test]
    fn a_line_goes_with_its_line_feed() {
        let text = "one\n\n  two\r\n \t\nthree";
        let lines = [("one", "one\n"), ("two", "  two\r\n"), ("three", "three")];
        assert_eq!(pieces(text, Grain::Line), lines);
        assert_eq!(pieces("", Grain::Line), []);
        assert_eq!(pieces("\n\u{a0}\n", Grain::Line), []);
    }

    #[test]
    fn a_paragraph_goes_with_the_blank_lines_behind_it() {
        let text = "\n\none\ntwo\n\u{a0}\n\n  three\r\n\r\nfour\n";
        let paragraphs = [
            ("one\ntwo", "one\ntwo\n\u{a0}\n\n"),
            ("three", "  three\r\n\r\n"),
            ("four", "four\n"),
        ];
        assert_eq!(pieces(text, Grain::Paragraph), paragraphs);
        assert_eq!(pieces("one\ntwo", Grain::Paragraph), [("one\ntwo", "one\ntwo")]);
        assert_eq!(pieces("", Grain::Paragraph), []);
        assert_eq!(pieces("\n \n", Grain::Paragraph), []);
    }

    proptest! {
        #[test]
        fn what_is_in_no_piece_is_blank(text in "[ab \n\r\u{2003}]{0,40}") {
            for grain in [Grain::Line, Grain::Paragraph] {
                let mut end = 0;
                each_piece(&text, grain, |piece| {
                    assert!(text[end..piece.extent.start].trim().is_empty());
                    assert!(!text[piece.content.clone()].trim().is_empty());
                    assert_eq!(piece.content.start, piece.extent.start);
                    assert!(text[piece.content.end..piece.extent.end].trim().is_empty());
                    end = piece.extent.end;
                });
                prop_assert!(text[end..].trim().is_empty());
                let whole: Vec<String> = match grain {
                    Grain::Line => text.split('\n').map(|line| line.trim().to_owned()).collect(),
                    Grain::Paragraph => {
                        let lines: Vec<&str> = text.split('\n').map(str::trim).collect();
                        lines.split(|line| line.is_empty()).map(|lines| lines.join("\n")).collect()
                    }
                };
                let whole: Vec<String> = whole.into_iter().filter(|piece| !piece.is_empty()).collect();
                let mut found = Vec::new();
                each_piece(&text, grain, |piece| {
                    let content = text[piece.content].trim();
                    let lines: Vec<&str> = content.split('\n').map(str::trim).collect();
                    found.push(lines.join("\n"));
                });
                prop_assert_eq!(found, whole);
            }
        }
    }
}
