//! Any segmentation, order and duplication of one stream is the same stream.

use super::*;
use proptest::prelude::*;

/// Cuts `len` bytes; cuts may repeat.
fn pieces(len: usize, cuts: &[usize]) -> Vec<(usize, usize)> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (len + 1)).chain([0, len]).collect();
    at.sort_unstable();
    at.windows(2).map(|pair| (pair[0], pair[1])).filter(|(a, b)| a < b).collect()
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 251).to_le_bytes()[0]).collect()
}

proptest! {
    /// Inline and watching, with acknowledgements or without, repeated pieces and longer ones.
    #[test]
    fn any_segmentation_order_and_duplication(
        len in 1usize..9_000,
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        watching in any::<bool>(),
        acks in any::<bool>(),
    ) {
        let whole = bytes(len);
        let placement = if watching { Placement::Watching } else { Placement::Inline };
        let mut t = Talk::open(placement);
        let parts = pieces(len, &cuts);
        let mut acked = 0;
        let mut send = |t: &mut Talk, from: usize, to: usize| {
            let flags = if to == len { ACK | FIN } else { ACK };
            let at = i32::try_from(from).unwrap();
            let fate = t.send(TO_SERVER, flags, at, 0, &whole[from..to]);
            prop_assert_eq!(fate, SegmentFate::Forward);
            let next = t.told.bytes[0].len();
            if acks && next > acked {
                acked = next;
                t.send(TO_CLIENT, ACK, 0, i32::try_from(next).unwrap(), b"");
            }
            Ok(())
        };
        for index in order {
            let (from, to) = parts[index.index(parts.len())];
            // Now and then a piece together with its neighbour.
            let to = if from % 3 == 0 { parts[index.index(parts.len())].1.max(to) } else { to };
            send(&mut t, from, to)?;
        }
        for &(from, to) in &parts {
            send(&mut t, from, to)?;
        }
        prop_assert_eq!(&t.told.bytes[0], &whole);
        prop_assert_eq!(t.told.ends[0], Some(StreamEnd::Fin));
        prop_assert!(t.told.gaps[0].is_empty() && t.told.conflicts.is_empty());
        t.end();
    }

    /// Whatever comes, memory stays in its bounds, nothing panics, and inline the sink has read
    /// exactly what the model of a receiver, whose first bytes stay, gets of what was forwarded.
    #[test]
    fn inline_the_receiver_gets_what_was_read(
        sent in prop::collection::vec((0usize..400, 1usize..60, 0u8..3, 0u8..6), 1..60)
    ) {
        let mut t = Talk::open(Placement::Inline);
        let mut receiver: Vec<Option<u8>> = vec![None; 512];
        let (mut taken, mut acked) = (Vec::new(), 0);
        for (at, len, version, ack) in sent {
            let payload: Vec<u8> = (at..at + len)
                .map(|n| n.to_le_bytes()[0] ^ if n % 16 == 9 { version } else { 0 })
                .collect();
            let fate = t.send(TO_SERVER, ACK, i32::try_from(at).unwrap(), 0, &payload);
            if fate == SegmentFate::Forward {
                // A receiver that has acknowledged takes nothing before that again.
                let known = acked.clamp(at, at + len) - at;
                for (place, byte) in receiver[at + known..].iter_mut().zip(&payload[known..]) {
                    if let Some(held) = place {
                        prop_assert_eq!(*held, *byte, "two versions were forwarded");
                    }
                    *place = Some(*byte);
                }
            }
            while let Some(&Some(byte)) = receiver.get(taken.len()) {
                taken.push(byte);
            }
            prop_assert_eq!(&t.told.bytes[0], &taken);
            if ack == 0 {
                acked = taken.len();
                t.send(TO_CLIENT, ACK, 0, i32::try_from(acked).unwrap(), b"");
            }
            let counters = t.streams.counters();
            prop_assert!(counters.pages <= 32);
        }
        t.end();
    }

    /// What was read may be lost behind that, and come again as it was or otherwise: whatever its
    /// receiver gets in the end was read, at its place, byte for byte.
    #[test]
    fn what_was_lost_comes_as_it_was_read(
        sent in prop::collection::vec((0usize..200, 1usize..60, 0u8..3, any::<bool>()), 1..80)
    ) {
        let mut t = Talk::open(Placement::Inline);
        let mut receiver: Vec<Option<u8>> = vec![None; 264];
        let mut acked = 0;
        for (at, len, version, is_lost) in sent {
            let payload: Vec<u8> = (at..at + len)
                .map(|n| n.to_le_bytes()[0] ^ if n % 16 == 9 { version } else { 0 })
                .collect();
            let fate = t.send(TO_SERVER, ACK, i32::try_from(at).unwrap(), 0, &payload);
            if fate != SegmentFate::Forward || is_lost {
                continue;
            }
            let known = acked.clamp(at, at + len) - at;
            for (place, byte) in receiver[at + known..].iter_mut().zip(&payload[known..]) {
                prop_assert!(place.is_none_or(|held| held == *byte), "two versions were forwarded");
                *place = Some(*byte);
            }
            while receiver.get(acked).is_some_and(Option::is_some) {
                acked += 1;
            }
            t.send(TO_CLIENT, ACK, 0, i32::try_from(acked).unwrap(), b"");
            let read = &t.told.bytes[0];
            prop_assert!(read.len() >= acked, "the receiver has what was not read");
            for (read, got) in read.iter().zip(&receiver) {
                prop_assert!(got.is_none_or(|got| got == *read), "it was read otherwise");
            }
        }
        t.end();
    }
}
