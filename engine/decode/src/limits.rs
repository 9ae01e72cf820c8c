//! Every limit of the decoders, with its default and its counter. Must never know a protocol's
//! syntax.

/// Digests to compute over each file: what the loaded rules or the journal ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hashes {
    /// MD5 (RFC 1321).
    pub md5: bool,
    /// SHA-1 (RFC 3174).
    pub sha1: bool,
    /// SHA-256 (RFC 6234).
    pub sha256: bool,
}

impl Hashes {
    /// Every digest that there is.
    pub const ALL: Hashes = Hashes { md5: true, sha1: true, sha256: true };

    /// These and those.
    #[must_use]
    pub fn with(self, other: Hashes) -> Hashes {
        Hashes {
            md5: self.md5 || other.md5,
            sha1: self.sha1 || other.sha1,
            sha256: self.sha256 || other.sha256,
        }
    }
}

/// Limits of one flow's decoder. Shared by all flows of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes held per direction while it is unknown what is spoken.
    pub probe_bytes: usize,
    /// Bytes of one message's start line and headers, in any protocol that has them. At the limit
    /// the rest of the headers is not read and an event says so.
    pub header_bytes: usize,
    /// Headers of one message.
    pub headers: usize,
    /// Bytes of one start line or header line.
    pub line_bytes: usize,
    /// Decoded bytes of one body that are shown to detectors. Behind it a body is followed for its
    /// end, its length and its digests only.
    pub body_bytes: u64,
    /// Where the first pieces of a body end, counted from its start: each shows the body from its
    /// first byte. Behind the last one, windows follow.
    pub body_firsts: [u32; 3],
    /// New bytes of each later window of a body.
    pub body_window: u32,
    /// Bytes of the previous piece that a window repeats at its front.
    pub body_overlap: u32,
    /// Decoded bytes per encoded byte at which inflation stops.
    pub inflate_ratio: u64,
    /// Decoded bytes up to which the ratio is not looked at.
    pub inflate_free: u64,
    /// Encodings on top of each other that are undone.
    pub inflate_depth: usize,
    /// Transactions of one flow that are open at a time.
    pub transactions: usize,
    /// Bytes of one message of a protocol of records (TLS handshake, DNS over TCP, SMB).
    pub record_bytes: usize,
    /// Bytes of a TLS certificate chain.
    pub certificate_chain_bytes: usize,
    /// Which digests of files to compute.
    pub hashes: Hashes,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            probe_bytes: 1024,
            header_bytes: 64 << 10,
            headers: 1024,
            line_bytes: 18_000,
            body_bytes: 1 << 20,
            body_firsts: [4 << 10, 16 << 10, 40 << 10],
            body_window: 16 << 10,
            body_overlap: 4 << 10,
            inflate_ratio: 100,
            inflate_free: 1 << 20,
            inflate_depth: 3,
            transactions: 64,
            record_bytes: 64 << 10,
            certificate_chain_bytes: 16 << 10,
            hashes: Hashes::default(),
        }
    }
}

/// What the decoders counted since their caller last looked; they only add.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages appended.
    pub messages: u64,
    /// Oddities found.
    pub anomalies: u64,
    /// Flows of which it was never found out what is spoken.
    pub unknown: u64,
    /// Headers cut at [`Limits::header_bytes`], [`Limits::headers`] or [`Limits::line_bytes`].
    pub headers_cut: u64,
    /// Bodies cut at [`Limits::body_bytes`].
    pub bodies_cut: u64,
    /// Bodies whose inflation stopped at [`Limits::inflate_ratio`].
    pub inflate_bombs: u64,
    /// Bodies with more encodings than [`Limits::inflate_depth`].
    pub inflate_too_deep: u64,
    /// Bodies that did not inflate to their end.
    pub inflate_broken: u64,
    /// Transactions closed early at [`Limits::transactions`].
    pub transactions_cut: u64,
    /// Messages cut at [`Limits::record_bytes`] or [`Limits::certificate_chain_bytes`].
    pub records_cut: u64,
    /// Bytes lost in streams that were being decoded.
    pub gap_bytes: u64,
}
