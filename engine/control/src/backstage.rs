//! Work that wants a core for a moment while the street runs: compiling, warming, freeing. It has
//! only what nobody else wants of a core, for as long as it can wait.
//!
//! ```text
//!   caller ── work ──► threads of its own, SCHED_IDLE ── patience over ──► SCHED_OTHER
//!      └── waits ◄───────────────── what it gave ──────────────────┘
//! ```
//!
//! Everything that the work itself spreads over cores (a module's functions are compiled side by
//! side) stays on these threads; they end with it, so nothing else inherits their place. This file
//! must never know what the work is.

use crossbeam::channel::{RecvTimeoutError, bounded};
use rustix::process::Pid;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

/// How long another set of rules or another detector waits for a core that is free. Behind it the
/// threads compete like all others: a machine that is never idle must take new rules too.
pub(crate) const SWAP_PATIENCE: Duration = Duration::from_secs(10);
/// The same for a spare: a detector that fails again before it is there does not look.
pub(crate) const SPARE_PATIENCE: Duration = Duration::from_secs(1);

/// Threads at most: what compiles takes no more memory than that many functions want.
const THREADS_MAX: usize = 8;

/// Does the work behind everything else that wants a core, and waits for it. Where there are no
/// such threads it is done like anything else, and the log says so.
pub(crate) fn behind<T: Send>(patience: Duration, work: impl FnOnce() -> T + Send) -> T {
    let crew = Crew::default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(cores.min(THREADS_MAX))
        .thread_name(|n| format!("backstage {n}"))
        .start_handler({
            let crew = crew.clone();
            move |_| crew.join()
        })
        .build();
    let pool = match pool {
        Ok(pool) => pool,
        Err(error) => {
            tracing::warn!(%error, "no threads for what can wait: it competes with the workers");
            return work();
        }
    };
    let mut result = None;
    pool.in_place_scope(|scope| {
        let (done, is_done) = bounded(1);
        let result = &mut result;
        scope.spawn(move |_| {
            *result = Some(work());
            // Nobody listens where the patience is over.
            let _ = done.send(());
        });
        if is_done.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            crew.come_forward();
        }
    });
    // The scope has ended, so the work has; its panic would have gone on in the scope.
    result.unwrap_or_else(|| unreachable!("the scope waits for the work"))
}

/// The threads of one piece of work.
#[derive(Clone, Default)]
struct Crew {
    shared: std::sync::Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    threads: Mutex<Vec<Pid>>,
    is_over: AtomicBool,
}

impl Crew {
    /// The calling thread steps behind all others.
    fn join(&self) {
        let mut threads = self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shared.is_over.load(Ordering::Relaxed) {
            return;
        }
        let thread = rustix::thread::gettid();
        match set_policy(thread, libc::SCHED_IDLE) {
            Ok(()) => threads.push(thread),
            Err(error) => {
                // The lowest that the other policy has; it stays there.
                if let Err(error) = rustix::process::setpriority_process(Some(thread), 19) {
                    tracing::warn!(%error, "compiling competes with the workers for a core");
                } else {
                    tracing::warn!(%error, "no SCHED_IDLE: what can wait runs at nice 19");
                }
            }
        }
    }

    /// They have waited long enough.
    fn come_forward(&self) {
        static TOLD: Once = Once::new();
        let mut threads = self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.is_over.store(true, Ordering::Relaxed);
        let mut refused = None;
        for thread in threads.drain(..) {
            refused = set_policy(thread, libc::SCHED_OTHER).err().or(refused);
        }
        match refused {
            None => tracing::info!("the cores are busy: what could wait competes for them now"),
            Some(error) => TOLD.call_once(|| {
                tracing::warn!(
                    %error,
                    "the cores are busy and what waits may not compete for them; \
                     give the engine CAP_SYS_NICE, or a core that is no worker's"
                );
            }),
        }
    }
}

/// Puts a thread under one of the policies without priorities.
#[allow(unsafe_code, reason = "no crate in use wraps it")]
fn set_policy(thread: Pid, policy: libc::c_int) -> std::io::Result<()> {
    // SAFETY: sched_param is plain integers, and musl's has more of them.
    let priority: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live local of the right type, which is only read.
    match unsafe { libc::sched_setscheduler(thread.as_raw_pid(), policy, &raw const priority) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
#[allow(unsafe_code, reason = "no crate in use wraps it")]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Of the calling thread.
    fn policy() -> libc::c_int {
        // SAFETY: no pointers; 0 is the calling thread.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn work_and_all_that_it_spreads_is_behind_everything_and_nothing_inherits_that() {
        let before = policy();
        assert_ne!(before, libc::SCHED_IDLE);
        let spread = AtomicUsize::new(0);
        let of_work = behind(Duration::from_secs(60), || {
            rayon::scope(|scope| {
                for _ in 0..64 {
                    scope.spawn(|_| {
                        assert_eq!(policy(), libc::SCHED_IDLE);
                        spread.fetch_add(1, Ordering::Relaxed);
                    });
                }
            });
            policy()
        });
        assert_eq!((of_work, spread.into_inner()), (libc::SCHED_IDLE, 64));
        assert_eq!(policy(), before);
        let after = std::thread::spawn(policy).join().expect("no panic");
        assert_eq!(after, before);
    }

    #[test]
    fn what_has_waited_long_enough_competes() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: not root, and coming forward takes CAP_SYS_NICE");
            return;
        }
        let limit = std::time::Instant::now() + Duration::from_secs(30);
        let competes = behind(Duration::from_millis(20), || {
            while policy() == libc::SCHED_IDLE && std::time::Instant::now() < limit {
                std::thread::sleep(Duration::from_millis(1));
            }
            policy() == libc::SCHED_OTHER
        });
        assert!(competes);
    }

    #[test]
    #[should_panic(expected = "torn")]
    fn a_panic_of_the_work_is_the_callers() {
        behind(Duration::from_secs(60), || panic!("torn"));
    }
}
