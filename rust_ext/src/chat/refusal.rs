//! Why a record has no rendering: one word each, under which manifests count it.

/// What a template cannot say, or what is wrong with a record that it is to render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The record has no messages: it is no conversation.
    NoMessages,
    /// Messages, tools or calls are not as the schema says.
    Malformed,
    /// An object among tools or arguments has a key twice.
    DuplicateKeys,
    /// Several calls in a turn, where there can be one.
    TwoCalls,
    /// Text beside a call, where there can be one or the other.
    TextBesideCall,
    /// A tool's name would need escapes where the template writes it as it is.
    CallName,
    /// Text that would be read as a call.
    TextReadsAsCall,
    /// The turn that takes the tools is no user's.
    FirstTurnNotUser,
    /// Turns follow each other in an order that the template does not have.
    TurnOrder,
    /// A system turn that is not the first.
    SystemInside,
    /// Replies in another order than the calls, where order alone tells them apart.
    ReplyOrder,
    /// A reply that names no call of this record.
    ReplyWithoutCall,
    /// `meta.date` is no date in the form 2024-07-26.
    MalformedDate,
    /// The template asks for today's date, and the record has none of its own.
    NoDate,
    /// The template refused the record itself.
    Raised,
    /// The template decides by the characters of special tokens in data, so that it is not certain
    /// which of them are control tokens.
    ReadsData,
    /// The rendering of a conversation does not begin with that of its first turns.
    NoPrefix,
    /// Where a turn's own text begins cannot be told.
    TurnUnclear,
    /// A number that a double would change.
    Number,
    /// The template leaves out something that a record of this shape says.
    LosesContent,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::NoMessages,
        Self::Malformed,
        Self::DuplicateKeys,
        Self::TwoCalls,
        Self::TextBesideCall,
        Self::CallName,
        Self::TextReadsAsCall,
        Self::FirstTurnNotUser,
        Self::TurnOrder,
        Self::SystemInside,
        Self::ReplyOrder,
        Self::ReplyWithoutCall,
        Self::MalformedDate,
        Self::NoDate,
        Self::Raised,
        Self::ReadsData,
        Self::NoPrefix,
        Self::TurnUnclear,
        Self::Number,
        Self::LosesContent,
    ];

    /// Returns the word.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoMessages => "no_messages",
            Self::Malformed => "malformed_messages",
            Self::DuplicateKeys => "duplicate_keys",
            Self::TwoCalls => "template_two_calls",
            Self::TextBesideCall => "template_text_beside_call",
            Self::CallName => "template_call_name",
            Self::TextReadsAsCall => "template_text_reads_as_call",
            Self::FirstTurnNotUser => "template_first_turn_not_user",
            Self::TurnOrder => "template_turn_order",
            Self::SystemInside => "template_system_inside",
            Self::ReplyOrder => "template_reply_order",
            Self::ReplyWithoutCall => "template_reply_without_call",
            Self::MalformedDate => "malformed_date",
            Self::NoDate => "template_needs_date",
            Self::Raised => "template_raised",
            Self::ReadsData => "template_reads_data",
            Self::NoPrefix => "template_no_prefix",
            Self::TurnUnclear => "template_turn_unclear",
            Self::Number => "template_changes_number",
            Self::LosesContent => "template_loses_content",
        }
    }

    /// Returns the refusal of a word.
    #[must_use]
    pub fn of_reason(reason: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.reason() == reason)
    }

    /// Returns whether the record is damaged: such lines are rejected and kept; the others are whole
    /// and dropped.
    #[must_use]
    pub fn is_damage(self) -> bool {
        matches!(self, Self::Malformed | Self::DuplicateKeys)
    }
}
