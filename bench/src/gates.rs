//! The engine kept running: one `replay --each` that reads captures one after the other and stops
//! before each, so that what a capture costs can be read from outside.
//!
//! A gate is a pipe that is named as a capture: the engine waits on it until somebody writes, and
//! what is written is a capture of no frames. It must never know what is measured.

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest wait for a gate: loading, or one capture.
const WAIT: Duration = Duration::from_secs(1800);
/// A capture's header: microseconds, version 2.4, Ethernet, no frame.
const EMPTY: [u8; 24] =
    [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];

/// A replay that is stopped at gates; it ends with this.
#[derive(Debug)]
pub struct Gates {
    child: Child,
    /// Those where the engine has not been yet.
    ahead: std::vec::IntoIter<PathBuf>,
    /// The one where it waits.
    at: Option<File>,
}

impl Drop for Gates {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gates {
    /// Starts `command`, a replay but for its captures, and waits until it is loaded. `folder`
    /// holds the gates and what it prints.
    ///
    /// # Errors
    /// It cannot be started, or ends.
    pub fn start(mut command: Command, folder: &Path, captures: &[PathBuf]) -> Result<Gates> {
        let gates: Vec<PathBuf> =
            (0..=captures.len()).map(|n| folder.join(format!("gate-{n}"))).collect();
        ensure!(Command::new("mkfifo").args(&gates).status()?.success(), "mkfifo failed");
        for (gate, capture) in gates.iter().zip(captures) {
            command.arg(gate).arg(capture);
        }
        let log = File::create(folder.join("replay.log"))?;
        let child = command
            .args(gates.last())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let mut gates = Gates { child, ahead: gates.into_iter(), at: None };
        gates.arrive()?;
        Ok(gates)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it read the next capture and returns when it has.
    ///
    /// # Errors
    /// It ends, or there is no more.
    pub fn pass(&mut self) -> Result<()> {
        let mut gate = self.at.take().context("no capture is left")?;
        gate.write_all(&EMPTY)?;
        drop(gate);
        self.arrive()
    }

    /// Lets it go on behind the last gate, to its end.
    ///
    /// # Errors
    /// It fails.
    pub fn end(mut self) -> Result<()> {
        self.at.take().context("it has ended")?.write_all(&EMPTY)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the engine ended with {status}");
        Ok(())
    }

    fn arrive(&mut self) -> Result<()> {
        let path = self.ahead.next().context("no capture is left")?;
        let deadline = Instant::now() + WAIT;
        loop {
            // Fails as long as nobody has opened it to read.
            let mut options = File::options();
            options.write(true).custom_flags(libc::O_NONBLOCK);
            if let Ok(gate) = options.open(&path) {
                self.at = Some(gate);
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the engine ended with {status}; see {}", path.display());
            }
            ensure!(Instant::now() < deadline, "the engine still reads after {WAIT:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
