//! A process measured from outside, by the operating system's own accounting.

use anyhow::{Context, Result, bail, ensure};
use std::process::{Command, Stdio};

/// What a finished process has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Seconds of user and system time of all its threads.
    pub cpu: f64,
    /// Largest resident set, bytes.
    pub peak_bytes: u64,
    /// Seconds on the wall.
    pub wall: f64,
}

/// Runs the command to its end and returns what it has used with what it printed.
///
/// # Errors
/// It cannot be started, or ends with another code than 0; its standard error is in the message.
#[allow(unsafe_code, reason = "wait4 is the only call that gives one child's usage")]
pub fn measure(command: &mut Command) -> Result<(Usage, String)> {
    let began = std::time::Instant::now();
    let out = tempfile()?;
    let err = tempfile()?;
    let child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(err.try_clone()?)
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    let pid = libc::pid_t::try_from(child.id()).context("a process id")?;
    let mut status = 0;
    let mut usage: libc::rusage = unsafe_zeroed();
    // SAFETY: both pointers are to live locals of the right types; the child is ours and is not
    // waited for elsewhere (`child` is never waited on). Justification: see the attribute.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    if waited != pid {
        bail!("wait4: {}", std::io::Error::last_os_error());
    }
    let printed = read(out)?;
    if !libc::WIFEXITED(status) || libc::WEXITSTATUS(status) != 0 {
        bail!("{command:?} ended with status {status}: {}", read(err)?);
    }
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    let usage = Usage {
        cpu: seconds(usage.ru_utime) + seconds(usage.ru_stime),
        peak_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
        wall: began.elapsed().as_secs_f64(),
    };
    Ok((usage, printed))
}

/// Processor time that the calling thread has used, seconds.
#[allow(unsafe_code, reason = "no crate in use wraps it but those of the engine")]
pub fn thread_cpu() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live local of the right type. Justification: see the attribute.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Processor time of a process that runs, seconds: user and system, all its threads, those that
/// have ended among them.
///
/// # Errors
/// There is no such process.
#[allow(unsafe_code, reason = "no crate in use wraps another process's clock")]
pub fn process_cpu(process: u32) -> Result<f64> {
    let mut clock: libc::clockid_t = 0;
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let pid = libc::pid_t::try_from(process).context("a process id")?;
    // SAFETY: both pointers are to live locals of the right types. Justification: see the
    // attribute.
    let failed = unsafe {
        libc::clock_getcpuclockid(pid, &raw mut clock) != 0
            || libc::clock_gettime(clock, &raw mut t) != 0
    };
    ensure!(!failed, "no clock of process {process}: {}", std::io::Error::last_os_error());
    Ok(t.tv_sec as f64 + t.tv_nsec as f64 / 1e9)
}

#[allow(unsafe_code, reason = "rusage has no constructor")]
fn unsafe_zeroed() -> libc::rusage {
    // SAFETY: rusage is plain integers; all zero is a value of it. Justification: see above.
    unsafe { std::mem::zeroed() }
}

fn tempfile() -> Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(std::env::temp_dir())
        .context("a temporary file")
}

fn read(mut file: std::fs::File) -> Result<String> {
    use std::io::{Read, Seek};
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text)
}
