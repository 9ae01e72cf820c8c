//! A mail handed over by SMTP (RFC 5321), every second one with something attached.

use super::{Talk, text};
use crate::traffic::Sequence;

pub(super) fn talk(sequence: &mut Sequence) -> Talk {
    let mut talk = Talk::default();
    let (ours, theirs) = (text::host(sequence), text::host(sequence));
    let (from, to) = (text::word(sequence), text::word(sequence));
    talk.answer(format!("220 {theirs} ESMTP Postfix\r\n"));
    talk.ask(format!("EHLO {ours}\r\n"));
    talk.answer(format!("250-{theirs}\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 DSN\r\n"));
    talk.ask(format!("MAIL FROM:<{from}@{ours}>\r\n"));
    talk.answer("250 2.1.0 Ok\r\n");
    talk.ask(format!("RCPT TO:<{to}@{theirs}>\r\n"));
    talk.answer("250 2.1.5 Ok\r\n");
    talk.ask("DATA\r\n");
    talk.answer("354 End data with <CR><LF>.<CR><LF>\r\n");
    let id = sequence.next();
    let mut mail = format!(
        "Received: from {ours} (unknown [198.18.1.1])\r\n\tby {theirs} with ESMTP id {:x}\r\n\
         From: <{from}@{ours}>\r\nTo: <{to}@{theirs}>\r\nSubject: {} {}\r\n\
         Message-ID: <{id:x}@{ours}>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"b{id:x}\"\r\n\r\n--b{id:x}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n",
        id >> 24,
        text::word(sequence),
        text::word(sequence)
    )
    .into_bytes();
    for _ in 0..sequence.size(3.0, 80.0) {
        text::words(sequence, 65, &mut mail);
        mail.extend(b"\r\n");
    }
    if sequence.happens(50) {
        mail.extend(
            format!(
                "--b{id:x}\r\nContent-Type: application/pdf; name=\"report.pdf\"\r\n\
                 Content-Transfer-Encoding: base64\r\n\
                 Content-Disposition: attachment; filename=\"report.pdf\"\r\n\r\n"
            )
            .bytes(),
        );
        let len = sequence.size(2e3, 1e5);
        let attached = [&b"%PDF-1.7\n"[..], &sequence.bytes(len)].concat();
        text::base64(&attached, &mut mail);
    }
    mail.extend(format!("--b{id:x}--\r\n.\r\n").bytes());
    talk.ask(mail);
    talk.answer(format!("250 2.0.0 Ok: queued as {:x}\r\n", id >> 24));
    talk.ask("QUIT\r\n");
    talk.answer("221 2.0.0 Bye\r\n");
    talk
}
