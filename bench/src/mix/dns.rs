//! One question of DNS and its answer (RFC 1035).

use super::{Talk, text};
use crate::traffic::Sequence;

pub(super) fn talk(sequence: &mut Sequence) -> Talk {
    let mut talk = Talk::default();
    let kind = sequence.pick(&[1_u16, 1, 1, 28, 28, 65, 15, 16]);
    let id = sequence.next() as u16;
    let mut question = Vec::new();
    for label in text::host(sequence).split('.') {
        question.push(label.len() as u8);
        question.extend(label.bytes());
    }
    question.push(0);
    question.extend(kind.to_be_bytes());
    question.extend([0, 1]);
    let message = |flags: u16, answers: u16, rest: &[u8]| {
        let mut message = Vec::new();
        for word in [id, flags, 1, answers, 0, 0] {
            message.extend(word.to_be_bytes());
        }
        message.extend(&question);
        message.extend(rest);
        message
    };
    talk.ask(message(0x0100, 0, &[]));
    let mut records = Vec::new();
    let answers = if sequence.happens(15) { 0 } else { 1 + sequence.below(3) as u16 };
    for _ in 0..answers {
        let data = match kind {
            1 => sequence.bytes(4),
            28 => [&[0x20, 1, 0x0d, 0xb8][..], &sequence.bytes(12)].concat(),
            // Its preference, and `mx.` before the name asked for.
            15 => vec![0, 10, 2, b'm', b'x', 0xc0, 12],
            16 => [&[15][..], b"v=spf1 mx -all "].concat(),
            // Priority 1, the name itself, ALPN h2.
            _ => vec![0, 1, 0, 0, 1, 0, 3, 2, b'h', b'2'],
        };
        records.extend([0xc0, 12]);
        records.extend(kind.to_be_bytes());
        records.extend([0, 1, 0, 0, 1, 0x2c]);
        records.extend((data.len() as u16).to_be_bytes());
        records.extend(data);
    }
    let flags = if answers == 0 { 0x8183 } else { 0x8180 };
    talk.answer(message(flags, answers, &records));
    talk
}
