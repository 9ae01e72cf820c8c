//! FTP control connections (RFC 959, 2428, 4217): a command and its reply are a transaction. Must
//! never know a rule, nor read the data connection.

use crate::conversation::{Direction, Stage, Transport};
use crate::events::app_event;
use crate::limits::Limits;
use crate::line::{Line, Lines};
use crate::output::{Fresh, Output, Record};
use crate::registry::{Decoder, Next, Probe};
use portcullis_plugin_abi::{application, buffer_kind as kind};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of a line that are kept, as in Suricata.
const LINE_MAX: usize = 4096;
/// Lines of one reply that are kept.
const REPLIES_MAX: usize = 64;
/// Commands with which a client begins.
const FIRST: [&[u8]; 7] =
    [b"USER ", b"AUTH TLS", b"AUTH SSL", b"FEAT\r\n", b"PASS ", b"SYST\r\n", b"PORT "];

/// Whether the start of a direction is FTP. A greeting that does not say so looks like SMTP's.
pub(crate) fn probe(direction: Direction, bytes: &[u8], port: u16) -> Probe {
    match direction {
        Direction::ToServer => FIRST
            .iter()
            .map(|first| {
                let length = first.len().min(bytes.len());
                match (first.get(..length), bytes.get(..length)) {
                    (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b) => Probe::No,
                    _ if length < first.len() => Probe::More,
                    // POP3 has the same command.
                    _ if port == 21 || !first.starts_with(b"USER") => Probe::Yes,
                    _ => Probe::Perhaps,
                }
            })
            .max()
            .unwrap_or(Probe::No),
        Direction::ToClient => greeting(bytes, port, b"FTP"),
    }
}

/// `220`, and what the first line says of the protocol.
pub(crate) fn greeting(bytes: &[u8], port: u16, word: &[u8]) -> Probe {
    let code = bytes.get(..3).unwrap_or(bytes);
    if !b"220".starts_with(code) {
        return Probe::No;
    }
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return Probe::More };
    let line = bytes.get(3..end).unwrap_or_default();
    if !matches!(line.first(), Some(b' ' | b'-')) {
        return Probe::No;
    }
    let says = |word: &[u8]| line.windows(word.len()).any(|at| at.eq_ignore_ascii_case(word));
    match (says(b"FTP"), says(b"SMTP") || says(b"mail")) {
        (true, false) if word == b"FTP" => Probe::Yes,
        (false, true) if word == b"SMTP" => Probe::Yes,
        (true, false) | (false, true) => Probe::No,
        _ if (word == b"FTP") == (port == 21) => Probe::Perhaps,
        _ => Probe::More,
    }
}

/// Who opens the data connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FtpMode {
    /// The server connects to the client (PORT, EPRT).
    Active,
    /// The client connects to the server (PASV, EPSV).
    Passive,
}

/// A command as the journal prints it (`ftp`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FtpRecord {
    /// Transaction in the flow, from 0 as the journal counts.
    pub tx_id: u32,
    /// Command; `None` for what the server says unasked, as its greeting.
    pub command: Option<Vec<u8>>,
    /// What follows the command.
    pub command_data: Option<Vec<u8>>,
    /// Lines of the reply without their codes.
    pub reply: Vec<Vec<u8>>,
    /// `completion_code`.
    pub codes: Vec<Vec<u8>>,
    /// Port of the data connection that is agreed.
    pub dynamic_port: Option<u16>,
    /// `mode`.
    pub mode: Option<FtpMode>,
    /// `command_truncated`.
    pub command_truncated: bool,
    /// `reply_truncated`.
    pub reply_truncated: bool,
}

/// The decoder of one flow.
#[derive(Debug)]
pub(crate) struct Ftp {
    lines: [Lines; 2],
    /// Commands that wait for their reply.
    open: VecDeque<FtpRecord>,
    /// The reply that is being read.
    code: Option<[u8; 3]>,
    transaction: u32,
    transactions_max: usize,
}

impl Decoder for Ftp {
    fn start(_: Transport, _: u16, limits: &Arc<Limits>) -> Self {
        Self {
            lines: Default::default(),
            open: VecDeque::new(),
            code: None,
            transaction: 0,
            transactions_max: limits.transactions,
        }
    }

    fn data(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> Next {
        let mut rest = bytes;
        let at = direction as usize;
        let mut lines = self.lines.get_mut(at).map(std::mem::take).unwrap_or_default();
        while let Some(line) = lines.next(&mut rest, LINE_MAX) {
            let encrypted = match direction {
                Direction::ToServer => {
                    self.command(line, out);
                    false
                }
                Direction::ToClient => self.reply(line, out),
            };
            lines.clear();
            if encrypted {
                return Next::Fresh(Box::new([Vec::new(), rest.to_vec()]));
            }
        }
        if let Some(slot) = self.lines.get_mut(at) {
            *slot = lines;
        }
        Next::More
    }

    fn gap(&mut self, direction: Direction, _: u64, _: &mut Output) -> Next {
        if let Some(lines) = self.lines.get_mut(direction as usize) {
            lines.clear();
        }
        Next::More
    }

    fn end(&mut self, direction: Direction, out: &mut Output) {
        if direction == Direction::ToClient {
            while let Some(record) = self.open.pop_front() {
                out.records.push(Record::Ftp(Box::new(record)));
            }
        }
    }

    fn memory(&self) -> usize {
        let lines: usize = self.lines.iter().map(Lines::memory).sum();
        let texts = |list: &[Vec<u8>]| list.iter().map(Vec::capacity).sum::<usize>();
        let open = self.open.iter().map(|record| {
            size_of::<FtpRecord>()
                + record.command_data.as_ref().map_or(0, Vec::capacity)
                + texts(&record.reply)
                + texts(&record.codes)
        });
        lines + open.sum::<usize>()
    }
}

impl Ftp {
    fn open(&mut self, out: &mut Output) -> FtpRecord {
        if self.open.len() >= self.transactions_max
            && let Some(oldest) = self.open.pop_front()
        {
            out.counters.transactions_cut += 1;
            out.anomaly(app_event::FTP_TOO_MANY_TRANSACTIONS, oldest.tx_id + 1);
            out.records.push(Record::Ftp(Box::new(oldest)));
        }
        self.transaction = self.transaction.saturating_add(1);
        FtpRecord { tx_id: self.transaction - 1, ..FtpRecord::default() }
    }

    fn command(&mut self, line: Line<'_>, out: &mut Output) {
        let mut record = self.open(out);
        let text = line.text;
        let end = text.iter().position(|&byte| byte == b' ').unwrap_or(text.len());
        let (command, data) = text.split_at(end);
        let data = data.trim_ascii_start();
        record.command = Some(command.to_ascii_uppercase());
        record.command_data = (!data.is_empty()).then(|| data.to_vec());
        record.command_truncated = line.cut;
        match record.command.as_deref() {
            Some(b"PORT") => {
                (record.mode, record.dynamic_port) = (Some(FtpMode::Active), six_numbers(data));
            }
            Some(b"EPRT") => {
                (record.mode, record.dynamic_port) = (Some(FtpMode::Active), extended_port(data));
            }
            Some(b"PASV" | b"EPSV") => record.mode = Some(FtpMode::Passive),
            _ => {}
        }
        let way = Direction::ToServer;
        out.message(application::FTP, record.tx_id + 1, way, Stage::Complete);
        out.buffer(kind::FTP_COMMAND, 0, command, Fresh::New);
        out.buffer(kind::FTP_COMMAND_DATA, 0, data, Fresh::New);
        if line.cut {
            let events = [app_event::FTP_REQUEST_COMMAND_TOO_LONG];
            out.anomaly(app_event::FTP_REQUEST_COMMAND_TOO_LONG, record.tx_id + 1);
            out.event_pieces(&events, 0);
        }
        self.open.push_back(record);
    }

    /// Whether what follows is TLS.
    fn reply(&mut self, line: Line<'_>, out: &mut Output) -> bool {
        let text = line.text;
        let digits = text.first_chunk::<3>().filter(|code| code.iter().all(u8::is_ascii_digit));
        let last = match (digits, self.code) {
            (Some(code), Some(open)) => *code == open && text.get(3) != Some(&b'-'),
            (Some(_), None) => text.get(3) != Some(&b'-'),
            (None, open) => open.is_none(),
        };
        if self.open.is_empty() {
            let record = self.open(out);
            self.open.push_back(record);
        }
        let Some(record) = self.open.front_mut() else { return false };
        if let Some(code) = digits.filter(|_| last || self.code.is_none()) {
            record.codes.push(code.to_vec());
        }
        if record.reply.len() < REPLIES_MAX {
            let said = digits.and_then(|_| text.get(4..)).unwrap_or(text);
            record.reply.push(said.to_vec());
        }
        record.reply_truncated |= line.cut;
        match digits {
            Some(b"227") => record.dynamic_port = between(text).and_then(six_numbers),
            Some(b"229") => record.dynamic_port = between(text).and_then(extended_port),
            _ => {}
        }
        let stage = if last { Stage::Complete } else { Stage::Progress };
        out.message(application::FTP, record.tx_id + 1, Direction::ToClient, stage);
        let at = record.reply.len().saturating_sub(1);
        for (index, reply) in (0u16..).zip(&record.reply) {
            let fresh = if usize::from(index) < at { Fresh::Earlier } else { Fresh::New };
            out.buffer(kind::FTP_REPLY, index, reply, fresh);
        }
        if line.cut {
            out.anomaly(app_event::FTP_RESPONSE_COMMAND_TOO_LONG, record.tx_id + 1);
            out.event_pieces(&[app_event::FTP_RESPONSE_COMMAND_TOO_LONG], 0);
        }
        if !last {
            self.code = self.code.or(digits.copied());
            return false;
        }
        self.code = None;
        let encrypted = digits == Some(b"234") && record.command.as_deref() == Some(b"AUTH");
        // A preliminary reply is followed by the one that ends the command.
        if digits.is_none_or(|code| code.first() != Some(&b'1'))
            && let Some(record) = self.open.pop_front()
        {
            out.records.push(Record::Ftp(Box::new(record)));
        }
        encrypted
    }
}

/// What stands between the parentheses.
fn between(text: &[u8]) -> Option<&[u8]> {
    let from = text.iter().position(|&byte| byte == b'(')?;
    let rest = text.get(from + 1..)?;
    rest.get(..rest.iter().position(|&byte| byte == b')')?)
}

/// The port of `h1,h2,h3,h4,p1,p2`.
fn six_numbers(text: &[u8]) -> Option<u16> {
    let mut numbers = text.split(|&byte| byte == b',').map(|number| {
        std::str::from_utf8(number).ok().and_then(|number| number.trim().parse::<u8>().ok())
    });
    let (high, low) = (numbers.nth(4)??, numbers.next()??);
    Some(u16::from_be_bytes([high, low]))
}

/// The port of `|1|132.235.1.2|6275|` and `|||6446|`.
fn extended_port(text: &[u8]) -> Option<u16> {
    let &mark = text.first()?;
    let port = text.split(|&byte| byte == mark).nth(3)?;
    std::str::from_utf8(port).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{between, extended_port, six_numbers};

    #[test]
    fn ports_of_data_connections() {
        assert_eq!(six_numbers(b"192,0,2,1,4,1"), Some(1025));
        assert_eq!(six_numbers(b"192,0,2,1,4"), None);
        assert_eq!(six_numbers(b"192,0,2,1,400,1"), None);
        let passive = b"227 Entering Passive Mode (192,0,2,1,200,10).";
        assert_eq!(between(passive).and_then(six_numbers), Some(51_210));
        assert_eq!(extended_port(b"|||6446|"), Some(6446));
        assert_eq!(extended_port(b"|2|2001:db8::1|5282|"), Some(5282));
        assert_eq!(extended_port(b""), None);
    }
}
