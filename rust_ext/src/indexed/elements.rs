//! The elements of a `.bin` as a stream: where the end-of-document token stands, how large they get.

use std::io::{Error, ErrorKind, Read, Result};

use super::Dtype;
use crate::control::Control;

/// Read at a time; a multiple of every element's size.
const BLOCK_BYTES: usize = 1 << 20;

/// What the elements of a sequence, or of a document, hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// End-of-document tokens.
    pub(super) eods: u64,
    /// Whether the last element is one.
    pub(super) ends_in_eod: bool,
    /// The largest element, its bits read without a sign; none where there is no element.
    pub(super) largest: Option<u64>,
}

impl Found {
    /// Adds what follows.
    pub(super) fn join(&mut self, next: &Self) {
        self.eods += next.eods;
        if next.largest.is_some() {
            self.ends_in_eod = next.ends_in_eod;
        }
        self.largest = self.largest.max(next.largest);
    }
}

/// Elements of any integer type, little endian; a document of any length passes one block.
pub(super) struct Elements<'a> {
    dtype: Dtype,
    /// The bits of the token, if elements of this type can hold it.
    eod: Option<u64>,
    bin: &'a mut dyn Read,
    block: Vec<u8>,
    start: usize,
    end: usize,
}

impl<'a> Elements<'a> {
    pub(super) fn new(dtype: Dtype, eod: Option<i64>, bin: &'a mut dyn Read) -> Self {
        let bits = 8 * dtype.size();
        // A negative token is looked for as the bits that it has in an element.
        let eod = eod.map(|eod| eod.cast_unsigned() & (u64::MAX >> (64 - bits)));
        Self { dtype, eod, bin, block: vec![0; BLOCK_BYTES], start: 0, end: 0 }
    }

    /// Looks at the next `length` elements.
    pub(super) fn scan(&mut self, length: u64, control: &Control) -> Result<Found> {
        let mut left = length * self.dtype.size();
        let mut found = Found::default();
        while left > 0 {
            if self.start == self.end {
                control.check().map_err(|_| Error::from(ErrorKind::Interrupted))?;
                self.fill()?;
            }
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.end - self.start);
            found.join(&look(&self.block[self.start..self.start + here], self.dtype, self.eod));
            self.start += here;
            left -= here as u64;
        }
        Ok(found)
    }

    /// Returns bits as the element that has them.
    pub(super) fn signed(&self, bits: u64) -> i128 {
        self.dtype.decode(&bits.to_le_bytes()).first().map_or(i128::from(bits), |&id| id.into())
    }

    /// Reads a block, whole elements but at the end of the file.
    fn fill(&mut self) -> Result<()> {
        (self.start, self.end) = (0, 0);
        while self.end < BLOCK_BYTES {
            match self.bin.read(&mut self.block[self.end..]) {
                Ok(0) => break,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.end == 0 || !(self.end as u64).is_multiple_of(self.dtype.size()) {
            return Err(Error::new(
                ErrorKind::UnexpectedEof,
                "the file became shorter while it was read",
            ));
        }
        Ok(())
    }
}

fn look(bytes: &[u8], dtype: Dtype, eod: Option<u64>) -> Found {
    match dtype.size() {
        1 => look_u8(bytes, eod),
        2 => look_u16(bytes, eod),
        4 => look_u32(bytes, eod),
        _ => look_u64(bytes, eod),
    }
}

/// One loop for each width, counters as wide as elements, so that it runs on whole registers.
macro_rules! look {
    ($name:ident, $word:ty) => {
        fn $name(bytes: &[u8], eod: Option<u64>) -> Found {
            let words = bytes.as_chunks::<{ size_of::<$word>() }>().0;
            let Some(last) = words.last() else { return Found::default() };
            let eod = eod.and_then(|eod| <$word>::try_from(eod).ok());
            let (mut eods, mut largest) = (0, 0);
            for piece in words.chunks(255) {
                let mut here: $word = 0;
                for word in piece {
                    let word = <$word>::from_le_bytes(*word);
                    here += <$word>::from(Some(word) == eod);
                    largest = word.max(largest);
                }
                eods += u64::from(here);
            }
            let ends_in_eod = Some(<$word>::from_le_bytes(*last)) == eod;
            Found { eods, ends_in_eod, largest: Some(largest.into()) }
        }
    };
}

look!(look_u8, u8);
look!(look_u16, u16);
look!(look_u32, u32);
look!(look_u64, u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_is_counted_across_blocks() {
        for (dtype, eod) in [
            (Dtype::Uint8, 7),
            (Dtype::Uint16, 60_000),
            (Dtype::Int32, 128_009),
            (Dtype::Int64, 1 << 40),
        ] {
            let size = usize::try_from(dtype.size()).unwrap();
            let length = BLOCK_BYTES / size + 300;
            let mut bytes = Vec::new();
            for number in 0..length {
                let id = if number % 256 == 255 || number + 1 == length { eod } else { 3 };
                bytes.extend_from_slice(&i64::to_le_bytes(id)[..size]);
            }
            let mut bin = bytes.as_slice();
            let mut elements = Elements::new(dtype, Some(eod), &mut bin);
            let found = elements.scan(length as u64, &Control::default()).unwrap();
            let eods = length as u64 / 256 + u64::from(!length.is_multiple_of(256));
            let largest = Some(eod.cast_unsigned());
            assert_eq!(found, Found { eods, ends_in_eod: true, largest }, "{dtype:?}");
            assert_eq!(elements.scan(0, &Control::default()).unwrap(), Found::default());
            assert!(elements.scan(1, &Control::default()).is_err());
        }
    }

    #[test]
    fn a_negative_element_is_the_largest_and_keeps_its_name() {
        let mut bin: &[u8] = &[1, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff];
        let mut elements = Elements::new(Dtype::Int32, None, &mut bin);
        let found = elements.scan(2, &Control::default()).unwrap();
        assert_eq!(found.largest, Some(0xffff_fffe));
        assert_eq!(elements.signed(0xffff_fffe), -2);
    }
}
