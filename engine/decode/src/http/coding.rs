//! Content codings (gzip, deflate, br) undone in layers, as lenient receivers do: what is
//! mislabelled is tried as its siblings, and what is no coding at all passes through as it is.
//! Must never know a header or a body's limits.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};

/// A coding that can be undone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coding {
    /// RFC 1952; also what is really RFC 1950.
    Gzip,
    /// RFC 1951, or RFC 1950 as the RFC says.
    Deflate,
    /// RFC 7932.
    Brotli,
}

/// Bytes undone at a time.
const STEP: usize = 8 << 10;
/// Bytes kept so that another coding can be tried while nothing has come out yet.
const RETRY_MAX: usize = 4 << 10;
/// Attempts: as labelled, behind the header if there is one, the sibling.
const TRIES: u8 = 3;

/// What became of a layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Health {
    /// Nothing was wrong.
    Fine,
    /// It was not what it was said to be, or broke off.
    Broken,
}

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

enum Engine {
    /// The header of gzip is being skipped.
    Header(Header),
    Inflate(Box<Decompress>),
    Brotli(Box<Brotli>),
    /// It is no coding: bytes pass as they are.
    Pass,
    /// It is over; what follows is not its own.
    Over,
}

/// One layer.
pub(crate) struct Layer {
    engine: Engine,
    label: Coding,
    tries: u8,
    /// What was fed while nothing came out.
    kept: Vec<u8>,
    out: u64,
    health: Health,
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer").field("label", &self.label).field("out", &self.out).finish()
    }
}

/// Where in the header of a gzip member the next byte lies.
#[derive(Clone, Copy, Debug, Default)]
struct Header {
    at: u32,
    flags: u8,
    extra: u32,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Part {
    #[default]
    Fixed,
    ExtraLength(u8),
    Extra,
    Name,
    Comment,
    Checksum(u8),
}

enum Skipped {
    More,
    Done,
    NotGzip,
}

impl Header {
    /// The next byte of the header.
    fn byte(&mut self, byte: u8) -> Skipped {
        match self.part {
            Part::Fixed => {
                match self.at {
                    0 if byte != 0x1f => return Skipped::NotGzip,
                    1 if byte != 0x8b => return Skipped::NotGzip,
                    2 if byte != 8 => return Skipped::NotGzip,
                    3 => self.flags = byte,
                    _ => {}
                }
                self.at += 1;
                if self.at < 10 {
                    return Skipped::More;
                }
                self.enter(Part::ExtraLength(0))
            }
            Part::ExtraLength(0) => {
                self.extra = byte.into();
                self.part = Part::ExtraLength(1);
                Skipped::More
            }
            Part::ExtraLength(_) => {
                self.extra |= u32::from(byte) << 8;
                if self.extra == 0 { self.enter(Part::Name) } else { self.now(Part::Extra) }
            }
            Part::Extra => {
                self.extra -= 1;
                if self.extra == 0 { self.enter(Part::Name) } else { Skipped::More }
            }
            Part::Name if byte == 0 => self.enter(Part::Comment),
            Part::Comment if byte == 0 => self.enter(Part::Checksum(0)),
            Part::Name | Part::Comment => Skipped::More,
            Part::Checksum(0) => self.now(Part::Checksum(1)),
            Part::Checksum(_) => Skipped::Done,
        }
    }

    fn now(&mut self, part: Part) -> Skipped {
        self.part = part;
        Skipped::More
    }

    /// The first part from `part` on that the flags say is there.
    fn enter(&mut self, part: Part) -> Skipped {
        let rank = match part {
            Part::Fixed | Part::ExtraLength(_) | Part::Extra => 0,
            Part::Name => 1,
            Part::Comment => 2,
            Part::Checksum(_) => 3,
        };
        let order = [
            (4, Part::ExtraLength(0)),
            (8, Part::Name),
            (16, Part::Comment),
            (2, Part::Checksum(0)),
        ];
        match order.iter().skip(rank).find(|row| self.flags & row.0 != 0) {
            Some(row) => self.now(row.1),
            None => Skipped::Done,
        }
    }
}

impl Layer {
    pub(crate) fn new(label: Coding) -> Self {
        let engine = engine_of(label, 0, &[]);
        Self { engine, label, tries: 0, kept: Vec::new(), out: 0, health: Health::Fine }
    }

    /// Feeds bytes and tells what came out to `sink`, in steps of at most 8 KiB.
    pub(crate) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        if matches!(self.engine, Engine::Pass) {
            return sink(bytes);
        }
        if self.out == 0 && self.tries < TRIES {
            if self.kept.len() + bytes.len() > RETRY_MAX {
                let room = RETRY_MAX.saturating_sub(self.kept.len()).min(bytes.len());
                let (now, later) = bytes.split_at(room);
                if room == 0 {
                    self.tries = TRIES;
                    self.kept = Vec::new();
                    return self.run(bytes, sink);
                }
                return self.feed(now, sink) && self.feed(later, sink);
            }
            self.kept.extend_from_slice(bytes);
        }
        let more = self.run(bytes, sink);
        if self.out > 0 {
            self.kept = Vec::new();
        }
        more
    }

    fn run(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let mut rest = bytes;
        loop {
            let step = match &mut self.engine {
                Engine::Header(header) => skip(header, &mut rest),
                Engine::Inflate(_) => return self.inflate_all(rest, sink, inflate_step),
                Engine::Brotli(_) => return self.inflate_all(rest, sink, brotli_step),
                Engine::Pass => return sink(rest),
                Engine::Over => return true,
            };
            match step {
                Skipped::More => return true,
                Skipped::Done => {
                    self.engine = Engine::Inflate(Box::new(Decompress::new(false)));
                }
                Skipped::NotGzip => return self.retry(bytes, sink),
            }
        }
    }

    /// Runs an engine until its input is used up.
    fn inflate_all(
        &mut self,
        mut rest: &[u8],
        sink: &mut dyn FnMut(&[u8]) -> bool,
        step: fn(&mut Engine, &[u8], &mut [u8]) -> Step,
    ) -> bool {
        let whole = rest;
        let mut buffer = [0u8; STEP];
        loop {
            let done = step(&mut self.engine, rest, &mut buffer);
            rest = rest.get(done.used..).unwrap_or_default();
            self.out += done.made as u64;
            let made = buffer.get(..done.made).unwrap_or_default();
            if !made.is_empty() && !sink(made) {
                return false;
            }
            match done.end {
                StepEnd::Over => {
                    self.engine = Engine::Over;
                    return true;
                }
                StepEnd::Broken if self.out > 0 => {
                    self.health = Health::Broken;
                    self.engine = Engine::Over;
                    return true;
                }
                StepEnd::Broken => return self.retry(whole, sink),
                StepEnd::Full => {}
                StepEnd::Hungry => return true,
            }
        }
    }

    /// The coding is not what it was said to be: tries the next one on all that came.
    fn retry(&mut self, last: &[u8], sink: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.tries = self.tries.saturating_add(1);
        let kept = std::mem::take(&mut self.kept);
        if self.tries >= TRIES || self.label == Coding::Brotli {
            self.health = Health::Broken;
            self.engine = Engine::Pass;
            return sink(if kept.is_empty() { last } else { &kept });
        }
        self.engine = engine_of(self.label, self.tries, &kept);
        self.kept.clone_from(&kept);
        self.run(&kept, sink)
    }

    pub(crate) fn health(&self) -> Health {
        self.health
    }

    pub(crate) fn memory(&self) -> usize {
        // The window and tables of inflate; of br the window, which depends on its first byte.
        self.kept.capacity()
            + match &self.engine {
                Engine::Inflate(_) => 44 << 10,
                Engine::Brotli(state) => size_of::<Brotli>() + state.ringbuffer.slice().len(),
                _ => 0,
            }
    }
}

use brotli_decompressor::SliceWrapper;

/// The engine of an attempt.
fn engine_of(label: Coding, attempt: u8, kept: &[u8]) -> Engine {
    let raw = || Engine::Inflate(Box::new(Decompress::new(false)));
    let zlib = || Engine::Inflate(Box::new(Decompress::new(true)));
    let gzipped = kept.first() == Some(&0x1f);
    match (label, attempt) {
        (Coding::Brotli, _) => Engine::Brotli(Box::new(BrotliState::new(
            StandardAlloc::default(),
            StandardAlloc::default(),
            StandardAlloc::default(),
        ))),
        (Coding::Gzip, 0) => Engine::Header(Header::default()),
        (Coding::Gzip, 1) => zlib(),
        (Coding::Deflate, 1) if gzipped => Engine::Header(Header::default()),
        (Coding::Deflate, 1) => zlib(),
        _ => raw(),
    }
}

fn skip(header: &mut Header, rest: &mut &[u8]) -> Skipped {
    while let Some((&byte, behind)) = rest.split_first() {
        match header.byte(byte) {
            Skipped::More => *rest = behind,
            Skipped::Done => {
                *rest = behind;
                return Skipped::Done;
            }
            Skipped::NotGzip => return Skipped::NotGzip,
        }
    }
    Skipped::More
}

struct Step {
    used: usize,
    made: usize,
    end: StepEnd,
}

enum StepEnd {
    /// The output is full.
    Full,
    /// The input is used up.
    Hungry,
    Over,
    Broken,
}

fn inflate_step(engine: &mut Engine, bytes: &[u8], into: &mut [u8]) -> Step {
    let Engine::Inflate(inflate) = engine else {
        return Step { used: 0, made: 0, end: StepEnd::Broken };
    };
    let (used, made) = (inflate.total_in(), inflate.total_out());
    let result = inflate.decompress(bytes, into, FlushDecompress::None);
    let used = usize::try_from(inflate.total_in() - used).unwrap_or(bytes.len());
    let made = usize::try_from(inflate.total_out() - made).unwrap_or(0).min(into.len());
    let end = match result {
        Ok(Status::StreamEnd) => StepEnd::Over,
        Ok(_) if made == into.len() => StepEnd::Full,
        Ok(_) if used < bytes.len() && (used > 0 || made > 0) => StepEnd::Full,
        Ok(_) => StepEnd::Hungry,
        Err(_) => StepEnd::Broken,
    };
    Step { used, made, end }
}

fn brotli_step(engine: &mut Engine, bytes: &[u8], into: &mut [u8]) -> Step {
    let Engine::Brotli(state) = engine else {
        return Step { used: 0, made: 0, end: StepEnd::Broken };
    };
    let (mut left, mut used, mut room, mut made, mut total) =
        (bytes.len(), 0, into.len(), 0, 0usize);
    let result = BrotliDecompressStream(
        &mut left, &mut used, bytes, &mut room, &mut made, into, &mut total, state,
    );
    let end = match result {
        BrotliResult::ResultSuccess => StepEnd::Over,
        BrotliResult::NeedsMoreInput => StepEnd::Hungry,
        BrotliResult::NeedsMoreOutput => StepEnd::Full,
        BrotliResult::ResultFailure => StepEnd::Broken,
    };
    Step { used, made, end }
}

/// Layers on top of each other, the outermost first.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    layers: Vec<Layer>,
}

impl Chain {
    /// Adds a layer inside of those that there are.
    pub(crate) fn push(&mut self, coding: Coding) {
        self.layers.push(Layer::new(coding));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.layers.len()
    }

    pub(crate) fn clear(&mut self) {
        self.layers.clear();
    }

    /// Whether a layer was not what it was said to be.
    pub(crate) fn health(&self) -> Health {
        let broken = self.layers.iter().any(|layer| layer.health() == Health::Broken);
        if broken { Health::Broken } else { Health::Fine }
    }

    /// Feeds bytes through all layers; stops when `sink` answers false.
    pub(crate) fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        feed_through(&mut self.layers, bytes, sink)
    }

    pub(crate) fn memory(&self) -> usize {
        let size = self.layers.capacity() * size_of::<Layer>();
        size + self.layers.iter().map(Layer::memory).sum::<usize>()
    }
}

fn feed_through(layers: &mut [Layer], bytes: &[u8], sink: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    match layers.split_first_mut() {
        None => sink(bytes),
        Some((first, [])) => first.feed(bytes, sink),
        Some((first, inner)) => first.feed(bytes, &mut |made| feed_through(inner, made, sink)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write as _;

    const TEXT: &[u8] = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR X5O!P%@AP[4";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut e = GzEncoder::new(Vec::new(), Compression::default());
        e.write_all(bytes).expect("as the test says");
        e.finish().expect("as the test says")
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut e = DeflateEncoder::new(Vec::new(), Compression::default());
        e.write_all(bytes).expect("as the test says");
        e.finish().expect("as the test says")
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut e = ZlibEncoder::new(Vec::new(), Compression::default());
        e.write_all(bytes).expect("as the test says");
        e.finish().expect("as the test says")
    }

    fn undo(codings: &[Coding], bytes: &[u8], step: usize) -> Vec<u8> {
        let mut chain = Chain::default();
        codings.iter().for_each(|&coding| chain.push(coding));
        let mut made = Vec::new();
        for piece in bytes.chunks(step) {
            chain.feed(piece, &mut |bytes| {
                made.extend_from_slice(bytes);
                true
            });
        }
        made
    }

    #[test]
    fn labels_are_not_believed() {
        for step in [1, 2, 7, 10_000] {
            for coding in [Coding::Gzip, Coding::Deflate] {
                for encoded in [gzip(TEXT), deflate(TEXT), zlib(TEXT), TEXT.to_vec()] {
                    assert_eq!(undo(&[coding], &encoded, step), TEXT, "{coding:?} {step}");
                }
            }
            let twice = gzip(&deflate(TEXT));
            assert_eq!(undo(&[Coding::Gzip, Coding::Deflate], &twice, step), TEXT);
            assert_eq!(undo(&[Coding::Brotli], TEXT, step), TEXT);
        }
    }

    #[test]
    fn headers_of_gzip_are_skipped() {
        let plain = gzip(TEXT);
        let mut long = plain[..3].to_vec();
        long.push(2 | 4 | 8 | 16);
        long.extend_from_slice(&plain[4..10]);
        long.extend_from_slice(b"\x03\x00abcname\0comment\0cc");
        long.extend_from_slice(&plain[10..]);
        for step in [1, 3, 1000] {
            assert_eq!(undo(&[Coding::Gzip], &long, step), TEXT);
        }
    }

    #[test]
    fn brotli() {
        // "hello world" by a reference encoder, uncompressed metablock.
        let encoded = b"\x0b\x05\x80hello world\x03";
        assert_eq!(undo(&[Coding::Brotli], encoded, 1), b"hello world");
    }
}
