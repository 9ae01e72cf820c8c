//! Rules of one event, each once. It must never know why a rule is named.

/// Which rules an event has named already.
#[derive(Default)]
pub(crate) struct Once {
    /// By rule: the event that named it last.
    named: Vec<u32>,
    event: u32,
}

impl Once {
    /// A new event.
    pub(crate) fn begin(&mut self) {
        self.event = self.event.wrapping_add(1);
        if self.event == 0 {
            self.named.fill(0);
            self.event = 1;
        }
    }

    /// Whether the event names it for the first time; `rules` are all.
    pub(crate) fn is_new(&mut self, rule: u32, rules: u32) -> bool {
        let at = rule as usize;
        if at >= self.named.len() && rule < rules {
            self.named.resize(rules as usize, 0);
        }
        self.named
            .get_mut(at)
            .is_none_or(|event| std::mem::replace(event, self.event) != self.event)
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
        once.event = u32::MAX;
        once.begin();
        assert!(once.is_new(4, 5), "events are counted from the start again");
    }
}
