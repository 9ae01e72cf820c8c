//! The shipped file against the reader, and mistakes against their remedies.

#![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn parse(text: &str) -> Result<Loaded, Diagnostics> {
    Config::parse(Path::new("p.toml"), text.into())
}

/// The shipped file with its examples and keys that are off switched on.
fn uncommented() -> String {
    SHIPPED
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => rest,
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Whether the text has this key in this section, as `section.key`.
fn documents(text: &str, asked: &str) -> bool {
    fn walk(table: &DeTable<'_>, prefix: &str, found: &mut Vec<String>) {
        use toml::de::DeValue;
        for (key, value) in table.iter() {
            let name = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            match value.get_ref() {
                DeValue::Table(t) => walk(t, &name, found),
                DeValue::Array(a) => {
                    for item in a.iter() {
                        if let DeValue::Table(t) = item.get_ref() {
                            walk(t, &name, found);
                        }
                    }
                }
                _ => {}
            }
            found.push(name);
        }
    }
    let mut found = Vec::new();
    walk(DeTable::parse(text).unwrap().get_ref(), "", &mut found);
    found.iter().any(|name| name == asked)
}

#[test]
fn the_shipped_file_says_the_defaults() {
    let loaded = parse(SHIPPED).unwrap_or_else(|e| panic!("{e}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let mut config = loaded.config;
    for row in &mut config.ceiling {
        row.at = 0..0;
    }
    assert_eq!(config, Config::default());
    assert_eq!(parse("").unwrap().config, Config::default());
}

#[test]
fn the_shipped_file_documents_every_key() {
    let text = uncommented();
    let (config, ledger) = read(&text);
    let source = Source::new(Path::new("portcullis.toml"), text.clone());
    let mistakes = source.diagnose(ledger.notes);
    assert!(mistakes.is_empty(), "{mistakes}");
    assert_eq!((config.segments.len(), config.exclusions.len()), (2, 2));
    assert!(ledger.asked.len() > 90);
    for key in &ledger.asked {
        assert!(documents(&text, key), "portcullis.toml says nothing about `{key}`");
    }
}

#[test]
fn every_mistake_is_named_with_its_place_and_remedy() {
    let e = parse(
        "[engine]\nwokers = 2\nmemory = 512\nburst = 0\n\n[[segment]]\nname = \"a b\"\n\
         ports = [\"x\", \"x\"]\ninside = \"y\"\nmode = \"prevnt\"\n\n[attacks]\n\
         block_for = \"1\"\nrule_exclusions = [\"1:2\", \"x\"]\n\
         [blocks]\nprotected = [\"10.0.0.1/8\"]\n",
    )
    .unwrap_err();
    let found: Vec<(usize, usize, &str)> =
        e.iter().map(|d| (d.line, d.column, d.remedy.as_str())).collect();
    assert_eq!(
        found,
        [
            (2, 1, "write `workers`, or remove it"),
            (3, 10, SIZE_REMEDY),
            (4, 9, "write a whole number from 1 to 1024"),
            (7, 8, "write 1 to 64 letters, digits, `-`, `_` or `.`"),
            (8, 9, "name two different ports"),
            (10, 8, "write \"prevent\" (one of \"prevent\", \"monitor\")"),
            (13, 13, DURATION_REMEDY),
            (14, 27, "write gid:sid or gid:sid:rev, such as \"1:2010935\" or \"1:2010935:3\""),
            (16, 14, "bits are set behind the prefix; write 10.0.0.0/8"),
        ]
    );
}

#[test]
fn syntax_errors_do_not_hide_other_mistakes() {
    let e = parse("[engine]\nburst = \nmemory = \"lots\"\nwokers = 1\n").unwrap_err();
    assert!(e.len() >= 3, "{e}");
    assert!(e.iter().any(|d| d.line == 2 && d.message.starts_with("this is no TOML")));
    assert!(e.iter().any(|d| d.line == 4));
}

#[test]
fn segments_are_checked_as_a_whole() {
    let ok = parse(
        "[[segment]]\nname = \"lab\"\nports = [\"a0\", \"b0\"]\ninside = \"b0\"\n\
         [[segment]]\nname = \"copy\"\ntap = \"c0\"\nprotected = [\"10.0.0.0/8\"]\n",
    )
    .unwrap();
    let lab = ok.config.segment("lab").unwrap();
    assert_eq!(lab.inside, Some(portcullis_types::PortSide::B));
    assert_eq!((lab.mode, lab.id.0), (Mode::Prevent, 0));
    let copy = ok.config.segment("copy").unwrap();
    assert_eq!((copy.mode, copy.is_inline(), copy.id.0), (Mode::Monitor, false, 1));

    for (text, part) in [
        ("[[segment]]\nname = \"a\"\n", "has no `ports`"),
        ("[[segment]]\nname = \"a\"\nports = [\"x\"]\ninside = \"x\"", "`ports` names 1"),
        ("[[segment]]\nname = \"a\"\nports = [\"x\", \"y\"]", "what it protects"),
        ("[[segment]]\nname = \"a\"\nports = [\"x\", \"y\"]\ninside = \"z\"", "no port of this"),
        ("[[segment]]\nname = \"a\"\nports = [\"x\", \"y\"]\ntap = \"z\"", "not both"),
        ("[[segment]]\nname = \"a\"\ntap = \"x\"\nmode = \"prevent\"", "cannot prevent"),
        ("[[segment]]\nname = \"a\"\ntap = \"x\"\ninside = \"x\"", "says nothing about a tap"),
        ("[[segment]]\nname = \"a\"\ntap = \"much-too-long-a-name\"", "not understood"),
        ("[[segment]]\ntap = \"x\"\nprotected = [\"::/0\"]", "has no `name`"),
        ("segment = 1", "`segment` is a whole number"),
    ] {
        let e = parse(text).unwrap_err().to_string();
        assert!(e.contains(part), "{text}\n{e}");
    }
    let twin = "[[segment]]\nname = \"a\"\ntap = \"x\"\nprotected = [\"::/0\"]\n".repeat(2);
    let e = parse(&twin).unwrap_err().to_string();
    assert!(e.contains("two segments are called `a`") && e.contains("port `x` belongs"), "{e}");
}

#[test]
fn sections_are_checked_as_a_whole() {
    for (text, part) in [
        ("[flow]\nmemory = \"900MiB\"\n[engine]\nmemory = \"512MiB\"", "more than engine.memory"),
        ("[metrics]\nlisten = \"0.0.0.0:9918\"", "can be reached from elsewhere"),
        ("[[ceiling]]\ngid = 1", "either `at_most` or `raise`"),
        ("[[exclusion]]\nsource = \"10.0.0.1\"", "needs a source and an action"),
        ("[[exclusion]]\nrow = \"a\"\nvlan = 1", "not both"),
        ("[engine]\nworkers = 3\ncpus = [0, 1]", "3 workers for 2 cores"),
        ("[engine]\nstate_dir = \"var\"", "write the whole path"),
        ("[activity]\nblock_for = \"32769m\"", "out of range"),
        ("[plugins.grant]\nx = 1", "a section: [plugins.grant.x]"),
        ("[plugins.grant.x]\ncapabilities = [\"fly\"]", "write one of: bit"),
        ("[events]\ntypes = [\"alrt\"]", "write \"alert\""),
    ] {
        let e = parse(text).unwrap_err().to_string();
        assert!(e.contains(part), "{text}\n{e}");
    }
    assert!(parse("ceiling = []").unwrap().config.ceiling.is_empty());
}

#[test]
fn values_with_units_arrive() {
    let c = parse(
        "[attacks]\nblock_for = \"1h30m\"\naction = \"terminate\"\n[engine]\nmemory = \"2GiB\"\n\
         workers = 4\n[blocks]\nescalation = [1, 4, 24]\n[control]\nuids = [1000]\n\
         [plugins.grant.x]\nmemory = \"32MiB\"\nmax_action = \"ignore\"\ncapabilities = []\n",
    )
    .unwrap()
    .config;
    assert_eq!(c.attacks.block_for, Duration::from_secs(5400));
    assert_eq!(c.attacks.action, portcullis_types::Action::Terminate);
    assert_eq!((c.engine.memory, c.engine.workers), (2 << 30, Some(4)));
    assert_eq!(c.blocks.escalation, [1, 4, 24]);
    let grant = c.plugins.grant("x");
    assert_eq!((grant.memory, grant.max_action), (32 << 20, portcullis_types::Action::Report));
    assert_eq!(grant.capabilities, Some(vec![]));
    assert_eq!(c.plugins.grant("y").memory, 16 << 20);
    assert_eq!(c.socket_path(), Path::new("/run/portcullis/control.sock"));
}

#[test]
fn a_file_that_is_not_there_is_said() {
    let e = Config::load(Path::new("/nowhere/p.toml")).unwrap_err().to_string();
    assert!(e.contains("/nowhere/p.toml") && e.contains("cannot be read"), "{e}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    /// The shipped file with a piece cut out: nearly TOML, in every way.
    #[test]
    fn no_torn_file_panics(start in 0..SHIPPED.len(), len in 0usize..400) {
        let text = uncommented();
        let cut: String = text
            .char_indices()
            .filter(|(i, _)| !(start..start + len).contains(i))
            .map(|(_, c)| c)
            .collect();
        match parse(&cut) {
            Ok(loaded) => prop_assert!(!loaded.warnings.has_errors()),
            Err(e) => prop_assert!(e.has_errors() && !e.to_string().is_empty()),
        }
    }
}
