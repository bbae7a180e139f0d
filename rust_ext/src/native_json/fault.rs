//! What can be wrong with a native record.

/// Why a native record is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its bytes are no UTF-8.
    InvalidUtf8,
    /// It breaks the grammar of RFC 8259.
    InvalidJson,
    /// It holds `NaN` or `Infinity`, which are no JSON.
    NotANumber,
    /// An object has a key twice: parsers keep one of the values, and do not agree which.
    DuplicateKey,
    /// It is nested more than 512 deep.
    TooDeep,
    /// A string holds half of a surrogate pair, which no text in UTF-8 can.
    LoneSurrogate,
    /// It holds a byte 0 as it is.
    NulByte,
    /// It is longer than the memory allowed; its head is here.
    OverMemory,
    /// The file ends inside of it.
    Truncated,
    /// The file holds nothing.
    EmptyFile,
}

/// How deep a native record may be nested: what is made of it is nested deeper, and Python's
/// parsers and writers bear about 1,000 levels.
pub(super) const MAX_DEPTH: usize = 512;

impl Fault {
    /// Returns the word that manifests count it under.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidJson => "invalid_json",
            Self::NotANumber => "not_a_number",
            Self::DuplicateKey => "duplicate_key",
            Self::TooDeep => "too_deep",
            Self::LoneSurrogate => "lone_surrogate",
            Self::NulByte => "nul_byte",
            Self::OverMemory => "over_memory",
            Self::Truncated => "truncated",
            Self::EmptyFile => "empty_file",
        }
    }
}
