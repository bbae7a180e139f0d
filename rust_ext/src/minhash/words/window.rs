//! A window of a text: where its words begin and end, and their hashes.
#![allow(unsafe_code)]

use super::characters::{self, RESIZED};
use super::hash::{self, CHUNK, WordHasher};
use super::masks::{BLOCK, MOST_WORDS, Machine, Masks, Portable};
#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};
use crate::simd::Level;

/// Bytes of a window; what is known of it stays in the nearest cache.
pub(super) const WINDOW: usize = 4096;

/// A window of a text; serves one after another.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// The bytes, ASCII letters and most others in lower case, readable beyond the end.
    lowered: [u8; WINDOW + BLOCK],
    /// Where words begin, and behind which byte they end.
    starts: [u16; WINDOW / 2 + MOST_WORDS],
    ends: [u16; WINDOW / 2 + MOST_WORDS],
    num_starts: usize,
    num_ends: usize,
    /// Where characters stand that take more or fewer bytes in lower case.
    resized: Vec<u16>,
}

/// What is known of a block, and what of the one before it matters.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    /// Bytes that belong to words.
    words: u64,
    /// First and last bytes of characters that are words of their own.
    alone_firsts: u64,
    alone_lasts: u64,
    /// Bytes: 64, or fewer where the last character is not whole or the window ends.
    length: usize,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            lowered: [0; WINDOW + BLOCK],
            starts: [0; WINDOW / 2 + MOST_WORDS],
            ends: [0; WINDOW / 2 + MOST_WORDS],
            num_starts: 0,
            num_ends: 0,
            resized: Vec::new(),
        }
    }

    /// Appends the hashes of the words of `text` that end in its first [`WINDOW`] bytes; returns
    /// where the rest of it begins, with a word or with none.
    ///
    /// 0: a word begins with the text and goes on beyond the window.
    pub(super) fn scan(&mut self, text: &str, level: Level, words: &mut Vec<u32>) -> usize {
        let mut length = text.len().min(WINDOW);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        match level {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the machine is of that level.
            Level::Avx512 => unsafe { self.scan_avx512(text, length, words) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { self.scan_avx2(text, length, words) },
            _ => self.scan_with::<Portable>(text, length, words),
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512vbmi2")]
    fn scan_avx512(&mut self, text: &str, length: usize, words: &mut Vec<u32>) -> usize {
        self.scan_with::<Avx512>(text, length, words)
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn scan_avx2(&mut self, text: &str, length: usize, words: &mut Vec<u32>) -> usize {
        self.scan_with::<Avx2>(text, length, words)
    }

    #[inline(always)]
    fn scan_with<M: Machine>(&mut self, text: &str, length: usize, words: &mut Vec<u32>) -> usize {
        self.find::<M>(text.as_bytes(), length);
        let mut used = length;
        if self.num_starts > self.num_ends {
            // The last word is open.
            if length == text.len() {
                self.ends[self.num_ends] = narrow(length);
                self.num_ends += 1;
            } else {
                used = usize::from(self.starts[self.num_ends]);
            }
        }
        let before = words.len();
        self.hash(words);
        if !self.resized.is_empty() {
            self.hash_resized(text, &mut words[before..]);
        }
        used
    }

    /// Finds where words begin and end in the first `length` bytes of a text.
    #[inline(always)]
    fn find<M: Machine>(&mut self, text: &[u8], length: usize) {
        (self.num_starts, self.num_ends) = (0, 0);
        self.resized.clear();
        let (mut before, mut offset) = (Block { length: 1, ..Block::default() }, 0);
        while offset < length {
            let block = self.block::<M>(&text[offset..], offset, length - offset);
            // What stands before each byte.
            let shifted =
                |mask: u64, before_it: u64| mask << 1 | before_it >> (before.length - 1) & 1;
            let after_word = shifted(block.words, before.words);
            let cuts = block.alone_firsts | shifted(block.alone_lasts, before.alone_lasts);
            let valid = first_bits(block.length);
            let starts = block.words & (!after_word | cuts);
            let ends = after_word & (!block.words | cuts) & valid;
            positions::<M>(starts, offset, &mut self.starts, &mut self.num_starts);
            positions::<M>(ends, offset, &mut self.ends, &mut self.num_ends);
            offset += block.length;
            before = block;
        }
    }

    /// Looks at the block that begins at `offset` of the window, of which `left` bytes are left.
    #[inline(always)]
    fn block<M: Machine>(&mut self, text: &[u8], offset: usize, left: usize) -> Block {
        let mut padded = [0; BLOCK];
        let bytes = if let Some(bytes) = text.first_chunk() {
            bytes
        } else {
            padded[..text.len()].copy_from_slice(text);
            &padded
        };
        let Some(lowered) = self.lowered[offset..].first_chunk_mut() else {
            return Block { length: left, ..Block::default() };
        };
        let mut masks = M::masks(bytes, lowered);
        let length = left.min(BLOCK);
        let valid = first_bits(length);
        masks.leads &= valid;
        let block = Block { words: masks.words & valid, length, ..Block::default() };
        if masks.leads == 0 { block } else { self.beyond_ascii::<M>(block, masks, bytes, offset) }
    }

    /// Adds the characters to a block that are not ASCII.
    #[inline(always)]
    fn beyond_ascii<M: Machine>(
        &mut self,
        mut block: Block,
        mut masks: Masks,
        bytes: &[u8; BLOCK],
        offset: usize,
    ) -> Block {
        let last = BLOCK - 1 - masks.leads.leading_zeros() as usize;
        if last + length_of(bytes[last]) > block.length {
            block.length = last;
            masks.leads &= !(1 << last);
        }
        let firsts = M::classes(bytes, masks.leads);
        let whole = |firsts: u64| {
            let two = firsts | firsts << 1 & masks.tails;
            let three = two | two << 1 & masks.tails;
            three | three << 1 & masks.tails
        };
        block.words |= whole(firsts.words);
        block.alone_firsts = firsts.alone;
        block.alone_lasts = whole(firsts.alone) & !(masks.tails >> 1);
        let mut changed = firsts.changed;
        while changed != 0 {
            self.lower(offset + changed.trailing_zeros() as usize);
            changed &= changed - 1;
        }
        block
    }

    /// Puts a character into lower case, or notes that this takes more or fewer bytes.
    #[inline(never)]
    fn lower(&mut self, at: usize) {
        let character = characters::number_at(&self.lowered, at);
        let class = characters::class(character);
        if class == RESIZED {
            self.resized.push(narrow(at));
            return;
        }
        let lowered = characters::lowered(character, class);
        let lowered = char::from_u32(lowered).unwrap_or(char::REPLACEMENT_CHARACTER);
        let room = &mut self.lowered[at..];
        lowered.encode_utf8(room);
    }

    /// Appends the hashes of the words that have ended.
    #[inline(always)]
    fn hash(&self, words: &mut Vec<u32>) {
        let before = words.len();
        words.resize(before + self.num_ends, 0);
        // A loop, not an iterator's closure: this has to be compiled into its caller.
        for ((word, &start), &end) in words[before..].iter_mut().zip(&self.starts).zip(&self.ends) {
            let (mut at, mut length) = (usize::from(start), usize::from(end - start));
            let mut hash = 0;
            while length > CHUNK {
                let [low, high] = self.chunk(at);
                hash = hash::add(hash, low, high);
                (at, length) = (at + CHUNK, length - CHUNK);
            }
            let [low, high] = self.chunk(at);
            let [low_mask, high_mask] = LEADING[length];
            *word = hash::finish(hash::add(hash, low & low_mask, high & high_mask));
        }
    }

    #[inline(always)]
    fn chunk(&self, at: usize) -> [u64; 2] {
        // The bits that are left out are 0: positions are below the size of the window.
        let bytes = &self.lowered[at % WINDOW..][..CHUNK];
        let (halves, _) = bytes.as_chunks::<8>();
        [u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1])]
    }

    /// Corrects the hashes of words with characters that take more or fewer bytes in lower case.
    #[cold]
    fn hash_resized(&self, text: &str, words: &mut [u32]) {
        let mut done = usize::MAX;
        for &position in &self.resized {
            let starts = &self.starts[..self.num_ends];
            // Behind the last word that has ended there may be an open one.
            let Some(word) = starts.partition_point(|&start| start <= position).checked_sub(1)
            else {
                continue;
            };
            let range = usize::from(self.starts[word])..usize::from(self.ends[word]);
            if word != done && range.contains(&usize::from(position)) {
                let mut hasher = WordHasher::default();
                text[range]
                    .chars()
                    .flat_map(char::to_lowercase)
                    .for_each(|lower| hasher.push(lower));
                words[word] = hasher.take();
                done = word;
            }
        }
    }
}

/// The masks of the first bytes of 16, by their number.
static LEADING: [[u64; 2]; CHUNK + 1] = {
    let mut masks = [[0; 2]; CHUNK + 1];
    let mut length = 1;
    while length <= CHUNK {
        let (low, high) = if length < 8 { (length, 0) } else { (8, length - 8) };
        masks[length] = [first_bits(8 * low), first_bits(8 * high)];
        length += 1;
    }
    masks
};

/// Returns a mask of so many bits, at most 64.
#[inline(always)]
const fn first_bits(count: usize) -> u64 {
    if count == 0 { 0 } else { !0 >> (64 - count) }
}

/// Writes the positions of the bits of `mask` behind those that are there.
#[inline(always)]
fn positions<M: Machine>(mask: u64, offset: usize, positions: &mut [u16], count: &mut usize) {
    if let Some(room) = positions[*count..].first_chunk_mut() {
        M::positions(mask, narrow(offset), room);
    }
    *count += mask.count_ones() as usize;
}

/// Returns the length of a character that is not ASCII by its first byte.
#[inline(always)]
fn length_of(first: u8) -> usize {
    2 + usize::from(first >= 0xe0) + usize::from(first >= 0xf0)
}

#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a window is smaller than 65,536")]
fn narrow(position: usize) -> u16 {
    position as u16
}
