//! Who listens on a wire: `tcpdump`, started, awaited, stopped and read.

use std::path::PathBuf;
use std::time::Duration;

use crate::capture_file;
use crate::command::{self, Running};
use crate::lab::{Lab, Side, WIRE};

/// A running capture of the frames that leave the engine towards one side.
#[derive(Debug)]
pub struct Sniffer {
    tcpdump: Running,
    file: PathBuf,
}

impl Sniffer {
    /// Listens on a side's wire for frames that come from the engine; returns once it hears.
    #[must_use]
    pub fn on_wire(lab: &Lab, side: Side) -> Sniffer {
        Sniffer::start(lab, side, "in")
    }

    /// Listens for what goes either way.
    #[must_use]
    pub fn on_wire_both_ways(lab: &Lab, side: Side) -> Sniffer {
        Sniffer::start(lab, side, "inout")
    }

    fn start(lab: &Lab, side: Side, way: &str) -> Sniffer {
        let file = lab.folder().join(format!("sniffed-{side:?}.pcap"));
        let log = file.with_extension("log");
        for old in [&file, &log] {
            let _ = std::fs::remove_file(old);
        }
        let path = file.to_str().expect("the lab's folder has a plain name");
        // Immediate mode: otherwise what waits in the kernel's buffer is lost at the end.
        let options = ["--immediate-mode", "-Q", way, "-n", "-s", "0", "-B", "65536", "-U"];
        let words = [&["tcpdump", "-i", WIRE][..], &options, &["-w", path]].concat();
        let tcpdump = lab.bridge(side).start(&words, &log);
        let hears =
            || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("listening on"));
        assert!(command::wait_until(Duration::from_secs(5), hears), "tcpdump does not start");
        Sniffer { tcpdump, file }
    }

    /// Stops listening; every frame heard, in order.
    #[must_use]
    pub fn frames(mut self) -> Vec<Vec<u8>> {
        // What is on its way to tcpdump's buffer still counts.
        std::thread::sleep(Duration::from_millis(300));
        self.tcpdump.signal(rustix::process::Signal::INT);
        let _ = self.tcpdump.wait(Duration::from_secs(5));
        capture_file::read(&self.file)
    }
}
