//! `rules profile`: what each rule costs on captures, for whoever writes rules.
//!
//! The same engine as `replay`, with one difference: its detectors are asked to say which rule they
//! have just tried, and what that took is measured by the host. Any vendor's detector can say it,
//! and stands in the same table. This file must never know which detector is which.

use crate::cli::{Cli, CostOrder, Output, RulesProfile, SetSid, Table, printable};
use crate::replay::{Setting, context, parts, process_cpu, setting};
use anyhow::Result;
use portcullis_capture::backend::pcap::PcapSource;
use portcullis_control::eve::ReplayAudience;
use portcullis_control::plugins::LoadedPlugin;
use portcullis_detect::abi::buffer_kind;
use portcullis_detect::{Case, Patterns, Profile, RuleCost};
use portcullis_pipeline::Replay;
use portcullis_types::PluginId;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of a literal that the table shows.
const LITERAL_SHOWN: usize = 24;

/// One rule of one detector.
struct Row<'a> {
    detector: &'a str,
    gid: u32,
    sid: u32,
    rev: u32,
    message: String,
    cost: RuleCost,
    /// By which literals it was tried, the most frequent first.
    literals: Vec<Literal>,
}

/// A literal that had a rule tried.
struct Literal {
    bytes: Arc<[u8]>,
    buffers: String,
    folded: bool,
    checks: u64,
}

/// What one detector's rules come to.
struct Sum<'a> {
    detector: &'a str,
    version: &'a str,
    tried: usize,
    profile: Profile,
    /// The detector's own figures.
    metrics: &'a BTreeMap<String, i64>,
}

/// What a run showed beside the rules.
struct Run {
    frames: u64,
    alerts: u64,
    seconds: f64,
    metrics: BTreeMap<PluginId, BTreeMap<String, i64>>,
}

/// `rules profile PCAP...`
pub(crate) fn profile(cli: &Cli, asked: &RulesProfile, out: &mut impl Write) -> Result<()> {
    let setting = setting(cli, &asked.of, 1)?;
    let (mut run, mut profiles) = measured(&setting, &asked.of.captures)?;
    for _ in 1..asked.rounds {
        let (again, costs) = measured(&setting, &asked.of.captures)?;
        run.seconds = run.seconds.min(again.seconds);
        for (id, cost) in &mut profiles {
            costs.get(id).into_iter().for_each(|again| cost.keep_less(again));
        }
    }
    let mut rows = Vec::new();
    let mut sums = Vec::new();
    for loaded in setting.plugins.plugins() {
        let (Some(profile), Some(metrics)) =
            (profiles.get(&loaded.id), run.metrics.get(&loaded.id))
        else {
            continue;
        };
        let (manifest, before) = (loaded.plugin.manifest(), rows.len());
        rows.extend(profile.rules().map(|(id, cost)| row(loaded, id, cost)));
        sums.push(Sum {
            detector: &manifest.name,
            version: &manifest.version,
            tried: rows.len() - before,
            profile: profile.clone(),
            metrics,
        });
    }
    in_order(&mut rows, asked.sort);
    let all: u64 = rows.iter().map(|row| row.cost.time.total).sum();
    let shown = if asked.top == 0 { rows.len() } else { asked.top.min(rows.len()) };
    match cli.output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &told(&run, &rows[..shown], all, &sums))?;
            writeln!(out)?;
        }
        Output::Table => out.write_all(text(&run, &rows, shown, all, &sums).as_bytes())?,
    }
    Ok(())
}

/// Nanoseconds since the machine started.
fn monotonic() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (s, ns) = (u64::try_from(t.tv_sec).unwrap_or(0), u64::try_from(t.tv_nsec).unwrap_or(0));
    s * 1_000_000_000 + ns
}

/// Replays the captures as one timeline, and sums up over the lanes.
fn measured(setting: &Setting, captures: &[PathBuf]) -> Result<(Run, BTreeMap<PluginId, Profile>)> {
    setting.plugins.forget_counters();
    let mut source = PcapSource::open(captures)?;
    let mut replay = Replay::new(parts(setting, captures, Some(monotonic))?);
    let mut audience = ReplayAudience::new(Arc::new(context(setting)));
    let cpu = process_cpu();
    replay.run(&mut source, &mut audience);
    let seconds = process_cpu().saturating_sub(cpu).as_secs_f64();
    let mut profiles = BTreeMap::new();
    for (id, profile) in replay.profiles() {
        profiles.entry(id).or_insert_with(|| Profile::new(monotonic)).merge(profile);
    }
    let mut metrics: BTreeMap<PluginId, BTreeMap<String, i64>> =
        profiles.keys().map(|id| (*id, BTreeMap::new())).collect();
    replay.metrics(|id, name, value| {
        *metrics.entry(id).or_default().entry(name.to_owned()).or_default() += value;
    });
    let frames = replay.lanes().map(|lane| lane.frames_in.read()).sum();
    let alerts = audience.counts().alerts;
    Ok((Run { frames, alerts, seconds, metrics }, profiles))
}

fn row<'a>(loaded: &'a LoadedPlugin, (gid, sid): (u32, u32), cost: &RuleCost) -> Row<'a> {
    let rule = loaded.plugin.rule(gid, sid);
    let patterns = loaded.plugin.patterns();
    let mut literals: Vec<Literal> = Vec::new();
    for found in cost.patterns.iter().filter_map(|&(n, checks)| literal(&patterns, n, checks)) {
        let same = |l: &&mut Literal| {
            (&l.bytes, l.folded, &l.buffers) == (&found.bytes, found.folded, &found.buffers)
        };
        match literals.iter_mut().find(same) {
            Some(known) => known.checks += found.checks,
            None => literals.push(found),
        }
    }
    literals.sort_by_key(|literal| Reverse(literal.checks));
    Row {
        detector: &loaded.plugin.manifest().name,
        gid,
        sid,
        rev: rule.as_ref().map_or(0, |rule| rule.meta.id.rev),
        message: rule.map_or_else(String::new, |rule| rule.meta.message.clone()),
        cost: cost.clone(),
        literals,
    }
}

/// A pattern by its number, with all kinds of buffers that it is looked for in.
fn literal(patterns: &Patterns, number: u32, checks: u64) -> Option<Literal> {
    let mut same = patterns.literals.iter().filter(|pattern| pattern.number == number);
    let first = same.next()?;
    let kind = |group: u32| {
        let group = patterns.groups.get(usize::try_from(group).ok()?)?;
        buffer_kind::name(group.buffer)
    };
    let mut buffers: Vec<&str> = kind(first.group).into_iter().collect();
    buffers.extend(same.filter_map(|pattern| kind(pattern.group)));
    buffers.sort_unstable();
    buffers.dedup();
    Some(Literal {
        bytes: Arc::clone(&first.bytes),
        buffers: buffers.join(", "),
        folded: first.case == Case::Folded,
        checks,
    })
}

fn in_order(rows: &mut [Row<'_>], order: CostOrder) {
    rows.sort_by_key(|row| {
        let cost = &row.cost;
        let dear = match order {
            CostOrder::Time => cost.time.total,
            CostOrder::Mean => cost.time.total / cost.checks.max(1),
            CostOrder::Max => cost.time.max,
            CostOrder::Fuel => cost.fuel.total,
            CostOrder::Checks => cost.checks,
            CostOrder::Hits => cost.hits,
        };
        (Reverse(dear), row.gid, row.sid)
    });
}

/// Bytes as rules write them: text, and between bars what is none or has a meaning.
fn content(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut in_bars = false;
    for &byte in bytes {
        let is_plain = (byte.is_ascii_graphic() || byte == b' ') && !b"\"|;:\\".contains(&byte);
        match (is_plain, in_bars) {
            (true, true) | (false, false) => text.push('|'),
            (false, true) => text.push(' '),
            (true, false) => {}
        }
        in_bars = !is_plain;
        match is_plain {
            true => text.push(char::from(byte)),
            false => drop(write!(text, "{byte:02x}")),
        }
    }
    if in_bars {
        text.push('|');
    }
    text
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Nanoseconds in seconds.
fn seconds(nanoseconds: u64) -> f64 {
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64()
}

fn text(run: &Run, rows: &[Row<'_>], shown: usize, all: u64, sums: &[Sum<'_>]) -> String {
    let mut table = Table::new(&[
        "RULE", "CHECKS", "HITS", "TIME ms", "SHARE", "MEAN us", "MAX us", "FUEL", "LITERAL",
        "MESSAGE",
    ]);
    for row in &rows[..shown] {
        let cost = &row.cost;
        table.row([
            SetSid { gid: row.gid, sid: row.sid }.to_string(),
            cost.checks.to_string(),
            cost.hits.to_string(),
            format!("{:.3}", seconds(cost.time.total) * 1e3),
            format!("{:.1}%", ratio(cost.time.total, all) * 100.0),
            format!("{:.2}", ratio(cost.time.total, cost.checks) / 1e3),
            format!("{:.1}", seconds(cost.time.max) * 1e6),
            format!("{:.0}", ratio(cost.fuel.total, cost.checks)),
            literals_shown(row),
            row.message.clone(),
        ]);
    }
    let mut text = format!("{table}\n");
    let left = rows.get(shown..).unwrap_or_default();
    if !left.is_empty() {
        let (checks, time) = left.iter().fold((0, 0), |(checks, time), row| {
            (checks + row.cost.checks, time + row.cost.time.total)
        });
        let _ = writeln!(
            text,
            "not listed    {} rules, {checks} checks, {:.3} ms; --top 0 lists all",
            left.len(),
            seconds(time) * 1e3,
        );
    }
    for sum in sums {
        let (checks, time) = sum.profile.rules().fold((0, 0), |(checks, time), (_, cost)| {
            (checks + cost.checks, time + cost.time.total)
        });
        let _ = writeln!(
            text,
            "{:<12}  {checks} checks of {} rules, {:.3} ms; {:.3} ms on no single rule",
            printable(sum.detector),
            sum.tried,
            seconds(time) * 1e3,
            seconds(sum.profile.rest_time.total) * 1e3,
        );
    }
    let _ = writeln!(
        text,
        "engine        {:.3} s processor a round, measuring included; {} frames, {} alerts",
        run.seconds, run.frames, run.alerts,
    );
    text
}

fn literals_shown(row: &Row<'_>) -> String {
    let Some(first) = row.literals.first() else { return String::new() };
    let mut shown = content(first.bytes.get(..LITERAL_SHOWN).unwrap_or(&first.bytes));
    if first.bytes.len() > LITERAL_SHOWN {
        shown.push_str("...");
    }
    let more = match row.literals.len() {
        1 => String::new(),
        n => format!(" +{}", n - 1),
    };
    format!("\"{shown}\" {}{more}", first.buffers)
}

fn told(run: &Run, rows: &[Row<'_>], all: u64, sums: &[Sum<'_>]) -> Value {
    let literal = |literal: &Literal| {
        json!({
            "content": content(&literal.bytes),
            "nocase": literal.folded,
            "buffers": literal.buffers,
            "checks": literal.checks,
        })
    };
    let rule = |row: &Row<'_>| {
        let cost = &row.cost;
        json!({
            "detector": row.detector,
            "gid": row.gid,
            "sid": row.sid,
            "rev": row.rev,
            "message": row.message,
            "checks": cost.checks,
            "hits": cost.hits,
            "seconds": seconds(cost.time.total),
            "seconds_mean": ratio(cost.time.total, cost.checks) / 1e9,
            "seconds_max": seconds(cost.time.max),
            "share": ratio(cost.time.total, all),
            "fuel": cost.fuel.total,
            "fuel_mean": ratio(cost.fuel.total, cost.checks),
            "fuel_max": cost.fuel.max,
            "literals": row.literals.iter().map(literal).collect::<Vec<_>>(),
        })
    };
    let detector = |sum: &Sum<'_>| {
        let costs = || sum.profile.rules().map(|(_, cost)| cost);
        json!({
            "detector": sum.detector,
            "version": sum.version,
            "rules_tried": sum.tried,
            "checks": costs().map(|cost| cost.checks).sum::<u64>(),
            "hits": costs().map(|cost| cost.hits).sum::<u64>(),
            "seconds": seconds(costs().map(|cost| cost.time.total).sum()),
            "fuel": costs().map(|cost| cost.fuel.total).sum::<u64>(),
            "rest_seconds": seconds(sum.profile.rest_time.total),
            "rest_fuel": sum.profile.rest_fuel.total,
            "checks_untold": sum.profile.untold,
            "metrics": sum.metrics,
        })
    };
    json!({
        "frames": run.frames,
        "alerts": run.alerts,
        "cpu_seconds": run.seconds,
        "rules": rows.iter().map(rule).collect::<Vec<_>>(),
        "detectors": sums.iter().map(detector).collect::<Vec<_>>(),
    })
}
