//! The one table of protocols: a line each. Must never know a protocol's syntax: that is in the
//! protocol's own file.
//!
//! A new protocol is a module with a type that is a [`Decoder`], a `probe` function, and a line in
//! `protocols!` below (and in `records!` if the journal prints it).

use crate::conversation::{Direction, Transport};
use crate::limits::Limits;
use crate::output::Output;
use portcullis_plugin_abi::application;
use std::sync::Arc;

/// What the first bytes of a direction say about a protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Probe {
    /// Not this one.
    No,
    /// More bytes are needed.
    More,
    /// It could be: taken if its port says so too or nobody is sure.
    Perhaps,
    /// This one.
    Yes,
}

/// What a decoder wants next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// More of either direction.
    More,
    /// Nothing: what follows cannot be read, e.g. because it is encrypted.
    Done,
    /// What follows is another conversation (CONNECT, STARTTLS): bytes of each direction that were
    /// told already and belong to it.
    Fresh(Box<[Vec<u8>; 2]>),
}

/// A protocol's decoder. Bytes come in stream order; after `end` of a direction nothing more comes
/// in it.
pub(crate) trait Decoder {
    /// Its state at the start of a conversation.
    fn start(transport: Transport, server_port: u16, limits: &Arc<Limits>) -> Self;
    /// Bytes of a direction (of a datagram, one whole datagram).
    fn data(&mut self, direction: Direction, bytes: &[u8], out: &mut Output) -> Next;
    /// `length` bytes of a direction were lost.
    fn gap(&mut self, direction: Direction, length: u64, out: &mut Output) -> Next;
    /// A direction is over.
    fn end(&mut self, direction: Direction, out: &mut Output);
    /// Bytes held, itself not counted.
    fn memory(&self) -> usize;
}

/// A line of the table.
pub(crate) struct Row {
    #[cfg_attr(not(test), expect(dead_code, reason = "tests tell rows by it"))]
    pub(crate) application: u16,
    pub(crate) transport: Transport,
    pub(crate) ports: &'static [u16],
    /// Told who sent the bytes, the bytes so far, and the server's port.
    pub(crate) probe: fn(Direction, &[u8], u16) -> Probe,
    pub(crate) start: fn(Transport, u16, &Arc<Limits>) -> Protocol,
}

macro_rules! protocols {
    ($(
        $variant:ident($type:ty) = $number:ident, $probe:expr,
        $(($transport:ident, $ports:expr)),+;
    )+) => {
        /// The decoder of a flow.
        #[derive(Debug)]
        pub(crate) enum Protocol { $($variant(Box<$type>)),+ }

        /// Every protocol, in the order in which they are asked.
        pub(crate) const ROWS: &[Row] = &[$($(Row {
            application: application::$number,
            transport: Transport::$transport,
            ports: &$ports,
            probe: $probe,
            start: |transport, port, limits| {
                Protocol::$variant(Box::new(<$type as Decoder>::start(transport, port, limits)))
            },
        }),+),+];

        impl Protocol {
            pub(crate) fn application(&self) -> u16 {
                match self { $(Self::$variant(_) => application::$number),+ }
            }
            pub(crate) fn data(&mut self, d: Direction, bytes: &[u8], out: &mut Output) -> Next {
                match self { $(Self::$variant(decoder) => decoder.data(d, bytes, out)),+ }
            }
            pub(crate) fn gap(&mut self, d: Direction, length: u64, out: &mut Output) -> Next {
                match self { $(Self::$variant(decoder) => decoder.gap(d, length, out)),+ }
            }
            pub(crate) fn end(&mut self, d: Direction, out: &mut Output) {
                match self { $(Self::$variant(decoder) => decoder.end(d, out)),+ }
            }
            pub(crate) fn memory(&self) -> usize {
                match self {
                    $(Self::$variant(decoder) => size_of::<$type>() + decoder.memory()),+
                }
            }
        }
    };
}

macro_rules! records {
    ($($(#[$doc:meta])* $variant:ident($type:ty),)+) => {
        /// What the journal prints about a transaction or file that is complete.
        #[derive(Clone, PartialEq, Debug)]
        #[non_exhaustive]
        pub enum Record { $($(#[$doc])* $variant(Box<$type>)),+ }
    };
}

protocols! {
    Http(crate::http::Http) = HTTP, |way, bytes, _| crate::http::probe(way, bytes),
        (Tcp, [80, 8080, 8000, 8008, 3128]);
    Tls(crate::tls::Tls) = TLS, crate::tls::probe, (Tcp, [443, 465, 636, 853, 990, 993, 995, 8443]);
    Ssh(crate::ssh::Ssh) = SSH, crate::ssh::probe, (Tcp, [22]);
    Smtp(crate::smtp::Smtp) = SMTP, crate::smtp::probe, (Tcp, [25, 465, 587, 2525]);
    Ftp(crate::ftp::Ftp) = FTP, crate::ftp::probe, (Tcp, [21]);
    Smb(crate::smb::Smb) = SMB, crate::smb::probe, (Tcp, [445, 139]);
    Dns(crate::dns::Dns) = DNS, crate::dns::probe_datagram, (Udp, [53]);
    DnsStream(crate::dns::Dns) = DNS, crate::dns::probe_stream, (Tcp, [53]);
}

records! {
    /// A transaction of HTTP.
    Http(crate::http::HttpRecord),
    /// A session of TLS.
    Tls(crate::tls::TlsRecord),
    /// A connection of SSH.
    Ssh(crate::ssh::SshRecord),
    /// A mail.
    Smtp(crate::smtp::SmtpRecord),
    /// A command of FTP and its reply.
    Ftp(crate::ftp::FtpRecord),
    /// A command of SMB and its response.
    Smb(crate::smb::SmbRecord),
    /// A question or an answer of DNS.
    Dns(crate::dns::DnsRecord),
    /// A file in transfer.
    File(crate::files::FileRecord),
}
