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
//! and place.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;

use super::Cut;
use super::file::Cuts;
use crate::control::Control;
use crate::minhash::unit_file::{SignedUnit, ids_of, open_all};
use crate::output::AtomicFile;
use crate::{Error, Result};

const SCHEMA: &str = "message cuts {
    required binary record (string);
    required int64 start;
    required int64 end;
    required binary survivor (string);
    required int64 survivor_start;
}";

/// Rows whose ids are in memory at a time.
const GROUP_ROWS: usize = 1 << 16;

/// Writes all cuts of a file of cuts with the ids of their records.
///
/// # Errors
/// `Corrupt` when a file is damaged or of another run; `Io`; `Interrupted`.
pub fn write(
    cuts: &Path,
    signatures: &[PathBuf],
    fingerprint: u64,
    output: &Path,
    control: &Control,
) -> Result<()> {
    let failed = |error: ParquetError| Error::io(output, std::io::Error::other(error));
    let units = open_all(signatures, fingerprint)?;
    let cuts = Cuts::open(cuts, fingerprint)?;
    let mut cuts = cuts.starting_at(0)?;
    let schema = Arc::new(parse_message_type(SCHEMA).map_err(failed)?);
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = Arc::new(WriterProperties::builder().set_compression(zstd).build());
    let file = AtomicFile::create(output)?;
    let mut writer = SerializedFileWriter::new(file, schema, properties).map_err(failed)?;
    loop {
        control.check()?;
        let mut rows = Vec::new();
        while rows.len() < GROUP_ROWS
            && let Some(cut) = cuts.take()?
        {
            rows.push(cut);
        }
        if rows.is_empty() {
            break;
        }
        let ids = Ids::of(&rows, &units)?;
        let group = writer.next_row_group().map_err(failed)?;
        write_group(group, &rows, &ids).map_err(failed)?;
    }
    writer.into_inner().map_err(failed)?.finish().map(|_| ())
}

/// The ids of the records that some cuts name.
struct Ids {
    records: Vec<u64>,
    ids: Vec<String>,
}

impl Ids {
    fn of(cuts: &[Cut], units: &[SignedUnit]) -> Result<Self> {
        let mut records: Vec<u64> =
            cuts.iter().flat_map(|cut| [cut.record, cut.survivor]).collect();
        records.sort_unstable();
        records.dedup();
        let ids = ids_of(units, &records)?;
        Ok(Self { records, ids })
    }

    fn id(&self, record: u64) -> ByteArray {
        let at = self.records.binary_search(&record);
        ByteArray::from(at.map_or("", |at| self.ids[at].as_str()))
    }
}

fn write_group(
    mut group: SerializedRowGroupWriter<'_, AtomicFile>,
    cuts: &[Cut],
    ids: &Ids,
) -> std::result::Result<(), ParquetError> {
    let texts = |of: fn(&Cut) -> u64| cuts.iter().map(|cut| ids.id(of(cut))).collect::<Vec<_>>();
    let numbers = |of: fn(&Cut) -> u32| cuts.iter().map(|cut| of(cut).into()).collect::<Vec<i64>>();
    write_column::<ByteArrayType>(&mut group, &texts(|cut| cut.record))?;
    write_column::<Int64Type>(&mut group, &numbers(|cut| cut.start))?;
    write_column::<Int64Type>(&mut group, &numbers(|cut| cut.end))?;
    write_column::<ByteArrayType>(&mut group, &texts(|cut| cut.survivor))?;
    write_column::<Int64Type>(&mut group, &numbers(|cut| cut.survivor_start))?;
    group.close().map(|_| ())
}

fn write_column<T: parquet::data_type::DataType>(
    group: &mut SerializedRowGroupWriter<'_, AtomicFile>,
    values: &[T::T],
) -> std::result::Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("the schema has fewer columns".to_owned()));
    };
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}
