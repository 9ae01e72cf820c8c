//! How the demonstration speaks: headings, claims that were tried, figures; colours on a terminal.
//!
//! Must never know: what is demonstrated.

use std::io::IsTerminal;
use std::time::Instant;

/// A story on the terminal. It remembers which of its claims did not hold.
#[derive(Debug)]
pub struct Story {
    began: Instant,
    colours: Colours,
    chapter: u32,
    broken: Vec<String>,
}

/// The escape sequences in use; all empty where nobody would see colours.
#[derive(Debug, Clone, Copy)]
struct Colours {
    heading: &'static str,
    good: &'static str,
    bad: &'static str,
    faint: &'static str,
    end: &'static str,
}

const COLOURED: Colours = Colours {
    heading: "\x1b[1;36m",
    good: "\x1b[32m",
    bad: "\x1b[1;31m",
    faint: "\x1b[2m",
    end: "\x1b[0m",
};
const COLOURLESS: Colours = Colours { heading: "", good: "", bad: "", faint: "", end: "" };

impl Story {
    /// Begins; colours only on a terminal and where `NO_COLOR` is not set.
    #[must_use]
    pub fn begin() -> Story {
        let is_seen = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let colours = if is_seen { COLOURED } else { COLOURLESS };
        Story { began: Instant::now(), colours, chapter: 0, broken: Vec::new() }
    }

    /// Opens a chapter.
    pub fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        let Colours { heading, faint, end, .. } = self.colours;
        let at = self.began.elapsed().as_secs_f64();
        println!("\n{heading}{}. {title}{end}  {faint}{at:.1} s{end}", self.chapter);
    }

    /// Says something.
    pub fn say(&self, text: &str) {
        for line in text.lines() {
            println!("   {line}");
        }
    }

    /// Shows a command or its output, faintly.
    pub fn show(&self, text: &str) {
        let Colours { faint, end, .. } = self.colours;
        for line in text.lines() {
            println!("     {faint}{line}{end}");
        }
    }

    /// States something that has just been tried.
    pub fn claim(&mut self, claim: &str, held: bool) {
        let Colours { good, bad, end, .. } = self.colours;
        if held {
            println!("   {good}✓{end} {claim}");
        } else {
            println!("   {bad}✗ {claim}: it is not so{end}");
            self.broken.push(claim.to_owned());
        }
    }

    /// States a figure.
    pub fn figure(&self, name: &str, value: &str) {
        println!("   {name:<76} {value:>14}");
    }

    /// Ends; the claims that did not hold.
    #[must_use]
    pub fn end(self) -> Vec<String> {
        let Colours { good, bad, end, .. } = self.colours;
        let took = self.began.elapsed().as_secs_f64();
        match self.broken.len() {
            0 => println!("\n{good}Everything above was tried just now, in {took:.0} s.{end}"),
            n => println!("\n{bad}{n} of the claims above did not hold.{end}"),
        }
        self.broken
    }
}
