//! Figures as families: which name, which labels.

use super::exposition::{Family, Kind, Sample};
use super::latency::BOUNDS_US;
use super::{Figures, WorkerFigures};
use portcullis_capture::{PortStatistics, XdpStatistics};
use portcullis_detect::{FaultKind, Refusal};
use portcullis_pipeline::LaneCounters;
use portcullis_types::{DropReason, PortSide};
use portcullis_wire::Reject;

pub(super) type Labels = Vec<(&'static str, String)>;

/// Scalar counters of a lane that come and go.
const LANE_GAUGES: [&str; 2] = ["flows", "fragment_bytes"];

/// Families being gathered. A name's samples must stand together, so each is one call.
#[derive(Default)]
pub(super) struct Gathering(Vec<Family>);

impl Gathering {
    pub(super) fn add(
        &mut self,
        name: &str,
        help: &str,
        kind: Kind,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let sample = |(labels, value)| Sample { suffix: "", labels, value };
        self.0.push(Family {
            name: format!("portcullis_{name}"),
            help: help.into(),
            kind,
            samples: samples.into_iter().map(sample).collect(),
        });
    }

    fn one(&mut self, name: &str, help: &str, kind: Kind, value: f64) {
        self.add(name, help, kind, [(Vec::new(), value)]);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.one(name, help, Kind::Counter, float(value));
    }

    /// Counters that differ in one label.
    fn counters<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = (&'v str, u64)>,
    ) {
        let row = |(value, n): (&str, u64)| (vec![(label, value.to_owned())], float(n));
        self.add(name, help, Kind::Counter, values.into_iter().map(row));
    }
}

/// Prometheus' numbers are floats; beyond 2^53 the last digits go, as with every exporter.
#[allow(clippy::cast_precision_loss, reason = "the format has no other numbers")]
pub(super) fn float(n: u64) -> f64 {
    n as f64
}

impl Figures {
    /// Every family, those without samples too.
    pub fn families(&self) -> Vec<Family> {
        let mut to = Gathering::default();
        let version = vec![("version", self.version.clone())];
        to.add("build_info", "The engine's version.", Kind::Gauge, [(version, 1.0)]);
        let uptime = self.uptime.as_secs_f64();
        to.one("uptime_seconds", "Since the start.", Kind::Gauge, uptime);
        self.lanes(&mut to);
        self.ports(&mut to);
        self.kernel_program(&mut to);
        self.flow_tables(&mut to);
        self.reading_families(&mut to);
        self.rule_set(&mut to);
        self.detectors(&mut to);
        self.blocked(&mut to);
        self.disks(&mut to);
        let (promised, resident) = (float(self.memory_promised), float(self.memory_resident));
        let help = "Most memory that the engine will use, as promised at the start.";
        to.one("memory_promised_bytes", help, Kind::Gauge, promised);
        to.one("memory_resident_bytes", "Memory resident now.", Kind::Gauge, resident);
        to.0
    }

    fn rule_set(&self, to: &mut Gathering) {
        let of = |value: u64| {
            self.rules.iter().map(move |set| (vec![("set", set.hash.to_string())], float(value)))
        };
        let (count, refused) = self.rules.as_ref().map_or((0, 0), |s| (s.count.into(), s.refused));
        to.add("rules_loaded", "Rules at work.", Kind::Gauge, of(count));
        let help = "Rules of the set at work that were refused.";
        to.add("rules_refused", help, Kind::Gauge, of(refused as u64));
        let help = "Swaps of the rules since the start.";
        to.one("rules_swapped_total", help, Kind::Counter, float(self.rules_swapped));
    }

    fn lanes(&self, to: &mut Gathering) {
        let each = |of: &dyn Fn(&WorkerFigures) -> u64| {
            self.workers.iter().map(|w| (w.labels(), float(of(w)))).collect::<Vec<_>>()
        };
        let named = LaneCounters::default().named();
        for (at, ((name, _), help)) in named.iter().zip(LaneCounters::MEANINGS).enumerate() {
            let value = |w: &WorkerFigures| w.lane.named().get(at).map_or(0, |(_, n)| *n);
            let (kind, suffix) = match LANE_GAUGES.contains(name) {
                true => (Kind::Gauge, ""),
                false => (Kind::Counter, "_total"),
            };
            to.add(&format!("lane_{name}{suffix}"), help.trim(), kind, each(&value));
        }
        let table = |w: &WorkerFigures| w.blocks;
        to.add("lane_blocks", "Blocks in a worker's table.", Kind::Gauge, each(&table));
        let cpu = self.workers.iter().map(|w| (w.labels(), w.cpu.as_secs_f64()));
        to.add("lane_cpu_seconds_total", "Processor time of workers.", Kind::Counter, cpu);
        let shards = self.shards.iter().enumerate();
        let shards = shards.map(|(n, t)| (vec![("shard", n.to_string())], t.as_secs_f64()));
        let help = "Processor time of the threads of host-scope detectors.";
        to.add("shard_cpu_seconds_total", help, Kind::Counter, shards);
        let dropped = self.workers.iter().flat_map(|w| {
            DropReason::ALL
                .iter()
                .zip(&w.lane.dropped)
                .map(|(reason, cell)| (w.labelled("reason", reason.name()), float(cell.read())))
        });
        to.add("lane_dropped_total", "Frames not sent on.", Kind::Counter, dropped);
        // 120 names for each worker: only those that were seen.
        let rejects = self.workers.iter().flat_map(|w| {
            let seen = Reject::ALL.iter().zip(&w.lane.rejects).filter(|(_, cell)| cell.read() != 0);
            seen.map(|(r, cell)| (w.labelled("reject", r.name()), float(cell.read())))
        });
        let help = "Frames with that malformation or oddity.";
        to.add("lane_rejects_total", help, Kind::Counter, rejects);
    }

    fn ports(&self, to: &mut Gathering) {
        type Port = fn(&PortStatistics) -> u64;
        let rows: [(&str, &str, Port); 8] = [
            ("received_total", "Frames received.", |p| p.received),
            ("received_bytes_total", "Bytes received.", |p| p.received_bytes),
            ("transmitted_total", "Frames sent.", |p| p.transmitted),
            ("transmitted_bytes_total", "Bytes sent.", |p| p.transmitted_bytes),
            ("transmit_full_total", "Frames refused by a full transmit side.", |p| p.transmit_full),
            ("oversize_total", "Frames too long for a slot.", |p| p.oversize),
            ("link_down_total", "Times that the link went down.", |p| p.link_down),
            ("kernel_dropped_total", "Frames the kernel dropped first.", |p| p.kernel_dropped),
        ];
        for (name, help, of) in rows {
            let samples = self.each_port().map(|(labels, port)| (labels, float(of(port))));
            to.add(&format!("capture_{name}"), help, Kind::Counter, samples);
        }
        type Xdp = fn(&XdpStatistics) -> u64;
        let kinds: [(&str, Xdp); 6] = [
            ("rx_dropped", |x| x.rx_dropped),
            ("rx_fill_ring_empty_descs", |x| x.rx_fill_ring_empty_descs),
            ("rx_invalid_descs", |x| x.rx_invalid_descs),
            ("rx_ring_full", |x| x.rx_ring_full),
            ("tx_invalid_descs", |x| x.tx_invalid_descs),
            ("tx_ring_empty_descs", |x| x.tx_ring_empty_descs),
        ];
        for (name, of) in kinds {
            let help = "Counter of the AF_XDP sockets; zero is healthy.";
            let samples = self.each_port().map(|(labels, port)| (labels, float(of(&port.xdp))));
            to.add(&format!("xdp_{name}_total"), help, Kind::Counter, samples);
        }
        let unreadable = self.workers.iter().map(|w| (w.labels(), float(w.source.unreadable)));
        let help = "Frames of a capture that cannot be read.";
        to.add("capture_unreadable_total", help, Kind::Counter, unreadable);
        let home = self.workers.iter().map(|w| (w.labels(), float(w.source.returned_home)));
        let help = "Frames that another worker disposed of and sent home.";
        to.add("capture_returned_home_total", help, Kind::Counter, home);
        let in_hand = self.workers.iter().map(|w| (w.labels(), float(w.source.in_hand)));
        to.add("capture_in_hand", "Frames in the source's hand.", Kind::Gauge, in_hand);
    }

    fn each_port(&self) -> impl Iterator<Item = (Labels, &PortStatistics)> {
        self.workers.iter().flat_map(|w| {
            let sides = [PortSide::A, PortSide::B].into_iter().zip(&w.ports);
            let sides = sides.filter(|(_, name)| !name.is_empty());
            sides.map(|(side, name)| (w.labelled("port", name), w.source.port(side)))
        })
    }

    fn kernel_program(&self, to: &mut Gathering) {
        let rows = self.kernel.iter().flat_map(|(port, c)| {
            let outcomes = [
                ("block_expired", c.block_expired),
                ("bypassed_open", c.bypassed_open),
                ("bypassed_operator", c.bypassed_operator),
                ("dropped_blocked", c.dropped_blocked),
                ("dropped_closed", c.dropped_closed),
                ("no_heartbeat", c.no_heartbeat),
                ("no_socket", c.no_socket),
                ("redirected", c.redirected),
                ("too_many_tags", c.too_many_tags),
            ];
            let labels =
                move |reason: &str| vec![("port", port.clone()), ("reason", reason.to_owned())];
            outcomes.map(|(reason, n)| (labels(reason), float(n)))
        });
        to.add("kernel_frames_total", "Frames in the kernel program.", Kind::Counter, rows);
    }

    fn flow_tables(&self, to: &mut Gathering) {
        let ended =
            self.workers.iter().filter_map(|w| w.flow.map(|f| (w, f))).flat_map(|(w, f)| {
                let reasons = [
                    ("closed", f.ended_closed),
                    ("evicted_proven", f.evicted_proven),
                    ("evicted_replied", f.evicted_replied),
                    ("evicted_spent", f.evicted_spent),
                    ("evicted_unproven", f.evicted_unproven),
                    ("shutdown", f.ended_shutdown),
                    ("timeout", f.ended_timeout),
                ];
                reasons.map(|(reason, n)| (w.labelled("reason", reason), float(n)))
            });
        to.add("flow_ended_total", "Flows ended.", Kind::Counter, ended);
        let rows = self.workers.iter().filter_map(|w| w.flow.map(|f| (w, f))).flat_map(|(w, f)| {
            let reasons = [
                ("emergency", f.emergencies),
                ("fragment_followed", f.fragment_followed),
                ("icmp_stray", f.icmp_stray),
                ("midstream", f.midstream),
                ("proven", f.proven),
                ("refused", f.refused),
                ("reset_unproven", f.resets_unproven),
                ("wrong_port", f.wrong_port),
            ];
            reasons.map(|(reason, n)| (w.labelled("reason", reason), float(n)))
        });
        to.add("flow_events_total", "What befell flow tables.", Kind::Counter, rows);
    }

    fn detectors(&self, to: &mut Gathering) {
        type Seat = fn(&portcullis_detect::SeatCounters) -> u64;
        let rows: [(&str, &str, Seat); 10] = [
            ("events_total", "Events shown.", |s| s.events),
            ("batches_total", "Batches run.", |s| s.batches),
            ("fuel_total", "Fuel used: the local measure of cost.", |s| s.fuel),
            ("verdicts_total", "Verdicts taken.", |s| s.verdicts),
            ("lost_total", "Results that found no room in the guest.", |s| s.lost),
            ("dones_refused_total", "Dones that named no event.", |s| s.dones_refused),
            ("unjudged_total", "Events not shown: resting or muted.", |s| s.unjudged),
            ("paused_total", "Events with hits not shown: it had paused the flow.", |s| s.paused),
            ("slotless_total", "Flows shown without a slot.", |s| s.slotless),
            ("events_lost_total", "Events about the plugin that found no room.", |s| s.events_lost),
        ];
        for (name, help, of) in rows {
            let samples = self.plugins.iter().map(|p| (p.name.to_string(), of(&p.seat)));
            let samples: Vec<(String, u64)> = samples.collect();
            let samples = samples.iter().map(|(name, n)| (name.as_str(), *n));
            to.counters(&format!("plugin_{name}"), help, "plugin", samples);
        }
        let pair = |plugin: &str, reason: &str| {
            vec![("plugin", plugin.to_owned()), ("reason", reason.to_owned())]
        };
        let faults = self.plugins.iter().flat_map(|p| {
            FaultKind::ALL
                .iter()
                .zip(p.seat.faults)
                .map(|(k, n)| (pair(&p.name, k.name()), float(n)))
        });
        to.add("plugin_faults_total", "Events not judged for a fault.", Kind::Counter, faults);
        let refused = self.plugins.iter().flat_map(|p| {
            Refusal::ALL
                .iter()
                .zip(p.seat.refused)
                .map(|(r, n)| (pair(&p.name, r.name()), float(n)))
        });
        to.add("plugin_refused_total", "Verdicts refused.", Kind::Counter, refused);
        let info = self.plugins.iter().map(|p| {
            (vec![("plugin", p.name.to_string()), ("version", p.version.to_string())], 1.0)
        });
        to.add("plugin_info", "The version at work.", Kind::Gauge, info);
        #[allow(clippy::cast_precision_loss, reason = "the format has no other numbers")]
        let own = self.plugins.iter().flat_map(|p| {
            let labels =
                |name: &str| vec![("plugin", p.name.to_string()), ("metric", name.to_owned())];
            p.own.iter().map(move |(name, n)| (labels(name), *n as f64)).collect::<Vec<_>>()
        });
        to.add("plugin_metric", "The plugin's own metrics.", Kind::Gauge, own);
    }

    fn blocked(&self, to: &mut Gathering) {
        let b = &self.book;
        to.one("blocks", "Blocks in force.", Kind::Gauge, float(self.blocks));
        let help = "What happened to the list of blocks.";
        to.counters(
            "blocks_events_total",
            help,
            "reason",
            [
                ("blocked", b.blocked),
                ("counts_stray", b.counts_stray),
                ("displaced", b.displaced),
                ("moved", b.moved),
                ("offences_forgotten", b.offences_forgotten),
                ("raised", b.raised),
                ("refused_full", b.refused_full),
                ("refused_grace", b.refused_grace),
                ("refused_other", b.refused_other),
                ("unblocked", b.unblocked),
            ],
        );
        let exclusions = float(self.exclusions);
        to.one("exclusions", "Exclusion rows in force.", Kind::Gauge, exclusions);
        to.counter("breaker_trips_total", "Trips of the breaker.", self.breaker_trips);
        to.counter(
            "segments_reopened_total",
            "Segments opened again whose port had gone and come back.",
            self.segments_reopened,
        );
        let help = "Blocks that the breaker withheld.";
        to.counter("breaker_refused_total", help, self.breaker_refused);
        let orders = self.enforcers.iter().flat_map(|(name, c)| {
            let outcomes = [
                ("done", c.done),
                ("failed", c.failed),
                ("full", c.full),
                ("not_mine", c.not_mine),
            ];
            let labels = move |reason: &str| {
                vec![("backend", (*name).to_owned()), ("reason", reason.to_owned())]
            };
            outcomes.map(|(reason, n)| (labels(reason), float(n)))
        });
        to.add("enforcer_orders_total", "Orders to backends.", Kind::Counter, orders);
        to.0.push(self.latency());
    }

    fn latency(&self) -> Family {
        let mut samples = Vec::new();
        let mut so_far = 0;
        let ends = BOUNDS_US.iter().map(|us| (float(*us) / 1e6).to_string());
        for (end, n) in ends.chain(["+Inf".to_owned()]).zip(self.kernel_latency.buckets) {
            so_far += n;
            let labels = vec![("le", end)];
            samples.push(Sample { suffix: "_bucket", labels, value: float(so_far) });
        }
        let sum = self.kernel_latency.sum.as_secs_f64();
        samples.push(Sample { suffix: "_sum", labels: Vec::new(), value: sum });
        samples.push(Sample { suffix: "_count", labels: Vec::new(), value: float(so_far) });
        Family {
            name: "portcullis_kernel_block_latency_seconds".into(),
            help: "From a block's verdict to the kernel's map.".into(),
            kind: Kind::Histogram,
            samples,
        }
    }

    fn disks(&self, to: &mut Gathering) {
        let j = &self.journal;
        for (name, help, n) in [
            ("synced", "Orders on the disk.", j.synced),
            ("flushes", "Flushes.", j.flushes),
            ("failures", "Writes and flushes that failed.", j.failures),
            ("refused", "Submissions refused.", j.refused),
            ("compactions", "Compactions.", j.compactions),
        ] {
            to.counter(&format!("journal_{name}_total"), help, n);
        }
        to.one("journal_file_bytes", "Size of the journal.", Kind::Gauge, float(j.bytes));
        let e = &self.events;
        to.counter("events_written_total", "Events in the log.", e.written);
        to.counter("events_lost_total", "Events lost when the engine ended.", e.lost);
        to.counter("events_failures_total", "Writes of the event log that failed.", e.failed);
    }
}

impl WorkerFigures {
    pub(super) fn labels(&self) -> Labels {
        vec![("segment", self.segment.to_string()), ("worker", self.worker.to_string())]
    }

    fn labelled(&self, label: &'static str, value: &str) -> Labels {
        let mut labels = self.labels();
        labels.push((label, value.to_owned()));
        labels
    }
}
