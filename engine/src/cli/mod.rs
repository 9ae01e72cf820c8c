//! The command line: what can be asked for, with which words, and how it is explained.
//!
//! Plain values only. `remote` carries out the verbs that speak to a running engine; `run`,
//! `replay`, `rules`, `check`, `explain` and `doctor` are the binary's.

mod arguments;
mod orders;
pub(crate) mod remote;
mod rules;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use arguments::{
    CheckArgs, CompletionArgs, DoctorArgs, ExplainArgs, ReplayArgs, Replayed, RunArgs, VlanArg,
};
pub(crate) use orders::{BlocksVerb, ExclusionsVerb, ModeArgs, PluginVerb};
pub(crate) use rules::{
    CostOrder, RulesCheck, RulesCompile, RulesInfo, RulesProfile, RulesSwap, RulesTexts, RulesVerb,
    SetSid,
};
pub(crate) use table::{Table, printable};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use portcullis_control::config::CONFIG_FILE;
use std::path::{Path, PathBuf};

const AFTER_HELP: &str = "\
Examples:
  portcullis check -c portcullis.toml        every mistake, with its line and what to write
  portcullis run                             the engine, live, as /etc/portcullis says
  portcullis replay attack.pcap              what the engine would have done with a capture
  portcullis blocks list --vlan 10           who is blocked in VLAN 10, why, and until when
  portcullis blocks remove 192.0.2.7 --grace 30m
  portcullis explain --source 192.0.2.7 --vlan 10
  portcullis rules check et.rules            what of it loads, and why the rest does not

Exit codes: 0 done, 1 failed, 2 wrong use.
Signals: SIGHUP reads the configuration again and reopens logs, SIGUSR2 reloads rules and plugins,
SIGTERM ends gracefully.";

/// Portcullis, a network intrusion-prevention engine with sandboxed detectors.
#[derive(Parser, Clone, Debug)]
#[command(name = "portcullis", version, propagate_version = true, after_help = AFTER_HELP)]
#[command(max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// The configuration [default: /etc/portcullis/portcullis.toml].
    #[arg(short, long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// How to print the answer.
    #[arg(short, long, global = true, value_name = "FORM", default_value = "table")]
    pub(crate) output: Output,
    /// The control socket of the running engine [default: as the configuration says].
    #[arg(long, global = true, value_name = "PATH", hide_short_help = true)]
    pub(crate) socket: Option<PathBuf>,
}

impl Cli {
    /// The configuration that was named, or the one of this machine.
    pub(crate) fn config_path(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new(CONFIG_FILE))
    }

    /// Prints the completion script of a shell.
    pub(crate) fn print_completion(arguments: &CompletionArgs, out: &mut impl std::io::Write) {
        clap_complete::generate(arguments.shell, &mut Cli::command(), "portcullis", out);
    }
}

/// How an answer is printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs: one JSON value.
    Json,
}

/// What to do.
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum Verb {
    /// Run the engine, live.
    Run(RunArgs),
    /// Run the same engine over captures, on the captures' own clock.
    Replay(ReplayArgs),
    /// Read the configuration and all that it names, and list every mistake.
    Check(CheckArgs),
    /// Read rules in Suricata's language: check, compile, look into, measure, swap them.
    #[command(subcommand)]
    Rules(RulesVerb),
    /// Say which exclusion, class and action decide about an address, and why.
    Explain(ExplainArgs),
    /// Show and change the blocked list of the running engine.
    #[command(subcommand)]
    Blocks(BlocksVerb),
    /// Show and change the exclusions of the running engine; kept across restarts.
    #[command(subcommand)]
    Exclusions(ExclusionsVerb),
    /// Have a segment act or only watch, from now on.
    Mode(ModeArgs),
    /// Show and replace the detectors of the running engine.
    #[command(subcommand)]
    Plugin(PluginVerb),
    /// Show how the running engine is.
    Status,
    /// Print the running engine's figures as Prometheus text.
    Metrics,
    /// Have the running engine read its configuration again (as SIGHUP does).
    Reload,
    /// End the running engine gracefully (as SIGTERM does).
    Shutdown,
    /// Say what this machine, its kernel and its ports can do and what must be changed.
    Doctor(DoctorArgs),
    /// Print a completion script.
    Completion(CompletionArgs),
}
