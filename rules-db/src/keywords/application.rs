//! Facts of the application layer that are not bytes of a buffer, and the older spellings of TLS
//! and SSH keywords, which become tests of buffers.

use super::{Keyword, Value, alone, bare, either, quoted};
use crate::ast::{
    Anchor, AppLayerMode, AppLayerProtocol, BufferTest, Case, CertEnd, Condition, Content, Effect,
    NumberTest, Operand, Polarity, SizeTest, tls_state,
};
use crate::draft::Draft;
use crate::events;
use crate::fault::{Outcome, invalid, shown, unsupported};
use crate::header::{NOT_DECODED, not_decoded};
use crate::numbers::comparison;
use portcullis_plugin_abi::{application, buffer_kind as kind};

pub(super) const ROWS: &[Keyword] = &[
    bare("app-layer-event", app_layer_event),
    bare("app-layer-protocol", app_layer_protocol),
    bare("urilen", urilen),
    bare("bsize", bsize),
    bare("dns.opcode", |d, v| number(d, v, kind::DNS_OPCODE, 15)),
    bare("dns.rcode", |d, v| number(d, v, kind::DNS_RCODE, 65_535)),
    bare("dns.rrtype", |d, v| number(d, v, kind::DNS_RRTYPE, 65_535)),
    bare("tls.cert_chain_len", |d, v| number(d, v, kind::TLS_CERT_CHAIN_LEN, 0xffff_ffff)),
    either("tls.version", tls_version),
    bare("ssl_version", ssl_version),
    bare("ssl_state", ssl_state),
    bare("tls_cert_notbefore", |d, v| cert_time(d, v, CertEnd::NotBefore)),
    bare("tls_cert_notafter", |d, v| cert_time(d, v, CertEnd::NotAfter)),
    alone("tls_cert_expired", |d, _| tls_condition(d, Condition::TlsCertExpired)),
    alone("tls_cert_valid", |d, _| tls_condition(d, Condition::TlsCertValid)),
    quoted("tls.subject", |d, v| older(d, v, kind::TLS_CERT_SUBJECT, Case::Exact, Anchor::No)),
    quoted("tls.issuerdn", |d, v| older(d, v, kind::TLS_CERT_ISSUER, Case::Exact, Anchor::No)),
    quoted("tls.fingerprint", |d, v| {
        older(d, v, kind::TLS_CERT_FINGERPRINT, Case::Ignored, Anchor::Yes)
    }),
    alone("tls_store", tls_store),
    alone("tls.store", tls_store),
    bare("ssh.protoversion", ssh_protoversion),
    either("ssh.softwareversion", |d, v| older(d, v, kind::SSH_SOFTWARE, Case::Exact, Anchor::No)),
    alone("ftpbounce", ftpbounce),
];

fn app_layer_event(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let name = value.word()?;
    if let Some((protocol, _)) = name.split_once('.') {
        if NOT_DECODED.contains(&protocol) {
            return Err(not_decoded(protocol));
        }
        let number = application::named(protocol).ok_or_else(|| {
            let reason = format!("`{protocol}` is not a protocol with events");
            invalid(reason, "write http, tls, dns, ssh, smtp, ftp or smb before the dot")
        })?;
        draft.require_application(number)?;
    }
    if !events::is_application_event(name) {
        return Err(invalid(
            format!("`{name}` is not an event of the application layer"),
            "write a name such as http.request_header_invalid",
        ));
    }
    draft.conditions.push(Condition::AppLayerEvent(name.to_owned()));
    Ok(())
}

fn app_layer_protocol(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let (polarity, text) = match value.text.strip_prefix(b"!") {
        Some(rest) => (Polarity::Negated, rest),
        None => (Polarity::Plain, value.text),
    };
    if draft.header.protocol.application.is_some() {
        return Err(invalid(
            "the rule is of one application already",
            "write tcp or udp as the rule's protocol",
        ));
    }
    let mut parts = text.split(|&b| b == b',').map(<[u8]>::trim_ascii);
    let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).to_ascii_lowercase();
    let mode = match parts.next() {
        None => AppLayerMode::Direction,
        Some(b"final") => AppLayerMode::Final,
        Some(b"original") => AppLayerMode::Original,
        Some(b"toserver" | b"to_server") => AppLayerMode::ToServer,
        Some(b"toclient" | b"to_client") => AppLayerMode::ToClient,
        Some(b"either") => AppLayerMode::Either,
        Some(other) => {
            let reason = format!("`{}` is not a mode", shown(other));
            return Err(invalid(reason, "write final, original, toserver, toclient or either"));
        }
    };
    let number = match name.as_str() {
        "failed" => application::FAILED,
        "unknown" => application::UNKNOWN,
        "http1" => application::HTTP,
        "ssl" => application::TLS,
        other if NOT_DECODED.contains(&other) => return Err(not_decoded(other)),
        other => application::named(other).ok_or_else(|| {
            let remedy = "write http, tls, dns, ssh, smtp, ftp, smb, failed or unknown";
            invalid(format!("`{other}` is not a protocol"), remedy)
        })?,
    };
    let same = |c: &Condition| {
        matches!(c, Condition::AppLayerProtocol(a) if a.polarity == Polarity::Plain
            || polarity == Polarity::Plain || a.application == number)
    };
    if draft.conditions.iter().any(same) {
        return Err(invalid(
            "it contradicts or repeats another app-layer-protocol",
            "write one, or several different ones with `!`",
        ));
    }
    let test = AppLayerProtocol { application: number, polarity, mode };
    draft.conditions.push(Condition::AppLayerProtocol(test));
    Ok(())
}

fn urilen(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let mut parts = value.text.splitn(2, |&b| b == b',').map(<[u8]>::trim_ascii);
    let test = comparison(parts.next().unwrap_or_default(), 65_535)?;
    let kind = match parts.next() {
        None | Some(b"norm") => kind::HTTP_URI,
        Some(b"raw") => kind::HTTP_URI_RAW,
        Some(other) => {
            let reason = format!("`{}` is neither norm nor raw", shown(other));
            return Err(invalid(reason, "write urilen:NUMBER,norm or urilen:NUMBER,raw"));
        }
    };
    draft.require_application(application::HTTP)?;
    draft.push_to_kind(kind, BufferTest::Size(SizeTest { size: test }));
    Ok(())
}

fn bsize(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    if !draft.is_sticky() {
        let remedy = "put a sticky buffer before it, or use dsize for packets";
        return Err(invalid("bsize stands where no sticky buffer is set", remedy));
    }
    let size = comparison(value.text, u64::MAX)?;
    draft.push(BufferTest::Size(SizeTest { size }));
    Ok(())
}

fn number(draft: &mut Draft<'_, '_>, value: &Value<'_>, kind: u16, most: u64) -> Outcome {
    let test = match (kind, rrtype(value.text)) {
        (kind::DNS_RRTYPE, Some(test)) => test,
        _ => comparison(value.text, most)?,
    };
    if let Some(number) = super::buffers::application_of(kind) {
        draft.require_application(number)?;
    }
    draft.conditions.push(Condition::Number { kind, test });
    Ok(())
}

/// Types of records by name, as newer rules write them.
fn rrtype(text: &[u8]) -> Option<NumberTest> {
    const NAMES: &[(&[u8], u64)] = &[
        (b"A", 1),
        (b"NS", 2),
        (b"CNAME", 5),
        (b"SOA", 6),
        (b"NULL", 10),
        (b"PTR", 12),
        (b"MX", 15),
        (b"TXT", 16),
        (b"AAAA", 28),
        (b"SRV", 33),
        (b"NAPTR", 35),
        (b"OPT", 41),
        (b"DS", 43),
        (b"SSHFP", 44),
        (b"RRSIG", 46),
        (b"NSEC", 47),
        (b"DNSKEY", 48),
        (b"TLSA", 52),
        (b"SVCB", 64),
        (b"HTTPS", 65),
        (b"AXFR", 252),
        (b"ANY", 255),
    ];
    let (polarity, name) = match text.strip_prefix(b"!") {
        Some(rest) => (Polarity::Negated, rest),
        None => (Polarity::Plain, text),
    };
    let row = NAMES.iter().find(|row| name.eq_ignore_ascii_case(row.0));
    row.map(|row| NumberTest { polarity, ..NumberTest::equal(row.1) })
}

fn tls_condition(draft: &mut Draft<'_, '_>, condition: Condition) -> Outcome {
    draft.require_application(application::TLS)?;
    draft.conditions.push(condition);
    Ok(())
}

fn tls_version(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let version = match value.text {
        b"1.0" => 0x0301,
        b"1.1" => 0x0302,
        b"1.2" => 0x0303,
        b"1.3" => 0x0304,
        other => {
            let raw = other.strip_prefix(b"0x").and_then(|h| std::str::from_utf8(h).ok());
            raw.and_then(|h| u16::from_str_radix(h, 16).ok()).ok_or_else(|| {
                let reason = format!("`{}` is not a version of TLS", value.shown());
                invalid(reason, "write 1.0, 1.1, 1.2, 1.3 or its number such as 0x7f12")
            })?
        }
    };
    let polarity = value.polarity;
    tls_condition(draft, Condition::TlsVersion { versions: vec![version], polarity })
}

/// The words of a list with one sign for all.
fn signed_list<'t>(text: &'t [u8], separators: &[u8]) -> Outcome<(Polarity, Vec<&'t [u8]>)> {
    let words = text.split(|b| separators.contains(b)).map(<[u8]>::trim_ascii);
    let words: Vec<&[u8]> = words.filter(|w| !w.is_empty()).collect();
    let negated = words.iter().filter(|w| w.starts_with(b"!")).count();
    if words.is_empty() || (negated != 0 && negated != words.len()) {
        return Err(invalid(
            format!("`{}` is empty or mixes words with and without `!`", shown(text)),
            "write all words with `!` or all without",
        ));
    }
    let polarity = if negated == 0 { Polarity::Plain } else { Polarity::Negated };
    Ok((polarity, words.into_iter().map(|w| w.strip_prefix(b"!").unwrap_or(w)).collect()))
}

fn ssl_version(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let (polarity, words) = signed_list(value.text, b", ")?;
    let mut versions = Vec::new();
    for word in words {
        versions.push(match word.to_ascii_lowercase().as_slice() {
            b"sslv2" => 0x0200,
            b"sslv3" => 0x0300,
            b"tls1.0" => 0x0301,
            b"tls1.1" => 0x0302,
            b"tls1.2" => 0x0303,
            b"tls1.3" => 0x0304,
            _ => {
                let reason = format!("`{}` is not a version", shown(word));
                return Err(invalid(
                    reason,
                    "write sslv2, sslv3, tls1.0, tls1.1, tls1.2 or tls1.3",
                ));
            }
        });
    }
    versions.sort_unstable();
    versions.dedup();
    tls_condition(draft, Condition::TlsVersion { versions, polarity })
}

fn ssl_state(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let (polarity, words) = signed_list(value.text, b",|")?;
    let mut states = 0;
    for word in words {
        states |= match word {
            b"client_hello" => tls_state::CLIENT_HELLO,
            b"server_hello" => tls_state::SERVER_HELLO,
            b"client_keyx" => tls_state::CLIENT_KEYX,
            b"server_keyx" => tls_state::SERVER_KEYX,
            b"unknown" => tls_state::UNKNOWN,
            _ => {
                return Err(invalid(
                    format!("`{}` is not a state", shown(word)),
                    "write client_hello, server_hello, client_keyx, server_keyx or unknown",
                ));
            }
        };
    }
    tls_condition(draft, Condition::TlsState { states, polarity })
}

fn cert_time(draft: &mut Draft<'_, '_>, value: &Value<'_>, end: CertEnd) -> Outcome {
    let text = value.word()?.trim().trim_matches('"');
    let fault = || {
        invalid(
            format!("`{text}` is not a time or a range of times"),
            "write such as >2024-01-01T00:00:00, <2025, or 2024-01<>2025-01",
        )
    };
    let at = |t: &str| crate::dates::seconds(t.trim()).ok_or_else(fault);
    let plain = |low, high| NumberTest { low, high, polarity: Polarity::Plain };
    let test = if let Some((low, high)) = text.split_once("<>") {
        let (low, high) = (at(low)?, at(high)?);
        if low >= high {
            return Err(fault());
        }
        plain(low.saturating_add(1), high.saturating_sub(1))
    } else if let Some(low) = text.strip_prefix('>') {
        plain(at(low)?.saturating_add(1), u64::MAX)
    } else if let Some(high) = text.strip_prefix('<') {
        plain(0, at(high)?.checked_sub(1).ok_or_else(fault)?)
    } else {
        NumberTest::equal(at(text)?)
    };
    tls_condition(draft, Condition::TlsCertTime { end, test })
}

/// A keyword with its own value that is a content of a buffer.
fn older(
    draft: &mut Draft<'_, '_>,
    value: &Value<'_>,
    kind: u16,
    case: Case,
    whole: Anchor,
) -> Outcome {
    if let Some(number) = super::buffers::application_of(kind) {
        draft.require_application(number)?;
    }
    let bytes = super::content::bytes_of(value)?;
    let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    let anchored = whole == Anchor::Yes;
    let content = Content {
        bytes,
        polarity: value.polarity,
        case,
        offset: anchored.then_some(Operand::Number(0)),
        depth: anchored.then_some(Operand::Number(length)),
        startswith: whole,
        endswith: whole,
        ..Content::default()
    };
    draft.push_to_kind(kind, BufferTest::Content(content));
    Ok(())
}

fn tls_store(draft: &mut Draft<'_, '_>, _: &Value<'_>) -> Outcome {
    draft.require_application(application::TLS)?;
    draft.effects.push(Effect::TlsStore);
    Ok(())
}

fn ssh_protoversion(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    if value.text == b"2_compat" {
        return Err(unsupported(
            "2_compat means two versions",
            "write ssh.proto; pcre:\"/^(2\\.0|1\\.99)$/\";",
        ));
    }
    older(draft, value, kind::SSH_PROTO, Case::Exact, Anchor::Yes)
}

fn ftpbounce(draft: &mut Draft<'_, '_>, _: &Value<'_>) -> Outcome {
    draft.require_application(application::FTP)?;
    draft.conditions.push(Condition::FtpBounce);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{tried, tried_with};
    use super::*;

    fn one(options: &str) -> Condition {
        match tried(options) {
            Ok(mut rule) => rule.conditions.pop().unwrap_or_else(|| panic!("none: {options}")),
            Err(refusal) => panic!("{refusal}"),
        }
    }

    #[test]
    fn facts_of_applications() {
        let want = Condition::AppLayerEvent("http.request_header_invalid".to_owned());
        assert_eq!(one("app-layer-event:http.request_header_invalid;"), want);
        assert!(matches!(one("app-layer-protocol:!tls;"), Condition::AppLayerProtocol(_)));
        let want = Condition::TlsVersion { versions: vec![0x303], polarity: Polarity::Plain };
        assert_eq!(one("tls.version:1.2;"), want);
        assert_eq!(one("tls.version:\"1.2\";"), want);
        let want =
            Condition::TlsVersion { versions: vec![0x200, 0x300], polarity: Polarity::Negated };
        assert_eq!(one("ssl_version:!sslv3, !sslv2;"), want);
        let want = Condition::TlsState { states: 3, polarity: Polarity::Plain };
        assert_eq!(one("ssl_state:client_hello|server_hello;"), want);
        let Condition::TlsCertTime { test, .. } = one("tls_cert_notafter:>1970-01-02;") else {
            panic!()
        };
        assert_eq!(test.low, 86_401);
        let Condition::Number { kind: found, test } = one("dns.rrtype:!TXT;") else { panic!() };
        assert_eq!((found, test.low), (kind::DNS_RRTYPE, 16));
        let rule = tried("urilen:<70; http.uri; bsize:>3; content:\"abc\";");
        assert_eq!(rule.map(|r| r.buffers.len()), Ok(1));
        let rule = tried_with("alert tls any any -> any any", "tls.fingerprint:!\"AA:bb\";");
        assert!(rule.is_ok_and(|r| r.buffers[0].kind == kind::TLS_CERT_FINGERPRINT));
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in [
            "app-layer-event:mqtt.malformed_traffic;",
            "app-layer-event:http.no_such_event;",
            "app-layer-event:tls.invalid_tls_header; http.uri; content:\"a\";",
            "app-layer-protocol:nonsense;",
            "app-layer-protocol:http; app-layer-protocol:tls;",
            "http.uri; content:\"a\"; app-layer-protocol:!http;",
            "urilen:x;",
            "urilen:5,sideways;",
            "bsize:5;",
            "tls.version:2.0;",
            "ssl_version:!sslv3,sslv2;",
            "ssl_state:finished;",
            "tls_cert_notafter:>tomorrow;",
            "tls_cert_expired:1;",
            "dns.opcode:99;",
        ] {
            assert!(tried(bad).is_err(), "{bad}");
        }
    }
}
