//! The file in the user's cache directory that keeps a tokenizer's tables between two loads.
//!
//! | offset | bytes | is |
//! |---|---|---|
//! | 0 | 8 | `HFTABLES` |
//! | 8 | 16 | [`BUILD`] |
//! | 24 | 32 | SHA-256 of the tokenizer file |
//! | 56 | 8 | bytes of the payload |
//! | 64 | 8 | xxh3 of the payload |
//! | 72 | | the payload: sections, as `stored` describes them |
//!
//! A file is never stale: its name and its header carry the hash of the tokenizer file's content,
//! which is read on every load, and that of the code that builds. A number to be raised by hand
//! would be forgotten one day; this one changes too often instead, which costs a slow load.
//!
//! Nothing that happens to a file here is an error, since loading goes on without it. One that
//! does not fit to the last bit is built anew. The xxh3 guards against accidents only; against
//! others' hands, a file that anyone but its owner may touch is passed over, and whatever it says,
//! the tables check every index. It is not flushed to disk: half a file does not fit either.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::stored::{SectionReader, Sections, Stored};
use crate::output::temporary_name;

/// Hash of the code that builds tables and of the versions of what it uses (`build.rs`).
const BUILD: &str = env!("TOKENIZER_BUILD");
const MAGIC: &[u8] = b"HFTABLES";
const HEADER_BYTES: usize = 72;
/// Tables are kept up to this size and [`BYTES_PER_SOURCE_BYTE`]: Llama-3's are 12 MB of 9.
const BASE_BYTES: usize = 32 << 20;
const BYTES_PER_SOURCE_BYTE: usize = 16;
/// What other versions of this code, or killed writers, left behind goes after this time.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 3600);

/// Where the tables of one tokenizer file are, or would be.
#[derive(Debug)]
pub(super) struct TableFile {
    path: PathBuf,
    sha256: [u8; 32],
    largest_bytes: usize,
}

/// Returns the directory for tables; `None` if it is switched off or there is no home.
///
/// `$HEPHAESTUS_FORGE_CACHE` if set (empty: off), else `hephaestus-forge` in `$XDG_CACHE_HOME`,
/// else in `~/.cache`.
fn directory() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("HEPHAESTUS_FORGE_CACHE") {
        return (!given.is_empty()).then(|| given.into());
    }
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(caches.join("hephaestus-forge"))
}

impl TableFile {
    /// Returns the place for the tables of a file of this hash and size, if there is any.
    pub(super) fn of(sha256: [u8; 32], source_bytes: usize) -> Option<Self> {
        Some(Self::inside(&directory()?, sha256, source_bytes))
    }

    fn inside(directory: &Path, sha256: [u8; 32], source_bytes: usize) -> Self {
        let path = directory.join(format!("{}-{BUILD}.tables", super::hexadecimal(&sha256)));
        let largest_bytes = BASE_BYTES + BYTES_PER_SOURCE_BYTE.saturating_mul(source_bytes);
        Self { path, sha256, largest_bytes }
    }

    /// Returns what was saved, `None` if it is not there or does not fit.
    pub(super) fn load<T: Stored>(&self) -> Option<T> {
        let content = self.read()?;
        let (header, payload) = content.split_at_checked(HEADER_BYTES)?;
        (header == self.header(payload)).then_some(())?;
        let mut sections = SectionReader::new(payload);
        let table = T::restore(&mut sections)?;
        sections.is_at_end().then_some(table)
    }

    fn read(&self) -> Option<Vec<u8>> {
        // Asked before opening, which would wait if it were a pipe.
        let metadata = fs::metadata(&self.path).ok()?;
        let bytes = usize::try_from(metadata.len()).ok()?;
        let is_private = metadata.permissions().mode().trailing_zeros() >= 6;
        let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
        let fits = bytes <= self.largest_bytes;
        (metadata.is_file() && is_ours && is_private && fits).then_some(())?;
        let mut content = Vec::with_capacity(bytes);
        let file = fs::File::open(&self.path).ok()?;
        file.take(metadata.len()).read_to_end(&mut content).ok()?;
        Some(content)
    }

    fn header(&self, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u64).to_le_bytes();
        let hash = xxh3_64(payload).to_le_bytes();
        [MAGIC, BUILD.as_bytes(), &self.sha256, &length, &hash].concat()
    }

    /// Keeps `table` for the next load, if that can be done.
    pub(super) fn save(&self, table: &impl Stored) {
        let temporary = temporary_name(&self.path);
        if self.write(table, &temporary).is_err() {
            // A home that is read-only or full only makes the next load as slow as this one.
            let _ = fs::remove_file(&temporary);
        }
    }

    fn write(&self, table: &impl Stored, temporary: &Path) -> std::io::Result<()> {
        if let Some(directory) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
        let mut sections = Sections::default();
        table.store(&mut sections);
        let payload = sections.into_bytes();
        if HEADER_BYTES + payload.len() > self.largest_bytes {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        file.write_all(&self.header(&payload))?;
        file.write_all(&payload)?;
        drop(file);
        fs::rename(temporary, &self.path)?;
        self.remove_left_behind()
    }

    /// Removes old files of the same tokenizer: those of other builds, and unfinished ones.
    fn remove_left_behind(&self) -> std::io::Result<()> {
        let Some(directory) = self.path.parent() else { return Ok(()) };
        let sha256 = super::hexadecimal(&self.sha256);
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_of_same = name.to_string_lossy().trim_start_matches('.').starts_with(&sha256);
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
            if is_of_same && age > LEFT_BEHIND {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    type Names = Vec<(String, u32)>;

    fn names() -> Names {
        vec![("one".to_owned(), 1), ("two".to_owned(), 2)]
    }

    fn place(directory: &Path) -> TableFile {
        TableFile::inside(directory, [7; 32], 0)
    }

    #[test]
    fn what_is_saved_is_loaded_and_belongs_to_its_owner_alone() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = parent.path().join("a/b");
        let file = place(&directory);
        assert_eq!(file.load::<Names>(), None);
        file.save(&names());
        assert_eq!(file.load(), Some(names()));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&directory), mode(&file.path)), (0o700, 0o600));
        assert_eq!(fs::read_dir(&directory).expect("listed").count(), 1);
        let other = TableFile::inside(&directory, [8; 32], 0);
        fs::copy(&file.path, &other.path).expect("copied");
        assert_eq!(other.load::<Names>(), None, "tables of another tokenizer file");
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o640)).expect("changed");
        assert_eq!(file.load::<Names>(), None, "others may read it");
    }

    #[test]
    fn a_file_with_any_byte_changed_or_missing_is_passed_over_and_replaced() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = place(directory.path());
        file.save(&names());
        let whole = fs::read(&file.path).expect("saved");
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            for content in [&changed[..], &whole[..at], &[&whole[..], &[0]].concat()] {
                fs::write(&file.path, content).expect("written");
                assert_eq!(file.load::<Names>(), None, "byte {at}");
            }
        }
        file.save(&names());
        assert_eq!(fs::read(&file.path).expect("saved"), whole);
    }

    #[test]
    fn where_nothing_can_be_written_nothing_happens() {
        let directory = tempfile::tempdir().expect("a directory");
        let below_a_file = directory.path().join("file/below");
        fs::write(directory.path().join("file"), "").expect("written");
        place(&below_a_file).save(&names());
        assert_eq!(place(&below_a_file).load::<Names>(), None);
        let taken = place(directory.path());
        fs::create_dir(&taken.path).expect("made");
        taken.save(&names());
        assert_eq!(taken.load::<Names>(), None);
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 2);
    }

    #[test]
    fn tables_out_of_all_proportion_are_neither_written_nor_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let small = TableFile { largest_bytes: 100, ..place(directory.path()) };
        small.save(&names());
        assert!(!small.path.exists());
        place(directory.path()).save(&names());
        assert_eq!(small.load::<Names>(), None);
        assert_eq!(place(directory.path()).load(), Some(names()));
    }

    #[test]
    fn old_files_of_the_same_tokenizer_go() {
        let directory = tempfile::tempdir().expect("a directory");
        let sha256 = crate::tokenizer::hexadecimal(&[7; 32]);
        let old = [format!("{sha256}-0.tables"), format!(".{sha256}-0.tables.1-2-3.tmp")];
        let kept = [format!("{sha256}-1.tables"), "other.tables".to_owned()];
        let two_days_ago = SystemTime::now() - 2 * LEFT_BEHIND;
        for name in old.iter().chain(&kept) {
            let file = fs::File::create(directory.path().join(name)).expect("made");
            if !name.contains("-1") {
                file.set_modified(two_days_ago).expect("aged");
            }
        }
        place(directory.path()).save(&names());
        assert!(place(directory.path()).path.exists());
        assert!(old.iter().all(|name| !directory.path().join(name).exists()));
        assert!(kept.iter().all(|name| directory.path().join(name).exists()));
    }
}
