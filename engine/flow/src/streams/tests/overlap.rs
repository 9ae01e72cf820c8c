//! Target policies, against a model that decides byte by byte.

use super::*;
use crate::target::TargetPolicy;
use proptest::prelude::*;

/// Who stays, said once more and differently: the papers' sentences over (start, end).
fn stays_new(policy: TargetPolicy, new: (i32, i32), old: (i32, i32)) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let (begin, finish) = (new.0.cmp(&old.0), new.1.cmp(&old.1));
    match policy.name() {
        "first" | "vista" | "old-solaris" => false,
        "last" => true,
        "bsd-right" => begin != Less,
        "linux" => matches!((begin, finish), (Less, _) | (Equal, Greater)),
        "old-linux" => matches!((begin, finish), (Less, _) | (Equal, Greater | Equal)),
        "solaris" | "hpux11" => {
            matches!((begin, finish), (_, Greater) | (Less | Equal, Equal))
        }
        _ => begin == Less,
    }
}

proptest! {
    #[test]
    fn watching_the_target_decides(
        policy in prop::sample::select(TargetPolicy::ALL),
        sent in prop::collection::vec((1i32..24, 1i32..9), 1..10),
    ) {
        let mut t = Talk::open(Placement::Watching);
        t.policy.target = policy;
        // Everything lies behind a hole of one byte, which is filled at last.
        let mut model: Vec<Option<((i32, i32), u8)>> = vec![None; 33];
        for (n, (at, len)) in sent.into_iter().enumerate() {
            let mark = b'a' + u8::try_from(n).unwrap();
            let payload = vec![mark; usize::try_from(len).unwrap()];
            t.send(TO_SERVER, ACK, at, 0, &payload);
            let new = (at, at + len);
            // What Linux holds and what continues it are one.
            let before = usize::try_from(at - 1).ok().and_then(|b| model[b]).map(|p| p.0);
            let level = usize::try_from(at).ok().and_then(|b| model[b]);
            let joined = before
                .filter(|old| policy.name() == "linux" && old.1 == at && level.is_none())
                .map_or(new, |old| (old.0, new.1));
            let range = usize::try_from(new.0).unwrap()..usize::try_from(new.1).unwrap();
            for place in &mut model[range] {
                if place.is_none_or(|(old, _)| stays_new(policy, new, old)) {
                    *place = Some((joined, mark));
                }
            }
            for (old, _) in model.iter_mut().flatten() {
                if joined != new && *old == (joined.0, at) {
                    *old = joined;
                }
            }
        }
        t.send(TO_SERVER, ACK, 0, 0, b"!");
        let wanted: Vec<u8> = model[1..].iter().map_while(|place| place.map(|p| p.1)).collect();
        prop_assert_eq!(&t.told.bytes[0][1..], &wanted[..]);
        t.end();
    }
}

#[test]
fn the_table_of_the_paper() {
    // Behind a hole: "aaaa" at 4, then "bbbb" around it.
    let cases = [
        ("first", 2, "bbaaaa"),
        ("bsd", 2, "bbbbaa"),
        ("linux", 2, "bbbbaa"),
        ("solaris", 2, "bbaaaa"),
        ("last", 2, "bbbbaa"),
        ("bsd", 6, "aaaabb"),
        ("bsd-right", 6, "aabbbb"),
        ("solaris", 6, "aabbbb"),
        ("linux", 4, "aaaa"),
        ("old-linux", 4, "bbbb"),
        ("windows", 4, "aaaa"),
        ("last", 4, "bbbb"),
    ];
    for (policy, at, wanted) in cases {
        let mut t = Talk::open(Placement::Watching);
        t.policy.target = TargetPolicy::from_name(policy).unwrap();
        t.send(TO_SERVER, ACK, 4, 0, b"aaaa");
        t.send(TO_SERVER, ACK, at, 0, b"bbbb");
        t.send(TO_SERVER, ACK, 0, 0, &b"0123"[..usize::try_from(at.min(4)).unwrap()]);
        assert_eq!(
            &t.said(TO_SERVER)[usize::try_from(at.min(4)).unwrap()..],
            wanted,
            "{policy} {at}"
        );
        let conflict = StreamEvent::OverlapDifferentData;
        assert!(t.told.events.contains(&conflict), "{policy}");
    }
}
