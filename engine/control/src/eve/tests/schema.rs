//! What readers of EVE expect, as data: each field's type, and which must be there.
//!
//! The first part is Suricata's schema for the fields that we write, in our words; the second is
//! what we add. A field that stands in neither is a fault.

use serde_json::Value;

/// `path type`, with `!` behind the type where the field must be there, given that its parent is.
/// A type is `text`, `whole`, `number`, `truth`, `texts`, `wholes`, `object`, `moment`, or
/// `answers` for a list of DNS records.
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
tx_id whole
app_proto text
anomaly object
anomaly.app_proto text
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
http object
http.hostname text
http.http_port whole
http.url text
http.http_user_agent text
http.http_content_type text
http.content_range object
http.content_range.raw text!
http.content_range.start whole
http.content_range.end whole
http.content_range.size whole
http.http_refer text
http.http_method text
http.protocol text
http.status whole
http.redirect text
http.length whole!
fileinfo object
fileinfo.filename text!
fileinfo.magic text
fileinfo.gaps truth!
fileinfo.state text!
fileinfo.md5 text
fileinfo.sha1 text
fileinfo.sha256 text
fileinfo.stored truth!
fileinfo.size whole!
fileinfo.start whole
fileinfo.end whole
fileinfo.tx_id whole!
dns object
dns.version whole!
dns.type text!
dns.id whole!
dns.flags text
dns.qr truth
dns.aa truth
dns.tc truth
dns.rd truth
dns.ra truth
dns.z truth
dns.opcode whole!
dns.rrname text
dns.rrtype text
dns.rcode text
dns.tx_id whole
dns.answers answers
dns.authorities answers
dns.grouped object
dns.grouped.* any
tls object
tls.subject text
tls.issuerdn text
tls.serial text
tls.fingerprint text
tls.notbefore text
tls.notafter text
tls.subjectaltname texts
tls.session_resumed truth
tls.sni text
tls.version text!
tls.client object
tls.client.subject text
tls.client.issuerdn text
tls.client.serial text
tls.client.fingerprint text
tls.client.notbefore text
tls.client.notafter text
tls.client.subjectaltname texts
tls.ja3 object
tls.ja3.hash text!
tls.ja3.string text!
tls.ja3s object
tls.ja3s.hash text!
tls.ja3s.string text!
tls.ja4 text
tls.client_alpns texts
tls.server_alpns texts
ssh object
ssh.client object
ssh.client.proto_version text!
ssh.client.software_version text
ssh.client.hassh object
ssh.client.hassh.hash text!
ssh.client.hassh.string text!
ssh.server object
ssh.server.proto_version text!
ssh.server.software_version text
ssh.server.hassh object
ssh.server.hassh.hash text!
ssh.server.hassh.string text!
smtp object
smtp.helo text
smtp.mail_from text
smtp.rcpt_to texts
email object
email.status text!
email.from text
email.to texts
email.subject text
email.attachment texts
ftp object
ftp.command text
ftp.command_data text
ftp.command_truncated truth
ftp.completion_code texts
ftp.reply texts
ftp.dynamic_port whole
ftp.mode text
ftp.reply_received text!
ftp.reply_truncated truth!
smb object
smb.id whole!
smb.dialect text!
smb.command text!
smb.status text
smb.status_code text
smb.session_id whole!
smb.tree_id whole!
smb.filename text
smb.share text
smb.named_pipe text
smb.ntlmssp object
smb.ntlmssp.domain text!
smb.ntlmssp.user text!
smb.ntlmssp.host text!
stats object
stats.uptime whole!
stats.tcp object
stats.tcp.* whole
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
        "answers" => all(|answer| {
            let kinds = [("rrname", "text"), ("rrtype", "text"), ("ttl", "whole")];
            let optional =
                [("rdata", "text"), ("soa", "object"), ("srv", "object"), ("sshfp", "object")];
            let known = |(name, kind): &(&str, &str)| {
                answer.get(name).is_some_and(|value| fits(value, kind))
            };
            let own = optional.iter().filter(|row| known(row)).count();
            kinds.iter().all(known) && answer.as_object().map_or(0, |o| o.len()) == 3 + own
        }),
        "moment" => value.as_str().is_some_and(is_moment),
        _ => false,
    }
}

/// `dddd-dd-ddTdd:dd:dd.dddddd+dddd`
fn is_moment(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { 'd' } else { c }).collect();
    shape == "dddd-dd-ddTdd:dd:dd.dddddd+dddd"
}
