//! One flow's conversation: finds out by content what is spoken and keeps its decoder. Must never
//! know a protocol's syntax.

use crate::limits::Limits;
use crate::output::Output;
use crate::registry::{Next, Probe, Protocol, ROWS, Row};
use portcullis_plugin_abi::application;
use std::sync::Arc;

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// From the client to the server.
    ToServer = 0,
    /// From the server to the client.
    ToClient = 1,
}

impl Direction {
    /// The opposite one.
    pub fn other(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

/// What carries the conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// A stream a direction.
    Tcp,
    /// Datagrams: each call of [`Conversation::data`] is one.
    Udp,
}

/// How far one direction of a transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// More will come.
    Progress,
    /// It is over.
    Complete,
}

/// Whether a conversation wants to be told more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interest {
    /// It does.
    More,
    /// There is nothing to read any more, e.g. because the rest is encrypted.
    Done,
}

/// Protocols within each other (CONNECT to CONNECT, STARTTLS) that are followed.
const NESTED_MAX: u8 = 4;

/// The decoder of one flow.
#[derive(Debug)]
pub struct Conversation {
    state: State,
    limits: Arc<Limits>,
    server_port: u16,
    transport: Transport,
    nested: u8,
    /// Transactions of the conversations before this one in the same flow.
    base: u32,
    last: u32,
}

#[derive(Debug)]
enum State {
    Probing(Box<Held>),
    Speaking(Protocol),
    Over(u16),
}

/// What came while nobody knew what is spoken.
#[derive(Debug, Default)]
struct Held {
    bytes: [Vec<u8>; 2],
    /// Runs in the order in which they came.
    runs: Vec<(Direction, usize)>,
    ended: [bool; 2],
    /// Bit per row: said no in either direction.
    refused: u64,
}

impl Held {
    fn of(&self, direction: Direction) -> &[u8] {
        let [to_server, to_client] = &self.bytes;
        match direction {
            Direction::ToServer => to_server,
            Direction::ToClient => to_client,
        }
    }

    fn add(&mut self, direction: Direction, bytes: &[u8]) {
        let [to_server, to_client] = &mut self.bytes;
        match direction {
            Direction::ToServer => to_server.extend_from_slice(bytes),
            Direction::ToClient => to_client.extend_from_slice(bytes),
        }
        match self.runs.last_mut() {
            Some((same, length)) if *same == direction => *length += bytes.len(),
            _ => self.runs.push((direction, bytes.len())),
        }
    }
}

/// What probing says.
enum Verdict {
    Wait,
    Speaks(&'static Row),
    Nobody,
}

impl Conversation {
    /// At the start of a flow. The port only breaks ties.
    pub fn new(transport: Transport, server_port: u16, limits: Arc<Limits>) -> Self {
        let state = State::Probing(Box::default());
        Self { state, limits, server_port, transport, nested: 0, base: 0, last: 0 }
    }

    /// Tells it the next bytes of a direction, in stream order.
    pub fn data(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> Interest {
        let before = (out.messages.len(), out.anomalies.len());
        let next = match &mut self.state {
            State::Speaking(protocol) => protocol.data(direction, bytes, out),
            State::Probing(_) => return self.probe(direction, bytes, out),
            State::Over(_) => return Interest::Done,
        };
        self.number(before, out);
        self.follow(next, out)
    }

    /// Tells it that bytes of a direction were lost.
    pub fn gap(&mut self, direction: Direction, length: u64, out: &mut Output) -> Interest {
        out.counters.gap_bytes = out.counters.gap_bytes.saturating_add(length);
        let before = (out.messages.len(), out.anomalies.len());
        let next = match &mut self.state {
            State::Speaking(protocol) => protocol.gap(direction, length, out),
            State::Probing(_) => {
                self.give_up(out);
                return Interest::Done;
            }
            State::Over(_) => return Interest::Done,
        };
        self.number(before, out);
        self.follow(next, out)
    }

    /// Tells it that a direction is over. Twice is once.
    pub fn end(&mut self, direction: Direction, out: &mut Output) {
        let before = (out.messages.len(), out.anomalies.len());
        match &mut self.state {
            State::Speaking(protocol) => protocol.end(direction, out),
            State::Probing(held) => {
                let [to_server, to_client] = &mut held.ended;
                match direction {
                    Direction::ToServer => *to_server = true,
                    Direction::ToClient => *to_client = true,
                }
                if *to_server && *to_client {
                    self.give_up(out);
                }
                return;
            }
            State::Over(_) => return,
        }
        self.number(before, out);
    }

    /// What is spoken: `portcullis_plugin_abi::application`.
    pub fn application(&self) -> u16 {
        match &self.state {
            State::Speaking(protocol) => protocol.application(),
            State::Probing(_) => application::UNKNOWN,
            State::Over(number) => *number,
        }
    }

    /// Bytes held for this flow.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + match &self.state {
                State::Speaking(protocol) => protocol.memory(),
                State::Probing(held) => {
                    let [a, b] = &held.bytes;
                    let runs = held.runs.capacity() * size_of::<(Direction, usize)>();
                    size_of::<Held>() + a.capacity() + b.capacity() + runs
                }
                State::Over(_) => 0,
            }
    }

    /// Transactions are numbered through a flow, whatever is spoken in it.
    fn number(&mut self, (messages, anomalies): (usize, usize), out: &mut Output) {
        let base = self.base;
        for message in out.messages.get_mut(messages..).unwrap_or_default() {
            message.transaction = message.transaction.saturating_add(base);
            self.last = self.last.max(message.transaction);
        }
        if base > 0 {
            for (_, transaction) in out.anomalies.get_mut(anomalies..).unwrap_or_default() {
                if *transaction > 0 {
                    *transaction = transaction.saturating_add(base);
                }
            }
        }
    }

    fn follow(&mut self, next: Next, out: &mut Output) -> Interest {
        match next {
            Next::More => Interest::More,
            Next::Done => {
                self.state = State::Over(self.application());
                Interest::Done
            }
            Next::Fresh(_) if self.nested >= NESTED_MAX => {
                self.state = State::Over(self.application());
                Interest::Done
            }
            Next::Fresh(left) => {
                self.nested += 1;
                self.base = self.last;
                self.state = State::Probing(Box::default());
                let [to_server, to_client] = *left;
                let mut interest = Interest::More;
                for (direction, bytes) in
                    [(Direction::ToServer, to_server), (Direction::ToClient, to_client)]
                {
                    if !bytes.is_empty() {
                        interest = self.data(direction, &bytes, out);
                    }
                }
                interest
            }
        }
    }

    fn give_up(&mut self, out: &mut Output) {
        out.counters.unknown += 1;
        self.state = State::Over(application::FAILED);
    }

    /// Holds the bytes until a row of the table says that they are its own.
    fn probe(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> Interest {
        let State::Probing(held) = &mut self.state else { return Interest::Done };
        let room = self.limits.probe_bytes.saturating_sub(held.of(direction).len());
        let (now, rest) = bytes.split_at(room.min(bytes.len()));
        held.add(direction, now);
        let full = held.of(direction).len() >= self.limits.probe_bytes;
        match judge(held, direction, self.transport, self.server_port, full) {
            Verdict::Wait => Interest::More,
            Verdict::Nobody => {
                self.give_up(out);
                Interest::Done
            }
            Verdict::Speaks(row) => {
                let held = std::mem::take(&mut **held);
                let fresh = (row.start)(self.transport, self.server_port, &self.limits);
                self.state = State::Speaking(fresh);
                self.replay(&held, direction, rest, out)
            }
        }
    }

    /// Tells a new decoder what was held, and then the rest of the bytes at hand.
    fn replay(
        &mut self,
        held: &Held,
        direction: Direction,
        rest: &[u8],
        out: &mut Output,
    ) -> Interest {
        let mut at = [0usize; 2];
        let mut interest = Interest::More;
        for &(way, length) in &held.runs {
            let [to_server, to_client] = &mut at;
            let from = if way == Direction::ToServer { to_server } else { to_client };
            let run = held.of(way).get(*from..*from + length).unwrap_or_default();
            *from += length;
            interest = self.data(way, run, out);
        }
        if !rest.is_empty() {
            interest = self.data(direction, rest, out);
        }
        for (way, over) in [Direction::ToServer, Direction::ToClient].into_iter().zip(held.ended) {
            if over {
                self.end(way, out);
            }
        }
        interest
    }
}

/// Asks every row that has not refused.
fn judge(
    held: &mut Held,
    direction: Direction,
    transport: Transport,
    port: u16,
    full: bool,
) -> Verdict {
    let (mut wait, mut perhaps, mut open) = (false, None::<&Row>, false);
    for (at, row) in ROWS.iter().enumerate() {
        let bit = 1u64 << (at & 63);
        if row.transport != transport || held.refused & bit != 0 {
            continue;
        }
        match (row.probe)(direction, held.of(direction), port) {
            Probe::Yes => return Verdict::Speaks(row),
            Probe::No => held.refused |= bit,
            Probe::More => (wait, open) = (true, true),
            Probe::Perhaps => {
                open = true;
                if perhaps.is_none() || row.ports.contains(&port) {
                    perhaps = Some(row);
                }
            }
        }
    }
    match perhaps {
        Some(row) if row.ports.contains(&port) || !wait || full => Verdict::Speaks(row),
        _ if full || !open => other_side(held, direction, full),
        _ => Verdict::Wait,
    }
}

/// Nobody knows the bytes of this direction: the other one may still tell.
fn other_side(held: &mut Held, direction: Direction, full: bool) -> Verdict {
    if full || !held.of(direction.other()).is_empty() {
        return Verdict::Nobody;
    }
    held.refused = 0;
    Verdict::Wait
}
