//! A file of cuts, as rows on records ([`crate::minhash::record_rows`]).

use super::{CUT_BYTES, Cut};
use crate::minhash::record_rows::{Row, RowCursor, RowWriter, Rows};
use crate::minhash::sections::Kind;

/// Writes cuts in order.
pub type CutWriter = RowWriter<Cut>;

/// A file of cuts, open.
pub type Cuts = Rows<Cut>;

/// Reads cuts in order.
pub type CutCursor<'a> = RowCursor<'a, Cut>;

impl Row for Cut {
    const KIND: Kind = Kind::Cuts;
    type Bytes = [u8; CUT_BYTES];
    const ROOM: Self::Bytes = [0; CUT_BYTES];

    fn encode(&self) -> Self::Bytes {
        Self::encode(self)
    }

    fn decode(row: &Self::Bytes) -> Self {
        Self::decode(row)
    }

    fn record(&self) -> u64 {
        self.record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(record: u64, start: u32) -> Cut {
        Cut { record, start, end: start + 1, survivor: 0, survivor_start: 7 }
    }

    #[test]
    fn cuts_are_read_from_any_record_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cuts");
        let cuts: Vec<Cut> =
            (0..9_000).flat_map(|record| (0..3).map(move |at| cut(record * 2, at))).collect();
        let mut writer = CutWriter::create(&path, 5).unwrap();
        for cut in &cuts {
            writer.push(cut).unwrap();
        }
        writer.finish().unwrap();
        let file = Cuts::open(&path, 5).unwrap();
        for first in [0, 1, 2, 6_240, 6_241, 6_242, 17_997, 17_998, 17_999] {
            let mut cursor = file.starting_at(first).unwrap();
            let expected: Vec<Cut> =
                cuts.iter().filter(|cut| cut.record >= first).copied().collect();
            let end = first + 500;
            let split = expected.partition_point(|cut| cut.record < end);
            assert_eq!(cursor.take_before(end).unwrap(), expected[..split]);
            assert_eq!(cursor.take_before(end).unwrap(), []);
            assert_eq!(cursor.head(), expected.get(split));
            assert_eq!(cursor.take_before(u64::MAX).unwrap(), expected[split..]);
            assert_eq!(cursor.take().unwrap(), None);
        }
        let mut cursor = file.starting_at(10).unwrap();
        assert_eq!(cursor.take_of(11).unwrap(), None);
        assert_eq!(cursor.take_of(14).unwrap(), Some((0..3).map(|at| cut(14, at)).collect()));
        assert_eq!(cursor.take_of(18_000).unwrap(), None);
        assert!(Cuts::open(&path, 6).is_err(), "of another run");
    }

    #[test]
    fn a_file_without_cuts_is_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cuts");
        CutWriter::create(&path, 5).unwrap().finish().unwrap();
        assert_eq!(Cuts::open(&path, 5).unwrap().starting_at(3).unwrap().head(), None);
    }
}
