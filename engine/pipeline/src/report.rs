//! What the street tells the world: plain values, written by a worker, read by the event writer.
//!
//! A report is small and owns its data, so that a worker hands it over and forgets it. Reports go
//! through a bounded queue; one that finds it full is counted as lost and dropped, because a slow
//! disk must never slow a worker. Blocks and unblocks do not travel here: the book tells those,
//! and they are never lost. This file must never know a file format.

use portcullis_flow::{EVIDENCE_MAX, EndReason, Flow, Versions};
use portcullis_types::{
    Action, Addr, DropReason, Evidence, FlowFacts, Mac, Party, Proof, RuleMeta, SegmentId, Tick,
    VlanStack,
};
use portcullis_verdict::Withheld;
use portcullis_wire::{Malformed, Packet, Reject};
use std::sync::Arc;

/// One thing worth telling.
#[derive(Clone, Debug)]
pub enum Report {
    /// A finding with the verdict on it.
    Alert(Box<Alert>),
    /// A malformation, once per flow and kind.
    Anomaly(Box<Anomaly>),
    /// A frame dropped by a verdict.
    Drop(Box<Drop>),
    /// A flow that has ended.
    Flow(Box<FlowEnded>),
    /// Something odd in a stream or in what is spoken over it.
    Oddity(Box<Oddity>),
    /// A transaction or a file that a decoder has read to its end.
    Transaction(Box<Transaction>),
}

/// Where an oddity was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OddityLayer {
    /// In what is spoken.
    Application,
    /// In the stream.
    Stream,
}

/// Something odd behind the headers.
#[derive(Clone, Debug)]
pub struct Oddity {
    /// When.
    pub at: Tick,
    /// The frame's number in the capture; 0 live.
    pub frame_number: u64,
    /// Client to server.
    pub conversation: Conversation,
    /// Where it was found.
    pub layer: OddityLayer,
    /// Where two versions of the same bytes came: both.
    pub conflict: Option<Conflict>,
    /// Its name, Suricata's: `http.request_header_invalid`, `stream.reassembly_overlap_…`.
    pub event: &'static str,
}

/// Two versions of the same bytes, of which a receiver keeps one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The first byte that differs: its place in the stream, or in the datagram behind the headers.
    pub offset: u64,
    /// What came first, from there on; at most [`portcullis_flow::EVIDENCE_MAX`] bytes.
    pub first: Box<[u8]>,
    /// What came later for the same place.
    pub later: Box<[u8]>,
}

impl Conflict {
    pub(crate) fn of(offset: u64, versions: Versions<'_>) -> Self {
        let bounded = |bytes: &[u8]| bytes.get(..EVIDENCE_MAX).unwrap_or(bytes).into();
        Conflict { offset, first: bounded(versions.first), later: bounded(versions.later) }
    }
}

/// What a decoder has read.
#[derive(Clone, Debug)]
pub struct Transaction {
    /// When it was complete.
    pub at: Tick,
    /// The frame's number in the capture; 0 live.
    pub frame_number: u64,
    /// Client to server.
    pub conversation: Conversation,
    /// The record.
    pub record: portcullis_decode::Record,
}

/// Who spoke to whom, where: the direction is the reported packet's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The protected link.
    pub segment: SegmentId,
    /// The place on it.
    pub vlan: VlanStack,
    /// `flow_id` in events; 0 where there is no flow.
    pub flow_id: u64,
    /// Sender of the packet.
    pub src: Addr,
    /// Receiver of the packet.
    pub dst: Addr,
    /// 0 where the protocol has none.
    pub src_port: u16,
    /// 0 where the protocol has none.
    pub dst_port: u16,
    /// IP protocol number; 0 where it is not IP.
    pub protocol: u8,
    /// ICMP type and code, where it is ICMP.
    pub icmp: Option<(u8, u8)>,
    /// Link-layer source and destination, where known.
    pub macs: Option<(Mac, Mac)>,
}

/// What was done about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What the engine did.
    pub action: Action,
    /// What it would have done in `prevent` mode, where the segment only monitors.
    pub would: Option<Action>,
    /// Why a block that was due was withheld.
    pub withheld: Option<Withheld>,
}

/// A finding with its verdict.
#[derive(Clone, Debug)]
pub struct Alert {
    /// When.
    pub at: Tick,
    /// The frame's number in its capture, from 1; 0 live or from a host-scope detector.
    pub frame_number: u64,
    /// Of what packet.
    pub conversation: Conversation,
    /// The rule, from the manifest.
    pub rule: Arc<RuleMeta>,
    /// The plugin's name.
    pub detector: Arc<str>,
    /// Who did it.
    pub offender: Party,
    /// How the offender has shown itself.
    pub proof: Proof,
    /// To whom.
    pub target: Party,
    /// Why.
    pub evidence: Evidence,
    /// What was done.
    pub outcome: Outcome,
    /// Whether the reported packet travelled from client to server.
    pub to_server: bool,
    /// What is spoken: `portcullis_plugin_abi::application`.
    pub application: u16,
}

/// A malformation.
#[derive(Clone, Debug)]
pub struct Anomaly {
    /// When.
    pub at: Tick,
    /// The frame's number in its capture, from 1; 0 live.
    pub frame_number: u64,
    /// Where; addresses are unspecified where the headers do not give them.
    pub conversation: Conversation,
    /// Which.
    pub reject: Reject,
    /// Whether policy dropped the frame.
    pub dropped: bool,
    /// Where a fragment has other bytes for a place than one before: both.
    pub conflict: Option<Conflict>,
}

/// A frame that a verdict dropped.
#[derive(Clone, Debug)]
pub struct Drop {
    /// When.
    pub at: Tick,
    /// The frame's number in its capture, from 1; 0 live.
    pub frame_number: u64,
    /// Of what packet.
    pub conversation: Conversation,
    /// Why.
    pub reason: DropReason,
    /// Bytes of the IP packet.
    pub len: u16,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Whether the frame travelled from client to server.
    pub to_server: bool,
}

/// A flow's last word.
#[derive(Clone, Debug)]
pub struct FlowEnded {
    /// Where and who: src is the client.
    pub conversation: Conversation,
    /// First packet.
    pub first: Tick,
    /// Last packet.
    pub last: Tick,
    /// When it was found ended.
    pub at: Tick,
    /// Packets and bytes from the client.
    pub to_server: (u64, u64),
    /// Packets and bytes from the server.
    pub to_client: (u64, u64),
    /// Why it ended.
    pub reason: EndReason,
    /// `new`, `established` or `closed`, as peers name it.
    pub state: &'static str,
    /// Whether a verdict terminated it.
    pub terminated: bool,
    /// Whether any finding was about it.
    pub alerted: bool,
    /// Whether a fault left a detector's opinion out.
    pub unscanned: bool,
    /// How the client has shown itself.
    pub proof: Proof,
}

impl Conversation {
    /// Of a packet of the flow with that id (0 for none).
    pub(crate) fn of(segment: SegmentId, packet: &Packet, flow_id: u64) -> Self {
        let icmp = matches!(packet.protocol, 1 | 58) && packet.ip_version != 0;
        Conversation {
            segment,
            vlan: packet.vlan,
            flow_id,
            src: packet.src,
            dst: packet.dst,
            src_port: packet.src_port,
            dst_port: packet.dst_port,
            protocol: packet.protocol,
            icmp: icmp.then_some((packet.icmp_type, packet.icmp_code)),
            macs: Some((packet.src_mac, packet.dst_mac)),
        }
    }

    /// The same, as who answers would have it.
    pub fn turned(&self) -> Self {
        Conversation {
            src: self.dst,
            dst: self.src,
            src_port: self.dst_port,
            dst_port: self.src_port,
            macs: self.macs.map(|(src, dst)| (dst, src)),
            ..*self
        }
    }

    /// Of a frame whose headers cannot be used.
    pub(crate) fn of_malformed(segment: SegmentId, bad: &Malformed) -> Self {
        Conversation {
            segment,
            vlan: bad.vlan,
            flow_id: 0,
            src: bad.src.unwrap_or(Addr::UNSPECIFIED),
            dst: bad.dst.unwrap_or(Addr::UNSPECIFIED),
            src_port: 0,
            dst_port: 0,
            protocol: bad.protocol,
            icmp: None,
            macs: Some((bad.src_mac, bad.dst_mac)),
        }
    }

    /// Of a flow, from client to server.
    pub(crate) fn of_flow(flow: &Flow) -> Self {
        Conversation {
            segment: flow.segment(),
            vlan: flow.vlan(),
            flow_id: flow.id64(),
            src: flow.client(),
            dst: flow.server(),
            src_port: flow.client_port(),
            dst_port: flow.server_port(),
            protocol: flow.protocol(),
            icmp: None,
            macs: Some((flow.client_mac(), flow.server_mac())),
        }
    }

    /// Of a finding without a frame: from client to server.
    pub(crate) fn of_facts(facts: &FlowFacts, flow_id: u64) -> Self {
        Conversation {
            segment: facts.segment,
            vlan: facts.vlan,
            flow_id,
            src: facts.client,
            dst: facts.server,
            src_port: facts.client_port,
            dst_port: facts.server_port,
            protocol: facts.protocol,
            icmp: None,
            macs: None,
        }
    }
}
