//! What a stage holds when its writer stands still: every byte that Rust allocates is counted.
//!
//! The allocator of this test lets the thread that writes wait at its next allocation, whenever
//! something has changed, until no other thread allocates any more: all that may be in flight is,
//! whatever the scheduler does.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use _rust_ext::control::Control;
use _rust_ext::indexed::Dtype;
use _rust_ext::input::InputFile;
use _rust_ext::minhash::Shape;
use _rust_ext::minhash::keep::Keep;
use _rust_ext::minhash::sign::{self, sign_unit};
use _rust_ext::minhash::text_key::TextKey;
use _rust_ext::tokenize::{self, Sink, tokenize_unit};

const MIB: usize = 1 << 20;

const MEMORY_BYTES: usize = 128 * MIB;

/// What a stage may take beside its memory: the rest is for the interpreter and the decoders.
const BESIDE_BYTES: usize = 32 * MIB;

/// So long does nobody allocate before all stand still.
const STILL: Duration = Duration::from_millis(20);

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// The two tests count the same bytes.
static ALONE: Mutex<()> = Mutex::new(());

thread_local! {
    /// On the thread that writes: what was held when it last waited.
    static WAITED_AT: Cell<Option<usize>> = const { Cell::new(None) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all is done by the allocator of the system.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        wait_for_others();
        count(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        HELD.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(block, layout, size) }
    }
}

fn count(bytes: usize) {
    CALLS.fetch_add(1, Ordering::SeqCst);
    let held = HELD.fetch_add(bytes, Ordering::SeqCst) + bytes;
    MOST.fetch_max(held, Ordering::SeqCst);
}

fn wait_for_others() {
    let Ok(Some(before)) = WAITED_AT.try_with(Cell::get) else { return };
    if HELD.load(Ordering::SeqCst).abs_diff(before) < MIB {
        return;
    }
    loop {
        let calls = CALLS.load(Ordering::SeqCst);
        thread::sleep(STILL);
        if calls == CALLS.load(Ordering::SeqCst) {
            break;
        }
    }
    WAITED_AT.set(Some(HELD.load(Ordering::SeqCst)));
}

/// Returns the most bytes that `stage` held, which writes on this thread.
fn most_held(stage: impl FnOnce()) -> usize {
    let before = HELD.load(Ordering::SeqCst);
    MOST.store(before, Ordering::SeqCst);
    WAITED_AT.set(Some(before));
    stage();
    WAITED_AT.set(None);
    MOST.load(Ordering::SeqCst) - before
}

/// Writes 40 MB or so: `line` makes one of its number and of its place in the file.
fn file(
    directory: &Path,
    name: &str,
    line: impl Fn(usize, usize) -> String,
) -> std::io::Result<Vec<InputFile>> {
    let mut content = String::new();
    for number in 0.. {
        if content.len() > 40 * MIB {
            break;
        }
        content.push_str(&line(number, content.len()));
        content.push('\n');
    }
    let path = directory.join(name);
    std::fs::write(&path, content)?;
    Ok(vec![InputFile { path, relative: name.to_owned() }])
}

/// Every kind of record that makes much of little.
fn files(directory: &Path) -> std::io::Result<Vec<Vec<InputFile>>> {
    let letters = |count: usize| format!(r#"{{"text": "{}"}}"#, "a b c d ".repeat(count));
    let short = |number: usize| format!(r#"{{"text": "{}"}}"#, ["a", "bc", "def"][number % 3]);
    [
        file(directory, "short.jsonl", |number, _| short(number)),
        file(directory, "letters.jsonl", |_, _| letters(100)),
        file(directory, "long.jsonl", |_, _| letters(500_000)),
        // Buffers made for many lines come to batches of few.
        file(directory, "mixed.jsonl", |number, at| {
            if (at / (8 * MIB)).is_multiple_of(2) { short(number) } else { letters(20_000) }
        }),
        file(directory, "sources.jsonl", |number, _| {
            format!(r#"{{"text": "a", "source": "s{number:x}"}}"#)
        }),
        file(directory, "unreadable.jsonl", |_, _| "\u{1}".repeat(100)),
    ]
    .into_iter()
    .collect()
}

fn expect_bounded(what: &str, workers: usize, held: usize) {
    assert!(held <= MEMORY_BYTES + BESIDE_BYTES, "{what}, {workers} workers: {held} bytes");
}

#[test]
fn sign_holds_no_more_than_its_memory_while_its_writer_stands_still() {
    let _alone = ALONE.lock().unwrap();
    let directory = tempfile::tempdir().unwrap();
    for files in files(directory.path()).unwrap() {
        for workers in [2, 16] {
            let options = sign::Options {
                shape: Shape { ngram_size: 5, num_bands: 14, rows_per_band: 8, seed: 1 },
                key: TextKey::Normal,
                keep: Keep::parse(&["first".to_owned()]).unwrap(),
                fingerprint: 1,
                output: directory.path().join("00000.sign"),
                rejected: directory.path().join("rejected.jsonl.zst"),
                workers,
                memory_bytes: MEMORY_BYTES,
            };
            let control = Control::default();
            let held = most_held(|| sign_unit(&files, &options, &control).unwrap());
            assert!(held > MIB);
            expect_bounded(&files[0].relative, workers, held);
        }
    }
}

#[test]
fn tokenize_holds_no_more_than_its_memory_while_its_writer_stands_still() {
    let _alone = ALONE.lock().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let every_byte = |text: &str, sink: &mut Sink<'_>| {
        let ids: Vec<u32> = text.bytes().map(u32::from).collect();
        ids.chunks(1 << 16).try_for_each(sink)
    };
    for (unit, files) in (0..).zip(files(directory.path()).unwrap()) {
        for (run, workers) in (0..).zip([2, 16]) {
            let journal: PathBuf = directory.path().join(format!("{unit}-{run}"));
            std::fs::create_dir(&journal).unwrap();
            let options = tokenize::Options {
                text_field: "text".to_owned(),
                spans_field: None,
                chat: None,
                kinds: Vec::new(),
                eod: Some(256),
                dtype: Dtype::Int32,
                holdout: 0.0,
                shard_text_bytes: None,
                journal,
                unit,
                workers,
                memory_bytes: MEMORY_BYTES,
            };
            let control = Control::default();
            let held = most_held(|| {
                tokenize_unit(&files, &options, || every_byte, &control).unwrap();
            });
            expect_bounded(&files[0].relative, workers, held);
        }
    }
}
