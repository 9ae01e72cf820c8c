//! The configuration files that stand beside rules: classification.config, reference.config, and
//! the two files of address reputations. What a line is not understood is told and left out.

use crate::fault::{Outcome, invalid, shown};
use crate::ruleset::{Classification, Classifications, Reputations};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What one line is at fault for: line from 1, and a sentence with the remedy.
pub type LineFault = (u32, String);

/// The lines that count, with their numbers.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let lines = (1_u32..).zip(bytes.split(|&b| b == b'\n').map(<[u8]>::trim_ascii));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(b"#"))
}

fn each_line(bytes: &[u8], mut read: impl FnMut(&[u8]) -> Outcome) -> Vec<LineFault> {
    let faults = lines(bytes).filter_map(|(number, line)| {
        let fault = read(line).err()?;
        Some((number, format!("{}; {}", fault.reason, fault.remedy)))
    });
    faults.collect()
}

/// Short name, what people read, priority.
const CLASSES: &[(&str, &str, u8)] = &[
    ("not-suspicious", "Ordinary traffic", 3),
    ("unknown", "Traffic of unknown kind", 3),
    ("bad-unknown", "Traffic that may be bad", 2),
    ("attempted-recon", "An attempt to learn about a machine", 2),
    ("successful-recon-limited", "Something about a machine was learned", 2),
    ("successful-recon-largescale", "Much about the network was learned", 2),
    ("attempted-dos", "An attempt to deny service", 2),
    ("successful-dos", "Service was denied", 2),
    ("attempted-user", "An attempt to gain a user's rights", 1),
    ("unsuccessful-user", "A failed attempt to gain a user's rights", 1),
    ("successful-user", "A user's rights were gained", 1),
    ("attempted-admin", "An attempt to gain an administrator's rights", 1),
    ("successful-admin", "An administrator's rights were gained", 1),
    ("rpc-portmap-decode", "A query to the RPC port mapper", 2),
    ("shellcode-detect", "Executable code in data", 1),
    ("string-detect", "A telling string", 3),
    ("suspicious-filename-detect", "A telling file name", 2),
    ("suspicious-login", "A login with a telling user name", 2),
    ("system-call-detect", "A system call in data", 2),
    ("tcp-connection", "A TCP connection", 4),
    ("trojan-activity", "Traffic of a trojan", 1),
    ("unusual-client-port-connection", "A client on an unusual port", 2),
    ("network-scan", "A scan of the network", 3),
    ("denial-of-service", "A denial of service", 2),
    ("non-standard-protocol", "A protocol or event outside the standard", 2),
    ("protocol-command-decode", "A command or event of a protocol", 3),
    ("web-application-activity", "Access to a web application with known faults", 2),
    ("web-application-attack", "An attack on a web application", 1),
    ("misc-activity", "Other activity", 3),
    ("misc-attack", "Another attack", 2),
    ("icmp-event", "An ICMP event", 3),
    ("inappropriate-content", "Content unfit for the place", 1),
    ("policy-violation", "Against the policy", 1),
    ("default-login-attempt", "A login with a default name and password", 2),
    ("sdf", "Sensitive data", 2),
    ("file-format", "A file that may abuse its reader", 1),
    ("malware-cnc", "Malware speaking with its master", 1),
    ("client-side-exploit", "An attempt to abuse a client", 1),
    ("targeted-activity", "Activity aimed at a target", 1),
    ("exploit-kit", "An exploit kit at work", 1),
    ("external-ip-check", "A machine asks for its outer address", 2),
    ("domain-c2", "A domain of malware's masters", 1),
    ("pup-activity", "A program that may be unwanted", 2),
    ("credential-theft", "Credentials were taken", 1),
    ("social-engineering", "An attempt to trick a person", 2),
    ("coin-mining", "Mining of a currency", 2),
    ("command-and-control", "Malware speaking with its master", 1),
];

impl Classifications {
    /// The class types that rule sets commonly use, for where there is no file.
    pub fn built_in() -> Self {
        let row = |(name, description, priority): &(&str, &str, u8)| {
            let description = (*description).to_owned();
            ((*name).to_owned(), Classification { description, priority: *priority })
        };
        Classifications { rows: CLASSES.iter().map(row).collect() }
    }

    /// Reads `config classification: name,description,priority` lines over what is there.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<LineFault> {
        each_line(bytes, |line| {
            let text = String::from_utf8_lossy(line);
            let parts = text
                .strip_prefix("config")
                .and_then(|t| t.trim_start().strip_prefix("classification:"))
                .and_then(|t| t.rsplit_once(','))
                .and_then(|(rest, priority)| Some((rest.split_once(',')?, priority)));
            let row = parts.and_then(|((name, description), priority)| {
                let priority = priority.trim().parse().ok().filter(|n| *n > 0)?;
                let description = description.trim().to_owned();
                let row = Classification { description, priority };
                Some((name.trim().to_ascii_lowercase(), row)).filter(|row| !row.0.is_empty())
            });
            let (name, row) = row.ok_or_else(|| {
                let reason = format!("`{}` is not a classification", shown(line));
                invalid(reason, "write config classification: NAME,DESCRIPTION,PRIORITY")
            })?;
            self.rows.insert(name, row);
            Ok(())
        })
    }
}

/// reference.config: the beginning of the address of each system.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReferenceSystems {
    /// By system, lower case.
    pub rows: BTreeMap<String, String>,
}

const SYSTEMS: &[(&str, &str)] = &[
    ("bugtraq", "https://www.securityfocus.com/bid/"),
    ("cve", "https://cve.org/CVERecord?id=CVE-"),
    ("url", "https://"),
    ("nessus", "https://www.tenable.com/plugins/nessus/"),
    ("et", "https://doc.emergingthreats.net/"),
    ("etpro", "https://doc.emergingthreats.net/"),
    ("exploitdb", "https://www.exploit-db.com/exploits/"),
    ("md5", "https://www.virustotal.com/gui/search/"),
    ("telus", "https://"),
    ("threatexpert", "https://"),
    ("secunia", "https://"),
];

impl ReferenceSystems {
    /// The systems that rule sets commonly use, for where there is no file.
    pub fn built_in() -> Self {
        let row = |(system, prefix): &(&str, &str)| ((*system).to_owned(), (*prefix).to_owned());
        ReferenceSystems { rows: SYSTEMS.iter().map(row).collect() }
    }

    /// Reads `config reference: system prefix` lines over what is there.
    pub fn read(&mut self, bytes: &[u8]) -> Vec<LineFault> {
        each_line(bytes, |line| {
            let text = String::from_utf8_lossy(line);
            let body = text
                .strip_prefix("config")
                .and_then(|t| t.trim_start().strip_prefix("reference:"))
                .and_then(|t| t.trim().split_once(char::is_whitespace));
            let (system, prefix) = body.ok_or_else(|| {
                let reason = format!("`{}` is not a reference system", shown(line));
                invalid(reason, "write config reference: NAME ADDRESS")
            })?;
            self.rows.insert(system.to_ascii_lowercase(), prefix.trim().to_owned());
            Ok(())
        })
    }

    /// The whole address of a reference; the id alone where the system is not known.
    pub fn address(&self, system: &str, id: &str) -> String {
        let prefix = self.rows.get(system).map_or("", String::as_str);
        // `cve,CVE-2021-1` and `url,https://x` say their beginning themselves.
        let id = if system == "cve" { id.trim_start_matches("CVE-") } else { id };
        if id.starts_with("http://") || id.starts_with("https://") {
            return id.to_owned();
        }
        format!("{prefix}{id}")
    }
}

impl Reputations {
    /// Reads the file of categories: `NUMBER,SHORT NAME,DESCRIPTION`.
    pub fn read_categories(&mut self, bytes: &[u8]) -> Vec<LineFault> {
        /// The largest number of a category.
        const CATEGORY_MAX: u8 = 60;
        each_line(bytes, |line| {
            let text = String::from_utf8_lossy(line);
            let mut parts = text.split(',').map(str::trim);
            let number = parts.next().and_then(|n| n.parse::<u8>().ok());
            let number = number.filter(|n| (1..CATEGORY_MAX).contains(n));
            let name = parts.next().filter(|name| !name.is_empty());
            let (number, name) = number.zip(name).ok_or_else(|| {
                let reason = format!("`{}` is not a category", shown(line));
                invalid(reason, "write NUMBER (1 to 59),SHORT NAME,DESCRIPTION")
            })?;
            self.categories.insert(name.to_owned(), number);
            Ok(())
        })
    }

    /// Reads a list: `ADDRESS OR NETWORK,CATEGORY NUMBER,SCORE`.
    pub fn read_list(&mut self, bytes: &[u8]) -> Vec<LineFault> {
        let faults = each_line(bytes, |line| {
            let text = String::from_utf8_lossy(line);
            let row = reputation(&text).ok_or_else(|| {
                let reason = format!("`{}` is not a reputation", shown(line));
                invalid(reason, "write ADDRESS,CATEGORY NUMBER,SCORE (1 to 127)")
            })?;
            self.rows.push(row);
            Ok(())
        });
        self.rows.sort_unstable();
        faults
    }
}

fn reputation(text: &str) -> Option<(IpAddr, IpAddr, u8, u8)> {
    let mut parts = text.split(',').map(str::trim);
    let (low, high) = crate::groups::network_ends(parts.next()?)?;
    let category = parts.next()?.parse().ok().filter(|n| (1..60).contains(n))?;
    let score = parts.next()?.parse().ok().filter(|n| (1..=127).contains(n))?;
    parts.next().is_none().then_some((low, high, category, score))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classification_file() {
        let mut classes = Classifications::built_in();
        assert_eq!(classes.named("Trojan-Activity").map(|c| c.priority), Some(1));
        let file = b"# x\nconfig classification: mine,Words, with a comma, 7\nbad\n";
        let faults = classes.read(file);
        assert_eq!(classes.named("mine").map(|c| c.priority), Some(7));
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].0, 3);
    }

    #[test]
    fn reference_file() {
        let mut systems = ReferenceSystems::built_in();
        assert!(systems.read(b"config reference: mine https://m.example/?\n").is_empty());
        assert_eq!(systems.address("mine", "1"), "https://m.example/?1");
        assert_eq!(systems.address("cve", "CVE-2021-1"), "https://cve.org/CVERecord?id=CVE-2021-1");
        assert_eq!(systems.address("none", "1"), "1");
        assert_eq!(systems.read(b"config reference: x\n").len(), 1);
    }

    #[test]
    fn reputation_files() {
        let mut reputations = Reputations::default();
        assert!(reputations.read_categories(b"1,BadHosts,Known bad\n2,CnC,x\n").is_empty());
        let faults =
            reputations.read_list(b"10.0.0.0/8,1,20\n1.2.3.4,2,127\nx,1,1\n1.1.1.1,1,200\n");
        assert_eq!((reputations.rows.len(), faults.len()), (2, 2));
        assert_eq!(reputations.rows[1].1.to_string(), "10.255.255.255");
    }
}
