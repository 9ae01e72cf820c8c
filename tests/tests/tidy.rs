//! The house rules that no compiler knows: floors, sizes, words, cases, promises.
//!
//! Each failure names the place and says what to do instead. To see one rule alone:
//! `cargo test --release -p portcullis-tests --test tidy RULE`.

#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/keys.rs"]
mod keys;
#[path = "tidy/promises.rs"]
mod promises;
#[path = "tidy/rust_text.rs"]
mod rust_text;
#[path = "tidy/tree.rs"]
mod tree;

use rust_text::{functions, identifiers, without_comments};
use tree::{SourceFile, source_files};

/// Columns of a line of code, script or configuration.
const LINE_WIDTH_MAX: usize = 100;
/// Lines of a file. A ratchet: 150 to 400 are wanted, and this number only ever goes down.
const FILE_LINES_MAX: usize = 600;
/// Lines of a function, signature and closing brace included: one screen.
const FUNCTION_LINES_MAX: usize = 70;
/// Functions longer than that, with their length. A ratchet: numbers here only ever go down.
const LONG_FUNCTIONS: [(&str, &str, usize); 0] = [];
/// Parts of names that say nothing, and crates of others that have them in their names.
const EMPTY_WORDS: [&str; 6] = ["util", "utils", "helper", "helpers", "manager", "mgr"];
const FOREIGN_NAMES: [&str; 4] = ["futures_util", "http_body_util", "hyper_util", "tokio_util"];
/// Macros that stand for work not done.
const UNDONE: [&str; 3] = ["todo!", "unimplemented!", "dbg!"];

/// Fails with all complaints at once.
fn assert_none(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}:\n  {}\n", complaints.join("\n  "));
}

fn complaints_of(check: impl Fn(&SourceFile) -> Vec<String>) -> Vec<String> {
    source_files().iter().flat_map(check).collect()
}

#[test]
fn lines_fit_on_a_screen() {
    let complaints = complaints_of(|file| {
        let is_written_long = file.path.ends_with("Cargo.toml");
        if is_written_long || !file.is_code() && !file.has_extension("toml") {
            return Vec::new();
        }
        file.lines_that(|line| rust_text::width(line) > LINE_WIDTH_MAX)
            .map(|(number, line)| {
                let width = rust_text::width(line);
                format!("{}:{number}: {width} columns; break it before {LINE_WIDTH_MAX}", file.path)
            })
            .collect()
    });
    assert_none("line width", &complaints);
}

#[test]
fn files_are_not_books() {
    let complaints = complaints_of(|file| {
        let lines = file.text.lines().count();
        if lines <= FILE_LINES_MAX || !file.is_code() {
            return Vec::new();
        }
        vec![format!("{}: {lines} lines; split it along the nouns it holds", file.path)]
    });
    assert_none("file length", &complaints);
}

#[test]
fn functions_fit_on_a_screen() {
    let complaints = complaints_of(|file| {
        if !file.has_extension("rs") {
            return Vec::new();
        }
        let is_too_long = |name: &str, lines: usize| {
            let known = LONG_FUNCTIONS
                .iter()
                .find(|(path, function, _)| *path == file.path && *function == name);
            lines > known.map_or(FUNCTION_LINES_MAX, |(_, _, allowed)| *allowed)
        };
        functions(&file.text)
            .into_iter()
            .filter(|f| is_too_long(&f.name, f.lines))
            .map(|f| {
                let advice = "let it keep the control flow and move computing out";
                format!("{}:{}: `{}` has {} lines; {advice}", file.path, f.at, f.name, f.lines)
            })
            .collect()
    });
    assert_none(&format!("functions above {FUNCTION_LINES_MAX} lines"), &complaints);
}

#[test]
fn names_are_nouns_of_the_domain() {
    let complaints = complaints_of(|file| {
        if !file.has_extension("rs") || file.path.starts_with("tests/tests/tidy") {
            return Vec::new();
        }
        let mut complaints = Vec::new();
        let stem = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        if stem == "common" || EMPTY_WORDS.contains(&stem) {
            complaints.push(format!("{}: name the file after what it holds", file.path));
        }
        for (number, line) in without_comments(&file.text) {
            let line = line.replace("util::syntax", "");
            for name in identifiers(&line).filter(|name| !FOREIGN_NAMES.contains(name)) {
                if rust_text::parts(name).any(|part| EMPTY_WORDS.contains(&part.as_str())) {
                    let advice = "name it after what it is";
                    complaints.push(format!("{}:{number}: `{name}`: {advice}", file.path));
                }
            }
            // `get_mut` is what the standard library calls it, too.
            if line.contains("fn get_") && !line.contains("fn get_mut") {
                let advice = "drop the `get_`";
                complaints.push(format!("{}:{number}: {advice}: {}", file.path, line.trim()));
            }
        }
        complaints
    });
    assert_none("empty words in names", &complaints);
}

#[test]
fn nothing_is_left_undone() {
    let complaints = complaints_of(|file| {
        if !file.has_extension("rs") || file.path.starts_with("tests/tests/tidy") {
            return Vec::new();
        }
        without_comments(&file.text)
            .filter(|(_, line)| UNDONE.iter().any(|undone| line.contains(undone)))
            .map(|(number, line)| {
                let advice = "do it, or return an error that says it is not there";
                format!("{}:{number}: {advice}: {}", file.path, line.trim())
            })
            .collect()
    });
    assert_none("undone work", &complaints);
}

#[test]
fn a_file_opens_with_what_it_is() {
    let complaints = complaints_of(|file| {
        let opens = file.text.lines().find(|line| !line.starts_with("#!")).unwrap_or_default();
        let sign = match file.path.rsplit('.').next() {
            Some("rs") if file.path.ends_with("tests.rs") => return Vec::new(),
            Some("rs") => "//!",
            Some("c" | "h") => "//",
            _ if file.path.starts_with("scripts/") || file.path.starts_with(".ci/") => "#",
            _ => return Vec::new(),
        };
        if opens.starts_with(sign) {
            return Vec::new();
        }
        vec![format!("{}: open it with `{sign}` and what it is, and must never know", file.path)]
    });
    assert_none("opening lines", &complaints);
}

#[test]
fn no_file_is_unused() {
    let files = source_files();
    let mut complaints = Vec::new();
    for file in files {
        if let Some(name) = tree::module_name(&file.path) {
            let in_quotes = format!("\"{}\"", file.path.rsplit('/').next().unwrap_or_default());
            let declared = files.iter().any(|parent| {
                // Either `mod name;`, or `#[path = "name.rs"]` above another name.
                parent.is_parent_module_of(file)
                    && without_comments(&parent.text).any(|(_, line)| declares(&line, &name))
                    || parent.is_beside(file) && parent.text.contains(&in_quotes)
            });
            if !declared {
                complaints.push(format!("{}: no `mod {name};`; add it or delete it", file.path));
            }
        }
        let is_named_elsewhere = |name: &str| {
            files.iter().any(|other| other.path != file.path && other.text.contains(name))
        };
        let name = file.path.rsplit('/').next().unwrap_or_default();
        let must_be_named = file.path.starts_with("scripts/") || file.has_extension("c");
        if must_be_named && !is_named_elsewhere(name) {
            complaints.push(format!("{}: nothing names it; use it or delete it", file.path));
        }
    }
    assert_none("unused files", &complaints);
}

fn declares(line: &str, module: &str) -> bool {
    line.trim_end()
        .strip_suffix(';')
        .and_then(|line| line.strip_suffix(module))
        .is_some_and(|line| line.ends_with("mod "))
}

#[test]
fn no_file_names_a_machine() {
    let complaints = complaints_of(|file| {
        if file.path.starts_with("tests/tests/tidy") {
            return Vec::new();
        }
        file.lines_that(|line| line.contains("/work/") || line.contains("/home/"))
            .map(|(number, _)| {
                let advice = "a path of one machine; write it relative to the repository";
                format!("{}:{number}: {advice}", file.path)
            })
            .collect()
    });
    assert_none("paths of machines", &complaints);
}

#[test]
fn every_detector_and_decoder_has_cases() {
    let mut complaints = Vec::new();
    for plugin in tree::folders_in("plugins") {
        let folders =
            ["cases", "tests"].map(|f| tree::files_below(&format!("plugins/{plugin}/{f}")));
        if folders.iter().sum::<usize>() == 0 {
            complaints.push(format!("plugins/{plugin}: put described cases into cases/"));
        }
    }
    let decoders: Vec<&SourceFile> =
        source_files().iter().filter(|file| file.path.starts_with("engine/decode/")).collect();
    for file in decoders.iter().filter(|file| file.text.contains("impl Decoder for")) {
        let folder = file.path.trim_end_matches("/mod.rs").trim_end_matches(".rs");
        let stem = folder.rsplit('/').next().unwrap_or(folder);
        let is_tested = |f: &SourceFile| {
            let is_of_it = f.path.starts_with(folder)
                || f.path.starts_with("engine/decode/tests/") && f.text.contains(stem);
            is_of_it && f.text.contains("#[test]")
        };
        if !decoders.iter().any(|f| is_tested(f)) {
            complaints.push(format!("{}: put its cases into {folder}/tests.rs", file.path));
        }
    }
    assert_none("cases", &complaints);
}

#[test]
fn imports_go_down_only() {
    assert_none("floors", &floors::complaints());
}

#[test]
fn the_data_plane_reads_no_clock_and_says_nothing() {
    let complaints = complaints_of(floors::data_plane_complaints);
    assert_none("the data plane", &complaints);
}

#[test]
fn unsafe_code_keeps_to_its_places() {
    let complaints = complaints_of(floors::unsafe_complaints);
    assert_none("unsafe code", &complaints);
}

#[test]
fn every_configuration_key_is_used() {
    assert_none("keys that are parsed and ignored", &keys::complaints());
}

#[test]
fn every_promise_names_its_test() {
    assert_none("SPECIFICATION.md", &promises::complaints());
}
