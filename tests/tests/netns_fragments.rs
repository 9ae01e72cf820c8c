//! Datagrams in pieces on live traffic: read whole, and either the receiver has what was read or
//! nothing of it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use portcullis_tests::command::wait_until;
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::lab::{self, Host, Lab, Side};
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
    let lab = Lab::of(&["attacker", "server10"]);
    let services = lab.hosts_on(Side::Inside).map(|host| service::udp_echo(&lab, host)).collect();
    (lab, services)
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
    let engine = Engine::start(&lab, &Settings::default().with_rules(&lab, RULE));
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

/// Sends datagrams to port 9000 by raw sockets: what is repeated, overlapped, contained with other
/// bytes, overlapped and then sent again under the same number, and the same in disorder.
const SENDER: &str = r#"
import socket, struct, sys
src, dst = sys.argv[1:3]
six = ":" in dst
family = socket.AF_INET6 if six else socket.AF_INET
ends = socket.inet_pton(family, src) + socket.inet_pton(family, dst)
raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)

def total(data):
    n = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while n >> 16:
        n = (n & 0xFFFF) + (n >> 16)
    return n ^ 0xFFFF

def whole(mark):
    udp = struct.pack("!HHHH", 4000, 9000, 48, 0) + mark * 40
    check = total(ends + struct.pack("!IHH", 48, 0, 17) + udp)
    return udp[:6] + struct.pack("!H", check) + udp[8:]

def part(id, offset, more, share):
    if six:
        head = struct.pack("!IHBB", 6 << 28, 8 + len(share), 44, 64) + ends
        head += struct.pack("!BBHI", 17, 0, offset | more, id)
    else:
        place = offset >> 3 | more << 13
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(share), id, place, 64, 17, 0)
        head = head[:10] + struct.pack("!H", total(head + ends)) + ends
    raw.sendto(head + share, (dst, 0, 0, 0) if six else (dst, 0))

for id, mark, second in [(71, b"A", (0, 24)), (72, b"B", (16, 32)), (73, b"C", (8, 16))]:
    datagram, other = whole(mark), whole(b"x")
    begin, end = second
    part(id, 0, 1, datagram[:24])
    part(id, begin, 1, (datagram if mark == b"A" else other)[begin:end])
    part(id, 24, 0, datagram[24:])
again = [(74, b"D", [(0, 24), (16, 32)]), (75, b"E", [(24, 40), (0, 24), (16, 32)])]
for id, mark, before in again:
    datagram, other = whole(mark), whole(b"x")
    for begin, end in before:
        part(id, begin, 1, other[begin:end])
    part(id, 0, 1, datagram[:24])
    part(id, 24, 0, datagram[24:])
"#;

/// The column `linux` of the target policies is what Linux does: repetitions and contained
/// fragments change nothing, an overlap ends the datagram, and what comes behind it is another.
#[test]
fn a_linux_receiver_agrees_about_fragments() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street();
    lab.bridge_instead_of_engine();
    let (sender, receiver) = (lab.host("attacker"), lab.host("server10"));
    let pairs = [
        (IpAddr::V4(lab::CLIENT), IpAddr::V4(lab::SERVER)),
        (IpAddr::V6(lab::CLIENT_6), IpAddr::V6(lab::SERVER_6)),
    ];
    for (from, to) in pairs {
        assert!(lab::pings(sender, to, Duration::from_secs(10)), "{to} is not there");
        let (ready, started) = std::sync::mpsc::channel();
        let listen = move || {
            let socket = UdpSocket::bind(SocketAddr::new(to, 9000)).expect("port 9000 is free");
            socket.set_read_timeout(Some(Duration::from_secs(3))).expect("it is not zero");
            ready.send(()).expect("the test waits");
            let (mut buffer, mut got) = ([0; 100], Vec::new());
            while let Ok(len) = socket.recv(&mut buffer) {
                got.push(String::from_utf8_lossy(&buffer[..len]).into_owned());
            }
            got
        };
        let listening = receiver.namespace.within(listen);
        started.recv().expect("the listener starts");
        let (from, to) = (from.to_string(), to.to_string());
        let words = ["/usr/bin/python3", "-c", SENDER, &from, &to];
        let sent = sender.run(&words, Duration::from_secs(10));
        assert!(sent.succeeded(), "{sent}");
        let got = listening.join().expect("the listener does not panic");
        assert_eq!(got, ["A", "C", "D", "E"].map(|mark| mark.repeat(40)), "{to}");
    }
}
