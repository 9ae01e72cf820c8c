//! A real Linux receiver reads segments as the column `linux` of the target policies says, and so
//! does the engine, which is shown what passed between the two.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use portcullis_tests::evasion::cell::{TAGS, cells};
use portcullis_tests::evasion::receiver::named;
use portcullis_tests::evasion::shape::text;
use portcullis_tests::lab::{self, HostPlan, Lab, Queues, Side};
use portcullis_tests::replay::replay;
use portcullis_tests::requirement;
use portcullis_tests::sniffer::Sniffer;

/// Where the receiver listens.
const PORT: u16 = 9000;
/// The first conversation's port at the sender.
const FIRST_PORT: u16 = 20_000;
/// An address that nobody has, so that no kernel answers for it.
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 77);
/// The same.
const NOBODY_6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 0x77);

/// Sends the segments of a script by raw sockets: `talk PORT STAMPS DATA-WITH-SYN`, then its
/// segments: `send FLAGS OFFSET STAMP SPOIL URGENT DATA`. Every conversation begins before any goes
/// on.
const SENDER: &str = r#"
import socket, struct, sys, time
src, dst, script = sys.argv[1:4]
six = ":" in dst
family = socket.AF_INET6 if six else socket.AF_INET
ends = socket.inet_pton(family, src) + socket.inet_pton(family, dst)
raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
ear.bind(("eth0", 0))
ear.settimeout(2)

def total(data):
    data += b"\0" * (len(data) % 2)
    n = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while n >> 16:
        n = (n & 0xFFFF) + (n >> 16)
    return n ^ 0xFFFF

def segment(port, flags, seq, ack, options, data, spoil=0, urgent=0):
    words = 5 + len(options) // 4
    tcp = struct.pack("!HHIIBBHHH", port, 9000, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, words << 4,
                      flags, 32768, 0, urgent) + options + data
    check = total(ends + struct.pack("!IHH", len(tcp), 0, 6) + tcp) ^ (0x5555 if spoil else 0)
    tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
    if six:
        head = struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + ends
    else:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0)
        head = head[:10] + struct.pack("!H", total(head + ends)) + ends
    raw.sendto(head + tcp, (dst, 0, 0, 0) if six else (dst, 0))

def stamps(now, echo):
    return struct.pack("!BBBBII", 1, 1, 8, 10, now, echo)

def answer(port):
    at = 54 if six else 34
    while True:
        frame = ear.recv(2000)
        ports = struct.unpack("!HH", frame[at:at + 4])
        if ports == (9000, port) and frame[at + 13] == 0x12:
            seq, = struct.unpack("!I", frame[at + 4:at + 8])
            kept = frame[at + 20:at + 60]
            place = kept.find(b"\x08\x0a")
            return seq, struct.unpack("!I", kept[place + 2:place + 6])[0] if place >= 0 else 0

talks = []
for line in open(script):
    words = line.split()
    if words[0] == "talk":
        talks.append((int(words[1]), int(words[2]), bytes.fromhex(words[3][1:]), []))
    else:
        talks[-1][3].append([int(w) for w in words[1:6]] + [bytes.fromhex(words[6][1:])])
BASE, opened = 0xFFFFFFF0, []
for port, stamped, data, _ in talks:
    options = struct.pack("!BBH", 2, 4, 1400) + (stamps(1000, 0) if stamped else b"")
    segment(port, 2, BASE, 0, options, data)
    seq, echo = answer(port)
    segment(port, 16, BASE + 1, seq + 1, stamps(1000, echo) if stamped else b"", b"")
    opened.append((seq + 1, echo))
for (port, stamped, _, parts), (ack, echo) in zip(talks, opened):
    for flags, offset, stamp, spoil, urgent, data in parts:
        options = stamps(stamp, echo) if stamped else b""
        seq, answered = BASE + 1 + offset, ack if flags & 16 else 0
        segment(port, flags, seq, answered, options, data, spoil, urgent)
        time.sleep(0.0002)
"#;

/// A segment of a conversation.
#[derive(Debug, Clone)]
struct Sent {
    flags: u8,
    offset: i64,
    stamp: u32,
    is_spoiled: bool,
    urgent: usize,
    data: Vec<u8>,
}

/// A conversation, and what its receiver should read.
#[derive(Debug, Clone)]
struct Talk {
    name: String,
    is_stamped: bool,
    with_syn: &'static [u8],
    sent: Vec<Sent>,
    reads: Vec<u8>,
}

fn send(offset: i64, data: &[u8]) -> Sent {
    let data = data.to_vec();
    Sent { flags: 16, offset, stamp: 1001, is_spoiled: false, urgent: 0, data }
}

/// The cells of the matrix that are streams.
fn overlaps() -> Vec<Talk> {
    let plain = |c: &portcullis_tests::evasion::cell::Cell| c.is_stream() && !c.is_v6;
    let cells = cells().into_iter().filter(|c| plain(c) && TAGS[c.tag].1.is_empty());
    let talk = |cell: portcullis_tests::evasion::cell::Cell| {
        let parts = cell.parts();
        let offset = |unit: usize| i64::try_from(8 * unit).expect("short");
        let sent = parts.iter().map(|p| send(offset(p.piece.extent.from), &p.piece.bytes()));
        Talk {
            name: format!("{}, {:?}", cell.shape.name, cell.order),
            is_stamped: false,
            with_syn: b"",
            sent: sent.collect(),
            reads: text(&named("linux").reads_stream(&parts), 0),
        }
    };
    cells.map(talk).collect()
}

/// What no receiver takes comes first, then what it takes.
fn refused() -> Vec<Talk> {
    let talk = |name: &str, is_stamped, with_syn, sent: &[Sent], reads: &[u8]| Talk {
        name: name.to_owned(),
        is_stamped,
        with_syn,
        sent: sent.to_vec(),
        reads: reads.to_vec(),
    };
    let (evil, good) = (send(0, b"what is not taken"), send(0, b"what is received!"));
    let read = b"what is received!";
    let far = 1 << 30;
    vec![
        talk(
            "wrong checksum",
            false,
            b"",
            &[Sent { is_spoiled: true, ..evil.clone() }, good.clone()],
            read,
        ),
        talk("old timestamp", true, b"", &[Sent { stamp: 10, ..evil.clone() }, good.clone()], read),
        talk("no ACK", false, b"", &[Sent { flags: 0, ..evil.clone() }, good.clone()], read),
        talk(
            "out of the window",
            false,
            b"",
            &[Sent { offset: far, ..evil.clone() }, good.clone()],
            read,
        ),
        talk("long ago", false, b"", &[Sent { offset: -far, ..evil }, good.clone()], read),
        talk("data with the SYN", false, b"what is not taken", std::slice::from_ref(&good), read),
        talk(
            "other data again",
            false,
            b"",
            &[good.clone(), send(0, b"what is not taken"), send(17, b" the end")],
            b"what is received! the end",
        ),
        talk(
            "urgent",
            false,
            b"",
            &[Sent { flags: 16 | 32, urgent: 8, ..send(0, b"what is#") }, send(8, b" received!")],
            read,
        ),
        talk(
            "a reset beside the window",
            false,
            b"",
            &[Sent { flags: 4, ..send(far, b"") }, good],
            read,
        ),
    ]
}

fn script(talks: &[Talk]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut lines = String::new();
    for (port, talk) in (FIRST_PORT..).zip(talks) {
        let stamped = u8::from(talk.is_stamped);
        writeln!(lines, "talk {port} {stamped} x{}", hex(talk.with_syn)).expect("a string");
        for Sent { flags, offset, stamp, is_spoiled, urgent, data } in &talk.sent {
            let spoil = u8::from(*is_spoiled);
            let data = hex(data);
            writeln!(lines, "send {flags} {offset} {stamp} {spoil} {urgent} x{data}")
                .expect("a string");
        }
    }
    lines
}

/// What each connection gave a program that reads it, by the sender's port.
fn listen(
    address: IpAddr,
    count: usize,
    ready: &std::sync::mpsc::Sender<()>,
) -> BTreeMap<u16, Vec<u8>> {
    let listener = TcpListener::bind(SocketAddr::new(address, PORT)).expect("the port is free");
    ready.send(()).expect("the test waits");
    let mut connections: Vec<_> =
        (0..count).map(|_| listener.accept().expect("a connection comes")).collect();
    // By then everything has been sent.
    std::thread::sleep(Duration::from_secs(3));
    let mut read = BTreeMap::new();
    for (stream, from) in &mut connections {
        stream.set_nonblocking(true).expect("a socket takes that");
        let mut bytes = Vec::new();
        // It ends with nothing more to read.
        let _ = stream.read_to_end(&mut bytes);
        read.insert(from.port(), bytes);
    }
    read
}

/// A rule for each text, found in the conversation of that port only.
fn rules(talks: &[Talk]) -> String {
    let mut lines = String::new();
    for (port, talk) in (FIRST_PORT..).zip(talks) {
        let hex: Vec<String> = talk.reads.iter().map(|byte| format!("{byte:02x}")).collect();
        let (content, at) = (hex.join(" "), format!("any {port} -> any {PORT}"));
        writeln!(
            lines,
            "alert tcp {at} (msg:\"{port}\"; flow:only_stream; content:\"|{content}|\"; \
             content:!\"not taken\"; sid:{port};)"
        )
        .expect("a string");
    }
    lines
}

#[test]
fn a_linux_receiver_agrees_about_segments_and_so_does_the_engine() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let is_meant = |plan: &HostPlan| ["honest0", "server0"].contains(&plan.name);
    let plans: Vec<_> = lab::STREET.into_iter().filter(is_meant).collect();
    let lab = Lab::build(&plans, Queues::One);
    lab.bridge_instead_of_engine();
    let (sender, receiver) = (lab.host("honest0"), lab.host("server0"));
    let mac = sender.namespace.must(&["cat", "/sys/class/net/eth0/address"]);
    let talks = [overlaps(), refused()].concat();
    let file = lab.folder().join("script");
    std::fs::write(&file, script(&talks)).expect("the lab's folder can be written");
    let sniffer = Sniffer::on_wire_both_ways(&lab, Side::Inside);
    let pairs = [
        (IpAddr::V4(NOBODY), IpAddr::V4(lab::SERVER)),
        (IpAddr::V6(NOBODY_6), IpAddr::V6(lab::SERVER_6)),
    ];
    let mut wrong = Vec::new();
    for (from, to) in pairs {
        receiver.namespace.ip(&format!("neigh add {from} lladdr {} dev eth0\n", mac.trim()));
        assert!(lab::pings(sender, to, Duration::from_secs(10)), "{to} is not there");
        let (ready, started) = std::sync::mpsc::channel();
        let count = talks.len();
        let listening = receiver.namespace.within(move || listen(to, count, &ready));
        started.recv().expect("the listener starts");
        let (from, script) = (from.to_string(), file.to_string_lossy());
        let words = ["/usr/bin/python3", "-c", SENDER, &from, &to.to_string(), &script];
        let sent = sender.run(&words, Duration::from_secs(20));
        assert!(sent.succeeded(), "{sent}");
        let read = listening.join().expect("the listener does not panic");
        for (port, talk) in (FIRST_PORT..).zip(&talks) {
            if read.get(&port) != Some(&talk.reads) {
                let letters = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let got = read.get(&port).map(|bytes| letters(bytes));
                let (name, wanted) = (&talk.name, letters(&talk.reads));
                wrong.push(format!("{to}: {name}: {wanted:?} wanted, {got:?} read"));
            }
        }
    }
    assert!(wrong.is_empty(), "Linux reads otherwise:\n{}", wrong.join("\n"));
    let capture = lab.folder().join("passed.pcap");
    portcullis_tests::capture_file::write(&capture, &sniffer.frames());
    let file = lab.folder().join("readings.rules");
    std::fs::write(&file, rules(&talks)).expect("the lab's folder can be written");
    let file = file.to_string_lossy();
    let watching = "[[segment]]\nname = \"replay\"\ntap = \"replay\"\nmode = \"monitor\"\n\
                    protected = [\"192.0.2.0/24\"]\n\n[streams]\ntarget = \"linux\"\n\n\
                    [wire]\nchecksum_tcp = \"drop\"\n";
    let said = replay(watching, &["--rules", &file], &[capture]);
    let alerts = said.events_of("alert");
    for (port, talk) in (FIRST_PORT..).zip(&talks) {
        let found = alerts.iter().filter(|e| e["alert"]["signature_id"] == u64::from(port));
        let found = found.count();
        if found != 2 {
            wrong.push(format!("{}: {found} times", talk.name));
        }
    }
    assert!(wrong.is_empty(), "not read by the engine in both families:\n{}", wrong.join("\n"));
}
