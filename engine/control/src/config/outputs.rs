//! `[events]`, `[control]`, `[metrics]` and `[inventory]`: how the engine talks to the world.

use super::engine::absolute;
use super::section::{Section, Word, words};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

words! {
    /// Event types of the EVE log. `block` and `unblock` are always written.
    EventType {
        /// A finding that counted.
        Alert = "alert",
        /// A malformation or something odd in a stream or in what is spoken, once per flow.
        Anomaly = "anomaly",
        /// A block was made.
        Block = "block",
        /// A question or an answer of DNS.
        Dns = "dns",
        /// A packet was dropped for a verdict.
        Drop = "drop",
        /// An exclusion was added or removed at run time.
        Exclusion = "exclusion",
        /// A file in transfer.
        Fileinfo = "fileinfo",
        /// A flow ended.
        Flow = "flow",
        /// A command of FTP and its reply.
        Ftp = "ftp",
        /// A request of HTTP and its response.
        Http = "http",
        /// A plugin was loaded, swapped, faulted, quarantined.
        Plugin = "plugin",
        /// A command of SMB and its response.
        Smb = "smb",
        /// A mail.
        Smtp = "smtp",
        /// A connection of SSH.
        Ssh = "ssh",
        /// Figures at an interval.
        Stats = "stats",
        /// A session of TLS.
        Tls = "tls",
        /// A block ended.
        Unblock = "unblock",
    }
}

words! {
    /// Digests of files.
    FileHash {
        /// MD5.
        Md5 = "md5",
        /// SHA-1.
        Sha1 = "sha1",
        /// SHA-256.
        Sha256 = "sha256",
    }
}

/// `[events]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Events {
    /// The EVE log, one JSON object a line; relative to `engine.log_dir`. Empty: none.
    pub file: PathBuf,
    /// Which events are written.
    pub types: Vec<EventType>,
    /// Digests that `fileinfo` has of each whole file, beside those that rules ask for.
    pub file_hashes: Vec<FileHash>,
    /// How often `stats` is written; 0 s is never.
    pub stats_interval: Duration,
    /// Events that wait for a slow disk; beyond it they are lost and counted, except `block` and
    /// `unblock`.
    pub queue: u32,
    /// Write the Community ID (version 1) of each flow.
    pub community_id: bool,
    /// Its seed; the same everywhere where events are to be joined.
    pub community_id_seed: u16,
}

impl Default for Events {
    fn default() -> Self {
        Events {
            file: "eve.json".into(),
            types: EventType::WORDS.iter().map(|(_, event_type)| *event_type).collect(),
            file_hashes: Vec::new(),
            stats_interval: Duration::from_secs(10),
            queue: 65_536,
            community_id: true,
            community_id_seed: 0,
        }
    }
}

impl Events {
    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let d = Events::default();
        let hour = Duration::from_secs(3600);
        let events = Events {
            file: s.text("file", &d.file.to_string_lossy()).into(),
            types: s.list("types", d.types, word::<EventType>),
            file_hashes: s.list("file_hashes", d.file_hashes, word::<FileHash>),
            stats_interval: s.duration("stats_interval", d.stats_interval, Duration::ZERO..=hour),
            queue: s.number("queue", d.queue, 64..=1 << 24),
            community_id: s.switch("community_id", d.community_id),
            community_id_seed: s.number("community_id_seed", d.community_id_seed, 0..=65_535),
        };
        s.finish();
        events
    }
}

/// One of the words of a list.
fn word<W: Word>(text: &str) -> Result<W, String> {
    use super::section::nearest;
    let words = || W::WORDS.iter().map(|(word, _)| *word);
    if let Some((_, value)) = W::WORDS.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    match nearest(text, words()) {
        Some(word) => Err(format!("write \"{word}\"")),
        None => Err(format!("write one of: {}", words().collect::<Vec<_>>().join(", "))),
    }
}

/// `[control]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ControlSocket {
    /// The socket; relative to `engine.run_dir`.
    pub socket: PathBuf,
    /// Users who may give orders, beside root and the engine's own.
    pub uids: Vec<u32>,
    /// Groups whose members may give orders.
    pub gids: Vec<u32>,
    /// Bytes of a request's body, at most.
    pub body_max: u64,
    /// How long one request may take.
    pub timeout: Duration,
}

impl Default for ControlSocket {
    fn default() -> Self {
        ControlSocket {
            socket: "control.sock".into(),
            uids: Vec::new(),
            gids: Vec::new(),
            body_max: 1 << 20,
            timeout: Duration::from_secs(10),
        }
    }
}

impl ControlSocket {
    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let d = ControlSocket::default();
        let control = ControlSocket {
            socket: s.text("socket", &d.socket.to_string_lossy()).into(),
            uids: s.numbers("uids", &d.uids, 0..=u32::MAX),
            gids: s.numbers("gids", &d.gids, 0..=u32::MAX),
            body_max: s.size("body_max", d.body_max, 1 << 10..=64 << 20),
            timeout: s.duration(
                "timeout",
                d.timeout,
                Duration::from_millis(100)..=Duration::from_secs(300),
            ),
        };
        if control.socket.as_os_str().is_empty() {
            s.wrong(s.at_key("socket"), "`socket` is empty", "write \"control.sock\"");
        }
        s.finish();
        control
    }
}

/// `[metrics]`: the same text that the control socket serves, for Prometheus.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metrics {
    /// Where to listen; `None` (empty) is the control socket only.
    pub listen: Option<SocketAddr>,
    /// Allow an address that other machines can reach. The text names addresses of attackers and
    /// is not encrypted.
    pub allow_remote: bool,
}

impl Metrics {
    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let address = |t: &str| match t {
            "" => Ok(None),
            t => {
                t.parse().map(Some).map_err(|_| "write an address with a port: \"127.0.0.1:9918\"")
            }
        };
        let metrics = Metrics {
            listen: s.parsed("listen", None, address),
            allow_remote: s.switch("allow_remote", false),
        };
        if let Some(listen) = metrics.listen
            && !listen.ip().is_loopback()
            && !metrics.allow_remote
        {
            let remedy = format!("write \"127.0.0.1:{}\", or allow_remote = true", listen.port());
            s.wrong(s.at_key("listen"), format!("{listen} can be reached from elsewhere"), remedy);
        }
        s.finish();
        metrics
    }
}

/// `[inventory]`
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InventorySource {
    /// The file that maps addresses, MACs and VLANs to machines; `None` (empty): there is none.
    pub file: Option<PathBuf>,
}

impl InventorySource {
    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let path = |t: &str| if t.is_empty() { Ok(None) } else { absolute(t).map(Some) };
        let source = InventorySource { file: s.parsed("file", None, path) };
        s.finish();
        source
    }
}
