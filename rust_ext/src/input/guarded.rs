//! Calls into a decoder that panics on some damaged files, where it should return an error.
//!
//! Seen with parquet 60.1: offsets of the delta encodings that run backwards, and a column chunk of
//! negative length. No memory is touched that is not the decoder's, and it is dropped afterwards.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use parquet::errors::{ParquetError, Result};

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `decode` and makes an error of a panic; what it worked on must not be used after that.
pub(super) fn guarded<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        // The message would be of no use: the error that follows names the file.
        set_hook(Box::new(move |panic| {
            if !IS_GUARDED.get() {
                before(panic);
            }
        }));
    });
    IS_GUARDED.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(decode));
    IS_GUARDED.set(false);
    outcome.unwrap_or_else(|_| {
        Err(ParquetError::General("lengths or offsets that contradict each other".to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_what_went_well_comes_through() {
        assert_eq!(guarded(|| Ok(5)).unwrap(), 5);
        let offsets = [3, 2];
        let error = guarded(|| Ok(&b"abcd"[offsets[0]..offsets[1]])).unwrap_err().to_string();
        assert!(error.contains("contradict"), "{error}");
    }
}
