//! Proves a dataset sound, reading each of its bytes once, in memory that does not grow.

use std::fs::File;
use std::io::{BufReader, Read};

use super::elements::{Elements, Found};
use super::reader::{Reader, open_again};
use crate::control::Control;
use crate::output::Hashing;
use crate::{Error, Result};

/// What the elements of a dataset must obey.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The token that stands at the end of each document, and nowhere else.
    pub eod: Option<i64>,
    /// Every element is below it.
    pub vocab_size: Option<u64>,
}

/// What a whole reading of a dataset found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Sequences.
    pub sequences: u64,
    /// Documents.
    pub documents: u64,
    /// Elements.
    pub tokens: u64,
    /// Documents without a sequence.
    pub empty_documents: u64,
    /// Documents whose last element is not the end-of-document token, or that hold another one.
    pub misplaced_eod: u64,
    /// The first of those.
    pub first_misplaced: Option<u64>,
    /// xxh3 of `.bin`, if its elements were read, and from there.
    pub bin_xxh3: Option<String>,
}

/// Rows of the index between two looks at the caller's wish to stop.
const ROWS: u64 = 1 << 16;

impl Reader {
    /// Reads the whole index, and with a rule the whole `.bin`, and proves that they are sound.
    ///
    /// Each pointer is where the sequence before it ends, the last sequence ends where `.bin` ends,
    /// the document indices rise from 0 to the number of sequences. With `eod`, that token stands at
    /// the end of each document and nowhere else; with `vocab_size`, every element is below it. The
    /// hash of `.bin` comes from the same reading.
    ///
    /// # Errors
    /// `Corrupt`, naming the sequence or document; `Interrupted`.
    pub fn audit(
        &self,
        eod: Option<i64>,
        vocab_size: Option<u64>,
        control: &Control,
    ) -> Result<Audit> {
        if eod.is_none() && vocab_size.is_none() {
            return self.audit_elements(None, Rules::default(), control);
        }
        let mut bin = Hashing::new(open_again(self.bin_path())?);
        let audit = self.audit_elements(Some(&mut bin), Rules { eod, vocab_size }, control)?;
        Ok(Audit { bin_xxh3: Some(bin.summary().xxh3), ..audit })
    }

    /// Does the same with the elements of `bin`, wherever they lie, or without any.
    ///
    /// # Errors
    /// As [`Reader::audit`].
    pub fn audit_elements(
        &self,
        bin: Option<&mut dyn Read>,
        rules: Rules,
        control: &Control,
    ) -> Result<Audit> {
        let mut rows = Rows::open(self)?;
        let mut elements = bin.map(|bin| Elements::new(self.dtype(), rules.eod, bin));
        let mut audit =
            Audit { sequences: self.sequences(), documents: self.documents(), ..Audit::default() };
        let mut begin = rows.first_boundary()?;
        for document in 0..audit.documents {
            let end = rows.boundary(document + 1, begin)?;
            audit.empty_documents += u64::from(end == begin);
            let mut found = Found::default();
            for sequence in begin..end {
                if sequence % ROWS == 0 {
                    control.check()?;
                }
                let length = rows.sequence(sequence)?;
                audit.tokens += length;
                if let Some(elements) = &mut elements {
                    let scanned = self.scan(elements, length, control)?;
                    self.check_range(elements, &scanned, document, rules.vocab_size)?;
                    found.join(&scanned);
                }
                control.advance(1, length * self.dtype().size());
            }
            if rules.eod.is_some() && !(found.eods == 1 && found.ends_in_eod) {
                audit.misplaced_eod += 1;
                audit.first_misplaced.get_or_insert(document);
            }
            begin = end;
        }
        control.check()?;
        if begin != audit.sequences {
            return Err(self.bad_boundary(audit.documents));
        }
        rows.end()?;
        Ok(audit)
    }

    fn scan(&self, elements: &mut Elements<'_>, length: u64, control: &Control) -> Result<Found> {
        elements.scan(length, control).or_else(|source| {
            control.check()?;
            Err(Error::io(self.bin_path(), source))
        })
    }

    fn check_range(
        &self,
        elements: &Elements<'_>,
        found: &Found,
        document: u64,
        vocab_size: Option<u64>,
    ) -> Result<()> {
        match vocab_size {
            Some(size) if found.largest.is_some_and(|largest| largest >= size) => {
                let id = elements.signed(found.largest.unwrap_or_default());
                Err(Error::corrupt(
                    self.bin_path(),
                    format!(
                        "token {id} of document {document} is not below the vocabulary size {size}"
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// The three tables of an index, each read from front to back, and where in `.bin` they lead.
struct Rows<'a> {
    reader: &'a Reader,
    lengths: BufReader<File>,
    pointers: BufReader<File>,
    boundaries: BufReader<File>,
    end: u64,
}

impl<'a> Rows<'a> {
    fn open(reader: &'a Reader) -> Result<Self> {
        let [lengths, pointers, boundaries] = reader.tables()?;
        Ok(Self { reader, lengths, pointers, boundaries, end: 0 })
    }

    fn first_boundary(&mut self) -> Result<u64> {
        // Megatron writes it even where no document follows.
        self.boundary(0, 0).and_then(|first| match first {
            0 => Ok(0),
            _ => Err(self.reader.bad_boundary(0)),
        })
    }

    fn boundary(&mut self, number: u64, at_least: u64) -> Result<u64> {
        if !self.reader.has_boundary(number) {
            return Err(self.reader.bad_boundary(number));
        }
        let boundary = u64::from_le_bytes(self.reader.take(&mut self.boundaries)?);
        if boundary < at_least || boundary > self.reader.sequences() {
            return Err(self.reader.bad_boundary(number));
        }
        Ok(boundary)
    }

    /// Returns the length of the next sequence once its place is proved.
    fn sequence(&mut self, sequence: u64) -> Result<u64> {
        let length = i32::from_le_bytes(self.reader.take(&mut self.lengths)?);
        let pointer = u64::from_le_bytes(self.reader.take(&mut self.pointers)?);
        let corrupt = |message| Err(Error::corrupt(self.reader.idx_path(), message));
        let Ok(length) = u64::try_from(length) else {
            return corrupt(format!(
                "sequence {sequence} has the length {length}, expected 0 or more"
            ));
        };
        if pointer != self.end {
            return corrupt(format!(
                "sequence {sequence} should begin at byte {}, its pointer says {pointer}",
                self.end
            ));
        }
        self.end += length * self.reader.dtype().size();
        if self.end > self.reader.bin_bytes() {
            return corrupt(format!(
                "sequence {sequence} should end at byte {}, {} has {}",
                self.end,
                self.reader.bin_path().display(),
                self.reader.bin_bytes()
            ));
        }
        Ok(length)
    }

    fn end(&self) -> Result<()> {
        if self.end == self.reader.bin_bytes() {
            return Ok(());
        }
        Err(Error::corrupt(
            self.reader.bin_path(),
            format!("expected {} bytes by the index, found {}", self.end, self.reader.bin_bytes()),
        ))
    }
}
