//! Texts of WET files as the lines of JSON that they stand for.
//!
//! WET is WARC (ISO 28500) whose records of type `conversion` hold the text of a page. Records that
//! describe others are passed over. Pages themselves are refused: finding the text in HTML is what
//! `preprocess ingest --dataset web` does.

use std::io::{BufRead, BufReader, ErrorKind, Read, copy, sink};
use std::path::{Path, PathBuf};

use super::escape::push_string;
use super::lines::{Batch, HEAD_BYTES, Line};
use super::source::{Source, SourceSummary};
use crate::{Error, Result};

/// A line of a header that is longer is no header.
const MAX_HEADER_LINE: u64 = 1 << 16;

/// Reads one file.
pub struct WetTexts {
    path: PathBuf,
    reader: BufReader<Source>,
    batch_bytes: usize,
    max_line_bytes: usize,
    next_record: u64,
    is_ended: bool,
    damage: Option<String>,
}

#[derive(Debug, Default)]
struct Header {
    record_type: String,
    url: Vec<u8>,
    length: Option<u64>,
}

impl WetTexts {
    /// Opens a file; sizes are those of [`super::lines::Batches::new`].
    ///
    /// # Errors
    /// `Io` when the file cannot be opened.
    pub fn open(path: &Path, batch_bytes: usize, max_line_bytes: usize) -> Result<Self> {
        Ok(Self {
            path: path.to_path_buf(),
            reader: BufReader::new(Source::open(path)?),
            batch_bytes,
            max_line_bytes: max_line_bytes.max(HEAD_BYTES),
            next_record: 0,
            is_ended: false,
            damage: None,
        })
    }

    /// Returns the next batch, or `None` at the end; `recycled` lends its memory.
    ///
    /// A file that breaks off or is damaged ends there; [`Self::finish`] tells.
    ///
    /// # Errors
    /// `Io` when the system fails to read the file, `Argument` when it holds pages, not texts.
    pub fn next_batch(&mut self, recycled: Batch) -> Result<Option<Batch>> {
        let mut batch = recycled;
        batch.bytes.clear();
        batch.lines.clear();
        batch.first_record = self.next_record;
        while batch.bytes.len() < self.batch_bytes && !self.is_ended {
            match self.read_record(&mut batch) {
                Ok(Ok(())) => {}
                Ok(Err(refusal)) => return Err(refusal),
                Err(error) if error.raw_os_error().is_some() => {
                    return Err(Error::io(&self.path, error));
                }
                Err(error) => {
                    self.is_ended = true;
                    self.damage = Some(format!(
                        "expected a whole WARC file, it breaks off or is damaged near stored \
                         byte {} ({error})",
                        self.reader.get_ref().stored_bytes()
                    ));
                }
            }
        }
        batch.filled = batch.bytes.len();
        self.next_record += batch.lines.len() as u64;
        Ok((!batch.lines.is_empty()).then_some(batch))
    }

    /// Ends the reading: the file's size and hash, and its damage.
    ///
    /// # Errors
    /// `Io` when the rest of the file cannot be read.
    pub fn finish(self) -> Result<(SourceSummary, Option<String>)> {
        Ok((self.reader.into_inner().finish()?, self.damage))
    }

    /// Reads a record: the outer error is damage, the inner one a record that is refused.
    fn read_record(&mut self, batch: &mut Batch) -> std::io::Result<Result<()>> {
        let Some(header) = self.read_header()? else {
            self.is_ended = true;
            return Ok(Ok(()));
        };
        let length = header.length.ok_or_else(|| invalid("a record without Content-Length"))?;
        match header.record_type.as_str() {
            "conversion" => self.push_text(&header, length, batch)?,
            "warcinfo" | "metadata" | "request" | "revisit" | "continuation" => {
                self.pass(length)?;
            }
            other => {
                return Ok(Err(Error::Argument(format!(
                    "{}: expected texts (WET: WARC records of type conversion), found a {other}; \
                     make records of pages with `preprocess ingest --dataset web`",
                    self.path.display()
                ))));
            }
        }
        Ok(Ok(()))
    }

    /// Returns the next record's header, or `None` at the end.
    fn read_header(&mut self) -> std::io::Result<Option<Header>> {
        let mut line = self.read_line()?;
        while line.as_deref().is_some_and(<[u8]>::is_empty) {
            line = self.read_line()?;
        }
        let Some(first) = line else { return Ok(None) };
        if !first.starts_with(b"WARC/") {
            let shown = String::from_utf8_lossy(&first[..first.len().min(40)]).into_owned();
            return Err(invalid(&format!("{shown:?} where a record begins")));
        }
        let mut header = Header::default();
        loop {
            let line = self.read_line()?.ok_or(ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                return Ok(Some(header));
            }
            header.take(&line);
        }
    }

    /// Returns a line of a header without its end; `None` at the end of the file.
    fn read_line(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        (&mut self.reader).take(MAX_HEADER_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.last() != Some(&b'\n') {
            let is_long = line.len() as u64 == MAX_HEADER_LINE;
            return Err(if is_long {
                invalid("a header of more than 64 KiB")
            } else {
                ErrorKind::UnexpectedEof.into()
            });
        }
        let length = line.trim_ascii_end().len();
        line.truncate(length);
        Ok(Some(line))
    }

    fn pass(&mut self, length: u64) -> std::io::Result<()> {
        let passed = copy(&mut (&mut self.reader).take(length), &mut sink())?;
        if passed < length { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn push_text(
        &mut self,
        header: &Header,
        length: u64,
        batch: &mut Batch,
    ) -> std::io::Result<()> {
        let is_oversized = length > self.max_line_bytes as u64;
        let shown = if is_oversized { HEAD_BYTES as u64 } else { length };
        let mut text = Vec::new();
        let read = (&mut self.reader).take(shown).read_to_end(&mut text);
        let is_truncated = (text.len() as u64) < shown;
        let start = batch.bytes.len();
        batch.bytes.extend_from_slice(b"{\"kind\": \"web\", ");
        if !header.url.is_empty() {
            batch.bytes.extend_from_slice(b"\"origin\": {\"url\": ");
            push_string(&header.url, &mut batch.bytes);
            batch.bytes.extend_from_slice(b"}, ");
        }
        batch.bytes.extend_from_slice(b"\"text\": ");
        push_string(&text, &mut batch.bytes);
        // Without its end, a line that was cut is refused as one.
        if !is_truncated {
            batch.bytes.push(b'}');
        }
        let end = batch.bytes.len();
        batch.lines.push(Line { start, end, is_oversized, is_truncated });
        batch.bytes.push(b'\n');
        read?;
        if is_truncated {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.pass(length - shown)
    }
}

impl Header {
    fn take(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"WARC-Type") {
            self.record_type = String::from_utf8_lossy(value).to_ascii_lowercase();
        } else if name.eq_ignore_ascii_case(b"WARC-Target-URI") {
            self.url = value.to_vec();
        } else if name.eq_ignore_ascii_case(b"Content-Length") {
            self.length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
        }
    }
}

fn invalid(what: &str) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: http://a/\"b\"\r\n\
             content-length: {length}\r\n\r\n{body}\r\n\r\n"
        )
    }

    /// Lines, each with whether it is oversized and truncated; whether the file is damaged.
    type Found = (Vec<(String, bool, bool)>, bool);

    fn read(name: &str, content: &[u8], max: usize) -> Result<Found> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut texts = WetTexts::open(&path, 100, max)?;
        let mut lines = Vec::new();
        while let Some(batch) = texts.next_batch(Batch::default())? {
            lines.extend(batch.lines.iter().map(|line| {
                let text = String::from_utf8_lossy(batch.line(line)).into_owned();
                (text, line.is_oversized, line.is_truncated)
            }));
        }
        Ok((lines, texts.finish()?.1.is_some()))
    }

    #[test]
    fn texts_are_lines_and_what_describes_them_is_passed_over() {
        let content =
            record("warcinfo", "Software: x\r\n") + &record("conversion", "a\nWARC/1.0 \"b\"\n");
        let line = r#"{"kind": "web", "origin": {"url": "http://a/\"b\""}, "text": "a\nWARC/1.0 \"b\"\n"}"#;
        let expected = (vec![(line.to_owned(), false, false)], false);
        assert_eq!(read("a.wet", content.as_bytes(), 1 << 20).unwrap(), expected);
        let compressed = zstd::encode_all(content.as_bytes(), 1).unwrap();
        assert_eq!(read("a.warc.wet.zst", &compressed, 1 << 20).unwrap(), expected);
    }

    #[test]
    fn pages_are_refused_with_what_to_do() {
        let content = record("warcinfo", "x") + &record("response", "<html>");
        let refusal = read("a.warc", content.as_bytes(), 1 << 20).unwrap_err().to_string();
        assert!(refusal.contains("found a response; make records of pages with"), "{refusal}");
    }

    #[test]
    fn a_file_that_breaks_off_gives_what_was_whole_and_says_so() {
        let content = record("conversion", "one") + &record("conversion", "two");
        let cut = content.len() - 6;
        let (lines, is_damaged) = read("a.wet", &content.as_bytes()[..cut], 1 << 20).unwrap();
        assert_eq!(lines.iter().map(|line| line.2).collect::<Vec<_>>(), [false, true]);
        assert!(is_damaged);
        for damaged in [&content[..20], "nothing\n", "WARC/1.0\r\n\r\n"] {
            assert_eq!(read("a.wet", damaged.as_bytes(), 1 << 20).unwrap(), (Vec::new(), true));
        }
    }

    #[test]
    fn a_text_over_the_limit_is_its_head() {
        let content = record("conversion", &"x".repeat(9_000)) + &record("conversion", "two");
        let (lines, is_damaged) = read("a.wet", content.as_bytes(), 2_000).unwrap();
        assert_eq!(lines.iter().map(|line| line.1).collect::<Vec<_>>(), [true, false]);
        assert!(!is_damaged && lines[0].0.len() < 2_000);
    }
}
