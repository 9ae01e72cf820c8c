//! Sessions of TLS 1.2 with a certificate and of TLS 1.3: handshakes as they are, random bytes
//! where they are encrypted.

use super::{Talk, text};
use crate::traffic::Sequence;

/// Bytes of a record at most (RFC 8446, 5.1).
const RECORD: usize = 16_384;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

pub(super) fn talk(sequence: &mut Sequence) -> Talk {
    let mut talk = Talk::default();
    handshake(sequence, &mut talk);
    for _ in 0..=sequence.below(3) {
        let (asked, answered) = (sequence.size(200.0, 3e3), sequence.size(3e2, 8e4));
        let asked = data(sequence, asked);
        let answered = data(sequence, answered);
        talk.ask(asked);
        talk.answer(answered);
    }
    talk
}

/// One long download.
pub(super) fn bulk(sequence: &mut Sequence) -> Talk {
    let mut talk = Talk::default();
    handshake(sequence, &mut talk);
    let asked = data(sequence, 400);
    let answered = data(sequence, 4 << 20);
    talk.ask(asked);
    talk.answer(answered);
    talk
}

fn handshake(sequence: &mut Sequence, talk: &mut Talk) {
    let host = text::host(sequence);
    let new = sequence.happens(60);
    talk.ask(client_hello(sequence, &host, new));
    let mut answer = server_hello(sequence, new);
    if new {
        answer.extend(record(20, &[1]));
        let encrypted = 2_000 + sequence.below(2_000) as usize;
        answer.extend(data(sequence, encrypted));
        talk.answer(answer);
        let finished = data(sequence, 53);
        talk.ask([record(20, &[1]), finished].concat());
        return;
    }
    let certificate = certificate(sequence, &host);
    let listed = [&length3(certificate.len())[..], &certificate].concat();
    let list = [&length3(listed.len())[..], &listed].concat();
    answer.extend(record(HANDSHAKE, &message(11, &list)));
    let exchange = [&[3, 0, 29, 32][..], &sequence.bytes(32), &[4, 1, 1, 0], &sequence.bytes(256)];
    answer.extend(record(HANDSHAKE, &message(12, &exchange.concat())));
    answer.extend(record(HANDSHAKE, &message(14, &[])));
    talk.answer(answer);
    let key = [&[32][..], &sequence.bytes(32)].concat();
    let finish = |sequence: &mut Sequence| record(HANDSHAKE, &sequence.bytes(40));
    let asked = [record(HANDSHAKE, &message(16, &key)), record(20, &[1]), finish(sequence)];
    talk.ask(asked.concat());
    talk.answer([record(20, &[1]), finish(sequence)].concat());
}

fn record(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u16).to_be_bytes();
    [&[kind, 3, 3], &length[..], bytes].concat()
}

fn message(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind][..], &length3(bytes.len()), bytes].concat()
}

fn length3(len: usize) -> [u8; 3] {
    [(len >> 16) as u8, (len >> 8) as u8, len as u8]
}

/// Encrypted records of so many bytes.
fn data(sequence: &mut Sequence, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + len / 1_000 + 5);
    for chunk in sequence.bytes(len).chunks(RECORD) {
        out.extend(record(DATA, chunk));
    }
    out
}

fn extension(kind: u16, bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u16).to_be_bytes();
    [&kind.to_be_bytes()[..], &length, bytes].concat()
}

fn client_hello(sequence: &mut Sequence, host: &str, new: bool) -> Vec<u8> {
    let name = (host.len() as u16).to_be_bytes();
    let list = (host.len() as u16 + 3).to_be_bytes();
    let mut extensions = extension(0, &[&list[..], &[0], &name, host.as_bytes()].concat());
    extensions.extend(extension(10, &[0, 6, 0, 29, 0, 23, 0, 24]));
    extensions.extend(extension(11, &[1, 0]));
    extensions.extend(extension(13, &[0, 8, 4, 3, 8, 4, 4, 1, 5, 3]));
    extensions.extend(extension(16, b"\x00\x0c\x02h2\x08http/1.1"));
    extensions.extend(extension(23, &[]));
    if new {
        extensions.extend(extension(43, &[4, 3, 4, 3, 3]));
        let share = [&[0, 36, 0, 29, 0, 32][..], &sequence.bytes(32)].concat();
        extensions.extend(extension(51, &share));
    }
    let suites: &[u16] = &[0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8];
    let mut body = vec![3, 3];
    body.extend(sequence.bytes(32));
    body.push(32);
    body.extend(sequence.bytes(32));
    body.extend((suites.len() as u16 * 2).to_be_bytes());
    body.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
    body.extend([1, 0]);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    record(HANDSHAKE, &message(1, &body))
}

fn server_hello(sequence: &mut Sequence, new: bool) -> Vec<u8> {
    let mut extensions = Vec::new();
    if new {
        extensions.extend(extension(43, &[3, 4]));
        let share = [&[0, 29, 0, 32][..], &sequence.bytes(32)].concat();
        extensions.extend(extension(51, &share));
    } else {
        extensions.extend(extension(16, b"\x00\x09\x08http/1.1"));
        extensions.extend(extension(0xff01, &[0]));
    }
    let mut body = vec![3, 3];
    body.extend(sequence.bytes(32));
    body.push(32);
    body.extend(sequence.bytes(32));
    body.extend(if new { [0x13, 1] } else { [0xc0, 0x2f] });
    body.push(0);
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    record(HANDSHAKE, &message(2, &body))
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = vec![tag];
    match body.len() {
        len @ 0..128 => out.push(len as u8),
        len => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend(body);
    out
}

fn name(common: &str) -> Vec<u8> {
    let kind = der(6, &[&[0x55, 4, 3]]);
    der(0x30, &[&der(0x31, &[&der(0x30, &[&kind, &der(0x0c, &[common.as_bytes()])])])])
}

/// A certificate of X.509 (RFC 5280) whose signature is random.
fn certificate(sequence: &mut Sequence, host: &str) -> Vec<u8> {
    let rsa = |last: u8| {
        let kind = der(6, &[&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, last]]);
        der(0x30, &[&kind, &[5, 0]])
    };
    let validity = der(0x30, &[&der(0x17, &[b"240101000000Z"]), &der(0x17, &[b"250101000000Z"])]);
    let modulus = der(2, &[&[0, 0x80 | 0x41], &sequence.bytes(255)]);
    let key = der(0x30, &[&modulus, &der(2, &[&[1, 0, 1]])]);
    let key = der(0x30, &[&rsa(1), &der(3, &[&[0], &key])]);
    let names = der(0x30, &[&der(0x82, &[host.as_bytes()])]);
    let names = der(0x30, &[&der(6, &[&[0x55, 0x1d, 0x11]]), &der(4, &[&names])]);
    let serial = der(2, &[&[0x41], &sequence.bytes(15)]);
    let version = der(0xa0, &[&[2, 1, 2]]);
    let (issuer, subject) = (name("Example TLS CA 1"), name(host));
    let extensions = der(0xa3, &[&der(0x30, &[&names])]);
    let parts: [&[u8]; 8] =
        [&version, &serial, &rsa(11), &issuer, &validity, &subject, &key, &extensions];
    let signed = der(0x30, &parts);
    der(0x30, &[&signed, &rsa(11), &der(3, &[&[0], &sequence.bytes(256)])])
}
