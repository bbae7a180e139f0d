//! Bytes from file to file inside the kernel, with what to do where it refuses.
//!
//! `copy_file_range` moves them without a copy where the file system can share blocks, and with one
//! otherwise; across file systems and on some network ones it refuses, then `sendfile` does it with
//! one copy, and where that refuses too, they come through a buffer of ours.

use std::fs::File;
use std::io::{Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{copy_file_range, sendfile};
use rustix::io::Errno;

use crate::control::Control;
use crate::{Error, Result};

/// Bytes asked for at a time: a few hundredths of a second, so that Ctrl-C is heard.
const CHUNK_BYTES: u64 = 64 << 20;

const BUFFER_BYTES: usize = 1 << 20;

/// Refusals that concern the pair of file systems or the call, not the bytes.
const REFUSALS: [Errno; 7] = [
    Errno::XDEV,
    Errno::INVAL,
    Errno::OPNOTSUPP,
    Errno::NOSYS,
    Errno::PERM, // what a container's filter answers
    Errno::BADF, // `copy_file_range` to some special files
    Errno::OVERFLOW,
];

/// How bytes are moved, the best one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Method {
    CopyFileRange,
    Sendfile,
    ReadWrite,
}

impl Method {
    /// Returns the name that users see.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CopyFileRange => "copy_file_range",
            Self::Sendfile => "sendfile",
            Self::ReadWrite => "read and write",
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::CopyFileRange => Some(Self::Sendfile),
            Self::Sendfile => Some(Self::ReadWrite),
            Self::ReadWrite => None,
        }
    }
}

/// Appends parts of files to one file; what was refused once is not tried again.
pub(super) struct KernelCopy<'a> {
    to: &'a File,
    to_path: &'a Path,
    method: Method,
    buffer: Vec<u8>,
}

impl<'a> KernelCopy<'a> {
    /// Begins at the position of `to`, which must not be open for appending.
    pub(super) fn new(to: &'a File, to_path: &'a Path) -> Self {
        Self { to, to_path, method: Method::CopyFileRange, buffer: Vec::new() }
    }

    /// Returns how the last bytes were moved.
    pub(super) fn method(&self) -> Method {
        self.method
    }

    /// Appends a range of the bytes of a file.
    ///
    /// # Errors
    /// `Corrupt` when the file ends before the range does; `Io`; `Interrupted`.
    pub(super) fn append(
        &mut self,
        path: &Path,
        mut range: Range<u64>,
        control: &Control,
    ) -> Result<()> {
        let from = File::open(path).map_err(|source| Error::io(path, source))?;
        while !range.is_empty() {
            control.check()?;
            let wanted = CHUNK_BYTES.min(range.end - range.start);
            match self.step(&from, path, range.start, wanted)? {
                Some(moved) if moved > 0 => range.start += moved,
                // Some kernels answer 0 where they cannot: the end is believed last.
                _ => match self.method.next() {
                    Some(next) => self.method = next,
                    None => {
                        return Err(Error::corrupt(
                            path,
                            format!(
                                "expected {} bytes, found {}: it became shorter while it was read",
                                range.end, range.start
                            ),
                        ));
                    }
                },
            }
        }
        Ok(())
    }

    /// Moves up to `wanted` bytes; `None` where this method does not work.
    fn step(&mut self, from: &File, path: &Path, start: u64, wanted: u64) -> Result<Option<u64>> {
        let mut offset = start;
        let count = usize::try_from(wanted).unwrap_or(usize::MAX);
        let moved = match self.method {
            Method::CopyFileRange => copy_file_range(from, Some(&mut offset), self.to, None, count),
            Method::Sendfile => sendfile(self.to, from, Some(&mut offset), count),
            Method::ReadWrite => return self.through_a_buffer(from, path, start, count).map(Some),
        };
        match moved {
            Ok(moved) => Ok(Some(moved as u64)),
            Err(Errno::INTR) => self.step(from, path, start, wanted),
            Err(refusal) if REFUSALS.contains(&refusal) => Ok(None),
            Err(other) => Err(Error::io(self.to_path, other.into())),
        }
    }

    fn through_a_buffer(
        &mut self,
        from: &File,
        path: &Path,
        start: u64,
        count: usize,
    ) -> Result<u64> {
        self.buffer.resize(BUFFER_BYTES, 0);
        let wanted = count.min(BUFFER_BYTES);
        let read = from
            .read_at(&mut self.buffer[..wanted], start)
            .map_err(|source| Error::io(path, source))?;
        self.to
            .write_all(&self.buffer[..read])
            .map_err(|source| Error::io(self.to_path, source))?;
        Ok(read as u64)
    }
}

/// Reads a range of a file that was just written, from its beginning to its end.
pub(super) fn read_range(path: &Path, range: &Range<u64>) -> Result<impl Read + use<>> {
    use std::io::{Seek, SeekFrom};
    let failed = |source| Error::io(path, source);
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
    Ok(file.take(range.end - range.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied_by(method: Method, content: &[u8], range: Range<u64>) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        std::fs::write(&from, content).unwrap();
        let file = File::create(&to).unwrap();
        (&file).write_all(b"before").unwrap();
        let mut copy = KernelCopy::new(&file, &to);
        copy.method = method;
        copy.append(&from, range, &Control::default()).unwrap();
        assert!(copy.method() >= method);
        std::fs::read(&to).unwrap()
    }

    #[test]
    fn every_method_appends_the_range_asked_for() {
        let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let expected = [b"before", &content[5..11_000_001]].concat();
        for method in [Method::CopyFileRange, Method::Sendfile, Method::ReadWrite] {
            assert_eq!(copied_by(method, &content, 5..11_000_001), expected, "{method:?}");
            assert_eq!(copied_by(method, &content, 7..7), b"before", "{method:?}");
        }
    }

    #[test]
    fn a_file_that_became_shorter_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        std::fs::write(&from, [7; 100]).unwrap();
        let file = File::create(&to).unwrap();
        let mut copy = KernelCopy::new(&file, &to);
        let error = copy.append(&from, 0..101, &Control::default()).unwrap_err().to_string();
        assert!(
            error.ends_with("expected 101 bytes, found 100: it became shorter while it was read")
        );
        assert_eq!(copy.method(), Method::ReadWrite);
    }

    #[test]
    fn where_the_kernel_refuses_the_bytes_come_nevertheless() {
        // Files of /proc say that they are empty, and are read only.
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("to");
        let file = File::create(&to).unwrap();
        let mut copy = KernelCopy::new(&file, &to);
        let version = std::fs::read("/proc/version").unwrap();
        let length = version.len() as u64;
        copy.append(Path::new("/proc/version"), 0..length, &Control::default()).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), version);
        assert!(copy.method() > Method::CopyFileRange);
    }

    #[test]
    fn a_cancelled_copy_stops() {
        let control = Control::default();
        control.cancel();
        let file = tempfile::tempfile().unwrap();
        let mut copy = KernelCopy::new(&file, Path::new("to"));
        let stopped = copy.append(Path::new("/proc/version"), 0..1, &control);
        assert!(matches!(stopped, Err(Error::Interrupted)));
    }
}
