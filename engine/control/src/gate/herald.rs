//! Who is told what happened, after it holds.

use crate::eve::{Context, EveWriter, Fact};
use std::sync::Arc;

/// Takes facts to whoever reads events. No call waits: the gate has other things to do.
pub trait Herald: Send {
    /// Takes a fact, or gives it back where there is no room, to be given again a little later.
    ///
    /// # Errors
    /// The fact, untouched.
    #[allow(clippy::result_large_err, reason = "the fact itself is given back, to be told again")]
    fn tell(&mut self, fact: Fact) -> Result<(), Fact>;

    /// From now on with these names and settings.
    fn set_context(&mut self, context: Arc<Context>);

    /// Logs were moved away: opens them anew.
    fn reopen(&mut self);
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Herald for Silent {
    fn tell(&mut self, _: Fact) -> Result<(), Fact> {
        Ok(())
    }

    fn set_context(&mut self, _: Arc<Context>) {}

    fn reopen(&mut self) {}
}

impl Herald for EveWriter {
    #[allow(clippy::result_large_err, reason = "the fact itself is given back, to be told again")]
    fn tell(&mut self, fact: Fact) -> Result<(), Fact> {
        self.facts().try_send(fact).map_err(crossbeam::channel::TrySendError::into_inner)
    }

    fn set_context(&mut self, context: Arc<Context>) {
        EveWriter::set_context(self, context);
    }

    fn reopen(&mut self) {
        EveWriter::reopen(self);
    }
}
