//! `[engine]`: workers, memory, directories.

use super::section::Section;
use std::path::PathBuf;

/// The least memory that an engine can start with.
const MEMORY_MIN: u64 = 64 << 20;
/// More than any machine that this is built for has; catches a mistyped unit.
const MEMORY_MAX: u64 = 16 << 40;
/// One worker is one core and one queue of each port; no NIC has more queues than this.
pub(super) const WORKERS_MAX: u16 = 128;

/// `[engine]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Engine {
    /// How many workers; `None` (`"auto"`) is the number of queues of the segment's ports, at most
    /// the number of cores. 1 to 128.
    pub workers: Option<u16>,
    /// The cores that workers are pinned to, in order; empty means the allowed ones, in order.
    pub cpus: Vec<u16>,
    /// Bytes that all tables, pools and plugins together may take. What the engine will use at
    /// most is printed at start; it refuses to start where that is more than this.
    pub memory: u64,
    /// Frames per burst at most, 1 to 1024. A smaller burst is quicker to act, a larger one
    /// cheaper per packet.
    pub burst: u16,
    /// What must survive a restart: the journal, the cache of compiled plugins.
    pub state_dir: PathBuf,
    /// Sockets.
    pub run_dir: PathBuf,
    /// Logs and events.
    pub log_dir: PathBuf,
    /// The user to run as, from before ports and maps are opened; empty stays who we are.
    pub user: String,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as
    /// `info,portcullis_capture=debug`.
    pub log: String,
}

impl Default for Engine {
    fn default() -> Self {
        Engine {
            workers: None,
            cpus: Vec::new(),
            memory: 1 << 30,
            burst: 64,
            state_dir: "/var/lib/portcullis".into(),
            run_dir: "/run/portcullis".into(),
            log_dir: "/var/log/portcullis".into(),
            user: String::new(),
            log: "info".into(),
        }
    }
}

impl Engine {
    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let d = Engine::default();
        let engine = Engine {
            workers: s.number_or_auto("workers", d.workers, 1..=WORKERS_MAX),
            cpus: s.numbers("cpus", &d.cpus, 0..=4095),
            memory: s.size("memory", d.memory, MEMORY_MIN..=MEMORY_MAX),
            burst: s.number("burst", d.burst, 1..=1024),
            state_dir: s.parsed("state_dir", d.state_dir, absolute),
            run_dir: s.parsed("run_dir", d.run_dir, absolute),
            log_dir: s.parsed("log_dir", d.log_dir, absolute),
            user: s.text("user", &d.user),
            log: s.text("log", &d.log),
        };
        let mut cpus = engine.cpus.clone();
        cpus.sort_unstable();
        cpus.dedup();
        if cpus.len() < engine.cpus.len() {
            let remedy = "name each core once: a worker owns its core";
            s.wrong(s.at_key("cpus"), "a core is named twice in `cpus`", remedy);
        }
        if let Some(workers) = engine.workers
            && !engine.cpus.is_empty()
            && usize::from(workers) > engine.cpus.len()
        {
            let message = format!("{workers} workers for {} cores", engine.cpus.len());
            s.wrong(s.at_key("cpus"), message, "name as many cores as there are workers");
        }
        s.finish();
        engine
    }
}

/// A path from the root: the engine's working directory is nobody's business.
pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() && !text.contains('\0') {
        Ok(path)
    } else {
        Err(format!("write the whole path, such as \"/var/lib/portcullis/{text}\""))
    }
}
