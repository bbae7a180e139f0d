//! `cuts.parquet`: what was cut, for users.
//!
//! | column | type | is |
//! |---|---|---|
//! | `record` | string | id of the record |
//! | `start`, `end` | int64 | bytes of its text that went |
//! | `survivor` | string | id of the record in which the same stays, which may be the same one |
//! | `survivor_start` | int64 | first byte of it in that one's text |
//!
//! Places are those of the texts as they came in. Rows ascend by record, in the order of the input,
//! and place. Row groups are cut by the rows alone, so that memory changes no byte.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::Cut;
use super::file::Cuts;
use crate::control::Control;
use crate::minhash::known_ids::KnownIds;
use crate::minhash::signed_corpus::{SignedCorpus, Walk};
use crate::minhash::unit_file::open_all;
use crate::output::AtomicFile;
use crate::{Error, Result};

const SCHEMA: &str = "message cuts {
    required binary record (string);
    required int64 start;
    required int64 end;
    required binary survivor (string);
    required int64 survivor_start;
}";

/// Rows of a row group, and bytes of their ids, at most.
const GROUP_ROWS: usize = 1 << 16;
const GROUP_ID_BYTES: usize = 8 << 20;

/// Bytes that a cut in memory stands for: itself, and the place of its survivor's id.
const ROW_WEIGHT: usize = size_of::<Cut>() + 2 * size_of::<u64>();

/// Writes all cuts of a file of cuts with the ids of their records, in about `memory_bytes`.
///
/// # Errors
/// `Corrupt` when a file is damaged or of another run; `Io`; `Interrupted`.
pub fn write(
    cuts: &Path,
    signatures: &[PathBuf],
    fingerprint: u64,
    output: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<()> {
    let units = open_all(signatures, fingerprint)?;
    let corpus = SignedCorpus::new(&units);
    let cuts = Cuts::open(cuts, fingerprint)?;
    let mut cuts = cuts.starting_at(0)?;
    let mut table = Table::create(output, corpus.walk())?;
    let share = memory_bytes / 4;
    let most = (share / ROW_WEIGHT).max(1);
    let mut block = Vec::new();
    loop {
        control.check()?;
        while block.len() < most
            && let Some(cut) = cuts.take()?
        {
            block.push(cut);
        }
        if block.is_empty() {
            return table.finish();
        }
        let survivor = |cut: &Cut| Some(cut.survivor);
        let (ids, known) = KnownIds::find(&block, survivor, &mut corpus.walk(), share)?;
        for cut in block.drain(..known) {
            table.push(&cut, ids.of(cut.survivor).unwrap_or_default())?;
        }
    }
}

/// The file being written.
struct Table<'a> {
    file: SerializedFileWriter<AtomicFile>,
    path: PathBuf,
    walk: Walk<'a>,
    records: Vec<ByteArray>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    survivors: Vec<ByteArray>,
    survivor_starts: Vec<i64>,
    id_bytes: usize,
}

impl<'a> Table<'a> {
    fn create(path: &Path, walk: Walk<'a>) -> Result<Self> {
        let named = |error| failed(path, error);
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(named)?);
        let zstd = Compression::ZSTD(ZstdLevel::default());
        let properties = Arc::new(WriterProperties::builder().set_compression(zstd).build());
        let file = AtomicFile::create(path)?;
        let file = SerializedFileWriter::new(file, schema, properties).map_err(named)?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
            walk,
            records: Vec::new(),
            starts: Vec::new(),
            ends: Vec::new(),
            survivors: Vec::new(),
            survivor_starts: Vec::new(),
            id_bytes: 0,
        })
    }

    fn push(&mut self, cut: &Cut, survivor: &str) -> Result<()> {
        let record = self.walk.id(cut.record)?;
        self.id_bytes += record.len() + survivor.len();
        self.records.push(ByteArray::from(record));
        self.starts.push(cut.start.into());
        self.ends.push(cut.end.into());
        self.survivors.push(ByteArray::from(survivor));
        self.survivor_starts.push(cut.survivor_start.into());
        if self.records.len() >= GROUP_ROWS || self.id_bytes >= GROUP_ID_BYTES {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        let named = |error| failed(&self.path, error);
        let mut group = self.file.next_row_group().map_err(named)?;
        write_column::<ByteArrayType>(&mut group, &mut self.records).map_err(named)?;
        write_column::<Int64Type>(&mut group, &mut self.starts).map_err(named)?;
        write_column::<Int64Type>(&mut group, &mut self.ends).map_err(named)?;
        write_column::<ByteArrayType>(&mut group, &mut self.survivors).map_err(named)?;
        write_column::<Int64Type>(&mut group, &mut self.survivor_starts).map_err(named)?;
        group.close().map_err(named)?;
        self.id_bytes = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        if !self.records.is_empty() {
            self.end_group()?;
        }
        let file = self.file.into_inner().map_err(|error| failed(&self.path, error))?;
        file.finish().map(|_| ())
    }
}

/// Writes the next column, and leaves its values empty.
fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, AtomicFile>,
    values: &mut Vec<T::T>,
) -> std::result::Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("the schema has fewer columns".to_owned()));
    };
    column.typed::<T>().write_batch(values, None, None)?;
    values.clear();
    column.close()
}

fn failed(path: &Path, error: ParquetError) -> Error {
    Error::io(path, std::io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use super::super::file::CutWriter;
    use super::*;
    use crate::input::InputFile;
    use crate::minhash::Shape;
    use crate::minhash::keep::Keep;
    use crate::minhash::sign::{self, sign_unit};
    use crate::minhash::text_key::TextKey;

    #[test]
    fn memory_changes_no_byte() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        let line = |record| format!("{{\"id\":\"{record}{}\",\"text\":\"a\"}}\n", "é".repeat(500));
        std::fs::write(&path, (0..3_000).map(line).collect::<String>()).unwrap();
        let options = sign::Options {
            key: TextKey::Text,
            shape: Shape { ngram_size: 5, num_bands: 2, rows_per_band: 2, seed: 0 },
            keep: Keep::default(),
            fingerprint: 3,
            output: directory.path().join("00000.sign"),
            rejected: directory.path().join("rejected"),
            workers: 1,
            memory_bytes: 1 << 20,
        };
        let file = InputFile { path, relative: "a".to_owned() };
        sign_unit(&[file], &options, &Control::default()).unwrap();
        let cuts = directory.path().join("cuts");
        let mut writer = CutWriter::create(&cuts, 3).unwrap();
        for number in 0..20_000_u32 {
            let survivor = u64::from(number.wrapping_mul(2_654_435_761) % 3_000);
            let start = number % 7;
            let record = u64::from(number / 7);
            writer.push(&Cut { record, start, end: 9, survivor, survivor_start: 1 }).unwrap();
        }
        writer.finish().unwrap();
        let written = |memory_bytes: usize| {
            let output = directory.path().join("cuts.parquet");
            let signatures = [options.output.clone()];
            write(&cuts, &signatures, 3, &output, memory_bytes, &Control::default()).unwrap();
            std::fs::read(output).unwrap()
        };
        let expected = written(1 << 30);
        for memory_bytes in [1, 10_000, 1 << 20] {
            assert!(written(memory_bytes) == expected, "{memory_bytes}");
        }
    }
}
