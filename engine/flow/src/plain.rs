//! The short way: one more packet of a conversation that goes on as before.
//!
//! Most packets are of this kind. What [`FlowTable::admit_located`] would do with them is done here
//! in one go; whatever is not as plain as that takes the long way, and finds nothing touched.

use crate::flow::{Direction, Flow, FlowId, TcpState, mark};
use crate::key::TCP;
use crate::table::{Arrival, FlowTable, Kind, Located};
use crate::tcp::{self, Port};
use portcullis_wire::{Packet, TcpFlags};

impl FlowTable {
    /// Counts a packet in its flow where that changes nothing else, so that there is nothing to
    /// report. `None` where it may: [`FlowTable::admit_located`] takes those.
    #[inline]
    pub fn follow_plain(
        &mut self,
        located: &Located,
        packet: &Packet,
        arrival: Arrival,
    ) -> Option<(FlowId, Direction)> {
        let whole = located.kind == Kind::Whole && packet.fragment.is_none();
        if !whole || !packet.rejects.is_empty() {
            return None;
        }
        let two_ports = packet.protocol == TCP && self.has_two_ports(arrival);
        let flow = self.flows.get_mut(located.hint as usize)?;
        let silent = arrival.now.0.saturating_sub(flow.last.0);
        if !flow.has(mark::LIVE)
            || silent >= self.shortest
            || !flow.key.is_of(arrival.segment, packet, located.end)
        {
            return None;
        }
        let direction = flow.direction_from(located.end);
        let first_to_client = flow.has(mark::FIRST_TO_CLIENT);
        if !flow.is_replied() && first_to_client == (direction == Direction::ToServer) {
            return None;
        }
        if packet.protocol == TCP {
            let port = crate::admit::port_of(flow, direction, arrival.side, two_ports);
            if port == Port::Odd || !is_midway(flow, packet) {
                return None;
            }
            tcp::note_numbers(flow, direction, packet);
        }
        crate::admit::count(flow, direction, arrival);
        let id = FlowId { index: located.hint, generation: flow.generation };
        Some((id, direction))
    }
}

/// Whether a segment is one of an open conversation that goes on: it has ACK and none of the flags
/// that open or end.
#[inline]
fn is_midway(flow: &Flow, packet: &Packet) -> bool {
    const TELLING: u8 = TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0 | TcpFlags::ACK.0;
    flow.state == TcpState::Established && packet.tcp.flags.0 & TELLING == TcpFlags::ACK.0
}
