//! The words of a bench's command line: `--name value` pairs, each with a default.

use anyhow::{Context, Result, bail};
use std::str::FromStr;

/// What was given. Every bench asks for what it knows; what is left is a mistake.
#[derive(Debug)]
pub struct Options {
    given: Vec<(String, String)>,
}

impl Options {
    /// Reads the process's arguments. Where they ask for help, what stands at the top of `source`
    /// is printed, the bench's own text, and the process ends.
    ///
    /// # Errors
    /// A word is no `--name`, or the last one has no value.
    pub fn read(source: &str) -> Result<Options> {
        let mut given = Vec::new();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            if matches!(word.as_str(), "--help" | "-h") {
                println!("{}", top_of(source));
                std::process::exit(0);
            }
            let Some(name) = word.strip_prefix("--") else {
                bail!("{word}: write --name value; --help says the names");
            };
            let value = words.next().with_context(|| format!("{word} wants a value"))?;
            given.push((name.to_owned(), value));
        }
        Ok(Options { given })
    }

    /// The value of `--name`, or the default.
    ///
    /// # Errors
    /// The value cannot be read.
    pub fn take<T>(&mut self, name: &str, default: T) -> Result<T>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        match self.given.iter().position(|(given, _)| given == name) {
            None => Ok(default),
            Some(at) => {
                let (_, value) = self.given.remove(at);
                value.parse().with_context(|| format!("--{name} {value}"))
            }
        }
    }

    /// Says that all names have been asked for.
    ///
    /// # Errors
    /// Something else was given.
    pub fn end(self) -> Result<()> {
        match self.given.first() {
            None => Ok(()),
            Some((name, _)) => bail!("--{name} is not known; --help says the names"),
        }
    }
}

/// The text that a source begins with.
fn top_of(source: &str) -> String {
    let text = source.lines().map_while(|line| line.strip_prefix("//!"));
    text.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::top_of;

    #[test]
    fn help_is_what_the_source_begins_with() {
        assert_eq!(top_of("//! One.\n//!\n//! Two.\nuse it;\n//! Three."), "One.\n\nTwo.");
    }
}
