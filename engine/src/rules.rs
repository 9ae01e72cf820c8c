//! `rules`: texts in Suricata's language checked and compiled, and compiled sets looked into.
//! Prints answers; what a keyword means is the rule language's own business and never known here.

use crate::cli::{
    Cli, Output, RulesCheck, RulesCompile, RulesInfo, RulesTexts, RulesVerb, SetSid, Table,
    printable,
};
use anyhow::{Context, Result, anyhow, bail};
use portcullis_control::config::{self, Config};
use portcullis_control::rules::{Made, Rules, make};
use portcullis_plugin_abi::PartyKind;
use portcullis_rules_db::compile::Unmatchable;
use portcullis_rules_db::{CheckReport, RefusalKind, Refused, Vars, policy};
use portcullis_rules_form::{RuleInfo, RuleSet, VERSION};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Words for the numbers in a compiled set.
const CLASSES: [&str; 2] = ["attack", "activity"];
const SEVERITIES: [&str; 5] = ["info", "low", "medium", "high", "critical"];
const CONFIDENCES: [&str; 3] = ["low", "medium", "high"];
const ACTIONS: [&str; 4] = ["pass", "report", "terminate", "terminate-and-block"];
const REACHES: [&str; 4] = ["packet", "transaction", "flow", "offender"];
const VERBS: [&str; 4] = ["alert", "pass", "drop", "reject"];

/// `rules …`
pub(crate) fn carry_out(cli: &Cli, verb: &RulesVerb, out: &mut impl Write) -> Result<()> {
    match verb {
        RulesVerb::Check(asked) => check(cli, asked, out),
        RulesVerb::Compile(asked) => compile(cli, asked, out),
        RulesVerb::Policy => Ok(out.write_all(policy::SHIPPED.as_bytes())?),
        RulesVerb::Info(asked) => info(cli, asked, out),
        RulesVerb::Profile(asked) => crate::profile::profile(cli, asked, out),
        RulesVerb::Swap(asked) => crate::cli::remote::swap_rules(cli, asked, out),
    }
}

/// Puts `NAME=VALUE` over what names in rules mean. A name is of ports if the shipped table has it
/// among ports or it ends as such names do, else of addresses.
pub(crate) fn set_variables(rules: &mut config::Rules, vars: &[String]) {
    let shipped = Vars::default();
    for (name, value) in vars.iter().filter_map(|text| text.split_once('=')) {
        let name = name.strip_prefix('$').unwrap_or(name);
        let is_port = shipped.ports.contains_key(name)
            || ["PORT", "PORTS"].iter().any(|end| name.to_ascii_uppercase().ends_with(end));
        let table = if is_port { &mut rules.ports } else { &mut rules.addresses };
        table.insert(name.to_owned(), bracketed(value.trim()));
    }
}

/// A list may be written without its brackets.
fn bracketed(value: &str) -> String {
    let is_list = value.contains(',') && !value.starts_with(['[', '!']);
    if is_list { format!("[{value}]") } else { value.to_owned() }
}

/// The texts, with the variables and tables of the configuration that was named.
fn asked_rules(cli: &Cli, texts: &RulesTexts) -> Result<config::Rules> {
    let mut rules = match &cli.config {
        Some(path) => Config::load(path).map_err(|d| anyhow!("{d}"))?.config.rules,
        None => config::Rules::default(),
    };
    rules.files.clone_from(&texts.files);
    rules.compiled = None;
    set_variables(&mut rules, &texts.vars);
    Ok(rules)
}

fn check(cli: &Cli, asked: &RulesCheck, out: &mut impl Write) -> Result<()> {
    let found = make(&asked_rules(cli, &asked.texts)?)?.report;
    match cli.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &found)?;
            writeln!(out)?;
        }
        Output::Table => {
            out.write_all(report_text(&found).as_bytes())?;
            if asked.keywords {
                write!(out, "\n{}", keywords_table(&found))?;
            }
        }
    }
    ended(&found, &asked.texts)
}

/// Whether the texts were good enough.
fn ended(found: &CheckReport, texts: &RulesTexts) -> Result<()> {
    let unread: Vec<&str> =
        found.refused.iter().filter(|r| r.line == 0).map(|r| r.file.as_str()).collect();
    if !unread.is_empty() {
        bail!("{} cannot be read", unread.join(", "));
    }
    let refused = wrong(found).count();
    if texts.strict && refused > 0 {
        bail!("{refused} of {} rules are refused", found.total);
    }
    Ok(())
}

/// Rows of rules that ought to load and do not; line 0 is a file that cannot be read.
fn wrong(found: &CheckReport) -> impl Iterator<Item = &Refused> {
    found.refused.iter().filter(|r| r.kind != RefusalKind::NotRequired && r.line != 0)
}

fn kind_word(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::Invalid => "invalid",
        RefusalKind::Unsupported => "unsupported",
        RefusalKind::NotRequired => "not-required",
    }
}

/// Of the table that has a row for each file.
const FILE_COLUMNS: [&str; 7] =
    ["FILE", "TOTAL", "LOADED", "UNMATCHABLE", "REFUSED", "NOT REQUIRED", "COMMENTED"];

fn report_text(found: &CheckReport) -> String {
    let mut text = String::new();
    for row in &found.refused {
        let _ = write!(text, "{}:{}:{}: ", printable(&row.file), row.line, row.column);
        if row.sid != 0 {
            let _ = write!(text, "sid {}: ", row.sid);
        }
        if !row.keyword.is_empty() {
            let _ = write!(text, "{}: ", printable(&row.keyword));
        }
        let (reason, remedy) = (printable(&row.reason), printable(&row.remedy));
        let _ = writeln!(text, "{}: {reason}; {remedy}", kind_word(row.kind));
    }
    for row in &found.unmatchable {
        let _ = writeln!(text, "{}: unmatchable: {}", row.rule, printable(&row.asks));
    }
    if !found.refused.is_empty() || !found.unmatchable.is_empty() {
        text.push('\n');
    }
    if found.files.len() > 1 {
        let mut table = Table::new(&FILE_COLUMNS);
        let common = common_folder(found);
        for file in &found.files {
            let counts = [
                file.total,
                file.loaded,
                file.unmatchable,
                file.refused,
                file.not_required,
                file.commented,
            ];
            let counts = counts.iter().map(ToString::to_string);
            table.row([file.file[common..].to_owned()].into_iter().chain(counts));
        }
        let _ = writeln!(text, "{table}");
    }
    text + &sums_text(found)
}

/// How many bytes of all names are the folder that they share.
fn common_folder(found: &CheckReport) -> usize {
    let mut names = found.files.iter().map(|file| file.file.as_str());
    let first = names.next().unwrap_or_default();
    let shared = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let bytes = names.map(|name| shared(first, name)).min().unwrap_or(0);
    first.as_bytes()[..bytes].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1)
}

fn sums_text(found: &CheckReport) -> String {
    let of = |kind| wrong(found).filter(|r| r.kind == kind).count();
    let (invalid, unsupported) = (of(RefusalKind::Invalid), of(RefusalKind::Unsupported));
    let mut text = format!("total         {}\nloaded        {}\n", found.total, found.loaded);
    if !found.unmatchable.is_empty() {
        let _ = writeln!(
            text,
            "unmatchable   {} (they ask for what is never there, or is not carried out)",
            found.unmatchable_rules()
        );
    }
    let _ = writeln!(
        text,
        "refused       {} ({invalid} invalid, {unsupported} unsupported)",
        invalid + unsupported
    );
    let _ = writeln!(text, "not required  {} (their `requires` is not met)", found.not_required);
    let _ = writeln!(text, "commented     {} (not counted in the total)", found.commented);
    if found.unreachable_tls13 > 0 {
        let _ = writeln!(
            text,
            "tls 1.3       {} of the loaded look at certificates, which TLS 1.3 encrypts",
            found.unreachable_tls13
        );
    }
    text
}

fn keywords_table(found: &CheckReport) -> Table {
    let mut table = Table::new(&["KEYWORD", "RULES", "REFUSED"]);
    let mut rows: Vec<_> = found.keywords.iter().collect();
    rows.sort_by_key(|(word, count)| (std::cmp::Reverse(count.rules), *word));
    for (word, count) in rows {
        table.row([word.clone(), count.rules.to_string(), count.refused.to_string()]);
    }
    table
}

fn compile(cli: &Cli, asked: &RulesCompile, out: &mut impl Write) -> Result<()> {
    let began = Instant::now();
    let Made { report: found, unmatchable, bytes } = make(&asked_rules(cli, &asked.texts)?)?;
    let seconds = began.elapsed().as_secs_f64();
    // Nothing is written that the caller did not want: an engine may be waiting for the file.
    ended(&found, &asked.texts)?;
    replace(&asked.out, &bytes).with_context(|| format!("writing {}", asked.out.display()))?;
    let set = RuleSet::open(&bytes).map_err(|e| anyhow!("{e}"))?;
    if cli.output == Output::Json {
        let told = json!({
            "out": asked.out.display().to_string(),
            "bytes": bytes.len(),
            "hash": hash_text(set),
            "total": found.total,
            "loaded": found.loaded,
            "refused": wrong(&found).count(),
            "not_required": found.not_required,
            "literals": set.literals().count(),
            "groups": set.groups().count(),
            "regexes": set.regexes().count(),
            "unmatchable": unmatchable.iter()
                .map(|u| json!({"rule": u.id.to_string(), "asks": u.asks})).collect::<Vec<_>>(),
            "seconds": seconds,
        });
        serde_json::to_writer_pretty(&mut *out, &told)?;
        writeln!(out)?;
        return Ok(());
    }
    if asked.unmatchable {
        list_unmatchable(&unmatchable, out)?;
    }
    writeln!(
        out,
        "rules         {} of {} loaded, {} refused, {} not required",
        found.loaded,
        found.total,
        wrong(&found).count(),
        found.not_required,
    )?;
    let hint = match asked.unmatchable || unmatchable.is_empty() {
        true => "",
        false => " (--unmatchable lists them)",
    };
    writeln!(out, "unmatchable   {}{hint}", unmatchable.len())?;
    write_parts(set, out)?;
    writeln!(out, "file          {}", asked.out.display())?;
    writeln!(out, "time          {seconds:.3} s")?;
    Ok(())
}

fn list_unmatchable(rows: &[Unmatchable], out: &mut impl Write) -> Result<()> {
    for row in rows {
        writeln!(out, "{}: {}", row.id, printable(&row.asks))?;
    }
    if !rows.is_empty() {
        writeln!(out)?;
    }
    Ok(())
}

/// Puts a whole file in the place of another, which whoever has it open keeps.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let written = std::fs::File::create(beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let done = written.and_then(|()| std::fs::rename(beside, path));
    if done.is_err() {
        // What is half written is of no use; why it is so is the error that counts.
        let _ = std::fs::remove_file(beside);
    }
    done
}

fn hash_text(set: RuleSet<'_>) -> String {
    set.hash().0.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn write_parts(set: RuleSet<'_>, out: &mut impl Write) -> Result<()> {
    let literals = set.literals().count();
    writeln!(out, "literals      {literals} in {} groups", set.groups().count())?;
    writeln!(out, "regexes       {}", set.regexes().count())?;
    let bytes = set.directory().total_len();
    writeln!(out, "size          {bytes} bytes ({:.1} MiB)", f64::from(bytes) / 1_048_576.0)?;
    writeln!(out, "hash          {}", hash_text(set))?;
    Ok(())
}

fn info(cli: &Cli, asked: &RulesInfo, out: &mut impl Write) -> Result<()> {
    let rules = Rules::open(&asked.set)?;
    let set = RuleSet::open(rules.bytes())
        .and_then(|set| set.verify().map(|()| set))
        .map_err(|e| anyhow!("{}: {e}", asked.set.display()))?;
    match asked.rule {
        Some(wanted) => one_rule(cli, set, wanted, out),
        None => overview(cli, set, out),
    }
}

fn overview(cli: &Cli, set: RuleSet<'_>, out: &mut impl Write) -> Result<()> {
    let mut sorts: BTreeMap<(&str, &str), [usize; ACTIONS.len()]> = BTreeMap::new();
    for rule in set.infos() {
        let row = rule.row();
        let counts = sorts.entry((word(&CLASSES, row.class), rule.category())).or_default();
        if let Some(count) = counts.get_mut(usize::from(row.action.min(row.ceiling))) {
            *count += 1;
        }
    }
    if cli.output == Output::Json {
        let sorts = sorts.iter().map(|((class, category), counts)| {
            let actions: serde_json::Map<String, Value> =
                ACTIONS.iter().zip(counts).map(|(a, n)| ((*a).to_owned(), (*n).into())).collect();
            json!({"class": class, "category": category, "actions": actions})
        });
        let told = json!({
            "layout": VERSION,
            "bytes": set.directory().total_len(),
            "hash": hash_text(set),
            "rules": set.len(),
            "literals": set.literals().count(),
            "groups": set.groups().count(),
            "regexes": set.regexes().count(),
            "categories": sorts.collect::<Vec<_>>(),
        });
        serde_json::to_writer_pretty(&mut *out, &told)?;
        writeln!(out)?;
        return Ok(());
    }
    let mut table =
        Table::new(&["CLASS", "CATEGORY", "PASS", "REPORT", "TERMINATE", "TERMINATE-AND-BLOCK"]);
    for ((class, category), counts) in &sorts {
        let counts = counts.iter().map(ToString::to_string);
        table.row([(*class).to_owned(), (*category).to_owned()].into_iter().chain(counts));
    }
    writeln!(out, "{table}")?;
    writeln!(out, "rules         {} (layout {VERSION})", set.len())?;
    write_parts(set, out)
}

fn one_rule(cli: &Cli, set: RuleSet<'_>, wanted: SetSid, out: &mut impl Write) -> Result<()> {
    let rule = set.info(wanted.gid, wanted.sid).with_context(|| {
        format!("the set has no rule {wanted}; `rules check` says whether it was refused")
    })?;
    if cli.output == Output::Json {
        serde_json::to_writer_pretty(&mut *out, &rule_json(&rule))?;
        writeln!(out)?;
        return Ok(());
    }
    let row = rule.row();
    let mut line = |name: &str, value: &str| writeln!(out, "{name:<12}  {}", printable(value));
    line("rule", &format!("{}:{}:{}", row.gid, row.sid, row.rev))?;
    line("message", rule.message())?;
    line("written as", word(&VERBS, row.verb))?;
    line("class", &format!("{}, {}", word(&CLASSES, row.class), rule.category()))?;
    line("classtype", rule.classtype())?;
    line("severity", word(&SEVERITIES, row.severity))?;
    line("priority", &row.priority.to_string())?;
    line("confidence", word(&CONFIDENCES, row.confidence))?;
    let (action, ceiling) = (row.action.min(row.ceiling), word(&ACTIONS, row.ceiling));
    line("action", &format!("{} (at most {ceiling})", word(&ACTIONS, action)))?;
    line("reach", word(&REACHES, row.reach))?;
    line("offender", party(row.offender))?;
    line("target", party(row.target))?;
    for technique in rule.attack() {
        line("att&ck", technique)?;
    }
    for reference in rule.references() {
        line("reference", reference)?;
    }
    for (key, value) in rule.metadata() {
        line("metadata", &format!("{key} {value}"))?;
    }
    Ok(())
}

fn rule_json(rule: &RuleInfo<'_>) -> Value {
    let row = rule.row();
    json!({
        "gid": row.gid,
        "sid": row.sid,
        "rev": row.rev,
        "message": rule.message(),
        "verb": word(&VERBS, row.verb),
        "class": word(&CLASSES, row.class),
        "category": rule.category(),
        "classtype": rule.classtype(),
        "severity": word(&SEVERITIES, row.severity),
        "priority": row.priority,
        "confidence": word(&CONFIDENCES, row.confidence),
        "action": word(&ACTIONS, row.action.min(row.ceiling)),
        "ceiling": word(&ACTIONS, row.ceiling),
        "reach": word(&REACHES, row.reach),
        "offender": party(row.offender),
        "target": party(row.target),
        "attack": rule.attack().collect::<Vec<_>>(),
        "references": rule.references().collect::<Vec<_>>(),
        "metadata": rule.metadata().map(|(k, v)| json!([k, v])).collect::<Vec<_>>(),
    })
}

fn word(words: &[&'static str], number: u8) -> &'static str {
    words.get(usize::from(number)).copied().unwrap_or("unknown")
}

fn party(number: u8) -> &'static str {
    PartyKind::from_number(number).map_or("unknown", PartyKind::name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

    use super::*;
    use clap::Parser;

    #[test]
    fn what_can_never_match_is_told_and_does_not_count_as_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("a.rules");
        let rules = r#"alert http any any -> any any (http.uri; content:"/"; sid:1;)
alert http any any -> any any (app-layer-event:http.double_encoded_uri; sid:2;)
alert http any any -> any any (http.uri; content:"/"; tag:session,3,packets; sid:3;)
alert http any any -> any any (http.uri; content:"/"; dsize:>4; sid:5;)
alert http any any -> any any (http.uri; dataset:set,seen,type string,save a.list; sid:6;)
"#;
        std::fs::write(&text, rules).unwrap();
        let (done, told) = run(&format!("rules check -o json {}", text.display()));
        done.unwrap();
        let report: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((&report["total"], &report["loaded"]), (&json!(5), &json!(1)), "{told}");
        assert_eq!(report["files"][0]["unmatchable"], json!(4), "{told}");
        let rows = report["unmatchable"].as_array().unwrap();
        let rows: Vec<_> = rows.iter().map(|row| row["rule"].as_str().unwrap()).collect();
        assert_eq!(rows, ["1:2:0", "1:3:0", "1:5:0", "1:6:0"]);
        let (_, told) = run(&format!("rules check {}", text.display()));
        assert!(told.contains("loaded        1\nunmatchable   4 "), "{told}");
        assert!(told.contains("1:2:0: unmatchable: the event `http.double_encoded_uri`"), "{told}");
    }

    const TEXT: &str = "\
alert http any any -> $HOME_NET $MY_PORTS (msg:\"one\"; http.uri; content:\"/evil\"; \
classtype:trojan-activity; metadata:created_at 2020_01_01; reference:cve,2020-1; sid:1; rev:3;)
alert tcp any any -> any any (msg:\"two\"; geoip:src,XX; sid:2;)
# alert tcp any any -> any any (sid:3;)
";

    fn run(line: &str) -> (Result<()>, String) {
        let words = std::iter::once("portcullis").chain(line.split_whitespace());
        let cli = Cli::try_parse_from(words).unwrap();
        let crate::cli::Verb::Rules(verb) = &cli.verb else { panic!("not rules") };
        let mut out = Vec::new();
        let done = carry_out(&cli, verb, &mut out);
        (done, String::from_utf8(out).unwrap())
    }

    #[test]
    fn rules_are_checked_compiled_and_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("a.rules");
        std::fs::write(&text, TEXT).unwrap();
        let vars = "--var HOME_NET=10.0.0.0/8,192.0.2.0/24 --var MY_PORTS=80,8080";
        let (done, told) = run(&format!("rules check {} {vars}", text.display()));
        done.unwrap();
        assert!(told.contains("a.rules:2:"), "{told}");
        assert!(told.contains("sid 2: geoip: unsupported: "), "{told}");
        assert!(told.contains("total         2\nloaded        1\nrefused       1 "), "{told}");
        let (done, _) = run(&format!("rules check --strict {} {vars}", text.display()));
        assert!(done.unwrap_err().to_string().contains("1 of 2 rules are refused"));
        let (_, told) = run(&format!("rules check -o json {} {vars}", text.display()));
        let report: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((&report["loaded"], &report["refused"][0]["sid"]), (&json!(1), &json!(2)));
        let set = folder.path().join("a.prs");
        let compile = format!("rules compile {} {vars} -O {}", text.display(), set.display());
        run(&compile).0.unwrap();
        let first = std::fs::read(&set).unwrap();
        let (done, told) = run(&compile);
        done.unwrap();
        assert!(told.contains("1 of 2 loaded, 1 refused"), "{told}");
        assert_eq!(first, std::fs::read(&set).unwrap(), "the same rules give the same bytes");
        let (done, told) = run(&format!("rules info {} 1 -o json", set.display()));
        done.unwrap();
        let rule: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((&rule["message"], &rule["rev"]), (&json!("one"), &json!(3)));
        assert!(run(&format!("rules info {}", set.display())).1.contains("rules         1 "));
        let missing = run(&format!("rules info {} 2", set.display())).0.unwrap_err();
        assert!(missing.to_string().contains("no rule 1:2"), "{missing}");
        std::fs::write(&set, &first[..first.len() - 1]).unwrap();
        assert!(run(&format!("rules info {}", set.display())).0.is_err());
    }

    #[test]
    fn what_cannot_be_read_is_a_failure() {
        let (done, told) = run("rules check /nowhere/a.rules");
        assert!(done.unwrap_err().to_string().contains("/nowhere/a.rules cannot be read"));
        assert!(told.contains("total         0"), "{told}");
        assert!(told.contains("refused       0 "), "{told}");
    }

    #[test]
    fn files_are_told_without_the_folder_they_share() {
        let report = |names: &[&str]| CheckReport {
            files: names
                .iter()
                .map(|name| portcullis_rules_db::FileCount {
                    file: (*name).to_owned(),
                    ..Default::default()
                })
                .collect(),
            ..CheckReport::default()
        };
        assert_eq!(common_folder(&report(&["/a/b.rules", "/a/bc.rules"])), 3);
        assert_eq!(common_folder(&report(&["/a/b.rules", "x.rules"])), 0);
        assert_eq!(common_folder(&report(&["/a/ü.rules", "/a/ö.rules"])), 3);
        assert_eq!(common_folder(&report(&[])), 0);
    }

    #[test]
    fn variables_find_their_table() {
        let mut rules = config::Rules::default();
        let vars = ["HTTP_PORTS=80,81", "$HOME_NET=!10.0.0.0/8", "FILE_DATA_PORTS=any", "X=[a]"];
        set_variables(&mut rules, &vars.map(String::from));
        assert_eq!(rules.ports["HTTP_PORTS"], "[80,81]");
        assert_eq!(rules.ports["FILE_DATA_PORTS"], "any");
        assert_eq!(rules.addresses["HOME_NET"], "!10.0.0.0/8");
        assert_eq!(rules.addresses["X"], "[a]");
    }
}
