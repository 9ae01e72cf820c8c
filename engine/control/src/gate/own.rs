//! Addresses that protect themselves: both ends of the operator's management sessions, default
//! gateways, name servers. Read from `/proc` and `/etc/resolv.conf` of the engine's own namespace.
//!
//! A management session is an established TCP connection to a port on which `sshd` listens (22 in
//! any case), or to the engine's own metrics port. Being connected to anything else protects
//! nobody: an attacker could have that.

use crate::config::Config;
use portcullis_types::{Addr, Prefix};
use portcullis_verdict::{Place, ProtectedReason, ProtectedRow};
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::net::IpAddr;

/// Rows at most: the list is walked for each finding.
const ROWS_MAX: usize = 256;

/// What protects itself now; nothing where the operator does not want it.
pub(super) fn protected(config: &Config) -> Vec<ProtectedRow> {
    if !config.blocks.protect_sessions {
        return Vec::new();
    }
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (four, six) = (read("/proc/net/tcp"), read("/proc/net/tcp6"));
    let sockets: Vec<Socket> = sockets(&four).chain(sockets(&six)).collect();
    let mut ports: HashSet<u16> = HashSet::from([22]);
    ports.extend(config.metrics.listen.map(|listen| listen.port()));
    let inodes = sshd_sockets();
    let listening = sockets.iter().filter(|s| s.state == LISTEN && inodes.contains(&s.inode));
    ports.extend(listening.map(|s| s.local.1));
    let mut found: BTreeSet<(Addr, u8)> = BTreeSet::new();
    for end in sessions(&sockets, &ports) {
        found.insert((end, 0));
    }
    let gateways = gateways_v4(&read("/proc/net/route"))
        .into_iter()
        .chain(gateways_v6(&read("/proc/net/ipv6_route")));
    found.extend(gateways.map(|a| (a, 1)));
    found.extend(name_servers(&read("/etc/resolv.conf")).into_iter().map(|a| (a, 2)));
    let rows = found.into_iter().filter(|(addr, _)| !addr.ip().is_loopback()).map(row);
    rows.take(ROWS_MAX).collect()
}

fn row((addr, reason): (Addr, u8)) -> ProtectedRow {
    ProtectedRow {
        prefix: Prefix::host(addr),
        segment: None,
        place: Place::Any,
        reason: match reason {
            0 => ProtectedReason::Management,
            1 => ProtectedReason::Gateway,
            _ => ProtectedReason::NameServer,
        },
    }
}

/// `st` of `/proc/net/tcp`.
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;

#[derive(Clone, PartialEq, Eq, Debug)]
struct Socket {
    local: (Addr, u16),
    remote: (Addr, u16),
    state: u8,
    inode: u64,
}

/// Rows of `/proc/net/tcp` and `/proc/net/tcp6`; what is not understood is left out.
fn sockets(table: &str) -> impl Iterator<Item = Socket> + '_ {
    table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let local = end(words.next()?)?;
        let remote = end(words.next()?)?;
        let state = u8::from_str_radix(words.next()?, 16).ok()?;
        let inode = words.nth(5)?.parse().ok()?;
        Some(Socket { local, remote, state, inode })
    })
}

/// `0100007F:0016`: words of 32 bits in the machine's order, each four hexadecimal bytes.
fn end(text: &str) -> Option<(Addr, u16)> {
    let (addr, port) = text.split_once(':')?;
    Some((address(addr)?, u16::from_str_radix(port, 16).ok()?))
}

fn address(text: &str) -> Option<Addr> {
    let mut bytes = [0u8; 16];
    let words = text.len() / 8;
    if !text.is_ascii() || !matches!(text.len(), 8 | 32) {
        return None;
    }
    for word in 0..words {
        let digits = text.get(word * 8..word * 8 + 8)?;
        let value = u32::from_str_radix(digits, 16).ok()?;
        bytes.get_mut(word * 4..word * 4 + 4)?.copy_from_slice(&value.to_ne_bytes());
    }
    let [a, b, c, d, ..] = bytes;
    Some(if words == 1 { Addr::v4([a, b, c, d]) } else { Addr::v6(bytes) })
}

/// Both ends of established connections to these ports of ours.
fn sessions<'a>(sockets: &'a [Socket], ports: &'a HashSet<u16>) -> impl Iterator<Item = Addr> + 'a {
    let ours = |s: &&Socket| s.state == ESTABLISHED && ports.contains(&s.local.1);
    sockets.iter().filter(ours).flat_map(|s| [s.local.0, s.remote.0])
}

/// Sockets that a process called `sshd` holds. What we may not look at is not known.
fn sshd_sockets() -> HashSet<u64> {
    let mut found = HashSet::new();
    let Ok(processes) = fs::read_dir("/proc") else { return found };
    for process in processes.flatten() {
        let path = process.path();
        if !fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "sshd") {
            continue;
        }
        let Ok(files) = fs::read_dir(path.join("fd")) else { continue };
        for file in files.flatten() {
            let target = fs::read_link(file.path()).unwrap_or_default();
            let target = target.to_string_lossy();
            let inode = target.strip_prefix("socket:[").and_then(|t| t.strip_suffix(']'));
            found.extend(inode.and_then(|i| i.parse::<u64>().ok()));
        }
    }
    found
}

/// Default gateways of `/proc/net/route`.
fn gateways_v4(table: &str) -> Vec<Addr> {
    let rows = table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "00000000", gateway, ..] = words.as_slice() else { return None };
        address(gateway).filter(|a| *a != Addr::v4([0; 4]))
    });
    rows.collect()
}

/// Default gateways of `/proc/net/ipv6_route`.
fn gateways_v6(table: &str) -> Vec<Addr> {
    let rows = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [destination, "00", _, _, gateway, ..] = words.as_slice() else { return None };
        let none = |text: &str| text.bytes().all(|b| b == b'0');
        if !none(destination) || none(gateway) || gateway.len() != 32 {
            return None;
        }
        u128::from_str_radix(gateway, 16).ok().map(|bits| Addr::v6(bits.to_be_bytes()))
    });
    rows.collect()
}

/// `nameserver` lines of `/etc/resolv.conf`.
fn name_servers(text: &str) -> Vec<Addr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let server = words.next().filter(|w| *w == "nameserver").and_then(|_| words.next())?;
        server.parse::<IpAddr>().ok().map(Addr::from)
    });
    servers.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse().unwrap()
    }

    #[test]
    fn sessions_are_connections_to_the_management_ports() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 00000000:0016 00000000:0000 0A 00000000:00000000 \
             00:00000000 00000000     0        0 11 1 0 100 0 0 10 0\n\
            1: 0A00000A:0016 0B00000A:C350 01 00000000:00000000 \
             00:00000000 00000000     0        0 12 1 0 20 4 30 10 -1\n\
            2: 0A00000A:0050 0C00000A:C351 01 00000000:00000000 \
             00:00000000 00000000     0        0 13 1 0 20 4 30 10 -1\n\
            nonsense\n";
        let all: Vec<Socket> = sockets(table).collect();
        assert_eq!((all.len(), all[0].state, all[0].inode), (3, LISTEN, 11));
        let ends: Vec<Addr> = sessions(&all, &HashSet::from([22])).collect();
        assert_eq!(ends, [addr("10.0.0.10"), addr("10.0.0.11")]);
    }

    #[test]
    fn addresses_of_both_families() {
        assert_eq!(end("0100007F:0016"), Some((addr("127.0.0.1"), 22)));
        let six = end("B80D0120000000000000000001000000:0016").unwrap();
        assert_eq!(six.0, addr("2001:db8::1"));
        let mapped = end("0000000000000000FFFF00000A00000A:0016").unwrap();
        assert_eq!(mapped.0, addr("10.0.0.10"), "an IPv4 peer of an IPv6 socket");
        assert!(end("0100007F").is_none() && end("010000:0016").is_none());
    }

    #[test]
    fn gateways_and_name_servers() {
        let four = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
                    eth0 00000000 0100000A 0003 0 0 0 00000000 0 0 0\n\
                    eth0 0000000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        assert_eq!(gateways_v4(four), [addr("10.0.0.1")]);
        let zeros = "0".repeat(32);
        let six = format!(
            "{zeros} 00 {zeros} 00 fe800000000000000000000000000001 00000400 0 0 00000003 eth0\n\
             {zeros} 00 {zeros} 00 {zeros} ffffffff 1 0 00200200 lo\n"
        );
        assert_eq!(gateways_v6(&six), [addr("fe80::1")]);
        let servers = name_servers("# a comment\nnameserver 192.0.2.53\nsearch example\n");
        assert_eq!(servers, [addr("192.0.2.53")]);
    }
}
