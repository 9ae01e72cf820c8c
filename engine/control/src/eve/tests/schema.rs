//! What readers of EVE expect, as data: each field's type, and which must be there.
//!
//! The first part is Suricata's schema for the fields that we write, in our words; the second is
//! what we add. A field that stands in neither is a fault.

use serde_json::Value;

/// `path type`, with `!` behind the type where the field must be there, given that its parent is.
/// A type is `text`, `whole`, `number`, `truth`, `texts`, `wholes`, `object` or `moment`.
const SURICATA: &str = "
timestamp moment!
event_type text!
flow_id whole
in_iface text
pcap_filename text
pcap_cnt whole
vlan wholes
src_ip text
src_port whole
dest_ip text
dest_port whole
proto text
ip_v whole
icmp_type whole
icmp_code whole
community_id text
pkt_src text
direction text
ether object
ether.src_mac text
ether.dest_mac text
ether.src_macs texts
ether.dest_macs texts
alert object
alert.action text!
alert.gid whole!
alert.signature_id whole!
alert.rev whole!
alert.signature text!
alert.category text!
alert.severity whole!
alert.references texts
alert.source object
alert.source.ip text!
alert.target object
alert.target.ip text!
alert.metadata object
alert.metadata.* texts
verdict object
verdict.action text!
verdict.reject texts
verdict.reject_target text
anomaly object
anomaly.type text!
anomaly.event text!
anomaly.layer text
drop object
drop.len whole!
drop.ttl whole
drop.reason text!
flow object
flow.pkts_toserver whole!
flow.pkts_toclient whole!
flow.bytes_toserver whole!
flow.bytes_toclient whole!
flow.start moment!
flow.end moment!
flow.age whole!
flow.state text!
flow.reason text!
flow.alerted truth!
flow.action text
stats object
stats.uptime whole!
stats.capture object!
stats.capture.* any
stats.decoder object!
stats.decoder.* any
stats.flow object!
stats.flow.* whole
stats.detect object!
stats.detect.* any
stats.ips object!
stats.ips.accepted whole!
stats.ips.blocked whole!
stats.ips.rejected whole!
stats.ips.drop_reason object!
stats.ips.drop_reason.* whole
stats.memory object!
stats.memory.* whole
";

const OURS: &str = "
portcullis object
portcullis.* any
block object
block.action text!
block.id whole
block.source text
block.prefix_len whole
block.vlan wholes
block.segment text
block.tunnel whole
block.class text
block.rule text
block.message text
block.origin text
block.detector text
block.operator text
block.since moment
block.until moment
block.was_until moment
block.remaining whole
block.packets whole
block.bytes whole
block.factor whole
block.target text
block.target_machine text
block.source_machine text
block.hosts whole
block.reason text
block.remedy text
unblock object
unblock.* any
unblock.action text!
exclusion object
exclusion.action text!
exclusion.row text!
exclusion.by text!
exclusion.freed whole
plugin object
plugin.name text!
plugin.action text!
plugin.* any
stats.portcullis object
stats.portcullis.* any
";

/// What is wrong with an event.
pub(super) fn complaints(event: &Value) -> Vec<String> {
    let mut complaints = Vec::new();
    let rows: Vec<(&str, &str)> =
        SURICATA.lines().chain(OURS.lines()).filter_map(|line| line.split_once(' ')).collect();
    visit(event, "", &rows, &mut complaints);
    for (path, kind) in rows.iter().filter(|(_, kind)| kind.ends_with('!')) {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        let pointer = if parent.is_empty() { String::new() } else { format!("/{parent}") };
        let parent = event.pointer(&pointer.replace('.', "/"));
        if parent.is_some_and(|p| p.get(name).is_none()) {
            complaints.push(format!("{path}: {kind} is missing"));
        }
    }
    let own = event["event_type"].as_str().unwrap_or_default();
    if event.get(own).is_none_or(|v| !v.is_object()) {
        complaints.push(format!("no object `{own}`"));
    }
    complaints
}

fn visit(value: &Value, above: &str, rows: &[(&str, &str)], complaints: &mut Vec<String>) {
    let Some(fields) = value.as_object() else { return };
    for (name, value) in fields {
        let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        let any = format!("{above}.*");
        let row = rows.iter().find(|(p, _)| *p == path).or(rows.iter().find(|(p, _)| *p == any));
        match row {
            None => complaints.push(format!("{path}: nobody expects it")),
            Some((_, "any")) => {}
            Some((_, kind)) if !fits(value, kind.trim_end_matches('!')) => {
                complaints.push(format!("{path}: {value} is no {kind}"));
            }
            Some(_) => visit(value, &path, rows, complaints),
        }
    }
}

fn fits(value: &Value, kind: &str) -> bool {
    let all = |test: fn(&Value) -> bool| {
        value.as_array().is_some_and(|list| !list.is_empty() && list.iter().all(test))
    };
    match kind {
        "text" => value.is_string(),
        "whole" => value.is_u64(),
        "number" => value.is_number(),
        "truth" => value.is_boolean(),
        "object" => value.is_object(),
        "texts" => all(Value::is_string),
        "wholes" => value == &Value::Array(vec![]) || all(Value::is_u64),
        "moment" => value.as_str().is_some_and(is_moment),
        _ => false,
    }
}

/// `dddd-dd-ddTdd:dd:dd.dddddd+dddd`
fn is_moment(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { 'd' } else { c }).collect();
    shape == "dddd-dd-ddTdd:dd:dd.dddddd+dddd"
}
