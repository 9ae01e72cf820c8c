//! Where a host stands: the VLAN tags that its frames wear.
//!
//! Must never know: addresses, or what the host does.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::command;
use crate::namespace::Namespace;

/// The program that pushes and pops the tags.
const TAG_PROGRAM: &str = include_str!("vlan_tags.bpf.c");

/// The tags of a host, outermost first; none, one or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    tags: [Option<u16>; 2],
}

impl Place {
    /// No tag.
    pub const UNTAGGED: Place = Place { tags: [None, None] };
    /// VLAN 10.
    pub const VLAN_10: Place = Place::vlan(10);
    /// VLAN 20.
    pub const VLAN_20: Place = Place::vlan(20);
    /// QinQ: service tag 10 (802.1ad), customer tag 20.
    pub const QINQ: Place = Place { tags: [Some(10), Some(20)] };
    /// A tag with VID 0, which Linux reads as no tag.
    pub const VID_0: Place = Place::vlan(0);

    /// One tag.
    #[must_use]
    pub const fn vlan(vid: u16) -> Place {
        Place { tags: [Some(vid), None] }
    }

    /// The tags, outermost first.
    pub fn tags(&self) -> impl Iterator<Item = u16> {
        self.tags.into_iter().flatten()
    }

    /// Makes the bridge's end of a host's wire an access port of this place.
    ///
    /// A BPF program rather than VLAN devices on the host: it works on kernels without 8021q, and
    /// scanners that read raw frames find them as on a real access port.
    pub fn make_access_port(&self, bridge: &Namespace, plug: &str, folder: &Path) {
        if *self == Place::UNTAGGED {
            return;
        }
        let object = self.compile(folder);
        let object = object.to_str().expect("the lab's folder has a plain name");
        bridge.must(&["tc", "qdisc", "add", "dev", plug, "clsact"]);
        for (way, section) in [("ingress", "from_host"), ("egress", "to_host")] {
            bridge.must(&[
                "tc", "filter", "add", "dev", plug, way, "bpf", "da", "obj", object, "sec", section,
            ]);
        }
    }

    fn compile(&self, folder: &Path) -> PathBuf {
        let name = self.to_string();
        let object = folder.join(format!("vlan-tags-{name}.o"));
        if !object.exists() {
            let source = folder.join("vlan_tags.bpf.c");
            std::fs::write(&source, TAG_PROGRAM).expect("the lab's folder can be written");
            let vids: Vec<u16> = self.tags().collect();
            let outer = format!("-DOUTER_VID={}", vids[0]);
            let inner = format!("-DINNER_VID={}", vids.get(1).copied().map_or(-1, i32::from));
            let source = source.to_str().expect("the lab's folder has a plain name");
            let target = object.to_str().expect("the lab's folder has a plain name");
            let clang = ["clang", "-O2", "-g", "-target", "bpf", "-mcpu=v3", &outer, &inner];
            command::must(&[&clang[..], &["-c", source, "-o", target]].concat());
        }
        object
    }
}

impl fmt::Display for Place {
    /// `untagged`, `10`, `10.20`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tags {
            [None, _] => f.write_str("untagged"),
            [Some(outer), None] => write!(f, "{outer}"),
            [Some(outer), Some(inner)] => write!(f, "{outer}.{inner}"),
        }
    }
}
