//! What each target holds to be true, whatever the bytes. A target's body is one call to here.

use portcullis_plugin_abi::BatchReader;
use portcullis_rules_db::compile::{Vocabulary, compile};
use portcullis_rules_db::policy::Policy;
use portcullis_rules_db::{Reading, Vars};
use portcullis_rules_form::{RuleSet, TooLarge};
use portcullis_verdict::Exclusion;
use portcullis_wire::{Checks, LinkType, PacketKind, parse};

/// Any arena: every record within its count reads, none beyond it does, and a buffer's bytes lie in
/// the batch's data.
pub fn abi(arena: &[u8]) {
    let Ok(reader) = BatchReader::new(arena) else { return };
    let h = *reader.header();
    for i in (0..h.events.min(1_000)).chain([h.events, u32::MAX]) {
        assert_eq!(reader.event(i).is_some(), i < h.events);
        assert_eq!(reader.flow(i).is_some(), i < h.flows);
        assert_eq!(reader.hit(i).is_some(), i < h.hits);
        if let Some(buffer) = reader.buffer(i) {
            let bytes = reader.bytes(&buffer);
            assert!(bytes.is_empty() || bytes.len() == buffer.data_len as usize);
            assert!(bytes.len() <= h.data_len as usize);
        }
    }
    let mut copy = arena.to_vec();
    let _ = BatchReader::split(&mut copy).map(|(r, slots, _)| (r.head_len(), slots.len()));
}

/// By the first byte, any text as a configuration or as an inventory: it is taken, or refused with
/// a place and a remedy.
pub fn configuration(bytes: &[u8]) {
    let [kind, text @ ..] = bytes else { return };
    if kind & 1 == 0 {
        portcullis_control::fuzz::fuzz_config(text);
    } else {
        portcullis_control::fuzz::fuzz_inventory(text);
    }
}

/// Any text: a row whose canonical text reads back to the same row, or an error that names a place
/// in the text (or just past it) and a remedy.
pub fn exclusions(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Exclusion::parse(text) {
        Ok(row) => match Exclusion::parse(&row.to_string()) {
            Ok(again) => assert_eq!(again, row, "{row}"),
            // The canonical text may be longer than what was written, and then too long for a row.
            Err(e) => assert!(row.to_string().len() > 4096, "{row}: {e}"),
        },
        Err(e) => {
            assert!(e.column >= 1 && (e.column <= text.chars().count() + 1 || text.len() > 4096));
            assert!(!e.remedy.is_empty());
        }
    }
}

/// Any history of packets: the table's counts add up, ids go stale when flows end, every end has
/// its record, and the limits hold. The assertions are in `fuzz_admit` itself.
pub fn flow(history: &[u8]) {
    portcullis_flow::fuzz_admit(history);
}

/// Any compiled set of rules: every accessor answers from it or says that it is not there.
pub fn form(set: &[u8]) {
    portcullis_rules_form::fuzz_form(set);
}

/// Any conversation of HTTP: whole and byte by byte show detectors the same. The response begins
/// at the first byte 0xff.
pub fn http(conversation: &[u8]) {
    portcullis_decode::http::fuzz_http(conversation);
}

/// Any journal, as it is or in frames that are whole: what can be proven is read, the rest counted,
/// and what is in force survives being written anew.
pub fn journal(bytes: &[u8]) {
    portcullis_control::fuzz::fuzz_journal(bytes);
}

/// By the first byte, literals or a regex: every way of scanning finds what a plain search finds,
/// and a match lies in its haystack.
pub fn matcher(bytes: &[u8]) {
    let [kind, rest @ ..] = bytes else { return };
    if kind & 1 == 0 {
        portcullis_matcher::fuzz::fuzz_literals(rest);
    } else {
        portcullis_matcher::fuzz::fuzz_regex(rest);
    }
}

/// Any text of rules, thresholds, class types, references and reputations: each rule is taken or
/// refused, and what is taken compiles to a set that opens and is whole.
pub fn rules(text: &[u8]) {
    portcullis_rules_db::fuzz::fuzz_rules(text);
    if let Ok(set) = compiled(text) {
        assert!(RuleSet::open(&set).is_ok_and(|set| set.verify().is_ok()));
        portcullis_rules_form::fuzz_form(&set);
    }
}

/// The compiled form of the rules of a text; every file that they name holds the text itself, and
/// every event has a number.
///
/// # Errors
/// Where it would be longer than 4 GiB.
pub fn compiled(text: &[u8]) -> Result<Vec<u8>, TooLarge> {
    let (vars, files) = (Vars::default(), |_: &str, _: &str| Ok(text.to_vec()));
    let rules = Reading::new(&vars).data_files(&files).texts(&[("fuzz", text)]);
    let (app_event, anomaly) = (|_: &str| Some(7), |name: &str| vec![name.to_owned()]);
    let vocabulary = Vocabulary { app_event: &app_event, anomaly: &anomaly };
    compile(&rules, &vocabulary, &Policy::shipped()).map(|set| set.bytes)
}

/// The decoders that `sessions` chooses from by its first byte, in the order of their seeds.
const SESSIONS: [fn(&[u8]); 8] = [
    portcullis_decode::fuzz_tls,
    portcullis_decode::fuzz_dns_stream,
    portcullis_decode::fuzz_dns_datagram,
    portcullis_decode::fuzz_ssh,
    portcullis_decode::fuzz_smtp,
    portcullis_decode::fuzz_ftp,
    portcullis_decode::fuzz_smb,
    portcullis_decode::fuzz_probes,
];

/// Any conversation, for the decoder that the first byte says: how it is cut into segments changes
/// nothing that detectors see, and a flow's memory is bounded.
pub fn sessions(bytes: &[u8]) {
    let [which, rest @ ..] = bytes else { return };
    SESSIONS[usize::from(*which) % SESSIONS.len()](rest);
}

/// By the first byte, any history of segments or of fragments: what is delivered follows on, what
/// becomes whole can be read, and nothing is left behind.
pub fn streams(bytes: &[u8]) {
    let [kind, history @ ..] = bytes else { return };
    if kind & 1 == 0 {
        portcullis_flow::fuzz_streams(history);
    } else {
        portcullis_flow::fuzz_defrag(history);
    }
}

/// Every link type, with and without checksums: all offsets in order and within the frame, the
/// rejects of a parsed packet never fatal, and an error always one.
pub fn wire(frame: &[u8]) {
    let links = [
        LinkType::Ethernet,
        LinkType::Loop,
        LinkType::Null,
        LinkType::LinuxSll,
        LinkType::LinuxSll2,
        LinkType::RawIp,
    ];
    for link in links {
        for checks in [Checks::NONE, Checks::ALL] {
            let packet = match parse(frame, link, checks) {
                Ok(packet) => packet,
                Err(e) => {
                    assert!(e.reject.is_fatal());
                    continue;
                }
            };
            let end = usize::from(packet.payload_offset) + usize::from(packet.payload_len);
            assert!(end <= frame.len());
            assert!(packet.l3_offset <= packet.l4_offset);
            assert!(packet.l4_offset <= packet.payload_offset);
            assert_eq!(packet.payload(frame).len(), usize::from(packet.payload_len));
            assert_eq!(packet.kind == PacketKind::Ip, packet.ip_version != 0);
            assert!(packet.rejects.iter().all(|reject| !reject.is_fatal()));
            assert!(packet.has_transport() || (packet.src_port, packet.dst_port) == (0, 0));
            let _ = (packet.tcp_options(frame), packet.segment(frame), packet.datagram(frame));
            let _ = (packet.payload(&[]), packet.tcp_options(&[]));
        }
    }
}
