//! Which file of a directory is its tokenizer.

use std::path::{Path, PathBuf};

use super::tiktoken::is_rank_file;
use crate::{Error, Result};

/// Names that are a tokenizer, the one preferred first.
const NAMES: [&str; 2] = ["tokenizer.json", "tokenizer.model"];
/// Enough of a file to see that it is a rank file.
const HEAD_BYTES: u64 = 1_024;

/// Returns `path` itself, or for a directory the tokenizer in it.
///
/// # Errors
/// [`Error::Tokenizer`] if a directory has no tokenizer, or several rank files and nothing else.
pub(super) fn find(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    if let Some(file) = NAMES.map(|name| path.join(name)).into_iter().find(|file| file.is_file()) {
        return Ok(file);
    }
    let mut rank_files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| Error::io(path, error))? {
        let file = entry.map_err(|error| Error::io(path, error))?.path();
        if file.is_file() && is_rank_file(&head(&file)?) {
            rank_files.push(file);
        }
    }
    rank_files.sort();
    match rank_files.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Error::tokenizer(
            path,
            "expected tokenizer.json, tokenizer.model or a tiktoken rank file, found none",
        )),
        several => {
            let names: Vec<_> = several
                .iter()
                .filter_map(|file| Some(file.file_name()?.to_string_lossy()))
                .collect();
            let names = names.join(", ");
            Err(Error::tokenizer(path, format!("several rank files, name one: {names}")))
        }
    }
}

fn head(file: &Path) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let mut head = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| Error::io(file, error))?;
    opened.take(HEAD_BYTES).read_to_end(&mut head).map_err(|error| Error::io(file, error))?;
    Ok(head)
}
