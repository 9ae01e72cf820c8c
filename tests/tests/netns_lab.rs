//! The lab tries itself: with a plain bridge where the engine will be, every place works and no
//! place hears another.
//!
//! Without this a test of the engine could pass because nothing ever passed.

use std::net::IpAddr;
use std::time::Duration;

use portcullis_tests::capture_file;
use portcullis_tests::lab::{self, Host, HostPlan, Lab, Side};
use portcullis_tests::place::Place;
use portcullis_tests::requirement::{self, Readiness};
use portcullis_tests::service::{self, Service};
use portcullis_tests::sniffer::Sniffer;
use portcullis_tests::traffic::{self, UdpStream};

const CLIENTS: [&str; 5] = ["attacker", "neighbr", "honest20", "honest0", "honestq"];
const SERVERS: [&str; 4] = ["server10", "server20", "server0", "serverq"];

#[test]
fn a_bridge_instead_of_the_engine_carries_every_place() {
    if requirement::lab() == Readiness::Skip {
        return;
    }
    let lab = Lab::street();
    lab.bridge_instead_of_engine();
    let _services: Vec<Service> = SERVERS
        .iter()
        .map(|name| lab.host(name))
        .flat_map(|host| [service::http(&lab, host), service::udp_echo(&lab, host)])
        .collect();
    for name in CLIENTS {
        let client = lab.host(name);
        for target in [IpAddr::V4(lab::SERVER), IpAddr::V6(lab::SERVER_6)] {
            assert!(lab::pings(client, target, Duration::from_secs(5)), "{name} pings {target}");
            assert!(traffic::fetches(client, target), "{name} fetches from {target}");
            assert!(traffic::echoes(client, target), "{name} hears an echo of {target}");
        }
        assert!(traffic::arp_answers(client, lab::SERVER.into()), "{name} is answered by ARP");
    }
}

#[test]
fn a_place_without_a_server_hears_nobody() {
    if requirement::lab() == Readiness::Skip {
        return;
    }
    let without_vlan_10: Vec<_> =
        lab::STREET.iter().filter(|plan| plan.name != "server10").copied().collect();
    let lab = Lab::build(&without_vlan_10, lab::Queues::Two);
    lab.bridge_instead_of_engine();
    let ping = |host: &Host| lab::pings(host, lab::SERVER.into(), Duration::from_secs(1));
    assert!(!ping(lab.host("attacker")), "VLAN 10 has no server: nobody may answer");
    assert!(ping(lab.host("honest20")));
    assert!(ping(lab.host("honest0")));
    assert!(ping(lab.host("honestq")));
}

#[test]
fn real_services_and_a_paced_stream_work() {
    if requirement::lab() == Readiness::Skip {
        return;
    }
    let lab = Lab::street();
    lab.bridge_instead_of_engine();
    let (client, server) = (lab.host("attacker"), lab.host("server10"));
    let _ssh = service::ssh(&lab, server);
    let scan = traffic::nmap(client, "-sS", "20-30", &lab::SERVER.to_string());
    assert!(scan.stdout.contains("22/tcp open"), "{scan}");
    let stream = UdpStream::start(client, server, 20_000);
    std::thread::sleep(Duration::from_secs(1));
    let delivery = stream.finish();
    assert!(delivery.sent > 5_000, "{delivery:?}");
    assert_eq!(delivery.sent, delivery.received, "{delivery:?}");
    assert_eq!(delivery.repeated, 0);
}

#[test]
fn the_wire_shows_what_was_put_on_it() {
    if requirement::lab() == Readiness::Skip {
        return;
    }
    let lab = Lab::street();
    lab.bridge_instead_of_engine();
    // QinQ, then a tag of 802.1Q in front of a local experimental ethertype.
    let stacks: [&[u8]; 3] = [&[], &[0x81, 0, 0, 10], &[0x88, 0xa8, 0, 10, 0x81, 0, 0, 20]];
    let frames: Vec<Vec<u8>> = stacks
        .iter()
        .map(|tags| {
            let macs = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9];
            [&macs[..], tags, &[0x88, 0xb5], &[0x5a; 64]].concat()
        })
        .collect();
    let capture = lab.folder().join("to-send.pcap");
    capture_file::write(&capture, &frames);
    let sniffer = Sniffer::on_wire(&lab, Side::Inside);
    let sent = traffic::replay(&lab, Side::Outside, &capture, 100);
    assert!(sent.succeeded(), "{sent}");
    let seen = sniffer.frames();
    for frame in &frames {
        assert!(seen.contains(frame), "lost or changed: {frame:02x?} in {seen:02x?}");
    }
}

/// A test of the engine that sees an attack fail must know that it would have worked.
#[test]
fn the_attacks_work_where_nothing_stops_them() {
    if requirement::lab() == Readiness::Skip {
        return;
    }
    let evader = HostPlan { name: "evader", place: Place::VID_0, ..lab::STREET[3] };
    let plans: Vec<HostPlan> = lab::STREET.into_iter().chain([evader]).collect();
    let lab = Lab::build(&plans, lab::Queues::Two);
    lab.bridge_instead_of_engine();
    let (attacker, server) = (lab.host("attacker"), lab.host("server10"));
    let _netbios = service::open_port(&lab, server, 139);
    let _ssh = service::ssh(&lab, server);
    let _http = [service::http(&lab, server), service::http(&lab, lab.host("server0"))];
    let target = IpAddr::V4(lab::SERVER);
    let sniffer = Sniffer::on_wire(&lab, Side::Inside);
    traffic::winnuke(attacker, target);
    let forged = ["-S", "-a", "10.9.0.55", "-i", "u1000", "-p", "++1"];
    let flood = traffic::hping(attacker, &forged, 50, target);
    let land = format!("IP(src='{target}',dst='{target}')/TCP(sport=80,dport=80,flags='S')*3");
    let crafted = traffic::scapy(attacker, &land);
    let heard = sniffer.frames();
    let carries = |needle: &[u8]| {
        heard.iter().filter(|frame| frame.windows(needle.len()).any(|part| part == needle)).count()
    };
    assert!(carries(traffic::WINNUKE_DATA.as_bytes()) > 0, "WinNuke does not arrive");
    assert!(carries(traffic::WINNUKE_SEQUEL.as_bytes()) > 0, "what follows WinNuke does not");
    assert!(carries(&[10, 9, 0, 55, 10, 9, 0, 10]) >= 50, "the forged flood: {flood}");
    assert!(carries(&[10, 9, 0, 10, 10, 9, 0, 10]) >= 3, "LAND: {crafted}");
    assert!(traffic::ssh_banner(attacker, target).starts_with("SSH-2.0"));
    assert!(traffic::fetches(lab.host("evader"), target), "Linux takes VID 0 as no tag");
    let scan = traffic::nmap(attacker, "-sS", "20-30", &lab::SERVER_6.to_string());
    assert!(scan.stdout.contains("22/tcp open"), "{scan}");
    let sweep = traffic::nmap_sweep(attacker, "10.9.0.10-14");
    assert!(sweep.stdout.contains("5 hosts up"), "{sweep}");
}

#[test]
fn a_lab_leaves_nothing_behind() {
    if requirement::lab() == Readiness::Skip {
        return;
    }
    let lab = Lab::build(&lab::STREET[..1], lab::Queues::One);
    let (name, folder) = (lab.engine().name().to_owned(), lab.folder().to_owned());
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _owned = lab;
        panic!("a test that fails");
    }));
    assert!(outcome.is_err());
    let names = portcullis_tests::command::must(&["ip", "netns", "list"]);
    assert!(!names.contains(&name), "{names}");
    assert!(!folder.exists());
    assert!(lab::sweep_owner(0).is_empty());
}
