//! What a test needs of the machine, and the one rule for what happens where it is missing.
//!
//! On a developer's machine a test that cannot run says so in one line and passes; under `CI=true`
//! the same is a failure, so that nothing is skipped for ever.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::command;

/// Whether the test may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Everything is there.
    Ready,
    /// Something is missing; a line was printed. The test returns at once.
    Skip,
}

/// The root of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests' crate stands in a folder")
}

/// The folder that `scripts/build` fills: `bin/`, `plugins/`, `rules/`, `etc/`.
#[must_use]
pub fn distribution() -> PathBuf {
    std::env::var_os("PORTCULLIS_DIST")
        .map_or_else(|| repository().join("target/dist"), PathBuf::from)
}

/// The engine under test: `$PORTCULLIS_BIN`, or the one that `scripts/build` made.
#[must_use]
pub fn engine_binary() -> PathBuf {
    std::env::var_os("PORTCULLIS_BIN")
        .map_or_else(|| distribution().join("bin/portcullis"), PathBuf::from)
}

/// The folder of captures, if all of `wanted` are there, as paths from it: `$PORTCULLIS_CORPUS`, or
/// `../shared/corpus` where that is empty or `required`. `None`: the test is skipped, and a line
/// says what is missing.
///
/// # Panics
/// If something is missing that `$PORTCULLIS_CORPUS` or `CI=true` asks for.
#[must_use]
pub fn corpus(wanted: &[&str]) -> Option<PathBuf> {
    let setting = std::env::var("PORTCULLIS_CORPUS").unwrap_or_default();
    let folder = match setting.as_str() {
        "" | "required" => repository().join("../shared/corpus"),
        path => PathBuf::from(path),
    };
    let Some(absent) = wanted.iter().map(|path| folder.join(path)).find(|path| !path.exists())
    else {
        return Some(folder);
    };
    let text = format!("no {}: set PORTCULLIS_CORPUS to the captures' folder", absent.display());
    assert!(setting.is_empty() && !must_be_complete(), "{text}");
    println!("skipped: {text}");
    None
}

/// Whether namespaces can be made here.
#[must_use]
pub fn lab() -> Readiness {
    if !rustix::process::geteuid().is_root() {
        return missing("not root: run the tests as root, they keep to namespaces of their own");
    }
    for program in ["ip", "tc", "ethtool", "clang", "tcpdump", "ping", "curl", "nmap", "hping3"] {
        if !command::is_installed(program) {
            return missing(&format!("no `{program}`: run scripts/setup"));
        }
    }
    Readiness::Ready
}

/// The turn of one test of the engine: two engines on two cores would disturb each other's times.
/// `None` where the test is skipped.
#[must_use]
pub fn turn_with_engine() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    if lab() == Readiness::Skip || engine() == Readiness::Skip {
        return None;
    }
    // A test that failed has taken its lab down; the next may go on.
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Whether there is an engine.
#[must_use]
pub fn engine() -> Readiness {
    let binary = engine_binary();
    if binary.is_file() {
        return Readiness::Ready;
    }
    missing(&format!("no engine at {}: run scripts/build", binary.display()))
}

/// Says what is missing; panics where nothing may be (`CI=true`).
pub fn missing(what: &str) -> Readiness {
    assert!(!must_be_complete(), "needed for the tests: {what}");
    println!("skipped: {what}");
    Readiness::Skip
}

/// Whether a missing requirement is a failure.
#[must_use]
pub fn must_be_complete() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}
