//! The grammar of a number, a byte at a time, so that one may go on in the next block.

/// How far a number was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

impl Number {
    /// Begins with the first byte of a value.
    pub(super) fn begin(byte: u8) -> Option<Self> {
        match byte {
            b'-' => Some(Self::Minus),
            b'0' => Some(Self::Zero),
            b'1'..=b'9' => Some(Self::Whole),
            _ => None,
        }
    }

    /// Goes on with another byte; `None` if it is no part of the number.
    pub(super) fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Some(Self::Whole),
            (Self::Zero | Self::Whole, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Some(Self::Sign),
            (Self::Exponent | Self::Sign | Self::Power, b'0'..=b'9') => Some(Self::Power),
            _ => None,
        }
    }

    /// Returns whether it may end here.
    pub(super) fn is_whole(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Power)
    }

    /// Returns whether a double may not hold it as it is spelled, given its length: what has no
    /// exponent and 15 digits or less survives.
    pub(super) fn may_be_inexact(self, length: usize) -> bool {
        match self {
            Self::Power => true,
            Self::Fraction => length > 16,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_number(spelled: &str) -> bool {
        let bytes = spelled.as_bytes();
        let begun = bytes.first().and_then(|&first| Number::begin(first));
        let read = bytes.iter().skip(1).try_fold(begun, |number, &byte| {
            let next = number.and_then(|number| number.next(byte));
            next.map(Some)
        });
        read.flatten().is_some_and(Number::is_whole)
    }

    #[test]
    fn numbers_are_those_of_the_grammar() {
        for good in ["0", "-0", "10", "0.0", "-1.25", "1e5", "1E+5", "0.1e-07", "12e0"] {
            assert!(is_number(good), "{good}");
        }
        for bad in ["", "-", "01", "+1", ".5", "1.", "1e", "1e+", "1.e5", "1.5.5", "0x1", "1_0"] {
            assert!(!is_number(bad), "{bad}");
        }
    }
}
