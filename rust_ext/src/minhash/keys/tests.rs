use proptest::prelude::*;

use super::super::sections::Kind;
use super::*;

fn written<K: Key>(path: &std::path::Path, keys: &[K]) -> (Reader, KeySection) {
    let mut writer = Writer::create(path, Kind::Signatures, 1).unwrap();
    let mut rows = KeyRows::default();
    for (line, &key) in (0..=u16::MAX).zip(keys) {
        rows.push(key, line);
    }
    let section = rows.write(&mut writer, &mut Vec::new()).unwrap();
    assert!(rows.keys.is_empty() && rows.lines.is_empty());
    writer.finish(0).unwrap();
    (Reader::open(path, Kind::Signatures, 1).unwrap(), section)
}

fn read<K: Key>(reader: &Reader, section: KeySection, range: KeyRange) -> Vec<(K, u16)> {
    let mut found = Vec::new();
    let take = |key, line| {
        found.push((key, line));
        Ok(())
    };
    KeyReader::default().read(reader, section, range, take).unwrap();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn parts_of_the_range_give_every_row_once_and_in_order(
        count in prop_oneof![0_u64..20, 200_u64..5_000, Just(65_536_u64)],
        parts in 1_u64..40,
        seed in any::<u64>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let hash = |value: u64| xxh3_64(&(value ^ seed).to_le_bytes());
        // Some keys occur twice and more.
        let keys: Vec<u64> = (0..count).map(|line| hash(line % 3_000)).collect();
        let wide: Vec<Wide> = keys.iter().map(|&key| [key, hash(key)]).collect();
        let (reader, section) = written(&directory.path().join("a"), &keys);
        let (wide_reader, wide_section) = written(&directory.path().join("b"), &wide);
        prop_assert_eq!(u64::from(section.count), count);
        let (mut all, mut all_wide) = (Vec::new(), Vec::new());
        for part in 0..parts {
            let range = KeyRange::ALL.part(part, parts);
            let mut found = read(&reader, section, range);
            prop_assert!(found.iter().all(|row: &(u64, u16)| range.contains(row.0)));
            found.sort_by_key(|row| row.0); // stable: lines must ascend by themselves
            all.extend(found);
            let mut found: Vec<(Wide, u16)> = read(&wide_reader, wide_section, range);
            found.sort_by_key(|row| row.0);
            all_wide.extend(found);
        }
        let mut expected: Vec<(u64, u16)> = keys.iter().copied().zip(0..=u16::MAX).collect();
        expected.sort_unstable();
        prop_assert!(all == expected);
        let mut expected: Vec<(Wide, u16)> = wide.iter().copied().zip(0..=u16::MAX).collect();
        expected.sort_unstable();
        prop_assert!(all_wide == expected);
    }
}

#[test]
fn parts_cover_all_without_a_gap() {
    for (first, last) in [(0, u64::MAX), (7, 1_000), (u64::MAX - 9, u64::MAX)] {
        for parts in [1, 2, 3, 10] {
            let range = KeyRange { first, last };
            let found: Vec<KeyRange> = (0..parts).map(|at| range.part(at, parts)).collect();
            assert_eq!((found[0].first, found[found.len() - 1].last), (first, last));
            assert!(found.windows(2).all(|two| two[0].last + 1 == two[1].first));
        }
    }
}

#[test]
fn a_damaged_slice_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("00003.sign");
    let keys: Vec<u64> = (0..4_000_u64).map(|key| xxh3_64(&key.to_le_bytes())).collect();
    let (reader, section) = written(&path, &keys);
    let mut bytes = std::fs::read(&path).unwrap();
    let start = section.index.offset + section.index.length;
    bytes[usize::try_from(start).unwrap() + 10 * 4_000 - 5] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let take = |_: u64, _| Ok(());
    let mut keys = KeyReader::default();
    let below = KeyRange::ALL.part(0, 2);
    keys.read(&reader, section, below, take).unwrap();
    let error = keys.read(&reader, section, KeyRange::ALL, take).unwrap_err();
    assert!(error.to_string().contains("do not fit their checksum"), "{error}");
}
