//! Facts about one port: driver, link, queues, spreading, XDP abilities, offloads, neighbours.

use std::io;

use super::{Examination, Fact};
use crate::OpenError;
use crate::ethtool::{Ethtool, Spreading};
use crate::netlink::{
    Answer, IFLA_MASTER, IFLA_MTU, IFLA_NUM_RX_QUEUES, IFLA_NUM_TX_QUEUES, link, xdp_features,
};
use crate::offload::{Cure, OffloadProblem, pair_of, problems};
use crate::port::port_error;

/// Bytes behind the Ethernet header that fit a frame slot of one page: more needs several pieces.
const MTU_ONE_PIECE: u32 = 3_498;
const MTU_USUAL: u32 = 1_500;

// include/uapi/linux/if.h
const IFF_UP: u32 = 1;
const IFF_LOWER_UP: u32 = 0x1_0000;

// include/uapi/linux/netdev.h: enum netdev_xdp_act
const XDP_BASIC: u64 = 1;
const XDP_REDIRECT: u64 = 2;
const XDP_TRANSMIT: u64 = 4;
const XDP_ZERO_COPY: u64 = 8;
const XDP_PIECES: u64 = 32;

// include/uapi/linux/ethtool.h
const HASH_ADDRESSES: u64 = 0x30;
const HASH_PORTS: u64 = 0xc0;

/// Looks at a port of this thread's network namespace. Nothing is changed.
///
/// # Errors
/// There is no such port.
pub fn examine_port(port: &str) -> Result<Examination, OpenError> {
    let failed = |error| port_error(port, "asking the kernel about it", error);
    let ethtool = Ethtool::new().map_err(failed)?;
    let no_such = |_| OpenError::NoSuchPort { port: port.to_owned() };
    let ifindex = ethtool.number_of(port).map_err(no_such)?;
    let link = link(ifindex).map_err(failed)?;
    let driver = ethtool.driver(port);
    let mut facts = vec![
        driver_fact(&driver),
        link_fact(port, &link),
        mtu(port, &link),
        queues(port, &ethtool, &link),
        spreading(port, &ethtool),
    ];
    facts.extend(xdp(ifindex));
    facts.push(peer(port));
    facts.extend(offloads(port));
    facts.push(neighbours(port, &ethtool, &link));
    facts.push(addresses(port));
    Ok(Examination { subject: port.to_owned(), facts })
}

fn driver_fact(driver: &io::Result<String>) -> Fact {
    match driver {
        Ok(name) => Fact::good("driver", name),
        Err(error) => {
            let remedy = "use a port of a real or virtual network card";
            Fact::notice("driver", format!("does not tell: {error}"), remedy)
        }
    }
}

fn link_fact(port: &str, link: &Answer) -> Fact {
    let flags = link.fixed(8);
    if flags & IFF_UP == 0 {
        return Fact::bad("link", "switched off", format!("ip link set {port} up"));
    }
    if flags & IFF_LOWER_UP == 0 {
        return Fact::bad("link", "no carrier", "check the cable, or the other end's state");
    }
    Fact::good("link", "up")
}

fn mtu(port: &str, link: &Answer) -> Fact {
    let mtu = link.number(IFLA_MTU).unwrap_or(0);
    if mtu > MTU_ONE_PIECE {
        let remedy = format!("ip link set {port} mtu {MTU_USUAL}, unless jumbo frames are in use");
        return Fact::notice("mtu", format!("{mtu}: frames in several pieces"), remedy);
    }
    Fact::good("mtu", mtu.to_string())
}

fn queues(port: &str, ethtool: &Ethtool, link: &Answer) -> Fact {
    let channels = ethtool.channels(port).unwrap_or_default();
    let made = |kind| link.number(kind).unwrap_or(0);
    let (rx, tx) = match channels.rx + channels.combined {
        0 => (made(IFLA_NUM_RX_QUEUES), made(IFLA_NUM_TX_QUEUES)),
        rx => (rx, channels.tx + channels.combined),
    };
    let value = format!("{rx} receive, {tx} transmit");
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let processors = u32::try_from(processors).unwrap_or(u32::MAX);
    if rx > processors && channels.combined > 0 {
        let remedy = format!("ethtool -L {port} combined {processors} (one per processor)");
        return Fact::notice("queues", format!("{value}; {processors} processors"), remedy);
    }
    Fact::good("queues", value)
}

/// Whether both directions of a flow come to the same queue, so that no frame is handed over.
fn spreading(port: &str, ethtool: &Ethtool) -> Fact {
    const NAME: &str = "spreading";
    let told = ethtool.spreading(port);
    let fields = ethtool.hash_fields(port).unwrap_or(0);
    let fields = match (fields & HASH_ADDRESSES != 0, fields & HASH_PORTS != 0) {
        (true, true) => "addresses and ports",
        (true, false) => "addresses",
        _ => "fields unknown",
    };
    match told {
        Ok(spreading) if is_symmetric(&spreading) => {
            Fact::good(NAME, format!("symmetric, by {fields}"))
        }
        Ok(spreading) if !spreading.key.is_empty() => {
            let key = vec!["6d:5a"; spreading.key.len() / 2].join(":");
            let value = format!("not symmetric, by {fields}: frames are handed between workers");
            Fact::notice(NAME, value, format!("ethtool -X {port} hkey {key}"))
        }
        _ => Fact::notice(
            NAME,
            "the driver does not tell: frames may be handed between workers",
            "with one worker nothing is handed over; with more, watch `handed_over`",
        ),
    }
}

/// A Toeplitz key that repeats every 16 bits hashes both directions alike.
fn is_symmetric(spreading: &Spreading) -> bool {
    let (pairs, rest) = spreading.key.as_chunks::<2>();
    let repeats = pairs.windows(2).all(|two| two.first() == two.last());
    spreading.symmetric || (!pairs.is_empty() && rest.is_empty() && repeats)
}

fn xdp(ifindex: u32) -> Vec<Fact> {
    let Ok(bits) = xdp_features(ifindex) else {
        let remedy = "start the engine: it tries native mode first and says what it got";
        return vec![Fact::notice("xdp", "this kernel does not tell", remedy)];
    };
    let native = XDP_BASIC | XDP_REDIRECT;
    let slow = "AF_XDP works in generic mode at some 90 % of the speed; AF_PACKET works too";
    let mut facts = vec![if bits & native == native {
        Fact::good("xdp", "native, with redirect")
    } else {
        Fact::notice("xdp", "generic only", slow)
    }];
    facts.push(match bits & XDP_TRANSMIT {
        0 => Fact::notice(
            "xdp_fail_open",
            "the port cannot transmit for XDP (on veth: `gro on` at the other end enables it)",
            "without it, failing open by the kernel's redirect does not work on this port",
        ),
        _ => Fact::good("xdp_fail_open", "the kernel can redirect to this port"),
    });
    facts.push(match bits & XDP_ZERO_COPY {
        0 => Fact::notice("zero_copy", "no: frames are copied once", "use a driver that has it"),
        _ => Fact::good("zero_copy", "offered by the driver"),
    });
    facts.push(match bits & XDP_PIECES {
        0 => Fact::notice("xdp_pieces", "no: no jumbo frames", "keep the MTU at 1500"),
        _ => Fact::good("xdp_pieces", "frames in several pieces are taken"),
    });
    facts
}

fn peer(port: &str) -> Fact {
    match pair_of(port) {
        Ok(None) => Fact::good("peer", "not a virtual pair"),
        Ok(Some((name, None))) => Fact::good("peer", name),
        Ok(Some((name, Some(space)))) => {
            Fact::good("peer", format!("{name} in {}", space.display()))
        }
        Err(error) => {
            let remedy = "give its namespace a name: ip netns attach NAME PID";
            Fact::notice("peer", error.to_string(), remedy)
        }
    }
}

/// One fact per harmful feature; one good fact where there is none.
fn offloads(port: &str) -> Vec<Fact> {
    let found = match problems(port) {
        Ok(found) => found,
        Err(error) => {
            let remedy = "look yourself: ethtool -k PORT";
            return vec![Fact::notice("offload", error.to_string(), remedy)];
        }
    };
    if found.is_empty() {
        return vec![Fact::good("offload", "nothing that changes frames is on")];
    }
    let fact = |problem: OffloadProblem| {
        let value = format!("{} of {} is on: {}", problem.feature, problem.port, problem.why);
        match problem.cure {
            Cure::Automatic => Fact::bad("offload", value, problem.remedy),
            Cure::Operator => Fact::notice("offload", value, problem.remedy),
            Cure::None => Fact::bad("offload", value, "the driver keeps it on: use another port"),
        }
    };
    found.into_iter().map(fact).collect()
}

/// A bridge or bond that the port belongs to would forward beside the engine.
fn neighbours(port: &str, ethtool: &Ethtool, link: &Answer) -> Fact {
    match link.number(IFLA_MASTER) {
        None => Fact::good("master", "none"),
        Some(master) => {
            let name = ethtool.name_of(master).unwrap_or_else(|_| master.to_string());
            let value = format!("{name}: frames could pass beside the engine");
            Fact::bad("master", value, format!("ip link set {port} nomaster"))
        }
    }
}

/// Addresses make the host's own stack answer on the protected link.
fn addresses(port: &str) -> Fact {
    let has = |file: &str, column: usize| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().any(|line| line.split_whitespace().nth(column) == Some(port))
    };
    let v4 = has("/proc/thread-self/net/route", 0);
    let v6 = has("/proc/thread-self/net/if_inet6", 5);
    let value = match (v4, v6) {
        (false, false) => return Fact::good("addresses", "none"),
        (true, false) => "IPv4",
        (false, true) => "IPv6",
        (true, true) => "IPv4 and IPv6",
    };
    let remedy = format!("ip addr flush dev {port}; sysctl net.ipv6.conf.{port}.disable_ipv6=1");
    Fact::notice("addresses", format!("{value}: this host itself speaks on the link"), remedy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by where it stopped")]
    use super::*;
    use crate::doctor::Health;
    use crate::veth_lab::{VethLab, ip};

    #[test]
    fn a_virtual_port_is_examined_before_and_after_mending() {
        let Some(lab) = VethLab::new() else { return };
        let examine = || lab.inside(&lab.middle(), || examine_port("a")).unwrap();
        let before = examine();
        let value = |name: &str| before.fact(name).unwrap().value.clone();
        assert_eq!((value("driver"), value("link")), ("veth".to_owned(), "up".to_owned()));
        assert_eq!(value("mtu"), "1500");
        assert!(value("peer").starts_with("l0 in /run/netns/"), "{}", value("peer"));
        assert!(value("queues").contains("receive"), "{}", value("queues"));
        assert!(value("xdp").contains("native") || value("xdp").contains("tell"));
        assert_eq!(before.fact("offload").unwrap().verdict, Health::Bad);
        assert_eq!(before.verdict(), Health::Bad);
        lab.inside(&lab.middle(), || crate::offload::fix("a")).unwrap();
        let after = examine();
        assert_eq!(after.fact("offload").unwrap().verdict, Health::Good);
        assert_ne!(after.verdict(), Health::Bad, "{after:#?}");
        assert!(ip(&["-n", &lab.middle(), "link", "set", "dev", "a", "down"]));
        let down = examine();
        assert_eq!(down.fact("link").unwrap().remedy.as_deref(), Some("ip link set a up"));
    }

    #[test]
    fn keys_that_repeat_are_symmetric() {
        let key = |bytes: &[u8]| Spreading { key: bytes.to_vec(), symmetric: false };
        assert!(is_symmetric(&key(&[0x6d, 0x5a].repeat(20))));
        assert!(!is_symmetric(&key(&[0x6d, 0x5a, 0x56, 0xda])));
        assert!(!is_symmetric(&key(&[])));
        assert!(is_symmetric(&Spreading { key: Vec::new(), symmetric: true }));
    }

    #[test]
    fn a_missing_port_is_named() {
        assert!(examine_port("no-such-port").unwrap_err().to_string().contains("no-such-port"));
    }
}
