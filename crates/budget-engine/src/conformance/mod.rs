//! The properties every [`LedgerStore`] must have.
//!
//! [`ledger_conformance!`](crate::ledger_conformance) makes one test of each for a store:
//!
//! ```ignore
//! meterbox_budget_engine::ledger_conformance!(memory, || async { MemoryLedger::new() });
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "properties are tests: they panic where one fails"
)]

mod budgets;
mod calls;
mod events;
mod holds;
mod pages;
mod windows;
mod words;

pub use budgets::*;
pub use calls::*;
pub use events::*;
pub use holds::*;
pub use pages::*;
pub use windows::*;

/// Makes a module `$name` of one test per property, each with a fresh store from `$new_store`, a closure
/// that returns a future of a store; with `maybe` before it, of an `Option`, and `None` skips. Needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! ledger_conformance {
    ($name:ident, maybe $new_store:expr) => {
        $crate::ledger_conformance!(@module $name maybe $new_store);
    };
    ($name:ident, $new_store:expr) => {
        $crate::ledger_conformance!(@module $name always $new_store);
    };
    (@module $name:ident $there:ident $new_store:expr) => {
        mod $name {
            use super::*;

            $crate::ledger_conformance!(@each $there $new_store;
                holds_never_oversell
                a_refusal_leaves_nothing_behind
                a_wildcard_counts_each_scope_apart
                without_a_budget_nothing_is_held
                settling_frees_what_was_not_drawn
                a_closed_hold_stays_closed
                expiry_frees_once_and_late_draws_are_booked
                unknown_use_is_booked_at_its_worst_case
                retries_with_a_key_happen_once
                limits_change_live_and_keep_what_was_spent
                an_edit_stays_until_the_setting_changes
                an_edit_undoes_no_other
                edits_at_once_are_made_one_after_the_other
                a_new_period_starts_afresh
                the_smallest_remainder_may_be_taken
                unknown_holds_are_refused
                hostile_names_stay_apart
                entries_come_in_order_page_by_page
                a_rolling_window_forgets_piece_by_piece
                what_is_left_is_carried_over_once
                a_top_up_serves_once_and_until_it_ends
                a_limit_of_nothing_is_the_limit_of_its_period
                grace_keeps_money_but_begins_nothing
                the_switch_stops_all_spending
                metered_use_is_part_of_the_worst_case
                a_degraded_request_may_have_what_is_kept_for_it
                holds_are_found_page_by_page
                a_clock_put_back_forgets_nothing
                spending_counts_when_it_was_done
                an_event_of_a_number_is_raised_once
                events_are_read_page_by_page
                a_readers_turn_is_one_owners_at_a_time
                a_turn_of_a_clock_that_was_put_back_is_over
                prices_and_soft_caps_are_kept
            );
        }
    };
    (@store always $new_store:expr) => {
        ($new_store)().await
    };
    (@store maybe $new_store:expr) => {
        match ($new_store)().await {
            Some(store) => store,
            None => return,
        }
    };
    (@each $there:ident $new_store:expr; $($property:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                let store = std::sync::Arc::new($crate::ledger_conformance!(@store $there $new_store));
                let shared: std::sync::Arc<dyn $crate::LedgerStore> = std::sync::Arc::clone(&store) as _;
                $crate::conformance::$property(shared).await;
                let report = $crate::LedgerStore::verify(&store).await.unwrap();
                assert!(report.is_clean(), "{report:?}");
            }
        )*
    };
}
