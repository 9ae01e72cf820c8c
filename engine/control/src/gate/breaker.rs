//! The breaker has opened: said loudly, once a minute and cap, wherever an operator may look.

use super::answers::moment;
use super::keeper::Keeper;
use crate::eve::Fact;
use portcullis_types::{PluginId, Tick};
use portcullis_verdict::Trip;
use std::sync::Arc;

/// What is remembered of trips, for `status`.
#[derive(Default)]
pub(super) struct Trips {
    count: u64,
    first: Option<(Arc<str>, Trip, Tick)>,
}

impl Keeper {
    /// A judge has refused the first block of its minute: a line in the log, an event, a warning.
    pub(super) fn tripped(&mut self, plugin: PluginId, trip: Trip) {
        let name = self.at_work(plugin);
        let name = name.map_or_else(|| Arc::from("unknown"), |p| p.manifest().name.clone());
        tracing::error!(
            detector = %name,
            "the breaker has opened, {trip}: offenders are terminated and not blocked for the rest \
             of this minute; see what {name} reports, and [blocks] breaker_per_minute and \
             breaker_per_detector"
        );
        let now = self.now();
        self.trips.count += 1;
        if self.trips.first.is_none() {
            self.trips.first = Some((Arc::clone(&name), trip, now));
        }
        self.untold.push_back(Fact::Tripped(name, trip, now));
        self.tell();
    }

    /// What `status` says of it.
    pub(super) fn trip_warning(&self) -> Option<String> {
        let (name, trip, at) = self.trips.first.as_ref()?;
        let (count, since) = (self.trips.count, moment(self.wall, *at));
        Some(format!("the breaker has opened {count} times, first for {name} at {since}: {trip}"))
    }
}
