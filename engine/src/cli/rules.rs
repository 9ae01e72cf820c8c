//! `rules …`: what can be asked about rules in Suricata's language. Must never know a keyword.

use super::arguments::{Replayed, variable};
use clap::{Args, Subcommand, ValueEnum, ValueHint};
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
    /// Say what each rule costs on captures: how often it is tried, how often it matches, how long
    /// that takes, and which literal has it tried.
    Profile(RulesProfile),
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

/// `rules profile`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis rules profile --rules et.rules --var HOME_NET=10.0.0.0/8 monday.pcap
  portcullis rules profile --rules-compiled rules.prs --sort checks --top 20 *.pcap
  portcullis rules profile --rules local.rules day.pcap -o json | jq '.rules[] | select(.hits == 0)'

A check is one rule tried on one packet, piece of a stream or message of a transaction, from its
header on; a hit is one that matched, told or not. LITERAL is what had the rule tried, and where it
was found; a rule without one is tried on every event of its kind, or by its addresses. TIME is this
machine's, and SHARE that of all rules. FUEL (of one check) is what the sandbox counts: about an
instruction a unit, and the same on every run. Any detector that says which rule it tries is in the
table, whoever made it. What its time beyond rules is (candidates, reading events) stands below.")]
pub(crate) struct RulesProfile {
    /// Of what, and with what.
    #[command(flatten)]
    pub(crate) of: Replayed,
    /// What the dearest rule has most of.
    #[arg(long, value_name = "COST", default_value = "time")]
    pub(crate) sort: CostOrder,
    /// How often the captures are gone through: of each time the least counts, so that what
    /// interrupts one round is not taken for a rule's.
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) rounds: u16,
    /// How many rules are listed, from the dearest on; 0 lists all that were tried.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) top: usize,
}

/// By what costs are put in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum CostOrder {
    /// All time.
    Time,
    /// Time of one check, in the mean.
    Mean,
    /// The longest check.
    Max,
    /// All fuel: as time, but the same on every run.
    Fuel,
    /// Checks.
    Checks,
    /// Matches.
    Hits,
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
