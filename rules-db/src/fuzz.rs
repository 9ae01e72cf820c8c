//! Entry for fuzzing: any bytes as a rule file and as the files beside it.

use crate::config::ReferenceSystems;
use crate::reading::Reading;
use crate::ruleset::{Classifications, Reputations};
use crate::thresholds::ThresholdConfig;
use crate::vars::Vars;

/// Reads any bytes as everything that this crate parses. Must never panic or hang, and the counts
/// must add up.
pub fn fuzz_rules(bytes: &[u8]) {
    let vars = Vars::default();
    let files = |_: &str, _: &str| Ok(bytes.to_vec());
    let mut thresholds = ThresholdConfig::default();
    thresholds.read(bytes, &vars);
    let mut classifications = Classifications::built_in();
    classifications.read(bytes);
    let mut references = ReferenceSystems::built_in();
    references.read(bytes);
    let mut reputations = Reputations::default();
    reputations.read_categories(bytes);
    reputations.read_list(bytes);
    let set = Reading::new(&vars)
        .data_files(&files)
        .thresholds(thresholds)
        .classifications(classifications)
        .references(references)
        .reputations(reputations)
        .texts(&[("fuzz", bytes)]);
    let total: usize = set.files.iter().map(|file| file.total).sum();
    assert_eq!(total, set.rules.len() + set.refused.len(), "each rule is taken or refused");
    let table = crate::policy::Policy::shipped();
    for rule in &set.rules {
        table.judge(rule);
    }
}
