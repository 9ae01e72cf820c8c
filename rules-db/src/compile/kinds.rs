//! What the compiler must know of kinds of buffers: which way they go, and which of them the host
//! scans.

use portcullis_plugin_abi::buffer_kind as kind;

/// Which way a buffer of this kind goes: `[to the server, to the client]`.
pub(super) fn directions(buffer: u16) -> [bool; 2] {
    match buffer {
        kind::HTTP_METHOD..=kind::HTTP_PROTOCOL if buffer != kind::HTTP_PROTOCOL => [true, false],
        kind::HTTP_REQUEST_LINE
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
        | kind::JA4_HASH
        | kind::SSH_HASSH
        | kind::SSH_HASSH_STRING
        | kind::SMTP_HELO
        | kind::SMTP_MAIL_FROM
        | kind::SMTP_RCPT_TO
        | kind::FTP_COMMAND
        | kind::DNS_QUERY_NAME
        | kind::FTP_COMMAND_DATA => [true, false],
        kind::HTTP_RESPONSE_LINE
        | kind::HTTP_STAT_CODE
        | kind::HTTP_STAT_MSG
        | kind::HTTP_SERVER
        | kind::HTTP_LOCATION
        | kind::HTTP_RESPONSE_BODY
        | kind::HTTP_RESPONSE_HEADER
        | kind::JA3S_HASH
        | kind::JA3S_STRING
        | kind::SSH_HASSH_SERVER
        | kind::SSH_HASSH_SERVER_STRING
        | kind::DNS_ANSWER_NAME
        | kind::DNS_RESPONSE_RRNAME
        | kind::FTP_REPLY => [false, true],
        _ => [true, true],
    }
}

/// Several instances in one transaction, each tested by itself.
pub(super) fn is_multiple(buffer: u16) -> bool {
    matches!(
        buffer,
        kind::HTTP_REQUEST_HEADER
            | kind::HTTP_RESPONSE_HEADER
            | kind::TLS_CERTS
            | kind::TLS_ALPN
            | kind::TLS_SUBJECTALTNAME
            | kind::DNS_QUERY_NAME
            | kind::DNS_ANSWER_NAME
            | kind::DNS_RESPONSE_RRNAME
            | kind::SMTP_RCPT_TO
            | kind::FTP_REPLY
            | kind::FILE_NAME
            | kind::FILE_DATA
            | kind::FILE_MAGIC
            | kind::FILE_MD5
            | kind::FILE_SHA1
            | kind::FILE_SHA256
    ) || is_number(buffer)
}

/// It holds a number, eight bytes.
pub(super) fn is_number(buffer: u16) -> bool {
    buffer >= kind::FIRST_NUMBER
}

/// The header of a packet, or an address of it: no field of a transaction.
pub(super) fn is_header(buffer: u16) -> bool {
    matches!(buffer, kind::IPV4_HDR..=kind::IP_SRC | kind::IP_DST)
}

/// An address: every event has it, and whoever evaluates a rule makes the buffer of it.
pub(super) fn is_address(buffer: u16) -> bool {
    matches!(buffer, kind::IP_SRC | kind::IP_DST)
}

/// The host can look for literals in it.
pub(super) fn is_scanned(buffer: u16) -> bool {
    !is_number(buffer) && !is_address(buffer)
}

/// It comes piece by piece, behind the fields of its transaction.
pub(super) fn is_body(buffer: u16) -> bool {
    matches!(buffer, kind::HTTP_REQUEST_BODY | kind::HTTP_RESPONSE_BODY | kind::FILE_DATA)
}
