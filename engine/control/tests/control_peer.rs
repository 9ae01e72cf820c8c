//! A process of another user at the control socket: turned away, and let in once it is listed.
//! Needs root, to become somebody else; skipped with a line where it is not.

#![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const SOCKET: &str = "PORTCULLIS_PEER_TEST_SOCKET";
const NOBODY: u32 = 65_534;

#[path = "support/mute.rs"]
mod mute;

/// Not a test: the other user's process. It prints the status line of what it was answered.
#[test]
fn child() {
    use std::io::{Read, Write};
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let mut stream = UnixStream::connect(socket).unwrap();
    let _ = stream.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    println!("answer: {}", String::from_utf8_lossy(&answer).replace("\r\n", " | "));
}

fn ask_as(uid: u32, gid: u32, dir: &Path) -> String {
    let out = Command::new(dir.join("child"))
        .args(["--exact", "child", "--nocapture"])
        .env(SOCKET, dir.join("control.sock"))
        .uid(uid)
        .gid(gid)
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn only_listed_peers_are_let_in() {
    use portcullis_control::api::{ControlServer, Permitted, ServerSettings};
    if !rustix::process::getuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let open = |path: &Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    open(dir.path());
    std::fs::copy(std::env::current_exe().unwrap(), dir.path().join("child")).unwrap();
    open(&dir.path().join("child"));
    let permitted =
        |uids: &[u32], gids: &[u32]| Permitted { uids: uids.to_vec(), gids: gids.to_vec() };
    let server = ControlServer::start(
        &ServerSettings {
            socket: dir.path().join("control.sock"),
            permitted: permitted(&[4_000_000], &[]),
            body_max: 4096,
            timeout: std::time::Duration::from_secs(5),
            metrics: None,
        },
        std::sync::Arc::new(mute::Mute),
    )
    .unwrap();
    let answer = ask_as(NOBODY, NOBODY, dir.path());
    assert!(answer.contains("403 Forbidden") && answer.contains("control.uids"), "{answer}");
    server.permit(permitted(&[NOBODY], &[]));
    assert!(ask_as(NOBODY, NOBODY, dir.path()).contains("200 OK"));
    server.permit(permitted(&[], &[4_000_001]));
    assert!(ask_as(NOBODY, NOBODY, dir.path()).contains("403 Forbidden"));
    assert!(ask_as(NOBODY, 4_000_001, dir.path()).contains("200 OK"), "by its group");
    let counted = server.counters().unauthorised.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(counted, 2);
}
