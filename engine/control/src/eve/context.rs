//! What a line needs beside the event itself: names, the wall clock, what is switched on.

use crate::config::{self, EventType, Events};
use crate::inventory::Inventory;
use portcullis_rules_db::Classifications;
use portcullis_types::{Addr, Party, PluginId, SegmentId, VlanStack};
use portcullis_verdict::WallClock;
use std::sync::Arc;

/// How a segment is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentLabel {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// `in_iface`: its ports, `eth0-eth1` for a pair; `None` in replay.
    pub interface: Option<Arc<str>>,
}

/// Which types of events are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventTypes(u32);

impl EventTypes {
    /// All of them.
    pub const ALL: EventTypes = EventTypes(u32::MAX);

    /// These, and `block` and `unblock`, which are always written.
    pub fn of(types: &[EventType]) -> Self {
        let always = [EventType::Block, EventType::Unblock];
        EventTypes(types.iter().chain(&always).fold(0, |set, t| set | 1 << *t as u16))
    }

    /// Whether one is written.
    pub fn has(self, event_type: EventType) -> bool {
        self.0 & 1 << event_type as u16 != 0
    }
}

/// Everything that lines are written with. Whole and immutable: a reload makes another one.
#[derive(Clone, Debug)]
pub struct Context {
    /// What is written.
    pub types: EventTypes,
    /// The seed of Community IDs; `None` writes none.
    pub community_id_seed: Option<u16>,
    /// Ticks as moments of the wall clock.
    pub wall: WallClock,
    /// Segments by number.
    pub segments: Vec<SegmentLabel>,
    /// Plugins' names by number.
    pub plugins: Vec<Arc<str>>,
    /// Machines' names.
    pub inventory: Arc<Inventory>,
    /// What class types mean: `alert.category`.
    pub classes: Arc<Classifications>,
}

impl Context {
    /// With these settings and names, on a replay's clock, without an inventory.
    pub fn new(events: &Events, segments: Vec<SegmentLabel>, plugins: Vec<Arc<str>>) -> Self {
        Context {
            types: EventTypes::of(&events.types),
            community_id_seed: events.community_id.then_some(events.community_id_seed),
            wall: WallClock::REPLAY,
            segments,
            plugins,
            inventory: Arc::default(),
            classes: Arc::new(Classifications::built_in()),
        }
    }

    /// With the words for class types of the file that `[rules] classification` names, over the
    /// built-in ones. A file that cannot be read was complained of where the rules were.
    pub fn with_classes(mut self, rules: &config::Rules) -> Self {
        if let Some(bytes) = rules.classification.as_ref().and_then(|f| std::fs::read(f).ok()) {
            Arc::make_mut(&mut self.classes).read(&bytes);
        }
        self
    }

    /// A segment's name; its number where it has none.
    pub fn segment(&self, id: SegmentId) -> &str {
        self.segments.get(usize::from(id.0)).map_or("unknown", |s| &s.name)
    }

    /// A segment's `in_iface`.
    pub(crate) fn interface(&self, id: SegmentId) -> Option<&str> {
        self.segments.get(usize::from(id.0))?.interface.as_deref()
    }

    /// A plugin's name.
    pub fn plugin(&self, id: PluginId) -> &str {
        self.plugins.get(usize::from(id.0)).map_or("unknown", |name| name)
    }

    /// The name of the machine with that address at that place.
    pub fn machine(&self, segment: SegmentId, vlan: VlanStack, addr: Addr) -> Option<&str> {
        self.inventory.machine(self.segment(segment), vlan, addr).map(|m| m.name.as_str())
    }

    /// The name of the machine that a party is.
    pub(crate) fn machine_of(
        &self,
        segment: SegmentId,
        vlan: VlanStack,
        party: Party,
    ) -> Option<&str> {
        match party {
            Party::Nobody => None,
            Party::Addr(addr) => self.machine(segment, vlan, addr),
            Party::Mac(mac) => {
                let machine = self.inventory.machine_of_mac(self.segment(segment), vlan, mac)?;
                Some(&machine.name)
            }
        }
    }
}
