//! Connections of HTTP/1.1 with one to eight requests: pages, script, style, interfaces, images,
//! downloads, forms; compressed and chunked as servers do.

use super::{Talk, text};
use crate::traffic::Sequence;
use flate2::{Compression, write::GzEncoder};
use std::fmt::Write as _;
use std::io::Write as _;

const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/123.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/17.4 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:124.0) Gecko/20100101 Firefox/124.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
     Gecko) Version/17.4 Mobile/15E148 Safari/604.1",
    "Microsoft-Delivery-Optimization/10.0",
];

/// What an answer holds.
#[derive(Clone, Copy)]
enum Kind {
    Page,
    Script,
    Style,
    Json,
    Image,
    Download,
}

pub(super) fn talk(sequence: &mut Sequence) -> Talk {
    let mut talk = Talk::default();
    let (host, agent) = (text::host(sequence), sequence.pick(&AGENTS));
    for _ in 0..=sequence.below(4) * sequence.below(3) {
        use Kind::{Download, Image, Json, Page, Script, Style};
        let kind =
            sequence.pick(&[Page, Page, Page, Script, Style, Json, Json, Image, Image, Download]);
        talk.ask(request(sequence, &host, agent, kind));
        if sequence.happens(8) {
            talk.answer("HTTP/1.1 304 Not Modified\r\nServer: nginx\r\nETag: \"5f3-1a\"\r\n\r\n");
        } else {
            talk.answer(response(sequence, kind));
        }
    }
    talk
}

fn request(sequence: &mut Sequence, host: &str, agent: &str, kind: Kind) -> Vec<u8> {
    let posts = matches!(kind, Kind::Json | Kind::Page) && sequence.happens(20);
    let path = text::path(sequence);
    let extension = match kind {
        Kind::Page => sequence.pick(&["", ".html", ".php", "/"]),
        Kind::Script => ".js",
        Kind::Style => ".css",
        Kind::Json => "",
        Kind::Image => sequence.pick(&[".jpg", ".png", ".gif"]),
        Kind::Download => sequence.pick(&[".pdf", ".zip", ".cab"]),
    };
    let mut head = format!("{} /{path}{extension}", if posts { "POST" } else { "GET" });
    for n in 0..sequence.below(4) {
        let (name, value) = (text::word(sequence), sequence.below(100_000));
        let sign = if n == 0 { '?' } else { '&' };
        // Writing to a string does not fail, here and below.
        let _ = write!(head, "{sign}{name}={value}");
    }
    let _ = write!(head, " HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\n");
    let _ = write!(head, "User-Agent: {agent}\r\nAccept: */*\r\n");
    let _ = write!(head, "Referer: http://{host}/{}\r\n", text::path(sequence));
    head += "Accept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n";
    if sequence.happens(60) {
        let (one, two) = (sequence.next(), sequence.next());
        let _ = write!(head, "Cookie: session={one:016x}{two:016x}; _ga=GA1.2.{}\r\n", one >> 32);
    }
    let mut body = Vec::new();
    if posts {
        let len = sequence.size(50.0, 4_000.0);
        let (name, bytes) = match kind {
            Kind::Json => ("application/json", text::json(sequence, len)),
            _ => ("application/x-www-form-urlencoded", form(sequence, len)),
        };
        body = bytes;
        let _ = write!(head, "Content-Type: {name}\r\nContent-Length: {}\r\n", body.len());
    }
    [head.as_bytes(), b"\r\n", &body].concat()
}

fn form(sequence: &mut Sequence, len: usize) -> Vec<u8> {
    let mut out = String::new();
    while out.len() < len {
        let _ = write!(out, "{}={}&", text::word(sequence), text::word(sequence));
    }
    out.into_bytes()
}

fn response(sequence: &mut Sequence, kind: Kind) -> Vec<u8> {
    let (name, body) = match kind {
        Kind::Page => {
            let len = sequence.size(3e3, 6e4);
            ("text/html; charset=UTF-8", text::page(sequence, len))
        }
        Kind::Script => {
            let (len, mut body) = (sequence.size(2e3, 8e4), Vec::new());
            text::script(sequence, len, &mut body);
            ("application/javascript", body)
        }
        Kind::Style => {
            let len = sequence.size(1e3, 3e4);
            ("text/css", text::style(sequence, len))
        }
        Kind::Json => {
            let len = sequence.size(2e2, 2e4);
            ("application/json", text::json(sequence, len))
        }
        Kind::Image => {
            let len = sequence.size(5e2, 8e4);
            let magic = [0xff, 0xd8, 0xff, 0xe0, 0, 16, b'J', b'F', b'I', b'F', 0, 1];
            ("image/jpeg", [&magic[..], &sequence.bytes(len)].concat())
        }
        Kind::Download => {
            let len = sequence.size(1e4, 4e5);
            ("application/octet-stream", [&b"%PDF-1.7\n"[..], &sequence.bytes(len)].concat())
        }
    };
    let mut head = format!(
        "HTTP/1.1 200 OK\r\nDate: Mon, 22 Apr 2024 08:00:00 GMT\r\nServer: {}\r\n\
         Content-Type: {name}\r\nCache-Control: max-age=3600\r\nETag: \"{:x}\"\r\n",
        sequence.pick(&["nginx", "Apache/2.4.58 (Unix)", "Microsoft-IIS/10.0", "cloudflare"]),
        sequence.next() >> 32
    );
    let squeezes = matches!(kind, Kind::Page | Kind::Script | Kind::Style | Kind::Json);
    let body = if squeezes && sequence.happens(65) {
        head += "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n";
        gzip(&body)
    } else {
        body
    };
    if squeezes && sequence.happens(40) {
        head += "Transfer-Encoding: chunked\r\n\r\n";
        return [head.into_bytes(), chunked(&body)].concat();
    }
    let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
    [head.into_bytes(), body].concat()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    // Writing to a vector does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

fn chunked(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 64);
    for chunk in body.chunks(8_000) {
        out.extend(format!("{:x}\r\n", chunk.len()).bytes());
        out.extend(chunk);
        out.extend(b"\r\n");
    }
    out.extend(b"0\r\n\r\n");
    out
}
