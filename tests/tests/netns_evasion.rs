//! Evasions by overlap on live traffic: what an inline engine lets through means one thing to every
//! receiver, and it is what the engine has read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use portcullis_tests::capture_file;
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::evasion::alerts::{Rules, Seen, seen};
use portcullis_tests::evasion::cell::{Cell, Frames, cells};
use portcullis_tests::evasion::receiver::{Part, RECEIVERS, Receiver, first_versions};
use portcullis_tests::evasion::shape::text;
use portcullis_tests::lab::{Lab, Queues, Side};
use portcullis_tests::requirement;
use portcullis_tests::sniffer::Sniffer;
use portcullis_tests::traffic;

/// Frames a second; what is lost to haste would be taken for dropped.
const RATE: u32 = 4000;
/// One receiver stands for all: inline their policies must not matter.
const POLICY: u8 = 0;

fn settings(lab: &Lab, rules: &Rules) -> Settings {
    let file = lab.folder().join("matrix.rules");
    std::fs::write(&file, rules.text()).expect("the lab's folder can be written");
    let sections = format!(
        "[rules]\nfiles = [\"{}\"]\n\n\
         [streams]\nmemory = \"16MiB\"\nmax = 16384\nconversations = \"32MiB\"\n\n\
         [[exclusion]]\nrow = \"10.80.0.0/16 ignore\"\n\n\
         [[exclusion]]\nrow = \"fd80::/16 ignore\"\n",
        file.display()
    );
    Settings { sections, ..Settings::default() }
}

/// The texts that an engine may read of a cell: that of each receiver, and that of first versions.
fn candidates(cell: &Cell) -> Vec<Vec<u8>> {
    let parts = cell.parts();
    let mut readings: BTreeSet<String> = BTreeSet::new();
    for receiver in RECEIVERS {
        match cell.is_stream() {
            true => drop(readings.insert(receiver.reads_stream(&parts))),
            false => readings.extend(receiver.reads_datagrams(cell.is_v6, &parts)),
        }
    }
    let first = first_versions(&parts).into_iter().map(char::from).collect();
    readings.insert(first);
    let from = cell.text_from();
    readings.iter().map(|read| text(&read[from..], from)).collect()
}

/// What every receiver makes of the parts that came through; panics where two differ.
fn common_reading(cell: &Cell, parts: &[Part]) -> Vec<Vec<u8>> {
    let from = cell.text_from();
    let read = |receiver: &Receiver| match cell.is_stream() {
        true => vec![receiver.reads_stream(parts)],
        false => receiver.reads_datagrams(cell.is_v6, parts),
    };
    let common = read(&RECEIVERS[0]);
    for receiver in RECEIVERS {
        let Cell { shape, order, is_v6, tag, .. } = cell;
        let cell = format!("{}, {order:?}, v6 {is_v6}, tag {tag}", shape.name);
        assert_eq!(read(&receiver), common, "{} reads otherwise: {cell}", receiver.name);
    }
    common.iter().map(|read| text(&read[from..], from)).collect()
}

struct Traffic {
    cells: Vec<Cell>,
    begins: Vec<Vec<u8>>,
    answers: Vec<Vec<u8>>,
    parts: Vec<Vec<u8>>,
    /// Whose part a frame is. Frames that are sent twice are the same part.
    owners: HashMap<Vec<u8>, (usize, Part)>,
}

fn make_traffic() -> Traffic {
    let cells = cells();
    let mut made = Traffic {
        begins: Vec::new(),
        answers: Vec::new(),
        parts: Vec::new(),
        owners: HashMap::new(),
        cells,
    };
    for (at, cell) in made.cells.iter().enumerate() {
        let Frames { begins, answers, agrees, parts } = cell.frames(POLICY);
        made.begins.extend(begins);
        made.answers.extend(answers);
        made.parts.extend(agrees);
        for (part, frame) in parts {
            made.parts.push(frame.clone());
            let known = made.owners.insert(frame, (at, part));
            assert!(known.is_none_or(|known| known == (at, part)), "frames of two parts are equal");
        }
    }
    made
}

#[test]
fn inline_every_receiver_reads_what_the_engine_read() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let traffic = make_traffic();
    let mut rules = Rules::default();
    for cell in &traffic.cells {
        candidates(cell).iter().for_each(|text| rules.look_for(cell.is_stream(), text));
    }
    let lab = Lab::build(&[], Queues::One);
    let mut engine = Engine::start(&lab, &settings(&lab, &rules));
    let sniffer = Sniffer::on_wire(&lab, Side::Inside);
    let phases = [
        ("begins", Side::Outside, &traffic.begins),
        ("answers", Side::Inside, &traffic.answers),
        ("parts", Side::Outside, &traffic.parts),
    ];
    for (name, side, frames) in phases {
        let capture = lab.folder().join(format!("{name}.pcap"));
        capture_file::write(&capture, frames);
        let sent = traffic::replay(&lab, side, &capture, RATE);
        assert!(sent.succeeded(), "{sent}");
    }
    let heard = sniffer.frames();
    assert_eq!(engine.stop(), Some(0), "{}", engine.log());
    let mut came: BTreeMap<usize, Vec<Part>> = BTreeMap::new();
    for frame in &heard {
        if let Some((at, part)) = traffic.owners.get(frame) {
            came.entry(*at).or_default().push(*part);
        }
    }
    let found = seen(&engine.events("alert"));
    let (mut wrong, mut read_whole) = (Vec::new(), 0);
    for (at, cell) in traffic.cells.iter().enumerate() {
        let parts = came.remove(&at).unwrap_or_default();
        let texts = common_reading(cell, &parts);
        read_whole += usize::from(!texts.is_empty());
        // An overlap condemns a datagram; a stream goes on with the version that came first.
        if cell.is_stream() && texts.is_empty() {
            wrong.push(format!("{}, {:?}: a stream did not arrive", cell.shape.name, cell.order));
        }
        let wanted = rules.within(cell.is_stream(), &texts);
        let read = found.get(&Seen::of(cell, POLICY)).cloned().unwrap_or_default();
        if read != wanted {
            let (wanted, read) = (rules.versions(&wanted), rules.versions(&read));
            let (shape, order) = (cell.shape.name, cell.order);
            wrong.push(format!("{shape}, {order:?}: {wanted:?} arrived, {read:?} read"));
        }
    }
    let (count, sent) = (traffic.cells.len(), traffic.parts.len());
    println!("evasion: {count} cells inline, {sent} frames, {read_whole} read whole");
    let shown = wrong.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {count} cells:\n{shown}", wrong.len());
}
