//! What the read side must keep on every back end, and what every [`crate::Feed`] must: checks for the tests of each.
//!
//! A contract of the read side takes a fresh [`Store`] and panics where it is broken. `contract_tests!` makes a test of
//! each; `postgres_contract_tests!` of those that only a server of several processes can keep.
//!
//! ```text
//! starscreen_projections::contract_tests!(Store::sqlite());
//! ```
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "contracts are tests: a panic is how they answer")]
#![cfg_attr(not(test), expect(clippy::wildcard_imports, reason = "fixtures are the words contracts are written with"))]

mod feed;
pub(crate) mod fixtures;
pub(crate) mod log;
mod store;

pub mod histories;
pub mod migrations;
pub mod poison;
pub mod postgres;
pub mod reads;
pub mod rebuild;
pub mod runner;
pub mod speed;
pub mod tenancy;
pub mod waiting;

pub use feed::{FeedUnderTest, feed_contract};
pub use store::Store;

/// One test for each contract, over stores made by the given expression.
#[macro_export]
macro_rules! contract_tests {
    ($fresh:expr) => {
        $crate::contract_tests! { $fresh;
            histories:
                rebuilt_is_what_live_is,
                poison_keeps_each_row_at_its_last_good_event_and_replay_makes_it_whole;
            poison:
                an_unreadable_event_is_parked_and_only_its_row_waits,
                replay_after_the_fix_folds_what_waited_in_order,
                replay_stops_at_the_next_event_that_cannot_be_folded,
                an_unreadable_event_of_another_noun_parks_nothing,
                an_event_that_cannot_be_opened_is_parked,
                a_fold_that_panics_parks_the_event_and_keeps_what_was_folded_before,
                entries_that_could_not_be_read_are_replayed_into_rows_of_their_own,
                a_rebuild_with_the_fix_needs_no_replay,
                a_rebuild_parks_what_it_cannot_fold_and_replay_goes_on_from_there;
            reads:
                pages_by_cursor_are_the_pages_by_skip_are_the_sorted_rows,
                filters_hold_on_every_page_and_in_the_total,
                a_page_has_a_hundred_rows_at_most_and_the_last_has_no_successor,
                jobs_are_listed_newest_first_by_cursor_and_by_skip,
                a_cursor_of_another_list_is_refused,
                the_current_period_is_the_one_that_holds_the_moment,
                entries_of_a_period_come_in_order_with_the_balance_after_each,
                what_is_agreed_and_paid_comes_back_as_it_was_written,
                a_nul_in_a_text_is_left_out;
            rebuild:
                a_rebuild_without_anything_running_makes_the_table,
                all_read_models_are_rebuilt_one_after_the_other,
                readers_and_the_live_projector_go_on_while_it_is_rebuilt,
                the_switch_never_takes_readers_back_to_an_earlier_position,
                a_comparison_counts_the_rows_that_differ,
                two_rebuilds_do_not_get_in_each_others_way,
                a_rebuild_that_was_killed_leaves_the_live_table_and_can_begin_again,
                what_a_killed_rebuild_has_left_is_swept_on_start,
                a_rebuild_that_fails_can_begin_again_at_once,
                a_changed_projector_rebuilds_its_table_on_start,
                a_table_of_a_newer_projector_is_left_to_it_until_an_operator_takes_it_back,
                a_rebuild_that_counted_as_abandoned_gives_way_to_the_next,
                a_checkpoint_moves_only_for_who_knows_where_and_what_it_is;
            runner:
                every_projector_catches_up_and_then_is_live,
                only_the_named_projector_is_started,
                they_stop_when_asked,
                a_projector_killed_between_two_events_repeats_and_skips_nothing,
                two_processes_with_the_same_projector_fold_each_event_once,
                a_jump_in_positions_is_a_loss_and_is_read_again,
                a_history_out_of_reach_is_tried_again,
                a_shorter_history_is_reported_and_a_rebuild_helps,
                a_paused_projector_stands_still_until_it_is_resumed,
                a_pause_while_nothing_comes_in_ends_live_again;
            tenancy:
                rows_of_another_tenant_are_never_returned;
            waiting:
                a_reader_waits_until_its_write_is_in_all_the_models_it_names,
                waiting_is_bounded_when_it_does_not_come,
                a_projector_of_another_process_is_waited_for_too;
        }
    };
    ($fresh:expr; $($suite:ident: $($contract:ident),+;)+) => {$(
        mod $suite {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $contract() {
                    $crate::contracts::$suite::$contract($fresh.await).await;
                }
            )+
        }
    )+};
}

/// One test for each contract that only PostgreSQL can keep.
#[macro_export]
macro_rules! postgres_contract_tests {
    ($fresh:expr) => {
        $crate::contract_tests! { $fresh;
            postgres:
                the_gateway_sees_one_tenants_rows_whatever_it_asks_for,
                each_role_may_do_what_it_has_to_and_no_more,
                the_gateway_counts_and_waits_but_does_not_see_what_is_parked,
                a_read_that_is_cut_off_leaves_no_transaction_behind,
                one_of_two_leads_and_the_other_does_not_even_read,
                a_leader_that_is_stopped_is_replaced_and_writes_nothing_when_it_wakes_up,
                a_leader_stopped_in_the_middle_of_a_transaction_holds_nobody_up,
                two_who_both_believe_that_they_lead_fold_each_event_once,
                rows_and_checkpoint_are_written_together_or_not_at_all,
                two_rebuilds_that_begin_at_the_same_moment_are_one,
                a_long_read_holds_up_the_switch_but_no_other_reader;
            migrations:
                up_and_down_and_up_again_and_everything_is_projected_anew,
                a_newer_schema_is_refused_by_all,
                a_login_that_is_no_superuser_migrates_and_runs,
                databases_of_one_server_are_migrated_at_the_same_time;
        }
    };
}
