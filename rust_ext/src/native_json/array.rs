//! Between the elements of an array.

use super::fault::Fault;
use super::splitter::{Place, Splitter, Step, count_blanks};

/// White space in front of an element that is held to know its indentation.
const MAX_BLANKS: usize = 1 << 16;

impl Splitter {
    pub(super) fn before_element(&mut self, is_first: bool) -> Step {
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

    pub(super) fn separator(&mut self) -> Step {
        let rest = self.rest();
        let blanks = count_blanks(rest);
        let first = rest.get(blanks).copied();
        self.start += blanks;
        match first {
            None => return Step::More,
            Some(b',') => self.place = Place::Element { is_first: false },
            Some(b']') => self.end_array(),
            // The comma is missing, and yet there is no doubt what the element is.
            Some(byte @ (b'{' | b'[')) => self.begin_record(0, byte, None),
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
}
