//! `rules …`: what can be asked about rules in Suricata's language. Must never know a keyword.

use super::arguments::variable;
use clap::{Args, Subcommand, ValueHint};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// `rules …`
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum RulesVerb {
    /// Say what of the rules loads, and of each other rule where and why it does not.
    Check(RulesCheck),
    /// Make one file of rules that an engine maps and loads at once.
    Compile(RulesCompile),
    /// Print the shipped table of classes, offenders and ceilings, which explains itself.
    Policy,
    /// Look into a compiled set, or at one of its rules.
    Info(RulesInfo),
    /// Put other rules in the place of those that the running engine has, while traffic flows.
    Swap(RulesSwap),
}

/// The texts that rules are read from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RulesTexts {
    /// Files of rules, and folders of which every *.rules is read, in this order.
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) files: Vec<PathBuf>,
    /// What a name in the rules means, such as HOME_NET=10.0.0.0/8 or HTTP_PORTS=80,8080; may be
    /// repeated.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) vars: Vec<String>,
    /// Fail (exit code 1) where any rule is refused.
    #[arg(long)]
    pub(crate) strict: bool,
}

/// `rules check`
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  portcullis rules check /etc/suricata/rules
  portcullis rules check et.rules --var HOME_NET=10.0.0.0/8 --strict
  portcullis rules check et.rules -o json | jq '.refused[] | select(.kind == \"unsupported\")'

Each refused rule is a line: FILE:LINE:COLUMN, its sid, the keyword at fault, the reason, and what
to write instead. With -c the variables and tables of [rules] there hold; --var goes over them.
Exit codes: 0 done, 1 a rule was refused and --strict was given, or a file cannot be read.")]
pub(crate) struct RulesCheck {
    /// The rules.
    #[command(flatten)]
    pub(crate) texts: RulesTexts,
    /// Also say how many rules have each keyword, and how many are refused because of it.
    #[arg(long)]
    pub(crate) keywords: bool,
}

/// `rules compile`
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  portcullis rules compile /etc/suricata/rules -O /var/lib/portcullis/rules.prs
  portcullis rules compile et.rules -O rules.prs --unmatchable --var HOME_NET=10.0.0.0/8

Name the file in [rules] compiled, or give it to `replay --rules-compiled`. The same rules give the
same bytes. The file is replaced as a whole, so an engine that has the old one mapped goes on with
it until `portcullis rules swap` or a reload. Rules that are refused are left out: see
`rules check`.")]
pub(crate) struct RulesCompile {
    /// The rules.
    #[command(flatten)]
    pub(crate) texts: RulesTexts,
    /// Where the compiled set is written.
    #[arg(short = 'O', long, value_name = "SET", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,
    /// List the rules that load and can never match on this engine, with what they ask for.
    #[arg(long)]
    pub(crate) unmatchable: bool,
}

/// `rules info`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis rules info rules.prs             whether it is whole, and what is in it
  portcullis rules info rules.prs 2010935     one rule: class, severity, what it may do, to whom
  portcullis rules info rules.prs 3:19187 -o json")]
pub(crate) struct RulesInfo {
    /// A set that `rules compile` made.
    #[arg(value_name = "SET", value_hint = ValueHint::FilePath)]
    pub(crate) set: PathBuf,
    /// A rule: its sid, or gid:sid where the generator is not 1.
    #[arg(value_name = "SID")]
    pub(crate) rule: Option<SetSid>,
}

/// `rules swap`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis rules swap                       read again what [rules] names
  portcullis rules swap rules.prs             another compiled set
  portcullis rules swap et.rules -o json      a file of rules, with the variables of [rules]

A file that is named holds until the next reload or restart; those take what [rules] names. What is
no rule, a file that cannot be read and a torn set are refused, and the rules that run stay. Bits,
counts and thresholds are kept, by the names and sids that they belong to.")]
pub(crate) struct RulesSwap {
    /// A set that `rules compile` made, or a file of rules [default: what [rules] names].
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
}

/// A rule of a set: `sid` or `gid:sid`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SetSid {
    /// Generator.
    pub(crate) gid: u32,
    /// Number.
    pub(crate) sid: u32,
}

impl FromStr for SetSid {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (gid, sid) = text.split_once(':').unwrap_or(("1", text));
        match (gid.parse(), sid.parse()) {
            (Ok(gid), Ok(sid)) => Ok(SetSid { gid, sid }),
            _ => Err("write a sid such as 2010935, or gid:sid such as 3:19187"),
        }
    }
}

impl fmt::Display for SetSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.gid, self.sid)
    }
}
