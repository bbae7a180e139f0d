//! One column of strings of a row group, unpacked page by page.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::RowGroupReader;

use super::escape::push_string;

/// A column, and the values of it that were unpacked last.
pub(super) struct Column {
    /// `"name":`
    key: Vec<u8>,
    reader: ColumnReaderImpl<ByteArrayType>,
    rows_in_page: Arc<AtomicUsize>,
    /// The level at which a row has a value; 0 where all have.
    present: i16,
    levels: Vec<i16>,
    values: Vec<ByteArray>,
    next_row: usize,
    next_value: usize,
}

impl Column {
    /// Opens column `index` of a row group.
    pub(super) fn open(group: &dyn RowGroupReader, index: usize, name: &str) -> Result<Self> {
        let mut key = Vec::new();
        push_string(name.as_bytes(), &mut key);
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
            reader: ColumnReaderImpl::new(descriptor, Box::new(pages)),
            rows_in_page,
            levels: Vec::new(),
            values: Vec::new(),
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
        self.values.clear();
        (self.next_row, self.next_value) = (0, 0);
        let (rows, values, _) =
            self.reader.read_records(count, Some(&mut self.levels), None, &mut self.values)?;
        let present = self.levels.iter().filter(|&&level| level == self.present).count();
        if rows != count || values != if self.present == 0 { count } else { present } {
            return Err(ParquetError::General(format!(
                "a column of {rows} rows and {values} values where {count} rows are promised"
            )));
        }
        let left = self.rows_in_page();
        self.rows_in_page.store(left.saturating_sub(count), Ordering::Relaxed);
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
    }

    /// Returns the value of the row, if it has one.
    pub(super) fn value(&self) -> Option<&[u8]> {
        let value = self.values.get(self.next_value).filter(|_| self.has_value());
        value.map(ByteArray::data)
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
