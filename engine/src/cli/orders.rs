//! The verbs that speak to a running engine.

use super::arguments::{DurationArg, VlanArg};
use clap::{Args, Subcommand, ValueHint};
use portcullis_types::Prefix;
use std::path::PathBuf;

/// `blocks …`
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum BlocksVerb {
    /// List blocks in force.
    List(BlocksList),
    /// Show all that is known of the blocks of one source.
    Show(BlocksShow),
    /// Block a source by hand.
    Add(BlocksAdd),
    /// Lift the blocks of one or several sources.
    Remove(BlocksRemove),
    /// Lengthen or shorten the blocks of a source.
    Extend(BlocksExtend),
    /// Lift every block, or every one that a filter fits.
    Clear(BlocksClear),
}

/// Which blocks are meant; what is not given fits any.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct BlockWords {
    /// Only of this segment.
    #[arg(long, value_name = "NAME")]
    pub(crate) segment: Option<String>,
    /// Only in this place: `untagged`, a VLAN, or several such as 10.20.
    #[arg(long, value_name = "VLAN")]
    pub(crate) vlan: Option<VlanArg>,
    /// Only of this class: attack or activity.
    #[arg(long, value_name = "CLASS", value_parser = ["attack", "activity"])]
    pub(crate) class: Option<String>,
    /// Only by this rule: gid:sid or gid:sid:rev.
    #[arg(long, value_name = "ID")]
    pub(crate) rule: Option<String>,
    /// Only by this detector.
    #[arg(long, value_name = "NAME")]
    pub(crate) detector: Option<String>,
    /// Only sources within this network.
    #[arg(long, value_name = "NETWORK")]
    pub(crate) source: Option<Prefix>,
}

/// `blocks list`
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  portcullis blocks list
  portcullis blocks list --vlan 10 --class attack
  portcullis blocks list --source 192.0.2.0/24 -o json")]
pub(crate) struct BlocksList {
    /// Which.
    #[command(flatten)]
    pub(crate) which: BlockWords,
    /// At most this many.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Skip this many.
    #[arg(long, value_name = "N")]
    pub(crate) offset: Option<u64>,
}

/// The blocks of one source: in every place, or in one.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct InPlace {
    /// Only in this segment.
    #[arg(long, value_name = "NAME")]
    pub(crate) segment: Option<String>,
    /// Only in this place: `untagged`, a VLAN, or several such as 10.20.
    #[arg(long, value_name = "VLAN")]
    pub(crate) vlan: Option<VlanArg>,
}

/// `blocks show`
#[derive(Args, Clone, Debug)]
pub(crate) struct BlocksShow {
    /// An address, or a network as it is blocked.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Prefix,
    /// Where.
    #[command(flatten)]
    pub(crate) place: InPlace,
}

/// `blocks add`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis blocks add 192.0.2.7 --vlan 10 --for 2h --message \"ticket 4711\"
  portcullis blocks add 2001:db8:0:7::/64 --segment dmz --until-lifted")]
pub(crate) struct BlocksAdd {
    /// An address, or an IPv6 network of /64 or longer.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Prefix,
    /// The place: `untagged`, a VLAN, or several such as 10.20.
    #[arg(long, value_name = "VLAN", default_value = "untagged")]
    pub(crate) vlan: VlanArg,
    /// The segment; may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    pub(crate) segment: Option<String>,
    /// How long [default: as [attacks] block_for says].
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "until_lifted")]
    pub(crate) duration: Option<DurationArg>,
    /// Until somebody lifts it.
    #[arg(long)]
    pub(crate) until_lifted: bool,
    /// One line that says why, for the list and the events.
    #[arg(long, short, value_name = "TEXT", default_value = "blocked by hand")]
    pub(crate) message: String,
}

/// `blocks remove`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis blocks remove 192.0.2.7                   in every segment and VLAN
  portcullis blocks remove 192.0.2.7 --vlan 10         there only
  portcullis blocks remove 192.0.2.7 --grace 30m       not again for half an hour
  portcullis blocks remove 192.0.2.7 --exclude do-not-block")]
pub(crate) struct BlocksRemove {
    /// Addresses, or networks as they are blocked.
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<Prefix>,
    /// Where.
    #[command(flatten)]
    pub(crate) place: InPlace,
    /// Do not block them again for this long.
    #[arg(long, value_name = "DURATION", conflicts_with = "exclude")]
    pub(crate) grace: Option<DurationArg>,
    /// Add an exclusion for each, with this action, at the place where it was blocked.
    #[arg(long, value_name = "ACTION",
          value_parser = ["do-not-block", "do-not-scan", "ignore", "terminate"])]
    pub(crate) exclude: Option<String>,
}

/// `blocks extend`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis blocks extend 192.0.2.7 --by 1h           an hour longer
  portcullis blocks extend 192.0.2.7 --less 10m        ten minutes shorter
  portcullis blocks extend 192.0.2.7 --to 5m           ends in five minutes")]
pub(crate) struct BlocksExtend {
    /// An address, or a network as it is blocked.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Prefix,
    /// Where.
    #[command(flatten)]
    pub(crate) place: InPlace,
    /// How its end changes.
    #[command(flatten)]
    pub(crate) change: EndWords,
}

/// How a block's end changes; exactly one of them.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct EndWords {
    /// Longer by this.
    #[arg(long, value_name = "DURATION")]
    pub(crate) by: Option<DurationArg>,
    /// Shorter by this.
    #[arg(long, value_name = "DURATION")]
    pub(crate) less: Option<DurationArg>,
    /// This long from now.
    #[arg(long, value_name = "DURATION")]
    pub(crate) to: Option<DurationArg>,
}

/// `blocks clear`
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = "\
Examples:
  portcullis blocks clear --all
  portcullis blocks clear --detector port-scan --vlan 10")]
pub(crate) struct BlocksClear {
    /// Which.
    #[command(flatten)]
    pub(crate) which: BlockWords,
    /// Really every block.
    #[arg(long)]
    pub(crate) all: bool,
}

/// `exclusions …`
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum ExclusionsVerb {
    /// List exclusions in the order in which they are tried.
    List,
    /// Add an exclusion behind those that there are; frees the blocks that it fits.
    #[command(after_help = "\
Examples:
  portcullis exclusions add 192.0.2.7 vlan 10 do-not-block
  portcullis exclusions add 192.0.2.0/24 novlan ignore expires 2030-01-01T00:00:00Z
  portcullis exclusions add 192.0.2.7 terminate-and-block for 10m")]
    Add {
        /// The row: <source> [novlan | vlan N] [clauses] <action>.
        #[arg(value_name = "ROW", required = true, num_args = 1..)]
        row: Vec<String>,
    },
    /// Take away an exclusion that was added at run time.
    Remove {
        /// The row, as the list shows it.
        #[arg(value_name = "ROW", required = true, num_args = 1..)]
        row: Vec<String>,
    },
    /// Say which row decides about an address.
    #[command(after_help = "\
Examples:
  portcullis exclusions test --source 192.0.2.7 --vlan 10
  portcullis exclusions test --source 192.0.2.7 --running   rows added at run time count")]
    Test(super::ExplainArgs),
}

/// `mode`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  portcullis mode dmz monitor    watch only; events say what would have been done
  portcullis mode dmz prevent    act")]
pub(crate) struct ModeArgs {
    /// The segment's name.
    #[arg(value_name = "SEGMENT")]
    pub(crate) segment: String,
    /// prevent or monitor.
    #[arg(value_parser = ["prevent", "monitor"])]
    pub(crate) mode: String,
}

/// `plugin …`
#[derive(Subcommand, Clone, Debug)]
pub(crate) enum PluginVerb {
    /// List detectors with their state and figures.
    List,
    /// Show one detector with its rules.
    Info {
        /// Its name, as the list shows it.
        name: String,
    },
    /// Load a detector, or put it in the place of the running one with its name, without losing a
    /// packet.
    Swap {
        /// The .wasm file.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}
