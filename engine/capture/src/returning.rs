//! A source that outlives its ports: where one goes, the source is given back, and another takes
//! its place when the port has come back.
//!
//! ```text
//!   worker ─ Returning ─ source          port gone: the burst is settled, the source dropped
//!                │
//!             Doorway ◄── whoever opens ports again, elsewhere
//! ```
//!
//! The worker goes on meanwhile, without frames: it takes orders, so that blocks and detectors are
//! in step when there are frames again. This file must never know how a port is opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};
use portcullis_types::{DropReason, PortSide, Tick};

use crate::{
    FrameSource, HandOver, LinkKind, Received, RxFrame, Slot, SourceId, SourceStatistics,
    XdpStatistics,
};

/// A source, or the place of one whose port is gone.
#[derive(Debug)]
pub struct Returning<S> {
    source: Option<S>,
    /// A port has gone, and the burst in hand is not settled yet.
    going: bool,
    /// How many sources there were before this one.
    generation: u32,
    next: Receiver<S>,
    is_empty: Arc<AtomicBool>,
    /// What the sources before this one counted.
    before: SourceStatistics,
    /// The owner of slots that are nobody's.
    nobody: SourceId,
}

/// Where the next source is handed in.
#[derive(Debug)]
pub struct Doorway<S> {
    next: Sender<S>,
    is_empty: Arc<AtomicBool>,
}

impl<S> Doorway<S> {
    /// Whether the source is gone, its sockets closed, and none has taken its place.
    pub fn is_empty(&self) -> bool {
        self.is_empty.load(Ordering::Acquire)
    }

    /// Hands in a source.
    ///
    /// # Errors
    /// The source, where nobody waits for one.
    pub fn hand_in(&self, source: S) -> Result<(), S> {
        self.is_empty.store(false, Ordering::Release);
        self.next.try_send(source).map_err(|refused| match refused {
            TrySendError::Full(source) | TrySendError::Disconnected(source) => source,
        })
    }
}

impl<S: FrameSource> Returning<S> {
    /// A source, and the way by which its successors come.
    pub fn new(source: S) -> (Returning<S>, Doorway<S>) {
        let (sender, next) = bounded(1);
        let is_empty = Arc::new(AtomicBool::new(false));
        let doorway = Doorway { next: sender, is_empty: Arc::clone(&is_empty) };
        let before = SourceStatistics::default();
        let returning = Returning {
            source: Some(source),
            going: false,
            generation: 0,
            next,
            is_empty,
            before,
            nobody: SourceId::unique(),
        };
        (returning, doorway)
    }

    /// Gives up the source: nothing of it is in hand any more.
    fn give_up(&mut self) {
        self.going = false;
        if let Some(mut source) = self.source.take() {
            self.before = sum(&self.before, &source.statistics());
            drop(source);
            self.generation = self.generation.wrapping_add(1);
        }
        self.is_empty.store(true, Ordering::Release);
    }

    /// Takes up the next source, where it has come.
    fn take_up(&mut self) {
        if let Ok(source) = self.next.try_recv() {
            self.source = Some(source);
        }
    }
}

impl<S: FrameSource> FrameSource for Returning<S> {
    fn link(&self) -> LinkKind {
        self.source.as_ref().map_or(LinkKind::Ethernet, FrameSource::link)
    }

    #[inline]
    fn receive(&mut self, burst: &mut Vec<RxFrame>, max: usize) -> Received {
        let Some(source) = &mut self.source else {
            self.take_up();
            return Received::Nothing;
        };
        if self.going {
            return Received::Nothing;
        }
        let received = source.receive(burst, max);
        // The source is kept until the frames in hand are settled: see `flush`.
        self.going = matches!(received, Received::PortGone(_));
        received
    }

    #[inline]
    fn bytes(&self, slot: &Slot) -> &[u8] {
        self.source.as_ref().map_or(&[], |source| source.bytes(slot))
    }

    #[inline]
    fn forward(&mut self, slot: Slot) -> Result<(), DropReason> {
        match &mut self.source {
            Some(source) => source.forward(slot),
            None => Err(DropReason::PortDown),
        }
    }

    #[inline]
    fn discard(&mut self, slot: Slot) {
        if let Some(source) = &mut self.source {
            source.discard(slot);
        }
    }

    fn inject(&mut self, side: PortSide, frame: &[u8]) -> Result<(), DropReason> {
        match &mut self.source {
            Some(source) => source.inject(side, frame),
            None => Err(DropReason::PortDown),
        }
    }

    #[inline]
    fn flush(&mut self) {
        if let Some(source) = &mut self.source {
            source.flush();
        }
        if self.going {
            self.give_up();
        }
    }

    fn wait(&mut self, timeout: Duration) {
        match &mut self.source {
            Some(source) => source.wait(timeout),
            None => std::thread::sleep(timeout),
        }
    }

    #[inline]
    fn alive(&mut self, now: Tick) {
        if let Some(source) = &mut self.source {
            source.alive(now);
        }
    }

    fn statistics(&mut self) -> SourceStatistics {
        match &mut self.source {
            Some(source) if self.generation == 0 => source.statistics(),
            Some(source) => sum(&self.before, &source.statistics()),
            None => self.before,
        }
    }

    fn comes_back(&self) -> bool {
        true
    }
}

impl<S: HandOver> HandOver for Returning<S> {
    /// With the number of the source that it belongs to.
    type Lent = (u32, Option<S::Lent>);

    fn lend(&mut self, slot: Slot, side: PortSide) -> Self::Lent {
        (self.generation, self.source.as_mut().map(|source| source.lend(slot, side)))
    }

    fn is_mine(&self, lent: &Self::Lent) -> bool {
        self.source.is_some() && lent.0 == self.generation && lent.1.is_some()
    }

    fn adopt(&mut self, lent: Self::Lent) -> (Slot, PortSide) {
        match (&mut self.source, lent.1) {
            (Some(source), Some(lent)) => source.adopt(lent),
            // Nobody adopts what is not ours: see `is_mine`.
            _ => (Slot::new(self.nobody, 0, 0, 0), PortSide::A),
        }
    }
}

/// What two sources of the same ports have counted together; what is in hand is the later's.
fn sum(before: &SourceStatistics, now: &SourceStatistics) -> SourceStatistics {
    let mut all = *now;
    all.unreadable += before.unreadable;
    all.returned_home += before.returned_home;
    for (to, from) in all.ports.iter_mut().zip(&before.ports) {
        to.received += from.received;
        to.received_bytes += from.received_bytes;
        to.transmitted += from.transmitted;
        to.transmitted_bytes += from.transmitted_bytes;
        to.transmit_full += from.transmit_full;
        to.oversize += from.oversize;
        to.link_down += from.link_down;
        to.kernel_dropped += from.kernel_dropped;
        let (xdp, was) = (&mut to.xdp, &from.xdp);
        *xdp = XdpStatistics {
            rx_dropped: xdp.rx_dropped + was.rx_dropped,
            rx_fill_ring_empty_descs: xdp.rx_fill_ring_empty_descs + was.rx_fill_ring_empty_descs,
            rx_invalid_descs: xdp.rx_invalid_descs + was.rx_invalid_descs,
            rx_ring_full: xdp.rx_ring_full + was.rx_ring_full,
            tx_invalid_descs: xdp.tx_invalid_descs + was.tx_invalid_descs,
            tx_ring_empty_descs: xdp.tx_ring_empty_descs + was.tx_ring_empty_descs,
        };
    }
    all
}
