//! Exclusions, modes, reloads, plugins: policy changes while the street runs.

use super::*;
use crate::api::RefusalKind;
use crate::api::model::{
    AddExclusion, ExplainRequest, RemoveExclusion, SetMode, SwapPlugin, SwapRules,
};
use crate::plugins::tests::guest;
use portcullis_types::Tick;
use portcullis_verdict::Mode;

fn row(text: &str) -> AddExclusion {
    AddExclusion { row: text.into() }
}

#[test]
fn an_exclusion_frees_blocks_and_is_kept() {
    let lab = lab();
    lab.add("192.0.2.1", &[10]);
    lab.add("192.0.2.1", &[20]);
    lab.add("192.0.2.77", &[10]);
    let generation = lab.snapshot.load().generation;
    let added =
        lab.handle.add_exclusion(&peer(), row("192.0.2.0/28 vlan 10 do-not-block")).unwrap();
    assert_eq!((added.freed, added.exclusion.origin.as_str()), (1, "operator"));
    assert!(lab.snapshot.load().generation > generation);
    assert!(!lab.map.lock().unwrap().contains_key(&key("192.0.2.1", &[10])));
    assert!(lab.map.lock().unwrap().contains_key(&key("192.0.2.1", &[20])));
    let again = lab.handle.add_block(&peer(), asked("192.0.2.2", &[10])).unwrap_err();
    assert_eq!(again.kind, RefusalKind::Conflict);
    let twice = lab.handle.add_exclusion(&peer(), row("192.0.2.0/28 vlan 10 do-not-block"));
    assert_eq!(twice.unwrap_err().kind, RefusalKind::Conflict);
    let wrong = lab.handle.add_exclusion(&peer(), row("192.0.2.0/28 vlan 10 explode"));
    assert_eq!(wrong.unwrap_err().kind, RefusalKind::Invalid);
    let lab = lab.killed(moment(1, 110, 5_010), "");
    let list = lab.handle.list_exclusions().unwrap().exclusions;
    assert_eq!((list.len(), list[0].row.as_str()), (1, "192.0.2.0/28 vlan 10 do-not-block"));
    assert_eq!(lab.sources(), ["192.0.2.77", "192.0.2.1"]);
    let removed = RemoveExclusion { row: "192.0.2.0/28 vlan 10 do-not-block".into() };
    lab.handle.remove_exclusion(&peer(), removed.clone()).unwrap();
    let gone = lab.handle.remove_exclusion(&peer(), removed).unwrap_err();
    assert_eq!(gone.kind, RefusalKind::Missing);
    let lab = lab.killed(moment(1, 120, 5_020), "");
    assert!(lab.handle.list_exclusions().unwrap().exclusions.is_empty());
}

#[test]
fn unblock_and_exclude() {
    let lab = lab();
    lab.add("192.0.2.1", &[10]);
    let wrong = RemoveBlocks { exclude: Some("explode".into()), ..lift("192.0.2.1") };
    let refused = lab.handle.remove_blocks(&peer(), wrong).unwrap_err();
    assert_eq!((refused.kind, lab.sources().len()), (RefusalKind::Invalid, 1), "nothing is done");
    let order = RemoveBlocks { exclude: Some("do-not-block".into()), ..lift("192.0.2.1") };
    assert_eq!(lab.handle.remove_blocks(&peer(), order).unwrap().count, 1);
    let list = lab.handle.list_exclusions().unwrap().exclusions;
    assert_eq!(list.len(), 1);
    let question =
        ExplainRequest { source: "192.0.2.1".into(), vlan: vec![10], ..ExplainRequest::default() };
    let open = lab.handle.explain(question.clone()).unwrap_err();
    assert_eq!(open.kind, RefusalKind::Invalid, "there are two segments");
    let question = ExplainRequest { segment: Some("dmz".into()), ..question };
    let reply = lab.handle.explain(question).unwrap();
    assert_eq!(reply.exclusion.as_ref(), Some(&list[0].row));
}

#[test]
fn a_mode_is_kept_and_a_tap_has_but_one() {
    let lab = lab();
    let mode = |segment: &str, mode: &str| SetMode { segment: segment.into(), mode: mode.into() };
    lab.handle.set_mode(&peer(), mode("dmz", "monitor")).unwrap();
    assert_eq!(lab.snapshot.load().policy.mode(SegmentId(0)), Mode::Monitor);
    let tap = lab.handle.set_mode(&peer(), mode("lab", "prevent")).unwrap_err();
    assert_eq!(tap.kind, RefusalKind::Conflict);
    assert_eq!(
        lab.handle.set_mode(&peer(), mode("dmz", "sleep")).unwrap_err().kind,
        RefusalKind::Invalid
    );
    let lab = lab.killed(moment(1, 110, 5_010), "");
    assert_eq!(lab.snapshot.load().policy.mode(SegmentId(0)), Mode::Monitor);
    let status = lab.handle.status().unwrap();
    assert_eq!((status.segments[0].mode.as_str(), status.uptime_seconds), ("monitor", 0));
}

const NO_RULES_YET: &str = "[rules] (from none; name a folder at the start, which may be empty)";

#[test]
fn an_engine_without_rules_says_how_to_have_them_taken() {
    let lab = lab();
    let file = lab.dir.path().join("some.rules");
    std::fs::write(&file, "alert ip any any -> any any (msg:\"a\"; sid:1;)\n").unwrap();
    let asked = |file| SwapRules { file };
    let named = asked(Some(file.display().to_string()));
    let refused = Operations::swap_rules(&lab.handle, &peer(), named).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Invalid);
    assert!(refused.reply.error.contains("started without rules"), "{}", refused.reply.error);
    assert!(refused.reply.remedy.contains("a folder may be empty"), "{}", refused.reply.remedy);
    let refused = Operations::swap_rules(&lab.handle, &peer(), asked(None)).unwrap_err();
    assert!(refused.reply.error.contains("names no rules"), "{}", refused.reply.error);
}

#[test]
fn a_reload_takes_policy_and_names_what_takes_a_restart() {
    let lab = lab();
    lab.add("192.0.2.1", &[10]);
    let file = lab.dir.path().join("p.toml");
    let write = |more: &str| {
        // Its [events] has one key more: a section stands once in a file.
        let base = config_text(lab.dir.path(), "")
            .replace("[events]\n", "[events]\nfile_hashes = [\"md5\"]\n");
        std::fs::write(&file, format!("{base}{more}")).unwrap();
    };
    write(
        "[blocks]\nmax = 7\nprotect_sessions = false\n[attacks]\naction = \"terminate\"\n\
           [[exclusion]]\nrow = \"192.0.2.1 do-not-block\"\n\
           [rules]\nfiles = [\"/nowhere.rules\"]\n[streams]\ndepth = \"1MiB\"\nmax = 4096\n\
           [decode]\nbody = \"2MiB\"\n",
    );
    let reply = lab.handle.reload(&peer()).unwrap();
    for taken in ["[attacks]", "[streams]"] {
        assert!(reply.changed.iter().any(|c| c == taken), "{taken}: {:?}", reply.changed);
    }
    for restart in ["blocks.max", NO_RULES_YET, "streams.max", "[decode]", "events.file_hashes"] {
        let named = reply.needs_restart.iter().any(|c| c == restart);
        assert!(named, "{restart}: {:?}", reply.needs_restart);
    }
    assert!(lab.sources().is_empty(), "the new row freed it");
    let in_file = RemoveExclusion { row: "192.0.2.1 do-not-block".into() };
    let refused = lab.handle.remove_exclusion(&peer(), in_file).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Conflict);
    let generation = lab.snapshot.load().generation;
    write("[attacks]\naction = \"explode\"\n");
    let refused = lab.handle.reload(&peer()).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Invalid);
    assert!(refused.reply.error.contains("explode"), "{}", refused.reply.error);
    assert_eq!(lab.snapshot.load().generation, generation, "the engine goes on as before");
}

#[test]
fn a_swap_reaches_every_worker_under_its_name() {
    let lab = lab();
    let file = lab.dir.path().join("next.wasm");
    let swap = |version: &str| {
        std::fs::write(&file, guest("ape", version, "flow")).unwrap();
        let asked = SwapPlugin { file: file.display().to_string() };
        lab.handle.swap_plugin(&peer(), asked).unwrap()
    };
    assert_eq!(swap("1.0.0").replaced, None);
    assert_eq!(swap("2.0.0").replaced.as_deref(), Some("1.0.0"));
    assert_eq!(&*lab.snapshot.load().detector(PluginId(0)), "ape");
    for post in [0, 1] {
        let mut versions = Vec::new();
        while let Some(order) = lab.boxes[post].orders.pop() {
            let StreetOrder::Install(instances, _) = order else { continue };
            for (id, instance) in instances {
                versions.push((id, instance.plugin().manifest().version.to_string()));
            }
        }
        let ape = PluginId(0);
        assert_eq!(versions, [(ape, "1.0.0".to_owned()), (ape, "2.0.0".to_owned())]);
    }
    assert!(lab.boxes[2].orders.is_empty(), "a shard has no flow-scope plugins");
    let list = lab.handle.list_plugins().unwrap().plugins;
    assert_eq!((list.len(), list[0].version.as_str()), (1, "2.0.0"));
    assert_eq!(lab.handle.show_plugin("bee").unwrap_err().kind, RefusalKind::Missing);
    // A spare is made off the thread, and the version that failed is given up.
    let version = {
        let set = lab.handle.shared.plugins.lock().unwrap();
        Arc::clone(&set.plugins()[0].plugin)
    };
    let (from, plugin) = (Post::Worker(1), PluginId(0));
    lab.words.send(StreetWord::NeedsSpare { from, plugin, version, count: 2 }).unwrap();
    let mut spares = 0;
    within(Duration::from_secs(20), || {
        while let Some(order) = lab.boxes[1].orders.pop() {
            spares += usize::from(matches!(order, StreetOrder::Spare(..)));
        }
        spares == 2
    });
    let event =
        portcullis_detect::PluginEvent::RolledBack { from: "2.0.0".into(), to: "1.0.0".into() };
    lab.words.send(StreetWord::Plugin { from, plugin, event }).unwrap();
    lab.fact_of(|fact| matches!(fact, Fact::Plugin(name, ..) if &**name == "ape").then_some(()));
    assert_eq!(lab.handle.list_plugins().unwrap().plugins[0].version, "1.0.0");
}

#[test]
fn a_port_that_is_gone_is_a_warning() {
    let lab = lab();
    let side = portcullis_types::PortSide::B;
    lab.words.send(StreetWord::PortGone { from: Post::Worker(0), side }).unwrap();
    within(Duration::from_secs(20), || {
        lab.handle.status().unwrap().warnings.iter().any(|w| w.contains("port b is gone"))
    });
    assert_eq!(lab.clock.moment().tick, Tick(100 * S));
}

#[test]
fn a_breaker_that_opens_is_an_event_and_a_warning_that_names_the_first() {
    let lab = lab();
    let warned = || {
        let warnings = lab.handle.status().unwrap().warnings;
        warnings.into_iter().find(|w| w.contains("breaker"))
    };
    assert_eq!(warned(), None);
    let (plugin, scope) = (PluginId(7), portcullis_verdict::BreakerScope::All);
    for limit in [3, 4] {
        let trip = portcullis_verdict::Trip { scope, limit, first: true };
        lab.words.send(StreetWord::Tripped { plugin, trip }).unwrap();
        let told = |fact: &Fact| match fact {
            Fact::Tripped(name, trip, _) => Some((name.to_string(), trip.limit)),
            _ => None,
        };
        assert_eq!(lab.fact_of(told).0, ("unknown".to_owned(), limit));
    }
    let warned = warned().unwrap();
    assert!(warned.contains("2 times") && warned.contains("unknown"), "{warned}");
    assert!(warned.contains("over 3 new blocks a minute"), "{warned}");
}
