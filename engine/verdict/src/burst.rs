//! The same-burst rule: once a frame of a burst carried an attack, later frames of the same flow or
//! the same offender drop too, though no table knows it yet.

use portcullis_types::{BlockKey, DropReason, FrameIndex, PluginId, Whence};

/// What a verdict of this burst lays claim to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// This frame alone.
    Frame,
    /// All later frames of this flow (index and generation in the worker's table).
    Flow(u32, u32),
    /// All later frames from this source at its place.
    Offender(BlockKey),
    /// This frame: the detector lets it pass, and says no more about it.
    Passed(PluginId),
    /// This frame alone: a detector choked on it, and policy lets nothing unjudged pass.
    Faulted,
    /// All later frames of this flow, for the same reason.
    FaultedFlow(u32, u32),
}

/// The verdicts of one burst. Allocated at start; cleared at each burst.
#[derive(Clone, Debug)]
pub struct BurstVerdicts {
    claims: Vec<(FrameIndex, Claim)>,
    limit: usize,
    overflows: u64,
}

impl BurstVerdicts {
    /// Room for so many claims a burst; two per frame of the largest burst is enough for all.
    pub fn new(limit: usize) -> Self {
        BurstVerdicts { claims: Vec::with_capacity(limit), limit, overflows: 0 }
    }

    /// Forgets the last burst.
    #[inline]
    pub fn clear(&mut self) {
        self.claims.clear();
    }

    /// Whether nothing was claimed: the usual burst.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// Claims that found no room; those hold from the next burst on, by the tables.
    pub fn overflows(&self) -> u64 {
        self.overflows
    }

    /// Notes a claim from this frame on. The same claim made later adds nothing.
    pub fn note(&mut self, frame: FrameIndex, claim: Claim) {
        let known = |(from, old): &&mut (FrameIndex, Claim)| {
            let of_frame = matches!(claim, Claim::Frame | Claim::Passed(_) | Claim::Faulted);
            *old == claim && (!of_frame || *from == frame)
        };
        if let Some((from, _)) = self.claims.iter_mut().find(known) {
            *from = (*from).min(frame);
        } else if self.claims.len() < self.limit {
            self.claims.push((frame, claim));
        } else {
            self.overflows += 1;
        }
    }

    /// Why a frame drops, if it does: it carried an attack, or came behind one in the same flow, or
    /// behind one from the same source at the same place; or it was not judged. `from` is `None`
    /// for what is not IP; its tunnel is 0 outside of tunnels.
    #[inline]
    pub fn drops(
        &self,
        frame: FrameIndex,
        flow: Option<(u32, u32)>,
        from: Option<&Whence>,
    ) -> Option<DropReason> {
        let is_of = |index: u32, generation: u32| flow == Some((index, generation));
        let reasons = self.claims.iter().filter_map(|(since, claim)| match *claim {
            Claim::Frame => (*since == frame).then_some(DropReason::Verdict),
            Claim::Flow(index, generation) => {
                (*since <= frame && is_of(index, generation)).then_some(DropReason::Verdict)
            }
            Claim::Offender(key) => (*since <= frame && from.is_some_and(|from| key.holds(from)))
                .then_some(DropReason::Verdict),
            Claim::Faulted => (*since == frame).then_some(DropReason::FaultClosed),
            Claim::FaultedFlow(index, generation) => {
                (*since <= frame && is_of(index, generation)).then_some(DropReason::FaultClosed)
            }
            Claim::Passed(_) => None,
        });
        // What an attack is dropped for says more than that a detector did not see it.
        reasons.reduce(|a, b| if a == DropReason::Verdict { a } else { b })
    }

    /// Whether nothing more is to be said about a frame: its detector let it pass, or its flow
    /// ended with an earlier frame, so that it would not have been looked at.
    pub fn settles(&self, frame: FrameIndex, flow: Option<(u32, u32)>, detector: PluginId) -> bool {
        self.claims.iter().any(|(since, claim)| match claim {
            Claim::Flow(index, generation) => *since < frame && flow == Some((*index, *generation)),
            Claim::Passed(plugin) => *since == frame && *plugin == detector,
            // A detector's fault does not keep the others from being heard.
            Claim::Frame | Claim::Offender(_) | Claim::Faulted | Claim::FaultedFlow(..) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_types::{Addr, Prefix, SegmentId, VlanStack};

    #[test]
    fn later_frames_of_the_flow_or_offender_drop() {
        let source: Addr = "192.0.2.9".parse().expect("an address");
        let at = |vid: u16| Whence {
            segment: SegmentId(0),
            vlan: VlanStack::from_vids(&[vid]).expect("a stack"),
            source,
            tunnel: 0,
        };
        let drops = |burst: &BurstVerdicts, frame, flow, vid| match burst.drops(
            FrameIndex(frame),
            flow,
            Some(&at(vid)),
        ) {
            Some(reason) => reason == DropReason::Verdict,
            None => false,
        };
        let mut burst = BurstVerdicts::new(4);
        let key = BlockKey {
            segment: SegmentId(0),
            vlan: at(10).vlan,
            source: Prefix::host(source),
            tunnel: 0,
        };
        burst.note(FrameIndex(3), Claim::Offender(key));
        burst.note(FrameIndex(5), Claim::Flow(7, 1));
        burst.note(FrameIndex(1), Claim::Frame);
        assert!(!drops(&burst, 2, None, 10));
        assert!(drops(&burst, 3, None, 10));
        assert!(drops(&burst, 9, None, 10));
        assert!(!drops(&burst, 9, None, 20), "another VLAN is another place");
        assert!(!drops(&burst, 9, None, 0), "no tag is another place");
        assert!(drops(&burst, 6, Some((7, 1)), 20));
        assert!(!drops(&burst, 6, Some((7, 2)), 20));
        assert!(!drops(&burst, 4, Some((7, 1)), 20));
        assert!(drops(&burst, 1, None, 20));
        burst.note(FrameIndex(4), Claim::Flow(7, 1));
        assert!(drops(&burst, 4, Some((7, 1)), 20));
        burst.note(FrameIndex(8), Claim::Frame);
        burst.note(FrameIndex(9), Claim::Frame);
        assert_eq!(burst.overflows(), 1);
        burst.clear();
        let plugin = PluginId(3);
        burst.note(FrameIndex(2), Claim::Passed(plugin));
        burst.note(FrameIndex(3), Claim::Flow(7, 1));
        assert!(burst.settles(FrameIndex(2), None, plugin), "its detector let it pass");
        assert!(!burst.settles(FrameIndex(2), None, PluginId(4)));
        assert!(!drops(&burst, 2, None, 10));
        assert!(!burst.settles(FrameIndex(3), Some((7, 1)), plugin), "others on the same frame");
        assert!(burst.settles(FrameIndex(4), Some((7, 1)), plugin), "its flow is over");
        burst.clear();
        assert!(burst.is_empty() && !drops(&burst, 9, Some((7, 1)), 10));
    }

    #[test]
    fn what_was_not_judged_drops_with_a_reason_of_its_own() {
        let mut burst = BurstVerdicts::new(8);
        let drops = |burst: &BurstVerdicts, at, flow| burst.drops(FrameIndex(at), flow, None);
        burst.note(FrameIndex(2), Claim::Faulted);
        burst.note(FrameIndex(4), Claim::Faulted);
        burst.note(FrameIndex(4), Claim::FaultedFlow(7, 1));
        let of_flow = [3, 4, 5].map(|at| drops(&burst, at, Some((7, 1))));
        let closed = Some(DropReason::FaultClosed);
        assert_eq!(of_flow, [None, closed, closed]);
        let alone = [1, 2, 3, 4, 5].map(|at| drops(&burst, at, None));
        assert_eq!(alone, [None, closed, None, closed, None], "frames without a flow");
        assert!(!burst.settles(FrameIndex(5), Some((7, 1)), PluginId(0)), "others are heard");
        burst.note(FrameIndex(5), Claim::Flow(7, 1));
        assert_eq!(drops(&burst, 5, Some((7, 1))), Some(DropReason::Verdict), "an attack, too");
    }
}
