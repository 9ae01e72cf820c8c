//! IPv6: many blocked hosts of one /64 become a block of the /64.

use super::{Block, Book, BookEvent, Outbox, Unblocked, net_of};
use crate::BlockId;
use portcullis_types::{BlockKey, Cause, Origin, Tick};
use std::sync::Arc;

impl Book {
    /// Raises the host's /64 where enough of its hosts are blocked. Only detectors' blocks count:
    /// what an operator blocked by hand was meant as it was written. The new block ends when the
    /// last of its hosts' would have.
    pub(super) fn raise(
        &mut self,
        host: BlockId,
        now: Tick,
        spares: &dyn Fn(&BlockKey) -> bool,
        out: &mut Outbox,
    ) -> Option<BlockId> {
        let of_host = self.blocks.get(&host)?;
        let net = net_of(&of_host.key)?;
        let cause = of_host.cause.clone();
        let members = self.nets.get(&net)?;
        let detected = members
            .iter()
            .filter_map(|id| self.blocks.get(id))
            .filter(|b| matches!(b.cause.origin, Origin::Detector(_)) && b.until > now);
        let (count, until) = detected.fold((0u32, now), |(n, t), b| (n + 1, t.max(b.until)));
        let graced = self.graces.get(&net).is_some_and(|(until, ())| now < until);
        if self.config.raise_at == 0 || count < self.config.raise_at || graced || spares(&net) {
            return None;
        }
        let message =
            format!("{count} blocked hosts of one network, the last by: {}", cause.message);
        let id = BlockId(self.next_id);
        self.counters.raised += 1;
        if self.blocks.len() >= self.config.capacity {
            // The tables are of the book's size: the newest host makes room for its network. The
            // orders travel together, so that no worker sees the moment between.
            self.end(host, Unblocked::Covered, now, out);
        }
        out.events.push(BookEvent::Raised { id, hosts: count });
        self.begin(
            Block {
                id,
                key: net,
                since: now,
                until,
                cause: Cause { origin: Origin::Raised, message: Arc::from(message), ..cause },
                packets: 0,
                bytes: 0,
                factor: 1,
            },
            out,
        );
        self.take_over_hosts(id, now, out);
        Some(id)
    }

    /// Ends the blocks of hosts within a /64 that is now blocked whole, as far as it lasts at least
    /// as long as they; what they stopped is added to it.
    pub(super) fn take_over_hosts(&mut self, net: BlockId, now: Tick, out: &mut Outbox) {
        let Some(whole) = self.blocks.get(&net) else { return };
        let until = whole.until;
        let Some(hosts) = self.nets.get(&whole.key) else { return };
        let hosts: Vec<BlockId> = hosts.iter().copied().collect();
        for id in hosts {
            let Some(host) = self.blocks.get(&id).filter(|h| h.until <= until) else { continue };
            let (packets, bytes) = (host.packets, host.bytes);
            self.end(id, Unblocked::Covered, now, out);
            self.count(net, packets, bytes);
        }
    }
}
