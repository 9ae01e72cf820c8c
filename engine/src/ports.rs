//! A segment's ports, opened: AF_XDP where kernel and driver can, AF_PACKET otherwise, and every
//! choice said aloud.

use anyhow::{Context, Result, anyhow, bail};
use portcullis_capture::backend::af_packet::{AfPacketSettings, AfPacketSource};
use portcullis_capture::backend::af_xdp::{self, Mode, SegmentPlan, XdpSource};
use portcullis_capture::kernel::{
    KernelPlan, KernelProgram, ONE_PIECE_MTU_MAX, OnFailure as KernelOnFailure, Pieces, port_mtu,
};
use portcullis_capture::{Wait, offload};
use portcullis_control::config::{
    CaptureChoice, Config, OnFailure, PAGE_MTU_MAX, Segment, WaitMode, XdpMode,
};
use portcullis_types::MemoryTerm;
use std::time::Duration;
use tracing::{info, warn};

/// Whatever the configuration takes for a page, the kernel program does.
const _: () = assert!(PAGE_MTU_MAX as u32 == ONE_PIECE_MTU_MAX);

/// How old a heartbeat may be at the least: a worker sleeps 50 ms at most.
const HEARTBEAT_MIN: Duration = Duration::from_millis(300);

/// A segment's sources, one for each worker.
pub(crate) enum Sources {
    /// Rings of our own.
    Xdp(Vec<XdpSource>),
    /// The fallback.
    Packet(Vec<AfPacketSource>),
}

/// A kind of source, as one of [`Sources`].
pub(crate) trait Kind: Sized {
    /// The sources, where they are of this kind.
    fn of(sources: Sources) -> Option<Vec<Self>>;
}

impl Kind for XdpSource {
    fn of(sources: Sources) -> Option<Vec<Self>> {
        if let Sources::Xdp(sources) = sources { Some(sources) } else { None }
    }
}

impl Kind for AfPacketSource {
    fn of(sources: Sources) -> Option<Vec<Self>> {
        if let Sources::Packet(sources) = sources { Some(sources) } else { None }
    }
}

/// One segment, opened.
pub(crate) struct OpenSegment {
    pub(crate) sources: Sources,
    /// What `status` says, e.g. `af_xdp, native, 2 workers`.
    pub(crate) capture: String,
    pub(crate) memory: Vec<MemoryTerm>,
}

impl OpenSegment {
    pub(crate) fn workers(&self) -> usize {
        match &self.sources {
            Sources::Xdp(sources) => sources.len(),
            Sources::Packet(sources) => sources.len(),
        }
    }
}

/// Opens all segments. The kernel program is `None` where no segment uses AF_XDP.
pub(crate) fn open(config: &Config) -> Result<(Option<KernelProgram>, Vec<OpenSegment>)> {
    if config.segments.is_empty() {
        bail!("the configuration has no [[segment]]; write one, with `ports` or `tap`");
    }
    for segment in &config.segments {
        mind_mtu(segment)?;
        mind_offloads(segment)?;
    }
    let mut kernel = load_kernel(config)?;
    let mut opened = Vec::new();
    for segment in &config.segments {
        opened.push(open_segment(config, segment, kernel.as_mut())?);
    }
    if let Some(kernel) = &mut kernel {
        for note in kernel.release_others() {
            info!("kernel program: {note}");
        }
        for note in kernel.notes() {
            info!("kernel program: {note}");
        }
    }
    Ok((kernel, opened))
}

/// Opens a segment again whose port was gone.
pub(crate) fn open_again(
    config: &Config,
    segment: &Segment,
    kernel: Option<&mut KernelProgram>,
) -> Result<OpenSegment> {
    mind_mtu(segment)?;
    mind_offloads(segment)?;
    open_segment(config, segment, kernel)
}

fn load_kernel(config: &Config) -> Result<Option<KernelProgram>> {
    let wanting: Vec<&Segment> =
        config.segments.iter().filter(|s| s.capture != CaptureChoice::AfPacket).collect();
    if wanting.is_empty() {
        return Ok(None);
    }
    // One program serves all ports: one that takes several pieces takes single ones as well.
    let jumbo = wanting.iter().any(|s| s.jumbo);
    let pieces = if jumbo { Pieces::Several } else { Pieces::One };
    let plan = KernelPlan {
        pin_directory: config.engine.run_dir.join("bpf"),
        blocks_max: config.blocks.max,
        pieces,
    };
    match KernelProgram::load(&plan) {
        Ok(program) => Ok(Some(program)),
        Err(e) if wanting.iter().all(|s| s.capture == CaptureChoice::Auto) => {
            warn!("no kernel program, so no AF_XDP: {e}; using AF_PACKET instead");
            Ok(None)
        }
        Err(e) => Err(anyhow!(e).context("loading the kernel program")),
    }
}

fn open_segment(
    config: &Config,
    segment: &Segment,
    kernel: Option<&mut KernelProgram>,
) -> Result<OpenSegment> {
    let name = &segment.name;
    if let (Some(kernel), true) = (kernel, segment.capture != CaptureChoice::AfPacket) {
        match open_xdp(config, segment, kernel) {
            Ok(opened) => return Ok(opened),
            Err(e) if segment.capture == CaptureChoice::Auto => {
                warn!("segment {name}: AF_XDP is not to be had: {e:#}; using AF_PACKET instead");
            }
            Err(e) => return Err(e.context(format!("segment {name}"))),
        }
    }
    let settings = AfPacketSettings { wait: wait(segment.wait), ..AfPacketSettings::default() };
    let ports: Vec<&str> = segment.ports.names().collect();
    let (a, b) = (ports.first().copied().unwrap_or_default(), ports.get(1).copied());
    let source = AfPacketSource::open(a, b, settings).with_context(|| format!("segment {name}"))?;
    let capture = "af_packet, 1 worker".to_owned();
    info!("segment {name}: {}: {capture}", ports.join(" <-> "));
    if segment.on_failure == OnFailure::Open && b.is_some() {
        warn!("segment {name}: AF_PACKET cannot forward when the engine dies: it fails closed");
    }
    let rings = u64::from(settings.block_bytes) * u64::from(settings.blocks) * ports.len() as u64;
    let memory = vec![MemoryTerm { what: format!("segment {name}: receive rings"), bytes: rings }];
    Ok(OpenSegment { sources: Sources::Packet(vec![source]), capture, memory })
}

fn open_xdp(config: &Config, segment: &Segment, kernel: &mut KernelProgram) -> Result<OpenSegment> {
    let ports: Vec<String> = segment.ports.names().map(str::to_owned).collect();
    let mut plan = SegmentPlan::new(segment.id, ports.clone());
    plan.workers = config.engine.workers.map_or_else(|| workers(segment), u32::from);
    plan.order = match segment.xdp_mode {
        XdpMode::Auto => Mode::ORDER_DEFAULT.to_vec(),
        XdpMode::Native => vec![Mode::Native],
        XdpMode::Generic => vec![Mode::Generic],
        XdpMode::ZeroCopy => vec![Mode::ZeroCopy],
    };
    plan.wait = wait(segment.wait);
    plan.ring_size = segment.ring_frames;
    // Both ports' fill and transmit rings, and what a burst holds.
    plan.frames_per_worker = segment.ring_frames * 4;
    plan.on_failure = match segment.on_failure {
        OnFailure::Open => KernelOnFailure::Open,
        OnFailure::Closed => KernelOnFailure::Closed,
    };
    plan.heartbeat_max = segment.hang_after.max(HEARTBEAT_MIN);
    let opened = af_xdp::open(kernel, &plan)?;
    let facts = &opened.facts;
    for (mode, why) in &facts.refused {
        info!("segment {}: not {}: {why}", segment.name, mode.name());
    }
    for note in &facts.notes {
        info!("segment {}: {note}", segment.name);
    }
    let workers = match opened.sources.len() {
        1 => "1 worker".to_owned(),
        n => format!("{n} workers"),
    };
    let capture = format!("af_xdp, {}, {workers}", facts.mode.name());
    info!("segment {}: {}: {capture}", segment.name, ports.join(" <-> "));
    Ok(OpenSegment { capture, memory: opened.facts.memory, sources: Sources::Xdp(opened.sources) })
}

/// As many workers as the ports have queues, and we have cores.
fn workers(segment: &Segment) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let queues = segment.ports.names().map(receive_queues).min().unwrap_or(1);
    let most = segment.queues.map_or(queues, usize::from);
    u32::try_from(cores.min(queues).min(most).max(1)).unwrap_or(1)
}

/// Receive queues of a port; 1 where the system does not say.
fn receive_queues(port: &str) -> usize {
    let Ok(entries) = std::fs::read_dir(format!("/sys/class/net/{port}/queues")) else { return 1 };
    let names = entries.flatten().map(|e| e.file_name());
    names.filter(|n| n.to_string_lossy().starts_with("rx-")).count().max(1)
}

fn wait(mode: WaitMode) -> Wait {
    match mode {
        WaitMode::Adaptive => Wait::Adaptive,
        WaitMode::Poll => Wait::Poll,
        WaitMode::Spin => Wait::Spin,
        WaitMode::BusyPoll => Wait::BusyPoll,
    }
}

/// What the ports carry must be what the configuration says, so that no frame is longer than the
/// memory that is set aside for it: `mtu` bounds it, and `jumbo` says that pages may not do.
fn mind_mtu(segment: &Segment) -> Result<()> {
    let name = &segment.name;
    for port in segment.ports.names() {
        let carried = port_mtu(port).with_context(|| format!("segment {name}"))?;
        if let Some(most) = segment.mtu.filter(|most| carried > u32::from(*most)) {
            bail!(
                "segment {name}: port {port} carries packets of {carried} bytes and the segment is \
                 said to have none above {most}; run: ip link set {port} mtu {most}   \
                 or write mtu = {carried}"
            );
        }
        let takes_pages = segment.capture != CaptureChoice::AfPacket;
        if takes_pages && !segment.jumbo && carried > ONE_PIECE_MTU_MAX {
            bail!(
                "segment {name}: port {port} carries packets of {carried} bytes, which a page does \
                 not hold; write jumbo = true   or run: \
                 ip link set {port} mtu {ONE_PIECE_MTU_MAX}"
            );
        }
    }
    Ok(())
}

/// Offloads hide frames from us. Switched off where the configuration lets us, else named with the
/// command that does it; a port that strips tags is refused, because VLANs would run together.
fn mind_offloads(segment: &Segment) -> Result<()> {
    for port in segment.ports.names() {
        let left = match segment.fix_offloads {
            true => offload::fix(port),
            false => offload::problems(port),
        };
        let left = left.with_context(|| format!("segment {}: port {port}", segment.name))?;
        for problem in &left {
            warn!(
                "port {}: {}: {}; run: {}",
                problem.port, problem.feature, problem.why, problem.remedy
            );
        }
        let strips = |f: &str| f.contains("vlan");
        if let Some(problem) = left.iter().find(|p| strips(&p.feature))
            && segment.capture != CaptureChoice::AfPacket
        {
            bail!(
                "segment {}: port {} hides VLAN tags ({}), so blocks would hold in the wrong VLAN; \
                 run: {}   or write fix_offloads = true",
                segment.name,
                problem.port,
                problem.feature,
                problem.remedy
            );
        }
    }
    Ok(())
}
