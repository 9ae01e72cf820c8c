//! Making an instance: instantiate, find the arenas, init, and one empty batch so that its code
//! and memory are resident. Cold: a control thread does it, and the instance is sent to its host.

use crate::WarmError;
use crate::fault::FaultKind;
use crate::guest::GuestSide;
use crate::instance::{Arenas, Instance, Lent, Running, kind_of};
use crate::places::{CONFIG_MAX, HEADER_LEN, STRIDES};
use crate::plugin::{Body, Plugin};
use crate::shelf::Shelf;
use portcullis_plugin_abi::{
    ABI, Batch, Done, Init, Layout, MAGIC, Verdict, export, record, write_record,
};
use std::sync::Arc;
use wasmtime::{Engine, InstancePre, Store, StoreLimitsBuilder};

/// What sandboxed instances are made from.
#[derive(Clone)]
pub(crate) struct Sandboxed {
    pub(crate) engine: Engine,
    pub(crate) pre: InstancePre<GuestSide>,
}

impl Plugin {
    /// Makes an instance, ready to judge. Cold.
    pub fn warm(self: &Arc<Self>) -> Result<Instance, WarmError> {
        let mut instance = match &self.body {
            Body::Sandboxed(body) => sandboxed(self, body)?,
            Body::Native(factory) => {
                let mut guest = factory();
                let layout = guest.layout(self.places.len);
                let side = GuestSide::new(self.clone(), limits(self), LOG_LINES);
                let arenas = Arenas::checked(&layout, self.places.len, None)?;
                Instance::new(self.clone(), arenas, Running::Native { guest, side })
            }
        };
        instance.at_init(true);
        init(self, &mut instance)?;
        instance.at_init(false);
        // One empty batch: code pages and arenas are touched before the street needs them.
        let empty = Batch {
            magic: MAGIC,
            abi: ABI,
            header_len: HEADER_LEN,
            flow_stride: STRIDES[0],
            event_stride: STRIDES[1],
            buffer_stride: STRIDES[2],
            hit_stride: STRIDES[3],
            slots_at: self.places.slots_at,
            data_at: self.places.data_at,
            ..bytemuck::Zeroable::zeroed()
        };
        if !write_record(instance.input(), 0, &empty) {
            return Err(WarmError::Layout("the input arena is too short for a header"));
        }
        let lent = Lent { shelf: &mut Shelf::default(), profile: &mut None };
        instance.run(self.manifest.fuel.event, 0, lent).map_err(WarmError::Fault)?;
        Ok(instance)
    }
}

/// Log lines per second of one instance.
const LOG_LINES: u32 = 16;

fn limits(plugin: &Plugin) -> wasmtime::StoreLimits {
    StoreLimitsBuilder::new()
        .memory_size((plugin.manifest.memory_mib as usize) << 20)
        .table_elements(1 << 14)
        .memories(1)
        .tables(1)
        .instances(1)
        .build()
}

fn sandboxed(plugin: &Arc<Plugin>, body: &Sandboxed) -> Result<Instance, WarmError> {
    let side = GuestSide::new(plugin.clone(), limits(plugin), LOG_LINES);
    let mut store = Store::new(&body.engine, side);
    store.limiter(|side| &mut side.limits);
    store.set_fuel(plugin.manifest.fuel.init).map_err(WarmError::Room)?;
    let instance = body.pre.instantiate(&mut store).map_err(WarmError::Room)?;
    let missing = |_| WarmError::Layout("an export of the ABI is missing");
    let layout_at =
        instance.get_typed_func::<u32, u32>(&mut store, export::LAYOUT).map_err(missing)?;
    let init = instance.get_typed_func::<(), i32>(&mut store, export::INIT).map_err(missing)?;
    let batch = instance.get_typed_func::<(), ()>(&mut store, export::BATCH).map_err(missing)?;
    let memory = instance
        .get_memory(&mut store, export::MEMORY)
        .ok_or(WarmError::Layout("there is no memory"))?;
    store.data_mut().memory = Some(memory);
    let at =
        layout_at.call(&mut store, plugin.places.len).map_err(|e| WarmError::Fault(kind_of(&e)))?;
    let all = memory.data(&store);
    let layout = (at as usize)
        .checked_add(size_of::<Layout>())
        .and_then(|end| all.get(at as usize..end))
        .ok_or(WarmError::Layout("its record lies outside of the memory"))?;
    let arenas = Arenas::checked(&record(layout), plugin.places.len, Some(all.len()))?;
    let running = Running::Sandboxed { store, memory, init, batch };
    Ok(Instance::new(plugin.clone(), arenas, running))
}

/// Writes the init record, the settings and the names, and calls init.
fn init(plugin: &Plugin, instance: &mut Instance) -> Result<(), WarmError> {
    let config = plugin.grants.config.as_bytes();
    if config.len() > CONFIG_MAX as usize {
        return Err(WarmError::Layout("its settings are longer than 64 KiB; shorten them"));
    }
    let names = plugin.anomalies.join("\n");
    let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let config_at = length(size_of::<Init>());
    let record = Init {
        magic: MAGIC,
        abi: u32::from(ABI),
        seed: plugin.seed,
        config_at,
        config_len: length(config.len()),
        anomalies_at: config_at.saturating_add(length(config.len())),
        anomalies_len: length(names.len()),
        gid: plugin.manifest.gid,
        flow_state: plugin.manifest.flow_state,
        instance: 0,
        reserved: [0; 3],
    };
    let arena = instance.input();
    let mut fits = write_record(arena, 0, &record);
    for (at, bytes) in [(record.config_at, config), (record.anomalies_at, names.as_bytes())] {
        let range = at as usize..(at as usize).saturating_add(bytes.len());
        match arena.get_mut(range) {
            Some(room) => room.copy_from_slice(bytes),
            None => fits = false,
        }
    }
    if !fits {
        return Err(WarmError::Layout("the settings do not fit the input arena"));
    }
    match instance.init(plugin.manifest.fuel.init) {
        Ok(0) => Ok(()),
        Ok(refusal) => Err(WarmError::Refused(refusal)),
        Err(kind) => Err(WarmError::Fault(kind)),
    }
}

impl Arenas {
    /// Checks a layout once, for all: the memory only grows, so what lies inside stays inside.
    pub(crate) fn checked(
        layout: &Layout,
        input_len: u32,
        memory: Option<usize>,
    ) -> Result<Arenas, WarmError> {
        let l = layout;
        if l.magic != MAGIC || l.abi != u32::from(ABI) {
            return Err(WarmError::Layout("it does not say ABI 1"));
        }
        if l.input_len < input_len {
            return Err(WarmError::Layout("the input arena is shorter than the host asked for"));
        }
        if l.output_len > 1 << 20 {
            return Err(WarmError::Layout("the output arena is longer than 1 MiB"));
        }
        let range = |at: u32, len: u32| at as usize..at as usize + len as usize;
        let (input, output) = (range(l.input, input_len), range(l.output, l.output_len));
        if let Some(memory) = memory {
            if input.end > memory || output.end > memory {
                return Err(WarmError::Layout("an arena lies outside of the memory"));
            }
            if input.start < output.end && output.start < input.end {
                return Err(WarmError::Layout("the arenas overlap"));
            }
            if l.input == 0 || !l.input.is_multiple_of(16) || !l.output.is_multiple_of(16) {
                return Err(WarmError::Layout("the arenas do not lie at multiples of 16"));
            }
        }
        let array = |at: u32, stride: u32, count: u32, record: usize| {
            let end = u64::from(at) + u64::from(stride) * u64::from(count);
            at >= 32
                && stride as usize >= record
                && stride <= 4096
                && count <= 1 << 16
                && end <= u64::from(l.output_len)
        };
        if !array(l.verdicts_at, l.verdict_stride, l.verdicts_max, size_of::<Verdict>())
            || !array(l.dones_at, l.done_stride, l.dones_max, size_of::<Done>())
            || !array(l.text_at, 1, l.text_max.min(1 << 16), 1)
        {
            return Err(WarmError::Layout("an array lies outside of the output arena"));
        }
        Ok(Arenas { input, output, layout: *layout })
    }
}

impl From<FaultKind> for WarmError {
    fn from(kind: FaultKind) -> Self {
        WarmError::Fault(kind)
    }
}
