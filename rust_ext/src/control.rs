//! How a long job speaks with its caller: progress one way, cancellation the other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Error, Result};

/// Counters that a job advances and a flag that ends it; shared by all its threads.
#[derive(Debug, Default)]
pub struct Control {
    records: AtomicU64,
    text_bytes: AtomicU64,
    is_cancelled: AtomicBool,
}

impl Control {
    /// Adds to what has been done.
    pub fn advance(&self, records: u64, text_bytes: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.text_bytes.fetch_add(text_bytes, Ordering::Relaxed);
    }

    /// Returns the records and the bytes of text done so far.
    pub fn done(&self) -> (u64, u64) {
        (self.records.load(Ordering::Relaxed), self.text_bytes.load(Ordering::Relaxed))
    }

    /// Asks every thread of the job to stop at its next batch.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Returns `Interrupted` once the job was cancelled; call it between batches.
    ///
    /// # Errors
    /// [`Error::Interrupted`] after [`Control::cancel`].
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}
