//! What a detector vendor imports: one trait, one macro, and never a pointer.
//!
//! # A complete detector
//!
//! `plugin.toml` says what the detector is, what it wants to see and what it may say. The host
//! reads it from the compiled module **without running any code**:
//!
//! ```toml
//! name = "telnet-watch"
//! vendor = "Example Ltd"
//! version = "1.0.0"
//! abi = 1
//! classes = ["suspicious"]
//! scope = "flow"                    # inline; "host" sees many flows, on a thread of its own
//! events = ["flow-established"]
//! protocols = ["tcp"]
//! ports = [23, "2300-2399"]         # of the server
//! gid = 4001
//! sids = [1, 9]
//! max_action = "report"
//!
//! [[rule]]
//! sid = 1
//! rev = 1
//! message = "A telnet session to a protected machine"
//! class = "suspicious"
//! category = "other"
//! severity = "low"
//! confidence = "high"
//! action = "report"
//! offender = "client"
//! target = "server"
//! ```
//!
//! `src/lib.rs`, with `crate-type = ["cdylib", "rlib"]` and this crate as the only dependency:
//!
//! ```no_run
//! use portcullis_plugin_sdk::{Detector, DoneScope, EventKind, EventView, Findings, Init};
//!
//! /// Reports telnet sessions to protected machines.
//! pub struct TelnetWatch;
//!
//! impl Detector for TelnetWatch {
//!     fn new(_init: &Init<'_>) -> Self {
//!         TelnetWatch
//!     }
//!
//!     fn on_event(&mut self, event: &EventView<'_>, out: &mut Findings<'_>) {
//!         if event.kind() == Some(EventKind::FlowEstablished) && event.server_inside() {
//!             out.find(1).text(format_args!("from {}", event.client())).send();
//!             out.done(DoneScope::Flow);
//!         }
//!     }
//! }
//!
//! # #[cfg(any())]
//! portcullis_plugin_sdk::export_detector!(TelnetWatch, include_bytes!("../plugin.toml"));
//! ```
//!
//! `cargo build --release --target wasm32-unknown-unknown` gives the plugin; with
//! `RUSTFLAGS=-Ctarget-feature=+simd128` searches take sixteen bytes at a time. The same source
//! compiles natively: the macro also makes `pub const MANIFEST` and `pub fn native()`, and
//! `portcullis-testkit` runs both on the files in `cases/` and asserts that they say the same.
//!
//! # The whole manifest
//!
//! | key | default | meaning |
//! |---|---|---|
//! | `name`, `vendor`, `version` | – | who; names are `a-z0-9-` |
//! | `abi` | – | 1 |
//! | `classes` | – | `"attack"`, `"suspicious"`, or both |
//! | `scope` | – | `"flow"` or `"host"` |
//! | `shard` | `"none"` | host scope: `"source"`, `"target"` (client, server address) or `"none"` |
//! | `events` | – | names of [`EventKind`]: `"packet"`, `"flow-start"`, `"flow-reply"`, … |
//! | `protocols` | all | `"tcp"`, `"udp"`, `"icmp"`, `"icmpv6"`, `"arp"` (0), or numbers |
//! | `packet_protocols` | as `protocols` | for `"packet"` alone: `["arp"]` beside flows of TCP |
//! | `ports` | all | server ports: numbers or `"from-to"`; TCP, UDP, SCTP; not for anomalies |
//! | `anomalies` | all | names of anomalies, where `events` has `"anomaly"`; any protocol, port |
//! | `applications` | all | of streams and transactions: `"http"`, `"tls"`, `"unknown"`, … |
//! | `snap` | 0 | bytes wanted of each buffer, e.g. of a packet's payload, at most 65,535 |
//! | `[snaps]` | as `snap` | by kind of buffer: `"http.uri" = 1024` |
//! | `only_hits` | false | packets, streams, transactions only where a pattern was found |
//! | `section` | – | rules, beside those here, and patterns come from this section |
//! | `memory_mib` | 16 | more needs a grant |
//! | `fuel` | 100,000 | units for one event (about 10–30 µs) |
//! | `fuel_init`, `fuel_tick` | 100 M, 10 M | units for init and for a tick |
//! | `flow_state`, `schema` | 0, 1 | bytes of a flow slot (0–256); its schema version |
//! | `tick_ms` | 0 = none | cadence of [`Detector::on_tick`]; at least 10 |
//! | `capabilities` | none | `"count"`, `"bit"`, `"log"`, `"metric"`, `"random"`, … |
//! | `metrics` | none | names of the metrics, by index |
//! | `max_action` | `"report"` | the most that any rule asks for |
//! | `gid`, `sids` | – | generator and `[first, last]` rule |
//! | `[[rule]]` | – | what one rule says; see below |
//! | `[[pattern]]`, `[[regex]]` | none | what the host looks for on the plugin's behalf; below |
//!
//! `protocols` narrows packets and what happens to flows, not anomalies.
//!
//! A `[[rule]]` has `sid`, `rev`, `message`, `class`, `category`, `severity`, `confidence`,
//! `action`, `offender` and `target` (`"nobody"`, `"client"`, `"server"`, `"source"`,
//! `"destination"`, `"given"`, `"given-mac"`), and, if wanted, `reach` (`"flow"`),
//! `attack = ["T1046"]`, `references` and `forgeable = true`: one packet is all that it takes, so
//! that only proof of that very flow, or the operator's inventory, has its sender blocked.
//!
//! # Reading deep
//!
//! An event of a stream (`"stream-data"`) or of a transaction of an application protocol
//! (`"transaction"`) shows **buffers**, each of a [`buffer_kind`]: `http.uri`, `tls.sni`, …
//! [`EventView::buffers`] has them up to the snap length of their kind; the rest is read by handle
//! with [`Findings::buffer_read`], and [`Findings::buffer_get`] finds those that another event of
//! the batch showed of the same transaction. Handles live for one batch.
//!
//! Do not search: say what to look for, and the host scans each buffer once for the patterns of all
//! plugins. `[[pattern]]` has `content` (as rules write it, bytes in hexadecimal between bars),
//! `buffer`, and, if wanted, `nocase`, `direction` (`"to-server"`), `protocols` and `ports`;
//! `[[regex]]` has `regex = "/pattern/flags"`. Both are numbered from 0, each by its own.
//!
//! ```toml
//! events = ["transaction"]
//! applications = ["http"]
//! only_hits = true                  # and nothing else is shown
//! snap = 4096
//! capabilities = ["regex"]
//!
//! [[pattern]]                       # number 0 in EventView::hits
//! content = "/cgi-bin/|2e 2e|/"
//! buffer = "http.uri"
//! nocase = true
//!
//! [[regex]]                         # number 0 in Findings::regex_match
//! regex = "/cmd=[a-z]{8}/i"
//! ```
//!
//! Patterns that depend on settings are given by code, with [`Init::pattern_set`]. Large read-only
//! tables are **sections**, mapped by the host and read with [`Findings::section_read`]. Where the
//! manifest has `section`, the host takes the rules themselves from it, and a finding by a rule
//! that is not there is refused like one that no `[[rule]]` declares.
//!
//! A regex, a read and every other host function costs fuel by a published table
//! ([`abi::CALLS`]); [`Findings::fuel`] is the meter by which a detector with many rules suspends
//! the one that burns its budget, before the budget ends for all. Say [`Findings::spent_on`] behind
//! each rule, and `portcullis rules profile` tells what it costs, in the same table as our own.
//!
//! # What a detector must know
//!
//! * **Memory is a cache.** A fault, a swap or an upgrade starts a new instance. What must survive
//!   belongs in the flow slot ([`Findings::slot`]) or the host's counters ([`Findings::count`]).
//! * **A panic costs the event's flow its scan**, not the engine: it is reported, the flow goes on
//!   unscanned, and a spare instance judges the other events. Write total code all the same.
//! * **Time comes with the events** and there is no other clock, so that a replay is exact.
//! * **Say [`Findings::pause`]** where a flow's hits cost more than its bytes are worth: it is not
//!   looked through until it has had more.
//! * **Say [`Findings::done`]** as soon as a flow is of no more interest: only then can bulk
//!   traffic take the fast road.
//! * Use [`HashMap`]: its key comes from the host, so that nobody can choose colliding keys.

mod addr;
mod detector;
mod findings;
mod guest;
mod hash;
mod host;
mod patterns;
mod view;

pub use addr::Addr;
pub use detector::{Detector, Init};
pub use findings::{Draft, Findings, Handle, Match, Party};
pub use guest::Guest;
#[cfg(target_arch = "wasm32")]
pub use guest::Slot;
pub use hash::{HashMap, HashSet, Keyed};
pub use patterns::{Literal, PatternSet};
pub use view::EventView;

pub use portcullis_plugin_abi as abi;
pub use portcullis_plugin_abi::{
    Direction, DoneScope, EventKind, application, buffer_kind, code, tcp,
};

/// How far an action goes; a rule's own action in the manifest is its ceiling.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Action {
    /// Let the traffic pass. Needs a grant.
    Pass = 0,
    /// Report only.
    Report = 1,
    /// End the connection.
    Terminate = 2,
    /// End the connection and block the offender.
    TerminateAndBlock = 3,
}

/// What a verdict is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Reach {
    /// This packet only.
    Packet = 0,
    /// The event's transaction.
    Transaction = 1,
    /// The whole flow.
    Flow = 2,
    /// Everything from the offender.
    Offender = 3,
}

/// How sure a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Confidence {
    /// Often wrong.
    Low = 0,
    /// Sometimes wrong.
    Medium = 1,
    /// Hardly ever wrong.
    High = 2,
}

/// Exports a detector: the ABI's functions and the manifest's custom section when compiled for
/// `wasm32-unknown-unknown`; `native()` for every other target; `MANIFEST` always.
///
/// ```ignore
/// export_detector!(MyDetector, include_bytes!("../plugin.toml"));
/// ```
#[macro_export]
macro_rules! export_detector {
    ($detector:ty, $manifest:expr) => {
        /// The manifest, `plugin.toml`.
        pub const MANIFEST: &[u8] = $manifest;

        /// The detector compiled natively, behind the same records as in the sandbox.
        #[cfg(not(target_arch = "wasm32"))]
        pub fn native() -> ::std::boxed::Box<dyn $crate::abi::NativeGuest> {
            ::std::boxed::Box::new($crate::Guest::<$detector>::new())
        }

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "exported names and sections are unsafe attributes")]
        const _: () = {
            #[used]
            #[unsafe(link_section = "portcullis.manifest")]
            static SECTION: [u8; MANIFEST.len()] = *$manifest;

            static GUEST: $crate::Slot<$detector> = $crate::Slot::new();

            #[unsafe(no_mangle)]
            extern "C" fn portcullis_layout(input_len: u32) -> u32 {
                GUEST.layout(input_len)
            }

            #[unsafe(no_mangle)]
            extern "C" fn portcullis_init() -> i32 {
                GUEST.init()
            }

            #[unsafe(no_mangle)]
            extern "C" fn portcullis_batch() {
                GUEST.batch()
            }
        };
    };
}
