//! `clusters.parquet`: who fell to whom, with ids, for people and their tools.
//!
//! Columns: `record`, `cluster`, `survivor` (ids; the survivor names the cluster), `kind` (survivor,
//! exact or near), `estimated` and `jaccard` (missing where it was not computed). Rows ascend by
//! the number of the record.
//!
//! Ids of records come in the order of the units. Those of survivors do not: they are looked up
//! for as many rows at a time as memory allows, in one pass over the units each. Row groups are
//! cut by the rows alone, so that the bytes do not depend on that.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::known_ids::KnownIds;
use super::signed_corpus::{SignedCorpus, Walk};
use super::unit_file::open_all;
use super::verdicts::{Kind, Verdict, VerdictCursor, Verdicts};
use crate::control::Control;
use crate::output::AtomicFile;
use crate::{Error, Result};

const SCHEMA: &str = "message clusters {
    REQUIRED BYTE_ARRAY record (STRING);
    REQUIRED BYTE_ARRAY cluster (STRING);
    REQUIRED BYTE_ARRAY survivor (STRING);
    REQUIRED BYTE_ARRAY kind (STRING);
    REQUIRED DOUBLE estimated;
    OPTIONAL DOUBLE jaccard;
}";

/// Rows of a row group, and bytes of their ids, at most.
const GROUP_ROWS: usize = 1 << 16;
const GROUP_ID_BYTES: usize = 8 << 20;

/// Bytes that a verdict in memory stands for: itself, and the place of its survivor's id.
const ROW_WEIGHT: usize = size_of::<Verdict>() + 2 * size_of::<u64>();

/// What the table is made of.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Signatures of all units.
    pub signatures: Vec<PathBuf>,
    /// What `connect` wrote.
    pub verdicts: PathBuf,
    /// Marks the files of the run.
    pub fingerprint: u64,
}

/// Writes the table of clusters, in about `memory_bytes`.
///
/// # Errors
/// `Corrupt` when an intermediate file is damaged or of another run; `Io`; `Interrupted`.
pub fn write(
    sources: &Sources,
    output: &Path,
    memory_bytes: usize,
    control: &Control,
) -> Result<()> {
    let units = open_all(&sources.signatures, sources.fingerprint)?;
    let corpus = SignedCorpus::new(&units);
    let verdicts = Verdicts::open(&sources.verdicts, sources.fingerprint)?;
    let mut rows = verdicts.starting_at(0)?;
    let mut table = Table::create(output, corpus.walk())?;
    let share = memory_bytes / 4;
    let mut block = Vec::new();
    loop {
        control.check()?;
        fill(&mut block, &mut rows, (share / ROW_WEIGHT).max(1))?;
        if block.is_empty() {
            return table.finish(output);
        }
        let (ids, known) = KnownIds::find(&block, survivor_of, &mut corpus.walk(), share)?;
        for verdict in block.drain(..known) {
            table.push(&verdict, ids.of(verdict.survivor))?;
        }
    }
}

fn fill(block: &mut Vec<Verdict>, rows: &mut VerdictCursor<'_>, most: usize) -> Result<()> {
    while let Some(verdict) = rows.head().filter(|_| block.len() < most) {
        block.push(*verdict);
        rows.advance()?;
    }
    Ok(())
}

/// Returns the record whose id has to be looked up: a survivor's is its own.
fn survivor_of(verdict: &Verdict) -> Option<u64> {
    (verdict.kind != Kind::Survivor).then_some(verdict.survivor)
}

/// The file being written.
struct Table<'a> {
    file: SerializedFileWriter<AtomicFile>,
    path: PathBuf,
    walk: Walk<'a>,
    records: Vec<ByteArray>,
    survivors: Vec<ByteArray>,
    kinds: Vec<ByteArray>,
    estimated: Vec<f64>,
    jaccard: Vec<f64>,
    /// 1 where there is a true similarity.
    is_there: Vec<i16>,
    id_bytes: usize,
}

impl<'a> Table<'a> {
    fn create(path: &Path, walk: Walk<'a>) -> Result<Self> {
        let named = |error| failed(path, error);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_created_by(concat!("hephaestus-forge ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(named)?);
        let file = AtomicFile::create(path)?;
        let file = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(named)?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
            walk,
            records: Vec::new(),
            survivors: Vec::new(),
            kinds: Vec::new(),
            estimated: Vec::new(),
            jaccard: Vec::new(),
            is_there: Vec::new(),
            id_bytes: 0,
        })
    }

    /// Adds a row; without a survivor's id the record is its own.
    fn push(&mut self, verdict: &Verdict, survivor: Option<&str>) -> Result<()> {
        let record = self.walk.id(verdict.record)?;
        let survivor = survivor.unwrap_or(record);
        self.id_bytes += record.len() + survivor.len();
        self.records.push(ByteArray::from(record));
        self.survivors.push(ByteArray::from(survivor));
        self.kinds.push(ByteArray::from(verdict.kind.name()));
        self.estimated.push(verdict.estimated);
        self.is_there.push(i16::from(verdict.jaccard.is_some()));
        self.jaccard.extend(verdict.jaccard);
        if self.records.len() >= GROUP_ROWS || self.id_bytes >= GROUP_ID_BYTES {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        let named = |error| failed(&self.path, error);
        let mut group = self.file.next_row_group().map_err(named)?;
        // The survivor names its cluster.
        for ids in [&self.records, &self.survivors, &self.survivors, &self.kinds] {
            column::<ByteArrayType>(&mut group, ids, None).map_err(named)?;
        }
        column::<DoubleType>(&mut group, &self.estimated, None).map_err(named)?;
        column::<DoubleType>(&mut group, &self.jaccard, Some(&self.is_there)).map_err(named)?;
        group.close().map_err(named)?;
        for ids in [&mut self.records, &mut self.survivors, &mut self.kinds] {
            ids.clear();
        }
        self.estimated.clear();
        self.jaccard.clear();
        self.is_there.clear();
        self.id_bytes = 0;
        Ok(())
    }

    fn finish(mut self, path: &Path) -> Result<()> {
        if !self.records.is_empty() {
            self.end_group()?;
        }
        let file = self.file.into_inner().map_err(|error| failed(path, error))?;
        file.finish().map(|_| ())
    }
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, AtomicFile>,
    values: &[T::T],
    is_there: Option<&[i16]>,
) -> std::result::Result<(), ParquetError> {
    let column = group.next_column()?;
    let mut column = column.ok_or_else(|| ParquetError::General("too few columns".to_owned()))?;
    column.typed::<T>().write_batch(values, is_there, None)?;
    column.close()
}

fn failed(path: &Path, error: ParquetError) -> Error {
    Error::io(path, std::io::Error::other(error))
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::super::Shape;
    use super::super::keep::Keep;
    use super::super::sign::{self, sign_unit};
    use super::super::verdicts::{Summary, VerdictWriter};
    use super::*;
    use crate::input::InputFile;
    use crate::minhash::text_key::TextKey;

    /// Signs units of so many records; their ids are `UNIT-RECORD`.
    fn signed(directory: &Path, units: &[usize]) -> Vec<PathBuf> {
        let unit = |(number, &count): (usize, &usize)| {
            let path = directory.join(format!("{number}.jsonl"));
            let line = |record| format!("{{\"id\":\"{number}-{record}é\",\"text\":\"a\"}}\n");
            std::fs::write(&path, (0..count).map(line).collect::<String>()).unwrap();
            let output = directory.join(format!("{number:05}.sign"));
            let options = sign::Options {
                key: TextKey::Text,
                shape: Shape { ngram_size: 5, num_bands: 2, rows_per_band: 2, seed: 0 },
                keep: Keep::default(),
                fingerprint: 3,
                output: output.clone(),
                rejected: directory.join("rejected"),
                workers: 1,
                memory_bytes: 1 << 20,
            };
            let file = InputFile { path, relative: "a".to_owned() };
            sign_unit(&[file], &options, &Control::default()).unwrap();
            output
        };
        units.iter().enumerate().map(unit).collect()
    }

    /// Everything of the file, a line a row.
    fn rows(path: &Path) -> Vec<String> {
        let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        let shown = |(name, field): (&String, &Field)| format!("{name}={field}");
        let row = |row: parquet::record::Row| {
            row.get_column_iter().map(shown).collect::<Vec<_>>().join(" ")
        };
        reader.get_row_iter(None).unwrap().map(|each| row(each.unwrap())).collect()
    }

    #[test]
    fn a_row_names_record_and_survivor_and_memory_changes_no_byte() {
        let directory = tempfile::tempdir().unwrap();
        let signatures = signed(directory.path(), &[3_000, 2_000]);
        let path = directory.path().join("verdicts");
        let mut writer = VerdictWriter::create(&path, 3).unwrap();
        for record in 0..5_000_u32 {
            let survivor = u64::from(record.wrapping_mul(2_654_435_761) % 4_999);
            let (kind, survivor) = match record % 3 {
                0 => (Kind::Survivor, u64::from(record)),
                1 => (Kind::Exact, survivor),
                _ => (Kind::Near, survivor),
            };
            let jaccard = (record % 2 == 0).then_some(0.875);
            let record = u64::from(record);
            writer.push(&Verdict { record, survivor, estimated: 0.5, jaccard, kind }).unwrap();
        }
        writer.finish(&Summary::default()).unwrap();
        let sources = Sources { signatures, verdicts: path, fingerprint: 3 };
        let write = |memory_bytes| {
            let output = directory.path().join(format!("{memory_bytes}.parquet"));
            write(&sources, &output, memory_bytes, &Control::default()).unwrap();
            output
        };
        let whole = write(1 << 30);
        for memory_bytes in [1, 2_000, 100_000] {
            let same =
                std::fs::read(write(memory_bytes)).unwrap() == std::fs::read(&whole).unwrap();
            assert!(same, "{memory_bytes}");
        }
        let rows = rows(&whole);
        assert_eq!(rows.len(), 5_000);
        let id = |record: u32| match record {
            0..3_000 => format!("\"0-{record}é\""),
            _ => format!("\"1-{}é\"", record - 3_000),
        };
        for record in [0_u32, 1, 2, 2_999, 3_000, 4_000, 4_999] {
            let survivor = record.wrapping_mul(2_654_435_761) % 4_999;
            let (kind, survivor) = match record % 3 {
                0 => ("survivor", record),
                1 => ("exact", survivor),
                _ => ("near", survivor),
            };
            let jaccard = if record % 2 == 0 { "0.875" } else { "null" };
            assert_eq!(
                rows[record as usize],
                format!(
                    "record={} cluster={} survivor={} kind=\"{kind}\" estimated=0.5 \
                     jaccard={jaccard}",
                    id(record),
                    id(survivor),
                    id(survivor),
                )
            );
        }
    }

    #[test]
    fn no_clusters_make_an_empty_table() {
        let directory = tempfile::tempdir().unwrap();
        let signatures = signed(directory.path(), &[10]);
        let path = directory.path().join("verdicts");
        VerdictWriter::create(&path, 3).unwrap().finish(&Summary::default()).unwrap();
        let sources = Sources { signatures, verdicts: path, fingerprint: 3 };
        let output = directory.path().join("clusters.parquet");
        write(&sources, &output, 1 << 20, &Control::default()).unwrap();
        assert_eq!(rows(&output), Vec::<String>::new());
    }
}
