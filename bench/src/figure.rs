//! Medians of interleaved rounds.

/// The middle value; the mean of the two middle ones for an even count; NaN for none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    match (n, n % 2) {
        (0, _) => f64::NAN,
        (_, 1) => sorted[n / 2],
        _ => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Two things measured in turn: A B A B …
#[derive(Debug, Default)]
pub struct Rounds {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Rounds {
    /// Notes one round's two figures.
    pub fn note(&mut self, ours: f64, theirs: f64) {
        self.ours.push(ours);
        self.theirs.push(theirs);
    }

    /// Medians of each, and the median of the rounds' own ratios ours / theirs.
    pub fn summary(&self) -> (f64, f64, f64) {
        let ratios: Vec<f64> = self.ours.iter().zip(&self.theirs).map(|(a, b)| a / b).collect();
        (median(&self.ours), median(&self.theirs), median(&ratios))
    }
}

/// What a figure has to be.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Wanted {
    /// Prints the figure with its threshold and the word `PASS` or `SHORT`.
    pub fn judge(self, what: &str, figure: f64) {
        let (word, limit, good) = match self {
            Wanted::AtLeast(limit) => ("at least", limit, figure >= limit),
            Wanted::AtMost(limit) => ("at most", limit, figure <= limit),
        };
        let verdict = if good { "PASS" } else { "SHORT" };
        println!("{verdict} {what}: {figure:.3} ({word} {limit} wanted)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        let mut rounds = Rounds::default();
        rounds.note(2.0, 1.0);
        rounds.note(9.0, 3.0);
        rounds.note(4.0, 2.0);
        assert_eq!(rounds.summary(), (4.0, 2.0, 2.0));
    }
}
