//! Rule sets that others wrote: how much of them loads. Skipped, with a line, where the shared
//! folder is not there.

use portcullis_rules_db::{
    CheckReport, Classifications, Reading, RefusalKind, RuleSet, Vars, check, report,
};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// `shared/NAME` in this folder or one above it.
fn shared(name: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here.ancestors().map(|a| a.join("shared").join(name)).find(|p| p.exists());
    if found.is_none() {
        println!("skipped: no shared/{name} above {}", here.display());
    }
    found
}

fn rule_files(folder: &Path) -> Vec<PathBuf> {
    let rows = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut files: Vec<PathBuf> =
        rows.filter(|p| p.extension().is_some_and(|e| e == "rules")).collect();
    files.sort();
    files
}

fn told(report: &CheckReport) {
    println!("{} of {} load, {} commented", report.loaded, report.total, report.commented);
    for r in &report.refused {
        println!("{}:{}:{} {} {}: {}", r.file, r.line, r.column, r.sid, r.keyword, r.reason);
    }
}

#[test]
fn et_open_loads() {
    let Some(folder) = shared("rules/et-open-2024-04-21") else { return };
    let vars = Vars::default();
    let mut classes = Classifications::built_in();
    let file = std::fs::read(folder.join("classification.config")).unwrap_or_default();
    assert!(classes.read(&file).is_empty());
    let start = Instant::now();
    let set: RuleSet = Reading::new(&vars).classifications(classes).files(&rule_files(&folder));
    let took = start.elapsed();
    let report = report(&set);
    told(&report);
    println!("in {took:?}; {} unreachable under TLS 1.3", report.unreachable_tls13);
    assert_eq!(report.total, 24_827);
    assert!(report.loaded * 1_000 >= report.total * 999, "{} load", report.loaded);
    assert!(report.unreachable_tls13 > 500);
    // Each of the table's keywords is one that rules load with.
    let csv = shared("rules/keyword_coverage_et-open-2024-04-21.csv");
    let csv = csv.and_then(|p| std::fs::read_to_string(p).ok()).unwrap_or_default();
    for row in csv.lines().skip(1) {
        let mut cells = row.split(',').skip(1);
        let (name, rules) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let count = report.keywords.get(name).copied().unwrap_or_default();
        println!("{name}: {} of {rules}, {} refused", count.rules, count.refused);
        assert!(count.rules > count.refused, "{name} loads in no rule");
    }
}

#[test]
fn event_rules_load_or_name_their_protocol() {
    let Some(folder) = shared("rules/suricata-events") else { return };
    let report = check(&rule_files(&folder), &Vars::default());
    told(&report);
    assert_eq!(report.total, 443);
    for refused in &report.refused {
        let protocol = ["not decoded yet"].iter().any(|w| refused.reason.contains(w));
        assert!(protocol, "{refused:?}");
    }
    for file in &report.files {
        let name = file.file.rsplit('/').next().unwrap_or_default();
        let must = [
            "app-layer",
            "decoder",
            "dns",
            "files",
            "ftp",
            "http-",
            "smtp",
            "ssh",
            "stream",
            "tls",
        ];
        if must.iter().any(|m| name.starts_with(m)) {
            assert_eq!(file.refused, 0, "{name}");
        }
    }
}

/// Not right, and not for lack of a file that the corpus does not have either.
fn is_wrong(refusal: &portcullis_rules_db::Refusal) -> bool {
    refusal.kind == RefusalKind::Invalid && !refusal.reason.contains("cannot be read")
}

#[test]
fn rules_of_the_golden_tests_load() {
    let Some(folder) = shared("corpus/suricata-verify") else { return };
    let rows = std::fs::read_to_string(folder.join("TESTS.jsonl")).unwrap_or_default();
    let vars = Vars::default();
    let (mut total, mut loaded, mut decoded, mut wrong) = (0, 0, 0, Vec::new());
    let mut reasons: std::collections::BTreeMap<String, usize> = Default::default();
    for row in rows.lines() {
        let test: serde_json::Value = serde_json::from_str(row).unwrap_or_default();
        if test["golden"] != true {
            continue;
        }
        let files = test["rules_files"].as_array().into_iter().flatten();
        let files: Vec<PathBuf> =
            files.filter_map(|f| f.as_str()).map(|f| folder.join(f)).collect();
        let set = Reading::new(&vars).files(&files);
        let report = report(&set);
        total += report.total;
        loaded += report.loaded + report.not_required;
        let others = set.refused.iter().filter(|r| r.reason.contains("not decoded yet")).count();
        decoded += report.total - others;
        for refusal in &set.refused {
            *reasons.entry(format!("{:?} {}", refusal.kind, refusal.reason)).or_default() += 1;
            if is_wrong(refusal) {
                wrong.push(format!("{}: {refusal}", test["test"]));
            }
        }
    }
    println!("{loaded} of {total} rules of the golden tests load, {decoded} are of our protocols");
    for (reason, count) in reasons {
        println!("{count} {reason}");
    }
    for line in &wrong {
        println!("INVALID {line}");
    }
    assert!(wrong.is_empty(), "Suricata loads these: {wrong:?}");
    assert!(loaded * 100 >= decoded * 97, "{loaded} of {decoded}");
}
