//! Verbs that read the configuration and the machine and change nothing: check, explain, doctor.

use crate::cli::{CheckArgs, Cli, DoctorArgs, ExplainArgs, Output};
use anyhow::{Context, Result, anyhow, bail};
use portcullis_capture::doctor::{Examination, Health, examine_host, examine_port};
use portcullis_control::config::{Config, Loaded, SHIPPED};
use portcullis_control::named;
use portcullis_control::policy::{self, Built, Overrides};
use portcullis_types::{Class, Tick};
use portcullis_verdict::{Question, RuleRef, WallClock};
use std::io::Write;

/// The wall clock on a timeline that is the wall clock: for verbs without an engine.
pub(crate) fn wall_now() -> (WallClock, Tick) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ns = since.map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX));
    (WallClock { tick: Tick(ns), unix_ns: ns }, Tick(ns))
}

/// The configuration and the policy that it makes; every mistake is in the error.
pub(crate) fn load(cli: &Cli) -> Result<(Loaded, Built)> {
    let loaded = Config::load(cli.config_path()).map_err(|d| anyhow!("{d}"))?;
    let (wall, now) = wall_now();
    let built =
        policy::build(&loaded, &Overrides::default(), wall, now).map_err(|d| anyhow!("{d}"))?;
    Ok((loaded, built))
}

/// `check`: every mistake with its place and what to write instead.
pub(crate) fn check(cli: &Cli, arguments: &CheckArgs, out: &mut impl Write) -> Result<()> {
    if arguments.print_shipped {
        out.write_all(SHIPPED.as_bytes())?;
        return Ok(());
    }
    let (wall, now) = wall_now();
    let found = Config::load(cli.config_path()).map(|loaded| {
        let mut found = policy::build(&loaded, &Overrides::default(), wall, now)
            .map_or_else(|mistakes| mistakes, |built| built.warnings);
        found.extend(named::examine(&loaded));
        found
    });
    let found = found.unwrap_or_else(|mistakes| mistakes);
    match cli.output {
        Output::Json => serde_json::to_writer_pretty(&mut *out, &found)?,
        Output::Table => writeln!(out, "{found}")?,
    }
    if found.has_errors() {
        bail!("{} is not in order", cli.config_path().display());
    }
    if cli.output == Output::Table {
        writeln!(out, "{} is in order", cli.config_path().display())?;
    }
    Ok(())
}

/// `explain`: which row decides about a source, and why.
pub(crate) fn explain(cli: &Cli, asked: &ExplainArgs, out: &mut impl Write) -> Result<()> {
    let (_, built) = load(cli)?;
    let policy = &built.policy;
    let segment = match &asked.segment {
        Some(name) => policy.segment_named(name).map(|s| s.id).with_context(|| {
            let known: Vec<&str> = policy.segments.iter().map(|s| &*s.name).collect();
            format!("there is no segment `{name}`; write one of: {}", known.join(", "))
        })?,
        None => policy.segments.first().map(|s| s.id).unwrap_or_default(),
    };
    let protocol = asked.protocol.as_deref().map(str::parse::<portcullis_verdict::ProtocolNumber>);
    let (_, now) = wall_now();
    let question = Question {
        source: asked.source,
        vlan: asked.vlan.0,
        segment,
        destination: asked.destination,
        protocol: protocol.transpose().map_err(|e| anyhow!("--protocol: {e}"))?.map(|p| p.0),
        port: asked.port,
        rule: asked.rule.map(|r| RuleRef { gid: r.gid, sid: r.sid, rev: Some(r.rev) }),
        meta: None,
        class: None,
        now,
    };
    let explanation = portcullis_verdict::explain(policy, question);
    match cli.output {
        Output::Table => write!(out, "{explanation}")?,
        Output::Json => {
            let lines: Vec<String> = explanation.to_string().lines().map(str::to_owned).collect();
            let answers: Vec<_> = explanation
                .answers
                .iter()
                .map(|a| {
                    serde_json::json!({
                        "class": match a.class {
                            Class::Attack => "attack",
                            Class::Suspicious => "activity",
                        },
                        "action": format!("{:?}", a.action),
                        "by": a.by.to_string(),
                        "why": a.why,
                    })
                })
                .collect();
            let told = serde_json::json!({ "answers": answers, "explanation": lines });
            serde_json::to_writer_pretty(&mut *out, &told)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

/// `doctor`: what this machine and its ports can do, and what must be changed.
pub(crate) fn doctor(cli: &Cli, asked: &DoctorArgs, out: &mut impl Write) -> Result<()> {
    let ports = match asked.ports.is_empty() {
        false => asked.ports.clone(),
        true => load(cli).map_or_else(
            |_| Vec::new(),
            |(loaded, _)| {
                let segments = loaded.config.segments.iter();
                segments.flat_map(|s| s.ports.names()).map(str::to_owned).collect()
            },
        ),
    };
    let mut found = vec![examine_host()];
    for port in &ports {
        found.push(examine_port(port).with_context(|| format!("examining {port}"))?);
    }
    if cli.output == Output::Json {
        serde_json::to_writer_pretty(&mut *out, &found)?;
        writeln!(out)?;
    } else {
        for examination in &found {
            print_examination(examination, out)?;
        }
    }
    let bad = found.iter().flat_map(|e| &e.facts).filter(|f| f.verdict == Health::Bad).count();
    if bad > 0 {
        bail!("{bad} things must be changed; each says how");
    }
    Ok(())
}

fn print_examination(examination: &Examination, out: &mut impl Write) -> Result<()> {
    writeln!(out, "{}", examination.subject)?;
    for fact in &examination.facts {
        let mark = match fact.verdict {
            Health::Good => "ok    ",
            Health::Notice => "notice",
            Health::Bad => "BAD   ",
        };
        writeln!(out, "  {mark} {:<28} {}", fact.name, fact.value)?;
        if let Some(remedy) = &fact.remedy {
            writeln!(out, "         → {remedy}")?;
        }
    }
    Ok(())
}
