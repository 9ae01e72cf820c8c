//! The limits of a set of literals. It must never know a literal's bytes.

/// What a [`crate::Builder`] accepts. Past a limit `add` refuses with a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Literals of all groups: 1 Mi, forty times the largest public rule set.
    pub literals: usize,
    /// Bytes of one literal: 4096; Suricata's `content` stops at 255 in most builds.
    pub literal_bytes: usize,
    /// Groups: 64 Ki, two per port.
    pub groups: usize,
}

impl Limits {
    /// No literal may be longer than this, whatever is configured: lengths are 16 bits wide.
    pub const LITERAL_BYTES_MAX: usize = 65_535;
    /// Nor may there be more literals: places in a group are 28 bits wide.
    pub const LITERALS_MAX: usize = 1 << 28;
}

impl Default for Limits {
    fn default() -> Self {
        Self { literals: 1 << 20, literal_bytes: 4096, groups: 1 << 16 }
    }
}
