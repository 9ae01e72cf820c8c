//! The host's side of one instance: what its host functions work on.

use crate::data::RegexAnswer;
use crate::fault::PluginEvent;
use crate::plugin::Plugin;
use crate::profile::{Mark, Profile};
use crate::shelf::Shelf;
use crate::text::printable;
use crate::turns::wait_for_turn;
use portcullis_plugin_abi::{Call, Operation, code};
use std::collections::VecDeque;
use std::sync::Arc;
use wasmtime::{Memory, StoreLimits};

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
    /// The guest's memory, once it has one.
    pub(crate) memory: Option<Memory>,
    /// The batch's buffers, while the guest runs.
    pub(crate) shelf: Shelf,
    /// What its rules cost, while the guest runs and somebody wants to know.
    pub(crate) profile: Option<Box<Profile>>,
    /// Whether init is going on.
    pub(crate) initing: bool,
    /// Regexes given up.
    pub(crate) given_up: u64,
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
            memory: None,
            shelf: Shelf::default(),
            profile: None,
            initing: false,
            given_up: 0,
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
        wait_for_turn();
        i32::from(self.plugin.shared.bit(table, key, self.now_ms, to))
    }

    pub(crate) fn count(&mut self, table: u32, key: &[u8], window_ms: u32) -> i32 {
        wait_for_turn();
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

    pub(crate) fn buffer_get(&self, event: u32, named: (u32, u16, u16)) -> i32 {
        let handle = self.shelf.find(event, named);
        handle.and_then(|h| i32::try_from(h).ok()).unwrap_or(code::NOT_FOUND)
    }

    /// The bytes that `buffer_read` would copy.
    pub(crate) fn buffer(&self, handle: u32, offset: u32, len: usize) -> Result<&[u8], i32> {
        piece(self.shelf.by_handle(handle).ok_or(code::NOT_FOUND)?, offset, len)
    }

    /// The bytes that `section_read` would copy.
    pub(crate) fn section(&self, name: &[u8], offset: u32, len: usize) -> Result<&[u8], i32> {
        piece(self.plugin.reading.data.section(name).ok_or(code::NOT_FOUND)?, offset, len)
    }

    pub(crate) fn regex_match(&mut self, id: u32, handle: u32, from: u32) -> i64 {
        let Some(haystack) = self.shelf.by_handle(handle) else {
            return i64::from(code::NOT_FOUND);
        };
        let answer = found(&self.plugin, id, haystack, from);
        self.given_up = self.given_up.saturating_add(u64::from(answer == GAVE_UP));
        answer
    }

    /// The same in bytes of the guest's.
    pub(crate) fn regex_bytes(&mut self, id: u32, haystack: &[u8], from: u32) -> i64 {
        let answer = found(&self.plugin, id, haystack, from);
        self.given_up = self.given_up.saturating_add(u64::from(answer == GAVE_UP));
        answer
    }

    /// What was spent since the last mark; `before` and `left` are the fuel at the call's begin and
    /// end.
    pub(crate) fn profile(&mut self, mark: Mark, before: u64, left: u64) -> i32 {
        match &mut self.profile {
            Some(profile) => {
                profile.mark(mark, before, left);
                0
            }
            None => code::UNSUPPORTED,
        }
    }

    pub(crate) fn pattern_set(&self, rows: &[u8]) -> i32 {
        if !self.initing {
            return code::TOO_LATE;
        }
        self.plugin.reading.give(&self.plugin.manifest, rows)
    }
}

const GAVE_UP: i64 = code::GAVE_UP as i64;

/// What a regex of the plugin says of these bytes.
fn found(plugin: &Plugin, id: u32, haystack: &[u8], from: u32) -> i64 {
    let Some(bank) = plugin.reading.regexes() else {
        return i64::from(code::UNSUPPORTED);
    };
    if from as usize > haystack.len() {
        return i64::from(code::OUT_OF_RANGE);
    }
    match bank.find(id, haystack, from as usize) {
        RegexAnswer::Found { start, end } => matched(start, end),
        RegexAnswer::No => i64::from(code::NO_MATCH),
        RegexAnswer::Unknown => i64::from(code::NOT_FOUND),
        RegexAnswer::GaveUp => GAVE_UP,
    }
}

/// A match as `regex_match` answers it. Buffers are shorter than 2 GiB, so it is not negative.
fn matched(start: u32, end: u32) -> i64 {
    i64::from(start & (u32::MAX >> 1)) << 32 | i64::from(end)
}

/// At most `len` bytes from `offset` on.
fn piece(all: &[u8], offset: u32, len: usize) -> Result<&[u8], i32> {
    let rest = all.get(offset as usize..).ok_or(code::OUT_OF_RANGE)?;
    Ok(rest.get(..len.min(rest.len())).unwrap_or(rest))
}
