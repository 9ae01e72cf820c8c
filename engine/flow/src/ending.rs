//! How flows end, and who is told.

use crate::admit::is_over_state;
use crate::config::Class;
use crate::flow::{EndReason, Flow, FlowId, Rank, mark};
use crate::table::{ENDED_MAX, FREE, FlowTable, PendingEnd, Pressure};
use portcullis_types::Tick;

/// Active flows that the emergency sweep passes over per rank and call before it gives up.
const PASSED_MAX: usize = 8;

impl FlowTable {
    /// Ends flows whose time is up: looks at no more than `budget` flows, so that a burst never
    /// pays for more. Flows that ended earlier, to make place or
    /// because another began between the same ends, are told first and cost nothing.
    pub fn expire(
        &mut self,
        now: Tick,
        budget: usize,
        ended: &mut impl FnMut(FlowId, &Flow, EndReason),
    ) {
        self.take_ended(ended);
        self.weigh();
        let mut left = budget;
        while left > 0 {
            let Some(slot) = self.wheel.next_due(now) else { break };
            left -= 1;
            let Some(flow) = self.flows.get(slot as usize) else { continue };
            let deadline = self.deadline(flow);
            if now >= deadline {
                let (id, flow, reason) = self.retire(slot, self.reason_when_over(slot));
                ended(id, &flow, reason);
            } else {
                self.wheel.insert(slot, deadline);
            }
        }
        if self.pressure == Pressure::Emergency {
            self.sweep_emergency(now, left, ended);
        }
    }

    /// Tells of flows that ended while packets were admitted. Nothing to do in most bursts.
    #[inline]
    pub fn take_ended(&mut self, ended: &mut impl FnMut(FlowId, &Flow, EndReason)) {
        for (id, flow, reason) in self.ended.drain(..) {
            ended(id, &flow, reason);
        }
    }

    /// Ends all flows, in the order of their slots: the input or the engine ends.
    pub fn drain(&mut self, ended: &mut impl FnMut(FlowId, &Flow, EndReason)) {
        self.take_ended(ended);
        for slot in 0..self.capacity() {
            if self.flows.get(slot as usize).is_some_and(|flow| flow.has(mark::LIVE)) {
                let (id, flow, reason) = self.retire(slot, EndReason::Shutdown);
                ended(id, &flow, reason);
            }
        }
    }

    /// From nine tenths full the emergency timeouts hold, until the table is seven tenths full:
    /// Suricata frees 30 % as well before it calms down (`emergency-recovery`).
    fn weigh(&mut self) {
        let (live, room) = (self.counters.live, u64::from(self.capacity()));
        match self.pressure {
            Pressure::Calm if live * 10 >= room * 9 => {
                self.pressure = Pressure::Emergency;
                self.counters.emergencies += 1;
            }
            Pressure::Emergency if live * 10 <= room * 7 => self.pressure = Pressure::Calm,
            _ => {}
        }
    }

    /// Ends what the emergency timeouts no longer spare, least worth first. Spent and unproven
    /// flows lie in the order of their age, so the first that stays ends the search; of the others
    /// those that were active get a second chance at the back, which makes the front the least
    /// recently used one, more or less.
    fn sweep_emergency(
        &mut self,
        now: Tick,
        budget: usize,
        ended: &mut impl FnMut(FlowId, &Flow, EndReason),
    ) {
        let mut left = budget;
        for rank in [Rank::Spent, Rank::Unproven, Rank::Replied, Rank::Proven] {
            let head = u32::from(rank as u16);
            let mut passed = 0;
            while left > 0 && passed < PASSED_MAX {
                let Some(slot) = self.ranks.front(head) else { break };
                left -= 1;
                if self.is_over_in_emergency(slot, now) {
                    let (id, flow, reason) = self.retire(slot, self.reason_when_over(slot));
                    ended(id, &flow, reason);
                } else if rank <= Rank::Unproven {
                    break;
                } else {
                    self.ranks.unlink(slot);
                    self.ranks.push_back(head, slot);
                    passed += 1;
                }
            }
        }
    }

    fn is_over_in_emergency(&self, slot: u32, now: Tick) -> bool {
        self.flows.get(slot as usize).is_some_and(|flow| {
            let class = Class::of(flow) as usize;
            let timeout = self.emergency_timeouts.get(class).copied().unwrap_or(0);
            now.0 >= flow.last.0.saturating_add(timeout)
        })
    }

    /// Why a flow that is past its time has ended.
    pub(crate) fn reason_when_over(&self, slot: u32) -> EndReason {
        match self.flows.get(slot as usize) {
            Some(flow) if is_over_state(flow.state) => EndReason::Closed,
            _ => EndReason::Timeout,
        }
    }

    /// Ends a flow; it waits to be taken.
    pub(crate) fn end(&mut self, slot: u32, reason: EndReason) {
        let ended = self.retire(slot, reason);
        if self.ended.len() < ENDED_MAX {
            self.ended.push(ended);
        } else {
            self.counters.ended_lost += 1;
        }
    }

    /// Takes a flow out of everything; its slot is free and its id stale.
    fn retire(&mut self, slot: u32, reason: EndReason) -> PendingEnd {
        let Some(place) = self.flows.get_mut(slot as usize) else {
            return (FlowId::default(), Flow::default(), reason);
        };
        let flow = *place;
        place.marks = 0;
        place.generation = place.generation.wrapping_add(1);
        self.index.remove(flow.key.hash(&self.hash), slot);
        self.wheel.remove(slot);
        self.ranks.unlink(slot);
        self.ranks.push_front(FREE, slot);
        self.counters.live -= 1;
        match reason {
            EndReason::Closed => self.counters.ended_closed += 1,
            EndReason::Shutdown => self.counters.ended_shutdown += 1,
            EndReason::Timeout => self.counters.ended_timeout += 1,
            // Counted by rank, where the choice is made.
            EndReason::Evicted => {}
        }
        (FlowId { index: slot, generation: flow.generation }, flow, reason)
    }
}
