//! A set is built, read whole and piece by piece, and torn in every way.

use portcullis_rules_form::{
    AddressRange, Always, Body, Builder, Candidate, Check, Comparison, Content, Directory, Field,
    Head, Info, Interval, NONE, Part, PortRange, Refused, RuleSet, Section, SetRow, Step, Value,
    content, fuzz_form, needs,
};
use proptest::prelude::*;

fn v4(n: u32) -> [u8; 16] {
    (0xffff_0000_0000u128 | u128::from(n)).to_be_bytes()
}

fn range(low: u32, high: u32) -> AddressRange {
    AddressRange { low: v4(low), high: v4(high) }
}

fn head(sid: u32) -> Head {
    Head {
        sid,
        gid: 1,
        rev: 2,
        source: NONE,
        destination: NONE,
        source_ports: NONE,
        destination_ports: NONE,
        protocols: 2,
        flow: 1,
        application: 1,
        traits: 0,
        action: 0,
        needs: needs::TRANSACTION,
        parts: 0,
        checks: 0,
        effects: 0,
        fast_part: 0,
        variables: 0,
    }
}

fn body(sid: u32) -> Body {
    let content = Content {
        flags: content::NOCASE | content::DEPTH,
        bytes: b"evil".to_vec(),
        offset: Value::Number(0),
        depth: Value::Number(9),
        distance: Value::Variable(1),
        within: Value::Number(-4),
    };
    let number = Check::Number { field: Field::Ttl, comparison: Comparison::within(3, 9) };
    Body {
        head: Head { parts: 1, checks: 1, ..head(sid) },
        checks: vec![number],
        parts: vec![Part {
            kind: 11,
            flags: 0,
            transforms: vec![],
            steps: vec![Step::Content(content)],
        }],
        effects: vec![],
    }
}

fn candidate(rule: u32) -> Candidate {
    Candidate {
        rule,
        application: 1,
        needs: needs::TRANSACTION,
        protocol: 6,
        port_low: 0,
        port_high: 0xffff,
        source: 3,
        destination: Candidate::ANY,
    }
}

fn built() -> Vec<u8> {
    let mut b = Builder::new();
    let ports = [PortRange { low: 80, high: 81 }];
    let group = b.group(11, 0, 6, [Some(&ports), None]);
    for sid in [30, 10, 20] {
        let info = Info {
            gid: 1,
            sid,
            message: format!("rule {sid}"),
            references: vec!["https://a.example".into()],
            attack: vec!["T1046".into()],
            metadata: vec![("k".into(), "v w".into())],
            ..Info::default()
        };
        let rule = b.rule(&body(sid), info);
        b.candidate(group, b"EVIL", true, candidate(rule.0));
        b.from_addresses(&[range(10 * sid, 10 * sid + 15)], rule);
    }
    b.candidate(group, b"EVIL", false, candidate(0));
    b.regex("a+", "i");
    assert_eq!((b.regex("b", ""), b.regex("a+", "i")), (1, 0));
    b.always(Always {
        event: 1,
        direction: 2,
        protocol: 17,
        tcp_flags: 0,
        application: 0,
        buffer: 0,
        code: NONE,
        rule: 2,
        port_low: 0,
        port_high: 0xffff,
        source_low: 0,
        source_high: 0xffff,
    });
    b.finish().expect("small")
}

#[test]
fn what_is_written_is_read() {
    let bytes = built();
    assert_eq!(bytes, built(), "the same calls give the same bytes");
    let set = RuleSet::open(&bytes).expect("whole");
    set.verify().expect("unchanged");
    assert_eq!(set.len(), 3);
    assert_eq!(set.body(1), Some(body(10)));
    let literals: Vec<_> = set.literals().map(|l| (l.id, l.bytes, l.nocase, l.group)).collect();
    assert_eq!(literals, [(0, &b"EVIL"[..], false, 0), (1, &b"evil"[..], true, 0)]);
    assert_eq!(set.candidates(1).map(|c| c.rule).collect::<Vec<_>>(), [0, 1, 2]);
    let group = set.groups().next().expect("one");
    assert_eq!((group.kind, group.direction, group.protocol, group.literals), (11, 0, 6, 2));
    assert_eq!(set.server_ports(&group), Some(vec![PortRange { low: 80, high: 81 }]));
    assert_eq!(set.client_ports(&group), None);
    assert_eq!(set.regexes().map(|r| (r.pattern, r.flags)).last(), Some(("b", "")));
    assert_eq!(set.always().map(|a| a.rule).collect::<Vec<_>>(), [2]);
    let info = set.info(1, 20).expect("known");
    assert_eq!((info.message(), info.references().next()), ("rule 20", Some("https://a.example")));
    assert_eq!(info.attack().collect::<Vec<_>>(), ["T1046"]);
    assert_eq!(info.metadata().collect::<Vec<_>>(), [("k", "v w")]);
    assert!(set.info(1, 21).is_none() && set.info(2, 20).is_none());
}

#[test]
fn intervals_are_apart_and_name_every_rule() {
    let bytes = built();
    let mut source = &bytes[..];
    let directory = Directory::read(&mut source).expect("whole");
    let mut rows: Vec<Interval> = Vec::new();
    let count = directory.count::<Interval>(Section::SourceIntervals);
    let run = SetRow { first: 0, count };
    directory.rows(&mut source, Section::SourceIntervals, run, &mut rows).expect("there");
    // 100–115 rule 1, 200–215 rule 2, 300–315 rule 0.
    let rows: Vec<_> = rows.iter().map(|r| (r.low, r.high, r.count)).collect();
    let expected = [(100, 115, 1), (200, 215, 1), (300, 315, 1)].map(|(l, h, n)| (v4(l), v4(h), n));
    assert_eq!(rows, expected);
}

#[test]
fn overlapping_intervals_are_cut() {
    let mut b = Builder::new();
    let ranges = [(1, 10), (5, 20), (10, 10)];
    for (i, (low, high)) in (1u32..).zip(ranges) {
        let rule = b.rule(&body(i), Info { gid: 1, sid: i, ..Info::default() });
        b.to_addresses(&[range(low, high)], rule);
    }
    let bytes = b.finish().expect("small");
    let mut source = &bytes[..];
    let directory = Directory::read(&mut source).expect("whole");
    let mut found = Vec::new();
    for i in 0..directory.count::<Interval>(Section::DestinationIntervals) {
        let row: Interval =
            directory.row(&mut source, Section::DestinationIntervals, i).expect("there");
        let mut rules: Vec<u32> = Vec::new();
        let run = SetRow { first: row.first, count: row.count };
        directory.rows(&mut source, Section::IntervalRules, run, &mut rules).expect("there");
        found.push((row.low, row.high, rules));
    }
    let expected = [
        (v4(1), v4(4), vec![0]),
        (v4(5), v4(9), vec![0, 1]),
        (v4(10), v4(10), vec![0, 1, 2]),
        (v4(11), v4(20), vec![1]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn another_file_is_refused_with_a_sentence() {
    let bytes = built();
    assert_eq!(RuleSet::open(b"alert tcp").err(), Some(Refused::NotARuleSet));
    let mut other = bytes.clone();
    other[8] = 9;
    assert_eq!(RuleSet::open(&other).err(), Some(Refused::Version(9)));
    assert_eq!(RuleSet::open(&bytes[..bytes.len() - 1]).err(), Some(Refused::Torn));
    let mut changed = bytes.clone();
    *changed.last_mut().expect("bytes") ^= 1;
    assert_eq!(RuleSet::open(&changed).expect("whole").verify(), Err(Refused::Hash));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        fuzz_form(&bytes);
    }

    #[test]
    fn any_change_is_read_without_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = built();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        fuzz_form(&bytes);
        fuzz_form(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn a_body_that_is_read_is_written_alike(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut whole = body(1).to_bytes();
        let at = whole.len().saturating_sub(bytes.len());
        let tail = whole.len() - at;
        whole[at..].copy_from_slice(&bytes[..tail]);
        if let Some(read) = Body::from_bytes(&whole) {
            prop_assert_eq!(Body::from_bytes(&read.to_bytes()), Some(read));
        }
    }
}
