//! What the engine will use at most: every term, printed at the start, and refused where it is more
//! than the configuration allows.

use crate::ports::OpenSegment;
use crate::run::Common;
use crate::street;
use anyhow::{Result, bail};
use portcullis_control::config::Config;
use portcullis_control::plugins::PluginSet;
use portcullis_detect::Scope;
use portcullis_enforce::WorkerTable;
use portcullis_types::MemoryTerm;
use tracing::info;

/// The terms of the sum.
pub(crate) fn memory(
    common: &Common,
    segments: &[OpenSegment],
    shards: usize,
    plugins: &PluginSet,
) -> Vec<MemoryTerm> {
    let times = |n: usize, terms: Vec<MemoryTerm>| {
        terms.into_iter().map(move |t| MemoryTerm {
            what: format!("{n} x {}", t.what),
            bytes: t.bytes * n as u64,
        })
    };
    let (blocks, posts) = (common.config.blocks.max as usize, common.workers + shards);
    let mut terms: Vec<MemoryTerm> = segments.iter().flat_map(|s| s.memory.clone()).collect();
    terms.extend(times(common.workers, common.flow_config().memory_terms()));
    let fragments = street::defrag_config(&common.config, common.workers).memory_terms();
    terms.extend(times(common.workers, fragments));
    if let Some(reading) = common.reading(plugins) {
        terms.extend(times(common.workers, reading.memory_terms()));
    }
    terms.extend(times(posts, WorkerTable::memory_terms(blocks, street::GRACES_MAX)));
    terms.push(common.proven.memory_term());
    let ring = portcullis_pipeline::RING_EVENTS * size_of::<portcullis_detect::HostEvent>();
    terms.push(MemoryTerm {
        what: format!("{} rings to host-scope detectors", common.workers * shards),
        bytes: (ring * common.workers * shards) as u64,
    });
    let queue = u64::from(common.config.events.queue);
    terms.push(MemoryTerm { what: format!("event queue of {queue} reports"), bytes: queue * 512 });
    // The list itself, with causes and indexes.
    terms.push(MemoryTerm { what: format!("list of {blocks} blocks"), bytes: blocks as u64 * 768 });
    // Each detector works at the posts of its scope, with as many spares.
    let instances: u64 = plugins
        .plugins()
        .iter()
        .map(|p| match p.plugin.manifest().scope {
            Scope::Flow => p.plugin.instance_bytes() * common.workers as u64 * 2,
            Scope::Host => p.plugin.instance_bytes() * shards as u64 * 2,
        })
        .sum();
    terms.push(MemoryTerm { what: "detectors' instances and spares".into(), bytes: instances });
    // Code of the engine and of compiled detectors, stacks, the runtime: measured at about 90 MiB.
    terms.push(MemoryTerm { what: "code, stacks, runtime".into(), bytes: 128 << 20 });
    terms
}

/// Prints what the engine will use at most, and refuses what is more than it may.
pub(crate) fn promise(config: &Config, terms: &[MemoryTerm]) -> Result<()> {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    for term in terms {
        info!("memory: {:9.1} MiB  {}", mib(term.bytes), term.what);
    }
    let sum: u64 = terms.iter().map(|t| t.bytes).sum();
    info!("memory: {:9.1} MiB at most", mib(sum));
    if sum > config.engine.memory {
        bail!(
            "the engine may use {:.0} MiB ([engine] memory) and would use up to {:.0} MiB; raise that, or \
             lower [flow] memory, [blocks] max, [plugins] memory or ring_frames",
            mib(config.engine.memory),
            mib(sum)
        );
    }
    Ok(())
}
