//! The `tokenizers` crate on a part of a text: its ids, and the bytes that each stands for.

use tokenizers::{AddedToken, Tokenizer as Reference};

use super::{Fallback, argument};
use crate::tokenizer::alignment::Extent;
use crate::{Error, Result};

/// An added token of our own, found wherever it stands, in characters that are reserved for ever.
const ANCHOR: &str = "\u{10FFFE}\u{FFFFE}\u{10FFFF}";

impl Fallback {
    /// Gives the ids of a text, special tokens being text, and the extent of each.
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
        give: &mut dyn FnMut(u32, Extent),
    ) -> Result<()> {
        if is_behind_token && text.contains(ANCHOR) {
            return Err(Error::Argument(format!(
                "a span must not hold the noncharacters {ANCHOR:?}, which mark its beginning"
            )));
        }
        let (encoding, anchors, front) = if is_behind_token {
            let anchored = format!("{ANCHOR}{text}");
            (self.behind_token()?.encode(anchored, false), 1, ANCHOR.len())
        } else {
            (self.special_as_text.encode(text, false), 0, 0)
        };
        let encoding = encoding.map_err(|error| argument(&error))?;
        for (&id, &(start, end)) in
            encoding.get_ids().iter().zip(encoding.get_offsets()).skip(anchors)
        {
            give(id, start.saturating_sub(front)..end.saturating_sub(front));
        }
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
