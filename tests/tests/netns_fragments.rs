//! Datagrams in pieces on live traffic: read whole, and either the receiver has what was read or
//! nothing of it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use portcullis_tests::command::wait_until;
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::lab::{self, Host, HostPlan, Lab, Queues, Side};
use portcullis_tests::requirement;
use portcullis_tests::service::{self, Service};

/// Two and a half Ethernet frames.
const LEN: usize = 4000;
/// Across the end of the first fragment: 1472 or 1448 bytes of it are the datagram's payload.
const ACROSS: [usize; 2] = [1466, 1442];
/// What the rule looks for; no fragment holds the whole of it.
const WORD: &[u8] = b"open sesame";

const RULE: &str = "drop udp any any -> any 7 (msg:\"A word in pieces\"; \
content:\"open sesame\"; classtype:web-application-attack; sid:9000011; rev:1;)\n";

fn street() -> (Lab, Vec<Service>) {
    let is_meant = |plan: &HostPlan| ["attacker", "server10"].contains(&plan.name);
    let plans: Vec<_> = lab::STREET.into_iter().filter(is_meant).collect();
    let lab = Lab::build(&plans, Queues::One);
    let servers = lab.hosts().iter().filter(|host| host.plan.side == Side::Inside);
    let services = servers.map(|host| service::udp_echo(&lab, host)).collect();
    (lab, services)
}

fn settings(lab: &Lab) -> Settings {
    let file = lab.folder().join("local.rules");
    std::fs::write(&file, RULE).expect("the lab's folder can be written");
    let sections = format!(
        "[rules]\nfiles = [\"{}\"]\n\n[streams]\nmemory = \"16MiB\"\nmax = 16384\n\
         conversations = \"32MiB\"\n",
        file.display()
    );
    Settings { sections, ..Settings::default() }
}

/// Whether a datagram, which the sender's kernel cuts into fragments, is echoed as it was.
fn comes_back(host: &Host, target: IpAddr, payload: Vec<u8>) -> bool {
    let exchange = move || {
        let local: SocketAddr = match target {
            IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            IpAddr::V6(_) => ([0_u16; 8], 0).into(),
        };
        let socket = UdpSocket::bind(local).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        socket.send_to(&payload, (target, 7)).ok()?;
        let mut buffer = vec![0; 2 * LEN];
        let len = socket.recv(&mut buffer).ok()?;
        Some(buffer.get(..len)? == payload)
    };
    let thread = host.namespace.within(exchange);
    thread.join().expect("the echo thread does not panic").unwrap_or(false)
}

fn datagram(word_at: Option<usize>) -> Vec<u8> {
    let mut payload: Vec<u8> = (b'a'..=b'z').cycle().take(LEN).collect();
    if let Some(at) = word_at {
        payload.splice(at..at + WORD.len(), WORD.iter().copied());
    }
    payload
}

#[test]
fn a_rule_reads_datagrams_in_pieces_over_af_xdp() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street();
    let engine = Engine::start(&lab, &settings(&lab));
    let host = lab.host("attacker");
    let servers = [IpAddr::V4(lab::SERVER), IpAddr::V6(lab::SERVER_6)];
    for (server, at) in servers.into_iter().zip(ACROSS) {
        assert!(comes_back(host, server, datagram(None)), "{server}: {}", engine.log());
        assert!(!comes_back(host, server, datagram(Some(at))), "{server}: the word came back");
        assert!(comes_back(host, server, datagram(None)), "{server}: {}", engine.log());
    }
    let alerts = || engine.events("alert").into_iter();
    let told = || alerts().filter(|e| e["alert"]["signature_id"] == 9_000_011).count();
    assert!(wait_until(Duration::from_secs(5), || told() == 2), "{:?}", engine.events("alert"));
    let figures = engine.figures();
    // Each harmless datagram and its echo, twice a family, and the other two.
    assert_eq!(
        figures.sum("datagrams_rebuilt"),
        10.0,
        "{:?}",
        figures.counted().collect::<Vec<_>>()
    );
    assert_eq!(figures.sum("datagrams_condemned"), 2.0);
    assert_eq!(figures.sum("fragments_unread"), 0.0);
}
