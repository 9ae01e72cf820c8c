//! The `dns` event, version 2: a `query` for each question of a request, one `answer` for a
//! response. Must never know how a message is decoded.

use super::json::{Hex, Object, Wire};
use portcullis_decode::dns::{Answer, DnsRecord, Header, Rdata, rcode_name, type_name};
use std::collections::BTreeMap;
use std::fmt;

/// Questions of one request that are told: nobody asks more than one, and a stranger's datagram
/// must not become a thousand lines.
const QUESTIONS_MAX: usize = 16;

/// How many lines a message makes.
pub(super) fn lines(record: &DnsRecord) -> usize {
    match record.message.header.is_response() {
        true => 1,
        false => record.message.questions.len().clamp(1, QUESTIONS_MAX),
    }
}

/// One of them.
pub(super) fn dns(dns: &mut Object<'_>, record: &DnsRecord, number: usize) {
    let (message, header) = (&record.message, &record.message.header);
    dns.number("version", 2u8);
    let is_answer = header.is_response();
    dns.text("type", if is_answer { "answer" } else { "query" }).number("id", header.id);
    if is_answer {
        flags(dns, header);
    }
    if let Some(question) = message.questions.get(number) {
        dns.wire("rrname", &question.name).shown("rrtype", RrType(question.rrtype));
    }
    if !is_answer {
        dns.number("tx_id", record.tx_id);
        if header.flags & 0x0040 != 0 {
            dns.truth("z", true);
        }
        dns.number("opcode", header.opcode());
        return;
    }
    match rcode_name(message.rcode()) {
        Some(name) => dns.text("rcode", name),
        None => dns.shown("rcode", message.rcode()),
    };
    answers(dns, "answers", &message.answers);
    if !message.answers.is_empty() {
        grouped(dns, &message.answers);
    }
    answers(dns, "authorities", &message.authorities);
}

fn flags(dns: &mut Object<'_>, header: &Header) {
    dns.shown("flags", format_args!("{:x}", header.flags)).truth("qr", true);
    let bits = [(0x0400, "aa"), (0x0200, "tc"), (0x0100, "rd"), (0x0080, "ra"), (0x0040, "z")];
    for (_, name) in bits.iter().filter(|(bit, _)| header.flags & bit != 0) {
        dns.truth(name, true);
    }
    dns.number("opcode", header.opcode());
}

fn answers(dns: &mut Object<'_>, key: &str, answers: &[Answer]) {
    if answers.is_empty() {
        return;
    }
    let mut list = dns.list(key);
    for answer in answers {
        let mut object = list.object();
        object.wire("rrname", &answer.name).shown("rrtype", RrType(answer.rrtype));
        object.number("ttl", answer.ttl);
        match &answer.data {
            Rdata::Soa(_) => data(&mut object.object("soa"), &answer.data),
            Rdata::Srv { .. } => data(&mut object.object("srv"), &answer.data),
            Rdata::Sshfp { .. } => data(&mut object.object("sshfp"), &answer.data),
            other => {
                object.wire_if("rdata", other.text().as_deref());
            }
        }
    }
}

/// The fields of what has fields of its own.
fn data(object: &mut Object<'_>, data: &Rdata) {
    match data {
        Rdata::Soa(soa) => {
            object.wire("mname", &soa.mname).wire("rname", &soa.rname);
            object.number("serial", soa.serial).number("refresh", soa.refresh);
            object.number("retry", soa.retry).number("expire", soa.expire);
            object.number("minimum", soa.minimum);
        }
        Rdata::Srv { priority, weight, port, name } => {
            object.number("priority", *priority).number("weight", *weight);
            object.number("port", *port).wire("name", name);
        }
        Rdata::Sshfp { algorithm, fingerprint_type, fingerprint } => {
            object.shown("fingerprint", Colons(fingerprint)).number("algo", *algorithm);
            object.number("type", *fingerprint_type);
        }
        _ => {}
    }
}

/// The answers by their types.
fn grouped(dns: &mut Object<'_>, answers: &[Answer]) {
    let mut types: BTreeMap<u16, Vec<&Rdata>> = BTreeMap::new();
    for answer in answers {
        let fields = matches!(answer.data, Rdata::Soa(_) | Rdata::Srv { .. } | Rdata::Sshfp { .. });
        if fields || answer.data.text().is_some() {
            types.entry(answer.rrtype).or_default().push(&answer.data);
        }
    }
    let mut object = dns.object("grouped");
    for (rrtype, values) in types {
        let mut list = object.list(&RrType(rrtype).to_string());
        for value in values {
            match value.text() {
                Some(text) => {
                    list.shown(Wire(&text));
                }
                None => data(&mut list.object(), value),
            }
        }
    }
}

/// A type of record by its name, or its number where it has none.
struct RrType(u16);

impl fmt::Display for RrType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match type_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

/// `aa:bb:cc`
struct Colons<'b>(&'b [u8]);

impl fmt::Display for Colons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let between = if at == 0 { "" } else { ":" };
            write!(f, "{between}{}", Hex(std::slice::from_ref(byte)))?;
        }
        Ok(())
    }
}
