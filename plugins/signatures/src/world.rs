//! What an evaluation is about and what it may ask for: plain values and one trait, so that rules
//! are evaluated alike in the sandbox and in tests. Must never know a batch, a host or a rule.

use portcullis_plugin_sdk::buffer_kind;
use portcullis_rules_form::Field;
use std::borrow::Cow;

/// What kind of event rules are tried on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occasion {
    /// A packet.
    Packet,
    /// A piece of a stream.
    Stream,
    /// A transaction went on.
    Transaction,
    /// The engine's oddity of that number.
    Anomaly(u16),
    /// The first packet of a direction of a flow.
    FlowStart,
}

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// To the server.
    ToServer,
    /// To the client.
    ToClient,
}

/// A packet's or a message's facts, and those of its flow.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The event.
    pub occasion: Occasion,
    /// Which way it went.
    pub way: Way,
    /// Nanoseconds.
    pub at: u64,
    /// The flow's number.
    pub flow: u64,
    /// The transaction, 0 for none.
    pub transaction: u32,
    /// Who opened the flow.
    pub client: [u8; 16],
    /// To whom.
    pub server: [u8; 16],
    /// Port.
    pub client_port: u16,
    /// Port.
    pub server_port: u16,
    /// IP protocol, 0 for what is not IP.
    pub protocol: u8,
    /// 4, 6, or 0 for what is not IP.
    pub ip_version: u8,
    /// Application, 0 unknown.
    pub application: u16,
    /// Bytes of the flow's frames so far, both ways.
    pub bytes: u64,
    /// Both sides have spoken (TCP: the handshake is complete).
    pub established: bool,
    /// TCP flags.
    pub tcp_flags: u8,
    /// Numbers that the records carry; those of packet headers are read from their buffers.
    pub numbers: Vec<(Field, u64)>,
}

impl Facts {
    /// Who sent it, and to whom.
    pub fn ends(&self) -> [([u8; 16], u16); 2] {
        let (client, server) = ((self.client, self.client_port), (self.server, self.server_port));
        match self.way {
            Way::ToServer => [client, server],
            Way::ToClient => [server, client],
        }
    }

    /// The buffer of an address, which every event of IP has: 4 bytes or 16.
    pub(crate) fn address(&self, kind: u16) -> Option<Piece<'static>> {
        let [(source, _), (destination, _)] = self.ends();
        let address = match kind {
            buffer_kind::IP_SRC => source,
            buffer_kind::IP_DST => destination,
            _ => return None,
        };
        let bytes = match self.ip_version {
            4 => address.get(12..)?.to_vec(),
            6 => address.to_vec(),
            _ => return None,
        };
        Some(Piece {
            kind,
            index: 0,
            handle: Piece::MADE,
            place: 0,
            offset: 0,
            complete: true,
            truncated: false,
            bytes: Cow::Owned(bytes),
        })
    }
}

/// Bytes that the event shows.
#[derive(Clone, Debug)]
pub struct Piece<'a> {
    /// Kind of buffer.
    pub kind: u16,
    /// Which one of its kind.
    pub index: u16,
    /// For [`World::regex`] and [`World::whole`].
    pub handle: u32,
    /// Its place in the batch, for evidence.
    pub place: u32,
    /// Where it begins in its stream or body.
    pub offset: u64,
    /// It ends here: nothing of it will come later.
    pub complete: bool,
    /// There are more bytes than these on the host.
    pub truncated: bool,
    /// The bytes.
    pub bytes: Cow<'a, [u8]>,
}

impl Piece<'_> {
    /// In the place of a handle: its bytes were made here, and the host does not know them.
    const MADE: u32 = u32::MAX;

    /// Whether its bytes were made here.
    pub(crate) fn is_made(&self) -> bool {
        self.handle == Self::MADE
    }
}

/// What a regular expression says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// From here to there.
    At(u32, u32),
    /// It does not match.
    No,
    /// Not known: given up, or it cannot be asked here.
    Unknown,
}

/// What is done with a bit on the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BitChange {
    /// Ask.
    Test,
    /// Set.
    Set,
    /// Clear.
    Clear,
}

/// What an evaluation may ask for.
pub trait World {
    /// Fills `to` with the compiled set's bytes from `offset`.
    fn rules(&mut self, offset: u32, to: &mut [u8]) -> Option<()>;
    /// All bytes of a buffer that was shown in part.
    fn whole(&mut self, handle: u32) -> Option<Vec<u8>>;
    /// A regular expression on a buffer of the host, from `from` on: for one that has the flag `R`
    /// the buffer begins there.
    fn regex(&mut self, id: u32, handle: u32, from: u32) -> Found;
    /// A regular expression on bytes made here.
    fn regex_in(&mut self, id: u32, bytes: &[u8], from: u32) -> Found;
    /// Counts a key; how often in this window. `None` where it cannot be counted.
    fn count(&mut self, table: u32, key: &[u8], window_ms: u32) -> Option<u32>;
    /// Asks for or changes a bit; what it was.
    fn bit(&mut self, table: u32, key: &[u8], change: BitChange) -> bool;
    /// What is left of the fuel.
    fn fuel(&mut self) -> u64;
    /// What was done since the last time was done for this rule (generator and number), tried
    /// because of that literal; whether it matched.
    fn spent_on(&mut self, _rule: (u32, u32), _literal: Option<u32>, _found: bool) {}
    /// What was done since the last time was done for no single rule.
    fn spent_on_none(&mut self) {}
    /// This flow's memory; empty where there is no flow.
    fn slot(&mut self) -> &mut [u8];
}
