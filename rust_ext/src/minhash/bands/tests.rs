use std::collections::BTreeMap;

use super::super::keep::Keep;
use super::super::keys::KeyReader;
use super::super::sign::{self, sign_unit};
use super::*;
use crate::input::InputFile;

const SHAPE: Shape = Shape { ngram_size: 1, num_bands: 3, rows_per_band: 2, seed: 1 };

/// Signs units of lines that stand for texts and ids, with a few words each.
fn units(directory: &Path, units: &[Vec<(String, String)>]) -> Vec<PathBuf> {
    let sign = |(number, lines): (usize, &Vec<(String, String)>)| {
        let relative = format!("{number}.jsonl");
        let path = directory.join(&relative);
        let lines =
            lines.iter().map(|(id, text)| format!("{{\"id\": \"{id}\", \"text\": \"{text}\"}}\n"));
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        let options = sign::Options {
            shape: SHAPE,
            key: crate::minhash::text_key::TextKey::Text,
            keep: Keep::default(),
            fingerprint: 3,
            output: directory.join(format!("{number:05}.sign")),
            rejected: directory.join("rejected"),
            workers: 2,
            memory_bytes: 1 << 30,
        };
        sign_unit(&[InputFile { path, relative }], &options, &Control::default()).unwrap();
        options.output
    };
    units.iter().enumerate().map(sign).collect()
}

fn some_units(directory: &Path) -> Vec<PathBuf> {
    let text = |n: u64| match n % 10 {
        0..4 => "the same words".to_owned(),
        4 => String::from("!"),
        _ => format!("w{} w{} w{}", n % 97, n % 7, n % 31),
    };
    let line = |n: u64| (format!("id {n}"), text(n));
    units(directory, &[(0..900).map(line).collect(), Vec::new(), (900..4_000).map(line).collect()])
}

fn options(signatures: Vec<PathBuf>, workers: usize, memory_bytes: usize) -> Options {
    Options { shape: SHAPE, fingerprint: 3, signatures, workers, memory_bytes }
}

/// Writes all parts and returns the bytes of each.
fn found(directory: &Path, options: &Options) -> Vec<Vec<u8>> {
    let parts: Vec<_> = (0..5).map(|part| (part, directory.join(format!("b{part}")))).collect();
    find_buckets(&parts, options, &Control::default()).unwrap();
    parts.iter().map(|(_, path)| std::fs::read(path).unwrap()).collect()
}

/// Returns the groups of an array of keys, found in a map.
fn grouped(signatures: &[PathBuf], array: usize) -> Vec<Vec<u64>> {
    let mut groups: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut first = 0;
    for unit in open_all(signatures, 3).unwrap() {
        for (line, keys) in unit.key_sections(array).unwrap() {
            let take = |key: u64, at| {
                groups.entry(key).or_default().push(first + line + u64::from(at));
                Ok(())
            };
            KeyReader::default().read(unit.reader(), keys, KeyRange::ALL, take).unwrap();
        }
        first += unit.records();
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

#[test]
fn memory_and_workers_change_no_byte() {
    let directory = tempfile::tempdir().unwrap();
    let signatures = some_units(directory.path());
    let expected = found(directory.path(), &options(signatures.clone(), 1, 1 << 30));
    for (workers, memory_bytes) in [(3, 1 << 30), (2, 2 * THREAD_BYTES), (2, 3_000), (1, 1)] {
        let options = options(signatures.clone(), workers, memory_bytes);
        assert!(found(directory.path(), &options) == expected, "{workers} {memory_bytes}");
    }
}

#[test]
fn groups_hold_all_records_of_all_units_that_agree() {
    let directory = tempfile::tempdir().unwrap();
    let signatures = some_units(directory.path());
    found(directory.path(), &options(signatures.clone(), 2, 5_000));
    let read = |part: usize| -> Vec<Vec<u64>> {
        let groups = Groups::open(&directory.path().join(format!("b{part}")), 3).unwrap();
        assert_eq!(groups.records(), 4_000);
        groups.read().unwrap().collect::<Result<_>>().unwrap()
    };
    for band in 0..3 {
        let groups = read(band);
        assert!(groups == grouped(&signatures, band));
        // A record without words is in no band.
        assert!(groups.iter().flatten().all(|record| record % 10 != 4));
        assert!(groups.iter().any(|group| group.len() >= 1_600));
    }
    let texts = read(3);
    let same: Vec<u64> = (0..4_000).filter(|record| record % 10 < 4).collect();
    assert!(texts.contains(&same));
    assert!(texts.contains(&(4..4_000).step_by(10).collect::<Vec<u64>>()));
    assert!(read(4).is_empty());
}

#[test]
fn an_id_that_occurs_twice_is_named_with_both_places() {
    let directory = tempfile::tempdir().unwrap();
    let line = |id: &str| (id.to_owned(), id.to_owned());
    let signatures = units(
        directory.path(),
        &[vec![line("a"), line("twin"), line("b")], vec![line("c"), line("d"), line("twin")]],
    );
    let parts = [(4, directory.path().join("b4"))];
    let error = find_buckets(&parts, &options(signatures, 1, 1), &Control::default()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("every id once, twin occurs in "), "{error}");
    assert!(error.contains("0.jsonl (record 1) and in "), "{error}");
    assert!(error.contains("1.jsonl (record 2)"), "{error}");
    assert!(!parts[0].1.exists());
}

#[test]
fn parts_are_numbered_by_what_is_compared_then_by_range() {
    let few = Parts::new(&SHAPE, RANGE_RECORDS);
    assert_eq!(few.ranges(), 1);
    assert_eq!(Parts::new(&SHAPE, 0).ranges(), 1);
    assert_eq!(few.get(3).unwrap(), Part { compared: Compared::Text, range: 0 });
    assert!(few.get(5).unwrap_err().to_string().contains("part (5) must be below 5"));
    let many = Parts::new(&SHAPE, 2 * RANGE_RECORDS + 1);
    assert_eq!(many.ranges(), 3);
    assert_eq!(many.get(0).unwrap(), Part { compared: Compared::Band(0), range: 0 });
    assert_eq!(many.get(8).unwrap(), Part { compared: Compared::Band(2), range: 2 });
    assert_eq!(many.get(10).unwrap(), Part { compared: Compared::Text, range: 1 });
    assert_eq!(many.get(14).unwrap(), Part { compared: Compared::Id, range: 2 });
    assert!(many.get(15).is_err());
}
