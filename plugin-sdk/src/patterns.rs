//! Patterns made by code: literals and regexes for the host to look for.

use crate::Direction;
use crate::abi::PatternRow;

/// Literals and regexes on their way to the host, see [`crate::Init::pattern_set`]. Those that are
/// always the same are better written in the manifest, `[[pattern]]` and `[[regex]]`.
#[derive(Clone, Debug, Default)]
pub struct PatternSet {
    rows: Vec<u8>,
}

/// A literal and where to look for it.
#[derive(Clone, Copy, Debug)]
pub struct Literal<'a> {
    /// What; at least one byte.
    pub bytes: &'a [u8],
    /// Kind of buffer, see [`crate::buffer_kind`].
    pub buffer: u16,
    /// Whether ASCII letters match in either case.
    pub nocase: bool,
    /// In one direction, or both.
    pub direction: Option<Direction>,
    /// IP protocol, `None` any.
    pub protocol: Option<u8>,
    /// Server ports from first to last, `None` all.
    pub ports: Option<(u16, u16)>,
}

impl<'a> Literal<'a> {
    /// Anywhere in buffers of a kind, as written.
    pub const fn new(buffer: u16, bytes: &'a [u8]) -> Self {
        Literal { bytes, buffer, nocase: false, direction: None, protocol: None, ports: None }
    }
}

impl PatternSet {
    /// Empty.
    pub const fn new() -> Self {
        PatternSet { rows: Vec::new() }
    }

    /// Adds a literal.
    pub fn literal(&mut self, literal: Literal<'_>) {
        let (first_port, last_port) = literal.ports.unwrap_or((0, u16::MAX));
        let row = PatternRow {
            len: 0,
            buffer: literal.buffer,
            direction: literal.direction.map_or(PatternRow::BOTH, Direction::number),
            flags: if literal.nocase { PatternRow::NOCASE } else { 0 },
            first_port,
            last_port,
            protocol: literal.protocol.unwrap_or(0),
            reserved: [0; 3],
        };
        self.row(row, literal.bytes);
    }

    /// Adds a regex as rules write it, `/pattern/flags`.
    pub fn regex(&mut self, text: &str) {
        let row = PatternRow { flags: PatternRow::REGEX, ..bytemuck::Zeroable::zeroed() };
        self.row(row, text.as_bytes());
    }

    fn row(&mut self, row: PatternRow, bytes: &[u8]) {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.rows.extend_from_slice(bytemuck::bytes_of(&PatternRow { len, ..row }));
        self.rows.extend_from_slice(bytes);
    }

    pub(crate) fn rows(&self) -> &[u8] {
        &self.rows
    }
}
