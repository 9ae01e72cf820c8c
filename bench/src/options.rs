//! The words of a bench's command line: `--name value` pairs, each with a default.

use anyhow::{Context, Result, bail};
use std::str::FromStr;

/// What was given. Every bench asks for what it knows; what is left is a mistake.
#[derive(Debug)]
pub struct Options {
    given: Vec<(String, String)>,
}

impl Options {
    /// Reads the process's arguments.
    ///
    /// # Errors
    /// A word is no `--name`, or the last one has no value.
    pub fn read() -> Result<Options> {
        let mut given = Vec::new();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                bail!("{word}: write --name value; the names are at the top of the source");
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
            Some((name, _)) => bail!("--{name} is not known; see the top of the source"),
        }
    }
}
