//! Every attack that one packet carries, through the real binary: told by its rule, dropped, and
//! its sender blocked where its address is proven, in that VLAN and nowhere else.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portcullis_tests::attacks::{self, ATTACKS, Attack, Carrier, Ends};
use portcullis_tests::replay::{Said, replay};
use portcullis_tests::requirement::{self, Readiness};
use portcullis_tests::{capture_file, frames};
use serde_json::Value;

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SERVER_6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1));
const VLAN_10: &[u8] = &[0x81, 0, 0, 10];
const VLAN_20: &[u8] = &[0x81, 0, 0, 20];
/// Rules that ask for no block: each of these is met in honest traffic, too.
const NO_BLOCK: [u64; 6] = [13, 18, 19, 20, 21, 22];
/// These are in no conversation: ICMP, and fragments that do not say of which they are.
const NO_CONVERSATION: [u64; 4] = [2, 5, 6, 21];
/// A first fragment, and one that makes it an attack.
const IN_PIECES: [u64; 3] = [3, 4, 6];
/// The port of the visit that shows who is blocked.
const VISITED: u16 = 443;

/// How the sender stands when its attack comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nothing came from it before.
    Stranger,
    /// It has opened another conversation a moment ago: product's proof (c).
    Earlier,
    /// The attack lies in a conversation that it has opened: (a).
    SameFlow,
    /// Its address is in the inventory, and nobody else's there: (d).
    Inventory,
}

const STANDINGS: [Standing; 4] =
    [Standing::Stranger, Standing::Earlier, Standing::SameFlow, Standing::Inventory];

/// An attack by a sender of its own.
#[derive(Debug, Clone, Copy)]
struct Case {
    attack: Attack,
    standing: Standing,
    ends: Ends,
}

impl Case {
    fn all() -> Vec<Case> {
        let all = STANDINGS.iter().flat_map(|s| ATTACKS.iter().map(move |a| (*a, *s)));
        let possible =
            all.filter(|(a, s)| *s != Standing::SameFlow || !NO_CONVERSATION.contains(&a.sid));
        let case = |(n, (attack, standing)): (u8, (Attack, Standing))| {
            let ends = match attack.is_v6 {
                false => Ends { from: Ipv4Addr::new(203, 0, 113, n).into(), to: SERVER },
                true => {
                    let from = Ipv6Addr::new(0x2001, 0xdb8, 2, n.into(), 0, 0, 0, 1);
                    Ends { from: from.into(), to: SERVER_6 }
                }
            };
            Case { attack, standing, ends }
        };
        (1..).zip(possible).map(case).collect()
    }

    fn packets(&self) -> Vec<Vec<u8>> {
        let (by, port) = match self.standing {
            Standing::Stranger | Standing::Inventory => (Carrier::Alone, None),
            Standing::Earlier => (Carrier::Alone, Some(80)),
            Standing::SameFlow => (Carrier::Conversation, Some(attacks::PORT)),
        };
        let opening = port.map(|port| attacks::handshake(self.ends.from, self.ends.to, port));
        [opening.unwrap_or_default(), (self.attack.packets)(self.ends, by)].concat()
    }

    fn may_block(&self) -> bool {
        !NO_BLOCK.contains(&self.attack.sid)
    }

    /// One packet can be sent in anybody's name, also in that of one who was here lately.
    fn is_blocked(&self) -> bool {
        self.may_block() && matches!(self.standing, Standing::SameFlow | Standing::Inventory)
    }
}

fn tagged(tags: &[u8], packet: &[u8]) -> Vec<u8> {
    let ethertype = if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
    frames::ethernet([2, 0, 0, 0, 7, 2], tags, ethertype, packet)
}

/// Packets in VLAN 10, then so much else that what was decided of them holds, then a visit of each
/// of the addresses in VLAN 10 and in VLAN 20.
fn said(packets: &[Vec<u8>], visitors: &[Ends], configuration: &str) -> Said {
    let other = Ends { from: Ipv4Addr::new(198, 51, 100, 77).into(), to: SERVER };
    let mut all: Vec<Vec<u8>> = packets.iter().map(|p| tagged(VLAN_10, p)).collect();
    all.extend(std::iter::repeat_n(tagged(VLAN_10, &attacks::echo_request(other)), 600));
    for ends in visitors {
        let visit = attacks::handshake(ends.from, ends.to, VISITED).remove(0);
        all.extend([VLAN_10, VLAN_20].map(|tags| tagged(tags, &visit)));
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = folder.path().join("made.pcap");
    capture_file::write(&capture, &all);
    let protected = ["--protected", "192.0.2.0/24", "--protected", "2001:db8:1::/64"];
    replay(configuration, &protected, &[capture])
}

/// Whose visits arrived in a VLAN.
fn visitors(said: &Said, vlan: u16) -> BTreeSet<IpAddr> {
    let flows = said.events_of("flow");
    let here = |flow: &&Value| flow["dest_port"] == VISITED && flow["vlan"][0] == vlan;
    flows.iter().filter(here).map(source).collect()
}

fn source(event: &Value) -> IpAddr {
    let address = event["src_ip"].as_str().expect("an address");
    address.parse().expect("an address")
}

fn alert_of(alerts: &[Value], sid: u64, from: IpAddr) -> Option<&Value> {
    alerts.iter().find(|alert| {
        let id = &alert["alert"];
        id["gid"] == 8001 && id["signature_id"] == sid && source(alert) == from
    })
}

fn dropped(said: &Said) -> u64 {
    let capture = said.capture();
    let reasons = capture["dropped"].as_object().expect("reasons");
    reasons.values().map(|n| n.as_u64().expect("a number")).sum()
}

#[test]
fn each_attack_is_told_and_dropped_and_a_proven_sender_blocked_in_its_vlan() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let cases = Case::all();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let inventory = folder.path().join("inventory.toml");
    let known = cases.iter().filter(|c| c.standing == Standing::Inventory);
    let known: Vec<String> = known.map(|c| format!("\"{}\"", c.ends.from)).collect();
    let machines = format!(
        "[[machine]]\nname = \"known\"\nvlan = \"10\"\nstatic = true\naddresses = [{}]\n",
        known.join(", ")
    );
    std::fs::write(&inventory, machines).expect("the temporary folder can be written");
    let packets: Vec<Vec<u8>> = cases.iter().flat_map(Case::packets).collect();
    let ends: Vec<Ends> = cases.iter().map(|c| c.ends).collect();
    let configuration = format!("[inventory]\nfile = \"{}\"\n", inventory.display());
    let said = said(&packets, &ends, &configuration);
    let alerts = said.events_of("alert");
    let (in_10, in_20) = (visitors(&said, 10), visitors(&said, 20));
    let blocks: Value = serde_json::from_str(&said.blocks).expect("blocks are JSON");
    for case in &cases {
        let Case { attack: Attack { sid, .. }, standing, ends: Ends { from, to } } = *case;
        let what = format!("8001:{sid} of {from}, {standing:?}");
        let alert = alert_of(&alerts, sid, from).unwrap_or_else(|| panic!("{what}: not told"));
        let ours = &alert["portcullis"];
        assert_eq!(ours["offender"]["ip"], from.to_string(), "{what}: {alert:#}");
        assert_eq!(ours["target"]["ip"], to.to_string(), "{what}: {alert:#}");
        let withheld = match case.may_block() && !case.is_blocked() {
            true => Value::from("unproven_source"),
            false => Value::Null,
        };
        assert_eq!(ours["withheld"]["reason"], withheld, "{what}: {alert:#}");
        let answered = alert["verdict"]["reject"] != Value::Null;
        let is_here = standing == Standing::SameFlow;
        assert!(!answered || is_here, "{what}: whoever may be forged is sent nothing: {alert:#}");
        assert_eq!(in_10.contains(&from), !case.is_blocked(), "{what}: its visit in VLAN 10");
        assert!(in_20.contains(&from), "{what}: the same address in VLAN 20 must not notice");
        let made = blocks.as_array().expect("an array").iter().filter(|block| {
            block["source"] == from.to_string() && block["rule"] == format!("8001:{sid}:1")
        });
        let places: Vec<&Value> = made.map(|block| &block["vlan"]).collect();
        let wanted = if case.is_blocked() { vec![serde_json::json!([10])] } else { vec![] };
        assert_eq!(places, wanted.iter().collect::<Vec<_>>(), "{what}");
    }
    // The packet that makes each attack one, and the visits of the blocked in VLAN 10. The fragment
    // before it goes, too, where it is still in hand.
    let blocked = cases.iter().filter(|c| c.is_blocked()).count();
    let in_pieces = cases.iter().filter(|c| IN_PIECES.contains(&c.attack.sid)).count();
    let least = (cases.len() + blocked) as u64;
    let dropped = dropped(&said);
    assert!((least..=least + in_pieces as u64).contains(&dropped), "{dropped}: {}", said.summary);
}

#[test]
fn who_is_attacked_in_his_own_name_is_never_the_offender() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    // The victims are proven as well as can be: it is their addresses that are forged.
    let victim = |n| Ends { from: Ipv4Addr::new(203, 0, 113, n).into(), to: SERVER };
    let to = |n, to: [u8; 4]| Ends { to: Ipv4Addr::from(to).into(), ..victim(n) };
    let honest = [to(4, [192, 0, 2, 1]), to(5, [192, 0, 2, 127]), to(6, [192, 0, 3, 255])];
    let smurfs = [to(1, [255; 4]), to(2, [192, 0, 2, 255]), to(3, [192, 0, 2, 0])];
    let victims: Vec<Ends> = (1..7).map(victim).collect();
    let mut packets: Vec<Vec<u8>> =
        victims.iter().flat_map(|v| attacks::handshake(v.from, v.to, 80)).collect();
    packets.extend(smurfs.iter().chain(&honest).map(|ends| attacks::echo_request(*ends)));
    // One more of each: a flow that was terminated stays so.
    packets.extend(smurfs.iter().map(|ends| attacks::echo_request(*ends)));
    packets.push(attacks::land(SERVER));
    let said = said(&packets, &victims, "");
    let alerts = said.events_of("alert");
    for from in smurfs.map(|ends| ends.from) {
        let alert = alert_of(&alerts, 8, from).unwrap_or_else(|| panic!("{from}: not told"));
        assert_eq!(alert["portcullis"]["offender"], Value::Null, "{alert:#}");
    }
    let land = alert_of(&alerts, 1, SERVER).expect("LAND is told");
    assert_eq!(land["portcullis"]["offender"], Value::Null, "{land:#}");
    assert_eq!(alerts.len(), 4, "pings of hosts and of other networks are none: {alerts:#?}");
    assert_eq!(dropped(&said), 7, "{}", said.summary);
    assert_eq!(said.blocks.trim(), "[]");
    assert_eq!(visitors(&said, 10).len(), 6);
}

#[test]
fn winnuke_blocks_in_its_vlan_and_only_behind_a_handshake() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    let attacker = |n| Ends { from: Ipv4Addr::new(203, 0, 113, n).into(), to: SERVER };
    let (proven, blind) = (attacker(1), attacker(2));
    let mut packets = attacks::handshake(proven.from, SERVER, attacks::PORT);
    packets.extend([attacks::winnuke(proven), attacks::winnuke(blind)]);
    let said = said(&packets, &[proven, blind], "");
    let alerts = said.events_of("alert");
    assert!(alert_of(&alerts, 7, proven.from).is_some(), "{alerts:#?}");
    assert!(alert_of(&alerts, 7, blind.from).is_none(), "no session, no WinNuke: {alerts:#?}");
    assert_eq!(visitors(&said, 10), BTreeSet::from([blind.from]));
    assert_eq!(visitors(&said, 20), BTreeSet::from([proven.from, blind.from]));
    let blocks: Value = serde_json::from_str(&said.blocks).expect("blocks are JSON");
    assert_eq!(blocks[0]["source"], proven.from.to_string(), "{blocks:#}");
    assert_eq!(blocks[0]["vlan"], serde_json::json!([10]), "{blocks:#}");
    assert_eq!(blocks.as_array().map(Vec::len), Some(1), "{blocks:#}");
    assert_eq!(dropped(&said), 2, "the attack, and the visit of the blocked: {}", said.summary);
}

#[test]
fn a_flow_that_ends_takes_none_of_other_conversations_with_it() {
    if requirement::engine() == Readiness::Skip {
        return;
    }
    // Conversations of many addresses, spread over all tables of a replay; then one attacks, and
    // right behind it, in the same window, every other one goes on.
    let client = |n| Ends { from: Ipv4Addr::new(203, 0, 113, n).into(), to: SERVER };
    let others: Vec<Ends> = (2..61).map(client).collect();
    let mut packets = attacks::handshake(client(1).from, SERVER, attacks::PORT);
    packets.extend(others.iter().flat_map(|c| attacks::handshake(c.from, c.to, attacks::PORT)));
    packets.push(attacks::winnuke(client(1)));
    let again = |c: &Ends| attacks::handshake(c.from, c.to, attacks::PORT).remove(2);
    packets.extend(others.iter().map(again));
    assert!(packets.len() < 256, "one window");
    let said = said(&packets, &[], "");
    assert_eq!(said.events_of("alert").len(), 1, "{}", said.events);
    assert_eq!(dropped(&said), 1, "the attack alone: {}", said.summary);
}
