//! The kernel program in the kernel: loading, pinning, attaching, and its maps.
//!
//! One program serves all ports. What must outlast the engine is pinned in a bpffs of our own:
//! `blocks` and `counters` are taken up again by the next start, so that blocks hold throughout;
//! the links keep the program attached while no engine runs. The other maps are made anew for each
//! program and filled before the program is put in the place of its predecessor in one step.
//!
//! This module must never know what is blocked or why: `enforce` gets the map's file descriptor.

mod heartbeat;
mod layout;
mod pins;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aya::maps::{HashMap, Map, MapData, MapInfo, PerCpuArray, XskMap, xdp::DevMap};
use aya::programs::Xdp;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::{Ebpf, EbpfLoader};
use portcullis_types::{KernelBlock, KernelKey, SegmentId};

pub(crate) use heartbeat::Heartbeat;
use heartbeat::HeartbeatMap;
pub use layout::{BLOCKS_MAX_DEFAULT, KernelCounters, PORTS_MAX, QUEUES_MAX};
use layout::{COUNTERS_PER_PORT, LAYOUT_VERSION, PortRow};
use pins::{Pins, namespace_number};
pub use pins::{detach, give_pins};

use crate::OpenError;
use crate::port::{Asker, PortFacts};

static PLAIN: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/portcullis.bpf.o"));
static FRAGS: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/portcullis_frags.bpf.o"));

/// Where the pins are where the configuration says nothing.
pub const PIN_DIRECTORY_DEFAULT: &str = "/run/portcullis/bpf";

/// Above this MTU a frame may come in several pieces. Drivers keep a page's head and tail for
/// themselves (veth refuses a one-piece program above 3,506, ice above about 3,000).
pub const ONE_PIECE_MTU_MAX: u32 = 3_000;

/// Whether a frame always lies in one piece of memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pieces {
    /// Always: the ordinary case.
    #[default]
    One,
    /// Jumbo frames come in several: an `xdp.frags` program and multi-buffer sockets.
    Several,
}

impl Pieces {
    /// What the ports need, by the largest of their MTUs.
    ///
    /// # Errors
    /// A port does not exist.
    pub fn for_ports<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, OpenError> {
        let mut pieces = Pieces::One;
        for name in names {
            if port_mtu(name)? > ONE_PIECE_MTU_MAX {
                pieces = Pieces::Several;
            }
        }
        Ok(pieces)
    }
}

/// The longest IP packet that a port carries, as it is set now.
///
/// # Errors
/// The port does not exist.
pub fn port_mtu(name: &str) -> Result<u32, OpenError> {
    let asker = Asker::new().map_err(|e| kernel_error("cannot ask about ports", &e))?;
    asker.mtu(name).map_err(|_| no_such(name))
}

/// What the kernel program does with a frame when no worker is there for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnFailure {
    /// Drops it.
    Closed,
    /// Forwards it to the other port of the pair; blocks still hold.
    #[default]
    Open,
}

/// The operator's own switch: the kernel forwards everything, blocked or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Bypass {
    /// Frames go to the workers.
    #[default]
    Off,
    /// Frames go from port to port without being looked at.
    On,
}

/// How the program hangs on a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hook {
    /// In the driver.
    Native,
    /// In the network stack, after the driver has made a packet of it.
    Generic,
}

impl Hook {
    const ALL: [Hook; 2] = [Hook::Native, Hook::Generic];

    fn name(self) -> &'static str {
        match self {
            Hook::Native => "native",
            Hook::Generic => "generic",
        }
    }
}

/// What to load.
#[derive(Clone, Debug)]
pub struct KernelPlan {
    /// Where maps and links are pinned; made and mounted where missing.
    pub pin_directory: PathBuf,
    /// Blocks that the kernel carries at most; 72 bytes each (key, value and the table's own),
    /// taken at load.
    pub blocks_max: u32,
    /// Which of the two programs.
    pub pieces: Pieces,
}

impl Default for KernelPlan {
    fn default() -> Self {
        KernelPlan {
            pin_directory: PIN_DIRECTORY_DEFAULT.into(),
            blocks_max: BLOCKS_MAX_DEFAULT,
            pieces: Pieces::One,
        }
    }
}

/// One segment's conduct in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentConduct {
    pub(crate) segment: SegmentId,
    pub(crate) on_failure: OnFailure,
    pub(crate) heartbeat_max: Duration,
}

/// A port that the program knows.
#[derive(Clone, Debug)]
struct KnownPort {
    facts: PortFacts,
    row: PortRow,
}

/// The loaded program with its maps. Dropping it leaves the pins: the program goes on without a
/// worker, as [`OnFailure`] says. [`detach`] removes everything.
#[derive(Debug)]
pub struct KernelProgram {
    ebpf: Ebpf,
    pins: Pins,
    pieces: Pieces,
    namespace: u64,
    heartbeats: Arc<HeartbeatMap>,
    ports: Vec<KnownPort>,
    links: Vec<String>,
    notes: Vec<String>,
}

impl KernelProgram {
    /// Loads the program and takes up the pinned block map where there is one of the same layout.
    ///
    /// # Errors
    /// The bpffs, the maps or the program are refused; the message says what to do.
    pub fn load(plan: &KernelPlan) -> Result<Self, OpenError> {
        let pins = Pins::open(&plan.pin_directory)?;
        let mut notes = Vec::new();
        let blocks = MapShape::blocks(plan.blocks_max);
        let kept = [blocks, MapShape::counters()];
        for shape in &kept {
            shape.clear_unlike(&pins, &mut notes)?;
        }
        let image = match plan.pieces {
            Pieces::One => PLAIN,
            Pieces::Several => FRAGS,
        };
        let mut loader = EbpfLoader::new();
        loader.map_max_entries("blocks", plan.blocks_max);
        for shape in &kept {
            loader.map_pin_path(shape.name, pins.path(&shape.pin_name()));
        }
        let mut ebpf = loader.load(image).map_err(|e| kernel_error("cannot make its maps", &e))?;
        program(&mut ebpf)?.load().map_err(|e| kernel_error("the kernel refuses it", &e))?;
        let heartbeats = HeartbeatMap::new(map_data(&ebpf, "heartbeats")?.fd().as_fd())
            .map_err(|e| kernel_error("cannot map the heartbeats", &e))?;
        Ok(KernelProgram {
            ebpf,
            pins,
            pieces: plan.pieces,
            namespace: namespace_number(),
            heartbeats,
            ports: Vec::new(),
            links: Vec::new(),
            notes,
        })
    }

    /// Whether it takes frames in several pieces.
    pub fn pieces(&self) -> Pieces {
        self.pieces
    }

    /// What was out of the ordinary while loading and attaching, one line each for the log, e.g.
    /// that a pinned map had another layout and was replaced.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The block map: keys [`KernelKey`], values [`KernelBlock`].
    ///
    /// # Errors
    /// The program has no such map: our bug.
    pub fn blocks_fd(&self) -> Result<BorrowedFd<'_>, OpenError> {
        Ok(map_data(&self.ebpf, "blocks")?.fd().as_fd())
    }

    /// A descriptor of the block map of its own, to hand to `enforce`.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn blocks_fd_owned(&self) -> Result<OwnedFd, OpenError> {
        self.blocks_fd()?
            .try_clone_to_owned()
            .map_err(|e| kernel_error("cannot duplicate the block map's descriptor", &e))
    }

    /// What the program has counted, by port name, over all processors.
    ///
    /// # Errors
    /// The kernel does not give the counters.
    pub fn counters(&self) -> Result<Vec<(String, KernelCounters)>, OpenError> {
        let map = self.ebpf.map("counters").ok_or_else(|| no_map("counters"))?;
        let counters: PerCpuArray<_, u64> =
            map.try_into().map_err(|e| kernel_error("map `counters`", &e))?;
        let of_port = |port: &KnownPort| {
            let first = port.row.slot * COUNTERS_PER_PORT;
            let rows = (first..first + COUNTERS_PER_PORT)
                .map(|i| counters.get(&i, 0).map_or(0, |per_cpu| per_cpu.iter().sum()));
            (port.facts.name.clone(), KernelCounters::from_rows(rows))
        };
        Ok(self.ports.iter().map(of_port).collect())
    }

    /// Switches the operator's bypass of one segment.
    ///
    /// # Errors
    /// The kernel does not take the change.
    pub fn set_bypass(&mut self, segment: SegmentId, bypass: Bypass) -> Result<(), OpenError> {
        self.change(segment, |row| row.bypass = u8::from(bypass == Bypass::On))
    }

    /// Changes what happens to a segment's frames when no worker is there for them.
    ///
    /// # Errors
    /// The kernel does not take the change.
    pub fn set_on_failure(
        &mut self,
        segment: SegmentId,
        conduct: OnFailure,
    ) -> Result<(), OpenError> {
        self.change(segment, |row| row.on_failure = u8::from(conduct == OnFailure::Open))
    }

    /// Detaches the program from ports that this start did not attach it to: they have left the
    /// configuration. Call it when all segments are open. Returns what was detached.
    pub fn release_others(&mut self) -> Vec<String> {
        let stale: Vec<String> = self
            .pins
            .names()
            .into_iter()
            .filter(|n| n.starts_with("link_") && !self.links.contains(n))
            .collect();
        stale.into_iter().filter(|name| self.pins.remove(name).is_ok()).collect()
    }

    fn change(&mut self, segment: SegmentId, edit: impl Fn(&mut PortRow)) -> Result<(), OpenError> {
        for port in self.ports.iter_mut().filter(|p| p.row.segment == segment.0) {
            edit(&mut port.row);
        }
        self.write_rows()
    }

    /// Tells the program of a segment's ports, before it is attached to them.
    pub(crate) fn register(
        &mut self,
        ports: &[PortFacts],
        conduct: SegmentConduct,
    ) -> Result<(), OpenError> {
        self.forget_gone(ports, conduct.segment)?;
        self.ports.retain(|p| p.row.segment != conduct.segment.0);
        let used: Vec<u32> = self.ports.iter().map(|p| p.row.slot).collect();
        let mut free = (0..PORTS_MAX).filter(|s| !used.contains(s));
        let slots: Vec<u32> = free.by_ref().take(ports.len()).collect();
        if slots.len() < ports.len() {
            return Err(OpenError::Limit(format!("one engine serves at most {PORTS_MAX} ports")));
        }
        for (facts, &slot) in ports.iter().zip(&slots) {
            let peer_slot = slots.iter().copied().find(|&s| s != slot).unwrap_or(PORTS_MAX);
            let heartbeat_ns_max =
                u64::try_from(conduct.heartbeat_max.as_nanos()).unwrap_or(u64::MAX);
            let row = PortRow {
                heartbeat_ns_max,
                slot,
                peer_slot,
                segment: conduct.segment.0,
                on_failure: u8::from(conduct.on_failure == OnFailure::Open),
                bypass: 0,
                padding: 0,
            };
            self.ports.push(KnownPort { facts: facts.clone(), row });
            if ports.len() > 1 {
                let map = self.ebpf.map_mut("peers").ok_or_else(|| no_map("peers"))?;
                let mut peers: DevMap<_> =
                    map.try_into().map_err(|e| kernel_error("map `peers`", &e))?;
                peers
                    .set(slot, facts.ifindex, None, 0)
                    .map_err(|e| kernel_error("cannot write map `peers`", &e))?;
            }
        }
        self.write_rows()
    }

    /// Lets go of a segment's ports that have gone, and came back under another number.
    fn forget_gone(&mut self, now: &[PortFacts], segment: SegmentId) -> Result<(), OpenError> {
        let is_gone = |known: &&KnownPort| {
            known.row.segment == segment.0
                && now.iter().all(|port| port.ifindex != known.facts.ifindex)
        };
        let gone: Vec<PortFacts> =
            self.ports.iter().filter(is_gone).map(|known| known.facts.clone()).collect();
        for port in gone {
            for hook in Hook::ALL {
                let name = self.link_name(&port, hook);
                self.links.retain(|link| *link != name);
                self.pins.remove(&name).map_err(|e| kernel_error("cannot remove a pin", &e))?;
            }
            let map = self.ebpf.map_mut("config").ok_or_else(|| no_map("config"))?;
            let mut config: HashMap<_, u32, PortRow> =
                map.try_into().map_err(|e| kernel_error("map `config`", &e))?;
            // Where it is not there, it need not be taken out.
            let _ = config.remove(&port.ifindex);
        }
        Ok(())
    }

    fn write_rows(&mut self) -> Result<(), OpenError> {
        let map = self.ebpf.map_mut("config").ok_or_else(|| no_map("config"))?;
        let mut config: HashMap<_, u32, PortRow> =
            map.try_into().map_err(|e| kernel_error("map `config`", &e))?;
        for port in &self.ports {
            config
                .insert(port.facts.ifindex, port.row, 0)
                .map_err(|e| kernel_error("cannot write map `config`", &e))?;
        }
        Ok(())
    }

    /// Attaches the program to a port, in the place of its predecessor where one is still there.
    pub(crate) fn attach(&mut self, port: &PortFacts, hook: Hook) -> Result<(), OpenError> {
        for other in Hook::ALL.into_iter().filter(|&h| h != hook) {
            // The kernel refuses both kinds on one port.
            let name = self.link_name(port, other);
            self.links.retain(|l| *l != name);
            self.pins.remove(&name).map_err(|e| kernel_error("cannot remove a pin", &e))?;
        }
        let name = self.link_name(port, hook);
        if self.replace(&name)? {
            self.links.push(name);
            return Ok(());
        }
        let mode = match hook {
            Hook::Native => XdpMode::Driver,
            Hook::Generic => XdpMode::Skb,
        };
        let program = program(&mut self.ebpf)?;
        let refused = |e: &dyn std::error::Error| OpenError::Kernel {
            what: format!(
                "cannot attach to {} in {} mode: {}; if another XDP program is there, `ip link set \
                 {} xdp off` removes it",
                port.name,
                hook.name(),
                chain(e),
                port.name
            ),
        };
        let id = program.attach_to_if_index(port.ifindex, mode).map_err(|e| refused(&e))?;
        let link = program.take_link(id).map_err(|e| refused(&e))?;
        let link: FdLink = link.try_into().map_err(|e| refused(&e))?;
        link.pin(self.pins.path(&name)).map_err(|e| refused(&e))?;
        self.links.push(name);
        Ok(())
    }

    /// Puts the program in the place of the one on a pinned link; false where there is no such link
    /// or its port is gone.
    fn replace(&mut self, name: &str) -> Result<bool, OpenError> {
        let path = self.pins.path(name);
        let Ok(pinned) = PinnedLink::from_pin(&path) else { return Ok(false) };
        let program = program(&mut self.ebpf)?;
        let swapped = XdpLink::try_from(FdLink::from(pinned))
            .map_err(|e| chain(&e))
            .and_then(|link| program.attach_to_link(link).map_err(|e| chain(&e)))
            .and_then(|id| program.take_link(id).map_err(|e| chain(&e)));
        match swapped {
            Ok(_) => Ok(true),
            Err(e) => {
                self.notes.push(format!("the pinned link {name} is of no use ({e}): replaced"));
                self.pins.remove(name).map_err(|e| kernel_error("cannot remove a pin", &e))?;
                Ok(false)
            }
        }
    }

    fn link_name(&self, port: &PortFacts, hook: Hook) -> String {
        format!("link_{}_{}_{}", self.namespace, port.ifindex, hook.name())
    }

    /// Gives a queue's frames to a socket whose fill ring is full already.
    pub(crate) fn publish_socket(
        &mut self,
        port: &PortFacts,
        queue: u32,
        socket: &impl std::os::fd::AsRawFd,
    ) -> Result<(), OpenError> {
        let index = self.index(port, queue)?;
        let map = self.ebpf.map_mut("sockets").ok_or_else(|| no_map("sockets"))?;
        let mut sockets: XskMap<_> =
            map.try_into().map_err(|e| kernel_error("map `sockets`", &e))?;
        sockets
            .set(index, socket.as_raw_fd(), 0)
            .map_err(|e| kernel_error("cannot write map `sockets`", &e))
    }

    /// The heartbeat of the worker behind a queue.
    pub(crate) fn heartbeat(&self, port: &PortFacts, queue: u32) -> Result<Heartbeat, OpenError> {
        Ok(Heartbeat::new(&self.heartbeats, self.index(port, queue)?))
    }

    fn index(&self, port: &PortFacts, queue: u32) -> Result<u32, OpenError> {
        let known = self.ports.iter().find(|p| p.facts.ifindex == port.ifindex);
        let slot = known.ok_or_else(|| no_such(&port.name))?.row.slot;
        if queue >= QUEUES_MAX {
            return Err(OpenError::Limit(format!(
                "{}: at most {QUEUES_MAX} queues; `ethtool -L {} combined {QUEUES_MAX}`",
                port.name, port.name
            )));
        }
        Ok(slot * QUEUES_MAX + queue)
    }
}

/// The shape that a pinned map must have to be taken up.
struct MapShape {
    name: &'static str,
    key_size: usize,
    value_size: usize,
    entries: u32,
}

impl MapShape {
    fn blocks(entries: u32) -> Self {
        let (key_size, value_size) = (size_of::<KernelKey>(), size_of::<KernelBlock>());
        MapShape { name: "blocks", key_size, value_size, entries }
    }

    fn counters() -> Self {
        let entries = PORTS_MAX * COUNTERS_PER_PORT;
        MapShape { name: "counters", key_size: 4, value_size: 8, entries }
    }

    fn pin_name(&self) -> String {
        format!("{}_v{LAYOUT_VERSION}", self.name)
    }

    /// Removes pins of this map that have another version or shape, and says so.
    fn clear_unlike(&self, pins: &Pins, notes: &mut Vec<String>) -> Result<(), OpenError> {
        let wanted = self.pin_name();
        let prefix = format!("{}_v", self.name);
        for name in pins.names().into_iter().filter(|n| n.starts_with(&prefix)) {
            let found = MapInfo::from_pin(pins.path(&name)).map(|info| {
                let sizes = (info.key_size() as usize, info.value_size() as usize);
                (sizes.0, sizes.1, info.max_entries())
            });
            let like =
                matches!(found, Ok(f) if f == (self.key_size, self.value_size, self.entries));
            if name == wanted && like {
                continue;
            }
            pins.remove(&name).map_err(|e| kernel_error("cannot remove a pin", &e))?;
            let shape = found.map_or_else(
                |e| chain(&e),
                |(key, value, entries)| format!("{entries} entries of {key} + {value} bytes"),
            );
            notes.push(format!(
                "the pinned map {name} ({shape}) does not fit this engine ({wanted}: {} entries of \
                 {} + {} bytes) and was replaced by an empty one; the journal fills it again",
                self.entries, self.key_size, self.value_size
            ));
        }
        Ok(())
    }
}

fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, OpenError> {
    ebpf.program_mut("portcullis")
        .ok_or_else(|| OpenError::Kernel { what: "no program `portcullis` in the object".into() })?
        .try_into()
        .map_err(|e: aya::programs::ProgramError| kernel_error("it is no XDP program", &e))
}

fn map_data<'a>(ebpf: &'a Ebpf, name: &str) -> Result<&'a MapData, OpenError> {
    match ebpf.map(name) {
        Some(Map::Array(data) | Map::HashMap(data)) => Ok(data),
        _ => Err(no_map(name)),
    }
}

fn no_map(name: &str) -> OpenError {
    OpenError::Kernel { what: format!("no map `{name}` in the object") }
}

fn no_such(name: &str) -> OpenError {
    OpenError::NoSuchPort { port: name.to_owned() }
}

fn kernel_error(doing: &str, source: &dyn std::error::Error) -> OpenError {
    OpenError::Kernel { what: format!("{doing}: {}", chain(source)) }
}

/// An error with what lies under it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(e) = next {
        let more = e.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = e.source();
    }
    text
}
