//! Why a source could not be opened: the world's fault, with the thing named and the way out.

use std::io;
use std::path::PathBuf;

/// Why a source could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A capture is in no form that is read here.
    #[error("{path}: {what}", path = path.display())]
    Form {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        what: String,
    },
    /// The kernel program could not be loaded or attached.
    #[error("kernel program: {what}")]
    Kernel {
        /// What was tried, the kernel's reason and the way out.
        what: String,
    },
    /// A number in the settings cannot be used.
    #[error("{0}")]
    Limit(String),
    /// Memory for the frames could not be had.
    #[error("cannot get {bytes} bytes of frame memory: {source}; {way_out}")]
    Memory {
        /// How many.
        bytes: usize,
        /// The system's reason.
        source: io::Error,
        /// What to do.
        way_out: &'static str,
    },
    /// There is no such port.
    #[error("there is no port {port}; `ip link` lists those that exist in this network namespace")]
    NoSuchPort {
        /// Its name in the settings.
        port: String,
    },
    /// The system refused something on a port.
    #[error("{port}: {doing}: {source}{hint}")]
    Port {
        /// The port.
        port: String,
        /// What was tried.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
        /// What to do about it, starting with `; `, or nothing.
        hint: &'static str,
    },
}
