//! The shingles of candidates that others are compared with, as many as memory holds.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::corpus::{Words, WordsAt};
use super::jaccard::Probe;
use super::shingle::list64;
use super::signature::{EMPTY_SLOT, Permutations};
use crate::Result;

/// A candidate's shingles.
#[derive(Debug, Default)]
pub(super) struct Set {
    /// Where its words lie.
    pub(super) at: WordsAt,
    /// Each once, in the order of the text.
    pub(super) shingles: Vec<u64>,
    /// Made when it is asked for.
    signature: OnceLock<Vec<u32>>,
    /// What it takes, the signature included.
    pub(super) bytes: usize,
}

/// What a set takes beside its shingles and signature: itself, its entries in the map of held ones
/// and in their queue, the allocator's share.
const SET_BYTES: usize = size_of::<Set>() + 160;

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

    /// Makes a candidate's set, keeps it, and leaves it in `probe`; `words` lends its memory.
    ///
    /// # Errors
    /// Of reading the words.
    pub(super) fn load(
        &self,
        at: WordsAt,
        probe: &mut Probe,
        words: &mut Vec<u32>,
    ) -> Result<Arc<Set>> {
        let mut shingles = Vec::with_capacity(at.count as usize);
        self.words.read(at, words)?;
        list64(words, self.ngram_size, &mut shingles);
        probe.load_distinct(&mut shingles);
        shingles.shrink_to_fit();
        let slots = self.permutations.num_permutations();
        let bytes = shingles.capacity() * size_of::<u64>() + slots * size_of::<u32>() + SET_BYTES;
        let set = Arc::new(Set { at, shingles, signature: OnceLock::new(), bytes });
        self.held().keep(Arc::clone(&set), self.memory_bytes);
        Ok(set)
    }

    /// Returns a candidate's set if it is kept.
    pub(super) fn held_one(&self, record: u64) -> Option<Arc<Set>> {
        self.held().find(record)
    }

    /// Returns the signature of a set; it is made once.
    ///
    /// # Errors
    /// Of reading the words.
    pub(super) fn signature<'s>(&self, set: &'s Set, words: &mut Vec<u32>) -> Result<&'s [u32]> {
        if let Some(signature) = set.signature.get() {
            return Ok(signature);
        }
        let mut slots = vec![EMPTY_SLOT; self.permutations.num_permutations()];
        self.words.read(set.at, words)?;
        self.permutations.sign(words, self.ngram_size, &mut slots);
        Ok(set.signature.get_or_init(|| slots))
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
        let (mut probe, mut words) = (Probe::new(), Vec::new());
        let sets = Sets::new(&corpus, 5, Permutations::new(8, 1), 10_000);
        for record in 0..50 {
            let at = WordsAt { record, count: 100, ..WordsAt::default() };
            let set = sets.load(at, &mut probe, &mut words).unwrap();
            assert_eq!((set.shingles.len(), probe.len()), (96, 96));
            assert!(sets.held_one(0).is_some(), "{record}");
            let held = sets.held();
            let bytes: usize = held.sets.values().map(|(set, _)| set.bytes).sum();
            assert_eq!(bytes, held.bytes);
            assert!(bytes <= 10_000);
        }
        assert!(sets.held_one(25).is_none());
        let set = sets.held_one(49).unwrap();
        let first = sets.signature(&set, &mut words).unwrap().to_vec();
        assert_eq!(sets.signature(&sets.held_one(0).unwrap(), &mut words).unwrap(), first);
        let small = Sets::new(&corpus, 5, Permutations::new(8, 1), 100);
        let at = WordsAt { count: 100, ..WordsAt::default() };
        small.load(at, &mut probe, &mut words).unwrap();
        assert!(small.held_one(0).is_none());
    }
}
