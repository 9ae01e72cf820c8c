//! The host functions. Each checks its pointers, charges fuel by the published table, and does a
//! bounded piece of work. Only those are linked that the manifest asks for and the grants allow.

mod native;
mod reading;

pub(crate) use native::NativeCalls;

use crate::guest::GuestSide;
use portcullis_plugin_abi::{Call, KEY_MAX, MODULE, Operation, TEXT_MAX, code};
use wasmtime::{Caller, Linker};

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
) -> Option<(&'c mut [u8], &'c mut GuestSide)> {
    let memory = caller.data().memory?;
    let (all, side) = memory.data_and_store_mut(caller);
    let at = at as usize;
    Some((all.get_mut(at..at.checked_add(len)?)?, side))
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

/// Links one host function.
pub(crate) fn link(linker: &mut Linker<GuestSide>, call: Call) -> wasmtime::Result<()> {
    let name = call.row().1;
    match call {
        Call::Bit => linker.func_wrap(MODULE, name, bit),
        Call::Count => linker.func_wrap(MODULE, name, count),
        Call::Log => linker.func_wrap(MODULE, name, log),
        Call::Metric => linker.func_wrap(MODULE, name, metric),
        Call::Profile => linker.func_wrap(MODULE, name, reading::profile),
        Call::Random => linker.func_wrap(MODULE, name, random),
        Call::BufferGet => linker.func_wrap(MODULE, name, reading::buffer_get),
        Call::BufferRead => linker.func_wrap(MODULE, name, reading::buffer_read),
        Call::Fuel => linker.func_wrap(MODULE, name, reading::fuel),
        Call::PatternSet => linker.func_wrap(MODULE, name, reading::pattern_set),
        Call::RegexMatch => linker.func_wrap(MODULE, name, reading::regex_match),
        Call::RegexBytes => linker.func_wrap(MODULE, name, reading::regex_bytes),
        Call::SectionRead => linker.func_wrap(MODULE, name, reading::section_read),
    }
    .map(|_| ())
}
