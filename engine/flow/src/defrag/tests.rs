#![allow(clippy::unwrap_used, reason = "a test that finds nothing should stop there")]
//! Datagrams in pieces, against the frames they were cut from and against a model per byte.

use crate::defrag::{Defrag, DefragConfig, DefragPolicy, FragmentFate, Ipv6Overlap};
use crate::streams::Placement;
use crate::target::TargetPolicy;
use portcullis_types::{DropReason, SegmentId, Tick};
use portcullis_wire::build::Craft;
use portcullis_wire::{Checks, Fragment, LinkType, Packet, Reject, parse};
use proptest::prelude::*;

const ALL: Checks = Checks::ALL;

fn config() -> DefragConfig {
    DefragConfig {
        datagrams: 4,
        bytes: 40 * 2048,
        fragments: 1_300,
        fragments_per_datagram: 1_200,
        ..DefragConfig::default()
    }
}

struct Bench {
    defrag: Defrag,
    policy: DefragPolicy,
    now: Tick,
}

type Conflict = Option<(u16, Vec<u8>, Vec<u8>)>;

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Held,
    Whole(Box<Packet>, Vec<u8>),
    Refused(DropReason),
}

impl Bench {
    fn new(placement: Placement, target: TargetPolicy) -> Self {
        let policy = DefragPolicy { target, placement, ipv6_overlap: Ipv6Overlap::AsTarget };
        Bench { defrag: Defrag::new(config(), [1; 16]), policy, now: Tick(1) }
    }

    fn insert(&mut self, frame: &[u8]) -> (Outcome, Vec<Reject>, Conflict) {
        let packet = parse(frame, LinkType::Ethernet, Checks::NONE).unwrap();
        let done = self.defrag.insert(SegmentId(0), (&packet, frame), None, &self.policy, self.now);
        let fate = match done.fate {
            FragmentFate::Held => Outcome::Held,
            FragmentFate::Refused(reason) => Outcome::Refused(reason),
            FragmentFate::Whole(whole) => {
                let packet = whole.parse(&packet, ALL).unwrap();
                Outcome::Whole(Box::new(packet), whole.bytes.to_vec())
            }
        };
        let conflict = done.conflict.map(|(at, v)| (at, v.first.to_vec(), v.later.to_vec()));
        (fate, done.rejects.iter().collect(), conflict)
    }

    /// A fragment of bytes that are no upper layer of ours.
    fn part(&mut self, v6: bool, offset: u16, more: bool, bytes: &[u8]) -> Outcome {
        self.insert(&part(v6, 7, offset, more, bytes)).0
    }
}

fn part(v6: bool, id: u32, offset: u16, more: bool, bytes: &[u8]) -> Vec<u8> {
    let craft = match v6 {
        true => Craft::ip("2001:db8::1", "2001:db8::2", 253),
        false => Craft::ip("10.0.0.1", "10.0.0.2", 253),
    };
    craft.part(Fragment { id, offset, more }).payload(bytes).frame()
}

fn crafts(len: usize) -> [Craft; 3] {
    let payload: Vec<u8> = (0..len).map(|n| (n % 253).to_le_bytes()[0]).collect();
    let options = [7, 7, 4, 1, 2, 3, 4, 0];
    [
        Craft::udp("10.0.0.1", 5, "10.0.0.2", 53).vlan(12).payload(&payload),
        Craft::udp("10.0.0.1", 5, "10.0.0.2", 53).ip_options(&options).payload(&payload),
        Craft::udp("2001:db8::1", 5, "2001:db8::2", 53).extension(60, &[1, 4]).payload(&payload),
    ]
}

proptest! {
    /// The datagram is the one that was cut, whatever the size of the pieces and their order, and
    /// it comes with the last piece.
    #[test]
    fn any_cut_and_order_gives_the_datagram(
        len in 100usize..6_000,
        size in 1usize..1_500,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        for craft in crafts(len) {
            let mut bench = Bench::new(Placement::Inline, TargetPolicy::First);
            let mut frames = craft.fragments(9, size.max(len / 400));
            for swap in order.chunks_exact(2) {
                let (a, b) = (swap[0].index(frames.len()), swap[1].index(frames.len()));
                frames.swap(a, b);
            }
            let last = frames.pop().unwrap();
            if frames.is_empty() { continue }
            let mut said = vec![Reject::FragmentDuplicate];
            for frame in &frames {
                prop_assert_eq!(bench.insert(frame), (Outcome::Held, vec![], None));
                let again = (Outcome::Held, std::mem::take(&mut said), None);
                prop_assert_eq!(bench.insert(frame), again);
            }
            let (Outcome::Whole(packet, bytes), ..) = bench.insert(&last) else {
                panic!("whole with its last piece");
            };
            let whole = craft.frame();
            let wanted = parse(&whole, LinkType::Ethernet, ALL).unwrap();
            prop_assert_eq!(packet.payload(&bytes), wanted.payload(&whole));
            prop_assert_eq!((packet.vlan, packet.src_mac), (wanted.vlan, wanted.src_mac));
            prop_assert_eq!((packet.src_port, packet.fragment), (5, None));
            prop_assert_eq!(packet.rejects, wanted.rejects, "lengths and checksums are right");
            prop_assert_eq!(bench.defrag.counters().pages, 0);
        }
    }

    /// Against one owner per byte.
    #[test]
    fn watching_the_target_decides(
        v6 in any::<bool>(),
        policy in prop::sample::select(TargetPolicy::ALL),
        sent in prop::collection::vec((0u16..10, 1u16..5), 1..9),
    ) {
        prop_assume!(policy != TargetPolicy::Linux, "discards, see the case below");
        let mut bench = Bench::new(Placement::Watching, policy);
        let mut model: Vec<Option<((u16, u16), u8)>> = vec![None; 20];
        for (n, (at, len)) in sent.into_iter().enumerate() {
            let mark = b'a' + u8::try_from(n).unwrap();
            let (from, to) = (at + 1, at + 1 + len);
            let bytes = vec![mark; usize::from(len) * 8];
            prop_assert_eq!(bench.part(v6, from * 8, true, &bytes), Outcome::Held);
            for place in &mut model[usize::from(from)..usize::from(to)] {
                if place.is_none_or(|(old, _)| stays_new(policy, (from, to), old)) {
                    *place = Some(((from, to), mark));
                }
            }
        }
        // The holes, with fragments that meet nothing; then the end, then the beginning.
        for (at, place) in model.iter_mut().enumerate().skip(1).filter(|(_, p)| p.is_none()) {
            *place = Some(((0, 0), b'.'));
            bench.part(v6, u16::try_from(at).unwrap() * 8, true, b"........");
        }
        prop_assert_eq!(bench.part(v6, 160, false, b"."), Outcome::Held);
        let Outcome::Whole(packet, bytes) = bench.part(v6, 0, true, b"!!!!!!!!") else {
            panic!("whole");
        };
        let mut wanted = b"!!!!!!!!".to_vec();
        wanted.extend(model[1..].iter().flat_map(|place| [place.unwrap().1; 8]));
        wanted.push(b'.');
        prop_assert_eq!(packet.payload(&bytes), &wanted[..]);
    }

    /// Any fragments at all: no panic, memory in its bounds, and inline a datagram is only ever
    /// made of the bytes that were forwarded.
    #[test]
    fn inline_the_receiver_gets_what_was_read(
        sent in prop::collection::vec((0u32..6, 0u16..12, 1u16..6, any::<bool>(), 0u8..2), 1..80)
    ) {
        let mut bench = Bench::new(Placement::Inline, TargetPolicy::First);
        let mut forwarded = std::collections::HashMap::<(u32, u16), u8>::new();
        for (id, at, len, more, version) in sent {
            let bytes = vec![b'a' + version; usize::from(len) * 8];
            let frame = part(false, id, at * 8, more, &bytes);
            let (outcome, ..) = bench.insert(&frame);
            prop_assert!(bench.defrag.counters().pages <= 40);
            match outcome {
                Outcome::Refused(_) => continue,
                Outcome::Held => {}
                Outcome::Whole(packet, whole) => {
                    for (n, byte) in packet.payload(&whole).iter().enumerate() {
                        let n = u16::try_from(n / 8).unwrap();
                        let sent = forwarded.get(&(id, n)).copied().unwrap_or(b'a' + version);
                        prop_assert_eq!(*byte, sent);
                    }
                    forwarded.retain(|&(of, _), _| of != id);
                    continue;
                }
            }
            for n in at..at + len {
                let held = *forwarded.entry((id, n)).or_insert(b'a' + version);
                prop_assert_eq!(held, b'a' + version, "two versions were forwarded");
            }
        }
    }
}

/// The sentences of Novak's paper, over where fragments begin and end.
fn stays_new(policy: TargetPolicy, new: (u16, u16), old: (u16, u16)) -> bool {
    match policy.name() {
        "bsd" | "hpux10" | "irix" => new.0 < old.0,
        "bsd-right" => new.0 >= old.0,
        "last" => true,
        "old-linux" => new.0 <= old.0,
        "solaris" => new.0 < old.0 && new.1 >= old.1,
        "windows" | "vista" | "windows2k3" => new.0 < old.0 && new.1 > old.1,
        _ => false,
    }
}

#[test]
fn linux_and_ipv6_give_overlapping_datagrams_up() {
    for v6 in [false, true] {
        let mut bench = Bench::new(Placement::Watching, TargetPolicy::Linux);
        bench.policy.ipv6_overlap = Ipv6Overlap::Discard;
        bench.part(v6, 8, true, &[b'a'; 16]);
        assert_eq!(bench.part(v6, 8, true, &[b'b'; 16]), Outcome::Held, "a repetition");
        assert_eq!(bench.part(v6, 16, true, &[b'b'; 8]), Outcome::Held, "within what is there");
        let overlap = Outcome::Refused(DropReason::FragmentOverlap);
        assert_eq!(bench.part(v6, 0, true, &[b'b'; 16]), overlap);
        // What comes behind begins another datagram: whoever looks away now is blind to it.
        assert_eq!(bench.part(v6, 0, true, &[b'c'; 8]), Outcome::Held);
        let Outcome::Whole(packet, bytes) = bench.part(v6, 8, false, &[b'd'; 8]) else {
            panic!("whole");
        };
        assert_eq!(packet.payload(&bytes), b"ccccccccdddddddd");
        // A fragment across two that came in disorder is no repetition.
        bench.part(v6, 24, true, &[b'a'; 16]);
        bench.part(v6, 8, true, &[b'a'; 16]);
        assert_eq!(bench.part(v6, 16, true, &[b'b'; 16]), overlap);
        bench.part(v6, 8, true, &[b'a'; 16]);
        bench.part(v6, 24, true, &[b'a'; 16]);
        assert_eq!(bench.part(v6, 16, true, &[b'b'; 16]), Outcome::Held, "in order it is one");
        assert_eq!(bench.defrag.counters().condemned, 2);
    }
}

#[test]
fn teardrop_overlap_and_repeats_are_told_apart() {
    let mut bench = Bench::new(Placement::Inline, TargetPolicy::First);
    let mut seen = |id, offset, len: usize, more| {
        let (_, rejects, _) = bench.insert(&part(false, id, offset, more, &vec![b'a'; len]));
        rejects
    };
    assert_eq!(seen(1, 0, 40, true), []);
    assert_eq!(seen(1, 24, 4, false), [Reject::FragmentTeardrop]);
    assert_eq!(seen(1, 16, 8, true), [], "each is said once a datagram");
    assert_eq!(seen(2, 0, 48, true), []);
    assert_eq!(seen(2, 40, 80, true), [Reject::FragmentOverlap]);
    assert_eq!(seen(3, 0, 1480, true), []);
    assert_eq!(seen(3, 0, 1480, true), [Reject::FragmentDuplicate]);
    assert_eq!(seen(3, 1480, 20, false), [], "whole in spite of it");
    assert_eq!(seen(4, 80, 20, false), []);
    assert_eq!(seen(4, 160, 8, true), [Reject::FragmentOverlap], "behind the end");
    assert_eq!(seen(5, 160, 8, true), []);
    assert_eq!(seen(5, 80, 20, false), [Reject::FragmentOverlap], "another end");
    assert_eq!(bench.defrag.counters().whole, 1);
}

#[test]
fn other_bytes_are_shown_and_dropped() {
    let mut bench = Bench::new(Placement::Inline, TargetPolicy::Last);
    bench.part(false, 8, true, b"GOOD....");
    let (outcome, rejects, conflict) = bench.insert(&part(false, 7, 8, true, b"GOES...."));
    assert_eq!(outcome, Outcome::Refused(DropReason::FragmentOverlap));
    assert_eq!(rejects, [Reject::FragmentOverlap]);
    assert_eq!(conflict, Some((10, b"OD....".to_vec(), b"ES....".to_vec())));
    // Another end, and bytes behind the end.
    bench.part(false, 16, false, b"end");
    let overlap = Outcome::Refused(DropReason::FragmentOverlap);
    assert_eq!(bench.part(false, 16, false, b"ends"), overlap);
    assert_eq!(bench.part(false, 24, true, b"........"), overlap);
    let Outcome::Whole(packet, bytes) = bench.part(false, 0, true, b"start...") else {
        panic!("the first version is whole");
    };
    assert_eq!(packet.payload(&bytes), b"start...GOOD....end");
}

#[test]
fn a_condemned_datagram_never_arrives() {
    let mut bench = Bench::new(Placement::Inline, TargetPolicy::First);
    bench.part(false, 0, true, b"12345678");
    let last = part(false, 7, 8, false, b"evil");
    assert!(matches!(bench.insert(&last).0, Outcome::Whole(..)));
    let packet = parse(&last, LinkType::Ethernet, Checks::NONE).unwrap();
    bench.defrag.condemn(SegmentId(0), &packet, DropReason::Verdict, bench.now);
    assert_eq!(bench.insert(&last).0, Outcome::Refused(DropReason::Verdict));
    bench.now = Tick(61_000_000_000);
    bench.defrag.expire(bench.now, 10);
    assert_eq!(bench.insert(&last).0, Outcome::Held, "its receiver has forgotten the rest by now");
}

#[test]
fn at_the_bound_the_oldest_is_given_up_and_stays_so() {
    let mut bench = Bench::new(Placement::Inline, TargetPolicy::First);
    let big = vec![0; 40_000];
    assert_eq!(bench.insert(&part(false, 1, 8, true, &big)).0, Outcome::Held);
    assert_eq!(bench.insert(&part(false, 2, 8, true, &big)).0, Outcome::Held);
    let full = Outcome::Refused(DropReason::ReassemblyFull);
    assert_eq!(bench.insert(&part(false, 2, 40_008, true, &big[..20_000])).0, Outcome::Held);
    assert_eq!(bench.insert(&part(false, 1, 0, true, &big[..8])).0, full);
    assert_eq!(bench.defrag.counters().starved, 1);
    // A full table refuses new ones inline, and forgets old ones where it only watches.
    for id in 3..5 {
        assert_eq!(bench.insert(&part(false, id, 8, true, &big[..8])).0, Outcome::Held);
    }
    assert_eq!(bench.insert(&part(false, 9, 8, true, &big[..8])).0, full);
    bench.policy.placement = Placement::Watching;
    assert_eq!(bench.insert(&part(false, 9, 8, true, &big[..8])).0, Outcome::Held);
    assert_eq!(bench.defrag.counters().evicted, 1);
}
