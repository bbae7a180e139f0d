//! Which bytes of a text a normalized form of it came from.

use std::ops::Range;

/// Bytes of a text that a token stands for; of an empty one, where it stands.
pub(super) type Extent = Range<usize>;

/// Stretches of a text, in order, beside the bytes that normalization made of them.
#[derive(Debug, Default)]
pub(super) struct Alignment {
    stretches: Vec<Stretch>,
    made: usize,
}

#[derive(Debug)]
struct Stretch {
    source: Range<usize>,
    /// Where what was made of it begins.
    made: usize,
    /// Whether byte stands for byte: then an offset within it is the same on both sides.
    is_same: bool,
}

impl Alignment {
    /// Appends bytes of the source that stayed as they were.
    pub(super) fn same(&mut self, start: usize, end: usize) {
        self.push(start..end, end - start, true);
    }

    /// Appends bytes of the source that became `made` others, as a whole.
    pub(super) fn changed(&mut self, source: Range<usize>, made: usize) {
        self.push(source, made, false);
    }

    fn push(&mut self, source: Range<usize>, made: usize, is_same: bool) {
        // What made nothing is not part of any token.
        if made > 0 {
            self.stretches.push(Stretch { source, made: self.made, is_same });
            self.made += made;
        }
    }

    /// Returns the bytes of the source behind `made`, a range of the normalized text.
    ///
    /// Of a stretch that changed it is all of its bytes, however few of those made of it are asked.
    pub(super) fn source(&self, made: &Range<usize>) -> Extent {
        let Some(first) = self.at(made.start) else { return 0..0 };
        let start = if first.is_same {
            (first.source.start + made.start - first.made).min(first.source.end)
        } else {
            first.source.start
        };
        if made.is_empty() {
            return start..start;
        }
        let last = self.at(made.end - 1).unwrap_or(first);
        let end =
            if last.is_same { last.source.start + made.end - last.made } else { last.source.end };
        start..end
    }

    /// Returns the stretch that made this byte, or the last one.
    fn at(&self, made: usize) -> Option<&Stretch> {
        let behind = self.stretches.partition_point(|stretch| stretch.made <= made);
        self.stretches.get(behind.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_lead_back_across_what_grew_shrank_and_vanished() {
        let mut alignment = Alignment::default();
        alignment.changed(0..0, 1); // put in front
        alignment.same(0, 3);
        alignment.changed(3..6, 1);
        alignment.changed(6..8, 0);
        alignment.same(8, 10);
        // The normalized text: 1 + 3 + 1 + 0 + 2 bytes.
        let source = |start, end| alignment.source(&(start..end));
        assert_eq!(source(0, 1), 0..0);
        assert_eq!(source(0, 3), 0..2);
        assert_eq!(source(3, 5), 2..6);
        assert_eq!(source(4, 5), 3..6);
        assert_eq!(source(5, 7), 8..10);
        assert_eq!(source(7, 7), 10..10);
    }
}
