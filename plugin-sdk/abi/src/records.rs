//! The records. Each offset is pinned below and in `tests/layout.golden`.

use bytemuck::{Pod, Zeroable};

/// Major version of the interface.
pub const ABI: u16 = 1;
/// First word of [`Batch`], [`Init`] and [`Layout`]: `PCA1`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"PCA1");
/// "There is none" in a field that holds an index or an offset.
pub const NONE: u32 = u32::MAX;

/// The head of the input arena of every batch.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Batch {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`ABI`].
    pub abi: u16,
    /// Size of this header as the host knows it, bytes.
    pub header_len: u16,
    /// The engine's time, nanoseconds.
    pub now: u64,
    /// Batches that this plugin has been given by this host, counting from 1.
    pub number: u64,
    /// Flow records.
    pub flows: u32,
    /// Bytes from one to the next.
    pub flow_stride: u32,
    /// Where the first lies.
    pub flows_at: u32,
    /// Events.
    pub events: u32,
    /// Bytes from one to the next.
    pub event_stride: u32,
    /// Where the first lies.
    pub events_at: u32,
    /// Buffers.
    pub buffers: u32,
    /// Bytes from one to the next.
    pub buffer_stride: u32,
    /// Where the first lies.
    pub buffers_at: u32,
    /// Pattern hits.
    pub hits: u32,
    /// Bytes from one to the next.
    pub hit_stride: u32,
    /// Where the first lies.
    pub hits_at: u32,
    /// Where the flow slots lie.
    pub slots_at: u32,
    /// Bytes of all flow slots.
    pub slots_len: u32,
    /// Where the bytes of the buffers lie.
    pub data_at: u32,
    /// How many there are.
    pub data_len: u32,
    /// The first event to judge: those before it have been judged by another instance.
    pub first: u32,
    /// The event behind the last one to judge.
    pub last: u32,
    /// Verdicts that the host takes from this batch; more are counted and dropped.
    pub verdicts_max: u32,
    /// [`Batch::PROFILED`].
    pub flags: u32,
    /// Zero.
    pub reserved: [u32; 6],
}

impl Batch {
    /// Flag: an operator wants to know what each rule costs, see [`crate::Call::Profile`].
    pub const PROFILED: u32 = 1;
}

/// A flow as it stands at an event. Events of one flow share a record while nothing changes.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FlowRec {
    /// The flow's number in EVE events (`flow_id`); 0 where the packet has no flow (ARP).
    pub id: u64,
    /// Who opened it: 16 bytes of network order, IPv4 as `::ffff:a.b.c.d`.
    pub client: [u8; 16],
    /// Whom it was opened to.
    pub server: [u8; 16],
    /// Port, 0 where the protocol has none.
    pub client_port: u16,
    /// Port, 0 where the protocol has none.
    pub server_port: u16,
    /// VIDs from the outermost in, zeros behind the last.
    pub vids: [u16; 3],
    /// How many VIDs.
    pub vlan_depth: u8,
    /// 4, 6, or 0 for what is not IP.
    pub ip_version: u8,
    /// IP protocol number, 0 for what is not IP.
    pub protocol: u8,
    /// [`crate::FLOW_CLIENT_INSIDE`], [`crate::FLOW_SERVER_INSIDE`], [`crate::FLOW_UNFOLLOWED`].
    pub flags: u8,
    /// Application protocol, 0 unknown.
    pub application: u16,
    /// The protected link.
    pub segment: u16,
    /// Kind of tunnel, 0 none.
    pub tunnel_kind: u16,
    /// Tenant, 0 none.
    pub tenant: u32,
    /// Tunnel id (VNI, key), 0 none.
    pub tunnel: u32,
    /// State of the TCP connection as the engine sees it, 0 for other protocols.
    pub tcp_state: u8,
    /// How the client proved its address (`types::Proof`), 0 unproven.
    pub client_proof: u8,
    /// How the server proved its address, 0 unproven.
    pub server_proof: u8,
    /// Zero.
    pub reserved_1: u8,
    /// Link-layer address that the client's frames carry.
    pub client_mac: [u8; 6],
    /// Link-layer address that the server's frames carry.
    pub server_mac: [u8; 6],
    /// Zero.
    pub reserved_2: [u8; 4],
    /// When it began, nanoseconds.
    pub started: u64,
    /// Packets from client to server so far.
    pub packets_to_server: u64,
    /// Packets from server to client so far.
    pub packets_to_client: u64,
    /// Bytes of frames from client to server so far.
    pub bytes_to_server: u64,
    /// Bytes of frames from server to client so far.
    pub bytes_to_client: u64,
    /// Where this plugin's slot of the flow lies, or [`NONE`]. Filled by the plugin host.
    pub slot: u32,
    /// Bytes of the slot. Filled by the plugin host.
    pub slot_len: u32,
    /// Sequence space that the client has sent, its SYN and FIN included; 0 before its SYN, and
    /// [`NONE`] where the connection's beginning was not seen or there is none.
    pub stream_to_server: u32,
    /// The same of the server.
    pub stream_to_client: u32,
    /// Zero.
    pub reserved_3: [u64; 2],
}

/// Something understood about a packet or a flow.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// Index of its [`FlowRec`]. Filled by the plugin host.
    pub flow: u32,
    /// [`crate::EventKind`].
    pub kind: u8,
    /// [`crate::Direction`].
    pub direction: u8,
    /// TCP flags as on the wire, 0 for other protocols.
    pub tcp_flags: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// When, nanoseconds.
    pub at: u64,
    /// TCP sequence number.
    pub seq: u32,
    /// TCP acknowledgement number.
    pub ack: u32,
    /// TCP window, unscaled.
    pub window: u16,
    /// ICMP type.
    pub icmp_type: u8,
    /// ICMP code.
    pub icmp_code: u8,
    /// Length of the frame on the wire.
    pub wire_len: u32,
    /// Bytes behind the transport header, on the wire.
    pub payload_len: u32,
    /// Transaction id within the flow, 0 none.
    pub transaction: u32,
    /// Index of its first [`Buffer`]. Filled by the plugin host.
    pub first_buffer: u32,
    /// How many buffers. Filled by the plugin host.
    pub buffers: u16,
    /// How many hits.
    pub hits: u16,
    /// Index of its first [`Hit`].
    pub first_hit: u32,
    /// Anomaly: its number in the table of names given at init. Flow end: the reason.
    pub code: u16,
    /// ARP operation.
    pub operation: u16,
    /// ICMP identifier, or 0.
    pub icmp_id: u16,
    /// IP type of service / traffic class.
    pub tos: u8,
    /// Zero.
    pub reserved_1: u8,
    /// TCP urgent pointer.
    pub urgent: u16,
    /// Zero.
    pub reserved_2: u16,
}

/// Bytes that an event shows: a payload, a piece of a stream, a field of a request.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Buffer {
    /// Handle for `buffer_read`; lives as long as the batch.
    pub handle: u32,
    /// [`crate::BufferKind`].
    pub kind: u16,
    /// Which one of its kind, from 0.
    pub index: u16,
    /// Transaction id within the flow, 0 none.
    pub transaction: u32,
    /// [`Buffer::TRUNCATED`], [`Buffer::MORE`], [`Buffer::COMPLETE`], [`Buffer::GAP`],
    /// [`Buffer::EARLIER`].
    pub flags: u32,
    /// Offset in the stream that it is a piece of.
    pub offset: u64,
    /// Where its bytes lie, from the start of the input arena.
    pub data_at: u32,
    /// How many of its bytes lie there.
    pub data_len: u32,
    /// How many bytes it has in all; `buffer_read` and `regex_match` work on that many.
    pub whole_len: u32,
    /// Zero.
    pub reserved: u32,
}

impl Buffer {
    /// Fewer bytes lie in the batch than the host has: cut at the plugin's snap length, or since
    /// the batch was full.
    pub const TRUNCATED: u32 = 1;
    /// More of it will come with later events.
    pub const MORE: u32 = 2;
    /// This is all of it.
    pub const COMPLETE: u32 = 4;
    /// Bytes before it were lost.
    pub const GAP: u32 = 8;
    /// An earlier event of its transaction showed it already, unchanged.
    pub const EARLIER: u32 = 16;

    /// The part of [`Buffer::handle`] that is the buffer's index in its batch, as
    /// [`Verdict::evidence`] and [`Hit::buffer`] have it. The rest tells batches apart.
    pub const HANDLE_INDEX: u32 = 0x3ff;
}

/// A pattern found by the host's matcher.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Hit {
    /// Index of the event.
    pub event: u32,
    /// Index of the buffer in the batch.
    pub buffer: u32,
    /// The pattern's number in the plugin's set.
    pub pattern: u32,
    /// Offset behind the match's last byte.
    pub end: u32,
}

/// One row of `pattern_set`; its `len` bytes follow it without padding, then the next row.
/// Literals and regexes are numbered apart, each from 0 in the order of their rows, behind those of
/// the manifest.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PatternRow {
    /// Bytes of the literal, or of the regex's text.
    pub len: u32,
    /// [`crate::buffer_kind`] to look in; of no meaning for a regex.
    pub buffer: u16,
    /// [`crate::Direction`], or [`PatternRow::BOTH`].
    pub direction: u8,
    /// [`PatternRow::NOCASE`], [`PatternRow::REGEX`].
    pub flags: u8,
    /// First server port, 0 where all are meant.
    pub first_port: u16,
    /// Last server port, 65535 where all are meant.
    pub last_port: u16,
    /// IP protocol number, 0 for any.
    pub protocol: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

impl PatternRow {
    /// Letters match in either case.
    pub const NOCASE: u8 = 1;
    /// A regex, `/pattern/flags` as rules write it, and no literal.
    pub const REGEX: u8 = 2;
    /// Both directions.
    pub const BOTH: u8 = 0xff;
}

/// What a detector says about one event.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Verdict {
    /// Index of the event in the batch; verdicts come in the order of their events.
    pub event: u32,
    /// `types::Reach`, or [`crate::AS_MANIFEST`].
    pub reach: u8,
    /// [`crate::PartyKind`] of the offender, or [`crate::AS_MANIFEST`].
    pub offender: u8,
    /// [`crate::PartyKind`] of the target, or [`crate::AS_MANIFEST`].
    pub target: u8,
    /// `types::Class`, or [`crate::AS_MANIFEST`].
    pub class: u8,
    /// Generator, or 0 for the manifest's.
    pub gid: u32,
    /// The rule; it must be in the manifest.
    pub sid: u32,
    /// Its revision, or 0 for the manifest's.
    pub rev: u32,
    /// `types::Action`, or [`crate::AS_MANIFEST`]; more than the rule's or the grant is cut.
    pub action: u8,
    /// `types::Confidence`, or [`crate::AS_MANIFEST`]; more than the rule's is cut.
    pub confidence: u8,
    /// `types::Severity`, or [`crate::AS_MANIFEST`]; more than the rule's is cut.
    pub severity: u8,
    /// Zero.
    pub reserved_1: u8,
    /// Seconds to block, 0 leaves it to policy.
    pub duration_s: u32,
    /// Index of the buffer that shows why, or [`NONE`].
    pub evidence: u32,
    /// Where in the buffer.
    pub evidence_at: u32,
    /// How many bytes; the host takes at most 256.
    pub evidence_len: u32,
    /// Where the text lies, from the start of the text area.
    pub text_at: u32,
    /// Bytes of text.
    pub text_len: u32,
    /// The offender where its kind is `Given` (address) or `GivenMac` (first six bytes).
    pub offender_addr: [u8; 16],
    /// The target where its kind is `Given` or `GivenMac`.
    pub target_addr: [u8; 16],
    /// How many things this verdict sums up, e.g. ports probed; informative.
    pub count: u32,
    /// At a tick and at the end of input only: the segment that it is about.
    pub segment: u16,
    /// At a tick and at the end of input only: the VIDs, outermost first.
    pub vids: [u16; 3],
    /// Which of the plugin's verdicts on one packet is judged first, whatever events they came
    /// with: the lower. A `pass` ends with itself. 0 for all: in the order they were sent.
    pub order: u32,
}

/// "Not interested any more."
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Done {
    /// Index of the event in the batch.
    pub event: u32,
    /// [`crate::DoneScope`].
    pub scope: u8,
    /// [`crate::DoneScope::Pause`] only: how many KiB of frames the flow must have, both ways
    /// together, before its hits are shown again; little-endian. Else zero.
    pub until: [u8; 3],
}

/// The head of the output arena. The guest updates it as it goes, so that a fault loses nothing
/// that was said before it.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Output {
    /// The event being judged; `Batch::last` once all are.
    pub progress: u32,
    /// Verdicts so far.
    pub verdicts: u32,
    /// Dones so far.
    pub dones: u32,
    /// Bytes of text so far.
    pub text: u32,
    /// Verdicts and dones that found no room.
    pub lost: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

/// Where the guest's arenas lie; returned once by `portcullis_layout` and checked once.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Layout {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`ABI`] that the guest was built for.
    pub abi: u32,
    /// Address of the input arena in guest memory, a multiple of 16.
    pub input: u32,
    /// Its length.
    pub input_len: u32,
    /// Address of the output arena in guest memory, a multiple of 16.
    pub output: u32,
    /// Its length.
    pub output_len: u32,
    /// Where in the output arena the verdicts lie.
    pub verdicts_at: u32,
    /// Bytes from one to the next.
    pub verdict_stride: u32,
    /// Room for that many.
    pub verdicts_max: u32,
    /// Where in the output arena the dones lie.
    pub dones_at: u32,
    /// Bytes from one to the next.
    pub done_stride: u32,
    /// Room for that many.
    pub dones_max: u32,
    /// Where in the output arena the text lies.
    pub text_at: u32,
    /// Room for that many bytes.
    pub text_max: u32,
    /// Zero.
    pub reserved: [u32; 2],
}

/// What a guest is told before its first batch; at the start of the input arena.
#[derive(Clone, Copy, Pod, Zeroable, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Init {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`ABI`] of the host.
    pub abi: u32,
    /// Key of the guest's hash maps; the only randomness it is given.
    pub seed: [u64; 2],
    /// Where the operator's settings for this plugin (TOML) lie.
    pub config_at: u32,
    /// Bytes of them.
    pub config_len: u32,
    /// Where the names of anomalies lie, one per line, in the order of their numbers.
    pub anomalies_at: u32,
    /// Bytes of them.
    pub anomalies_len: u32,
    /// Generator id of the manifest.
    pub gid: u32,
    /// Bytes of a flow slot.
    pub flow_state: u32,
    /// Which of the plugin's instances this is; for logs only.
    pub instance: u32,
    /// Zero.
    pub reserved: [u32; 3],
}

macro_rules! layout {
    ($($record:ident $size:literal { $($field:ident $at:literal),+ $(,)? })+) => {
        $(const _: () = {
            assert!(size_of::<$record>() == $size);
            $(assert!(std::mem::offset_of!($record, $field) == $at);)+
        };)+
        /// Every record, field and offset as the golden file has them.
        #[cfg(test)]
        pub(crate) fn described() -> String {
            let mut out = String::new();
            $(
                out.push_str(&format!("{} {}\n", stringify!($record), $size));
                $(out.push_str(&format!("  {} {}\n", $at, stringify!($field)));)+
            )+
            out
        }
    };
}

layout! {
    Batch 128 {
        magic 0, abi 4, header_len 6, now 8, number 16, flows 24, flow_stride 28, flows_at 32,
        events 36, event_stride 40, events_at 44, buffers 48, buffer_stride 52, buffers_at 56,
        hits 60, hit_stride 64, hits_at 68, slots_at 72, slots_len 76, data_at 80, data_len 84,
        first 88, last 92, verdicts_max 96, flags 100, reserved 104,
    }
    FlowRec 160 {
        id 0, client 8, server 24, client_port 40, server_port 42, vids 44, vlan_depth 50,
        ip_version 51, protocol 52, flags 53, application 54, segment 56, tunnel_kind 58,
        tenant 60, tunnel 64, tcp_state 68, client_proof 69, server_proof 70, reserved_1 71,
        client_mac 72, server_mac 78, reserved_2 84, started 88, packets_to_server 96,
        packets_to_client 104, bytes_to_server 112, bytes_to_client 120, slot 128, slot_len 132,
        stream_to_server 136, stream_to_client 140, reserved_3 144,
    }
    Event 64 {
        flow 0, kind 4, direction 5, tcp_flags 6, ttl 7, at 8, seq 16, ack 20, window 24,
        icmp_type 26, icmp_code 27, wire_len 28, payload_len 32, transaction 36, first_buffer 40,
        buffers 44, hits 46, first_hit 48, code 52, operation 54, icmp_id 56, tos 58,
        reserved_1 59, urgent 60, reserved_2 62,
    }
    Buffer 40 {
        handle 0, kind 4, index 6, transaction 8, flags 12, offset 16, data_at 24, data_len 28,
        whole_len 32, reserved 36,
    }
    Hit 16 { event 0, buffer 4, pattern 8, end 12 }
    PatternRow 16 {
        len 0, buffer 4, direction 6, flags 7, first_port 8, last_port 10, protocol 12, reserved 13,
    }
    Verdict 96 {
        event 0, reach 4, offender 5, target 6, class 7, gid 8, sid 12, rev 16, action 20,
        confidence 21, severity 22, reserved_1 23, duration_s 24, evidence 28, evidence_at 32,
        evidence_len 36, text_at 40, text_len 44, offender_addr 48, target_addr 64, count 80,
        segment 84, vids 86, order 92,
    }
    Done 8 { event 0, scope 4, until 5 }
    Output 32 { progress 0, verdicts 4, dones 8, text 12, lost 16, reserved 20 }
    Layout 64 {
        magic 0, abi 4, input 8, input_len 12, output 16, output_len 20, verdicts_at 24,
        verdict_stride 28, verdicts_max 32, dones_at 36, done_stride 40, dones_max 44, text_at 48,
        text_max 52, reserved 56,
    }
    Init 64 {
        magic 0, abi 4, seed 8, config_at 24, config_len 28, anomalies_at 32, anomalies_len 36,
        gid 40, flow_state 44, instance 48, reserved 52,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_golden_file_holds() {
        let golden = include_str!("../tests/layout.golden");
        assert_eq!(
            super::described(),
            golden,
            "fields are only appended: bump ABI for anything else, or add the new field's line"
        );
    }
}
