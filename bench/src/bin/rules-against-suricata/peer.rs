//! Suricata's answers: one process that loads the rules once and is handed captures over its
//! command socket; between captures it drops its state.

use super::{Options, Pairs, rules};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Loading 25,000 rules takes ten seconds, more on a busy machine.
const LOADING: Duration = Duration::from_secs(300);
/// All captures together take about ten minutes.
const READING: Duration = Duration::from_secs(3600);
/// Its own protocol's version.
const HELLO: &str = "0.2";

/// What the peer said of captures.
#[derive(Default)]
pub(super) struct Answers {
    /// Its pairs.
    pub(super) pairs: Pairs,
    /// Those of them that it raised on packets inside tunnels only.
    pub(super) tunnelled: Pairs,
}

impl Answers {
    /// A line a pair, `inside` or `outside` of tunnels.
    fn text(&self) -> String {
        let mut text = String::new();
        for pair in &self.pairs {
            let mark = if self.tunnelled.contains(pair) { "inside" } else { "outside" };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}\t{}\t{mark}", pair.0, pair.1);
        }
        text
    }

    fn from_text(text: &str, files: &[&str]) -> Answers {
        let mut answers = Answers::default();
        for line in text.lines() {
            let mut columns = line.split('\t');
            let (Some(file), Some(Ok(sid)), Some(mark)) =
                (columns.next(), columns.next().map(str::parse), columns.next())
            else {
                continue;
            };
            if !files.contains(&file) {
                continue;
            }
            answers.note((file.to_owned(), sid), mark == "inside");
        }
        answers
    }

    /// An alert; one outside of tunnels makes its pair one of those.
    fn note(&mut self, pair: (String, u64), inside: bool) {
        let is_new = self.pairs.insert(pair.clone());
        if !inside {
            self.tunnelled.remove(&pair);
        } else if is_new {
            self.tunnelled.insert(pair);
        }
    }
}

/// The peer's answers: from the file that keeps them, which is made where it is missing.
pub(super) fn answers(options: &Options, files: &[&str]) -> Result<Answers> {
    let kept = &options.answers;
    if !kept.is_file() {
        let found = ask(options, files)?;
        std::fs::write(kept, found.text())
            .with_context(|| format!("--answers {}", kept.display()))?;
        return Ok(found);
    }
    Ok(Answers::from_text(&std::fs::read_to_string(kept)?, files))
}

/// The peer as a process; it ends with this.
struct Peer {
    child: Child,
    socket: UnixStream,
    folder: PathBuf,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn ask(options: &Options, files: &[&str]) -> Result<Answers> {
    let mut peer = Peer::start(options)?;
    for (number, file) in files.iter().enumerate() {
        let folder = peer.folder.join(number.to_string());
        std::fs::create_dir(&folder)?;
        let arguments = json!({
            "filename": options.corpus.join(file), "output-dir": folder,
        });
        let answer = peer.order("pcap-file", Some(arguments))?;
        ensure!(answer["return"] == "OK", "{file}: {answer}");
    }
    let deadline = Instant::now() + READING;
    loop {
        let waiting = peer.order("pcap-file-number", None)?;
        let current = peer.order("pcap-current", None)?;
        if waiting["message"] == 0 && current["message"] == "None" {
            break;
        }
        ensure!(Instant::now() < deadline, "still reading after {READING:?}: {current}");
        std::thread::sleep(Duration::from_millis(200));
    }
    let mut answers = Answers::default();
    for (number, file) in files.iter().enumerate() {
        let events = peer.folder.join(number.to_string()).join("eve.json");
        // A capture that cannot be opened may leave none.
        let text = std::fs::read_to_string(&events).unwrap_or_default();
        for line in text.lines() {
            let event: Value = serde_json::from_str(line).context("an event of the peer")?;
            if let Some(sid) = event["alert"]["signature_id"].as_u64() {
                answers.note(((*file).to_owned(), sid), event["tunnel"].is_object());
            }
        }
    }
    Ok(answers)
}

impl Peer {
    fn start(options: &Options) -> Result<Peer> {
        let name = format!("rules-against-suricata-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).with_context(|| format!("{}", folder.display()))?;
        let mut all = Vec::new();
        for file in rules::files(&options.rules)? {
            all.extend(std::fs::read(&file)?);
            all.push(b'\n');
        }
        let path = |name: &str| folder.join(name);
        std::fs::write(path("all.rules"), all)?;
        std::fs::write(path("suricata.yaml"), settings(options, &folder))?;
        let log = std::fs::File::create(path("log"))?;
        let mut command = Command::new(&options.suricata);
        command.arg("-c").arg(path("suricata.yaml")).arg("-S").arg(path("all.rules"));
        command.arg(format!("--unix-socket={}", path("socket").display()));
        command.arg("--set").arg(format!("vars.address-groups.HOME_NET={}", options.home));
        let external = options.external();
        command.arg("--set").arg(format!("vars.address-groups.EXTERNAL_NET={external}"));
        command.args(["-k", "none", "-l"]).arg(&folder);
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{}: run scripts/peer", options.suricata.display()))?;
        let socket = connect(child, &path("socket"))?;
        let (child, socket) = socket;
        let mut peer = Peer { child, socket, folder };
        peer.send(&json!({ "version": HELLO }))?;
        Ok(peer)
    }

    fn order(&mut self, command: &str, arguments: Option<Value>) -> Result<Value> {
        match arguments {
            Some(arguments) => self.send(&json!({ "command": command, "arguments": arguments })),
            None => self.send(&json!({ "command": command })),
        }
    }

    /// Sends one value and reads the one that answers it.
    fn send(&mut self, what: &Value) -> Result<Value> {
        // In one write: it takes what the first read gives for the whole.
        let line = format!("{what}\n");
        self.socket.write_all(line.as_bytes()).context("the peer's socket")?;
        let mut answer = Vec::new();
        let mut bytes = [0; 4096];
        loop {
            let n = self.socket.read(&mut bytes).context("the peer's answer")?;
            ensure!(n > 0, "the peer closed its socket after {what}");
            answer.extend_from_slice(bytes.get(..n).unwrap_or_default());
            if let Ok(value) = serde_json::from_slice(&answer) {
                return Ok(value);
            }
        }
    }
}

fn connect(mut child: Child, socket: &Path) -> Result<(Child, UnixStream)> {
    let deadline = Instant::now() + LOADING;
    loop {
        if let Ok(stream) = UnixStream::connect(socket) {
            stream.set_read_timeout(Some(LOADING))?;
            return Ok((child, stream));
        }
        if let Some(status) = child.try_wait()? {
            bail!("the peer ended with {status} while loading");
        }
        ensure!(Instant::now() < deadline, "the peer still loads after {LOADING:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Its own configuration as shipped, with the settings that the comparison needs over it.
fn settings(options: &Options, folder: &Path) -> String {
    let midstream = if options.midstream { "yes" } else { "no" };
    format!(
        "%YAML 1.1
---
include: /etc/suricata/suricata.yaml
outputs:
  - eve-log:
      enabled: yes
      filetype: regular
      filename: eve.json
      types: [alert]
stats:
  enabled: no
stream:
  midstream: {midstream}
  async-oneside: {midstream}
unix-command:
  enabled: yes
  filename: {}/socket
",
        folder.display()
    )
}
