//! `[engine] user`: an engine that has given up root does all that one of root does, and no other
//! user's files are in its way without a word.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use portcullis_tests::command::{self, wait_until};
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::lab::{self, Lab, PORT_A, Side};
use portcullis_tests::place::Place;
use portcullis_tests::requirement;
use portcullis_tests::service;
use portcullis_tests::traffic;

const ATTACKER: IpAddr = IpAddr::V4(lab::CLIENT);
const SERVER: IpAddr = IpAddr::V4(lab::SERVER);
const REFUSAL: Duration = Duration::from_secs(1);
/// Who has no rights at all.
const USER: &str = "nobody";
/// Its number, on every Linux.
const UID: &str = "65534";
/// CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK, CAP_SYS_NICE, CAP_PERFMON, CAP_BPF.
const KEPT: u64 = 1 << 12 | 1 << 13 | 1 << 14 | 1 << 23 | 1 << 38 | 1 << 39;

fn unprivileged() -> Settings {
    Settings { engine_lines: format!("user = \"{USER}\"\n"), ..Settings::default() }
}

/// A lab whose folder another user may enter.
fn street() -> Lab {
    let lab = Lab::of(&["attacker", "neighbr", "server10"]);
    let rights = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(lab.folder(), rights).expect("the folder is ours");
    lab
}

/// Does what a refused engine asks for.
fn give_directories(lab: &Lab) {
    for name in ["state", "log", "run"] {
        let path = lab.folder().join(name);
        std::fs::create_dir_all(&path).expect("the folder is ours");
        let path = path.to_string_lossy();
        let done = command::run(&["chown", "-R", USER, &path], Duration::from_secs(5));
        let _ = done.expect_success();
    }
}

/// One line of `/proc/PID/task/*/status` of every thread, without its name.
fn of_threads(pid: u32, key: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let texts = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim().to_owned())
    });
    texts.collect()
}

fn is_refused(lab: &Lab) -> bool {
    !traffic::fetches_within(lab.host("attacker"), SERVER, REFUSAL)
}

#[test]
fn an_engine_without_root_blocks_rotates_restarts_and_takes_ports_up_again() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = street();
    let _services: Vec<_> = lab.hosts_on(Side::Inside).map(|h| service::http(&lab, h)).collect();
    give_directories(&lab);
    let mut engine = Engine::start(&lab, &unprivileged());
    let users = of_threads(engine.pid(), "Uid:");
    assert!(users.len() > 3, "{users:?}");
    let expected = [UID; 4].join("\t");
    assert!(users.iter().all(|ids| *ids == expected), "a thread is somebody else: {users:?}");
    for set in ["CapEff:", "CapPrm:"] {
        let sets = of_threads(engine.pid(), set);
        let is_bounded =
            |bits: &String| u64::from_str_radix(bits, 16).is_ok_and(|bits| bits & !KEPT == 0);
        assert!(sets.iter().all(is_bounded), "more than it needs: {sets:?}");
    }
    assert!(of_threads(engine.pid(), "NoNewPrivs:").iter().all(|set| set == "1"));
    assert!(engine.log().contains("af_xdp"), "{}", engine.log());

    assert!(traffic::fetches(lab.host("attacker"), SERVER), "{}", engine.log());
    assert!(engine.block(ATTACKER, Place::VLAN_10, "10m") && is_refused(&lab));
    assert!(wait_until(REFUSAL * 3, || !engine.events("block").is_empty()), "{}", engine.log());
    // Rotation: what is told next lies in a file that the engine itself has made.
    let (file, old) = (lab.folder().join("log/eve.json"), lab.folder().join("log/eve.json.1"));
    std::fs::rename(&file, old).expect("it is there");
    engine.configure(&Settings { block_for: "7m", ..unprivileged() });
    engine.reload();
    assert!(wait_until(REFUSAL * 5, || file.exists()), "no new file: {}", engine.log());
    assert!(engine.unblock(ATTACKER, Place::VLAN_10));
    assert!(wait_until(REFUSAL * 3, || !engine.events("unblock").is_empty()), "{}", engine.log());
    assert!(engine.block(ATTACKER, Place::VLAN_10, "10m"));

    engine.restart();
    assert!(engine.is_blocked(ATTACKER, Place::VLAN_10) && is_refused(&lab), "{}", engine.log());
    lab.remove_port(PORT_A);
    std::thread::sleep(Duration::from_millis(700));
    lab.plug_engine_port(PORT_A);
    let neighbour = lab.host("neighbr");
    let is_back = wait_until(REFUSAL * 8, || traffic::fetches_within(neighbour, SERVER, REFUSAL));
    assert!(is_back, "the port is not opened again: {}", engine.log());
    assert!(is_refused(&lab));
    assert!(engine.unblock(ATTACKER, Place::VLAN_10));
    assert!(traffic::fetches(lab.host("attacker"), SERVER), "{}", engine.log());
}

#[test]
fn what_root_has_left_is_named_and_then_taken_up() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = street();
    let _services: Vec<_> = lab.hosts_on(Side::Inside).map(|h| service::http(&lab, h)).collect();
    let mut engine = Engine::start(&lab, &Settings::default());
    assert!(engine.block(ATTACKER, Place::VLAN_10, "10m"));
    engine.kill();
    engine.configure(&unprivileged());
    engine.restart_at_once();
    assert!(wait_until(REFUSAL * 10, || !engine.is_alive()), "{}", engine.log());
    assert!(engine.log().contains(&format!("chown -R {USER}")), "{}", engine.log());
    give_directories(&lab);
    engine.restart();
    assert!(engine.is_blocked(ATTACKER, Place::VLAN_10) && is_refused(&lab), "{}", engine.log());
    assert!(traffic::fetches(lab.host("neighbr"), SERVER), "{}", engine.log());
}

#[test]
fn a_user_that_is_not_there_is_refused_by_check_and_start() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = street();
    let mut engine = Engine::start(&lab, &Settings::default());
    let engine_lines = "user = \"no-such-user\"\n".to_owned();
    engine.configure(&Settings { engine_lines, ..Settings::default() });
    let refused = engine.ask(&["check"]);
    assert!(!refused.succeeded() && refused.stdout.contains("useradd"), "{refused}");
    engine.restart_at_once();
    assert!(wait_until(REFUSAL * 10, || !engine.is_alive()), "{}", engine.log());
    assert!(engine.log().contains("no user `no-such-user`"), "{}", engine.log());
}

#[test]
fn what_ports_carry_is_what_the_segment_says() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = street();
    let _services: Vec<_> = lab.hosts_on(Side::Inside).map(|h| service::http(&lab, h)).collect();
    let mut engine = Engine::start(&lab, &Settings::default());
    let mut start = |segment_lines: &str, wanted: &str| {
        engine.kill();
        engine.configure(&Settings { segment_lines: segment_lines.into(), ..Settings::default() });
        engine.restart_at_once();
        assert!(wait_until(REFUSAL * 10, || !engine.is_alive()), "{segment_lines}");
        assert!(engine.log().contains(wanted), "{segment_lines}: {}", engine.log());
    };
    start("mtu = 1400", "ip link set port-a mtu 1400");
    engine.configure(&Settings { segment_lines: "mtu = 1500".into(), ..Settings::default() });
    engine.restart();
    assert!(traffic::fetches(lab.host("neighbr"), SERVER), "{}", engine.log());
    engine.kill();
    // Both ends of each wire: a program that is left from before would be in the way.
    lab.remove_port(PORT_A);
    lab.plug_engine_port(PORT_A);
    lab.engine().ip(&format!("link set {PORT_A} mtu 9000\n"));
    engine.configure(&Settings::default());
    engine.restart_at_once();
    assert!(wait_until(REFUSAL * 10, || !engine.is_alive()), "a page holds no 9000 bytes");
    assert!(engine.log().contains("write jumbo = true"), "{}", engine.log());
    engine.configure(&Settings { segment_lines: "jumbo = true".into(), ..Settings::default() });
    engine.restart();
    assert!(traffic::fetches(lab.host("neighbr"), SERVER), "{}", engine.log());
}
