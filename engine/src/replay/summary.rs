//! What a replay says of itself when it is over: one row a capture, and the sums. Only words and
//! figures; what they count is counted elsewhere.

use crate::cli::{Output, printable};
use anyhow::{Result, bail};
use portcullis_capture::backend::pcap::{CaptureEnd, CaptureOutcome, PcapSource};
use portcullis_control::eve::ReplayCounts;
use portcullis_control::plugins::PluginSet;
use portcullis_control::rules::About;
use portcullis_detect::{FaultKind, Refusal, SeatCounters};
use portcullis_pipeline::{LaneCounters, ReadingFigures, Replay};
use portcullis_types::DropReason;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The sums that the summary prints.
#[derive(Default)]
pub(super) struct Sums {
    frames: u64,
    bytes: u64,
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
    captures: Vec<Value>,
}

impl Sums {
    /// One more timeline, carried to its end.
    pub(super) fn add(
        &mut self,
        source: &PcapSource,
        replay: &Replay,
        names: &[Arc<str>],
        paths: &[PathBuf],
    ) {
        let row = row(source, replay, names, paths);
        self.frames += row["frames"].as_u64().unwrap_or(0);
        self.bytes += row["bytes"].as_u64().unwrap_or(0);
        self.captures.push(row);
    }

    /// Prints them.
    pub(super) fn tell(
        &self,
        output: Output,
        plugins: &PluginSet,
        counts: &ReplayCounts,
        loading: Duration,
        out: &mut impl Write,
    ) -> Result<()> {
        let rules = plugins.rules().map(|rules| &rules.about);
        let cpu = self.cpu.as_secs_f64();
        let per_second = if cpu > 0.0 { self.frames as f64 / cpu } else { 0.0 };
        if output == Output::Json {
            let told = json!({
                "frames": self.frames,
                "bytes": self.bytes,
                "alerts": counts.alerts,
                "anomalies": counts.anomalies,
                "blocks": counts.blocks,
                "cpu_seconds": cpu,
                "wall_seconds": self.wall.as_secs_f64(),
                "loading_seconds": loading.as_secs_f64(),
                "frames_per_cpu_second": per_second,
                "rules": rules.map(|about| json!({
                    "set": &*about.hash,
                    "loaded": about.count,
                    "refused": about.refused,
                    "source": &*about.source,
                })),
                "captures": self.captures,
            });
            serde_json::to_writer_pretty(&mut *out, &told)?;
            writeln!(out)?;
            return Ok(());
        }
        self.tell_people(plugins, counts, out)?;
        writeln!(
            out,
            "time       {cpu:.3} s processor, {:.3} s wall, {:.3} s loading; {per_second:.0} frames \
             per processor second",
            self.wall.as_secs_f64(),
            loading.as_secs_f64(),
        )?;
        Ok(())
    }

    /// An error for input of which nothing could be read: a pipe shows what it is only then.
    pub(super) fn all_were_captures(&self) -> Result<()> {
        for row in self.captures.iter().filter_map(|c| c["incomplete"].as_array()).flatten() {
            if row["frames"] == 0 {
                let word = |key: &str| printable(row[key].as_str().unwrap_or_default());
                bail!("{}: {}", word("file"), word("why"));
            }
        }
        Ok(())
    }

    /// All but the times, a line each.
    fn tell_people(
        &self,
        plugins: &PluginSet,
        counts: &ReplayCounts,
        out: &mut impl Write,
    ) -> Result<()> {
        let total =
            |key: &str| -> u64 { self.captures.iter().filter_map(|c| c[key].as_u64()).sum() };
        writeln!(out, "captures   {}", self.captures.len())?;
        writeln!(out, "frames     {} ({} bytes)", self.frames, self.bytes)?;
        writeln!(out, "forwarded  {}", total("forwarded"))?;
        let mut dropped: BTreeMap<&str, u64> = Default::default();
        for (reason, n) in self.captures.iter().filter_map(|c| c["dropped"].as_object()).flatten() {
            *dropped.entry(reason).or_default() += n.as_u64().unwrap_or(0);
        }
        for (reason, n) in &dropped {
            writeln!(out, "dropped    {n} ({reason})")?;
        }
        let refused = total("refused");
        if refused > 0 {
            writeln!(out, "refused    {refused} of link types that are not read, or too long")?;
        }
        for row in self.captures.iter().filter_map(|c| c["incomplete"].as_array()).flatten() {
            let word = |key: &str| printable(row[key].as_str().unwrap_or_default());
            let (file, why, frames) = (word("file"), word("why"), &row["frames"]);
            writeln!(out, "cut short  {file} behind frame {frames}: {why}")?;
        }
        if plugins.plugins().is_empty() {
            writeln!(out, "detectors  none: nothing is detected")?;
        }
        if let Some(About { count, refused, .. }) = plugins.rules().map(|rules| &rules.about) {
            let see = if *refused > 0 { ": see `portcullis rules check`" } else { "" };
            writeln!(out, "rules      {count} loaded, {refused} refused{see}")?;
        }
        writeln!(out, "flows      {}", total("flows"))?;
        writeln!(out, "alerts     {}", counts.alerts)?;
        writeln!(out, "anomalies  {}", counts.anomalies)?;
        writeln!(out, "blocks     {}", counts.blocks)?;
        Ok(())
    }
}

fn row(source: &PcapSource, replay: &Replay, names: &[Arc<str>], paths: &[PathBuf]) -> Value {
    let sum = |each: &dyn Fn(&LaneCounters) -> u64| -> u64 { replay.lanes().map(each).sum() };
    let mut dropped = Map::new();
    for reason in DropReason::ALL {
        let n = sum(&|c| c.dropped.get(reason.index()).map_or(0, |cell| cell.read()));
        if n > 0 {
            dropped.insert(reason.name().into(), n.into());
        }
    }
    let mut rejects = Map::new();
    for reject in portcullis_wire::Reject::ALL {
        let n = sum(&|c| c.rejects.get(reject.index()).map_or(0, |cell| cell.read()));
        if n > 0 {
            rejects.insert(reject.name().into(), n.into());
        }
    }
    let outcomes = source.outcomes();
    let files: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    let refused: u64 = outcomes.iter().map(|o| o.frames - o.delivered).sum();
    json!({
        "file": files.join(" "),
        "frames": sum(&|c| c.frames_in.read()),
        "bytes": sum(&|c| c.bytes_in.read()),
        "refused": refused,
        "truncated": outcomes.iter().map(|o| o.truncated).sum::<u64>(),
        "refused_links": outcomes.iter().flat_map(|o| &o.refused)
            .map(|r| json!({"link": r.link_type, "frames": r.frames})).collect::<Vec<_>>(),
        "incomplete": outcomes.iter().filter_map(incomplete).collect::<Vec<_>>(),
        "forwarded": sum(&|c| c.forwarded.read()),
        "dropped": dropped,
        "rejects": rejects,
        "flows": sum(&|c| c.flows_started.read()),
        "detectors": detectors(replay, names),
        "reading": readings(replay),
        "vlans": replay.vlans().filter(|v| v.depth() > 0).map(|v| v.to_vec()).collect::<Vec<_>>(),
    })
}

/// Which capture was not read to its end, and why.
fn incomplete(outcome: &CaptureOutcome) -> Option<Value> {
    let why = match &outcome.end {
        CaptureEnd::Complete | CaptureEnd::Reading => return None,
        CaptureEnd::Truncated => "it ends inside a record",
        CaptureEnd::Damaged(why) => why,
        CaptureEnd::Failed(why) => why,
    };
    let file = outcome.path.display().to_string();
    Some(json!({"file": file, "why": why, "frames": outcome.frames}))
}

/// What each flow-scope detector was shown and said.
fn detectors(replay: &Replay, names: &[Arc<str>]) -> Value {
    let mut sums: BTreeMap<u16, SeatCounters> = BTreeMap::new();
    for (id, seat) in replay.seats() {
        let sum = sums.entry(id.0).or_default();
        sum.events += seat.events;
        sum.fuel += seat.fuel;
        sum.verdicts += seat.verdicts;
        sum.lost += seat.lost + seat.buffers_cut + seat.hits_cut + seat.events_lost;
        sum.unjudged += seat.unjudged;
        sum.paused += seat.paused;
        for (sum, n) in sum.refused.iter_mut().zip(seat.refused) {
            *sum += n;
        }
        for (sum, n) in sum.faults.iter_mut().zip(seat.faults) {
            *sum += n;
        }
    }
    let rows = sums.into_iter().map(|(id, seat)| {
        json!({
            "detector": names.get(usize::from(id)).map(AsRef::<str>::as_ref),
            "events": seat.events,
            "fuel": seat.fuel,
            "verdicts": seat.verdicts,
            "refused": labelled(Refusal::ALL.map(Refusal::name), seat.refused),
            "faults": labelled(FaultKind::ALL.map(FaultKind::name), seat.faults),
            "lost": seat.lost,
            "unjudged": seat.unjudged,
            "paused": seat.paused,
        })
    });
    Value::Array(rows.collect())
}

/// Counts by their names, without those that are nothing.
fn labelled<const N: usize>(names: [&str; N], counts: [u64; N]) -> Value {
    let some = names.into_iter().zip(counts).filter(|(_, n)| *n > 0);
    Value::Object(some.map(|(name, n)| (name.to_owned(), n.into())).collect())
}

/// What was read behind the headers; `null` where nothing was.
fn readings(replay: &Replay) -> Value {
    let all: Vec<ReadingFigures> = replay.readings().collect();
    let sum = |each: fn(&ReadingFigures) -> u64| all.iter().map(each).sum::<u64>();
    if all.is_empty() {
        return Value::Null;
    }
    json!({
        "streams": sum(|r| r.streams.started),
        "stream_bytes": sum(|r| r.streams.delivered),
        "gap_bytes": sum(|r| r.streams.gap_bytes),
        "messages": sum(|r| r.messages),
        "records": sum(|r| r.records),
        "undecoded": sum(|r| r.undecoded),
        "conversation_bytes_most": sum(|r| r.conversation_bytes_most),
        "scans": sum(|r| r.scans.scans),
        "scanned_bytes": sum(|r| r.scans.bytes),
        "hits": sum(|r| r.scans.hits),
        "hits_lost": sum(|r| r.scans.hits_lost),
        "paused_bytes": sum(|r| r.scans.paused),
        "offered": sum(|r| r.offered),
    })
}
