//! Rules of one event, each once. It must never know why a rule is named.

/// Rules of one event that are compared one by one: most events name fewer, and the table of all
/// rules is read from memory that nothing else keeps near.
const FEW: usize = 24;

/// Which rules an event has named already.
#[derive(Default)]
pub(crate) struct Once {
    /// The event's first rules.
    few: Vec<u32>,
    /// Past those, by rule: the event that named it last.
    named: Vec<u32>,
    event: u32,
}

impl Once {
    /// A new event.
    pub(crate) fn begin(&mut self) {
        self.few.clear();
        self.event = self.event.wrapping_add(1);
        if self.event == 0 {
            self.named.fill(0);
            self.event = 1;
        }
    }

    /// Whether the event names it for the first time; `rules` are all.
    pub(crate) fn is_new(&mut self, rule: u32, rules: u32) -> bool {
        if rule >= rules {
            return true;
        }
        if self.few.contains(&rule) {
            return false;
        }
        if self.few.len() < FEW {
            self.few.push(rule);
            return true;
        }
        if self.named.is_empty() {
            self.named.resize(rules as usize, 0);
        }
        let last = self.named.get_mut(rule as usize);
        last.is_none_or(|event| std::mem::replace(event, self.event) != self.event)
    }
}

#[cfg(test)]
mod tests {
    use super::Once;

    #[test]
    fn a_rule_is_new_once_an_event() {
        let mut once = Once::default();
        for _ in 0..3 {
            once.begin();
            assert!(once.is_new(4, 5) && !once.is_new(4, 5) && once.is_new(0, 5));
        }
        assert!(once.is_new(5, 5) && once.is_new(5, 5), "no rule of the set");
        let mut many = Once::default();
        for _ in 0..3 {
            many.begin();
            assert!((0..100).all(|rule| many.is_new(rule, 100)), "few and many");
            assert!(!(0..100).any(|rule| many.is_new(rule, 100)), "few and many");
        }
        many.event = u32::MAX;
        many.begin();
        assert!((0..100).all(|rule| many.is_new(rule, 100)), "events are counted anew");
    }
}
