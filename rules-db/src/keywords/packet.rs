//! Facts of a packet's headers, and the engine's events about them.

use super::{Keyword, Value, alone, bare, either};
use crate::ast::{
    BitsMode, ChecksumIs, ChecksumOf, Condition, FragBits, IpOption, NumberTest, TcpFlags,
};
use crate::draft::Draft;
use crate::events;
use crate::fault::{Outcome, invalid, shown, unsupported};
use crate::numbers::{bounded, comparison};

pub(super) const ROWS: &[Keyword] = &[
    bare("dsize", |d, v| number(d, v, 65_535, Condition::Dsize)),
    bare("ttl", |d, v| number(d, v, 255, Condition::Ttl)),
    bare("tos", tos),
    either("id", |d, v| number(d, v, 65_535, Condition::IpId)),
    bare("ip_proto", ip_proto),
    bare("l3_proto", l3_proto),
    bare("fragbits", fragbits),
    bare("fragoffset", |d, v| number(d, v, 8_191, Condition::FragOffset)),
    bare("ipopts", ipopts),
    alone("sameip", |d, _| push(d, Condition::SameIp)),
    bare("flags", flags),
    bare("tcp.flags", flags),
    bare("seq", |d, v| exact_u32(d, v, Condition::Seq)),
    bare("tcp.seq", |d, v| exact_u32(d, v, Condition::Seq)),
    bare("ack", |d, v| exact_u32(d, v, Condition::Ack)),
    bare("tcp.ack", |d, v| exact_u32(d, v, Condition::Ack)),
    bare("window", |d, v| number(d, v, 65_535, Condition::Window)),
    bare("tcp.window", |d, v| number(d, v, 65_535, Condition::Window)),
    bare("tcp.mss", |d, v| number(d, v, 65_535, Condition::Mss)),
    bare("itype", |d, v| number(d, v, 255, Condition::IcmpType)),
    bare("icode", |d, v| number(d, v, 255, Condition::IcmpCode)),
    either("icmp_id", |d, v| exact_u16(d, v, Condition::IcmpId)),
    either("icmp_seq", |d, v| exact_u16(d, v, Condition::IcmpSeq)),
    bare("icmpv6.mtu", |d, v| number(d, v, u64::from(u32::MAX), Condition::Icmpv6Mtu)),
    bare("ipv4-csum", |d, v| checksum(d, v, ChecksumOf::Ipv4)),
    bare("tcpv4-csum", |d, v| checksum(d, v, ChecksumOf::TcpV4)),
    bare("tcpv6-csum", |d, v| checksum(d, v, ChecksumOf::TcpV6)),
    bare("udpv4-csum", |d, v| checksum(d, v, ChecksumOf::UdpV4)),
    bare("udpv6-csum", |d, v| checksum(d, v, ChecksumOf::UdpV6)),
    bare("icmpv4-csum", |d, v| checksum(d, v, ChecksumOf::IcmpV4)),
    bare("icmpv6-csum", |d, v| checksum(d, v, ChecksumOf::IcmpV6)),
    bare("igmp-csum", |d, v| checksum(d, v, ChecksumOf::Igmp)),
    bare("decode-event", decode_event),
    bare("engine-event", engine_event),
    bare("stream-event", stream_event),
];

fn push(draft: &mut Draft<'_, '_>, condition: Condition) -> Outcome {
    draft.conditions.push(condition);
    Ok(())
}

fn number(
    draft: &mut Draft<'_, '_>,
    value: &Value<'_>,
    most: u64,
    make: fn(NumberTest) -> Condition,
) -> Outcome {
    let test = comparison(value.text, most)?;
    if matches!(make(test), Condition::Dsize(_))
        && draft.conditions.iter().any(|c| matches!(c, Condition::Dsize(_)))
    {
        return Err(invalid("two dsize in one rule", "write one, such as dsize:10<>20"));
    }
    push(draft, make(test))
}

fn exact_u32(draft: &mut Draft<'_, '_>, value: &Value<'_>, make: fn(u32) -> Condition) -> Outcome {
    let n = bounded(value.text, u64::from(u32::MAX))?;
    push(draft, make(u32::try_from(n).unwrap_or(u32::MAX)))
}

fn exact_u16(draft: &mut Draft<'_, '_>, value: &Value<'_>, make: fn(u16) -> Condition) -> Outcome {
    let n = bounded(value.text, 65_535)?;
    push(draft, make(u16::try_from(n).unwrap_or(u16::MAX)))
}

fn tos(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let (sign, text) = match value.text.strip_prefix(b"!") {
        Some(rest) => (&b"!"[..], rest),
        None => (&b""[..], value.text),
    };
    let test = match text.strip_prefix(b"x") {
        Some(hex) => comparison(&[sign, b"0x", hex].concat(), 255)?,
        None => comparison(value.text, 255)?,
    };
    push(draft, Condition::Tos(test))
}

const PROTOCOLS: &[(&str, u8)] = &[
    ("ip", 0),
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("tcp", 6),
    ("egp", 8),
    ("udp", 17),
    ("dccp", 33),
    ("ipv6", 41),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ipv6-icmp", 58),
    ("icmp6", 58),
    ("ospf", 89),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udplite", 136),
];

fn ip_proto(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    if !draft.header.protocol.transports.is_empty() || draft.header.protocol.application.is_some() {
        return Err(invalid(
            format!("the header says {} already", draft.header.protocol.word),
            "write ip as the rule's protocol",
        ));
    }
    let text = value.text;
    let end = text.iter().position(|b| b.is_ascii_alphabetic()).unwrap_or(text.len());
    let (operator, name) = text.split_at(end);
    let test = if name.is_empty() {
        comparison(text, 255)?
    } else {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let row = PROTOCOLS.iter().find(|row| row.0 == name);
        let number = row.map(|row| row.1.to_string()).ok_or_else(|| {
            invalid(format!("`{name}` is not an IP protocol"), "write its number, 0 to 255")
        })?;
        comparison(&[operator.trim_ascii(), number.as_bytes()].concat(), 255)?
    };
    push(draft, Condition::IpProto(test))
}

fn l3_proto(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    match value.text.to_ascii_lowercase().as_slice() {
        b"ip4" | b"ipv4" => push(draft, Condition::IpVersion(4)),
        b"ip6" | b"ipv6" => push(draft, Condition::IpVersion(6)),
        _ => Err(invalid(format!("`{}` is not a version", value.shown()), "write ip4 or ip6")),
    }
}

/// The mode before or behind the letters, and the letters.
fn mode(text: &[u8]) -> (BitsMode, Vec<u8>) {
    let mut mode = BitsMode::Exact;
    let mut letters = Vec::new();
    for &byte in text {
        match byte {
            b'+' => mode = BitsMode::All,
            b'*' => mode = BitsMode::Any,
            b'!' => mode = BitsMode::None,
            b' ' => {}
            _ => letters.push(byte.to_ascii_uppercase()),
        }
    }
    (mode, letters)
}

fn fragbits(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let (mode, letters) = mode(value.text);
    let mut bits = 0;
    for letter in letters {
        bits |= match letter {
            b'R' => 0x8000,
            b'D' => 0x4000,
            b'M' => 0x2000,
            _ => {
                let reason = format!("`{}` is not a fragment bit", shown(&[letter]));
                return Err(invalid(reason, "write M, D and R, with + * or ! before them"));
            }
        };
    }
    push(draft, Condition::FragBits(FragBits { bits, mode }))
}

fn tcp_flag(letter: u8) -> Outcome<u8> {
    Ok(match letter {
        b'F' => 0x01,
        b'S' => 0x02,
        b'R' => 0x04,
        b'P' => 0x08,
        b'A' => 0x10,
        b'U' => 0x20,
        b'E' | b'2' => 0x40,
        b'C' | b'1' => 0x80,
        b'0' => 0,
        _ => {
            let reason = format!("`{}` is not a TCP flag", shown(&[letter]));
            return Err(invalid(reason, "write letters of F S R P A U C E, or 0 for none"));
        }
    })
}

fn flags(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let mut parts = value.text.splitn(2, |&b| b == b',');
    let (mode, letters) = mode(parts.next().unwrap_or_default());
    if letters.is_empty() {
        return Err(invalid("no flags are named", "write letters such as flags:S,CE"));
    }
    let mut test = TcpFlags { flags: 0, ignored: 0, mode };
    for letter in letters {
        test.flags |= tcp_flag(letter)?;
    }
    for &letter in parts.next().unwrap_or_default().trim_ascii() {
        test.ignored |= tcp_flag(letter.to_ascii_uppercase())?;
    }
    push(draft, Condition::TcpFlags(test))
}

fn ipopts(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let option = match value.text.to_ascii_lowercase().as_slice() {
        b"any" => IpOption::Any,
        b"eol" => IpOption::Number(0),
        b"nop" => IpOption::Number(1),
        b"rr" => IpOption::Number(7),
        b"ts" => IpOption::Number(0x44),
        b"sec" => IpOption::Number(0x82),
        b"lsrr" | b"lsrre" => IpOption::Number(0x83),
        b"esec" => IpOption::Number(0x85),
        b"cipso" => IpOption::Number(0x86),
        b"satid" => IpOption::Number(0x88),
        b"ssrr" => IpOption::Number(0x89),
        _ => {
            return Err(invalid(
                format!("`{}` is not an option of IP", value.shown()),
                "write rr, lsrr, ssrr, eol, nop, ts, sec, esec, satid, cipso or any",
            ));
        }
    };
    push(draft, Condition::IpOpts(option))
}

fn checksum(draft: &mut Draft<'_, '_>, value: &Value<'_>, of: ChecksumOf) -> Outcome {
    let is = match value.text {
        b"valid" => ChecksumIs::Valid,
        b"invalid" => ChecksumIs::Invalid,
        _ => {
            let reason = format!("`{}` is neither valid nor invalid", value.shown());
            return Err(invalid(reason, "write valid or invalid"));
        }
    };
    push(draft, Condition::Checksum(of, is))
}

fn decode_event(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let name = value.word()?;
    if events::is_decode_event(name) {
        return push(draft, Condition::DecodeEvent(name.to_owned()));
    }
    if let Some(protocol) = events::decode_protocol_not_read(name) {
        return Err(unsupported(
            format!("the packets of {protocol} are not decoded yet"),
            "leave the rule out",
        ));
    }
    Err(invalid(
        format!("`{name}` is not an event of decoding"),
        "write a name such as ipv4.pkt_too_small",
    ))
}

fn engine_event(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    match value.text.strip_prefix(b"stream.") {
        Some(text) => stream_event(draft, &Value { text, ..*value }),
        None => decode_event(draft, value),
    }
}

fn stream_event(draft: &mut Draft<'_, '_>, value: &Value<'_>) -> Outcome {
    let name = value.word()?;
    if !events::is_stream_event(name) {
        return Err(invalid(
            format!("`{name}` is not an event of streams"),
            "write a name such as 3whs_ack_in_wrong_dir",
        ));
    }
    push(draft, Condition::StreamEvent(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::{tried, tried_with};
    use super::*;
    use crate::ast::Polarity;

    fn one(options: &str) -> Condition {
        match tried_with("alert ip any any -> any any", options) {
            Ok(mut rule) => rule.conditions.pop().unwrap_or_else(|| panic!("none: {options}")),
            Err(refusal) => panic!("{refusal}"),
        }
    }

    #[test]
    fn headers_facts() {
        let exact = |n| NumberTest::equal(n);
        let range = |low, high| NumberTest { low, high, polarity: Polarity::Plain };
        assert_eq!(one("dsize:9<>18;"), Condition::Dsize(range(10, 17)));
        assert_eq!(one("ttl:<5;"), Condition::Ttl(range(0, 4)));
        let not8 = NumberTest { polarity: Polarity::Negated, ..exact(8) };
        assert_eq!(one("tos:!x08;"), Condition::Tos(not8));
        assert_eq!(
            one("ip_proto:!udp;"),
            Condition::IpProto(NumberTest { polarity: Polarity::Negated, ..exact(17) })
        );
        assert_eq!(one("ip_proto:41;"), Condition::IpProto(exact(41)));
        let want = FragBits { bits: 0x6000, mode: BitsMode::All };
        assert_eq!(one("fragbits:MD+;"), Condition::FragBits(want));
        let want = TcpFlags { flags: 0x12, ignored: 0xc0, mode: BitsMode::Any };
        assert_eq!(one("flags:*SA,12;"), Condition::TcpFlags(want));
        assert_eq!(one("ipopts:lsrr;"), Condition::IpOpts(IpOption::Number(0x83)));
        assert_eq!(one("icmp_seq:\"7\";"), Condition::IcmpSeq(7));
        assert_eq!(one("sameip;"), Condition::SameIp);
        assert_eq!(one("seq:4294967295;"), Condition::Seq(u32::MAX));
        let want = Condition::Checksum(ChecksumOf::TcpV4, ChecksumIs::Invalid);
        assert_eq!(one("tcpv4-csum:invalid;"), want);
        let want = Condition::DecodeEvent("ipv4.trunc_pkt".to_owned());
        assert_eq!(one("decode-event:ipv4.trunc_pkt;"), want);
        let want = Condition::StreamEvent("est_syn_resend".to_owned());
        assert_eq!(one("engine-event:stream.est_syn_resend;"), want);
    }

    #[test]
    fn bad_ones_are_refused() {
        for bad in [
            "dsize:70000;",
            "dsize:1; dsize:2;",
            "ttl:256;",
            "ip_proto:6;",
            "fragbits:X;",
            "flags:;",
            "flags:Z;",
            "ipopts:foo;",
            "sameip:1;",
            "icmp_id:x;",
            "itype:5<>6;",
            "tcpv4-csum:maybe;",
            "decode-event:nothing.here;",
            "stream-event:nothing_here;",
        ] {
            assert!(tried(bad).is_err(), "{bad}");
        }
    }
}
