//! Bytes of any number inside a file of sections, written and read block by block.
//!
//! A stream is a listed section that names its blocks, a [`Section`] each. All but the last have
//! [`BLOCK_BYTES`], so that a reader may begin anywhere.

use super::sections::{Reader, Section, Writer, number};
use crate::Result;

/// Bytes of a block: 24 bytes of memory for each 256 KiB of the stream.
pub const BLOCK_BYTES: usize = 1 << 18;

/// Appends to a stream; nothing else is written to the file meanwhile but other sections.
#[derive(Debug, Default)]
pub struct StreamWriter {
    block: Vec<u8>,
    blocks: Vec<u8>,
}

impl StreamWriter {
    /// Appends bytes.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn append(&mut self, writer: &mut Writer, mut bytes: &[u8]) -> Result<()> {
        while self.block.len() + bytes.len() >= BLOCK_BYTES {
            let (fits, rest) = bytes.split_at(BLOCK_BYTES - self.block.len());
            self.block.extend_from_slice(fits);
            self.end_block(writer)?;
            bytes = rest;
        }
        self.block.extend_from_slice(bytes);
        Ok(())
    }

    /// Ends the stream; it is the next listed section.
    ///
    /// # Errors
    /// `Io` when the disk is full, for example.
    pub fn end(mut self, writer: &mut Writer) -> Result<()> {
        if !self.block.is_empty() {
            self.end_block(writer)?;
        }
        writer.section(&self.blocks)
    }

    fn end_block(&mut self, writer: &mut Writer) -> Result<()> {
        writer.append(&self.block)?.encode(&mut self.blocks);
        self.block.clear();
        Ok(())
    }
}

/// Reads a stream from its beginning, or from any other place.
#[derive(Debug)]
pub struct StreamReader<'a> {
    reader: &'a Reader,
    blocks: Vec<Section>,
    next: usize,
    block: Vec<u8>,
    at: usize,
}

impl<'a> StreamReader<'a> {
    /// Begins at the first byte of the stream that is this listed section.
    ///
    /// # Errors
    /// `Corrupt` when the list of its blocks is missing or damaged; `Io`.
    pub fn open(reader: &'a Reader, index: usize) -> Result<Self> {
        let blocks = reader.section(index)?;
        let blocks = blocks.chunks_exact(Section::BYTES).map(Section::decode).collect();
        Ok(Self { reader, blocks, next: 0, block: Vec::new(), at: 0 })
    }

    /// Returns the bytes of the whole stream.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.blocks.iter().map(|block| block.length).sum()
    }

    /// Goes on at this byte of the stream, which may be behind or before.
    ///
    /// # Errors
    /// `Corrupt` when the stream is shorter or damaged; `Io`.
    pub fn seek(&mut self, offset: u64) -> Result<()> {
        let block_bytes = BLOCK_BYTES as u64;
        self.next = usize::try_from(offset / block_bytes).unwrap_or(usize::MAX);
        self.block.clear();
        self.at = 0;
        if offset % block_bytes > 0 {
            let is_there = self.next_block()?;
            self.at = usize::try_from(offset % block_bytes).unwrap_or(usize::MAX);
            if !is_there || self.at > self.block.len() {
                return Err(self.reader.corrupt(&format!("expected more than {offset} bytes")));
            }
        }
        Ok(())
    }

    /// Fills `bytes`; `false` if the stream ended before the first of them.
    ///
    /// # Errors
    /// `Corrupt` when the stream ends inside or is damaged; `Io`.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<bool> {
        let mut filled = 0;
        while filled < bytes.len() {
            if self.at == self.block.len() && !self.next_block()? {
                if filled == 0 {
                    return Ok(false);
                }
                return Err(self.reader.corrupt("it ends inside a row"));
            }
            let count = (bytes.len() - filled).min(self.block.len() - self.at);
            let from = &self.block[self.at..self.at + count];
            bytes[filled..filled + count].copy_from_slice(from);
            filled += count;
            self.at += count;
        }
        Ok(true)
    }

    /// Returns the next number of 8 bytes, `None` at the end.
    ///
    /// # Errors
    /// As [`StreamReader::fill`].
    #[inline]
    pub fn next_number(&mut self) -> Result<Option<u64>> {
        if self.at + 8 <= self.block.len() {
            self.at += 8;
            return Ok(Some(number(&self.block, self.at - 8)));
        }
        let mut word = [0; 8];
        Ok(self.fill(&mut word)?.then(|| u64::from_le_bytes(word)))
    }

    fn next_block(&mut self) -> Result<bool> {
        let Some(&block) = self.blocks.get(self.next) else { return Ok(false) };
        self.reader.read_into(block, &mut self.block)?;
        self.next += 1;
        self.at = 0;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::sections::Kind;
    use super::*;

    #[test]
    fn a_stream_is_read_from_anywhere_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let content: Vec<u8> = (0..BLOCK_BYTES as u64 * 5 / 8 / 2)
            .flat_map(|value| (value.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes())
            .collect();
        for piece in [7, 8, 4096, BLOCK_BYTES, BLOCK_BYTES * 2 + 1] {
            let mut writer = Writer::create(&path, Kind::Buckets, 1).unwrap();
            let mut stream = StreamWriter::default();
            for bytes in content.chunks(piece) {
                stream.append(&mut writer, bytes).unwrap();
            }
            stream.end(&mut writer).unwrap();
            writer.finish(0).unwrap();
            let reader = Reader::open(&path, Kind::Buckets, 1).unwrap();
            let mut stream = StreamReader::open(&reader, 0).unwrap();
            assert_eq!(stream.length(), content.len() as u64);
            for start in [0, 1, BLOCK_BYTES, BLOCK_BYTES + 9, content.len() - 3, content.len()] {
                stream.seek(start as u64).unwrap();
                let mut rest = vec![0; content.len() - start];
                assert!(stream.fill(&mut rest).unwrap());
                assert!(rest == content[start..], "from {start}");
                assert_eq!(stream.next_number().unwrap(), None);
            }
            stream.seek(8).unwrap();
            assert_eq!(stream.next_number().unwrap(), Some(0x9e37_79b9_7f4a_7c15));
            assert!(stream.seek(content.len() as u64 + 1).is_err());
            stream.seek(content.len() as u64 - 5).unwrap();
            assert!(stream.next_number().unwrap_err().to_string().contains("ends inside"));
        }
    }

    #[test]
    fn an_empty_stream_has_no_row() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut writer = Writer::create(&path, Kind::Buckets, 1).unwrap();
        StreamWriter::default().end(&mut writer).unwrap();
        writer.finish(0).unwrap();
        let reader = Reader::open(&path, Kind::Buckets, 1).unwrap();
        assert_eq!(StreamReader::open(&reader, 0).unwrap().next_number().unwrap(), None);
    }
}
