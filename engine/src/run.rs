//! `run`: the engine, live. (wired in the next commit)
use crate::cli::{Cli, RunArgs};
pub(crate) fn run(_: &Cli, _: &RunArgs) -> anyhow::Result<()> {
    anyhow::bail!("not in this build")
}
