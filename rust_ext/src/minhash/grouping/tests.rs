use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::super::keys::{KeyRows, Wide};
use super::super::sections::{Kind, Writer};
use super::*;

#[derive(Default)]
struct Gathered {
    groups: Vec<Vec<u64>>,
    counts: Vec<u64>,
}

impl Sink for Gathered {
    fn begin(&mut self, count: u64) -> Result<()> {
        self.counts.push(count);
        self.groups.push(Vec::new());
        Ok(())
    }

    fn member(&mut self, record: u64) -> Result<()> {
        self.groups.last_mut().unwrap().push(record);
        Ok(())
    }
}

/// Groups keys written in runs of `run_lines`, with room for `most_rows` rows.
fn grouped<K: Key + Default>(
    keys: &[K],
    run_lines: usize,
    most_rows: usize,
    parts: u64,
) -> Vec<Vec<u64>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let mut writer = Writer::create(&path, Kind::Signatures, 1).unwrap();
    let mut sections = Vec::new();
    for run in keys.chunks(run_lines) {
        let mut rows = KeyRows::default();
        (0..).zip(run).for_each(|(line, &key)| rows.push(key, line));
        sections.push(rows.write(&mut writer, &mut Vec::new()).unwrap());
    }
    writer.finish(0).unwrap();
    let reader = Reader::open(&path, Kind::Signatures, 1).unwrap();
    let runs: Vec<Run<'_>> = sections
        .into_iter()
        .zip((0..).step_by(run_lines))
        .map(|(keys, first_record)| Run { reader: &reader, first_record, keys })
        .collect();
    let mut found = Gathered::default();
    let memory = most_rows * 2 * size_of::<Row<K>>();
    for part in 0..parts {
        let range = KeyRange::ALL.part(part, parts);
        group::<K>(&runs, range, memory, &mut found, &Control::default()).unwrap();
    }
    assert!(found.groups.iter().zip(&found.counts).all(|(g, &n)| g.len() as u64 == n));
    found.groups
}

fn plain<K: Key>(keys: &[K]) -> Vec<Vec<u64>> {
    let mut groups: BTreeMap<K, Vec<u64>> = BTreeMap::new();
    (0..).zip(keys).for_each(|(record, &key)| groups.entry(key).or_default().push(record));
    groups.into_values().filter(|group| group.len() > 1).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn groups_are_those_of_a_map_whatever_the_memory_is(
        values in prop::collection::vec(prop_oneof![0_u64..3, 0_u64..400, any::<u64>()], 0..3_000),
        run_lines in 1_usize..2_000,
        most_rows in prop_oneof![1_usize..40, 500_usize..5_000],
        parts in 1_u64..6,
        shift in prop_oneof![Just(0_u32), Just(40), Just(63)],
    ) {
        // With a shift the upper halves, or all but a few keys, are alike.
        let keys: Vec<u64> =
            values.iter().map(|value| xxh3_64(&value.to_le_bytes()) >> shift).collect();
        prop_assert_eq!(grouped(&keys, run_lines, most_rows, parts), plain(&keys));
        let wide: Vec<Wide> = keys.iter().zip(&values).map(|(&k, &v)| [k, v % 5]).collect();
        prop_assert_eq!(grouped(&wide, run_lines, most_rows, parts), plain(&wide));
    }
}

#[test]
fn a_group_larger_than_the_memory_is_handed_on() {
    let mut keys: Vec<u64> = (0..10_000_u64).map(|key| xxh3_64(&key.to_le_bytes())).collect();
    for record in 0..5_000 {
        keys[record * 2] = keys[1];
    }
    let groups = grouped(&keys, 777, 100, 1);
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].len(), 5_001);
    assert!(groups[0].is_sorted());
}
