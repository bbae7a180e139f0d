//! The shingles of candidates that others are compared with, as many as memory holds.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::corpus::{Words, WordsAt};
use super::jaccard::Probe;
use super::shingle::list64;
use super::signature::{EMPTY_SLOT, Permutations, estimate};
use crate::Result;

/// A candidate's shingles.
#[derive(Debug, Default)]
pub(super) struct Set {
    /// Where its words lie.
    pub(super) at: WordsAt,
    /// Each once, in the order of the text.
    pub(super) shingles: Box<[u64]>,
    /// Made when it is asked for.
    signature: OnceLock<Vec<u32>>,
    /// What it takes, the signature included.
    pub(super) bytes: usize,
}

/// What a set takes beside its shingles and signature: itself, its entries in the map of held ones
/// and in their queue, the allocator's share.
const SET_BYTES: usize = size_of::<Set>() + 160;

/// Room for so many shingles is used again, 40 bytes each; room for more is given back.
const MOST_HELD_SHINGLES: usize = 1 << 18;

/// A candidate whose shingles are looked up.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    at: WordsAt,
    words: Vec<u32>,
    /// Each once, in the order of the text.
    pub(super) shingles: Vec<u64>,
    /// Finds them.
    pub(super) probe: Probe,
}

impl Loaded {
    /// Returns whether this is the candidate.
    pub(super) fn is(&self, at: WordsAt) -> bool {
        self.at == at
    }
}

/// Makes sets, and keeps those that were used last.
pub(super) struct Sets<'a, W> {
    words: &'a W,
    ngram_size: usize,
    permutations: Permutations,
    memory_bytes: usize,
    held: Mutex<Held>,
}

impl<'a, W: Words> Sets<'a, W> {
    /// Begins with none; `memory_bytes` are for those that are kept.
    pub(super) fn new(
        words: &'a W,
        ngram_size: usize,
        permutations: Permutations,
        memory_bytes: usize,
    ) -> Self {
        Self { words, ngram_size, permutations, memory_bytes, held: Mutex::default() }
    }

    /// Makes a candidate's list of shingles in `scratch`, in place of what was there.
    ///
    /// # Errors
    /// Of reading the words.
    pub(super) fn load(&self, at: WordsAt, scratch: &mut Loaded) -> Result<()> {
        if scratch.shingles.capacity() > MOST_HELD_SHINGLES {
            *scratch = Loaded::default(); // a long record must not hold its memory to the end
        }
        scratch.at = at;
        scratch.shingles.clear();
        self.words.read(at, &mut scratch.words)?;
        list64(&scratch.words, self.ngram_size, &mut scratch.shingles);
        scratch.probe.load(&mut scratch.shingles);
        Ok(())
    }

    /// Keeps a copy of what was loaded, for those that will be compared with it.
    pub(super) fn keep(&self, loaded: &Loaded) -> Arc<Set> {
        let slots = self.permutations.num_permutations();
        let shingles = loaded.shingles[..].into();
        let bytes = size_of_val(&loaded.shingles[..]) + slots * size_of::<u32>() + SET_BYTES;
        let set = Arc::new(Set { at: loaded.at, shingles, signature: OnceLock::new(), bytes });
        self.held().keep(Arc::clone(&set), self.memory_bytes);
        set
    }

    /// Returns a candidate's set if it is kept.
    pub(super) fn held_one(&self, record: u64) -> Option<Arc<Set>> {
        self.held().find(record)
    }

    /// Estimates the similarity of what was loaded and a set.
    ///
    /// # Errors
    /// Of reading the words of the set, whose signature is made once.
    pub(super) fn estimate(&self, loaded: &Loaded, set: &Set, words: &mut Vec<u32>) -> Result<f64> {
        if loaded.shingles[..] == set.shingles[..] {
            return Ok(1.0); // so are the signatures: they are made of the same runs of words
        }
        let of_set = if let Some(signature) = set.signature.get() {
            signature
        } else {
            self.words.read(set.at, words)?;
            set.signature.get_or_init(|| self.sign(words))
        };
        Ok(estimate(of_set, &self.sign(&loaded.words)))
    }

    fn sign(&self, words: &[u32]) -> Vec<u32> {
        let mut slots = vec![EMPTY_SLOT; self.permutations.num_permutations()];
        self.permutations.sign(words, self.ngram_size, &mut slots);
        slots
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing panics while it is held but an allocation that fails.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sets by their record. Of those that were not used since they were last looked at, the one that
/// came first makes room.
#[derive(Debug, Default)]
struct Held {
    sets: HashMap<u64, (Arc<Set>, bool)>,
    queue: VecDeque<u64>,
    bytes: usize,
}

impl Held {
    fn find(&mut self, record: u64) -> Option<Arc<Set>> {
        let (set, is_used) = self.sets.get_mut(&record)?;
        *is_used = true;
        Some(Arc::clone(set))
    }

    fn keep(&mut self, set: Arc<Set>, most_bytes: usize) {
        let (record, bytes) = (set.at.record, set.bytes);
        if bytes > most_bytes / 2 {
            return; // one set is not worth all others
        }
        if self.sets.insert(record, (set, false)).is_some() {
            return; // another thread was faster
        }
        self.queue.push_back(record);
        self.bytes += bytes;
        while self.bytes > most_bytes {
            let Some(oldest) = self.queue.pop_front() else { break };
            let is_used = self.sets.get_mut(&oldest).map(|(_, is_used)| std::mem::take(is_used));
            if is_used == Some(true) {
                self.queue.push_back(oldest);
            } else if let Some((set, _)) = self.sets.remove(&oldest) {
                self.bytes -= set.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::corpus::double::Double;
    use super::*;

    #[test]
    fn sets_are_kept_within_the_memory_and_those_in_use_longest() {
        let corpus = Double { keep_keys: vec![0; 50], words: vec![(1..=100).collect(); 50] };
        let (mut loaded, mut words) = (Loaded::default(), Vec::new());
        let sets = Sets::new(&corpus, 5, Permutations::new(8, 1), 10_000);
        for record in 0..50 {
            let at = WordsAt { record, count: 100, ..WordsAt::default() };
            sets.load(at, &mut loaded).unwrap();
            let set = sets.keep(&loaded);
            assert_eq!((set.at.record, set.shingles.len()), (record, 96));
            assert!(sets.held_one(0).is_some(), "{record}");
            let held = sets.held();
            let bytes: usize = held.sets.values().map(|(set, _)| set.bytes).sum();
            assert_eq!(bytes, held.bytes);
            assert!(bytes <= 10_000);
        }
        assert!(sets.held_one(25).is_none());
        let first = sets.held_one(0).unwrap();
        assert_eq!(sets.estimate(&loaded, &first, &mut words).unwrap().to_bits(), 1_f64.to_bits());
        let small = Sets::new(&corpus, 5, Permutations::new(8, 1), 100);
        small.keep(&loaded);
        assert!(small.held_one(49).is_none());
    }
}
