//! The entries for fuzzing and property tests of TLS, DNS, SSH, SMTP, FTP and SMB: any bytes are
//! a conversation, and how it is cut into segments changes nothing.

use crate::conversation::{Direction, Transport};
use crate::limits::Limits;
use crate::output::Output;
use crate::registry::{Decoder, Next, ROWS};
use std::sync::Arc;

/// Runs of bytes of one direction: a byte with the direction in its highest bit and the length in
/// the others, then the bytes.
fn runs(bytes: &[u8]) -> Vec<(Direction, &[u8])> {
    let (mut runs, mut rest) = (Vec::new(), bytes);
    while let Some((&head, behind)) = rest.split_first() {
        let way = if head & 0x80 == 0 { Direction::ToServer } else { Direction::ToClient };
        let (run, behind) = behind.split_at(usize::from(head & 0x7f).min(behind.len()));
        runs.push((way, run));
        rest = behind;
    }
    runs
}

/// Tells a decoder the runs in parts of at most `step` bytes.
fn told<D: Decoder>(
    transport: Transport,
    port: u16,
    runs: &[(Direction, &[u8])],
    step: usize,
) -> Output {
    let mut out = Output::default();
    let limits = Arc::new(Limits::default());
    let mut decoder = D::start(transport, port, &limits);
    'all: for &(way, run) in runs {
        for part in run.chunks(step.max(1)) {
            match decoder.data(way, part, &mut out) {
                Next::More => {}
                Next::Done | Next::Fresh(_) => break 'all,
            }
            assert!(decoder.memory() < 4 << 20, "a flow's memory is bounded");
        }
    }
    decoder.end(Direction::ToServer, &mut out);
    decoder.end(Direction::ToClient, &mut out);
    out
}

/// Joins runs of one direction that follow each other.
fn joined(runs: &[(Direction, &[u8])]) -> Vec<(Direction, Vec<u8>)> {
    let mut joined: Vec<(Direction, Vec<u8>)> = Vec::new();
    for &(way, run) in runs {
        match joined.last_mut() {
            Some((same, bytes)) if *same == way => bytes.extend_from_slice(run),
            _ => joined.push((way, run.to_vec())),
        }
    }
    joined
}

fn streams<D: Decoder>(port: u16, runs: &[(Direction, &[u8])]) {
    let joined = joined(runs);
    let joined: Vec<_> = joined.iter().map(|(way, bytes)| (*way, bytes.as_slice())).collect();
    let whole = told::<D>(Transport::Tcp, port, &joined, usize::MAX);
    for step in [1, 2, 3, 7, 64] {
        let cut = told::<D>(Transport::Tcp, port, &joined, step);
        assert_eq!(whole.messages, cut.messages, "cut at {step}");
        assert_eq!(whole.pieces, cut.pieces, "cut at {step}");
        assert_eq!(whole.bytes, cut.bytes, "cut at {step}");
        assert_eq!(whole.records, cut.records, "cut at {step}");
        assert_eq!(whole.anomalies, cut.anomalies, "cut at {step}");
    }
    for piece in &whole.pieces {
        assert_eq!(whole.bytes_of(piece).len(), (piece.range.end - piece.range.start) as usize);
    }
}

macro_rules! entries {
    ($($name:ident = $decoder:ty, $port:literal;)+) => {
        $(
            /// Tells the decoder any conversation, whole and cut, and asserts that nothing differs.
            ///
            /// # Panics
            /// Where an invariant is broken: that is what it is for.
            #[doc(hidden)]
            pub fn $name(bytes: &[u8]) {
                streams::<$decoder>($port, &runs(bytes));
            }
        )+
    };
}

entries! {
    fuzz_tls = crate::tls::Tls, 443;
    fuzz_dns_stream = crate::dns::Dns, 53;
    fuzz_ssh = crate::ssh::Ssh, 22;
    fuzz_smtp = crate::smtp::Smtp, 25;
    fuzz_ftp = crate::ftp::Ftp, 21;
    fuzz_smb = crate::smb::Smb, 445;
}

/// Tells the decoder of DNS any datagrams.
#[doc(hidden)]
pub fn fuzz_dns_datagram(bytes: &[u8]) {
    told::<crate::dns::Dns>(Transport::Udp, 53, &runs(bytes), usize::MAX);
    told::<crate::dns::Dns>(Transport::Udp, 53, &[(Direction::ToClient, bytes)], usize::MAX);
}

/// Asks every probe.
#[doc(hidden)]
pub fn fuzz_probes(bytes: &[u8]) {
    for row in ROWS {
        for way in [Direction::ToServer, Direction::ToClient] {
            for port in [53, 0] {
                (row.probe)(way, bytes, port);
            }
        }
    }
}

/// Writes runs as the entries read them.
#[cfg(test)]
pub(crate) fn written(runs: &[(Direction, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (way, run) in runs {
        for part in run.chunks(0x7f) {
            let length = u8::try_from(part.len()).expect("at most 127");
            bytes.push(if *way == Direction::ToServer { length } else { length | 0x80 });
            bytes.extend_from_slice(part);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What each protocol begins with, so that random bytes get further than its first check.
    const OPENINGS: [(Direction, &[u8]); 12] = [
        (Direction::ToServer, b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03"),
        (Direction::ToClient, b"\x16\x03\x03\x00\x40\x02\x00\x00\x3c\x03\x03"),
        (Direction::ToClient, b"\x16\x03\x03\x00\x40\x0b\x00\x00\x3c\x00\x00\x39\x00\x00\x36\x30"),
        (Direction::ToServer, b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10"),
        (Direction::ToServer, b"\x00\x40\x12\x34\x01\x00\x00\x01\x00\x01\x00\x01\x00\x01\x01a\x00"),
        (Direction::ToClient, b"SSH-2.0-x\r\n\x00\x00\x00\x30\x04\x14"),
        (Direction::ToServer, b"SSH-2.0-y\n\x00\x00\x00\x30\x04\x14"),
        (Direction::ToClient, b"220 x\r\n250-a\r\n250 b\r\n354 go\r\n"),
        (
            Direction::ToServer,
            b"EHLO x\r\nMAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\nContent-Type: \
            x; name=y\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n",
        ),
        (Direction::ToServer, b"BDAT 20 LAST\r\nUSER x\r\nPORT 1,2,3,4,5,6\r\nAUTH TLS\r\n"),
        (Direction::ToServer, b"\x00\x00\x00\x50\xffSMB\x75\x00\x00\x00\x00\x18\x01\x80"),
        (Direction::ToClient, b"\x00\x00\x00\x50\xfeSMB\x40\x00\x00\x00\x00\x00\x00\x00\x03\x00"),
    ];

    fn conversation() -> impl Strategy<Value = Vec<u8>> {
        let junk = prop::collection::vec(any::<u8>(), 0..90);
        let part = prop_oneof![
            (any::<bool>(), junk.clone()).prop_map(|(up, junk)| {
                let way = if up { Direction::ToServer } else { Direction::ToClient };
                written(&[(way, &junk)])
            }),
            (0..OPENINGS.len(), junk).prop_map(|(at, junk)| {
                let (way, opening) = OPENINGS[at];
                written(&[(way, opening), (way, &junk)])
            }),
        ];
        prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]
        #[test]
        fn cuts_change_nothing(bytes in conversation()) {
            fuzz_tls(&bytes);
            fuzz_dns_stream(&bytes);
            fuzz_dns_datagram(&bytes);
            fuzz_ssh(&bytes);
            fuzz_smtp(&bytes);
            fuzz_ftp(&bytes);
            fuzz_smb(&bytes);
        }

        #[test]
        fn probes_answer(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            fuzz_probes(&bytes);
        }
    }

    #[test]
    fn every_opening_is_read_by_its_decoder() {
        for (at, row) in ROWS.iter().enumerate() {
            let known = OPENINGS.iter().any(|(way, bytes)| {
                (row.probe)(*way, bytes, row.ports[0]) > crate::registry::Probe::More
            });
            let http = row.application == portcullis_plugin_abi::application::HTTP;
            let udp = row.transport == Transport::Udp;
            assert!(known || http || udp, "row {at} knows one of the openings");
        }
    }
}
