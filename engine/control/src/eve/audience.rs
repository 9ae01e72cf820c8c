//! Whoever listens to a replay: writes the events in order, gathers the blocks, counts.

use super::context::Context;
use super::file::EveFile;
use super::json::Line;
use super::scribe::Scribe;
use portcullis_detect::PluginEvent;
use portcullis_enforce::BookEvent;
use portcullis_pipeline::{Audience, Report};
use portcullis_types::{PluginId, RuleId, Tick};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a replay came to, whether or not its events were written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReplayCounts {
    /// Findings that counted.
    pub alerts: u64,
    /// How often each rule alerted.
    pub alerts_by_rule: BTreeMap<RuleId, u64>,
    /// Malformations and oddities, once per flow and kind.
    pub anomalies: u64,
    /// Transactions and files that decoders have read to their end.
    pub transactions: u64,
    /// Drops told.
    pub drops: u64,
    /// Flows ended.
    pub flows: u64,
    /// Blocks made.
    pub blocks: u64,
    /// Blocks ended.
    pub unblocks: u64,
    /// Blocks not made.
    pub refused: u64,
    /// Events about plugins.
    pub plugin_events: u64,
    /// Faults among them.
    pub faults: u64,
    /// Lines written.
    pub written: u64,
    /// Frames so far.
    pub frames: u64,
}

impl ReplayCounts {
    fn report(&mut self, report: &Report) {
        match report {
            Report::Alert(alert) => {
                self.alerts += 1;
                *self.alerts_by_rule.entry(alert.rule.id).or_default() += 1;
            }
            Report::Anomaly(_) | Report::Oddity(_) => self.anomalies += 1,
            Report::Transaction(_) => self.transactions += 1,
            Report::Drop(_) => self.drops += 1,
            Report::Flow(_) => self.flows += 1,
        }
    }

    fn book(&mut self, event: &BookEvent) {
        match event {
            BookEvent::Blocked(_) => self.blocks += 1,
            BookEvent::Unblocked { .. } => self.unblocks += 1,
            BookEvent::Refused { .. } => self.refused += 1,
            BookEvent::Moved { .. }
            | BookEvent::Raised { .. }
            | BookEvent::Grace { .. }
            | BookEvent::GraceEnded { .. } => {}
        }
    }
}

/// Hears a replay.
///
/// A disk that fails does not stop a replay: the first error is kept and nothing more is written;
/// [`finish`](Self::finish) tells.
pub struct ReplayAudience<'p> {
    scribe: Scribe,
    line: Line,
    events: Option<EveFile>,
    blocks: Option<Vec<Line>>,
    counts: ReplayCounts,
    failed: Option<io::Error>,
    progress: Box<dyn FnMut(u64) + 'p>,
}

impl<'p> ReplayAudience<'p> {
    /// Hears with these names and settings, and writes nothing yet.
    pub fn new(context: Arc<Context>) -> Self {
        ReplayAudience {
            scribe: Scribe::new(context),
            line: Line::new(),
            events: None,
            blocks: None,
            counts: ReplayCounts::default(),
            failed: None,
            progress: Box::new(|_| {}),
        }
    }

    /// Writes events there.
    pub fn with_events(mut self, events: EveFile) -> Self {
        self.events = Some(events);
        self
    }

    /// Gathers every block made, for [`write_blocks`](Self::write_blocks).
    pub fn with_blocks(mut self) -> Self {
        self.blocks = Some(Vec::new());
        self
    }

    /// Calls this with the number of frames so far, after each window.
    pub fn with_progress(mut self, progress: impl FnMut(u64) + 'p) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// From now on everything comes from this capture. The frames that progress tells begin anew.
    pub fn set_capture(&mut self, name: Option<&str>) {
        self.scribe.set_capture(name);
    }

    /// What was heard so far.
    pub fn counts(&self) -> &ReplayCounts {
        &self.counts
    }

    /// What was heard since the last time this was asked: one capture of several.
    pub fn take_counts(&mut self) -> ReplayCounts {
        std::mem::take(&mut self.counts)
    }

    /// Writes every block made so far as one JSON array; `-` is the standard output.
    pub fn write_blocks(&self, path: &Path) -> io::Result<()> {
        let mut file = EveFile::create(path)?;
        let rows = self.blocks.as_deref().unwrap_or_default();
        let text: Vec<&str> = rows.iter().map(Line::as_str).collect();
        file.write_text(&format!("[{}]\n", text.join(",\n")))?;
        file.flush()
    }

    /// Everything to the disk; the first error there was.
    pub fn finish(&mut self) -> io::Result<()> {
        match (self.failed.take(), &mut self.events) {
            (Some(error), _) => Err(error),
            (None, Some(events)) => events.flush(),
            (None, None) => Ok(()),
        }
    }

    fn write(&mut self) {
        let Some(events) = self.events.as_mut().filter(|_| self.failed.is_none()) else { return };
        match events.write(&self.line) {
            Ok(()) => self.counts.written += u64::from(!self.line.is_empty()),
            Err(error) => self.failed = Some(error),
        }
    }
}

impl Audience for ReplayAudience<'_> {
    fn report(&mut self, report: Report) {
        self.counts.report(&report);
        if self.events.is_some() {
            for number in 0..Scribe::lines(&report) {
                self.scribe.report_line(&report, number, &mut self.line);
                self.write();
            }
        }
    }

    fn block(&mut self, event: BookEvent, now: Tick) {
        self.counts.book(&event);
        if let (BookEvent::Blocked(block), Some(blocks)) = (&event, &mut self.blocks) {
            let mut row = Line::new();
            self.scribe.block_row(&mut row.object(), block);
            blocks.push(row);
        }
        if self.events.is_some() {
            self.scribe.book(&event, now, &mut self.line);
            self.write();
        }
    }

    fn plugin(&mut self, plugin: PluginId, event: PluginEvent, now: Tick) {
        self.counts.plugin_events += 1;
        self.counts.faults += u64::from(matches!(event, PluginEvent::Discarded { .. }));
        if self.events.is_some() {
            let name = self.scribe.context().plugins.get(usize::from(plugin.0)).cloned();
            let name = name.unwrap_or_else(|| "unknown".into());
            self.scribe.plugin(&name, &event, now, &mut self.line);
            self.write();
        }
    }

    fn progress(&mut self, frames: u64) {
        self.counts.frames = frames;
        (self.progress)(frames);
    }
}
