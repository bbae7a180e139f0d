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
    idle: Mutex<Idle<T>>,
    most_bytes: usize,
}

#[derive(Debug)]
struct Idle<T> {
    things: Vec<T>,
    bytes: usize,
}

impl<T: Reuse> Pool<T> {
    /// Begins empty; of what is given back so much is kept that it holds `most_bytes` at most, the
    /// rest is given back to the system.
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        let idle = Idle { things: Vec::new(), bytes: 0 };
        Self { idle: Mutex::new(idle), most_bytes }
    }

    /// Returns one that was used, as it was given back, or a new one.
    #[must_use]
    pub fn take(&self) -> T {
        let mut idle = self.lock();
        let thing = idle.things.pop().unwrap_or_default();
        idle.bytes -= thing.held_bytes();
        thing
    }

    /// Gives one back.
    pub fn give(&self, used: T) {
        let bytes = used.held_bytes();
        let mut idle = self.lock();
        // What holds nothing saves nothing, and there would be no end of it.
        if bytes > 0 && idle.bytes + bytes <= self.most_bytes {
            idle.bytes += bytes;
            idle.things.push(used);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Idle<T>> {
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
    fn what_comes_back_is_used_again_up_to_the_bytes_that_may_lie_idle() {
        let pool = Pool::new(1_000);
        pool.give(Vec::with_capacity(1_001));
        assert_eq!(pool.take().capacity(), 0);
        for capacity in [0, 400, 500, 101, 100] {
            pool.give(Vec::with_capacity(capacity));
        }
        assert_eq!([(); 4].map(|()| pool.take().capacity()), [100, 500, 400, 0]);
        pool.give(Vec::with_capacity(1_000));
        assert_eq!(pool.take().capacity(), 1_000);
    }
}
