//! Buffers that go back to where they came from.
//!
//! Memory fresh from the system costs a fault every 4 KiB and is cleared first, which is dearer
//! than all that is then done to a byte but decompressing it.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Something that owns buffers.
pub trait Reuse: Default {
    /// Returns how much memory it holds.
    fn held_bytes(&self) -> usize;
}

/// Used things of a kind, to be used again by any thread.
#[derive(Debug)]
pub struct Pool<T> {
    idle: Mutex<Vec<T>>,
    num_kept: usize,
}

/// What grew beyond this is given back to the system: it was made for one long record.
const MOST_HELD_BYTES: usize = 1 << 24;

impl<T: Reuse> Pool<T> {
    /// Begins empty; `num_kept` of what is given back are kept.
    #[must_use]
    pub fn new(num_kept: usize) -> Self {
        Self { idle: Mutex::default(), num_kept }
    }

    /// Returns one that was used, as it was given back, or a new one.
    #[must_use]
    pub fn take(&self) -> T {
        self.lock().pop().unwrap_or_default()
    }

    /// Gives one back.
    pub fn give(&self, used: T) {
        let mut idle = self.lock();
        if idle.len() < self.num_kept && used.held_bytes() <= MOST_HELD_BYTES {
            idle.push(used);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        // Nothing panics while it is held but an allocation that fails.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Reuse for Vec<u8> {
        fn held_bytes(&self) -> usize {
            self.capacity()
        }
    }

    #[test]
    fn what_comes_back_is_used_again_unless_it_is_large_or_one_too_many() {
        let pool = Pool::new(1);
        pool.give(Vec::with_capacity(MOST_HELD_BYTES + 1));
        assert_eq!(pool.take().capacity(), 0);
        pool.give(Vec::with_capacity(100));
        pool.give(Vec::with_capacity(300));
        assert_eq!((pool.take().capacity(), pool.take().capacity()), (100, 0));
    }
}
