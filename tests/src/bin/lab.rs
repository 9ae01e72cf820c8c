//! The lab as a command, for `scripts/demo`.

use std::process::ExitCode;

use portcullis_tests::demo::Stage;
use portcullis_tests::engine::Engine;
use portcullis_tests::lab;
use portcullis_tests::requirement::{self, Readiness};

const USAGE: &str = "usage: lab demo              tell the story, then take everything away
       lab keep FILE         tell the story, write FILE when it is over, and stay
       lab sweep PID         take away what process PID left";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["demo"] => demo(|_, _| ()),
        ["keep", file] => demo(|stage, engine| stay(stage, engine, file)),
        ["sweep", pid] => sweep(pid),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn demo(afterwards: impl FnOnce(&Stage, &Engine<'_>)) -> ExitCode {
    if requirement::lab() == Readiness::Skip || requirement::engine() == Readiness::Skip {
        return ExitCode::FAILURE;
    }
    let stage = Stage::build();
    let (broken, engine) = stage.tell();
    afterwards(&stage, &engine);
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says how to go on, then waits to be killed; `lab sweep` takes away what is left.
fn stay(stage: &Stage, engine: &Engine<'_>, file: &str) {
    println!("\n{}", stage.invitation(engine));
    std::fs::write(file, "").unwrap_or_else(|e| panic!("cannot write {file}: {e}"));
    loop {
        std::thread::park();
    }
}

fn sweep(pid: &str) -> ExitCode {
    let Ok(pid) = pid.parse() else {
        eprintln!("lab: `{pid}` is no process id");
        return ExitCode::from(2);
    };
    for name in lab::sweep_owner(pid) {
        println!("removed {name}");
    }
    ExitCode::SUCCESS
}
