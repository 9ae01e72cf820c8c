//! Sleeping until a frame arrives.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::Port;
use super::segment::busy_poll;
use super::socket::Link;
use crate::Wait;

/// How long `Adaptive` spins before it sleeps. Longer buys nothing: on a shared core the spinning
/// itself delays the sender.
const SPIN: Duration = Duration::from_micros(20);

/// While frames wait to be sent, sleeping longer than this would hold them up.
const UNSENT_MAX: Duration = Duration::from_millis(1);

/// Waits as `how` says, at most `timeout`. Where nothing came, asks each port whether it is there:
/// a port that is deleted wakes nobody.
pub(super) fn wait(ports: &mut [Port], how: Wait, timeout: Duration) {
    if has_some(ports) {
        return;
    }
    match how {
        Wait::Adaptive => {
            if spin(ports, SPIN.min(timeout)) {
                return;
            }
            sleep(ports, timeout);
        }
        Wait::BusyPoll => {
            for socket in ports.iter().flat_map(|p| &p.sockets) {
                socket.nudge_receive(busy_poll(how));
            }
            if !has_some(ports) {
                sleep(ports, timeout);
            }
        }
        Wait::Poll => sleep(ports, timeout),
        Wait::Spin => {
            if spin(ports, timeout) {
                return;
            }
        }
    }
    if !has_some(ports) {
        for port in ports {
            if let Some(first) = port.sockets.first() {
                let link = first.probe();
                port.note(link);
            }
        }
    }
}

fn has_some(ports: &[Port]) -> bool {
    ports.iter().flat_map(|p| &p.sockets).any(|s| s.rx.has_some())
}

/// Looks again and again for `time`; whether something came.
fn spin(ports: &[Port], time: Duration) -> bool {
    let until = Instant::now() + time;
    loop {
        for _ in 0..64 {
            if has_some(ports) {
                return true;
            }
            std::hint::spin_loop();
        }
        if Instant::now() >= until {
            return false;
        }
    }
}

/// Sleeps in `poll()`. The ports that are gone are left out: they would never wake anybody.
fn sleep(ports: &mut [Port], timeout: Duration) {
    let unsent = ports.iter_mut().flat_map(|p| &mut p.sockets).any(|s| s.tx.waiting() > 0);
    let timeout = if unsent { timeout.min(UNSENT_MAX) } else { timeout };
    let sockets = ports.iter().filter(|p| p.link != Link::Gone).flat_map(|p| &p.sockets);
    // A few entries, allocated only when there is nothing to do anyway.
    let mut fds: Vec<PollFd<'_>> =
        sockets.map(|s| PollFd::from_borrowed_fd(s.as_fd(), PollFlags::IN)).collect();
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let _ = rustix::event::poll(&mut fds, Some(&timeout));
}
