//! A file cut into its native records, one window of it in memory.

use std::ops::Range;
use std::path::Path;

use memchr::memchr;

use super::checker::{Checker, LineEnds, Progress};
use super::fault::Fault;
use super::layout::{BYTE_ORDER_MARK, Layout, detect};
use super::recovery::{End, Structure, find_line};
use super::window::{BLOCK_BYTES, Window};
use crate::Result;

/// How much of a record that is over the limit is kept to show what it was.
pub const HEAD_BYTES: usize = 1024;

/// A batch without records is handed out after so many bytes, so that the caller can be stopped.
const PATIENCE_BYTES: usize = 16 * BLOCK_BYTES;

/// White space in front of a record that is held to know its indentation.
const MAX_BLANKS: usize = 1 << 16;

/// Extensions that promise a record a line, a compression's after them.
const LINE_EXTENSIONS: [&str; 3] = ["jsonl", "ndjson", "jsonlines"];

/// A native record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// Where it lies in [`Splitter::bytes`].
    pub range: Range<usize>,
    /// Why it is rejected, if it is.
    pub fault: Option<Fault>,
    /// Whether it holds a number that a double may not hold as it is spelled.
    pub may_be_inexact: bool,
}

/// Cuts one file into native records.
pub struct Splitter {
    window: Window,
    limit_bytes: usize,
    is_named_lines: bool,
    /// Whether lists beside each other hold records, rather than being records.
    are_lists_arrays: bool,
    is_in_array: bool,
    place: Place,
    /// Where the record, or what is between two of them, begins in the window.
    start: usize,
    record: Record,
    /// Whether records were seen to end with their lines.
    is_in_lines: bool,
    natives: Vec<Native>,
}

/// Where reading stands.
#[derive(Debug)]
enum Place {
    /// Before the first byte.
    Start,
    /// In an array, before an element: behind the bracket, or at the comma before it.
    Element { is_first: bool },
    /// In an array, behind an element.
    Separator,
    /// Between values.
    Between,
    /// In a record.
    Inside,
    /// In a broken element, whose end its structure tells.
    Broken(Structure),
    /// In a broken record; line ends before that are searched.
    Lines { searched: usize },
    /// In what is rejected up to the end of the file.
    Rest,
    /// Behind the last byte.
    Ended,
}

/// The record that is being read.
struct Record {
    checker: Checker,
    /// Its first byte.
    opener: u8,
    /// What its line has before it, if that is blank.
    indentation: Option<Vec<u8>>,
    /// Why it is broken, once it is.
    fault: Fault,
    /// Where it broke.
    broken_at: usize,
    /// Whether it was over the limit: then its head is handed out and the rest forgotten.
    is_forgotten: bool,
    /// Whether it begins where reading went on behind a broken one.
    is_recovered: bool,
}

/// Whether more bytes are needed.
#[derive(PartialEq, Eq)]
enum Step {
    On,
    More,
}

impl Splitter {
    /// Opens a file, plain, `.gz` or `.zst`; a record of more than `limit_bytes` comes as its head.
    ///
    /// # Errors
    /// `Io` when the file cannot be opened.
    pub fn open(path: &Path, limit_bytes: usize) -> Result<Self> {
        Self::in_blocks(path, limit_bytes, BLOCK_BYTES)
    }

    fn in_blocks(path: &Path, limit_bytes: usize, block_bytes: usize) -> Result<Self> {
        Ok(Self {
            window: Window::open(path, block_bytes)?,
            limit_bytes: limit_bytes.max(HEAD_BYTES),
            is_named_lines: is_named_lines(path),
            are_lists_arrays: false,
            is_in_array: false,
            place: Place::Start,
            start: 0,
            record: Record {
                checker: Checker::new(LineEnds::Break),
                opener: 0,
                indentation: None,
                fault: Fault::InvalidJson,
                broken_at: 0,
                is_forgotten: false,
                is_recovered: false,
            },
            is_in_lines: is_named_lines(path),
            natives: Vec::new(),
        })
    }

    /// Returns the next records, perhaps none, in the order of the file, or `None` at its end.
    ///
    /// A compressed file that breaks off or is damaged ends here, after all that could be read;
    /// [`Splitter::damage`] tells.
    ///
    /// # Errors
    /// `Io` when the system fails to read the file.
    pub fn next_batch(&mut self) -> Result<Option<&[Native]>> {
        self.natives.clear();
        let mut passed = 0;
        while !matches!(self.place, Place::Ended) {
            if self.step() == Step::On {
                continue;
            }
            if self.window.is_ended {
                self.end();
                continue;
            }
            if !self.natives.is_empty() || passed >= PATIENCE_BYTES {
                return Ok(Some(&self.natives));
            }
            self.window.release(std::mem::take(&mut self.start));
            passed += self.window.read()?;
        }
        Ok((!self.natives.is_empty()).then_some(&self.natives))
    }

    /// Returns the bytes that the ranges of the last batch are of.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.window.bytes()
    }

    /// Returns where the file broke off, if it did; complete at the end.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.window.damage.as_deref()
    }

    fn step(&mut self) -> Step {
        match self.place {
            Place::Start => self.begin_file(),
            Place::Element { is_first } => self.before_element(is_first),
            Place::Separator => self.separator(),
            Place::Between => self.between(),
            Place::Inside => self.inside(),
            Place::Broken(_) => self.broken_element(),
            Place::Lines { searched } => self.next_line(searched),
            Place::Rest => self.forget_long(|splitter| splitter.rest().len()),
            Place::Ended => Step::On,
        }
    }

    /// The bytes from the beginning of the record, or of what is between two of them.
    fn rest(&self) -> &[u8] {
        &self.window.bytes()[self.start..]
    }

    fn begin_file(&mut self) -> Step {
        if self.window.bytes().is_empty() && !self.window.is_ended {
            return Step::More;
        }
        if self.rest().starts_with(BYTE_ORDER_MARK) {
            self.start += BYTE_ORDER_MARK.len();
        }
        match detect(self.rest(), self.window.is_ended, self.is_named_lines) {
            Layout::Wide => {
                self.record.fault = Fault::InvalidUtf8;
                self.place = Place::Rest;
            }
            Layout::Empty => {
                self.push(0..self.window.bytes().len(), Some(Fault::EmptyFile), false);
                self.place = Place::Ended;
            }
            Layout::Array => {
                self.are_lists_arrays = true;
                self.place = Place::Between;
            }
            Layout::Values => self.place = Place::Between,
        }
        Step::On
    }

    /// Passes white space, and byte order marks of files that were put together.
    fn between(&mut self) -> Step {
        let rest = self.rest();
        let blanks = count_blanks(rest);
        let behind = &rest[blanks..];
        let first = behind.first().copied();
        if BYTE_ORDER_MARK.starts_with(behind) && !self.window.is_ended {
            self.start += blanks;
            return Step::More;
        }
        self.start += blanks;
        match first {
            None => return Step::More,
            Some(_) if self.rest().starts_with(BYTE_ORDER_MARK) => {
                self.start += BYTE_ORDER_MARK.len();
            }
            Some(b'[') if self.are_lists_arrays => {
                self.start += 1;
                self.is_in_array = true;
                self.place = Place::Element { is_first: true };
            }
            Some(byte) => self.begin_record(0, byte, Some(Vec::new())),
        }
        Step::On
    }

    fn before_element(&mut self, is_first: bool) -> Step {
        let rest = self.rest();
        let comma = usize::from(!is_first);
        let blanks = count_blanks(&rest[comma..]);
        let at = comma + blanks;
        let Some(&byte) = rest.get(at) else {
            if blanks > MAX_BLANKS {
                self.start += blanks;
                self.place = Place::Element { is_first: true };
            }
            return Step::More;
        };
        match byte {
            b']' if is_first => {
                self.start += at;
                self.end_array();
            }
            // A comma too many: the one before it has nothing behind it.
            b']' | b',' => {
                self.push(self.start..self.start + at, Some(Fault::InvalidJson), false);
                self.start += at;
                self.place = if byte == b',' {
                    Place::Element { is_first: false }
                } else {
                    Place::Separator
                };
            }
            _ => {
                let blank = &rest[comma..at];
                let line = blank.iter().rposition(|&byte| byte == b'\n');
                let indentation = line.map(|end| blank[end + 1..].to_vec());
                self.begin_record(at, byte, indentation);
            }
        }
        Step::On
    }

    fn separator(&mut self) -> Step {
        let rest = self.rest();
        let blanks = count_blanks(rest);
        let first = rest.get(blanks).copied();
        self.start += blanks;
        match first {
            None => return Step::More,
            Some(b',') => self.place = Place::Element { is_first: false },
            Some(b']') => self.end_array(),
            Some(byte) => {
                self.begin_record(0, byte, None);
                self.break_record();
            }
        }
        Step::On
    }

    fn end_array(&mut self) {
        self.start += 1;
        self.is_in_array = false;
        self.place = Place::Between;
    }

    fn begin_record(&mut self, at: usize, opener: u8, indentation: Option<Vec<u8>>) {
        self.start += at;
        self.record.checker.reset(if self.is_in_array { LineEnds::Stand } else { LineEnds::Break });
        self.record.opener = opener;
        self.record.indentation = indentation;
        self.record.is_forgotten = false;
        self.place = Place::Inside;
    }

    fn inside(&mut self) -> Step {
        let progress = self.record.checker.run(&self.window.bytes()[self.start..]);
        match progress {
            Progress::More => self.forget_long(|splitter| splitter.record.checker.at),
            Progress::Done => self.end_record(),
            Progress::Broken => {
                self.break_record();
                Step::On
            }
        }
    }

    fn end_record(&mut self) -> Step {
        let end = self.record.checker.at;
        if !self.is_in_array {
            match self.ends_well(end) {
                Some(true) => {}
                Some(false) => {
                    self.break_record();
                    return Step::On;
                }
                None => return Step::More,
            }
        }
        let fault = self.record.checker.fault;
        self.reject_or_give(end, fault);
        self.record.is_recovered = false;
        self.place = if self.is_in_array { Place::Separator } else { Place::Between };
        Step::On
    }

    /// Whether what is behind a value may be there; `None` if that is not read yet.
    ///
    /// A number or word has to end; what was found behind a broken record has to end its line, so
    /// that it is no part of that record.
    fn ends_well(&mut self, end: usize) -> Option<bool> {
        let is_ended = self.window.is_ended;
        let rest = &self.window.bytes()[self.start..];
        let behind = &rest[end..];
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
        let next = behind.iter().find(|byte| !blank(byte));
        if next.is_none() && !is_ended {
            return None;
        }
        let ends_line = next.is_none_or(|&byte| byte == b'\n');
        if ends_line && !self.is_in_lines {
            self.is_in_lines = next.is_some() && memchr(b'\n', &rest[..end]).is_none();
        }
        let is_scalar = !matches!(self.record.opener, b'{' | b'[');
        let touches = behind.first().is_some_and(|byte| !byte.is_ascii_whitespace());
        Some(!(is_scalar && touches) && (ends_line || !self.record.is_recovered))
    }

    /// Looks for the end of a record whose grammar is broken where the checker stands.
    fn break_record(&mut self) {
        let at = self.record.checker.at;
        let is_nul = self.rest().get(at) == Some(&0);
        self.record.fault = if is_nul { Fault::NulByte } else { Fault::InvalidJson };
        self.record.broken_at = at;
        self.place = if !self.is_in_array {
            Place::Lines { searched: 0 }
        } else if self.record.checker.has_line_end {
            self.uncertain()
        } else {
            Place::Broken(Structure::new(at, std::mem::take(&mut self.record.checker.open)))
        };
    }

    fn uncertain(&self) -> Place {
        match self.record.indentation {
            Some(_) => Place::Lines { searched: 0 },
            None => Place::Rest,
        }
    }

    fn broken_element(&mut self) -> Step {
        let Place::Broken(structure) = &mut self.place else { return Step::On };
        let rest = &self.window.bytes()[self.start..];
        let end = structure.run(rest);
        let at = structure.at;
        match end {
            End::More => self.forget_long(|splitter| match &splitter.place {
                Place::Broken(structure) => structure.at,
                _ => 0,
            }),
            End::Uncertain => {
                self.place = self.uncertain();
                Step::On
            }
            End::Certain => {
                let is_last = rest[at] == b']';
                let next = rest[at + 1..].iter().find(|byte| !byte.is_ascii_whitespace()).copied();
                if next.is_none() && !is_last && !self.window.is_ended {
                    return Step::More;
                }
                // A string that ends where none began turns all that follows inside out.
                let is_container = matches!(self.record.opener, b'{' | b'[');
                if is_container && !is_last && next != Some(self.record.opener) {
                    self.place = self.uncertain();
                    return Step::On;
                }
                self.reject_or_give(at, Some(self.record.fault));
                self.place = Place::Separator;
                Step::On
            }
        }
    }

    /// Looks for the next line that begins like a record.
    fn next_line(&mut self, searched: usize) -> Step {
        let rest = self.rest();
        let record = &self.record;
        let is_array = self.is_in_array;
        let is_container = matches!(record.opener, b'{' | b'[');
        // In lines, a record that breaks in its own line ends with it.
        let broken = &rest[..record.broken_at.min(rest.len())];
        let is_one_line = self.is_in_lines && !is_array && memchr(b'\n', broken).is_none();
        let is_opener = |end: usize, byte: u8| {
            let is_alike = if is_container || is_array {
                byte == record.opener
            } else {
                matches!(byte, b'{' | b'[')
            };
            is_alike || (is_one_line && end >= record.broken_at)
        };
        let indentation = record.indentation.as_deref().unwrap_or_default();
        if let Some(line) = find_line(rest, searched, indentation, is_opener) {
            let fault =
                if record.fault == Fault::Truncated { Fault::InvalidJson } else { record.fault };
            self.reject_or_give(line, Some(fault));
            self.record.is_recovered = true;
            let indentation = self.record.indentation.take();
            let opener = self.rest()[0];
            self.begin_record(0, opener, indentation);
            if !is_array {
                self.place = Place::Between;
            }
            return Step::On;
        }
        let searched = rest.len().saturating_sub(indentation.len() + 1).max(searched);
        self.place = Place::Lines { searched };
        self.forget_long(|_| searched)
    }

    /// Hands out the head of a record that is over the limit, and forgets what was passed of it.
    fn forget_long(&mut self, passed: impl Fn(&Self) -> usize) -> Step {
        if self.rest().len() <= self.limit_bytes && !self.record.is_forgotten {
            return Step::More;
        }
        self.give_head();
        let passed = passed(self);
        self.start += passed;
        self.record.broken_at = self.record.broken_at.saturating_sub(passed);
        match &mut self.place {
            Place::Inside => self.record.checker.forget(),
            Place::Broken(structure) => structure.at = 0,
            Place::Lines { searched } => *searched = 0,
            _ => {}
        }
        Step::More
    }

    fn give_head(&mut self) {
        if !self.record.is_forgotten {
            self.record.is_forgotten = true;
            let end = self.window.bytes().len().min(self.start + HEAD_BYTES);
            let is_rest = matches!(self.place, Place::Rest);
            let fault = if is_rest { self.record.fault } else { Fault::OverMemory };
            self.push(self.start..end, Some(fault), false);
        }
    }

    /// Ends the record at `end`, counted from its beginning.
    fn reject_or_give(&mut self, end: usize, fault: Option<Fault>) {
        if end > self.limit_bytes {
            self.give_head();
        }
        if !self.record.is_forgotten {
            let range = self.start..self.start + end;
            let is_cut = fault == Some(Fault::Truncated);
            let is_utf8 =
                is_cut || simdutf8::basic::from_utf8(&self.window.bytes()[range.clone()]).is_ok();
            let fault = if is_utf8 { fault } else { Some(Fault::InvalidUtf8) };
            self.push(range, fault, self.record.checker.may_be_inexact);
        }
        self.start += end;
    }

    fn push(&mut self, range: Range<usize>, fault: Option<Fault>, may_be_inexact: bool) {
        self.natives.push(Native { range, fault, may_be_inexact });
    }

    /// Whether the end of the file ends the value that is being read: as it may end a number.
    fn is_whole_value(&self) -> bool {
        let is_cut = self.is_in_array || self.window.damage.is_some();
        !is_cut && self.record.checker.end() == Progress::Done
    }

    /// Ends what is open at the end of the file.
    fn end(&mut self) {
        let left = self.rest().len();
        match self.place {
            Place::Inside if self.is_whole_value() => {
                let fault = self.record.checker.fault;
                self.reject_or_give(left, fault);
            }
            Place::Inside => {
                self.record.fault = Fault::Truncated;
                self.record.broken_at = left;
                let is_in_doubt = !self.is_in_array || self.record.checker.has_line_end;
                if is_in_doubt && self.record.indentation.is_some() {
                    self.place = Place::Lines { searched: 0 };
                    if self.step() == Step::On {
                        return;
                    }
                }
                self.reject_or_give(left, Some(Fault::Truncated));
            }
            Place::Element { .. } | Place::Separator => {
                self.record.is_forgotten = false;
                self.reject_or_give(left, Some(Fault::Truncated));
            }
            Place::Broken(_) | Place::Lines { .. } | Place::Rest => {
                let fault = self.record.fault;
                self.reject_or_give(left, Some(fault));
            }
            Place::Start | Place::Between | Place::Ended => {}
        }
        self.place = Place::Ended;
    }
}

fn count_blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn is_named_lines(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
    LINE_EXTENSIONS.iter().any(|extension| name.ends_with(&format!(".{extension}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Split = Vec<(String, &'static str)>;

    fn split_in(name: &str, content: &[u8], limit: usize, block_bytes: usize) -> Split {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        let mut splitter = Splitter::in_blocks(&path, limit, block_bytes).unwrap();
        let mut split = Vec::new();
        while let Some(natives) = splitter.next_batch().unwrap() {
            let natives = natives.to_vec();
            for native in natives {
                let raw = String::from_utf8_lossy(&splitter.bytes()[native.range]).into_owned();
                split.push((raw, native.fault.map_or("", Fault::reason)));
            }
        }
        split
    }

    /// Splits in blocks of every size that makes a difference, which must make none.
    fn split(name: &str, content: impl AsRef<[u8]>) -> Split {
        let content = content.as_ref();
        let whole = split_in(name, content, 1 << 20, BLOCK_BYTES);
        // The first block decides what a list is.
        let is_open = content.starts_with(b"[") && (name == "a.jsonl" || content.contains(&b'\n'));
        for block_bytes in (1..content.len().min(80)).filter(|_| !is_open) {
            assert_eq!(split_in(name, content, 1 << 20, block_bytes), whole, "{block_bytes}");
        }
        whole
    }

    fn good(records: &[&str]) -> Split {
        records.iter().map(|record| ((*record).to_owned(), "")).collect()
    }

    #[test]
    fn every_layout_gives_its_records() {
        let records = good(&["{\"a\": 1}", "{\"b\": [2, {}]}"]);
        for content in [
            "[{\"a\": 1}, {\"b\": [2, {}]}]",
            "[\n  {\"a\": 1},\n  {\"b\": [2, {}]}\n]\n",
            "{\"a\": 1}\n{\"b\": [2, {}]}\n",
            "{\"a\": 1}\r\n\r\n{\"b\": [2, {}]}",
            "{\"a\": 1}{\"b\": [2, {}]}",
            "\u{feff}{\"a\": 1}\n\u{feff}{\"b\": [2, {}]}",
            "[{\"a\": 1}]\n[{\"b\": [2, {}]}]x".trim_end_matches('x'),
        ] {
            let found = split("a.json", content);
            if content.starts_with("[{\"a\": 1}]\n") {
                assert_eq!(found, good(&["[{\"a\": 1}]", "[{\"b\": [2, {}]}]"]));
            } else {
                assert_eq!(found, records, "{content}");
            }
        }
        let pretty = "{\n  \"a\": 1\n}";
        assert_eq!(split("a.json", pretty), good(&[pretty]));
        assert_eq!(split("a.json", "1\n\"x\"\nnull 2"), good(&["1", "\"x\"", "null", "2"]));
        assert_eq!(split("a.json", "[]"), good(&[]));
        assert_eq!(split("a.jsonl", "[]\n"), good(&["[]"]));
        assert_eq!(split("a.jsonl.gz", ""), [(String::new(), "empty_file")]);
    }

    #[test]
    fn a_fault_inside_of_a_record_rejects_it_alone() {
        for (record, reason) in [
            ("{\"a\": NaN}", "not_a_number"),
            ("[-Infinity]", "not_a_number"),
            ("{\"a\": 1, \"\\u0061\": 2}", "duplicate_key"),
            ("{\"a\": {\"b\": 1, \"c\": 2, \"b\": 1}}", "duplicate_key"),
            ("[\"\\ud800\"]", "lone_surrogate"),
            ("[\"\\ud800\\u0061\"]", "lone_surrogate"),
            ("[\"\\udc00\\ud800\"]", "lone_surrogate"),
            ("[\"a\0b\"]", "nul_byte"),
            ("[\"a\tb\"]", "invalid_json"),
            ("[\"\\x41\"]", "invalid_json"),
            ("[\"\\u12g4\"]", "invalid_json"),
            ("[01]", "invalid_json"),
            ("[1.]", "invalid_json"),
            ("[1 2]", "invalid_json"),
            ("{'a': 1}", "invalid_json"),
            ("{\"a\": 1,}", "invalid_json"),
            ("{a: 1}", "invalid_json"),
            ("[tru]", "invalid_json"),
            ("oops", "invalid_json"),
        ] {
            let bad = (record.to_owned(), reason);
            let expected = [("{\"n\": 1}".to_owned(), ""), bad, ("{\"n\": 2}".to_owned(), "")];
            if record.starts_with('{') {
                let array = format!("[{{\"n\": 1}}, {record}, {{\"n\": 2}}]");
                assert_eq!(split("a.json", array), expected, "{record}");
            }
            let pretty = format!("[\n  {{\"n\": 1}},\n  {record},\n  {{\"n\": 2}}\n]");
            if record.starts_with('{') {
                assert_eq!(split("a.json", pretty), expected, "{record}");
            }
            let lines = format!("{{\"n\": 1}}\n{record}\n{{\"n\": 2}}\n");
            let found = split("a.jsonl", &lines);
            let found: Vec<_> =
                found.iter().map(|(raw, why)| (raw.trim_end().to_owned(), *why)).collect();
            assert_eq!(found, expected, "{record}");
        }
        let whole = "{\"a\": \"\\ud83d\\ude00\", \"b\": \"\\u0000\\u00e9\"}";
        assert_eq!(split("a.json", whole), good(&[whole]));
        let latin = split("a.jsonl", b"{\"a\": \"caf\xe9\"}\n{\"a\": 1}\n");
        assert_eq!((latin[0].1, &latin[1].0[..], latin.len()), ("invalid_utf8", "{\"a\": 1}", 2));
    }

    #[test]
    fn a_key_that_occurs_twice_is_found_among_many() {
        let keys: Vec<_> = (0..2_000).map(|key| format!("\"k{key}\": {{\"k0\": 1}}")).collect();
        let whole = format!("{{{}}}", keys.join(", "));
        assert_eq!(split("a.json", &whole), good(&[&whole]));
        let twice = format!("{{{}, \"k7\": 1}}", keys.join(", "));
        assert_eq!(split("a.json", &twice)[0].1, "duplicate_key");
    }

    #[test]
    fn nesting_is_bounded_and_what_follows_is_read() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        for (depth, reason) in [(512, ""), (513, "too_deep"), (100_000, "too_deep")] {
            let content = format!("{{\"a\": 1}}\n{}\n{{\"b\": 1}}\n", nested(depth));
            let found = split_in("a.jsonl", content.as_bytes(), 1 << 20, BLOCK_BYTES);
            assert_eq!((found.len(), found[1].1), (3, reason));
        }
        let open = "[".repeat(100_000);
        assert_eq!(split_in("a.jsonl", open.as_bytes(), 1 << 20, 5_000)[0].1, "truncated");
    }

    #[test]
    fn a_file_that_breaks_off_gives_what_was_whole() {
        let whole = "[{\"a\": 1}, {\"b\": \"x\"}]";
        for length in 1..whole.len() {
            let found = split("a.json", &whole[..length]);
            let (last, before) = found.split_last().unwrap();
            assert_eq!(last.1, "truncated", "{length}");
            assert!(before.iter().all(|(_, reason)| reason.is_empty()), "{length}");
            assert_eq!(
                before.len(),
                usize::from(length > 8) + usize::from(length > 20),
                "{length}"
            );
        }
        let lines = "{\"a\": 1}\n{\"b\": \"x";
        let expected = [("{\"a\": 1}".to_owned(), ""), ("{\"b\": \"x".to_owned(), "truncated")];
        assert_eq!(split("a.jsonl", lines), expected);
    }

    #[test]
    fn a_broken_record_ends_where_the_next_one_certainly_begins() {
        let reasons = |name: &str, content: &str| -> Vec<_> {
            split(name, content).into_iter().map(|(_, reason)| reason).collect()
        };
        // A string that does not end, in an array with a record a line, or several lines.
        let pretty = "[\n  {\n    \"a\": \"x\n  },\n  {\n    \"a\": \"y\"\n  }\n]";
        assert_eq!(reasons("a.json", pretty), ["invalid_json", ""]);
        let flat = "[{\"a\": \"x}, {\"a\": \"y\"}, {\"a\": \"z\"}]";
        assert_eq!(reasons("a.json", flat), ["invalid_json"]);
        let lines = "{\"a\": [\n{\"b\": 1}\n{\"c\": 1}\n{\"a\": {\n{\"b\": 1}\n";
        assert_eq!(reasons("a.jsonl", lines), ["invalid_json", "", "", "invalid_json", ""]);
        assert_eq!(reasons("a.json", lines), ["invalid_json", "", "", "invalid_json", ""]);
        // A part of a broken record is no record.
        let zero = "{\n\"a\": [\n{\n\"b\": 1\n},\noops\n]\n}\n";
        assert!(reasons("a.json", zero).iter().all(|reason| !reason.is_empty()));
        let garbage = "<html>\n<p>1</p>\n2\n</html>\n";
        assert_eq!(reasons("a.json", garbage), ["invalid_json"]);
        assert_eq!(
            reasons("a.jsonl", garbage),
            ["invalid_json", "invalid_json", "", "invalid_json"]
        );
        assert_eq!(reasons("a.json", "[1, 2,]"), ["", "", "invalid_json"]);
        assert_eq!(reasons("a.json", "[1,, 2]"), ["", "invalid_json", ""]);
        assert_eq!(reasons("a.json", "[{} {}, {}]"), ["", "invalid_json", ""]);
        assert_eq!(reasons("a.json", "[{}}, {}]"), ["", "invalid_json"]);
        assert_eq!(reasons("a.json", "[{}] x"), ["", "invalid_json"]);
        assert_eq!(reasons("a.json", "{} x {}"), ["", "invalid_json"]);
    }

    #[test]
    fn a_record_over_the_limit_is_its_head_and_its_neighbours_stay() {
        let long = format!("{{\"n\": 0, \"a\": \"{}\", \"n\": 1}}", "\\\"[x,".repeat(2_000));
        let broken = format!("{{\"n\": 0, 'a': \"{}\", \"n\": 1}}", "\\\"[x,".repeat(2_000));
        for long in [long, broken] {
            for block_bytes in [100, 1_000, 4_096, BLOCK_BYTES] {
                for content in [
                    format!("[{{\"b\": 1}}, {long}, {{\"c\": 1}}]"),
                    format!("{{\"b\": 1}}\n{long}\n{{\"c\": 1}}\n"),
                ] {
                    let found = split_in("a.json", content.as_bytes(), 2_000, block_bytes);
                    let reasons: Vec<_> = found.iter().map(|(_, reason)| *reason).collect();
                    assert_eq!(reasons, ["", "over_memory", ""], "{block_bytes}");
                    assert_eq!(found[1].0, long[..HEAD_BYTES]);
                    assert_eq!(found[2].0, "{\"c\": 1}");
                }
            }
        }
    }

    #[test]
    fn wide_files_are_one_rejection() {
        let wide: Vec<u8> = "[{\"a\": 1}]".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for content in [[&b"\xff\xfe"[..], &wide].concat(), wide] {
            let found = split_in("a.json", &content, 1 << 20, BLOCK_BYTES);
            assert_eq!((found.len(), found[0].1), (1, "invalid_utf8"));
        }
    }
}
