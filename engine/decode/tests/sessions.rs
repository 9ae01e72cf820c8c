//! What captures of the corpus hold of TLS, DNS, SSH, SMTP, FTP and SMB, by the values that their
//! publishers state. Skipped with a line where the corpus is absent.
#![allow(clippy::unwrap_used, reason = "a test says what failed by where it stopped")]

mod captures;

use captures::{Told, corpus, decode, decode_cut};
use portcullis_decode::{APP_EVENTS, Direction, Record};
use portcullis_plugin_abi::{application, buffer_kind as kind};

/// The flows of a capture of the peer's tests.
fn flows(name: &str) -> Option<Vec<Told>> {
    let Some(corpus) = corpus() else {
        println!("skipped: no corpus here; set PORTCULLIS_CORPUS to its folder");
        return None;
    };
    let path = corpus.join("suricata-verify/tests").join(name);
    if !path.is_file() {
        println!("skipped: no {} here", path.display());
        return None;
    }
    Some(decode(&path))
}

/// Flows that have a buffer of this kind and direction with these bytes in it.
fn with(told: &[Told], kind: u16, way: Direction, bytes: &[u8]) -> usize {
    let has = |one: &&Told| {
        let mut messages = one.out.messages.iter().filter(|message| message.direction == way);
        messages.any(|message| {
            one.out.pieces_of(message).iter().any(|piece| {
                let held = one.out.bytes_of(piece);
                piece.kind == kind && held.windows(bytes.len().max(1)).any(|at| at == bytes)
            })
        })
    };
    told.iter().filter(has).count()
}

fn events(told: &[Told]) -> Vec<&'static str> {
    let numbers = told.iter().flat_map(|one| &one.out.anomalies);
    numbers.map(|(n, _)| APP_EVENTS.iter().find(|row| row.0 == *n).unwrap().1).collect()
}

const UP: Direction = Direction::ToServer;
const DOWN: Direction = Direction::ToClient;

#[test]
fn tls_certificates() {
    let Some(told) = flows("tls/tls-cert-issuer/tls.pcap") else { return };
    let name = b"C=FR, ST=IDF, L=Paris, O=Stamus, CN=SELKS";
    assert_eq!(with(&told, kind::TLS_CERT_ISSUER, DOWN, name), 4);
    assert_eq!(with(&told, kind::TLS_CERT_SUBJECT, DOWN, name), 4);
    let Some(told) = flows("tls/tls-certs-alert/input.pcap") else { return };
    for part in [
        &b"\x30\x16\x06\x03\x55\x04\x03\x13\x0f"[..],
        b"\x30\x25\x06\x03\x55\x04\x03\x13\x1e",
        b"\x30\x1e\x06\x03\x55\x04\x03\x13\x17",
    ] {
        assert_eq!(with(&told, kind::TLS_CERTS, DOWN, part), 1);
    }
    assert_eq!(with(&told, kind::TLS_CERT_CHAIN_LEN, DOWN, &3u64.to_le_bytes()), 1);
    let Some(told) = flows("tls/tls-store-02/tls-client-auth.pcap") else { return };
    assert_eq!(with(&told, kind::TLS_CERT_SUBJECT, UP, b"O=TLSClientAuthSampleClient"), 1);
    let Some(told) = flows("tls/tls-fingerprint-alert/input.pcap") else { return };
    let print = b"90:86:a4:3b:f5:cf:1b:2e:4e:f7:97:96:f9:de:ba:b9:66:35:86:3f";
    assert_eq!(with(&told, kind::TLS_CERT_FINGERPRINT, DOWN, print), 1);
}

#[test]
fn tls_hellos() {
    let Some(told) = flows("tls/tls-random/input.pcap") else { return };
    assert_eq!(with(&told, kind::TLS_RANDOM_TIME, UP, b"\x94\x2d\x1f\xef"), 1);
    assert_eq!(with(&told, kind::TLS_RANDOM, DOWN, b"\x54\xf9\xfc\x15\x77\xe4\x33\xd3"), 1);
    let Some(told) = flows("tls-duplicate-hello/input.pcap") else { return };
    assert_eq!(with(&told, kind::JA3_STRING, UP, b"771,"), 1);
    assert!(told.iter().all(|one| one.application == application::TLS || !one.both));
}

#[test]
fn ssh_algorithms() {
    let Some(told) = flows("ssh-hassh-reassembled/input.pcap") else { return };
    let hash = b"3cc67862bceac0f334c62ad1b76895b4";
    assert_eq!(with(&told, kind::SSH_HASSH, UP, hash), 1);
    assert_eq!(with(&told, kind::SSH_HASSH_SERVER, DOWN, hash), 1);
    let method = b"diffie-hellman-group1-sha1";
    assert_eq!(with(&told, kind::SSH_HASSH_STRING, UP, method), 1);
}

#[test]
fn smtp_attachments() {
    let Some(told) = flows("bug-3616-smtp/input.pcap") else { return };
    assert_eq!(with(&told, kind::FILE_DATA, UP, b"New code tooltip display"), 1);
    let mail = told.iter().flat_map(|one| &one.out.records).find_map(|record| match record {
        Record::Smtp(mail) => Some(mail),
        _ => None,
    });
    let mail = mail.unwrap();
    assert_eq!(mail.mail_from.as_deref(), Some(&b"<gurpartap@patriots.in>"[..]));
    assert_eq!(mail.attachment, [b"NEWS.txt".to_vec()]);
    let Some(told) = flows("smtp-rset/input.pcap") else { return };
    assert!(!events(&told).contains(&"smtp.bdat_chunk_len_exceeded"));
}

#[test]
fn ftp_data_ports() {
    let Some(told) = flows("output-eve-ftp-data/input.pcap") else { return };
    let commands: Vec<_> = told
        .iter()
        .flat_map(|one| &one.out.records)
        .filter_map(|record| match record {
            Record::Ftp(command) => Some(command),
            _ => None,
        })
        .collect();
    assert!(commands.iter().any(|c| c.dynamic_port.is_some() && c.mode.is_some()));
    assert_eq!(with(&told, kind::FTP_COMMAND_DATA, UP, b"temp.txt"), 1);
}

#[test]
fn smb_names() {
    for capture in ["smb-named-pipe-ascii", "output-eve-smb-01", "smb2-named-pipe-unicode"] {
        let Some(told) = flows(&format!("{capture}/input.pcap")) else { return };
        assert!(with(&told, kind::SMB_NAMED_PIPE, UP, b"IPC$") > 0, "{capture}");
        assert!(told.iter().any(|one| one.application == application::SMB), "{capture}");
    }
}

#[test]
fn dns_names_and_oddities() {
    let Some(told) = flows("bug-2158/public-ex1_section8_Sofacy.pcap") else { return };
    assert_eq!(with(&told, kind::DNS_QUERY_NAME, UP, b"drivres-update"), 1);
    let Some(told) = flows("dns-udp-z-flag-fp/suricatafpdnsdecoder.pcap") else { return };
    assert!(!events(&told).contains(&"dns.z_flag_set"));
    let Some(told) = flows("dns/dns-corrupt-additionals/input.pcap") else { return };
    assert!(events(&told).contains(&"dns.invalid_additionals"), "{:?}", events(&told));
}

/// Whole conversations as they were recorded, through probing and what follows a STARTTLS.
#[test]
fn however_a_conversation_is_cut_it_says_the_same() {
    let Some(corpus) = corpus() else {
        println!("skipped: no corpus here; set PORTCULLIS_CORPUS to its folder");
        return;
    };
    let (mut flows, mut records) = (0, 0);
    for capture in [
        "tls/tls-cert-issuer/tls.pcap",
        "tls/tls-certs-alert/input.pcap",
        "tls/tls-store-02/tls-client-auth.pcap",
        "tls/tls-random/input.pcap",
        "ssh-hassh-reassembled/input.pcap",
        "bug-3616-smtp/input.pcap",
        "smtp-rset/input.pcap",
        "output-eve-ftp-data/input.pcap",
        "smb-named-pipe-ascii/input.pcap",
        "output-eve-smb-01/input.pcap",
        "smb2-named-pipe-unicode/input.pcap",
    ] {
        let path = corpus.join("suricata-verify/tests").join(capture);
        if !path.is_file() {
            println!("skipped: no {} here", path.display());
            continue;
        }
        let whole = decode(&path);
        for step in [1, 2, 3, 7, 64, 500] {
            let cut = decode_cut(&path, step);
            assert_eq!(whole.len(), cut.len());
            for (whole, cut) in whole.iter().zip(&cut) {
                let context = format!("{capture}, {:?}, cut at {step}", whole.client);
                assert_eq!(whole.application, cut.application, "{context}");
                assert_eq!(whole.out.records, cut.out.records, "{context}");
                assert_eq!(whole.out.anomalies, cut.out.anomalies, "{context}");
                if whole.application != application::HTTP {
                    assert_eq!(whole.out.messages, cut.out.messages, "{context}");
                    assert_eq!(whole.out.pieces, cut.out.pieces, "{context}");
                    assert_eq!(whole.out.bytes, cut.out.bytes, "{context}");
                }
            }
        }
        flows += whole.len();
        records += whole.iter().map(|one| one.out.records.len()).sum::<usize>();
    }
    assert!(flows == 0 || records > 20, "{flows} flows have {records} records");
}
