//! Every protocol and every reject, from crafted bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "cases/ipv4.rs"]
mod ipv4;
#[path = "cases/ipv6.rs"]
mod ipv6;
#[path = "cases/link.rs"]
mod link;
#[path = "cases/names.rs"]
mod names;
#[path = "cases/upper.rs"]
mod upper;

use portcullis_types::{Addr, Mac};
use portcullis_wire::build::Craft;
use portcullis_wire::{
    Checks, Fragment, LinkType, Malformed, Packet, PacketKind, Reject, RejectSet, TcpFlags, parse,
};

const A: &str = "10.0.0.1";
const B: &str = "10.0.0.2";
const A6: &str = "2001:db8::1";
const B6: &str = "2001:db8::2";

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn read(frame: &[u8]) -> Packet {
    parse(frame, LinkType::Ethernet, Checks::ALL).unwrap()
}

fn refuse(frame: &[u8]) -> Malformed {
    parse(frame, LinkType::Ethernet, Checks::ALL).unwrap_err()
}

/// The rejects of a frame that parses.
fn odd(craft: &Craft) -> Vec<Reject> {
    read(&craft.frame()).rejects.iter().collect()
}

fn fragment(offset: u16, more: u8) -> Fragment {
    Fragment { id: 7, offset, more: more == 1 }
}

/// A frame with some bytes of its datagram replaced, and the IPv4 header's checksum left as it was.
fn patched(craft: &Craft, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = craft.frame();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame
}
