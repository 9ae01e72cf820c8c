//! The oddities of all protocols by number, with the names that rules use
//! (`app-layer-event:NAME`). Numbers are kept for ever; must never know how they are found.

macro_rules! events {
    ($($name:ident = $number:literal $word:literal,)+) => {
        /// The numbers, as `app.event` pieces and [`crate::Output::anomalies`] hold them.
        #[allow(missing_docs, reason = "each is the name that Suricata's rules explain")]
        pub mod app_event {
            $(pub const $name: u16 = $number;)+
        }
        /// All: number and name.
        pub const ALL: &[(u16, &str)] = &[$(($number, $word)),+];
    };
}

events! {
    APPLAYER_MISMATCH_PROTOCOL_BOTH_DIRECTIONS = 1 "applayer_mismatch_protocol_both_directions",
    APPLAYER_WRONG_DIRECTION_FIRST_DATA = 2 "applayer_wrong_direction_first_data",
    APPLAYER_DETECT_PROTOCOL_ONLY_ONE_DIRECTION = 3 "applayer_detect_protocol_only_one_direction",
    APPLAYER_PROTO_DETECTION_SKIPPED = 4 "applayer_proto_detection_skipped",
    APPLAYER_NO_TLS_AFTER_STARTTLS = 5 "applayer_no_tls_after_starttls",
    APPLAYER_UNEXPECTED_PROTOCOL = 6 "applayer_unexpected_protocol",
    HTTP_UNKNOWN_ERROR = 100 "http.unknown_error",
    HTTP_GZIP_DECOMPRESSION_FAILED = 101 "http.gzip_decompression_failed",
    HTTP_REQUEST_FIELD_MISSING_COLON = 102 "http.request_field_missing_colon",
    HTTP_RESPONSE_FIELD_MISSING_COLON = 103 "http.response_field_missing_colon",
    HTTP_INVALID_REQUEST_CHUNK_LEN = 104 "http.invalid_request_chunk_len",
    HTTP_INVALID_RESPONSE_CHUNK_LEN = 105 "http.invalid_response_chunk_len",
    HTTP_INVALID_TRANSFER_ENCODING_VALUE_IN_REQUEST = 106
        "http.invalid_transfer_encoding_value_in_request",
    HTTP_INVALID_TRANSFER_ENCODING_VALUE_IN_RESPONSE = 107
        "http.invalid_transfer_encoding_value_in_response",
    HTTP_INVALID_CONTENT_LENGTH_FIELD_IN_REQUEST = 108
        "http.invalid_content_length_field_in_request",
    HTTP_INVALID_CONTENT_LENGTH_FIELD_IN_RESPONSE = 109
        "http.invalid_content_length_field_in_response",
    HTTP_100_CONTINUE_ALREADY_SEEN = 110 "http.100_continue_already_seen",
    HTTP_UNABLE_TO_MATCH_RESPONSE_TO_REQUEST = 111 "http.unable_to_match_response_to_request",
    HTTP_INVALID_SERVER_PORT_IN_REQUEST = 112 "http.invalid_server_port_in_request",
    HTTP_INVALID_AUTHORITY_PORT = 113 "http.invalid_authority_port",
    HTTP_REQUEST_HEADER_INVALID = 114 "http.request_header_invalid",
    HTTP_RESPONSE_HEADER_INVALID = 115 "http.response_header_invalid",
    HTTP_MISSING_HOST_HEADER = 116 "http.missing_host_header",
    HTTP_HOST_HEADER_AMBIGUOUS = 117 "http.host_header_ambiguous",
    HTTP_INVALID_REQUEST_FIELD_FOLDING = 118 "http.invalid_request_field_folding",
    HTTP_INVALID_RESPONSE_FIELD_FOLDING = 119 "http.invalid_response_field_folding",
    HTTP_REQUEST_FIELD_TOO_LONG = 120 "http.request_field_too_long",
    HTTP_RESPONSE_FIELD_TOO_LONG = 121 "http.response_field_too_long",
    HTTP_MULTIPART_GENERIC_ERROR = 122 "http.multipart_generic_error",
    HTTP_MULTIPART_NO_FILEDATA = 123 "http.multipart_no_filedata",
    HTTP_MULTIPART_INVALID_HEADER = 124 "http.multipart_invalid_header",
    HTTP_REQUEST_SERVER_PORT_TCP_PORT_MISMATCH = 125 "http.request_server_port_tcp_port_mismatch",
    HTTP_REQUEST_URI_HOST_INVALID = 126 "http.request_uri_host_invalid",
    HTTP_REQUEST_HEADER_HOST_INVALID = 127 "http.request_header_host_invalid",
    HTTP_URI_DELIM_NON_COMPLIANT = 128 "http.uri_delim_non_compliant",
    HTTP_METHOD_DELIM_NON_COMPLIANT = 129 "http.method_delim_non_compliant",
    HTTP_REQUEST_LINE_LEADING_WHITESPACE = 130 "http.request_line_leading_whitespace",
    HTTP_TOO_MANY_ENCODING_LAYERS = 131 "http.too_many_encoding_layers",
    HTTP_ABNORMAL_CE_HEADER = 132 "http.abnormal_ce_header",
    HTTP_REQUEST_AUTH_UNRECOGNIZED = 133 "http.request_auth_unrecognized",
    HTTP_REQUEST_HEADER_REPETITION = 134 "http.request_header_repetition",
    HTTP_RESPONSE_HEADER_REPETITION = 135 "http.response_header_repetition",
    HTTP_RESPONSE_MULTIPART_BYTERANGES = 136 "http.response_multipart_byteranges",
    HTTP_RESPONSE_ABNORMAL_TRANSFER_ENCODING = 137 "http.response_abnormal_transfer_encoding",
    HTTP_RESPONSE_CHUNKED_OLD_PROTO = 138 "http.response_chunked_old_proto",
    HTTP_RESPONSE_INVALID_PROTOCOL = 139 "http.response_invalid_protocol",
    HTTP_RESPONSE_INVALID_STATUS = 140 "http.response_invalid_status",
    HTTP_REQUEST_LINE_INCOMPLETE = 141 "http.request_line_incomplete",
    HTTP_DOUBLE_ENCODED_URI = 142 "http.double_encoded_uri",
    HTTP_REQUEST_LINE_INVALID = 143 "http.request_line_invalid",
    HTTP_REQUEST_BODY_UNEXPECTED = 144 "http.request_body_unexpected",
    HTTP_LZMA_MEMLIMIT_REACHED = 145 "http.lzma_memlimit_reached",
    HTTP_DUPLICATE_CONTENT_LENGTH_FIELD_IN_REQUEST = 146
        "http.duplicate_content_length_field_in_request",
    HTTP_DUPLICATE_CONTENT_LENGTH_FIELD_IN_RESPONSE = 147
        "http.duplicate_content_length_field_in_response",
    HTTP_COMPRESSION_BOMB = 148 "http.compression_bomb",
    HTTP_TOO_MANY_WARNINGS = 149 "http.too_many_warnings",
    HTTP_RANGE_INVALID = 150 "http.range_invalid",
    HTTP_FILE_NAME_TOO_LONG = 151 "http.file_name_too_long",
    HTTP_FAILED_PROTOCOL_CHANGE = 152 "http.failed_protocol_change",
    HTTP_REQUEST_CHUNK_EXTENSION = 153 "http.request_chunk_extension",
    HTTP_REQUEST_LINE_MISSING_PROTOCOL = 154 "http.request_line_missing_protocol",
    HTTP_REQUEST_TOO_MANY_HEADERS = 155 "http.request_too_many_headers",
    HTTP_RESPONSE_TOO_MANY_HEADERS = 156 "http.response_too_many_headers",
    HTTP_RESPONSE_CHUNK_EXTENSION = 157 "http.response_chunk_extension",
    HTTP_COMPRESSION_BOMB_LIMIT_REACHED = 158 "http.compression_bomb_limit_reached",
    TLS_INVALID_SSLV2_HEADER = 200 "tls.invalid_sslv2_header",
    TLS_INVALID_TLS_HEADER = 201 "tls.invalid_tls_header",
    TLS_INVALID_RECORD_VERSION = 202 "tls.invalid_record_version",
    TLS_INVALID_RECORD_TYPE = 203 "tls.invalid_record_type",
    TLS_INVALID_HANDSHAKE_MESSAGE = 204 "tls.invalid_handshake_message",
    TLS_INVALID_CERTIFICATE = 205 "tls.invalid_certificate",
    TLS_CERTIFICATE_INVALID_LENGTH = 206 "tls.certificate_invalid_length",
    TLS_ERROR_MESSAGE_ENCOUNTERED = 207 "tls.error_message_encountered",
    TLS_INVALID_SSL_RECORD = 208 "tls.invalid_ssl_record",
    TLS_HEARTBEAT_MESSAGE = 209 "tls.heartbeat_message",
    TLS_OVERFLOW_HEARTBEAT_MESSAGE = 210 "tls.overflow_heartbeat_message",
    TLS_INVALID_HEARTBEAT_MESSAGE = 211 "tls.invalid_heartbeat_message",
    TLS_DATALEAK_HEARTBEAT_MISMATCH = 212 "tls.dataleak_heartbeat_mismatch",
    TLS_MULTIPLE_SNI_EXTENSIONS = 213 "tls.multiple_sni_extensions",
    TLS_INVALID_SNI_TYPE = 214 "tls.invalid_sni_type",
    TLS_INVALID_SNI_LENGTH = 215 "tls.invalid_sni_length",
    TLS_HANDSHAKE_INVALID_LENGTH = 216 "tls.handshake_invalid_length",
    TLS_TOO_MANY_RECORDS_IN_PACKET = 217 "tls.too_many_records_in_packet",
    TLS_CERTIFICATE_INVALID_VERSION = 218 "tls.certificate_invalid_version",
    TLS_CERTIFICATE_INVALID_SERIAL = 219 "tls.certificate_invalid_serial",
    TLS_CERTIFICATE_INVALID_ALGORITHMIDENTIFIER = 220 "tls.certificate_invalid_algorithmidentifier",
    TLS_CERTIFICATE_INVALID_X509NAME = 221 "tls.certificate_invalid_x509name",
    TLS_CERTIFICATE_INVALID_DATE = 222 "tls.certificate_invalid_date",
    TLS_CERTIFICATE_INVALID_EXTENSIONS = 223 "tls.certificate_invalid_extensions",
    TLS_CERTIFICATE_INVALID_DER = 224 "tls.certificate_invalid_der",
    TLS_CERTIFICATE_INVALID_SUBJECT = 225 "tls.certificate_invalid_subject",
    TLS_CERTIFICATE_INVALID_ISSUER = 226 "tls.certificate_invalid_issuer",
    TLS_CERTIFICATE_INVALID_VALIDITY = 227 "tls.certificate_invalid_validity",
    TLS_INVALID_ALERT_MESSAGE = 228 "tls.invalid_alert_message",
    DNS_MALFORMED_DATA = 300 "dns.malformed_data",
    DNS_NOT_REQUEST = 301 "dns.not_request",
    DNS_NOT_RESPONSE = 302 "dns.not_response",
    DNS_Z_FLAG_SET = 303 "dns.z_flag_set",
    DNS_INVALID_OPCODE = 304 "dns.invalid_opcode",
    DNS_NAME_TOO_LONG = 305 "dns.name_too_long",
    DNS_INFINITE_LOOP = 306 "dns.infinite_loop",
    DNS_TOO_MANY_LABELS = 307 "dns.too_many_labels",
    DNS_INVALID_ADDITIONALS = 308 "dns.invalid_additionals",
    DNS_INVALID_AUTHORITIES = 309 "dns.invalid_authorities",
    SSH_INVALID_BANNER = 400 "ssh.invalid_banner",
    SSH_LONG_BANNER = 401 "ssh.long_banner",
    SSH_INVALID_RECORD = 402 "ssh.invalid_record",
    SMTP_INVALID_REPLY = 420 "smtp.invalid_reply",
    SMTP_UNABLE_TO_MATCH_REPLY_WITH_REQUEST = 421 "smtp.unable_to_match_reply_with_request",
    SMTP_MAX_COMMAND_LINE_LEN_EXCEEDED = 422 "smtp.max_command_line_len_exceeded",
    SMTP_MAX_REPLY_LINE_LEN_EXCEEDED = 423 "smtp.max_reply_line_len_exceeded",
    SMTP_INVALID_PIPELINED_SEQUENCE = 424 "smtp.invalid_pipelined_sequence",
    SMTP_BDAT_CHUNK_LEN_EXCEEDED = 425 "smtp.bdat_chunk_len_exceeded",
    SMTP_NO_SERVER_WELCOME_MESSAGE = 426 "smtp.no_server_welcome_message",
    SMTP_TLS_REJECTED = 427 "smtp.tls_rejected",
    SMTP_DATA_COMMAND_REJECTED = 428 "smtp.data_command_rejected",
    SMTP_MIME_PARSE_FAILED = 429 "smtp.mime_parse_failed",
    SMTP_MIME_MALFORMED_MSG = 430 "smtp.mime_malformed_msg",
    SMTP_MIME_INVALID_BASE64 = 431 "smtp.mime_invalid_base64",
    SMTP_MIME_LONG_HEADER_NAME = 432 "smtp.mime_long_header_name",
    SMTP_MIME_LONG_HEADER_VALUE = 433 "smtp.mime_long_header_value",
    SMTP_MIME_INVALID_QP = 434 "smtp.mime_invalid_qp",
    SMTP_MIME_LONG_LINE = 435 "smtp.mime_long_line",
    SMTP_MIME_LONG_ENC_LINE = 436 "smtp.mime_long_enc_line",
    SMTP_MIME_LONG_BOUNDARY = 437 "smtp.mime_long_boundary",
    SMTP_DUPLICATE_FIELDS = 438 "smtp.duplicate_fields",
    SMTP_UNPARSABLE_CONTENT = 439 "smtp.unparsable_content",
    SMTP_MIME_LONG_FILENAME = 440 "smtp.mime_long_filename",
    SMTP_FAILED_PROTOCOL_CHANGE = 441 "smtp.failed_protocol_change",
    SMTP_INVALID_BDAT = 442 "smtp.invalid_bdat",
    FTP_REQUEST_COMMAND_TOO_LONG = 460 "ftp.request_command_too_long",
    FTP_RESPONSE_COMMAND_TOO_LONG = 461 "ftp.response_command_too_long",
    FTP_TOO_MANY_TRANSACTIONS = 462 "ftp.too_many_transactions",
    FTP_FILE_BEFORE_PORT = 463 "ftp.file_before_port",
    FTP_FILE_WITHOUT_NAME = 464 "ftp.file_without_name",
    SMB_INTERNAL_ERROR = 480 "smb.internal_error",
    SMB_MALFORMED_DATA = 481 "smb.malformed_data",
    SMB_MALFORMED_NTLMSSP_REQUEST = 482 "smb.malformed_ntlmssp_request",
    SMB_NEGOTIATE_MALFORMED_DIALECTS = 483 "smb.negotiate_malformed_dialects",
    SMB_FILE_OVERLAP = 484 "smb.file_overlap",
    SMB_RESPONSE_TO_SERVER = 485 "smb.response_to_server",
    SMB_REQUEST_TO_CLIENT = 486 "smb.request_to_client",
    SMB_READ_REQUEST_TOO_LARGE = 487 "smb.read_request_too_large",
    SMB_READ_RESPONSE_TOO_LARGE = 488 "smb.read_response_too_large",
    SMB_WRITE_REQUEST_TOO_LARGE = 489 "smb.write_request_too_large",
    SMB_NEGOTIATE_MAX_READ_SIZE_TOO_LARGE = 490 "smb.negotiate_max_read_size_too_large",
    SMB_NEGOTIATE_MAX_WRITE_SIZE_TOO_LARGE = 491 "smb.negotiate_max_write_size_too_large",
    SMB_WRITE_QUEUE_SIZE_EXCEEDED = 492 "smb.write_queue_size_exceeded",
    SMB_WRITE_QUEUE_CNT_EXCEEDED = 493 "smb.write_queue_cnt_exceeded",
    SMB_READ_QUEUE_SIZE_EXCEEDED = 494 "smb.read_queue_size_exceeded",
    SMB_READ_QUEUE_CNT_EXCEEDED = 495 "smb.read_queue_cnt_exceeded",
    SMB_TOO_MANY_TRANSACTIONS = 496 "smb.too_many_transactions",
}

/// The name of an event.
pub fn event_name(number: u16) -> Option<&'static str> {
    let at = ALL.binary_search_by_key(&number, |row| row.0).ok()?;
    ALL.get(at).map(|row| row.1)
}

/// Names that no decoder raises, in the order of their numbers: what they mean is not looked at
/// (double decoding, LZMA, files of SMB, what is told of both directions' probing), or cannot be.
/// Whoever asks for one must be told so.
pub const UNRAISED: &[u16] = &[
    app_event::APPLAYER_MISMATCH_PROTOCOL_BOTH_DIRECTIONS,
    app_event::APPLAYER_WRONG_DIRECTION_FIRST_DATA,
    app_event::APPLAYER_DETECT_PROTOCOL_ONLY_ONE_DIRECTION,
    app_event::APPLAYER_PROTO_DETECTION_SKIPPED,
    app_event::APPLAYER_NO_TLS_AFTER_STARTTLS,
    app_event::APPLAYER_UNEXPECTED_PROTOCOL,
    app_event::HTTP_UNKNOWN_ERROR,
    app_event::HTTP_INVALID_TRANSFER_ENCODING_VALUE_IN_RESPONSE,
    app_event::HTTP_INVALID_SERVER_PORT_IN_REQUEST,
    app_event::HTTP_MULTIPART_GENERIC_ERROR,
    app_event::HTTP_REQUEST_SERVER_PORT_TCP_PORT_MISMATCH,
    app_event::HTTP_RESPONSE_MULTIPART_BYTERANGES,
    app_event::HTTP_DOUBLE_ENCODED_URI,
    app_event::HTTP_REQUEST_LINE_INVALID,
    app_event::HTTP_LZMA_MEMLIMIT_REACHED,
    app_event::HTTP_TOO_MANY_WARNINGS,
    app_event::HTTP_FILE_NAME_TOO_LONG,
    app_event::HTTP_FAILED_PROTOCOL_CHANGE,
    app_event::HTTP_COMPRESSION_BOMB_LIMIT_REACHED,
    app_event::TLS_INVALID_TLS_HEADER,
    app_event::TLS_TOO_MANY_RECORDS_IN_PACKET,
    app_event::TLS_CERTIFICATE_INVALID_VALIDITY,
    app_event::SMTP_INVALID_PIPELINED_SEQUENCE,
    app_event::SMTP_BDAT_CHUNK_LEN_EXCEEDED,
    app_event::SMTP_MIME_PARSE_FAILED,
    app_event::SMTP_MIME_MALFORMED_MSG,
    app_event::SMTP_MIME_LONG_HEADER_NAME,
    app_event::SMTP_MIME_LONG_LINE,
    app_event::SMTP_MIME_LONG_ENC_LINE,
    app_event::SMTP_UNPARSABLE_CONTENT,
    app_event::SMTP_FAILED_PROTOCOL_CHANGE,
    app_event::FTP_FILE_BEFORE_PORT,
    app_event::FTP_FILE_WITHOUT_NAME,
    app_event::SMB_INTERNAL_ERROR,
    app_event::SMB_NEGOTIATE_MALFORMED_DIALECTS,
    app_event::SMB_FILE_OVERLAP,
    app_event::SMB_READ_REQUEST_TOO_LARGE,
    app_event::SMB_READ_RESPONSE_TOO_LARGE,
    app_event::SMB_WRITE_REQUEST_TOO_LARGE,
    app_event::SMB_NEGOTIATE_MAX_READ_SIZE_TOO_LARGE,
    app_event::SMB_NEGOTIATE_MAX_WRITE_SIZE_TOO_LARGE,
    app_event::SMB_WRITE_QUEUE_SIZE_EXCEEDED,
    app_event::SMB_WRITE_QUEUE_CNT_EXCEEDED,
    app_event::SMB_READ_QUEUE_SIZE_EXCEEDED,
    app_event::SMB_READ_QUEUE_CNT_EXCEEDED,
    app_event::SMB_TOO_MANY_TRANSACTIONS,
];

/// The number of a name that may come; case does not matter.
pub fn event_named(name: &str) -> Option<u16> {
    let number = ALL.iter().find(|row| row.1.eq_ignore_ascii_case(name)).map(|row| row.0)?;
    (!UNRAISED.contains(&number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::{ALL, UNRAISED, event_name, event_named};
    use std::path::Path;

    #[test]
    fn numbers_are_sorted_and_names_are_found() {
        assert!(ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for &(number, name) in ALL {
            let may_come = !UNRAISED.contains(&number);
            assert_eq!(event_name(number), Some(name));
            assert_eq!(event_named(name), may_come.then_some(number));
        }
    }

    /// Where events can be raised: neither imports nor tests.
    fn code(folder: &Path, out: &mut String) {
        for entry in std::fs::read_dir(folder).expect("the sources are here") {
            let path = entry.expect("the sources are here").path();
            if path.is_dir() {
                code(&path, out);
                continue;
            }
            if path.ends_with("events.rs") || path.ends_with("tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("the sources are text");
            let (text, _) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((&text, ""));
            let mut imports = false;
            for line in text.lines() {
                imports |= line.trim_start().trim_start_matches("pub ").starts_with("use ");
                if !imports {
                    out.push_str(line);
                    out.push('\n');
                }
                imports &= !line.ends_with(';');
            }
        }
    }

    #[test]
    fn each_event_is_raised_somewhere_or_is_among_those_that_are_not() {
        let mut text = String::new();
        code(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words: std::collections::HashSet<&str> = text.split(|c| !is_word(c)).collect();
        for &(number, name) in ALL {
            let constant = name.to_ascii_uppercase().replace('.', "_");
            let is_raised = words.contains(&*constant);
            assert_eq!(is_raised, !UNRAISED.contains(&number), "{name}");
        }
    }
}
