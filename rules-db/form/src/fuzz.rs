//! The entry for fuzzing: any bytes are a compiled set, and nothing panics.

use crate::directory::{Directory, Section};
use crate::{Body, Interval, RuleSet, SetRow};
use alloc::vec::Vec;

/// Reads everything that a set of these bytes says.
#[doc(hidden)]
pub fn fuzz_form(bytes: &[u8]) {
    let _ = Body::from_bytes(bytes);
    let Ok(set) = RuleSet::open(bytes) else { return };
    let _ = set.verify();
    let mut sum = 0usize;
    for literal in set.literals().take(1000) {
        sum = sum.wrapping_add(literal.bytes.len());
        sum = sum.wrapping_add(set.candidates(literal.id).take(100).count());
    }
    for group in set.groups().take(1000) {
        sum = sum.wrapping_add(set.server_ports(&group).map_or(0, |p| p.len()));
        sum = sum.wrapping_add(set.client_ports(&group).map_or(0, |p| p.len()));
    }
    sum = sum.wrapping_add(set.regexes().take(1000).map(|r| r.pattern.len()).sum());
    sum = sum.wrapping_add(set.always().take(1000).count());
    sum = sum.wrapping_add(set.event_names().map(str::len).take(1000).sum());
    for info in set.infos().take(1000) {
        sum = sum.wrapping_add(info.message().len() + info.classtype().len());
        sum = sum.wrapping_add(info.references().chain(info.attack()).map(str::len).sum());
        sum = sum.wrapping_add(info.metadata().count());
        let _ = set.info(info.row().gid, info.row().sid);
    }
    sum = sum.wrapping_add((0..set.len().min(1000)).filter_map(|i| set.body(i)).count());
    piecewise(bytes, sum);
}

fn piecewise(bytes: &[u8], mut sum: usize) {
    let mut source = bytes;
    let Ok(directory) = Directory::read(&mut source) else { return };
    let mut rows: Vec<Interval> = Vec::new();
    for first in [0, 1, u32::MAX] {
        let run = SetRow { first, count: 2 };
        let section = Section::SourceIntervals;
        sum = sum.wrapping_add(usize::from(
            directory.rows(&mut source, section, run, &mut rows).is_some(),
        ));
    }
    core::hint::black_box(sum);
}
