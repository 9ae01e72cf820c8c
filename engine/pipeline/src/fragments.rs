//! Fragments on the street: before a datagram is whole there is nothing to read, and with its last
//! fragment it is read in place of that frame.
//!
//! A fragment belongs to the flow that its datagram's first one names, where that is known; it
//! begins no flow and changes no state. Whatever keeps one fragment from its receiver condemns the
//! rest of its datagram: the receiver must not complete what was not read as it has it. This file
//! must never know what an attack is.

use crate::burst::{Fate, InHand};
use crate::lane::Lane;
use crate::outlet::Outlet;
use crate::report::Conflict;
use crate::telling::Seen;
use portcullis_flow::{
    Admission, Arrival, Defrag, DefragConfig, DefragCounters, DefragPolicy, FragmentFate, Located,
    WholeDatagram,
};
use portcullis_flow::{Placement, TargetPolicy, Targets};
use portcullis_types::{Addr, DropReason};
use portcullis_wire::{Packet, Reject, RejectSet};

/// Datagrams in pieces that one burst forgets.
const EXPIRED_PER_BURST: usize = 64;

/// What a lane keeps of datagrams in pieces.
#[derive(Debug)]
pub struct Fragments {
    defrag: Defrag,
    targets: Targets,
    placement: Placement,
    /// Whether a datagram was condemned while its burst was disposed of: later frames of the same
    /// burst may belong to it, and were taken for another's when they were examined.
    condemned: bool,
}

impl Fragments {
    /// Allocates all that it will ever use.
    pub fn new(
        config: DefragConfig,
        placement: Placement,
        targets: Targets,
        seed: [u8; 16],
    ) -> Self {
        Fragments { defrag: Defrag::new(config, seed), targets, placement, condemned: false }
    }

    /// How a datagram is put together on its way to `receiver`.
    fn policy(&self, receiver: Addr, watches: bool) -> DefragPolicy {
        let placement = if watches { Placement::Watching } else { self.placement };
        let target = match placement {
            Placement::Inline => TargetPolicy::First,
            Placement::Watching => self.targets.of(receiver),
        };
        DefragPolicy { target, placement, ..DefragPolicy::default() }
    }
}

impl Lane {
    /// A fragment: held, refused, or the one that makes its datagram whole.
    #[cold]
    #[inline(never)]
    pub(crate) fn follow_fragment(
        &mut self,
        held: &mut InHand,
        located: &Located,
        packet: &Packet,
        bytes: &[u8],
        outlet: &mut impl Outlet,
    ) {
        let Some(mut pieces) = self.parts.fragments.take() else {
            self.parts.counters.fragments_unread.add(1);
            self.examine_lone(held, packet, bytes, packet.rejects, outlet);
            return;
        };
        held.fragment = packet.fragment;
        if self.is_spoiled(packet) {
            self.parts.fragments = Some(pieces);
            return self.examine_lone(held, packet, bytes, packet.rejects, outlet);
        }
        let arrival = self.arrival(held);
        let named = self.parts.flows.flow_of_fragment(located, packet, arrival);
        let (segment, policy) = (arrival.segment, pieces.policy(packet.dst, self.watches()));
        let done = pieces.defrag.insert(segment, (packet, bytes), named, &policy, held.at);
        let rejects = packet.rejects.union(done.rejects);
        self.conflict = done.conflict.map(|(at, both)| Conflict::of(at.into(), both));
        match done.fate {
            FragmentFate::Whole(whole) => self.follow_whole(held, packet, rejects, &whole, outlet),
            FragmentFate::Held | FragmentFate::Refused(_) => {
                let followed = done
                    .flow
                    .and_then(|flow| self.parts.flows.follow_fragment(flow, rejects, arrival));
                match followed {
                    Some(Admission::Flow { id, direction, changes, rejects: fresh }) => {
                        held.flow = Some((id, direction));
                        let packet = Packet { rejects, ..*packet };
                        let seen = Seen { id, direction, changes, rejects: fresh };
                        self.follow_piece(held, &packet, bytes, seen, outlet);
                    }
                    _ => self.examine_lone(held, packet, bytes, rejects, outlet),
                }
            }
        }
        let id = held.flow.map(|(id, _)| id);
        let unread = id.and_then(|id| self.parts.flows.flow(id)).is_some_and(|f| f.do_not_scan());
        if let FragmentFate::Refused(reason) = done.fate
            && !unread
        {
            held.fate = Fate::Drop(reason);
        }
        if let Fate::Drop(reason) = held.fate
            && !self.watches()
        {
            pieces.defrag.condemn(segment, packet, reason, held.at);
        }
        self.parts.fragments = Some(pieces);
    }

    /// A fragment of a known flow that leaves its datagram in pieces.
    fn follow_piece(
        &mut self,
        held: &mut InHand,
        packet: &Packet,
        bytes: &[u8],
        seen: Seen,
        outlet: &mut impl Outlet,
    ) {
        let Some(flow) = self.parts.flows.flow(seen.id) else { return };
        let counters = &self.parts.counters;
        if flow.terminated() {
            counters.decided.add(1);
            held.fate = Fate::Drop(DropReason::FlowTerminated);
        } else if flow.do_not_scan() {
            counters.decided.add(1);
        } else if seen.changes.is_empty() && packet.rejects.is_empty() {
            counters.known.add(1);
        } else {
            self.tell(held, packet, bytes, seen, outlet);
        }
    }

    /// The datagram in place of the frame that completed it.
    fn follow_whole(
        &mut self,
        held: &mut InHand,
        last: &Packet,
        rejects: RejectSet,
        whole: &WholeDatagram<'_>,
        outlet: &mut impl Outlet,
    ) {
        let packet = match whole.parse(last, self.checks()) {
            Ok(packet) => packet,
            Err(bad) => return self.tell_malformed(held, &bad, outlet),
        };
        let mut packet = Packet { rejects: packet.rejects.union(rejects), ..packet };
        if packet.fragment.is_some() {
            // A fragment within a fragment: receivers may put that together, too (RFC 8200, 4.5:
            // one such header at most).
            packet.rejects.insert(Reject::Ipv6DuplicateFragment);
            held.fate = Fate::Drop(DropReason::Malformed);
            self.examine_lone(held, &packet, whole.bytes, packet.rejects, outlet);
            return;
        }
        // What is crafted in answer begins with the frame's own link header.
        held.packet = Some(Packet { l3_offset: last.l3_offset, ..packet });
        let located = self.parts.flows.locate(self.parts.segment, &packet);
        self.follow_packet(held, &located, &packet, whole.bytes, outlet);
    }

    #[inline]
    pub(crate) fn arrival(&self, held: &InHand) -> Arrival {
        let segment = self.parts.segment;
        let (side, frame_len, now) = (held.side, held.wire_len, held.at);
        Arrival { segment, side, frame_len, now, announced: false }
    }

    /// A frame could not be sent: where it is a fragment, nothing else of its datagram may arrive.
    #[cold]
    pub(crate) fn not_sent(&mut self, held: &InHand, reason: DropReason) {
        self.parts.counters.take_back(reason);
        if held.fragment.is_some() && !self.watches() {
            self.condemn(held, reason);
        }
    }

    /// A fragment's frame does not go on: nothing else of its datagram may arrive.
    pub(crate) fn condemn(&mut self, held: &InHand, reason: DropReason) {
        let segment = self.parts.segment;
        let (Some(pieces), Some(packet)) = (&mut self.parts.fragments, held.packet) else { return };
        let packet = Packet { fragment: held.fragment, ..packet };
        pieces.defrag.condemn(segment, &packet, reason, held.at);
        pieces.condemned = true;
    }

    /// Counts a fragment's fate like any other frame's, and condemns its datagram with it.
    #[cold]
    pub(crate) fn settle_fragment(&mut self, held: &InHand) -> Fate {
        let fate = match (held.fate, self.condemned(held)) {
            (Fate::Forward, Some(reason)) => Fate::Drop(reason),
            (fate, _) => fate,
        };
        if let Fate::Drop(reason) = fate
            && !self.watches()
        {
            self.condemn(held, reason);
        }
        self.settle(fate)
    }

    /// The burst is examined: from now on what is condemned is condemned behind its back.
    #[inline]
    pub(crate) fn forget_condemned(&mut self) {
        if let Some(pieces) = &mut self.parts.fragments {
            pieces.condemned = false;
        }
    }

    /// Why a fragment that was examined before its datagram was condemned must not go on.
    fn condemned(&self, held: &InHand) -> Option<DropReason> {
        let pieces = self.parts.fragments.as_ref().filter(|pieces| pieces.condemned)?;
        let packet = Packet { fragment: Some(held.fragment?), ..held.packet? };
        pieces.defrag.given_up(self.parts.segment, &packet)
    }

    /// Forgets datagrams that nobody completes, a bounded number, and publishes what was counted.
    pub(crate) fn expire_fragments(&mut self, now: portcullis_types::Tick) {
        let counters = &self.parts.counters;
        let Some(pieces) = &mut self.parts.fragments else { return };
        pieces.defrag.expire(now, EXPIRED_PER_BURST);
        let seen: DefragCounters = pieces.defrag.counters();
        counters.fragments.set(seen.fragments);
        counters.fragments_refused.set(seen.refused);
        counters.fragments_repeated.set(seen.duplicates);
        counters.fragments_overlapping.set(seen.overlaps);
        counters.fragments_conflicting.set(seen.conflicts);
        counters.fragment_bytes.set(seen.pages * 2048);
        counters.datagrams_rebuilt.set(seen.whole);
        counters.datagrams_condemned.set(seen.condemned);
        counters.datagrams_starved.set(seen.starved);
        counters.datagrams_evicted.set(seen.evicted);
        counters.datagrams_expired.set(seen.expired);
    }
}
