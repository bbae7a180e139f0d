//! Large pages for large memory: fewer faults when it is first used, fewer misses afterwards.
#![allow(unsafe_code)]

/// Bytes of a large page.
pub(crate) const LARGE_PAGE: usize = 2 << 20;

/// Asks for large pages below memory that will be used from its beginning on.
///
/// Advice only: where the system gives none, nothing changes.
pub(crate) fn advise(memory: *const u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    {
        let start = memory.align_offset(LARGE_PAGE);
        if let Some(length) = bytes.checked_sub(start).filter(|&length| length >= LARGE_PAGE) {
            let first = memory.wrapping_add(start).cast_mut().cast();
            // SAFETY: advice about pages inside the memory given; nothing is read or written.
            unsafe { libc::madvise(first, length, libc::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, bytes);
}
