//! `[streams]`: what is read behind the headers, and how much of it at once.

use super::section::{Section, words};
use portcullis_flow::TargetPolicy;

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
            midstream: StreamMidstream::Read,
            one_sided: OneSided::Read,
            urgent: Urgent::OutOfBand,
        }
    }
}

impl Streams {
    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let d = Streams::default();
        let target = |word: &str| {
            TargetPolicy::from_name(word).ok_or_else(|| {
                let all: Vec<&str> = TargetPolicy::ALL.iter().map(|t| t.name()).collect();
                format!("write one of: {}", all.join(", "))
            })
        };
        let streams = Streams {
            memory: s.size("memory", d.memory, 1 << 20..=1 << 40),
            max: s.number("max", d.max, 64..=1 << 24),
            conversations: s.size("conversations", d.conversations, 1 << 20..=1 << 40),
            depth: s.size("depth", d.depth, 0..=1 << 40),
            target: s.parsed("target", d.target, target),
            midstream: s.word("midstream", d.midstream),
            one_sided: s.word("one_sided", d.one_sided),
            urgent: s.word("urgent", d.urgent),
        };
        s.finish();
        streams
    }
}
