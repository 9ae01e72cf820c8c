//! Other programs: run to their end within a time limit, or kept running and killed in `Drop`.
//!
//! Must never know: what the programs are for.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// The limit of commands that only change the machine's set-up.
pub const SETUP_LIMIT: Duration = Duration::from_secs(20);

/// What a program that ended left behind.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The command line, for messages.
    pub line: String,
    /// Exit code; 124 where `timeout` ended it, `None` where a signal did.
    pub code: Option<i32>,
    /// Everything written to standard output.
    pub stdout: String,
    /// Everything written to standard error.
    pub stderr: String,
    /// Wall-clock time from start to end.
    pub took: Duration,
}

impl Finished {
    /// Whether the program ended by itself with code 0.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// The standard output, or a panic that shows everything where the program failed.
    #[must_use]
    pub fn expect_success(self) -> String {
        assert!(self.succeeded(), "{self}");
        self.stdout
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` ended with {:?} after {:?}\n--- stdout\n{}--- stderr\n{}",
            self.line, self.code, self.took, self.stdout, self.stderr
        )
    }
}

/// Runs a program to its end; `timeout` ends it after `limit` and kills it two seconds later.
#[must_use]
pub fn run(words: &[&str], limit: Duration) -> Finished {
    run_with_input(words, "", limit)
}

/// As [`run`], with `input` on standard input.
#[must_use]
pub fn run_with_input(words: &[&str], input: &str, limit: Duration) -> Finished {
    let started = Instant::now();
    let mut child = Command::new("timeout")
        .args(["-k", "2", &format!("{:.3}", limit.as_secs_f64())])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start `{}`: {e}; run scripts/setup", words.join(" ")));
    if let Some(mut pipe) = child.stdin.take() {
        // A program that ends without reading its input is no fault of the lab.
        let _ = pipe.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().expect("the child's pipes can be read to their end");
    Finished {
        line: words.join(" "),
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: started.elapsed(),
    }
}

/// Runs a set-up command that has to succeed; its standard output.
pub fn must(words: &[&str]) -> String {
    run(words, SETUP_LIMIT).expect_success()
}

/// As [`must`], with `input` on standard input.
pub fn must_with_input(words: &[&str], input: &str) -> String {
    run_with_input(words, input, SETUP_LIMIT).expect_success()
}

/// Whether a program of that name can be started.
#[must_use]
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    path.split(':').any(|folder| Path::new(folder).join(program).is_file())
}

/// A program that runs beside the test; it is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    line: String,
}

impl Running {
    /// Starts a program whose output of both kinds goes to the file `log`.
    ///
    /// `timeout` is not in between: the process that signals reach is the program itself.
    #[must_use]
    pub fn start(words: &[&str], log: &Path) -> Running {
        let (program, rest) = words.split_first().expect("a command has a first word");
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap_or_else(|e| panic!("cannot write {}: {e}", log.display()));
        let err = out.try_clone().expect("a file handle can be cloned");
        let child = Command::new(program)
            .args(rest)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start `{}`: {e}", words.join(" ")));
        Running { child, line: words.join(" ") }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The command line, for messages.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal; a program that has ended gets none.
    pub fn signal(&mut self, signal: Signal) {
        if self.is_alive() {
            let pid = Pid::from_child(&self.child);
            // It may have ended between the two calls: then there is nothing left to signal.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Waits for the end; the exit code, or `None` where it was still running at the limit or
    /// where a signal ended it.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let deadline = Instant::now() + limit;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.code(),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                _ => return None,
            }
        }
    }

    /// Asks it to end (SIGTERM), waits, and kills it at the limit; the exit code.
    pub fn stop(&mut self, limit: Duration) -> Option<i32> {
        self.signal(Signal::TERM);
        let code = self.wait(limit);
        self.kill();
        code
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks `question` every few milliseconds until it says yes; whether it did before the limit.
pub fn wait_until(limit: Duration, mut question: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if question() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
