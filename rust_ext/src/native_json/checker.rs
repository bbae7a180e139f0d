//! One value of JSON, checked as it is read, block by block.
//!
//! It stops where the bytes end and goes on when there are more, so that no byte is looked at
//! twice however long a record is. Nothing calls itself: nesting costs a bit a level. A fault that
//! leaves no doubt where the value ends (a key that occurs twice, `NaN`, a tabulator in a string)
//! is noted, and the value is read to its end; anything else breaks it.

use super::fault::{Fault, MAX_DEPTH};
use super::keys::Keys;
use super::nesting::Nesting;
use super::number::Number;
use crate::input::json::simple_escape;
use crate::input::unescape::{BLOCK, is_special, special};

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The bytes end inside of the value.
    More,
    /// The value is whole.
    Done,
    /// The grammar is broken at [`Checker::at`].
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Value,
    FirstElement,
    FirstKey,
    Key,
    Colon,
    Text { is_key: bool },
    Number(Number),
    After,
}

/// What a line end inside of a string means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnds {
    /// The value is broken: values stand in lines.
    Break,
    /// A fault, but the string may go on.
    Stand,
}

/// A value on its way.
#[derive(Debug)]
pub(super) struct Checker {
    /// Where to go on, counted from the first byte of the value.
    pub(super) at: usize,
    pub(super) open: Nesting,
    /// The first fault that leaves no doubt where the value ends.
    pub(super) fault: Option<Fault>,
    /// Whether a line ended inside of a string, and strings may be what is not.
    pub(super) has_line_end: bool,
    /// Whether it holds a number that a double may not.
    pub(super) may_be_inexact: bool,
    line_ends: LineEnds,
    state: State,
    /// `None` once keys are no longer at hand, or need no longer be compared.
    keys: Option<Keys>,
    token_start: usize,
    has_escapes: bool,
}

/// Returns what is wrong with bytes that should be one value and blanks around it, if anything is.
#[must_use]
pub fn fault_of(bytes: &[u8]) -> Option<Fault> {
    let mut checker = Checker::new(LineEnds::Stand);
    let progress = match checker.run(bytes) {
        Progress::More => checker.end(),
        other => other,
    };
    let is_whole = progress == Progress::Done
        && bytes[checker.at..].iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    if simdutf8::basic::from_utf8(bytes).is_err() {
        return Some(Fault::InvalidUtf8);
    }
    if is_whole { checker.fault } else { Some(Fault::InvalidJson) }
}

/// `None` goes on.
type Step = Option<Progress>;

impl Checker {
    pub(super) fn new(line_ends: LineEnds) -> Self {
        Self {
            at: 0,
            open: Nesting::default(),
            fault: None,
            has_line_end: false,
            may_be_inexact: false,
            line_ends,
            state: State::Value,
            keys: Some(Keys::default()),
            token_start: 0,
            has_escapes: false,
        }
    }

    /// Begins another value.
    pub(super) fn reset(&mut self, line_ends: LineEnds) {
        self.at = 0;
        self.open.clear();
        self.fault = None;
        self.has_line_end = false;
        self.may_be_inexact = false;
        self.line_ends = line_ends;
        self.state = State::Value;
        self.keys.get_or_insert_default().clear();
    }

    /// Goes on in `bytes`, which begin where the value begins.
    pub(super) fn run(&mut self, bytes: &[u8]) -> Progress {
        loop {
            let step = match self.state {
                State::Text { is_key } => self.text(bytes, is_key),
                State::Number(number) => self.number(bytes, number),
                State::After if self.open.is_empty() => return Progress::Done,
                _ => match self.next_token(bytes) {
                    Some(byte) => self.token(bytes, byte),
                    None => return Progress::More,
                },
            };
            if let Some(progress) = step {
                return progress;
            }
        }
    }

    /// Ends the value where the file ends.
    pub(super) fn end(&self) -> Progress {
        match self.state {
            State::Number(number) if self.open.is_empty() && number.is_whole() => Progress::Done,
            State::After if self.open.is_empty() => Progress::Done,
            _ => Progress::More,
        }
    }

    /// Forgets the bytes passed, of which none is needed again but to compare keys.
    pub(super) fn forget(&mut self) {
        self.at = 0;
        self.keys = None;
    }

    fn note(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
        self.keys = None; // nothing more can be wrong with them
    }

    fn next_token(&mut self, bytes: &[u8]) -> Option<u8> {
        while let Some(&byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn token(&mut self, bytes: &[u8], byte: u8) -> Step {
        match (self.state, byte) {
            (State::Value | State::FirstElement, b'"') => self.begin_text(false),
            (State::FirstKey | State::Key, b'"') => self.begin_text(true),
            (State::Colon, b':') => self.pass(State::Value),
            (State::Value | State::FirstElement, b'{') => self.open(true),
            (State::Value | State::FirstElement, b'[') => self.open(false),
            (State::FirstElement, b']') | (State::FirstKey, b'}') => self.close(bytes),
            (State::After, b',') => {
                let is_object = self.open.last() == Some(true);
                self.pass(if is_object { State::Key } else { State::Value })
            }
            (State::After, b'}') if self.open.last() == Some(true) => self.close(bytes),
            (State::After, b']') if self.open.last() == Some(false) => self.close(bytes),
            (State::Value | State::FirstElement, _) => self.scalar(bytes, byte),
            _ => Some(Progress::Broken),
        }
    }

    fn pass(&mut self, state: State) -> Step {
        self.at += 1;
        self.state = state;
        None
    }

    fn open(&mut self, is_object: bool) -> Step {
        self.open.push(is_object);
        if self.open.depth() > MAX_DEPTH {
            self.note(Fault::TooDeep);
        }
        if is_object && let Some(keys) = &mut self.keys {
            keys.open();
        }
        self.pass(if is_object { State::FirstKey } else { State::FirstElement })
    }

    fn close(&mut self, bytes: &[u8]) -> Step {
        let is_object = self.open.pop() == Some(true);
        if is_object && self.keys.as_mut().is_some_and(|keys| keys.close(bytes)) {
            self.note(Fault::DuplicateKey);
        }
        self.pass(State::After)
    }

    fn begin_text(&mut self, is_key: bool) -> Step {
        self.token_start = self.at;
        self.has_escapes = false;
        self.pass(State::Text { is_key })
    }

    fn text(&mut self, bytes: &[u8], is_key: bool) -> Step {
        loop {
            self.pass_plain(bytes);
            let Some(&byte) = bytes.get(self.at) else { return Some(Progress::More) };
            let step = match byte {
                b'"' => {
                    self.at += 1;
                    if is_key && let Some(keys) = &mut self.keys {
                        keys.add(bytes, self.token_start, self.at, self.has_escapes);
                    }
                    self.state = if is_key { State::Colon } else { State::After };
                    return None;
                }
                b'\\' => self.escape(bytes),
                control => self.control(control),
            };
            if step.is_some() {
                return step;
            }
        }
    }

    /// Stops at the next quote, backslash or control character, or at the end.
    fn pass_plain(&mut self, bytes: &[u8]) {
        while let Some(block) = bytes[self.at..].first_chunk::<BLOCK>() {
            let found = special(block);
            if found != 0 {
                self.at += found.trailing_zeros() as usize;
                return;
            }
            self.at += BLOCK;
        }
        let rest = &bytes[self.at..];
        self.at += rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len());
    }

    fn control(&mut self, byte: u8) -> Step {
        if matches!(byte, b'\n' | b'\r') {
            if self.line_ends == LineEnds::Break {
                return Some(Progress::Broken);
            }
            self.has_line_end = true;
        }
        self.note(if byte == 0 { Fault::NulByte } else { Fault::InvalidJson });
        self.at += 1;
        None
    }

    /// Passes an escape that is here as a whole.
    fn escape(&mut self, bytes: &[u8]) -> Step {
        self.has_escapes = true;
        match bytes.get(self.at + 1) {
            None => return Some(Progress::More),
            Some(b'u') => return self.code_point(bytes),
            Some(&letter) if simple_escape(letter).is_some() => self.at += 2,
            // What follows the backslash may end the line, or be half a character.
            Some(_) => {
                self.note(Fault::InvalidJson);
                self.at += 1;
            }
        }
        None
    }

    fn code_point(&mut self, bytes: &[u8]) -> Step {
        let at = self.at + 2;
        let Some(digits) = bytes.get(at..at + 4) else { return Some(Progress::More) };
        self.at = at;
        let Some(code) = hex(digits) else {
            self.note(Fault::InvalidJson);
            return None;
        };
        match code {
            0xD800..0xDC00 => match low_surrogate(&bytes[at + 4..]) {
                Low::Unknown => {
                    self.at -= 2;
                    return Some(Progress::More);
                }
                Low::There => self.at += 6,
                Low::Missing => self.note(Fault::LoneSurrogate),
            },
            0xDC00..0xE000 => self.note(Fault::LoneSurrogate),
            _ => {}
        }
        self.at += 4;
        None
    }

    fn scalar(&mut self, bytes: &[u8], byte: u8) -> Step {
        let rest = &bytes[self.at..];
        match byte {
            b't' => self.word(rest, b"true"),
            b'f' => self.word(rest, b"false"),
            b'n' => self.word(rest, b"null"),
            b'N' => self.no_number(rest, b"NaN"),
            b'I' => self.no_number(rest, b"Infinity"),
            b'-' if rest.len() == 1 => Some(Progress::More),
            b'-' if rest[1] == b'I' => self.no_number(rest, b"-Infinity"),
            _ => match Number::begin(byte) {
                Some(number) => {
                    self.token_start = self.at;
                    self.pass(State::Number(number))
                }
                None => Some(Progress::Broken),
            },
        }
    }

    fn word(&mut self, rest: &[u8], word: &[u8]) -> Step {
        if rest.starts_with(word) {
            self.at += word.len();
            self.state = State::After;
            return None;
        }
        Some(if word.starts_with(rest) { Progress::More } else { Progress::Broken })
    }

    fn no_number(&mut self, rest: &[u8], word: &[u8]) -> Step {
        let step = self.word(rest, word);
        if step.is_none() {
            self.note(Fault::NotANumber);
        }
        step
    }

    fn number(&mut self, bytes: &[u8], mut number: Number) -> Step {
        while let Some(&byte) = bytes.get(self.at) {
            let Some(next) = number.next(byte) else {
                if !number.is_whole() {
                    return Some(Progress::Broken);
                }
                self.may_be_inexact |=
                    number.may_be_inexact(self.at.saturating_sub(self.token_start));
                self.state = State::After;
                return None;
            };
            number = next;
            self.at += 1;
        }
        self.state = State::Number(number);
        Some(Progress::More)
    }
}

enum Low {
    There,
    Missing,
    Unknown,
}

/// Returns whether the second half of a surrogate pair follows.
fn low_surrogate(rest: &[u8]) -> Low {
    let begins = rest.iter().zip(b"\\u").all(|(byte, expected)| byte == expected);
    match rest.get(2..6) {
        _ if !begins => Low::Missing,
        None => Low::Unknown,
        Some(digits) if hex(digits).is_some_and(|code| (0xDC00..0xE000).contains(&code)) => {
            Low::There
        }
        Some(_) => Low::Missing,
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
}
