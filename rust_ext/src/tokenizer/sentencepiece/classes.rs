//! Which characters may stand next to each other inside a piece, by eight classes.
//!
//! A merge joins two neighbours only to a piece, so none ever crosses the boundary between two
//! characters that no piece holds side by side: a text may be cut there, and each part encoded
//! alone. Thousands of such pairs are described by eight bits a character: the class it is in, and
//! the classes that may follow it. Classes make some pairs joinable that no piece holds, which
//! costs a cut, never an id.

use std::collections::{HashMap, HashSet};

/// Classes of ASCII characters; the eighth is for all others.
const ASCII_CLASSES: usize = 7;

/// What cuts need to know of a character; the default joins nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Joins {
    /// The class as a bit; 0 for a character that stands behind no other.
    pub(super) class: u8,
    /// The classes of which a member may stand behind the character, a bit each.
    pub(super) followers: u8,
}

impl Joins {
    /// Says whether some piece may hold a character and, behind it, one of these `followers`.
    #[inline]
    pub(super) fn follows(self, followers: u8) -> bool {
        self.class & followers != 0
    }
}

/// ASCII characters of one class, and those that some member follows, a bit each.
#[derive(Clone, Copy)]
struct Group {
    members: u128,
    leaders: u128,
}

/// Returns how the characters of `pieces` join; those that stand alone everywhere are left out.
pub(super) fn joins_of<'p>(pieces: impl Iterator<Item = &'p str>) -> HashMap<char, Joins> {
    let pairs = pairs_of(pieces);
    let groups = groups_of(&pairs);
    let class_of = |c: char| {
        let group = groups.iter().position(|group| group.members & ascii_bit(c) != 0);
        1 << group.unwrap_or(ASCII_CLASSES)
    };
    let mut joins: HashMap<char, Joins> = HashMap::new();
    for (left, right) in pairs {
        let class = class_of(right);
        joins.entry(right).or_default().class = class;
        joins.entry(left).or_default().followers |= class;
    }
    joins
}

fn pairs_of<'p>(pieces: impl Iterator<Item = &'p str>) -> HashSet<(char, char)> {
    pieces.flat_map(|piece| piece.chars().zip(piece.chars().skip(1))).collect()
}

/// Returns classes for the ASCII characters: those that follow nearly the same share one.
fn groups_of(pairs: &HashSet<(char, char)>) -> Vec<Group> {
    let mut leaders = [0u128; 128];
    for &(left, right) in pairs.iter().filter(|(_, right)| right.is_ascii()) {
        leaders[right as usize] |= ascii_bit(left);
    }
    let all = leaders.iter().enumerate().filter(|(_, leaders)| **leaders != 0);
    let mut groups: Vec<_> =
        all.map(|(at, &leaders)| Group { members: 1 << at, leaders }).collect();
    while groups.len() > ASCII_CLASSES {
        let rights = |left: usize| (left + 1..groups.len()).map(move |right| (left, right));
        let choices = (0..groups.len()).flat_map(rights);
        let best = choices.min_by_key(|&(left, right)| groups[left].cost_with(groups[right]));
        let Some((left, right)) = best else { break };
        let gone = groups.remove(right);
        groups[left].members |= gone.members;
        groups[left].leaders |= gone.leaders;
    }
    groups
}

impl Group {
    /// Returns how many pairs would look joinable, and are not, if both were one group.
    fn cost_with(self, other: Self) -> u32 {
        let new = |group: Self, leaders: u128| {
            group.members.count_ones() * (leaders & !group.leaders).count_ones()
        };
        new(self, other.leaders) + new(other, self.leaders)
    }
}

/// Returns the bit of an ASCII character in a set; none for another.
fn ascii_bit(c: char) -> u128 {
    if c.is_ascii() { 1 << (c as u32) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_in_a_piece_joins_and_unlike_groups_do_not() {
        let pieces = [" the", "ing", "...", ").", " (", "  ", "été", "слово", "7", "中"];
        let joins = joins_of(pieces.into_iter());
        let joined = |left, right| {
            let of = |c| joins.get(&c).copied().unwrap_or_default();
            Joins::follows(of(right), of(left).followers)
        };
        for piece in pieces {
            let pairs = piece.chars().zip(piece.chars().skip(1));
            assert!(pairs.clone().all(|(left, right)| joined(left, right)), "{piece:?}");
        }
        for (left, right) in [('g', '.'), (')', 'e'), ('7', '7'), ('e', ' '), ('中', '中')] {
            assert!(!joined(left, right), "{left:?} {right:?}");
        }
    }

    #[test]
    fn many_kinds_of_characters_still_have_a_class_each() {
        let letters: Vec<String> = ('!'..='~').map(|c| format!("{c}{c}")).collect();
        let joins = joins_of(letters.iter().map(String::as_str));
        assert_eq!(joins.len(), 94);
        assert!(joins.values().all(|j| j.class.count_ones() == 1 && j.followers == j.class));
    }
}
