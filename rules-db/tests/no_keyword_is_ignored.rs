//! Every keyword with which rules load changes what a rule becomes, or is named aloud where it is
//! not carried out; those that mean nothing here are listed with the reason.

use portcullis_rules_db::compile::{Vocabulary, compile};
use portcullis_rules_db::policy::Policy;
use portcullis_rules_db::{Reading, Reputations, Vars, supported_keywords};
use std::collections::BTreeMap;

/// What changes nothing, and why that is no silence.
const IDLE: &[(&str, &str)] = &[
    ("prefilter", "a hint to an engine's search: what matches is the same"),
    ("rawbytes", "payload is never anything but raw here; Suricata ignores it, too"),
];

/// Keyword, header, options with it, options without it.
const SAMPLES: &[(&str, &str, &str, &str)] = &[
    ("ack", "tcp", "ack:7;", ""),
    ("app-layer-event", "http", "app-layer-event:http.missing_host_header;", ""),
    ("app-layer-protocol", "tcp", "app-layer-protocol:http;", ""),
    ("asn1", "udp", "content:\"a\"; asn1:bitstring_overflow,relative_offset 0;", "content:\"a\";"),
    (
        "base64_data",
        "tcp",
        "content:\"a\"; base64_decode:bytes 8,relative; base64_data; content:\"b\";",
        "content:\"a\"; content:\"b\";",
    ),
    (
        "base64_decode",
        "tcp",
        "base64_decode:bytes 8,offset 3; base64_data; content:\"b\";",
        "base64_decode:bytes 8; base64_data; content:\"b\";",
    ),
    ("bsize", "http", "http.uri; content:\"a\"; bsize:>3;", "http.uri; content:\"a\";"),
    ("byte_extract", "tcp", "byte_extract:1,0,n; content:\"a\"; offset:n;", "content:\"a\";"),
    ("byte_jump", "tcp", "content:\"a\"; byte_jump:1,0,relative;", "content:\"a\";"),
    (
        "byte_math",
        "tcp",
        "byte_math:bytes 1,offset 0,oper +,rvalue 1,result n; content:\"a\"; offset:n;",
        "content:\"a\";",
    ),
    ("byte_test", "tcp", "content:\"a\"; byte_test:1,>,5,0;", "content:\"a\";"),
    ("classtype", "tcp", "classtype:trojan-activity;", ""),
    (
        "config",
        "dns",
        "config dns.query; content:\"a\"; config:logging disable,type tx,scope tx;",
        "dns.query; content:\"a\";",
    ),
    ("content", "tcp", "content:\"a\";", ""),
    (
        "datarep",
        "http",
        "http.host; datarep:r,>,10,load rep.csv,type string;",
        "http.host; content:\"a\";",
    ),
    (
        "dataset",
        "http",
        "http.host; content:\"a\"; dataset:set,n,type string;",
        "http.host; content:\"a\";",
    ),
    ("decode-event", "pkthdr", "decode-event:ipv4.trunc_pkt;", ""),
    ("depth", "tcp", "content:\"a\"; depth:9;", "content:\"a\";"),
    (
        "detection_filter",
        "tcp",
        "content:\"a\"; detection_filter:track by_src,count 3,seconds 9;",
        "content:\"a\";",
    ),
    (
        "distance",
        "tcp",
        "content:\"a\"; content:\"b\"; distance:2;",
        "content:\"a\"; content:\"b\";",
    ),
    ("dns.opcode", "dns", "dns.opcode:4;", ""),
    ("dns.rcode", "dns", "dns.rcode:3;", ""),
    ("dns.rrtype", "dns", "dns.rrtype:16;", ""),
    ("dsize", "tcp", "dsize:>5;", ""),
    ("endswith", "http", "http.uri; content:\"a\"; endswith;", "http.uri; content:\"a\";"),
    ("engine-event", "pkthdr", "engine-event:ipv4.trunc_pkt;", ""),
    (
        "fast_pattern",
        "tcp",
        "content:\"ab\"; fast_pattern; content:\"abcdef\";",
        "content:\"ab\"; content:\"abcdef\";",
    ),
    ("fileext", "http", "fileext:\"exe\";", ""),
    ("filemagic", "http", "filemagic:\"PDF\";", ""),
    ("filemd5", "http", "filemd5:md5.lst;", ""),
    ("filename", "http", "filename:\"a.exe\";", ""),
    ("filesha1", "http", "filesha1:sha1.lst;", ""),
    ("filesha256", "http", "filesha256:sha256.lst;", ""),
    ("filesize", "http", "filesize:>5;", ""),
    ("filestore", "http", "filename:\"a\"; filestore;", "filename:\"a\";"),
    ("flags", "tcp", "flags:S;", ""),
    ("flow", "tcp", "flow:to_server; content:\"a\";", "content:\"a\";"),
    ("flow.age", "tcp", "content:\"a\"; flow.age:>5;", "content:\"a\";"),
    ("flowbits", "tcp", "content:\"a\"; flowbits:isset,b;", "content:\"a\";"),
    ("flowint", "tcp", "content:\"a\"; flowint:n,>,1;", "content:\"a\";"),
    ("flowvar", "tcp", "content:\"a\"; flowvar:n,\"a\";", "content:\"a\";"),
    ("fragbits", "ip", "fragbits:M;", ""),
    ("fragoffset", "ip", "fragoffset:>0;", ""),
    ("ftpbounce", "ftp", "content:\"PORT\"; ftpbounce;", "content:\"PORT\";"),
    ("gid", "tcp", "gid:7;", ""),
    ("hostbits", "tcp", "content:\"a\"; hostbits:isset,x,src;", "content:\"a\";"),
    ("icmp_id", "icmp", "icmp_id:7;", ""),
    ("icmp_seq", "icmp", "icmp_seq:7;", ""),
    ("icmpv6.mtu", "icmp", "icmpv6.mtu:<1280;", ""),
    ("icode", "icmp", "icode:1;", ""),
    ("id", "ip", "id:7;", ""),
    ("ip_proto", "ip", "ip_proto:47;", ""),
    ("ipopts", "ip", "ipopts:rr;", ""),
    ("iprep", "ip", "iprep:any,BadHosts,>,5;", ""),
    ("isdataat", "tcp", "content:\"a\"; isdataat:5,relative;", "content:\"a\";"),
    ("itype", "icmp", "itype:8;", ""),
    ("l3_proto", "ip", "l3_proto:ipv4;", ""),
    ("metadata", "tcp", "metadata:signature_severity Critical;", ""),
    ("msg", "tcp", "msg:\"told\";", ""),
    ("noalert", "tcp", "content:\"a\"; noalert;", "content:\"a\";"),
    ("nocase", "tcp", "content:\"a\"; nocase;", "content:\"a\";"),
    ("offset", "tcp", "content:\"a\"; offset:3;", "content:\"a\";"),
    ("pcre", "tcp", "content:\"a\"; pcre:\"/b/\";", "content:\"a\";"),
    (
        "pcrexform",
        "http",
        "http.uri; pcrexform:\"a(b)\"; content:\"a\";",
        "http.uri; content:\"a\";",
    ),
    (
        "pkt_data",
        "http",
        "http.uri; content:\"b\"; pkt_data; content:\"a\";",
        "http.uri; content:\"b\"; content:\"a\";",
    ),
    ("pktvar", "tcp", "content:\"a\"; pktvar:n,\"a\";", "content:\"a\";"),
    ("prefilter", "tcp", "flags:S; prefilter;", "flags:S;"),
    ("priority", "tcp", "priority:1;", ""),
    ("rawbytes", "tcp", "content:\"a\"; rawbytes;", "content:\"a\";"),
    ("reference", "tcp", "reference:cve,2020-1;", ""),
    ("requires", "tcp", "content:\"a\"; requires:keyword nonsense;", "content:\"a\";"),
    ("rev", "tcp", "rev:7;", ""),
    ("sameip", "ip", "sameip;", ""),
    ("seq", "tcp", "seq:7;", ""),
    ("sid", "tcp", "content:\"a\"; sid:7;", "content:\"a\"; sid:8;"),
    ("ssl_state", "tls", "ssl_state:client_hello;", ""),
    ("ssl_version", "tls", "ssl_version:tls1.2;", ""),
    ("startswith", "http", "http.uri; content:\"a\"; startswith;", "http.uri; content:\"a\";"),
    ("stream-event", "tcp", "stream-event:3whs_ack_in_wrong_dir;", ""),
    ("stream_size", "tcp", "content:\"a\"; stream_size:server,>,5;", "content:\"a\";"),
    ("tag", "tcp", "content:\"a\"; tag:session,5,packets;", "content:\"a\";"),
    ("target", "tcp", "content:\"a\"; target:src_ip;", "content:\"a\";"),
    ("tcp.ack", "tcp", "tcp.ack:7;", ""),
    ("tcp.flags", "tcp", "tcp.flags:S;", ""),
    ("tcp.mss", "tcp", "tcp.mss:<500;", ""),
    ("tcp.seq", "tcp", "tcp.seq:7;", ""),
    ("tcp.window", "tcp", "tcp.window:7;", ""),
    (
        "threshold",
        "tcp",
        "content:\"a\"; threshold:type limit,track by_src,count 1,seconds 9;",
        "content:\"a\";",
    ),
    ("tls.cert_chain_len", "tls", "tls.cert_chain_len:>3;", ""),
    (
        "tls.fingerprint",
        "tls",
        "tls.fingerprint:\"00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:10:11:12:13\";",
        "",
    ),
    ("tls.issuerdn", "tls", "tls.issuerdn:\"CN=a\";", ""),
    ("tls.subject", "tls", "tls.subject:\"CN=a\";", ""),
    ("tls.store", "tls", "tls.sni; content:\"a\"; tls.store;", "tls.sni; content:\"a\";"),
    ("tls_store", "tls", "tls.sni; content:\"a\"; tls_store;", "tls.sni; content:\"a\";"),
    ("tls.version", "tls", "tls.version:\"1.2\";", ""),
    ("tls_cert_expired", "tls", "tls_cert_expired;", ""),
    ("tls_cert_notafter", "tls", "tls_cert_notafter:>2020;", ""),
    ("tls_cert_notbefore", "tls", "tls_cert_notbefore:>2020;", ""),
    ("tls_cert_valid", "tls", "tls_cert_valid;", ""),
    ("tos", "ip", "tos:8;", ""),
    ("ttl", "ip", "ttl:<5;", ""),
    ("uricontent", "http", "uricontent:\"a\";", ""),
    ("urilen", "http", "http.uri; content:\"a\"; urilen:>5;", "http.uri; content:\"a\";"),
    ("window", "tcp", "window:7;", ""),
    ("within", "tcp", "content:\"a\"; content:\"b\"; within:5;", "content:\"a\"; content:\"b\";"),
    ("xbits", "tcp", "content:\"a\"; xbits:isset,x,track ip_src;", "content:\"a\";"),
    ("xor", "http", "http.uri; xor:\"0d0a\"; content:\"a\";", "http.uri; content:\"a\";"),
];

/// The bytes that a rule becomes, and what of it is told not to be carried out; a sentence where it
/// does not load.
fn become_of(header: &str, options: &str) -> Result<(Vec<u8>, Vec<String>), String> {
    let vars = Vars::default();
    let files = |_: &str, name: &str| match name {
        "rep.csv" => Ok(b"YWJj,50\n".to_vec()),
        "md5.lst" => Ok(b"d41d8cd98f00b204e9800998ecf8427e\n".to_vec()),
        "sha1.lst" => Ok(b"da39a3ee5e6b4b0d3255bfef95601890afd80709\n".to_vec()),
        "sha256.lst" => {
            Ok(b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n".to_vec())
        }
        _ => Err("not there".to_owned()),
    };
    let mut reputations = Reputations::default();
    reputations.categories.insert("BadHosts".to_owned(), 1);
    let number = if options.contains("sid:") { "" } else { "sid:1;" };
    let verb = ["pass", "config"].into_iter().find(|verb| options.starts_with(&format!("{verb} ")));
    let action = verb.unwrap_or("alert");
    let options = verb.map_or(options, |verb| &options[verb.len()..]);
    let text = format!("{action} {header} any any -> any any ({options} {number})");
    let reading = Reading::new(&vars).data_files(&files).reputations(reputations);
    let rules = reading.texts(&[("t.rules", text.as_bytes())]);
    if let Some(refused) = rules.refused.first() {
        return Err(format!("{text}: {refused:?}"));
    }
    let app_event = |_: &str| Some(7);
    let anomaly = |name: &str| vec![name.to_owned()];
    let vocabulary = Vocabulary { app_event: &app_event, anomaly: &anomaly };
    let out = compile(&rules, &vocabulary, &Policy::shipped()).expect("less than 4 GiB");
    Ok((out.bytes, out.unmatchable.into_iter().map(|rule| rule.asks).collect()))
}

/// The ways in which a keyword without a sample of its own may be written.
fn usual(keyword: &str) -> Vec<[String; 3]> {
    let mut ways = Vec::new();
    for header in ["http", "tls", "dns", "ssh", "smb", "ftp", "smtp", "tcp", "udp", "icmp", "ip"] {
        for (with, without) in [
            (format!("{keyword}; content:\"a\";"), "content:\"a\";"),
            (format!("content:\"a\"; {keyword};"), "content:\"a\";"),
            (format!("http.header; {keyword}; content:\"a\";"), "http.header; content:\"a\";"),
            (format!("{keyword}:invalid;"), ""),
            (format!("pass content:\"a\"; {keyword};"), "pass content:\"a\";"),
        ] {
            ways.push([header.to_owned(), with, without.to_owned()]);
        }
    }
    ways
}

#[test]
fn every_keyword_changes_what_a_rule_becomes() {
    let idle: BTreeMap<&str, &str> = IDLE.iter().copied().collect();
    let (mut ignored, mut unknown) = (Vec::new(), Vec::new());
    for keyword in supported_keywords() {
        let own = SAMPLES.iter().filter(|(name, ..)| *name == keyword);
        let own =
            own.map(|(_, header, with, without)| [*header, *with, *without].map(str::to_owned));
        let mut ways: Vec<_> = own.collect();
        let is_own = !ways.is_empty();
        if !is_own {
            ways = usual(keyword);
        }
        let tried = ways.iter().map(|[header, with, without]| {
            let without = become_of(header, without)?;
            match become_of(header, with) {
                Ok(with) => Ok(with != without),
                // What leaves a rule out is not ignored.
                Err(why) if keyword == "requires" => Ok(!why.is_empty()),
                Err(why) => Err(why),
            }
        });
        let tried: Vec<Result<bool, String>> = tried.collect();
        if tried.iter().all(Result::is_err) {
            let why = tried.into_iter().find_map(Result::err);
            unknown.push(format!("{keyword}: {}", why.unwrap_or_default()));
        } else if tried.iter().any(|t| t == &Ok(true)) == idle.contains_key(keyword) {
            ignored.push(keyword);
        }
    }
    assert!(unknown.is_empty(), "write a sample that loads:\n{}", unknown.join("\n"));
    assert!(ignored.is_empty(), "they change nothing, or IDLE says so and they do: {ignored:?}");
}
