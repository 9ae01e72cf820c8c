//! Conversations of HTTP as tables: what each buffer holds, what each oddity is called.

use super::fuzz::{Seen, SeenPiece, difference, fuzz_http, small, told};
use crate::conversation::Direction::{self, ToClient, ToServer};
use crate::events::event_name;
use crate::files::FileState;
use crate::limits::{Hashes, Limits};
use crate::output::Record;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use md5::{Digest, Md5};
use portcullis_plugin_abi::buffer_kind::{self, *};
use proptest::prelude::*;
use std::io::Write as _;

const GET: &[u8] =
    b"GET /a%20b//c/../d?x=%41 HTTP/1.1\r\nHost: EXAMPLE.com:80\r\nUser-Agent: t\r\n\
Cookie: k=v\r\nX-Two: 1\r\nx-two: 2\r\nAccept: a,\r\n b\r\n\r\n";
const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: s\r\nSet-Cookie: q\r\nContent-Length: 5\r\n\r\nhello";

fn whole(runs: &[(Direction, &[u8])]) -> Seen {
    told(runs, &mut || usize::MAX, Limits::default())
}

/// The last value of a buffer in a direction.
fn buffer(seen: &Seen, direction: Direction, kind: u16) -> Option<String> {
    let messages = seen.messages.iter().rev().filter(|message| message.1 == direction);
    let mut pieces = messages.flat_map(|message| &message.3);
    let piece = pieces.find(|piece| piece.0 == kind)?;
    Some(String::from_utf8_lossy(&piece.5).into_owned())
}

fn events(seen: &Seen) -> Vec<&'static str> {
    seen.anomalies.iter().map(|row| event_name(row.0).expect("as the test says")).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("as the test says");
    encoder.finish().expect("as the test says")
}

#[test]
fn buffers_of_a_request() {
    let seen = whole(&[(ToServer, GET)]);
    for (kind, expected) in [
        (HTTP_METHOD, "GET"),
        (HTTP_URI, "/a b/d?x=A"),
        (HTTP_URI_RAW, "/a%20b//c/../d?x=%41"),
        (HTTP_PROTOCOL, "HTTP/1.1"),
        (HTTP_REQUEST_LINE, "GET /a%20b//c/../d?x=%41 HTTP/1.1"),
        (HTTP_HEADER, "Host: EXAMPLE.com:80\r\nUser-Agent: t\r\nX-Two: 1, 2\r\nAccept: a, b\r\n"),
        (HTTP_HEADER_NAMES, "\r\nHost\r\nUser-Agent\r\nCookie\r\nX-Two\r\nAccept\r\n\r\n"),
        (HTTP_COOKIE, "k=v"),
        (HTTP_USER_AGENT, "t"),
        (HTTP_HOST, "example.com"),
        (HTTP_HOST_RAW, "EXAMPLE.com:80"),
        (HTTP_ACCEPT, "a, b"),
        (HTTP_REQUEST_HEADER, "Host: EXAMPLE.com:80"),
    ] {
        let found = buffer(&seen, ToServer, kind);
        assert_eq!(found.as_deref(), Some(expected), "{:?}", buffer_kind::name(kind));
    }
    let start = "GET /a%20b//c/../d?x=%41 HTTP/1.1\r\nHost: EXAMPLE.com:80\r\nUser-Agent: t\r\n\
                 Cookie: k=v\r\nX-Two: 1, 2\r\nAccept: a, b\r\n\r\n";
    assert_eq!(buffer(&seen, ToServer, HTTP_START).as_deref(), Some(start));
    let raw = buffer(&seen, ToServer, HTTP_HEADER_RAW).expect("as the test says");
    assert_eq!(
        raw.as_bytes(),
        &GET[GET.iter().position(|&b| b == b'\n').expect("as the test says") + 1..]
    );
    assert_eq!(buffer(&seen, ToServer, HTTP_REQUEST_BODY), None);
}

#[test]
fn buffers_of_a_response() {
    let seen = whole(&[(ToServer, GET), (ToClient, OK)]);
    for (kind, expected) in [
        (HTTP_STAT_CODE, "200"),
        (HTTP_STAT_MSG, "OK"),
        (HTTP_PROTOCOL, "HTTP/1.1"),
        (HTTP_RESPONSE_LINE, "HTTP/1.1 200 OK"),
        (HTTP_SERVER, "s"),
        (HTTP_COOKIE, "q"),
        (HTTP_CONTENT_LEN, "5"),
        (HTTP_HEADER, "Server: s\r\nContent-Length: 5\r\n"),
        (HTTP_RESPONSE_BODY, "hello"),
        (FILE_DATA, "hello"),
        (FILE_NAME, "/a b/d"),
        (FILE_MAGIC, "ASCII text"),
    ] {
        let found = buffer(&seen, ToClient, kind);
        assert_eq!(found.as_deref(), Some(expected), "{:?}", buffer_kind::name(kind));
    }
    let Some(Record::Http(record)) = seen.records.last() else { panic!("a record is last") };
    assert_eq!(record.hostname.as_deref(), Some(&b"example.com"[..]));
    assert_eq!((record.http_port, record.status, record.length), (Some(80), Some(200), 5));
    assert_eq!(record.url.as_deref(), Some(&b"/a%20b//c/../d?x=%41"[..]));
    let Some(Record::File(file)) = seen.records.first() else { panic!("a file is first") };
    assert_eq!((file.size, file.state.name()), (5, "CLOSED"));
    assert!(file.to_client && file.app_proto == "http");
    assert_eq!(file.http.as_deref(), Some(&**record), "with the transaction that carried it");
}

#[test]
fn bodies_come_whole_whatever_their_framing() {
    let chunked = b"5\r\nhello\r\n0\r\n\r\n".to_vec();
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
    deflated.write_all(b"hello").expect("as the test says");
    let deflated = deflated.finish().expect("as the test says");
    let twice = gzip(&gzip(b"hello"));
    for (head, body) in [
        ("Transfer-Encoding: chunked\r\n", chunked.clone()),
        ("Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n", chunked),
        ("Transfer-Encoding: chunked\r\n", b"02;x=y\r\nhe\r\n \t3\nllo\n0\n\n".to_vec()),
        ("Transfer-Encoding: chunked\r\n", b"hello".to_vec()),
        ("", b"hello".to_vec()),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", b"hello".to_vec()),
        ("Content-Length: junk\r\n", b"hello".to_vec()),
        ("Content-Encoding: gzip\r\n", gzip(b"hello")),
        ("Content-Encoding: deflate\r\n", gzip(b"hello")),
        ("Content-Encoding: gzip\r\n", deflated.clone()),
        ("Content-Encoding: gzip\r\n", b"hello".to_vec()),
        ("Content-Encoding: gzip,\r\n gzip\r\n", twice.clone()),
        ("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", twice),
        ("Content-Encoding: deflate\r\n", deflated),
        ("Content-Encoding: br\r\n", b"\x0b\x02\x80hello\x03".to_vec()),
    ] {
        for status in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 200\n", "http/1.1 200 x\r\n"] {
            let mut response = format!("{status}{head}\r\n").into_bytes();
            response.extend_from_slice(&body);
            let seen = whole(&[(ToServer, GET), (ToClient, &response)]);
            let found = buffer(&seen, ToClient, FILE_DATA);
            assert_eq!(found.as_deref(), Some("hello"), "{status}{head}");
        }
    }
}

#[test]
fn trailers_count_as_headers() {
    let head = b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let request = [&head[..], b"5\r\nhello\r\n0\r\nTrail: er\r\n\r\n"].concat();
    let seen = whole(&[(ToServer, &request)]);
    for kind in [HTTP_HEADER, HTTP_HEADER_RAW, HTTP_START] {
        assert!(buffer(&seen, ToServer, kind).expect("as the test says").contains("Trail: er\r\n"));
    }
    assert!(
        buffer(&seen, ToServer, HTTP_HEADER_NAMES)
            .expect("as the test says")
            .contains("\r\nTrail\r\n")
    );
    assert_eq!(buffer(&seen, ToServer, FILE_DATA).as_deref(), Some("hello"));
}

/// An oddity, and a request and a response that have it.
const ODDITIES: &[(&str, &str, &str)] = &[
    (
        "http.range_invalid",
        "GET / HTTP/1.0\r\nA: b\r\n\r\n",
        "HTTP/1.0 206 Part\r\nContent-Range: bytes 9-3/20\r\nContent-Length: 1\r\n\r\nx",
    ),
    (
        "http.response_chunk_extension",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n",
    ),
    ("http.missing_host_header", "GET / HTTP/1.1\r\n\r\n", ""),
    ("http.request_field_missing_colon", "GET / HTTP/1.0\r\nx\r\n\r\n", ""),
    ("http.request_header_invalid", "GET / HTTP/1.0\r\na b: c\r\n\r\n", ""),
    ("http.invalid_request_field_folding", "GET / HTTP/1.0\r\n a: b\r\n\r\n", ""),
    ("http.host_header_ambiguous", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", ""),
    ("http.request_header_host_invalid", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ""),
    ("http.uri_delim_non_compliant", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", ""),
    ("http.method_delim_non_compliant", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", ""),
    ("http.request_line_incomplete", "GET / HT", "HTTP/1.1 400 x\r\nContent-Length: 0\r\n\r\n"),
    ("http.request_auth_unrecognized", "GET / HTTP/1.0\r\nAuthorization: x\r\n\r\n", ""),
    ("http.request_body_unexpected", "GET / HTTP/1.0\r\n\r\njunk\r\n\r\n", ""),
    (
        "http.invalid_request_chunk_len",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "",
    ),
    (
        "http.invalid_transfer_encoding_value_in_request",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n",
        "",
    ),
    (
        "http.duplicate_content_length_field_in_request",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "",
    ),
    (
        "http.invalid_response_chunk_len",
        "GET / HTTP/1.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nqq\r\n",
    ),
    (
        "http.response_chunked_old_proto",
        "GET / HTTP/1.0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "http.response_abnormal_transfer_encoding",
        "GET / HTTP/1.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: x chunked\r\n\r\n0\r\n\r\n",
    ),
    ("http.response_invalid_status", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 9 x\r\n\r\n"),
    ("http.response_invalid_protocol", "GET / HTTP/1.0\r\n\r\n", "HTTP/7 200 x\r\n\r\n"),
    (
        "http.gzip_decompression_failed",
        "GET / HTTP/1.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nplain",
    ),
    (
        "http.unable_to_match_response_to_request",
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
];

#[test]
fn oddities_have_names() {
    for (event, request, answer) in ODDITIES {
        let seen = whole(&[(ToServer, request.as_bytes()), (ToClient, answer.as_bytes())]);
        assert!(events(&seen).contains(event), "{event}: {:?}", events(&seen));
        let shown = |m: &(_, _, _, Vec<SeenPiece>)| m.3.iter().any(|piece| piece.0 == APP_EVENT);
        assert!(seen.messages.iter().any(shown), "{event} is a piece of a message");
    }
    assert_eq!(events(&whole(&[(ToServer, b"GET / HTTP/1.0\r\nA: b\r\n\r\n")])), [""; 0]);
}

#[test]
fn transactions_follow_each_other() {
    let two = [GET, GET].concat();
    let continued = [b"HTTP/1.1 100 Continue\r\n\r\n", OK, OK].concat();
    let seen = whole(&[(ToServer, &two), (ToClient, &continued)]);
    let complete = seen.messages.iter().filter(|message| message.2);
    let order: Vec<_> = complete.map(|message| (message.0, message.1)).collect();
    assert_eq!(order, [(1, ToServer), (2, ToServer), (1, ToClient), (2, ToClient)]);
    // HEAD has no body, whatever its length says.
    let head = b"HEAD / HTTP/1.0\r\n\r\n";
    let answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", OK].concat();
    let seen = whole(&[(ToServer, &[head, GET].concat()), (ToClient, &answers)]);
    assert_eq!(buffer(&seen, ToClient, FILE_DATA).as_deref(), Some("hello"));
    assert_eq!(seen.messages.last().expect("as the test says").0, 2);
}

#[test]
fn connect_is_a_conversation_of_its_own() {
    let connect = b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n";
    let tunnel = [connect, GET].concat();
    let yes = [&b"HTTP/1.1 200 OK\r\n\r\n"[..], OK].concat();
    let seen = whole(&[(ToServer, &tunnel), (ToClient, &yes)]);
    assert_eq!(
        seen.messages.last().expect("as the test says").0,
        2,
        "what is inside is numbered on"
    );
    assert_eq!(buffer(&seen, ToClient, FILE_DATA).as_deref(), Some("hello"));
    let no = [&b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"[..], OK].concat();
    let seen = whole(&[(ToServer, &tunnel), (ToClient, &no)]);
    assert_eq!(buffer(&seen, ToClient, FILE_DATA).as_deref(), Some("hello"));
}

#[test]
fn forms_have_files() {
    let body = b"--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv\r\n--xx\r\n\
Content-Disposition: form-data; name=\"f\"; filename=\"up.txt\"\r\nContent-Type: text/plain\r\n\r\n\
the file\r\n--xx\r\nContent-Disposition: form-data; name=\"g\"; filename=\"e\"\r\n\r\n\
\r\n--xx--\r\n";
    let head = format!(
        "POST /u HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=xx\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), body].concat();
    let seen = whole(&[(ToServer, &request)]);
    let files: Vec<_> = seen
        .records
        .iter()
        .filter_map(|record| match record {
            Record::File(file) => {
                let method = file.http.as_ref().and_then(|http| http.http_method.as_deref());
                assert!(!file.to_client && method == Some(b"POST"), "of the request at hand");
                Some((file.filename.as_slice(), file.size))
            }
            _ => None,
        })
        .collect();
    assert_eq!(files, [(&b"up.txt"[..], 8), (&b"e"[..], 0)]);
    let pieces = seen.messages.iter().flat_map(|message| &message.3);
    let data: Vec<_> = pieces.filter(|p| p.0 == FILE_DATA).map(|p| p.5.as_slice()).collect();
    assert_eq!(data, [b"the file"]);
    assert_eq!(
        buffer(&seen, ToServer, HTTP_REQUEST_BODY).expect("as the test says").as_bytes(),
        body
    );
}

#[test]
fn a_form_in_one_segment_is_shown_as_byte_by_byte() {
    let disposition = "Content-Disposition: form-data; name=\"a\"; filename=\"up.txt\"\r\n";
    let bodies = [
        format!("--xx\r\n{disposition}\r\nthe file\r\n--xx--\r\n"),
        format!("--xx\r\n{disposition}\r\n{}\r\n--xx\r\n\r\nq\r\n--xx--", "ab".repeat(90)),
        format!("--xx\r\n{disposition}X: {}\r\n\r\nq\r\n--xx--\r\n", "a".repeat(4027)),
        format!("--xx{}\r\n{disposition}\r\nq\r\n--xx--\r\n", " ".repeat(5000)),
    ];
    for body in bodies {
        let head = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=xx";
        for length in [body.len(), 9000] {
            let head = format!("{head}\r\nContent-Length: {length}\r\n\r\n");
            super::fuzz_http(&[head.as_bytes(), body.as_bytes(), b"\xff"].concat());
        }
    }
}

#[test]
fn large_bodies_come_in_pieces_that_join() {
    let body: Vec<u8> = (0..200_000u32).map(|n| (n % 251) as u8).collect();
    let response = [b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", &body[..]].concat();
    let limits = Limits { hashes: Hashes::ALL, ..Limits::default() };
    let seen = told(&[(ToServer, GET), (ToClient, &response)], &mut || 1460, limits);
    let pieces = seen.messages.iter().flat_map(|m| &m.3).filter(|p| p.0 == FILE_DATA);
    let (mut end, mut ends) = (0, Vec::new());
    for piece in pieces {
        let from = usize::try_from(piece.3).expect("a small offset");
        assert_eq!(piece.5, body[from..from + piece.5.len()]);
        assert_eq!(from + piece.4 as usize, end, "what is new joins what was seen");
        end = from + piece.5.len();
        ends.push(end);
    }
    assert_eq!(ends[..5], [4096, 16384, 40960, 57344, 73728]);
    assert_eq!(end, body.len());
    let Some(Record::File(file)) = seen.records.first() else { panic!("a file is first") };
    assert!(file.md5.is_some() && file.sha1.is_some() && file.sha256.is_some());
}

#[test]
fn digests_are_of_the_whole_file_behind_the_limit_of_what_is_shown() {
    let body = vec![b'a'; 3 << 20];
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let plain = [length.as_bytes(), &body].concat();
    let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n";
    let packed = gzip(&body);
    let length = format!("Content-Length: {}\r\n\r\n", packed.len());
    let packed = [&head[..], length.as_bytes(), &packed].concat();
    for (response, ratio) in [(plain, 100), (packed, 10_000)] {
        let limits = Limits { hashes: Hashes::ALL, inflate_ratio: ratio, ..Limits::default() };
        let seen = told(&[(ToServer, GET), (ToClient, &response)], &mut || 1460, limits);
        let Some(Record::File(file)) = seen.records.first() else { panic!("a file is first") };
        let digest = Md5::digest(&body);
        assert_eq!(file.md5.map(|md5| md5.to_vec()), Some(digest.to_vec()));
        assert_eq!((file.size, file.state), (body.len() as u64, FileState::Closed));
        let shown = seen.messages.iter().flat_map(|m| &m.3).filter(|p| p.0 == FILE_DATA);
        assert_eq!(shown.map(|p| p.3 + p.5.len() as u64).max(), Some(1 << 20));
        let digests = seen.messages.iter().flat_map(|m| &m.3).filter(|p| p.0 == FILE_MD5);
        assert_eq!(digests.map(|p| &p.5[..]).collect::<Vec<_>>(), [&digest[..]]);
    }
}

#[test]
fn limits_hold_and_are_counted() {
    let zeros = gzip(&vec![0u8; 20 << 20]);
    let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n";
    let bomb = [&head[..], &zeros].concat();
    let limits = Limits { hashes: Hashes::ALL, ..Limits::default() };
    let seen = told(&[(ToServer, GET), (ToClient, &bomb)], &mut || 1460, limits);
    assert!(events(&seen).contains(&"http.compression_bomb"));
    let long = [b"GET /", &vec![b'a'; 20_000][..], b" HTTP/1.1\r\n\r\n"].concat();
    assert!(events(&whole(&[(ToServer, &long)])).contains(&"http.request_field_too_long"));
    let many = [b"GET / HTTP/1.0\r\n", &b"a: b\r\n".repeat(2000)[..], b"\r\n"].concat();
    assert!(events(&whole(&[(ToServer, &many)])).contains(&"http.request_too_many_headers"));
    let deep = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip, gzip, gzip\r\n\r\nx";
    let seen = whole(&[(ToServer, GET), (ToClient, deep)]);
    assert!(events(&seen).contains(&"http.too_many_encoding_layers"));
}

/// What real and odd messages are made of.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n",
        b"POST /%2e HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 204 x\n",
        b"Host: a\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: 70\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"Transfer-Encoding: chunked\r\n",
        b"5\r\n",
        b"hello",
        b"0\r\n\r\n",
        b"1f\r\n",
        b"; x\r\n",
        b" folded: x\r\n",
        b"\0",
        b" ",
        b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: deflate\r\n",
        b"Content-Type: multipart/form-data; boundary=b\r\n",
        b"--b\r\n",
        b"\r\n--b--",
        b"HEAD / x\r\n",
        b"Content-Disposition: form-data; filename=q\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n\r\n",
        b"GET /\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 101 S\r\n\r\n",
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0",
        b"\xcbH\xcd\xc9\xc9\x07\0",
    ];
    let word = prop_oneof![
        8 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ];
    proptest::collection::vec(word, 0..14).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn segmentation_does_not_matter(
        request in words(), response in words(), more in words(),
        steps in proptest::collection::vec(1usize..60, 1..20), tiny in any::<bool>(),
    ) {
        let request = [b"GET /x HTTP/1.1\r\nHost: q\r\n", request.as_slice()].concat();
        let response = [b"HTTP/1.1 200 OK\r\n", response.as_slice()].concat();
        let runs = [
            (ToServer, request.as_slice()), (ToClient, response.as_slice()),
            (ToServer, more.as_slice()),
        ];
        let limits = || if tiny { small() } else { Limits::default() };
        let expected = told(&runs, &mut || usize::MAX, limits());
        let mut at = 0;
        let cut = told(&runs, &mut || { at += 1; steps[at % steps.len()] }, limits());
        prop_assert_eq!(difference(&expected, &cut), None);
    }

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        fuzz_http(&bytes);
        fuzz_http(&[b"GET / HTTP/1.1\r\n", bytes.as_slice()].concat());
    }
}
