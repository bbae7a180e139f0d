//! What the measuring programs share: the texts of a file of records, and CPU time.
#![allow(clippy::unwrap_used)] // programs for developers

use std::path::Path;

use _rust_ext::input::{Batch, Batches, Scratch, Source, fields};

const BATCH_BYTES: usize = 1 << 20;

/// Returns the texts of a file's records, the first of them that have at least `most_bytes`.
pub(crate) fn texts_of(path: &Path, most_bytes: usize) -> Vec<String> {
    let mut batches = Batches::new(Source::open(path).unwrap(), BATCH_BYTES, 1 << 30);
    let (mut texts, mut bytes) = (Vec::new(), 0);
    let (mut recycled, mut scratch) = (Batch::default(), Scratch::default());
    while let Some(batch) = batches.next_batch(recycled).unwrap() {
        for line in &batch.lines {
            if let Ok(fields) = fields::parse(&batch, line, "text", &mut scratch) {
                bytes += fields.text.len();
                texts.push(fields.text.to_owned());
            }
            if bytes >= most_bytes {
                return texts;
            }
        }
        recycled = batch;
    }
    texts
}

/// Returns the least CPU-seconds that `job` takes of several runs.
pub(crate) fn least_cpu_seconds(runs: usize, mut job: impl FnMut()) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..runs {
        let before = cpu_seconds();
        job();
        least = least.min(cpu_seconds() - before);
    }
    least
}

/// User and system time of this process.
#[allow(unsafe_code)]
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes a time of this form.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) }, 0);
    #[expect(clippy::cast_precision_loss, reason = "seconds of a run")]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9;
    seconds
}
