//! Suricata rules on live traffic: read from text, evaluated in the sandbox, carried out inline.

use std::net::IpAddr;

use portcullis_tests::command::wait_until;
use portcullis_tests::engine::{Engine, Settings};
use portcullis_tests::lab::{self, Lab, Side};
use portcullis_tests::requirement;
use portcullis_tests::service::{self, Service};
use portcullis_tests::traffic;
use std::time::Duration;

const SERVER: IpAddr = IpAddr::V4(lab::SERVER);

/// One that ends a connection by its URI, one that only tells, and one that is none.
const RULES: &str = "\
drop http any any -> any any (msg:\"Evil page\"; flow:established,to_server; http.uri; \
content:\"/evil\"; classtype:web-application-attack; sid:9000001; rev:1;)\n\
alert http any any -> any any (msg:\"A page was given\"; flow:established,to_client; \
file.data; content:\"the gate is open\"; sid:9000002; rev:1;)\n\
alert http any any -> any any (msg:\"No such keyword\"; http.nonsense; sid:9000003; rev:1;)\n";

fn street() -> (Lab, Vec<Service>) {
    let lab = Lab::of(&["attacker", "server10"]);
    let services = lab.hosts_on(Side::Inside).map(|host| service::http(&lab, host)).collect();
    (lab, services)
}

#[test]
fn a_drop_rule_ends_the_connection_that_it_matches_and_no_other() {
    let Some(_turn) = requirement::turn_with_engine() else { return };
    let (lab, _services) = street();
    let engine = Engine::start(&lab, &Settings::default().with_rules(&lab, RULES));
    let host = lab.host("attacker");
    assert!(traffic::fetches(host, SERVER), "{}", engine.log());
    let evil = traffic::curl(host, SERVER, "evil");
    assert!(!evil.succeeded() && !evil.stdout.contains("404"), "it was answered: {evil}");
    assert!(traffic::fetches(host, SERVER), "the next connection has nothing to do with it");
    let told =
        |sid: u64| engine.events("alert").iter().any(|event| event["alert"]["signature_id"] == sid);
    assert!(wait_until(Duration::from_secs(5), || told(9_000_001)), "{}", engine.log());
    assert!(wait_until(Duration::from_secs(5), || told(9_000_002)), "{:?}", engine.events("alert"));
    let pages = || engine.events("http").iter().any(|event| event["http"]["url"] == "/");
    assert!(wait_until(Duration::from_secs(5), pages), "no http event: {}", engine.log());
    assert!(engine.log().contains("2 rules loaded, 1 refused"), "{}", engine.log());
}
