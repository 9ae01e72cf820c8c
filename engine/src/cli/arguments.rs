//! The verbs that work without a running engine, and the values that several verbs take.

use clap::{Args, ValueHint};
use portcullis_control::config::{parse_duration, write_duration};
use portcullis_types::{Addr, Prefix, RuleId, VlanStack};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// `run`
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RunArgs {
    /// Forward frames without looking at them: rings and kernel program alone, for measuring.
    #[arg(long, hide = true)]
    pub(crate) bare: bool,
}

const REPLAY_EXAMPLES: &str = "\
Examples:
  portcullis replay morning.pcap noon.pcap.zst          two captures, one timeline
  portcullis replay --each --blocks blocks.json *.pcap  each on its own, all blocks in one file
  portcullis replay --workers 4 --eve eve.json big.pcapng.gz
  portcullis replay --rules et.rules --var HOME_NET=10.0.0.0/8 --eve - morning.pcap

The output is the same, byte for byte, whatever the number of workers. Without -c the shipped
defaults hold. Without --protected nothing counts as inside, so every offender may be blocked.";

/// What a replay is of, and with what: shared by all verbs that replay.
#[derive(Args, Clone, Debug)]
pub(crate) struct Replayed {
    /// pcap or pcapng, also .gz and .zst; several are one timeline, in this order.
    #[arg(value_name = "PCAP", required = true, value_hint = ValueHint::FilePath)]
    pub(crate) captures: Vec<PathBuf>,
    /// Suricata-language rules: a file, or a folder of *.rules; may be repeated. They take the
    /// place of the configuration's. A single compiled set is recognised.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) rules: Vec<PathBuf>,
    /// A set that `rules compile` made, instead of texts: it loads at once.
    #[arg(long, value_name = "SET", value_hint = ValueHint::FilePath, conflicts_with = "rules")]
    pub(crate) rules_compiled: Option<PathBuf>,
    /// What a name in the rules means, such as HOME_NET=10.0.0.0/8 or HTTP_PORTS=80,8080; may be
    /// repeated.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) vars: Vec<String>,
    /// Load the detectors of this directory instead of the configuration's.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) plugins: Option<PathBuf>,
    /// Networks that are protected, instead of the configuration's; may be repeated.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) protected: Vec<Prefix>,
}

/// `replay`
#[derive(Args, Clone, Debug)]
#[command(after_help = REPLAY_EXAMPLES)]
pub(crate) struct ReplayArgs {
    /// Of what, and with what.
    #[command(flatten)]
    pub(crate) of: Replayed,
    /// Write events (EVE JSON) to this file; `-` is standard output, and the summary then goes to
    /// standard error.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) eve: Option<PathBuf>,
    /// Write every block that was made to this file, as a JSON array; `-` is standard output.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) blocks: Option<PathBuf>,
    /// How many workers share the work.
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=128))]
    pub(crate) workers: u16,
    /// Give every capture a fresh state and its own clock, and stamp its name on events and blocks.
    #[arg(long)]
    pub(crate) each: bool,
    /// No progress bar.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// `check`
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  portcullis check                     the configuration of this machine
  portcullis check -c new.toml -o json mistakes as a JSON array, for an editor or a pipeline

Exit code 1 where there is a mistake; warnings alone are no failure.")]
pub(crate) struct CheckArgs {
    /// Print the shipped configuration, which documents every key, and end.
    #[arg(long)]
    pub(crate) print_shipped: bool,
}

/// `explain`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis explain --source 192.0.2.7 --vlan 10
  portcullis explain --source 192.0.2.7 --segment dmz --rule 1:2010935:3
  portcullis explain --source 192.0.2.7 --running   asks the engine: run-time exclusions count")]
pub(crate) struct ExplainArgs {
    /// The address that is asked about.
    #[arg(long, value_name = "IP")]
    pub(crate) source: Addr,
    /// The place: `untagged`, a VLAN, or several from the outermost in, such as 10.20.
    #[arg(long, value_name = "VLAN", default_value = "untagged")]
    pub(crate) vlan: VlanArg,
    /// The segment; may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    pub(crate) segment: Option<String>,
    /// Whom it talks to.
    #[arg(long, value_name = "IP")]
    pub(crate) destination: Option<Addr>,
    /// tcp, udp, icmp or a number.
    #[arg(long, value_name = "NAME")]
    pub(crate) protocol: Option<String>,
    /// The destination port.
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// A rule: gid:sid:rev.
    #[arg(long, value_name = "ID")]
    pub(crate) rule: Option<RuleId>,
    /// Ask the running engine instead of reading the configuration.
    #[arg(long)]
    pub(crate) running: bool,
}

/// `doctor`
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  portcullis doctor                    every port that the configuration names
  portcullis doctor enp1s0f0 enp1s0f1  these two")]
pub(crate) struct DoctorArgs {
    /// The ports to look at.
    #[arg(value_name = "PORT")]
    pub(crate) ports: Vec<String>,
}

/// `completion`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis completion bash > /usr/share/bash-completion/completions/portcullis
  portcullis completion fish > ~/.config/fish/completions/portcullis.fish")]
pub(crate) struct CompletionArgs {
    /// For which shell.
    pub(crate) shell: clap_complete::Shell,
}

/// `NAME=VALUE`, as a variable of the rules is set.
pub(crate) fn variable(text: &str) -> Result<String, &'static str> {
    const WANT: &str = "write NAME=VALUE, such as HOME_NET=10.0.0.0/8 or HTTP_PORTS=80";
    let (name, value) = text.split_once('=').ok_or(WANT)?;
    let name = name.strip_prefix('$').unwrap_or(name);
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_good = !name.is_empty() && name.bytes().all(fits) && !value.trim().is_empty();
    if is_good { Ok(text.to_owned()) } else { Err(WANT) }
}

/// A place as people write it: `untagged` (or `0`), `10`, `10.20` with the outermost first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct VlanArg(pub(crate) VlanStack);

impl VlanArg {
    /// The VIDs, outermost first.
    pub(crate) fn vids(self) -> Vec<u16> {
        self.0.to_vec()
    }
}

impl FromStr for VlanArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANT: &str = "write untagged, a VLAN from 1 to 4095, or up to three such as 10.20, the outermost first";
        if text == "untagged" || text == "0" {
            return Ok(VlanArg(VlanStack::UNTAGGED));
        }
        let vid = |t: &str| match t.parse::<u16>() {
            Ok(n) if n > 0 && !t.starts_with('+') => Ok(n),
            _ => Err(WANT),
        };
        let vids: Vec<u16> = text.split('.').map(vid).collect::<Result<_, _>>()?;
        VlanStack::from_vids(&vids).map(VlanArg).ok_or(WANT)
    }
}

impl fmt::Display for VlanArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A duration as people write it: `30m`, `1h30m`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DurationArg(pub(crate) Duration);

impl DurationArg {
    /// Whole seconds, rounded up: a short wish is never lost.
    pub(crate) fn seconds(self) -> u64 {
        self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0)
    }
}

impl FromStr for DurationArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_duration(text).map(DurationArg)
    }
}

impl fmt::Display for DurationArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write_duration(self.0))
    }
}
