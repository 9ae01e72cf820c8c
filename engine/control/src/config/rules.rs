//! `[rules]`: the rule files that the signatures detector reads, and what their variables mean.

use super::engine::absolute;
use super::section::Section;
use portcullis_rules_db::ActionOrder;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `[rules]`
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// Rule files, and folders whose `*.rules` are all read, in the order of the names.
    pub files: Vec<PathBuf>,
    /// A set that `portcullis rules compile` made; it is taken instead of the files.
    pub compiled: Option<PathBuf>,
    /// A table of classes and ceilings before the shipped one.
    pub policy: Option<PathBuf>,
    /// A `classification.config` beside the built-in class types.
    pub classification: Option<PathBuf>,
    /// A `reference.config` beside the built-in reference systems.
    pub reference: Option<PathBuf>,
    /// A `threshold.config`.
    pub thresholds: Option<PathBuf>,
    /// Names and numbers of the categories that `iprep` asks for.
    pub reputation_categories: Option<PathBuf>,
    /// Lists of addresses, their categories and scores.
    pub reputations: Vec<PathBuf>,
    /// Which actions go first on a packet.
    pub action_order: ActionOrder,
    /// Address variables over the shipped ones, without `$`.
    pub addresses: BTreeMap<String, String>,
    /// Port variables over the shipped ones, without `$`.
    pub ports: BTreeMap<String, String>,
}

impl Rules {
    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.compiled.is_none()
    }

    pub(super) fn read(mut s: Section<'_, '_>) -> Self {
        let file = |s: &mut Section<'_, '_>, key| {
            s.parsed(key, None, |t| match t {
                "" => Ok(None),
                t => absolute(t).map(Some),
            })
        };
        let rules = Rules {
            files: s.list("files", Vec::new(), absolute),
            compiled: file(&mut s, "compiled"),
            policy: file(&mut s, "policy"),
            classification: file(&mut s, "classification"),
            reference: file(&mut s, "reference"),
            thresholds: file(&mut s, "thresholds"),
            reputation_categories: file(&mut s, "reputation_categories"),
            reputations: s.list("reputations", Vec::new(), absolute),
            action_order: action_order(&mut s),
            addresses: s.texts("addresses"),
            ports: s.texts("ports"),
        };
        s.finish();
        rules
    }
}

/// `action_order`: the four words, the first to be tried first.
fn action_order(s: &mut Section<'_, '_>) -> ActionOrder {
    let mut words: Vec<String> = Vec::new();
    let known = |word: &str| {
        if !ActionOrder::WORDS.contains(&word) || words.iter().any(|w| w == word) {
            return Err(format!("write each of {} once", ActionOrder::WORDS.join(", ")));
        }
        words.push(word.to_owned());
        match (words.len(), ActionOrder::of(&words)) {
            (4, Ok(order)) => Ok(Some(order)),
            _ => Ok(None),
        }
    };
    s.list("action_order", Vec::new(), known).into_iter().flatten().next().unwrap_or_default()
}
