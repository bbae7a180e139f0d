//! A stream of bytes cut into batches of whole lines.
//!
//! A batch is the unit that crosses threads. Blank lines are no records and are passed over; a
//! line longer than the limit is never held in memory: its head is kept, the rest is read past.

use memchr::{memchr, memchr_iter, memrchr};

use super::source::{Source, SourceSummary};
use crate::Result;
use crate::pool::Reuse;

/// How much of an oversized line is kept to show what it was.
pub(super) const HEAD_BYTES: usize = 1024;

/// U+FEFF at the beginning of a line, which is no part of it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where a line lies in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// First byte.
    pub start: usize,
    /// One past the last byte, the line end left out.
    pub end: usize,
    /// Whether the line was over the limit and only its head is here.
    pub is_oversized: bool,
    /// Whether the file broke off inside this line.
    pub is_truncated: bool,
}

/// Whole lines of one file, in order.
#[derive(Debug, Default)]
pub struct Batch {
    /// The bytes that the lines lie in, and what an earlier use left behind them: a buffer that
    /// is used again is not cleared.
    pub bytes: Vec<u8>,
    /// How many of the bytes are of this use.
    pub(super) filled: usize,
    /// The lines that are not blank.
    pub lines: Vec<Line>,
    /// Ordinal of the first line among the file's lines that are not blank.
    pub first_record: u64,
}

impl Batch {
    /// Returns the bytes of a line.
    #[must_use]
    pub fn line(&self, line: &Line) -> &[u8] {
        &self.bytes[line.start..line.end]
    }

    /// Returns how many bytes were read into it.
    #[must_use]
    pub fn filled(&self) -> usize {
        self.filled
    }

    fn make_room(&mut self, bytes: usize) {
        if self.bytes.len() < bytes {
            self.bytes.resize(bytes, 0);
        }
    }
}

impl Reuse for Batch {
    /// Bytes that were never written to are none: the system gives memory by the page, when it is
    /// first used.
    fn held_bytes(&self) -> usize {
        self.bytes.len() + self.lines.capacity() * size_of::<Line>()
    }
}

/// Cuts one file into batches.
pub struct Batches {
    source: Source,
    carry: Vec<u8>,
    batch_bytes: usize,
    max_line_bytes: usize,
    next_record: u64,
    is_ended: bool,
    damage: Option<String>,
}

impl Batches {
    /// Reads `source` in batches of about `batch_bytes`, more where a line is longer.
    ///
    /// A line of more than `max_line_bytes` comes as its head alone, marked oversized.
    #[must_use]
    pub fn new(source: Source, batch_bytes: usize, max_line_bytes: usize) -> Self {
        Self {
            source,
            carry: Vec::new(),
            batch_bytes: batch_bytes.max(1),
            max_line_bytes: max_line_bytes.max(HEAD_BYTES),
            next_record: 0,
            is_ended: false,
            damage: None,
        }
    }

    /// Returns the next batch, or `None` at the end; `recycled` lends its memory.
    ///
    /// A compressed file that breaks off or is damaged ends here, after all that could be read;
    /// [`Batches::finish`] tells.
    ///
    /// # Errors
    /// `Io` when the system fails to read the file.
    pub fn next_batch(&mut self, recycled: Batch) -> Result<Option<Batch>> {
        let mut batch = recycled;
        batch.lines.clear();
        batch.first_record = self.next_record;
        while batch.lines.is_empty() {
            if self.is_ended && self.carry.is_empty() {
                return Ok(None);
            }
            self.fill(&mut batch)?;
        }
        self.next_record += batch.lines.len() as u64;
        Ok(Some(batch))
    }

    /// Ends the reading: the file's size and hash, and what was wrong with its compression.
    ///
    /// # Errors
    /// `Io` when the rest of the file cannot be read.
    pub fn finish(self) -> Result<(SourceSummary, Option<String>)> {
        Ok((self.source.finish()?, self.damage))
    }

    /// Reads lines until the batch is full, or one line, alone, that is longer than a batch.
    fn fill(&mut self, batch: &mut Batch) -> Result<()> {
        batch.make_room(self.carry.len());
        batch.bytes[..self.carry.len()].copy_from_slice(&self.carry);
        batch.filled = self.carry.len();
        self.carry.clear();
        let mut target = self.batch_bytes.max(batch.filled + 1);
        // Before it there is no line end.
        let mut searched = 0;
        loop {
            self.read_to(batch, target)?;
            let fresh = &batch.bytes[searched..batch.filled];
            let is_long = searched > 0;
            let newline = if is_long { memchr(b'\n', fresh) } else { memrchr(b'\n', fresh) };
            if let Some(newline) = newline.filter(|_| is_long || !self.is_ended) {
                let end = searched + newline + 1;
                self.carry.extend_from_slice(&batch.bytes[end..batch.filled]);
                batch.filled = end;
                split(batch, self.max_line_bytes, false);
                return Ok(());
            }
            if self.is_ended {
                split(batch, self.max_line_bytes, self.damage.is_some());
                return Ok(());
            }
            if batch.filled > self.max_line_bytes {
                return self.pass_oversized(batch);
            }
            searched = batch.filled;
            let most = self.max_line_bytes.saturating_add(1);
            target = batch.filled.saturating_add(self.batch_bytes).min(most);
        }
    }

    /// Fills the batch to `target` bytes, or to the end of the file.
    fn read_to(&mut self, batch: &mut Batch, target: usize) -> Result<()> {
        batch.make_room(target);
        if batch.filled < target && !self.is_ended {
            let filled = self.source.fill(&mut batch.bytes[batch.filled..target])?;
            batch.filled += filled.count;
            self.is_ended = filled.is_ended;
            self.damage = filled.damage;
        }
        Ok(())
    }

    /// Keeps the head of the line that fills `batch` and reads past the rest of it.
    fn pass_oversized(&mut self, batch: &mut Batch) -> Result<()> {
        batch.bytes.truncate(HEAD_BYTES);
        batch.bytes.shrink_to_fit();
        batch.filled = HEAD_BYTES;
        batch.lines.push(Line {
            start: 0,
            end: HEAD_BYTES,
            is_oversized: true,
            is_truncated: false,
        });
        let mut passed = Batch::default();
        while !self.is_ended {
            passed.filled = 0;
            self.read_to(&mut passed, self.batch_bytes)?;
            if let Some(newline) = memchr(b'\n', &passed.bytes[..passed.filled]) {
                self.carry.extend_from_slice(&passed.bytes[newline + 1..passed.filled]);
                break;
            }
        }
        Ok(())
    }
}

/// Finds the lines in what was read; the last one may lack its line end.
fn split(batch: &mut Batch, max_line_bytes: usize, is_truncated: bool) {
    let end = batch.filled;
    let bytes = &batch.bytes[..end];
    let lines = &mut batch.lines;
    let mut push = |mut start: usize, mut stop: usize, is_last: bool| {
        // Windows begins files with it, and files put together have it inside.
        if bytes[start..stop].starts_with(BYTE_ORDER_MARK) {
            start += BYTE_ORDER_MARK.len();
        }
        if stop > start && bytes[stop - 1] == b'\r' {
            stop -= 1;
        }
        if !bytes[start..stop].iter().all(u8::is_ascii_whitespace) {
            let is_oversized = stop - start > max_line_bytes;
            let end = if is_oversized { start + HEAD_BYTES } else { stop };
            lines.push(Line { start, end, is_oversized, is_truncated: is_last && is_truncated });
        }
    };
    let mut start = 0;
    for newline in memchr_iter(b'\n', bytes) {
        push(start, newline, false);
        start = newline + 1;
    }
    if start < end {
        push(start, end, true);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(
        content: &[u8],
        name: &str,
        batch_bytes: usize,
        max: usize,
    ) -> (Vec<Vec<u8>>, Option<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut batches = Batches::new(Source::open(&path).unwrap(), batch_bytes, max);
        let mut lines = Vec::new();
        while let Some(batch) = batches.next_batch(Batch::default()).unwrap() {
            assert_eq!(batch.first_record, lines.len() as u64);
            lines.extend(batch.lines.iter().map(|line| batch.line(line).to_vec()));
        }
        let (summary, damage) = batches.finish().unwrap();
        assert_eq!(summary.bytes, content.len() as u64);
        (lines, damage)
    }

    #[test]
    fn every_batch_size_gives_the_same_lines() {
        let content = b"one\n\n  \ntwo\r\nthree is longer\n\nlast without end";
        let expected: Vec<&[u8]> = vec![b"one", b"two", b"three is longer", b"last without end"];
        for batch_bytes in 1..60 {
            let (lines, damage) = read(content, "a.jsonl", batch_bytes, 1 << 20);
            assert_eq!(lines, expected, "batches of {batch_bytes} bytes");
            assert_eq!(damage, None);
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_line() {
        let content = b"\xef\xbb\xbfone\r\n\xef\xbb\xbf\ntwo\xef\xbb\xbf\n\xef\xbb\xbfthree";
        for batch_bytes in 1..20 {
            let (lines, _) = read(content, "a.jsonl", batch_bytes, 1 << 20);
            assert_eq!(lines, [&b"one"[..], b"two\xef\xbb\xbf", b"three"]);
        }
    }

    #[test]
    fn an_oversized_line_is_cut_to_its_head_and_its_neighbours_stay() {
        let long = vec![b'x'; 50_000];
        for batch_bytes in [7, 1000, 4096, 60_000] {
            for tail in [&b"\nafter\n"[..], b"\nafter", b"\n", b""] {
                let content = [b"before\n", &long[..], tail].concat();
                let (lines, _) = read(&content, "a.jsonl", batch_bytes, 2000);
                let mut expected: Vec<&[u8]> = vec![b"before", &long[..HEAD_BYTES]];
                if tail.len() > 1 {
                    expected.push(b"after");
                }
                assert_eq!(lines, expected, "batches of {batch_bytes} bytes");
            }
        }
    }

    #[test]
    fn a_cut_zstd_file_gives_what_could_be_read_and_says_so() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        for number in 0..200_000_u32 {
            writeln!(encoder, "{}", number.wrapping_mul(2_654_435_761)).unwrap();
        }
        let whole = encoder.finish().unwrap();
        let (lines, damage) = read(&whole[..whole.len() / 2], "a.jsonl.zst", 4096, 1 << 20);
        assert!(lines.len() > 10_000, "{} lines", lines.len());
        assert!(damage.unwrap().contains("breaks off"));
        let (all, damage) = read(&whole, "a.jsonl.zst", 4096, 1 << 20);
        assert_eq!((all.len(), damage), (200_000, None));
    }

    #[test]
    fn many_frames_and_members_are_one_file() {
        let frame = zstd::encode_all(&b"a\nb\n"[..], 1).unwrap();
        assert_eq!(read(&frame.repeat(3), "a.zst", 100, 1 << 20).0.len(), 6);
        let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        member.write_all(b"a\nb\n").unwrap();
        let member = member.finish().unwrap();
        assert_eq!(read(&member.repeat(3), "a.gz", 100, 1 << 20).0.len(), 6);
        let (lines, damage) = read(&member.repeat(3)[..member.len() * 3 - 5], "a.gz", 100, 1 << 20);
        assert_eq!(lines.len(), 6);
        assert!(damage.is_some());
    }
}
