//! Tables as bytes: how what a tokenizer was built into is written down and read back.
//!
//! A table is a few *sections*, each an array of integers: the number of elements (8 bytes), then
//! the elements, all little-endian. The loops below are plain copies on the machines we run on.
//!
//! Bytes that are read back are not trusted: a section must lie inside them before anything is
//! allocated for it, and a table checks what it later uses as an index.

/// A table, or a model of several, that can be kept in a file.
pub(super) trait Stored: Sized {
    /// Appends the sections of the table.
    fn store(&self, sections: &mut Sections);

    /// Returns the table whose sections come next, in the order in which `store` appends them.
    ///
    /// `None` if they are missing, or if using the table could fail: an index out of range, a
    /// hash table without a free slot.
    fn restore(sections: &mut SectionReader<'_>) -> Option<Self>;
}

/// What an array in a section is made of.
pub(super) trait Element: Copy {
    /// Bytes of one element.
    const BYTES: usize;
    /// Writes the element into `bytes`, which are [`Element::BYTES`] long.
    fn write(self, bytes: &mut [u8]);
    /// Reads an element from `bytes`, which are [`Element::BYTES`] long.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Element for $integer {
            const BYTES: usize = size_of::<Self>();

            #[inline]
            fn write(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }

            #[inline]
            fn read(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().unwrap_or_default())
            }
        }
    )*};
}

integers!(u8, u16, u32, u64);

impl<T: Element, const N: usize> Element for [T; N] {
    const BYTES: usize = T::BYTES * N;

    #[inline]
    fn write(self, bytes: &mut [u8]) {
        for (part, value) in bytes.chunks_exact_mut(T::BYTES).zip(self) {
            value.write(part);
        }
    }

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        std::array::from_fn(|index| T::read(&bytes[index * T::BYTES..][..T::BYTES]))
    }
}

/// Sections being written.
#[derive(Debug, Default)]
pub(super) struct Sections {
    bytes: Vec<u8>,
}

impl Sections {
    /// Appends a section.
    pub(super) fn put<T: Element>(&mut self, values: impl ExactSizeIterator<Item = T>) {
        let start = self.bytes.len() + size_of::<u64>();
        self.bytes.extend_from_slice(&(values.len() as u64).to_le_bytes());
        self.bytes.resize(start + values.len() * T::BYTES, 0);
        for (element, value) in self.bytes[start..].chunks_exact_mut(T::BYTES).zip(values) {
            value.write(element);
        }
    }

    /// Appends a section of bytes.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns all sections, one behind the other.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Sections being read.
#[derive(Debug)]
pub(super) struct SectionReader<'a> {
    rest: &'a [u8],
}

impl<'a> SectionReader<'a> {
    /// Begins to read what [`Sections::into_bytes`] gave.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns the elements of the next section.
    pub(super) fn take<T: Element>(&mut self) -> Option<Vec<T>> {
        let section = self.section(T::BYTES)?;
        Some(section.chunks_exact(T::BYTES).map(T::read).collect())
    }

    /// Returns the elements of the next section, if there are `N`.
    pub(super) fn take_array<T: Element, const N: usize>(&mut self) -> Option<[T; N]> {
        let section = self.section(T::BYTES)?;
        (section.len() == T::BYTES * N).then(|| <[T; N]>::read(section))
    }

    /// Returns the next section, if its bytes are UTF-8.
    pub(super) fn take_text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.section(1)?).ok()
    }

    /// Returns the switches in the next section, if there are `N`.
    pub(super) fn take_flags<const N: usize>(&mut self) -> Option<[bool; N]> {
        let flags = self.take_array::<u8, N>()?;
        flags.iter().all(|&flag| flag < 2).then(|| flags.map(|flag| flag == 1))
    }

    /// Returns whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn section(&mut self, element_bytes: usize) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (section, rest) = rest.split_at_checked(length.checked_mul(element_bytes)?)?;
        self.rest = rest;
        Some(section)
    }
}

/// Tokens by name: the names in one section, where each ends in the next, their ids in a third.
impl Stored for Vec<(String, u32)> {
    fn store(&self, sections: &mut Sections) {
        let names: String = self.iter().map(|(name, _)| name.as_str()).collect();
        let ends = self.iter().scan(0u64, |end, (name, _)| {
            *end += name.len() as u64;
            Some(*end)
        });
        sections.put_bytes(names.as_bytes());
        sections.put(ends.collect::<Vec<_>>().into_iter());
        sections.put(self.iter().map(|&(_, id)| id));
    }

    fn restore(sections: &mut SectionReader<'_>) -> Option<Self> {
        let names = sections.take_text()?;
        let (ends, ids) = (sections.take::<u64>()?, sections.take::<u32>()?);
        let mut start = 0;
        let token = |(end, id): (u64, u32)| {
            let end = usize::try_from(end).ok()?;
            let name = names.get(start..end)?.to_owned();
            start = end;
            Some((name, id))
        };
        (ends.len() == ids.len()).then_some(())?;
        ends.into_iter().zip(ids).map(token).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_little_endian_behind_their_length() {
        let mut sections = Sections::default();
        sections.put([0x0102u16, 3].into_iter());
        sections.put_bytes(b"ab");
        assert_eq!(
            sections.into_bytes(),
            [&[2, 0, 0, 0, 0, 0, 0, 0, 2, 1, 3, 0][..], &[2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b']]
                .concat()
        );
    }

    #[test]
    fn what_was_put_is_taken_and_nothing_else() {
        let mut sections = Sections::default();
        sections.put([[1u32, 2], [3, u32::MAX]].into_iter());
        sections.put([u64::MAX].into_iter());
        sections.put([true, false].map(u8::from).into_iter());
        let names = vec![("é".to_owned(), 7), (String::new(), 8), ("b".to_owned(), 0)];
        names.store(&mut sections);
        let bytes = sections.into_bytes();
        let mut reader = SectionReader::new(&bytes);
        assert_eq!(reader.take(), Some(vec![[1u32, 2], [3, u32::MAX]]));
        assert_eq!(reader.take_array(), Some([u64::MAX]));
        assert_eq!(reader.take_flags(), Some([true, false]));
        assert_eq!(Vec::restore(&mut reader), Some(names));
        assert!(reader.is_at_end());
        assert_eq!(reader.take::<u8>(), None);
    }

    #[test]
    fn a_length_beyond_the_bytes_is_refused_before_anything_is_allocated() {
        for length in [3, u64::MAX / 4, u64::MAX] {
            let bytes = [&length.to_le_bytes()[..], &[0; 8]].concat();
            assert_eq!(SectionReader::new(&bytes).take::<u32>(), None);
        }
        let mut reader = SectionReader::new(&[1, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(reader.take_flags::<1>(), None);
    }
}
