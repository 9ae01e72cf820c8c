//! Opening a segment: from names of ports to one source for each worker.

use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{MemoryTerm, PortSide, SegmentId};
use rustix::net::xdp::SocketAddrXdpFlags;

use super::chain::{CHAINS_MAX, Chains};
use super::pool::Pool;
use super::socket::{BusyPoll, Memory, Socket};
use super::umem::{Chunk, HEADROOM, Umem};
use super::{Port, XdpSource};
use crate::kernel::{Hook, KernelProgram, OnFailure, Pieces, SegmentConduct};
use crate::port::{Asker, PortFacts, port_error};
use crate::{OpenError, Wait};

use std::os::fd::AsFd;

/// Ethernet's header and two tags: what a frame has in front of the MTU's bytes.
pub(super) const FRAME_HEAD: u32 = 14 + 8;

/// How frames get from the port to the rings and back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// The program in the network stack; frames are copied. Every driver can do this.
    Generic,
    /// The program in the driver; frames are copied.
    Native,
    /// The program in the driver, which reads and writes the rings' memory itself.
    ZeroCopy,
}

impl Mode {
    /// The order where the configuration says nothing: the fastest first.
    pub const ORDER_DEFAULT: [Mode; 3] = [Mode::ZeroCopy, Mode::Native, Mode::Generic];

    /// As written in the configuration and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Generic => "generic",
            Mode::Native => "native",
            Mode::ZeroCopy => "zero-copy",
        }
    }

    fn hook(self) -> Hook {
        match self {
            Mode::Generic => Hook::Generic,
            Mode::Native | Mode::ZeroCopy => Hook::Native,
        }
    }
}

/// What to open.
#[derive(Clone, Debug)]
pub struct SegmentPlan {
    /// The segment's number.
    pub segment: SegmentId,
    /// One port (a tap) or two (an inline pair: A and B).
    pub ports: Vec<String>,
    /// Sources to make, one for each worker; at most the queues of the port that has fewer.
    pub workers: u32,
    /// Modes to try, in this order.
    pub order: Vec<Mode>,
    /// How the sources wait.
    pub wait: Wait,
    /// Entries of each ring, a power of two from 64 to 16,384.
    pub ring_size: u32,
    /// Frames of memory for each worker: at least two rings for each of its sockets.
    pub frames_per_worker: u32,
    /// What the kernel does with frames while a worker is missing.
    pub on_failure: OnFailure,
    /// How long a worker may be silent before the kernel goes on without it.
    pub heartbeat_max: Duration,
}

impl SegmentPlan {
    /// A plan with the defaults: one worker, rings of 2,048, 8,192 frames (16 MiB), open on failure
    /// after 300 ms of silence.
    pub fn new(segment: SegmentId, ports: Vec<String>) -> Self {
        SegmentPlan {
            segment,
            ports,
            workers: 1,
            order: Mode::ORDER_DEFAULT.to_vec(),
            wait: Wait::Adaptive,
            ring_size: 2_048,
            frames_per_worker: 8_192,
            on_failure: OnFailure::Open,
            heartbeat_max: Duration::from_millis(300),
        }
    }
}

/// What was opened, to be said aloud.
#[derive(Debug)]
pub struct OpenedFacts {
    /// The mode that works.
    pub mode: Mode,
    /// Modes that were tried before it, with the reasons against them.
    pub refused: Vec<(Mode, String)>,
    /// The ports as they were found, A first.
    pub ports: Vec<PortFacts>,
    /// Whether frames may come in several pieces (jumbo frames).
    pub pieces: Pieces,
    /// The longest frame that fits one piece, in bytes from the destination address on.
    pub frame_max: u32,
    /// What the kernel is too old for, each with its effect.
    pub notes: Vec<String>,
    /// Memory that the segment holds.
    pub memory: Vec<MemoryTerm>,
}

/// An open segment.
#[derive(Debug)]
pub struct Opened {
    /// One source for each worker.
    pub sources: Vec<XdpSource>,
    /// What was found and chosen.
    pub facts: OpenedFacts,
}

/// Attaches the program to the ports and opens a socket on each of their queues.
///
/// All sockets share one memory, so a frame goes from port to port without being copied in user
/// space. Queue q of each port is served by worker q modulo `workers`. Call it in the ports'
/// network namespace.
///
/// # Errors
/// A number in the plan cannot be used, or no mode of the order works; the message names each.
pub fn open(program: &mut KernelProgram, plan: &SegmentPlan) -> Result<Opened, OpenError> {
    let asker = Asker::new().map_err(|e| port_error("ports", "asking about them", e))?;
    let ports: Result<Vec<_>, _> = plan.ports.iter().map(|name| asker.facts(name)).collect();
    let ports = ports?;
    check(plan, &ports, program.pieces())?;
    for port in &ports {
        asker.make_promiscuous(&port.name)?;
    }
    let conduct = SegmentConduct {
        segment: plan.segment,
        on_failure: plan.on_failure,
        heartbeat_max: plan.heartbeat_max,
    };
    program.register(&ports, conduct)?;
    let mut refused = Vec::new();
    for &mode in &plan.order {
        match open_in(program, plan, &ports, mode) {
            Ok((sources, notes)) => {
                let facts = facts(program.pieces(), plan, ports, (mode, refused, notes));
                return Ok(Opened { sources, facts });
            }
            Err(e) => refused.push((mode, e.to_string())),
        }
    }
    let reasons: Vec<String> =
        refused.iter().map(|(mode, reason)| format!("{}: {reason}", mode.name())).collect();
    Err(OpenError::Kernel {
        what: format!(
            "no mode works for segment {} ({}); {}",
            plan.segment,
            plan.ports.join(", "),
            reasons.join("; ")
        ),
    })
}

/// Refuses numbers that cannot work, each with what to write instead.
fn check(plan: &SegmentPlan, ports: &[PortFacts], pieces: Pieces) -> Result<(), OpenError> {
    let refuse = |what: String| Err(OpenError::Limit(what));
    if !matches!(ports.len(), 1 | 2) {
        return refuse(format!("segment {}: name one port (a tap) or two", plan.segment));
    }
    if let [a, b] = ports
        && a.ifindex == b.ifindex
    {
        return refuse(format!("segment {}: {} is named twice", plan.segment, a.name));
    }
    if !plan.ring_size.is_power_of_two() || !(64..=16_384).contains(&plan.ring_size) {
        return refuse(format!("ring_size = {}: write a power of two, 64–16384", plan.ring_size));
    }
    for port in ports {
        if port.queues < plan.workers || plan.workers == 0 {
            return refuse(format!(
                "{} has {} receive queue(s) and cannot serve {} workers: write workers = {}, or \
                 `ethtool -L {} combined {}`",
                port.name, port.queues, plan.workers, port.queues, port.name, plan.workers
            ));
        }
        if pieces == Pieces::One && port.mtu > crate::kernel::ONE_PIECE_MTU_MAX {
            return refuse(format!(
                "{} has an MTU of {}: load the program for frames in several pieces",
                port.name, port.mtu
            ));
        }
    }
    let sockets: u32 = ports.iter().map(|p| p.queues.div_ceil(plan.workers)).sum();
    let least = sockets * plan.ring_size * 2;
    if plan.frames_per_worker < least {
        return refuse(format!(
            "frames_per_worker = {}: {sockets} socket(s) with rings of {} need at least {least}",
            plan.frames_per_worker, plan.ring_size
        ));
    }
    Ok(())
}

/// Bytes of a chunk: 2,048 where every frame fits one, else a page.
fn chunk_bytes(ports: &[PortFacts], pieces: Pieces) -> u32 {
    let longest = ports.iter().map(|p| p.mtu).max().unwrap_or(0) + FRAME_HEAD + HEADROOM;
    if longest <= 2_048 && pieces == Pieces::One { 2_048 } else { 4_096 }
}

type Made = (Vec<XdpSource>, Vec<String>);

/// Tries one mode: attach, then bind all sockets, then let frames in.
fn open_in(
    program: &mut KernelProgram,
    plan: &SegmentPlan,
    ports: &[PortFacts],
    mode: Mode,
) -> Result<Made, OpenError> {
    for port in ports {
        program.attach(port, mode.hook())?;
    }
    let chunk = chunk_bytes(ports, program.pieces());
    let (umem, rights) = Umem::carve(chunk, plan.frames_per_worker, plan.workers)?;
    let mut builder = Builder {
        plan,
        mode,
        pieces: program.pieces(),
        umem: Arc::new(umem),
        first: None,
        notes: Vec::new(),
    };
    let mut sources = Vec::new();
    for (worker, free) in (0..).zip(rights) {
        sources.push(builder.source(ports, worker, free)?);
    }
    // Only now, with every fill ring full, do frames come in.
    for source in &mut sources {
        let sides = source.ports.iter_mut();
        for (port, facts) in sides.zip(ports) {
            for (socket, &queue) in port.sockets.iter().zip(&port.queues) {
                program.publish_socket(facts, queue, socket)?;
                port.heartbeats.push(program.heartbeat(facts, queue)?);
            }
        }
    }
    Ok((sources, builder.notes))
}

/// What the sockets of one attempt share.
struct Builder<'a> {
    plan: &'a SegmentPlan,
    mode: Mode,
    pieces: Pieces,
    umem: Arc<Umem>,
    /// A descriptor of the socket that registered the memory.
    first: Option<std::os::fd::OwnedFd>,
    notes: Vec<String>,
}

impl Builder<'_> {
    fn source(
        &mut self,
        ports: &[PortFacts],
        worker: u32,
        free: Vec<Chunk>,
    ) -> Result<XdpSource, OpenError> {
        let mut pool = Pool::new(Arc::clone(&self.umem), worker, free);
        let mut sides = Vec::new();
        for (side, facts) in [PortSide::A, PortSide::B].into_iter().zip(ports) {
            let queues: Vec<u32> =
                (worker..facts.queues).step_by(self.plan.workers as usize).collect();
            let mut sockets = Vec::new();
            for &queue in &queues {
                sockets.push(self.socket(facts, queue, &mut pool)?);
            }
            sides.push(Port::new(side, facts, sockets, queues));
        }
        let room = if self.pieces == Pieces::Several { CHAINS_MAX } else { 0 };
        Ok(XdpSource::assemble(pool, sides, Chains::with_room(room), self.plan.wait))
    }

    fn socket(
        &mut self,
        port: &PortFacts,
        queue: u32,
        pool: &mut Pool,
    ) -> Result<Socket, OpenError> {
        let flags = self.flags();
        let memory = match &self.first {
            None => Memory::Register(flags),
            Some(first) => Memory::Join(first.as_fd()),
        };
        let ring_size = self.plan.ring_size;
        let mut socket = Socket::create(&self.umem, port, memory, ring_size)?;
        socket.refill(pool, ring_size);
        socket.bind(port, queue, memory)?;
        for note in socket.tune(ring_size, busy_poll(self.plan.wait)) {
            if !self.notes.iter().any(|n| n == note) {
                self.notes.push(note.to_owned());
            }
        }
        if self.first.is_none() {
            let copy = socket.as_fd().try_clone_to_owned();
            self.first = Some(copy.map_err(|e| port_error(&port.name, "sharing memory", e))?);
        }
        Ok(socket)
    }

    fn flags(&self) -> SocketAddrXdpFlags {
        let mut flags = SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
        flags |= match self.mode {
            Mode::ZeroCopy => SocketAddrXdpFlags::XDP_ZEROCOPY,
            Mode::Generic | Mode::Native => SocketAddrXdpFlags::XDP_COPY,
        };
        if self.pieces == Pieces::Several {
            flags |= SocketAddrXdpFlags::XDP_USE_SG;
        }
        flags
    }
}

pub(super) fn busy_poll(wait: Wait) -> BusyPoll {
    if wait == Wait::BusyPoll { BusyPoll::Preferred } else { BusyPoll::Off }
}

type Chosen = (Mode, Vec<(Mode, String)>, Vec<String>);

fn facts(
    pieces: Pieces,
    plan: &SegmentPlan,
    ports: Vec<PortFacts>,
    (mode, refused, notes): Chosen,
) -> OpenedFacts {
    let chunk = chunk_bytes(&ports, pieces);
    let frames = u64::from(plan.frames_per_worker) * u64::from(plan.workers);
    let sockets: u64 = ports.iter().map(|p| u64::from(p.queues)).sum();
    let mut memory = vec![
        MemoryTerm {
            what: format!("segment {} frames, {frames} of {chunk} bytes", plan.segment),
            bytes: frames * u64::from(chunk),
        },
        MemoryTerm {
            // Receive and transmit entries have 16 bytes, fill and completion entries 8.
            what: format!("segment {} rings of {sockets} sockets", plan.segment),
            bytes: sockets * (u64::from(plan.ring_size) * 48 + 4 * 4_096),
        },
    ];
    if pieces == Pieces::Several {
        memory.push(MemoryTerm {
            what: format!("segment {} jumbo frames in hand", plan.segment),
            bytes: u64::from(plan.workers) * CHAINS_MAX as u64 * 9_728,
        });
    }
    OpenedFacts { mode, refused, ports, pieces, frame_max: chunk - HEADROOM, notes, memory }
}
