//! Real services on the servers: HTTP by Python, SSH by OpenSSH, echo by socat.
//!
//! Must never know: who calls them.

use std::path::PathBuf;
use std::time::Duration;

use crate::command::{self, Running};
use crate::lab::{Host, Lab};

/// What the web server answers with.
pub const PAGE: &str = "<h1>the gate is open to honest people</h1>\n";
/// A file of the web server that takes a while.
pub const LARGE_FILE: &str = "large";
/// Bytes in [`LARGE_FILE`].
pub const LARGE_FILE_LEN: usize = 4 << 20;
/// How long a service may take to listen.
const START_LIMIT: Duration = Duration::from_secs(15);

/// A service that runs on a host until this is dropped.
#[derive(Debug)]
pub struct Service {
    /// The server process.
    pub process: Running,
    /// Its port.
    pub port: u16,
    /// Where its output goes.
    pub log: PathBuf,
}

/// A web server on port 80 of every address, IPv4 and IPv6.
#[must_use]
pub fn http(lab: &Lab, host: &Host) -> Service {
    let root = lab.folder().join(format!("www-{}", host.plan.name));
    std::fs::create_dir_all(&root).expect("the lab's folder can be written");
    std::fs::write(root.join("index.html"), PAGE).expect("the lab's folder can be written");
    std::fs::write(root.join(LARGE_FILE), vec![b'x'; LARGE_FILE_LEN])
        .expect("the lab's folder can be written");
    let root = root.to_str().expect("the lab's folder has a plain name");
    let words = ["/usr/bin/python3", "-m", "http.server", "80", "--bind", "::", "-d", root];
    start(lab, host, "http", &words, 80)
}

/// An OpenSSH server on port 22 with a host key of its own; password log-ins are refused late
/// enough that a guesser can try.
#[must_use]
pub fn ssh(lab: &Lab, host: &Host) -> Service {
    let folder = lab.folder().join(format!("ssh-{}", host.plan.name));
    std::fs::create_dir_all(&folder).expect("the lab's folder can be written");
    std::fs::create_dir_all("/run/sshd").expect("root can write /run");
    let key = folder.join("key");
    let configuration = folder.join("config");
    let key = key.to_str().expect("the lab's folder has a plain name");
    command::must(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]);
    let text = format!(
        "HostKey {key}\nPidFile none\nPort 22\nUsePAM no\nPasswordAuthentication yes\n\
         PermitRootLogin yes\nMaxAuthTries 6\nMaxStartups 100:30:200\nUseDNS no\n"
    );
    std::fs::write(&configuration, text).expect("the lab's folder can be written");
    let configuration = configuration.to_str().expect("the lab's folder has a plain name");
    start(lab, host, "ssh", &["/usr/sbin/sshd", "-D", "-e", "-f", configuration], 22)
}

/// A UDP echo service on port 7 of every address.
#[must_use]
pub fn udp_echo(lab: &Lab, host: &Host) -> Service {
    let words = ["socat", "-T5", "UDP6-LISTEN:7,fork,reuseaddr,ipv6only=0", "PIPE"];
    start(lab, host, "echo", &words, 7)
}

/// A throughput server (iperf3) on port 5201.
#[must_use]
pub fn iperf(lab: &Lab, host: &Host) -> Service {
    start(lab, host, "iperf3", &["iperf3", "-s"], 5201)
}

/// An open TCP port that accepts and says nothing.
#[must_use]
pub fn open_port(lab: &Lab, host: &Host, port: u16) -> Service {
    let address = format!("TCP6-LISTEN:{port},fork,reuseaddr,ipv6only=0");
    start(lab, host, &format!("open-{port}"), &["socat", "-u", &address, "OPEN:/dev/null"], port)
}

fn start(lab: &Lab, host: &Host, name: &str, words: &[&str], port: u16) -> Service {
    let log = lab.folder().join(format!("{name}-{}.log", host.plan.name));
    let mut process = host.namespace.start(words, &log);
    let filter = format!("sport = :{port}");
    let listens = command::wait_until(START_LIMIT, || {
        let sockets = host.namespace.must(&["ss", "-Htuln", &filter]);
        !sockets.trim().is_empty() || !process.is_alive()
    });
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    assert!(listens && process.is_alive(), "`{}` does not start: {text}", process.line());
    Service { process, port, log }
}
