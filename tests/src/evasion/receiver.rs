//! What receivers make of pieces that overlap, as the literature has it.
//!
//! Fragments: Shankar and Paxson, *Active Mapping* (2003); Novak, *Target-Based Fragmentation
//! Reassembly* (2005); RFC 5722; of Linux its own source (`inet_frag_queue_insert`, since 4.19).
//! Segments: Novak and Sturges, *Target-Based TCP Stream Reassembly* (2007), as Snort's
//! `README.stream5` and Suricata's `host-os-policy` have it.
//!
//! Must never know: the engine. Each policy is a row of letters, one for each of the nine ways in
//! which a later piece can lie to one that is held.

use crate::evasion::shape::{Extent, FILLER, Piece};

/// A piece on its way; of a datagram the last has no more behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// What it covers.
    pub piece: Piece,
    /// Whether others lie behind it.
    pub more: bool,
}

/// A receiver.
#[derive(Debug, Clone, Copy)]
pub struct Receiver {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Fragments of IPv4; `None` gives datagrams with overlaps up.
    fragments: Option<Row>,
    /// Segments.
    segments: Row,
}

/// `n`: the later piece's bytes, `o`: those that are held. The nine columns: the later piece begins
/// before and ends within, ends level, ends behind; begins level and ends within, ends level, ends
/// behind; begins within and ends within, ends level, ends behind.
type Row = &'static [u8; 9];

const FIRST: Row = b"ooooooooo";
const LAST: Row = b"nnnnnnnnn";
/// What begins further left.
const LEFT: Row = b"nnnoooooo";
/// What begins further left, of equals the later.
const LEFT_OR_LAST: Row = b"nnnnnnooo";
/// What begins further right, of equals the later.
const RIGHT: Row = b"ooonnnnnn";
/// The first, unless the later begins before it and ends behind it.
const UNLESS_AROUND: Row = b"oonoooooo";
/// The first, unless the later begins before it and ends level or behind it.
const UNLESS_AROUND_OR_LEVEL: Row = b"onnoooooo";
/// What begins further left; of equals the longer.
const LEFT_OR_LONGER: Row = b"nnnoonooo";
/// What begins further left; of equals the longer, of those the later.
const LEFT_OR_AS_LONG: Row = b"nnnonnooo";
/// What ends further right; of equals what begins further left, of those the later.
const END: Row = b"onnonnoon";

const fn receiver(name: &'static str, fragments: Row, segments: Row) -> Receiver {
    Receiver { name, fragments: Some(fragments), segments }
}

/// All receivers. JetDirect (`bsd-right`) is in the literature for fragments only.
pub const RECEIVERS: [Receiver; 15] = [
    receiver("bsd", LEFT, LEFT),
    receiver("bsd-right", RIGHT, RIGHT),
    receiver("first", FIRST, FIRST),
    receiver("hpux10", LEFT, LEFT),
    receiver("hpux11", FIRST, END),
    receiver("irix", LEFT, LEFT),
    receiver("last", LAST, LAST),
    Receiver { name: "linux", fragments: None, segments: LEFT_OR_LONGER },
    receiver("macos", FIRST, LEFT),
    receiver("old-linux", LEFT_OR_LAST, LEFT_OR_AS_LONG),
    receiver("old-solaris", FIRST, FIRST),
    receiver("solaris", UNLESS_AROUND_OR_LEVEL, END),
    receiver("vista", UNLESS_AROUND, FIRST),
    receiver("windows", UNLESS_AROUND, LEFT),
    receiver("windows2k3", UNLESS_AROUND, LEFT),
];

/// The receiver of that name.
#[must_use]
pub fn named(name: &str) -> Receiver {
    *RECEIVERS.iter().find(|r| r.name == name).expect("a name of the configuration")
}

/// Whether the later piece's bytes stay.
fn later_stays(row: Row, later: Extent, held: Extent) -> bool {
    let column = 3 * (later.from.cmp(&held.from) as i8 + 1) + (later.to.cmp(&held.to) as i8 + 1);
    row[usize::try_from(column).expect("two orders of three")] == b'n'
}

/// A unit that is held: its version, and how its piece lay.
type Held = Option<(u8, Extent)>;

fn place(held: &mut Vec<Held>, row: Row, piece: Piece) {
    if held.len() < piece.extent.to {
        held.resize(piece.extent.to, None);
    }
    for unit in &mut held[piece.extent.from..piece.extent.to] {
        if unit.is_none_or(|(_, old)| later_stays(row, piece.extent, old)) {
            *unit = Some((piece.version, piece.extent));
        }
    }
}

fn versions(held: &[Held]) -> Option<String> {
    held.iter().map(|unit| unit.map(|(version, _)| char::from(version))).collect()
}

impl Receiver {
    /// What a program reads of a stream: the version of each unit, as far as there is no hole.
    /// What it has read stays as it is.
    #[must_use]
    pub fn reads_stream(&self, parts: &[Part]) -> String {
        let (mut read, mut held) = (String::new(), Vec::<Held>::new());
        for part in parts {
            let Piece { version, extent } = part.piece;
            if extent.to <= read.len() {
                continue;
            }
            let fresh = Piece::new(version, extent.from.max(read.len()), extent.to);
            let joined = self.joined(&held, fresh.extent);
            place(&mut held, self.segments, fresh);
            if let Some(run) = joined {
                let (head, tail) = (Extent::new(run.from, fresh.extent.from), fresh.extent);
                let parts = held.iter_mut().flatten().map(|(_, extent)| extent);
                parts.filter(|e| **e == head || **e == tail).for_each(|e| *e = run);
            }
            let ready = held.iter().skip(read.len()).map_while(|unit| *unit);
            read.extend(ready.map(|(version, _)| char::from(version)).collect::<Vec<_>>());
        }
        read
    }

    /// Linux makes one of a segment that it holds and one that continues it
    /// (`tcp_ooo_try_coalesce`): how both lie together.
    fn joined(&self, held: &[Held], later: Extent) -> Option<Extent> {
        let (_, run) = held.get(later.from.checked_sub(1)?).copied()??;
        let is_free = held.get(later.from).is_none_or(Option::is_none);
        let continues = run.to == later.from && is_free;
        (self.name == "linux" && continues).then_some(Extent::new(run.from, later.to))
    }

    /// The datagrams that are made of fragments of one number: the version of each unit.
    #[must_use]
    pub fn reads_datagrams(&self, is_v6: bool, parts: &[Part]) -> Vec<String> {
        match self.fragments.filter(|_| !is_v6) {
            Some(row) => overlaying(row, parts),
            None => discarding(parts),
        }
    }
}

/// Bytes over or under bytes.
fn overlaying(row: Row, parts: &[Part]) -> Vec<String> {
    let (mut whole, mut held, mut end) = (Vec::new(), Vec::new(), None);
    for part in parts {
        place(&mut held, row, part.piece);
        if !part.more {
            end = Some(part.piece.extent.to);
        }
        if end == Some(held.len())
            && let Some(read) = versions(&held)
        {
            whole.push(read);
            (held, end) = (Vec::new(), None);
        }
    }
    whole
}

/// Linux since 4.19, and IPv6 since RFC 5722: an overlap ends the datagram, and what comes behind
/// it begins another. Not so what lies wholly in one run of fragments that came in order: that
/// is a repetition, whatever its bytes.
fn discarding(parts: &[Part]) -> Vec<String> {
    let (mut whole, mut runs, mut end) = (Vec::new(), Vec::<Vec<Piece>>::new(), None);
    let reach = |run: &Vec<Piece>| Extent::new(run[0].extent.from, run[run.len() - 1].extent.to);
    for part in parts {
        let extent = part.piece.extent;
        let known = runs.iter().map(reach).map(|run| run.to).max().unwrap_or(0);
        if end.is_some_and(|end| extent.to > end) || !part.more && extent.to < known {
            (runs, end) = (Vec::new(), None);
            continue;
        }
        let met = runs.iter().map(reach).find(|run| run.meets(&extent));
        match met {
            Some(run) if run.from <= extent.from && extent.to <= run.to => continue,
            Some(_) => {
                (runs, end) = (Vec::new(), None);
                continue;
            }
            None => {}
        }
        if !part.more {
            end = Some(extent.to);
        }
        match runs.iter_mut().find(|run| extent.from == known && reach(run).to == known) {
            Some(last) => last.push(part.piece),
            None => runs.push(vec![part.piece]),
        }
        let mut held: Vec<Held> = vec![None; known.max(extent.to)];
        runs.iter().flatten().for_each(|piece| place(&mut held, FIRST, *piece));
        if end == Some(held.len())
            && let Some(read) = versions(&held)
        {
            whole.push(read);
            (runs, end) = (Vec::new(), None);
        }
    }
    whole
}

/// What passes an engine that lets only first versions through: a part with any other version of a
/// unit that has passed is not among them.
#[must_use]
pub fn first_versions(parts: &[Part]) -> Vec<u8> {
    let mut passed: Vec<Option<u8>> = Vec::new();
    for Part { piece, .. } in parts {
        passed.resize(passed.len().max(piece.extent.to), None);
        let units = &mut passed[piece.extent.from..piece.extent.to];
        if units.iter().all(|unit| unit.is_none_or(|version| version == piece.version)) {
            units.fill(Some(piece.version));
        }
    }
    passed.into_iter().map(|unit| unit.unwrap_or(FILLER)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evasion::shape;

    fn parts(shape: &shape::Shape) -> Vec<Part> {
        shape
            .pieces
            .iter()
            .map(|&piece| Part { piece, more: piece.extent.to < shape.end })
            .collect()
    }

    /// Figure 6 of *Active Mapping*, as printed there and in Novak's paper.
    #[test]
    fn the_receivers_read_what_is_printed() {
        let six = parts(&shape::shankar_paxson(0));
        for (name, printed) in [
            ("bsd", "111442333666"),
            ("bsd-right", "144422555666"),
            ("old-linux", "111442555666"),
            ("first", "111422333666"),
            ("last", "144442555666"),
            ("windows", "111422333666"),
            ("solaris", "111422333666"),
        ] {
            assert_eq!(named(name).reads_datagrams(false, &six), [printed], "{name}");
            assert!(named(name).reads_datagrams(true, &six).is_empty(), "{name}, IPv6");
        }
    }

    #[test]
    fn what_a_program_has_read_stays() {
        let piece = |version, from, to| Part { piece: Piece::new(version, from, to), more: true };
        let sent = [piece(b'A', 0, 2), piece(b'B', 1, 3), piece(b'C', 2, 4), piece(b'D', 0, 4)];
        for receiver in RECEIVERS {
            assert_eq!(receiver.reads_stream(&sent), "AABC", "{}", receiver.name);
        }
    }
}
