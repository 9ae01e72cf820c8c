//! Why detectors are not loaded, each with the file and what to do.

use portcullis_detect::{LoadError, WarmError};
use std::io;
use std::path::PathBuf;

/// Why a set of detectors, or a swap, is refused. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum PluginSetError {
    /// The literals of all plugins together cannot be looked for.
    #[error("the plugins' patterns: {why}; load fewer rules")]
    Patterns {
        /// Why.
        why: String,
    },
    /// The directory cannot be read.
    #[error(
        "the plugin directory {directory} cannot be read: {error}; make it, or set plugins.dir",
        directory = directory.display()
    )]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The configuration switches the detector off.
    #[error(
        "{file} is switched off by its grant; write enabled = true there and reload",
        file = file.display()
    )]
    Disabled {
        /// The file.
        file: PathBuf,
    },
    /// There is nobody to give rules to.
    #[error(
        "the engine was started without rules, so no detector that reads them is loaded and no memory \
         is set aside for streams; write [rules] files, of which a folder may be empty, and restart"
    )]
    NoReader,
    /// A detector that reads streams comes to an engine that puts none together.
    #[error(
        "{file} reads streams, and the engine was started without a detector that does, so no memory is \
         set aside for them; put the file into plugins.dir and restart",
        file = file.display()
    )]
    NoStreams {
        /// The file.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error(
        "{file} cannot be read: {error}; name a .wasm file that the engine may read",
        file = file.display()
    )]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A host did not take the instance.
    #[error("{file}: {why}", file = file.display())]
    Install {
        /// The file.
        file: PathBuf,
        /// What the host said.
        why: String,
    },
    /// The module is refused.
    #[error("{file}: {error}", file = file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// Why.
        error: LoadError,
    },
    /// The runtime itself does not start.
    #[error("{error}")]
    Runtime {
        /// Why.
        error: LoadError,
    },
    /// The new version works in another place than the old one.
    #[error(
        "the new version of `{name}` has another scope than the one at work; restart the engine to change it"
    )]
    ScopeChanged {
        /// The detector.
        name: String,
    },
    /// More detectors than there are seats.
    #[error(
        "{file} is one detector too many: there are {max} at most; remove another one",
        file = file.display(),
        max = portcullis_detect::PLUGINS_MAX
    )]
    TooMany {
        /// The first that found no seat.
        file: PathBuf,
    },
    /// Two files hold the same detector.
    #[error(
        "{first} and {second} both hold the detector `{name}`; remove one of them",
        first = first.display(),
        second = second.display()
    )]
    Twice {
        /// The detector.
        name: String,
        /// The first file.
        first: PathBuf,
        /// The second file.
        second: PathBuf,
    },
    /// The detector did not become ready.
    #[error("{file}: {error}", file = file.display())]
    Warm {
        /// The file.
        file: PathBuf,
        /// Why.
        error: WarmError,
    },
}
