//! Says the same of TLS, DNS and SSH as Suricata does. Runs where the environment names the peer
//! (`PORTCULLIS_PEER=/usr/bin/suricata`) and the corpus is at hand.
#![allow(clippy::unwrap_used, reason = "a test says what failed by where it stopped")]

mod captures;

use captures::{Told, corpus, decode};
use portcullis_decode::Record;
use portcullis_decode::dns::{Answer, DnsRecord, Rdata, rcode_name, type_name};
use portcullis_decode::tls::{TlsRecord, iso_date, version_name};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

/// How many times each line was said.
type Said = BTreeMap<String, i64>;

fn text(bytes: &[u8]) -> String {
    // The peer prints bytes that are no text as `\xHH`.
    let escaped = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\x{byte:02x}"),
    };
    let plain = std::str::from_utf8(bytes).map(str::to_owned);
    plain.unwrap_or_else(|_| bytes.iter().map(escaped).collect())
}

fn rrtype(number: u16) -> String {
    type_name(number).map_or_else(|| number.to_string(), str::to_owned)
}

fn tls_lines(record: &TlsRecord, flow: &str) -> Vec<String> {
    let certificate = record.server.as_ref().and_then(|chain| chain.first.as_ref());
    let mut fields = vec![("version", Some(version_name(record.version)))];
    fields.push(("sni", record.sni.as_deref().map(text)));
    fields.push(("subject", certificate.map(|c| c.subject.clone())));
    fields.push(("issuerdn", certificate.map(|c| c.issuer.clone())));
    fields.push(("serial", certificate.map(|c| c.serial.clone())));
    fields.push(("notbefore", certificate.map(|c| iso_date(c.not_before))));
    fields.push(("notafter", certificate.map(|c| iso_date(c.not_after))));
    let fingerprint = record.server.as_ref().map(|chain| chain.fingerprint.clone());
    fields.push(("fingerprint", fingerprint.filter(|_| certificate.is_some())));
    fields.push(("ja3", record.ja3.as_ref().map(|ja3| format!("{} {}", ja3.hash, ja3.string))));
    fields.push(("ja3s", record.ja3s.as_ref().map(|ja3| format!("{} {}", ja3.hash, ja3.string))));
    let said = fields.into_iter().filter_map(|(name, value)| Some((name, value?)));
    said.map(|(name, value)| format!("tls {flow} {name} {value}")).collect()
}

fn peer_tls(event: &Value, flow: &str) -> Vec<String> {
    let names =
        ["version", "sni", "subject", "issuerdn", "serial", "notbefore", "notafter", "fingerprint"];
    let tls = &event["tls"];
    let mut lines: Vec<String> = names
        .iter()
        .filter_map(|name| Some(format!("tls {flow} {name} {}", tls[*name].as_str()?)))
        .collect();
    for name in ["ja3", "ja3s"] {
        if let (Some(hash), Some(string)) =
            (tls[name]["hash"].as_str(), tls[name]["string"].as_str())
        {
            lines.push(format!("tls {flow} {name} {hash} {string}"));
        }
    }
    lines
}

fn answer_line(answer: &Answer) -> String {
    let data = match &answer.data {
        Rdata::Soa(soa) => format!("{} {} {}", text(&soa.mname), text(&soa.rname), soa.serial),
        Rdata::Srv { priority, weight, port, name } => {
            format!("{priority} {weight} {port} {}", text(name))
        }
        Rdata::Sshfp { algorithm, fingerprint_type, .. } => {
            format!("{algorithm} {fingerprint_type}")
        }
        // The peer has no words for these.
        Rdata::Caa(_) | Rdata::Service(_) | Rdata::Other(_) => String::new(),
        // It prints bytes that are no text in another way.
        Rdata::Text(bytes) if std::str::from_utf8(bytes).is_err() => String::new(),
        Rdata::Name(_) if answer.rrtype == 39 => String::new(),
        other => other.text().map(|bytes| text(&bytes)).unwrap_or_default(),
    };
    let name = text(&answer.name);
    format!("{name} {} {} {data}", rrtype_plain(answer.rrtype), answer.ttl)
}

/// Types that have a word here and none in the peer, or another one.
fn rrtype_plain(number: u16) -> String {
    match number {
        3 => "ND".into(),
        23 => "NSAPPT".into(),
        60 => "CDSNKEY".into(),
        64 | 65 | 251 | 252 | 257 => number.to_string(),
        _ => rrtype(number),
    }
}

fn peer_rrtype(value: &Value) -> String {
    match value.as_str().unwrap_or_default() {
        "HTTPS" => "65".into(),
        "SVCB" => "64".into(),
        "CAA" => "257".into(),
        "AXFR" => "252".into(),
        "IXFR" => "251".into(),
        other => other.strip_prefix("TYPE").unwrap_or(other).to_owned(),
    }
}

fn peer_answer(answer: &Value) -> String {
    let data = if let Some(soa) = answer.get("soa") {
        let (mname, rname) = (soa["mname"].as_str().unwrap(), soa["rname"].as_str().unwrap());
        format!("{mname} {rname} {}", soa["serial"])
    } else if let Some(srv) = answer.get("srv") {
        let name = srv["name"].as_str().unwrap();
        format!("{} {} {} {name}", srv["priority"], srv["weight"], srv["port"])
    } else if let Some(sshfp) = answer.get("sshfp") {
        format!("{} {}", sshfp["algo"], sshfp["type"])
    } else {
        let data = answer["rdata"].as_str().unwrap_or_default();
        if data.contains("\\x") { String::new() } else { data.to_owned() }
    };
    let name = answer["rrname"].as_str().unwrap_or_default();
    format!("{name} {} {} {data}", peer_rrtype(&answer["rrtype"]), answer["ttl"])
}

fn dns_lines(record: &DnsRecord) -> Vec<String> {
    let message = &record.message;
    let id = message.header.id;
    if !message.header.is_response() {
        let questions = message.questions.iter();
        return questions
            .map(|q| format!("dns query {id} {} {}", text(&q.name), rrtype_plain(q.rrtype)))
            .collect();
    }
    let rcode = message.header.rcode();
    let rcode = rcode_name(rcode.into()).map_or_else(|| rcode.to_string(), str::to_owned);
    let mut lines = vec![format!("dns answer {id} {:x} {rcode}", message.header.flags)];
    let answers = message.answers.iter().filter(|answer| answer.rrtype != 41);
    lines.extend(answers.map(|a| format!("dns answer {id} {}", answer_line(a))));
    lines
}

fn peer_dns(event: &Value) -> Vec<String> {
    let dns = &event["dns"];
    let id = &dns["id"];
    if dns["type"] == "query" {
        let name = dns["rrname"].as_str().unwrap_or_default();
        return vec![format!("dns query {id} {name} {}", peer_rrtype(&dns["rrtype"]))];
    }
    let (flags, rcode) = (dns["flags"].as_str().unwrap(), dns["rcode"].as_str().unwrap());
    let mut lines = vec![format!("dns answer {id} {flags} {rcode}")];
    let answers = dns["answers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let answers = answers.iter().filter(|answer| answer["rrtype"] != "OPT");
    lines.extend(answers.map(|answer| format!("dns answer {id} {}", peer_answer(answer))));
    lines
}

fn ours(told: &[Told]) -> Said {
    let mut said = Said::new();
    for one in told {
        let (a, b) = (one.client, one.server);
        let flow = format!("{}:{}>{}:{}", a.0, a.1, b.0, b.1);
        for record in &one.out.records {
            let lines = match record {
                // The peer prints sessions of which it saw a certificate, or that need none.
                Record::Tls(_) | Record::Ssh(_) if !one.both => Vec::new(),
                // Nor does it say anything of answers that nobody asked for.
                Record::Dns(_) if !one.asked => Vec::new(),
                Record::Tls(tls)
                    if tls.server.as_ref().is_some_and(|chain| chain.first.is_some())
                        || tls.session_resumed
                        || (tls.server_hello && tls.version >= 0x0304) =>
                {
                    tls_lines(tls, &flow)
                }
                Record::Dns(dns) => {
                    assert!(one.out.messages.iter().any(|m| m.transaction == dns.tx_id + 1));
                    dns_lines(dns)
                }
                Record::Ssh(ssh) => [("client", &ssh.client), ("server", &ssh.server)]
                    .into_iter()
                    .filter_map(|(who, side)| {
                        let side = side.as_ref()?;
                        let (proto, software) = (text(&side.proto), text(&side.software));
                        Some(format!("ssh {flow} {who} {proto} {software}"))
                    })
                    .collect(),
                _ => Vec::new(),
            };
            for line in lines {
                *said.entry(line).or_default() += 1;
            }
        }
    }
    said
}

/// The peer writes all groups of an IPv6 address.
fn address(value: &Value) -> IpAddr {
    let unspecified = IpAddr::from([0u8; 4]);
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or(unspecified)
}

fn theirs(peer: &str, capture: &Path) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let run = Command::new(peer)
        .arg("-r")
        .arg(capture)
        .arg("-l")
        .arg(folder.path())
        .args(["-S", "/dev/null", "-k", "none"])
        .args(["--set", "app-layer.protocols.tls.ja3-fingerprints=yes"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{} on {}", peer, capture.display());
    let mut said = Said::new();
    let log = std::fs::read_to_string(folder.path().join("eve.json")).unwrap_or_default();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let flow = format!(
            "{}:{}>{}:{}",
            address(&event["src_ip"]),
            event["src_port"],
            address(&event["dest_ip"]),
            event["dest_port"],
        );
        let lines = match event["event_type"].as_str() {
            Some("tls") => peer_tls(&event, &flow),
            Some("dns") => peer_dns(&event),
            Some("ssh") => ["client", "server"]
                .into_iter()
                .filter_map(|who| {
                    let side = event["ssh"].get(who)?;
                    let proto = side["proto_version"].as_str()?;
                    let software = side["software_version"].as_str().unwrap_or_default();
                    Some(format!("ssh {flow} {who} {proto} {software}"))
                })
                .collect(),
            _ => Vec::new(),
        };
        for line in lines {
            *said.entry(line).or_default() += 1;
        }
    }
    said
}

#[test]
fn says_what_the_peer_says() {
    let (Some(corpus), Ok(peer)) = (corpus(), std::env::var("PORTCULLIS_PEER")) else {
        println!("skipped: set PORTCULLIS_PEER to a Suricata 7, and PORTCULLIS_CORPUS");
        return;
    };
    let wanted = std::env::var("PORTCULLIS_PEER_CAPTURES").unwrap_or_default();
    let words = ["dns", "tls", "ssl", "https", "ssh", "ja3"];
    let manifest = std::fs::read_to_string(corpus.join("MANIFEST.jsonl")).unwrap();
    let mut totals: BTreeMap<String, [i64; 3]> = BTreeMap::new();
    for row in manifest.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        let file = row["file"].as_str().unwrap();
        let name = format!("{file} {}", row["shows"].as_str().unwrap_or_default());
        let name = name.to_ascii_lowercase();
        let asked = if wanted.is_empty() {
            words.iter().any(|word| name.contains(word))
        } else {
            file.contains(&wanted)
        };
        // This reader of captures knows no fragments.
        let fit = !name.contains("fragment")
            && row.get("encapsulations").is_none()
            && row["kind"] != "malformed";
        if !asked || !fit || row["bytes"].as_u64().is_none_or(|bytes| bytes > 3_000_000) {
            continue;
        }
        let path = corpus.join(file);
        let (mine, peers) = (ours(&decode(&path)), theirs(&peer, &path));
        for (line, &count) in &mine {
            let both = count.min(peers.get(line).copied().unwrap_or(0));
            let kind = line.split(' ').next().unwrap();
            let total = totals.entry(kind.to_owned()).or_default();
            total[0] += both;
            total[1] += count - both;
            if count > both {
                println!("{file}: only here: {line}");
            }
        }
        for (line, &count) in &peers {
            let more = count - count.min(mine.get(line).copied().unwrap_or(0));
            let kind = line.split(' ').next().unwrap();
            totals.entry(kind.to_owned()).or_default()[2] += more;
            if more > 0 {
                println!("{file}: only the peer: {line}");
            }
        }
    }
    for (kind, [both, here, there]) in &totals {
        println!("{kind}: both {both}, only here {here}, only the peer {there}");
        if wanted.is_empty() {
            assert!(97 * (both + there) <= 100 * both, "{kind} agrees in 97 of 100");
        }
    }
}
