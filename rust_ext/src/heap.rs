//! What is freed is given back to the system.
#![allow(unsafe_code)]

/// Blocks of so many bytes are pages of their own.
pub const LARGE_BYTES: usize = 1 << LARGE_BITS;

const LARGE_BITS: u32 = 20;

/// Makes the allocator of the C library return a large block to the system when it is freed.
///
/// By default that of glibc does so for blocks of up to 128 KiB only until the first one is freed:
/// from then on blocks of that size, of up to 32 MiB, come out of the heap of the thread that asks
/// for them and stay there when they are freed, and up to twice as much at the end of each heap. A
/// batch is read by one thread, worked on by another and freed by a third, so that what all the
/// heaps keep is a multiple of what is in use, different in each run: 260 to 400 MiB were seen
/// where 180 are enough. A fixed bound keeps pages for what is small; buffers that are to be used
/// again soon lie in a [`crate::pool::Pool`].
pub fn give_large_blocks_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGE: libc::c_int = 1 << LARGE_BITS;
        // SAFETY: these set two numbers of the allocator, under its lock. One that it refuses
        // leaves the default, which is correct as well.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
            libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
        }
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::hint::black_box;

    use super::*;

    /// Bytes of the heaps of all threads, freed ones included: no block of its own pages is there.
    fn heap_bytes() -> usize {
        // SAFETY: it takes nothing and returns numbers.
        let numbers = unsafe { libc::mallinfo2() };
        numbers.arena
    }

    #[test]
    fn a_large_block_is_no_part_of_a_heap_whatever_was_freed_before() {
        give_large_blocks_back();
        for _ in 0..3 {
            let before = heap_bytes();
            let block = black_box(vec![1_u8; 24 << 20]);
            // Other tests run beside this one.
            assert!(heap_bytes() < before + (20 << 20));
            drop(block);
        }
    }
}
