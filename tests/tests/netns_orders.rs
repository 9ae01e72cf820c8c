//! How soon an operator's order is acknowledged, asked by the control socket itself: starting a
//! command takes longer than the order does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use portcullis_tests::engine::{Detectors, Engine, SEGMENT, Settings};
use portcullis_tests::lab::{Lab, Queues};
use portcullis_tests::requirement;

/// Orders given; half of them must keep the promise, since a shared machine may stop any of them.
const ORDERS: u8 = 60;
/// From an order to its acknowledgement, by which time it is on the disk.
const TO_THE_ANSWER: Duration = Duration::from_millis(10);

/// A connection to the control socket, used again for every order.
struct Control(BufReader<UnixStream>);

impl Control {
    fn open(lab: &Lab) -> Control {
        let path = lab.folder().join("run/control.sock");
        let stream = UnixStream::connect(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        let limit = Some(Duration::from_secs(10));
        stream.set_read_timeout(limit).expect("a socket takes a limit");
        Control(BufReader::new(stream))
    }

    /// Posts, and answers how long the answer took.
    fn post(&mut self, path: &str, body: &str) -> Duration {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: engine\r\nContent-Length: {length}\r\n");
        let request = format!("{head}Content-Type: application/json\r\n\r\n{body}");
        let began = Instant::now();
        self.0.get_mut().write_all(request.as_bytes()).expect("the engine reads");
        let status = self.line();
        let mut length = 0;
        loop {
            let line = self.line().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer).expect("the whole answer");
        let took = began.elapsed();
        assert!(status.contains(" 200 "), "{status}: {}", String::from_utf8_lossy(&answer));
        took
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the engine answers");
        line.trim_end().to_owned()
    }
}

#[test]
fn half_of_the_orders_are_acknowledged_within_ten_milliseconds() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let lab = Lab::build(&[], Queues::One);
    let settings = Settings { detectors: Detectors::Absent, ..Settings::default() };
    let engine = Engine::start(&lab, &settings);
    let mut control = Control::open(&lab);
    let mut order = |low: u8| {
        let source = Ipv4Addr::new(192, 0, 2, low);
        let body =
            format!(r#"{{"source":"{source}","segment":"{SEGMENT}","vlan":[10],"seconds":600}}"#);
        control.post("/v1/blocks", &body)
    };
    let mut took: Vec<Duration> = (1..=ORDERS).map(&mut order).collect();
    took.sort_unstable();
    assert_eq!(engine.blocks().len(), usize::from(ORDERS), "all are in force");
    let median = took[took.len() / 2];
    assert!(median <= TO_THE_ANSWER, "acknowledged after {median:?}: {took:?}");
}
