//! The order in which lanes that are carried in parallel come to the shared counters and bits.
//!
//! Live, workers count as their packets come, and nobody waits. A replay must repeat itself: there
//! a lane that asks for a shared count waits until every lane before it is done with the window, so
//! the counts are those of one worker that carries all lanes one after the other. A lane that never
//! asks never waits. It must never know what is counted.

use std::cell::RefCell;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

thread_local! {
    /// The turn of the lane that this thread carries; none on a live worker.
    static TURN: RefCell<Option<(Arc<Turns>, usize)>> = const { RefCell::new(None) };
}

/// The turns of one window: place 0 first.
///
/// Whoever carries several places carries them in order, and all carriers run at once; otherwise a
/// place waits for one that never comes.
#[derive(Debug)]
pub struct Turns {
    /// Which places are done.
    done: Mutex<Vec<bool>>,
    changed: Condvar,
}

/// Ends a turn when dropped, also where its carrier panicked.
struct Ending;

impl Drop for Ending {
    fn drop(&mut self) {
        let Some((turns, place)) = TURN.take() else { return };
        if let Some(done) = turns.done.lock().unwrap_or_else(PoisonError::into_inner).get_mut(place)
        {
            *done = true;
        }
        turns.changed.notify_all();
    }
}

impl Turns {
    /// For so many places, none of which is done.
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Turns { done: Mutex::new(vec![false; places]), changed: Condvar::new() })
    }

    /// Does the work of a place; behind it the place is done. Each place has one turn.
    pub fn carry<T>(self: &Arc<Self>, place: usize, work: impl FnOnce() -> T) -> T {
        TURN.set(Some((Arc::clone(self), place)));
        let _ending = Ending;
        work()
    }

    fn wait(&self, place: usize) {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let is_early = |done: &mut Vec<bool>| done.iter().take(place).any(|done| !done);
        let waited = self.changed.wait_while(done, is_early);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Returns when everything that must be counted before this thread's lane is counted: at once on a
/// live worker.
pub(crate) fn wait_for_turn() {
    TURN.with_borrow(|turn| {
        if let Some((turns, place)) = turn {
            turns.wait(*place);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn places_come_in_order_however_they_are_carried() {
        for carriers in 1..=8 {
            let turns = Turns::new(8);
            let order = Mutex::new(Vec::new());
            let places: Vec<usize> = (0..8).collect();
            std::thread::scope(|scope| {
                for share in places.chunks(8_usize.div_ceil(carriers)).rev() {
                    let (turns, order) = (&turns, &order);
                    scope.spawn(move || {
                        for place in share {
                            turns.carry(*place, || {
                                // Place 3 never asks, and holds nobody up.
                                if *place != 3 {
                                    wait_for_turn();
                                    std::thread::sleep(Duration::from_micros(200));
                                    order.lock().expect("nobody panicked").push(*place);
                                }
                            });
                        }
                    });
                }
            });
            let order = order.into_inner().expect("nobody panicked");
            assert_eq!(order, [0, 1, 2, 4, 5, 6, 7], "{carriers} carriers");
        }
    }

    #[test]
    fn without_turns_nobody_waits_and_a_panic_holds_nobody_up() {
        wait_for_turn();
        let turns = Turns::new(2);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| turns.carry(0, || panic!("on purpose")));
            assert!(first.join().is_err());
        });
        assert_eq!(
            turns.carry(1, || {
                wait_for_turn();
                1
            }),
            1
        );
        wait_for_turn();
    }
}
