//! What the rules of one reading share: the caller's checks, data files, sets by name.

use crate::ast::{Dataset, DatasetType};
use crate::config::ReferenceSystems;
use crate::fault::{Fault, Outcome, invalid};
use crate::ruleset::{Classifications, Reputations};
use std::collections::HashMap;
use std::sync::Arc;

/// Whether a pattern compiles with these flags; the error says why not.
pub type RegexCheck<'a> = dyn Fn(&str, &str) -> Result<(), String> + 'a;

/// The bytes of a data file that a rule names: the rule file's name, the name in the rule.
pub type DataFiles<'a> = dyn Fn(&str, &str) -> Result<Vec<u8>, String> + 'a;

/// Rows of one data file, at most.
const ROWS_MAX: usize = 5_000_000;

/// Data files read so far.
type HashLists = HashMap<(Arc<str>, String, usize), Arc<[Vec<u8>]>>;

pub(crate) struct Shared<'a> {
    pub(crate) regex: &'a RegexCheck<'a>,
    pub(crate) classifications: &'a Classifications,
    pub(crate) references: &'a ReferenceSystems,
    pub(crate) reputations: &'a Reputations,
    pub(crate) data_files: &'a DataFiles<'a>,
    pub(crate) datasets: Vec<Dataset>,
    /// The rule file at hand.
    pub(crate) file: Arc<str>,
    pub(crate) hash_lists: HashLists,
}

impl Shared<'_> {
    /// A file that a rule names, from the rule's folder.
    pub(crate) fn data_file(&self, name: &str) -> Outcome<Vec<u8>> {
        (self.data_files)(&self.file, name).map_err(|why| {
            invalid(
                format!("`{name}` cannot be read: {why}"),
                "put the file into the folder of the rule file and name it without a path",
            )
        })
    }

    /// The values of a list of hashes, each `length` bytes.
    pub(crate) fn hash_list(&mut self, name: &str, length: usize) -> Outcome<Arc<[Vec<u8>]>> {
        let key = (self.file.clone(), name.to_owned(), length);
        if let Some(known) = self.hash_lists.get(&key) {
            return Ok(known.clone());
        }
        let bytes = self.data_file(name)?;
        let mut values = Vec::new();
        for (number, line) in rows(&bytes)? {
            let end = line.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(line.len());
            let digits = line.get(..end).unwrap_or_default();
            let value = hexadecimal(digits).filter(|v| v.len() == length);
            values.push(value.ok_or_else(|| bad_row(name, number, "a hash in hexadecimal"))?);
        }
        values.sort_unstable();
        values.dedup();
        let values: Arc<[Vec<u8>]> = values.into();
        self.hash_lists.insert(key, values.clone());
        Ok(values)
    }

    /// A set by its name; a new one takes the description, a known one must not contradict it.
    pub(crate) fn dataset(&mut self, wanted: Dataset, type_given: bool) -> Outcome<usize> {
        let Some(at) = self.datasets.iter().position(|set| set.name == wanted.name) else {
            self.datasets.push(wanted);
            return Ok(self.datasets.len() - 1);
        };
        let Some(known) = self.datasets.get_mut(at) else { return Ok(at) };
        if type_given && known.values_are != wanted.values_are {
            return Err(invalid(
                format!("`{}` is a set of another type in a rule before", wanted.name),
                "use the same type, or another name",
            ));
        }
        if known.file.is_none() && wanted.file.is_some() {
            known.file = wanted.file;
            known.values = wanted.values;
            known.reputations = wanted.reputations;
        }
        known.save = known.save.take().or(wanted.save);
        known.memory_max = known.memory_max.max(wanted.memory_max);
        known.rows = known.rows.max(wanted.rows);
        Ok(at)
    }
}

fn bad_row(file: &str, number: usize, wanted: &str) -> Box<Fault> {
    invalid(
        format!("line {number} of `{file}` is not {wanted}"),
        format!("write {wanted} on each line"),
    )
}

fn rows(bytes: &[u8]) -> Outcome<Vec<(usize, &[u8])>> {
    let lines = bytes.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"));
    let rows: Vec<(usize, &[u8])> = lines.map(|(n, line)| (n + 1, line)).collect();
    if rows.len() > ROWS_MAX {
        let remedy = "split the file";
        return Err(invalid(format!("the file has more than {ROWS_MAX} rows"), remedy));
    }
    Ok(rows)
}

/// Values of a data file, sorted, with the reputation of each where there is one.
pub(crate) fn dataset_values(
    name: &str,
    bytes: &[u8],
    values_are: DatasetType,
    reputations: crate::ast::Anchor,
) -> Outcome<(Vec<Vec<u8>>, Vec<u16>)> {
    let mut found = Vec::new();
    for (number, line) in rows(bytes)? {
        let comma = line.iter().position(|&b| b == b',').unwrap_or(line.len());
        let (value, score) = line.split_at(comma);
        let score = score.strip_prefix(b",").unwrap_or_default();
        let score = std::str::from_utf8(score).ok().and_then(|t| t.trim().parse::<u16>().ok());
        if reputations == crate::ast::Anchor::Yes && score.is_none() {
            return Err(bad_row(name, number, "a value, a comma and a reputation"));
        }
        let value = dataset_value(value.trim_ascii(), values_are);
        let value = value.ok_or_else(|| bad_row(name, number, wanted(values_are)))?;
        found.push((value, score.unwrap_or(0)));
    }
    found.sort_unstable();
    found.dedup_by(|a, b| a.0 == b.0);
    let (values, scores) = found.into_iter().unzip();
    let none = reputations == crate::ast::Anchor::No;
    Ok((values, if none { Vec::new() } else { scores }))
}

fn wanted(values_are: DatasetType) -> &'static str {
    match values_are {
        DatasetType::String => "a string in base64",
        DatasetType::Md5 => "an MD5 in hexadecimal",
        DatasetType::Sha256 => "a SHA-256 in hexadecimal",
        DatasetType::Ipv4 => "an IPv4 address",
        DatasetType::Ip => "an IP address",
    }
}

fn dataset_value(text: &[u8], values_are: DatasetType) -> Option<Vec<u8>> {
    let address = || std::str::from_utf8(text).ok()?.parse::<std::net::IpAddr>().ok();
    match values_are {
        DatasetType::String => base64(text),
        DatasetType::Md5 => hexadecimal(text).filter(|v| v.len() == 16),
        DatasetType::Sha256 => hexadecimal(text).filter(|v| v.len() == 32),
        DatasetType::Ipv4 => match address()? {
            std::net::IpAddr::V4(a) => Some(a.octets().to_vec()),
            std::net::IpAddr::V6(_) => None,
        },
        DatasetType::Ip => Some(match address()? {
            std::net::IpAddr::V4(a) => a.octets().to_vec(),
            std::net::IpAddr::V6(a) => {
                a.to_ipv4_mapped().map_or(a.octets().to_vec(), |v4| v4.octets().to_vec())
            }
        }),
    }
}

fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let (pairs, rest) = text.as_chunks::<2>();
    let bytes = pairs.iter().map(|[a, b]| Some(digit(*a)? << 4 | digit(*b)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

/// Base64 with or without its padding (RFC 4648, section 4).
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let end = text.iter().position(|&b| b == b'=').unwrap_or(text.len());
    let (digits, padding) = text.split_at(end);
    if padding.len() > 2 || padding.iter().any(|&b| b != b'=') || digits.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for &byte in digits {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::Anchor;

    #[test]
    fn values_of_data_files() {
        let strings =
            dataset_values("f", b"YWJj\n\n# x\nYQ==\nYQ\n", DatasetType::String, Anchor::No);
        assert_eq!(strings, Ok((vec![b"a".to_vec(), b"abc".to_vec()], Vec::new())));
        let scored = dataset_values("f", b"10.0.0.1,7\n", DatasetType::Ipv4, Anchor::Yes);
        assert_eq!(scored, Ok((vec![vec![10, 0, 0, 1]], vec![7])));
        let mapped = dataset_values("f", b"::ffff:10.0.0.1\n", DatasetType::Ip, Anchor::No);
        assert_eq!(mapped, Ok((vec![vec![10, 0, 0, 1]], Vec::new())));
        assert!(dataset_values("f", b"10.0.0.1\n", DatasetType::Ipv4, Anchor::Yes).is_err());
        assert!(dataset_values("f", b"zz\n", DatasetType::Md5, Anchor::No).is_err());
        assert!(dataset_values("f", b"Y\n", DatasetType::String, Anchor::No).is_err());
    }
}
