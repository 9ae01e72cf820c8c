//! DNS messages (RFC 1035, EDNS RFC 6891): bytes in, questions and records out; total. Must never
//! know a flow.
//!
//! ```text
//! ┌────────┬───────────┬─────────┬─────────────┬─────────────┐
//! │ header │ questions │ answers │ authorities │ additionals │
//! └────────┴───────────┴─────────┴─────────────┴─────────────┘
//! ```

use super::name::{self, Flaws, Names};
use super::rdata::{self, Rdata};
use crate::reader::Reader;

/// Records of one message that are read; a message of 64 KiB can hold 5,957 of the smallest.
pub const RECORDS_MAX: usize = 1024;
/// Bytes of the header.
pub(super) const HEADER: usize = 12;

/// The first twelve bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    /// Chosen by who asks.
    pub id: u16,
    /// QR, opcode, AA, TC, RD, RA, Z, AD, CD, rcode.
    pub flags: u16,
    /// Questions, answers, authorities, additionals, as the header says.
    pub counts: [u16; 4],
}

impl Header {
    /// Whether it answers.
    pub fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// Kind of question: 0 for a standard query.
    pub fn opcode(&self) -> u8 {
        (self.flags >> 11 & 0xf).to_be_bytes()[1]
    }

    /// How it went, of a response; without the high bits that EDNS adds.
    pub fn rcode(&self) -> u8 {
        (self.flags & 0xf).to_be_bytes()[1]
    }

    /// Reads it; `None` if the message cannot hold what it announces (two bytes a record).
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (id, flags) = (reader.u16()?, reader.u16()?);
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        let records: usize = counts.iter().copied().map(usize::from).sum();
        (2 * records <= reader.rest().len()).then_some(Self { id, flags, counts })
    }
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Question {
    /// Labels joined by dots, as sent; empty for the root.
    pub name: Vec<u8>,
    /// Type: see [`super::type_name`].
    pub rrtype: u16,
    /// Class: 1 for the internet.
    pub class: u16,
}

/// A resource record; one for each string of a TXT record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Labels joined by dots, as sent.
    pub name: Vec<u8>,
    /// Type.
    pub rrtype: u16,
    /// Class.
    pub class: u16,
    /// Seconds for which it may be kept.
    pub ttl: u32,
    /// What it says.
    pub data: Rdata,
}

/// What an OPT record says (RFC 6891).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Edns {
    /// Largest datagram that the sender takes.
    pub udp_size: u16,
    /// High bits of the response code.
    pub extended_rcode: u8,
    /// Version of EDNS.
    pub version: u8,
    /// DO and the reserved bits.
    pub flags: u16,
}

/// What is odd about a message that could be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Oddities {
    /// About the names.
    pub names: Flaws,
    /// The authorities could not be read.
    pub authorities: bool,
    /// The additional records could not be read.
    pub additionals: bool,
    /// More than [`RECORDS_MAX`] records or too much text: the rest was not read.
    pub cut: bool,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DnsMessage {
    /// Header.
    pub header: Header,
    /// Questions.
    pub questions: Vec<Question>,
    /// Answers.
    pub answers: Vec<Answer>,
    /// Authorities.
    pub authorities: Vec<Answer>,
    /// Additional records, without OPT.
    pub additionals: Vec<Answer>,
    /// OPT, if there is one.
    pub edns: Option<Edns>,
}

impl DnsMessage {
    /// How it went, of a response, with the high bits of OPT.
    pub fn rcode(&self) -> u16 {
        let high = self.edns.map_or(0, |edns| edns.extended_rcode);
        u16::from(high) << 4 | u16::from(self.header.rcode())
    }
}

/// Reads a message behind its header. `None` where the questions or answers are malformed.
pub(super) fn read(bytes: &[u8], header: Header) -> Option<(DnsMessage, Oddities)> {
    let mut section = Section {
        names: Names::new(bytes),
        at: HEADER,
        left: RECORDS_MAX,
        oddities: Oddities::default(),
        edns: None,
    };
    let mut message = DnsMessage { header, ..DnsMessage::default() };
    let [questions, answers, authorities, additionals] = header.counts;
    for _ in 0..questions {
        if !section.room() {
            break;
        }
        message.questions.push(section.question()?);
    }
    section.records(answers, &mut message.answers)?;
    match section.records(authorities, &mut message.authorities) {
        None => section.oddities.authorities = true,
        Some(()) => {
            if section.records(additionals, &mut message.additionals).is_none() {
                section.oddities.additionals = true;
            }
        }
    }
    section.oddities.names = section.names.flaws;
    section.oddities.cut |= section.names.is_spent();
    message.edns = section.edns;
    Some((message, section.oddities))
}

struct Section<'a> {
    names: Names<'a>,
    at: usize,
    left: usize,
    oddities: Oddities,
    edns: Option<Edns>,
}

impl<'a> Section<'a> {
    /// Whether another record may be read.
    fn room(&mut self) -> bool {
        if self.left == 0 || self.names.is_spent() {
            self.oddities.cut = true;
            return false;
        }
        self.left -= 1;
        true
    }

    fn reader(&self) -> Option<Reader<'a>> {
        self.names.message.get(self.at..).map(Reader::new)
    }

    fn question(&mut self) -> Option<Question> {
        let (name, at) = self.names.read(self.at)?;
        self.at = at;
        let mut reader = self.reader()?;
        let question = Question { name, rrtype: reader.u16()?, class: reader.u16()? };
        self.at += 4;
        Some(question)
    }

    fn records(&mut self, count: u16, into: &mut Vec<Answer>) -> Option<()> {
        for _ in 0..count {
            if !self.room() {
                break;
            }
            self.record(into)?;
        }
        Some(())
    }

    fn record(&mut self, into: &mut Vec<Answer>) -> Option<()> {
        let (name, at) = self.names.read(self.at)?;
        self.at = at;
        let mut reader = self.reader()?;
        let (rrtype, class, ttl) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let length = reader.u16()?;
        reader.take(length.into())?;
        let start = self.at + 10;
        self.at = start + usize::from(length);
        if rrtype == name::OPT {
            let [extended_rcode, version, high, low] = ttl.to_be_bytes();
            let flags = u16::from_be_bytes([high, low]);
            self.edns = Some(Edns { udp_size: class, extended_rcode, version, flags });
            return Some(());
        }
        rdata::read(&mut self.names, rrtype, start..self.at, &mut |data| {
            into.push(Answer { name: name.clone(), rrtype, class, ttl, data });
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edns_adds_to_the_response_code() {
        let mut bytes = vec![0, 7, 0x84, 0x03, 0, 1, 0, 0, 0, 0, 0, 1];
        bytes.extend_from_slice(b"\x01a\x00\x00\x01\x00\x01");
        // The root, OPT, 4,096 bytes, one more than 16, version 0, DO, one option.
        bytes.extend_from_slice(b"\x00\x00\x29\x10\x00\x01\x00\x80\x00\x00\x04\x00\x0a\x00\x00");
        let header = Header::read(&bytes).expect("a header");
        let (message, oddities) = read(&bytes, header).expect("a message");
        assert_eq!((message.header.rcode(), message.rcode()), (3, 19));
        let edns = Edns { udp_size: 4096, extended_rcode: 1, version: 0, flags: 0x8000 };
        assert_eq!((message.edns, oddities), (Some(edns), Oddities::default()));
        assert!(message.additionals.is_empty(), "OPT is none of the records");
        let cut = bytes.len() - 3;
        let (message, oddities) = read(&bytes[..cut], header).expect("a message");
        assert_eq!((message.rcode(), oddities.additionals), (3, true));
    }
}
