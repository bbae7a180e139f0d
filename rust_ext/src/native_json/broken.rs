//! From a record that is broken to the next one.

use memchr::memchr;

use super::fault::Fault;
use super::recovery::{End, Structure, find_line};
use super::splitter::{Place, Splitter, Step};

impl Splitter {
    /// Looks for the end of a record whose grammar is broken where the checker stands.
    pub(super) fn break_record(&mut self) {
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

    pub(super) fn broken_element(&mut self) -> Step {
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
    pub(super) fn next_line(&mut self, searched: usize) -> Step {
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
            let goes_on = matches!(byte, b'}' | b']' | b',' | b':');
            is_alike || (is_one_line && end >= record.broken_at && !goes_on)
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
}
