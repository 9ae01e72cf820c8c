//! Traffic: honest requests, scans and attacks by the tools that people use, each bounded in time
//! and count, and a paced UDP stream whose every datagram is accounted for.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::command::{Finished, Running};
use crate::lab::{DEVICE, Host, Lab, Side, WIRE};
use crate::service;

/// The limit of one request that is expected to work.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// The limit of one tool's run.
const TOOL_LIMIT: Duration = Duration::from_secs(60);

/// An address as a URL has it.
fn in_url(target: IpAddr) -> String {
    match target {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Whether the web server at `target` gives its page within `limit`.
#[must_use]
pub fn fetches_within(host: &Host, target: IpAddr, limit: Duration) -> bool {
    let seconds = format!("{:.3}", limit.as_secs_f64());
    let url = format!("http://{}/", in_url(target));
    let words = ["curl", "-s", "-g", "--noproxy", "*", "--max-time", &seconds, &url];
    host.run(&words, limit + Duration::from_secs(2)).stdout == service::PAGE
}

/// Whether the web server at `target` gives its page.
#[must_use]
pub fn fetches(host: &Host, target: IpAddr) -> bool {
    fetches_within(host, target, REQUEST_LIMIT)
}

/// Fetches a path and gives back everything curl says.
#[must_use]
pub fn curl(host: &Host, target: IpAddr, path: &str) -> Finished {
    let url = format!("http://{}/{path}", in_url(target));
    host.run(&["curl", "-s", "-g", "-S", "--noproxy", "*", "--max-time", "20", &url], TOOL_LIMIT)
}

/// Whether the UDP echo service at `target` sends one datagram back.
#[must_use]
pub fn echoes(host: &Host, target: IpAddr) -> bool {
    let word = "a datagram and its echo";
    host.namespace
        .within(move || {
            let local: SocketAddr = match target {
                IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                IpAddr::V6(_) => ([0_u16; 8], 0).into(),
            };
            let socket = UdpSocket::bind(local).ok()?;
            socket.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
            socket.send_to(word.as_bytes(), (target, 7)).ok()?;
            let mut buffer = [0_u8; 64];
            let len = socket.recv(&mut buffer).ok()?;
            Some(buffer.get(..len)? == word.as_bytes())
        })
        .join()
        .expect("the echo thread does not panic")
        .unwrap_or(false)
}

/// Whether `target` answers `limit` seconds of ARP requests.
#[must_use]
pub fn arp_answers(host: &Host, target: IpAddr) -> bool {
    let target = target.to_string();
    host.run(&["arping", "-q", "-c", "1", "-w", "2", "-I", DEVICE, &target], REQUEST_LIMIT)
        .succeeded()
}

/// The words of an nmap run: `kind` is its scan option (`-sS`, `-sT`, `-sF`, …), `ports` as nmap
/// writes them; the targets are of one family.
fn nmap_words<'a>(kind: &'a str, ports: &'a str, targets: &'a str) -> Vec<&'a str> {
    let mut words = vec!["nmap", "-n", "-Pn", "-T4", "--max-retries", "1", "--host-timeout", "40s"];
    words.extend([kind, "-p", ports]);
    if targets.contains(':') {
        words.push("-6");
    }
    words.extend(targets.split_whitespace());
    words
}

/// An nmap run to its end.
#[must_use]
pub fn nmap(host: &Host, kind: &str, ports: &str, targets: &str) -> Finished {
    host.run(&nmap_words(kind, ports, targets), TOOL_LIMIT)
}

/// An nmap run that goes on in the background until this is dropped: a scanner that is blocked
/// keeps trying long after there is anything to see.
#[derive(Debug)]
pub struct Scan {
    running: Running,
}

impl Scan {
    /// Starts nmap; see [`nmap`] for the arguments.
    #[must_use]
    pub fn start(lab: &Lab, host: &Host, kind: &str, ports: &str, targets: &str) -> Scan {
        let log = lab.folder().join("nmap.log");
        Scan { running: host.namespace.start(&nmap_words(kind, ports, targets), &log) }
    }

    /// The command line.
    #[must_use]
    pub fn line(&self) -> &str {
        self.running.line()
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.running.kill();
    }
}

/// A host sweep by nmap: ICMP echo, no ports.
#[must_use]
pub fn nmap_sweep(host: &Host, targets: &str) -> Finished {
    let words = ["nmap", "-n", "-sn", "-PE", "--disable-arp-ping", "--max-retries", "1", targets];
    host.run(&words, TOOL_LIMIT)
}

/// An hping3 run of at most `count` packets.
#[must_use]
pub fn hping(host: &Host, options: &[&str], count: u32, target: IpAddr) -> Finished {
    let (count, target) = (count.to_string(), target.to_string());
    let words = [&["hping3", "-n", "-q", "-c", &count][..], options, &[&target]].concat();
    host.run(&words, TOOL_LIMIT)
}

/// Scapy in one expression: `packets` is Python that makes a packet or a list of layer-3 packets.
#[must_use]
pub fn scapy(host: &Host, packets: &str) -> Finished {
    let program = format!(
        "from scapy.all import *\nconf.verb=0\nconf.iface={device:?}\nsend({packets})\n",
        device = DEVICE
    );
    host.run(&["/usr/bin/python3", "-c", &program], TOOL_LIMIT)
}

/// WinNuke: out-of-band data on an established NetBIOS session, and more right behind it.
pub fn winnuke(host: &Host, target: IpAddr) {
    let program = format!(
        "import socket\n\
         s = socket.create_connection(('{target}', 139), 5)\n\
         s.send(b'{WINNUKE_DATA}', socket.MSG_OOB)\n\
         for _ in range(20):\n    s.send(b'{WINNUKE_SEQUEL}')\n"
    );
    // It fails where the engine ends the connection, as it should.
    let _ = host.run(&["/usr/bin/python3", "-c", &program], Duration::from_secs(10));
}

/// What WinNuke sends out of band.
pub const WINNUKE_DATA: &str = "out of band";
/// What it sends behind it.
pub const WINNUKE_SEQUEL: &str = "and more of it";

/// The first line that an SSH server says; empty where nothing answers.
#[must_use]
pub fn ssh_banner(host: &Host, target: IpAddr) -> String {
    let server = format!("TCP:{target}:22,connect-timeout=3");
    host.run(&["socat", "-u", "-T2", &server, "STDOUT"], REQUEST_LIMIT).stdout
}

/// A few bad log-ins over SSH by hydra.
#[must_use]
pub fn guess_ssh(host: &Host, target: IpAddr, passwords: &Path) -> Finished {
    let passwords = passwords.to_string_lossy();
    let url = format!("ssh://{target}");
    host.run(&["hydra", "-I", "-t", "4", "-l", "root", "-P", &passwords, &url], TOOL_LIMIT)
}

/// Puts the frames of a capture on a side's wire, as they are, at `per_second`.
#[must_use]
pub fn replay(lab: &Lab, side: Side, capture: &Path, per_second: u32) -> Finished {
    let (capture, rate) = (capture.to_string_lossy(), format!("--pps={per_second}"));
    lab.bridge(side).run(&["tcpreplay", "-q", "-i", WIRE, &rate, &capture], TOOL_LIMIT)
}

/// A TCP transfer of `seconds` by iperf3 over `streams` connections.
#[must_use]
pub fn iperf(host: &Host, target: IpAddr, seconds: u32, streams: u32) -> Finished {
    let (target, seconds, streams) = (target.to_string(), seconds.to_string(), streams.to_string());
    let words = ["iperf3", "-J", "-c", &target, "-t", &seconds, "-P", &streams];
    host.run(&words, TOOL_LIMIT)
}

/// What became of a UDP stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Datagrams that the sender's kernel took.
    pub sent: u64,
    /// Different datagrams that arrived.
    pub received: u64,
    /// Datagrams that arrived more than once.
    pub repeated: u64,
    /// For how long they were sent.
    pub time: Duration,
}

impl Delivery {
    /// Datagrams sent a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.sent as f64 / self.time.as_secs_f64()
    }

    /// Whether every one arrived.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.sent == self.received
    }
}

/// A numbered, paced UDP stream from one host to another, until [`UdpStream::finish`].
#[derive(Debug)]
pub struct UdpStream {
    is_over: Arc<AtomicBool>,
    sender: std::thread::JoinHandle<(u64, Duration)>,
    receiver: std::thread::JoinHandle<(u64, u64)>,
}

/// The stream's port.
const STREAM_PORT: u16 = 9099;
/// Room in the receiver's socket for 100 ms of the fastest stream, so that what is missing was
/// lost on the way.
const STREAM_BUFFER_LEN: usize = 32 << 20;
/// Bytes in a datagram: with the headers the smallest Ethernet frame plus a number.
const STREAM_DATAGRAM_LEN: usize = 26;

impl UdpStream {
    /// Starts sending `per_second` datagrams from `from` to `to`, over IPv4.
    #[must_use]
    pub fn start(from: &Host, to: &Host, per_second: u32) -> UdpStream {
        static STREAMS: AtomicU64 = AtomicU64::new(1);
        // What is left of an earlier stream on the way counts for nothing.
        let name = STREAMS.fetch_add(1, Ordering::Relaxed);
        let is_over = Arc::new(AtomicBool::new(false));
        let target = SocketAddr::from((to.plan.v4, STREAM_PORT));
        let (ready, is_ready) = std::sync::mpsc::channel();
        let receiver = to.namespace.within(move || {
            let socket = UdpSocket::bind(target).expect("the stream's port is free");
            rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, STREAM_BUFFER_LEN)
                .expect("root may set a large buffer");
            let _ = ready.send(());
            receive_numbers(&socket, name)
        });
        is_ready.recv_timeout(REQUEST_LIMIT).expect("the receiver starts");
        let flag = Arc::clone(&is_over);
        let sender = from.namespace.within(move || {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a port is free");
            let sent = send_numbers(&socket, target, (per_second, name), &flag);
            // The end is told many times, slowly: one of them arrives, even through a lossy gate.
            for _ in 0..20 {
                std::thread::sleep(Duration::from_millis(20));
                let _ = socket.send_to(&datagram(0, name), target);
            }
            sent
        });
        UdpStream { is_over, sender, receiver }
    }

    /// Stops sending, waits for what is on its way, and counts.
    #[must_use]
    pub fn finish(self) -> Delivery {
        self.is_over.store(true, Ordering::Relaxed);
        let (sent, time) = self.sender.join().expect("the sending thread does not panic");
        let (received, repeated) = self.receiver.join().expect("the receiver does not panic");
        Delivery { sent, received, repeated, time }
    }
}

/// Sends at a rate while `change` works; what was delivered.
#[must_use]
pub fn while_sending(
    (from, to): (&Host, &Host),
    per_second: u32,
    change: impl FnOnce(),
) -> Delivery {
    let stream = UdpStream::start(from, to, per_second);
    change();
    stream.finish()
}

/// Where the search for a loss-free rate begins, datagrams a second, and where it ends.
const LOSS_FREE: std::ops::Range<u32> = 20_000..1_000_000;

/// Half of the highest rate tried that loses nothing for a second; rates above `most` are not
/// tried. The two cores that there may be hold the sender, the receiver, the worker and whatever
/// else the machine does.
#[must_use]
pub fn half_of_loss_free(ends: (&Host, &Host), most: u32) -> u32 {
    let (mut rate, mut best) = (LOSS_FREE.start, LOSS_FREE.start);
    'rates: while rate < LOSS_FREE.end.min(most) {
        for _ in 0..2 {
            let second = || std::thread::sleep(Duration::from_secs(1));
            let delivery = while_sending(ends, rate, second);
            if delivery.is_whole() && delivery.rate() > 0.9 * f64::from(rate) {
                best = rate;
                rate += rate / 2;
                continue 'rates;
            }
        }
        break;
    }
    best / 2
}

/// A stream's datagram of a number; number 0 is its end.
fn datagram(number: u64, name: u64) -> [u8; STREAM_DATAGRAM_LEN] {
    let mut datagram = [0_u8; STREAM_DATAGRAM_LEN];
    datagram[..8].copy_from_slice(&number.to_be_bytes());
    datagram[8..16].copy_from_slice(&name.to_be_bytes());
    datagram
}

/// What a sender that had no core makes up for at once, at most: a longer burst says nothing of the
/// rate that is asked for.
const DEBT_MAX: Duration = Duration::from_millis(4);

/// Sends 1, 2, 3, … in bursts of a millisecond; how many the kernel took, and in what time.
fn send_numbers(
    socket: &UdpSocket,
    target: SocketAddr,
    (per_second, name): (u32, u64),
    is_over: &AtomicBool,
) -> (u64, Duration) {
    let started = Instant::now();
    let mut forgiven = Duration::ZERO;
    let mut sent = 0_u64;
    while !is_over.load(Ordering::Relaxed) {
        let paid = Duration::from_secs_f64(sent as f64 / f64::from(per_second));
        let passed = started.elapsed().saturating_sub(forgiven);
        forgiven += passed.saturating_sub(paid).saturating_sub(DEBT_MAX);
        let passed = started.elapsed().saturating_sub(forgiven);
        let due = passed.as_micros() * u128::from(per_second) / 1_000_000;
        while u128::from(sent) < due {
            if socket.send_to(&datagram(sent + 1, name), target).is_err() {
                break;
            }
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    (sent, started.elapsed())
}

/// Counts different and repeated numbers until the number 0 arrives, or nothing for five seconds.
fn receive_numbers(socket: &UdpSocket, name: u64) -> (u64, u64) {
    socket.set_read_timeout(Some(REQUEST_LIMIT)).expect("a time-out can be set");
    // By the number: a set that grows while it counts would be a pause of its own.
    let mut seen = vec![false; 1 << 20];
    let (mut received, mut repeated) = (0, 0);
    let mut buffer = [0_u8; 2048];
    while let Ok(len) = socket.recv(&mut buffer) {
        let mut words = buffer[..len].as_chunks::<8>().0.iter().map(|w| u64::from_be_bytes(*w));
        let (Some(number), Some(of)) = (words.next(), words.next()) else { continue };
        if of != name {
            continue;
        }
        match number {
            0 => break,
            number => {
                let place = usize::try_from(number).expect("a count fits");
                if place >= seen.len() {
                    seen.resize(2 * place, false);
                }
                if std::mem::replace(&mut seen[place], true) {
                    repeated += 1;
                } else {
                    received += 1;
                }
            }
        }
    }
    (received, repeated)
}
