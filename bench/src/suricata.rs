//! Suricata kept running: one process that loads its rules once and is handed captures over its
//! command socket; between captures it drops its state.
//!
//! It must never know what is asked of a capture.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Loading 25,000 rules takes ten seconds, more on a busy machine.
const LOADING: Duration = Duration::from_secs(300);
/// How often it is asked whether it is done; it looks for a new capture five times a second itself.
const LOOK: Duration = Duration::from_millis(200);
/// Its own protocol's version.
const HELLO: &str = "0.2";

/// Suricata as a process; it ends with this.
#[derive(Debug)]
pub struct Suricata {
    child: Child,
    socket: UnixStream,
}

impl Drop for Suricata {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Suricata {
    /// Starts it; `command` has all but the socket, `folder` holds the socket and what it prints.
    ///
    /// # Errors
    /// It cannot be started, or ends while loading.
    pub fn start(mut command: Command, folder: &Path) -> Result<Suricata> {
        let (path, printed) = (folder.join("socket"), folder.join("suricata.log"));
        let log = std::fs::File::create(&printed)?;
        command.arg(format!("--unix-socket={}", path.display()));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{command:?}: run scripts/peer"))?;
        let deadline = Instant::now() + LOADING;
        let socket = loop {
            if let Ok(stream) = UnixStream::connect(&path) {
                break stream;
            }
            if let Some(status) = child.try_wait()? {
                let text = std::fs::read_to_string(&printed).unwrap_or_default();
                bail!("suricata ended with {status} while loading: {text}");
            }
            ensure!(Instant::now() < deadline, "suricata still loads after {LOADING:?}");
            std::thread::sleep(Duration::from_millis(100));
        };
        socket.set_read_timeout(Some(LOADING))?;
        let mut peer = Suricata { child, socket };
        peer.send(&json!({ "version": HELLO }))?;
        Ok(peer)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Appends a capture to those that it reads one after the other; its outputs go to `folder`,
    /// which is there.
    ///
    /// # Errors
    /// It refuses.
    pub fn hand(&mut self, capture: &Path, folder: &Path) -> Result<()> {
        let arguments = json!({ "filename": capture, "output-dir": folder });
        let answer = self.send(&json!({ "command": "pcap-file", "arguments": arguments }))?;
        ensure!(answer["return"] == "OK", "{}: {answer}", capture.display());
        Ok(())
    }

    /// Waits until all captures are read and their state is gone.
    ///
    /// # Errors
    /// It ends, or takes longer.
    pub fn finish(&mut self, at_most: Duration) -> Result<()> {
        let deadline = Instant::now() + at_most;
        loop {
            let waiting = self.send(&json!({ "command": "pcap-file-number" }))?;
            let current = self.send(&json!({ "command": "pcap-current" }))?;
            if waiting["message"] == 0 && current["message"] == "None" {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "still reading after {at_most:?}: {current}");
            std::thread::sleep(LOOK);
        }
    }

    /// Sends one value and reads the one that answers it.
    fn send(&mut self, what: &Value) -> Result<Value> {
        // In one write: it takes what the first read gives for the whole.
        let line = format!("{what}\n");
        self.socket.write_all(line.as_bytes()).context("suricata's socket")?;
        let mut answer = Vec::new();
        let mut bytes = [0; 4096];
        loop {
            let n = self.socket.read(&mut bytes).context("suricata's answer")?;
            ensure!(n > 0, "suricata closed its socket after {what}");
            answer.extend_from_slice(bytes.get(..n).unwrap_or_default());
            if let Ok(value) = serde_json::from_slice(&answer) {
                return Ok(value);
            }
        }
    }
}
