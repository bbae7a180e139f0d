//! Where the ids of a text go: into a list, or through one, block by block, to whoever wants them.

use crate::Result;

/// Ids that make a block.
const BLOCK: usize = 1 << 16;

/// Takes the blocks of ids.
type Sink<'a> = dyn FnMut(&[u32]) -> Result<()> + 'a;

/// A list of ids that may be emptied between two words.
pub(super) struct Output<'a> {
    pub(super) ids: &'a mut Vec<u32>,
    sink: Option<&'a mut Sink<'a>>,
    outcome: Result<()>,
}

impl<'a> Output<'a> {
    /// Ids stay in `ids`.
    pub(super) fn new(ids: &'a mut Vec<u32>) -> Self {
        Self { ids, sink: None, outcome: Ok(()) }
    }

    /// Ids pass through `ids`, which is empty, to `sink`.
    pub(super) fn with_sink(ids: &'a mut Vec<u32>, sink: &'a mut Sink<'a>) -> Self {
        Self { ids, sink: Some(sink), outcome: Ok(()) }
    }

    /// Hands a full block on; what lies in `ids` is not looked at again.
    #[inline]
    pub(super) fn hand_on(&mut self) {
        if self.ids.len() >= BLOCK && self.sink.is_some() {
            self.empty();
        }
    }

    /// Hands on what is left.
    ///
    /// # Errors
    /// The first that the sink returned.
    pub(super) fn finish(mut self) -> Result<()> {
        if !self.ids.is_empty() {
            self.empty();
        }
        self.outcome
    }

    #[inline(never)]
    fn empty(&mut self) {
        if let (Some(sink), Ok(())) = (&mut self.sink, &self.outcome) {
            self.outcome = sink(self.ids);
        }
        self.ids.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn blocks_are_handed_on_in_order_until_one_is_refused() {
        for refused in [3, 100] {
            let (mut ids, mut seen, mut calls) = (Vec::new(), Vec::new(), 0);
            let mut sink = |block: &[u32]| {
                calls += 1;
                seen.extend_from_slice(block);
                if calls == refused { Err(Error::Argument("no".to_owned())) } else { Ok(()) }
            };
            let mut output = Output::with_sink(&mut ids, &mut sink);
            for number in 0..500_000 {
                output.ids.push(number);
                output.hand_on();
            }
            assert_eq!(output.finish().is_err(), refused == 3);
            let expected = if refused == 3 { 3 * BLOCK } else { 500_000 };
            assert!(seen.iter().copied().eq(0..u32::try_from(expected).unwrap()));
        }
    }
}
