//! HTTP/1 (RFC 9112) with the reading of Suricata 7's libhtp, personality IDS: what a lenient
//! receiver makes of it. Must never know a rule.

mod buffers;
mod coding;
mod fuzz;
mod head;
mod lines;
mod multipart;
mod probe;
mod record;
mod request;
mod response;
mod sheet;
mod side;
#[cfg(test)]
mod tests;
mod uri;

#[doc(hidden)]
pub use fuzz::fuzz_http;
pub(crate) use probe::probe;
pub use record::{ContentRange, HttpRecord};

use crate::conversation::{Direction, Stage, Transport};
use crate::events::app_event::*;
use crate::files::FileState;
use crate::limits::Limits;
use crate::output::{Output, Record};
use crate::registry::{Decoder, Next};
use head::HeadStep;
use lines::{ChunkLine, is_chunk_space, is_space};
use request::Method;
use side::{Side, State};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of a head that are gathered at a time.
const HEAD_STEP: usize = 2048;
/// Bytes of the line before a chunk.
const CHUNK_LINE_MAX: usize = 4096;
/// From here on a line before a chunk must have begun with a digit.
const CHUNK_PROBE: usize = 8;
/// Bytes a client may send behind CONNECT before the answer.
const HOLD_MAX: usize = 64 << 10;

/// A transaction whose response is not over.
#[derive(Debug, Default)]
struct Open {
    number: u32,
    method: Method,
    /// Normalised path: the name of a file without one.
    path: Vec<u8>,
    record: Box<HttpRecord>,
    /// 100 Continue was seen.
    continued: bool,
    request_over: bool,
    response_over: bool,
    /// A response that no request was seen for.
    orphan: bool,
}

/// What follows a response is another protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Switch {
    /// CONNECT: it may be anything.
    Tunnel,
    /// Upgrade.
    Other,
}

/// The decoder of one flow.
#[derive(Debug)]
pub(crate) struct Http {
    limits: Arc<Limits>,
    request: Side,
    response: Side,
    open: VecDeque<Open>,
    last: u32,
    /// What the client sent behind CONNECT.
    held: Vec<u8>,
    switched: Option<Switch>,
}

impl Decoder for Http {
    fn start(_: Transport, _: u16, limits: &Arc<Limits>) -> Self {
        Self {
            limits: Arc::clone(limits),
            request: Side::new(Direction::ToServer),
            response: Side::new(Direction::ToClient),
            open: VecDeque::new(),
            last: 0,
            held: Vec::new(),
            switched: None,
        }
    }

    fn data(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> Next {
        let told = out.records.len();
        let next = self.read(direction, bytes, out);
        self.say_what_carried(told, out);
        next
    }

    fn gap(&mut self, direction: Direction, length: u64, out: &mut Output) -> Next {
        let told = out.records.len();
        self.skip(direction, length, out);
        self.say_what_carried(told, out);
        Next::More
    }

    fn end(&mut self, direction: Direction, out: &mut Output) {
        if std::mem::replace(&mut self.side(direction).ended, true) {
            return;
        }
        let told = out.records.len();
        self.close(direction, out);
        let both = self.request.ended && self.response.ended;
        if both || direction == Direction::ToClient {
            self.flush_answered(both, out);
        }
        self.say_what_carried(told, out);
    }

    fn memory(&self) -> usize {
        let open = self.open.capacity() * size_of::<Open>();
        let text = |t: &Option<Vec<u8>>| t.as_ref().map_or(0, Vec::capacity);
        let records = self.open.iter().map(|open| {
            let record = &open.record;
            size_of::<HttpRecord>()
                + open.path.capacity()
                + text(&record.hostname)
                + text(&record.url)
                + text(&record.http_user_agent)
                + text(&record.http_refer)
        });
        open + records.sum::<usize>()
            + self.held.capacity()
            + self.request.memory()
            + self.response.memory()
    }
}

impl Http {
    fn read(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> Next {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.side(direction).state == State::Hold {
                let room = HOLD_MAX.saturating_sub(self.held.len()).min(rest.len());
                self.held.extend_from_slice(rest.get(..room).unwrap_or_default());
                break;
            }
            let used = self.step(direction, rest, out);
            rest = rest.get(used..).unwrap_or_default();
            match self.switched.take() {
                Some(Switch::Tunnel) => {
                    let held = std::mem::take(&mut self.held);
                    self.flush(out);
                    return Next::Fresh(Box::new([held, rest.to_vec()]));
                }
                Some(Switch::Other) => {
                    self.flush(out);
                    return Next::Done;
                }
                None => {}
            }
        }
        let both = self.request.state == State::Stop && self.response.state == State::Stop;
        if both { Next::Done } else { Next::More }
    }

    fn skip(&mut self, direction: Direction, length: u64, out: &mut Output) {
        let limits = Arc::clone(&self.limits);
        let side = self.side(direction);
        match side.state {
            State::Length(left) if left >= length => {
                side.shown.body.gap();
                side.state = State::Length(left - length);
                if left == length {
                    side.finish(FileState::Closed, &limits, out);
                    self.over(direction, out);
                }
            }
            State::Chunk(left) if left > length => {
                side.shown.body.gap();
                side.state = State::Chunk(left - length);
            }
            State::ToEnd => side.shown.body.gap(),
            _ => {
                if side.shown.transaction != 0 {
                    side.finish(FileState::Truncated, &limits, out);
                    self.over(direction, out);
                }
                self.side(direction).state = State::Stop;
            }
        }
    }

    /// Files that were told since the first `told` records get the transaction that carried them.
    fn say_what_carried(&self, told: usize, out: &mut Output) {
        for at in told..out.records.len() {
            let Some(Record::File(file)) = out.records.get(at) else { continue };
            let tx_id = file.tx_id;
            let over = out.records.iter().skip(told).find_map(|record| match record {
                Record::Http(record) if record.tx_id == tx_id => Some(record),
                _ => None,
            });
            let open = || self.open.iter().map(|open| &open.record).find(|r| r.tx_id == tx_id);
            let http = over.or_else(open).cloned();
            if let Some(Record::File(file)) = out.records.get_mut(at) {
                (file.app_proto, file.http) = ("http", http);
            }
        }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::ToServer => &mut self.request,
            Direction::ToClient => &mut self.response,
        }
    }

    fn open_of(&self, number: u32) -> Option<&Open> {
        self.open.iter().find(|open| open.number == number)
    }

    /// The transaction of the request at hand.
    fn requested(&self) -> Option<&Open> {
        self.open_of(self.request.number)
    }

    fn requested_mut(&mut self) -> Option<&mut Open> {
        let number = self.request.number;
        self.open.iter_mut().rev().find(|open| open.number == number)
    }

    /// The transaction of the response at hand.
    fn answered(&self) -> Option<&Open> {
        self.open_of(self.response.number)
    }

    fn answered_mut(&mut self) -> Option<&mut Open> {
        let number = self.response.number;
        self.open.iter_mut().find(|open| open.number == number)
    }

    /// Reads some bytes; answers how many.
    fn step(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> usize {
        let limits = Arc::clone(&self.limits);
        let side = self.side(direction);
        let skipped = side.skip_odd_end(bytes);
        if skipped > 0 {
            return skipped;
        }
        match side.state {
            State::Start => self.begin(direction, bytes, out),
            State::Head | State::Trailer => self.head(direction, bytes, out),
            State::Length(left) => {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                side.body(bytes.get(..count).unwrap_or_default(), &limits, out);
                let left = left - count as u64;
                side.state = State::Length(left);
                if left == 0 {
                    side.finish(FileState::Closed, &limits, out);
                    self.over(direction, out);
                }
                count
            }
            State::ToEnd => {
                side.body(bytes, &limits, out);
                bytes.len()
            }
            State::Chunk(left) => {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                side.body(bytes.get(..count).unwrap_or_default(), &limits, out);
                let left = left - count as u64;
                side.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                count
            }
            State::ChunkEnd => match bytes.iter().position(|&b| b == b'\n') {
                Some(at) => {
                    side.state = State::ChunkLine;
                    side.head.start(true);
                    at + 1
                }
                None => bytes.len(),
            },
            State::ChunkLine => self.chunk_line(direction, bytes, out),
            State::Hold | State::Stop => bytes.len(),
        }
    }

    /// The first byte of a message: finds or makes its transaction.
    fn begin(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> usize {
        let skip = match direction {
            Direction::ToServer => bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')),
            Direction::ToClient => bytes.iter().position(|&b| !is_space(b)),
        };
        let Some(skip) = skip else { return bytes.len() };
        let number = match direction {
            Direction::ToServer => self.new_transaction(out),
            Direction::ToClient => match self.open.iter().find(|open| !open.response_over) {
                Some(open) => open.number,
                None => {
                    let number = self.new_transaction(out);
                    if let Some(open) = self.open.back_mut() {
                        (open.request_over, open.orphan) = (true, true);
                    }
                    number
                }
            },
        };
        let orphan = direction == Direction::ToClient
            && self.open_of(number).is_some_and(|open| open.orphan);
        let side = self.side(direction);
        side.start(number);
        if orphan {
            side.shown.event(HTTP_UNABLE_TO_MATCH_RESPONSE_TO_REQUEST, out);
        }
        skip
    }

    fn new_transaction(&mut self, out: &mut Output) -> u32 {
        if self.open.len() >= self.limits.transactions.max(1) {
            out.counters.transactions_cut += 1;
            if self.response.shown.transaction == 0 {
                if let Some(open) = self.open.pop_front() {
                    out.records.push(Record::Http(open.record));
                }
            } else if let Some(open) = self.open.remove(1) {
                out.records.push(Record::Http(open.record));
            }
        }
        self.last = self.last.saturating_add(1);
        let mut open = Open { number: self.last, ..Open::default() };
        open.record.tx_id = self.last - 1;
        self.open.push_back(open);
        self.last
    }

    /// Gathers a head.
    fn head(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> usize {
        let limits = Arc::clone(&self.limits);
        let side = self.side(direction);
        let fed = bytes.get(..bytes.len().min(HEAD_STEP)).unwrap_or(bytes);
        side.head.raw.extend_from_slice(fed);
        loop {
            let side = self.side(direction);
            let gathered = side.head.raw.len();
            let back = |end: usize| fed.len().saturating_sub(gathered - end.min(gathered));
            match side.head.step(direction, &limits) {
                HeadStep::More => return fed.len(),
                HeadStep::Old(end) => {
                    self.request.head.lines.truncate(1);
                    self.request_head(end, out);
                    // What follows is not read.
                    self.request.state = State::Stop;
                    return fed.len();
                }
                HeadStep::FirstLine => {}
                HeadStep::Done(end) => {
                    self.head_done(direction, end, out);
                    return back(end);
                }
                HeadStep::Body => {
                    self.response_without_head(out);
                    return fed.len();
                }
                HeadStep::TooLong(end) => {
                    let events = (HTTP_REQUEST_FIELD_TOO_LONG, HTTP_RESPONSE_FIELD_TOO_LONG);
                    self.head_cut(direction, end, events, out);
                    return fed.len();
                }
                HeadStep::TooMany(end) => {
                    let events = (HTTP_REQUEST_TOO_MANY_HEADERS, HTTP_RESPONSE_TOO_MANY_HEADERS);
                    self.head_cut(direction, end, events, out);
                    return fed.len();
                }
            }
        }
    }

    fn head_done(&mut self, direction: Direction, end: usize, out: &mut Output) {
        if self.side(direction).state == State::Trailer {
            return self.trailer(direction, end, out);
        }
        match direction {
            Direction::ToServer => self.request_head(end, out),
            Direction::ToClient => self.response_head(end, out),
        }
    }

    /// Fields behind the last chunk: they count as headers.
    fn trailer(&mut self, direction: Direction, end: usize, out: &mut Output) {
        let limits = Arc::clone(&self.limits);
        let side = self.side(direction);
        let base = side.shown.sheet.bytes.len();
        let raw = side.head.raw.get(..end).unwrap_or_default();
        side.shown.sheet.bytes.extend_from_slice(raw);
        let lines: Vec<_> =
            side.head.lines.iter().map(|line| line.start + base..line.end + base).collect();
        if !lines.is_empty() {
            head::Fields {
                direction,
                modern: side.modern,
                transaction: side.shown.transaction,
                sheet: &mut side.shown.sheet,
                fields: &mut side.fields,
            }
            .read(&lines, out);
            buffers::add_trailer(&mut side.shown.sheet, &side.fields, direction, base..base + end);
        }
        side.finish(FileState::Closed, &limits, out);
        self.over(direction, out);
    }

    /// A limit was reached in a head: what was read so far is shown, the rest is not read.
    fn head_cut(&mut self, direction: Direction, end: usize, events: (u16, u16), out: &mut Output) {
        out.counters.headers_cut += 1;
        let event = if direction == Direction::ToServer { events.0 } else { events.1 };
        let side = self.side(direction);
        side.head.raw.truncate(end);
        side.shown.event(event, out);
        let trailer = side.state == State::Trailer;
        if trailer || !side.head.lines.is_empty() {
            self.head_done(direction, end, out);
        }
        self.close(direction, out);
        self.side(direction).state = State::Stop;
    }

    /// Gathers the line before a chunk.
    fn chunk_line(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> usize {
        let side = self.side(direction);
        for (at, &byte) in bytes.iter().enumerate() {
            side.head.raw.push(byte);
            let line = &side.head.raw;
            let over = byte == b'\n' || line.len() > CHUNK_LINE_MAX;
            let junk = line.len() >= CHUNK_PROBE && {
                let first = line.iter().find(|&&b| !is_chunk_space(b));
                first.is_some_and(|b| !b.is_ascii_hexdigit())
            };
            if !over && !junk {
                continue;
            }
            match lines::chunk_line(line) {
                ChunkLine::Bytes { length, extended } => {
                    if extended {
                        let event = match direction {
                            Direction::ToServer => HTTP_REQUEST_CHUNK_EXTENSION,
                            Direction::ToClient => HTTP_RESPONSE_CHUNK_EXTENSION,
                        };
                        side.shown.event(event, out);
                    }
                    side.head.start(true);
                    side.state = if length == 0 { State::Trailer } else { State::Chunk(length) };
                }
                ChunkLine::Empty if line.len() <= CHUNK_LINE_MAX => continue,
                ChunkLine::Empty | ChunkLine::Invalid => self.no_chunk(direction, out),
            }
            return at + 1;
        }
        bytes.len()
    }

    /// It is no chunk: what follows is the body as it is, as browsers take it.
    fn no_chunk(&mut self, direction: Direction, out: &mut Output) {
        let limits = Arc::clone(&self.limits);
        let side = self.side(direction);
        side.state = State::ToEnd;
        let event = match direction {
            Direction::ToServer => HTTP_INVALID_REQUEST_CHUNK_LEN,
            Direction::ToClient => HTTP_INVALID_RESPONSE_CHUNK_LEN,
        };
        side.shown.event(event, out);
        let line = std::mem::take(&mut side.head.raw);
        side.body(&line, &limits, out);
    }

    /// A direction's message is over.
    fn over(&mut self, direction: Direction, out: &mut Output) {
        match direction {
            Direction::ToServer => self.request_over(out),
            Direction::ToClient => self.response_over(out),
        }
    }

    fn request_over(&mut self, out: &mut Output) {
        if let Some(open) = self.requested_mut() {
            open.request_over = true;
        }
        self.settle(out);
    }

    fn response_over(&mut self, out: &mut Output) {
        let length = self.response.encoded;
        let mut refused = false;
        if let Some(open) = self.answered_mut() {
            open.response_over = true;
            open.record.length = length;
            let tunnel = open.record.status.is_some_and(|s| (200..300).contains(&s));
            refused = open.method == Method::Connect && !tunnel;
        }
        // A refused CONNECT: the client's bytes are requests again.
        if refused && self.request.state == State::Hold {
            self.request.state = State::Start;
        }
        self.settle(out);
        if self.request.state == State::Start && !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            let mut rest = held.as_slice();
            while !rest.is_empty() && self.request.state != State::Hold {
                let used = self.step(Direction::ToServer, rest, out);
                rest = rest.get(used..).unwrap_or_default();
            }
            self.held.extend_from_slice(rest);
        }
    }

    /// Transactions that are over in both directions get their record.
    fn settle(&mut self, out: &mut Output) {
        while self.open.front().is_some_and(|open| open.response_over && open.request_over) {
            if let Some(open) = self.open.pop_front() {
                out.records.push(Record::Http(open.record));
            }
        }
    }

    /// The stream of a direction is over: so is what was gathered.
    fn close(&mut self, direction: Direction, out: &mut Output) {
        let limits = Arc::clone(&self.limits);
        let answered = self.response.number >= self.request.number;
        let side = self.side(direction);
        if matches!(side.state, State::Head | State::Trailer) {
            let trailer = side.state == State::Trailer;
            let end = side.head.finish();
            let headless = direction == Direction::ToClient
                && !trailer
                && side.head.lines.first().is_some_and(|line| {
                    head::no_status_line(side.head.raw.get(line.clone()).unwrap_or_default())
                });
            if headless {
                self.response_without_head(out);
            } else if trailer || !side.head.lines.is_empty() {
                let line_alone = !trailer && side.head.lines.len() == 1;
                if line_alone && answered && direction == Direction::ToServer {
                    side.shown.event(HTTP_REQUEST_LINE_INCOMPLETE, out);
                }
                self.head_done(direction, end, out);
            }
        }
        let side = self.side(direction);
        if side.state == State::ChunkLine && !side.head.raw.is_empty() {
            let line = std::mem::take(&mut side.head.raw);
            if lines::chunk_line(&line) == ChunkLine::Invalid {
                side.body(&line, &limits, out);
            }
        }
        let side = self.side(direction);
        if side.shown.transaction != 0 {
            let whole = side.state == State::ToEnd;
            let state = if whole { FileState::Closed } else { FileState::Truncated };
            side.finish(state, &limits, out);
            self.over(direction, out);
        }
        if self.side(direction).state != State::Hold {
            self.side(direction).state = State::Stop;
        }
    }

    /// No response will come any more: requests that are over get their record.
    fn flush_answered(&mut self, both: bool, out: &mut Output) {
        while let Some(open) = self.open.front() {
            if !both && !open.request_over {
                return;
            }
            if let Some(open) = self.open.pop_front() {
                out.records.push(Record::Http(open.record));
            }
        }
    }

    fn flush(&mut self, out: &mut Output) {
        self.flush_answered(true, out);
        if self.request.shown.transaction != 0 {
            let limits = Arc::clone(&self.limits);
            self.request.shown.show(Stage::Complete, &limits, out);
        }
    }
}
