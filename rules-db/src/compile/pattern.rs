//! Which literal of a rule the host looks for.
//!
//! As Suricata: the one that `fast_pattern` names; else one of a buffer of the application rather
//! than of raw payload; else the longest and most varied. What a transform would change is not
//! looked for, or looked for in what is sure to be there before it.

use super::{is_payload, kinds, targets};
use crate::ast::{
    BufferTest, BufferTests, Case, Content, FastPatternPart, Polarity, Rule, Transform,
};
use portcullis_rules_form::needs;

/// The literal chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chosen {
    /// Index in the rule's buffers.
    pub(super) buffer: usize,
    /// Kind of buffer.
    pub(super) kind: u16,
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// ASCII letters match in either case.
    pub(super) nocase: bool,
}

/// The best literal of a rule; `None` where it has none that can be looked for.
pub(super) fn choose(rule: &Rule) -> Option<Chosen> {
    let needs = targets::target(rule).needs;
    if needs & (needs::ANOMALY | needs::FLOW) != 0 {
        return None;
    }
    let fits = |tests: &BufferTests| {
        let own = is_payload(tests.kind) || kinds::is_header(tests.kind);
        // A transaction's event has no raw payload to find anything in.
        kinds::is_scanned(tests.kind) && (needs & needs::TRANSACTION == 0 || !own)
    };
    if let Some(fast) = rule.fast_pattern
        && let Some(tests) = rule.buffers.get(fast.buffer)
        && let Some(BufferTest::Content(content)) = tests.tests.get(fast.test)
        && fits(tests)
        && let Some((bytes, nocase)) = searchable(tests, content, fast.part)
    {
        return Some(Chosen { buffer: fast.buffer, kind: tests.kind, bytes, nocase });
    }
    best(rule, fits)
}

/// A literal of a buffer that comes later than the chosen one's, where the rule has such: bodies
/// come behind headers, often in another packet, and it is then that the rule can be decided.
pub(super) fn later(rule: &Rule, chosen: &Chosen) -> Option<Chosen> {
    if kinds::is_body(chosen.kind) {
        return None;
    }
    best(rule, |tests| kinds::is_body(tests.kind))
}

/// The best literal of raw payload.
pub(super) fn payload(rule: &Rule) -> Option<Chosen> {
    best(rule, |tests| is_payload(tests.kind))
}

/// The literal that is worth most, of the buffers that fit.
fn best(rule: &Rule, fits: impl Fn(&BufferTests) -> bool) -> Option<Chosen> {
    let mut best: Option<(u32, Chosen)> = None;
    for (buffer, tests) in rule.buffers.iter().enumerate().filter(|(_, t)| fits(t)) {
        for test in &tests.tests {
            let BufferTest::Content(content) = test else { continue };
            let whole = FastPatternPart::Whole;
            let Some((bytes, nocase)) = searchable(tests, content, whole) else { continue };
            let worth = worth(tests.kind, &bytes);
            if best.as_ref().is_none_or(|(w, _)| worth > *w) {
                let kind = tests.kind;
                best = Some((worth, Chosen { buffer, kind, bytes, nocase }));
            }
        }
    }
    best.map(|(_, chosen)| chosen)
}

/// Length and variety; any buffer of the application is worth more than raw payload, unless the
/// literal there is a single byte.
fn worth(kind: u16, bytes: &[u8]) -> u32 {
    let mut seen = [false; 256];
    let mut worth = 0;
    for &byte in bytes {
        let first = !std::mem::replace(&mut seen[usize::from(byte)], true);
        worth += match (first, byte) {
            (false, _) => 1,
            (true, b) if b.is_ascii_alphabetic() => 3,
            (true, b) if b.is_ascii_graphic() => 4,
            (true, 0 | b' ' | b'\r' | b'\n' | 0x01 | 0xff) => 4,
            (true, _) => 6,
        };
    }
    // Some buffers are nearly the same in every transaction, or tell little.
    use portcullis_plugin_abi::buffer_kind as k;
    let poor = matches!(
        kind,
        k::HTTP_METHOD
            | k::HTTP_PROTOCOL
            | k::HTTP_STAT_CODE
            | k::HTTP_STAT_MSG
            | k::HTTP_CONNECTION
            | k::TLS_VERSION
            | k::HTTP_HEADER_NAMES
    );
    let class = match (bytes.len(), poor, is_payload(kind)) {
        (0 | 1, ..) => 0,
        (_, true, _) => 1,
        (_, _, true) => 2,
        _ => 3,
    };
    class * 0x0100_0000 + worth.min(0x00ff_ffff)
}

/// What of a content may be looked for in the buffer as the host has it.
fn searchable(
    tests: &BufferTests,
    content: &Content,
    part: FastPatternPart,
) -> Option<(Vec<u8>, bool)> {
    if content.polarity == Polarity::Negated {
        return None;
    }
    let mut bytes = content.bytes.clone();
    let mut nocase = content.case == Case::Ignored;
    if let FastPatternPart::Chop { offset, length } = part {
        let (from, len) = (usize::from(offset), usize::from(length));
        bytes = bytes.get(from..from.checked_add(len)?)?.to_vec();
    }
    for transform in tests.transforms.iter().rev() {
        match transform {
            // A literal that begins with the dot may stand at the buffer's beginning without it.
            Transform::DotPrefix => {
                if bytes.first() == Some(&b'.') {
                    bytes.remove(0);
                }
            }
            Transform::ToLowercase | Transform::ToUppercase | Transform::HeaderLowercase => {
                nocase = true;
            }
            // Each byte of a run stays, or the run shrinks to its first: a literal without such
            // bytes stands there before, too.
            Transform::CompressWhitespace if !bytes.iter().any(u8::is_ascii_whitespace) => {}
            Transform::StripPseudoHeaders if !bytes.contains(&b'\n') => {}
            _ => return None,
        }
    }
    (!bytes.is_empty()).then_some((bytes, nocase))
}
