use std::time::Duration;

use crate::{
    Breaker,
    machine::{Event, Generation},
};

/// The right to make one call. Say how it went; dropped, the call counts as cancelled, which is recorded and
/// gives a probe back, but says nothing about the dependency. A call that is cut off by a time limit of the
/// platform is a fault: say so with [`FaultClass::Timeout`] before dropping.
#[derive(Debug)]
#[must_use = "a permit that is dropped is a cancelled call"]
pub struct Permit {
    breaker: Breaker,
    key: String,
    given_in: Generation,
    reported: bool,
}

/// In which way a dependency failed. What a user's program does to itself is no fault of the dependency:
/// use [`Permit::ignore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultClass {
    /// It failed.
    Platform,
    /// It did not answer in time.
    Timeout,
    /// It is overloaded and says so.
    Overloaded,
}

impl Permit {
    pub(crate) fn new(breaker: Breaker, key: String, given_in: Generation) -> Self {
        Self {
            breaker,
            key,
            given_in,
            reported: false,
        }
    }

    /// The dependency did its work.
    pub fn succeed(self) {
        self.report(Event::Succeeded);
    }

    /// The dependency failed.
    pub fn fail(self, class: FaultClass) {
        self.report(Event::Failed {
            class,
            retry_after: None,
        });
    }

    /// The dependency failed and said when to come back; the circuit stays open at least that long, up to
    /// the policy's maximum.
    pub fn fail_until(self, class: FaultClass, retry_after: Option<Duration>) {
        self.report(Event::Failed { class, retry_after });
    }

    /// The call ended in a way that says nothing about the dependency, such as a user's program that failed.
    pub fn ignore(self) {
        self.report(Event::Ignored);
    }

    fn report(mut self, event: Event) {
        self.reported = true;
        self.breaker.on(&self.key, event, self.given_in);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.reported {
            self.breaker.on(&self.key, Event::Cancelled, self.given_in);
        }
    }
}
