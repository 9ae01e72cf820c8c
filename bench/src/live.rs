//! Frames on a wire of the lab, and what the engine's threads have used, seen from outside.
//!
//! It must never know what is measured, nor how the engine works.

use anyhow::{Context, Result, bail};
use portcullis_tests::lab::{Lab, PORT_B, Side, WIRE};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Frames given to the kernel with one call.
const BATCH: usize = 64;

/// A raw socket on one device of the calling thread's namespace.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
}

#[allow(unsafe_code, reason = "packet sockets, which no crate in use wraps")]
impl Wire {
    /// Opens it for sending; what arrives is not read.
    ///
    /// # Errors
    /// Not root, or no such device.
    pub fn open(device: &str) -> Result<Wire> {
        Wire::of(device, 0)
    }

    /// Also hears frames of this type of Ethernet; none where it is 0.
    fn of(device: &str, heard: libc::c_int) -> Result<Wire> {
        let heard = u16::try_from(heard)?.to_be();
        let name = std::ffi::CString::new(device)?;
        // SAFETY: the name is a string that ends with zero. Justification: see the attribute.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index == 0 {
            bail!("no device {device}");
        }
        // SAFETY: no pointers; a new descriptor is ours alone.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(heard)) };
        if fd < 0 {
            bail!("a packet socket: {}", std::io::Error::last_os_error());
        }
        // SAFETY: `fd` is open and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: sockaddr_ll is plain integers.
        let mut to: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        to.sll_family = u16::try_from(libc::AF_PACKET)?;
        to.sll_ifindex = i32::try_from(index)?;
        to.sll_protocol = heard;
        let one: libc::c_int = 1;
        // SAFETY: both pointers are to live locals whose sizes are given.
        let failed = unsafe {
            libc::bind(fd, (&raw const to).cast(), u32::try_from(size_of::<libc::sockaddr_ll>())?)
                < 0
                || libc::setsockopt(
                    fd,
                    libc::SOL_PACKET,
                    libc::PACKET_QDISC_BYPASS,
                    (&raw const one).cast(),
                    u32::try_from(size_of::<libc::c_int>())?,
                ) < 0
        };
        if failed {
            bail!("binding to {device}: {}", std::io::Error::last_os_error());
        }
        Ok(Wire { socket })
    }

    /// Sends these frames, at most 64 of them; how many the kernel took.
    pub fn send<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>) -> usize {
        let mut pieces: Vec<libc::iovec> = Vec::with_capacity(BATCH);
        for frame in frames.into_iter().take(BATCH) {
            let base = frame.as_ptr().cast_mut().cast();
            pieces.push(libc::iovec { iov_base: base, iov_len: frame.len() });
        }
        let mut messages: Vec<libc::mmsghdr> = Vec::with_capacity(BATCH);
        for piece in &mut pieces {
            // SAFETY: mmsghdr is plain integers and pointers, null ones here.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
            messages.push(message);
        }
        let count = u32::try_from(messages.len()).unwrap_or(0);
        // SAFETY: the messages point to `pieces`, those to the frames, which outlive the call; the
        // kernel only reads through them.
        let sent =
            unsafe { libc::sendmmsg(self.socket.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
        usize::try_from(sent).unwrap_or(0)
    }
}

/// A packet socket that hears everything on one device, with the kernel's stamps.
#[derive(Debug)]
pub struct Tap {
    socket: OwnedFd,
}

/// Room for what a receiver without a core cannot read yet, bytes.
const TAP_BYTES: libc::c_int = 128 << 20;

#[allow(unsafe_code, reason = "packet sockets and their stamps, which no crate in use wraps")]
impl Tap {
    /// Opens it on a device of the calling thread's namespace.
    ///
    /// # Errors
    /// Not root, or no such device.
    pub fn open(device: &str) -> Result<Tap> {
        let Wire { socket } = Wire::of(device, libc::ETH_P_ALL)?;
        let set = |option: libc::c_int, value: libc::c_int| {
            // SAFETY: the pointer is to a live local whose size is given.
            let failed = unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    option,
                    (&raw const value).cast(),
                    u32::try_from(size_of::<libc::c_int>())?,
                ) < 0
            };
            if failed {
                bail!("a socket's option {option}: {}", std::io::Error::last_os_error());
            }
            Ok(())
        };
        set(libc::SO_RCVBUFFORCE, TAP_BYTES)?;
        set(libc::SO_TIMESTAMPNS, 1)?;
        Ok(Tap { socket })
    }

    /// Calls `each` with every frame that is there and when the kernel had it, nanoseconds of
    /// `CLOCK_REALTIME`; waits 50 ms at most where there is none. How many.
    ///
    /// # Errors
    /// The device is gone.
    pub fn receive(&self, mut each: impl FnMut(&[u8], u64)) -> Result<usize> {
        let mut poll =
            libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the pointer is to one live local.
        unsafe { libc::poll(&raw mut poll, 1, 50) };
        let mut bytes = [[0_u8; 128]; BATCH];
        let mut control = [[0_u64; 8]; BATCH];
        // SAFETY: both are plain integers and pointers; all zero is a value of them.
        let (mut pieces, mut messages): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
            unsafe { std::mem::zeroed() };
        let places = bytes.iter_mut().zip(&mut control).zip(&mut pieces).zip(&mut messages);
        for (((bytes, control), piece), message) in places {
            *piece = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
            message.msg_hdr.msg_iov = piece;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_control = control.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = size_of_val(control) as _;
        }
        // SAFETY: the messages point to arrays that outlive the call, each of the length given.
        let taken = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                messages.as_mut_ptr(),
                u32::try_from(BATCH)?,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let taken = usize::try_from(taken).unwrap_or(0);
        for (message, bytes) in messages.iter().zip(&bytes).take(taken) {
            let len = usize::try_from(message.msg_len)?.min(bytes.len());
            each(&bytes[..len], stamp(&message.msg_hdr));
        }
        Ok(taken)
    }
}

/// The kernel's stamp of a message, nanoseconds; 0 where it has none.
#[allow(unsafe_code, reason = "control messages are read through pointers")]
fn stamp(message: &libc::msghdr) -> u64 {
    // SAFETY: the message was filled in by the kernel; its control buffer is alive.
    let mut control = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !control.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR answer null or a header inside of the buffer.
        let header = unsafe { &*control };
        if (header.cmsg_level, header.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            // SAFETY: this kind carries a timespec, at any alignment.
            let time: libc::timespec =
                unsafe { libc::CMSG_DATA(control).cast::<libc::timespec>().read_unaligned() };
            return nanoseconds(time);
        }
        // SAFETY: as above.
        control = unsafe { libc::CMSG_NXTHDR(message, control) };
    }
    0
}

fn nanoseconds(time: libc::timespec) -> u64 {
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

/// Now, by the clock that the kernel stamps frames with.
#[allow(unsafe_code, reason = "no crate in use wraps it but those of the engine")]
pub fn realtime_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live local of the right type.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut time) };
    nanoseconds(time)
}

/// Keeps a thread on one core; 0 is the calling thread.
///
/// # Errors
/// There is no such core, or no such thread.
#[allow(unsafe_code, reason = "affinity of another process's thread")]
pub fn keep_on(thread: u32, core: usize) -> Result<()> {
    // SAFETY: cpu_set_t is plain integers.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is a live local.
    unsafe { libc::CPU_SET(core, &mut set) };
    let thread = libc::pid_t::try_from(thread)?;
    // SAFETY: the pointer is to a live local of the size given.
    if unsafe { libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &raw const set) } < 0
    {
        bail!("core {core}: {}", std::io::Error::last_os_error());
    }
    Ok(())
}

/// Sends the frames one after the other, again and again, for a time, into the wire on one side of
/// a lab; how many were sent and the processor seconds of the sending thread, on core 0.
///
/// # Errors
/// The wire cannot be opened.
pub fn blast(
    lab: &Lab,
    side: Side,
    frames: &std::sync::Arc<Vec<Vec<u8>>>,
    time: Duration,
) -> std::thread::JoinHandle<Result<(u64, f64)>> {
    let frames = std::sync::Arc::clone(frames);
    lab.bridge(side).within(move || {
        keep_on(0, 0)?;
        let wire = Wire::open(WIRE)?;
        let (began, cpu) = (std::time::Instant::now(), crate::thread_cpu());
        let (mut sent, mut at) = (0_u64, 0_usize);
        while began.elapsed() < time {
            let some = frames.iter().cycle().skip(at).take(BATCH).map(Vec::as_slice);
            let taken = wire.send(some);
            sent += taken as u64;
            at = (at + BATCH) % frames.len();
        }
        Ok((sent, crate::thread_cpu() - cpu))
    })
}

/// Sends so many frames at once, see [`blast`], and waits until they are sent.
///
/// # Errors
/// The wire cannot be opened or does not take them.
pub fn fill(
    lab: &Lab,
    side: Side,
    frames: &std::sync::Arc<Vec<Vec<u8>>>,
    count: usize,
) -> Result<()> {
    let frames = std::sync::Arc::clone(frames);
    let sender = lab.bridge(side).within(move || {
        keep_on(0, 0)?;
        let wire = Wire::open(WIRE)?;
        let mut all = frames.iter().cycle().map(Vec::as_slice);
        let mut left = count;
        while left > 0 {
            let taken = wire.send(all.by_ref().take(BATCH.min(left)));
            if taken == 0 {
                bail!("the wire takes nothing: {}", std::io::Error::last_os_error());
            }
            left -= taken;
        }
        Ok(())
    });
    sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))?
}

/// Stops a process, or lets it go on.
///
/// # Errors
/// There is no such process.
#[allow(unsafe_code, reason = "the one call with a process id that is no child's handle")]
pub fn signal(pid: u32, signal: libc::c_int) -> Result<()> {
    // SAFETY: no pointers.
    if unsafe { libc::kill(libc::pid_t::try_from(pid)?, signal) } < 0 {
        bail!("signal {signal} to {pid}: {}", std::io::Error::last_os_error());
    }
    Ok(())
}

/// What the kernel's own threads for received frames have used so far, nanoseconds.
pub fn softirq_threads() -> u64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ran = processes.filter_map(|entry| {
        let comm = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        if !comm.starts_with("ksoftirqd/") {
            return None;
        }
        let text = std::fs::read_to_string(entry.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    ran.sum()
}

/// A thread of another process.
#[derive(Clone, Copy, Debug)]
pub struct Worker {
    pid: u32,
    thread: u32,
}

/// What a thread has used so far, nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// On a core.
    pub ran: u64,
    /// Ready to run while somebody else had the core.
    pub waited: u64,
}

impl Worker {
    /// The thread of a process whose name begins so.
    ///
    /// # Errors
    /// There is none.
    pub fn find(pid: u32, name: &str) -> Result<Worker> {
        for entry in std::fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            let is_it = std::fs::read_to_string(entry.path().join("comm"))
                .is_ok_and(|comm| comm.starts_with(name));
            if is_it {
                let thread = entry.file_name().to_string_lossy().parse()?;
                return Ok(Worker { pid, thread });
            }
        }
        bail!("process {pid} has no thread `{name}`")
    }

    /// Its process.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// Waits until it has not run for 5 ms.
    ///
    /// # Errors
    /// It has ended, or runs for ten seconds without a pause.
    pub fn settle(self) -> Result<()> {
        let until = std::time::Instant::now() + Duration::from_secs(10);
        let mut last = self.used()?.ran;
        while std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            let ran = self.used()?.ran;
            if ran == last {
                return Ok(());
            }
            last = ran;
        }
        bail!("the worker does not come to rest")
    }

    /// Keeps it on one core.
    ///
    /// # Errors
    /// See [`keep_on`].
    pub fn keep_on(self, core: usize) -> Result<()> {
        keep_on(self.thread, core)
    }

    /// What it has used.
    ///
    /// # Errors
    /// It has ended.
    pub fn used(self) -> Result<Used> {
        let path = format!("/proc/{}/task/{}/schedstat", self.pid, self.thread);
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let mut numbers = text.split_whitespace().map(str::parse);
        let mut next = || numbers.next().with_context(|| format!("{path}: {text}"));
        Ok(Used { ran: next()??, waited: next()?? })
    }
}

/// Frames that the engine has handed to the kernel at its inner port, lost behind it or not.
///
/// # Errors
/// The figure cannot be read.
pub fn handed_over(lab: &Lab) -> Result<u64> {
    let mut sum = 0;
    for figure in ["tx_packets", "tx_dropped"] {
        let path = format!("/sys/class/net/{PORT_B}/statistics/{figure}");
        let text = lab.engine().must(&["cat", &path]);
        sum += text.trim().parse::<u64>().with_context(|| format!("{path}: {text}"))?;
    }
    Ok(sum)
}

/// Takes the wires off the bridges: what arrives there ends there, at the least cost.
pub fn bare_wires(lab: &Lab) {
    for side in [Side::Outside, Side::Inside] {
        lab.bridge(side).ip(&format!("link set {WIRE} nomaster\n"));
    }
}
