//! `[streams]`: what is read behind the headers, and how much of it at once.

use super::section::{Section, words};
use portcullis_flow::{TargetPolicy, Targets};
use portcullis_types::{Addr, Prefix};

words! {
    /// What becomes of a TCP conversation whose beginning we did not see.
    StreamMidstream {
        /// It is read from where it was met.
        Read = "read",
        /// Its packets are looked at one by one; its stream is not read.
        Packets = "packets",
        /// It passes unseen.
        Pass = "pass",
        /// Its segments are dropped.
        Drop = "drop",
    }
}

words! {
    /// What becomes of a TCP conversation of which one side only is seen.
    OneSided {
        /// It is read.
        Read = "read",
        /// Its packets are looked at one by one; its stream is not read.
        Packets = "packets",
    }
}

words! {
    /// What becomes of bytes that TCP marks as urgent.
    Urgent {
        /// They are part of the stream.
        Inline = "inline",
        /// They are taken out of it, as receivers do unless told otherwise.
        OutOfBand = "out-of-band",
    }
}

/// `[streams]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Streams {
    /// Bytes of segments that wait for a hole to fill or for their acknowledgement, all workers
    /// together.
    pub memory: u64,
    /// TCP conversations that are read at once, all workers together.
    pub max: u32,
    /// Bytes of all decoders and of the stretches of streams that raw content is looked for in.
    pub conversations: u64,
    /// Bytes of each direction that are read; 0 for all.
    pub depth: u64,
    /// Whose rules decide where segments overlap and nothing can be dropped (taps, captures).
    pub target: TargetPolicy,
    /// `[[streams.targets]]`: networks whose hosts have another.
    pub targets: Vec<(Prefix, TargetPolicy)>,
    /// Conversations met in the middle.
    pub midstream: StreamMidstream,
    /// Conversations of which one side only is seen.
    pub one_sided: OneSided,
    /// Urgent bytes.
    pub urgent: Urgent,
}

impl Default for Streams {
    fn default() -> Self {
        Streams {
            memory: 64 << 20,
            max: 262_144,
            conversations: 128 << 20,
            depth: 0,
            target: TargetPolicy::Bsd,
            targets: Vec::new(),
            midstream: StreamMidstream::Read,
            one_sided: OneSided::Read,
            urgent: Urgent::OutOfBand,
        }
    }
}

impl Streams {
    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let d = Streams::default();
        let streams = Streams {
            memory: s.size("memory", d.memory, 1 << 20..=1 << 40),
            max: s.number("max", d.max, 64..=1 << 24),
            conversations: s.size("conversations", d.conversations, 1 << 20..=1 << 40),
            depth: s.size("depth", d.depth, 0..=1 << 40),
            target: s.parsed("target", d.target, target),
            midstream: s.word("midstream", d.midstream),
            one_sided: s.word("one_sided", d.one_sided),
            urgent: s.word("urgent", d.urgent),
            targets: targets(s.rows("targets").unwrap_or_default()),
        };
        s.finish();
        streams
    }

    /// Which receivers live where.
    pub fn receivers(&self) -> Targets {
        Targets::new(self.target, &self.targets)
    }
}

fn target(word: &str) -> Result<TargetPolicy, String> {
    TargetPolicy::from_name(word).ok_or_else(|| {
        let all: Vec<&str> = TargetPolicy::ALL.iter().map(|t| t.name()).collect();
        format!("write one of: {}", all.join(", "))
    })
}

fn targets(rows: Vec<Section<'_, '_>>) -> Vec<(Prefix, TargetPolicy)> {
    let mut read: Vec<(Prefix, TargetPolicy)> = Vec::with_capacity(rows.len());
    for mut row in rows {
        let nowhere = Prefix::host(Addr::UNSPECIFIED);
        let network = row.parsed("network", nowhere, |t| t.parse::<Prefix>());
        let target = row.parsed("target", TargetPolicy::Bsd, target);
        for (key, remedy) in [
            ("network", "write network = \"10.1.0.0/16\": the addresses of those receivers"),
            ("target", "write target = \"linux\", or another of the names at [streams] target"),
        ] {
            if !row.has(key) {
                row.missing(key, remedy);
            }
        }
        if row.has("network") && read.iter().any(|(known, _)| *known == network) {
            let message = format!("{network} stands in two rows of [[streams.targets]]");
            row.wrong(row.at_key("network"), message, "remove one of them");
        }
        read.push((network, target));
        row.finish();
    }
    read
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]
    use crate::config::Config;
    use portcullis_flow::TargetPolicy;
    use std::path::Path;

    #[test]
    fn targets_per_network_are_read_and_mistakes_named() {
        let parse = |text: &str| Config::parse(Path::new("p.toml"), text.into());
        let text = "[streams]\ntarget = \"linux\"\n[[streams.targets]]\n\
                    network = \"10.1.0.0/16\"\ntarget = \"windows\"\n";
        let read = parse(text).unwrap().config.streams.receivers();
        assert_eq!(read.of("10.1.9.9".parse().unwrap()), TargetPolicy::Windows);
        assert_eq!(read.of("10.2.9.9".parse().unwrap()), TargetPolicy::Linux);
        let wrong = format!(
            "{text}[[streams.targets]]\nnetwork = \"10.1.0.0/16\"\n\
             target = \"plan9\"\n[[streams.targets]]\ntarget = \"bsd\"\n"
        );
        let found = parse(&wrong).unwrap_err();
        let lines: Vec<usize> = found.iter().map(|d| d.line).collect();
        assert_eq!(lines, [7, 8, 9], "{found}");
    }
}
