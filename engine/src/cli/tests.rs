//! The command line as people type it.

#![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

use super::remote::{clear_filter, extend_block, row_text};
use super::*;
use portcullis_control::api::model::EndChange;

fn parse(line: &str) -> Result<Cli, String> {
    let words = std::iter::once("portcullis").chain(line.split_whitespace());
    Cli::try_parse_from(words).map_err(|e| e.to_string())
}

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_verb_of_the_product_is_understood() {
    for line in [
        "run -c x.toml",
        "replay a.pcap",
        "replay -c x.toml --rules r.rules --rules s.db --plugins d --eve e --blocks b --workers 4 \
         --each -o json a.pcap b.pcap",
        "replay a.pcap --rules r.rules --var HOME_NET=10.0.0.0/8 --var HTTP_PORTS=80,81",
        "replay a.pcap --rules-compiled s.prs",
        "rules check a.rules b.rules --var HOME_NET=any -o json --strict",
        "rules check a.rules --keywords",
        "rules compile a.rules -O out.prs --unmatchable",
        "rules policy",
        "rules info out.prs",
        "rules info out.prs 2010935",
        "rules info out.prs 1:2010935",
        "rules profile --rules a.rules --var HOME_NET=any a.pcap b.pcap",
        "rules profile --rules-compiled s.prs a.pcap --sort checks --top 0 -o json",
        "check",
        "check -c x.toml -o json",
        "explain --source 192.0.2.1",
        "explain -c x --source ::1 --vlan 10.20 --rule 1:2:3",
        "blocks list",
        "blocks list --segment s --vlan untagged --class attack -o table",
        "blocks show 192.0.2.1",
        "blocks add 192.0.2.1 --vlan 10 --for 10m",
        "blocks remove 192.0.2.1 192.0.2.2 --grace 5m",
        "blocks remove 192.0.2.1 --exclude do-not-block",
        "blocks extend 192.0.2.1 --by 5m",
        "blocks clear --all",
        "exclusions list",
        "exclusions add 192.0.2.1 vlan 10 do-not-block",
        "exclusions remove 192.0.2.1 vlan 10 do-not-block",
        "exclusions test --source 192.0.2.1 --vlan 10",
        "mode lab monitor",
        "plugin list -o json",
        "plugin info port-scan",
        "plugin swap new.wasm",
        "rules swap",
        "rules swap new.prs",
        "doctor",
        "doctor eth0 eth1",
        "status -o json",
        "metrics",
        "reload",
        "shutdown",
        "completion bash",
    ] {
        parse(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    }
}

#[test]
fn wrong_words_are_refused_with_a_remedy() {
    for (line, part) in [
        ("mode lab off", "prevent, monitor"),
        ("blocks list --vlan 5000", "write untagged, a VLAN"),
        ("blocks list --vlan 1.2.3.4", "up to three"),
        ("blocks add 192.0.2.1/24", "write 192.0.2.0/24"),
        ("blocks add 192.0.2.1 --for 10", "with its unit"),
        ("blocks extend 192.0.2.1", "--by"),
        ("blocks extend 192.0.2.1 --by 1m --to 2m", "cannot be used with"),
        ("explain --source x", "invalid"),
        ("replay", "PCAP"),
        ("replay a --rules r --rules-compiled s", "cannot be used with"),
        ("replay a --var HOME_NET", "write NAME=VALUE"),
        ("rules profile --rules a.rules", "PCAP"),
        ("rules profile a.pcap --sort price", "time, mean, max, fuel, checks, hits"),
        ("rules check", "FILE"),
        ("rules compile a.rules", "--out"),
        ("rules info a.prs x", "write a sid"),
        ("blcks", "blocks"),
    ] {
        let e = parse(line).unwrap_err();
        assert!(e.contains(part), "{line}: {e}");
    }
}

#[test]
fn words_become_orders() {
    let Verb::Blocks(BlocksVerb::Extend(extend)) =
        parse("blocks extend 192.0.2.1 --less 90s --vlan 10.20").unwrap().verb
    else {
        panic!("not extend")
    };
    let order = extend_block(&extend).unwrap();
    assert_eq!(order.change, EndChange::EarlierSeconds(90));
    assert_eq!(order.block.vlan, Some(vec![10, 20]));
    let Verb::Blocks(BlocksVerb::Clear(clear)) = parse("blocks clear").unwrap().verb else {
        panic!("not clear")
    };
    assert!(clear_filter(&clear).unwrap_err().to_string().contains("--all"));
    let words: Vec<String> = ["192.0.2.1", "comment", "a b \"c\""].map(String::from).into();
    assert_eq!(row_text(&words), "192.0.2.1 comment \"a b \\\"c\\\"\"");
    assert_eq!(row_text(&["192.0.2.1 vlan 10 ignore".into()]), "192.0.2.1 vlan 10 ignore");
}

#[test]
fn a_table_is_safe_to_print() {
    let mut table = table::Table::new(&["A", "B"]);
    table.row(["x".into(), "\u{1b}[31mred\n".into()]);
    table.row(["longer".into(), String::new()]);
    assert_eq!(table.to_string(), "A       B\nx       ·[31mred·\nlonger  -\n");
}

#[test]
fn no_engine_is_said() {
    let cli = parse("status --socket /nowhere/control.sock").unwrap();
    let e = remote::carry_out(&cli, &mut Vec::new()).unwrap().unwrap_err();
    assert!(e.to_string().contains("no engine answers at /nowhere/control.sock"), "{e}");
    assert!(remote::carry_out(&parse("check").unwrap(), &mut Vec::new()).is_none());
}

#[test]
fn a_completion_script_is_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let Verb::Completion(arguments) = parse(&format!("completion {shell}")).unwrap().verb
        else {
            panic!("not completion")
        };
        let mut out = Vec::new();
        Cli::print_completion(&arguments, &mut out);
        assert!(String::from_utf8(out).unwrap().contains("exclusions"));
    }
}
