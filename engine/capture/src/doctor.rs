//! What the `doctor` verb tells: facts about a port and about this machine, each with what it means
//! for protection and the line that mends it. Only reads; it must never change anything.

mod host;
mod port;

pub use host::examine_host;
pub use port::examine_port;

/// What a fact means for protection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Good,
    /// Works, but not as fast, or not as safely, as it could.
    Notice,
    /// Frames will be lost or broken, or the engine cannot start.
    Bad,
}

/// One thing found out.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Fact {
    /// What was looked at, e.g. `driver`.
    pub name: &'static str,
    /// What it is, e.g. `veth`.
    pub value: String,
    /// What that means.
    pub verdict: Health,
    /// The line that mends it, or the reason to; nothing where all is well.
    pub remedy: Option<String>,
}

impl Fact {
    fn good(name: &'static str, value: impl Into<String>) -> Fact {
        Fact { name, value: value.into(), verdict: Health::Good, remedy: None }
    }

    fn notice(name: &'static str, value: impl Into<String>, remedy: impl Into<String>) -> Fact {
        let remedy = Some(remedy.into());
        Fact { name, value: value.into(), verdict: Health::Notice, remedy }
    }

    fn bad(name: &'static str, value: impl Into<String>, remedy: impl Into<String>) -> Fact {
        let remedy = Some(remedy.into());
        Fact { name, value: value.into(), verdict: Health::Bad, remedy }
    }
}

/// All that was found out about one thing.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Examination {
    /// The port's name, or `host`.
    pub subject: String,
    /// In the order of importance to a reader.
    pub facts: Vec<Fact>,
}

impl Examination {
    /// The worst of its facts.
    pub fn verdict(&self) -> Health {
        self.facts.iter().map(|fact| fact.verdict).max().unwrap_or(Health::Good)
    }

    /// The fact of this name.
    pub fn fact(&self, name: &str) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.name == name)
    }
}
