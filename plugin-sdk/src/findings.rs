//! What a detector says. Records go straight to the output arena, so that a later fault takes
//! back nothing.

use crate::abi::{
    AS_MANIFEST, Buffer, Done, DoneScope, NONE, Operation, PartyKind, TEXT_MAX, Verdict, code,
};
use crate::guest::Outbox;
use crate::host::Host;
use crate::{Action, Addr, Confidence, Reach};
use std::fmt::{self, Write as _};

/// Who the offender or the target is. The host resolves all but the last two by the event's flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Party {
    /// Nobody can be named, e.g. because the source is forged.
    Nobody,
    /// The flow's client.
    Client,
    /// The flow's server.
    Server,
    /// Who sent the packet of the event.
    Source,
    /// Whom the packet of the event was sent to.
    Destination,
    /// This address.
    Addr(Addr),
    /// This link-layer address.
    Mac([u8; 6]),
}

impl Party {
    fn record(self) -> (u8, [u8; 16]) {
        let kind = match self {
            Party::Nobody => PartyKind::Nobody,
            Party::Client => PartyKind::Client,
            Party::Server => PartyKind::Server,
            Party::Source => PartyKind::Source,
            Party::Destination => PartyKind::Destination,
            Party::Addr(a) => return (PartyKind::Given.number(), a.0),
            Party::Mac([a, b, c, d, e, f]) => {
                let bytes = [a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                return (PartyKind::GivenMac.number(), bytes);
            }
        };
        (kind.number(), [0; 16])
    }
}

/// A buffer of this batch on the host. It means nothing in a later batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle(u32);

impl From<&Buffer> for Handle {
    fn from(buffer: &Buffer) -> Self {
        Handle(buffer.handle)
    }
}

/// What a regex says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Match {
    /// The leftmost match that begins at `from` or later, offsets in the buffer.
    Found {
        /// Its first byte.
        start: u32,
        /// Behind its last byte.
        end: u32,
    },
    /// It does not match.
    No,
    /// The host gave it up at its step limit: not known.
    GaveUp,
    /// Not asked at all; see [`crate::code`].
    Refused(i32),
}

impl Match {
    #[allow(clippy::cast_possible_truncation, reason = "two halves of a word")]
    #[allow(clippy::cast_sign_loss, reason = "two halves of a word that is not negative")]
    fn of(answer: i64) -> Match {
        match answer {
            0.. => Match::Found { start: (answer >> 32) as u32, end: answer as u32 },
            _ if answer == i64::from(code::NO_MATCH) => Match::No,
            _ if answer == i64::from(code::GAVE_UP) => Match::GaveUp,
            _ => Match::Refused(answer as i32),
        }
    }
}

/// Where a detector's findings go, and what it may ask of the host while judging one event.
pub struct Findings<'a> {
    pub(crate) outbox: &'a mut Outbox,
    pub(crate) host: Host<'a>,
    pub(crate) slots: &'a mut [u8],
    pub(crate) slot: (usize, usize),
    pub(crate) event: u32,
    pub(crate) verdicts_max: u32,
    pub(crate) sums: Sums,
    pub(crate) is_profiled: bool,
}

/// Metrics that are added up within a batch; those behind are told one by one.
const SUMS: usize = 8;

/// What was added to the first metrics in this batch, to be told once at its end.
#[derive(Default)]
pub(crate) struct Sums {
    values: [i64; SUMS],
    /// Set by who adds, so that a detector without metrics does not import the call.
    tell: Option<fn(&[i64; SUMS], &mut Host<'_>)>,
}

impl Sums {
    fn each(values: &[i64; SUMS], host: &mut Host<'_>) {
        for (index, value) in (0..).zip(values) {
            if *value != 0 {
                host.metric(index, *value);
            }
        }
    }
}

impl<'a> Findings<'a> {
    /// Begins a finding by rule `sid`; everything not said is as the manifest's rule has it.
    pub fn find(&mut self, sid: u32) -> Draft<'_, 'a> {
        let verdict = Verdict {
            event: self.event,
            reach: AS_MANIFEST,
            offender: AS_MANIFEST,
            target: AS_MANIFEST,
            class: AS_MANIFEST,
            sid,
            action: AS_MANIFEST,
            confidence: AS_MANIFEST,
            severity: AS_MANIFEST,
            evidence: NONE,
            ..bytemuck::Zeroable::zeroed()
        };
        Draft { verdict, out: self }
    }

    /// Not interested any more in the event's transaction, direction or flow.
    pub fn done(&mut self, scope: DoneScope) {
        let done = Done { event: self.event, scope: scope.number(), until: [0; 3] };
        self.outbox.done(&done);
    }

    /// Not interested in what is found in the event's flow until it has had so many KiB of frames,
    /// both ways together ([`crate::EventView::flow`]). Until then its bytes are not looked
    /// through, unless another detector wants it; what is wanted without a hit is shown. Beyond 16
    /// GiB it does nothing.
    pub fn pause(&mut self, until_kib: u64) {
        let Some([a, b, c, 0]) = u32::try_from(until_kib).ok().map(u32::to_le_bytes) else {
            return;
        };
        let scope = DoneScope::Pause.number();
        self.outbox.done(&Done { event: self.event, scope, until: [a, b, c] });
    }

    /// This plugin's slot of the event's flow: zeroed at the flow's start, `flow_state` bytes
    /// (empty for events without a flow), kept by the host over faults and swaps.
    #[inline]
    pub fn slot(&mut self) -> &mut [u8] {
        let (at, len) = self.slot;
        self.slots.get_mut(at..at + len).unwrap_or(&mut [])
    }

    /// Counts `key` in `table` and answers how often it was counted within the window, all workers
    /// together. Negative answers are in [`crate::code`]. Capability `count`; keys up to 64 bytes.
    pub fn count(&mut self, table: u32, key: &[u8], window_ms: u32) -> i32 {
        self.host.count(table, key, window_ms)
    }

    /// Whether the bit of `key` in `table` is set. Capability `bit`.
    pub fn bit(&mut self, table: u32, key: &[u8]) -> bool {
        self.host.bit(table, key, Operation::Test) == 1
    }

    /// Sets the bit of `key` and answers whether it was set before. Capability `bit`.
    pub fn set_bit(&mut self, table: u32, key: &[u8]) -> bool {
        self.host.bit(table, key, Operation::Set) == 1
    }

    /// Clears the bit of `key` and answers whether it was set before. Capability `bit`.
    pub fn clear_bit(&mut self, table: u32, key: &[u8]) -> bool {
        self.host.bit(table, key, Operation::Clear) == 1
    }

    /// The latest buffer of a kind that this batch shows of the event's flow and `transaction`, up
    /// to this event: e.g. a header of the request that the response belongs to. `index` tells
    /// several of a kind apart, from 0. Capability `buffer`.
    pub fn buffer_get(&mut self, transaction: u32, kind: u16, index: u16) -> Option<Handle> {
        let handle = self.host.buffer_get(self.event, (transaction, kind, index));
        u32::try_from(handle).ok().map(Handle)
    }

    /// Copies a buffer's bytes from `offset` on; answers how many, at most `to.len()`, or a
    /// negative [`crate::code`]. Reaches all of the buffer, whatever the snap length. Capability
    /// `buffer`.
    pub fn buffer_read(&mut self, handle: Handle, offset: u32, to: &mut [u8]) -> i32 {
        self.host.buffer_read(handle.0, offset, to)
    }

    /// Looks for a regex of the host, by its number, in all of a buffer from `from` on. Costs by
    /// the bytes behind `from`. Capability `regex`.
    pub fn regex_match(&mut self, id: u32, handle: Handle, from: u32) -> Match {
        Match::of(self.host.regex_match(id, handle.0, from))
    }

    /// The same in bytes of the detector's own, e.g. a buffer that it has decoded. Capability
    /// `regex`.
    pub fn regex_bytes(&mut self, id: u32, bytes: &[u8], from: u32) -> Match {
        Match::of(self.host.regex_bytes(id, bytes, from))
    }

    /// Copies bytes of a section that the plugin is given, from `offset` on; answers how many, at
    /// most `to.len()`, or a negative [`crate::code`]. Capability `section`.
    pub fn section_read(&mut self, name: &str, offset: u32, to: &mut [u8]) -> i32 {
        self.host.section_read(name, offset, to)
    }

    /// What is left of this batch's fuel: what something cost is the difference. Natively it never
    /// grows less. Capability `fuel`.
    pub fn fuel(&mut self) -> u64 {
        self.host.fuel()
    }

    /// Writes to the engine's log (0 error … 4 trace), at most 256 bytes, limited per second.
    /// Capability `log`.
    pub fn log(&mut self, level: u32, text: fmt::Arguments<'_>) {
        let mut line = Line::default();
        let _ = line.write_fmt(text);
        self.host.log(level, line.as_str());
    }

    /// Adds to the manifest's metric of that index. The first eight are told to the host once for
    /// a batch, at its end: what was added in a batch that ends in a fault is lost. Capability
    /// `metric`.
    #[inline]
    pub fn metric(&mut self, index: u32, value: i64) {
        match self.sums.values.get_mut(index as usize) {
            Some(sum) => {
                *sum = sum.saturating_add(value);
                self.sums.tell = Some(Sums::each);
            }
            None => {
                self.host.metric(index, value);
            }
        }
    }

    /// Tells the host what was added in this batch.
    pub(crate) fn tell_metrics(&mut self) {
        if let Some(tell) = self.sums.tell.take() {
            tell(&std::mem::take(&mut self.sums.values), &mut self.host);
        }
    }

    /// Whether an operator wants to know what each rule costs (`portcullis rules profile`): then
    /// [`Findings::spent_on`] does something.
    #[inline]
    pub fn is_profiled(&self) -> bool {
        self.is_profiled
    }

    /// What was done since the last such call, or since the batch began, was done for this rule:
    /// the host measures it. `pattern` is the one whose hit had the rule tried; `found` says
    /// whether it matched. Where nobody asks it is one test. Capability `profile`.
    #[inline]
    pub fn spent_on(&mut self, (gid, sid): (u32, u32), pattern: Option<u32>, found: bool) {
        if self.is_profiled {
            self.host.profile((gid, sid), pattern.unwrap_or(NONE), found);
        }
    }

    /// What was done since the last such call was done for no single rule. Capability `profile`.
    #[inline]
    pub fn spent_on_none(&mut self) {
        self.spent_on((0, 0), None, false);
    }

    /// A random number from the host's seed. Capability `random`.
    pub fn random(&mut self) -> u64 {
        self.host.random()
    }

    #[inline]
    pub(crate) fn turn_to(&mut self, index: u32, slot: (usize, usize)) {
        self.event = index;
        self.slot = slot;
    }
}

/// A finding being written. It counts once it is sent.
#[must_use = "call .send()"]
pub struct Draft<'f, 'a> {
    verdict: Verdict,
    out: &'f mut Findings<'a>,
}

impl Draft<'_, '_> {
    /// Who did it.
    pub fn offender(mut self, party: Party) -> Self {
        (self.verdict.offender, self.verdict.offender_addr) = party.record();
        self
    }

    /// To whom.
    pub fn target(mut self, party: Party) -> Self {
        (self.verdict.target, self.verdict.target_addr) = party.record();
        self
    }

    /// Whose rule it is, where rules come from a section; 0 is the manifest's generator.
    pub fn generator(mut self, gid: u32) -> Self {
        self.verdict.gid = gid;
        self
    }

    /// What to do; more than the rule's own action is cut.
    pub fn action(mut self, action: Action) -> Self {
        self.verdict.action = action as u8;
        self
    }

    /// What it is about.
    pub fn reach(mut self, reach: Reach) -> Self {
        self.verdict.reach = reach as u8;
        self
    }

    /// How sure; more than the rule's is cut.
    pub fn confidence(mut self, confidence: Confidence) -> Self {
        self.verdict.confidence = confidence as u8;
        self
    }

    /// Seconds to block; the host caps it, and policy may have its own.
    pub fn block_for_s(mut self, seconds: u32) -> Self {
        self.verdict.duration_s = seconds;
        self
    }

    /// How many things this finding sums up, e.g. ports probed.
    pub fn counting(mut self, count: u32) -> Self {
        self.verdict.count = count;
        self
    }

    /// Which of this plugin's findings on one packet is judged first: the lower; a `pass` ends
    /// with itself.
    pub fn order(mut self, order: u32) -> Self {
        self.verdict.order = order;
        self
    }

    /// The place, at a tick or the end of input: segment and VIDs as the flow records had them.
    pub fn at(mut self, segment: u16, vids: [u16; 3]) -> Self {
        (self.verdict.segment, self.verdict.vids) = (segment, vids);
        self
    }

    /// The bytes that show why: a buffer of the batch ([`crate::EventView::first_buffer`]), where,
    /// and how many (the host takes at most 256).
    pub fn evidence(mut self, buffer: u32, at: u32, len: u32) -> Self {
        (self.verdict.evidence, self.verdict.evidence_at) = (buffer, at);
        self.verdict.evidence_len = len;
        self
    }

    /// The bytes that show why, in a buffer of this event ([`crate::EventView::buffers`]).
    pub fn evidence_in(self, buffer: &Buffer, at: u32, len: u32) -> Self {
        self.evidence(buffer.handle & Buffer::HANDLE_INDEX, at, len)
    }

    /// Words for people, at most 256 bytes; call it once.
    pub fn text(mut self, text: fmt::Arguments<'_>) -> Self {
        let mut line = Line::default();
        let _ = line.write_fmt(text);
        if let Some(at) = self.out.outbox.text(line.as_str().as_bytes()) {
            self.verdict.text_at = at;
            self.verdict.text_len = u32::try_from(line.len).unwrap_or(0);
        }
        self
    }

    /// Says it.
    pub fn send(self) {
        let limit = self.out.verdicts_max;
        self.out.outbox.verdict(&self.verdict, limit);
    }
}

/// A line of at most [`TEXT_MAX`] bytes, cut at a character's border, without allocation.
struct Line {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Line { bytes: [0; TEXT_MAX], len: 0 }
    }
}

impl Line {
    fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("")
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = TEXT_MAX - self.len;
        let mut n = s.len().min(room);
        while !s.is_char_boundary(n) {
            n -= 1;
        }
        if let (Some(to), Some(from)) =
            (self.bytes.get_mut(self.len..self.len + n), s.as_bytes().get(..n))
        {
            to.copy_from_slice(from);
            self.len += n;
        }
        if n == s.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
