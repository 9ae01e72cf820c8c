//! SMB over NetBIOS sessions (RFC 1002) and directly: commands with their shares, names and users.
//! Must never know a rule, nor read files in transfer.

mod message;

pub use message::{Ntlmssp, SmbVersion, command_name};

use crate::conversation::{Direction, Stage, Transport};
use crate::events::app_event;
use crate::limits::Limits;
use crate::output::{Fresh, Output, Record};
use crate::registry::{Decoder, Next, Probe};
use message::{CREATE_1, CREATE_2, Command, NEGOTIATE_1, NEGOTIATE_2, SESSION_1, SESSION_2};
use message::{TREE_1, TREE_2};
use portcullis_plugin_abi::{application, buffer_kind as kind};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes at the front of a message that are read: names lie there, files behind.
const FRONT_MAX: usize = 4096;
/// Bytes of a NetBIOS session's header.
const HEADER: usize = 4;

/// Whether the start of a direction is SMB.
pub(crate) fn probe(_: Direction, bytes: &[u8], port: u16) -> Probe {
    let magic = |rest: &[u8]| match rest {
        [0xfd..=0xff, b'S', b'M', b'B', ..] => Probe::Yes,
        [] | [0xfd..=0xff] | [0xfd..=0xff, b'S'] | [0xfd..=0xff, b'S', b'M'] => Probe::More,
        _ => Probe::No,
    };
    match bytes {
        [] | [0 | 0x81 | 0x82] | [0 | 0x81 | 0x82, _] | [0 | 0x81 | 0x82, _, _] => Probe::More,
        [0, 0 | 1, _, _, rest @ ..] => magic(rest),
        [0x81, 0, 0, 68, ..] | [0x82, 0, 0, 0, ..] if port == 139 => Probe::Perhaps,
        _ => Probe::No,
    }
}

/// A command as the journal prints it (`smb`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SmbRecord {
    /// Transaction in the flow, from 0 as the journal counts.
    pub tx_id: u32,
    /// Generation.
    pub version: SmbVersion,
    /// Number of the command: see [`command_name`].
    pub command: u16,
    /// Dialect of SMB 2 that was agreed, as on the wire: 0x0311 for 3.1.1.
    pub dialect: Option<u16>,
    /// `status_code` of the response; `None` if there was none.
    pub status: Option<u32>,
    /// `session_id`.
    pub session_id: u64,
    /// `tree_id`.
    pub tree_id: u32,
    /// `share`, of a tree connect to anything but a pipe.
    pub share: Option<Vec<u8>>,
    /// `named_pipe`, of a tree connect to a pipe.
    pub named_pipe: Option<Vec<u8>>,
    /// `filename` of a create.
    pub filename: Option<Vec<u8>>,
    /// `ntlmssp` of a session setup.
    pub ntlmssp: Option<Ntlmssp>,
}

#[derive(Debug, Default)]
struct Side {
    /// Header of the session layer, then the front of the message.
    held: Vec<u8>,
    skip: usize,
}

/// The decoder of one flow.
#[derive(Debug)]
pub(crate) struct Smb {
    sides: [Side; 2],
    open: VecDeque<(u64, SmbRecord)>,
    dialect: Option<u16>,
    transaction: u32,
    transactions_max: usize,
}

impl Decoder for Smb {
    fn start(_: Transport, _: u16, limits: &Arc<Limits>) -> Self {
        Self {
            sides: Default::default(),
            open: VecDeque::new(),
            dialect: None,
            transaction: 0,
            transactions_max: limits.transactions,
        }
    }

    fn data(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> Next {
        let at = direction as usize;
        let mut side = self.sides.get_mut(at).map(std::mem::take).unwrap_or_default();
        let mut rest = bytes;
        while !rest.is_empty() {
            if side.skip > 0 {
                side.skip -= take(&mut rest, side.skip).len();
                continue;
            }
            let missing = HEADER.saturating_sub(side.held.len());
            side.held.extend_from_slice(take(&mut rest, missing));
            let &[kind, extra, high, low, ..] = side.held.as_slice() else { continue };
            let length = usize::try_from(u32::from_be_bytes([0, extra, high, low])).unwrap_or(0);
            let kept = length.min(FRONT_MAX);
            let missing = (HEADER + kept).saturating_sub(side.held.len());
            side.held.extend_from_slice(take(&mut rest, missing));
            if side.held.len() < HEADER + kept {
                continue;
            }
            side.skip = length - kept;
            match kind {
                0 => self.message(direction, side.held.get(HEADER..).unwrap_or_default(), out),
                0x81..=0x85 => {}
                _ => {
                    self.odd(direction, app_event::SMB_MALFORMED_DATA, out);
                    return Next::Done;
                }
            }
            side.held.clear();
        }
        if let Some(slot) = self.sides.get_mut(at) {
            *slot = side;
        }
        Next::More
    }

    fn gap(&mut self, direction: Direction, length: u64, _: &mut Output) -> Next {
        let Some(side) = self.sides.get_mut(direction as usize) else { return Next::Done };
        match usize::try_from(length) {
            // Inside of a file: nothing is lost.
            Ok(length) if length <= side.skip => {
                side.skip -= length;
                Next::More
            }
            _ => Next::Done,
        }
    }

    fn end(&mut self, direction: Direction, out: &mut Output) {
        if direction == Direction::ToClient {
            while let Some((_, record)) = self.open.pop_front() {
                out.records.push(Record::Smb(Box::new(record)));
            }
        }
    }

    fn memory(&self) -> usize {
        let held: usize = self.sides.iter().map(|side| side.held.capacity()).sum();
        held + self.open.capacity() * size_of::<(u64, SmbRecord)>()
    }
}

impl Smb {
    fn odd(&mut self, direction: Direction, event: u16, out: &mut Output) {
        let transaction = self.transaction.max(1);
        out.anomaly(event, transaction);
        out.message(application::SMB, transaction, direction, Stage::Progress);
        out.event_pieces(&[event], 0);
    }

    fn message(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) {
        if bytes.starts_with(b"\xfdSMB") {
            // Encrypted.
            return;
        }
        let Some(commands) = message::read(bytes) else {
            return self.odd(direction, app_event::SMB_MALFORMED_DATA, out);
        };
        for command in commands {
            match (command.response, direction) {
                (false, Direction::ToServer) => self.request(command, out),
                (true, Direction::ToClient) => self.response(&command, out),
                (true, Direction::ToServer) => {
                    self.odd(direction, app_event::SMB_RESPONSE_TO_SERVER, out);
                }
                (false, Direction::ToClient) => {
                    self.odd(direction, app_event::SMB_REQUEST_TO_CLIENT, out);
                }
            }
        }
    }

    fn request(&mut self, command: Command, out: &mut Output) {
        let names = matches!(
            (command.version, command.number),
            (SmbVersion::One, NEGOTIATE_1 | SESSION_1 | TREE_1 | CREATE_1)
                | (SmbVersion::Two, NEGOTIATE_2 | SESSION_2 | TREE_2 | CREATE_2)
        );
        if !names {
            return;
        }
        if self.open.len() >= self.transactions_max
            && let Some((_, oldest)) = self.open.pop_front()
        {
            out.counters.transactions_cut += 1;
            out.records.push(Record::Smb(Box::new(oldest)));
        }
        self.transaction = self.transaction.saturating_add(1);
        let mut record = SmbRecord {
            tx_id: self.transaction - 1,
            version: command.version,
            command: command.number,
            dialect: self.dialect,
            session_id: command.session,
            tree_id: command.tree,
            ntlmssp: command.ntlmssp,
            ..SmbRecord::default()
        };
        let tree = [(SmbVersion::One, TREE_1), (SmbVersion::Two, TREE_2)];
        match command.name {
            Some(path) if tree.contains(&(command.version, command.number)) => {
                let ends = path.len().checked_sub(4).and_then(|at| path.get(at..));
                let pipe = command.service.eq_ignore_ascii_case(b"IPC")
                    || ends.is_some_and(|end| end.eq_ignore_ascii_case(b"IPC$"));
                let slot = if pipe { &mut record.named_pipe } else { &mut record.share };
                *slot = Some(path);
            }
            name => record.filename = name,
        }
        let way = Direction::ToServer;
        out.message(application::SMB, self.transaction, way, Stage::Complete);
        let mut put = |kind: u16, bytes: Option<&Vec<u8>>| {
            if let Some(bytes) = bytes {
                out.buffer(kind, 0, bytes, Fresh::New);
            }
        };
        put(kind::SMB_NAMED_PIPE, record.named_pipe.as_ref());
        put(kind::SMB_SHARE, record.share.as_ref());
        put(kind::SMB_NTLMSSP_USER, record.ntlmssp.as_ref().map(|n| &n.user));
        put(kind::SMB_NTLMSSP_DOMAIN, record.ntlmssp.as_ref().map(|n| &n.domain));
        if command.malformed_ntlmssp {
            out.anomaly(app_event::SMB_MALFORMED_NTLMSSP_REQUEST, self.transaction);
            out.event_pieces(&[app_event::SMB_MALFORMED_NTLMSSP_REQUEST], 0);
        }
        self.open.push_back((command.id, record));
    }

    fn response(&mut self, command: &Command, out: &mut Output) {
        self.dialect = command.dialect.or(self.dialect);
        // A client that offers SMB 2 in a negotiation of SMB 1 is answered in SMB 2.
        let upgrade = command.version == SmbVersion::Two && command.number == NEGOTIATE_2;
        let at = self.open.iter().position(|(id, record)| {
            let same = *id == command.id
                && record.command == command.number
                && record.version == command.version;
            same || upgrade && record.version == SmbVersion::One && record.command == NEGOTIATE_1
        });
        let Some((_, mut record)) = at.and_then(|at| self.open.remove(at)) else { return };
        record.status = Some(command.status);
        record.dialect = self.dialect;
        record.session_id = command.session;
        record.tree_id = command.tree;
        let transaction = record.tx_id + 1;
        out.message(application::SMB, transaction, Direction::ToClient, Stage::Complete);
        out.records.push(Record::Smb(Box::new(record)));
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length.min(bytes.len()));
    *bytes = rest;
    taken
}
