//! TLS and SSL up to the end of the handshake: one transaction a flow. Behind it everything is
//! encrypted and nothing is read any more. Must never know a rule.

mod certificate;
mod fingerprint;
mod hello;
mod layer;
mod record;

pub use certificate::{Certificate, fingerprint as certificate_fingerprint, iso_date, read};
pub use fingerprint::{ja3_string, ja3s_string, ja4, md5_hex};
pub use hello::{Hello, HelloFlaws, is_grease, version_name, version_word};
pub use record::{Chain, Fingerprint, TlsRecord};

use crate::conversation::{Direction, Stage, Transport};
use crate::events::app_event;
use crate::limits::Limits;
use crate::output::{Fresh, Output, Record};
use crate::reader::Reader;
use crate::registry::{Decoder, Next, Probe};
use crate::shelf::{Heading, Shelf};
use layer::{Cut, Fault, Heartbeat, Layer, Overflow, Signal};
use portcullis_plugin_abi::{application, buffer_kind as kind};
use std::sync::Arc;

/// Types of handshake messages that are read, or that change the state.
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SERVER_KEY: u8 = 12;
const CLIENT_KEY: u8 = 16;
/// Types that there are (IANA), the largest.
const TYPES_MAX: u8 = 25;
const HASHED_MESSAGE: u8 = 254;
/// Certificates of one chain that are shown, each whole.
const CERTIFICATES_MAX: usize = 16;
/// The transaction of a flow.
const TRANSACTION: u32 = 1;
/// From this version on certificates are encrypted, and the change of ciphers means nothing.
const TLS13: u16 = 0x0304;

/// Whether the start of a direction is TLS or SSLv2.
pub(crate) fn probe(direction: Direction, bytes: &[u8], _: u16) -> Probe {
    let hello = match direction {
        Direction::ToServer => CLIENT_HELLO,
        Direction::ToClient => SERVER_HELLO,
    };
    match *bytes {
        [] | [20..=24] | [20..=24, 3] | [22, 3, 0..=4] | [22, 3, 0..=4, _] => Probe::More,
        [22, 3, 0..=4, 0..=0x48, _] => Probe::More,
        [22, 3, 0..=4, 0..=0x48, _, message, ..] if message == hello => Probe::Yes,
        [20 | 21 | 23 | 24, 3, 0..=4] | [20 | 21 | 23 | 24, 3, 0..=4, _] => Probe::More,
        [20..=24, 3, 0..=4, 0..=0x48, _, ..] => Probe::Perhaps,
        [0x80..=0xff] | [0x80..=0xff, _] | [0x80..=0xff, _, 1 | 4] | [0x80..=0xff, _, 1 | 4, _] => {
            Probe::More
        }
        [0x80..=0xff, 9..=0xff, 1, 3, 0..=4, ..] | [0x80..=0xff, 9..=0xff, 1, 0, 2, ..]
            if direction == Direction::ToServer =>
        {
            Probe::Yes
        }
        [0x80..=0xff, _, 4, _, _] if direction == Direction::ToClient => Probe::More,
        [0x80..=0xff, _, 4, 0 | 1, 1, 0, ..] if direction == Direction::ToClient => Probe::Perhaps,
        _ => Probe::No,
    }
}

/// The decoder of one flow.
#[derive(Debug)]
pub(crate) struct Tls {
    limits: Arc<Limits>,
    layers: [Layer; 2],
    shelves: [Shelf; 2],
    record: Box<TlsRecord>,
    session: Vec<u8>,
    /// The client offered TLS 1.3; the server took it.
    offered: bool,
    agreed: u16,
    /// As `tls.state` has it.
    state: u8,
    /// Who sent the last heartbeat, and the bytes of its record.
    asked: Option<(Direction, usize)>,
    ended: [bool; 2],
    finished: bool,
}

/// What follows from a signal for the direction that it came in.
enum After {
    GoOn,
    Encrypted,
    Stop,
}

impl Decoder for Tls {
    fn start(_: Transport, _: u16, limits: &Arc<Limits>) -> Self {
        Self {
            limits: Arc::clone(limits),
            layers: [Layer::new(), Layer::new()],
            shelves: Default::default(),
            record: Box::default(),
            session: Vec::new(),
            offered: false,
            agreed: 0,
            state: 0,
            asked: None,
            ended: [false; 2],
            finished: false,
        }
    }

    fn data(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> Next {
        if self.finished {
            return Next::Done;
        }
        let Some(slot) = self.layers.get_mut(direction as usize) else { return Next::Done };
        let mut layer = std::mem::replace(slot, Layer::new());
        let limits = Arc::clone(&self.limits);
        let room = |message: u8| match message {
            CLIENT_HELLO | SERVER_HELLO => limits.record_bytes,
            CERTIFICATE => limits.certificate_chain_bytes,
            _ => 0,
        };
        let mut rest = bytes;
        while let Some(signal) = layer.read(&mut rest, &room) {
            match self.signal(direction, signal, out) {
                After::GoOn => {}
                After::Encrypted => layer.encrypted = true,
                After::Stop => {
                    self.finish(out);
                    return Next::Done;
                }
            }
            let other = self.layers.get(direction.other() as usize);
            if layer.encrypted && other.is_some_and(|other| other.encrypted) {
                self.finish(out);
                return Next::Done;
            }
        }
        if let Some(slot) = self.layers.get_mut(direction as usize) {
            *slot = layer;
        }
        Next::More
    }

    fn gap(&mut self, _: Direction, _: u64, out: &mut Output) -> Next {
        // Where the next record begins cannot be known.
        self.finish(out);
        Next::Done
    }

    fn end(&mut self, direction: Direction, out: &mut Output) {
        if let Some(ended) = self.ended.get_mut(direction as usize) {
            *ended = true;
        }
        if self.ended == [true; 2] {
            self.finish(out);
        }
    }

    fn memory(&self) -> usize {
        let layers: usize = self.layers.iter().map(Layer::memory).sum();
        let shelves: usize = self.shelves.iter().map(Shelf::memory).sum();
        layers + shelves + size_of::<TlsRecord>() + self.session.capacity()
    }
}

impl Tls {
    fn signal(&mut self, direction: Direction, signal: Signal<'_>, out: &mut Output) -> After {
        match signal {
            Signal::Message(message, body, cut) => self.message(direction, message, body, cut, out),
            Signal::Old(message, body) => self.old(direction, message, body, out),
            Signal::Version(_) => After::GoOn,
            Signal::Application => After::Encrypted,
            Signal::ChangeCipher => {
                let newest = match direction {
                    _ if self.agreed != 0 => self.agreed >= TLS13,
                    Direction::ToServer => self.offered,
                    Direction::ToClient => false,
                };
                if newest { After::GoOn } else { After::Encrypted }
            }
            Signal::Heartbeat(heartbeat) => {
                self.heartbeat(direction, heartbeat, out);
                After::GoOn
            }
            Signal::ShortAlert => {
                self.event(direction, app_event::TLS_INVALID_ALERT_MESSAGE, out);
                After::GoOn
            }
            Signal::Broken(fault) => {
                let event = match fault {
                    Fault::Length => app_event::TLS_INVALID_SSL_RECORD,
                    Fault::OldHeader => app_event::TLS_INVALID_SSLV2_HEADER,
                    Fault::Type => app_event::TLS_INVALID_RECORD_TYPE,
                    Fault::Version => app_event::TLS_INVALID_RECORD_VERSION,
                };
                self.event(direction, event, out);
                After::Stop
            }
        }
    }

    /// An answer that is longer than what was asked has more in it than was sent: Heartbleed
    /// (CVE-2014-0160).
    fn heartbeat(&mut self, direction: Direction, heartbeat: Heartbeat, out: &mut Output) {
        let Heartbeat { kind, length, overflow } = heartbeat;
        let leaks = match self.asked.take() {
            Some((way, asked)) if way != direction => length > asked,
            _ => {
                self.asked = Some((direction, length));
                false
            }
        };
        let rows = [
            (true, app_event::TLS_HEARTBEAT_MESSAGE),
            (!matches!(kind, Some(1 | 2)), app_event::TLS_INVALID_HEARTBEAT_MESSAGE),
            (overflow == Overflow::Overflows, app_event::TLS_OVERFLOW_HEARTBEAT_MESSAGE),
            (leaks, app_event::TLS_DATALEAK_HEARTBEAT_MISMATCH),
        ];
        for (_, event) in rows.into_iter().filter(|row| row.0) {
            self.event(direction, event, out);
        }
        self.show(direction, Stage::Progress, out);
    }

    fn event(&mut self, direction: Direction, event: u16, out: &mut Output) {
        if let Some(shelf) = self.shelves.get_mut(direction as usize) {
            shelf.event(event, TRANSACTION, out);
        }
    }

    fn show(&mut self, direction: Direction, stage: Stage, out: &mut Output) {
        let state = u64::from(self.state);
        if let Some(shelf) = self.shelves.get_mut(direction as usize) {
            let heading =
                Heading { application: application::TLS, transaction: TRANSACTION, direction };
            shelf.show(heading, stage, out);
            out.number(kind::TLS_STATE, 0, state, Fresh::New);
        }
    }

    /// A handshake message.
    fn message(
        &mut self,
        direction: Direction,
        message: u8,
        body: &[u8],
        cut: Cut,
        out: &mut Output,
    ) -> After {
        match (message, direction) {
            (CLIENT_HELLO, Direction::ToServer) => match Hello::of_client(body) {
                Some(hello) => self.client_hello(hello, out),
                None => self.event(direction, app_event::TLS_HANDSHAKE_INVALID_LENGTH, out),
            },
            (SERVER_HELLO, Direction::ToClient) => match Hello::of_server(body) {
                Some(hello) => self.server_hello(hello, out),
                None => self.event(direction, app_event::TLS_HANDSHAKE_INVALID_LENGTH, out),
            },
            (CERTIFICATE, _) => self.certificates(direction, body, cut, out),
            (SERVER_KEY, Direction::ToClient) => self.state |= 8,
            (CLIENT_KEY, Direction::ToServer) => self.state |= 4,
            (CLIENT_HELLO | SERVER_HELLO, _) | (TYPES_MAX.., _) if message != HASHED_MESSAGE => {
                self.event(direction, app_event::TLS_INVALID_HANDSHAKE_MESSAGE, out);
                return After::Stop;
            }
            _ => {}
        }
        After::GoOn
    }

    /// A record of SSLv2.
    fn old(&mut self, direction: Direction, message: u8, body: &[u8], out: &mut Output) -> After {
        match (message, direction) {
            (1, Direction::ToServer) => {
                let Some(hello) = Hello::of_old_client(body) else {
                    self.event(direction, app_event::TLS_INVALID_SSLV2_HEADER, out);
                    return After::Stop;
                };
                self.client_hello(hello, out);
                After::GoOn
            }
            (4, Direction::ToClient) => {
                self.agreed =
                    body.get(2..4).map_or(2, |v| v.iter().fold(0, |n, &b| n << 8 | u16::from(b)));
                self.record.version = self.agreed;
                self.record.server_hello = true;
                self.state |= 2;
                After::Stop
            }
            (0, _) => {
                self.event(direction, app_event::TLS_ERROR_MESSAGE_ENCOUNTERED, out);
                After::Stop
            }
            _ => After::Stop,
        }
    }

    fn hello_flaws(&mut self, direction: Direction, flaws: HelloFlaws, out: &mut Output) {
        let rows = [
            (flaws.several_names, app_event::TLS_MULTIPLE_SNI_EXTENSIONS),
            (flaws.name_type, app_event::TLS_INVALID_SNI_TYPE),
            (flaws.name_length, app_event::TLS_INVALID_SNI_LENGTH),
            (flaws.extensions, app_event::TLS_HANDSHAKE_INVALID_LENGTH),
        ];
        for (_, event) in rows.into_iter().filter(|row| row.0) {
            self.event(direction, event, out);
        }
    }

    /// The first hello counts: one that follows a retry request repeats it.
    fn client_hello(&mut self, hello: Hello, out: &mut Output) {
        if self.record.client_hello {
            return;
        }
        let direction = Direction::ToServer;
        self.state |= 1;
        self.record.client_hello = true;
        self.offered = hello.versions.iter().any(|&v| v >= TLS13 && !is_grease(v));
        self.session.clone_from(&hello.session);
        self.hello_flaws(direction, hello.flaws, out);
        let string = ja3_string(&hello);
        let ja3 = Fingerprint { hash: md5_hex(string.as_bytes()), string };
        let ja4 = ja4(&hello);
        let [shelf, _] = &mut self.shelves;
        hello_pieces(&hello, shelf);
        shelf.put(kind::JA3_HASH, ja3.hash.as_bytes());
        shelf.put(kind::JA3_STRING, ja3.string.as_bytes());
        shelf.put(kind::JA4_HASH, ja4.as_bytes());
        if self.record.version == 0 {
            self.record.version = hello.effective_version();
        }
        self.record.sni = hello.sni;
        self.record.client_alpns = hello.alpn;
        self.record.ja3 = Some(ja3);
        self.record.ja4 = Some(ja4);
        self.show(direction, Stage::Progress, out);
    }

    fn server_hello(&mut self, hello: Hello, out: &mut Output) {
        if self.record.server_hello {
            return;
        }
        let direction = Direction::ToClient;
        self.state |= 2;
        self.record.server_hello = true;
        self.agreed = hello.effective_version();
        if self.agreed & 0xff00 == 0x7f00 {
            self.agreed = self.agreed.max(TLS13);
        }
        self.record.version = self.agreed;
        self.record.session_resumed =
            self.agreed < TLS13 && !hello.session.is_empty() && hello.session == self.session;
        self.hello_flaws(direction, hello.flaws, out);
        let string = ja3s_string(&hello);
        let ja3s = Fingerprint { hash: md5_hex(string.as_bytes()), string };
        let [_, shelf] = &mut self.shelves;
        hello_pieces(&hello, shelf);
        shelf.put(kind::JA3S_HASH, ja3s.hash.as_bytes());
        shelf.put(kind::JA3S_STRING, ja3s.string.as_bytes());
        self.record.server_alpns = hello.alpn;
        self.record.ja3s = Some(ja3s);
        self.show(direction, Stage::Progress, out);
    }

    fn certificates(&mut self, direction: Direction, body: &[u8], cut: Cut, out: &mut Output) {
        let slot = match direction {
            Direction::ToServer => &mut self.record.client,
            Direction::ToClient => &mut self.record.server,
        };
        if slot.is_some() {
            return;
        }
        let Some(shelf) = self.shelves.get_mut(direction as usize) else { return };
        if cut == Cut::Cut {
            out.counters.records_cut += 1;
        }
        let mut chain = Chain::default();
        let mut reader = Reader::new(body);
        let told = reader.u24().and_then(|length| usize::try_from(length).ok());
        if told.is_none_or(|told| cut == Cut::Whole && told != reader.rest().len()) {
            shelf.event(app_event::TLS_CERTIFICATE_INVALID_LENGTH, TRANSACTION, out);
        }
        while let Some(length) = reader.u24().and_then(|length| usize::try_from(length).ok()) {
            chain.length += 1;
            let Some(der) = reader.take(length) else {
                if cut == Cut::Whole {
                    shelf.event(app_event::TLS_CERTIFICATE_INVALID_LENGTH, TRANSACTION, out);
                }
                break;
            };
            if chain.length == 1 {
                chain.fingerprint = certificate_fingerprint(der);
                match read(der) {
                    Ok(certificate) => {
                        for (name, event) in [
                            (&certificate.subject, app_event::TLS_CERTIFICATE_INVALID_SUBJECT),
                            (&certificate.issuer, app_event::TLS_CERTIFICATE_INVALID_ISSUER),
                        ] {
                            if name.contains('\0') {
                                shelf.event(event, TRANSACTION, out);
                            }
                        }
                        chain.first = Some(certificate);
                    }
                    Err(event) => shelf.event(event, TRANSACTION, out),
                }
            }
            if chain.length <= CERTIFICATES_MAX {
                shelf.put(kind::TLS_CERTS, der);
            }
        }
        if chain.length > 0 {
            chain_pieces(&chain, shelf);
            *slot = Some(chain);
        }
        self.show(direction, Stage::Progress, out);
    }

    /// Nothing more will be read: shows both directions as complete and prints the session.
    fn finish(&mut self, out: &mut Output) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.show(Direction::ToServer, Stage::Complete, out);
        self.show(Direction::ToClient, Stage::Complete, out);
        self.layers = [Layer::new(), Layer::new()];
        self.shelves = Default::default();
        if self.record.client_hello || self.record.server_hello {
            self.record.session_resumed &= self.record.server.is_none();
            out.records.push(Record::Tls(std::mem::take(&mut self.record)));
        }
    }
}

/// What both hellos have.
fn hello_pieces(hello: &Hello, shelf: &mut Shelf) {
    if let Some(sni) = &hello.sni {
        shelf.put(kind::TLS_SNI, sni);
    }
    for protocol in &hello.alpn {
        shelf.put(kind::TLS_ALPN, protocol);
    }
    let version = hello.effective_version();
    shelf.put(kind::TLS_VERSION, version_word(version).as_bytes());
    shelf.put_number(kind::TLS_VERSION_NUMBER, version.into());
    shelf.put(kind::TLS_RANDOM, &hello.random);
    if let Some((time, rest)) = hello.random.split_at_checked(4) {
        shelf.put(kind::TLS_RANDOM_TIME, time);
        shelf.put(kind::TLS_RANDOM_BYTES, rest);
    }
}

fn chain_pieces(chain: &Chain, shelf: &mut Shelf) {
    shelf.put_number(kind::TLS_CERT_CHAIN_LEN, u64::try_from(chain.length).unwrap_or(u64::MAX));
    if !chain.fingerprint.is_empty() {
        shelf.put(kind::TLS_CERT_FINGERPRINT, chain.fingerprint.as_bytes());
    }
    let Some(first) = &chain.first else { return };
    shelf.put(kind::TLS_CERT_SUBJECT, first.subject.as_bytes());
    shelf.put(kind::TLS_CERT_ISSUER, first.issuer.as_bytes());
    shelf.put(kind::TLS_CERT_SERIAL, first.serial.as_bytes());
    // Seconds before 1970 count as 1970.
    shelf.put_number(kind::TLS_CERT_NOT_BEFORE, u64::try_from(first.not_before).unwrap_or(0));
    shelf.put_number(kind::TLS_CERT_NOT_AFTER, u64::try_from(first.not_after).unwrap_or(0));
    for name in &first.names {
        shelf.put(kind::TLS_SUBJECTALTNAME, name.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::event_name;

    fn events(runs: &[(Direction, &[u8])]) -> Vec<&'static str> {
        let mut tls = Tls::start(Transport::Tcp, 443, &Arc::default());
        let mut out = Output::default();
        for (way, bytes) in runs {
            let _ = tls.data(*way, bytes, &mut out);
        }
        let names = out.anomalies.iter().filter_map(|(number, _)| event_name(*number));
        names.filter(|name| *name != "tls.heartbeat_message").collect()
    }

    #[test]
    fn a_heartbeat_that_answers_more_than_was_asked_leaks() {
        let (up, down) = (Direction::ToServer, Direction::ToClient);
        // A request for 16 KiB that carries nothing, and what a server that believes it answers.
        let lie = [24, 3, 2, 0, 3, 1, 0x40, 0];
        let leak = [&[24, 3, 2, 0x01, 0x00, 2, 0x00, 0x40][..], &[b'k'; 253]].concat();
        let found = events(&[(up, &lie), (down, &leak)]);
        assert_eq!(found, ["tls.overflow_heartbeat_message", "tls.dataleak_heartbeat_mismatch"]);
        let honest = [&[24, 3, 2, 0, 23, 1, 0, 4][..], b"ping", &[0; 16]].concat();
        let answer = [&[24, 3, 2, 0, 23, 2, 0, 4][..], b"ping", &[0; 16]].concat();
        assert!(events(&[(up, &honest), (down, &answer)]).is_empty());
        // The client may be the one that leaks; and what is asked twice is asked last.
        assert!(events(&[(up, &honest), (up, &honest), (down, &answer)]).is_empty());
        let found = events(&[(down, &honest), (up, &leak)]);
        assert_eq!(found, ["tls.dataleak_heartbeat_mismatch"]);
        assert_eq!(events(&[(up, &[24, 3, 2, 0, 3, 9, 0, 0])]), ["tls.invalid_heartbeat_message"]);
    }
}
