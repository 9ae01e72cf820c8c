//! What resource records say, by their type (RFC 1035, 2782, 4255, 8659, 9460). Must never know
//! the journal's syntax except for [`Rdata::text`].

use super::name::Names;
use super::words::rrtype as types;
use crate::reader::Reader;
use std::fmt::Write;
use std::ops::Range;

/// What a record says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rdata {
    /// An IPv4 address.
    A([u8; 4]),
    /// An IPv6 address.
    Aaaa([u8; 16]),
    /// A name: of CNAME, DNAME, NS, PTR and, without its preference, MX.
    Name(Vec<u8>),
    /// One string of TXT, or the bytes of NULL.
    Text(Vec<u8>),
    /// Start of authority.
    Soa(Box<Soa>),
    /// A service (RFC 2782).
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// Share among those of one priority.
        weight: u16,
        /// Port.
        port: u16,
        /// Host.
        name: Vec<u8>,
    },
    /// A key's fingerprint (RFC 4255).
    Sshfp {
        /// Algorithm of the key.
        algorithm: u8,
        /// Algorithm of the fingerprint.
        fingerprint_type: u8,
        /// Fingerprint.
        fingerprint: Vec<u8>,
    },
    /// Who may certify (RFC 8659), in zone file syntax.
    Caa(Vec<u8>),
    /// How to reach a service (RFC 9460, SVCB and HTTPS), in zone file syntax.
    Service(Vec<u8>),
    /// Any other, or one of class other than IN that does not look like its type.
    Other(Vec<u8>),
}

/// Start of authority.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Soa {
    /// Primary server.
    pub mname: Vec<u8>,
    /// Mailbox of who is responsible, dotted.
    pub rname: Vec<u8>,
    /// Serial number of the zone.
    pub serial: u32,
    /// Seconds between refreshes.
    pub refresh: u32,
    /// Seconds between tries.
    pub retry: u32,
    /// Seconds until it expires.
    pub expire: u32,
    /// Seconds for which absence may be kept.
    pub minimum: u32,
}

impl Rdata {
    /// As the journal prints `rdata`; `None` for SOA, SRV and SSHFP, which have fields of their
    /// own, and for what is not known.
    pub fn text(&self) -> Option<Vec<u8>> {
        match self {
            Self::A([a, b, c, d]) => Some(format!("{a}.{b}.{c}.{d}").into_bytes()),
            Self::Aaaa(address) => {
                let groups = address.chunks(2).map(|pair| {
                    pair.iter().fold(String::with_capacity(4), |mut text, byte| {
                        let _ = write!(text, "{byte:02x}");
                        text
                    })
                });
                Some(groups.collect::<Vec<_>>().join(":").into_bytes())
            }
            Self::Name(bytes) | Self::Text(bytes) | Self::Caa(bytes) | Self::Service(bytes) => {
                Some(bytes.clone())
            }
            Self::Soa(_) | Self::Srv { .. } | Self::Sshfp { .. } | Self::Other(_) => None,
        }
    }

    /// The name in it, if it has one.
    pub fn name(&self) -> Option<&[u8]> {
        match self {
            Self::Name(name) | Self::Srv { name, .. } => Some(name),
            Self::Soa(soa) => Some(&soa.mname),
            _ => None,
        }
    }
}

/// Reads what a record of this type says, once per string of TXT. `None` where it is malformed.
pub(super) fn read(
    names: &mut Names<'_>,
    rrtype: u16,
    range: Range<usize>,
    record: &mut impl FnMut(Rdata),
) -> Option<()> {
    let bytes = names.message.get(range.clone())?;
    if bytes.is_empty() {
        // Updates (RFC 2136) have records without data.
        record(Rdata::Other(Vec::new()));
        return Some(());
    }
    let mut reader = Reader::new(bytes);
    let data = match rrtype {
        types::A => reader.array().map_or_else(|| other(bytes), Rdata::A),
        types::AAAA => reader.array().map_or_else(|| other(bytes), Rdata::Aaaa),
        types::CNAME | types::DNAME | types::NS | types::PTR => {
            Rdata::Name(names.read(range.start)?.0)
        }
        types::MX => Rdata::Name(names.read(range.start + 2)?.0),
        types::TXT => {
            while !reader.is_empty() {
                record(Rdata::Text(reader.short_vector()?.to_vec()));
            }
            return Some(());
        }
        types::NULL => Rdata::Text(bytes.to_vec()),
        types::SOA => soa(names, range)?,
        types::SRV => srv(names, range)?,
        types::SSHFP => sshfp(reader)?,
        types::CAA => caa(reader).unwrap_or_else(|| other(bytes)),
        types::SVCB | types::HTTPS => service(names, range).unwrap_or_else(|| other(bytes)),
        _ => other(bytes),
    };
    record(data);
    Some(())
}

fn other(bytes: &[u8]) -> Rdata {
    Rdata::Other(bytes.to_vec())
}

fn soa(names: &mut Names<'_>, range: Range<usize>) -> Option<Rdata> {
    let (mname, at) = names.read(range.start)?;
    let (rname, at) = names.read(at)?;
    let mut reader = Reader::new(names.message.get(at..)?);
    Some(Rdata::Soa(Box::new(Soa {
        mname,
        rname,
        serial: reader.u32()?,
        refresh: reader.u32()?,
        retry: reader.u32()?,
        expire: reader.u32()?,
        minimum: reader.u32()?,
    })))
}

fn srv(names: &mut Names<'_>, range: Range<usize>) -> Option<Rdata> {
    let mut reader = Reader::new(names.message.get(range.clone())?);
    let (priority, weight, port) = (reader.u16()?, reader.u16()?, reader.u16()?);
    let (name, _) = names.read(range.start + 6)?;
    Some(Rdata::Srv { priority, weight, port, name })
}

fn sshfp(mut reader: Reader<'_>) -> Option<Rdata> {
    let (algorithm, fingerprint_type) = (reader.u8()?, reader.u8()?);
    let fingerprint = reader.rest().to_vec();
    Some(Rdata::Sshfp { algorithm, fingerprint_type, fingerprint })
}

fn caa(mut reader: Reader<'_>) -> Option<Rdata> {
    let flags = reader.u8()?;
    let tag = reader.short_vector()?;
    let mut text = format!("{flags} ").into_bytes();
    text.extend_from_slice(tag);
    text.extend_from_slice(b" \"");
    text.extend_from_slice(reader.rest());
    text.push(b'"');
    Some(Rdata::Caa(text))
}

/// Parameters of a service that are printed: `alpn=h2,h3 port=8443 ipv4hint=192.0.2.1`.
fn service(names: &mut Names<'_>, range: Range<usize>) -> Option<Rdata> {
    let mut reader = Reader::new(names.message.get(range.clone())?);
    let priority = reader.u16()?;
    let (target, at) = names.read(range.start + 2)?;
    let mut text = format!("{priority} ").into_bytes();
    text.extend_from_slice(&target);
    text.push(b'.');
    let mut reader = Reader::new(names.message.get(at..range.end)?);
    while !reader.is_empty() {
        let key = reader.u16()?;
        parameter(key, reader.vector()?, &mut text)?;
    }
    Some(Rdata::Service(text))
}

fn parameter(key: u16, value: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let mut reader = Reader::new(value);
    let (name, mut list) = match key {
        1 => ("alpn", Vec::new()),
        2 => ("no-default-alpn", Vec::new()),
        3 => ("port", vec![reader.u16()?.to_string().into_bytes()]),
        4 => ("ipv4hint", Vec::new()),
        5 => ("ech", vec![format!("{} bytes", value.len()).into_bytes()]),
        6 => ("ipv6hint", Vec::new()),
        _ => ("", vec![format!("key{key}").into_bytes()]),
    };
    while matches!(key, 1 | 4 | 6) && !reader.is_empty() {
        list.push(match key {
            1 => reader.short_vector()?.to_vec(),
            4 => Rdata::A(reader.array()?).text()?,
            _ => Rdata::Aaaa(reader.array()?).text()?,
        });
    }
    text.push(b' ');
    text.extend_from_slice(name.as_bytes());
    if !name.is_empty() && !list.is_empty() {
        text.push(b'=');
    }
    text.extend_from_slice(&list.join(&b","[..]));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What records of a type say whose data stand behind the name `h.example` at 0.
    fn said(rrtype: u16, data: &[u8]) -> Option<Vec<Rdata>> {
        const NAME: &[u8] = b"\x01h\x07example\x00";
        let message = [NAME, data].concat();
        let mut records = Vec::new();
        let range = NAME.len()..message.len();
        read(&mut Names::new(&message), rrtype, range, &mut |data| records.push(data))?;
        Some(records)
    }

    /// Type, data, and what the journal prints; `None` for data that cannot be read.
    type Text = (u16, &'static [u8], Option<&'static [&'static str]>);

    const TEXTS: &[Text] = &[
        (types::A, &[192, 0, 2, 1], Some(&["192.0.2.1"])),
        (
            types::AAAA,
            b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01",
            Some(&["2001:0db8:0000:0000:0000:0000:0000:0001"]),
        ),
        (types::CNAME, b"\x01a\xc0\x02", Some(&["a.example"])),
        (types::DNAME, b"\xc0\x00", Some(&["h.example"])),
        (types::NS, b"\x02ns\xc0\x02", Some(&["ns.example"])),
        (types::PTR, b"\x01b\x00", Some(&["b"])),
        (types::MX, b"\x00\x0a\x02mx\xc0\x02", Some(&["mx.example"])),
        (types::TXT, b"\x03one\x00\x03two", Some(&["one", "", "two"])),
        (types::TXT, b"\x09short", None),
        (types::NULL, b"any", Some(&["any"])),
        (types::CAA, b"\x80\x05issueca.example", Some(&["128 issue \"ca.example\""])),
        (
            types::HTTPS,
            b"\0\x01\x00\0\x01\0\x06\x02h2\x02h3\0\x03\0\x02\x20\xfb\0\x04\0\x04\xc0\0\x02\x01",
            Some(&["1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1"]),
        ),
        (types::SVCB, b"\0\x00\x01t\xc0\x02", Some(&["0 t.example."])),
    ];

    #[test]
    fn each_type_says_what_its_bytes_say() {
        for (rrtype, data, wanted) in TEXTS {
            let told = said(*rrtype, data).map(|records| {
                let text = |data: &Rdata| data.text().expect("a text");
                records.iter().map(text).collect::<Vec<_>>()
            });
            let wanted = wanted.map(|all| all.iter().map(|t| t.as_bytes().to_vec()).collect());
            assert_eq!(told, wanted, "type {rrtype}, {data:?}");
        }
    }

    #[test]
    fn records_of_several_fields_have_all_of_them() {
        let bytes =
            b"\x02ns\xc0\x02\x05admin\xc0\x02\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05";
        let soa = Soa {
            mname: b"ns.example".to_vec(),
            rname: b"admin.example".to_vec(),
            serial: 1,
            refresh: 2,
            retry: 3,
            expire: 4,
            minimum: 5,
        };
        assert_eq!(said(types::SOA, bytes), Some(vec![Rdata::Soa(Box::new(soa))]));
        assert_eq!(said(types::SOA, &bytes[..bytes.len() - 1]), None);
        let srv = Rdata::Srv { priority: 1, weight: 2, port: 5060, name: b"sip.example".to_vec() };
        assert_eq!(srv.name(), Some(&b"sip.example"[..]));
        assert_eq!(said(types::SRV, b"\0\x01\0\x02\x13\xc4\x03sip\xc0\x02"), Some(vec![srv]));
        let print = Rdata::Sshfp { algorithm: 4, fingerprint_type: 2, fingerprint: vec![0xab; 3] };
        assert_eq!(said(types::SSHFP, b"\x04\x02\xab\xab\xab"), Some(vec![print]));
        // What does not look like its type, and what has no meaning here, is kept as it is.
        for (rrtype, data) in [(types::A, &b"abc"[..]), (999, b"any"), (types::SVCB, b"\0")] {
            assert_eq!(said(rrtype, data), Some(vec![Rdata::Other(data.to_vec())]), "{rrtype}");
        }
        assert_eq!(said(types::A, b""), Some(vec![Rdata::Other(Vec::new())]));
    }
}
