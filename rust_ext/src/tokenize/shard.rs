//! The shards of a unit, one after another, each with its journal entry.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::batch::{Encoded, Event, count};
use super::{Options, Reasons};
use crate::indexed::{Dtype, Writer};
use crate::input::Position;
use crate::input::shares::Shares;
use crate::output::{AtomicFile, FileSummary, Share, ZstdFile};
use crate::{Error, Result};

const SERIES: [&str; 2] = ["part", "valid"];

/// The files of one series of a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// `part` or `valid`.
    pub series: String,
    /// Documents.
    pub documents: u64,
    /// Elements, end-of-document tokens included.
    pub tokens: u64,
    /// Elements that are trained; `None` without masks: then all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_tokens: Option<u64>,
    /// Bytes of text.
    pub text_bytes: u64,
    /// By source and kind.
    pub composition: Vec<Share>,
    /// `.bin`, `.idx` and `.ids.zst`, and with masks `_mask.bin` and `_mask.idx`.
    pub files: BTreeMap<String, FileSummary>,
}

/// A finished shard: what it holds, and what was read until its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardEntry {
    /// Its number in the unit.
    pub shard: u64,
    /// Where the next shard begins to read.
    pub end: Position,
    /// Lines seen.
    pub native: u64,
    /// Records dropped, by rule.
    pub dropped: Reasons,
    /// Lines rejected, by reason.
    pub rejected: Reasons,
    /// How often messages of its documents spell a token of the tokenizer.
    #[serde(default)]
    pub literal_tokens: u64,
    /// The series that got documents.
    pub series: Vec<FileEntry>,
    /// Name of the file of its rejected lines, in the journal.
    pub rejected_file: Option<String>,
}

/// One series of the shard being written.
struct Open {
    writer: Writer,
    /// With how many of its elements are 1.
    mask: Option<(Writer, u64)>,
    ids: ZstdFile,
    text_bytes: u64,
    shares: Shares,
    /// Records and bytes of text of each share.
    sums: Vec<(u64, u64)>,
}

impl Open {
    /// Adds a document of a source and kind.
    fn count(&mut self, (source, kind): &(String, String), text_bytes: u64) {
        self.text_bytes += text_bytes;
        let share = self.shares.number_within(source, kind) as usize;
        if share == self.sums.len() {
            self.sums.push((0, 0));
        }
        let (records, bytes) = &mut self.sums[share];
        *records += 1;
        *bytes += text_bytes;
    }

    /// Gives the files their names and returns what they hold.
    fn finish(self, series: &str) -> Result<FileEntry> {
        let ids = self.ids.finish()?;
        let written = self.writer.finish()?;
        let mut files = vec![(".bin", written.bin), (".idx", written.idx), (".ids.zst", ids)];
        let mut trained_tokens = None;
        if let Some((mask, trained)) = self.mask {
            let written = mask.finish()?;
            files.extend([("_mask.bin", written.bin), ("_mask.idx", written.idx)]);
            trained_tokens = Some(trained);
        }
        let counted = self.shares.into_all().into_iter().zip(self.sums);
        let mut composition: Vec<Share> = counted
            .map(|((source, kind), (records, text_bytes))| Share {
                source,
                kind,
                records,
                text_bytes,
            })
            .collect();
        composition.sort_unstable_by(|a, b| (&a.source, &a.kind).cmp(&(&b.source, &b.kind)));
        Ok(FileEntry {
            series: series.to_owned(),
            documents: written.documents,
            tokens: written.tokens,
            trained_tokens,
            text_bytes: self.text_bytes,
            composition,
            files: files.into_iter().map(|(name, file)| (name.to_owned(), file)).collect(),
        })
    }
}

/// Appends encoded batches to the shards of a unit.
pub(super) struct UnitWriter<'a> {
    options: &'a Options,
    finished: Vec<ShardEntry>,
    current: ShardEntry,
    open: [Option<Open>; 2],
    rejected: Option<ZstdFile>,
    text_bytes: u64,
    /// Lengths of the documents being written, by series; empty between calls.
    lengths: [Vec<u32>; 2],
}

impl<'a> UnitWriter<'a> {
    /// Begins behind the shards that an earlier run finished; returns where to read on.
    pub(super) fn open(options: &'a Options) -> Result<(Self, Position)> {
        let mut finished: Vec<ShardEntry> = Vec::new();
        while let Some(entry) = read_entry(options, finished.len() as u64)? {
            finished.push(entry);
        }
        let end = finished.last().map_or(Position::default(), |entry| entry.end);
        let current = ShardEntry { shard: finished.len() as u64, end, ..ShardEntry::default() };
        let (open, lengths) = ([None, None], Default::default());
        let writer =
            Self { options, finished, current, open, rejected: None, text_bytes: 0, lengths };
        Ok((writer, end))
    }

    /// Appends a batch, finishing shards where their text reaches the size asked for.
    pub(super) fn append(&mut self, encoded: &Encoded) -> Result<()> {
        let limit = self.options.shard_text_bytes.unwrap_or(u64::MAX);
        let mut piece =
            Piece { file: encoded.file, from: encoded.first_record, ..Piece::default() };
        let mut start = 0;
        let mut text_bytes = 0;
        for (index, event) in encoded.events.iter().enumerate() {
            if let Event::Document { text_bytes: bytes, .. } = event {
                text_bytes += u64::from(*bytes);
            }
            if self.text_bytes + text_bytes >= limit {
                self.write(encoded, start..index + 1, &mut piece)?;
                self.finish_shard()?;
                start = index + 1;
                text_bytes = 0;
            }
        }
        let end = encoded.events.len();
        self.write(encoded, start..end, &mut piece)
    }

    /// Finishes the last shard and returns all of the unit.
    pub(super) fn finish(mut self) -> Result<Vec<ShardEntry>> {
        if self.current.native > 0 {
            self.finish_shard()?;
        }
        Ok(self.finished)
    }

    fn write(
        &mut self,
        encoded: &Encoded,
        events: std::ops::Range<usize>,
        piece: &mut Piece,
    ) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let from = *piece;
        // 1, 2 or 4
        let size = self.options.dtype.size();
        let mut lengths = std::mem::take(&mut self.lengths);
        for event in &encoded.events[events.clone()] {
            count(event, &mut self.current.dropped, &mut self.current.rejected);
            match event {
                Event::Document { series, tokens, id_bytes, text_bytes, share, literal_tokens } => {
                    self.current.literal_tokens += u64::from(*literal_tokens);
                    let which = *series as usize;
                    lengths[which].push(*tokens);
                    piece.elements[which] += u64::from(*tokens) * size;
                    piece.masks[which] += *tokens as usize;
                    piece.ids[which] += *id_bytes as usize;
                    let text_bytes = u64::from(*text_bytes);
                    self.text_bytes += text_bytes;
                    let share = &encoded.shares.all()[*share as usize];
                    self.series(which)?.count(share, text_bytes);
                }
                Event::Rejected(_, bytes) => piece.rejected += bytes,
                Event::Dropped(_) => {}
            }
        }
        for (which, lengths) in lengths.iter_mut().enumerate() {
            if !lengths.is_empty() {
                let open = self.series(which)?;
                open.writer.append_lengths(lengths)?;
                let (start, end) = (from.elements[which], piece.elements[which]);
                encoded.elements[which]
                    .copy(start, end, |bytes| open.writer.append_elements(bytes))?;
                open.ids.append(&encoded.ids[which][from.ids[which]..piece.ids[which]])?;
                if let Some((mask, trained)) = &mut open.mask {
                    let elements = from.masks[which]..piece.masks[which];
                    let elements = &encoded.masks[which][elements];
                    *trained += elements.iter().map(|&element| u64::from(element)).sum::<u64>();
                    mask.append_lengths(lengths)?;
                    mask.append_elements(elements)?;
                }
                lengths.clear();
            }
        }
        self.lengths = lengths;
        if piece.rejected > from.rejected {
            let lines = &encoded.rejected[from.rejected..piece.rejected];
            if self.rejected.is_none() {
                self.rejected = Some(ZstdFile::create(&self.path("rejected", ".jsonl.zst"))?);
            }
            if let Some(file) = &mut self.rejected {
                file.append(lines)?;
            }
        }
        self.current.native += events.len() as u64;
        piece.from += events.len() as u64;
        self.current.end = Position { file: piece.file, record: piece.from };
        Ok(())
    }

    fn series(&mut self, which: usize) -> Result<&mut Open> {
        if self.open[which].is_none() {
            let name = SERIES[which];
            let mask = if self.options.has_masks() {
                let (bin, idx) = (self.path(name, "_mask.bin"), self.path(name, "_mask.idx"));
                Some((Writer::create(&bin, &idx, Dtype::Uint8)?, 0))
            } else {
                None
            };
            self.open[which] = Some(Open {
                writer: Writer::create(
                    &self.path(name, ".bin"),
                    &self.path(name, ".idx"),
                    self.options.dtype,
                )?,
                mask,
                ids: ZstdFile::create(&self.path(name, ".ids.zst"))?,
                text_bytes: 0,
                shares: Shares::default(),
                sums: Vec::new(),
            });
        }
        match &mut self.open[which] {
            Some(open) => Ok(open),
            None => unreachable!("opened just above"),
        }
    }

    fn path(&self, series: &str, extension: &str) -> PathBuf {
        let (unit, shard) = (self.options.unit, self.current.shard);
        self.options.journal.join(format!("{unit:05}-{shard:05}-{series}{extension}"))
    }

    fn finish_shard(&mut self) -> Result<()> {
        let mut entry = std::mem::take(&mut self.current);
        for (which, open) in self.open.iter_mut().enumerate() {
            if let Some(open) = open.take() {
                entry.series.push(open.finish(SERIES[which])?);
            }
        }
        if let Some(file) = self.rejected.take() {
            file.finish()?;
            let (unit, shard) = (self.options.unit, entry.shard);
            entry.rejected_file = Some(format!("{unit:05}-{shard:05}-rejected.jsonl.zst"));
        }
        write_entry(self.options, &entry)?;
        self.text_bytes = 0;
        self.current.shard = entry.shard + 1;
        self.current.end = entry.end;
        self.finished.push(entry);
        Ok(())
    }
}

/// How much of an encoded batch has been written.
#[derive(Clone, Copy, Default)]
struct Piece {
    file: usize,
    from: u64,
    elements: [u64; 2],
    masks: [usize; 2],
    ids: [usize; 2],
    rejected: usize,
}

fn entry_path(options: &Options, shard: u64) -> PathBuf {
    options.journal.join(format!("{:05}-{shard:05}.json", options.unit))
}

fn read_entry(options: &Options, shard: u64) -> Result<Option<ShardEntry>> {
    let path = entry_path(options, shard);
    match std::fs::read(&path) {
        Ok(content) => serde_json::from_slice(&content)
            .map(Some)
            .map_err(|error| Error::corrupt(&path, format!("expected a journal entry, {error}"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(&path, error)),
    }
}

fn write_entry(options: &Options, entry: &ShardEntry) -> Result<()> {
    let path = entry_path(options, entry.shard);
    let content = serde_json::to_vec(entry)
        .map_err(|error| Error::Argument(format!("{}: {error}", path.display())))?;
    let mut file = AtomicFile::create(&path)?;
    file.append(&content)?;
    file.finish().map(|_| ())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Options, Sink, UnitSummary, tokenize_unit};
    use crate::control::Control;
    use crate::indexed::{Dtype, Reader};
    use crate::input::InputFile;

    fn options(journal: &Path, workers: usize) -> Options {
        Options {
            text_field: "text".into(),
            spans_field: None,
            chat: None,
            kinds: vec![],
            eod: Some(0),
            dtype: Dtype::Uint16,
            holdout: 0.3,
            shard_text_bytes: Some(40_000),
            journal: journal.to_path_buf(),
            unit: 7,
            workers,
            memory_bytes: 1 << 24,
        }
    }

    /// A byte is a token, as a stand-in for a tokenizer.
    fn run(
        files: &[InputFile],
        options: &Options,
        control: &Control,
    ) -> crate::Result<UnitSummary> {
        tokenize_unit(
            files,
            options,
            || {
                |text: &str, sink: &mut Sink<'_>| {
                    sink(&text.bytes().map(u32::from).collect::<Vec<_>>())
                }
            },
            control,
        )
    }

    fn input(directory: &Path) -> Vec<InputFile> {
        use std::fmt::Write as _;
        ["a.jsonl", "b.jsonl"]
            .map(|name| {
                let mut lines = String::new();
                for number in 0..5000 {
                    match number % 100 {
                        7 => lines.push_str("broken\n"),
                        9 => lines.push_str("{\"text\": \"\"}\n"),
                        11 => writeln!(lines, "{{\"text\": \"no id {number}\"}}").unwrap(),
                        _ => writeln!(
                            lines,
                            "{{\"id\": \"{name}-{number}\", \"text\": \"text {number}\"}}"
                        )
                        .unwrap(),
                    }
                }
                let path = directory.join(name);
                std::fs::write(&path, lines).unwrap();
                InputFile { path, relative: name.into() }
            })
            .into()
    }

    fn content(directory: &Path) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn workers_and_kills_change_no_byte() {
        let directory = tempfile::tempdir().unwrap();
        let files = input(directory.path());
        let mut expected = None;
        for workers in [1, 2, 5] {
            let journal = tempfile::tempdir().unwrap();
            let options = options(journal.path(), workers);
            let summary = run(&files, &options, &Control::default()).unwrap();
            assert!(summary.shards.len() > 2, "{}", summary.shards.len());
            let native: u64 = summary.shards.iter().map(|shard| shard.native).sum();
            assert_eq!(native, 10_000);
            let documents: u64 = summary
                .shards
                .iter()
                .flat_map(|shard| &shard.series)
                .map(|each| each.documents)
                .sum();
            assert_eq!(documents, 9_800);
            let found = content(journal.path());
            // Taking away the last shards is what a kill leaves behind.
            for (name, _) in found.iter().filter(|(name, _)| name.as_str() >= "00007-00001-") {
                std::fs::remove_file(journal.path().join(name)).unwrap();
            }
            let _ = std::fs::remove_file(journal.path().join("00007-00001.json"));
            let again = run(&files, &options, &Control::default()).unwrap();
            assert_eq!(again.shards, summary.shards);
            assert_eq!(again.inputs, summary.inputs);
            assert_eq!(content(journal.path()), found);
            assert_eq!(*expected.get_or_insert_with(|| found.clone()), found);
        }
    }

    #[test]
    fn every_document_ends_in_one_eod_and_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let files = input(directory.path());
        let journal = tempfile::tempdir().unwrap();
        let summary = run(&files, &options(journal.path(), 2), &Control::default()).unwrap();
        for shard in &summary.shards {
            for series in &shard.series {
                let prefix =
                    journal.path().join(format!("00007-{:05}-{}", shard.shard, series.series));
                let reader = Reader::open(&prefix).unwrap();
                let audit = reader.audit(Some(0), Some(256), &Control::default()).unwrap();
                assert_eq!((audit.documents, audit.tokens), (series.documents, series.tokens));
                assert_eq!(audit.misplaced_eod, 0);
                let mut ids = prefix.into_os_string();
                ids.push(".ids.zst");
                let ids = zstd::decode_all(std::fs::File::open(ids).unwrap()).unwrap();
                let lines: Vec<_> = std::str::from_utf8(&ids).unwrap().lines().collect();
                assert_eq!(lines.len() as u64, series.documents);
                let first: Vec<u8> = reader
                    .document(0)
                    .unwrap()
                    .iter()
                    .map(|&token| u8::try_from(token).unwrap())
                    .collect();
                let number = lines[0].rsplit(['-', '#']).next().unwrap();
                assert!(String::from_utf8(first).unwrap().contains(number));
            }
        }
    }

    #[test]
    fn what_gives_the_token_that_ends_documents_or_none_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        std::fs::write(&path, "{\"text\": \"a\"}\n{\"text\": \"bx\"}\n{\"text\": \"-\"}\n")
            .unwrap();
        let files = [InputFile { path, relative: "a.jsonl".into() }];
        let mut options = Options { eod: Some(u32::from(b'x')), ..options(directory.path(), 1) };
        options.holdout = 0.0;
        let begin = || {
            |text: &str, sink: &mut Sink<'_>| {
                text.bytes().filter(|&byte| byte != b'-').try_for_each(|id| sink(&[id.into()]))
            }
        };
        let summary = tokenize_unit(&files, &options, begin, &Control::default()).unwrap();
        let shard = &summary.shards[0];
        assert_eq!(shard.rejected, [("end_of_document_inside".to_owned(), 1)].into());
        assert_eq!(shard.dropped, [("no_tokens".to_owned(), 1)].into());
        assert_eq!((shard.native, shard.series[0].documents), (3, 1));
        let prefix = directory.path().join("00007-00000-part");
        assert_eq!(Reader::open(&prefix).unwrap().document(0).unwrap(), [97, 120]);
    }
}
