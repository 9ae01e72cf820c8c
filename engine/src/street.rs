//! From a configuration to the parts of the street: sizes, seeds, and the sum of the memory.

use std::sync::Arc;

use portcullis_control::config::{
    Config, Midstream, OneSided, ResetProves, StreamMidstream, Urgent, WhenFull,
};
use portcullis_enforce::{AtLimit, BookConfig, Escalation};
use portcullis_flow::{
    DefragConfig, FlowConfig, Placement, Size, StreamConfig, StreamPickup, StreamPolicy, Timeouts,
};
use portcullis_pipeline::{ReadingConfig, StreamReading};

/// Graces that tables and book hold.
pub(crate) const GRACES_MAX: usize = 4_096;
/// Addresses whose proof is remembered.
pub(crate) const PROVEN_MAX: u32 = 1 << 18;

/// The flow table of one of `lanes` lanes.
pub(crate) fn flow_config(config: &Config, lanes: usize, seed: [u8; 16]) -> FlowConfig {
    let share = config.flow.memory / lanes.max(1) as u64;
    let flow = &config.flow;
    let mut made = FlowConfig::with_size(Size::Bytes(share), seed);
    made.timeouts = Timeouts {
        tcp_new: flow.tcp_new,
        tcp_established: flow.tcp_established,
        tcp_closed: flow.tcp_closed,
        udp_new: flow.udp_new,
        udp_established: flow.udp_established,
        icmp_new: flow.icmp_new,
        icmp_established: flow.icmp_established,
        default_new: flow.other_new,
        default_established: flow.other_established,
    };
    made.midstream = match flow.midstream {
        Midstream::Accept => portcullis_flow::Midstream::Accept,
        Midstream::Strict => portcullis_flow::Midstream::Strict,
    };
    made.reset_proves = match flow.reset_proves {
        ResetProves::Neighbours => portcullis_flow::ResetProves::Neighbours,
        ResetProves::Always => portcullis_flow::ResetProves::Always,
        ResetProves::Never => portcullis_flow::ResetProves::Never,
    };
    made.when_full = match flow.when_full {
        WhenFull::EvictOldest => portcullis_flow::WhenFull::EvictOldest,
        WhenFull::Refuse => portcullis_flow::WhenFull::Refuse,
    };
    made
}

/// Datagrams in pieces of one of `lanes` lanes.
pub(crate) fn defrag_config(config: &Config, lanes: usize) -> DefragConfig {
    let (flow, defaults) = (&config.flow, DefragConfig::default());
    let bytes = flow.fragment_memory / lanes.max(1) as u64;
    let fragments = u32::try_from(bytes / 512).unwrap_or(u32::MAX);
    DefragConfig {
        datagrams: (flow.fragments / u32::try_from(lanes.max(1)).unwrap_or(1)).max(64),
        bytes,
        fragments: fragments.max(2 * defaults.fragments_per_datagram),
        timeout_v4: flow.fragment_timeout_v4,
        timeout_v6: flow.fragment_timeout_v6,
        ..defaults
    }
}

/// How streams are read.
pub(crate) fn stream_reading(config: &Config, placement: Placement) -> StreamReading {
    let streams = &config.streams;
    let policy = StreamPolicy {
        placement,
        depth: streams.depth,
        midstream: match streams.midstream {
            StreamMidstream::Read => StreamPickup::Read,
            StreamMidstream::Packets | StreamMidstream::Pass => StreamPickup::Pass,
            StreamMidstream::Drop => StreamPickup::Drop,
        },
        one_sided: match streams.one_sided {
            OneSided::Read => portcullis_flow::OneSided::Read,
            OneSided::Packets => portcullis_flow::OneSided::Pass,
        },
        urgent: match streams.urgent {
            Urgent::Inline => portcullis_flow::Urgent::Inline,
            Urgent::OutOfBand => portcullis_flow::Urgent::OutOfBand,
        },
        ..StreamPolicy::default()
    };
    StreamReading { policy, midstream_unseen: streams.midstream == StreamMidstream::Pass }
}

/// What one of `lanes` lanes reads behind the headers.
pub(crate) fn reading_config(
    config: &Config,
    flows: &FlowConfig,
    lanes: usize,
    placement: Placement,
) -> ReadingConfig {
    let streams = &config.streams;
    let share = |n: u64| n / lanes.max(1) as u64;
    let capacity = flows.capacity();
    let count = u32::try_from(share(u64::from(streams.max))).unwrap_or(u32::MAX);
    let defaults = StreamConfig::default();
    let reading = stream_reading(config, placement);
    ReadingConfig {
        flows: capacity,
        streams: StreamConfig {
            flows: capacity,
            streams: count.clamp(64, capacity.max(64)),
            bytes: share(streams.memory),
            segments: u32::try_from(share(streams.memory) / 512)
                .unwrap_or(u32::MAX)
                .min(defaults.segments),
            ..defaults
        },
        policy: reading.policy,
        midstream_unseen: reading.midstream_unseen,
        targets: streams.receivers(),
        limits: Arc::new(config.decode.limits(&config.events.file_hashes)),
        conversation_bytes: usize::try_from(share(streams.conversations)).unwrap_or(usize::MAX),
    }
}

/// How the book is set up.
pub(crate) fn book_config(config: &Config) -> BookConfig {
    let blocks = &config.blocks;
    BookConfig {
        capacity: blocks.max as usize,
        graces: GRACES_MAX,
        escalation: Escalation {
            factors: blocks.escalation.iter().map(|f| u32::from(*f)).collect(),
            memory: blocks.escalation_memory,
        },
        raise_at: u32::from(blocks.raise_v6_after),
        at_limit: AtLimit::Refuse,
        ..BookConfig::default()
    }
}
