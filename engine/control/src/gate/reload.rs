//! Configuration, modes and questions about policy, at run time.
//!
//! A reload takes what policy is made of; what sized tables or opened ports takes a restart, and is
//! named. The segments that run stay the segments that run.

use super::GateHandle;
use super::answers::{
    action_name, class_name, conflict, ending, invalid, missing, segment_of, vlan_of,
};
use super::exclusions::Remembered;
use super::keeper::Keeper;
use super::rules::NextRules;
use crate::api::model::{ClassOutcome, Done, ExplainReply, ExplainRequest, ReloadReply, SetMode};
use crate::api::{Peer, Refusal};
use crate::config::{Config, Diagnostics, Loaded, Mode, Segment, Word};
use crate::journal::Order;
use portcullis_types::{Addr, RuleMeta};
use portcullis_verdict::{Question, RuleRef, explain};
use std::sync::{Arc, PoisonError};

/// All mistakes of a configuration as one refusal.
fn refused(mistakes: &Diagnostics) -> Refusal {
    let remedy =
        "mend the file; `portcullis check` names every mistake. The engine goes on as before";
    invalid(mistakes.to_string().trim_end(), remedy)
}

impl GateHandle {
    /// Reads the configuration again and takes what can be taken.
    pub(super) fn take_configuration(&self, who: &Peer) -> Result<ReloadReply, Refusal> {
        let fresh = Config::load(&self.shared.config_file).map_err(|e| refused(&e))?;
        tracing::info!(by = %who, "the configuration is read again");
        let mut set = self.shared.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = match set.rules() {
            Some(_) => self.next_rules(&mut set, &fresh.config.rules)?,
            None => None,
        };
        let undo = rules.as_ref().and_then(NextRules::how_to_undo);
        let reply = self.ask(move |keeper| keeper.reload(fresh, rules)).map_err(|_| ending())?;
        if let (Err(_), Some(undo)) = (&reply, undo) {
            NextRules::undo(undo, &mut set);
        }
        drop(set);
        let reply = reply?;
        let config = self.config();
        let then = self.shared.on_reload.lock().unwrap_or_else(PoisonError::into_inner);
        then.iter().for_each(|then| then(&config.config));
        Ok(reply)
    }
}

/// The configuration as it can be taken now, and what of it takes a restart.
fn merged(running: &Config, fresh: &Config, rules: bool) -> (Config, Vec<String>) {
    let mut needs_restart = Vec::new();
    let mut next = fresh.clone();
    let mut keep = |name: &str, same: bool| {
        if !same {
            needs_restart.push(name.to_owned());
        }
    };
    keep("[engine]", running.engine == fresh.engine);
    next.engine = running.engine.clone();
    // How overlapping fragments are treated is policy; the rest sized the tables.
    let overlap = fresh.flow.fragment_overlap;
    next.flow = running.flow.clone();
    next.flow.fragment_overlap = overlap;
    keep("[flow]", next.flow == fresh.flow);
    keep("blocks.max", running.blocks.max == fresh.blocks.max);
    next.blocks.max = running.blocks.max;
    let plugins = (&running.plugins, &fresh.plugins);
    keep("plugins.dir", plugins.0.dir == plugins.1.dir);
    keep("plugins.host_shards", plugins.0.host_shards == plugins.1.host_shards);
    keep("plugins.grant (swap the plugin, or restart)", plugins.0.grants == plugins.1.grants);
    next.plugins.host_shards = running.plugins.host_shards;
    if !rules {
        let what = match running.rules.is_empty() {
            true => "[rules] (from none; name a folder at the start, which may be empty)",
            false => "[rules] (to none; until then those that run stay)",
        };
        keep(what, running.rules == fresh.rules);
        next.rules = running.rules.clone();
    }
    // How streams are read is policy; how much at once sized the tables.
    let (was, is) = (&running.streams, &mut next.streams);
    keep("streams.memory", was.memory == is.memory);
    keep("streams.max", was.max == is.max);
    keep("streams.conversations", was.conversations == is.conversations);
    (is.memory, is.max, is.conversations) = (was.memory, was.max, was.conversations);
    keep("streams.target, [[streams.targets]]", was.receivers() == is.receivers());
    (is.target, is.targets) = (was.target, was.targets.clone());
    // Conversations are begun with what the start said.
    keep("[decode]", running.decode == fresh.decode);
    next.decode = running.decode;
    keep("events.file_hashes", running.events.file_hashes == fresh.events.file_hashes);
    next.events.file_hashes.clone_from(&running.events.file_hashes);
    let files = (&running.events.file, running.events.queue);
    keep("events.file, events.queue", files == (&fresh.events.file, fresh.events.queue));
    keep("control.socket", running.control.socket == fresh.control.socket);
    keep("[metrics]", running.metrics == fresh.metrics);
    next.segments = running.segments.iter().map(|old| segment(old, fresh, &mut keep)).collect();
    for added in fresh.segments.iter().filter(|s| running.segment(&s.name).is_none()) {
        needs_restart.push(format!("segment {} is new", added.name));
    }
    (next, needs_restart)
}

/// A running segment with what policy the fresh configuration has for it.
fn segment(old: &Segment, fresh: &Config, keep: &mut impl FnMut(&str, bool)) -> Segment {
    let Some(new) = fresh.segment(&old.name) else {
        keep(&format!("segment {} is gone", old.name), false);
        return old.clone();
    };
    let next = Segment {
        mode: new.mode,
        inside: new.inside,
        protected: new.protected.clone(),
        ..old.clone()
    };
    keep(
        &format!("segment {}: ports and capture", old.name),
        Segment { id: old.id, ..new.clone() } == next,
    );
    next
}

/// What of the policy is another than before, in words.
fn changed(running: &Config, next: &Config) -> Vec<String> {
    let sections = [
        ("[wire]", running.wire == next.wire),
        ("[flow]", running.flow == next.flow),
        ("[attacks]", running.attacks == next.attacks),
        ("[activity]", running.activity == next.activity),
        ("[[ceiling]]", running.ceiling == next.ceiling),
        ("[blocks]", running.blocks == next.blocks),
        ("[plugins]", running.plugins == next.plugins),
        ("[events]", running.events == next.events),
        ("[control]", running.control == next.control),
        ("[inventory]", running.inventory == next.inventory),
        ("[[segment]]", running.segments == next.segments),
        ("[rules]", running.rules == next.rules),
        ("[streams]", running.streams == next.streams),
    ];
    let rows = |config: &Config| config.exclusions.iter().map(|e| e.text()).collect::<Vec<_>>();
    let mut words: Vec<String> =
        sections.iter().filter(|(_, same)| !same).map(|(name, _)| (*name).to_owned()).collect();
    let (before, after) = (rows(running), rows(next));
    if before != after {
        words.push(format!("[[exclusion]]: {} rows, before {}", after.len(), before.len()));
    }
    words
}

impl Keeper {
    /// Takes a configuration; nothing changes where it has mistakes. The inventory is read again,
    /// and logs are opened anew.
    fn reload(&mut self, fresh: Loaded, rules: Option<NextRules>) -> Result<ReloadReply, Refusal> {
        let running = self.config.load_full();
        let (config, needs_restart) = merged(&running.config, &fresh.config, rules.is_some());
        let mut changed = changed(&running.config, &config);
        let next = Loaded { config, ..fresh };
        let warnings = self.rebuild(&next).map_err(|e| refused(&e))?;
        self.book.reconfigure(super::book::book_config(&next.config.blocks));
        self.config.store(Arc::new(next));
        if let Some(rules) = rules.filter(NextRules::is_change) {
            let (next, before) = (rules.next.clone(), rules.before.as_ref().map_or(0, |b| b.count));
            changed
                .push(format!("the rules: {} now, {before} before, set {}", next.count, next.hash));
            self.put_rules_to_work(rules);
        }
        self.herald.reopen();
        let now = self.now();
        self.free(now);
        self.settle(None, Vec::new());
        self.errands.look_up_own(&self.config.load_full().config);
        for name in &needs_restart {
            tracing::warn!(section = name, "this change of the configuration takes a restart");
        }
        Ok(ReloadReply { changed, needs_restart, warnings: warnings.iter().cloned().collect() })
    }

    /// Changes a segment's mode, until it is changed again.
    pub(super) fn set_mode(
        &mut self,
        who: &Peer,
        asked: &SetMode,
    ) -> Result<(Done, Remembered), Refusal> {
        let loaded = self.config.load_full();
        let id = segment_of(&loaded.config, Some(&asked.segment))?;
        let mode = Mode::WORDS.iter().find(|(word, _)| *word == asked.mode).map(|(_, mode)| *mode);
        let mode = mode.ok_or_else(|| {
            invalid(format!("there is no mode `{}`", asked.mode), "write prevent or monitor")
        })?;
        let segment = loaded.config.segments.get(usize::from(id.0));
        if mode == Mode::Prevent && !segment.is_some_and(Segment::is_inline) {
            return Err(conflict(
                format!("{} is a tap: it sees a copy and cannot prevent anything", asked.segment),
                "put the engine in line with two `ports`",
            ));
        }
        let mut overrides = self.overrides.clone();
        overrides.modes.retain(|(name, _)| *name != asked.segment);
        overrides.modes.push((asked.segment.clone(), mode));
        self.rebuild_with(&loaded, &overrides).map_err(|e| refused(&e))?;
        tracing::info!(by = %who, segment = asked.segment, mode = asked.mode, "mode changed");
        let order = Order::Mode { segment: asked.segment.clone(), mode: asked.mode.clone() };
        let done = Done { done: format!("segment {} is in mode {}", asked.segment, asked.mode) };
        Ok((done, vec![(order, None)]))
    }

    /// What policy says about an address at a place.
    pub(super) fn explain(&self, asked: &ExplainRequest) -> Result<ExplainReply, Refusal> {
        let loaded = self.config.load();
        let address = |text: &str| {
            text.parse::<Addr>().map_err(|_| {
                invalid(format!("`{text}` is no address"), "write an IPv4 or IPv6 address")
            })
        };
        let rule = asked.rule.as_deref().map(|text| {
            text.parse::<RuleRef>()
                .map_err(|e| invalid(format!("`{text}` names no rule"), e.to_string()))
        });
        let rule = rule.transpose()?;
        let question = Question {
            source: address(&asked.source)?,
            vlan: vlan_of(&asked.vlan)?,
            segment: segment_of(&loaded.config, asked.segment.as_deref())?,
            destination: asked.destination.as_deref().map(address).transpose()?,
            protocol: asked.protocol.as_deref().map(protocol).transpose()?,
            port: asked.port,
            meta: rule.and_then(|rule| self.rule(&rule)),
            rule,
            class: None,
            now: self.now(),
        };
        Ok(reply(&explain(&self.policy().policy, question)))
    }

    /// A rule of a loaded plugin.
    fn rule(&self, named: &RuleRef) -> Option<Arc<RuleMeta>> {
        let mut rules = self.line_up.iter().flat_map(|p| p.plugin.rules());
        rules.find(|rule| named.names(rule.meta.id)).map(|rule| Arc::clone(&rule.meta))
    }
}

/// An explanation in the control socket's words.
pub(crate) fn reply(explanation: &portcullis_verdict::Explanation) -> ExplainReply {
    let outcome = explanation.answers.iter().map(|answer| {
        let blocks = answer.heard && answer.action == portcullis_types::Action::TerminateAndBlock;
        ClassOutcome {
            class: class_name(answer.class).to_owned(),
            action: if answer.heard { action_name(answer.action) } else { "pass" }.to_owned(),
            block_seconds: blocks.then(|| answer.block_for.duration().as_secs()),
        }
    });
    ExplainReply {
        outcome: outcome.collect(),
        exclusion: explanation.row.as_ref().map(|(_, text)| text.clone()),
        steps: explanation.to_string().lines().map(str::to_owned).collect(),
    }
}

fn protocol(text: &str) -> Result<u8, Refusal> {
    match text {
        "icmp" => Ok(1),
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "icmpv6" | "icmp6" => Ok(58),
        "sctp" => Ok(132),
        number => number.parse().map_err(|_| {
            missing(format!("there is no protocol `{number}`"), "write tcp, udp, icmp or a number")
        }),
    }
}
