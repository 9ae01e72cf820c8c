//! Carries out the verbs that speak to a running engine: one question, one answer, printed.

use super::arguments::ExplainArgs;
use super::orders::{
    BlockWords, BlocksAdd, BlocksClear, BlocksExtend, BlocksVerb, EndWords, ExclusionsVerb,
    InPlace, PluginVerb,
};
use super::table::Table;
use super::{Cli, Output, RulesSwap, Verb};
use anyhow::{Context, Result, bail};
use portcullis_control::api::Client;
use portcullis_control::api::model::{
    AddBlock, AddExclusion, BlockFilter, BlockInfo, BlockList, BlockSelector, Changed, EndChange,
    ExclusionList, ExplainReply, ExplainRequest, ExtendBlock, PluginDetail, PluginInfo,
    ReadingStatus, ReloadReply, RemoveBlocks, RemoveExclusion, RuleSetInfo, SetMode, StatusReply,
    SwapPlugin, SwapRules,
};
use portcullis_control::config::{Config, write_duration, write_size};
use portcullis_types::Prefix;
use serde::Serialize;
use std::io::Write;
use std::time::Duration;

/// Carries out a verb and prints its answer; `None` where the verb is not one of these.
pub(crate) fn carry_out(cli: &Cli, out: &mut impl Write) -> Option<Result<()>> {
    let done = match &cli.verb {
        Verb::Blocks(verb) => blocks(cli, verb, out),
        Verb::Exclusions(verb) => exclusions(cli, verb, out),
        Verb::Explain(question) if question.running => explain(cli, question, out),
        Verb::Mode(mode) => {
            let order = SetMode { segment: mode.segment.clone(), mode: mode.mode.clone() };
            client(cli).and_then(|c| say(cli, out, &c.set_mode(&order)?, |d| sentence(&d.done)))
        }
        Verb::Plugin(verb) => plugin(cli, verb, out),
        Verb::Status => client(cli).and_then(|c| say(cli, out, &c.status()?, status_text)),
        Verb::Metrics => client(cli).and_then(|c| Ok(out.write_all(c.metrics()?.as_bytes())?)),
        Verb::Reload => client(cli).and_then(|c| say(cli, out, &c.reload()?, reload_text)),
        Verb::Shutdown => {
            client(cli).and_then(|c| say(cli, out, &c.shutdown()?, |d| sentence(&d.done)))
        }
        Verb::Run(_)
        | Verb::Replay(_)
        | Verb::Check(_)
        | Verb::Rules(_)
        | Verb::Explain(_)
        | Verb::Doctor(_)
        | Verb::Completion(_) => return None,
    };
    Some(done)
}

/// The engine at `--socket`, or at the configuration's. Without a configuration, the shipped one.
fn client(cli: &Cli) -> Result<Client> {
    if let Some(socket) = &cli.socket {
        return Ok(Client::new(socket));
    }
    let path = cli.config_path();
    if cli.config.is_none() && !path.exists() {
        return Ok(Client::new(&Config::default().socket_path()));
    }
    let loaded = Config::load(path)
        .with_context(|| format!("{} does not say where the engine is", path.display()))?;
    Ok(Client::new(&loaded.config.socket_path()))
}

fn say<T: Serialize>(
    cli: &Cli,
    out: &mut impl Write,
    answer: &T,
    text: impl FnOnce(&T) -> String,
) -> Result<()> {
    match cli.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, answer)?;
            writeln!(out)?;
        }
        Output::Table => out.write_all(text(answer).as_bytes())?,
    }
    Ok(())
}

fn sentence(text: &str) -> String {
    format!("{text}\n")
}

fn blocks(cli: &Cli, verb: &BlocksVerb, out: &mut impl Write) -> Result<()> {
    match verb {
        BlocksVerb::List(list) => {
            let words = filter(&list.which);
            let filter = BlockFilter { limit: list.limit, offset: list.offset, ..words };
            say(cli, out, &client(cli)?.list_blocks(&filter)?, list_text)
        }
        BlocksVerb::Show(show) => {
            let which = selector(show.source, &show.place);
            say(cli, out, &client(cli)?.show_block(&which)?, |list| {
                list.blocks.iter().map(block_text).collect::<Vec<_>>().join("\n")
            })
        }
        BlocksVerb::Add(add) => {
            say(cli, out, &client(cli)?.add_block(&add_block(add))?, block_text)
        }
        BlocksVerb::Remove(remove) => {
            let order = RemoveBlocks {
                blocks: remove.sources.iter().map(|s| selector(*s, &remove.place)).collect(),
                grace_seconds: remove.grace.map(|g| g.seconds()),
                exclude: remove.exclude.clone(),
            };
            let changed = client(cli)?.remove_blocks(&order)?;
            say(cli, out, &changed, |c| changed_text(c, "lifted"))
        }
        BlocksVerb::Extend(extend) => {
            let changed = client(cli)?.extend_block(&extend_block(extend)?)?;
            say(cli, out, &changed, |c| changed_text(c, "changed"))
        }
        BlocksVerb::Clear(clear) => {
            let changed = client(cli)?.clear_blocks(&clear_filter(clear)?)?;
            say(cli, out, &changed, |c| changed_text(c, "lifted"))
        }
    }
}

fn add_block(add: &BlocksAdd) -> AddBlock {
    let seconds = if add.until_lifted { Some(0) } else { add.duration.map(|d| d.seconds()) };
    AddBlock {
        source: add.source.to_string(),
        segment: add.segment.clone(),
        vlan: add.vlan.vids(),
        tunnel: 0,
        seconds,
        message: add.message.clone(),
    }
}

pub(super) fn extend_block(extend: &BlocksExtend) -> Result<ExtendBlock> {
    let change = match &extend.change {
        EndWords { by: Some(d), .. } => EndChange::LaterSeconds(d.seconds()),
        EndWords { less: Some(d), .. } => EndChange::EarlierSeconds(d.seconds()),
        EndWords { to: Some(d), .. } => EndChange::FromNowSeconds(d.seconds()),
        _ => bail!("write --by, --less or --to with a duration"),
    };
    Ok(ExtendBlock { block: selector(extend.source, &extend.place), change })
}

pub(super) fn clear_filter(clear: &BlocksClear) -> Result<BlockFilter> {
    let filter = filter(&clear.which);
    if filter == BlockFilter::default() && !clear.all {
        bail!("this would lift every block: write --all if you mean it, or say which");
    }
    Ok(filter)
}

fn filter(words: &BlockWords) -> BlockFilter {
    BlockFilter {
        segment: words.segment.clone(),
        vlan: words.vlan.map(|v| v.to_string()),
        source: words.source.map(|s| s.to_string()),
        class: words.class.clone(),
        rule: words.rule.clone(),
        detector: words.detector.clone(),
        offset: None,
        limit: None,
    }
}

fn selector(source: Prefix, place: &InPlace) -> BlockSelector {
    BlockSelector {
        source: source.to_string(),
        segment: place.segment.clone(),
        vlan: place.vlan.map(super::VlanArg::vids),
        tunnel: None,
    }
}

fn exclusions(cli: &Cli, verb: &ExclusionsVerb, out: &mut impl Write) -> Result<()> {
    match verb {
        ExclusionsVerb::List => say(cli, out, &client(cli)?.list_exclusions()?, exclusions_text),
        ExclusionsVerb::Add { row } => {
            let added = client(cli)?.add_exclusion(&AddExclusion { row: row_text(row) })?;
            say(cli, out, &added, |a| {
                let freed = plural(a.freed, "block", "freed");
                format!("added as row {}: {}\n{freed}", a.exclusion.position, a.exclusion.row)
            })
        }
        ExclusionsVerb::Remove { row } => {
            let done = client(cli)?.remove_exclusion(&RemoveExclusion { row: row_text(row) })?;
            say(cli, out, &done, |d| sentence(&d.done))
        }
        ExclusionsVerb::Test(question) => explain(cli, question, out),
    }
}

/// The words of a row as the shell split them; one that had quotes gets them back.
pub(super) fn row_text(words: &[String]) -> String {
    if let [whole] = words {
        return whole.clone();
    }
    let quoted = |word: &String| {
        if word.contains(char::is_whitespace) {
            format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
        } else {
            word.clone()
        }
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn explain(cli: &Cli, question: &ExplainArgs, out: &mut impl Write) -> Result<()> {
    let request = ExplainRequest {
        source: question.source.to_string(),
        vlan: question.vlan.vids(),
        segment: question.segment.clone(),
        destination: question.destination.map(|d| d.to_string()),
        protocol: question.protocol.clone(),
        port: question.port,
        rule: question.rule.map(|r| r.to_string()),
    };
    say(cli, out, &client(cli)?.explain(&request)?, explain_text)
}

fn plugin(cli: &Cli, verb: &PluginVerb, out: &mut impl Write) -> Result<()> {
    match verb {
        PluginVerb::List => {
            let list = client(cli)?.list_plugins()?;
            say(cli, out, &list, |list| plugins_text(&list.plugins))
        }
        PluginVerb::Info { name } => say(cli, out, &client(cli)?.show_plugin(name)?, plugin_text),
        PluginVerb::Swap { file } => {
            let file = std::path::absolute(file)?;
            let order = SwapPlugin { file: file.display().to_string() };
            say(cli, out, &client(cli)?.swap_plugin(&order)?, |swapped| {
                let now = format!("{} {}", swapped.plugin.name, swapped.plugin.version);
                match &swapped.replaced {
                    Some(old) => format!("{now} runs in the place of version {old}\n"),
                    None => format!("{now} is loaded\n"),
                }
            })
        }
    }
}

/// `rules swap`
pub(crate) fn swap_rules(cli: &Cli, asked: &RulesSwap, out: &mut impl Write) -> Result<()> {
    let file = asked.file.as_deref().map(std::path::absolute).transpose()?;
    let order = SwapRules { file: file.map(|f| f.display().to_string()) };
    say(cli, out, &client(cli)?.swap_rules(&order)?, |swapped| {
        let now = &swapped.set;
        if !swapped.changed {
            return format!("nothing changed: set {} runs, {} rules\n", now.hash, now.rules);
        }
        let before = swapped.replaced.as_ref().map_or("none", |b| b.hash.as_str());
        let plugins = swapped.plugins.join(", ");
        format!(
            "{plugins}: set {} runs, {} rules, in the place of set {before}; {} were refused\n",
            now.hash, now.rules, now.refused
        )
    })
}

fn plural(count: u64, noun: &str, verb: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s} {verb}\n")
}

fn seconds(count: u64) -> String {
    write_duration(Duration::from_secs(count))
}

fn vlan(vids: &[u16]) -> String {
    if vids.is_empty() {
        return "untagged".into();
    }
    vids.iter().map(u16::to_string).collect::<Vec<_>>().join(".")
}

fn source(block: &BlockInfo) -> String {
    let whole = if block.source.contains(':') { 128 } else { 32 };
    if block.prefix_len == whole {
        block.source.clone()
    } else {
        format!("{}/{}", block.source, block.prefix_len)
    }
}

fn remaining(block: &BlockInfo) -> String {
    block.remaining_seconds.map_or_else(|| "until lifted".into(), seconds)
}

fn list_text(list: &BlockList) -> String {
    if list.total == 0 {
        return "nothing is blocked\n".into();
    }
    let mut table = Table::new(&[
        "SOURCE",
        "VLAN",
        "SEGMENT",
        "CLASS",
        "RULE",
        "REASON",
        "REMAINING",
        "PACKETS",
        "TARGET",
    ]);
    for block in &list.blocks {
        table.row([
            source(block),
            vlan(&block.vlan),
            block.segment.clone(),
            block.class.clone().unwrap_or_else(|| block.made_by.clone()),
            block.rule.clone().unwrap_or_default(),
            block.message.clone(),
            remaining(block),
            block.packets.to_string(),
            block.target_machine.clone().or_else(|| block.target.clone()).unwrap_or_default(),
        ]);
    }
    let shown = list.blocks.len() as u64;
    if shown < list.total {
        return format!("{table}{shown} of {}\n", list.total);
    }
    format!("{table}{}", plural(list.total, "block", "in force"))
}

fn block_text(block: &BlockInfo) -> String {
    let mut table = Table::new(&["BLOCK", ""]);
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_default();
    for (name, value) in [
        ("source", source(block)),
        ("vlan", vlan(&block.vlan)),
        ("segment", block.segment.clone()),
        ("made by", block.made_by.clone()),
        ("detector", or_dash(&block.detector)),
        ("class", or_dash(&block.class)),
        ("rule", or_dash(&block.rule)),
        ("message", block.message.clone()),
        ("target", or_dash(&block.target)),
        ("machine", or_dash(&block.target_machine)),
        ("since", block.since.clone()),
        ("until", block.until.clone().unwrap_or_else(|| "it is lifted".into())),
        ("remaining", remaining(block)),
        ("packets", block.packets.to_string()),
        ("bytes", block.bytes.to_string()),
    ] {
        table.row([name.to_owned(), value]);
    }
    table.to_string()
}

fn changed_text(changed: &Changed, verb: &str) -> String {
    let lines: String = changed
        .blocks
        .iter()
        .map(|b| format!("{} vlan {} segment {}\n", source(b), vlan(&b.vlan), b.segment))
        .collect();
    format!("{lines}{}", plural(changed.count, "block", verb))
}

fn exclusions_text(list: &ExclusionList) -> String {
    let mut table = Table::new(&["#", "FROM", "STATE", "ROW"]);
    for row in &list.exclusions {
        let state = match (&row.unreachable, row.expired) {
            (Some(why), _) => format!("never decides: {why}"),
            (None, true) => "expired".into(),
            (None, false) => "in force".into(),
        };
        table.row([row.position.to_string(), row.origin.clone(), state, row.row.clone()]);
    }
    if list.exclusions.is_empty() { "there are no exclusions\n".into() } else { table.to_string() }
}

fn explain_text(reply: &ExplainReply) -> String {
    let mut text = String::new();
    for outcome in &reply.outcome {
        let how_long =
            outcome.block_seconds.map_or_else(String::new, |s| format!(" for {}", seconds(s)));
        text.push_str(&format!("{}: {}{how_long}\n", outcome.class, outcome.action));
    }
    for (step, number) in reply.steps.iter().zip(1..) {
        text.push_str(&format!("  {number}. {step}\n"));
    }
    text
}

fn plugins_text(plugins: &[PluginInfo]) -> String {
    let mut table = Table::new(&[
        "NAME", "VERSION", "VENDOR", "CLASSES", "SCOPE", "STATE", "RULES", "EVENTS", "FINDINGS",
        "FAULTS",
    ]);
    for p in plugins {
        table.row([
            p.name.clone(),
            p.version.clone(),
            p.vendor.clone(),
            p.classes.join(","),
            p.scope.clone(),
            p.state.clone(),
            p.rules.to_string(),
            p.events.to_string(),
            p.findings.to_string(),
            p.faults.to_string(),
        ]);
    }
    if plugins.is_empty() { "no plugins are loaded\n".into() } else { table.to_string() }
}

fn plugin_text(detail: &PluginDetail) -> String {
    let mut table =
        Table::new(&["RULE", "CLASS", "CATEGORY", "SEVERITY", "CONFIDENCE", "ACTION", "MESSAGE"]);
    for r in &detail.rules {
        table.row([
            r.rule.clone(),
            r.class.clone(),
            r.category.clone(),
            r.severity.clone(),
            r.confidence.clone(),
            r.action.clone(),
            r.message.clone(),
        ]);
    }
    let p = &detail.plugin;
    format!(
        "{}{}{}, at most {} of memory and the action {}; may use: {}\n\n{table}",
        rules_text(p.rule_set.as_ref()),
        plugins_text(std::slice::from_ref(p)),
        p.file,
        write_size(p.memory_bytes),
        p.max_action,
        if detail.capabilities.is_empty() {
            "nothing".into()
        } else {
            detail.capabilities.join(", ")
        },
    )
}

fn reload_text(reply: &ReloadReply) -> String {
    let mut text: String = reply.changed.iter().map(|c| format!("changed: {c}\n")).collect();
    for key in &reply.needs_restart {
        text.push_str(&format!("takes a restart: {key}\n"));
    }
    for warning in &reply.warnings {
        text.push_str(&format!("{warning}\n"));
    }
    if text.is_empty() { "nothing changed\n".into() } else { text }
}

fn reading_text(reading: Option<&ReadingStatus>) -> String {
    let Some(r) = reading else { return String::new() };
    let rows = [
        (r.gap_bytes, "bytes missing in streams"),
        (r.decoder_gap_bytes, "of them in streams that were decoded"),
        (r.undecoded, "flows not decoded for want of memory"),
        (r.headers_cut, "headers cut"),
        (r.bodies_cut, "bodies cut"),
        (r.inflate_bombs, "bodies that inflate too far"),
        (r.scan_overruns, "scans out of budget"),
    ];
    let lost: Vec<String> =
        rows.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let lost = if lost.is_empty() { "nothing was missed".to_owned() } else { lost.join(", ") };
    format!("{} streams are read; {lost}\n", r.streams)
}

fn rules_text(rules: Option<&RuleSetInfo>) -> String {
    rules.map_or_else(String::new, |set| {
        format!("{} rules of set {}, from {}\n", set.rules, set.hash, set.source)
    })
}

/// A size for people: no promise is told to the byte.
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn status_text(status: &StatusReply) -> String {
    let mut table = Table::new(&[
        "SEGMENT",
        "MODE",
        "PORTS",
        "CAPTURE",
        "IN",
        "FORWARDED",
        "DROPPED",
        "BLOCKED",
        "FLOWS",
        "ALERTS",
    ]);
    for s in &status.segments {
        table.row([
            s.name.clone(),
            s.mode.clone(),
            s.ports.join(" "),
            s.capture.clone(),
            s.frames_in.to_string(),
            s.forwarded.to_string(),
            s.dropped.to_string(),
            s.blocked.to_string(),
            s.flows.to_string(),
            s.alerts.to_string(),
        ]);
    }
    let warnings: String = status.warnings.iter().map(|w| format!("! {w}\n")).collect();
    format!(
        "portcullis {}, process {}, up {}, {}, at most {} of memory\n{warnings}\n{table}\n{}{}\n{}",
        status.version,
        status.pid,
        seconds(status.uptime_seconds),
        status.config,
        mebibytes(status.memory_max_bytes),
        plural(status.blocks, "block", "in force"),
        plural(status.exclusions, "exclusion", "in force"),
        rules_text(status.rules.as_ref())
            + &reading_text(status.reading.as_ref())
            + &plugins_text(&status.plugins),
    )
}
