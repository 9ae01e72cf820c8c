//! Policy as the street has it: built whole, swapped whole.

use super::keeper::Keeper;
use super::recovery::wall;
use crate::config::{Config, Diagnostics, Loaded, Ports};
use crate::eve::{Context, SegmentLabel};
use crate::inventory::Inventory;
use crate::policy::{Built, Overrides, build};
use crate::snapshot::snapshot;
use portcullis_pipeline::Snapshot;
use portcullis_verdict::{ProtectedRow, WallClock};
use std::sync::Arc;
use std::time::Duration;

/// The wall clock may stray by this much from what events and `expires` were reckoned with.
const STRAYED: Duration = Duration::from_millis(100);

/// What events are written with.
pub fn context(
    config: &Config,
    inventory: &Inventory,
    plugins: &[Arc<str>],
    wall: WallClock,
) -> Context {
    let label = |segment: &crate::config::Segment| SegmentLabel {
        name: segment.name.as_str().into(),
        interface: Some(match &segment.ports {
            Ports::Inline { a, b } => format!("{a}-{b}").into(),
            Ports::Tap(port) => port.as_str().into(),
        }),
    };
    Context {
        wall,
        inventory: Arc::new(inventory.clone()),
        ..Context::new(
            &config.events,
            config.segments.iter().map(label).collect(),
            plugins.to_vec(),
        )
        .with_classes(&config.rules)
    }
}

/// A policy with the addresses that protect themselves.
fn with_own(mut built: Built, own: &[ProtectedRow]) -> Built {
    built.policy.protected.rows.extend_from_slice(own);
    built
}

impl Keeper {
    /// Builds policy from the configuration and what operators ordered, and publishes it.
    pub(super) fn rebuild(&mut self, loaded: &Loaded) -> Result<Diagnostics, Diagnostics> {
        let overrides = self.overrides.clone();
        self.rebuild_with(loaded, &overrides)
    }

    /// The same with other orders of operators; nothing changes where it fails.
    pub(super) fn rebuild_with(
        &mut self,
        loaded: &Loaded,
        overrides: &Overrides,
    ) -> Result<Diagnostics, Diagnostics> {
        let now = self.timeline.moment();
        let built = build(loaded, overrides, wall(&now), now.tick)?;
        let warnings = built.warnings.clone();
        self.wall = wall(&now);
        self.overrides = overrides.clone();
        self.built = built;
        self.publish(&loaded.config);
        Ok(warnings)
    }

    /// Publishes the policy in hand, with the plugins' names and the addresses that protect
    /// themselves.
    pub(super) fn publish(&mut self, config: &Config) {
        self.generation += 1;
        let built = with_own(self.built.clone(), &self.own);
        let next = snapshot(&built, config, self.generation, &self.names());
        self.snapshot.store(Arc::new(next));
        let context = context(config, &self.built.inventory, &self.names(), self.wall);
        self.herald.set_context(Arc::new(context));
    }

    /// Policy as it was published last.
    pub(super) fn policy(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The addresses that protect themselves have been looked up.
    pub(super) fn take_own(&mut self, own: Vec<ProtectedRow>) {
        if own != self.own {
            tracing::info!(
                addresses = own.len(),
                "protected by themselves: sessions, gateways, DNS"
            );
            self.own = own;
            let loaded = self.config.load_full();
            self.publish(&loaded.config);
        }
    }

    /// Follows a wall clock that was set: `expires` and the moments in events are reckoned anew.
    pub(super) fn follow_wall_clock(&mut self) {
        let now = self.timeline.moment();
        let thought =
            i128::from(self.wall.unix_ns) + i128::from(now.tick.0) - i128::from(self.wall.tick.0);
        let strayed = (thought - i128::from(now.wall_ns)).unsigned_abs();
        if strayed > STRAYED.as_nanos() {
            let loaded = self.config.load_full();
            if let Err(mistakes) = self.rebuild(&loaded) {
                tracing::warn!(%mistakes, "policy stays reckoned with the wall clock before");
            }
        }
    }
}
