//! What decoders have read, and what is odd in it, as events.

use super::samples::{self, AT, conversation};
use super::{Sample, told};
use crate::eve::{Line, Scribe};
use portcullis_decode::Record;
use portcullis_decode::dns::{Answer, DnsMessage, DnsRecord, Header, Question, Rdata, Soa};
use portcullis_decode::files::{FileRecord, FileState};
use portcullis_decode::ftp::{FtpMode, FtpRecord};
use portcullis_decode::http::{ContentRange, HttpRecord};
use portcullis_decode::smb::{Ntlmssp, SmbRecord, SmbVersion};
use portcullis_decode::smtp::{Letter, SmtpRecord};
use portcullis_decode::ssh::{SshRecord, SshSide};
use portcullis_decode::tls::{Certificate, Chain, Fingerprint, TlsRecord};
use portcullis_pipeline::{Oddity, OddityLayer, Report, Transaction};
use serde_json::{Value, json};
use std::sync::Arc;

fn transaction(record: Record) -> Report {
    let conversation = conversation();
    Report::Transaction(Box::new(Transaction { at: AT, frame_number: 7, conversation, record }))
}

fn oddity(layer: OddityLayer, event: &'static str) -> Report {
    let conversation = conversation();
    let conflict = None;
    Report::Oddity(Box::new(Oddity {
        at: AT,
        frame_number: 7,
        conversation,
        layer,
        conflict,
        event,
    }))
}

fn some(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

fn http() -> Report {
    transaction(Record::Http(Box::new(HttpRecord {
        tx_id: 2,
        hostname: some("example.org"),
        http_port: Some(8080),
        url: Some(b"/a\xff\"b".to_vec()),
        http_user_agent: some("x"),
        http_content_type: some("text/html"),
        content_range: Some(ContentRange {
            raw: b"bytes 0-1/2".to_vec(),
            start: Some(0),
            end: Some(1),
            size: Some(2),
        }),
        http_refer: some("http://a/"),
        http_method: some("GET"),
        protocol: some("HTTP/1.1"),
        status: Some(302),
        redirect: some("/b"),
        length: 12,
    })))
}

fn file() -> Report {
    let http = HttpRecord { hostname: some("e.example"), status: Some(200), ..Default::default() };
    transaction(Record::File(Box::new(FileRecord {
        to_client: true,
        app_proto: "http",
        http: Some(Box::new(http)),
        filename: b"a.exe".to_vec(),
        magic: Some("PE32"),
        gaps: false,
        state: FileState::Truncated,
        md5: Some([1; 16]),
        sha1: Some([2; 20]),
        sha256: Some([0xab; 32]),
        size: 5,
        tx_id: 1,
        start: Some(3),
        end: Some(9),
    })))
}

fn chain() -> Chain {
    Chain {
        first: Some(Certificate {
            subject: "CN=example.org".into(),
            issuer: "CN=ca".into(),
            serial: "0A:1B".into(),
            not_before: 1_543_363_200,
            not_after: 1_606_910_400,
            names: vec!["example.org".into()],
        }),
        fingerprint: "aa:bb".into(),
        length: 1,
    }
}

fn tls() -> Report {
    let print = |text: &str| Some(Fingerprint { hash: "00".into(), string: text.into() });
    transaction(Record::Tls(Box::new(TlsRecord {
        version: 0x0303,
        session_resumed: true,
        sni: some("example.org"),
        server: Some(chain()),
        client: Some(chain()),
        ja3: print("771,1"),
        ja3s: print("771,2"),
        ja4: Some("t13d".into()),
        client_alpns: vec![b"h2".to_vec()],
        server_alpns: vec![b"h2".to_vec()],
        ..TlsRecord::default()
    })))
}

fn question(name: &str) -> Question {
    Question { name: name.into(), rrtype: 1, class: 1 }
}

fn answer(rrtype: u16, data: Rdata) -> Answer {
    Answer { name: b"example.org".to_vec(), rrtype, class: 1, ttl: 300, data }
}

fn dns(flags: u16, questions: Vec<Question>) -> DnsRecord {
    let direction = match flags & 0x8000 {
        0 => portcullis_decode::Direction::ToServer,
        _ => portcullis_decode::Direction::ToClient,
    };
    let header = Header { id: 9, flags, counts: [1, 0, 0, 0] };
    let message = DnsMessage { header, questions, ..DnsMessage::default() };
    DnsRecord { tx_id: 3, direction, message }
}

fn dns_answer() -> Report {
    let mut record = dns(0x8583, vec![question("example.org")]);
    let soa = Soa { mname: b"ns".to_vec(), serial: 7, ..Soa::default() };
    let srv = Rdata::Srv { priority: 1, weight: 2, port: 3, name: b"srv".to_vec() };
    let fingerprint = vec![0xaa, 0x01];
    record.message.answers = vec![
        answer(5, Rdata::Name(b"other".to_vec())),
        answer(1, Rdata::A([192, 0, 2, 1])),
        answer(1, Rdata::A([192, 0, 2, 2])),
        answer(16, Rdata::Text(b"\xfe\n".to_vec())),
        answer(33, srv),
        answer(44, Rdata::Sshfp { algorithm: 1, fingerprint_type: 2, fingerprint }),
        answer(4711, Rdata::Other(vec![1])),
    ];
    record.message.authorities = vec![answer(6, Rdata::Soa(Box::new(soa)))];
    transaction(Record::Dns(Box::new(record)))
}

fn ssh() -> Report {
    let side = SshSide {
        proto: b"2.0".to_vec(),
        software: b"OpenSSH_9.6".to_vec(),
        hassh: Some(("ab".into(), b"curve;aes".to_vec())),
    };
    let (client, server) = (Some(side.clone()), Some(side));
    transaction(Record::Ssh(Box::new(SshRecord { tx_id: 0, client, server })))
}

fn smtp() -> Report {
    transaction(Record::Smtp(Box::new(SmtpRecord {
        tx_id: 1,
        helo: some("host"),
        mail_from: some("<a@b>"),
        rcpt_to: vec![b"<c@d>".to_vec()],
        email: Letter {
            from: some("a@b"),
            to: some("\"x, y\" <c@d>, e@f"),
            subject: some("hello"),
        },
        attachment: vec![b"NEWS.txt".to_vec()],
    })))
}

fn ftp(command: Option<&str>) -> Report {
    transaction(Record::Ftp(Box::new(FtpRecord {
        tx_id: 4,
        command: command.and_then(some),
        command_data: command.and_then(|_| some("192,168,0,13,234,10")),
        reply: vec![b"ok".to_vec()],
        codes: vec![b"200".to_vec()],
        dynamic_port: command.map(|_| 59_914),
        mode: command.map(|_| FtpMode::Active),
        ..FtpRecord::default()
    })))
}

fn smb(status: Option<u32>) -> Report {
    transaction(Record::Smb(Box::new(SmbRecord {
        tx_id: 0,
        version: SmbVersion::Two,
        command: 3,
        dialect: Some(0x0311),
        status,
        session_id: 1 << 40,
        tree_id: 5,
        share: some("\\\\host\\share"),
        named_pipe: some("srvsvc"),
        filename: some("a.txt"),
        ntlmssp: Some(Ntlmssp { user: b"u".to_vec(), domain: b"d".to_vec(), host: b"h".to_vec() }),
    })))
}

/// One of each.
pub(super) fn everything() -> Vec<Report> {
    vec![
        http(),
        transaction(Record::Http(Box::default())),
        file(),
        transaction(Record::File(Box::default())),
        tls(),
        transaction(Record::Tls(Box::default())),
        transaction(Record::Dns(Box::new(dns(0x0140, vec![question("a\u{1}b")])))),
        transaction(Record::Dns(Box::new(dns(0x0100, vec![])))),
        transaction(Record::Dns(Box::new(dns(0x800f, vec![])))),
        dns_answer(),
        ssh(),
        smtp(),
        transaction(Record::Smtp(Box::default())),
        ftp(Some("PORT")),
        ftp(None),
        smb(Some(0xc000_0022)),
        smb(Some(0x1234_5678)),
        transaction(Record::Smb(Box::default())),
        oddity(OddityLayer::Stream, "stream.pkt_invalid_timestamp"),
        oddity(OddityLayer::Application, "http.request_header_invalid"),
        oddity(OddityLayer::Application, "applayer_wrong_direction_first_data"),
    ]
}

fn event(report: Report) -> Value {
    told(&Sample::Report(report))
}

#[test]
fn a_request_stands_where_readers_look() {
    let e = event(http());
    assert_eq!((&e["event_type"], &e["tx_id"]), (&json!("http"), &json!(2)));
    assert_eq!((&e["src_ip"], &e["vlan"]), (&json!("128.232.110.120"), &json!([10, 20])));
    assert_eq!((&e["pkt_src"], &e["pcap_cnt"]), (&json!("wire/pcap"), &json!(7)));
    assert_eq!(e["http"]["url"], "/a\\xff\"b", "what is no text is told byte by byte");
    assert_eq!((&e["http"]["status"], &e["http"]["length"]), (&json!(302), &json!(12)));
    let bare = event(transaction(Record::Http(Box::default())));
    assert_eq!(bare["http"], json!({"length": 0}));
}

#[test]
fn a_file_has_its_digests() {
    let e = event(file());
    assert_eq!(e["fileinfo"]["sha256"], "ab".repeat(32));
    assert_eq!(e["fileinfo"]["state"], "TRUNCATED");
    assert_eq!((&e["fileinfo"]["tx_id"], e.get("tx_id")), (&json!(1), None));
    assert_eq!((&e["app_proto"], &e["http"]["hostname"]), (&json!("http"), &json!("e.example")));
    // It goes the way of the file, from the server.
    let request = event(transaction(Record::Http(Box::default())));
    let ends = |e: &Value| [&e["src_ip"], &e["src_port"], &e["dest_ip"]].map(Value::to_string);
    let back = |e: &Value| [&e["dest_ip"], &e["dest_port"], &e["src_ip"]].map(Value::to_string);
    assert_eq!((ends(&e), &e["flow_id"]), (back(&request), &request["flow_id"]));
}

#[test]
fn an_answer_is_grouped() {
    let e = event(dns_answer());
    let dns = &e["dns"];
    assert_eq!(
        (&dns["type"], &dns["flags"], &dns["rcode"]),
        (&json!("answer"), &json!("8583"), &json!("NXDOMAIN"))
    );
    assert_eq!(
        (&dns["aa"], &dns["rd"], &dns["ra"], dns.get("tc")),
        (&json!(true), &json!(true), &json!(true), None)
    );
    let grouped = json!({
        "A": ["192.0.2.1", "192.0.2.2"],
        "CNAME": ["other"],
        "TXT": ["\\xfe\n"],
        "SRV": [{"priority": 1, "weight": 2, "port": 3, "name": "srv"}],
        "SSHFP": [{"fingerprint": "aa:01", "algo": 1, "type": 2}],
    });
    assert_eq!(dns["grouped"], grouped);
    assert_eq!(dns["answers"][6], json!({"rrname": "example.org", "rrtype": "4711", "ttl": 300}));
    assert_eq!(dns["authorities"][0]["soa"]["serial"], 7);
}

#[test]
fn each_question_is_a_line_up_to_a_bound() {
    let mut scribe = Scribe::new(Arc::new(samples::context()));
    let mut line = Line::new();
    let asks = |n: usize| {
        let questions = (0..n).map(|i| question(&format!("q{i}"))).collect();
        transaction(Record::Dns(Box::new(dns(0x0100, questions))))
    };
    assert_eq!([0, 1, 2, 900].map(|n| Scribe::lines(&asks(n))), [1, 1, 2, 16]);
    for number in 0..2 {
        scribe.report_line(&asks(2), number, &mut line);
        let e: Value = serde_json::from_str(line.as_str()).unwrap();
        assert_eq!(e["dns"]["rrname"], format!("q{number}"));
        assert_eq!((&e["dns"]["type"], &e["dns"]["tx_id"]), (&json!("query"), &json!(3)));
    }
    let none = event(asks(0));
    let expected = json!({"version": 2, "type": "query", "id": 9, "tx_id": 3, "opcode": 0});
    assert_eq!(none["dns"], expected);
}

#[test]
fn sessions_say_who_speaks() {
    let e = event(tls());
    assert_eq!(e["tls"]["notbefore"], "2018-11-28T00:00:00");
    assert_eq!((&e["tls"]["version"], &e["tls"]["ja4"]), (&json!("TLS 1.2"), &json!("t13d")));
    assert_eq!(e["tls"]["client"]["issuerdn"], "CN=ca");
    let e = event(ssh());
    assert_eq!(e["ssh"]["server"]["hassh"], json!({"hash": "ab", "string": "curve;aes"}));
    let e = event(smtp());
    assert_eq!(e["email"]["to"], json!(["\"x, y\" <c@d>", "e@f"]));
    assert_eq!((&e["smtp"]["helo"], &e["email"]["status"]), (&json!("host"), &json!("PARSE_DONE")));
    assert_eq!(event(transaction(Record::Smtp(Box::default()))).get("email"), None);
    let e = event(ftp(Some("PORT")));
    assert_eq!((&e["ftp"]["mode"], &e["ftp"]["reply_received"]), (&json!("active"), &json!("yes")));
    assert_eq!(event(ftp(None))["ftp"].get("command_truncated"), None);
    let e = event(smb(Some(0xc000_0022)));
    assert_eq!(
        (&e["smb"]["status"], &e["smb"]["status_code"]),
        (&json!("STATUS_ACCESS_DENIED"), &json!("0xc0000022"))
    );
    assert_eq!((&e["smb"]["dialect"], &e["smb"]["id"]), (&json!("3.11"), &json!(1)));
    assert_eq!(event(smb(Some(0x1234_5678)))["smb"]["status"], "UNKNOWN_12345678");
}

#[test]
fn oddities_have_the_names_that_readers_know() {
    let anomaly = |layer, name| event(oddity(layer, name))["anomaly"].clone();
    let stream = json!({"type": "stream", "event": "stream.pkt_invalid_timestamp"});
    assert_eq!(anomaly(OddityLayer::Stream, "stream.pkt_invalid_timestamp"), stream);
    assert_eq!(anomaly(OddityLayer::Stream, "pkt_invalid_timestamp"), stream);
    let parsed = |proto: &str, event: &str| {
        json!({
            "app_proto": proto,
            "type": "applayer",
            "event": event,
            "layer": "proto_parser",
        })
    };
    let application = OddityLayer::Application;
    assert_eq!(
        anomaly(application, "http.request_header_invalid"),
        parsed("http", "REQUEST_HEADER_INVALID")
    );
    assert_eq!(anomaly(application, "dns.z_flag_set"), parsed("dns", "z_flag_set"));
    let found = json!({"type": "applayer", "event": "APPLAYER_UNEXPECTED_PROTOCOL",
        "layer": "proto_detect"});
    assert_eq!(anomaly(application, "applayer_unexpected_protocol"), found);
}
