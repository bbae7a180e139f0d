//! Where a record ends, and what the end of the file leaves of it.

use memchr::memchr;

use super::checker::Progress;
use super::fault::Fault;
use super::splitter::{Place, Splitter, Step};

impl Splitter {
    pub(super) fn end_record(&mut self) -> Step {
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

    /// Whether the end of the file ends the value that is being read: as it may end a number.
    fn is_whole_value(&self) -> bool {
        let is_cut = self.is_in_array || self.window.damage.is_some();
        !is_cut && self.record.checker.end() == Progress::Done
    }

    /// Ends what is open at the end of the file.
    pub(super) fn end(&mut self) {
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
