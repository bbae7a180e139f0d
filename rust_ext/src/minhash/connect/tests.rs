use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use proptest::prelude::*;

use super::super::corpus::double::{Double, members};
use super::super::edges::LEADERS;
use super::*;

/// Record -> survivor and kind.
type Fates = BTreeMap<u64, (u64, u64)>;

const SHAPE: Shape = Shape { ngram_size: 1, num_bands: 4, rows_per_band: 4, seed: 7 };

/// A case: what the records are, what they share, and the rule.
#[derive(Clone, Debug)]
struct Case {
    corpus: Double,
    texts: Vec<Vec<u64>>,
    buckets: Vec<Vec<u64>>,
    /// Hundredths; `None`: single link.
    threshold: Option<u32>,
    max_cluster: u32,
}

impl Case {
    /// Connects, and returns the rows as they come with the numbers of the summary.
    fn connect(&self, workers: usize, memory_bytes: usize) -> (Vec<[u64; 5]>, Summary) {
        let directory = tempfile::tempdir().unwrap();
        let beside = directory.path().join("verdicts");
        let rows = |groups: &[Vec<u64>]| {
            let groups: Vec<&[u64]> = groups.iter().map(Vec::as_slice).collect();
            members(&groups, &beside, memory_bytes)
        };
        let threshold = self.threshold.map(|hundredths| f64::from(hundredths) / 100.0);
        let plan = Plan {
            words: &self.corpus,
            shape: SHAPE,
            key: TextKey::Text,
            threshold: threshold.map(|threshold| Threshold::new(threshold).unwrap()),
            max_cluster: self.max_cluster,
            limits: Limits { workers, budget_bytes: memory_bytes },
            beside: &beside,
            control: &Control::default(),
        };
        let mut entries = self.corpus.clone();
        let buckets = || Ok(rows(&self.buckets));
        let (mut found, summary) = plan.fates(rows(&self.texts), buckets, &mut entries).unwrap();
        let mut all = Vec::new();
        while let Some(row) = found.take().unwrap() {
            all.push(row);
        }
        drop(found);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "files were left");
        (all, summary)
    }

    fn order(&self, record: u64) -> (u64, u64) {
        (self.corpus.keep_keys[usize::try_from(record).unwrap()], record)
    }

    fn is_similar(&self, one: u64, other: u64, hundredths: u32) -> bool {
        let set = |record: u64| -> BTreeSet<u32> {
            self.corpus.words[usize::try_from(record).unwrap()].iter().copied().collect()
        };
        let (one, other) = (set(one), set(other));
        let common = one.intersection(&other).count();
        common > 0 && 100 * common >= hundredths as usize * one.union(&other).count()
    }

    /// Returns of each text the record that stays, by its copies.
    fn copies(&self) -> HashMap<u64, u64> {
        let mut copies = HashMap::new();
        for group in &self.texts {
            let keeper = *group.iter().min_by_key(|&&record| self.order(record)).unwrap();
            let others = group.iter().filter(|&&record| record != keeper);
            copies.extend(others.map(|&record| (record, keeper)));
        }
        copies
    }

    /// The candidates in the order of decision, each with its buckets.
    fn candidates(&self, copies: &HashMap<u64, u64>) -> Vec<(u64, Vec<usize>)> {
        let mut buckets: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
        for (number, bucket) in self.buckets.iter().enumerate() {
            for &record in bucket.iter().filter(|record| !copies.contains_key(record)) {
                buckets.entry(self.order(record)).or_default().push(number);
            }
        }
        buckets.into_iter().map(|((_, record), buckets)| (record, buckets)).collect()
    }

    /// The rule by its definition: every pair compared, everything in memory. Also returns how many
    /// survivors are full.
    fn by_brute_force(&self) -> (Fates, u64) {
        let copies = self.copies();
        let candidates = self.candidates(&copies);
        let (mut falls, mut full) = (HashMap::new(), 0);
        let mut taken: HashMap<u64, u32> = HashMap::new();
        let mut leaders = vec![Vec::new(); self.buckets.len()];
        let firsts = self.components(&candidates);
        // Of each component the centre of the members that come.
        let mut centres: HashMap<u64, u64> = HashMap::new();
        for (record, buckets) in candidates {
            let hit = if let Some(hundredths) = self.threshold {
                let mut earlier: Vec<u64> =
                    buckets.iter().flat_map(|&bucket| leaders[bucket].clone()).collect();
                earlier.sort_unstable_by_key(|&record| self.order(record));
                earlier.into_iter().find(|&other| self.is_similar(other, record, hundredths))
            } else {
                centres.get(&firsts[&record]).copied()
            };
            let Some(survivor) = hit else {
                centres.insert(firsts[&record], record);
                for bucket in buckets {
                    if leaders[bucket].len() < LEADERS {
                        leaders[bucket].push(record);
                    }
                }
                continue;
            };
            falls.insert(record, survivor);
            let count = taken.entry(survivor).or_default();
            *count += 1;
            if *count == self.max_cluster {
                // It is full: as if it were not there.
                full += 1;
                for leaders in &mut leaders {
                    leaders.retain(|&each| each != survivor);
                }
                centres.remove(&firsts[&record]);
            }
        }
        let mut fates = Fates::new();
        for (&record, &survivor) in &falls {
            fates.insert(record, (survivor, Kind::Near as u64));
        }
        let words = |record: u64| &self.corpus.words[usize::try_from(record).unwrap()];
        for (&copy, &keeper) in &copies {
            let others = copies.keys().copied().filter(|each| copies[each] == keeper);
            let heir = others
                .filter(|&each| words(each) != words(keeper))
                .min_by_key(|&each| self.order(each));
            let survivor = match falls.get(&keeper) {
                None => keeper,
                Some(&survivor) if words(copy) == words(keeper) => survivor,
                Some(_) => heir.unwrap(),
            };
            if survivor != copy {
                fates.insert(copy, (survivor, Kind::Exact as u64));
            }
        }
        for (survivor, _) in fates.clone().into_values() {
            fates.insert(survivor, (survivor, Kind::Survivor as u64));
        }
        (fates, full)
    }

    /// Of each candidate the first one that it is connected to.
    fn components(&self, candidates: &[(u64, Vec<usize>)]) -> HashMap<u64, u64> {
        let mut first: HashMap<u64, u64> =
            candidates.iter().map(|&(record, _)| (record, record)).collect();
        loop {
            let before = first.clone();
            for bucket in &self.buckets {
                let inside: Vec<u64> =
                    bucket.iter().copied().filter(|record| first.contains_key(record)).collect();
                let least =
                    inside.iter().map(|record| first[record]).min_by_key(|&r| self.order(r));
                for record in inside {
                    first.insert(record, least.unwrap());
                }
            }
            if first == before {
                return first;
            }
        }
    }
}

fn fates(rows: &[[u64; 5]]) -> Fates {
    let fates: Fates = rows.iter().map(|row| (row[0], (row[2], row[1]))).collect();
    assert_eq!(fates.len(), rows.len(), "a record has one verdict");
    assert!(rows.is_sorted());
    fates
}

/// Splits the records into groups of equal text, of which those of two and more count.
fn texts_of(labels: &[u64]) -> Vec<Vec<u64>> {
    let mut groups: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (record, &label) in (0..).zip(labels) {
        groups.entry(label).or_default().push(record);
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

fn cases() -> impl Strategy<Value = Case> {
    let words = prop::collection::vec(1_u32..16, 1..14);
    // Few of equal text are compared by words of their own.
    let record = (0_u64..4, words, 0_u64..300, prop::bool::weighted(0.2));
    let records = prop_oneof![
        3 => prop::collection::vec(record.clone(), 2..40),
        1 => prop::collection::vec(record, 66..120),
    ];
    records.prop_flat_map(|records| {
        let count = records.len() as u64;
        let bucket = prop_oneof![
            3 => prop::collection::btree_set(0..count, 1..8),
            // Nearly all: a large bucket, if there are enough.
            1 => prop::collection::btree_set(0..count, 0..4)
                .prop_map(move |out| (0..count).filter(|record| !out.contains(record)).collect()),
        ];
        let buckets = prop::collection::vec(bucket, 1..12);
        let threshold = prop_oneof![3 => (1_u32..=100).prop_map(Some), 1 => Just(None)];
        let max_cluster = prop_oneof![Just(u32::MAX), 1_u32..6];
        (buckets, threshold, max_cluster).prop_map(move |(buckets, threshold, max_cluster)| {
            let labels: Vec<u64> = records.iter().map(|(_, _, label, _)| *label).collect();
            let first_with = |label| labels.iter().position(|each| *each == label).unwrap();
            let words = records.iter().map(|(_, own, label, has_own)| {
                if *has_own { own.clone() } else { records[first_with(*label)].1.clone() }
            });
            Case {
                corpus: Double {
                    keep_keys: records.iter().map(|(key, ..)| *key).collect(),
                    words: words.collect(),
                },
                texts: texts_of(&labels),
                buckets: buckets.iter().map(|set| set.iter().copied().collect()).collect(),
                threshold,
                max_cluster,
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn verdicts_are_those_of_comparing_every_pair_whatever_workers_and_memory(
        case in cases(),
        workers in 1_usize..4,
        memory_bytes in prop_oneof![Just(1_usize), 100_usize..5_000, Just(1 << 22)],
    ) {
        let (rows, summary) = case.connect(workers, memory_bytes);
        let (expected, full) = case.by_brute_force();
        prop_assert_eq!(fates(&rows), expected);
        prop_assert_eq!(summary.full_clusters, full);
        let (plain, _) = case.connect(1, 1 << 22);
        prop_assert_eq!(rows, plain);
    }
}

/// One bucket of so many records of 20 words, made by number.
fn one_bucket(count: u64, words: impl Fn(u32) -> Vec<u32>) -> Case {
    Case {
        corpus: Double {
            keep_keys: vec![0; usize::try_from(count).unwrap()],
            words: (0..u32::try_from(count).unwrap()).map(words).collect(),
        },
        texts: vec![],
        buckets: vec![(0..count).collect(); 3],
        threshold: Some(80),
        max_cluster: u32::MAX,
    }
}

#[test]
fn a_bucket_of_a_million_takes_linear_time_and_is_reported() {
    let started = Instant::now();
    let alike = one_bucket(1_000_000, |own| (1..20).chain([own + 100]).collect());
    let (rows, summary) = alike.connect(2, 16 << 20);
    assert_eq!(rows.len(), 1_000_000);
    assert!(rows.iter().all(|row| row[2] == 0));
    assert_eq!((summary.giant_buckets, summary.largest_bucket), (3, 1_000_000));
    // None is similar: all survive, and each is compared with 64.
    let apart = one_bucket(100_000, |own| (own * 20 + 1..own * 20 + 21).collect());
    assert_eq!(apart.connect(2, 16 << 20).0, Vec::<[u64; 5]>::new());
    let linked = Case { threshold: None, ..alike };
    assert_eq!(fates(&linked.connect(2, 16 << 20).0), fates(&rows).into_iter().collect());
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

#[test]
fn a_cap_costs_no_more_than_a_bucket_of_records_that_are_not_alike() {
    let started = Instant::now();
    let mut alike = one_bucket(200_000, |own| (1..20).chain([own + 100]).collect());
    for (max_cluster, survivors) in [(1, 100_000), (3, 50_000), (9_999, 20)] {
        alike.max_cluster = max_cluster;
        let (rows, summary) = alike.connect(2, 16 << 20);
        assert_eq!(rows.iter().filter(|row| row[0] == row[2]).count(), survivors);
        assert_eq!((rows.len(), summary.full_clusters), (200_000, survivors as u64));
    }
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

#[test]
fn a_cluster_does_not_chain_away_from_its_survivor() {
    // Each shares 9 of 11 words with its neighbour.
    let mut case = one_bucket(6, |own| (own + 1..own + 11).collect());
    let survivors = |case: &Case| -> Vec<(u64, u64)> {
        let fates = fates(&case.connect(1, 1 << 20).0);
        fates.into_iter().map(|(record, (survivor, _))| (record, survivor)).collect()
    };
    // 1 falls to 0; 2 is only similar to 1, which is gone.
    assert_eq!(survivors(&case), [(0, 0), (1, 0), (2, 2), (3, 2), (4, 4), (5, 4)]);
    // The last one decides first.
    case.corpus.keep_keys = vec![5, 4, 3, 2, 1, 0];
    assert_eq!(survivors(&case), [(0, 1), (1, 1), (2, 3), (3, 3), (4, 5), (5, 5)]);
    case.threshold = None;
    assert_eq!(survivors(&case), (0..6).map(|record| (record, 5)).collect::<Vec<_>>());
}

#[test]
fn what_is_beyond_the_cap_leads_a_cluster_of_its_own() {
    let mut case = one_bucket(10, |own| (1..20).chain([own + 100]).collect());
    case.max_cluster = 3;
    for threshold in [Some(80), None] {
        case.threshold = threshold;
        let (rows, summary) = case.connect(1, 1 << 20);
        let expected: Vec<_> = (0..10)
            .map(|record| (record, record / 4 * 4))
            .map(|(record, first)| (record, (first, if record == first { 0 } else { 2 })))
            .collect();
        assert_eq!(fates(&rows).into_iter().collect::<Vec<_>>(), expected);
        assert_eq!(summary.full_clusters, 2);
    }
}

#[test]
fn what_a_full_survivor_does_not_take_falls_to_another_that_it_is_similar_to() {
    // 2, 3 and 4 share 18 of 22 words with 0 and 19 of 21 with 1; these two share 17 of 23.
    let mut case = one_bucket(5, |own| match own {
        0 => (1..21).collect(),
        1 => (4..24).collect(),
        _ => (3..21).chain([22, 23]).collect(),
    });
    case.max_cluster = 1;
    let expected = [(0, (0, 0)), (1, (1, 0)), (2, (0, 2)), (3, (1, 2))];
    let (rows, summary) = case.connect(1, 1 << 20);
    assert_eq!(fates(&rows).into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(summary.full_clusters, 2);
}

#[test]
fn leaders_of_a_large_bucket_that_are_full_make_room_for_others() {
    // 64 that are not alike, and one like each of them; then the same with other words.
    let group = |own: u32| own % 64 + own / 128 * 64;
    let mut case = one_bucket(256, |own| (group(own) * 20 + 1..group(own) * 20 + 21).collect());
    case.max_cluster = 1;
    let (rows, summary) = case.connect(2, 1 << 20);
    let survivor = |record: u64| record % 64 + record / 128 * 128;
    assert!(rows.iter().all(|row| row[2] == survivor(row[0])), "{rows:?}");
    assert_eq!((rows.len(), summary.full_clusters), (256, 128));
    assert_eq!((fates(&rows), 128), case.by_brute_force());
}

#[test]
fn similarities_are_those_of_the_survivor() {
    let mut case = one_bucket(3, |own| (1..20).chain([100 + own % 2]).collect());
    case.texts = vec![vec![0, 2]];
    let (rows, _) = case.connect(1, 1 << 20);
    let numbers: Vec<_> = rows.iter().map(|row| (row[0], row[1], f64::from_bits(row[4]))).collect();
    assert_eq!(numbers, [(0, 0, 1.0), (1, 2, 19.0 / 21.0), (2, 1, 1.0)]);
    let permutations = Permutations::new(16, 7);
    let signed = |record: usize| {
        let mut slots = [0; 16];
        permutations.sign(&case.corpus.words[record], 1, &mut slots);
        slots
    };
    let estimated = super::super::signature::estimate(&signed(0), &signed(1));
    assert_eq!(f64::from_bits(rows[1][3]).to_bits(), estimated.to_bits());
    case.threshold = None;
    let (rows, _) = case.connect(1, 1 << 20);
    assert_eq!(f64::from_bits(rows[1][3]).to_bits(), estimated.to_bits());
    assert!(f64::from_bits(rows[1][4]).is_nan());
}

#[test]
fn a_copy_that_is_compared_by_other_words_does_not_fall_with_its_text() {
    // 0 and 1 are alike; 2 to 4 have the text of 1, but only 3 its words.
    let mut case = one_bucket(5, |own| (1..20).chain([own + 100]).collect());
    for (record, words) in [(2, [7, 8]), (3, [0, 0]), (4, [7, 9])] {
        case.corpus.words[record] = words.to_vec();
    }
    case.corpus.words[3] = case.corpus.words[1].clone();
    case.texts = vec![vec![1, 2, 3, 4]];
    let (rows, _) = case.connect(1, 1 << 20);
    let expected = [(0, (0, 0)), (1, (0, 2)), (2, (2, 0)), (3, (0, 1)), (4, (2, 1))];
    assert_eq!(fates(&rows).into_iter().collect::<Vec<_>>(), expected);
    // Where their keeper stays, all fall to it.
    case.corpus.words[0] = vec![1];
    let expected = [(1, (1, 0)), (2, (1, 1)), (3, (1, 1)), (4, (1, 1))];
    assert_eq!(fates(&case.connect(1, 1 << 20).0).into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn each_phase_stops_when_it_is_asked_to() {
    let directory = tempfile::tempdir().unwrap();
    let beside = directory.path().join("x");
    let (mut corpus, control) = (Double::keeping(&[0; 4]), Control::default());
    control.cancel();
    let rows = || members(&[&[0, 1], &[2, 3]], &beside, 1 << 10);
    let is_stopped = |error: Option<crate::Error>| matches!(error, Some(crate::Error::Interrupted));
    let copies = Copies::find(rows(), &mut corpus, &beside, 1 << 10, &control);
    assert!(is_stopped(copies.err()));
    let copies = members(&[], &beside, 1 << 10);
    let copies = Copies::find(copies, &mut corpus, &beside, 1 << 10, &control).unwrap();
    let places = find_places(rows(), &copies, &mut corpus, &beside, 1 << 10, &control);
    assert!(is_stopped(places.err()));
    assert!(is_stopped(edges::pairs(rows(), &beside, 1 << 10, &control).err()));
    assert!(is_stopped(edges::links(rows(), &beside, 1 << 10, &control).err()));
}

#[test]
fn a_verdict_that_no_record_takes_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.jsonl");
    std::fs::write(&path, "{\"text\": \"a\"}\n".repeat(4)).unwrap();
    let signing = super::super::sign::Options {
        shape: SHAPE,
        key: TextKey::Text,
        keep: Keep::default(),
        fingerprint: 3,
        output: directory.path().join("00000.sign"),
        rejected: directory.path().join("rejected"),
        workers: 1,
        memory_bytes: 1 << 20,
    };
    let file = crate::input::InputFile { path, relative: "a".to_owned() };
    super::super::sign::sign_unit(&[file], &signing, &Control::default()).unwrap();
    let options = Options {
        shape: SHAPE,
        key: TextKey::Text,
        keep: Keep::default(),
        threshold: None,
        max_cluster: 1,
        fingerprint: 3,
        signatures: vec![signing.output],
        buckets: vec![],
        texts: vec![],
        output: directory.path().join("verdicts"),
        workers: 1,
        memory_bytes: 1 << 20,
    };
    let units = open_all(&options.signatures, 3).unwrap();
    let written = |records: &[u64]| {
        let mut rows = ExternalSorter::new(&options.output, 1 << 10);
        for (number, &record) in (0..).zip(records) {
            rows.push([record, 0, number, 0, 0]).unwrap();
        }
        let rows = rows.finish().unwrap();
        write(rows, &units, Summary::default(), &options, &Control::default())
    };
    written(&[0, 3]).unwrap();
    assert!(options.output.exists());
    std::fs::remove_file(&options.output).unwrap();
    for records in [&[0, 4][..], &[1, 1, 2]] {
        let error = written(records).unwrap_err().to_string();
        assert!(error.contains("expected verdicts on 4 records"), "{error}");
        assert!(error.contains("an error of preprocess itself"), "{error}");
        assert!(!options.output.exists(), "nothing is to be read later");
    }
}
