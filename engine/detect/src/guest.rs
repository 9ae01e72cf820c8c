//! The host's side of one instance: what its host functions work on.

use crate::fault::PluginEvent;
use crate::plugin::Plugin;
use crate::text::printable;
use portcullis_plugin_abi::{Call, Operation, code};
use std::collections::VecDeque;
use std::sync::Arc;
use wasmtime::StoreLimits;

/// Log lines kept until the host takes them.
const LINES_MAX: usize = 32;

/// One instance's side of the host.
pub(crate) struct GuestSide {
    pub(crate) plugin: Arc<Plugin>,
    /// Memory and table limits of the sandbox.
    pub(crate) limits: StoreLimits,
    /// The batch's time, ms; wraps after 49 days, and differences are what counts.
    now_ms: u32,
    second: u64,
    lines_left: u32,
    lines_per_second: u32,
    /// Lines beyond the limit.
    pub(crate) lines_lost: u64,
    lines: VecDeque<PluginEvent>,
    pub(crate) metrics: Vec<i64>,
    random: u64,
}

impl GuestSide {
    pub(crate) fn new(plugin: Arc<Plugin>, limits: StoreLimits, lines_per_second: u32) -> Self {
        GuestSide {
            limits,
            now_ms: 0,
            second: 0,
            lines_left: lines_per_second,
            lines_per_second,
            lines_lost: 0,
            lines: VecDeque::new(),
            metrics: vec![0; plugin.manifest.metrics.len()],
            random: plugin.seed[0] ^ plugin.seed[1].rotate_left(32),
            plugin,
        }
    }

    /// Turns to a batch's time.
    #[allow(clippy::cast_possible_truncation, reason = "wraps on purpose")]
    #[inline]
    pub(crate) fn turn_to(&mut self, now: u64) {
        self.now_ms = (now / 1_000_000) as u32;
        if now / 1_000_000_000 != self.second {
            self.second = now / 1_000_000_000;
            self.lines_left = self.lines_per_second;
        }
    }

    pub(crate) fn take_lines(&mut self) -> impl Iterator<Item = PluginEvent> + use<'_> {
        self.lines.drain(..)
    }

    pub(crate) fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// For native guests, what the linker does for sandboxed ones.
    pub(crate) fn refusal(&self, call: Call, len: usize, len_max: usize) -> Option<i32> {
        if !self.plugin.allows(call) {
            Some(code::UNSUPPORTED)
        } else if len > len_max {
            Some(code::TOO_LONG)
        } else {
            None
        }
    }

    pub(crate) fn bit(&mut self, table: u32, key: &[u8], operation: Operation) -> i32 {
        let to = match operation {
            Operation::Test => None,
            Operation::Set => Some(true),
            Operation::Clear => Some(false),
        };
        i32::from(self.plugin.shared.bit(table, key, self.now_ms, to))
    }

    pub(crate) fn count(&mut self, table: u32, key: &[u8], window_ms: u32) -> i32 {
        let n = self.plugin.shared.count(table, key, self.now_ms, window_ms);
        i32::try_from(n).unwrap_or(i32::MAX)
    }

    pub(crate) fn log(&mut self, level: u32, text: &[u8]) -> i32 {
        if self.lines_left == 0 || self.lines.len() >= LINES_MAX {
            self.lines_lost = self.lines_lost.saturating_add(1);
            return code::QUOTA;
        }
        self.lines_left -= 1;
        let level = u8::try_from(level.min(4)).unwrap_or(4);
        self.lines.push_back(PluginEvent::Log { level, text: printable(text) });
        0
    }

    pub(crate) fn metric(&mut self, index: u32, value: i64) -> i32 {
        match self.metrics.get_mut(index as usize) {
            Some(metric) => {
                *metric = metric.saturating_add(value);
                0
            }
            None => code::NOT_FOUND,
        }
    }

    /// SplitMix64: a sequence of its own per instance, from the seed only.
    pub(crate) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}
