//! A file cut into its native records, one window of it in memory.

use std::ops::Range;
use std::path::Path;

use super::checker::{Checker, LineEnds, Progress};
use super::fault::Fault;
use super::layout::{BYTE_ORDER_MARK, Layout, detect};
use super::recovery::Structure;
use super::window::{BLOCK_BYTES, Window};
use crate::Result;
use crate::input::SourceSummary;

/// How much of a record that is over the limit is kept to show what it was.
pub const HEAD_BYTES: usize = 1024;

/// A batch without records is handed out after so many bytes, so that the caller can be stopped.
const PATIENCE_BYTES: usize = 16 * BLOCK_BYTES;

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
    pub(super) window: Window,
    pub(super) limit_bytes: usize,
    /// Whether lists beside each other hold records, rather than being records.
    pub(super) are_lists_arrays: bool,
    pub(super) is_in_array: bool,
    pub(super) place: Place,
    /// Where the record, or what is between two of them, begins in the window.
    pub(super) start: usize,
    pub(super) record: Record,
    /// Whether the name promises lines, or records were seen to end with theirs.
    pub(super) is_in_lines: bool,
    pub(super) natives: Vec<Native>,
}

/// Where reading stands.
#[derive(Debug)]
pub(super) enum Place {
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
pub(super) struct Record {
    pub(super) checker: Checker,
    /// Its first byte.
    pub(super) opener: u8,
    /// What its line has before it, if that is blank.
    pub(super) indentation: Option<Vec<u8>>,
    /// Why it is broken, once it is.
    pub(super) fault: Fault,
    /// Where it broke.
    pub(super) broken_at: usize,
    /// Whether it was over the limit: then its head is handed out and the rest forgotten.
    pub(super) is_forgotten: bool,
    /// Whether it begins where reading went on behind a broken one.
    pub(super) is_recovered: bool,
}

/// Whether more bytes are needed.
#[derive(PartialEq, Eq)]
pub(super) enum Step {
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

    pub(super) fn in_blocks(path: &Path, limit_bytes: usize, block_bytes: usize) -> Result<Self> {
        Ok(Self {
            window: Window::open(path, block_bytes)?,
            limit_bytes: limit_bytes.max(HEAD_BYTES),
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

    /// Ends the reading: the file's size and hash, and what was wrong with its compression.
    ///
    /// # Errors
    /// `Io` when the rest of the file cannot be read.
    pub fn finish(self) -> Result<(SourceSummary, Option<String>)> {
        self.window.finish()
    }

    pub(super) fn step(&mut self) -> Step {
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
    pub(super) fn rest(&self) -> &[u8] {
        &self.window.bytes()[self.start..]
    }

    fn begin_file(&mut self) -> Step {
        if self.window.bytes().is_empty() && !self.window.is_ended {
            return Step::More;
        }
        if self.rest().starts_with(BYTE_ORDER_MARK) {
            self.start += BYTE_ORDER_MARK.len();
        }
        match detect(self.rest(), self.window.is_ended, self.is_in_lines) {
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

    pub(super) fn begin_record(&mut self, at: usize, opener: u8, indentation: Option<Vec<u8>>) {
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

    /// Hands out the head of a record that is over the limit, and forgets what was passed of it.
    pub(super) fn forget_long(&mut self, passed: impl Fn(&Self) -> usize) -> Step {
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
    pub(super) fn reject_or_give(&mut self, end: usize, fault: Option<Fault>) {
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

    pub(super) fn push(&mut self, range: Range<usize>, fault: Option<Fault>, may_be_inexact: bool) {
        self.natives.push(Native { range, fault, may_be_inexact });
    }
}

pub(super) fn count_blanks(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn is_named_lines(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(&name);
    LINE_EXTENSIONS.iter().any(|extension| name.ends_with(&format!(".{extension}")))
}
