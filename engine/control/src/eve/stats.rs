//! The `stats` event: the figures in Suricata's words where it has one, ours beside them.

use super::json::{Line, Object};
use super::scribe::Scribe;
use crate::config::EventType;
use crate::metrics::Figures;
use portcullis_capture::PortStatistics;
use portcullis_flow::StreamCounters;
use portcullis_types::{DropReason, Tick};
use portcullis_wire::Reject;

impl Scribe {
    /// The figures since the start.
    pub fn stats(&mut self, figures: &Figures, now: Tick, line: &mut Line) {
        let Some(mut root) = self.begin(line, EventType::Stats, now) else { return };
        let mut stats = root.object("stats");
        stats.number("uptime", figures.uptime.as_secs());
        capture(&mut stats.object("capture"), figures);
        decoder(&mut stats.object("decoder"), figures);
        let mut flow = stats.object("flow");
        flow.number("active", figures.sum(|l| l.flows.read()));
        flow.number("total", figures.sum(|l| l.flows_started.read()));
        flow.number("ended", figures.sum(|l| l.flows_ended.read()));
        flow.number("evicted", figures.sum(|l| l.flows_evicted.read()));
        drop(flow);
        tcp(&mut stats, figures);
        let mut detect = stats.object("detect");
        detect.number("alert", figures.sum(|l| l.findings.read()));
        detect.number("alerts_lost", figures.sum(|l| l.findings_lost.read()));
        detect.number("events", figures.sum(|l| l.events.read()));
        detect.number("faults", figures.sum(|l| l.faults.read()));
        drop(detect);
        ips(&mut stats.object("ips"), figures);
        let mut memory = stats.object("memory");
        memory.number("promised", figures.memory_promised);
        memory.number("resident", figures.memory_resident);
        drop(memory);
        let mut ours = stats.object("portcullis");
        ours.number("blocks", figures.blocks).number("exclusions", figures.exclusions);
        ours.number("breaker_trips", figures.breaker_trips);
        ours.number("events_written", figures.events.written);
        ours.number("events_failed", figures.events.failed);
        let lost = figures.events.lost + figures.sum(|l| l.reports_lost.read());
        ours.number("events_lost", lost);
    }
}

/// Reassembly, in Suricata's words; nothing where no lane reads behind the headers.
fn tcp(stats: &mut Object<'_>, figures: &Figures) {
    let Some(sessions) = figures.read_sum(|r| r.streams.started) else { return };
    let sum = |of: fn(&StreamCounters) -> u64| figures.read_sum(|r| of(&r.streams)).unwrap_or(0);
    let mut tcp = stats.object("tcp");
    tcp.number("sessions", sessions).number("active_sessions", sum(|s| s.live));
    tcp.number("midstream_pickups", sum(|s| s.midstream));
    tcp.number("segment_memcap_drop", sum(|s| s.full));
    tcp.number("reassembly_gap", sum(|s| s.gaps));
    tcp.number("overlap_diff_data", sum(|s| s.conflicts));
}

fn capture(capture: &mut Object<'_>, figures: &Figures) {
    let all = |of: fn(&PortStatistics) -> u64| -> u64 {
        figures.workers.iter().flat_map(|w| &w.source.ports).map(of).sum()
    };
    capture.number("kernel_packets", all(|p| p.received + p.kernel_dropped));
    capture.number("kernel_drops", all(|p| p.kernel_dropped));
    let mut xdp = capture.object("xdp");
    xdp.number("rx_dropped", all(|p| p.xdp.rx_dropped));
    xdp.number("rx_fill_ring_empty_descs", all(|p| p.xdp.rx_fill_ring_empty_descs));
    xdp.number("rx_invalid_descs", all(|p| p.xdp.rx_invalid_descs));
    xdp.number("rx_ring_full", all(|p| p.xdp.rx_ring_full));
    xdp.number("tx_invalid_descs", all(|p| p.xdp.tx_invalid_descs));
    xdp.number("tx_ring_empty_descs", all(|p| p.xdp.tx_ring_empty_descs));
}

fn decoder(decoder: &mut Object<'_>, figures: &Figures) {
    decoder.number("pkts", figures.sum(|l| l.frames_in.read()));
    decoder.number("bytes", figures.sum(|l| l.bytes_in.read()));
    decoder.number("untouched", figures.sum(|l| l.untouched.read()));
    let mut event = decoder.object("event");
    for (at, reject) in Reject::ALL.iter().enumerate() {
        let seen = figures.sum(|l| l.rejects.get(at).map_or(0, |cell| cell.read()));
        if seen != 0 {
            event.number(reject.name(), seen);
        }
    }
}

fn ips(ips: &mut Object<'_>, figures: &Figures) {
    ips.number("accepted", figures.sum(|l| l.forwarded.read()));
    let in_kernel: u64 = figures.kernel.iter().map(|(_, c)| c.dropped_blocked).sum();
    ips.number("blocked", figures.sum(|l| l.dropped_all()) + in_kernel);
    ips.number("rejected", figures.sum(|l| l.injected.read()));
    let mut reasons = ips.object("drop_reason");
    for reason in DropReason::ALL {
        let dropped = |l: &portcullis_pipeline::LaneCounters| {
            l.dropped.get(reason.index()).map_or(0, |cell| cell.read())
        };
        reasons.number(reason.name(), figures.sum(dropped));
    }
    reasons.number("blocked_in_kernel", in_kernel);
}
