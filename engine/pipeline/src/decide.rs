//! Findings into verdicts, and verdicts onto the frames in hand.
//!
//! The same-burst rule lives here: a flow-scope verdict holds for the frame that carried the
//! attack and for every later frame of its flow or its offender in the same burst. This file must
//! never know how a block is stored or an RST is made.

use crate::burst::{Fate, InHand};
use crate::lane::Lane;
use crate::outlet::Outlet;
use crate::report::{Alert, Conversation, Outcome, Report};
use portcullis_enforce::{BlockId, TableOrder};
use portcullis_flow::{Direction, Flow, FlowId, TcpState};
use portcullis_plugin_abi::application;
use portcullis_types::{
    Action, DropReason, Finding, FrameIndex, Party, PluginId, Reach, Tick, Whence,
};
use portcullis_verdict::{BurstVerdicts, Claim, Context, Effect, Verdict, Withheld};
use portcullis_wire::{Packet, TcpFlags, protocol};

/// A connection to be ended towards its ends, with the frame that shows how to reach them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ending {
    /// The frame that carried the attack.
    pub frame: FrameIndex,
    /// The flow that ends, where there is one.
    pub flow: Option<FlowId>,
}

/// What is judged first: by frame, on one frame by the plugin's own order.
pub(crate) fn turn(finding: &Finding) -> (Option<FrameIndex>, PluginId, u32) {
    (finding.frame, finding.plugin, finding.order)
}

impl Lane {
    /// Decides on what the burst's detectors found, and marks the frames. Live only: replay judges
    /// the findings of all lanes together.
    pub fn decide(&mut self, burst: &mut [InHand], now: Tick, outlet: &mut impl Outlet) {
        self.endings.clear();
        if self.findings.is_empty() && self.unjudged.is_empty() {
            return;
        }
        let mut verdicts = std::mem::replace(&mut self.verdicts, BurstVerdicts::new(0));
        let mut findings = std::mem::take(&mut self.findings);
        verdicts.clear();
        self.claim_unjudged(&mut verdicts);
        findings.sort_by_key(turn);
        for finding in findings.drain(..) {
            let held = finding.frame.and_then(|at| burst.get(usize::from(at.0)));
            self.judge(&finding, held, now, &mut verdicts, outlet);
        }
        for held in burst {
            self.mark(held, &verdicts, outlet);
        }
        (self.verdicts, self.findings) = (verdicts, findings);
    }

    /// Judges one finding, tells it, and carries out what concerns this lane. Returns the verdict.
    pub fn judge(
        &mut self,
        finding: &Finding,
        held: Option<&InHand>,
        now: Tick,
        verdicts: &mut BurstVerdicts,
        outlet: &mut impl Outlet,
    ) -> Verdict {
        let flow = finding.flow.map(|(index, generation)| FlowId { index, generation });
        let flow_id = flow.and_then(|id| self.parts.flows.flow(id)).map_or(0, |f| f.id64());
        if held.is_some_and(|h| verdicts.settles(h.index, h.flow_ref(), finding.plugin)) {
            return Verdict::settled(finding.class);
        }
        let verdict = self.verdict(finding, flow_id, now);
        self.count(&verdict);
        if let Some(Withheld::Breaker(trip)) = verdict.withheld
            && trip.first
        {
            outlet.tripped(finding.plugin, trip);
        }
        match (&verdict.effect, held) {
            (Effect::Silent, _) | (Effect::Pass, None) => return verdict,
            (Effect::Pass, Some(held)) => {
                verdicts.note(held.index, Claim::Passed(finding.plugin));
                return verdict;
            }
            _ => {}
        }
        if let Some(flow) = flow.and_then(|id| self.parts.flows.flow_mut(id)) {
            flow.set_alerted();
        }
        let frame = held.map_or(FrameIndex(u16::MAX), |h| h.index);
        let mut alert = self.alert(finding, &verdict, held, flow_id);
        if let (Some(id), Some(reading)) = (flow, &self.parts.reading) {
            alert.application = reading.application(id);
        }
        outlet.report(frame, Report::Alert(Box::new(alert)));
        if verdict.effect.ends_connection() {
            self.end_connection(finding, held, flow, verdicts);
        }
        if let Effect::TerminateAndBlock(order) = &verdict.effect {
            self.parts.counters.blocks.add(1);
            // The book gives the block its number; until then it has none.
            let (id, key, until) = (BlockId::default(), order.key, order.until);
            self.parts.blocks.apply(&TableOrder::Block { id, key, until });
            if let Some(held) = held {
                verdicts.note(held.index, Claim::Offender(order.key));
            }
            outlet.order(order.clone());
        }
        verdict
    }

    fn verdict(&self, finding: &Finding, flow_id: u64, now: Tick) -> Verdict {
        let parts = &self.parts;
        let detector = parts.snapshot.detector(finding.plugin);
        let place = |source| Whence {
            segment: finding.facts.segment,
            vlan: finding.facts.vlan,
            source,
            tunnel: finding.facts.tunnel,
        };
        let offender = finding.offender.addr();
        let context = Context {
            now,
            detector: &detector,
            flow_id,
            recent_proof: offender.is_some_and(|addr| {
                parts.proven.recent(finding.facts.segment, finding.facts.vlan, addr, now)
            }),
            grace: offender.is_some_and(|addr| parts.blocks.graced(&place(addr), now)),
            blocked: offender.is_some_and(|addr| parts.blocks.check(&place(addr), now).is_some()),
        };
        parts.judge.judge(&parts.snapshot.policy, finding, &context)
    }

    fn count(&self, verdict: &Verdict) {
        let counters = &self.parts.counters;
        if verdict.effect.ends_connection() {
            counters.terminated.add(1);
        }
        // A block that stands already is not withheld.
        if verdict.withheld.is_some_and(|w| w != Withheld::Blocked) {
            counters.withheld.add(1);
        }
        match verdict.would.map(|w| w.action) {
            Some(Action::TerminateAndBlock) => counters.would_block.add(1),
            Some(Action::Terminate) => counters.would_terminate.add(1),
            _ => {}
        }
    }

    fn end_connection(
        &mut self,
        finding: &Finding,
        held: Option<&InHand>,
        flow: Option<FlowId>,
        verdicts: &mut BurstVerdicts,
    ) {
        // Any drop on a TCP flow that is read takes the whole flow: a retransmission would be taken
        // for data already read. A verdict on one packet of a flow without state, or of one that
        // is not open yet, takes that packet alone.
        // Later frames of its burst may have opened what a SYN asks for; it is not part of it.
        let opens =
            |packet: &Packet| packet.protocol == protocol::TCP && tcp_opens(packet.tcp.flags);
        let asks = held.and_then(|h| h.packet.as_ref()).is_some_and(opens);
        let is_read = |flow: &Flow| {
            use TcpState::{None, SynReceived, SynSent};
            !asks && !matches!(flow.tcp_state(), None | SynSent | SynReceived)
        };
        let ended = flow.filter(|id| {
            finding.reach > Reach::Packet || self.parts.flows.flow(*id).is_some_and(is_read)
        });
        if let Some(id) = ended {
            self.parts.flows.terminate(id);
        }
        let Some(held) = held else { return };
        verdicts.note(held.index, Claim::Frame);
        if let Some(id) = ended {
            verdicts.note(held.index, Claim::Flow(id.index, id.generation));
        }
        // A forged source must not be sent anything: only flows whose ends have shown themselves,
        // or what answers to nobody but the sender's own connection attempt.
        let may_be_forged = finding.rule.forgeable && !finding.proof.is_proven();
        if finding.offender != Party::Nobody
            && !may_be_forged
            && self.endings.len() < self.endings.capacity()
        {
            self.endings.push(Ending { frame: held.index, flow: ended });
        }
    }

    /// Drops a frame that a verdict of its burst holds for.
    pub fn mark(&self, held: &mut InHand, verdicts: &BurstVerdicts, outlet: &mut impl Outlet) {
        if held.fate != Fate::Forward || verdicts.is_empty() {
            return;
        }
        let whence = held.whence(self.parts.segment);
        let drops = verdicts.drops(held.index, held.flow_ref(), whence.as_ref());
        let Some(reason) = drops else { return };
        let verdict = reason == DropReason::Verdict;
        if verdict && held.packet.as_ref().is_none_or(portcullis_enforce::is_link_control) {
            return;
        }
        held.fate = Fate::Drop(reason);
        // What has no headers was told as an anomaly; where the segment only watches, it arrives.
        let Some(packet) = held.packet.filter(|_| !self.watches()) else { return };
        let flow = held.flow.and_then(|(id, _)| self.parts.flows.flow(id));
        let dropped = crate::report::Drop {
            at: held.at,
            frame_number: held.number,
            conversation: Conversation::of(
                self.parts.segment,
                &packet,
                flow.map_or(0, |f| f.id64()),
            ),
            reason,
            len: packet.ip_len,
            ttl: packet.ttl,
            to_server: held.flow.is_none_or(|(_, d)| d == Direction::ToServer),
        };
        outlet.report(held.index, Report::Drop(Box::new(dropped)));
    }

    fn alert(
        &self,
        finding: &Finding,
        verdict: &Verdict,
        held: Option<&InHand>,
        flow_id: u64,
    ) -> Alert {
        let segment = self.parts.segment;
        let conversation = match held.and_then(|h| h.packet.as_ref()) {
            Some(packet) => Conversation::of(segment, packet, flow_id),
            None => Conversation::of_facts(&finding.facts, flow_id),
        };
        Alert {
            at: finding.at,
            frame_number: held.map_or(0, |h| h.number),
            conversation,
            rule: finding.rule.clone(),
            detector: self.parts.snapshot.detector(finding.plugin),
            offender: finding.offender,
            proof: finding.proof,
            target: finding.target,
            evidence: finding.evidence.clone(),
            outcome: Outcome::of(verdict),
            to_server: held.and_then(|h| h.flow).is_none_or(|(_, d)| d == Direction::ToServer),
            application: application::UNKNOWN,
        }
    }
}

/// Whether the flags are those of a first SYN.
fn tcp_opens(flags: TcpFlags) -> bool {
    flags.any(TcpFlags::SYN) && !flags.any(TcpFlags::ACK)
}

impl Outcome {
    /// What was done, in the words of actions.
    pub(crate) fn of(verdict: &Verdict) -> Self {
        let action = match verdict.effect {
            Effect::Pass | Effect::Silent => Action::Pass,
            Effect::Report => Action::Report,
            Effect::Terminate => Action::Terminate,
            Effect::TerminateAndBlock(_) => Action::TerminateAndBlock,
        };
        Outcome { action, would: verdict.would.map(|w| w.action), withheld: verdict.withheld }
    }
}
