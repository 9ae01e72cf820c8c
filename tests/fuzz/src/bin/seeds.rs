//! Writes the first inputs of every target to `corpus/TARGET/`, so that no run starts from nothing.

use portcullis_wire::build::Craft;
use portcullis_wire::{Fragment, TcpFlags};
use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    write("abi", &batches())?;
    write("configuration", &files())?;
    write("exclusions", &exclusions())?;
    write("flow", &histories())?;
    write("form", &sets())?;
    write("http", &pages())?;
    write("journal", &journals())?;
    write("matcher", &searches())?;
    write("rules", &texts())?;
    write("sessions", &sessions())?;
    write("streams", &segments())?;
    write("wire", &frames())
}

fn write(target: &str, seeds: &[Vec<u8>]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    for (index, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{index:03}")), seed)?;
    }
    Ok(())
}

/// A batch of two events with a flow, a buffer and a slot, and an empty one.
fn batches() -> Vec<Vec<u8>> {
    let word = |arena: &mut [u8], at: usize, value: u32| {
        arena[at..at + 4].copy_from_slice(&value.to_le_bytes());
    };
    let mut empty = vec![0; 128];
    empty[..8].copy_from_slice(b"PCA1\x01\0\x80\0");
    let mut full = empty.clone();
    full.resize(640, 0);
    // Counts, strides and places of flows, events and buffers; slots; data; the range to judge.
    let words = [
        (24, [1, 160, 128]),
        (36, [2, 64, 288]),
        (48, [1, 32, 416]),
        (72, [448, 64, 512]),
        (84, [100, 0, 2]),
    ];
    for (at, values) in words {
        for (i, value) in values.into_iter().enumerate() {
            word(&mut full, at + 4 * i, value);
        }
    }
    word(&mut full, 440, 520);
    word(&mut full, 444, 10);
    vec![empty, full]
}

/// The shipped configuration by its sections, one with segments and rows, and an inventory; after
/// the byte that chooses.
fn files() -> Vec<Vec<u8>> {
    let shipped = portcullis_control::config::SHIPPED;
    let mut seeds: Vec<_> =
        shipped.split("\n\n[").map(|part| format!("\0[{part}").into()).collect();
    let rows = "\0[[segment]]\nname = \"dmz\"\nports = [\"a\", \"b\"]\ninside = \"b\"\n\
        protected = [\"10.0.0.0/8\"]\n[[exclusion]]\nsource = \"any\"\nvlan = \"10.20\"\n\
        [[ceiling]]\nrule = \"1:2-9\"\naction = \"report\"\n[attacks]\nduration = \"1h30m\"\n\
        [flow]\nmemory = \"1GiB\"\n[plugins.grant.port-scan]\nmemory = \"32MiB\"\n";
    let machines = "\u{1}[[machine]]\nname = \"web\"\nsegment = \"dmz\"\nvlan = \"10\"\n\
        static = true\naddresses = [\"192.0.2.1\", \"2001:db8::1\"]\n\
        [[machine]]\nname = \"any\"\nmacs = [\"52:54:00:12:34:56\"]\n";
    seeds.extend([rows.into(), machines.into(), b"\x001h30m".to_vec(), b"\x0064MiB".to_vec()]);
    seeds
}

/// Every order, a line each, behind the byte that has them framed; and a torn frame as it is.
fn journals() -> Vec<Vec<u8>> {
    let place = r#""place":{"segment":"dmz","vlan":[10],"source":"192.0.2.1/32"}"#;
    let orders = [
        format!(
            r#""order":"block",{place},"since":5,"until":9000,"origin":{{"detector":"d"}},
            "class":"attack","rule":"1:2:3","message":"m","target":"10.0.0.1","id":3"#
        ),
        format!(r#""order":"until",{place},"until":9900"#),
        format!(r#""order":"grace",{place},"until":9000"#),
        format!(r#""order":"offences",{place},"count":2,"until":9000"#),
        format!(r#""order":"unblock",{place}"#),
        r#""order":"exclusion-added","row":"any ignore""#.to_owned(),
        r#""order":"exclusion-removed","row":"any ignore""#.to_owned(),
        r#""order":"mode","segment":"dmz","mode":"monitor""#.to_owned(),
        r#""order":"next-id","id":7"#.to_owned(),
    ];
    let boot = "00000000000000000000000000000001";
    let line = |order: &String| {
        let order = order.replace('\n', " ");
        format!(r#"{{"boot":"{boot}","tick":1,"wall":2,{order}}}"#)
    };
    let all: Vec<String> = orders.iter().map(line).collect();
    let mut seeds: Vec<Vec<u8>> = all.iter().map(|o| format!("\u{1}{o}").into()).collect();
    seeds.push(format!("\u{1}{}", all.join("\n")).into());
    seeds.push(b"\0PCJ1\x05\0\0\0\0\0\0\0{}".to_vec());
    seeds
}

/// Rows with every clause of the grammar.
fn exclusions() -> Vec<Vec<u8>> {
    [
        "10.0.0.0/8 vlan 10 do-not-block",
        "any novlan ignore",
        "2001:db8::1-2001:db8::9 vlan 10.20 to any protocol udp port 53-54 do-not-scan",
        "192.0.2.1 vlan 4095 segment dmz rule 1:2010935:3 terminate-and-block for 1h30m \
         expires 2027-01-31T18:00:00+02:00 owner \"ann\" comment \"a \\\"scanner\\\"\"",
        "any default expires in 2h",
    ]
    .map(|row| row.as_bytes().to_vec())
    .to_vec()
}

/// One frame of every kind that the parser has a file for.
fn frames() -> Vec<Vec<u8>> {
    let (a, b) = ("10.0.0.1", "10.0.0.2");
    let (a6, b6) = ("2001:db8::1", "2001:db8::2");
    let syn = [2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8];
    let udp = Craft::udp(a, 5353, b, 53).payload(b"question");
    let six = Craft::udp(a6, 5353, b6, 53).payload(b"question");
    let quoted = udp.datagram();
    let part = Fragment { id: 7, offset: 0, more: true };
    let crafts = [
        Craft::tcp(a, 40_000, b, 80).flags(TcpFlags::SYN).tcp_options(&syn),
        Craft::tcp(a6, 40_000, b6, 80).vlan(10).payload(b"GET / HTTP/1.0\r\n\r\n"),
        udp.clone().tag(0x88a8, 10).vlan(20),
        udp.clone().ip_options(&[131, 11, 4, 10, 0, 0, 9, 10, 0, 0, 8, 0]),
        udp.clone().ip_options(&[68, 8, 5, 0, 0, 0, 0, 0]),
        udp.clone().part(part),
        six.clone().part(part),
        six.clone().extension(0, &[5, 2, 0, 0, 1, 0]).extension(43, &[0, 1, 0, 0, 0, 0]),
        six.clone().extension(60, &[0xc9, 4, 0, 0]).extension(51, &[0; 10]).extension(135, &[0; 6]),
        Craft::echo(a, b, 1, 2).payload(&[0; 56]),
        Craft::echo(a6, b6, 1, 2).payload(&[0; 56]),
        Craft::icmp(a, b, 3, 3).payload(&quoted),
        Craft::icmp(a6, b6, 1, 4).payload(&six.extension(60, &[1, 4, 0, 0, 0, 0]).datagram()),
        Craft::ip(a, "224.0.0.22", 2)
            .payload(&[0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 224, 0, 0, 9]),
        Craft::ip(a, b, 132).payload(&[0, 7, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 3, 0, 6, 1, 2, 0, 0]),
        Craft::arp(1, a, b),
    ];
    let mut frames: Vec<_> = crafts.iter().map(Craft::frame).collect();
    frames.extend(crafts.iter().map(Craft::datagram));
    let llc = [0, 60, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    frames.push([&[2; 12][..], &llc, &quoted].concat());
    frames.push([&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 9, 0, 0, 8, 0][..], &quoted].concat());
    frames
}

/// Histories of packets as `portcullis_flow::fuzz_admit` reads them: a policy byte, then twelve
/// bytes a packet: hosts, ports, protocol, length, two numbers, flags, fragment, offset, port of
/// the segment, pause, and what to do with the flow.
fn histories() -> Vec<Vec<u8>> {
    let handshake = [
        [0x21, 0x40, 0, 0, 0, 0, 0x02, 0, 0, 0, 1, 0xf1],
        [0x12, 0x01, 0, 0, 0, 0, 0x12, 0, 0, 1, 1, 0xf1],
        [0x21, 0x40, 0, 9, 0, 0, 0x10, 0, 0, 0, 1, 0xf1],
        [0x21, 0x40, 0, 0, 0, 0, 0x04, 0, 0, 0, 90, 0xf1],
    ];
    let fragments = [
        [0x21, 0x40, 4, 80, 0, 0, 0, 0x03, 0, 0, 1, 0xf1],
        [0x21, 0x40, 4, 80, 0, 0, 0, 0x03, 10, 0, 1, 0xf1],
        [0x21, 0x40, 4, 8, 0, 0, 0, 0x07, 5, 0, 1, 0xf1],
    ];
    let error = [
        [0x21, 0x40, 4, 9, 0, 0, 0, 0, 0, 0, 1, 0xf1],
        [0x12, 0x40, 6, 9, 2, 1, 0, 0, 0, 1, 1, 0xf0],
    ];
    [&handshake[..], &fragments, &error]
        .into_iter()
        .zip(0u8..)
        .map(|(packets, policy)| [&[policy][..], &packets.concat()].concat())
        .collect()
}

/// Rule files of most keywords, and the lists that stand beside them.
const TEXTS: [&str; 5] = [
    r#"alert tcp any any -> any 25 (msg:"mail"; content:"HELO evil"; offset:2; depth:90; sid:1;)
drop http $HOME_NET any -> $EXTERNAL_NET [80,8000:9000,!8080] (msg:"page"; \
    flow:established,to_server; http.uri; content:"/evil.php?|41 42|"; nocase; fast_pattern; \
    content:!"x"; distance:-4; within:20; pcre:"/id=\d+(?P<flow_a>x)?/Ui"; http.host; dotprefix; \
    content:".evil.example"; endswith; flowbits:set,seen; flowbits:isset,a|b; \
    threshold:type limit,track by_src,count 1,seconds 60; reference:url,evil.example; \
    classtype:trojan-activity; metadata:created_at 2024_01_01, confidence High; sid:2; rev:7;)"#,
    r#"alert tls any any -> any any (tls.sni; content:"a"; bsize:<9; ja3.hash; \
    content:"b"; sid:3; gid:2;)
alert dns any any -> any 53 (dns.query; to_md5; content:"|00 ff|"; startswith; sid:4;)
alert udp any any <> any any (byte_test:2,>,100,0,relative,little; byte_jump:1,3,align; \
    byte_extract:1,0,v; isdataat:!v,relative; byte_math:bytes 1, offset 0, oper +, rvalue v, \
    result w; base64_decode:bytes 9,offset 1,relative; base64_data; content:"q"; sid:5;)"#,
    r#"pass ip [192.0.2.1,198.51.100.0/24,!198.51.100.9] any -> any any (msg:"listed"; sid:6;)
alert tcp any any -> any any (flags:SF,12; window:9; dsize:100<>200; ttl:>3; sid:7;)
alert pkthdr any any -> any any (decode-event:ipv4.trunc_pkt; sid:8;)
alert http any any -> any any (app-layer-event:http.missing_host_header; sid:9;)
alert http any any -> any any (file.data; content:"MZ"; filemd5:f; dataset:isset,d,load f, \
    type string; xbits:set,x,track ip_src,expire 9; requires:version >= 7; sid:10;)"#,
    "suppress gen_id 1, sig_id 2, track by_src, ip 10.0.0.0/8\n\
     event_filter gen_id 1, sig_id 2, type both, track by_dst, count 2, seconds 60\n\
     rate_filter gen_id 1, sig_id 2, track by_src, count 9, seconds 9, new_action drop, \
     timeout 9\n",
    "config classification: trojan-activity,A Trojan,1\nconfig reference: url http://\n\
     1,BadHosts,known bad\n192.0.2.1,1,100\n",
];

fn texts() -> Vec<Vec<u8>> {
    TEXTS.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// The compiled form of each text.
fn sets() -> Vec<Vec<u8>> {
    TEXTS.iter().filter_map(|text| portcullis_fuzz::compiled(text.as_bytes()).ok()).collect()
}

/// Requests, the byte 0xff, and responses.
fn pages() -> Vec<Vec<u8>> {
    let get = "GET /a%20b//c/../d?x=%41 HTTP/1.1\r\nHost: EXAMPLE.com:80\r\nCookie: a=b\r\n\r\n";
    let form = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=xx\r\n\
        Content-Length: 94\r\n\r\n--xx\r\nContent-Disposition: form-data; name=\"a\"; \
        filename=\"up.txt\"\r\n\r\nthe file\r\n--xx--\r\n";
    let chunked = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
        2;x=y\r\nhe\r\n 3\nllo\n0\r\nTrail: er\r\n\r\n";
    let ok = b"\xffHTTP/1.1 200 OK\r\nServer: s\r\nSet-Cookie: q\r\nContent-Length: 5\r\n\r\nhello";
    let brotli = b"\xffHTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n\x0b\x02\x80hello\x03";
    // "hello" as one stored block.
    let gzip = b"\xffHTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\xff\
        \x01\x05\0\xfa\xffhello\x86\xa6\x10\x36\x05\0\0\0";
    let parts =
        b"\xffHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 206 P\r\nContent-Range: bytes 0-2/3\r\n\
        Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let tunnel = "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n\x16\x03\x01";
    [
        [get.as_bytes(), ok].concat(),
        [form.as_bytes(), brotli].concat(),
        [chunked.as_bytes(), parts].concat(),
        [get.repeat(2).as_bytes(), gzip].concat(),
        [tunnel.as_bytes(), b"\xffHTTP/1.0 200 OK\n\nx"].concat(),
    ]
    .to_vec()
}

/// Literals with a payload as `fuzz_literals` reads them (a byte of count, of the first new byte
/// and of the budget, then each literal after a byte of its length, case and group), and regexes
/// with a haystack of the same length as `fuzz_regex` reads them.
fn searches() -> Vec<Vec<u8>> {
    let mut seeds = vec![
        b"\0\x03\0\xff\x03abc\x13Abc\x81zabcABCzabc".to_vec(),
        b"\0\x02\x04\x08\x0fevil.example.or\x92//GET //evil.example.org HTTP".to_vec(),
    ];
    let regexes: [(u8, &str, &str); 6] = [
        (1, r"^a(b|c)*?\d{2,3}$", "xacbb12"),
        (2, r"(?<=a)b(?=c)|\bq\b", "abc q"),
        (0, r"(a)(?P<n>b)\1\k<n>", "zabab"),
        (12, "[[:alpha:]\\x80-\\xff]+ # x\n.", "abc\n"),
        (64, r"(?>a+)(?:b|(?i)C)++", "aaabcC"),
        (48, r"(a*)*b", "aaaaaaaaaaac"),
    ];
    for (letters, pattern, haystack) in regexes {
        let width = pattern.len();
        seeds.push(format!("\u{1}{}{pattern}{haystack:width$}", char::from(letters)).into());
    }
    seeds
}

/// A conversation for each decoder, after the byte that chooses it; the runs are those of
/// `portcullis_decode`: the direction in the highest bit of a byte, the length in the others.
fn sessions() -> Vec<Vec<u8>> {
    let (up, down) = (0u8, 0x80u8);
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\0\0\x01\0\x01";
    let answer = b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0\x01a\x07example\0\0\x01\0\x01\
        \xc0\x0c\0\x05\0\x01\0\0\0\x09\0\x04\x01b\xc0\x0e\xc0\x26\0\x10\0\x01\0\0\0\x09\0\x03\
        \x02hi";
    let long = |message: &[u8]| [&[0, message.len().min(127) as u8][..], message].concat();
    let hello = b"\x16\x03\x01\0\x51\x01\0\0\x4d\x03\x03abcdefghijklmnopqrstuvwxyz012345\0\0\x04\
        \x13\x01\xc0\x2f\x01\0\0\x20\0\0\0\x0b\0\x09\0\0\x06h.test\0\x10\0\x05\0\x03\x02h2\0\x0a\0\
        \x04\0\x02\0\x1d";
    let reply = b"\x16\x03\x03\0\x2a\x02\0\0\x26\x03\x03abcdefghijklmnopqrstuvwxyz012345\0\xc0\x2f\
        \0\x14\x03\x03\0\x01\x01\x17\x03\x03\0\x04data";
    let mail = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
    let attached = b"Subject: =?utf-8?q?x?=\r\nContent-Type: a/b; name=y\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\nREVG\r\n.\r\nQUIT\r\n";
    let kex = b"SSH-2.0-y z\r\n\0\0\0\x1c\x04\x140123456789abcdef\0\0\0\x01a\0\0\0";
    let smb2 = b"\0\0\0\x44\xfeSMB\x40\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x24\0\0\0";
    let smb1 = b"\0\0\0\x2f\xffSMB\x72\0\0\0\0\x18\x01\x28\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
        \0\x0c\0\x02NT LM 0.12\0";
    let conversations: [(u8, &[(u8, &[u8])]); 11] = [
        (0, &[(up, hello), (down, reply)]),
        (0, &[(up, b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10")]),
        (1, &[(up, &long(query)), (down, &long(answer))]),
        (2, &[(up, query), (down, answer)]),
        (3, &[(down, b"SSH-2.0-OpenSSH_9.6 x\r\n"), (up, kex)]),
        (
            4,
            &[
                (down, b"220 s\r\n"),
                (up, mail),
                (down, b"250-s\r\n250 DSN\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
                (up, attached),
                (down, b"250 ok\r\n221 bye\r\n"),
            ],
        ),
        (4, &[(down, b"220 s\r\n"), (up, b"EHLO c\r\nBDAT 4 LAST\r\nabcdSTARTTLS\r\n")]),
        (
            5,
            &[
                (up, b"USER a\r\nPORT 10,0,0,1,4,1\r\nEPSV\r\nRETR f\r\n"),
                (down, b"220-a\r\n220 b\r\n"),
            ],
        ),
        (5, &[(down, b"227 ok (10,0,0,2,4,2)\r\n229 ok (|||1030|)\r\n"), (up, b"AUTH TLS\r\n")]),
        (6, &[(up, smb2), (down, smb2)]),
        (6, &[(up, smb1), (down, smb1)]),
    ];
    let mut seeds: Vec<_> = conversations.iter().map(|(which, runs)| said(*which, runs)).collect();
    // The probes read what follows as one run.
    seeds.extend([&hello[..], query, kex, mail, smb2].map(|run| [&[7], run].concat()));
    seeds
}

fn said(which: u8, runs: &[(u8, &[u8])]) -> Vec<u8> {
    let mut seed = vec![which];
    for (way, run) in runs {
        for part in run.chunks(0x7f) {
            seed.push(way | part.len() as u8);
            seed.extend_from_slice(part);
        }
    }
    seed
}

/// Histories of segments as `portcullis_flow::fuzz_streams` reads them (a policy byte, then eight
/// bytes each: who, flags, sequence, acknowledgement, length, fill, step back, time stamp), and of
/// fragments as `fuzz_defrag` does (a policy byte, then 64 bytes each: kind, datagram, offset,
/// length, fill, pause, and a frame to take instead).
fn segments() -> Vec<Vec<u8>> {
    let talk = [
        [0, 0x02, 4, 0, 0, 0, 255, 0],
        [2, 0x12, 4, 4, 0, 0, 255, 0],
        [0, 0x10, 4, 4, 0, 0, 255, 0],
        [0, 0x18, 8, 4, 16, 1, 255, 0],
        [0, 0x18, 6, 4, 16, 2, 255, 0],
        [0, 0x18, 4, 4, 16, 1, 255, 0],
        [0x30, 0x18, 12, 4, 8, 1, 9, 0],
        [2, 0x11, 4, 12, 4, 1, 255, 0],
        [0, 0x14, 14, 5, 0, 0, 255, 0],
        [0x50, 0x10, 14, 5, 0, 0, 255, 0],
    ]
    .concat();
    let part = |kind, offset, len, fill| {
        let mut step = vec![kind, 1, offset, len, fill, 0];
        step.resize(64, 0);
        step
    };
    let pieces = [part(0, 0, 16, 1), part(0, 1, 16, 2), part(2, 2, 24, 1), part(1, 0, 8, 1)];
    let mut seeds = Vec::new();
    for target in 0..8 {
        seeds.push([&[0, target << 4][..], &talk].concat());
        seeds.push([&[1, target << 4][..], &pieces.concat()].concat());
    }
    seeds.push([&[0, 1][..], &talk].concat());
    seeds.push([&[1, 1][..], &pieces.concat()].concat());
    seeds
}
