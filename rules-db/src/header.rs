//! A rule's text up to its bracket, and the protocol words.

use crate::ast::{Arrow, DataWanted, Header, IpVersions, Protocol, RuleAction};
use crate::fault::{Fault, Outcome, invalid, shown, unsupported};
use crate::groups::Groups;
use portcullis_plugin_abi::application;

/// The seven words of a header, and where the rest begins.
pub(crate) struct Words<'a> {
    /// Each with its offset in the text.
    words: [(usize, &'a [u8]); 7],
    /// What is between the outer brackets, with its offset.
    pub(crate) options: (usize, &'a [u8]),
}

/// Finds the words of a header; blanks inside `[...]` belong to the word.
pub(crate) fn words(text: &[u8]) -> Outcome<Words<'_>> {
    let mut words = [(0, &text[..0]); 7];
    let mut at = 0;
    for (slot, name) in words.iter_mut().zip(NAMES) {
        at += blanks(text, at);
        let (start, mut open) = (at, 0_usize);
        while let Some(&byte) = text.get(at) {
            match byte {
                b'[' => open += 1,
                b']' => open = open.saturating_sub(1),
                b'(' if open == 0 => break,
                _ if open == 0 && byte.is_ascii_whitespace() => break,
                _ => {}
            }
            at += 1;
        }
        *slot = (start, text.get(start..at).unwrap_or_default());
        if slot.1.is_empty() {
            return Err(in_header(missing(name), start));
        }
    }
    at += blanks(text, at);
    let rest = text.get(at..).unwrap_or_default().trim_ascii_end();
    let inner = rest.strip_prefix(b"(").and_then(|r| r.strip_suffix(b")"));
    let inner = inner.ok_or_else(|| {
        let remedy = "put all options in ( and ), with nothing behind the last )";
        in_header(invalid("the options are not in brackets", remedy), at)
    })?;
    Ok(Words { words, options: (at + 1, inner) })
}

const NAMES: [&str; 7] = [
    "action",
    "protocol",
    "source address",
    "source port",
    "direction",
    "destination address",
    "destination port",
];

fn missing(name: &str) -> Box<Fault> {
    invalid(
        format!("the header has no {name}"),
        "write: action protocol source port -> destination port (options)",
    )
}

fn blanks(text: &[u8], at: usize) -> usize {
    text.get(at..).unwrap_or_default().iter().take_while(|b| b.is_ascii_whitespace()).count()
}

fn in_header(fault: Box<Fault>, at: usize) -> Box<Fault> {
    fault.of("header").at(at)
}

/// Reads the words.
pub(crate) fn read(words: &Words<'_>, groups: &mut Groups<'_>) -> Outcome<Header> {
    let [action_at, protocol_at, src, src_port, arrow_at, dst, dst_port] = words.words;
    let located = |at: usize| move |fault: Box<Fault>| in_header(fault, at);
    Ok(Header {
        action: action(action_at.1).map_err(located(action_at.0))?,
        protocol: protocol(protocol_at.1).map_err(located(protocol_at.0))?,
        source: groups.addresses(src.1).map_err(located(src.0))?,
        source_ports: groups.ports(src_port.1).map_err(located(src_port.0))?,
        arrow: arrow(arrow_at.1).map_err(located(arrow_at.0))?,
        destination: groups.addresses(dst.1).map_err(located(dst.0))?,
        destination_ports: groups.ports(dst_port.1).map_err(located(dst_port.0))?,
    })
}

fn action(word: &[u8]) -> Outcome<RuleAction> {
    Ok(match word.to_ascii_lowercase().as_slice() {
        b"alert" => RuleAction::Alert,
        b"pass" => RuleAction::Pass,
        b"drop" => RuleAction::Drop,
        b"reject" | b"rejectsrc" => RuleAction::RejectSource,
        b"rejectdst" => RuleAction::RejectDestination,
        b"rejectboth" => RuleAction::RejectBoth,
        b"config" => RuleAction::Config,
        _ => {
            return Err(invalid(
                format!("`{}` is not an action", shown(word)),
                "write alert, pass, drop, reject, rejectsrc, rejectdst, rejectboth or config",
            ));
        }
    })
}

fn arrow(word: &[u8]) -> Outcome<Arrow> {
    match word {
        b"->" => Ok(Arrow::Forward),
        b"<>" => Ok(Arrow::Both),
        b"=>" => Err(unsupported(
            "`=>` is of Suricata 8: both directions of a transaction in one rule",
            "write two rules with -> that share a flowbit",
        )),
        _ => Err(invalid(
            format!("`{}` is not a direction", shown(word)),
            "write -> or <>; for <- exchange the two sides",
        )),
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;

struct Row {
    word: &'static str,
    versions: IpVersions,
    transports: &'static [u8],
    application: Option<u16>,
    data: DataWanted,
}

const fn row(word: &'static str, transports: &'static [u8]) -> Row {
    let versions = IpVersions::Any;
    Row { word, versions, transports, application: None, data: DataWanted::Either }
}

const fn of_application(word: &'static str, transports: &'static [u8], number: u16) -> Row {
    Row { application: Some(number), ..row(word, transports) }
}

const ROWS: &[Row] = &[
    row("ip", &[]),
    row("any", &[]),
    row("tcp", &[TCP]),
    row("udp", &[UDP]),
    row("icmp", &[1, 58]),
    row("icmpv4", &[1]),
    row("icmpv6", &[58]),
    row("igmp", &[2]),
    row("sctp", &[132]),
    Row { versions: IpVersions::V4, ..row("ip4", &[]) },
    Row { versions: IpVersions::V4, ..row("ipv4", &[]) },
    Row { versions: IpVersions::V6, ..row("ip6", &[]) },
    Row { versions: IpVersions::V6, ..row("ipv6", &[]) },
    Row { versions: IpVersions::V4, ..row("tcp4", &[TCP]) },
    Row { versions: IpVersions::V6, ..row("tcp6", &[TCP]) },
    Row { versions: IpVersions::V4, ..row("udp4", &[UDP]) },
    Row { versions: IpVersions::V6, ..row("udp6", &[UDP]) },
    Row { data: DataWanted::Packet, ..row("tcp-pkt", &[TCP]) },
    Row { data: DataWanted::Stream, ..row("tcp-stream", &[TCP]) },
    Row { data: DataWanted::HeaderOnly, ..row("pkthdr", &[]) },
    of_application("http", &[TCP], application::HTTP),
    of_application("http1", &[TCP], application::HTTP),
    of_application("tls", &[TCP], application::TLS),
    of_application("ssl", &[TCP], application::TLS),
    of_application("dns", &[TCP, UDP], application::DNS),
    of_application("ssh", &[TCP], application::SSH),
    of_application("smtp", &[TCP], application::SMTP),
    of_application("ftp", &[TCP], application::FTP),
    of_application("smb", &[TCP], application::SMB),
];

/// Protocols that rules may name and this engine does not decode.
pub(crate) const NOT_DECODED: &[&str] = &[
    "arp",
    "bittorrent-dht",
    "dcerpc",
    "dhcp",
    "dnp3",
    "doh2",
    "enip",
    "ether",
    "ftp-data",
    "http2",
    "ike",
    "ikev2",
    "imap",
    "irc",
    "jabber",
    "krb5",
    "ldap",
    "mdns",
    "modbus",
    "mqtt",
    "msn",
    "nfs",
    "ntp",
    "pgsql",
    "pop3",
    "quic",
    "rdp",
    "rfb",
    "rpc",
    "sip",
    "smb2",
    "snmp",
    "telnet",
    "template",
    "tftp",
    "websocket",
];

/// The fault of a rule that needs a protocol that is not decoded.
pub(crate) fn not_decoded(name: &str) -> Box<Fault> {
    unsupported(
        format!("the protocol {name} is not decoded yet"),
        "write a tcp or udp rule on its ports, or leave the rule out",
    )
}

fn protocol(word: &[u8]) -> Outcome<Protocol> {
    let lower = String::from_utf8_lossy(word).to_ascii_lowercase();
    if let Some(row) = ROWS.iter().find(|row| row.word == lower) {
        return Ok(Protocol {
            word: lower,
            versions: row.versions,
            transports: row.transports.to_vec(),
            application: row.application,
            data: row.data,
        });
    }
    if NOT_DECODED.contains(&lower.as_str()) {
        return Err(not_decoded(&lower));
    }
    if lower.contains(':') {
        return Err(unsupported(
            format!("`{}` is a hook of Suricata 8", shown(word)),
            "write the protocol alone, and the direction with flow",
        ));
    }
    Err(invalid(
        format!("`{}` is not a protocol", shown(word)),
        "write ip, tcp, udp, icmp, pkthdr, http, tls, dns, ssh, smtp, ftp or smb",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vars::Vars;

    fn header(text: &str) -> Outcome<Header> {
        let vars = Vars::default();
        words(text.as_bytes()).and_then(|w| read(&w, &mut Groups::new(&vars)))
    }

    #[test]
    fn headers_good_and_bad() {
        let h = header("reject tcp-pkt [$HOME_NET, 1.2.3.4] any <> any [80,443] (sid:1;)");
        let h = h.unwrap_or_else(|f| panic!("{f:?}"));
        assert_eq!((h.action, h.arrow), (RuleAction::RejectSource, Arrow::Both));
        assert_eq!(h.protocol.data, DataWanted::Packet);
        assert!(h.source_ports.is_any() && h.destination_ports.contains(443));
        for bad in [
            "",
            "alert",
            "alert tcp any any -> any any",
            "alert tcp any any -> any any (sid:1;",
            "alert tcp any any <- any any (sid:1;)",
            "alert tcp any any => any any (sid:1;)",
            "allow tcp any any -> any any (sid:1;)",
            "alert xyz any any -> any any (sid:1;)",
            "alert mqtt any any -> any any (sid:1;)",
            "alert tcp any any -> any (sid:1;)",
            "alert tcp any any -> any 1-2 (sid:1;)",
        ] {
            let fault = header(bad).err().unwrap_or_else(|| panic!("{bad} was taken"));
            assert_eq!(fault.keyword.as_deref(), Some("header"), "{bad}");
            assert!(!fault.remedy.is_empty());
        }
        assert_eq!(
            header("alert tcp any any -> any x (sid:1;)").err().and_then(|f| f.at),
            Some(25)
        );
    }
}
