//! What a configuration names beside itself and an engine reads when it starts: rules, detectors,
//! the user that it runs as.
//! Read for `check`, and let go. This file must never know what a rule or a detector says.

use crate::account::Account;
use crate::config::{Config, Diagnostic, Diagnostics, Level, Loaded};
use crate::plugins::{PluginFiles, PluginSet, PluginSetup};
use crate::rules::Rules;
use portcullis_rules_db::{RefusalKind, Refused};
use std::path::Path;

/// Rules that are named one by one; those beyond are counted.
const REFUSED_MAX: usize = 50;

/// Whatever an engine with this configuration would refuse, leave out or miss.
pub fn examine(loaded: &Loaded) -> Diagnostics {
    let (config, file) = (&loaded.config, Path::new(loaded.source.file()));
    let mut found = Diagnostics::new();
    if !config.engine.user.is_empty()
        && let Err(error) = Account::named(&config.engine.user)
    {
        found.push(sentence(file, Level::Error, &error, "name another user"));
    }
    let rules = match Rules::load_with_refused(&config.rules) {
        Ok(None) => None,
        Ok(Some((rules, refused))) => {
            left_out(&refused, file, &mut found);
            Some(rules)
        }
        Err(error) => {
            found.push(sentence(file, Level::Error, &error, "mend it, or name another in [rules]"));
            None
        }
    };
    detectors(config, file, rules.as_ref(), &mut found);
    found
}

/// Rules that do not load stop nothing.
fn left_out(refused: &[Refused], file: &Path, found: &mut Diagnostics) {
    let mut wrong = refused.iter().filter(|r| r.kind != RefusalKind::NotRequired);
    for rule in wrong.by_ref().take(REFUSED_MAX) {
        let place = (rule.line as usize, rule.column as usize);
        let message = format!("rule {} is left out: {}", rule.sid, rule.reason);
        let of = Path::new(&rule.file);
        found.push(Diagnostic::at_line(of, place, Level::Warning, message, &rule.remedy));
    }
    let more = wrong.count();
    if more > 0 {
        let message = format!("{more} rules more are left out");
        let remedy = "see `portcullis rules check`";
        found.push(Diagnostic::of_file(file, Level::Warning, message, remedy));
    }
}

fn detectors(config: &Config, file: &Path, rules: Option<&Rules>, found: &mut Diagnostics) {
    let directory = &config.plugins.dir;
    // Where a configuration is only looked at, what is installed elsewhere is missing.
    if !directory.exists() {
        let message = format!("there is no plugin directory {} here", directory.display());
        let remedy = "install the detectors, or set plugins.dir: no engine starts without it";
        return found.push(Diagnostic::of_file(file, Level::Warning, message, remedy));
    }
    let files = PluginFiles::Directory(directory.clone());
    let setup = PluginSetup { posts: 1, spares: 0, seed: [0; 2] };
    match PluginSet::load(&files, &config.plugins, rules, setup) {
        Ok(set) if set.plugins().is_empty() => {
            let message = format!("no detector is loaded from {}", directory.display());
            let remedy = "nothing will be detected: name the folder of the *.wasm files";
            found.push(Diagnostic::of_file(file, Level::Warning, message, remedy));
        }
        Ok(_) => {}
        Err(error) => {
            found.push(sentence(file, Level::Error, &error, "mend it, or take it away"));
        }
    }
}

/// An error that says, behind its last semicolon, what to do.
fn sentence(file: &Path, level: Level, error: &dyn std::fmt::Display, else_do: &str) -> Diagnostic {
    let text = error.to_string();
    let (message, remedy) = text.rsplit_once("; ").unwrap_or((&text, else_do));
    Diagnostic::of_file(file, level, message, remedy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails here has said why")]

    use super::*;
    use crate::plugins::tests::directory;
    use std::fs;

    fn said(configuration: &str) -> Vec<(Level, String)> {
        let path = Path::new("p.toml");
        let loaded = Config::parse(path, configuration.into()).unwrap();
        examine(&loaded).iter().map(|d| (d.level, d.to_string())).collect()
    }

    #[test]
    fn what_a_start_would_refuse_or_leave_out_is_named() {
        let dir = directory(&[("a.wasm", "ape", "1.0.0", "flow")]);
        let at = |name: &str| dir.path().join(name).display().to_string();
        let plugins = format!("[plugins]\ndir = \"{}\"\n", dir.path().display());
        let with = |rules: &str| said(&format!("{plugins}[rules]\n{rules}\n"));
        assert_eq!(with(""), []);
        let user = said(&format!("[engine]\nuser = \"no-such-user\"\n{plugins}"));
        assert!(user.len() == 1 && user[0].0 == Level::Error, "{user:?}");
        assert!(user[0].1.contains("`no-such-user`") && user[0].1.contains("useradd"), "{user:?}");
        let nowhere = with(&format!("files = [\"{}\"]", at("nowhere.rules")));
        assert_eq!(nowhere.len(), 1);
        assert!(nowhere[0].0 == Level::Error && nowhere[0].1.contains("nowhere.rules"));
        let good = "alert tcp any any -> any any (msg:\"x\"; sid:1;)\n";
        fs::write(at("a.rules"), format!("{good}alert tcp any any -> any any (bog; sid:2;)\n"))
            .unwrap();
        let one = with(&format!("files = [\"{}\"]", at("a.rules")));
        assert!(one.len() == 1 && one[0].0 == Level::Warning, "{one:?}");
        assert!(one[0].1.contains("a.rules:2:") && one[0].1.contains("rule 2"), "{one:?}");
        let torn = with(&format!("compiled = \"{}\"", at("a.rules")));
        assert!(torn.len() == 1 && torn[0].0 == Level::Error, "{torn:?}");
        let bad: String = (1..=60).map(|n| format!("alert tcp (sid:{n};)\n")).collect();
        fs::write(at("a.rules"), bad).unwrap();
        let many = with(&format!("files = [\"{}\"]", at("a.rules")));
        assert!(many.len() == 51 && many[50].1.contains("10 rules more"), "{many:?}");
        fs::write(at("b.wasm"), "nonsense").unwrap();
        let refused = with("");
        assert!(refused[0].0 == Level::Error && refused[0].1.contains("b.wasm"), "{refused:?}");
        let none = said("[plugins]\ndir = \"/nowhere\"\n");
        assert!(none[0].0 == Level::Warning && none[0].1.contains("/nowhere"), "{none:?}");
    }
}
