//! The clocks, as the gate reads them: all at once, so that they belong together.

use crate::journal::{BootId, Moment};
use std::io;

/// Whoever says what time it is.
pub trait Timeline: Send + Sync {
    /// The present, on the engine's timeline and on the wall's.
    fn moment(&self) -> Moment;
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug)]
pub struct LiveTimeline {
    boot: BootId,
}

impl LiveTimeline {
    /// Reads which boot this is.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn new() -> io::Result<Self> {
        Ok(LiveTimeline { boot: BootId::read()? })
    }
}

impl Timeline for LiveTimeline {
    fn moment(&self) -> Moment {
        Moment::now(self.boot)
    }
}
