//! Records found again by their ids.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use super::fields::{self, Scratch, checked_id};
use super::lines::Batch;
use super::records::{Columns, Records};
use crate::control::Control;
use crate::{Error, Result};

/// Bytes of lines read at a time.
const BATCH_BYTES: usize = 1 << 20;

/// A record that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRecord {
    /// The id that it has.
    pub id: String,
    /// Its number among the lines of the file that are not blank.
    pub record: u64,
    /// The line.
    pub line: Vec<u8>,
}

/// Returns the number of the line of a file that is `id` and nothing else, as in a dataset's
/// `.ids.zst`; the first one.
///
/// # Errors
/// `Io` when the file cannot be read, `Corrupt` when it is damaged and the id is not before that;
/// `Interrupted`.
pub fn find_line(path: &Path, id: &str, control: &Control) -> Result<Option<u64>> {
    let mut records = Records::open(path, Columns::All, BATCH_BYTES, usize::MAX)?;
    let mut recycled = Batch::default();
    while let Some(batch) = records.next_batch(recycled)? {
        control.check()?;
        let is_it = |line| batch.line(line) == id.as_bytes();
        if let Some(at) = batch.lines.iter().position(is_it) {
            return Ok(Some(batch.first_record + at as u64));
        }
        recycled = batch;
    }
    match records.finish()? {
        (_, Some(damage)) => Err(Error::corrupt(path, damage)),
        (_, None) => Ok(None),
    }
}

/// Returns the records of a file that have one of the `wanted` ids, the first one of each, and the
/// file's damage, if that was met on the way.
///
/// A line without an id is named as every stage names it, `<relative>#<record>`; one that is no
/// record has no other name. Reading ends with the last id found.
///
/// # Errors
/// `Io` when the file cannot be read, `Argument` when it lacks a column; `Interrupted`.
pub fn find_records(
    path: &Path,
    relative: &str,
    wanted: &[String],
    control: &Control,
) -> Result<(Vec<FoundRecord>, Option<String>)> {
    let mut wanted: HashSet<&str> = wanted.iter().map(String::as_str).collect();
    let mut records = Records::open(path, Columns::All, BATCH_BYTES, usize::MAX)?;
    let (mut found, mut recycled, mut scratch) = (Vec::new(), Batch::default(), Scratch::default());
    while let Some(batch) = records.next_batch(recycled)? {
        control.check()?;
        for (record, line) in (batch.first_record..).zip(&batch.lines) {
            if wanted.is_empty() {
                return Ok((found, None));
            }
            // The id is read as a text is.
            let id = fields::parse(&batch, line, "id", &mut scratch)
                .and_then(|fields| checked_id(Some(Cow::Borrowed(fields.text))));
            let id = match id {
                Ok(Some(id)) => id,
                Ok(None) | Err(_) => Cow::Owned(format!("{relative}#{record}")),
            };
            if wanted.remove(id.as_ref()) {
                let line = batch.line(line).to_vec();
                found.push(FoundRecord { id: id.into_owned(), record, line });
            }
        }
        control.advance(batch.lines.len() as u64, batch.filled() as u64);
        recycled = batch;
    }
    let (_, damage) = records.finish()?;
    Ok((found, damage))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(content: &[u8], wanted: &[&str]) -> (Vec<(String, u64)>, Option<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl.zst");
        std::fs::write(&path, content).unwrap();
        let wanted: Vec<String> = wanted.iter().map(|&id| id.to_owned()).collect();
        let (found, damage) = find_records(&path, "a", &wanted, &Control::default()).unwrap();
        (found.into_iter().map(|record| (record.id, record.record)).collect(), damage)
    }

    #[test]
    fn records_are_found_by_the_id_that_stages_give_them() {
        let lines =
            b"{\"id\": \"x\", \"text\": \"the id y\"}\n\n{\"text\": \"b\"}\n{\"id\": \" \"}\n\
            nonsense\n{\"text\": \"a\", \"id\": \"\\u0079\"}\n{\"id\": \"x\"}\n";
        let content = zstd::bulk::compress(lines, 1).unwrap();
        let (found, damage) = find(&content, &["a#2", "y", "x", "a#1", "a#0", "z"]);
        assert_eq!(found, [("x".into(), 0), ("a#1".into(), 1), ("a#2".into(), 2), ("y".into(), 4)]);
        assert_eq!(damage, None);
    }

    #[test]
    fn what_stands_before_damage_is_found_and_the_damage_told() {
        let mut content = zstd::bulk::compress(b"{\"id\": \"x\"}\n", 1).unwrap();
        content.extend_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0]);
        let (found, damage) = find(&content, &["x", "z"]);
        assert_eq!(found, [("x".into(), 0)]);
        assert!(damage.is_some());
    }

    #[test]
    fn a_line_is_found_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("part-00000.ids.zst");
        std::fs::write(&path, zstd::bulk::compress(b"ab\nb\nabc\n", 1).unwrap()).unwrap();
        let line = |id| find_line(&path, id, &Control::default()).unwrap();
        assert_eq!(
            [line("ab"), line("b"), line("abc"), line("a")],
            [Some(0), Some(1), Some(2), None]
        );
    }
}
