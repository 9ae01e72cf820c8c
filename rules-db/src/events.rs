//! The names of the engine's events, as Suricata's rules spell them: of decoding, of streams, of
//! the application layer. Numbers are the business of those who raise them.

use std::collections::HashSet;
use std::sync::OnceLock;

type Names = HashSet<&'static str>;

fn names(cell: &'static OnceLock<Names>, list: &'static str) -> &'static Names {
    cell.get_or_init(|| list.split_whitespace().collect())
}

/// Whether `decode-event` knows a name.
pub(crate) fn is_decode_event(name: &str) -> bool {
    static CELL: OnceLock<Names> = OnceLock::new();
    names(&CELL, DECODE).contains(name)
}

/// The protocol of a `decode-event` whose packets are not read deeply enough to tell.
pub(crate) fn decode_protocol_not_read(name: &str) -> Option<&str> {
    name.split_once('.').map(|(protocol, _)| protocol).filter(|p| *p == "sctp")
}

/// Whether `stream-event` knows a name.
pub(crate) fn is_stream_event(name: &str) -> bool {
    static CELL: OnceLock<Names> = OnceLock::new();
    names(&CELL, STREAM).contains(name)
}

/// Whether `app-layer-event` knows a name.
pub(crate) fn is_application_event(name: &str) -> bool {
    static CELL: OnceLock<Names> = OnceLock::new();
    names(&CELL, APPLICATION).contains(name)
}

/// All names that `decode-event` takes.
pub fn decode_events() -> impl Iterator<Item = &'static str> {
    DECODE.split_whitespace()
}

/// All names that `stream-event` takes.
pub fn stream_events() -> impl Iterator<Item = &'static str> {
    STREAM.split_whitespace()
}

/// All names that `app-layer-event` takes.
pub fn application_events() -> impl Iterator<Item = &'static str> {
    APPLICATION.split_whitespace()
}

/// Of the application layer; those without a dot are of any protocol.
const APPLICATION: &str = "\
    applayer_detect_protocol_only_one_direction applayer_mismatch_protocol_both_directions \
    applayer_no_tls_after_starttls applayer_proto_detection_skipped applayer_unexpected_protocol \
    applayer_wrong_direction_first_data dns.infinite_loop dns.invalid_additionals \
    dns.invalid_authorities dns.invalid_opcode dns.malformed_data dns.name_too_long \
    dns.not_a_request dns.not_a_response dns.not_request dns.not_response dns.too_many_labels \
    dns.z_flag_set ftp.file_before_port ftp.file_without_name ftp.request_command_too_long \
    ftp.response_command_too_long ftp.too_many_transactions http.100_continue_already_seen \
    http.abnormal_ce_header http.compression_bomb http.compression_bomb_limit_reached \
    http.double_encoded_uri http.duplicate_content_length_field_in_request \
    http.duplicate_content_length_field_in_response http.failed_protocol_change \
    http.file_name_too_long http.gzip_decompression_failed http.host_header_ambiguous \
    http.invalid_authority_port http.invalid_content_length_field_in_request \
    http.invalid_content_length_field_in_response http.invalid_request_chunk_len \
    http.invalid_request_field_folding http.invalid_response_chunk_len \
    http.invalid_response_field_folding http.invalid_server_port_in_request \
    http.invalid_transfer_encoding_value_in_request \
    http.invalid_transfer_encoding_value_in_response http.lzma_memlimit_reached \
    http.method_delim_non_compliant http.missing_host_header http.multipart_generic_error \
    http.multipart_invalid_header http.multipart_no_filedata http.range_invalid \
    http.request_auth_unrecognized http.request_body_unexpected http.request_chunk_extension \
    http.request_field_missing_colon http.request_field_too_long \
    http.request_header_host_invalid http.request_header_invalid http.request_header_repetition \
    http.request_line_incomplete http.request_line_invalid http.request_line_leading_whitespace \
    http.request_line_missing_protocol http.request_server_port_tcp_port_mismatch \
    http.request_too_many_headers http.request_uri_host_invalid \
    http.response_abnormal_transfer_encoding http.response_chunk_extension \
    http.response_chunked_old_proto http.response_field_missing_colon \
    http.response_field_too_long http.response_header_invalid http.response_header_repetition \
    http.response_invalid_protocol http.response_invalid_status \
    http.response_multipart_byteranges http.response_too_many_headers \
    http.too_many_encoding_layers http.too_many_warnings \
    http.unable_to_match_response_to_request http.unknown_error http.uri_delim_non_compliant \
    smb.file_overlap smb.internal_error smb.malformed_data smb.malformed_ntlmssp_request \
    smb.negotiate_malformed_dialects smb.negotiate_max_read_size_too_large \
    smb.negotiate_max_write_size_too_large smb.read_queue_cnt_exceeded \
    smb.read_queue_size_exceeded smb.read_request_too_large smb.read_response_too_large \
    smb.request_to_client smb.response_to_server smb.too_many_transactions \
    smb.write_queue_cnt_exceeded smb.write_queue_size_exceeded smb.write_request_too_large \
    smtp.bdat_chunk_len_exceeded smtp.data_command_rejected smtp.duplicate_fields \
    smtp.failed_protocol_change smtp.invalid_bdat smtp.invalid_pipelined_sequence \
    smtp.invalid_reply smtp.max_command_line_len_exceeded smtp.max_reply_line_len_exceeded \
    smtp.mime_invalid_base64 smtp.mime_invalid_qp smtp.mime_long_boundary \
    smtp.mime_long_enc_line smtp.mime_long_filename smtp.mime_long_header_name \
    smtp.mime_long_header_value smtp.mime_long_line smtp.mime_malformed_msg \
    smtp.mime_parse_failed smtp.no_server_welcome_message smtp.tls_rejected \
    smtp.unable_to_match_reply_with_request smtp.unparsable_content ssh.invalid_banner \
    ssh.invalid_record ssh.long_banner tls.certificate_invalid_algorithmidentifier \
    tls.certificate_invalid_date tls.certificate_invalid_der tls.certificate_invalid_extensions \
    tls.certificate_invalid_issuer tls.certificate_invalid_length tls.certificate_invalid_serial \
    tls.certificate_invalid_subject tls.certificate_invalid_validity \
    tls.certificate_invalid_version tls.certificate_invalid_x509name \
    tls.dataleak_heartbeat_mismatch tls.error_message_encountered tls.handshake_invalid_length \
    tls.heartbeat_message tls.invalid_alert_message tls.invalid_certificate \
    tls.invalid_handshake_message tls.invalid_heartbeat_message tls.invalid_record_type \
    tls.invalid_record_version tls.invalid_sni_length tls.invalid_sni_type \
    tls.invalid_ssl_record tls.invalid_sslv2_header tls.invalid_tls_header \
    tls.multiple_sni_extensions tls.overflow_heartbeat_message tls.too_many_records_in_packet";

/// Of decoding packets.
const DECODE: &str = "\
    afpacket.trunc_pkt chdlc.pkt_too_small dce.pkt_too_small erspan.header_too_small \
    erspan.too_many_vlan_layers erspan.unsupported_version etag.header_too_small \
    etag.unknown_type ethernet.pkt_too_small ethernet.unknown_ethertype gre.pkt_too_small \
    gre.version0_flags gre.version0_hdr_too_big gre.version0_recur gre.version1_chksum \
    gre.version1_flags gre.version1_hdr_too_big gre.version1_malformed_sre_hdr \
    gre.version1_no_key gre.version1_recur gre.version1_route gre.version1_ssr \
    gre.version1_wrong_protocol gre.wrong_version icmpv4.ipv4_trunc_pkt icmpv4.ipv4_unknown_ver \
    icmpv4.pkt_too_small icmpv4.unknown_code icmpv4.unknown_type icmpv6.experimentation_type \
    icmpv6.ipv6_trunc_pkt icmpv6.ipv6_unknown_version icmpv6.mld_message_with_invalid_hl \
    icmpv6.pkt_too_small icmpv6.unassigned_type icmpv6.unknown_code icmpv6.unknown_type \
    ieee8021ah.header_too_small igmp.malformed igmp.pkt_too_small igmp.v3_pkt_too_small \
    ipraw.invalid_ip_version ipv4.frag_overlap ipv4.frag_pkt_too_large ipv4.hlen_too_small \
    ipv4.icmpv6 ipv4.iplen_smaller_than_hlen ipv4.opt_duplicate ipv4.opt_eol_required \
    ipv4.opt_invalid ipv4.opt_invalid_len ipv4.opt_malformed ipv4.opt_pad_required \
    ipv4.opt_unknown ipv4.pkt_too_small ipv4.trunc_pkt ipv4.unknown_protocol \
    ipv4.wrong_ip_version ipv6.data_after_none_header ipv6.dstopts_only_padding \
    ipv6.dstopts_unknown_opt ipv6.exthdr_ah_res_not_null ipv6.exthdr_dupl_ah ipv6.exthdr_dupl_dh \
    ipv6.exthdr_dupl_eh ipv6.exthdr_dupl_fh ipv6.exthdr_dupl_hh ipv6.exthdr_dupl_rh \
    ipv6.exthdr_invalid_optlen ipv6.exthdr_useless_fh ipv6.fh_non_zero_reserved_field \
    ipv6.frag_invalid_length ipv6.frag_overlap ipv6.frag_pkt_too_large ipv6.hopopts_only_padding \
    ipv6.hopopts_unknown_opt ipv6.icmpv4 ipv6.ipv4_in_ipv6_too_small \
    ipv6.ipv4_in_ipv6_wrong_version ipv6.ipv6_in_ipv6_too_small ipv6.ipv6_in_ipv6_wrong_version \
    ipv6.pkt_too_small ipv6.rh_type_0 ipv6.trunc_exthdr ipv6.trunc_pkt ipv6.unknown_next_header \
    ipv6.wrong_ip_version ipv6.zero_len_padn ltnull.pkt_too_small ltnull.unsupported_type \
    mpls.bad_label_implicit_null mpls.bad_label_reserved mpls.bad_label_router_alert \
    mpls.header_too_small mpls.pkt_too_small mpls.unknown_payload_type ppp.ip4_pkt_too_small \
    ppp.ip6_pkt_too_small ppp.pkt_too_small ppp.unsup_proto ppp.vju_pkt_too_small ppp.wrong_type \
    pppoe.malformed_tags pppoe.pkt_too_small pppoe.wrong_code sll.pkt_too_small \
    tcp.hlen_too_small tcp.invalid_optlen tcp.opt_duplicate tcp.opt_invalid_len \
    tcp.pkt_too_small too_many_layers udp.hlen_invalid udp.hlen_too_small udp.len_invalid \
    udp.pkt_too_small \
    vlan.header_too_small vlan.too_many_layers vlan.unknown_type vntag.header_too_small \
    vntag.unknown_type";

/// Of TCP streams.
const STREAM: &str = "\
    3whs_ack_data_inject 3whs_ack_in_wrong_dir 3whs_async_wrong_seq \
    3whs_right_seq_wrong_ack_evasion 3whs_syn_flood 3whs_syn_resend_diff_seq_on_syn_recv \
    3whs_syn_toclient_on_syn_recv 3whs_synack_flood 3whs_synack_in_wrong_direction \
    3whs_synack_resend_with_diff_ack 3whs_synack_resend_with_diff_seq \
    3whs_synack_resend_with_different_ack 3whs_synack_tfo_data_ignored \
    3whs_synack_toserver_on_syn_recv 3whs_synack_with_wrong_ack 3whs_wrong_seq_wrong_ack \
    4whs_invalid_ack 4whs_synack_with_wrong_ack 4whs_synack_with_wrong_syn 4whs_wrong_seq \
    closewait_ack_out_of_window closewait_fin_out_of_window closewait_invalid_ack \
    closewait_pkt_before_last_ack closing_ack_wrong_seq closing_invalid_ack est_ack_zwp_data \
    est_invalid_ack est_packet_out_of_window est_pkt_before_last_ack est_syn_resend \
    est_syn_resend_diff_seq est_syn_toclient est_synack_resend est_synack_resend_with_diff_ack \
    est_synack_resend_with_diff_seq est_synack_resend_with_different_ack est_synack_toserver \
    fin1_ack_wrong_seq fin1_fin_wrong_seq fin1_invalid_ack fin2_ack_wrong_seq fin2_fin_wrong_seq \
    fin2_invalid_ack fin_but_no_session fin_invalid_ack fin_out_of_window fin_syn \
    lastack_ack_wrong_seq lastack_invalid_ack pkt_bad_window_update pkt_broken_ack \
    pkt_invalid_ack pkt_invalid_timestamp pkt_retransmission pkt_spurious_retransmission \
    reassembly_depth_reached reassembly_insert_invalid reassembly_insert_limit \
    reassembly_insert_memcap reassembly_no_segment reassembly_overlap_different_data \
    reassembly_segment_before_base_seq reassembly_seq_gap reassembly_urgent_oob_limit_reached \
    rst_but_no_session rst_invalid_ack rst_with_data shutdown_syn_resend suspected_rst_inject \
    timewait_ack_wrong_seq timewait_invalid_ack wrong_thread";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() {
        assert!(is_decode_event("ipv4.trunc_pkt") && !is_decode_event("ipv4.nothing"));
        assert!(is_stream_event("3whs_ack_in_wrong_dir") && !is_stream_event(""));
        assert!(is_application_event("http.request_header_invalid"));
        assert!(is_application_event("applayer_unexpected_protocol"));
        assert_eq!(decode_protocol_not_read("sctp.pkt_too_small"), Some("sctp"));
        let all = decode_events().chain(stream_events()).chain(application_events());
        assert!(all.count() > 250);
    }
}
