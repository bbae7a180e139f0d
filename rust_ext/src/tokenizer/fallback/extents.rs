//! The `tokenizers` crate on a part of a text: its ids, and the bytes that each stands for.

use tokenizers::{AddedToken, Tokenizer as Reference};

use super::{Fallback, argument};
use crate::tokenizer::alignment::Extent;
use crate::{Error, Result};

/// An added token of our own, found wherever it stands, in characters that are reserved for ever.
const ANCHOR: &str = "\u{10FFFE}\u{FFFFE}\u{10FFFF}";

impl Fallback {
    /// Appends the ids of a text, special tokens being text, and the extent of each.
    ///
    /// With `is_behind_token` they are those that the text has behind a special token: some
    /// pre-tokenizers treat the beginning of the input unlike that of a part, and no call of the
    /// crate can be told which it is. So an added token of our own goes in front and is taken off
    /// again.
    ///
    /// # Errors
    /// [`Error::Argument`] for what the crate refuses, and for a text that holds that token.
    pub(in crate::tokenizer) fn encode_with_extents(
        &self,
        text: &str,
        is_behind_token: bool,
        ids: &mut Vec<u32>,
        extents: &mut Vec<Extent>,
    ) -> Result<()> {
        if !is_behind_token {
            let encoding =
                self.special_as_text.encode(text, false).map_err(|error| argument(&error))?;
            ids.extend_from_slice(encoding.get_ids());
            extents.extend(encoding.get_offsets().iter().map(|&(start, end)| start..end));
            return Ok(());
        }
        if text.contains(ANCHOR) {
            return Err(Error::Argument(format!(
                "a span must not hold the noncharacters {ANCHOR:?}, which mark its beginning"
            )));
        }
        let anchored = format!("{ANCHOR}{text}");
        let encoding =
            self.behind_token()?.encode(anchored, false).map_err(|error| argument(&error))?;
        ids.extend(encoding.get_ids().iter().skip(1));
        let offsets = encoding.get_offsets().iter().skip(1);
        let back = |offset: usize| offset.saturating_sub(ANCHOR.len());
        extents.extend(offsets.map(|&(start, end)| back(start)..back(end)));
        Ok(())
    }

    /// Returns the tokenizer that knows the anchor; made when it is needed first.
    fn behind_token(&self) -> Result<&Reference> {
        if let Some(made) = self.anchored.get() {
            return Ok(made);
        }
        let mut anchored = self.special_as_text.clone();
        let token = AddedToken::from(ANCHOR, false).normalized(false);
        anchored.add_tokens([token]).map_err(|error| argument(&error))?;
        Ok(self.anchored.get_or_init(|| anchored))
    }

    /// Returns the id of an added token, and whether it takes the white space before and behind it.
    pub(in crate::tokenizer) fn added_token(&self, content: &str) -> Option<(u32, bool, bool)> {
        let added = self.parsing_special.get_added_vocabulary();
        let id = *added.get_vocab().get(content)?;
        let token = added.get_added_tokens_decoder().get(&id);
        Some(token.map_or((id, false, false), |token| (id, token.lstrip, token.rstrip)))
    }
}
