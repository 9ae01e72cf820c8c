//! The hellos of a TLS handshake (RFC 8446 section 4.1, RFC 6066, RFC 7301): bytes behind the
//! handshake header in, fields out; total. Must never know a flow.

use crate::reader::Reader;
use tls_parser::parse_tls_handshake_msg_server_hello;
use tls_parser::{TlsMessageHandshake, parse_tls_handshake_client_hello};

/// Extensions of one hello that are read; those behind are as if not sent.
const EXTENSIONS_MAX: usize = 256;

/// Numbers of extensions (IANA).
pub(super) mod extension {
    pub(in crate::tls) const SERVER_NAME: u16 = 0;
    pub(super) const GROUPS: u16 = 10;
    pub(super) const POINT_FORMATS: u16 = 11;
    pub(super) const SIGNATURES: u16 = 13;
    pub(in crate::tls) const ALPN: u16 = 16;
    pub(super) const VERSIONS: u16 = 43;
}

/// What is odd about a hello that could be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HelloFlaws {
    /// More than one server name extension.
    pub several_names: bool,
    /// A server name of another type than a host name.
    pub name_type: bool,
    /// A server name whose length is wrong.
    pub name_length: bool,
    /// Extensions whose length is wrong.
    pub extensions: bool,
}

/// A client's or server's hello.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hello {
    /// Version in the hello itself: of TLS 1.3 it says 1.2.
    pub version: u16,
    /// 32 bytes; fewer of SSLv2.
    pub random: Vec<u8>,
    /// Session id; empty for none.
    pub session: Vec<u8>,
    /// Cipher suites offered; the one chosen.
    pub ciphers: Vec<u16>,
    /// Extensions in their order.
    pub extensions: Vec<u16>,
    /// Server name as sent.
    pub sni: Option<Vec<u8>>,
    /// Protocols offered; the one chosen.
    pub alpn: Vec<Vec<u8>>,
    /// `supported_versions` offered; the one chosen.
    pub versions: Vec<u16>,
    /// Groups (elliptic curves).
    pub groups: Vec<u16>,
    /// Formats of points.
    pub point_formats: Vec<u8>,
    /// Signature algorithms.
    pub signatures: Vec<u16>,
    /// What is odd.
    pub flaws: HelloFlaws,
}

/// Whether a value is one of those that mean nothing (RFC 8701).
pub fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

impl Hello {
    /// A client's hello; `None` if it is malformed before its extensions.
    pub fn of_client(body: &[u8]) -> Option<Self> {
        let (behind, hello) = parse_tls_handshake_client_hello(body).ok()?;
        let mut read = Self {
            version: hello.version.0,
            random: hello.random.to_vec(),
            session: hello.session_id.unwrap_or_default().to_vec(),
            ciphers: hello.ciphers.iter().map(|cipher| cipher.0).collect(),
            ..Self::default()
        };
        read.flaws.extensions = hello.ext.is_none() && !behind.is_empty();
        read.read_extensions(hello.ext.unwrap_or_default(), Sender::Client);
        Some(read)
    }

    /// A server's hello; `None` if it is malformed before its extensions.
    pub fn of_server(body: &[u8]) -> Option<Self> {
        let (behind, message) = parse_tls_handshake_msg_server_hello(body).ok()?;
        let (mut read, extensions) = match message {
            TlsMessageHandshake::ServerHello(hello) => {
                let read = Self {
                    version: hello.version.0,
                    random: hello.random.to_vec(),
                    session: hello.session_id.unwrap_or_default().to_vec(),
                    ciphers: vec![hello.cipher.0],
                    ..Self::default()
                };
                (read, hello.ext)
            }
            TlsMessageHandshake::ServerHelloV13Draft18(hello) => {
                let read = Self {
                    version: hello.version.0,
                    random: hello.random.to_vec(),
                    ciphers: vec![hello.cipher.0],
                    ..Self::default()
                };
                (read, hello.ext)
            }
            _ => return None,
        };
        read.flaws.extensions = extensions.is_none() && !behind.is_empty();
        read.read_extensions(extensions.unwrap_or_default(), Sender::Server);
        Some(read)
    }

    /// A client's hello of SSLv2 (behind the message type): it may offer newer versions.
    pub fn of_old_client(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let version = reader.u16()?;
        let lengths = [reader.u16()?, reader.u16()?, reader.u16()?].map(usize::from);
        let [ciphers, session, challenge] = lengths;
        let mut kinds = Reader::new(reader.take(ciphers)?);
        let mut hello = Self { version, ..Self::default() };
        while let Some(kind) = kinds.u24() {
            // Those of SSLv3 and later have a first byte of 0.
            if let Ok(cipher) = u16::try_from(kind) {
                hello.ciphers.push(cipher);
            }
        }
        hello.session = reader.take(session)?.to_vec();
        hello.random = reader.take(challenge)?.to_vec();
        Some(hello)
    }

    /// The version that is spoken if the other side agrees: the first that means something.
    pub fn effective_version(&self) -> u16 {
        self.versions.iter().copied().find(|&v| !is_grease(v)).unwrap_or(self.version)
    }

    fn read_extensions(&mut self, bytes: &[u8], sender: Sender) {
        let mut reader = Reader::new(bytes);
        while !reader.is_empty() && self.extensions.len() < EXTENSIONS_MAX {
            let Some((kind, body)) = reader.u16().zip(reader.vector()) else {
                self.flaws.extensions = true;
                return;
            };
            self.extension(kind, body, sender);
            self.extensions.push(kind);
        }
    }

    fn extension(&mut self, kind: u16, body: &[u8], sender: Sender) {
        let mut reader = Reader::new(body);
        match kind {
            extension::SERVER_NAME if sender == Sender::Client => self.server_name(body),
            extension::ALPN => {
                let mut list = Reader::new(reader.vector().unwrap_or_default());
                while let Some(name) = list.short_vector() {
                    self.alpn.push(name.to_vec());
                }
            }
            extension::GROUPS => self.groups = numbers(reader.vector()),
            extension::POINT_FORMATS => {
                self.point_formats = reader.short_vector().unwrap_or_default().to_vec();
            }
            extension::SIGNATURES => self.signatures = numbers(reader.vector()),
            extension::VERSIONS => {
                self.versions = match sender {
                    Sender::Client => numbers(reader.short_vector()),
                    Sender::Server => numbers(Some(body)),
                };
            }
            _ => {}
        }
    }

    /// The first name counts: servers take no second one.
    fn server_name(&mut self, body: &[u8]) {
        if self.extensions.contains(&extension::SERVER_NAME) {
            self.flaws.several_names = true;
            return;
        }
        let mut reader = Reader::new(body);
        let (Some(_), Some(kind)) = (reader.u16(), reader.u8()) else {
            // A server acknowledges with an empty one; so do some clients.
            self.flaws.name_length |= !body.is_empty();
            return;
        };
        self.flaws.name_type |= kind != 0;
        match reader.vector() {
            Some(name) if kind == 0 && !name.is_empty() => self.sni = Some(name.to_vec()),
            Some(_) => {}
            None => self.flaws.name_length = true,
        }
    }
}

/// Who sent a hello: some extensions differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
}

fn numbers(bytes: Option<&[u8]>) -> Vec<u16> {
    let pairs = bytes.unwrap_or_default().as_chunks::<2>().0;
    pairs.iter().map(|&pair| u16::from_be_bytes(pair)).collect()
}

/// The word for a version as Suricata's journal has it.
pub fn version_name(version: u16) -> String {
    match version {
        0 => "UNDETERMINED".into(),
        0x0002 => "SSLv2".into(),
        0x0300 => "SSLv3".into(),
        0x0301 => "TLSv1".into(),
        0x0302 => "TLS 1.1".into(),
        0x0303 => "TLS 1.2".into(),
        0x0304 => "TLS 1.3".into(),
        0x7f00..=0x7fff => format!("TLS 1.3 draft-{:02}", version & 0xff),
        _ => format!("0x{version:04x}"),
    }
}

/// The short word for a version, as `tls.version` has it.
pub fn version_word(version: u16) -> String {
    match version {
        0x0300 => "SSLv3".into(),
        0x0002 => "SSLv2".into(),
        0x0301 => "1.0".into(),
        0x0302 => "1.1".into(),
        0x0303 => "1.2".into(),
        0x0304 | 0x7f00..=0x7fff => "1.3".into(),
        _ => format!("0x{version:04x}"),
    }
}
