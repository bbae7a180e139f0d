//! The element types of a `.bin`.

/// Element type of an indexed dataset, by Megatron's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Dtype {
    /// Masks.
    Uint8 = 1,
    /// Not written by us.
    Int8 = 2,
    /// Not written by us.
    Int16 = 3,
    /// Tokens of vocabularies of 65,500 and more.
    Int32 = 4,
    /// Not written by us.
    Int64 = 5,
    /// Not written by us; no tokens.
    Float64 = 6,
    /// Not written by us; no tokens.
    Float32 = 7,
    /// Tokens of smaller vocabularies.
    Uint16 = 8,
}

impl Dtype {
    /// Returns the type that Megatron chooses for a vocabulary, added tokens included.
    #[must_use]
    pub fn for_vocabulary(vocab_size: u64) -> Self {
        if vocab_size < 65_500 { Self::Uint16 } else { Self::Int32 }
    }

    /// Returns the type of a code, if there is one.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Uint8,
            2 => Self::Int8,
            3 => Self::Int16,
            4 => Self::Int32,
            5 => Self::Int64,
            6 => Self::Float64,
            7 => Self::Float32,
            8 => Self::Uint16,
            _ => return None,
        })
    }

    /// Returns the code that an index holds.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns the bytes of one element.
    #[must_use]
    pub fn size(self) -> u64 {
        match self {
            Self::Uint8 | Self::Int8 => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Int32 | Self::Float32 => 4,
            Self::Int64 | Self::Float64 => 8,
        }
    }

    /// Returns numpy's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uint8 => "uint8",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Float32 => "float32",
            Self::Uint16 => "uint16",
        }
    }

    /// Appends ids as elements of this type, little endian.
    ///
    /// # Errors
    /// The first id that does not fit.
    ///
    /// # Panics
    /// On a type that is not for tokens, which is a bug.
    pub fn encode(self, ids: &[u32], bytes: &mut Vec<u8>) -> std::result::Result<(), u32> {
        // Blocks that stay in the processor's nearest cache; both loops become vector code.
        for ids in ids.chunks(BLOCK_IDS) {
            match self {
                Self::Uint16 => put(ids, bytes, u16::MAX.into(), |id| {
                    #[allow(clippy::cast_possible_truncation)] // checked by `put`
                    (id as u16).to_le_bytes()
                }),
                Self::Int32 => put(ids, bytes, i32::MAX.cast_unsigned(), u32::to_le_bytes),
                other => panic!("tokens are never written as {}", other.name()),
            }?;
        }
        Ok(())
    }

    /// Reads elements of an integer type, little endian.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Vec<i64> {
        match self {
            Self::Uint8 => bytes.iter().map(|&byte| i64::from(byte)).collect(),
            Self::Int8 => bytes.iter().map(|&byte| i64::from(byte.cast_signed())).collect(),
            Self::Int16 => wide(bytes, |word| i64::from(i16::from_le_bytes(word))),
            Self::Uint16 => wide(bytes, |word| i64::from(u16::from_le_bytes(word))),
            Self::Int32 => wide(bytes, |word| i64::from(i32::from_le_bytes(word))),
            Self::Int64 => wide(bytes, i64::from_le_bytes),
            Self::Float32 | Self::Float64 => Vec::new(),
        }
    }
}

/// Ids converted at a time.
const BLOCK_IDS: usize = 2048;

/// Appends a block of ids; the first that is above `most` is the error.
fn put<const N: usize>(
    ids: &[u32],
    bytes: &mut Vec<u8>,
    most: u32,
    convert: impl Fn(u32) -> [u8; N],
) -> std::result::Result<(), u32> {
    // Without an early end, which would keep it from being vector code.
    if ids.iter().fold(0, |largest, &id| largest.max(id)) > most {
        return Err(ids.iter().copied().find(|&id| id > most).unwrap_or(most));
    }
    let start = bytes.len();
    bytes.resize(start + ids.len() * N, 0);
    for (element, &id) in bytes[start..].as_chunks_mut::<N>().0.iter_mut().zip(ids) {
        *element = convert(id);
    }
    Ok(())
}

fn wide<const N: usize>(bytes: &[u8], convert: impl Fn([u8; N]) -> i64) -> Vec<i64> {
    bytes.as_chunks::<N>().0.iter().map(|&word| convert(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_and_the_first_that_does_not_fit_is_named() {
        let ids: Vec<u32> = (0..10_000).map(|number| number * 6).collect();
        for dtype in [Dtype::Uint16, Dtype::Int32] {
            let mut bytes = vec![];
            dtype.encode(&ids[..5], &mut bytes).unwrap();
            dtype.encode(&ids[5..], &mut bytes).unwrap();
            let expected: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
            assert_eq!(dtype.decode(&bytes), expected);
        }
        let mut many = vec![1; 5_000];
        many[4_000] = 65_536;
        many[4_999] = 70_000;
        assert_eq!(Dtype::Uint16.encode(&many, &mut vec![]), Err(65_536));
        assert_eq!(Dtype::Int32.encode(&[1 << 31], &mut vec![]), Err(1 << 31));
    }
}
