//! DNS over UDP and TCP: every message is a transaction of its own, as Suricata counts. Must never
//! know a rule.

mod message;
mod name;
mod rdata;
mod words;

pub use message::{Answer, DnsMessage, Edns, Header, Oddities, Question, RECORDS_MAX};
pub use name::Flaws;
pub use rdata::{Rdata, Soa};
pub use words::{rcode_name, rrtype, type_name};

use crate::conversation::{Direction, Stage, Transport};
use crate::events::app_event;
use crate::limits::Limits;
use crate::output::{Fresh, Output, Record};
use crate::registry::{Decoder, Next, Probe};
use portcullis_plugin_abi::{application, buffer_kind as kind};
use std::sync::Arc;

/// Ports of protocols whose messages look like DNS and are not: NetBIOS names, mDNS, LLMNR.
const LOOKALIKES: [u16; 3] = [137, 5353, 5355];
/// The port on which anything that has the shape of DNS is DNS.
pub(crate) const PORT: u16 = 53;
/// Opcodes from here on are not assigned.
const OPCODES: u8 = 7;

/// A message as the journal prints it (`dns`): a `query` event for each question of a request, one
/// `answer` event for a response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsRecord {
    /// Transaction in the flow, from 0 as the journal counts.
    pub tx_id: u32,
    /// Which way it went.
    pub direction: Direction,
    /// What it says.
    pub message: DnsMessage,
}

/// Whether a datagram is DNS.
pub(crate) fn probe_datagram(_: Direction, bytes: &[u8], port: u16) -> Probe {
    if LOOKALIKES.contains(&port) { Probe::No } else { shape(bytes, port) }
}

/// Whether the start of a direction is DNS behind lengths of two bytes.
pub(crate) fn probe_stream(_: Direction, bytes: &[u8], port: u16) -> Probe {
    let Some((&[high, low], rest)) = bytes.split_first_chunk() else { return Probe::More };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length <= message::HEADER {
        return Probe::No;
    }
    match rest.get(..length) {
        Some(whole) => shape(whole, port),
        // What a whole message would say later, its first bytes deny now.
        None if rest.get(2..6).is_some_and(|b| !matches!(b, [_, _, 0, 0..=4])) => Probe::No,
        None if port == PORT && rest.len() >= 6 => Probe::Perhaps,
        None => Probe::More,
    }
}

/// On its port, what can be read is DNS, and so is what has a sane header. Elsewhere it must ask
/// one question of a known type in a known class.
fn shape(bytes: &[u8], port: u16) -> Probe {
    let Some(header) = Header::read(bytes) else { return Probe::No };
    if header.opcode() >= OPCODES || bytes.len() <= message::HEADER {
        return Probe::No;
    }
    if port == PORT {
        return Probe::Perhaps;
    }
    let Some((message, oddities)) = message::read(bytes, header) else { return Probe::No };
    match message.questions.as_slice() {
        [one] if type_name(one.rrtype).is_some() && matches!(one.class, 1 | 3 | 255) => {
            if oddities == Oddities::default() { Probe::Perhaps } else { Probe::No }
        }
        _ => Probe::No,
    }
}

/// The decoder of one flow.
#[derive(Debug)]
pub(crate) struct Dns {
    transport: Transport,
    held: [Vec<u8>; 2],
    transaction: u32,
    /// Whether the first message said that the directions are the other way round, as in a flow
    /// of which the beginning was not seen.
    reversed: Option<bool>,
    /// Bytes were lost: the next bytes must begin a message.
    lost: [bool; 2],
    port: u16,
}

impl Decoder for Dns {
    fn start(transport: Transport, server_port: u16, _: &Arc<Limits>) -> Self {
        Self {
            transport,
            held: Default::default(),
            transaction: 0,
            reversed: None,
            lost: [false; 2],
            port: server_port,
        }
    }

    fn data(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> Next {
        match self.transport {
            Transport::Udp => {
                self.message(direction, bytes, out);
                Next::More
            }
            Transport::Tcp => self.stream(direction, bytes, out),
        }
    }

    fn gap(&mut self, direction: Direction, _: u64, _: &mut Output) -> Next {
        let at = direction as usize;
        if let (Some(held), Some(lost)) = (self.held.get_mut(at), self.lost.get_mut(at)) {
            *held = Vec::new();
            *lost = true;
        }
        Next::More
    }

    fn end(&mut self, direction: Direction, out: &mut Output) {
        let at = direction as usize;
        let Some(held) = self.held.get_mut(at) else { return };
        if !std::mem::take(held).is_empty() {
            self.malformed(direction, out);
        }
    }

    fn memory(&self) -> usize {
        self.held.iter().map(Vec::capacity).sum()
    }
}

impl Dns {
    /// Messages behind their lengths: whole ones are read where they lie.
    fn stream(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> Next {
        let at = direction as usize;
        if let Some(lost) = self.lost.get_mut(at).filter(|lost| **lost) {
            if matches!(probe_stream(direction, bytes, self.port), Probe::No) {
                return Next::More;
            }
            *lost = false;
        }
        let mut held = self.held.get_mut(at).map(std::mem::take).unwrap_or_default();
        let mut rest = bytes;
        loop {
            if held.is_empty() {
                let Some((message, behind)) = whole(rest) else { break };
                rest = behind;
                self.message(direction, message, out);
                continue;
            }
            let missing = match held.split_first_chunk() {
                Some((&length, body)) => usize::from(u16::from_be_bytes(length)) - body.len(),
                None => 1,
            };
            let (now, behind) = rest.split_at(missing.min(rest.len()));
            held.extend_from_slice(now);
            rest = behind;
            match whole(&held) {
                Some((message, _)) => {
                    self.message(direction, message, out);
                    held.clear();
                }
                None if rest.is_empty() => break,
                None => {}
            }
        }
        if held.is_empty() {
            held = if rest.is_empty() { Vec::new() } else { rest.to_vec() };
        }
        if let Some(kept) = self.held.get_mut(at) {
            *kept = held;
        }
        Next::More
    }

    fn next(&mut self) -> u32 {
        self.transaction = self.transaction.saturating_add(1);
        self.transaction
    }

    /// A transaction of which nothing could be read.
    fn malformed(&mut self, direction: Direction, out: &mut Output) {
        self.odd(direction, app_event::DNS_MALFORMED_DATA, out);
    }

    fn odd(&mut self, direction: Direction, event: u16, out: &mut Output) {
        let transaction = self.next();
        out.anomaly(event, transaction);
        out.message(application::DNS, transaction, direction, Stage::Complete);
        out.event_pieces(&[event], 0);
    }

    fn message(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) {
        let Some(header) = Header::read(bytes) else {
            // A datagram that cannot even be a header is none of DNS; in a stream it must be one.
            if self.transport == Transport::Tcp {
                self.malformed(direction, out);
            }
            return;
        };
        let backwards = header.is_response() != (direction == Direction::ToClient);
        let reversed = *self.reversed.get_or_insert(backwards);
        if backwards != reversed {
            let event = if header.is_response() {
                app_event::DNS_NOT_REQUEST
            } else {
                app_event::DNS_NOT_RESPONSE
            };
            return self.odd(direction, event, out);
        }
        let Some((message, oddities)) = message::read(bytes, header) else {
            return self.malformed(direction, out);
        };
        let transaction = self.next();
        let (events, count) = events(&message, &oddities);
        let events = events.get(..count).unwrap_or_default();
        if oddities.cut {
            out.counters.records_cut += 1;
        }
        events.iter().for_each(|&event| out.anomaly(event, transaction));
        out.message(application::DNS, transaction, direction, Stage::Complete);
        pieces(&message, direction, out);
        out.event_pieces(events, 0);
        let record = DnsRecord { tx_id: transaction - 1, direction, message };
        out.records.push(Record::Dns(Box::new(record)));
    }
}

/// The message at the front and what is behind it.
fn whole(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(length)))
}

fn events(message: &DnsMessage, oddities: &Oddities) -> ([u16; 7], usize) {
    let rows = [
        (oddities.additionals, app_event::DNS_INVALID_ADDITIONALS),
        (oddities.authorities, app_event::DNS_INVALID_AUTHORITIES),
        (message.header.flags & 0x40 != 0, app_event::DNS_Z_FLAG_SET),
        (message.header.opcode() >= OPCODES, app_event::DNS_INVALID_OPCODE),
        (oddities.names.long, app_event::DNS_NAME_TOO_LONG),
        (oddities.names.endless, app_event::DNS_INFINITE_LOOP),
        (oddities.names.labels, app_event::DNS_TOO_MANY_LABELS),
    ];
    let (mut events, mut count) = ([0; 7], 0);
    for (_, event) in rows.into_iter().filter(|row| row.0) {
        if let Some(slot) = events.get_mut(count) {
            *slot = event;
            count += 1;
        }
    }
    (events, count)
}

fn pieces(message: &DnsMessage, direction: Direction, out: &mut Output) {
    let response = message.header.is_response();
    let new = Fresh::New;
    // An answer of which the question was not seen goes to the server; it is no question all the
    // same.
    let is_stray = response && direction == Direction::ToServer;
    let questions = if is_stray { &[] } else { message.questions.as_slice() };
    for (at, question) in (0u16..).zip(questions) {
        out.buffer(kind::DNS_QUERY_NAME, at, &question.name, new);
        out.number(kind::DNS_RRTYPE, at, question.rrtype.into(), new);
    }
    for (at, answer) in (0u16..).zip(&message.answers) {
        out.buffer(kind::DNS_ANSWER_NAME, at, &answer.name, new);
    }
    out.number(kind::DNS_OPCODE, 0, message.header.opcode().into(), new);
    if response {
        out.number(kind::DNS_RCODE, 0, message.rcode().into(), new);
        let asked = message.questions.iter().map(|question| question.name.as_slice());
        let sections = [&message.answers, &message.authorities, &message.additionals];
        let records = sections.into_iter().flatten();
        let names = records.flat_map(|record| {
            [Some(record.name.as_slice()), record.data.name()].into_iter().flatten()
        });
        for (at, name) in (0u16..).zip(asked.chain(names)) {
            out.buffer(kind::DNS_RESPONSE_RRNAME, at, name, new);
        }
    }
}
