//! Which pieces there are and which places they cover. A place is a unit of eight bytes, the
//! least that fragments can tell apart.
//!
//! Must never know: frames, or who reads.

/// Bytes of a unit.
pub const UNIT: usize = 8;
/// The version of units that only one piece covers.
pub const FILLER: u8 = b'F';

/// Units from the first to the one behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first.
    pub from: usize,
    /// Behind the last.
    pub to: usize,
}

impl Extent {
    /// These units.
    #[must_use]
    pub const fn new(from: usize, to: usize) -> Extent {
        Extent { from, to }
    }

    /// Whether both cover a unit.
    #[must_use]
    pub const fn meets(&self, other: &Extent) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// A stretch of units in one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// A letter; pieces of different letters have different bytes everywhere.
    pub version: u8,
    /// Where.
    pub extent: Extent,
}

impl Piece {
    /// A piece of this version.
    #[must_use]
    pub const fn new(version: u8, from: usize, to: usize) -> Piece {
        Piece { version, extent: Extent::new(from, to) }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        (self.extent.from..self.extent.to).flat_map(|at| unit(self.version, at)).collect()
    }
}

/// The bytes of a unit in a version. The second half is the complement of the first, so that all
/// versions have the same internet checksum and no receiver can tell them apart by it.
#[must_use]
pub fn unit(version: u8, at: usize) -> [u8; UNIT] {
    let digit = |n: usize| b'0' + u8::try_from(n % 10).expect("a digit");
    let [a, b, c, d] = [version, digit(at / 10), digit(at), b'-'];
    [a, b, c, d, !a, !b, !c, !d]
}

/// The bytes of a reading: the versions of its units, the first of which is `from`.
#[must_use]
pub fn text(versions: &str, from: usize) -> Vec<u8> {
    (from..).zip(versions.bytes()).flat_map(|(at, version)| unit(version, at)).collect()
}

/// Pieces that overlap, in the order in which they are sent. They cover everything from unit 1 up
/// to `end`, together.
#[derive(Debug, Clone)]
pub struct Shape {
    /// What it is called in messages.
    pub name: &'static str,
    /// The pieces.
    pub pieces: Vec<Piece>,
    /// Behind the last unit.
    pub end: usize,
}

impl Shape {
    fn new(name: &'static str, pieces: &[(u8, usize, usize)]) -> Shape {
        let pieces: Vec<Piece> =
            pieces.iter().map(|&(version, from, to)| Piece::new(version, from, to)).collect();
        let end = pieces.iter().map(|piece| piece.extent.to).max().unwrap_or(1);
        Shape { name, pieces, end }
    }
}

/// All shapes: the nine ways in which two pieces can overlap, the six pieces with which Shankar
/// and Paxson tell receivers apart, and what tells apart who remembers more than one piece.
#[must_use]
pub fn shapes() -> Vec<Shape> {
    let two = |name, a: (usize, usize), b: (usize, usize)| {
        Shape::new(name, &[(b'A', a.0, a.1), (b'B', b.0, b.1)])
    };
    vec![
        two("later begins before, ends within", (2, 5), (1, 4)),
        two("later begins within, ends behind", (1, 4), (2, 5)),
        two("equal", (1, 4), (1, 4)),
        two("later inside", (1, 5), (2, 4)),
        two("later around", (2, 4), (1, 5)),
        two("level at the beginning, later shorter", (1, 4), (1, 3)),
        two("level at the beginning, later longer", (1, 3), (1, 4)),
        two("level at the end, later shorter", (1, 4), (2, 4)),
        two("level at the end, later longer", (2, 4), (1, 4)),
        shankar_paxson(1),
        Shape::new("across two that came in disorder", &[(b'A', 3, 5), (b'B', 1, 3), (b'C', 2, 4)]),
        Shape::new("across two that came in order", &[(b'A', 1, 3), (b'B', 3, 5), (b'C', 2, 4)]),
        Shape::new(
            "level with two that came in order",
            &[(b'A', 1, 3), (b'B', 3, 5), (b'C', 1, 4)],
        ),
        Shape::new("around two that came in order", &[(b'A', 1, 3), (b'B', 3, 5), (b'C', 1, 6)]),
        Shape::new("across a hole", &[(b'A', 1, 3), (b'B', 4, 6), (b'C', 2, 5)]),
        Shape::new("nothing overlaps", &[(b'A', 3, 5), (b'B', 1, 3)]),
    ]
}

/// The six pieces of Shankar and Paxson, *Active Mapping* (2003), figure 6, from unit `base` on.
#[must_use]
pub fn shankar_paxson(base: usize) -> Shape {
    let rows = [(0, 3), (4, 6), (6, 9), (1, 5), (6, 9), (9, 12)];
    let pieces: Vec<(u8, usize, usize)> =
        (b'1'..).zip(rows).map(|(version, (from, to))| (version, base + from, base + to)).collect();
    Shape::new("Shankar and Paxson's six", &pieces)
}
