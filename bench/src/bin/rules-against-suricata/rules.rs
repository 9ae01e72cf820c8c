//! The rules as text: header, message and keywords by sid, to say what disagreements have in
//! common. It must never know what a keyword means.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Headers of protocols whose depth comes later; they are reported, not counted.
const LATER: [&str; 11] =
    ["smb", "dcerpc", "http2", "mqtt", "ftp-data", "ike", "dnp3", "enip", "krb5", "nfs", "snmp"];
/// Options that say something about the rule and nothing about the traffic.
const REMARKS: [&str; 9] =
    ["msg", "sid", "rev", "gid", "classtype", "metadata", "reference", "priority", "target"];

/// What is said of a rule.
pub(super) struct Rule {
    /// The protocol of the header.
    pub(super) header: String,
    /// Its message.
    pub(super) message: String,
    /// Names of its options, without remarks.
    pub(super) keywords: BTreeSet<String>,
}

impl Rule {
    /// Whether the engine claims to read the protocol deeply.
    pub(super) fn is_in_question(&self) -> bool {
        !LATER.contains(&self.header.as_str())
    }
}

/// The `*.rules` of a folder, in the order of their names.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    if folder.is_file() {
        return Ok(vec![folder.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rules") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// All rules that are on.
pub(super) fn read(folder: &Path) -> Result<BTreeMap<u64, Rule>> {
    let mut rules = BTreeMap::new();
    for file in files(folder)? {
        let bytes = std::fs::read(&file)?;
        for line in String::from_utf8_lossy(&bytes).lines() {
            let line = line.trim();
            if line.starts_with('#') {
                continue;
            }
            if let Some((sid, rule)) = rule_of(line) {
                rules.insert(sid, rule);
            }
        }
    }
    Ok(rules)
}

fn rule_of(line: &str) -> Option<(u64, Rule)> {
    let (header, body) = line.split_once('(')?;
    let body = body.strip_suffix(')')?;
    let mut rule = Rule {
        header: header.split_whitespace().nth(1)?.to_owned(),
        message: String::new(),
        keywords: BTreeSet::new(),
    };
    let mut sid = None;
    for option in options(body) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        match name.trim() {
            "sid" => sid = value.trim().parse().ok(),
            "msg" => rule.message = value.trim().trim_matches('"').to_owned(),
            name if REMARKS.contains(&name) => {}
            name => drop(rule.keywords.insert(name.to_owned())),
        }
    }
    Some((sid?, rule))
}

/// The options, cut at `;` outside quotes.
fn options(body: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    body.split(move |c: char| {
        let cuts = c == ';' && !quoted && !escaped;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        cuts
    })
    .map(str::trim)
    .filter(|option| !option.is_empty())
}
