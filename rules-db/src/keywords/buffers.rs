//! Sticky buffers, and the old modifiers that move the content before them to a buffer.

use super::{Does, Keyword, Takes, Value};
use crate::ast::{Anchor, FlowDirection};
use crate::draft::{Current, Draft};
use crate::fault::{Outcome, invalid};
use portcullis_plugin_abi::{application, buffer_kind as kind};

const fn sticky(name: &'static str, kind: u16) -> Keyword {
    Keyword { name, takes: Takes::Nothing, does: Does::Sticky(kind) }
}

const fn modifier(name: &'static str, kind: u16) -> Keyword {
    Keyword { name, takes: Takes::Nothing, does: Does::Modifier(kind) }
}

pub(super) const ROWS: &[Keyword] = &[
    super::alone("pkt_data", pkt_data),
    super::alone("base64_data", base64_data),
    sticky("http.method", kind::HTTP_METHOD),
    sticky("http.uri", kind::HTTP_URI),
    sticky("http.uri.raw", kind::HTTP_URI_RAW),
    sticky("http.protocol", kind::HTTP_PROTOCOL),
    sticky("http.request_line", kind::HTTP_REQUEST_LINE),
    sticky("http.response_line", kind::HTTP_RESPONSE_LINE),
    sticky("http.stat_code", kind::HTTP_STAT_CODE),
    sticky("http.stat_msg", kind::HTTP_STAT_MSG),
    sticky("http.header", kind::HTTP_HEADER),
    sticky("http.header.raw", kind::HTTP_HEADER_RAW),
    sticky("http.header_names", kind::HTTP_HEADER_NAMES),
    sticky("http.start", kind::HTTP_START),
    sticky("http.cookie", kind::HTTP_COOKIE),
    sticky("http.user_agent", kind::HTTP_USER_AGENT),
    sticky("http.host", kind::HTTP_HOST),
    sticky("http.host.raw", kind::HTTP_HOST_RAW),
    sticky("http.referer", kind::HTTP_REFERER),
    sticky("http.accept", kind::HTTP_ACCEPT),
    sticky("http.accept_lang", kind::HTTP_ACCEPT_LANG),
    sticky("http.accept_enc", kind::HTTP_ACCEPT_ENC),
    sticky("http.connection", kind::HTTP_CONNECTION),
    sticky("http.content_type", kind::HTTP_CONTENT_TYPE),
    sticky("http.content_len", kind::HTTP_CONTENT_LEN),
    sticky("http.server", kind::HTTP_SERVER),
    sticky("http.location", kind::HTTP_LOCATION),
    sticky("http.request_body", kind::HTTP_REQUEST_BODY),
    sticky("http.response_body", kind::HTTP_RESPONSE_BODY),
    sticky("http.request_header", kind::HTTP_REQUEST_HEADER),
    sticky("http.response_header", kind::HTTP_RESPONSE_HEADER),
    sticky("http_request_line", kind::HTTP_REQUEST_LINE),
    sticky("http_response_line", kind::HTTP_RESPONSE_LINE),
    sticky("http_protocol", kind::HTTP_PROTOCOL),
    sticky("http_start", kind::HTTP_START),
    sticky("http_header_names", kind::HTTP_HEADER_NAMES),
    sticky("http_accept", kind::HTTP_ACCEPT),
    sticky("http_accept_lang", kind::HTTP_ACCEPT_LANG),
    sticky("http_accept_enc", kind::HTTP_ACCEPT_ENC),
    sticky("http_connection", kind::HTTP_CONNECTION),
    sticky("http_content_type", kind::HTTP_CONTENT_TYPE),
    sticky("http_content_len", kind::HTTP_CONTENT_LEN),
    sticky("http_referer", kind::HTTP_REFERER),
    modifier("http_method", kind::HTTP_METHOD),
    modifier("http_uri", kind::HTTP_URI),
    modifier("http_raw_uri", kind::HTTP_URI_RAW),
    modifier("http_header", kind::HTTP_HEADER),
    modifier("http_raw_header", kind::HTTP_HEADER_RAW),
    modifier("http_cookie", kind::HTTP_COOKIE),
    modifier("http_user_agent", kind::HTTP_USER_AGENT),
    modifier("http_host", kind::HTTP_HOST),
    modifier("http_raw_host", kind::HTTP_HOST_RAW),
    modifier("http_stat_code", kind::HTTP_STAT_CODE),
    modifier("http_stat_msg", kind::HTTP_STAT_MSG),
    modifier("http_client_body", kind::HTTP_REQUEST_BODY),
    modifier("http_server_body", kind::HTTP_RESPONSE_BODY),
    sticky("file.data", kind::FILE_DATA),
    sticky("file_data", kind::FILE_DATA),
    sticky("file.name", kind::FILE_NAME),
    sticky("file.magic", kind::FILE_MAGIC),
    sticky("tls.sni", kind::TLS_SNI),
    sticky("tls_sni", kind::TLS_SNI),
    sticky("tls.cert_subject", kind::TLS_CERT_SUBJECT),
    sticky("tls_cert_subject", kind::TLS_CERT_SUBJECT),
    sticky("tls.cert_issuer", kind::TLS_CERT_ISSUER),
    sticky("tls_cert_issuer", kind::TLS_CERT_ISSUER),
    sticky("tls.cert_serial", kind::TLS_CERT_SERIAL),
    sticky("tls_cert_serial", kind::TLS_CERT_SERIAL),
    sticky("tls.cert_fingerprint", kind::TLS_CERT_FINGERPRINT),
    sticky("tls_cert_fingerprint", kind::TLS_CERT_FINGERPRINT),
    sticky("tls.certs", kind::TLS_CERTS),
    sticky("tls.alpn", kind::TLS_ALPN),
    sticky("tls.subjectaltname", kind::TLS_SUBJECTALTNAME),
    sticky("tls.random", kind::TLS_RANDOM),
    sticky("tls.random_time", kind::TLS_RANDOM_TIME),
    sticky("tls.random_bytes", kind::TLS_RANDOM_BYTES),
    sticky("ja3.hash", kind::JA3_HASH),
    sticky("ja3_hash", kind::JA3_HASH),
    sticky("ja3.string", kind::JA3_STRING),
    sticky("ja3_string", kind::JA3_STRING),
    sticky("ja3s.hash", kind::JA3S_HASH),
    sticky("ja3s.string", kind::JA3S_STRING),
    sticky("ja4.hash", kind::JA4_HASH),
    sticky("dns.query", kind::DNS_QUERY_NAME),
    sticky("dns_query", kind::DNS_QUERY_NAME),
    sticky("dns.query.name", kind::DNS_QUERY_NAME),
    sticky("dns.queries.rrname", kind::DNS_QUERY_NAME),
    sticky("dns.answer.name", kind::DNS_ANSWER_NAME),
    sticky("dns.answers.rrname", kind::DNS_ANSWER_NAME),
    sticky("dns.response.rrname", kind::DNS_RESPONSE_RRNAME),
    sticky("ssh.proto", kind::SSH_PROTO),
    sticky("ssh_proto", kind::SSH_PROTO),
    sticky("ssh.software", kind::SSH_SOFTWARE),
    sticky("ssh_software", kind::SSH_SOFTWARE),
    sticky("ssh.hassh", kind::SSH_HASSH),
    sticky("ssh.hassh.server", kind::SSH_HASSH_SERVER),
    sticky("ssh.hassh.string", kind::SSH_HASSH_STRING),
    sticky("ssh.hassh.server.string", kind::SSH_HASSH_SERVER_STRING),
    sticky("smtp.helo", kind::SMTP_HELO),
    sticky("smtp.mail_from", kind::SMTP_MAIL_FROM),
    sticky("smtp.rcpt_to", kind::SMTP_RCPT_TO),
    sticky("ftp.command", kind::FTP_COMMAND),
    sticky("ftp.command_data", kind::FTP_COMMAND_DATA),
    sticky("ftp.reply", kind::FTP_REPLY),
    sticky("smb.named_pipe", kind::SMB_NAMED_PIPE),
    sticky("smb_named_pipe", kind::SMB_NAMED_PIPE),
    sticky("smb.share", kind::SMB_SHARE),
    sticky("smb_share", kind::SMB_SHARE),
    sticky("smb.ntlmssp_user", kind::SMB_NTLMSSP_USER),
    sticky("smb.ntlmssp_domain", kind::SMB_NTLMSSP_DOMAIN),
    sticky("ipv4.hdr", kind::IPV4_HDR),
    sticky("ipv6.hdr", kind::IPV6_HDR),
    sticky("tcp.hdr", kind::TCP_HDR),
    sticky("udp.hdr", kind::UDP_HDR),
    sticky("icmpv4.hdr", kind::ICMPV4_HDR),
    sticky("icmpv6.hdr", kind::ICMPV6_HDR),
    sticky("ip.src", kind::IP_SRC),
    sticky("ip.dst", kind::IP_DST),
];

/// The application that has a buffer; `None`: several, or none is needed.
pub(crate) fn application_of(kind: u16) -> Option<u16> {
    match kind {
        kind::HTTP_METHOD..=kind::HTTP_RESPONSE_HEADER => Some(application::HTTP),
        kind::TLS_SNI..=kind::TLS_RANDOM_BYTES
        | kind::TLS_VERSION_NUMBER..=kind::TLS_CERT_CHAIN_LEN
        | kind::TLS_STATE => Some(application::TLS),
        kind::DNS_QUERY_NAME..=kind::DNS_RESPONSE_RRNAME | kind::DNS_OPCODE..=kind::DNS_RCODE => {
            Some(application::DNS)
        }
        kind::SSH_PROTO..=kind::SSH_HASSH_SERVER_STRING => Some(application::SSH),
        kind::SMTP_HELO..=kind::SMTP_RCPT_TO => Some(application::SMTP),
        kind::FTP_COMMAND..=kind::FTP_REPLY => Some(application::FTP),
        kind::SMB_NAMED_PIPE..=kind::SMB_NTLMSSP_DOMAIN => Some(application::SMB),
        _ => None,
    }
}

/// The direction that a buffer is of; `None`: both.
pub(crate) fn direction_of(kind: u16) -> Option<FlowDirection> {
    match kind {
        kind::HTTP_METHOD
        | kind::HTTP_URI
        | kind::HTTP_URI_RAW
        | kind::HTTP_REQUEST_LINE
        | kind::HTTP_USER_AGENT
        | kind::HTTP_HOST
        | kind::HTTP_HOST_RAW
        | kind::HTTP_REFERER
        | kind::HTTP_ACCEPT
        | kind::HTTP_ACCEPT_LANG
        | kind::HTTP_ACCEPT_ENC
        | kind::HTTP_REQUEST_BODY
        | kind::HTTP_REQUEST_HEADER
        | kind::TLS_SNI
        | kind::JA3_HASH
        | kind::JA3_STRING
        | kind::SSH_HASSH
        | kind::SSH_HASSH_STRING
        | kind::SMTP_HELO
        | kind::SMTP_MAIL_FROM
        | kind::SMTP_RCPT_TO
        | kind::FTP_COMMAND
        | kind::FTP_COMMAND_DATA => Some(FlowDirection::ToServer),
        kind::HTTP_RESPONSE_LINE
        | kind::HTTP_STAT_CODE
        | kind::HTTP_STAT_MSG
        | kind::HTTP_SERVER
        | kind::HTTP_LOCATION
        | kind::HTTP_RESPONSE_BODY
        | kind::HTTP_RESPONSE_HEADER
        | kind::JA3S_HASH
        | kind::JA3S_STRING
        | kind::DNS_RESPONSE_RRNAME
        | kind::SSH_HASSH_SERVER
        | kind::SSH_HASSH_SERVER_STRING
        | kind::FTP_REPLY => Some(FlowDirection::ToClient),
        _ => None,
    }
}

/// Makes a sticky buffer current.
pub(super) fn stick(draft: &mut Draft<'_, '_>, kind: u16) -> Outcome {
    no_open_buffer(draft)?;
    if let Some(number) = application_of(kind) {
        draft.require_application(number)?;
    }
    draft.current = Current::Sticky { kind, transforms: Vec::new(), list: None };
    Ok(())
}

/// An old-style modifier: the last content of the payload is of this buffer.
pub(super) fn modify(draft: &mut Draft<'_, '_>, name: &str, kind: u16) -> Outcome {
    if draft.is_sticky() {
        return Err(invalid(
            format!("{name} stands where a sticky buffer is still set"),
            "put pkt_data before its content, or use the sticky buffer of the same name",
        ));
    }
    if let Some(number) = application_of(kind) {
        draft.require_application(number)?;
    }
    if draft.last_content(name)?.rawbytes == Anchor::Yes {
        let remedy = format!("take out rawbytes or {name}");
        return Err(invalid(format!("{name} does not go with rawbytes"), remedy));
    }
    draft.move_last_payload_content(kind, name)
}

fn pkt_data(draft: &mut Draft<'_, '_>, _: &Value<'_>) -> Outcome {
    no_open_buffer(draft)?;
    draft.current = Current::Payload;
    Ok(())
}

fn base64_data(draft: &mut Draft<'_, '_>, _: &Value<'_>) -> Outcome {
    no_open_buffer(draft)?;
    if draft.base64_tests().is_none() {
        let remedy = "put base64_decode before base64_data";
        return Err(invalid("there is no base64_decode before it", remedy));
    }
    draft.current = Current::Base64;
    Ok(())
}

/// A sticky buffer must be followed by a test.
pub(crate) fn no_open_buffer(draft: &Draft<'_, '_>) -> Outcome {
    let Current::Sticky { kind, list: None, .. } = draft.current else { return Ok(()) };
    let name = kind::name(kind).unwrap_or("buffer");
    Err(invalid(
        format!("the sticky buffer {name} or its transform is followed by no test"),
        "put a content, pcre or bsize behind it, or take it out",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::{tried, tried_with};
    use super::*;
    use crate::ast::BufferTest;

    #[test]
    fn every_buffer_keyword_loads_with_a_content() {
        for row in ROWS {
            let options = match row.does {
                Does::Sticky(_) => format!("{}; content:\"abc\";", row.name),
                Does::Modifier(_) => format!("content:\"abc\"; {};", row.name),
                _ => continue,
            };
            let rule = tried_with("alert ip any any -> any any", &options);
            let rule = rule.unwrap_or_else(|f| panic!("{f}"));
            let (Does::Sticky(kind) | Does::Modifier(kind)) = row.does else { continue };
            assert_eq!(rule.buffers[0].kind, kind, "{}", row.name);
            assert_eq!(rule.header.protocol.application, application_of(kind), "{}", row.name);
        }
    }

    #[test]
    fn tests_of_one_buffer_share_a_list_unless_it_has_instances() {
        let rule =
            tried("http.uri; content:\"a\"; http.host; content:\"b\"; http.uri; content:\"c\";");
        let rule = rule.unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(rule.buffers.len(), 2);
        assert_eq!(rule.buffers[0].tests.len(), 2);
        let rule = tried("tls.certs; content:\"a\"; tls.certs; content:\"b\";");
        assert_eq!(rule.map(|r| r.buffers.len()), Ok(2));
    }

    #[test]
    fn old_modifiers_move_the_content_before_them() {
        let rule =
            tried("content:\"a\"; content:\"b\"; http_uri; content:\"c\"; distance:1; http_uri;");
        let rule = rule.unwrap_or_else(|f| panic!("{f}"));
        let shape: Vec<_> = rule.buffers.iter().map(|b| (b.kind, b.tests.len())).collect();
        assert_eq!(shape, [(kind::PAYLOAD, 1), (kind::HTTP_URI, 2)]);
    }

    #[test]
    fn relative_tests_follow_an_old_modifier_to_its_buffer() {
        let rule = tried("content:\"b\"; http_uri; isdataat:4,relative;");
        let rule = rule.unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(rule.buffers.len(), 1);
        assert!(matches!(rule.buffers[0].tests[1], BufferTest::IsDataAt(_)));
    }

    #[test]
    fn bad_uses_are_refused() {
        for bad in [
            "http_uri;",
            "http.uri; content:\"a\"; http_uri;",
            "content:\"a\"; rawbytes; http_uri;",
            "http.uri:x; content:\"a\";",
            "http.uri;",
            "http.uri; to_md5; http.host; content:\"a\";",
            "base64_data; content:\"a\";",
            "http.uri; content:\"a\"; tls.sni; content:\"b\";",
            "http.uri; content:\"a\"; http.stat_code; content:\"b\";",
            "flow:to_client; http.uri; content:\"a\";",
        ] {
            assert!(tried(bad).is_err(), "{bad}");
        }
        assert!(tried_with("alert tls any any -> any any", "http.uri; content:\"a\";").is_err());
        assert!(tried_with("alert udp any any -> any any", "http.uri; content:\"a\";").is_err());
    }
}
