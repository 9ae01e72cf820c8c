//! All that came out of a set of rule files: the rules, what was refused, and what rules share.

use crate::ast::{Dataset, Rule, RuleAction};
use crate::refusal::Refusal;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Everything read.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// In the order of the files and of the lines in each; gid:sid pairs are unique.
    pub rules: Vec<Rule>,
    /// What was not taken.
    pub refused: Vec<Refusal>,
    /// Which actions go first.
    pub actions: ActionOrder,
    /// Counts of each file, in the order given.
    pub files: Vec<FileCount>,
    /// Sets that rules share by name.
    pub datasets: Vec<Dataset>,
    /// What the class types mean.
    pub classifications: Classifications,
    /// Reputations of addresses.
    pub reputations: Reputations,
    /// How many rules have each keyword; `(unknown)` for those that no keyword is.
    pub keywords: BTreeMap<String, KeywordCount>,
}

/// Which actions go first on a packet: Suricata's `action-order`. A `pass` ends what comes behind
/// it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ActionOrder([u8; 4]);

impl Default for ActionOrder {
    /// `pass`, `drop`, `reject`, `alert`.
    fn default() -> Self {
        ActionOrder([0, 1, 2, 3])
    }
}

impl ActionOrder {
    /// The words, in the usual order.
    pub const WORDS: [&str; 4] = ["pass", "drop", "reject", "alert"];

    /// From the words in the order wanted.
    ///
    /// # Errors
    /// What to write, where a word is none, is missing or there twice.
    pub fn of(words: &[String]) -> Result<Self, String> {
        let place = |word: &str| words.iter().position(|w| w == word);
        let places = Self::WORDS.map(|word| place(word).and_then(|at| u8::try_from(at).ok()));
        match places {
            [Some(pass), Some(drop), Some(reject), Some(alert)] if words.len() == 4 => {
                Ok(ActionOrder([pass, drop, reject, alert]))
            }
            _ => Err(format!(
                "write each of {} once, the first to be tried first",
                Self::WORDS.join(", ")
            )),
        }
    }

    /// Where an action stands; what configures goes last.
    pub(crate) fn place(&self, action: RuleAction) -> u8 {
        let [pass, drop, reject, alert] = self.0;
        match action {
            RuleAction::Pass => pass,
            RuleAction::Drop => drop,
            RuleAction::RejectSource | RuleAction::RejectDestination | RuleAction::RejectBoth => {
                reject
            }
            RuleAction::Alert => alert,
            RuleAction::Config => 4,
        }
    }
}

/// How many rules have a keyword.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct KeywordCount {
    /// Rules that have it (up to the point where a refused one was at fault).
    pub rules: usize,
    /// Of these: refused because of it.
    pub refused: usize,
}

/// What one file held.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct FileCount {
    /// Its name as given.
    pub file: String,
    /// Rules that are not commented out.
    pub total: usize,
    /// Of these: taken.
    pub loaded: usize,
    /// Of these: taken, but they can never match, or an effect is not carried out.
    pub unmatchable: usize,
    /// Of these: refused.
    pub refused: usize,
    /// Of these: left out because their `requires` is not met.
    pub not_required: usize,
    /// Rules that are commented out.
    pub commented: usize,
}

/// One row of classification.config.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Classification {
    /// What people read.
    pub description: String,
    /// From 1 (gravest) to 255.
    pub priority: u8,
}

/// classification.config: class types by their short name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Classifications {
    /// By short name.
    pub rows: BTreeMap<String, Classification>,
}

impl Classifications {
    /// The row of a class type, whatever its case.
    pub fn named(&self, classtype: &str) -> Option<&Classification> {
        self.rows.get(classtype).or_else(|| self.rows.get(&classtype.to_ascii_lowercase()))
    }
}

/// categories.txt and the reputation lists.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reputations {
    /// Category by short name: its number, from 1 to 60.
    pub categories: BTreeMap<String, u8>,
    /// First address, last address (same version, inclusive), category, score from 1 to 127;
    /// sorted. Where ranges overlap the smallest counts.
    pub rows: Vec<(IpAddr, IpAddr, u8, u8)>,
}
