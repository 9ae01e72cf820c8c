//! The host functions. Each checks its pointers, charges fuel by the published table, and does a
//! bounded piece of work. Only those are linked that the manifest asks for and the grants allow.

use crate::guest::GuestSide;
use portcullis_plugin_abi::{Call, KEY_MAX, MODULE, NativeHost, Operation, TEXT_MAX, code};
use wasmtime::{Caller, Extern, Linker};

/// Why the guest is stopped in a host function: only ever for want of fuel.
fn charge(caller: &mut Caller<'_, GuestSide>, call: Call, bytes: usize) -> wasmtime::Result<()> {
    let cost = call.cost();
    let price = cost.base.saturating_add(cost.per_byte.saturating_mul(bytes as u64));
    let left = caller.get_fuel()?;
    match left.checked_sub(price) {
        Some(rest) => caller.set_fuel(rest),
        None => {
            caller.set_fuel(0)?;
            Err(wasmtime::Trap::OutOfFuel.into())
        }
    }
}

/// Bytes of the guest's memory beside the host's side of it, or `None` where they lie outside.
fn bytes<'c>(
    caller: &'c mut Caller<'_, GuestSide>,
    at: u32,
    len: usize,
) -> Option<(&'c [u8], &'c mut GuestSide)> {
    let memory = match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => memory,
        _ => return None,
    };
    let (all, side) = memory.data_and_store_mut(caller);
    let at = at as usize;
    Some((all.get(at..at.checked_add(len)?)?, side))
}

type Answer = wasmtime::Result<i32>;

fn bit(
    mut caller: Caller<'_, GuestSide>,
    table: u32,
    key: u32,
    len: u32,
    operation: u32,
) -> Answer {
    let len = len as usize;
    charge(&mut caller, Call::Bit, len.min(KEY_MAX))?;
    if len > KEY_MAX {
        return Ok(code::TOO_LONG);
    }
    let Some(operation) = u8::try_from(operation).ok().and_then(Operation::from_number) else {
        return Ok(code::OUT_OF_RANGE);
    };
    Ok(match bytes(&mut caller, key, len) {
        Some((key, side)) => side.bit(table, key, operation),
        None => code::OUT_OF_RANGE,
    })
}

fn count(mut caller: Caller<'_, GuestSide>, table: u32, key: u32, len: u32, window: u32) -> Answer {
    let len = len as usize;
    charge(&mut caller, Call::Count, len.min(KEY_MAX))?;
    if len > KEY_MAX {
        return Ok(code::TOO_LONG);
    }
    Ok(match bytes(&mut caller, key, len) {
        Some((key, side)) => side.count(table, key, window),
        None => code::OUT_OF_RANGE,
    })
}

fn log(mut caller: Caller<'_, GuestSide>, level: u32, text: u32, len: u32) -> Answer {
    let len = len as usize;
    charge(&mut caller, Call::Log, len.min(TEXT_MAX))?;
    if len > TEXT_MAX {
        return Ok(code::TOO_LONG);
    }
    Ok(match bytes(&mut caller, text, len) {
        Some((text, side)) => side.log(level, text),
        None => code::OUT_OF_RANGE,
    })
}

fn metric(mut caller: Caller<'_, GuestSide>, index: u32, value: i64) -> Answer {
    charge(&mut caller, Call::Metric, 0)?;
    Ok(caller.data_mut().metric(index, value))
}

fn random(mut caller: Caller<'_, GuestSide>) -> wasmtime::Result<u64> {
    charge(&mut caller, Call::Random, 0)?;
    Ok(caller.data_mut().random())
}

/// The functions whose place and signature are fixed and which this host does not have yet.
fn unsupported(mut caller: Caller<'_, GuestSide>, call: Call) -> Answer {
    charge(&mut caller, call, 0)?;
    Ok(code::UNSUPPORTED)
}

/// Links one host function.
pub(crate) fn link(linker: &mut Linker<GuestSide>, call: Call) -> wasmtime::Result<()> {
    let name = call.row().1;
    match call {
        Call::Bit => linker.func_wrap(MODULE, name, bit),
        Call::Count => linker.func_wrap(MODULE, name, count),
        Call::Log => linker.func_wrap(MODULE, name, log),
        Call::Metric => linker.func_wrap(MODULE, name, metric),
        Call::Random => linker.func_wrap(MODULE, name, random),
        Call::BufferGet => linker.func_wrap(
            MODULE,
            name,
            move |c: Caller<'_, GuestSide>, _: u32, _: u32, _: u32| unsupported(c, call),
        ),
        Call::BufferRead => linker.func_wrap(
            MODULE,
            name,
            move |c: Caller<'_, GuestSide>, _: u32, _: u32, _: u32, _: u32| unsupported(c, call),
        ),
        Call::PatternSet => {
            linker.func_wrap(MODULE, name, move |c: Caller<'_, GuestSide>, _: u32, _: u32| {
                unsupported(c, call)
            })
        }
        Call::RegexMatch => linker.func_wrap(
            MODULE,
            name,
            move |c: Caller<'_, GuestSide>, _: u32, _: u32, _: u32| unsupported(c, call),
        ),
        Call::SectionRead => linker.func_wrap(
            MODULE,
            name,
            move |c: Caller<'_, GuestSide>, _: u32, _: u32, _: u32, _: u32, _: u32| {
                unsupported(c, call)
            },
        ),
    }
    .map(|_| ())
}

/// The same functions for a native guest: what is not allowed answers `UNSUPPORTED`.
pub(crate) struct NativeCalls<'a>(pub(crate) &'a mut GuestSide);

impl NativeHost for NativeCalls<'_> {
    fn bit(&mut self, table: u32, key: &[u8], operation: Operation) -> i32 {
        match self.0.refusal(Call::Bit, key.len(), KEY_MAX) {
            Some(code) => code,
            None => self.0.bit(table, key, operation),
        }
    }

    fn count(&mut self, table: u32, key: &[u8], window_ms: u32) -> i32 {
        match self.0.refusal(Call::Count, key.len(), KEY_MAX) {
            Some(code) => code,
            None => self.0.count(table, key, window_ms),
        }
    }

    fn log(&mut self, level: u32, text: &str) -> i32 {
        match self.0.refusal(Call::Log, text.len(), TEXT_MAX) {
            Some(code) => code,
            None => self.0.log(level, text.as_bytes()),
        }
    }

    fn metric(&mut self, index: u32, value: i64) -> i32 {
        match self.0.refusal(Call::Metric, 0, 0) {
            Some(code) => code,
            None => self.0.metric(index, value),
        }
    }

    fn random(&mut self) -> u64 {
        match self.0.refusal(Call::Random, 0, 0) {
            Some(_) => 0,
            None => self.0.random(),
        }
    }
}
