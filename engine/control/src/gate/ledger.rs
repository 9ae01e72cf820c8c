//! Acknowledgement: what hangs on an order being on the disk, in the order of giving.
//!
//! A batch is the orders of one step with the facts and the answer that wait for them. It is
//! released when the journal says that it holds. Where the disk fails, callers are told so, facts
//! stay, and the orders are given to the journal again until they hold.

use super::keeper::Message;
use crate::eve::Fact;
use crate::journal::{Journal, JournalCounters, JournalWriter, Moment, Order};
use crossbeam::channel::Sender;
use portcullis_types::Tick;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// An answer that waits: told whether the order holds, and otherwise what the disk said.
pub(super) type Answer = Box<dyn FnOnce(Result<(), &str>) + Send>;

/// How long after a failure the journal is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

struct Batch {
    number: u64,
    orders: Vec<Order>,
    facts: Vec<Fact>,
    answer: Option<Answer>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The journal has it.
    Submitted,
    /// It holds, and waits for those before it.
    Held,
    /// It does not hold: to be given again.
    Failed,
}

/// All batches that are not released.
pub(super) struct Ledger {
    writer: JournalWriter,
    messages: Sender<Message>,
    batches: VecDeque<Batch>,
    next: u64,
    submitted: usize,
    retry_at: Option<Tick>,
}

impl Ledger {
    pub(super) fn new(journal: Journal, messages: Sender<Message>) -> io::Result<Self> {
        Ok(Ledger {
            writer: JournalWriter::start(journal)?,
            messages,
            batches: VecDeque::new(),
            next: 0,
            submitted: 0,
            retry_at: None,
        })
    }

    /// What the journal's thread counts.
    pub(super) fn journal(&self) -> &Arc<JournalCounters> {
        self.writer.counters()
    }

    /// Hands orders to the journal, with what waits for them. Without orders there is nothing to
    /// wait for but those before.
    pub(super) fn commit(
        &mut self,
        now: &Moment,
        orders: Vec<Order>,
        facts: Vec<Fact>,
        answer: Option<Answer>,
    ) {
        self.next += 1;
        let state = if orders.is_empty() { State::Held } else { State::Failed };
        self.batches.push_back(Batch { number: self.next, orders, facts, answer, state });
        // Behind one that failed everything waits: the journal keeps the order of giving.
        if state == State::Failed && self.retry_at.is_none() {
            let last = self.batches.len() - 1;
            self.submit(last, now);
        }
    }

    fn submit(&mut self, at: usize, now: &Moment) {
        let Some(batch) = self.batches.get_mut(at) else { return };
        let (number, messages) = (batch.number, self.messages.clone());
        let told = move |held: Result<u64, &io::Error>| {
            let held = held.map(drop).map_err(ToString::to_string);
            // Where the gate has ended nobody waits any more.
            let _ = messages.send(Message::Durable(number, held));
        };
        match self.writer.submit(*now, batch.orders.clone(), Box::new(told)) {
            Ok(()) => {
                batch.state = State::Submitted;
                self.submitted += 1;
            }
            Err(e) => self.fail(at, &e.to_string(), now),
        }
    }

    fn fail(&mut self, at: usize, why: &str, now: &Moment) {
        self.retry_at = Some(now.tick + RETRY_AFTER);
        let Some(batch) = self.batches.get_mut(at) else { return };
        batch.state = State::Failed;
        if let Some(answer) = batch.answer.take() {
            answer(Err(why));
        }
    }

    /// The journal has an answer. What is released is added to `facts`.
    pub(super) fn durable(
        &mut self,
        number: u64,
        held: &Result<(), String>,
        now: &Moment,
        facts: &mut VecDeque<Fact>,
    ) {
        self.submitted = self.submitted.saturating_sub(1);
        let Some(at) = self.batches.iter().position(|b| b.number == number) else { return };
        match held {
            Ok(()) => {
                if let Some(batch) = self.batches.get_mut(at) {
                    batch.state = State::Held;
                }
            }
            Err(why) => {
                tracing::error!(error = why, "the journal cannot be written; it is tried again");
                self.fail(at, why, now);
            }
        }
        self.release(facts);
    }

    /// Releases what holds, in the order of giving.
    pub(super) fn release(&mut self, facts: &mut VecDeque<Fact>) {
        while let Some(batch) = self.batches.pop_front_if(|b| b.state == State::Held) {
            if let Some(answer) = batch.answer {
                answer(Ok(()));
            }
            facts.extend(batch.facts);
        }
    }

    /// Gives the journal again what it refused, when the time has come and nothing is under way.
    /// `restate` makes each order what it is now.
    pub(super) fn retry(&mut self, now: &Moment, restate: impl Fn(Order) -> Order) {
        if self.retry_at.is_none_or(|at| now.tick < at) || self.submitted > 0 {
            return;
        }
        self.retry_at = None;
        for at in 0..self.batches.len() {
            let Some(batch) = self.batches.get_mut(at) else { return };
            if batch.state != State::Failed {
                continue;
            }
            batch.orders = std::mem::take(&mut batch.orders).into_iter().map(&restate).collect();
            self.submit(at, now);
            if self.retry_at.is_some() {
                return;
            }
        }
    }

    /// When something is to be tried again.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.retry_at
    }

    /// Batches that wait for the disk.
    pub(super) fn waiting(&self) -> usize {
        self.batches.len()
    }

    /// Flushes what was submitted; the journal's answers are in the channel when this returns.
    pub(super) fn close(&mut self) {
        // The writer ends its thread when it is dropped; a closed one takes the place.
        self.writer.flush_and_end();
    }
}
