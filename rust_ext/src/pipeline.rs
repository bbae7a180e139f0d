//! One reader, many workers, one writer: results in the order of the input, memory bounded.
//!
//! A single worker does all three in turn: what was read is then worked on and written while it is
//! in the nearer caches of its core, and no thread waits for another to wake.
//!
//! With more of them, each is a thread.
//! The reader waits while what is in flight weighs more than the budget, so that neither a slow
//! writer nor one slow batch lets the others pile up. A batch is weighed with all that will be made
//! of it. Should it become more than that, no worker begins another while there is too much, but
//! the one whose batch is the next to be written: so the budget is passed by what the workers had
//! at hand, however much waits for its turn. A batch that is heavy by itself, because it
//! holds one long record, has a place of its own beside the budget: the others go on while it is
//! worked on, and the next of its kind waits for it.
//!
//! What was given back must be gone, see [`crate::heap`].

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::control::Control;
use crate::{Error, Result};

/// Something that travels through the pipeline.
pub trait Weigh {
    /// Returns the bytes of memory that it stands for while it is in flight: for a batch, what
    /// will be made of it included; for a result, what it holds.
    fn weight(&self) -> usize;
}

/// How wide and how heavy a pipeline may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads that work, besides the reader and the writer.
    pub workers: usize,
    /// Bytes of batches in flight.
    pub budget_bytes: usize,
}

/// What a worker has besides its batch: room for a text without its escapes, for example, and
/// blocks that the allocator keeps for the thread.
const WORKER_BYTES: usize = 1 << 22;

impl Limits {
    /// Returns what is left for batches of so much memory, if `others_bytes` of it are for what
    /// lies beside the pipeline; batches must always have some.
    #[must_use]
    pub fn within(memory_bytes: usize, workers: usize, others_bytes: usize) -> Self {
        let taken = workers.saturating_mul(WORKER_BYTES).saturating_add(others_bytes);
        let budget_bytes = memory_bytes.saturating_sub(taken).max(memory_bytes / 4);
        Self { workers, budget_bytes }
    }
}

/// Runs `read` on a thread, `work` on `limits.workers` threads, `write` on this one; or all of it
/// on this one, if there is one worker.
///
/// `write` sees the results in the order in which `read` gave the batches. `begin` makes the state
/// of a worker, such as its caches. The first error, or a cancelled `control`, ends all of it.
///
/// # Errors
/// The first error of `read`, `work` or `write` in the order of the input.
pub fn run<I, O, S>(
    limits: Limits,
    control: &Control,
    mut read: impl FnMut() -> Result<Option<I>> + Send,
    begin: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, I) -> Result<O> + Sync,
    mut write: impl FnMut(O) -> Result<()>,
) -> Result<()>
where
    I: Send + Weigh,
    O: Send + Weigh,
{
    if limits.workers <= 1 {
        return run_here(control, read, &mut begin(), work, write);
    }
    let budget = Budget::new(limits.budget_bytes);
    let (to_workers, batches) = bounded::<(u64, Charge, I)>(limits.workers * 2);
    let (to_writer, results) = unbounded::<(u64, Charge, Result<O>)>();
    thread::scope(|scope| {
        let (budget, begin, work) = (&budget, &begin, &work);
        let errors = to_writer.clone();
        scope.spawn(move || {
            for number in 0.. {
                let next = control.check().and_then(|()| read());
                match next {
                    Ok(Some(batch)) => {
                        let Some(charge) = budget.take(batch.weight()) else { break };
                        if to_workers.send((number, charge, batch)).is_err() {
                            break;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        let _ = errors.send((number, Charge::NOTHING, Err(error)));
                        break;
                    }
                }
            }
        });
        for _ in 0..limits.workers {
            let (batches, results) = (batches.clone(), to_writer.clone());
            scope.spawn(move || work_through(&batches, &results, budget, &mut begin(), work));
        }
        drop((batches, to_writer));
        // The others stop at their next send; a reader that waits for room must be woken, though
        // `write` should panic.
        let _closes = CloseAtEnd(budget);
        write_in_order(&results, budget, &mut write)
    })
}

/// Takes one batch after another from its reading to its writing.
fn run_here<I, O, S>(
    control: &Control,
    mut read: impl FnMut() -> Result<Option<I>>,
    state: &mut S,
    work: impl Fn(&mut S, I) -> Result<O>,
    mut write: impl FnMut(O) -> Result<()>,
) -> Result<()> {
    loop {
        control.check()?;
        let Some(batch) = read()? else { return Ok(()) };
        write(work(state, batch)?)?;
    }
}

fn work_through<I, O: Weigh, S>(
    batches: &Receiver<(u64, Charge, I)>,
    results: &Sender<(u64, Charge, Result<O>)>,
    budget: &Budget,
    state: &mut S,
    work: &impl Fn(&mut S, I) -> Result<O>,
) {
    for (number, charge, batch) in batches {
        if !budget.may_begin(number) {
            break;
        }
        let panicked = TellOfPanic { number, results };
        let result = work(state, batch);
        std::mem::forget(panicked);
        let charge = budget.change(charge, result.as_ref().map_or(0, Weigh::weight));
        if results.send((number, charge, result)).is_err() {
            break;
        }
    }
}

/// Ends the writer's wait for a result that will not come, so that the panic can surface.
struct TellOfPanic<'a, O> {
    number: u64,
    results: &'a Sender<(u64, Charge, Result<O>)>,
}

impl<O> Drop for TellOfPanic<'_, O> {
    fn drop(&mut self) {
        let _ = self.results.send((self.number, Charge::NOTHING, Err(Error::Interrupted)));
    }
}

fn write_in_order<O>(
    results: &Receiver<(u64, Charge, Result<O>)>,
    budget: &Budget,
    write: &mut impl FnMut(O) -> Result<()>,
) -> Result<()> {
    let mut early = BTreeMap::new();
    let mut next = 0;
    for (number, charge, result) in results {
        early.insert(number, (charge, result));
        while let Some((charge, result)) = early.remove(&next) {
            write(result?)?;
            next += 1;
            budget.give_back(charge, next);
        }
    }
    Ok(())
}

/// A semaphore that counts bytes.
struct Budget {
    limit: usize,
    state: Mutex<BudgetState>,
    changed: Condvar,
}

/// What something in flight was counted as.
#[derive(Clone, Copy, Debug)]
struct Charge {
    bytes: usize,
    is_heavy: bool,
}

impl Charge {
    const NOTHING: Self = Self { bytes: 0, is_heavy: false };
}

/// Closes a budget, however the scope is left.
struct CloseAtEnd<'a>(&'a Budget);

impl Drop for CloseAtEnd<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[derive(Default)]
struct BudgetState {
    in_flight: usize,
    /// The batch that is to be written next.
    next: u64,
    is_heavy_taken: bool,
    is_closed: bool,
}

impl BudgetState {
    /// Returns whether a batch may be let in. An empty pipeline lets in anything, and there is
    /// always something in flight that is next to be written: nothing waits for ever.
    fn has_room(&self, bytes: usize, is_heavy: bool, limit: usize) -> bool {
        if is_heavy {
            return !self.is_heavy_taken;
        }
        self.in_flight == 0 || self.in_flight + bytes <= limit
    }
}

impl Budget {
    fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, BudgetState> {
        // The counters are whole at every unlock, so a panic elsewhere does not spoil them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room; `None` once closed.
    fn take(&self, bytes: usize) -> Option<Charge> {
        // Half of the budget for one batch would leave too little for the others.
        let is_heavy = bytes > self.limit / 2;
        let mut state = self.lock();
        while !state.is_closed && !state.has_room(bytes, is_heavy, self.limit) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if is_heavy {
            state.is_heavy_taken = true;
        } else {
            state.in_flight += bytes;
        }
        (!state.is_closed).then_some(Charge { bytes, is_heavy })
    }

    /// Waits until work on a batch may begin: until there is not too much in flight, or nothing
    /// could become less without this one; `false` once closed.
    fn may_begin(&self, number: u64) -> bool {
        let mut state = self.lock();
        while !state.is_closed && state.in_flight > self.limit && number != state.next {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.is_closed
    }

    /// Counts what a batch became instead of it.
    fn change(&self, charge: Charge, bytes: usize) -> Charge {
        if charge.is_heavy {
            return charge;
        }
        let mut state = self.lock();
        state.in_flight = state.in_flight - charge.bytes + bytes;
        drop(state);
        self.changed.notify_all();
        Charge { bytes, is_heavy: false }
    }

    /// Takes back what was written; `next` is what is to be written next.
    fn give_back(&self, charge: Charge, next: u64) {
        let mut state = self.lock();
        state.next = next;
        if charge.is_heavy {
            state.is_heavy_taken = false;
        } else {
            state.in_flight -= charge.bytes;
        }
        drop(state);
        self.changed.notify_all();
    }

    fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    impl Weigh for u64 {
        fn weight(&self) -> usize {
            100
        }
    }

    fn collect(
        workers: usize,
        count: u64,
        work: impl Fn(&mut (), u64) -> Result<u64> + Sync,
    ) -> (Vec<u64>, Result<()>) {
        let mut numbers = 0..count;
        let mut written = Vec::new();
        let limits = Limits { workers, budget_bytes: 500 };
        let outcome = run(
            limits,
            &Control::default(),
            || Ok(numbers.next()),
            || (),
            work,
            |number| {
                written.push(number);
                Ok(())
            },
        );
        (written, outcome)
    }

    #[test]
    fn results_come_in_order_whatever_the_workers_do() {
        for workers in [1, 2, 7] {
            let (written, outcome) = collect(workers, 200, |(), number| {
                thread::sleep(Duration::from_micros(number * 7919 % 300));
                Ok(number)
            });
            outcome.unwrap();
            assert_eq!(written, (0..200).collect::<Vec<_>>());
        }
    }

    #[test]
    fn no_more_is_in_flight_than_the_budget_holds() {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let mut numbers = 0..100_u64;
        run(
            Limits { workers: 4, budget_bytes: 500 },
            &Control::default(),
            || {
                let next = numbers.next();
                if next.is_some() {
                    running.fetch_add(1, Ordering::SeqCst);
                }
                Ok(next)
            },
            || (),
            |(), number| Ok(number),
            |_| {
                // One more may have been read and wait for room.
                most.fetch_max(running.load(Ordering::SeqCst), Ordering::SeqCst);
                running.fetch_sub(1, Ordering::SeqCst);
                thread::sleep(Duration::from_micros(200));
                Ok(())
            },
        )
        .unwrap();
        assert!(most.load(Ordering::SeqCst) <= 6, "{most:?}");
    }

    /// A batch that becomes ten times what it was said to, while the writer waits for all others.
    #[test]
    fn what_grows_passes_the_budget_by_no_more_than_the_workers_had_at_hand() {
        const WORKERS: usize = 4;
        struct Grows(Arc<AtomicUsize>, usize);
        impl Weigh for Grows {
            fn weight(&self) -> usize {
                self.1
            }
        }
        impl Drop for Grows {
            fn drop(&mut self) {
                self.0.fetch_sub(self.1, Ordering::SeqCst);
            }
        }
        let (in_flight, most) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
        let hold = |bytes| {
            let now = in_flight.fetch_add(bytes, Ordering::SeqCst) + bytes;
            most.fetch_max(now, Ordering::SeqCst);
            Grows(Arc::clone(&in_flight), bytes)
        };
        let mut left = 0..200;
        run(
            Limits { workers: WORKERS, budget_bytes: 1_000 },
            &Control::default(),
            || Ok(left.next().map(|_| hold(10))),
            || (),
            |(), batch| {
                drop(batch);
                Ok(hold(100))
            },
            |grown| {
                // Long enough that whoever may go on does, and stands still.
                thread::sleep(Duration::from_millis(3));
                drop(grown);
                Ok(())
            },
        )
        .unwrap();
        let most = most.load(Ordering::SeqCst);
        // A batch of each worker, the one that may begin whatever there is, and what was read.
        assert!((1_000..=1_000 + (WORKERS + 1) * 100 + 10).contains(&most), "{most}");
        assert_eq!(in_flight.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn batches_have_what_others_leave_and_a_quarter_at_least() {
        let budget = |memory, workers, others| Limits::within(memory, workers, others).budget_bytes;
        assert_eq!(budget(1 << 28, 2, 1 << 24), (1 << 28) - 2 * WORKER_BYTES - (1 << 24));
        assert_eq!(budget(1 << 28, 1_000, 0), 1 << 26);
        assert_eq!(budget(1 << 20, 1, usize::MAX), 1 << 18);
    }

    /// A batch that names its weight.
    struct Weighty(usize);

    impl Weigh for Weighty {
        fn weight(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn the_others_go_on_while_one_works_on_a_heavy_batch() {
        let mut weights = [1_000_000, 10, 10, 10, 10, 1_000_000, 10].into_iter();
        let (done, heavy) = (AtomicUsize::new(0), AtomicUsize::new(0));
        run(
            Limits { workers: 2, budget_bytes: 100 },
            &Control::default(),
            || Ok(weights.next().map(Weighty)),
            || (),
            |(), batch| {
                if batch.0 > 100 {
                    assert_eq!(heavy.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                    // The four behind the first of them; behind the second there is one.
                    let goal = if done.load(Ordering::SeqCst) == 0 { 4 } else { 6 };
                    while done.load(Ordering::SeqCst) < goal {
                        thread::sleep(Duration::from_micros(100));
                    }
                    heavy.fetch_sub(1, Ordering::SeqCst);
                }
                done.fetch_add(1, Ordering::SeqCst);
                Ok(batch)
            },
            |_| Ok(()),
        )
        .unwrap();
        assert_eq!(done.load(Ordering::SeqCst), 7);
    }

    #[test]
    fn the_first_error_in_order_ends_it_and_what_came_before_is_written() {
        for workers in [1, 3] {
            let (written, outcome) = collect(workers, 1_000_000, |(), number| {
                if number == 20 { Err(Error::Argument("twenty".into())) } else { Ok(number) }
            });
            assert_eq!(outcome.unwrap_err().to_string(), "twenty");
            assert_eq!(written, (0..20).collect::<Vec<_>>());
        }
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_surfaces_instead_of_hanging() {
        let _ = collect(2, 1_000_000, |(), number| {
            assert!(number != 5, "worker down");
            Ok(number)
        });
    }

    #[test]
    fn a_writer_that_panics_leaves_no_reader_waiting() {
        let outcome = std::panic::catch_unwind(|| {
            run(
                Limits { workers: 2, budget_bytes: 500 },
                &Control::default(),
                || Ok(Some(1_u64)),
                || (),
                |(), number| Ok(number),
                |_| panic!("writer down"),
            )
        });
        assert!(outcome.is_err());
    }

    #[test]
    fn a_cancelled_run_ends() {
        let control = Control::default();
        control.cancel();
        for workers in [1, 2] {
            let outcome = run(
                Limits { workers, budget_bytes: 500 },
                &control,
                || Ok(Some(1_u64)),
                || (),
                |(), number| Ok(number),
                |_| Ok(()),
            );
            assert!(matches!(outcome, Err(Error::Interrupted)));
        }
    }
}
