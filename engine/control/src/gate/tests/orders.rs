//! Orders reach everybody who carries them out; operators get what they ask for or are told why
//! not.

use super::*;
use crate::api::RefusalKind;
use crate::api::model::{EndChange, ExtendBlock};
use portcullis_pipeline::ORDERS_MAX;

#[test]
fn a_detectors_block_reaches_the_map_and_every_box() {
    let lab = lab();
    lab.words.send(StreetWord::Block(detected("192.0.2.1", 700))).unwrap();
    lab.fact();
    for post in 0..3 {
        let taken = lab.taken(post);
        let [TableOrder::Block { key: of, until, id }] = taken[..] else { panic!("{taken:?}") };
        assert_eq!((of, until), (key("192.0.2.1", &[10]), Tick(700 * S)));
        assert_ne!(id, BlockId::default());
    }
    assert_eq!(lab.map.lock().unwrap()[&key("192.0.2.1", &[10])], Tick(700 * S));
    let text = lab.handle.metrics().unwrap();
    assert!(text.contains("portcullis_"), "{text}");
    let list = lab.handle.list_blocks(BlockFilter::default()).unwrap();
    let block = &list.blocks[0];
    assert_eq!((block.segment.as_str(), &block.vlan[..]), ("dmz", &[10][..]));
    assert_eq!(block.class.as_deref(), Some("activity"));
    assert!(block.packets >= 1, "the map's own counts are read");
}

#[test]
fn a_full_box_loses_nothing() {
    let lab = lab();
    let full = &lab.boxes[1];
    while full.give(StreetOrder::InitFailed(PluginId(0))).is_ok() {}
    for n in 1..=20 {
        lab.add(&format!("192.0.2.{n}"), &[]);
    }
    assert_eq!(lab.taken(0).len(), 20, "the others do not wait");
    for _ in 0..ORDERS_MAX {
        full.orders.pop().unwrap();
    }
    let mut taken = Vec::new();
    within(Duration::from_secs(20), || {
        taken.extend(lab.taken(1));
        taken.len() == 20
    });
    let sources: Vec<String> = taken
        .iter()
        .map(|o| match o {
            TableOrder::Block { key, .. } => key.source.addr().to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected: Vec<String> = (1..=20).map(|n| format!("192.0.2.{n}")).collect();
    assert_eq!(sources, expected, "in their order");
}

#[test]
fn a_workers_table_is_put_right_where_the_book_says_otherwise() {
    let lab = lab();
    lab.add("192.0.2.1", &[10]);
    lab.taken(0);
    // Ends earlier than what is there: the worker has the shorter one in its table.
    lab.words.send(StreetWord::Block(detected("192.0.2.1", 200))).unwrap();
    within(Duration::from_secs(20), || {
        let taken = lab.taken(0);
        taken
            .iter()
            .any(|o| matches!(o, TableOrder::Block { until, .. } if *until == Tick(700 * S)))
    });
    // A grace runs: the worker's own block must go.
    let grace = RemoveBlocks { grace_seconds: Some(60), ..lift("192.0.2.1") };
    lab.handle.remove_blocks(&peer(), grace).unwrap();
    lab.taken(0);
    lab.words.send(StreetWord::Block(detected("192.0.2.1", 700))).unwrap();
    within(Duration::from_secs(20), || {
        lab.taken(0).iter().any(|o| matches!(o, TableOrder::Unblock { .. }))
    });
    assert!(lab.sources().is_empty());
}

#[test]
fn what_is_not_there_is_an_error() {
    let lab = lab();
    let refused = lab.handle.remove_blocks(&peer(), lift("192.0.2.1")).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Missing);
    lab.add("192.0.2.1", &[10]);
    let elsewhere = BlockSelector { vlan: Some(vec![20]), ..which("192.0.2.1") };
    let wrong = RemoveBlocks { blocks: vec![elsewhere.clone()], ..RemoveBlocks::default() };
    assert_eq!(lab.handle.remove_blocks(&peer(), wrong).unwrap_err().kind, RefusalKind::Missing);
    assert_eq!(lab.handle.show_block(elsewhere).unwrap_err().kind, RefusalKind::Missing);
    let nonsense = lab.handle.show_block(which("nonsense")).unwrap_err();
    assert_eq!(nonsense.kind, RefusalKind::Invalid);
    let change = ExtendBlock { block: which("192.0.2.9"), change: EndChange::LaterSeconds(5) };
    let refused = lab.handle.extend_block(&peer(), change).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Missing);
}

#[test]
fn blocks_by_hand_respect_policy() {
    let lab = lab();
    let inside = lab.handle.add_block(&peer(), asked("10.1.2.3", &[])).unwrap_err();
    assert_eq!(inside.kind, RefusalKind::Forbidden);
    let wide = lab.handle.add_block(&peer(), asked("192.0.2.0/24", &[])).unwrap_err();
    assert_eq!(wide.kind, RefusalKind::Invalid);
    let nowhere = AddBlock { segment: Some("gone".into()), ..asked("192.0.2.1", &[]) };
    assert_eq!(lab.handle.add_block(&peer(), nowhere).unwrap_err().kind, RefusalKind::Missing);
    let for_ever = AddBlock { seconds: Some(0), ..asked("192.0.2.1", &[]) };
    let block = lab.handle.add_block(&peer(), for_ever).unwrap();
    assert_eq!((block.until, block.remaining_seconds), (None, None));
    assert_eq!(block.made_by, "operator root");
}

#[test]
fn ends_move_and_lists_are_cleared() {
    let lab = lab();
    lab.add("192.0.2.1", &[10]);
    lab.add("192.0.2.1", &[20]);
    let change = |change| ExtendBlock { block: which("192.0.2.1"), change };
    let later = lab.handle.extend_block(&peer(), change(EndChange::LaterSeconds(60))).unwrap();
    assert_eq!(later.count, 2);
    assert!(later.blocks.iter().all(|b| b.remaining_seconds == Some(660)));
    let sooner = lab.handle.extend_block(&peer(), change(EndChange::EarlierSeconds(360))).unwrap();
    assert!(sooner.blocks.iter().all(|b| b.remaining_seconds == Some(300)));
    let ten = BlockFilter { vlan: Some("10".into()), ..BlockFilter::default() };
    assert_eq!(lab.handle.clear_blocks(&peer(), ten).unwrap().count, 1);
    let left = lab.handle.list_blocks(BlockFilter::default()).unwrap();
    assert_eq!((left.total, &left.blocks[0].vlan[..]), (1, &[20][..]));
    let lab = lab.killed(moment(1, 200, 5_100), "");
    let left = lab.handle.list_blocks(BlockFilter::default()).unwrap();
    assert_eq!(left.blocks[0].remaining_seconds, Some(200), "the moved end was kept");
}
