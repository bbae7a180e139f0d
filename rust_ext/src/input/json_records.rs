//! Records of a `.json` file, an array of them or any other layout, as lines.
//!
//! What is broken stays as it is, for the fields of the line to be refused as those of any other
//! line are; a record that is spread over lines is put into one.

use std::path::Path;

use memchr::memchr;

use super::lines::{Batch, Line};
use super::source::SourceSummary;
use crate::Result;
use crate::native_json::{Fault, Splitter};

/// Reads one file.
pub struct JsonRecords {
    splitter: Splitter,
    next_record: u64,
}

impl JsonRecords {
    /// Opens a file; a record of more than `max_line_bytes` comes as its head, marked oversized.
    ///
    /// # Errors
    /// `Io` when the file cannot be opened.
    pub fn open(path: &Path, max_line_bytes: usize) -> Result<Self> {
        Ok(Self { splitter: Splitter::open(path, max_line_bytes)?, next_record: 0 })
    }

    /// Returns the next batch, or `None` at the end; `recycled` lends its memory.
    ///
    /// # Errors
    /// `Io` when the system fails to read the file.
    pub fn next_batch(&mut self, recycled: Batch) -> Result<Option<Batch>> {
        let mut batch = recycled;
        batch.bytes.clear();
        batch.lines.clear();
        batch.first_record = self.next_record;
        while batch.lines.is_empty() {
            let Some(natives) = self.splitter.next_batch()?.map(<[_]>::to_vec) else {
                return Ok(None);
            };
            // A file of lines that holds nothing has no records either.
            for native in natives.iter().filter(|each| each.fault != Some(Fault::EmptyFile)) {
                let start = batch.bytes.len();
                push_on_one_line(&self.splitter.bytes()[native.range.clone()], &mut batch.bytes);
                batch.lines.push(Line {
                    start,
                    end: batch.bytes.len(),
                    is_oversized: native.fault == Some(Fault::OverMemory),
                    is_truncated: native.fault == Some(Fault::Truncated),
                });
                batch.bytes.push(b'\n');
            }
        }
        batch.filled = batch.bytes.len();
        self.next_record += batch.lines.len() as u64;
        Ok(Some(batch))
    }

    /// Ends the reading: the file's size and hash, and what was wrong with its compression.
    ///
    /// # Errors
    /// `Io` when the rest of the file cannot be read.
    pub fn finish(self) -> Result<(SourceSummary, Option<String>)> {
        self.splitter.finish()
    }
}

/// Appends a record, each line end outside of strings and the blanks behind it as one blank.
///
/// A line end inside of a string, which no JSON has, stays: the line is refused for it.
fn push_on_one_line(record: &[u8], to: &mut Vec<u8>) {
    if memchr(b'\n', record).is_none() && memchr(b'\r', record).is_none() {
        to.extend_from_slice(record);
        return;
    }
    let (mut is_in_string, mut is_escaped, mut is_after_line) = (false, false, false);
    for &byte in record {
        if is_in_string {
            is_in_string = byte != b'"' || is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            to.push(byte);
            continue;
        }
        match byte {
            b'\n' | b'\r' if !is_after_line => {
                is_after_line = true;
                to.push(b' ');
            }
            b' ' | b'\t' | b'\n' | b'\r' if is_after_line => {}
            _ => {
                is_after_line = false;
                is_in_string = byte == b'"';
                to.push(byte);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(content: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        std::fs::write(&path, content).unwrap();
        let mut records = JsonRecords::open(&path, 1 << 20).unwrap();
        let mut lines = Vec::new();
        while let Some(batch) = records.next_batch(Batch::default()).unwrap() {
            assert_eq!(batch.first_record, lines.len() as u64);
            let texts = batch.lines.iter().map(|line| batch.line(line).to_vec());
            lines.extend(texts.map(|line| String::from_utf8(line).unwrap()));
        }
        assert_eq!(records.finish().unwrap().0.bytes, content.len() as u64);
        lines
    }

    #[test]
    fn every_record_is_one_line() {
        let pretty = "[\n  {\n    \"a\": \"x\\\"  \\\\\",\r\n    \"b\": [1,\n 2]\n  },\n  {}\n]\n";
        assert_eq!(lines(pretty), ["{ \"a\": \"x\\\"  \\\\\", \"b\": [1, 2] }", "{}"]);
        assert_eq!(lines("{\"a\": 1}\n{\"b\": 2}\n"), ["{\"a\": 1}", "{\"b\": 2}"]);
        assert_eq!(lines("[{}\n{}]"), ["{}", "{}"]);
        assert_eq!(lines("[[1\n2], [3]]"), ["[1 2]", "[3]"]);
        assert_eq!(lines(""), [""; 0]);
    }

    #[test]
    fn a_line_end_inside_of_a_string_stays() {
        assert_eq!(lines("[{\"a\": \"x\ny\"}, 1\n]"), ["{\"a\": \"x\ny\"}", "1"]);
    }
}
