//! The demonstration: one attacker, four places, and what becomes of each.
//!
//! Must never know: anything that an operator could not see.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::engine::{Block, Engine, SEGMENT, Settings};
use crate::lab::{self, Lab, Queues, Side};
use crate::place::Place;
use crate::service::{self, Service};
use crate::story::Story;
use crate::traffic;

const ATTACKER: IpAddr = IpAddr::V4(lab::CLIENT);
const SERVER: IpAddr = IpAddr::V4(lab::SERVER);
/// Short, so that its end can be waited for.
const BLOCK_FOR: Duration = Duration::from_secs(20);
/// How long something that must not pass is tried.
const REFUSAL: Duration = Duration::from_secs(1);
/// How long the kernel may take to notice that the engine is gone.
const RECOVERY: Duration = Duration::from_secs(5);
/// Who must not notice a block of the attacker in VLAN 10.
const OTHERS: [(&str, &str); 4] = [
    ("neighbr", "another client in VLAN 10"),
    ("honest20", "the same address in VLAN 20"),
    ("honest0", "the same address without a tag"),
    ("honestq", "the same address in QinQ 10.20"),
];

/// The stage: the lab and the services on its servers.
#[derive(Debug)]
pub struct Stage {
    lab: Lab,
    _services: Vec<Service>,
}

impl Stage {
    /// Builds the street with a web, an SSH and a NetBIOS port open on every server.
    #[must_use]
    pub fn build() -> Stage {
        let lab = Lab::build(&lab::STREET, Queues::One);
        lab.accept_redirected_frames();
        let mut services = Vec::new();
        for host in lab.hosts().iter().filter(|host| host.plan.side == Side::Inside) {
            services.push(service::http(&lab, host));
            services.push(service::ssh(&lab, host));
            services.push(service::open_port(&lab, host, 139));
        }
        Stage { lab, _services: services }
    }

    /// The configuration of the demonstration.
    #[must_use]
    pub fn settings() -> Settings {
        Settings {
            on_failure: "open",
            block_for: "20s",
            segment_lines: "hang_after = \"300ms\"".to_owned(),
            ..Settings::default()
        }
    }

    /// Tells the whole story; the claims that did not hold, and the engine, still running.
    #[must_use]
    pub fn tell(&self) -> (Vec<String>, Engine<'_>) {
        let mut story = Story::begin();
        self.introduce(&mut story);
        let mut engine = self.start(&mut story);
        self.scan(&mut story, &engine);
        self.unblock(&mut story, &engine);
        self.attack(&mut story, &engine);
        self.expire(&mut story, &engine);
        self.kill(&mut story, &mut engine);
        figures(&mut story, &engine);
        (story.end(), engine)
    }

    /// How to go on by hand while it is kept running.
    #[must_use]
    pub fn invitation(&self, engine: &Engine<'_>) -> String {
        let attacker = self.lab.host("attacker").namespace.name();
        let honest = self.lab.host("honest20").namespace.name();
        let ask = engine.command_line(&["blocks", "list"]);
        let eve = self.lab.folder().join("log/eve.json");
        format!(
            "The street stays. As root:\n\
             \x20 ip netns exec {attacker} nmap -n -Pn {SERVER}          attack again\n\
             \x20 ip netns exec {attacker} curl http://{SERVER}/     are we blocked?\n\
             \x20 ip netns exec {honest} curl http://{SERVER}/     the same address in VLAN 20\n\
             \x20 {ask}\n\
             \x20 tail -f {} | jq .\n\
             \x20 scripts/demo --clean                                 take it all away",
            eve.display()
        )
    }

    fn introduce(&self, story: &mut Story) {
        story.chapter("A street of machines, in network namespaces of this one");
        story.say(
            "Portcullis stands between the outside and the servers. Five clients, four servers:",
        );
        for host in self.lab.hosts() {
            let side = format!("{:?}", host.plan.side).to_lowercase();
            let tags = match host.plan.place {
                Place::UNTAGGED => "no tag".to_owned(),
                place => format!("VLAN {place}"),
            };
            story.show(&format!("{side:<8} {:<10} {:<12} {tags}", host.plan.name, host.plan.v4));
        }
        story.say("Four of the clients have one and the same address; only their tags differ.");
        story.say("Every server runs a real web server, a real sshd, and an open NetBIOS port.");
    }

    fn start(&self, story: &mut Story) -> Engine<'_> {
        story.chapter("The engine goes inline, over AF_XDP");
        let engine = Engine::start(&self.lab, &Stage::settings());
        for line in engine.log().lines().take(12) {
            story.show(line);
        }
        for (name, who) in [("attacker", "the later attacker, VLAN 10")].iter().chain(&OTHERS) {
            let host = self.lab.host(name);
            story.claim(&format!("{who}: web page fetched"), traffic::fetches(host, SERVER));
        }
        let banner = traffic::ssh_banner(self.lab.host("honest20"), SERVER);
        story.claim(&format!("SSH answers: {}", banner.trim()), banner.starts_with("SSH-2.0"));
        engine
    }

    fn scan(&self, story: &mut Story, engine: &Engine<'_>) {
        story.chapter("A real nmap scan from VLAN 10");
        let began = Instant::now();
        let attacker = self.lab.host("attacker");
        let scan = traffic::Scan::start(&self.lab, attacker, "-sS", "1-1000", &SERVER.to_string());
        story.show(&format!("$ {}", scan.line()));
        let block = await_block(engine);
        drop(scan);
        story.claim(
            &format!("detected and blocked within {:.1?}", began.elapsed()),
            block.is_some(),
        );
        self.show_detection(story, engine, block.as_ref());
        self.who_gets_through(story);
    }

    fn show_detection(&self, story: &mut Story, engine: &Engine<'_>, block: Option<&Block>) {
        for alert in engine.events("alert").iter().rev().take(1) {
            let signature = alert["alert"]["signature"].as_str().unwrap_or("?");
            let severity = &alert["alert"]["severity"];
            story.say(&format!("detected: {signature} (severity {severity})"));
        }
        if let Some(block) = block {
            let vlan: Vec<String> = block.vlan.iter().map(u64::to_string).collect();
            let place = vlan.join(".");
            story
                .say(&format!("blocked:  {} in VLAN {place}, until {}", block.source, block.until));
        }
    }

    fn who_gets_through(&self, story: &mut Story) {
        let refused = !traffic::fetches_within(self.lab.host("attacker"), SERVER, REFUSAL);
        story.claim("the attacker no longer gets through", refused);
        for (name, who) in OTHERS {
            story
                .claim(&format!("{who} still does"), traffic::fetches(self.lab.host(name), SERVER));
        }
    }

    fn unblock(&self, story: &mut Story, engine: &Engine<'_>) {
        story.chapter("An operator lifts the block");
        story.show(&format!("$ portcullis blocks remove {ATTACKER} --segment {SEGMENT} --vlan 10"));
        story.claim("acknowledged", engine.unblock(ATTACKER, Place::VLAN_10));
        let passes = traffic::fetches(self.lab.host("attacker"), SERVER);
        story.claim("the attacker gets through again, at once", passes);
    }

    fn attack(&self, story: &mut Story, engine: &Engine<'_>) {
        story.chapter("A real attack from VLAN 10: out-of-band data to NetBIOS (WinNuke)");
        traffic::winnuke(self.lab.host("attacker"), SERVER);
        let block = await_block(engine);
        story.claim("detected and blocked with the packet that carried it", block.is_some());
        self.show_detection(story, engine, block.as_ref());
        self.who_gets_through(story);
    }

    fn expire(&self, story: &mut Story, engine: &Engine<'_>) {
        story.chapter("The block ends by itself");
        let seconds = BLOCK_FOR.as_secs();
        story.say(&format!("Its duration here is {seconds} s (by default an hour). Waiting …"));
        let began = Instant::now();
        let limit = BLOCK_FOR + RECOVERY;
        let attacker = self.lab.host("attacker");
        let ended = crate::command::wait_until(limit, || {
            traffic::fetches_within(attacker, SERVER, Duration::from_millis(500))
        });
        let waited = began.elapsed().as_secs_f64();
        story.claim(&format!("after {waited:.1} s more the attacker gets through"), ended);
        story.claim("the list is empty", engine.blocks().is_empty());
    }

    fn kill(&self, story: &mut Story, engine: &mut Engine<'_>) {
        story.chapter("kill -9 while a block holds");
        story.show(&format!(
            "$ portcullis blocks add {ATTACKER} --segment {SEGMENT} --vlan 10 --for 10m"
        ));
        story.claim("blocked by hand", engine.block(ATTACKER, Place::VLAN_10, "10m"));
        engine.signal(Signal::KILL);
        engine.kill();
        let neighbour = self.lab.host("neighbr");
        let passes = crate::command::wait_until(RECOVERY, || {
            traffic::fetches_within(neighbour, SERVER, Duration::from_millis(700))
        });
        story.claim("the engine is dead; honest traffic goes on (on_failure = \"open\")", passes);
        let refused = !traffic::fetches_within(self.lab.host("attacker"), SERVER, REFUSAL);
        story.claim("the kernel program still holds the block", refused);
        engine.restart();
        story.claim(
            "started again: the block is in its list",
            engine.is_blocked(ATTACKER, Place::VLAN_10),
        );
        self.who_gets_through(story);
    }
}

fn await_block(engine: &Engine<'_>) -> Option<Block> {
    let mut found = None;
    crate::command::wait_until(RECOVERY, || {
        found = engine.blocks().into_iter().find(|block| block.is(ATTACKER, Place::VLAN_10));
        found.is_some()
    });
    found
}

/// The figures of the engine itself, as `metrics` gives them.
fn figures(story: &mut Story, engine: &Engine<'_>) {
    story.chapter("Figures since the engine was started again");
    for (name, value) in engine.figures().counted() {
        story.figure(name, &format!("{value}"));
    }
    let count = |kind: &str| engine.events(kind).len().to_string();
    story.say("And in the events of the whole story:");
    for kind in ["alert", "block", "unblock", "flow", "anomaly"] {
        story.figure(&format!("{kind} events"), &count(kind));
    }
}
