//! One running instance, sandboxed or native, behind the same two arenas.

use crate::calls::NativeCalls;
use crate::fault::FaultKind;
use crate::guest::GuestSide;
use crate::plugin::Plugin;
use crate::profile::Profile;
use crate::shelf::Shelf;
use portcullis_plugin_abi::{Done, Layout, NativeGuest, Output, Verdict, record};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use wasmtime::{Memory, Store, Trap, TypedFunc};

/// Where the arenas lie: checked once.
#[derive(Clone)]
pub(crate) struct Arenas {
    pub(crate) input: Range<usize>,
    pub(crate) output: Range<usize>,
    pub(crate) layout: Layout,
}

pub(crate) enum Running {
    Sandboxed {
        store: Store<GuestSide>,
        memory: Memory,
        init: TypedFunc<(), i32>,
        batch: TypedFunc<(), ()>,
    },
    Native {
        guest: Box<dyn NativeGuest>,
        side: GuestSide,
    },
}

/// What a seat lends its instance while the guest runs.
pub(crate) struct Lent<'a> {
    /// The batch's buffers.
    pub(crate) shelf: &'a mut Shelf,
    /// What its rules cost, where somebody wants to know.
    pub(crate) profile: &'a mut Option<Box<Profile>>,
}

/// An instance, warmed: made by [`Plugin::warm`] on any thread and sent to its host.
pub struct Instance {
    plugin: Arc<Plugin>,
    arenas: Arenas,
    running: Running,
    /// Set by a fault: the runtime would let a trapped instance be called again; we do not.
    poisoned: bool,
}

/// The kind of a runtime's error.
pub(crate) fn kind_of(error: &wasmtime::Error) -> FaultKind {
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => FaultKind::Fuel,
        Some(Trap::MemoryOutOfBounds | Trap::StackOverflow | Trap::TableOutOfBounds) => {
            FaultKind::Memory
        }
        _ => FaultKind::Trap,
    }
}

impl Instance {
    pub(crate) fn new(plugin: Arc<Plugin>, arenas: Arenas, running: Running) -> Self {
        Instance { plugin, arenas, running, poisoned: false }
    }

    /// What it is an instance of.
    pub fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }

    /// The input arena.
    #[inline]
    pub(crate) fn input(&mut self) -> &mut [u8] {
        let range = self.arenas.input.clone();
        match &mut self.running {
            Running::Sandboxed { store, memory, .. } => memory.data_mut(store).get_mut(range),
            Running::Native { guest, .. } => guest.input().get_mut(..range.len()),
        }
        .unwrap_or(&mut [])
    }

    /// Calls only allowed at init are answered from now on, or not any more.
    pub(crate) fn at_init(&mut self, initing: bool) {
        self.side().initing = initing;
    }

    /// The output arena.
    #[inline]
    fn output(&self) -> &[u8] {
        match &self.running {
            Running::Sandboxed { store, memory, .. } => {
                memory.data(store).get(self.arenas.output.clone()).unwrap_or(&[])
            }
            Running::Native { guest, .. } => guest.output(),
        }
    }

    pub(crate) fn init(&mut self, fuel: u64) -> Result<i32, FaultKind> {
        match &mut self.running {
            Running::Sandboxed { store, init, .. } => {
                store.set_fuel(fuel).map_err(|_| FaultKind::Trap)?;
                let init = init.clone();
                init.call(store, ()).map_err(|e| kind_of(&e))
            }
            Running::Native { guest, side } => {
                let call = AssertUnwindSafe(|| guest.init(&mut NativeCalls(side)));
                catch_unwind(call).map_err(|_| FaultKind::Trap)
            }
        }
    }

    /// Judges the batch in the input arena; answers the fuel used (0 natively). After a fault the
    /// instance is poisoned: its arenas can be read, and it is never called again.
    #[inline]
    pub(crate) fn run(&mut self, fuel: u64, now: u64, lent: Lent<'_>) -> Result<u64, FaultKind> {
        if self.poisoned {
            return Err(FaultKind::NoInstance);
        }
        let Lent { shelf, profile } = lent;
        std::mem::swap(&mut self.side().shelf, shelf);
        if let Some(profile) = profile.as_mut() {
            profile.begin(fuel);
        }
        std::mem::swap(&mut self.side().profile, profile);
        let result = match &mut self.running {
            Running::Sandboxed { store, batch, .. } => {
                store.data_mut().turn_to(now);
                match store.set_fuel(fuel).and_then(|()| batch.call(&mut *store, ())) {
                    Ok(()) => Ok(fuel.saturating_sub(store.get_fuel().unwrap_or(0))),
                    Err(e) => Err(kind_of(&e)),
                }
            }
            Running::Native { guest, side } => {
                side.turn_to(now);
                let call = AssertUnwindSafe(|| guest.batch(&mut NativeCalls(side)));
                catch_unwind(call).map(|()| 0).map_err(|_| FaultKind::Trap)
            }
        };
        std::mem::swap(&mut self.side().shelf, shelf);
        std::mem::swap(&mut self.side().profile, profile);
        if let Some(profile) = profile.as_mut() {
            profile.end(self.fuel_left());
        }
        self.poisoned = result.is_err();
        result
    }

    /// What is left of the last call's fuel; 0 natively.
    fn fuel_left(&self) -> u64 {
        match &self.running {
            Running::Sandboxed { store, .. } => store.get_fuel().unwrap_or(0),
            Running::Native { .. } => 0,
        }
    }

    /// What the guest published: counts cut to what its arenas hold.
    pub(crate) fn published(&self) -> Output {
        let mut out: Output = record(self.output());
        let l = &self.arenas.layout;
        out.verdicts = out.verdicts.min(l.verdicts_max);
        out.dones = out.dones.min(l.dones_max);
        out
    }

    pub(crate) fn verdict(&self, index: u32) -> Option<Verdict> {
        let l = &self.arenas.layout;
        self.record(l.verdicts_at, l.verdict_stride, index)
    }

    pub(crate) fn done(&self, index: u32) -> Option<Done> {
        let l = &self.arenas.layout;
        self.record(l.dones_at, l.done_stride, index)
    }

    fn record<T: bytemuck::Pod>(&self, at: u32, stride: u32, index: u32) -> Option<T> {
        let at = (at as usize).checked_add((index as usize).checked_mul(stride as usize)?)?;
        self.output().get(at..at.checked_add(stride as usize)?).map(record)
    }

    /// A verdict's text as the guest wrote it.
    pub(crate) fn text(&self, verdict: &Verdict) -> &[u8] {
        let l = &self.arenas.layout;
        let (at, len) = (verdict.text_at as usize, verdict.text_len as usize);
        let area = self.output().get(l.text_at as usize..).unwrap_or(&[]);
        let area = area.get(..l.text_max as usize).unwrap_or(area);
        at.checked_add(len).and_then(|end| area.get(at..end)).unwrap_or(&[])
    }

    #[inline]
    pub(crate) fn side(&mut self) -> &mut GuestSide {
        match &mut self.running {
            Running::Sandboxed { store, .. } => store.data_mut(),
            Running::Native { side, .. } => side,
        }
    }
}
