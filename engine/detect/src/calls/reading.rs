//! The host functions that read: whole buffers by handle, regexes over them, sections; and what a
//! guest says and asks about itself: its patterns, its fuel, what it spent that on.

use super::{Answer, bytes, charge};
use crate::guest::GuestSide;
use crate::profile::Mark;
use portcullis_plugin_abi::{Call, KEY_MAX, code};
use wasmtime::Caller;

pub(super) fn buffer_get(
    mut caller: Caller<'_, GuestSide>,
    event: u32,
    transaction: u32,
    kind: u32,
    index: u32,
) -> Answer {
    let looked_through = caller.data().shelf.len() as usize;
    charge(&mut caller, Call::BufferGet, looked_through)?;
    let (Ok(kind), Ok(index)) = (u16::try_from(kind), u16::try_from(index)) else {
        return Ok(code::NOT_FOUND);
    };
    Ok(caller.data().buffer_get(event, (transaction, kind, index)))
}

pub(super) fn buffer_read(
    mut caller: Caller<'_, GuestSide>,
    handle: u32,
    offset: u32,
    to: u32,
    len: u32,
) -> Answer {
    let len = len as usize;
    let found = caller.data().buffer(handle, offset, len).map(<[u8]>::len);
    charge(&mut caller, Call::BufferRead, found.unwrap_or(0))?;
    Ok(match (found, bytes(&mut caller, to, len)) {
        (Err(code), _) => code,
        (_, None) => code::OUT_OF_RANGE,
        (_, Some((to, side))) => copied(side.buffer(handle, offset, len), to),
    })
}

pub(super) fn section_read(
    mut caller: Caller<'_, GuestSide>,
    name: u32,
    name_len: u32,
    offset: u32,
    to: u32,
    len: u32,
) -> Answer {
    if name_len as usize > KEY_MAX {
        charge(&mut caller, Call::SectionRead, 0)?;
        return Ok(code::TOO_LONG);
    }
    // A name is copied out: it may lie where the bytes go.
    let mut room = [0; KEY_MAX];
    let name =
        match (bytes(&mut caller, name, name_len as usize), room.get_mut(..name_len as usize)) {
            (Some((name, _)), Some(room)) => {
                room.copy_from_slice(name);
                &*room
            }
            _ => return charge(&mut caller, Call::SectionRead, 0).map(|()| code::OUT_OF_RANGE),
        };
    let len = len as usize;
    let found = caller.data().section(name, offset, len).map(<[u8]>::len);
    charge(&mut caller, Call::SectionRead, found.unwrap_or(0))?;
    Ok(match (found, bytes(&mut caller, to, len)) {
        (Err(code), _) => code,
        (_, None) => code::OUT_OF_RANGE,
        (_, Some((to, side))) => copied(side.section(name, offset, len), to),
    })
}

fn copied(from: Result<&[u8], i32>, to: &mut [u8]) -> i32 {
    let Ok(from) = from else { return code::NOT_FOUND };
    match to.get_mut(..from.len()) {
        Some(to) => to.copy_from_slice(from),
        None => return code::OUT_OF_RANGE,
    }
    i32::try_from(from.len()).unwrap_or(i32::MAX)
}

pub(super) fn regex_match(
    mut caller: Caller<'_, GuestSide>,
    id: u32,
    handle: u32,
    from: u32,
) -> wasmtime::Result<i64> {
    let haystack = caller.data().shelf.by_handle(handle).map_or(0, <[u8]>::len);
    charge(&mut caller, Call::RegexMatch, haystack.saturating_sub(from as usize))?;
    Ok(caller.data_mut().regex_match(id, handle, from))
}

pub(super) fn regex_bytes(
    mut caller: Caller<'_, GuestSide>,
    id: u32,
    at: u32,
    len: u32,
    from: u32,
) -> wasmtime::Result<i64> {
    charge(&mut caller, Call::RegexBytes, len.saturating_sub(from) as usize)?;
    Ok(match bytes(&mut caller, at, len as usize) {
        Some((haystack, side)) => side.regex_bytes(id, haystack, from),
        None => i64::from(code::OUT_OF_RANGE),
    })
}

pub(super) fn pattern_set(mut caller: Caller<'_, GuestSide>, at: u32, len: u32) -> Answer {
    charge(&mut caller, Call::PatternSet, len as usize)?;
    Ok(match bytes(&mut caller, at, len as usize) {
        Some((rows, side)) => side.pattern_set(rows),
        None => code::OUT_OF_RANGE,
    })
}

pub(super) fn fuel(mut caller: Caller<'_, GuestSide>) -> wasmtime::Result<u64> {
    charge(&mut caller, Call::Fuel, 0)?;
    caller.get_fuel()
}

pub(super) fn profile(
    mut caller: Caller<'_, GuestSide>,
    gid: u32,
    sid: u32,
    pattern: u32,
    found: u32,
) -> Answer {
    let before = caller.get_fuel()?;
    charge(&mut caller, Call::Profile, 0)?;
    let left = caller.get_fuel()?;
    let mark = Mark { rule: (gid, sid), pattern, found: found != 0 };
    Ok(caller.data_mut().profile(mark, before, left))
}
