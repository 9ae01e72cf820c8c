//! A TLS session as the journal prints it. Must never know how it is decoded.

use super::certificate::Certificate;

/// A fingerprint and what it was made of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fingerprint {
    /// Hexadecimal MD5.
    pub hash: String,
    /// Before hashing.
    pub string: String,
}

/// The certificates that one side sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chain {
    /// The first one, if it could be read: `subject`, `issuerdn`, `serial`, `notbefore`,
    /// `notafter`, `subjectaltname`.
    pub first: Option<Certificate>,
    /// SHA-1 of the first one, `aa:bb:…`.
    pub fingerprint: String,
    /// Certificates sent.
    pub length: usize,
}

/// A session as the journal prints it (`tls`); absent where not sent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsRecord {
    /// Transaction in the flow, from 0 as the journal counts (`tx_id`, outside of `tls`).
    pub tx_id: u32,
    /// Version agreed, or offered where no server answered: see [`super::version_name`].
    pub version: u16,
    /// Whether a session was taken up again, so that no certificate was sent.
    pub session_resumed: bool,
    /// Server name.
    pub sni: Option<Vec<u8>>,
    /// What the server sent.
    pub server: Option<Chain>,
    /// What the client sent (`client`).
    pub client: Option<Chain>,
    /// JA3 of the client's hello.
    pub ja3: Option<Fingerprint>,
    /// JA3S of the server's hello.
    pub ja3s: Option<Fingerprint>,
    /// JA4 of the client's hello.
    pub ja4: Option<String>,
    /// Protocols offered (`client_alpns`).
    pub client_alpns: Vec<Vec<u8>>,
    /// Protocol chosen (`server_alpns`).
    pub server_alpns: Vec<Vec<u8>>,
    /// Whether the client's hello was seen.
    pub client_hello: bool,
    /// Whether the server's hello was seen.
    pub server_hello: bool,
}
