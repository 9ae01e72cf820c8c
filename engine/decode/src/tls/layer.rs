//! The record layer of TLS (RFC 8446 section 5) and SSLv2 in one direction: bytes in, handshake
//! messages and signals out, however the bytes are cut. Must never know what a message says.

/// The largest record that is accepted: 2^14 and what encryption may add.
const RECORD_MAX: usize = (16 << 10) + 2048;
/// Types of records.
const CHANGE_CIPHER: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION: u8 = 23;
const HEARTBEAT: u8 = 24;

/// What the record layer tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Signal<'a> {
    /// A handshake message: type and body; whether the body was cut at a limit.
    Message(u8, &'a [u8], Cut),
    /// A record of SSLv2: its type and what follows.
    Old(u8, &'a [u8]),
    /// A record of this version began.
    Version(u16),
    /// The cipher changes.
    ChangeCipher,
    /// Encrypted data comes.
    Application,
    /// A heartbeat.
    Heartbeat(Heartbeat),
    /// An alert that is too short to be one.
    ShortAlert,
    /// What follows cannot be read.
    Broken(Fault),
}

/// Whether a handshake message was cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    Whole,
    Cut,
}

/// A heartbeat in the clear (RFC 6520).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Heartbeat {
    /// 1 asks, 2 answers; `None` where not even that is there.
    pub(super) kind: Option<u8>,
    /// Bytes of its record.
    pub(super) length: usize,
    /// Whether it says that it is longer than its record.
    pub(super) overflow: Overflow,
}

/// Whether a heartbeat's length lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Overflow {
    Fits,
    Overflows,
}

/// Why a record cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    Length,
    OldHeader,
    Type,
    Version,
}

#[derive(Clone, Copy, Debug)]
enum Expects {
    Header,
    Body { kind: u8, length: usize, left: usize },
    OldBody { left: usize },
}

/// One direction.
#[derive(Debug)]
pub(super) struct Layer {
    expects: Expects,
    /// Bytes of a header, of the start of a record that is not a handshake, or of a record of
    /// SSLv2.
    front: Vec<u8>,
    /// The handshake message that is being put together, with its header.
    message: Vec<u8>,
    /// The message that is being told.
    done: Vec<u8>,
    /// Bytes of a handshake message to pass over.
    skip: usize,
    /// Records began.
    records: u64,
    /// What follows is encrypted.
    pub(super) encrypted: bool,
}

/// How much of a handshake message is kept, by its type; 0 for types that nobody reads.
pub(super) type Room<'r> = &'r dyn Fn(u8) -> usize;

impl Layer {
    pub(super) fn new() -> Self {
        Self {
            expects: Expects::Header,
            front: Vec::new(),
            message: Vec::new(),
            done: Vec::new(),
            skip: 0,
            records: 0,
            encrypted: false,
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.front.capacity() + self.message.capacity() + self.done.capacity()
    }

    /// Reads on and stops behind the first signal. The caller tells the rest again.
    pub(super) fn read(&mut self, bytes: &mut &[u8], room: Room<'_>) -> Option<Signal<'_>> {
        while !bytes.is_empty() {
            match self.expects {
                Expects::Header => {
                    if let Some(signal) = self.header(bytes) {
                        return Some(signal);
                    }
                }
                Expects::OldBody { left } => {
                    let taken = cut(bytes, left);
                    self.front.extend_from_slice(taken);
                    let left = left - taken.len();
                    self.expects = Expects::OldBody { left };
                    if left == 0 {
                        self.expects = Expects::Header;
                        self.done = std::mem::take(&mut self.front);
                        let (&kind, body) = self.done.split_first()?;
                        return Some(Signal::Old(kind, body));
                    }
                }
                Expects::Body { kind: HANDSHAKE, length, left } if !self.encrypted => {
                    let mut part = bytes.get(..left.min(bytes.len()))?;
                    let before = part.len();
                    let whole = self.handshake(&mut part, room);
                    let taken = before - part.len();
                    *bytes = bytes.get(taken..)?;
                    self.left(HANDSHAKE, length, left - taken);
                    if whole {
                        return self.whole_message();
                    }
                }
                Expects::Body { kind, length, left } => {
                    let taken = cut(bytes, left);
                    let missing = 3usize.saturating_sub(self.front.len());
                    self.front.extend_from_slice(taken.get(..missing.min(taken.len()))?);
                    self.left(kind, length, left - taken.len());
                    if left == taken.len()
                        && let Some(signal) = self.ended(kind, length)
                    {
                        return Some(signal);
                    }
                }
            }
        }
        None
    }

    fn left(&mut self, kind: u8, length: usize, left: usize) {
        self.expects = match left {
            0 => Expects::Header,
            _ => Expects::Body { kind, length, left },
        };
    }

    /// A record that is no handshake ended.
    fn ended(&mut self, kind: u8, length: usize) -> Option<Signal<'static>> {
        let front = std::mem::take(&mut self.front);
        match kind {
            CHANGE_CIPHER => Some(Signal::ChangeCipher),
            ALERT if length < 2 && !self.encrypted => Some(Signal::ShortAlert),
            HEARTBEAT if !self.encrypted => {
                let claimed = match *front.as_slice() {
                    [_, high, low] => usize::from(u16::from_be_bytes([high, low])),
                    _ => usize::MAX,
                };
                let fits = claimed.saturating_add(3) <= length;
                let overflow = if fits { Overflow::Fits } else { Overflow::Overflows };
                let kind = front.first().copied();
                Some(Signal::Heartbeat(Heartbeat { kind, length, overflow }))
            }
            _ => None,
        }
    }

    fn header(&mut self, bytes: &mut &[u8]) -> Option<Signal<'static>> {
        let missing = 5usize.saturating_sub(self.front.len());
        let taken = cut(bytes, missing);
        self.front.extend_from_slice(taken);
        let &[kind, major, minor, high, low] = self.front.as_slice() else { return None };
        if self.records == 0 && kind & 0x80 != 0 {
            return self.old_header(kind, major);
        }
        self.records += 1;
        self.front.clear();
        let length = usize::from(u16::from_be_bytes([high, low]));
        let fault = match (kind, major, minor) {
            (CHANGE_CIPHER..=HEARTBEAT, 3, 0..=4) => None,
            (CHANGE_CIPHER..=HEARTBEAT, _, _) => Some(Fault::Version),
            _ => Some(Fault::Type),
        };
        if let Some(fault) = fault {
            return Some(Signal::Broken(fault));
        }
        if length > RECORD_MAX || (length == 0 && kind == HANDSHAKE && !self.encrypted) {
            return Some(Signal::Broken(Fault::Length));
        }
        self.left(kind, length, length);
        match kind {
            APPLICATION => Some(Signal::Application),
            _ if length == 0 => self.ended(kind, 0),
            HANDSHAKE if !self.encrypted => {
                Some(Signal::Version(u16::from_be_bytes([major, minor])))
            }
            _ => None,
        }
    }

    /// A record of SSLv2 with a header of two bytes: the rest of the five belongs to its body.
    fn old_header(&mut self, high: u8, low: u8) -> Option<Signal<'static>> {
        self.records += 1;
        let length = usize::from(u16::from_be_bytes([high & 0x7f, low]));
        let Some(left) = length.checked_sub(3).filter(|_| length <= RECORD_MAX) else {
            return Some(Signal::Broken(Fault::OldHeader));
        };
        self.front.drain(..2);
        // A body of three bytes is none of a hello: one byte more is waited for in vain.
        self.expects = Expects::OldBody { left: left.max(1) };
        None
    }

    /// Takes what belongs to the current message; whether it is whole, or as much as is kept.
    fn handshake(&mut self, part: &mut &[u8], room: Room<'_>) -> bool {
        while !part.is_empty() {
            if self.skip > 0 {
                self.skip -= cut(part, self.skip).len();
                continue;
            }
            let missing = 4usize.saturating_sub(self.message.len());
            self.message.extend_from_slice(cut(part, missing));
            let &[kind, a, b, c, ..] = self.message.as_slice() else { continue };
            let Ok(length) = usize::try_from(u32::from_be_bytes([0, a, b, c])) else { continue };
            let kept = length.min(room(kind));
            let missing = (4 + kept).saturating_sub(self.message.len());
            self.message.extend_from_slice(cut(part, missing));
            if self.message.len() == 4 + kept {
                self.skip = length - kept;
                return true;
            }
        }
        false
    }

    /// The message that is whole; the next one takes its place.
    fn whole_message(&mut self) -> Option<Signal<'_>> {
        std::mem::swap(&mut self.done, &mut self.message);
        self.message.clear();
        let cut = if self.skip > 0 { Cut::Cut } else { Cut::Whole };
        let (&[kind, ..], body) = self.done.split_first_chunk::<4>()?;
        Some(Signal::Message(kind, body, cut))
    }
}

/// Takes up to `length` bytes from the front.
fn cut<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length.min(bytes.len()));
    *bytes = rest;
    taken
}
