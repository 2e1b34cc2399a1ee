use meterbox_core::Timestamp;

/// Which part of a ledger a report is about, by the time its entries were written; by default all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// From then on; `None` from the beginning.
    pub since: Option<Timestamp>,
    /// Before then; `None` to the end.
    pub until: Option<Timestamp>,
}

impl TimeRange {
    pub(super) fn contains(self, at: Timestamp) -> bool {
        !self.is_before(at) && self.until.is_none_or(|until| at < until)
    }

    /// Is this time earlier than the range?
    pub(super) fn is_before(self, at: Timestamp) -> bool {
        self.since.is_some_and(|since| at < since)
    }
}
