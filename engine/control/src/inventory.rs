//! The inventory: which address, MAC and VLAN is which machine. A file, read like the
//! configuration.
//!
//! It names machines in events and blocks, and a static entry proves a source (product: proof (d)).
//! It must never know where packets come from.

use crate::config::{Diagnostics, Section, Source, read_file, with_root};
use portcullis_types::{Addr, Mac, SegmentId, VlanStack};
use portcullis_verdict::InventoryRow;
use std::collections::HashMap;
use std::path::Path;

/// Bytes of an inventory file at most.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// One machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Its segment; `None` is any.
    pub segment: Option<String>,
    /// Its place in the segment; `None` is any.
    pub vlan: Option<VlanStack>,
    /// Its addresses.
    pub addresses: Vec<Addr>,
    /// Its MACs.
    pub macs: Vec<Mac>,
    /// Whether nobody else can have these addresses at this place, so that they prove a source.
    pub is_static: bool,
}

/// All machines.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inventory {
    machines: Vec<Machine>,
    by_address: HashMap<Addr, Vec<usize>>,
    by_mac: HashMap<Mac, Vec<usize>>,
}

impl Inventory {
    /// Reads a file; `segment_exists` knows the configuration's segments. Either an inventory
    /// without mistakes, or all of them.
    pub fn load(
        path: &Path,
        segment_exists: impl Fn(&str) -> bool,
    ) -> Result<Inventory, Diagnostics> {
        Self::parse(path, read_file(path, FILE_BYTES_MAX)?, segment_exists)
    }

    /// Reads a text that came from `path`.
    pub fn parse(
        path: &Path,
        text: String,
        segment_exists: impl Fn(&str) -> bool,
    ) -> Result<Inventory, Diagnostics> {
        let source = Source::new(path, text);
        let (machines, ledger) = with_root(source.text(), |mut s| {
            let rows = s.rows("machine").unwrap_or_default();
            let machines: Vec<Machine> =
                rows.into_iter().map(|row| Machine::read(row, &segment_exists)).collect();
            s.finish();
            machines
        });
        let diagnostics = source.diagnose(ledger.notes);
        if diagnostics.has_errors() { Err(diagnostics) } else { Ok(Inventory::of(machines)) }
    }

    /// The inventory of these machines; the first that fits an address names it.
    pub fn of(machines: Vec<Machine>) -> Self {
        let mut inventory = Inventory::default();
        for (at, machine) in machines.iter().enumerate() {
            for addr in &machine.addresses {
                inventory.by_address.entry(*addr).or_default().push(at);
            }
            for mac in &machine.macs {
                inventory.by_mac.entry(*mac).or_default().push(at);
            }
        }
        inventory.machines = machines;
        inventory
    }

    /// Every machine, in the order of the file.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// The machine that has an address at a place.
    pub fn machine(&self, segment: &str, vlan: VlanStack, addr: Addr) -> Option<&Machine> {
        self.find(self.by_address.get(&addr)?, segment, vlan)
    }

    /// The machine that has a MAC at a place.
    pub fn machine_of_mac(&self, segment: &str, vlan: VlanStack, mac: Mac) -> Option<&Machine> {
        self.find(self.by_mac.get(&mac)?, segment, vlan)
    }

    /// What proves a source: the addresses of static machines, each at its place.
    pub fn proofs<'a>(
        &'a self,
        segments: &'a [(String, SegmentId)],
    ) -> impl Iterator<Item = InventoryRow> + 'a {
        self.machines.iter().filter(|m| m.is_static).flat_map(move |machine| {
            let segments = segments
                .iter()
                .filter(|(name, _)| machine.segment.as_ref().is_none_or(|s| s == name));
            segments.flat_map(move |(_, segment)| {
                let vlan = machine.vlan.unwrap_or(VlanStack::UNTAGGED);
                machine.addresses.iter().map(move |addr| InventoryRow {
                    segment: *segment,
                    vlan,
                    addr: *addr,
                })
            })
        })
    }

    fn find(&self, fitting: &[usize], segment: &str, vlan: VlanStack) -> Option<&Machine> {
        fitting.iter().map(|at| &self.machines[*at]).find(|machine| {
            machine.segment.as_deref().is_none_or(|s| s == segment)
                && machine.vlan.is_none_or(|v| v == vlan)
        })
    }
}

impl Machine {
    fn read(mut s: Section<'_, '_>, segment_exists: &impl Fn(&str) -> bool) -> Self {
        let known = |t: &str| {
            let remedy = "write the name of a segment of the configuration, or leave it out";
            if segment_exists(t) { Ok(Some(t.to_owned())) } else { Err(remedy) }
        };
        let machine = Machine {
            name: s.text("name", ""),
            segment: s.parsed("segment", None, known),
            vlan: s.parsed("vlan", None, |t| parse_vlan(t).map(Some)),
            addresses: s.list("addresses", Vec::new(), |t| {
                t.parse::<Addr>().map_err(|_| "write an address such as 192.0.2.1 or 2001:db8::1")
            }),
            macs: s.list("macs", Vec::new(), parse_mac),
            is_static: s.switch("static", false),
        };
        if machine.name.is_empty() || machine.name.chars().any(char::is_control) {
            s.wrong(s.at_key("name"), "a machine has no name", "write name = \"…\"");
        }
        if !s.has("addresses") && !s.has("macs") {
            let remedy = "write addresses = [\"…\"] or macs = [\"…\"]";
            s.wrong(s.at(), "a machine has neither addresses nor MACs", remedy);
        }
        if machine.is_static && machine.vlan.is_none() {
            let remedy = "write vlan = \"untagged\", \"10\" or \"10.20\"";
            s.wrong(s.at_key("static"), "a proof holds at one place only", remedy);
        }
        s.finish();
        machine
    }
}

/// `untagged`, `10`, `10.20` with the outermost first.
fn parse_vlan(text: &str) -> Result<VlanStack, &'static str> {
    const WANT: &str = "write \"untagged\", \"10\", or \"10.20\" with the outermost first";
    if text == "untagged" || text == "0" {
        return Ok(VlanStack::UNTAGGED);
    }
    let vid = |t: &str| t.parse::<u16>().ok().filter(|v| *v > 0 && !t.starts_with('+'));
    let vids: Vec<u16> = text.split('.').map(vid).collect::<Option<_>>().ok_or(WANT)?;
    VlanStack::from_vids(&vids).ok_or(WANT)
}

/// Six bytes in hexadecimal with `:` or `-` between them.
fn parse_mac(text: &str) -> Result<Mac, &'static str> {
    const WANT: &str = "write six bytes such as 52:54:00:12:34:56";
    let byte = |t: &str| u8::from_str_radix(t, 16).ok().filter(|_| t.len() == 2);
    let bytes: Vec<u8> = text.split([':', '-']).map(byte).collect::<Option<_>>().ok_or(WANT)?;
    bytes.try_into().map(Mac).map_err(|_| WANT)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

    use super::*;

    fn parse(text: &str) -> Result<Inventory, Diagnostics> {
        Inventory::parse(Path::new("i.toml"), text.into(), |name| name == "dmz")
    }

    #[test]
    fn a_machine_has_its_place() {
        let i = parse(
            "[[machine]]\nname = \"web\"\nsegment = \"dmz\"\nvlan = \"10\"\nstatic = true\n\
             addresses = [\"192.0.2.1\", \"2001:db8::1\"]\n[[machine]]\nname = \"any\"\n\
             addresses = [\"192.0.2.1\"]\nmacs = [\"52:54:00:12:34:56\"]\n",
        )
        .unwrap();
        let addr: Addr = "192.0.2.1".parse().unwrap();
        let ten = VlanStack::from_vids(&[10]).unwrap();
        let name = |segment, vlan| i.machine(segment, vlan, addr).map(|m| m.name.as_str());
        assert_eq!(name("dmz", ten), Some("web"));
        assert_eq!(name("dmz", VlanStack::UNTAGGED), Some("any"));
        assert_eq!(name("lan", ten), Some("any"));
        let mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        assert_eq!(i.machine_of_mac("dmz", ten, mac).unwrap().name, "any");
        let segments = [("lan".to_owned(), SegmentId(0)), ("dmz".to_owned(), SegmentId(1))];
        let proofs: Vec<InventoryRow> = i.proofs(&segments).collect();
        assert_eq!(proofs.len(), 2);
        assert_eq!(proofs[0], InventoryRow { segment: SegmentId(1), vlan: ten, addr });
    }

    #[test]
    fn every_mistake_is_named() {
        let e = parse(
            "[[machine]]\nsegment = \"x\"\nvlan = \"5000\"\nmacs = [\"52:54\"]\nstatic = true\n\
             adresses = [\"a\"]\n[[machine]]\nname = \"b\"\naddresses = [\"b\"]\n",
        )
        .unwrap_err();
        let text = e.to_string();
        assert_eq!(e.len(), 7, "{text}");
        assert!(text.contains("write `addresses`") && text.contains("i.toml:9:14"), "{text}");
    }
}
