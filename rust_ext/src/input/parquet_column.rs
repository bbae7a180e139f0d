//! One column of a row group, strings or numbers, unpacked page by page.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::RowGroupReader;
use parquet::schema::types::ColumnDescPtr;

use super::escape::push_string;
use super::parquet_schema::{Held, Wanted};

/// A column, and the values of it that were unpacked last.
pub(super) struct Column {
    /// `"name":`
    key: Vec<u8>,
    values: Values,
    rows_in_page: Arc<AtomicUsize>,
    /// The level at which a row has a value; 0 where all have.
    present: i16,
    levels: Vec<i16>,
    next_row: usize,
    next_value: usize,
}

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// The bytes of a string.
    String(&'a [u8]),
    /// JSON that stands for itself; line ends may stand between its values.
    Json(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Returns its bytes, be they the string or its spelling.
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Self::String(bytes) | Self::Json(bytes) => bytes,
        }
    }
}

/// The values that were unpacked last, by what a column holds.
enum Values {
    Strings(Typed<ByteArrayType>),
    /// Strings of which each that is a list as JSON stands for that; whether that of the row is one.
    Lists(Typed<ByteArrayType>, bool),
    Numbers(Box<dyn Numbers>),
}

/// A reader, and what it gave.
struct Typed<T: DataType> {
    reader: ColumnReaderImpl<T>,
    values: Vec<T::T>,
}

impl<T: DataType> Typed<T> {
    fn new(descriptor: ColumnDescPtr, pages: Pages) -> Self {
        Self { reader: ColumnReaderImpl::new(descriptor, Box::new(pages)), values: Vec::new() }
    }

    /// Returns rows and values of the next ones, at most `count`.
    fn unpack(&mut self, count: usize, levels: &mut Vec<i16>) -> Result<(usize, usize)> {
        self.values.clear();
        let (rows, values, _) =
            self.reader.read_records(count, Some(levels), None, &mut self.values)?;
        Ok((rows, values))
    }
}

/// Numbers of any type.
trait Numbers: Send {
    fn unpack(&mut self, count: usize, levels: &mut Vec<i16>) -> Result<(usize, usize)>;

    /// Returns a value as JSON spells it; nothing for what JSON has no number for.
    fn spelled(&self, index: usize) -> Option<&[u8]>;
}

struct Spelled<T: DataType, F> {
    typed: Typed<T>,
    spell: F,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl<T, F> Spelled<T, F>
where
    T: DataType,
    F: Fn(&T::T) -> Option<serde_json::Number> + Send,
{
    fn new(typed: Typed<T>, spell: F) -> Box<Self> {
        Box::new(Self { typed, spell, bytes: Vec::new(), ends: Vec::new() })
    }
}

impl<T, F> Numbers for Spelled<T, F>
where
    T: DataType,
    ColumnReaderImpl<T>: Send,
    F: Fn(&T::T) -> Option<serde_json::Number> + Send,
{
    fn unpack(&mut self, count: usize, levels: &mut Vec<i16>) -> Result<(usize, usize)> {
        let counts = self.typed.unpack(count, levels)?;
        self.bytes.clear();
        self.ends.clear();
        for value in &self.typed.values {
            if let Some(number) = (self.spell)(value) {
                self.bytes.extend_from_slice(number.to_string().as_bytes());
            }
            self.ends.push(self.bytes.len());
        }
        Ok(counts)
    }

    fn spelled(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(&self.bytes[start..*self.ends.get(index)?]).filter(|bytes| !bytes.is_empty())
    }
}

impl Values {
    fn open(held: Held, descriptor: ColumnDescPtr, pages: Pages) -> Self {
        use serde_json::Number;
        let double = Number::from_f64;
        match held {
            Held::Strings => Self::Strings(Typed::new(descriptor, pages)),
            Held::Lists => Self::Lists(Typed::new(descriptor, pages), false),
            Held::Int32 => {
                let typed = Typed::<Int32Type>::new(descriptor, pages);
                Self::Numbers(Spelled::new(typed, |&value| Some(value.into())))
            }
            Held::UInt32 => {
                let typed = Typed::<Int32Type>::new(descriptor, pages);
                Self::Numbers(Spelled::new(typed, |value| Some(value.cast_unsigned().into())))
            }
            Held::Int64 => {
                let typed = Typed::<Int64Type>::new(descriptor, pages);
                Self::Numbers(Spelled::new(typed, |&value| Some(value.into())))
            }
            Held::UInt64 => {
                let typed = Typed::<Int64Type>::new(descriptor, pages);
                Self::Numbers(Spelled::new(typed, |value| Some(value.cast_unsigned().into())))
            }
            Held::Float => {
                let typed = Typed::<FloatType>::new(descriptor, pages);
                // By its shortest spelling: 0.1 is 0.1, not the double next to it.
                let spell = move |value: &f32| value.to_string().parse().ok().and_then(double);
                Self::Numbers(Spelled::new(typed, spell))
            }
            Held::Double => {
                let typed = Typed::<DoubleType>::new(descriptor, pages);
                Self::Numbers(Spelled::new(typed, move |&value| double(value)))
            }
        }
    }

    fn unpack(&mut self, count: usize, levels: &mut Vec<i16>) -> Result<(usize, usize)> {
        match self {
            Self::Strings(typed) | Self::Lists(typed, _) => typed.unpack(count, levels),
            Self::Numbers(numbers) => numbers.unpack(count, levels),
        }
    }
}

impl Column {
    /// Opens a column of a row group.
    pub(super) fn open(group: &dyn RowGroupReader, wanted: &Wanted) -> Result<Self> {
        let index = wanted.index;
        let mut key = Vec::new();
        push_string(wanted.name.as_bytes(), &mut key);
        key.push(b':');
        let rows_in_page = Arc::new(AtomicUsize::new(0));
        let pages = Pages {
            pages: group.get_column_page_reader(index)?,
            rows_in_page: Arc::clone(&rows_in_page),
        };
        let descriptor = group.metadata().column(index).column_descr_ptr();
        Ok(Self {
            key,
            present: descriptor.max_def_level(),
            values: Values::open(wanted.held, descriptor, pages),
            rows_in_page,
            levels: Vec::new(),
            next_row: 0,
            next_value: 0,
        })
    }

    /// Returns the rows that are left of the page that is open.
    pub(super) fn rows_in_page(&self) -> usize {
        self.rows_in_page.load(Ordering::Relaxed)
    }

    /// Unpacks the next `count` rows.
    pub(super) fn unpack(&mut self, count: usize) -> Result<()> {
        self.levels.clear();
        (self.next_row, self.next_value) = (0, 0);
        let (rows, values) = self.values.unpack(count, &mut self.levels)?;
        let present = self.levels.iter().filter(|&&level| level == self.present).count();
        if rows != count || values != if self.present == 0 { count } else { present } {
            return Err(ParquetError::General(format!(
                "a column of {rows} rows and {values} values where {count} rows are promised"
            )));
        }
        let left = self.rows_in_page();
        self.rows_in_page.store(left.saturating_sub(count), Ordering::Relaxed);
        self.look_for_list();
        Ok(())
    }

    /// Returns `"name":` as it stands in a line.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// Goes to the next row.
    pub(super) fn advance(&mut self) {
        let has_value = self.has_value();
        self.next_value += usize::from(has_value);
        self.next_row += 1;
        self.look_for_list();
    }

    /// Looks whether the string of the row, if it has one, is a list.
    fn look_for_list(&mut self) {
        let has_value = self.has_value();
        let Values::Lists(typed, is_list) = &mut self.values else { return };
        let value = typed.values.get(self.next_value).filter(|_| has_value).map(ByteArray::data);
        *is_list = value.is_some_and(|bytes| {
            bytes.trim_ascii_start().first() == Some(&b'[')
                && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
        });
    }

    /// Returns the value of the row, if it has one.
    pub(super) fn value(&self) -> Option<Value<'_>> {
        if !self.has_value() {
            return None;
        }
        match &self.values {
            Values::Strings(typed) | Values::Lists(typed, false) => {
                typed.values.get(self.next_value).map(|value| Value::String(value.data()))
            }
            Values::Lists(typed, true) => {
                typed.values.get(self.next_value).map(|value| Value::Json(value.data()))
            }
            Values::Numbers(numbers) => numbers.spelled(self.next_value).map(Value::Json),
        }
    }

    fn has_value(&self) -> bool {
        self.present == 0 || self.levels.get(self.next_row) == Some(&self.present)
    }
}

/// Passes pages on and counts their rows: in a column that is not nested, a value is a row.
struct Pages {
    pages: Box<dyn PageReader>,
    rows_in_page: Arc<AtomicUsize>,
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        if let Some(page @ (Page::DataPage { .. } | Page::DataPageV2 { .. })) = &page {
            let rows = usize::try_from(page.num_values()).unwrap_or(usize::MAX);
            self.rows_in_page.store(rows, Ordering::Relaxed);
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
