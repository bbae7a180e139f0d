//! Memory for hash tables: zeroed, a slot never across two cache lines, large pages when large.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::large_pages::{self, LARGE_PAGE};

const CACHE_LINE: usize = 64;

/// A fixed number of slots of `WORDS` words of 64 bits, aligned to cache lines.
pub(super) struct Table<const WORDS: usize> {
    slots: NonNull<[u64; WORDS]>,
    length: usize,
}

// SAFETY: the table owns its memory, like a `Vec` of numbers.
unsafe impl<const WORDS: usize> Send for Table<WORDS> {}
// SAFETY: as above.
unsafe impl<const WORDS: usize> Sync for Table<WORDS> {}

impl<const WORDS: usize> Table<WORDS> {
    /// Makes `length` slots of zeros; a power of two, and at least one.
    pub(super) fn zeroed(length: usize) -> Self {
        assert!(length.is_power_of_two() && WORDS > 0, "a table has 2^n slots");
        let layout = Self::layout(length);
        let memory = if is_mapped(layout) {
            map(layout)
        } else {
            // SAFETY: the layout is not empty.
            unsafe { alloc_zeroed(layout) }
        };
        let Some(slots) = NonNull::new(memory.cast()) else { handle_alloc_error(layout) };
        Self { slots, length }
    }

    fn layout(length: usize) -> Layout {
        Layout::from_size_align(length * WORDS * size_of::<u64>(), CACHE_LINE)
            .expect("tables are far below the address space")
    }

    /// Asks for a slot to be brought near before it is used.
    #[inline(always)]
    pub(super) fn prefetch(&self, slot: usize) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint that reads nothing; any address will do.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(self.slots.as_ptr().wrapping_add(slot).cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = slot;
    }
}

/// Returns whether memory comes from the kernel itself, which gives zeros and large pages.
fn is_mapped(layout: Layout) -> bool {
    cfg!(target_os = "linux") && layout.size() >= LARGE_PAGE
}

/// Returns zeroed memory, or null.
fn map(layout: Layout) -> *mut u8 {
    // SAFETY: new memory, nobody else's.
    let memory = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            layout.size(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if memory == libc::MAP_FAILED {
        return std::ptr::null_mut();
    }
    large_pages::advise(memory.cast(), layout.size());
    memory.cast()
}

impl<const WORDS: usize> Drop for Table<WORDS> {
    fn drop(&mut self) {
        let (memory, layout) = (self.slots.as_ptr().cast::<u8>(), Self::layout(self.length));
        if is_mapped(layout) {
            // SAFETY: mapped with this length, and no longer used.
            unsafe { libc::munmap(memory.cast(), layout.size()) };
        } else {
            // SAFETY: allocated with the same layout.
            unsafe { dealloc(memory, layout) };
        }
    }
}

impl<const WORDS: usize> Deref for Table<WORDS> {
    type Target = [[u64; WORDS]];

    #[inline(always)]
    fn deref(&self) -> &Self::Target {
        // SAFETY: `length` slots were allocated and zeroed.
        unsafe { std::slice::from_raw_parts(self.slots.as_ptr(), self.length) }
    }
}

impl<const WORDS: usize> DerefMut for Table<WORDS> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Self::Target {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.slots.as_ptr(), self.length) }
    }
}

impl<const WORDS: usize> fmt::Debug for Table<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({} slots of {} bytes)", self.length, WORDS * size_of::<u64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_zeroed_aligned_and_writable() {
        for length in [1, 1 << 4, 1 << 17] {
            let mut table = Table::<4>::zeroed(length);
            assert_eq!(table.len(), length);
            assert_eq!(table.as_ptr() as usize % CACHE_LINE, 0);
            assert!(table.iter().all(|slot| *slot == [0; 4]));
            table[length - 1] = [1, 2, 3, 4];
            table.prefetch(length - 1);
            assert_eq!(table[length - 1], [1, 2, 3, 4]);
        }
    }
}
