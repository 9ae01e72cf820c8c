//! SSH up to its new keys (RFC 4253): banners and the first key exchange of both directions, one
//! transaction a flow. Must never know a rule.

use crate::conversation::{Direction, Stage, Transport};
use crate::events::app_event;
use crate::limits::Limits;
use crate::output::{Output, Record};
use crate::reader::Reader;
use crate::registry::{Decoder, Next, Probe};
use crate::shelf::{Heading, Shelf};
use crate::tls::md5_hex;
use portcullis_plugin_abi::{application, buffer_kind as kind};
use std::sync::Arc;

/// Bytes of a banner with its line end (RFC 4253 section 4.2).
const BANNER_MAX: usize = 255;
/// Bytes of a packet: implementations take 35,000 (RFC 4253 section 6.1), some 256 KiB.
const PACKET_MAX: usize = 256 << 10;
const KEX_INIT: u8 = 20;
const NEW_KEYS: u8 = 21;
const TRANSACTION: u32 = 1;

/// Whether the start of a direction is SSH.
pub(crate) fn probe(_: Direction, bytes: &[u8], _: u16) -> Probe {
    match bytes.get(..4) {
        Some(b"SSH-") => Probe::Yes,
        Some(_) => Probe::No,
        None if b"SSH-".starts_with(bytes) => Probe::More,
        None => Probe::No,
    }
}

/// What one side said of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SshSide {
    /// `proto_version`, e.g. `2.0`.
    pub proto: Vec<u8>,
    /// `software_version`.
    pub software: Vec<u8>,
    /// Hash and string of its algorithms (`hassh`).
    pub hassh: Option<(String, Vec<u8>)>,
}

/// A connection as the journal prints it (`ssh`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SshRecord {
    /// Transaction in the flow, from 0 as the journal counts.
    pub tx_id: u32,
    /// The client.
    pub client: Option<SshSide>,
    /// The server.
    pub server: Option<SshSide>,
}

#[derive(Debug, Default)]
struct Side {
    state: State,
    /// The banner, the header of a packet, or a packet that is read.
    held: Vec<u8>,
    shelf: Shelf,
    told: Option<SshSide>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// In the banner.
    #[default]
    Banner,
    /// Behind as much of a banner as is kept.
    LongBanner,
    /// In a packet's length, padding length and type.
    Header,
    /// In the key exchange, of which this much is missing.
    KeyExchange(usize),
    /// In a packet that nobody reads.
    Skip(usize),
    /// Behind the new keys, or what cannot be read.
    Over,
}

/// The decoder of one flow.
#[derive(Debug)]
pub(crate) struct Ssh {
    sides: [Side; 2],
    record_bytes: usize,
    finished: bool,
}

impl Decoder for Ssh {
    fn start(_: Transport, _: u16, limits: &Arc<Limits>) -> Self {
        Self { sides: Default::default(), record_bytes: limits.record_bytes, finished: false }
    }

    fn data(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> Next {
        let room = self.record_bytes;
        let Some(side) = self.sides.get_mut(direction as usize) else { return Next::Done };
        let mut rest = bytes;
        while !rest.is_empty() && side.state != State::Over {
            side.step(direction, &mut rest, room, out);
        }
        if self.sides.iter().all(|side| side.state == State::Over) {
            self.finish(out);
        }
        if self.finished { Next::Done } else { Next::More }
    }

    fn gap(&mut self, direction: Direction, _: u64, out: &mut Output) -> Next {
        self.end(direction, out);
        if self.finished { Next::Done } else { Next::More }
    }

    fn end(&mut self, direction: Direction, out: &mut Output) {
        if let Some(side) = self.sides.get_mut(direction as usize) {
            side.over(direction, out);
        }
        if self.sides.iter().all(|side| side.state == State::Over) {
            self.finish(out);
        }
    }

    fn memory(&self) -> usize {
        self.sides.iter().map(|side| side.held.capacity() + side.shelf.memory()).sum()
    }
}

impl Ssh {
    fn finish(&mut self, out: &mut Output) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let [client, server] = &mut self.sides;
        let (client, server) = (client.told.take(), server.told.take());
        if client.is_some() || server.is_some() {
            out.records.push(Record::Ssh(Box::new(SshRecord { tx_id: 0, client, server })));
        }
    }
}

impl Side {
    fn step(&mut self, way: Direction, bytes: &mut &[u8], room: usize, out: &mut Output) {
        match self.state {
            State::Banner => {
                let line = bytes.iter().position(|&byte| byte == b'\n');
                let missing = BANNER_MAX - self.held.len().min(BANNER_MAX);
                let length = line.map_or(bytes.len(), |at| at + 1);
                let taken = take(bytes, length.min(missing));
                self.held.extend_from_slice(taken);
                if self.held.ends_with(b"\n") {
                    self.banner(way, State::Header, out);
                } else if self.held.len() >= BANNER_MAX {
                    self.shelf.event(app_event::SSH_LONG_BANNER, TRANSACTION, out);
                    self.banner(way, State::LongBanner, out);
                }
            }
            State::LongBanner => {
                let line = bytes.iter().position(|&byte| byte == b'\n');
                take(bytes, line.map_or(bytes.len(), |at| at + 1));
                if line.is_some() {
                    self.state = State::Header;
                }
            }
            State::Header => {
                let missing = 6usize.saturating_sub(self.held.len());
                let taken = take(bytes, missing);
                self.held.extend_from_slice(taken);
                if self.held.len() == 6 {
                    self.header(way, room, out);
                }
            }
            State::KeyExchange(missing) => {
                let taken = take(bytes, missing);
                self.held.extend_from_slice(taken);
                self.state = State::KeyExchange(missing - taken.len());
                if missing == taken.len() {
                    self.key_exchange(way, out);
                }
            }
            State::Skip(missing) => {
                let taken = take(bytes, missing).len();
                self.state = match missing - taken {
                    0 => State::Header,
                    left => State::Skip(left),
                };
            }
            State::Over => {}
        }
    }

    fn show(&mut self, direction: Direction, stage: Stage, out: &mut Output) {
        let heading =
            Heading { application: application::SSH, transaction: TRANSACTION, direction };
        self.shelf.show(heading, stage, out);
    }

    /// Nothing more is read in this direction.
    fn over(&mut self, direction: Direction, out: &mut Output) {
        if self.state != State::Over {
            self.state = State::Over;
            self.held = Vec::new();
            self.show(direction, Stage::Complete, out);
        }
    }

    fn banner(&mut self, direction: Direction, next: State, out: &mut Output) {
        let line = std::mem::take(&mut self.held);
        self.state = next;
        let Some((proto, software)) = banner_parts(&line) else {
            self.shelf.event(app_event::SSH_INVALID_BANNER, TRANSACTION, out);
            return self.over(direction, out);
        };
        self.shelf.put(kind::SSH_PROTO, proto);
        self.shelf.put(kind::SSH_SOFTWARE, software);
        self.told = Some(SshSide { proto: proto.into(), software: software.into(), hassh: None });
        let old = proto.starts_with(b"1.") && proto != b"1.99";
        if old { self.over(direction, out) } else { self.show(direction, Stage::Progress, out) }
    }

    fn header(&mut self, direction: Direction, room: usize, out: &mut Output) {
        let Some((&head, _)) = self.held.split_first_chunk::<4>() else { return };
        let message = self.held.get(5).copied().unwrap_or_default();
        let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
        self.held.clear();
        // Padding length and message are read already.
        let Some(left) = length.checked_sub(2).filter(|_| length <= PACKET_MAX) else {
            self.shelf.event(app_event::SSH_INVALID_RECORD, TRANSACTION, out);
            return self.over(direction, out);
        };
        match message {
            NEW_KEYS => self.over(direction, out),
            _ if left == 0 => self.state = State::Header,
            KEX_INIT if left <= room => self.state = State::KeyExchange(left),
            KEX_INIT => {
                out.counters.records_cut += 1;
                self.state = State::Skip(left);
            }
            _ => self.state = State::Skip(left),
        }
    }

    fn key_exchange(&mut self, direction: Direction, out: &mut Output) {
        let held = std::mem::take(&mut self.held);
        self.state = State::Header;
        let Some(string) = hassh(&held, direction) else {
            self.shelf.event(app_event::SSH_INVALID_RECORD, TRANSACTION, out);
            return self.show(direction, Stage::Progress, out);
        };
        let hash = md5_hex(&string);
        let Some(told) = self.told.as_mut().filter(|told| told.hassh.is_none()) else { return };
        let (hash_kind, string_kind) = match direction {
            Direction::ToServer => (kind::SSH_HASSH, kind::SSH_HASSH_STRING),
            Direction::ToClient => (kind::SSH_HASSH_SERVER, kind::SSH_HASSH_SERVER_STRING),
        };
        self.shelf.put(hash_kind, hash.as_bytes());
        self.shelf.put(string_kind, &string);
        told.hassh = Some((hash, string));
        self.show(direction, Stage::Progress, out);
    }
}

/// `SSH-PROTO-SOFTWARE comments`.
fn banner_parts(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_prefix(b"SSH-")?;
    let dash = rest.iter().position(|&byte| byte == b'-')?;
    let (proto, software) = (rest.get(..dash)?, rest.get(dash + 1..)?);
    let end = software.iter().position(|byte| b" \r\n".contains(byte)).unwrap_or(software.len());
    (!proto.is_empty()).then_some((proto, software.get(..end)?))
}

/// The algorithms that a side offers for its own direction: key exchange, cipher, MAC and
/// compression.
fn hassh(exchange: &[u8], direction: Direction) -> Option<Vec<u8>> {
    let mut reader = Reader::new(exchange);
    reader.take(16)?;
    let mut lists = [&[][..]; 8];
    for list in &mut lists {
        *list = reader.long_vector()?;
    }
    let [exchange, _, cipher_up, cipher_down, mac_up, mac_down, press_up, press_down] = lists;
    Some(match direction {
        Direction::ToServer => [exchange, cipher_up, mac_up, press_up].join(&b';'),
        Direction::ToClient => [exchange, cipher_down, mac_down, press_down].join(&b';'),
    })
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length.min(bytes.len()));
    *bytes = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::{banner_parts, hassh};
    use crate::Direction;

    #[test]
    fn banners() {
        let parts = banner_parts(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
        assert_eq!(parts, Some((&b"2.0"[..], &b"OpenSSH_9.2p1"[..])));
        assert_eq!(banner_parts(b"SSH-2.0-\r\n"), Some((&b"2.0"[..], &b""[..])));
        assert_eq!(banner_parts(b"SSH--x\n"), None);
        assert_eq!(banner_parts(b"SSH-2.0\n"), None);
    }

    #[test]
    fn algorithms_of_each_direction() {
        let mut exchange = vec![7u8; 16];
        for name in ["k", "h", "cu", "cd", "mu", "md", "pu", "pd"] {
            exchange.extend_from_slice(&[0, 0, 0, u8::try_from(name.len()).expect("short")]);
            exchange.extend_from_slice(name.as_bytes());
        }
        assert_eq!(hassh(&exchange, Direction::ToServer), Some(b"k;cu;mu;pu".to_vec()));
        assert_eq!(hassh(&exchange, Direction::ToClient), Some(b"k;cd;md;pd".to_vec()));
        assert_eq!(hassh(&exchange[..40], Direction::ToClient), None);
    }
}
