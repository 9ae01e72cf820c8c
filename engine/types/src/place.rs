//! Where on the wire: segments, their two ports, and a frame's place in its burst.

use std::fmt;

/// One protected link: an inline pair of ports, or a tap. Numbered in the order of the
/// configuration, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[repr(transparent)]
pub struct SegmentId(pub u16);

/// Which of a segment's two ports a frame came in by. A tap has only `A`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum PortSide {
    /// The first port of the pair, as configured.
    #[default]
    A = 0,
    /// The second.
    B = 1,
}

impl PortSide {
    /// The port at the other end of the pair.
    #[inline]
    pub const fn other(self) -> Self {
        match self {
            PortSide::A => PortSide::B,
            PortSide::B => PortSide::A,
        }
    }

    /// 0 or 1, for tables of two.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A frame's index in the burst being carried. Bursts hold at most 65,535 frames.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[repr(transparent)]
pub struct FrameIndex(pub u16);

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
