//! What is looked for and what is found. It must never know how.

/// Whether the case of ASCII letters counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Case {
    /// Byte for byte.
    #[default]
    Sensitive,
    /// `A` to `Z` and `a` to `z` are the same (Suricata's `nocase`).
    Insensitive,
}

/// A byte string to look for in the buffers of one group.
#[derive(Clone, Copy, Debug)]
pub struct Literal<'a> {
    /// The caller's number; several literals may have the same one.
    pub id: u32,
    /// One to [`crate::Limits::literal_bytes`] bytes.
    pub bytes: &'a [u8],
    /// Whether case counts.
    pub nocase: Case,
    /// The caller's number for what is scanned together: buffer kind, direction, ports.
    pub group: u32,
}

/// An occurrence of a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hit {
    /// [`Literal::id`].
    pub id: u32,
    /// Offset of the byte after the occurrence.
    pub end: u32,
}
