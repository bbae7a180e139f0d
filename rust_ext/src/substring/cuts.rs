//! The repeats of all texts as cuts of records.

use super::segments::{Cover, Segment, Segments};
use super::suffixes::Position;
use super::texts::{Place, Texts};
use super::windows::each_repeat;
use crate::Result;
use crate::control::Control;
use crate::cuts::Cut;

/// Calls `take` with what is to be cut, by record and place.
///
/// # Errors
/// `Argument` where there is too little memory for the suffix array; `Interrupted`; that of `take`.
pub(super) fn each_cut(
    texts: &Texts,
    length: usize,
    workers: usize,
    control: &Control,
    mut take: impl FnMut(Cut) -> Result<()>,
) -> Result<()> {
    let segments = if i32::try_from(texts.bytes().len()).is_ok() {
        segments::<i32>(texts, length, workers, control)?
    } else {
        segments::<i64>(texts, length, workers, control)?
    };
    let segments = segments.all();
    for place in texts.places() {
        let first = segments.partition_point(|segment| segment.end <= place.start);
        let here = segments[first..].iter().take_while(|segment| segment.start < place.end);
        here.map(|segment| cut(texts, place, segment)).try_for_each(&mut take)?;
    }
    Ok(())
}

fn segments<P: Position>(
    texts: &Texts,
    length: usize,
    workers: usize,
    control: &Control,
) -> Result<Segments> {
    let mut cover = Cover::new(texts.bytes(), length);
    let mut places = texts.in_order().peekable();
    each_repeat::<P>(texts.bytes(), length, workers, control, |repeat| {
        while places.next_if(|place| place.end <= repeat.at).is_some() {}
        if places.peek().is_some_and(|place| !place.stays_whole) {
            cover.take(repeat);
        }
    })?;
    Ok(cover.finish())
}

fn cut(texts: &Texts, place: &Place, segment: &Segment) -> Cut {
    let survivor = texts.holding(segment.kept_at);
    // A text is shorter than a line, and that than 4 GiB.
    let offset = |at: usize, start: usize| u32::try_from(at - start).unwrap_or(u32::MAX);
    Cut {
        record: place.record,
        start: offset(segment.start, place.start),
        end: offset(segment.end, place.start),
        survivor: survivor.record,
        survivor_start: offset(segment.kept_at, survivor.start),
    }
}

#[cfg(test)]
mod tests {
    use super::super::texts::Member;
    use super::*;

    fn cuts(texts: &[(u64, &str)], whole: &[u64]) -> Vec<(u64, u32, u32, u64, u32)> {
        let members: Vec<Member> = (0..)
            .zip(texts)
            .map(|(record, (keep_key, text))| Member {
                record,
                keep_key: *keep_key,
                text_bytes: text.len() as u64,
            })
            .collect();
        let mut room = Texts::with_room(&members);
        for (record, (_, text)) in (0..).zip(texts) {
            assert!(room.put(record, text.as_bytes(), whole.contains(&record)));
        }
        let mut found = Vec::new();
        each_cut(&room, 5, 1, &Control::default(), |cut| {
            found.push((cut.record, cut.start, cut.end, cut.survivor, cut.survivor_start));
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn what_is_first_in_order_stays_whoever_comes_first() {
        let texts = [(0, "abcdefgh"), (0, "xabcdefy"), (0, "bcdefghz")];
        assert_eq!(cuts(&texts, &[]), [(1, 1, 7, 0, 0), (2, 0, 7, 0, 1)]);
        let texts = [(2, "abcdefgh"), (1, "xabcdefy"), (0, "bcdefghz")];
        assert_eq!(cuts(&texts, &[]), [(0, 0, 1, 1, 1), (0, 1, 8, 2, 0), (1, 2, 7, 2, 0)]);
    }

    #[test]
    fn what_stays_whole_loses_nothing_and_others_may_lose_to_it() {
        let texts = [(0, "abcdefgh"), (0, "abcdefgh--12345"), (0, "x12345abcdefgh")];
        assert_eq!(cuts(&texts, &[1]), [(2, 1, 6, 1, 10), (2, 6, 14, 0, 0)]);
        assert_eq!(cuts(&texts, &[1, 2]), []);
        assert_eq!(cuts(&[], &[]), []);
    }
}
