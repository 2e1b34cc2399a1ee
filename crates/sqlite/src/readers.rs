//! Connections for reading: none of them waits for a writer, or for one that reads long.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use rusqlite::{Connection, Transaction};

use crate::SqliteError;

/// A question, answered from its own view of the file.
pub(crate) type Question = Box<dyn FnOnce(&mut Connection) + Send>;

/// Threads with a connection each, begun when they are needed. They end with this, once all that was asked is answered.
pub(crate) struct Readers(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Something waits, or all is over.
    changed: Condvar,
}

struct State {
    waiting: VecDeque<Question>,
    /// Those that no thread has yet.
    connections: Vec<Connection>,
    threads: usize,
    idle: usize,
    is_over: bool,
}

impl Readers {
    /// At most as many at once as there are connections.
    pub(crate) fn new(connections: Vec<Connection>) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            connections,
            threads: 0,
            idle: 0,
            is_over: false,
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    /// Has this answered, by a thread that has nothing to do or else by the next one. Where there is none and none can
    /// be started, the question is dropped.
    pub(crate) fn ask(&self, question: Question) {
        let mut state = self.0.state();
        state.waiting.push_back(question);
        let is_somebody_idle = state.idle >= state.waiting.len();
        let connection = if is_somebody_idle {
            None
        } else {
            state.connections.pop()
        };
        let Some(connection) = connection else {
            drop(state);
            self.0.changed.notify_one();
            return;
        };
        state.threads = state.threads.saturating_add(1);
        drop(state);
        let reader = Reader {
            shared: Arc::clone(&self.0),
            connection: Some(connection),
        };
        let started = thread::Builder::new()
            .name("meterbox-sqlite-read".into())
            .spawn(move || reader.run());
        // Where that fails, the reader is gone with its work undone, as after a panic.
        drop(started);
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.0.state().is_over = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What waits longest; `None` once all is over and nothing waits.
    fn next(&self) -> Option<Question> {
        let mut state = self.state();
        loop {
            if let Some(question) = state.waiting.pop_front() {
                return Some(question);
            }
            if state.is_over {
                return None;
            }
            state.idle = state.idle.saturating_add(1);
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle = state.idle.saturating_sub(1);
        }
    }
}

/// A thread and its connection.
struct Reader {
    shared: Arc<Shared>,
    connection: Option<Connection>,
}

impl Reader {
    fn run(mut self) {
        while let Some(connection) = &mut self.connection
            && let Some(question) = self.shared.next()
        {
            question(connection);
        }
    }
}

/// A question that panics costs a thread, and leaves its connection to the next one.
impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.threads = state.threads.saturating_sub(1);
        if state.is_over {
            return;
        }
        state.connections.extend(self.connection.take());
        if state.threads == 0 {
            // Nobody would ever answer them; whoever asked is told.
            state.waiting.clear();
        }
    }
}

/// Runs this on one consistent view of the file.
pub(crate) fn view<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, SqliteError>,
) -> Result<T, SqliteError> {
    let transaction = connection.transaction()?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}
