//! Sets of whole numbers as sorted, disjoint, not adjacent, inclusive ranges.

/// A whole number that ranges are made of.
pub(crate) trait Whole: Ord + Copy {
    /// Zero.
    const LEAST: Self;
    /// All bits set.
    const MOST: Self;
    /// One more; `None` at the end.
    fn next(self) -> Option<Self>;
    /// One less; `None` at zero.
    fn before(self) -> Option<Self>;
}

macro_rules! whole {
    ($($t:ty),+) => {$(
        impl Whole for $t {
            const LEAST: Self = 0;
            const MOST: Self = <$t>::MAX;
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn before(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )+};
}
whole!(u16, u32, u128);

/// Sorts and joins.
pub(crate) fn normal<T: Whole>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    ranges.retain(|r| r.0 <= r.1);
    ranges.sort_unstable();
    let mut out: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        match out.last_mut() {
            Some(last) if last.1.next().is_none_or(|n| low <= n) => last.1 = last.1.max(high),
            _ => out.push((low, high)),
        }
    }
    out
}

/// What is in `from` and not in `taken`; both normal.
pub(crate) fn minus<T: Whole>(from: &[(T, T)], taken: &[(T, T)]) -> Vec<(T, T)> {
    let mut out = Vec::new();
    let mut first = 0;
    for &(low, high) in from {
        while taken.get(first).is_some_and(|t| t.1 < low) {
            first += 1;
        }
        let mut start = Some(low);
        for t in taken.get(first..).unwrap_or_default() {
            let Some(at) = start else { break };
            if t.0 > high {
                break;
            }
            if let Some(end) = t.0.before().filter(|end| *end >= at) {
                out.push((at, end));
            }
            start = t.1.next().filter(|n| *n <= high).map(|n| n.max(at));
        }
        if let Some(at) = start.filter(|at| *at <= high) {
            out.push((at, high));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn minus_is_what_it_says(
            a in proptest::collection::vec((0u16..300, 0u16..300), 0..6),
            b in proptest::collection::vec((0u16..300, 0u16..300), 0..6),
        ) {
            let (a, b) = (normal(a), normal(b));
            let out = minus(&a, &b);
            prop_assert_eq!(&normal(out.clone()), &out);
            let has = |set: &[(u16, u16)], n| set.iter().any(|r| r.0 <= n && n <= r.1);
            for n in 0..300 {
                prop_assert_eq!(has(&out, n), has(&a, n) && !has(&b, n));
            }
        }
    }

    #[test]
    fn whole_space_and_its_ends() {
        assert_eq!(minus(&[(0u16, 65535)], &[(0, 0), (65535, 65535)]), [(1, 65534)]);
        assert_eq!(minus(&[(0u16, 65535)], &[(0, 65535)]), []);
        assert_eq!(normal(vec![(5u16, 6), (7, 65535), (1, 2)]), [(1, 2), (5, 65535)]);
    }
}
