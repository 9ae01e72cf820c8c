//! Memory as a promise: a sum of named terms.

/// One term of the sum that the engine prints at start and stays below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryTerm {
    /// What the memory is for, e.g. `flow table, 1048576 flows of 192 bytes`.
    pub what: String,
    /// Bytes at most.
    pub bytes: u64,
}
