//! Rows and bodies of the compiled set, read when they are first needed and kept within bounds.
//! Guest memory is a cache: what is dropped is read again.

use crate::keys::Keys;
use crate::numbered::ByNumber;
use crate::world::{Way, World};
use portcullis_rules_form::{
    AddressRange, Always, Body, Candidate, DataSet, Directory, Hash, Interval, LiteralRow, NONE,
    PortRange, Refused, RuleRow, Section, SetRow, Source, StringRow,
};
use std::sync::Arc;

/// Bytes of bodies, as they lie in the set, of one generation; two are kept.
const BODIES_MAX: usize = 1 << 20;
/// Rows of one generation of each of the other caches.
const ROWS_MAX: usize = 16 * 1024;
/// Intervals of addresses that are read together.
const INTERVALS_BLOCK: u32 = 64;
/// Address sets up to this many ranges are kept whole; larger ones are searched in place.
const RANGES_KEPT: u32 = 512;

/// Two generations of things: when the younger is full, the older is forgotten.
struct Kept<T> {
    young: ByNumber<T>,
    old: ByNumber<T>,
    weight: usize,
    most: usize,
}

impl<T: Clone> Kept<T> {
    fn new(most: usize) -> Self {
        Kept { young: ByNumber::default(), old: ByNumber::default(), weight: 0, most }
    }

    fn find(&mut self, key: u32) -> Option<T> {
        if let Some(found) = self.young.get(&key) {
            return Some(found.clone());
        }
        let found = self.old.remove(&key)?;
        self.young.insert(key, found.clone());
        Some(found)
    }

    fn keep(&mut self, key: u32, value: T, weight: usize) {
        self.weight += weight;
        if self.weight > self.most {
            self.weight = weight;
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// Rows that are for either direction come in both.
fn by_event(all: &[Always]) -> Vec<[Vec<Always>; 2]> {
    let kinds = all.iter().map(|row| usize::from(row.event) + 1).max().unwrap_or(0);
    let of = |kind: usize, way: u8| -> Vec<Always> {
        let is_for = |row: &&Always| {
            usize::from(row.event) == kind && (row.direction == way || row.direction == 2)
        };
        all.iter().filter(is_for).copied().collect()
    };
    (0..kinds).map(|kind| [of(kind, 0), of(kind, 1)]).collect()
}

/// The last address of each block of a table of intervals: by these a search finds its block, and
/// reads it at once.
fn edges(directory: &Directory, source: &mut impl Source, table: Section) -> Option<Vec<[u8; 16]>> {
    let count = directory.count::<Interval>(table);
    let firsts = (0..count).step_by(INTERVALS_BLOCK as usize);
    let last = |first: u32| (first + INTERVALS_BLOCK - 1).min(count - 1);
    firsts.map(|f| Some(directory.row::<Interval>(source, table, last(f))?.high)).collect()
}

/// The set, read through the world.
pub(crate) struct Store {
    directory: Directory,
    /// How many rules there are.
    pub(crate) rules: u32,
    /// What outlasts the set.
    pub(crate) keys: Keys,
    /// Rules without a literal, by kind of event and by direction.
    always: Vec<[Vec<Always>; 2]>,
    /// The engine's names of the events that rules ask for.
    pub(crate) event_names: Vec<String>,
    /// The last address of each block of intervals, by source and by destination.
    edges: [Vec<[u8; 16]>; 2],
    bodies: Kept<Option<Arc<Body>>>,
    candidates: Kept<Arc<[Candidate]>>,
    addresses: Kept<Arc<[AddressRange]>>,
    ports: Kept<Arc<[PortRange]>>,
    /// What the sets said of the ends of the event at hand: rules ask for few sets.
    answers: [Answer; ANSWERS],
    event: u32,
}

/// What a set said of an end of an event; 0 is no event.
#[derive(Clone, Copy, Default)]
struct Answer {
    event: u32,
    asked: (u32, End),
    holds: bool,
}

/// An end of an event, by its address or its port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum End {
    #[default]
    SourceAddress,
    TargetAddress,
    SourcePort,
    TargetPort,
}

/// Answers that are kept.
const ANSWERS: usize = 64;

struct Through<'a, W>(&'a mut W);

impl<W: World> Source for Through<'_, W> {
    fn read(&mut self, offset: u32, to: &mut [u8]) -> Option<()> {
        self.0.rules(offset, to)
    }
}

impl Store {
    /// Reads the directory and the small tables.
    pub(crate) fn open(world: &mut impl World) -> Result<Store, Refused> {
        let mut source = Through(world);
        let directory = Directory::read(&mut source)?;
        let mut always = Vec::new();
        let all = SetRow { first: 0, count: directory.count::<Always>(Section::Always) };
        directory.rows(&mut source, Section::Always, all, &mut always).ok_or(Refused::Torn)?;
        let mut event_names = Vec::new();
        let mut text = Vec::new();
        for i in 0..directory.count::<StringRow>(Section::EventNames) {
            let row = directory.row(&mut source, Section::EventNames, i).ok_or(Refused::Torn)?;
            let read = directory.bytes(&mut source, Section::Strings, row, &mut text);
            read.ok_or(Refused::Torn)?;
            event_names.push(String::from_utf8_lossy(&text).into_owned());
        }
        let mut of = |table| edges(&directory, &mut source, table).ok_or(Refused::Torn);
        let edges = [of(Section::SourceIntervals)?, of(Section::DestinationIntervals)?];
        Ok(Store {
            keys: Keys::read(&directory, &mut source)?,
            rules: directory.count::<RuleRow>(Section::Rules),
            directory,
            always: by_event(&always),
            event_names,
            edges,
            bodies: Kept::new(BODIES_MAX),
            candidates: Kept::new(ROWS_MAX),
            addresses: Kept::new(ROWS_MAX),
            ports: Kept::new(ROWS_MAX),
            answers: [Answer::default(); ANSWERS],
            event: 0,
        })
    }

    /// A new event: what was said of the ends of the last one is forgotten.
    pub(crate) fn begin(&mut self) {
        self.event = self.event.wrapping_add(1);
        if self.event == 0 {
            self.answers = [Answer::default(); ANSWERS];
            self.event = 1;
        }
    }

    /// Whether an end of the event lies in a set; `ends` are its source and target.
    pub(crate) fn holds_end(
        &mut self,
        world: &mut impl World,
        set: u32,
        end: End,
        ends: &[([u8; 16], u16); 2],
    ) -> bool {
        if set == NONE {
            return true;
        }
        let (asked, event) = ((set, end), self.event);
        let place = (set as usize).wrapping_mul(4).wrapping_add(end as usize) % ANSWERS;
        if let Some(known) = self.answers.get(place)
            && known.event == event
            && known.asked == asked
        {
            return known.holds;
        }
        let [source, target] = ends;
        let holds = match end {
            End::SourceAddress => self.holds_address(world, set, &source.0),
            End::TargetAddress => self.holds_address(world, set, &target.0),
            End::SourcePort => self.holds_port(world, set, source.1),
            End::TargetPort => self.holds_port(world, set, target.1),
        };
        if let Some(answer) = self.answers.get_mut(place) {
            *answer = Answer { event, asked, holds };
        }
        holds
    }

    /// The rules without a literal that are for such an event.
    pub(crate) fn always(&self, event: u8, way: Way) -> &[Always] {
        let ways = self.always.get(usize::from(event));
        ways.map_or(&[], |[to_server, to_client]| match way {
            Way::ToServer => to_server,
            Way::ToClient => to_client,
        })
    }

    /// A rule's body.
    pub(crate) fn body(&mut self, world: &mut impl World, rule: u32) -> Option<Arc<Body>> {
        if let Some(known) = self.bodies.find(rule) {
            return known;
        }
        let mut source = Through(world);
        let row: RuleRow = self.directory.row(&mut source, Section::Rules, rule)?;
        let place = StringRow { at: row.at, len: row.len };
        let mut bytes = Vec::new();
        self.directory.bytes(&mut source, Section::Bodies, place, &mut bytes)?;
        let body = Body::from_bytes(&bytes).map(Arc::new);
        self.bodies.keep(rule, body.clone(), bytes.len());
        body
    }

    /// The rules to be tried where a literal was found.
    pub(crate) fn candidates(
        &mut self,
        world: &mut impl World,
        literal: u32,
    ) -> Option<Arc<[Candidate]>> {
        if let Some(known) = self.candidates.find(literal) {
            return Some(known);
        }
        let mut source = Through(world);
        let row: LiteralRow = self.directory.row(&mut source, Section::Literals, literal)?;
        let run = SetRow { first: row.first, count: row.count };
        let mut rows = Vec::new();
        self.directory.rows(&mut source, Section::Candidates, run, &mut rows)?;
        let weight = rows.len() + 1;
        let rows: Arc<[Candidate]> = rows.into();
        self.candidates.keep(literal, Arc::clone(&rows), weight);
        Some(rows)
    }

    /// Whether an address lies in a set; [`NONE`] holds all.
    pub(crate) fn holds_address(
        &mut self,
        world: &mut impl World,
        set: u32,
        address: &[u8; 16],
    ) -> bool {
        if set == NONE {
            return true;
        }
        if let Some(ranges) = self.addresses.find(set) {
            return within(&ranges, address);
        }
        let mut source = Through(world);
        let Some(run) = self.directory.row::<SetRow>(&mut source, Section::AddressSets, set) else {
            return false;
        };
        if run.count > RANGES_KEPT {
            return self.search_address(world, run, address).is_some();
        }
        let mut rows = Vec::new();
        let read = self.directory.rows(&mut source, Section::AddressRanges, run, &mut rows);
        let ranges: Arc<[AddressRange]> = rows.into();
        if read.is_some() {
            self.addresses.keep(set, Arc::clone(&ranges), ranges.len() + 1);
        }
        within(&ranges, address)
    }

    fn search_address(
        &self,
        world: &mut impl World,
        run: SetRow,
        address: &[u8; 16],
    ) -> Option<AddressRange> {
        let mut source = Through(world);
        let (mut low, mut high) = (run.first, run.first.checked_add(run.count)?);
        while low < high {
            let middle = low + (high - low) / 2;
            let row: AddressRange =
                self.directory.row(&mut source, Section::AddressRanges, middle)?;
            if row.high < *address {
                low = middle + 1;
            } else if row.low > *address {
                high = middle;
            } else {
                return Some(row);
            }
        }
        None
    }

    /// Whether a port lies in a set; [`NONE`] holds all.
    pub(crate) fn holds_port(&mut self, world: &mut impl World, set: u32, port: u16) -> bool {
        if set == NONE {
            return true;
        }
        let inside = |ranges: &[PortRange]| {
            let at = ranges.partition_point(|r| r.high < port);
            ranges.get(at).is_some_and(|r| r.low <= port)
        };
        if let Some(ranges) = self.ports.find(set) {
            return inside(&ranges);
        }
        let mut source = Through(world);
        let mut rows = Vec::new();
        let read = self
            .directory
            .row::<SetRow>(&mut source, Section::PortSets, set)
            .and_then(|run| self.directory.rows(&mut source, Section::PortRanges, run, &mut rows));
        if read.is_none() {
            return false;
        }
        let ranges: Arc<[PortRange]> = rows.into();
        self.ports.keep(set, Arc::clone(&ranges), ranges.len() + 1);
        inside(&ranges)
    }

    /// The rules that name this address, in the table of sources or of destinations.
    pub(crate) fn rules_naming(
        &mut self,
        world: &mut impl World,
        table: Section,
        address: &[u8; 16],
        out: &mut Vec<u32>,
    ) {
        let mut source = Through(world);
        let edges = if table == Section::SourceIntervals { &self.edges[0] } else { &self.edges[1] };
        let block = u32::try_from(edges.partition_point(|edge| edge < address)).unwrap_or(u32::MAX);
        let first = block.saturating_mul(INTERVALS_BLOCK);
        let count = self.directory.count::<Interval>(table).saturating_sub(first);
        let run = SetRow { first, count: count.min(INTERVALS_BLOCK) };
        let mut rows: Vec<Interval> = Vec::new();
        if run.count == 0 || self.directory.rows(&mut source, table, run, &mut rows).is_none() {
            return;
        }
        let at = rows.partition_point(|row| row.high < *address);
        if let Some(row) = rows.get(at).filter(|row| row.low <= *address) {
            let run = SetRow { first: row.first, count: row.count };
            let _ = self.directory.rows(&mut source, Section::IntervalRules, run, out);
        }
    }

    /// Whether a data set has these bytes, as it was when the rules were compiled.
    pub(crate) fn data_has(&mut self, world: &mut impl World, set: u32, bytes: &[u8]) -> bool {
        let mut source = Through(world);
        let Some(data) = self.directory.row::<DataSet>(&mut source, Section::DataSets, set) else {
            return false;
        };
        let wanted = Hash::of(bytes).0;
        let (mut low, mut high) = (data.first, data.first.saturating_add(data.count));
        let (base, len) = self.directory.span(Section::DataMembers);
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(at) = middle.checked_mul(16).filter(|at| *at < len) else { return false };
            let mut member = [0; 16];
            if source.read(base.saturating_add(at), &mut member).is_none() {
                return false;
            }
            match member.cmp(&wanted) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return true,
            }
        }
        false
    }
}

fn within(ranges: &[AddressRange], address: &[u8; 16]) -> bool {
    let at = ranges.partition_point(|r| r.high < *address);
    ranges.get(at).is_some_and(|r| r.low <= *address)
}
