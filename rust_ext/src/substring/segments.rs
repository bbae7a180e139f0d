//! From windows that stand earlier to what is cut, and where that stands in what is kept.
//!
//! A character is cut if it lies, whole, in a window that stands earlier. [`Cover`] takes the
//! windows in their order and covers those characters by as few segments as it can, each of which
//! stands earlier as one piece. What it stands in may itself be cut: [`Segments`] follows that
//! until it finds bytes that stay, so that each cut names a record that still has the bytes.

use super::windows::Repeat;

/// Bytes that are cut, and where the same bytes stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The first of them.
    pub(super) start: usize,
    /// Behind the last one.
    pub(super) end: usize,
    /// Where the first of them stays.
    pub(super) kept_at: usize,
}

/// What is cut, ascending.
#[derive(Debug, Default)]
pub(super) struct Segments {
    all: Vec<Segment>,
}

impl Segments {
    /// Returns them.
    pub(super) fn all(&self) -> &[Segment] {
        &self.all
    }

    /// Cuts bytes that stand `shift` bytes earlier as well, behind all that is cut so far.
    fn cut(&mut self, start: usize, end: usize, shift: usize) {
        let mut at = start;
        while at < end {
            let source = at - shift;
            let next = self.all.partition_point(|segment| segment.end <= source);
            // What is behind `at` is not known yet; what is before it is cut or stays.
            let (kept_at, until) = match self.all.get(next) {
                Some(cut) if cut.start <= source => (cut.kept_at + (source - cut.start), cut.end),
                Some(cut) => (source, cut.start),
                None => (source, at),
            };
            let length = (until - source).min(end - at);
            self.push(Segment { start: at, end: at + length, kept_at });
            at += length;
        }
    }

    fn push(&mut self, next: Segment) {
        match self.all.last_mut() {
            Some(last)
                if last.end == next.start
                    && last.kept_at + (last.end - last.start) == next.kept_at =>
            {
                last.end = next.end;
            }
            _ => self.all.push(next),
        }
    }
}

/// Windows that stand earlier as one piece.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    /// Where what it covers begins.
    start: usize,
    /// How much earlier.
    shift: usize,
    /// Where its last window begins.
    last: usize,
}

/// Covers the windows of a text.
pub(super) struct Cover<'a> {
    text: &'a [u8],
    length: usize,
    /// What the next segment will be.
    open: Option<Stretch>,
    /// The last window that begins before that ends, or there: it goes on from that end.
    next: Option<Stretch>,
    segments: Segments,
}

impl<'a> Cover<'a> {
    /// Begins with nothing; windows are of `length` bytes, four at least, so that no character is
    /// longer.
    pub(super) fn new(text: &'a [u8], length: usize) -> Self {
        assert!(length >= 4, "a window is as long as a character at least");
        Self { text, length, open: None, next: None, segments: Segments::default() }
    }

    /// Covers a window; they come in ascending order.
    pub(super) fn take(&mut self, Repeat { at, first }: Repeat) {
        let shift = at - first;
        while let Some(open) = &mut self.open {
            let end = character_end(self.text, open.last + self.length);
            if at > end {
                self.close(end);
                continue;
            }
            if open.shift == shift {
                open.last = at;
                return;
            }
            // It reaches further than any window before it.
            self.next = Some(Stretch { start: at, shift, last: at });
            return;
        }
        let start = character_start(self.text, at);
        self.open = Some(Stretch { start, shift, last: at });
    }

    /// Ends the open stretch at `end`, and opens what goes on from there, if something does.
    fn close(&mut self, end: usize) {
        if let Some(open) = self.open.take() {
            self.segments.cut(open.start, end, open.shift);
        }
        self.open = self
            .next
            .take()
            .filter(|next| character_end(self.text, next.last + self.length) > end)
            .map(|next| Stretch { start: end, ..next });
    }

    /// Returns what is to be cut.
    pub(super) fn finish(mut self) -> Segments {
        while let Some(open) = self.open {
            self.close(character_end(self.text, open.last + self.length));
        }
        self.segments
    }
}

fn is_inside(text: &[u8], at: usize) -> bool {
    text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80)
}

/// Returns where the first character begins, from `at` on.
fn character_start(text: &[u8], mut at: usize) -> usize {
    while is_inside(text, at) {
        at += 1;
    }
    at
}

/// Returns where the last character ends, up to `at`.
fn character_end(text: &[u8], mut at: usize) -> usize {
    while is_inside(text, at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::windows::{SEPARATOR, each_repeat};
    use super::*;
    use crate::control::Control;

    fn segments(text: &[u8], length: usize) -> Vec<Segment> {
        let mut cover = Cover::new(text, length);
        each_repeat::<i32>(text, length, 2, &Control::default(), |repeat| cover.take(repeat))
            .unwrap();
        let found = cover.finish().all;
        let mut cover = Cover::new(text, length);
        each_repeat::<i64>(text, length, 1, &Control::default(), |repeat| cover.take(repeat))
            .unwrap();
        assert_eq!(cover.finish().all, found);
        found
    }

    /// The rule: each character that lies whole in a window whose first occurrence ends before it.
    fn slowly(text: &[u8], length: usize) -> Vec<bool> {
        let mut is_cut = vec![false; text.len()];
        for at in 0..(text.len() + 1).saturating_sub(length) {
            let window = &text[at..at + length];
            let first = (0..=at).find(|&first| text[first..].starts_with(window)).unwrap();
            if window.contains(&SEPARATOR) || first + length > at {
                continue;
            }
            let bounds = |place: &usize| !is_inside(text, *place);
            let (start, end) = (at, at + length);
            let whole = (start..=end).find(bounds).unwrap()..(start..=end).rfind(bounds).unwrap();
            is_cut[whole].fill(true);
        }
        is_cut
    }

    fn check(text: &[u8], length: usize) {
        let found = segments(text, length);
        let expected = slowly(text, length);
        let mut is_cut = vec![false; text.len()];
        for segment in &found {
            is_cut[segment.start..segment.end].fill(true);
        }
        assert_eq!(is_cut, expected, "{:?}, {length}", String::from_utf8_lossy(text));
        for pair in found.windows(2) {
            assert!(pair[0].end <= pair[1].start);
        }
        for Segment { start, end, kept_at } in found {
            assert!(start < end);
            assert!(kept_at + (end - start) <= start, "a copy before the cut");
            let kept = kept_at..kept_at + (end - start);
            assert_eq!(text[start..end], text[kept.clone()]);
            assert!(!expected[kept].contains(&true), "what a cut names stays");
            assert!(std::str::from_utf8(&text[start..end]).is_ok());
        }
    }

    fn joined(texts: &[String]) -> Vec<u8> {
        texts.iter().flat_map(|text| [text.as_bytes(), &[SEPARATOR]].concat()).collect()
    }

    #[test]
    fn the_first_occurrence_stays_and_borders_are_not_crossed() {
        let text = joined(&["abcdefgh".into(), "xabcdefx".into(), "efgh".into(), "ghabcd".into()]);
        let found = segments(&text, 4);
        let of = |start, end, kept_at| Segment { start, end, kept_at };
        assert_eq!(found, [of(10, 16, 0), of(18, 22, 4), of(25, 29, 0)]);
        check(&text, 4);
        assert_eq!(segments(&joined(&["abcdabcd".into()]), 8), []);
        assert_eq!(segments(b"", 4), []);
        assert_eq!(segments(&[SEPARATOR; 100], 4), []);
    }

    #[test]
    fn what_stands_in_a_cut_names_what_stays() {
        let (x, y) = ("x".to_owned() + "1234567", "y".to_owned() + "abcdefg");
        let text = joined(&[x.clone(), y.clone(), format!("{x}{y}"), format!("-{x}{y}-")]);
        let found: Vec<_> = segments(&text, 6).iter().map(|cut| (cut.start, cut.kept_at)).collect();
        assert_eq!(found, [(18, 0), (26, 9), (36, 0), (44, 9)]);
        check(&text, 6);
    }

    #[test]
    fn a_repeated_byte_takes_linear_time() {
        let text = vec![b'a'; 4_000_000];
        let found = segments(&text, 200);
        assert_eq!(found.first(), Some(&Segment { start: 200, end: 400, kept_at: 0 }));
        assert_eq!(found.last().map(|segment| segment.end), Some(text.len()));
        assert_eq!(found.len(), text.len() / 200 - 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn what_is_cut_is_what_the_rule_says(
            texts in prop::collection::vec(prop_oneof!["[ab]{0,30}", "[abé]{0,20}", "[东丮东é😀😁]{0,12}"], 1..6),
            length in 4_usize..9,
        ) {
            check(&joined(&texts), length);
        }

        #[test]
        fn periods_are_cut_by_the_rule(period in "[abcé]{1,9}", count in 1_usize..30, length in 4_usize..20) {
            check(&joined(&[period.repeat(count), format!("x{}", period.repeat(count))]), length);
        }
    }
}
