//! Our matcher and Vectorscan find the same.
#![cfg(feature = "vectorscan")]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use portcullis_matcher::{Builder, Case, Hit, Limits, Literal, LiteralSearch, Matcher, Vectorscan};
use proptest::prelude::*;
use std::path::Path;

fn both(literals: &[(Vec<u8>, Case)]) -> (Matcher, Vectorscan) {
    let all = || {
        literals.iter().zip(0..).map(|((bytes, nocase), id)| Literal {
            id,
            bytes,
            nocase: *nocase,
            group: id % 2,
        })
    };
    let mut builder = Builder::new(Limits::default());
    all().for_each(|literal| builder.add(literal).unwrap());
    (builder.build(), Vectorscan::new(all()).unwrap())
}

fn hits(search: &mut impl LiteralSearch, bytes: &[u8], from: usize) -> Vec<Vec<Hit>> {
    let of = |group| {
        let mut hits = Vec::new();
        search.search(group, bytes, from, &mut |hit| hits.push(hit));
        hits.sort_unstable();
        hits
    };
    (0..3).map(of).collect()
}

fn case() -> impl Strategy<Value = Case> {
    prop_oneof![Just(Case::Sensitive), Just(Case::Insensitive)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn random_literals_are_found_alike(
        literals in prop::collection::vec(
            (prop::collection::vec(0x3e..0x64_u8, 1..12), case()),
            1..40,
        ),
        bytes in prop::collection::vec(0x3e..0x64_u8, 0..400),
        from in 0..50_usize,
    ) {
        let (matcher, mut vectorscan) = both(&literals);
        let ours = hits(&mut &matcher, &bytes, from);
        prop_assert_eq!(ours, hits(&mut vectorscan, &bytes, from));
    }
}

/// Contents of the published rules beside the repository, as they are written without bars.
fn published() -> Option<Vec<(Vec<u8>, Case)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/rules");
    let folder = std::env::var_os("PORTCULLIS_RULES").map_or(root, Into::into);
    let file = folder.join("et-open-2024-04-21/emerging-malware.rules");
    let text = String::from_utf8_lossy(&std::fs::read(file).ok()?).into_owned();
    let mut all = Vec::new();
    for rest in text.split("content:\"").skip(1) {
        let Some((content, behind)) = rest.split_once('"') else { continue };
        if content.is_empty() || content.contains(['|', '\\']) {
            continue;
        }
        let nocase = behind.split("content:").next().unwrap().contains("nocase");
        let case = if nocase { Case::Insensitive } else { Case::Sensitive };
        all.push((content.as_bytes().to_vec(), case));
    }
    Some(all)
}

#[test]
fn published_literals_are_found_alike() {
    let Some(literals) = published() else {
        println!("skipped: no rules beside the repository");
        return;
    };
    assert!(literals.len() > 5_000, "{} contents", literals.len());
    let (matcher, mut vectorscan) = both(&literals);
    // Each literal once, next to others: whole, in the other case, and with its last byte gone.
    let text: Vec<u8> = literals
        .iter()
        .flat_map(|(l, _)| [&l[..], &l.to_ascii_uppercase(), &l[..l.len() - 1]].concat())
        .collect();
    let mut found = 0;
    for piece in text.chunks(8_192) {
        let ours = hits(&mut &matcher, piece, 0);
        found += ours.iter().map(Vec::len).sum::<usize>();
        assert_eq!(ours, hits(&mut vectorscan, piece, 0));
    }
    assert!(found > literals.len(), "{found} hits");
}
