//! The trait that a vendor writes, and what it is told at the start.

use crate::host::Host;
use crate::patterns::PatternSet;
use crate::{EventView, Findings, Keyed};
use std::cell::RefCell;

/// A detector. One value lives in each instance; it sees the events that its manifest asks for.
pub trait Detector: Sized + Send + 'static {
    /// Makes the detector. Has a fuel budget of its own (`fuel_init`), so tables are built here.
    fn new(init: &Init<'_>) -> Self;

    /// Judges one event. Its budget is the manifest's `fuel`.
    fn on_event(&mut self, event: &EventView<'_>, out: &mut Findings<'_>);

    /// Time passed: sweep tables, conclude windows. `now` in nanoseconds, as events carry it.
    /// A finding made here must name its offender (`given`) and its place ([`crate::Draft::at`]).
    fn on_tick(&mut self, now: u64, out: &mut Findings<'_>) {
        let _ = (now, out);
    }

    /// The input is over (replay only): conclude what is open. By default one last tick.
    fn on_end(&mut self, now: u64, out: &mut Findings<'_>) {
        self.on_tick(now, out);
    }
}

/// What a detector is told at the start.
pub struct Init<'a> {
    pub(crate) config: &'a str,
    pub(crate) anomalies: &'a [Box<str>],
    pub(crate) seed: [u64; 2],
    pub(crate) gid: u32,
    pub(crate) flow_state: u32,
    pub(crate) host: RefCell<Host<'a>>,
}

impl<'a> Init<'a> {
    /// The operator's settings for this plugin: lines of `key = value`.
    pub fn config(&self) -> &'a str {
        self.config
    }

    /// One setting, without the quotes around strings.
    pub fn setting(&self, key: &str) -> Option<&'a str> {
        self.config.lines().find_map(|line| {
            let (k, v) = line.split_once('=')?;
            (k.trim() == key).then(|| v.trim().trim_matches('"'))
        })
    }

    /// A setting that is a number; `default` where it is absent or no number.
    pub fn number(&self, key: &str, default: u64) -> u64 {
        self.setting(key).and_then(|v| v.parse().ok()).unwrap_or(default)
    }

    /// The number that an anomaly has in [`EventView::code`] on this engine.
    pub fn anomaly(&self, name: &str) -> Option<u16> {
        let at = self.anomalies.iter().position(|n| &**n == name)?;
        u16::try_from(at).ok()
    }

    /// Gives the host what to look for, once: answers how many rows it took, or a negative
    /// [`crate::code`]. Literals and regexes are numbered on behind the manifest's
    /// `[[pattern]]` and `[[regex]]` rows. Every instance must give the same. Capability `pattern`.
    pub fn pattern_set(&self, patterns: &PatternSet) -> i32 {
        self.host.borrow_mut().pattern_set(patterns.rows())
    }

    /// As [`Findings::section_read`]: tables can be read at the start.
    pub fn section_read(&self, name: &str, offset: u32, to: &mut [u8]) -> i32 {
        self.host.borrow_mut().section_read(name, offset, to)
    }

    /// Makes hash maps whose key nobody outside knows.
    pub fn hasher(&self) -> Keyed {
        Keyed::new(self.seed)
    }

    /// The seed; the only randomness that a detector is given.
    pub fn seed(&self) -> [u64; 2] {
        self.seed
    }

    /// Generator id of the manifest.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Bytes of a flow slot.
    pub fn flow_state(&self) -> u32 {
        self.flow_state
    }
}
