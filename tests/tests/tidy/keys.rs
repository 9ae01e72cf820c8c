//! Configuration: what is accepted is used. A key that is parsed, documented and read by nobody
//! promises what the engine does not do.

use crate::rust_text::{identifiers, without_comments};
use crate::tree::{SourceFile, source_files};

/// Where the configuration is parsed, and where it is put to use.
const PARSED: &str = "engine/control/src/config/";
const MISTAKES: &str = "/diagnostics.rs";
const USED: [&str; 2] = ["engine/src/", "engine/control/src/"];
/// Not those: what is read from the wire has fields of the same names.
const OF_THE_WIRE: [&str; 3] = ["/eve/dns.rs", "/eve/records.rs", "/eve/sessions.rs"];
/// Fields that the parser itself acts on or hands on under another name, with what it does.
/// A name that ends with a dot is all of a struct's.
const USED_IN_PARSING: [(&str, &str); 3] = [
    ("Decode.", "`Decode::limits` hands them to the decoders in their own words"),
    ("Metrics.allow_remote", "an address that others reach is refused without it"),
    ("ExclusionRow.parts", "`ExclusionRow::row` makes a row of it"),
];

/// Fields of the configuration that nobody reads.
pub(crate) fn complaints() -> Vec<String> {
    let is_test = |file: &SourceFile| file.path.contains("/tests");
    let files = || source_files().iter().filter(|file| file.has_extension("rs") && !is_test(file));
    let users: Vec<&SourceFile> = files()
        .filter(|f| USED.iter().any(|of| f.path.starts_with(of)))
        .filter(|f| !f.path.starts_with(PARSED))
        .filter(|f| !OF_THE_WIRE.iter().any(|of| f.path.ends_with(of)))
        .collect();
    // How mistakes are told is no key.
    let is_parser = |f: &&SourceFile| f.path.starts_with(PARSED) && !f.path.ends_with(MISTAKES);
    let fields: Vec<Field> = files().filter(is_parser).flat_map(fields_of).collect();
    if fields.len() < 100 {
        return vec![format!("{} fields of the configuration found; {PARSED}?", fields.len())];
    }
    let is_read = |field: &Field| {
        let is_known = |name: &str| {
            field.name == name || (name.ends_with('.') && field.name.starts_with(name))
        };
        let known = USED_IN_PARSING.iter().any(|(name, _)| is_known(name));
        known || users.iter().any(|file| reads(&file.text, field.key()))
    };
    let unread = fields.iter().filter(|field| !is_read(field));
    let advice = "nobody outside the parser reads it: use it, or refuse the key";
    unread.map(|field| format!("{}: {}: {advice}", field.path, field.name)).collect()
}

/// A public field of a public struct.
struct Field {
    path: String,
    /// With its struct's name.
    name: String,
}

impl Field {
    fn key(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or_default()
    }
}

fn fields_of(file: &SourceFile) -> Vec<Field> {
    let mut owner = None;
    let mut fields = Vec::new();
    for line in file.text.lines() {
        if let Some(rest) = line.strip_prefix("pub struct ") {
            owner = identifiers(rest).next();
        } else if line.starts_with('}') {
            owner = None;
        }
        let field = line.strip_prefix("    pub ").and_then(|rest| rest.split_once(": "));
        if let (Some(owner), Some((key, _))) = (owner, field) {
            fields.push(Field { path: file.path.clone(), name: format!("{owner}.{key}") });
        }
    }
    fields
}

/// Whether the field is taken from something, outside the file's own tests.
fn reads(text: &str, key: &str) -> bool {
    let text = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
    let needle = format!(".{key}");
    without_comments(text).any(|(_, line)| {
        line.match_indices(&needle).any(|(at, _)| {
            let behind = line[at + needle.len()..].chars().next();
            !behind.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '(')
        })
    })
}

#[test]
fn a_field_is_read_where_it_stands_behind_a_dot() {
    assert!(reads("let user = &config.engine.user;", "user"));
    assert!(reads("config.engine.user.is_empty()", "user"));
    assert!(!reads("a.username; user; b.user(); // c.user", "user"));
    assert!(!reads("#[cfg(test)]\nmod tests {\n    a.user;\n}", "user"));
}
