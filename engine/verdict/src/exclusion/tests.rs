#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use super::*;
use crate::{ClassAction, WallClock};
use portcullis_types::{RuleId, SegmentId, Tick};
use proptest::prelude::*;

fn stack(vids: &[u16]) -> VlanStack {
    VlanStack::from_vids(vids).unwrap()
}

fn list(rows: &[&str]) -> Exclusions {
    let rows = rows.iter().map(|r| Exclusion::parse(r).unwrap()).collect();
    let segment = |name: &str| (name == "dmz").then_some(SegmentId(1));
    Exclusions::new(rows, segment, WallClock::REPLAY).unwrap()
}

fn traffic(source: &str, vids: &[u16]) -> Traffic {
    Traffic {
        segment: SegmentId(0),
        vlan: stack(vids),
        source: source.parse().unwrap(),
        destination: "198.51.100.1".parse().unwrap(),
        protocol: 6,
        port: 443,
    }
}

const RULE: RuleId = RuleId { gid: 1, sid: 5, rev: 2 };

#[test]
fn canonical_text() {
    for (text, canonical) in [
        ("10.0.0.0/8 vlan 10 do-not-block", "10.0.0.0/8 vlan 10 do-not-block"),
        ("any novlan ignore", "any vlan 0 ignore"),
        ("2001:db8::1 vlan 4095 default", "2001:db8::1 vlan 4095 default"),
        ("192.0.2.1/32 do-not-scan", "192.0.2.1 do-not-scan"),
        ("10.0.0.1-10.0.0.9 vlan 10.20 terminate", "10.0.0.1-10.0.0.9 vlan 10.20 terminate"),
        (
            "any terminate-and-block for 10m to 10.0.0.0/8 protocol 6 port 8000-8080",
            "any to 10.0.0.0/8 protocol tcp port 8000-8080 terminate-and-block for 10m",
        ),
        ("any rule 1:5 do-not-block owner ann", "any rule 1:5 do-not-block owner \"ann\""),
        (
            "any segment dmz rule 1:5:2 ignore expires 2027-01-31T20:00:00+02:00 comment \"a \\\"b\"",
            "any segment \"dmz\" rule 1:5:2 ignore expires 2027-01-31T18:00:00Z comment \"a \\\"b\"",
        ),
        ("any ignore expires in 90m", "any ignore expires in 1h30m"),
        ("any terminate-and-block", "any terminate-and-block"),
    ] {
        let row = Exclusion::parse(text).unwrap();
        assert_eq!(row.to_string(), canonical);
        assert_eq!(Exclusion::parse(canonical), Ok(row));
    }
}

#[test]
fn errors_name_position_word_and_remedy() {
    for (text, column, word, remedy) in [
        ("", 1, "", "write an address"),
        ("10.0.0.1", 9, "", "do-not-block"),
        ("10.0.0.300 ignore", 1, "10.0.0.300", "write an address"),
        ("10.1.2.3/8 ignore", 1, "10.1.2.3/8", "write 10.0.0.0/8"),
        ("10.0.0.9-10.0.0.1 ignore", 1, "10.0.0.9-10.0.0.1", "write 10.0.0.1-10.0.0.9"),
        ("10.0.0.1-2001:db8::1 ignore", 1, "10.0.0.1-2001:db8::1", "one family"),
        ("any vlan 4096 ignore", 10, "4096", "vlan 4095 (any tag)"),
        ("any vlan 10.0 ignore", 10, "10.0", "vlan 10.20"),
        ("any vlan 1.2.3.4 ignore", 10, "1.2.3.4", "vlan 10.20"),
        ("any vlan", 9, "", "write vlan 0"),
        ("any vlann 10 ignore", 5, "vlann", "write vlan"),
        ("any do-not-blok", 5, "do-not-blok", "write do-not-block"),
        ("any frobnicate", 5, "frobnicate", "write a clause"),
        ("any ignore terminate", 12, "terminate", "an action already"),
        ("any novlan vlan 10 ignore", 12, "vlan", "a VLAN already"),
        ("any terminate for 10m", 15, "for", "only terminate-and-block"),
        ("any terminate-and-block for 0s", 29, "0s", "1s or more"),
        ("any terminate-and-block for 40000m", 29, "40000m", "32768m or less"),
        ("any protocol icmp port 80 ignore", 1, "any", "has no ports"),
        ("any protocol tpc ignore", 14, "tpc", "write tcp"),
        ("any port 70000 ignore", 10, "70000", "0 to 65535"),
        ("any rule 5 ignore", 10, "5", "gid:sid"),
        ("any rule 1:5 do-not-scan", 1, "any", "cannot depend on a rule"),
        ("10.0.0.1 to ::1 ignore", 1, "10.0.0.1", "different families"),
        ("any ignore expires tomorrow", 20, "tomorrow", "2027-01-31T18:00:00Z"),
        ("any ignore comment \"open", 20, "", "close the quotes"),
        ("any ignore owner \"\"", 18, "", "at least one character"),
        ("any \"ignore\"", 5, "ignore", "write ignore"),
    ] {
        let e = Exclusion::parse(text).expect_err(text);
        assert_eq!((e.column, e.word.as_str()), (column, word), "{text}: {e}");
        assert!(e.remedy.contains(remedy), "{text}: {e}");
    }
}

#[test]
fn places_are_apart() {
    let cases: [(&str, [bool; 4]); 6] = [
        ("", [true; 4]),
        ("novlan", [true, false, false, false]),
        ("vlan 0", [true, false, false, false]),
        ("vlan 10", [false, true, false, false]),
        ("vlan 10.20", [false, false, false, true]),
        ("vlan 4095", [false, true, true, true]),
    ];
    for (place, expected) in cases {
        let rows = list(&[&format!("10.0.0.0/8 {place} do-not-scan")]);
        for (vids, expected) in [&[][..], &[10], &[20], &[10, 20]].iter().zip(expected) {
            let found = rows.leaves_unread(&traffic("10.1.1.1", vids), Tick::ZERO).is_some();
            assert_eq!(found, expected, "{place} {vids:?}");
        }
    }
}

#[test]
fn first_match_wins_and_default_carves_out() {
    let rows = list(&[
        "10.0.0.5 default",
        "any rule 1:5 ignore",
        "10.0.0.0/8 do-not-scan",
        "any do-not-block",
    ]);
    assert!(rows.may_leave_unread());
    let row = |source: &str| rows.decide(&traffic(source, &[]), RULE, Tick::ZERO).unwrap().row;
    assert_eq!((row("10.0.0.5"), row("10.0.0.6"), row("192.0.2.1")), (0, 1, 1));
    let unread = |source: &str| rows.leaves_unread(&traffic(source, &[]), Tick::ZERO);
    assert_eq!(
        (unread("10.0.0.5"), unread("10.0.0.6"), unread("192.0.2.1")),
        (None, Some(2), None)
    );
    assert_eq!(rows.frees(&traffic("10.0.0.5", &[]), Some(RULE), Tick::ZERO), None);
    assert_eq!(rows.frees(&traffic("10.0.0.6", &[]), Some(RULE), Tick::ZERO), Some(1));
    assert_eq!(rows.frees(&traffic("192.0.2.1", &[]), None, Tick::ZERO), Some(3));
    assert!(!list(&["any do-not-block"]).may_leave_unread());
}

#[test]
fn expiry_is_exact_and_segments_are_found() {
    let rows = list(&["any ignore expires 1970-01-01T00:00:10Z", "any segment dmz terminate"]);
    let t = traffic("192.0.2.1", &[]);
    assert!(rows.decide(&t, RULE, Tick(9_999_999_999)).is_some());
    assert!(rows.decide(&t, RULE, Tick(10_000_000_000)).is_none());
    let there = Traffic { segment: SegmentId(1), ..t };
    assert_eq!(rows.decide(&there, RULE, Tick(10_000_000_000)).unwrap().row, 1);
    let lost = Exclusion::parse("any segment nowhere ignore").unwrap();
    let e = Exclusions::new(vec![lost], |_| None, WallClock::REPLAY).unwrap_err();
    assert_eq!(e, ExclusionsError::Segment { row: 1, name: "nowhere".into() });
}

#[test]
fn rows_that_can_never_match() {
    let rows = list(&[
        "10.0.0.0/8 vlan 4095 ignore",
        "10.1.0.0/16 vlan 10 do-not-block",
        "10.0.0.0/8 do-not-block",
        "10.0.0.1-10.0.0.9 novlan port 80 ignore",
        "192.0.2.1 ignore expires 1970-01-01T00:00:10Z",
        "192.0.2.1 ignore expires 1970-01-01T00:00:20Z",
        "192.0.2.1 ignore",
        "any rule 1:5 ignore",
        "any rule 1:5:2 terminate",
        "::/0 ignore",
    ]);
    let found: Vec<_> =
        rows.unreachable(Tick(15_000_000_000)).into_iter().map(|u| (u.row, u.reason)).collect();
    assert_eq!(
        found,
        [
            (1, UnreachableReason::Shadowed(0)),
            (3, UnreachableReason::Shadowed(2)),
            (4, UnreachableReason::Expired),
            (8, UnreachableReason::Shadowed(7)),
        ]
    );
}

#[test]
fn thousands_of_rows_are_quick_to_ask() {
    let mut rows: Vec<String> = (0..8_000u32)
        .map(|n| format!("10.{}.{}.{} do-not-scan", n >> 16 & 255, n >> 8 & 255, n & 255))
        .collect();
    rows.push("172.16.0.1-172.31.255.254 vlan 10 do-not-scan".into());
    let texts: Vec<&str> = rows.iter().map(String::as_str).collect();
    let list = list(&texts);
    let miss = traffic("192.0.2.1", &[]);
    let start = std::time::Instant::now();
    for _ in 0..100_000 {
        assert_eq!(std::hint::black_box(&list).leaves_unread(&miss, Tick::ZERO), None);
    }
    // A walk of 8,001 rows would take whole seconds.
    assert!(start.elapsed() < std::time::Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(list.leaves_unread(&traffic("10.0.31.63", &[]), Tick::ZERO), Some(7_999));
}

fn any_addr() -> impl Strategy<Value = Addr> {
    // Few distinct values, so that rows and traffic meet.
    prop_oneof![
        (0u8..4, 0u8..4).prop_map(|(a, b)| Addr::v4([10, 0, a, b])),
        (0u8..4, 0u8..4).prop_map(|(a, b)| {
            Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, a, 0, 0, 0, 0, 0, 0, 0, b])
        }),
        any::<[u8; 4]>().prop_map(Addr::v4),
    ]
}

fn any_source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Any),
        (any_addr(), 0u8..=128).prop_map(|(a, n)| Source::Network(Prefix::of(a, n))),
        (any_addr(), any_addr()).prop_filter_map("one family", |(a, b)| {
            (a.is_v4() == b.is_v4()).then(|| Source::Range(a.min(b), a.max(b)))
        }),
    ]
}

fn any_stack() -> impl Strategy<Value = VlanStack> {
    prop::sample::select(vec![stack(&[]), stack(&[10]), stack(&[20]), stack(&[10, 20])])
}

fn any_place() -> impl Strategy<Value = Place> {
    prop_oneof![Just(Place::Any), Just(Place::Tagged), any_stack().prop_map(Place::Stack)]
}

fn any_action() -> impl Strategy<Value = ExclusionAction> {
    let block = ClassAction::TerminateAndBlock;
    prop_oneof![
        Just(ExclusionAction::Default),
        Just(ExclusionAction::DoNotBlock),
        Just(ExclusionAction::DoNotScan),
        Just(ExclusionAction::Class(ClassAction::Ignore, None)),
        Just(ExclusionAction::Class(ClassAction::Terminate, None)),
        (1u64..=32_768 * 60).prop_map(move |s| {
            let duration = crate::BlockDuration::clamped(Duration::from_secs(s));
            ExclusionAction::Class(block, Some(duration))
        }),
        Just(ExclusionAction::Class(block, None)),
    ]
}

prop_compose! {
    fn any_row()(
        source in any_source(), place in any_place(), destination in prop::option::of(any_source()),
        protocol in prop::option::of(prop::sample::select(vec![6u8, 17, 200])),
        ports in prop::option::of((0u16..=500, 0u16..=500)),
        segment in prop::option::of("[ -~]{1,12}"),
        rule in prop::option::of((1u32..3, 1u32..9, prop::option::of(0u32..3))),
        action in any_action(),
        expires in prop_oneof![
            Just(None),
            (0u64..253_402_300_800).prop_map(|s| Some(Expires::At(s))),
            (1u64..9_999_999).prop_map(|s| Some(Expires::In(Duration::from_secs(s)))),
        ],
        words in prop::option::of(("[^\\p{Cc}]{1,20}", "[^\\p{Cc}]{1,20}")),
    ) -> Exclusion {
        let (owner, comment) = words.unzip();
        let mut row = Exclusion {
            source, place, destination, action, expires,
            protocol: protocol.map(ProtocolNumber),
            ports: ports.map(|(a, b)| PortRange { first: a.min(b), last: a.max(b) }),
            segment: segment.map(String::into_boxed_str),
            rule: rule.map(|(gid, sid, rev)| RuleRef { gid, sid, rev }),
            owner: owner.map(String::into_boxed_str),
            comment: comment.map(String::into_boxed_str),
        };
        if row.action == ExclusionAction::DoNotScan {
            row.rule = None;
        }
        if row.protocol.is_some_and(|p| !p.has_ports()) {
            row.ports = None;
        }
        let destination = row.destination.map(|d| d.ends());
        if let (Some((a, _)), Some(Some((b, _)))) = (row.source.ends(), destination)
            && a.is_v4() != b.is_v4()
        {
            row.destination = None;
        }
        row
    }
}

prop_compose! {
    fn any_traffic()(
        source in any_addr(), destination in any_addr(), vlan in any_stack(), port in 0u16..500,
        protocol in prop::sample::select(vec![6u8, 17, 200]),
    ) -> Traffic {
        Traffic { segment: SegmentId(0), vlan, source, destination, protocol, port }
    }
}

/// What the list must give, by walking it.
fn walk(rows: &[Exclusion], t: &Traffic, rule: Option<RuleId>, now: Tick) -> Option<usize> {
    rows.iter().position(|r| {
        r.source.holds(t.source)
            && r.place.holds(t.vlan)
            && r.destination.is_none_or(|d| d.holds(t.destination))
            && r.protocol.is_none_or(|p| p.0 == t.protocol)
            && r.ports.is_none_or(|p| p.holds(t.port))
            && r.rule.is_none_or(|r| rule.is_some_and(|id| r.names(id)))
            && match r.expires {
                None => true,
                Some(Expires::At(s)) => now < WallClock::REPLAY.tick_of(s),
                Some(Expires::In(d)) => now < Tick::ZERO + d,
            }
    })
}

proptest! {
    #[test]
    fn rows_come_back(row in any_row()) {
        let text = row.to_string();
        prop_assert_eq!(Exclusion::parse(&text).map_err(|e| format!("{text}: {e}")), Ok(row));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        let _ = Exclusion::parse(&text);
    }

    #[test]
    fn no_row_of_known_words_panics(words in prop::collection::vec(prop::sample::select(vec![
        "any", "10.0.0.0/8", "vlan", "10", "0", "4095", "novlan", "to", "port", "rule", "1:5",
        "for", "expires", "in", "2h", "owner", "\"", "\\", "ignore", "terminate-and-block", "-",
        "::1-::2",
    ]), 0..12)) {
        if let Ok(row) = Exclusion::parse(&words.join(" ")) {
            prop_assert_eq!(Exclusion::parse(&row.to_string()), Ok(row));
        }
    }

    #[test]
    fn the_compiled_list_agrees_with_a_walk(
        rows in prop::collection::vec(any_row(), 0..12),
        asked in prop::collection::vec(any_traffic(), 8),
    ) {
        let rows: Vec<_> = rows.into_iter().map(|mut r| { r.segment = None; r }).collect();
        let list = Exclusions::new(rows.clone(), |_| None, WallClock::REPLAY).unwrap();
        let now = Tick(5_000_000_000_000);
        for t in &asked {
            let decided = list.decide(t, RULE, now).map(|d| d.row);
            prop_assert_eq!(decided, walk(&rows, t, Some(RULE), now));
            let flow = walk(&rows, t, None, now)
                .filter(|r| rows[*r].action == ExclusionAction::DoNotScan);
            prop_assert_eq!(list.leaves_unread(t, now), flow);
        }
        for hidden in list.unreachable(now) {
            for t in &asked {
                prop_assert_ne!(walk(&rows, t, Some(RULE), now), Some(hidden.row));
            }
        }
    }
}
