//! Decoding throughput of HTTP: bytes of TCP payload per second, in segments of 1460 bytes.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis_decode::{Conversation, Direction, Limits, Output, Transport};
use std::hint::black_box;
use std::sync::Arc;

const REQUEST: &[u8] = b"GET /images/logo.png?size=large&v=1 HTTP/1.1\r\nHost: www.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: */*\r\n\
Accept-Language: en\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\
Referer: http://www.example.com/\r\nCookie: session=0123456789abcdef\r\n\r\n";

fn response(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nServer: bench\r\n{head}\r\n");
    [head.as_bytes(), body].concat()
}

fn cases() -> Vec<(&'static str, Vec<u8>)> {
    let body: Vec<u8> = (0..512u32 << 10).map(|n| b"abcdefgh<>/ \n"[n as usize % 13]).collect();
    let chunked: Vec<u8> =
        body.chunks(4096).flat_map(|c| [b"1000\r\n", c, b"\r\n"].concat()).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, &body).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let length = |b: &[u8]| format!("Content-Length: {}\r\n", b.len());
    vec![
        ("small", response(&length(&body[..600]), &body[..600])),
        ("plain", response(&length(&body), &body)),
        (
            "chunked",
            response("Transfer-Encoding: chunked\r\n", &[&chunked[..], b"0\r\n\r\n"].concat()),
        ),
        ("gzip", response(&(length(&gzip) + "Content-Encoding: gzip\r\n"), &gzip)),
    ]
}

fn decode(c: &mut Criterion) {
    let limits = Arc::new(Limits::default());
    let mut group = c.benchmark_group("http");
    for (name, answer) in cases() {
        group.throughput(Throughput::Bytes((REQUEST.len() + answer.len()) as u64));
        group.bench_function(name, |b| {
            let mut out = Output::default();
            b.iter(|| {
                let mut talk = Conversation::new(Transport::Tcp, 80, Arc::clone(&limits));
                talk.data(Direction::ToServer, REQUEST, &mut out);
                out.clear();
                for segment in answer.chunks(1460) {
                    talk.data(Direction::ToClient, segment, &mut out);
                    black_box(out.messages.len());
                    out.clear();
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
