//! The last bytes of each direction, for rules that look at the raw stream.
//!
//! A segment alone does not show what spans two of them: new bytes are shown together with up to
//! [`WindowConfig::window`] bytes before them. Windows come from a fixed pool; where it is
//! empty, new bytes are shown alone, and counted. This file must never know who looks, nor allocate
//! after start.

use crate::flow::{Direction, FlowId};
use portcullis_types::MemoryTerm;

/// Bytes of the longest payload.
const PAYLOAD_MAX: usize = 65_535;

/// How much room there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WindowConfig {
    /// The capacity of the flow table whose ids are used.
    pub flows: u32,
    /// Directions that have a window at once: 8,192.
    pub windows: u32,
    /// Bytes that are shown again with new ones: 4,096. A window takes twice as many.
    pub window: u32,
}

impl Default for WindowConfig {
    fn default() -> Self {
        WindowConfig { flows: 65_536, windows: 8_192, window: 4_096 }
    }
}

impl WindowConfig {
    fn window(&self) -> usize {
        (self.window as usize).clamp(64, 1 << 20)
    }

    fn room(&self) -> usize {
        (self.windows as usize).clamp(1, 1 << 24)
    }

    /// What windows of this configuration take, all at start.
    pub fn memory_terms(&self) -> Vec<MemoryTerm> {
        let (room, window) = (self.room(), self.window());
        let each = 2 * window + size_of::<Window>() + 4;
        let bytes = room * each + self.flows as usize * 8 + window + PAYLOAD_MAX;
        let what = format!("stream windows ({room} of {} bytes)", 2 * window);
        vec![MemoryTerm { what, bytes: bytes as u64 }]
    }
}

/// What windows count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WindowCounters {
    /// Windows in use.
    pub live: u64,
    /// Times that new bytes were shown alone, since no window was left.
    pub refused: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    owner: (FlowId, u8),
    /// The bytes that are here are `from..to` of the window's place.
    from: u32,
    to: u32,
}

/// The windows of one worker.
#[derive(Debug)]
pub struct StreamWindows {
    config: WindowConfig,
    bytes: Box<[u8]>,
    windows: Box<[Window]>,
    /// By flow index and direction; a place plus one.
    places: Box<[u32]>,
    free: Vec<u32>,
    /// Where a payload longer than a window is shown.
    long: Vec<u8>,
    counters: WindowCounters,
}

impl StreamWindows {
    /// No windows; allocates all that it will ever use (see [`WindowConfig::memory_terms`]).
    pub fn new(config: WindowConfig) -> Self {
        let (room, window) = (config.room(), config.window());
        let places = u32::try_from(room).unwrap_or(u32::MAX);
        StreamWindows {
            config,
            bytes: vec![0; room * 2 * window].into_boxed_slice(),
            windows: vec![Window::default(); room].into_boxed_slice(),
            places: vec![0; config.flows as usize * 2].into_boxed_slice(),
            free: (0..places).rev().collect(),
            long: Vec::with_capacity(window + PAYLOAD_MAX),
            counters: WindowCounters::default(),
        }
    }

    /// What it takes, all since start.
    pub fn memory_terms(&self) -> Vec<MemoryTerm> {
        self.config.memory_terms()
    }

    /// What was counted.
    pub fn counters(&self) -> WindowCounters {
        let live = self.windows.len().saturating_sub(self.free.len()) as u64;
        WindowCounters { live, ..self.counters }
    }

    /// Adds the next bytes of a direction. Answers the window with them at its end, and where in it
    /// they begin.
    pub fn push<'a>(
        &'a mut self,
        id: FlowId,
        direction: Direction,
        bytes: &'a [u8],
    ) -> (&'a [u8], usize) {
        let window = self.config.window();
        let Some(place) = self.place(id, direction) else {
            self.counters.refused += 1;
            return (bytes, 0);
        };
        let Some(held) = self.windows.get_mut(place) else { return (bytes, 0) };
        let room = self.bytes.get_mut(place * 2 * window..(place + 1) * 2 * window);
        let Some(room) = room else { return (bytes, 0) };
        let (from, to) = (held.from as usize, held.to as usize);
        // What is shown again: at most a window.
        let from = from.max(to.saturating_sub(window));
        let old = to - from;
        if bytes.len() > window {
            self.long.clear();
            self.long.extend_from_slice(room.get(from..to).unwrap_or_default());
            self.long.extend(bytes.iter().take(PAYLOAD_MAX));
            let tail = bytes.get(bytes.len() - window..).unwrap_or_default();
            if let Some(start) = room.get_mut(..window) {
                start.copy_from_slice(tail);
            }
            (held.from, held.to) = (0, u32::try_from(window).unwrap_or(0));
            return (&self.long, old);
        }
        let (from, to) = if to + bytes.len() > room.len() {
            room.copy_within(from..to, 0);
            (0, old)
        } else {
            (from, to)
        };
        let end = to + bytes.len();
        if let Some(fresh) = room.get_mut(to..end) {
            fresh.copy_from_slice(bytes);
        }
        held.from = u32::try_from(from).unwrap_or(0);
        held.to = u32::try_from(end).unwrap_or(0);
        (room.get(from..end).unwrap_or(bytes), old)
    }

    /// Empties a direction's window: what comes next does not follow what was there (a gap).
    pub fn restart(&mut self, id: FlowId, direction: Direction) {
        if let Some(place) = self.find(id, direction)
            && let Some(window) = self.windows.get_mut(place)
        {
            (window.from, window.to) = (0, 0);
        }
    }

    /// Nobody looks at the flow any more.
    pub fn forget(&mut self, id: FlowId) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            if let Some(place) = self.find(id, direction) {
                self.let_go(place);
            }
        }
    }

    fn at(id: FlowId, direction: Direction) -> usize {
        id.index as usize * 2 + direction as usize
    }

    fn find(&self, id: FlowId, direction: Direction) -> Option<usize> {
        let place = self.places.get(Self::at(id, direction))?.checked_sub(1)? as usize;
        (self.windows.get(place)?.owner == (id, direction as u8)).then_some(place)
    }

    fn place(&mut self, id: FlowId, direction: Direction) -> Option<usize> {
        if let Some(place) = self.find(id, direction) {
            return Some(place);
        }
        let at = Self::at(id, direction);
        // A former flow of the same index was not forgotten: its window is taken over.
        let stale = self.places.get(at)?.checked_sub(1);
        let place = match stale {
            Some(place) => place,
            None => self.free.pop()?,
        };
        *self.places.get_mut(at)? = place + 1;
        let window = self.windows.get_mut(place as usize)?;
        *window = Window { owner: (id, direction as u8), from: 0, to: 0 };
        Some(place as usize)
    }

    fn let_go(&mut self, place: usize) {
        let Some(window) = self.windows.get(place) else { return };
        let (id, direction) = window.owner;
        let at = id.index as usize * 2 + usize::from(direction);
        if let Some(held) = self.places.get_mut(at) {
            *held = 0;
        }
        if let Ok(place) = u32::try_from(place) {
            self.free.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn small(windows: u32) -> StreamWindows {
        StreamWindows::new(WindowConfig { flows: 4, windows, window: 64 })
    }

    fn flow(index: u32) -> FlowId {
        FlowId { index, generation: 1 }
    }

    proptest! {
        #[test]
        fn shows_the_last_bytes_and_the_new_ones(
            lens in prop::collection::vec(0usize..150, 1..30)
        ) {
            let mut windows = small(2);
            let (mut all, mut n) = (Vec::new(), 0u8);
            for len in lens {
                let bytes: Vec<u8> = (0..len).map(|_| { n = n.wrapping_add(1); n }).collect();
                let before = all.len().min(64);
                all.extend(&bytes);
                let (shown, from) = windows.push(flow(1), Direction::ToClient, &bytes);
                prop_assert_eq!(from, before);
                prop_assert_eq!(shown, &all[all.len() - len - before..]);
            }
            windows.restart(flow(1), Direction::ToClient);
            prop_assert_eq!(windows.push(flow(1), Direction::ToClient, b"x"), (&b"x"[..], 0));
        }
    }

    #[test]
    fn an_empty_pool_shows_new_bytes_alone() {
        let mut windows = small(1);
        windows.push(flow(1), Direction::ToServer, b"abc");
        windows.push(flow(2), Direction::ToServer, b"abc");
        assert_eq!(windows.push(flow(2), Direction::ToServer, b"def"), (&b"def"[..], 0));
        assert_eq!(windows.counters(), WindowCounters { live: 1, refused: 2 });
        let again = FlowId { generation: 2, ..flow(1) };
        assert_eq!(windows.push(again, Direction::ToServer, b"new"), (&b"new"[..], 0));
        windows.forget(flow(1));
        assert_eq!(windows.counters().live, 1, "the former flow's id is stale");
        windows.forget(again);
        assert_eq!(windows.counters().live, 0);
        windows.push(flow(2), Direction::ToServer, b"abc");
        assert_eq!(windows.push(flow(2), Direction::ToServer, b"def"), (&b"abcdef"[..], 3));
    }
}
