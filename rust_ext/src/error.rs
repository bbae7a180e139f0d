//! The one error type of the crate.
//!
//! Every variant says what was expected, what came and where, so that the line a user sees needs
//! no context. `python` maps it: wrong arguments become `ValueError`, files `OSError`, damaged
//! data `CorruptDataError`.

use std::path::{Path, PathBuf};

/// What every fallible function of the crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument that can never work.
    #[error("{0}")]
    Argument(String),
    /// The operating system refused something about a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is not what its name or header says.
    #[error("{}: {message}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        message: String,
    },
    /// A tokenizer file that cannot be understood.
    #[error("{}: {message}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What was expected and what came.
        message: String,
    },
    /// The caller asked for the work to stop.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Returns an `Io` error that names its file.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_path_buf(), source }
    }

    /// Returns a `Corrupt` error that names its file.
    pub fn corrupt(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Corrupt { path: path.as_ref().to_path_buf(), message: message.into() }
    }

    /// Returns a `Tokenizer` error that names its file.
    pub fn tokenizer(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Tokenizer { path: path.as_ref().to_path_buf(), message: message.into() }
    }
}
