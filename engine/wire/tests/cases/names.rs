//! The names of rejects.

use super::*;

#[test]
fn alphabetical_distinct_and_well_formed() {
    let names: Vec<_> = Reject::ALL.iter().map(|r| format!("{r:?}")).collect();
    assert!(names.is_sorted(), "{names:?}");
    for (index, reject) in Reject::ALL.iter().enumerate() {
        assert_eq!(reject.index(), index);
        assert_eq!(Reject::from_index(index), Some(*reject));
        let snake: String = format!("{reject:?}")
            .chars()
            .enumerate()
            .flat_map(|(i, c)| {
                let word = c.is_ascii_uppercase() && i > 0;
                word.then_some('_').into_iter().chain([c.to_ascii_lowercase()])
            })
            .collect();
        let flat = |s: &str| s.replace('_', "");
        assert_eq!(flat(reject.name()), flat(&snake));
        assert!(reject.suricata_event().starts_with("decoder."));
    }
}

/// What both versions have carries the name of the packet's.
#[test]
fn names_by_version_of_ip() {
    for &(name, reject, version) in portcullis_wire::DECODE_EVENTS {
        if version != 0 && reject.suricata_event().ends_with(name.split_once('.').unwrap().1) {
            assert_eq!(reject.suricata_event_in(version == 4), format!("decoder.{name}"));
        }
    }
    for reject in Reject::ALL.iter().filter(|r| r.layer() == portcullis_wire::Layer::Fragment) {
        let other = |is_v4: bool| if is_v4 { "decoder.ipv6.frag" } else { "decoder.ipv4.frag" };
        for is_v4 in [false, true] {
            let named = reject.suricata_event_in(is_v4);
            assert!(!named.starts_with(other(is_v4)), "{named}");
        }
    }
}

#[test]
fn sets() {
    let set: RejectSet = [Reject::Land, Reject::TcpXmas].into_iter().collect();
    assert_eq!((set.len(), set.contains(Reject::Land)), (2, true));
    assert_eq!(set.iter().collect::<Vec<_>>(), [Reject::Land, Reject::TcpXmas]);
    assert_eq!(RejectSet::from_bits(u128::MAX).len() as usize, Reject::COUNT);
    assert!(set.without(set).is_empty());
    assert_eq!(RejectSet::from_bits(set.bits()), set);
    assert!(Reject::ALL.iter().all(|r| !r.is_fatal() || RejectSet::DEFAULT_DROP.contains(*r)));
    assert!(!RejectSet::DEFAULT_DROP.contains(Reject::TcpSynData));
}
