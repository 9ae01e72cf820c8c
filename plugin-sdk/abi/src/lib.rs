//! Plugin ABI, major version 1: the bytes that the host and a guest share, and nothing else.
//!
//! Two arenas lie in the guest's memory, found once at init through [`Layout`]:
//!
//! ```text
//! input   Batch | FlowRec × n | Event × n | Buffer × n | Hit × n | flow slots | data
//!         written by the host, read by the guest; only the slots are written by the guest
//! output  Output | Verdict × n | Done × n | text
//!         written by the guest, read by the host, which believes none of it
//! ```
//!
//! All records are little-endian `repr(C)` without padding. The batch header carries the size and
//! count of every record and readers use that size as the stride: **fields are only appended**, a
//! shorter record reads as zeros behind its end, and so an old plugin runs on a new host and a new
//! one on an old host. Offsets count from the start of the arena that they lie in.
//!
//! This crate knows no detector, no engine and no runtime.

mod calls;
mod kinds;
mod reader;
mod records;

pub use calls::{CALLS, Call, CallCost, MODULE, NativeGuest, NativeHost, code, export};
pub use kinds::{
    AS_MANIFEST, Direction, DoneScope, EventKind, FLOW_CLIENT_INSIDE, FLOW_SERVER_INSIDE,
    FLOW_UNFOLLOWED, Operation, PartyKind, application, buffer_kind, tcp,
};
pub use reader::{BatchReader, Broken, record, record_ref, write_record};
pub use records::{
    ABI, Batch, Buffer, Done, Event, FlowRec, Hit, Init, Layout, MAGIC, NONE, Output, PatternRow,
    Verdict,
};

/// The custom section that holds the manifest (`plugin.toml`), readable without running code.
pub const MANIFEST_SECTION: &str = "portcullis.manifest";

/// Bytes of text that the host takes with one verdict; the rest is cut.
pub const TEXT_MAX: usize = 256;

/// Bytes of a key in `count` and `bit`; longer keys are refused with [`code::TOO_LONG`].
pub const KEY_MAX: usize = 64;

/// Bytes of a flow slot at most.
pub const FLOW_STATE_MAX: u32 = 256;
