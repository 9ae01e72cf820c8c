//! The same rules over the same captures, here and in Suricata 7: which (capture, sid) pairs both
//! have, which only one of them has, and what the rules of those have in common.
//!
//! It knows both engines only as programs; it must never link engine code. Method: Suricata loads
//! the rules once and is handed each capture over its command socket, with a state of its own; its
//! answers are kept in a file, since they do not change. Ours replays all captures with `--each`.
//! Both with the same meaning of `$HOME_NET`, neither minding checksums, neither acting. Thresholds
//! of the peer outlive a capture in its socket mode, so that a rule that counts may be missing of
//! its answer. Pairs of what a later version reads are set apart by the marks in `later`, and
//! listed.

mod captures;
mod ours;
mod peer;
mod rules;
mod table;

use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// One rule that alerted in one capture.
type Pairs = BTreeSet<(String, u64)>;

const USAGE: &str = "\
Usage: rules-against-suricata --corpus DIR --rules DIR [--engine PATH] [--plugins DIR]
                              [--suricata PATH] [--answers FILE] [--kinds LIST] [--midstream]
                              [--manifest] [--ours FILE] [--home NETWORKS]
  --answers    where the peer's answers are kept, made where it is not there
  --kinds      kinds of captures of the manifest, with commas; all but suricata-verify
  --midstream  both read conversations met in the middle
  --manifest   the peer's answers of the corpus' manifest instead of asking it
  --ours       an event file of an earlier replay instead of a new one
  --home       what $HOME_NET is; $EXTERNAL_NET is the rest, or any where that is any (default)
Defaults: target/dist/bin/portcullis, target/dist/plugins, suricata, target/peer-answers.tsv";

/// Pairs of protocols in question that must agree, in per mille of either side.
const TARGET: usize = 970;

/// The command line.
struct Options {
    corpus: PathBuf,
    rules: PathBuf,
    engine: PathBuf,
    plugins: PathBuf,
    suricata: PathBuf,
    answers: PathBuf,
    events: Option<PathBuf>,
    kinds: Vec<String>,
    home: String,
    midstream: bool,
    manifest: bool,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            corpus: PathBuf::new(),
            rules: PathBuf::new(),
            engine: "target/dist/bin/portcullis".into(),
            plugins: "target/dist/plugins".into(),
            suricata: "suricata".into(),
            answers: "target/peer-answers.tsv".into(),
            events: None,
            kinds: Vec::new(),
            home: "any".to_owned(),
            midstream: false,
            manifest: false,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--midstream" => options.midstream = true,
                "--manifest" => options.manifest = true,
                _ => {
                    let value = words.next().with_context(|| format!("{word}?\n{USAGE}"))?;
                    match word.as_str() {
                        "--corpus" => options.corpus = value.into(),
                        "--rules" => options.rules = value.into(),
                        "--engine" => options.engine = value.into(),
                        "--plugins" => options.plugins = value.into(),
                        "--suricata" => options.suricata = value.into(),
                        "--answers" => options.answers = value.into(),
                        "--ours" => options.events = Some(value.into()),
                        "--home" => options.home = value,
                        "--kinds" => {
                            options.kinds = value.split(',').map(str::to_owned).collect();
                        }
                        _ => bail!("{word} is not known\n{USAGE}"),
                    }
                }
            }
        }
        if options.corpus.as_os_str().is_empty() || options.rules.as_os_str().is_empty() {
            bail!("--corpus and --rules are needed\n{USAGE}");
        }
        options.corpus = options.corpus.canonicalize().context("--corpus")?;
        options.rules = options.rules.canonicalize().context("--rules")?;
        Ok(options)
    }

    /// What `$EXTERNAL_NET` is.
    fn external(&self) -> &'static str {
        if self.home == "any" { "any" } else { "!$HOME_NET" }
    }
}

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    let rows = captures::rows(&options)?;
    let files: Vec<&str> = rows.iter().map(|row| row.file.as_str()).collect();
    let rules = rules::read(&options.rules)?;
    println!("{} captures, {} rules", rows.len(), rules.len());
    let peer = match options.manifest {
        true => peer::Answers {
            pairs: rows.iter().flat_map(captures::Row::pairs).collect(),
            ..Default::default()
        },
        false => peer::answers(&options, &files)?,
    };
    let ours = ours::answers(&options, &files)?;
    table::print_sums("all pairs", &ours, &peer.pairs);
    let apart = |pair: &(String, u64)| later(&rules, &rows, &peer, pair);
    table::print_apart(&ours, &peer.pairs, apart);
    let counted = |pairs: &Pairs| -> Pairs {
        pairs.iter().filter(|pair| apart(pair).is_none()).cloned().collect()
    };
    let (ours, theirs) = (counted(&ours), counted(&peer.pairs));
    let agreed = table::print_sums("pairs that count", &ours, &theirs);
    table::print_disagreements(&rules, &ours, &theirs);
    let word = if agreed >= TARGET { "reached" } else { "MISSED" };
    println!("agreement {agreed} per mille, at least {TARGET} both ways wanted: {word}");
    Ok(())
}

/// Why a pair is not counted, whichever side has it; by marks that others have made, never by
/// looking at who is right.
fn later(
    rules: &BTreeMap<u64, rules::Rule>,
    rows: &[captures::Row],
    peer: &peer::Answers,
    pair: &(String, u64),
) -> Option<&'static str> {
    let (file, sid) = pair;
    if rules.get(sid).is_some_and(|rule| !rule.is_in_question()) {
        return Some("the rule's header names a protocol that is read later");
    }
    if peer.tunnelled.contains(pair) {
        return Some("the peer saw it inside a tunnel only");
    }
    let row = rows.iter().find(|row| row.file == *file)?;
    if row.is_unread {
        return Some("the peer cannot read the capture's link type, by its manifest");
    }
    row.is_labelled.then_some("the capture has MPLS labels, by its manifest")
}
