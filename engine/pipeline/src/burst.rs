//! A burst in hand: the frames that wait for their verdict.

use portcullis_flow::{Direction, FlowId};
use portcullis_types::{DropReason, FrameIndex, PortSide, SegmentId, Tick, Whence};
use portcullis_wire::{Fragment, Packet};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

/// Frames that one worker takes in one burst. 64 keeps the packets in the first-level cache and the
/// wait for a verdict short; the kernel sends at most 32 at a time in copy mode anyway.
pub const BURST_FRAMES: usize = 64;

/// The most frames that replay decides on at once, and that host-scope detectors take at once.
/// Each lane's tables and detectors come into the caches once a window.
pub const WINDOW_FRAMES: usize = 2_048;

/// Frames after which a window ends that is as long as [`WINDOW_SPAN`].
pub(crate) const WINDOW_STEP: usize = 256;

/// As much of a capture's time may pass before what was decided holds: no more than a loaded
/// worker takes for its bursts.
const WINDOW_SPAN: Duration = Duration::from_millis(20);

/// Whether a window of replay is whole: by the frames' number and their time only, so that the same
/// captures have the same windows wherever they are read.
pub(crate) fn is_window(frames: usize, first: Tick, last: Tick) -> bool {
    let spanned = Duration::from_nanos(last.0.saturating_sub(first.0));
    let is_step = frames > 0 && frames.is_multiple_of(WINDOW_STEP);
    is_step && (frames >= WINDOW_FRAMES || spanned >= WINDOW_SPAN)
}

/// What becomes of a frame when its burst is disposed of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It goes on to the other port.
    Forward,
    /// It ends here.
    Drop(DropReason),
}

/// One frame of the burst: where it came from, what it turned out to be, what becomes of it.
#[derive(Clone, Copy, Debug)]
pub struct InHand {
    /// Its place in the burst.
    pub index: FrameIndex,
    /// The port that it came in by.
    pub side: PortSide,
    /// When.
    pub at: Tick,
    /// Its number in the capture, from 1; 0 live.
    pub number: u64,
    /// Bytes on the wire.
    pub wire_len: u32,
    /// Its headers; `None` where they cannot be used.
    pub packet: Option<Packet>,
    /// Which part of a datagram it is. [`InHand::packet`] is the whole datagram then, where this
    /// frame has completed it, but for the offset of the IP header.
    pub fragment: Option<Fragment>,
    /// Its flow and its direction in it.
    pub flow: Option<(FlowId, Direction)>,
    /// What becomes of it.
    pub fate: Fate,
}

impl InHand {
    /// A frame just received.
    #[inline]
    pub fn new(index: FrameIndex, side: PortSide, at: Tick, wire_len: u32) -> Self {
        InHand {
            index,
            side,
            at,
            number: 0,
            wire_len,
            packet: None,
            fragment: None,
            flow: None,
            fate: Fate::Forward,
        }
    }

    /// Another frame in its place. Its headers are to be read next.
    #[inline]
    pub(crate) fn renew(&mut self, index: FrameIndex, side: PortSide, at: Tick, wire_len: u32) {
        (self.index, self.side, self.at, self.wire_len) = (index, side, at, wire_len);
        (self.number, self.fragment, self.flow, self.fate) = (0, None, None, Fate::Forward);
    }

    /// The flow's reference in findings.
    #[inline]
    pub fn flow_ref(&self) -> Option<(u32, u32)> {
        self.flow.map(|(id, _)| (id.index, id.generation))
    }

    /// Where it comes from, for the same-burst rule; `None` for what is not IP.
    pub fn whence(&self, segment: SegmentId) -> Option<Whence> {
        let packet = self.packet.as_ref().filter(|p| p.ip_version != 0)?;
        Some(Whence { segment, vlan: packet.vlan, source: packet.src, tunnel: 0 })
    }
}

/// The frames in hand, in places that are used again: headers are read where they stay, since
/// copying a packet costs about as much as reading it.
#[derive(Debug)]
pub struct Hand {
    places: Vec<InHand>,
    len: usize,
    /// Stands in where there is no place, which does not happen: a place is made first.
    beside: InHand,
}

impl Hand {
    /// With room for so many frames; it grows where there are more.
    pub fn with_capacity(frames: usize) -> Self {
        let beside = InHand::new(FrameIndex(0), PortSide::A, Tick::ZERO, 0);
        Hand { places: vec![beside; frames], len: 0, beside }
    }

    /// Takes up a frame just received. Whoever does reads its headers next
    /// ([`crate::read_headers`]): the place has those of the frame before.
    #[inline]
    pub fn take_up(
        &mut self,
        index: FrameIndex,
        side: PortSide,
        at: Tick,
        wire_len: u32,
    ) -> &mut InHand {
        if self.len == self.places.len() {
            self.places.push(self.beside);
        }
        let held = self.places.get_mut(self.len).unwrap_or(&mut self.beside);
        self.len += 1;
        held.renew(index, side, at, wire_len);
        held
    }

    /// Gives up the frame taken up last: it is another worker's.
    #[inline]
    pub fn give_up(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    /// Gives up all.
    #[inline]
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl Deref for Hand {
    type Target = [InHand];

    #[inline]
    fn deref(&self) -> &[InHand] {
        self.places.get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for Hand {
    #[inline]
    fn deref_mut(&mut self) -> &mut [InHand] {
        self.places.get_mut(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_at_a_step_that_is_long_enough_or_at_the_last() {
        let day = Tick(86_400_000_000_000);
        let after = |span: Duration| Tick(day.0 + u64::try_from(span.as_nanos()).expect("short"));
        let short = after(WINDOW_SPAN - Duration::from_nanos(1));
        let whole = |last| move |n: &usize| is_window(*n, day, last);
        let ends = |last| (0..=WINDOW_FRAMES).find(whole(last));
        assert_eq!(ends(after(WINDOW_SPAN)), Some(WINDOW_STEP), "20 ms, and no frame sooner");
        assert_eq!(ends(after(Duration::from_secs(3_600))), Some(WINDOW_STEP), "however slow");
        assert_eq!(ends(short), Some(WINDOW_FRAMES), "however fast");
        assert_eq!(ends(Tick::ZERO), Some(WINDOW_FRAMES), "a clock that steps back is no time");
        let steps = (0..=WINDOW_FRAMES).filter(whole(after(WINDOW_SPAN)));
        assert_eq!(steps.count(), WINDOW_FRAMES / WINDOW_STEP, "at steps and nowhere else");
    }

    #[test]
    fn places_are_used_again_without_what_was_in_them() {
        let mut hand = Hand::with_capacity(1);
        let take = |hand: &mut Hand, n| {
            let held = hand.take_up(FrameIndex(n), PortSide::B, Tick(7), 60);
            held.fate = Fate::Drop(DropReason::Blocked);
            held.number = 9;
        };
        take(&mut hand, 0);
        take(&mut hand, 1);
        assert_eq!(hand.iter().map(|h| h.index.0).collect::<Vec<_>>(), [0, 1]);
        hand.give_up();
        let again = *hand.take_up(FrameIndex(5), PortSide::A, Tick(8), 61);
        assert_eq!((hand.len(), again.fate, again.number), (2, Fate::Forward, 0));
        assert_eq!((again.index, again.side, again.at), (FrameIndex(5), PortSide::A, Tick(8)));
        hand.clear();
        assert!(hand.is_empty());
    }
}
