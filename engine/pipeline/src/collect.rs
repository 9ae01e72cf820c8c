//! What lanes say during a window of a replay, collected to be told in the order of the frames.

use crate::outlet::Outlet;
use crate::replay::Audience;
use crate::report::Report;
use portcullis_detect::{HostEvent, PluginEvent};
use portcullis_enforce::BookEvent;
use portcullis_types::{Addr, BlockOrder, FrameIndex, PluginId, SegmentId, Tick, VlanStack};
use portcullis_verdict::Trip;

/// One lane's outlet in a replay.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) reports: Vec<(FrameIndex, Report)>,
    pub(crate) host_events: Vec<(FrameIndex, HostEvent)>,
    pub(crate) proven: Vec<(SegmentId, VlanStack, Addr, Tick)>,
}

impl Outlet for Collected {
    fn report(&mut self, frame: FrameIndex, report: Report) {
        self.reports.push((frame, report));
    }

    fn order(&mut self, _: BlockOrder) {
        // The replay takes orders from the verdicts themselves, in the order of the frames.
    }

    fn tripped(&mut self, _: PluginId, _: Trip) {
        // Alerts say that their blocks were withheld; nobody has to act on a capture at once.
    }

    fn host_event(&mut self, frame: FrameIndex, event: &HostEvent) {
        self.host_events.push((frame, *event));
    }

    fn proven(&mut self, segment: SegmentId, vlan: VlanStack, addr: Addr, at: Tick) {
        self.proven.push((segment, vlan, addr, at));
    }
}

/// What a whole window has to tell.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) reports: Vec<(FrameIndex, Report)>,
    blocks: Vec<(FrameIndex, BookEvent)>,
    pub(crate) plugins: Vec<(PluginId, PluginEvent)>,
}

impl Told {
    pub(crate) fn block(&mut self, frame: FrameIndex, event: BookEvent) {
        self.blocks.push((frame, event));
    }

    /// Tells everything in the order of the frames; within a frame reports before blocks, and what
    /// concerns no frame at the end.
    pub(crate) fn tell(mut self, audience: &mut impl Audience, now: Tick) {
        self.reports.sort_by_key(|(frame, _)| *frame);
        let mut blocks = self.blocks.into_iter().peekable();
        for (frame, report) in self.reports {
            while let Some((_, event)) = blocks.next_if(|(of, _)| *of < frame) {
                audience.block(event, now);
            }
            audience.report(report);
        }
        for (_, event) in blocks {
            audience.block(event, now);
        }
        for (plugin, event) in self.plugins {
            audience.plugin(plugin, event, now);
        }
    }
}
