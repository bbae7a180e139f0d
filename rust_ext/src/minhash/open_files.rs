//! Files kept open for reading, a bounded number at a time.
//!
//! A corpus has more units than a process may have files, and opening one on a shared file system
//! costs more than reading a few lines of it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, Result};

/// Well below the 1,024 files that a process may have where nobody changed the limit.
const MOST_OPEN: usize = 256;

/// Files by their path, opened at their first use. Shared by threads.
#[derive(Debug)]
pub struct OpenFiles {
    open: Mutex<HashMap<PathBuf, Arc<File>>>,
    most: usize,
}

impl Default for OpenFiles {
    /// Keeps at most a quarter of the files that the process may have.
    fn default() -> Self {
        let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let quarter =
            allowed.map_or(MOST_OPEN, |most| usize::try_from(most / 4).unwrap_or(MOST_OPEN).max(1));
        Self { open: Mutex::default(), most: quarter.min(MOST_OPEN) }
    }
}

impl OpenFiles {
    /// Fills `bytes` with what stands at `offset` of the file at `path`.
    ///
    /// # Errors
    /// `Io` when the file cannot be opened or read, or is shorter.
    pub fn read_exact_at(&self, path: &Path, bytes: &mut [u8], offset: u64) -> Result<()> {
        self.get(path)?.read_exact_at(bytes, offset).map_err(|source| Error::io(path, source))
    }

    fn get(&self, path: &Path) -> Result<Arc<File>> {
        if let Some(file) = self.open.lock().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Ok(Arc::clone(file));
        }
        // Not under the lock: other threads need not wait for a slow file system.
        let file = Arc::new(File::open(path).map_err(|source| Error::io(path, source))?);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= self.most {
            // Files are read one after another, so that hardly any of these is needed again; those
            // that are being read stay open until then.
            open.clear();
        }
        open.insert(path.to_path_buf(), Arc::clone(&file));
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_files_than_may_be_open_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> =
            (0..MOST_OPEN + 10).map(|number| directory.path().join(number.to_string())).collect();
        for (number, path) in paths.iter().enumerate() {
            std::fs::write(path, format!("file {number:05}")).unwrap();
        }
        let files = OpenFiles::default();
        for _ in 0..2 {
            for (number, path) in paths.iter().enumerate() {
                let mut bytes = [0; 5];
                files.read_exact_at(path, &mut bytes, 5).unwrap();
                assert_eq!(bytes, *format!("{number:05}").as_bytes());
                assert!(files.open.lock().unwrap().len() <= files.most);
            }
        }
        assert!(files.read_exact_at(&paths[0], &mut [0; 11], 0).is_err());
        assert!(files.read_exact_at(&directory.path().join("none"), &mut [], 0).is_err());
    }
}
