//! Families of samples, and their two forms.

use crate::eve::Line;
use std::fmt::Write;

/// What a family's numbers do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They come and go.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
}

/// One number with its labels.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// What stands behind the family's name: `_bucket`, `_sum`, `_count`, mostly nothing.
    pub suffix: &'static str,
    /// Labels and their values.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub value: f64,
}

/// All samples of one name.
#[derive(Clone, PartialEq, Debug)]
pub struct Family {
    /// The name.
    pub name: String,
    /// One line for people.
    pub help: String,
    /// What its numbers do.
    pub kind: Kind,
    /// The numbers.
    pub samples: Vec<Sample>,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// Prometheus' text; families without samples are left out.
pub(super) fn text(families: &[Family]) -> String {
    let mut out = String::with_capacity(1 << 16);
    for family in families.iter().filter(|f| !f.samples.is_empty()) {
        let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(out, "# HELP {} {help}", family.name);
        let _ = writeln!(out, "# TYPE {} {}", family.name, family.kind.name());
        for sample in &family.samples {
            out.push_str(&family.name);
            out.push_str(sample.suffix);
            for (at, (label, value)) in sample.labels.iter().enumerate() {
                let open = if at == 0 { '{' } else { ',' };
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                let _ = write!(out, "{open}{label}=\"{value}\"");
            }
            out.push_str(if sample.labels.is_empty() { "" } else { "}" });
            let _ = writeln!(out, " {}", sample.value);
        }
    }
    out
}

/// `{"name": [{"labels": {…}, "value": n}, …], …}`
pub(super) fn json(families: &[Family]) -> String {
    let mut line = Line::new();
    let mut root = line.object();
    for family in families.iter().filter(|f| !f.samples.is_empty()) {
        let mut list = root.list(&family.name);
        for sample in &family.samples {
            let mut object = list.object();
            if !sample.suffix.is_empty() {
                object.text("of", sample.suffix.trim_start_matches('_'));
            }
            let mut labels = object.object("labels");
            for (label, value) in &sample.labels {
                labels.text(label, value);
            }
            drop(labels);
            object.fraction("value", sample.value);
        }
    }
    drop(root);
    line.as_str().to_owned()
}
