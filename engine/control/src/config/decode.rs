//! `[decode]`: how much of one conversation decoders take at once.

use super::outputs::FileHash;
use super::section::Section;
use portcullis_decode::{Hashes, Limits};

/// `[decode]`. Each is a limit of one conversation; what is cut is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decode {
    /// Decoded bytes of one body that are shown to detectors.
    pub body: u64,
    /// Bytes of one message's start line and headers.
    pub header: u64,
    /// Headers of one message.
    pub headers: u32,
    /// Bytes of one line.
    pub line: u64,
    /// Decoded bytes for each encoded one, at which inflation stops.
    pub inflate_ratio: u64,
    /// Decoded bytes up to which that is not looked at.
    pub inflate_free: u64,
    /// Encodings on top of each other that are undone.
    pub inflate_depth: u32,
    /// Transactions that are open at a time.
    pub transactions: u32,
    /// Bytes of one message of TLS handshakes, DNS over TCP, SMB.
    pub record: u64,
    /// Bytes of a TLS certificate chain.
    pub certificates: u64,
}

impl Default for Decode {
    fn default() -> Self {
        let d = Limits::default();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Decode {
            body: d.body_bytes,
            header: d.header_bytes as u64,
            headers: number(d.headers),
            line: d.line_bytes as u64,
            inflate_ratio: d.inflate_ratio,
            inflate_free: d.inflate_free,
            inflate_depth: number(d.inflate_depth),
            transactions: number(d.transactions),
            record: d.record_bytes as u64,
            certificates: d.certificate_chain_bytes as u64,
        }
    }
}

impl Decode {
    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let d = Decode::default();
        let decode = Decode {
            body: s.size("body", d.body, 64 << 10..=1 << 40),
            header: s.size("header", d.header, 4 << 10..=1 << 20),
            headers: s.number("headers", d.headers, 16..=65_535),
            line: s.size("line", d.line, 1 << 10..=1 << 20),
            inflate_ratio: s.number("inflate_ratio", d.inflate_ratio, 2..=1 << 20),
            inflate_free: s.size("inflate_free", d.inflate_free, 0..=1 << 30),
            inflate_depth: s.number("inflate_depth", d.inflate_depth, 0..=16),
            transactions: s.number("transactions", d.transactions, 1..=4_096),
            record: s.size("record", d.record, 16 << 10..=16 << 20),
            certificates: s.size("certificates", d.certificates, 4 << 10..=1 << 20),
        };
        s.finish();
        decode
    }

    /// In the decoders' words; with the digests that the journal wants of files.
    pub fn limits(&self, hashes: &[FileHash]) -> Limits {
        let bytes = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Limits {
            body_bytes: self.body,
            header_bytes: bytes(self.header),
            headers: self.headers as usize,
            line_bytes: bytes(self.line),
            inflate_ratio: self.inflate_ratio,
            inflate_free: self.inflate_free,
            inflate_depth: self.inflate_depth as usize,
            transactions: self.transactions as usize,
            record_bytes: bytes(self.record),
            certificate_chain_bytes: bytes(self.certificates),
            hashes: Hashes {
                md5: hashes.contains(&FileHash::Md5),
                sha1: hashes.contains(&FileHash::Sha1),
                sha256: hashes.contains(&FileHash::Sha256),
            },
            ..Limits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_decoders_own() {
        assert_eq!(Decode::default().limits(&[]), Limits::default());
        let hashes = Decode::default().limits(&[FileHash::Sha1]).hashes;
        assert_eq!(hashes, Hashes { sha1: true, ..Hashes::default() });
    }
}
