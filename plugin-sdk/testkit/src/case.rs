//! A case as it is written.

use portcullis_plugin_abi::{
    Buffer, Direction, Event, EventKind, FLOW_CLIENT_INSIDE, FLOW_SERVER_INSIDE, FlowRec,
    application, buffer_kind, tcp,
};
use portcullis_types::{Addr, FlowFacts, Proof, SegmentId, VlanStack};
use serde::Deserialize;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// One case file.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub about: String,
    #[serde(default)]
    pub(crate) settings: String,
    #[serde(default)]
    pub(crate) section: String,
    #[serde(default)]
    pub(crate) until_ms: u64,
    #[serde(default)]
    pub(crate) flow: Vec<Flow>,
    #[serde(default)]
    pub(crate) event: Vec<Happening>,
    #[serde(default)]
    pub(crate) expect: Vec<Expect>,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flow {
    name: String,
    client: String,
    server: String,
    protocol: toml::Value,
    #[serde(default)]
    vlan: Vec<u16>,
    #[serde(default)]
    segment: u16,
    #[serde(default)]
    tunnel: u32,
    #[serde(default)]
    client_inside: bool,
    #[serde(default)]
    server_inside: bool,
    #[serde(default)]
    client_proof: String,
    #[serde(default)]
    client_mac: [u8; 6],
    #[serde(default)]
    server_mac: [u8; 6],
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Happening {
    pub(crate) at_ms: u64,
    kind: String,
    pub(crate) flow: String,
    #[serde(default)]
    direction: Option<String>,
    #[serde(default)]
    tcp_flags: Vec<String>,
    #[serde(default)]
    pub(crate) anomaly: Option<String>,
    #[serde(default)]
    code: u16,
    #[serde(default)]
    icmp: [u8; 2],
    #[serde(default)]
    ttl: u8,
    #[serde(default)]
    seq: u32,
    #[serde(default)]
    ack: u32,
    #[serde(default)]
    window: u16,
    #[serde(default)]
    urgent: u16,
    #[serde(default)]
    operation: u16,
    #[serde(default)]
    wire_len: u32,
    #[serde(default)]
    payload: String,
    #[serde(default)]
    payload_hex: String,
    #[serde(default)]
    application: String,
    #[serde(default)]
    transaction: u32,
    #[serde(default)]
    buffer: Vec<Bytes>,
    #[serde(default)]
    hit: Vec<Found>,
    #[serde(default)]
    packets: [u64; 2],
    #[serde(default)]
    bytes: [u64; 2],
    #[serde(default)]
    tcp_state: u8,
    #[serde(default)]
    client_proof: Option<String>,
    #[serde(default)]
    repeat: Option<u32>,
    #[serde(default)]
    step_ms: u64,
    #[serde(default)]
    step_server: u32,
    #[serde(default)]
    step_client: u32,
    #[serde(default)]
    step_server_port: u16,
    #[serde(default)]
    step_client_port: u16,
}

/// A buffer that an event shows.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Bytes {
    kind: String,
    #[serde(default)]
    index: u16,
    #[serde(default)]
    text: String,
    #[serde(default)]
    hex: String,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    flags: Vec<String>,
}

/// A hit beside those that the kit finds itself.
#[derive(Deserialize, Debug, Clone, Copy)]
#[serde(deny_unknown_fields)]
pub(crate) struct Found {
    pub(crate) buffer: u16,
    pub(crate) pattern: u32,
    pub(crate) end: u32,
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expect {
    pub(crate) sid: u32,
    #[serde(default)]
    pub(crate) count: Option<usize>,
    #[serde(default)]
    pub(crate) offender: Option<String>,
    #[serde(default)]
    pub(crate) target: Option<String>,
    #[serde(default)]
    pub(crate) action: Option<String>,
    #[serde(default)]
    pub(crate) vlan: Option<Vec<u16>>,
    #[serde(default)]
    pub(crate) text: Option<String>,
}

/// An event, ready to be offered.
pub(crate) struct Ready {
    pub(crate) at_ms: u64,
    pub(crate) flow: FlowRec,
    pub(crate) event: Event,
    pub(crate) facts: FlowFacts,
    pub(crate) buffers: Vec<Filled>,
    pub(crate) hits: Vec<Found>,
    pub(crate) flow_ref: (u32, u32),
}

/// A buffer, ready to be shown.
pub(crate) struct Filled {
    pub(crate) kind: u16,
    pub(crate) index: u16,
    pub(crate) transaction: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) bytes: Vec<u8>,
}

fn buffers(h: &Happening, payload: Vec<u8>) -> Result<Vec<Filled>, String> {
    let mut out = vec![Filled {
        kind: buffer_kind::PAYLOAD,
        index: 0,
        transaction: 0,
        flags: Buffer::COMPLETE,
        offset: 0,
        bytes: payload,
    }];
    if !h.buffer.is_empty() && h.payload.is_empty() && h.payload_hex.is_empty() {
        out.clear();
    }
    for written in &h.buffer {
        let kind = buffer_kind::named(&written.kind);
        let mut bytes = written.text.clone().into_bytes();
        bytes.extend(hex(&written.hex)?);
        let mut flags = 0;
        for name in &written.flags {
            flags |= match name.as_str() {
                "more" => Buffer::MORE,
                "complete" => Buffer::COMPLETE,
                "gap" => Buffer::GAP,
                "earlier" => Buffer::EARLIER,
                other => return Err(format!("no flag of a buffer: {other:?}")),
            };
        }
        out.push(Filled {
            kind: kind.ok_or_else(|| format!("no kind of buffer: {:?}", written.kind))?,
            index: written.index,
            transaction: h.transaction,
            flags: if written.flags.is_empty() { Buffer::COMPLETE } else { flags },
            offset: written.offset,
            bytes,
        });
    }
    Ok(out)
}

fn application(name: &str) -> Result<u16, String> {
    match name {
        "" | "unknown" => Ok(application::UNKNOWN),
        name => application::named(name).ok_or_else(|| format!("no application: {name:?}")),
    }
}

fn socket(written: &str) -> Result<(Addr, u16), String> {
    if let Ok(socket) = written.parse::<SocketAddr>() {
        return Ok((socket.ip().into(), socket.port()));
    }
    let ip: IpAddr = written.parse().map_err(|_| format!("{written:?} is no address[:port]"))?;
    Ok((ip.into(), 0))
}

fn stepped(addr: Addr, step: u32) -> Addr {
    Addr::v6((u128::from_be_bytes(addr.octets()).wrapping_add(u128::from(step))).to_be_bytes())
}

fn protocol(value: &toml::Value) -> Result<u8, String> {
    match value {
        toml::Value::Integer(n) => u8::try_from(*n).map_err(|_| format!("no protocol: {n}")),
        toml::Value::String(name) => match name.as_str() {
            "arp" => Ok(0),
            "icmp" => Ok(1),
            "igmp" => Ok(2),
            "tcp" => Ok(6),
            "udp" => Ok(17),
            "icmpv6" => Ok(58),
            "sctp" => Ok(132),
            other => Err(format!("no protocol: {other}; write its number")),
        },
        other => Err(format!("no protocol: {other}")),
    }
}

fn proof(word: &str) -> Result<Proof, String> {
    Ok(match word {
        "" | "unproven" => Proof::None,
        "handshake" => Proof::Handshake,
        "answer" => Proof::Answer,
        "recent-handshake" => Proof::Recent,
        "inventory" => Proof::Inventory,
        other => return Err(format!("no proof: {other:?}; write \"handshake\"")),
    })
}

fn flag(name: &str) -> Result<u8, String> {
    Ok(match name {
        "FIN" => tcp::FIN,
        "SYN" => tcp::SYN,
        "RST" => tcp::RST,
        "PSH" => tcp::PSH,
        "ACK" => tcp::ACK,
        "URG" => tcp::URG,
        "ECE" => tcp::ECE,
        "CWR" => tcp::CWR,
        other => return Err(format!("no TCP flag: {other:?}")),
    })
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let byte =
        |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok());
    if !digits.len().is_multiple_of(2) {
        return Err("payload_hex has an odd number of digits".into());
    }
    digits.chunks(2).map(|p| byte(p).ok_or_else(|| "payload_hex: not hex".to_owned())).collect()
}

impl Case {
    /// The text of `section`: what the plugin's section holds in this case, or is compiled from.
    pub fn section(&self) -> &str {
        &self.section
    }

    /// The events in the order of their times; repetitions spread out.
    pub(crate) fn ready(&self, anomalies: &[String]) -> Result<Vec<Ready>, String> {
        let mut names: HashMap<String, u32> = HashMap::new();
        let mut out = Vec::new();
        for happening in &self.event {
            let flow = self.flow.iter().find(|f| f.name == happening.flow);
            let flow = flow.ok_or_else(|| format!("there is no flow {:?}", happening.flow))?;
            for i in 0..happening.repeat.unwrap_or(1) {
                let mut ready = one(happening, flow, i, anomalies)?;
                // The same numbers are the same flow, also of another [[event]].
                let same = FlowFacts { client_proof: Proof::None, ..ready.facts };
                let name = format!("{}/{same:?}", flow.name);
                let next = u32::try_from(names.len()).unwrap_or(0);
                let index = *names.entry(name).or_insert(next);
                ready.flow_ref = (index, 1);
                ready.flow.id = u64::from(index) + 1;
                out.push(ready);
            }
        }
        out.sort_by_key(|r| r.at_ms);
        Ok(out)
    }
}

fn one(h: &Happening, f: &Flow, i: u32, anomalies: &[String]) -> Result<Ready, String> {
    let kind = EventKind::named(&h.kind).ok_or_else(|| format!("no event kind: {:?}", h.kind))?;
    let direction = match h.direction.as_deref() {
        None => Direction::ToServer,
        Some(word) => Direction::named(word).ok_or_else(|| format!("no direction: {word:?}"))?,
    };
    let code = match &h.anomaly {
        None => h.code,
        Some(name) => anomalies
            .iter()
            .position(|a| a == name)
            .and_then(|n| u16::try_from(n).ok())
            .ok_or_else(|| format!("no anomaly: {name:?}"))?,
    };
    let mut payload = h.payload.clone().into_bytes();
    payload.extend(hex(&h.payload_hex)?);
    let flags = h.tcp_flags.iter().map(|n| flag(n)).sum::<Result<u8, _>>()?;
    let at_ms = h.at_ms + u64::from(i) * h.step_ms;
    let facts = facts(h, f, i)?;
    let length = u32::try_from(payload.len()).map_err(|_| "a payload of 4 GiB".to_owned())?;
    let event = Event {
        kind: kind.number(),
        direction: direction.number(),
        tcp_flags: flags,
        at: at_ms * 1_000_000,
        code,
        ttl: h.ttl,
        seq: h.seq,
        ack: h.ack,
        window: h.window,
        urgent: h.urgent,
        operation: h.operation,
        icmp_type: h.icmp[0],
        icmp_code: h.icmp[1],
        wire_len: if h.wire_len == 0 { 54 + length } else { h.wire_len },
        payload_len: length,
        transaction: h.transaction,
        ..bytemuck::Zeroable::zeroed()
    };
    let mut flow = flow_rec(h, f, &facts);
    flow.application = application(&h.application)?;
    let (buffers, hits) = (buffers(h, payload)?, h.hit.clone());
    Ok(Ready { at_ms, flow, event, facts, buffers, hits, flow_ref: (0, 1) })
}

fn facts(h: &Happening, f: &Flow, i: u32) -> Result<FlowFacts, String> {
    let (client, client_port) = socket(&f.client)?;
    let (server, server_port) = socket(&f.server)?;
    let port = |port: u16, step: u16| {
        port.wrapping_add(step.wrapping_mul(u16::try_from(i).unwrap_or(u16::MAX)))
    };
    Ok(FlowFacts {
        segment: SegmentId(f.segment),
        vlan: VlanStack::from_vids(&f.vlan).ok_or("vlan: at most three VIDs of 1 to 4095")?,
        tunnel: f.tunnel,
        protocol: protocol(&f.protocol)?,
        client: stepped(client, h.step_client.wrapping_mul(i)),
        server: stepped(server, h.step_server.wrapping_mul(i)),
        client_port: port(client_port, h.step_client_port),
        server_port: port(server_port, h.step_server_port),
        client_inside: f.client_inside,
        server_inside: f.server_inside,
        client_proof: proof(h.client_proof.as_deref().unwrap_or(&f.client_proof))?,
        server_proof: Proof::None,
    })
}

fn flow_rec(h: &Happening, f: &Flow, facts: &FlowFacts) -> FlowRec {
    let inside = u8::from(f.client_inside) * FLOW_CLIENT_INSIDE
        + u8::from(f.server_inside) * FLOW_SERVER_INSIDE;
    FlowRec {
        client: facts.client.octets(),
        server: facts.server.octets(),
        client_port: facts.client_port,
        server_port: facts.server_port,
        vids: facts.vlan.vids(),
        vlan_depth: u8::try_from(facts.vlan.depth()).unwrap_or(0),
        ip_version: match facts.protocol {
            0 => 0,
            _ if facts.client.is_v4() => 4,
            _ => 6,
        },
        protocol: facts.protocol,
        flags: inside,
        segment: f.segment,
        tunnel: f.tunnel,
        tcp_state: h.tcp_state,
        client_proof: facts.client_proof as u8,
        client_mac: f.client_mac,
        server_mac: f.server_mac,
        packets_to_server: h.packets[0],
        packets_to_client: h.packets[1],
        bytes_to_server: h.bytes[0],
        bytes_to_client: h.bytes[1],
        ..bytemuck::Zeroable::zeroed()
    }
}
