//! What near misses may cost a flow, without a sandbox.

#[allow(dead_code, reason = "each file of tests needs a part of it")]
mod street;

use signatures::budget::Limits;
use signatures::evaluate::Passed;
use signatures::world::Way;
use street::{Event, SECOND, Street, packet};

/// Rules that one literal finds and that ask for another; and what is really there.
fn near_misses() -> Street {
    let mut rules = String::new();
    for sid in 1..=20 {
        rules += &format!(
            "alert udp any any -> any any (content:\"miss\"; fast_pattern; content:\"never{sid}\"; sid:{sid};)\n\
             drop udp any any -> any any (content:\"grave\"; fast_pattern; content:\"never{sid}\"; \
             sid:{};)\n",
            sid + 50
        );
    }
    for (verb, sid) in [("alert", 101), ("drop", 102)] {
        rules += &format!(
            "{verb} udp any any -> any any (content:\"told\"; fast_pattern; content:\"all\"; \
             sid:{sid};)\n"
        );
    }
    Street::new(&rules)
}

/// A packet of a flow that has had so many bytes, at a moment of its own.
fn of_flow(flow: u64, bytes: u64, payload: &[u8]) -> Event {
    packet(Way::ToServer, payload).change(|facts| {
        (facts.flow, facts.bytes, facts.protocol) = (flow, bytes, 17);
        facts.at += bytes * SECOND + flow;
    })
}

fn sids(findings: &[signatures::evaluate::Finding]) -> Vec<u32> {
    let mut sids: Vec<u32> = findings.iter().map(|finding| finding.sid).collect();
    sids.sort_unstable();
    sids
}

#[test]
fn near_misses_spend_the_allowance_of_their_flow_and_of_no_other() {
    let mut street = near_misses();
    let mut evaluator = street.evaluator(&[]);
    evaluator.limit(Limits { flow: 20_000, refill: 1_024, shared: 0 });
    let mut short = Vec::new();
    for n in 0..20 {
        assert!(street.judge(&mut evaluator, &of_flow(1, 100 + n, b"miss grave")).is_empty());
        short.extend(street.passed.short);
    }
    let [first] = &short[..] else { panic!("told once a flow: {short:?}") };
    assert!(first.rules > 0 && first.bytes > 100, "{first:?}");
    let counters = evaluator.counters;
    assert!(counters.rules_over > 20 && counters.literals_over > 0, "{counters:?}");
    assert_eq!(counters.flows_short, 1);
    assert!(street.passed.until_kib.is_some_and(|kib| (9..32).contains(&kib)));

    let attack = b"told all";
    assert_eq!(sids(&street.judge(&mut evaluator, &of_flow(1, 130, attack))), [0; 0]);
    assert_eq!(sids(&street.judge(&mut evaluator, &of_flow(2, 130, attack))), [101, 102]);
    assert_eq!(street.passed, Passed::default(), "as if the other was not there");
    // What comes behind enough other bytes is judged again.
    assert_eq!(sids(&street.judge(&mut evaluator, &of_flow(1, 60_000, attack))), [101, 102]);
    assert_eq!(evaluator.counters.flows_short, 1);
}

#[test]
fn rules_that_may_end_a_flow_are_tried_when_others_cannot_be_paid_any_more() {
    let mut street = near_misses();
    let mut evaluator = street.evaluator(&[]);
    // Nothing comes again: only the last quarter is left once others are passed over.
    evaluator.limit(Limits { flow: 20_000, refill: 0, shared: 0 });
    let mut over = 0;
    while street.passed.short.is_none() {
        street.judge(&mut evaluator, &of_flow(1, 100 + over, b"miss"));
        over += 1;
        assert!(over < 50, "{:?}", evaluator.counters);
    }
    assert_eq!(sids(&street.judge(&mut evaluator, &of_flow(1, 200, b"told all"))), [102]);
    assert_eq!(street.passed.until_kib, None, "it is not paused for those");
    while street.passed.until_kib.is_none() {
        street.judge(&mut evaluator, &of_flow(1, 200 + over, b"grave"));
        over += 1;
        assert!(over < 100, "{:?}", evaluator.counters);
    }
    assert_eq!(sids(&street.judge(&mut evaluator, &of_flow(1, 400, b"told all"))), [0; 0]);
    // What the flows of others did not need is lent.
    evaluator.limit(Limits { flow: 20_000, refill: 1_024, shared: 9_000 });
    assert_eq!(sids(&street.judge(&mut evaluator, &of_flow(1, 400, b"told all"))), [101, 102]);
}
