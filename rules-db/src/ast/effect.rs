//! What happens when a rule matches, and how often it is told.

use super::{FlowintValue, TrackedAddresses, XbitTrack};

/// One thing that happens on a match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// `flowbits:set`, `unset`, `toggle`.
    Flowbits {
        /// The bits' names.
        names: Vec<String>,
        /// What is done with each.
        change: BitChange,
    },
    /// `xbits:set`, `unset`, `toggle`, and `hostbits`.
    Xbits {
        /// The bit's name.
        name: String,
        /// Whose.
        track: XbitTrack,
        /// What is done.
        change: BitChange,
        /// `expire` in seconds (30 where not given).
        expire: u32,
    },
    /// `flowint` with `=`, `+`, `-`.
    Flowint {
        /// The flowint.
        name: String,
        /// What is done.
        change: FlowintChange,
        /// With what.
        value: FlowintValue,
    },
    /// `tag`: the packets that follow are kept.
    Tag(Tag),
    /// `bypass`: the rest of the flow is not inspected.
    Bypass,
    /// `filestore`.
    FileStore {
        /// Which way; `None`: the match's.
        direction: StoreDirection,
        /// How far.
        scope: StoreScope,
    },
    /// `tls_store`: keep the certificates.
    TlsStore,
    /// `config`: what it says, e.g. `logging disable, type tx, scope tx`.
    Configure(Configure),
}

/// What is done with a bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum BitChange {
    /// Set.
    Set,
    /// Clear.
    Unset,
    /// The other.
    Toggle,
}

/// What is done with a flowint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum FlowintChange {
    /// `=`.
    Set,
    /// `+`; from 0 where it is not set.
    Add,
    /// `-`; never below 0.
    Subtract,
}

/// `tag`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Tag {
    /// The session's packets, or a host's.
    pub what: Tagged,
    /// How many.
    pub count: u32,
    /// Of what.
    pub metric: TagMetric,
}

/// Whose packets are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Tagged {
    /// The flow's.
    Session,
    /// Of the packet's source.
    Source,
    /// Of the packet's destination.
    Destination,
}

/// What `tag` counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum TagMetric {
    /// Packets.
    Packets,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// Which way's files are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum StoreDirection {
    /// That of the match.
    #[default]
    Match,
    /// To the server.
    ToServer,
    /// To the client.
    ToClient,
    /// Both.
    Both,
}

/// Which files are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum StoreScope {
    /// The one that matched.
    #[default]
    File,
    /// All of the transaction.
    Transaction,
    /// All of the flow.
    Flow,
}

/// `config`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Configure {
    /// What is switched off.
    pub subsystem: ConfigureWhat,
    /// For what.
    pub scope: ConfigureScope,
}

/// What `config` switches off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ConfigureWhat {
    /// `logging disable`: no records.
    Logging,
    /// `tracking disable`: not followed at all.
    Tracking,
}

/// How far `config` reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ConfigureScope {
    /// This transaction.
    Transaction,
    /// This flow.
    Flow,
    /// This packet.
    Packet,
}

/// What matches are counted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Track {
    /// The packet's source address.
    Source,
    /// Its destination address.
    Destination,
    /// `by_either`, only for suppress: source or destination.
    Either,
    /// Both addresses.
    Both,
    /// The rule alone.
    Rule,
    /// The flow.
    Flow,
}

/// How often a match is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum ThresholdKind {
    /// The first `count` in each span.
    Limit,
    /// Every `count`-th in a span.
    Threshold,
    /// Once in a span, at the `count`-th.
    Both,
    /// At the `count`-th, then each time `multiplier` times as many; no span.
    Backoff,
}

/// `threshold`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Threshold {
    /// How.
    pub kind: ThresholdKind,
    /// By what.
    pub track: Track,
    /// Matches, from 1.
    pub count: u32,
    /// The span; 0 for `Backoff`.
    pub seconds: u32,
    /// Of `Backoff`, from 2; else 0.
    pub multiplier: u32,
}

/// `detection_filter`: the rule matches from the `count + 1`-th match in a span on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct DetectionFilter {
    /// By what.
    pub track: Track,
    /// Matches that are let go, from 1.
    pub count: u32,
    /// The span.
    pub seconds: u32,
}

/// What a rate filter changes a rule's action to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum NewAction {
    /// Alert.
    Alert,
    /// Drop.
    Drop,
    /// Reject.
    Reject,
    /// Pass.
    Pass,
}

/// `rate_filter`: a rule that matches `count` times in a span has another action for a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct RateFilter {
    /// By what.
    pub track: Track,
    /// Matches.
    pub count: u32,
    /// The span.
    pub seconds: u32,
    /// The other action.
    pub action: NewAction,
    /// For how many seconds.
    pub timeout: u32,
}

/// `suppress`: the match is not told (effects happen).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suppression {
    /// For whom; `None`: for all.
    pub only: Option<TrackedAddresses>,
}
