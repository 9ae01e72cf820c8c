//! `portcullis`: the command line and the daemon's start. Everything else is in the crates below.

mod ask;
mod cli;
mod pages;
mod ports;
mod privileges;
mod profile;
mod promise;
mod replay;
mod rules;
mod run;
mod street;
mod threads;
mod way_back;

use clap::Parser;
use cli::{Cli, Verb};
use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static PAGES: pages::Pages = pages::Pages::new();

fn main() -> ExitCode {
    PAGES.keep_big_apart();
    let cli = Cli::parse();
    let mut out = std::io::stdout().lock();
    let done = match &cli.verb {
        Verb::Replay(arguments) => replay::replay(&cli, arguments, &mut out),
        Verb::Run(arguments) => {
            drop(out);
            PAGES.use_huge();
            return ended(run::run(&cli, arguments));
        }
        Verb::Check(arguments) => ask::check(&cli, arguments, &mut out),
        Verb::Rules(verb) => rules::carry_out(&cli, verb, &mut out),
        Verb::Doctor(arguments) => ask::doctor(&cli, arguments, &mut out),
        Verb::Completion(arguments) => {
            Cli::print_completion(arguments, &mut out);
            Ok(())
        }
        Verb::Explain(question) if !question.running => ask::explain(&cli, question, &mut out),
        _ => cli::remote::carry_out(&cli, &mut out).unwrap_or(Ok(())),
    };
    let flushed = out.flush();
    ended(done.and_then(|()| Ok(flushed?)))
}

/// 0 done, 1 failed; clap itself ends with 2 for wrong use.
fn ended(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads our output has gone away: not our failure.
        Err(e) if is_closed_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("portcullis: {}", told(&e));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes. Some of our errors tell their cause themselves, amid a remedy; those
/// causes are not told twice.
fn told(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        let plain = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        // JSON's errors hide the error beneath them.
        plain.or_else(|| cause.downcast_ref::<serde_json::Error>()?.io_error_kind())
    };
    error.chain().filter_map(kind).any(|kind| kind == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn causes_are_told_once() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let plain = anyhow::Error::new(missing).context("cannot read x.pcap");
        assert_eq!(told(&plain), "cannot read x.pcap: entity not found");
        let itself = plain.context("cannot read x.pcap: entity not found; name another");
        assert_eq!(told(&itself), "cannot read x.pcap: entity not found; name another");
    }
}
