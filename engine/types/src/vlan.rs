//! The VLAN stack: which link-layer place a frame belongs to.

use std::fmt;

/// Tags that the engine reads; frames with more are passed up and rejected by name.
pub const VLAN_DEPTH_MAX: usize = 3;

/// A VLAN identifier, 1–4095. VID 0 is a priority tag and no place (IEEE 802.1Q, 9.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct VlanId(u16);

impl VlanId {
    /// A VID from 1 to 4095; `None` for 0 and beyond.
    #[inline]
    pub const fn new(vid: u16) -> Option<Self> {
        if vid >= 1 && vid <= 4095 { Some(VlanId(vid)) } else { None }
    }

    /// The number.
    #[inline]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The VIDs of a frame from the outermost in, at most [`VLAN_DEPTH_MAX`].
///
/// Priority bits, TPIDs and VID 0 tags are not part of it: Linux takes a frame with a VID 0 tag as
/// untagged, so adding one must not move a frame to another place.
///
/// Layout: bits 0–11 the outermost VID, 12–23 the next, 24–35 the third; 0 means none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct VlanStack(u64);

impl VlanStack {
    /// No tag at all.
    pub const UNTAGGED: VlanStack = VlanStack(0);

    /// The stack with one more, inner, VID; unchanged when it is full.
    #[inline]
    pub const fn pushed(self, vid: VlanId) -> Self {
        let depth = self.depth();
        if depth >= VLAN_DEPTH_MAX {
            return self;
        }
        VlanStack(self.0 | (vid.0 as u64) << (12 * depth))
    }

    /// A stack from VIDs, outermost first; zeros are skipped; `None` where a VID is over 4095 or
    /// there are more than [`VLAN_DEPTH_MAX`].
    pub fn from_vids(vids: &[u16]) -> Option<Self> {
        let mut stack = VlanStack::UNTAGGED;
        for &vid in vids.iter().filter(|&&v| v != 0) {
            if stack.depth() == VLAN_DEPTH_MAX {
                return None;
            }
            stack = stack.pushed(VlanId::new(vid)?);
        }
        Some(stack)
    }

    /// How many VIDs there are.
    #[inline]
    pub const fn depth(self) -> usize {
        if self.0 == 0 {
            0
        } else if self.0 >> 12 == 0 {
            1
        } else if self.0 >> 24 == 0 {
            2
        } else {
            3
        }
    }

    /// The VIDs from the outermost in, zeros behind the last.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "masked to 12 bits")]
    pub const fn vids(self) -> [u16; VLAN_DEPTH_MAX] {
        [(self.0 & 0xfff) as u16, (self.0 >> 12 & 0xfff) as u16, (self.0 >> 24 & 0xfff) as u16]
    }

    /// The VIDs as a list without the zeros.
    pub fn to_vec(self) -> Vec<u16> {
        self.vids().into_iter().take(self.depth()).collect()
    }

    /// The packed form, for hashing.
    #[inline]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for VlanStack {
    /// `untagged`, `10`, or `10.20` with the outermost first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == VlanStack::UNTAGGED {
            return f.write_str("untagged");
        }
        for (i, vid) in self.vids().into_iter().take(self.depth()).enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            write!(f, "{vid}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for VlanStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vid_zero_is_no_place() {
        assert_eq!(VlanStack::from_vids(&[0]), Some(VlanStack::UNTAGGED));
        assert_eq!(VlanStack::from_vids(&[0, 10, 0]), VlanStack::from_vids(&[10]));
        assert_eq!(VlanStack::from_vids(&[4096]), None);
        assert_eq!(VlanStack::from_vids(&[1, 2, 3, 4]), None);
        let s = VlanStack::from_vids(&[10, 20, 4095]).expect("three tags");
        assert_eq!(
            (s.depth(), s.to_vec(), s.to_string()),
            (3, vec![10, 20, 4095], "10.20.4095".into())
        );
    }
}
