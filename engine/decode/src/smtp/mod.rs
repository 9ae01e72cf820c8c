//! SMTP (RFC 5321, 3030, 3207): a mail is a transaction, its attachments are files; behind
//! STARTTLS another conversation begins. Must never know a rule.

mod mime;

pub use mime::Letter;

use crate::conversation::{Direction, Stage, Transport};
use crate::events::app_event;
use crate::files::{Body, FileState, Taken};
use crate::limits::Limits;
use crate::line::{Line, Lines};
use crate::output::{Fresh, Output, Record};
use crate::registry::{Decoder, Next, Probe};
use crate::shelf::{Heading, Shelf};
use mime::{Mime, Step};
use portcullis_plugin_abi::{application, buffer_kind as kind};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of a line that are kept, as in Suricata.
const LINE_MAX: usize = 4096;
/// Commands whose replies are waited for; a client that sends more has them matched loosely.
const WAITING_MAX: usize = 64;
/// Recipients of one mail that are kept.
const RECIPIENTS_MAX: usize = 100;
/// Attachments of one mail that the journal names.
const ATTACHMENTS_MAX: usize = 64;

/// Whether the start of a direction is SMTP. A greeting that does not say so looks like FTP's.
pub(crate) fn probe(direction: Direction, bytes: &[u8], port: u16) -> Probe {
    match direction {
        Direction::ToServer => {
            let word = bytes.get(..5).unwrap_or(bytes);
            let first = [&b"EHLO "[..], b"HELO "].into_iter();
            match first
                .filter(|w| w.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word)))
                .count()
            {
                0 => Probe::No,
                _ if word.len() < 5 => Probe::More,
                _ => Probe::Yes,
            }
        }
        Direction::ToClient => crate::ftp::greeting(bytes, port, b"SMTP"),
    }
}

/// A mail as the journal prints it (`smtp` and `email`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SmtpRecord {
    /// Transaction in the flow, from 0 as the journal counts.
    pub tx_id: u32,
    /// Who the client says it is.
    pub helo: Option<Vec<u8>>,
    /// `<sender>` as sent.
    pub mail_from: Option<Vec<u8>>,
    /// `<recipient>` as sent, each.
    pub rcpt_to: Vec<Vec<u8>>,
    /// Headers of the mail.
    pub email: Letter,
    /// Names of its attachments.
    pub attachment: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Command {
    Data,
    StartTls,
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Commands,
    Data,
    /// Bytes of the chunk that are missing, and whether it is the last.
    Chunk(u64, bool),
}

/// The decoder of one flow.
#[derive(Debug)]
pub(crate) struct Smtp {
    limits: Arc<Limits>,
    lines: [Lines; 2],
    mode: Mode,
    waiting: VecDeque<Command>,
    welcomed: bool,
    helo: Option<Vec<u8>>,
    record: SmtpRecord,
    shelf: Shelf,
    transaction: u32,
    /// Whether a transaction is open.
    open: bool,
    mime: Mime,
    body: Body,
    in_file: bool,
    /// The line that comes is the rest of one that was too long.
    continues: bool,
    decoded: Vec<u8>,
}

impl Decoder for Smtp {
    fn start(_: Transport, _: u16, limits: &Arc<Limits>) -> Self {
        Self {
            limits: Arc::clone(limits),
            lines: Default::default(),
            mode: Mode::Commands,
            waiting: VecDeque::new(),
            welcomed: false,
            helo: None,
            record: SmtpRecord::default(),
            shelf: Shelf::default(),
            transaction: 0,
            open: false,
            mime: Mime::default(),
            body: Body::default(),
            in_file: false,
            continues: false,
            decoded: Vec::new(),
        }
    }

    fn data(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> Next {
        let at = direction as usize;
        let mut lines = self.lines.get_mut(at).map(std::mem::take).unwrap_or_default();
        let mut rest = bytes;
        let encrypted = match direction {
            Direction::ToServer => {
                self.read_client(&mut lines, &mut rest, out);
                false
            }
            Direction::ToClient => self.read_server(&mut lines, &mut rest, out),
        };
        if encrypted {
            self.close(out);
            return Next::Fresh(Box::new([Vec::new(), rest.to_vec()]));
        }
        if let Some(slot) = self.lines.get_mut(at) {
            *slot = lines;
        }
        Next::More
    }

    fn gap(&mut self, direction: Direction, length: u64, out: &mut Output) -> Next {
        if let Some(lines) = self.lines.get_mut(direction as usize) {
            lines.clear();
        }
        if direction == Direction::ToServer {
            match &mut self.mode {
                Mode::Chunk(left, _) => *left = left.saturating_sub(length),
                Mode::Data | Mode::Commands => {}
            }
            if self.in_file {
                self.body.gap();
                self.end_file(FileState::Truncated, out);
            }
        }
        Next::More
    }

    fn end(&mut self, direction: Direction, out: &mut Output) {
        if direction == Direction::ToServer {
            self.end_file(FileState::Truncated, out);
            self.close(out);
        }
    }

    fn memory(&self) -> usize {
        let lines: usize = self.lines.iter().map(Lines::memory).sum();
        let recipients: usize = self.record.rcpt_to.iter().map(Vec::capacity).sum();
        lines
            + self.shelf.memory()
            + self.mime.memory()
            + self.body.memory()
            + self.decoded.capacity()
            + self.waiting.capacity()
            + recipients
    }
}

impl Smtp {
    fn read_client(&mut self, lines: &mut Lines, rest: &mut &[u8], out: &mut Output) {
        while !rest.is_empty() {
            match self.mode {
                Mode::Commands => {
                    let Some(line) = lines.next(rest, LINE_MAX) else { return };
                    self.command(line, out);
                }
                Mode::Data => {
                    let Some(line) = lines.next_part(rest, LINE_MAX) else { return };
                    self.data_line(line, out);
                }
                Mode::Chunk(left, last) => {
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let (mut now, behind) = rest.split_at(length);
                    *rest = behind;
                    while let Some(line) = lines.next_part(&mut now, LINE_MAX) {
                        self.mail_line(line, out);
                        lines.clear();
                    }
                    let left = left - length as u64;
                    self.mode = if left > 0 { Mode::Chunk(left, last) } else { Mode::Commands };
                    if left == 0 && last {
                        self.end_mail(out);
                    }
                    // The rest of a line goes on in the next chunk.
                    continue;
                }
            }
            lines.clear();
        }
    }

    fn heading(&self, direction: Direction) -> Heading {
        Heading { application: application::SMTP, transaction: self.transaction, direction }
    }

    fn event(&mut self, event: u16, out: &mut Output) {
        self.shelf.event(event, self.transaction, out);
    }

    fn open(&mut self) {
        if !self.open {
            self.open = true;
            self.transaction = self.transaction.saturating_add(1);
            self.shelf.clear();
            self.mime = Mime::default();
            self.record = SmtpRecord {
                tx_id: self.transaction - 1,
                helo: self.helo.clone(),
                ..SmtpRecord::default()
            };
            if let Some(helo) = &self.helo {
                self.shelf.put(kind::SMTP_HELO, helo);
            }
        }
    }

    fn show(&mut self, stage: Stage, out: &mut Output) {
        let heading = self.heading(Direction::ToServer);
        self.shelf.show(heading, stage, out);
    }

    /// The transaction is over.
    fn close(&mut self, out: &mut Output) {
        if std::mem::take(&mut self.open) {
            self.show(Stage::Complete, out);
            self.record.email = std::mem::take(&mut self.mime.letter);
            let record = std::mem::take(&mut self.record);
            if record.mail_from.is_some() || !record.rcpt_to.is_empty() {
                out.records.push(Record::Smtp(Box::new(record)));
            }
        }
    }

    fn command(&mut self, line: Line<'_>, out: &mut Output) {
        let text = line.text;
        let mut command = Command::Other;
        let quits = begins(text, b"QUIT") || begins(text, b"RSET");
        if !quits {
            self.open();
        }
        if line.cut {
            self.event(app_event::SMTP_MAX_COMMAND_LINE_LEN_EXCEEDED, out);
        }
        if begins(text, b"EHLO ") || begins(text, b"HELO ") {
            let helo = text.get(5..).unwrap_or_default().trim_ascii().to_vec();
            if self.record.helo.is_none() {
                self.shelf.put(kind::SMTP_HELO, &helo);
                self.record.helo = Some(helo.clone());
            }
            self.helo = Some(helo);
            self.show(Stage::Progress, out);
        } else if begins(text, b"MAIL FROM:") {
            let sender = argument(text.get(10..));
            if self.record.mail_from.is_some() {
                self.event(app_event::SMTP_DUPLICATE_FIELDS, out);
            } else {
                self.shelf.put(kind::SMTP_MAIL_FROM, &sender);
                self.record.mail_from = Some(sender);
            }
            self.show(Stage::Progress, out);
        } else if begins(text, b"RCPT TO:") {
            let recipient = argument(text.get(8..));
            if self.record.rcpt_to.len() < RECIPIENTS_MAX {
                self.shelf.put(kind::SMTP_RCPT_TO, &recipient);
                self.record.rcpt_to.push(recipient);
                self.show(Stage::Progress, out);
            }
        } else if text.eq_ignore_ascii_case(b"DATA") {
            command = Command::Data;
            self.mode = Mode::Data;
        } else if begins(text, b"BDAT ") {
            self.chunk(text.get(5..).unwrap_or_default(), out);
        } else if text.trim_ascii().eq_ignore_ascii_case(b"STARTTLS") {
            command = Command::StartTls;
        } else if quits {
            self.close(out);
        }
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push_back(command);
        }
    }

    fn chunk(&mut self, text: &[u8], out: &mut Output) {
        let mut words = text.trim_ascii().split(|&byte| byte == b' ');
        let size = words.next().and_then(|w| std::str::from_utf8(w).ok()?.parse::<u64>().ok());
        let last = words.any(|word| word.eq_ignore_ascii_case(b"LAST"));
        match size {
            Some(0) if last => self.end_mail(out),
            Some(0) => {}
            Some(size) => self.mode = Mode::Chunk(size, last),
            None => self.event(app_event::SMTP_INVALID_BDAT, out),
        }
    }

    /// A line behind DATA: a dot alone ends the mail, a dot in front of others was added.
    fn data_line(&mut self, line: Line<'_>, out: &mut Output) {
        let text = match line.text {
            b"." if !self.continues && !line.cut => {
                self.mode = Mode::Commands;
                return self.end_mail(out);
            }
            [b'.', rest @ ..] if !self.continues => rest,
            text => text,
        };
        self.mail_line(Line { text, cut: line.cut }, out);
    }

    fn mail_line(&mut self, line: Line<'_>, out: &mut Output) {
        let mut decoded = std::mem::take(&mut self.decoded);
        decoded.clear();
        if std::mem::replace(&mut self.continues, line.cut) {
            self.mime.continue_line();
        }
        match self.mime.line(line.text, &mut decoded) {
            Step::Nothing => {}
            Step::Begin(name) => {
                if self.record.attachment.len() < ATTACHMENTS_MAX {
                    self.record.attachment.push(name.clone());
                }
                self.body.start(Some(name), self.limits.hashes);
                self.in_file = true;
            }
            Step::Bytes => self.file_bytes(&decoded, out),
            Step::End => self.end_file(FileState::Closed, out),
        }
        self.decoded = decoded;
    }

    fn file_bytes(&mut self, bytes: &[u8], out: &mut Output) {
        let limits = Arc::clone(&self.limits);
        let mut rest = bytes;
        while let Taken::Piece(length) = self.body.take(rest, &limits, out) {
            rest = rest.get(length..).unwrap_or_default();
            self.show(Stage::Progress, out);
            self.body.show(&[kind::FILE_DATA], 0, false, &limits, out);
        }
    }

    fn end_file(&mut self, state: FileState, out: &mut Output) {
        if !std::mem::take(&mut self.in_file) {
            return;
        }
        self.show(Stage::Progress, out);
        let limits = Arc::clone(&self.limits);
        self.body.show(&[kind::FILE_DATA], 0, true, &limits, out);
        let (way, tx_id) = (Direction::ToServer, self.record.tx_id);
        if let Some(mut file) = self.body.record(way, tx_id, state) {
            file.app_proto = "smtp";
            out.records.push(Record::File(file));
        }
    }

    /// The mail came whole.
    fn end_mail(&mut self, out: &mut Output) {
        self.continues = false;
        self.mime.end();
        self.end_file(FileState::Closed, out);
        let flaws = self.mime.flaws;
        let rows = [
            (flaws.invalid_base64, app_event::SMTP_MIME_INVALID_BASE64),
            (flaws.invalid_quoted, app_event::SMTP_MIME_INVALID_QP),
            (flaws.long_header, app_event::SMTP_MIME_LONG_HEADER_VALUE),
            (flaws.long_boundary, app_event::SMTP_MIME_LONG_BOUNDARY),
            (flaws.long_name, app_event::SMTP_MIME_LONG_FILENAME),
        ];
        for (_, event) in rows.into_iter().filter(|row| row.0) {
            self.event(event, out);
        }
        // The reply to the dot, or to the chunk.
        if self.waiting.len() < WAITING_MAX && self.mode == Mode::Commands {
            self.waiting.push_back(Command::Other);
        }
        self.close(out);
    }

    /// Whether what follows is TLS.
    fn read_server(&mut self, lines: &mut Lines, rest: &mut &[u8], out: &mut Output) -> bool {
        while let Some(line) = lines.next(rest, LINE_MAX) {
            let encrypted = self.reply(line, out);
            lines.clear();
            if encrypted {
                return true;
            }
        }
        false
    }

    fn reply(&mut self, line: Line<'_>, out: &mut Output) -> bool {
        let digits = line.text.first_chunk::<3>().filter(|c| c.iter().all(u8::is_ascii_digit));
        let mut events = ([0u16; 3], 0);
        let mut odd = |event: u16| {
            if let Some(slot) = events.0.get_mut(events.1) {
                *slot = event;
                events.1 += 1;
            }
        };
        if line.cut {
            odd(app_event::SMTP_MAX_REPLY_LINE_LEN_EXCEEDED);
        }
        let last = line.text.get(3) != Some(&b'-');
        let mut encrypted = false;
        match digits {
            None => odd(app_event::SMTP_INVALID_REPLY),
            Some(_) if !last => {}
            Some(code) if !self.welcomed => {
                self.welcomed = true;
                if code != b"220" {
                    odd(app_event::SMTP_NO_SERVER_WELCOME_MESSAGE);
                }
            }
            Some(code) => match self.waiting.pop_front() {
                Some(Command::StartTls) if code == b"220" => encrypted = true,
                Some(Command::StartTls) => odd(app_event::SMTP_TLS_REJECTED),
                Some(Command::Data) if code.first() != Some(&b'3') => {
                    odd(app_event::SMTP_DATA_COMMAND_REJECTED);
                    self.mode = Mode::Commands;
                }
                Some(_) => {}
                None => odd(app_event::SMTP_UNABLE_TO_MATCH_REPLY_WITH_REQUEST),
            },
        }
        let events = events.0.get(..events.1).unwrap_or_default();
        if last || !events.is_empty() {
            let transaction = self.transaction.max(1);
            let way = Direction::ToClient;
            out.message(application::SMTP, transaction, way, Stage::Progress);
            if let Some(code) = digits {
                let code = code.iter().fold(0u64, |n, &digit| n * 10 + u64::from(digit - b'0'));
                out.number(kind::SMTP_COMMAND_CODE, 0, code, Fresh::New);
            }
            events.iter().for_each(|&event| out.anomaly(event, transaction));
            out.event_pieces(events, 0);
        }
        encrypted
    }
}

fn begins(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// `<address>`, without the parameters behind it.
fn argument(text: Option<&[u8]>) -> Vec<u8> {
    let text = text.unwrap_or_default().trim_ascii_start();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    text.get(..end).unwrap_or_default().to_vec()
}
