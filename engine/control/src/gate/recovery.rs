//! From the journal to a state to start with: nothing that was acknowledged is lost, and nothing
//! that is over comes back.

use super::book::book_of;
use super::moments::Timeline;
use crate::config::{Diagnostics, Loaded, Mode, Word};
use crate::journal::{COMPACT_AFTER_BYTES, Journal, Live, Moment};
use crate::policy::{Built, Overrides, build};
use portcullis_enforce::{Book, TableOrder};
use portcullis_verdict::WallClock;
use std::io;
use std::path::PathBuf;

/// Why an engine cannot start from its journal.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The journal cannot be opened.
    #[error("the journal {path} cannot be used: {error}", path = path.display())]
    Journal {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The configuration has mistakes that show only with the rest.
    #[error("{0}")]
    Policy(Diagnostics),
}

/// What an engine starts with.
pub struct Recovered {
    /// The configuration.
    pub loaded: Loaded,
    /// Policy with what operators ordered at run time.
    pub built: Built,
    pub(super) overrides: Overrides,
    pub(super) book: Book,
    pub(super) journal: Journal,
}

impl Recovered {
    /// Opens the journal of the configured state directory, which is made where it is missing.
    ///
    /// # Errors
    /// The journal cannot be used (another engine does), or the policy cannot be built.
    pub fn open(loaded: Loaded, timeline: &dyn Timeline) -> Result<Self, RecoverError> {
        let path = loaded.config.journal_path();
        let fail = |error| RecoverError::Journal { path: path.clone(), error };
        std::fs::create_dir_all(&loaded.config.engine.state_dir).map_err(fail)?;
        let now = timeline.moment();
        let (journal, recovery) = Journal::open(&path, COMPACT_AFTER_BYTES, &now).map_err(fail)?;
        if let Some(kept) = &recovery.kept {
            let kept = kept.display();
            tracing::error!(%kept, "the journal was damaged; what could be read is in force");
        }
        let overrides = overrides(&recovery.live, &loaded);
        let wall = wall(&now);
        let built = build(&loaded, &overrides, wall, now.tick).map_err(RecoverError::Policy)?;
        let book = book_of(&recovery.live, &loaded.config);
        Ok(Recovered { loaded, built, overrides, book, journal })
    }

    /// What every table must hold from the start: apply them to each worker's and shard's table
    /// before it polls its first burst.
    pub fn orders(&self) -> impl Iterator<Item = TableOrder> + '_ {
        self.book.orders()
    }

    /// Blocks in force.
    pub fn blocks(&self) -> usize {
        self.book.len()
    }
}

/// What a moment says about the wall clock.
pub(super) fn wall(now: &Moment) -> WallClock {
    WallClock { tick: now.tick, unix_ns: now.wall_ns }
}

/// What operators ordered at run time. A mode that the segment no longer can have is dropped.
fn overrides(live: &Live, loaded: &Loaded) -> Overrides {
    let modes = loaded.config.segments.iter().filter_map(|segment| {
        let written = live.mode(&segment.name)?;
        let (_, mode) = Mode::WORDS.iter().find(|(word, _)| *word == written)?;
        let possible = segment.is_inline() || *mode == Mode::Monitor;
        possible.then(|| (segment.name.clone(), *mode))
    });
    Overrides { exclusions: live.exclusions().to_vec(), modes: modes.collect() }
}
