//! Files in transfer: their bytes, name, magic, digests and limits. Must never know which protocol
//! carries them.

mod body;
mod digest;
mod magic;

pub(crate) use body::{Body, Taken};
pub use magic::magic;

/// How a file's transfer ended, in the journal's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FileState {
    /// It came whole.
    #[default]
    Closed,
    /// Its end was not seen, or is behind a limit.
    Truncated,
    /// The decoder failed in it.
    Error,
}

impl FileState {
    /// The word in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Truncated => "TRUNCATED",
            Self::Error => "ERROR",
        }
    }
}

/// A file as the journal prints it (`fileinfo`), fields in its order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FileRecord {
    /// The server sent it.
    pub to_client: bool,
    /// The protocol that carried it, by Suricata's name.
    pub app_proto: &'static str,
    /// The transaction of HTTP that did, as far as it was known with the file's last byte.
    pub http: Option<Box<crate::http::HttpRecord>>,
    /// Name as sent, or the path of its address.
    pub filename: Vec<u8>,
    /// What it is by its first bytes.
    pub magic: Option<&'static str>,
    /// Whether bytes are missing in it.
    pub gaps: bool,
    /// How it ended.
    pub state: FileState,
    /// MD5, if asked for and complete.
    pub md5: Option<[u8; 16]>,
    /// SHA-1, if asked for and complete.
    pub sha1: Option<[u8; 20]>,
    /// SHA-256, if asked for and complete.
    pub sha256: Option<[u8; 32]>,
    /// Bytes.
    pub size: u64,
    /// Transaction in the flow, from 0 as the journal counts.
    pub tx_id: u32,
    /// First byte's place in the whole, of a part (`Content-Range`).
    pub start: Option<u64>,
    /// Last byte's place in the whole.
    pub end: Option<u64>,
}
