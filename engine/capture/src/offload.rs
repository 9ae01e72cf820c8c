//! Offloads that corrupt what a source sees, who has them on, and switching them off.
//!
//! A frame between two virtual ports of one machine may carry promises instead of bytes: a checksum
//! that hardware would fill in, segments that hardware would cut, a tag that hardware would insert.
//! A frame source sees the bytes only, and so would send on frames that are broken or in another
//! VLAN. Measured with everything left on: no UDP datagram and no TCP handshake gets through, while
//! ping does.
//!
//! ```text
//!   peer ──── sends: checksums, segments, tags as promises ───► port ──► source
//!   port ──── receives: merges segments, parses tags away ────────────► source
//! ```
//! So of a virtual pair both ends matter, the other one even in another network namespace.

use std::io;
use std::path::PathBuf;

use crate::OpenError;
use crate::ethtool::{Ethtool, Feature};
use crate::namespace::{inside, peer_of};
use crate::port::port_error;

/// The driver whose ports come in pairs.
const VETH: &str = "veth";

/// Something about a port that would corrupt or hide what passes.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct OffloadProblem {
    /// The port that has it: the one asked about, or the other end of its pair.
    pub port: String,
    /// The kernel's name of the feature, e.g. `tx-vlan-hw-insert`; `peer` where the other end of
    /// the pair cannot be looked at.
    pub feature: String,
    /// What it does to frames.
    pub why: &'static str,
    /// The exact command that mends it.
    pub remedy: String,
    /// Whether [`fix`] can do that.
    pub cure: Cure,
}

/// Who can mend it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cure {
    /// This program, with CAP_NET_ADMIN there.
    Automatic,
    /// The operator: it cannot be reached from here.
    Operator,
    /// Nobody: the driver does not let go of it. Use another port or driver.
    None,
}

/// One feature that matters.
struct Harm {
    /// The kernel's name, or the beginning of several.
    feature: &'static str,
    /// The word that `ethtool -K` takes.
    word: &'static str,
    /// At which end of a pair.
    at: At,
    why: &'static str,
}

/// Which ends of a virtual pair have to have it off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// Both.
    BothEnds,
    /// The port itself. The other end's receiving is its own affair, and failing open by the
    /// kernel's redirect even needs `gro` on there.
    PortOnly,
}

const CHECKSUM: &str = "frames arrive with checksums that nobody has computed";
const SEGMENTS: &str = "frames arrive longer than the MTU, to be cut by hardware that is not there";
const MERGED: &str = "frames are merged before they are seen and leave longer than the MTU";
const TAG_SENT: &str = "VLAN tags travel beside the frame and are lost: it changes its VLAN";
const TAG_PARSED: &str = "VLAN tags are taken out of frames before they are seen";

const HARMS: [Harm; 12] = [
    Harm { feature: "tx-checksum-", word: "tx", at: At::BothEnds, why: CHECKSUM },
    Harm { feature: "tx-tcp", word: "tso", at: At::BothEnds, why: SEGMENTS },
    Harm {
        feature: "tx-udp-segmentation",
        word: "tx-udp-segmentation",
        at: At::BothEnds,
        why: SEGMENTS,
    },
    Harm { feature: "tx-generic-segmentation", word: "gso", at: At::BothEnds, why: SEGMENTS },
    Harm { feature: "rx-gro", word: "gro", at: At::PortOnly, why: MERGED },
    Harm { feature: "rx-gro-hw", word: "rx-gro-hw", at: At::PortOnly, why: MERGED },
    Harm { feature: "rx-gro-list", word: "rx-gro-list", at: At::PortOnly, why: MERGED },
    Harm { feature: "rx-lro", word: "lro", at: At::PortOnly, why: MERGED },
    Harm { feature: "rx-vlan-hw-parse", word: "rxvlan", at: At::PortOnly, why: TAG_PARSED },
    Harm { feature: "tx-vlan-hw-insert", word: "txvlan", at: At::BothEnds, why: TAG_SENT },
    Harm {
        feature: "tx-vlan-stag-hw-insert",
        word: "tx-vlan-stag-hw-insert",
        at: At::BothEnds,
        why: TAG_SENT,
    },
    Harm {
        feature: "rx-vlan-stag-hw-parse",
        word: "rx-vlan-stag-hw-parse",
        at: At::PortOnly,
        why: TAG_PARSED,
    },
];

impl Harm {
    fn is(&self, feature: &str) -> bool {
        match self.feature {
            "tx-checksum-" => feature.starts_with(self.feature),
            "tx-tcp" => feature.starts_with(self.feature) && feature.ends_with("-segmentation"),
            exact => feature == exact,
        }
    }
}

/// The end of a virtual pair that a look is at.
#[derive(Clone, PartialEq, Eq, Debug)]
struct End {
    name: String,
    /// The namespace's file; `None` in this thread's own.
    namespace: Option<PathBuf>,
    at: At,
}

impl End {
    /// Does something where this end lives.
    fn with<T: Send>(&self, work: impl FnOnce(&Ethtool) -> io::Result<T> + Send) -> io::Result<T> {
        match &self.namespace {
            None => work(&Ethtool::new()?),
            Some(path) => inside(path, || work(&Ethtool::new()?))?,
        }
    }

    /// The command that switches `words` off here.
    fn command(&self, words: &[&str]) -> String {
        let off: Vec<String> = words.iter().map(|word| format!("{word} off")).collect();
        let enter = match &self.namespace {
            None => String::new(),
            Some(path) if path.starts_with("/run/netns") => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                format!("ip netns exec {name} ")
            }
            Some(path) => format!("nsenter --net={} ", path.display()),
        };
        format!("{enter}ethtool -K {} {}", self.name, off.join(" "))
    }

    /// The harm of a feature that is on, if it matters at this end.
    fn harm(&self, feature: &Feature) -> Option<&'static Harm> {
        let here = |harm: &&Harm| self.at == At::PortOnly || harm.at == At::BothEnds;
        HARMS.iter().filter(here).find(|harm| feature.active && harm.is(&feature.name))
    }

    fn problems(&self) -> io::Result<Vec<OffloadProblem>> {
        let features = self.with(|ethtool| ethtool.features(&self.name))?;
        let problem = |feature: &Feature| {
            let harm = self.harm(feature)?;
            Some(OffloadProblem {
                port: self.name.clone(),
                feature: feature.name.clone(),
                why: harm.why,
                remedy: self.command(&[harm.word]),
                cure: if feature.changeable { Cure::Automatic } else { Cure::None },
            })
        };
        Ok(features.iter().filter_map(problem).collect())
    }

    /// Switches everything harmful off that can be.
    fn fix(&self) -> io::Result<()> {
        self.with(|ethtool| {
            let features = ethtool.features(&self.name)?;
            let harmful = |f: &&Feature| f.changeable && self.harm(f).is_some();
            let names: Vec<&str> = features.iter().filter(harmful).map(|f| &*f.name).collect();
            if names.is_empty() { Ok(()) } else { ethtool.switch_off(&self.name, &names) }
        })
    }
}

/// The other end of a virtual pair, or nothing for a port of another kind.
fn other_end(port: &str) -> io::Result<Option<End>> {
    let ethtool = Ethtool::new()?;
    if ethtool.driver(port)? != VETH {
        return Ok(None);
    }
    let place = peer_of(ethtool.number_of(port)?)?;
    let name = match &place.namespace {
        None => ethtool.name_of(place.ifindex)?,
        Some(path) => inside(path, || Ethtool::new()?.name_of(place.ifindex))??,
    };
    Ok(Some(End { name, namespace: place.namespace, at: At::BothEnds }))
}

fn end_of(port: &str) -> End {
    End { name: port.to_owned(), namespace: None, at: At::PortOnly }
}

/// Everything that is on at this port, and at the other end of a virtual pair, and should be off.
/// Empty means that frames are seen as they were sent.
///
/// # Errors
/// There is no such port, or its driver does not answer.
pub fn problems(port: &str) -> Result<Vec<OffloadProblem>, OpenError> {
    let failed = |error| offload_error(port, "reading its offload features", error);
    let here = end_of(port);
    let mut found = here.problems().map_err(failed)?;
    let there = other_end(port).and_then(|end| end.map_or(Ok(Vec::new()), |end| end.problems()));
    match there {
        Ok(more) => found.extend(more),
        Err(_) => found.push(OffloadProblem {
            port: port.to_owned(),
            feature: "peer".to_owned(),
            why: "the other end of this virtual pair cannot be looked at from here; it has to send \
                  whole frames",
            remedy: every_word(At::BothEnds),
            cure: Cure::Operator,
        }),
    }
    Ok(found)
}

/// Switches off what can be, at the port and at the other end of a virtual pair, and returns what
/// is still wrong afterwards.
///
/// # Errors
/// There is no such port, or no right to change it (CAP_NET_ADMIN).
pub fn fix(port: &str) -> Result<Vec<OffloadProblem>, OpenError> {
    let failed = |error| offload_error(port, "switching its offload features off", error);
    end_of(port).fix().map_err(failed)?;
    if let Ok(Some(peer)) = other_end(port) {
        peer.fix().map_err(failed)?;
    }
    problems(port)
}

/// The command for the end that cannot be reached; its name is not known either.
fn every_word(at: At) -> String {
    let words: Vec<&str> = HARMS.iter().filter(|h| h.at == at).map(|h| h.word).collect();
    let end = End { name: "PEER".to_owned(), namespace: None, at };
    format!("where the other end is: {}", end.command(&words))
}

/// The name of the other end of a virtual pair, and its namespace's file where it is another.
pub(crate) fn pair_of(port: &str) -> io::Result<Option<(String, Option<PathBuf>)>> {
    Ok(other_end(port)?.map(|end| (end.name, end.namespace)))
}

fn offload_error(port: &str, doing: &'static str, error: io::Error) -> OpenError {
    match error.raw_os_error() {
        Some(libc::ENODEV) => OpenError::NoSuchPort { port: port.to_owned() },
        _ => port_error(port, doing, error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by where it stopped")]
    use super::*;
    use crate::veth_lab::VethLab;

    #[test]
    fn a_fresh_pair_is_harmful_at_both_ends_and_is_mended() {
        let Some(lab) = VethLab::new() else { return };
        let before = lab.inside(&lab.middle(), || problems("a")).unwrap();
        for (port, feature) in [
            ("a", "tx-checksum-ip-generic"),
            ("l0", "tx-checksum-ip-generic"),
            ("l0", "tx-vlan-hw-insert"),
            ("l0", "tx-vlan-stag-hw-insert"),
            ("l0", "tx-generic-segmentation"),
            ("l0", "tx-tcp-segmentation"),
        ] {
            let found = before.iter().find(|p| p.port == port && p.feature == feature);
            let found = found.unwrap_or_else(|| panic!("{feature} of {port} in {before:?}"));
            assert_eq!(found.cure, Cure::Automatic);
            let enter = format!("ip netns exec {} ethtool -K l0 ", lab.left());
            let start = if port == "a" { "ethtool -K a " } else { &enter };
            assert!(found.remedy.starts_with(start), "{}", found.remedy);
        }
        let after = lab.inside(&lab.middle(), || fix("a")).unwrap();
        assert_eq!(after, []);
        let told = std::process::Command::new("ip")
            .args(["netns", "exec", &lab.left(), "ethtool", "-k", "l0"])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        for line in
            ["tx-vlan-offload: off", "tx-checksumming: off", "tcp-segmentation-offload: off"]
        {
            assert!(told.contains(line), "ethtool itself does not say {line}");
        }
        let (name, namespace) = lab.inside(&lab.middle(), || pair_of("a")).unwrap().unwrap();
        assert_eq!(name, "l0");
        assert!(namespace.unwrap().starts_with("/run/netns"));
    }

    #[test]
    fn an_unnamed_peer_is_a_problem_of_its_own() {
        let Some(lab) = VethLab::new() else { return };
        // Without its name the namespace lives on, because a thread is in it.
        let (enter, entered) = std::sync::mpsc::channel();
        let (leave, left) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let space = lab.left();
            let lab = &lab;
            scope.spawn(move || {
                lab.inside(&space, move || {
                    enter.send(()).unwrap();
                    let _ = left.recv();
                });
            });
            entered.recv().unwrap();
            assert!(crate::veth_lab::ip(&["netns", "del", &lab.left()]));
            let found = lab.inside(&lab.middle(), || fix("a")).unwrap();
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!((&*found[0].feature, found[0].cure), ("peer", Cure::Operator));
            assert!(found[0].remedy.contains("txvlan off"), "{}", found[0].remedy);
            drop(leave);
        });
    }

    #[test]
    fn a_missing_port_is_named() {
        let error = problems("no-such-port").unwrap_err().to_string();
        assert!(error.contains("no-such-port"), "{error}");
    }
}
