//! Address and port groups: lists, negation, variables.
//!
//! As in Suricata a group is flattened: what is not negated on the way down (an even number of
//! `!`) is put together, what is negated is put together, and the group is the first without the
//! second; where nothing is positive, the first is everything.

use crate::ast::{AddressSet, PortSet};
use crate::fault::{Outcome, invalid, shown};
use crate::ranges::{Whole, minus, normal};
use crate::vars::Vars;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// Lists and variables inside each other, at most.
const DEPTH_MAX: usize = 32;
/// Parts of one group, at most; more are an error and never a hang.
const PARTS_MAX: usize = 100_000;

/// Groups already read, by their text.
pub(crate) struct Groups<'a> {
    vars: &'a Vars,
    addresses: HashMap<Vec<u8>, AddressSet>,
    ports: HashMap<Vec<u8>, PortSet>,
}

#[derive(Default)]
struct Parts<T> {
    positive: Vec<T>,
    negative: Vec<T>,
}

impl<'a> Groups<'a> {
    pub(crate) fn new(vars: &'a Vars) -> Self {
        Groups { vars, addresses: HashMap::new(), ports: HashMap::new() }
    }

    /// A set of addresses from its text.
    pub(crate) fn addresses(&mut self, text: &[u8]) -> Outcome<AddressSet> {
        if let Some(known) = self.addresses.get(text) {
            return Ok(known.clone());
        }
        let mut parts = Parts { positive: Vec::new(), negative: Vec::new() };
        walk(text, Sign::Plain, 0, &self.vars.addresses, &address, &mut parts)?;
        let (v4, v6) = divide(parts.positive);
        let (not4, not6) = divide(parts.negative);
        let anything = v4.is_empty() && v6.is_empty();
        let set = AddressSet {
            v4: without(v4, not4, anything),
            v6: without(v6, not6, anything),
            text: String::from_utf8_lossy(text).into_owned(),
        };
        if set.is_empty() {
            return Err(invalid(
                format!("`{}` leaves no address", shown(text)),
                "take the `!` part out, or write any",
            ));
        }
        self.addresses.insert(text.to_vec(), set.clone());
        Ok(set)
    }

    /// A set of ports from its text.
    pub(crate) fn ports(&mut self, text: &[u8]) -> Outcome<PortSet> {
        if let Some(known) = self.ports.get(text) {
            return Ok(known.clone());
        }
        let mut parts = Parts { positive: Vec::new(), negative: Vec::new() };
        walk(text, Sign::Plain, 0, &self.vars.ports, &port, &mut parts)?;
        let anything = parts.positive.is_empty();
        let ranges = without(parts.positive, parts.negative, anything);
        if ranges.is_empty() {
            return Err(invalid(
                format!("`{}` leaves no port", shown(text)),
                "take the `!` part out, or write any",
            ));
        }
        let set = PortSet { ranges, text: String::from_utf8_lossy(text).into_owned() };
        self.ports.insert(text.to_vec(), set.clone());
        Ok(set)
    }
}

fn without<T: Whole>(from: Vec<(T, T)>, taken: Vec<(T, T)>, everything: bool) -> Vec<(T, T)> {
    let from = if everything { vec![(T::LEAST, T::MOST)] } else { normal(from) };
    if taken.is_empty() { from } else { minus(&from, &normal(taken)) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plain,
    Negated,
}

impl Sign {
    fn turned(self) -> Self {
        if self == Sign::Plain { Sign::Negated } else { Sign::Plain }
    }
}

type Leaf<T> = dyn Fn(&[u8]) -> Option<Vec<T>>;

fn walk<T>(
    text: &[u8],
    sign: Sign,
    depth: usize,
    names: &BTreeMap<String, String>,
    leaf: &Leaf<T>,
    out: &mut Parts<T>,
) -> Outcome {
    let text = text.trim_ascii();
    if depth > DEPTH_MAX {
        return Err(invalid(
            format!("`{}` nests deeper than {DEPTH_MAX}, or names itself", shown(text)),
            "take the variable out of its own definition",
        ));
    }
    if let Some(rest) = text.strip_prefix(b"!") {
        return walk(rest, sign.turned(), depth + 1, names, leaf, out);
    }
    if let Some(name) = text.strip_prefix(b"$") {
        let value = std::str::from_utf8(name).ok().and_then(|n| names.get(n));
        let value = value.ok_or_else(|| {
            let word = shown(text);
            invalid(format!("`{word}` is not defined"), "define it under vars, or write its value")
        })?;
        return walk(value.as_bytes(), sign, depth + 1, names, leaf, out);
    }
    if let Some(list) = text.strip_prefix(b"[") {
        let list = list.strip_suffix(b"]").ok_or_else(|| unbalanced(text))?;
        return members(list, &mut |part| walk(part, sign, depth + 1, names, leaf, out));
    }
    // A value of a variable may be a list without its brackets.
    if depth > 0 && text.contains(&b',') {
        return members(text, &mut |part| walk(part, sign, depth + 1, names, leaf, out));
    }
    let found = leaf(text).ok_or_else(|| {
        invalid(
            format!("`{}` is neither an address, port, range, list nor any", shown(text)),
            "write such as 10.0.0.0/8, 2001:db8::/32, 1024:65535, [a,!b], $NAME or any",
        )
    })?;
    let side = if sign == Sign::Plain { &mut out.positive } else { &mut out.negative };
    side.extend(found);
    if side.len() > PARTS_MAX {
        return Err(invalid(format!("more than {PARTS_MAX} parts"), "use iprep or a dataset"));
    }
    Ok(())
}

fn unbalanced(text: &[u8]) -> Box<crate::fault::Fault> {
    invalid(format!("`{}` has a bracket without its partner", shown(text)), "close each [ with ]")
}

/// Calls `each` with every member of a list, split at commas outside brackets.
fn members(list: &[u8], each: &mut dyn FnMut(&[u8]) -> Outcome) -> Outcome {
    let (mut open, mut start) = (0_usize, 0);
    for (at, &byte) in list.iter().enumerate() {
        match byte {
            b'[' => open += 1,
            b']' => open = open.checked_sub(1).ok_or_else(|| unbalanced(list))?,
            b',' if open == 0 => {
                each(list.get(start..at).unwrap_or_default())?;
                start = at + 1;
            }
            _ => {}
        }
    }
    if open > 0 {
        return Err(unbalanced(list));
    }
    each(list.get(start..).unwrap_or_default())
}

#[derive(Clone, Copy)]
enum AddressRange {
    V4(u32, u32),
    V6(u128, u128),
}

/// Ranges of one version.
type Ranges<T> = Vec<(T, T)>;

fn divide(ranges: Vec<AddressRange>) -> (Ranges<u32>, Ranges<u128>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for range in ranges {
        match range {
            AddressRange::V4(low, high) => v4.push((low, high)),
            AddressRange::V6(low, high) => v6.push((low, high)),
        }
    }
    (v4, v6)
}

/// First and last address of an address or network.
pub(crate) fn network_ends(text: &str) -> Option<(IpAddr, IpAddr)> {
    let (base, length) = text.split_once('/').unwrap_or((text, ""));
    let base: IpAddr = base.trim().parse().ok()?;
    let length = length.trim();
    let length = match (length, base) {
        ("", IpAddr::V4(_)) => "32",
        ("", IpAddr::V6(_)) => "128",
        (length, _) => length,
    };
    Some(match network(base, length)? {
        AddressRange::V4(a, b) => (IpAddr::V4(a.into()), IpAddr::V4(b.into())),
        AddressRange::V6(a, b) => (IpAddr::V6(a.into()), IpAddr::V6(b.into())),
    })
}

fn address(text: &[u8]) -> Option<Vec<AddressRange>> {
    if text.eq_ignore_ascii_case(b"any") {
        return Some(vec![AddressRange::V4(0, u32::MAX), AddressRange::V6(0, u128::MAX)]);
    }
    let word = std::str::from_utf8(text).ok()?;
    if let Some((base, length)) = word.split_once('/') {
        return Some(vec![network(base.trim().parse().ok()?, length.trim())?]);
    }
    let (low, high) = word.split_once('-').unwrap_or((word, word));
    Some(vec![match (low.trim().parse().ok()?, high.trim().parse().ok()?) {
        (IpAddr::V4(a), IpAddr::V4(b)) if a <= b => AddressRange::V4(a.into(), b.into()),
        (IpAddr::V6(a), IpAddr::V6(b)) if a <= b => AddressRange::V6(a.into(), b.into()),
        _ => return None,
    }])
}

fn network(base: IpAddr, length: &str) -> Option<AddressRange> {
    match base {
        IpAddr::V4(base) => {
            let mask = match length.parse::<u32>() {
                Ok(bits) if bits <= 32 => u32::MAX.checked_shl(32 - bits).unwrap_or(0),
                Ok(_) => return None,
                Err(_) => {
                    let mask = u32::from(length.parse::<std::net::Ipv4Addr>().ok()?);
                    Some(mask).filter(|m| m.leading_ones() + m.trailing_zeros() == 32)?
                }
            };
            let low = u32::from(base) & mask;
            Some(AddressRange::V4(low, low | !mask))
        }
        IpAddr::V6(base) => {
            let bits = length.parse::<u32>().ok().filter(|bits| *bits <= 128)?;
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            let low = u128::from(base) & mask;
            Some(AddressRange::V6(low, low | !mask))
        }
    }
}

fn port(text: &[u8]) -> Option<Vec<(u16, u16)>> {
    if text.eq_ignore_ascii_case(b"any") {
        return Some(vec![(0, u16::MAX)]);
    }
    let word = std::str::from_utf8(text).ok()?;
    let Some((low, high)) = word.split_once(':') else {
        let only = word.parse().ok()?;
        return Some(vec![(only, only)]);
    };
    let (low, high) = (low.trim(), high.trim());
    let low: u16 = if low.is_empty() { 0 } else { low.parse().ok()? };
    let high: u16 = if high.is_empty() { u16::MAX } else { high.parse().ok()? };
    (low <= high).then(|| vec![(low, high)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Outcome<AddressSet> {
        Groups::new(&Vars::default()).addresses(text.as_bytes())
    }

    fn ports(text: &str) -> Option<Vec<(u16, u16)>> {
        Groups::new(&Vars::default()).ports(text.as_bytes()).ok().map(|set| set.ranges)
    }

    #[test]
    fn groups_nest_and_negate() {
        let holds = |text: &str, ip: &str| {
            addresses(text).is_ok_and(|s| ip.parse().is_ok_and(|ip| s.contains(ip)))
        };
        assert!(holds("any", "1.2.3.4") && holds("any", "::1"));
        assert!(holds("$HOME_NET", "10.9.8.7") && !holds("$HOME_NET", "11.0.0.1"));
        assert!(holds("$EXTERNAL_NET", "11.0.0.1") && !holds("$EXTERNAL_NET", "10.0.0.1"));
        assert!(holds("$EXTERNAL_NET", "2001:db8::1"));
        let nested = "[10.0.0.0/8,![10.1.0.0/16,!10.1.1.0/24],192.0.2.1-192.0.2.9]";
        assert!(
            holds(nested, "10.2.0.1") && !holds(nested, "10.1.2.3") && holds(nested, "192.0.2.5")
        );
        assert!(holds("10.0.0.0/255.0.0.0", "10.1.1.1"));
        assert!(holds("2001:db8::/32", "2001:db8::9") && !holds("2001:db8::/32", "10.0.0.1"));
        assert!(addresses("!any").is_err() && addresses("[$HOME_NET,$EXTERNAL_NET]").is_err());
        for bad in ["", "[10.0.0.1", "10.0.0.1]", "$NOPE", "10.0.0.0/33", "1.2.3", "[[[,]]]"] {
            assert!(addresses(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_are_ranges() {
        assert_eq!(ports("any"), Some(vec![(0, 65535)]));
        assert_eq!(ports("[80,81,100:]"), Some(vec![(80, 81), (100, 65535)]));
        assert_eq!(ports("!80"), Some(vec![(0, 79), (81, 65535)]));
        assert_eq!(ports("[1:10,!5]"), Some(vec![(1, 4), (6, 10)]));
        assert_eq!(ports("$SHELLCODE_PORTS"), ports("!80"));
        assert_eq!(ports(":1023"), Some(vec![(0, 1023)]));
        for bad in ["", "65536", "9:1", "a", "$HOME_NET", "!any"] {
            assert_eq!(ports(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_variable_that_names_itself_is_an_error() {
        let vars = Vars::with([("A", "$B"), ("B", "[$A,$A]")], []);
        assert!(Groups::new(&vars).addresses(b"$A").is_err());
    }
}
