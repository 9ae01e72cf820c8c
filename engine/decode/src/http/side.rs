//! One direction of a conversation: its state, its message's buffers and its body. Must never know
//! the other direction.

use super::coding::{Chain, Health};
use super::head::{Field, Head};
use super::multipart::Multipart;
use super::sheet::Sheet;
use crate::conversation::{Direction, Stage};
use crate::events::app_event::*;
use crate::files::{Body, FileState, Taken};
use crate::limits::Limits;
use crate::output::{Output, Record};
use portcullis_plugin_abi::buffer_kind::{FILE_DATA, HTTP_REQUEST_BODY, HTTP_RESPONSE_BODY};

/// What a direction awaits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The first byte of a message.
    Start,
    /// The rest of a head.
    Head,
    /// So many bytes of a body.
    Length(u64),
    /// A body up to the end of the stream.
    ToEnd,
    /// The line before a chunk.
    ChunkLine,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The line end behind a chunk.
    ChunkEnd,
    /// Fields behind the last chunk.
    Trailer,
    /// The response to CONNECT.
    Hold,
    /// Nothing: it could not be read any more.
    Stop,
}

/// What of a message detectors see.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) direction: Direction,
    /// The message's transaction; 0 between messages.
    pub(super) transaction: u32,
    pub(super) sheet: Sheet,
    pub(super) body: Body,
    pub(super) multipart: Option<Box<Multipart>>,
    has_body: bool,
    is_file: bool,
}

impl Shown {
    pub(super) fn event(&mut self, event: u16, out: &mut Output) {
        self.sheet.event(event, self.transaction, out);
    }

    /// The message has a body; with a name it is a file.
    pub(super) fn start_body(&mut self, name: Option<Vec<u8>>, limits: &Limits) {
        self.has_body = true;
        self.is_file = name.is_some();
        self.body.start(name, limits.hashes);
    }

    /// A message with all that there is now.
    pub(super) fn show(&mut self, stage: Stage, limits: &Limits, out: &mut Output) {
        self.sheet.show(self.transaction, self.direction, stage, out);
        if !self.has_body {
            return;
        }
        let both = match self.direction {
            Direction::ToServer => [HTTP_REQUEST_BODY, FILE_DATA],
            Direction::ToClient => [HTTP_RESPONSE_BODY, FILE_DATA],
        };
        let kinds = if self.is_file { &both[..] } else { both.get(..1).unwrap_or_default() };
        self.body.show(kinds, 0, stage == Stage::Complete, limits, out);
        if let Some(multipart) = &mut self.multipart {
            multipart.show(limits, out);
        }
    }

    /// Decoded bytes of the body. It and the parts of a form advance together, from piece to piece
    /// of either, so that each is shown with the same bytes of the other however they came.
    pub(super) fn decoded(&mut self, bytes: &[u8], limits: &Limits, out: &mut Output) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (now, _) = rest.split_at(self.body.room(limits).min(rest.len()));
            let (used, part) = self.part(now, limits, out);
            let (now, behind) = rest.split_at(used.min(rest.len()));
            let whole = self.body.take(now, limits, out);
            rest = behind;
            if part || whole != Taken::All {
                self.show(Stage::Progress, limits, out);
            }
            if part && let Some(multipart) = &mut self.multipart {
                multipart.next(self.direction, self.transaction, out);
            }
        }
    }

    /// Bytes of the body for the parts of a form: how many were taken, and whether a piece of a
    /// part is ready then.
    fn part(&mut self, bytes: &[u8], limits: &Limits, out: &mut Output) -> (usize, bool) {
        let Some(multipart) = &mut self.multipart else { return (bytes.len(), false) };
        let fed = multipart.feed(bytes, limits, out);
        for event in multipart.events() {
            self.event(event, out);
        }
        (fed.used, fed.piece)
    }

    fn records(&mut self, state: FileState, out: &mut Output) {
        let tx_id = self.transaction.saturating_sub(1);
        if self.has_body
            && self.body.size() > 0
            && let Some(record) = self.body.record(self.direction, tx_id, state)
        {
            out.records.push(Record::File(record));
        }
        self.multipart = None;
        self.has_body = false;
    }
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// One direction.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) state: State,
    pub(super) head: Head,
    pub(super) fields: Vec<Field>,
    pub(super) chain: Chain,
    pub(super) shown: Shown,
    /// Bytes of the body as transferred, without chunk marks.
    pub(super) encoded: u64,
    inflated: u64,
    chain_over: bool,
    /// The message's version is 1.1.
    pub(super) modern: bool,
    /// What at the start of the body belongs to the head's odd line ends.
    pub(super) skip: &'static [u8],
    pub(super) ended: bool,
    /// Transaction of the message, or of the last one.
    pub(super) number: u32,
}

impl Side {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            state: State::Start,
            head: Head::default(),
            fields: Vec::new(),
            chain: Chain::default(),
            shown: Shown {
                direction,
                transaction: 0,
                sheet: Sheet::default(),
                body: Body::default(),
                multipart: None,
                has_body: false,
                is_file: false,
            },
            encoded: 0,
            inflated: 0,
            chain_over: false,
            modern: false,
            skip: b"",
            ended: false,
            number: 0,
        }
    }

    /// Starts a message of a transaction.
    pub(super) fn start(&mut self, transaction: u32) {
        self.head.start(false);
        self.fields.clear();
        self.chain.clear();
        self.shown.sheet.clear();
        self.shown.transaction = transaction;
        self.number = transaction;
        (self.encoded, self.inflated, self.chain_over) = (0, 0, false);
        (self.modern, self.skip) = (false, b"");
        self.state = State::Head;
    }

    /// Bytes at the start of a body that belong to the head's end; answers how many.
    pub(super) fn skip_odd_end(&mut self, bytes: &[u8]) -> usize {
        let mut count = 0;
        while let (Some((first, rest)), Some(byte)) = (self.skip.split_first(), bytes.get(count)) {
            if first != byte {
                self.skip = b"";
                break;
            }
            self.skip = rest;
            count += 1;
        }
        count
    }

    /// Bytes of the body as transferred.
    pub(super) fn body(&mut self, bytes: &[u8], limits: &Limits, out: &mut Output) {
        if self.chain.is_empty() {
            self.step(bytes, limits, out);
            return;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = 1024 - to_usize(self.encoded % 1024);
            let (now, later) = rest.split_at(room.min(rest.len()));
            self.step(now, limits, out);
            rest = later;
        }
    }

    /// Bytes up to the next kilobyte of an encoded body.
    fn step(&mut self, bytes: &[u8], limits: &Limits, out: &mut Output) {
        let before = self.encoded;
        self.encoded += bytes.len() as u64;
        if self.chain.is_empty() {
            self.shown.decoded(bytes, limits, out);
            return;
        }
        if self.chain_over {
            return;
        }
        let Self { chain, shown, inflated, .. } = self;
        let wants_all = limits.hashes != crate::limits::Hashes::default();
        let mut bomb = false;
        // The ratio is judged by whole kilobytes of input, so that segmentation does not matter.
        let encoded = (before / 1024 + 1).saturating_mul(1024);
        let most = limits.inflate_free.max(encoded.saturating_mul(limits.inflate_ratio));
        let stop = if wants_all { most } else { most.min(limits.body_bytes) };
        let more = chain.feed(bytes, &mut |made| {
            let room = to_usize(stop.saturating_sub(*inflated));
            *inflated += made.len() as u64;
            shown.decoded(made.get(..room).unwrap_or(made), limits, out);
            bomb = *inflated > most;
            made.len() <= room
        });
        if bomb {
            out.counters.inflate_bombs += 1;
            self.shown.event(HTTP_COMPRESSION_BOMB, out);
        }
        if !more {
            self.chain_over = true;
            self.shown.body.cut();
        }
    }

    /// The message is over.
    pub(super) fn finish(&mut self, state: FileState, limits: &Limits, out: &mut Output) {
        if self.chain.health() == Health::Broken {
            out.counters.inflate_broken += 1;
            self.shown.event(HTTP_GZIP_DECOMPRESSION_FAILED, out);
        }
        if state != FileState::Closed {
            self.shown.body.cut();
        }
        if let Some(multipart) = &mut self.shown.multipart {
            multipart.finish();
            let events = multipart.events();
            for event in events {
                self.shown.event(event, out);
            }
        }
        self.shown.show(Stage::Complete, limits, out);
        if let Some(multipart) = &mut self.shown.multipart {
            multipart.next(self.shown.direction, self.shown.transaction, out);
        }
        self.shown.records(state, out);
        self.chain.clear();
        self.state = State::Start;
        self.shown.transaction = 0;
    }

    pub(super) fn memory(&self) -> usize {
        self.head.memory()
            + self.fields.capacity() * size_of::<Field>()
            + self.chain.memory()
            + self.shown.sheet.memory()
            + self.shown.body.memory()
            + self.shown.multipart.as_ref().map_or(0, |m| size_of::<Multipart>() + m.memory())
    }
}
