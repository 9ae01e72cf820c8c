//! Keywords that are known and refused: those of protocols that are not decoded, and those of
//! things that this engine does not do. A rule with one is refused with a reason, never loaded
//! without it.

use super::{Does, Keyword, Takes};

/// Protocol and the keywords that need it.
const NOT_DECODED: &[(&str, &[&str])] = &[
    (
        "dcerpc",
        &[
            "dcerpc.iface",
            "dce_iface",
            "dcerpc.opnum",
            "dce_opnum",
            "dcerpc.stub_data",
            "dce_stub_data",
        ],
    ),
    ("dhcp", &["dhcp.leasetime", "dhcp.rebinding_time", "dhcp.renewal_time"]),
    ("dnp3", &["dnp3.data", "dnp3_data", "dnp3_func", "dnp3_ind", "dnp3_obj"]),
    (
        "enip",
        &[
            "cip_service",
            "enip_command",
            "enip.cip_attribute",
            "enip.cip_class",
            "enip.cip_instance",
            "enip.cip_status",
            "enip.device_type",
            "enip.identity_status",
            "enip.product_code",
            "enip.product_name",
            "enip.protocol_version",
            "enip.revision",
            "enip.serial",
            "enip.state",
            "enip.status",
            "enip.vendor_id",
            "enip.command",
            "enip.capabilities",
            "enip.service_name",
        ],
    ),
    ("ftp-data", &["ftpdata_command", "ftpdata.command"]),
    (
        "http2",
        &[
            "http2.frametype",
            "http2.errorcode",
            "http2.priority",
            "http2.window",
            "http2.size_update",
            "http2.settings",
            "http2.header_name",
            "http2.header",
        ],
    ),
    (
        "ike",
        &[
            "ike.exchtype",
            "ike.init_spi",
            "ike.resp_spi",
            "ike.vendor",
            "ike.chosen_sa_attribute",
            "ike.key_exchange_payload_length",
            "ike.nonce_payload_length",
            "ike.nonce_payload",
            "ike.key_exchange_payload",
        ],
    ),
    (
        "krb5",
        &[
            "krb5_err_code",
            "krb5.err_code",
            "krb5_msg_type",
            "krb5.msg_type",
            "krb5.cname",
            "krb5.sname",
            "krb5.ticket_encryption",
            "krb5_cname",
            "krb5_sname",
        ],
    ),
    ("modbus", &["modbus"]),
    (
        "mqtt",
        &[
            "mqtt.type",
            "mqtt.flags",
            "mqtt.qos",
            "mqtt.protocol_version",
            "mqtt.reason_code",
            "mqtt.connect.flags",
            "mqtt.connect.clientid",
            "mqtt.connect.username",
            "mqtt.connect.password",
            "mqtt.connect.willtopic",
            "mqtt.connect.willmessage",
            "mqtt.connect.protocol_string",
            "mqtt.connack.session_present",
            "mqtt.connack.sessionpresent",
            "mqtt.publish.topic",
            "mqtt.publish.message",
            "mqtt.subscribe.topic",
            "mqtt.unsubscribe.topic",
        ],
    ),
    ("nfs", &["nfs_procedure", "nfs.version", "nfs_version"]),
    ("quic", &["quic.version", "quic.sni", "quic.ua", "quic.cyu.hash", "quic.cyu.string"]),
    ("rfb", &["rfb.secresult", "rfb.sectype", "rfb.name"]),
    (
        "sip",
        &[
            "sip.method",
            "sip.uri",
            "sip.protocol",
            "sip.stat_code",
            "sip.stat_msg",
            "sip.request_line",
            "sip.response_line",
        ],
    ),
    ("snmp", &["snmp.usm", "snmp.version", "snmp.community", "snmp.pdu_type"]),
    ("websocket", &["websocket.payload", "websocket.opcode", "websocket.flags", "websocket.mask"]),
];

const REFUSED: &[(&str, &str, &str)] = &[
    (
        "geoip",
        "this engine has no table of countries",
        "write the addresses, or a dataset of type ip with ip.src or ip.dst",
    ),
    (
        "replace",
        "this engine never changes what it forwards",
        "write drop as the action and leave replace out",
    ),
    (
        "lua",
        "rules do not run scripts in this engine",
        "write a plugin, which runs in the sandbox with the same rights as this one",
    ),
    (
        "luajit",
        "rules do not run scripts in this engine",
        "write a plugin, which runs in the sandbox with the same rights as this one",
    ),
    (
        "luaxform",
        "rules do not run scripts in this engine",
        "use the built-in transforms, or write a plugin",
    ),
    (
        "nfq_set_mark",
        "packets do not come by a netfilter queue",
        "leave it out, or mark the packets in the firewall",
    ),
    (
        "frame",
        "frames of protocols are not buffers of this engine",
        "use the sticky buffers of the protocol",
    ),
    (
        "rpc",
        "the rpc keyword is not evaluated",
        "write byte_test on the payload: program at 12, version at 16, procedure at 20 over UDP",
    ),
    (
        "smb.version",
        "the version of SMB is not kept",
        "write content:\"|fe|SMB\" or content:\"|ff|SMB\" on the stream",
    ),
];

/// The rows of these keywords.
pub(super) fn rows() -> impl Iterator<Item = Keyword> {
    let not_decoded = NOT_DECODED.iter().flat_map(|(protocol, names)| {
        let does = Does::NotDecoded(protocol);
        names.iter().map(move |name| Keyword { name, takes: Takes::Perhaps, does })
    });
    let refused = REFUSED.iter().map(|(name, reason, remedy)| {
        let does = Does::Refuse(reason, remedy);
        Keyword { name, takes: Takes::Perhaps, does }
    });
    not_decoded.chain(refused)
}

#[cfg(test)]
mod tests {
    use super::super::tried;
    use super::*;
    use crate::RefusalKind;

    #[test]
    fn each_is_refused_with_reason_and_remedy() {
        for keyword in rows() {
            for options in [format!("{}:x;", keyword.name), format!("{};", keyword.name)] {
                let refusal = tried(&options).err().unwrap_or_else(|| panic!("{options} loads"));
                assert_eq!(refusal.kind, RefusalKind::Unsupported, "{refusal}");
                assert_eq!(refusal.keyword, keyword.name);
                if let Does::NotDecoded(protocol) = keyword.does {
                    assert!(refusal.reason.contains(protocol), "{refusal}");
                }
            }
        }
    }
}
