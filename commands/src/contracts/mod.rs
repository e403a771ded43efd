//! What every implementation of the write side must keep: the same contracts run on each back end.
//!
//! A contract takes a fresh [`Store`] and panics where it is broken. `contract_tests!` makes a test of each:
//!
//! ```text
//! starscreen_commands::contract_tests!(Store::sqlite());
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "contracts are tests: a panic is how they answer"
)]

pub mod append;
pub mod bulk;
pub mod bus;
pub mod crew;
pub mod following;
pub mod log;
pub mod metering;
pub mod operations;
pub mod payments;
pub mod postgres;
pub mod quota;
pub mod retry;
pub mod scripted;
pub mod scripted_payments;
pub mod stage;
pub mod work;
pub mod workers;
pub mod workers_failing;

use std::{any::Any, ops::Deref, path::PathBuf};

use futures::future::BoxFuture;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    db::{PostgresOptions, Role, Scope},
    sequencer::Sequencer,
    write_side::WriteSide,
};

/// A fresh, empty store, and a way to open it a second time as another process would.
pub struct Store {
    pub write: WriteSide,
    again: Box<dyn Fn() -> BoxFuture<'static, WriteSide> + Send + Sync>,
    /// Removed with the store.
    directory: Option<PathBuf>,
    /// Of PostgreSQL's.
    url: String,
    /// Stops the sequencer; an embedded store has none.
    sequencer: CancellationToken,
    /// What else lives as long as the store.
    kept: Option<Box<dyn Any + Send + Sync>>,
}

impl Store {
    pub fn new(write: WriteSide, again: impl Fn() -> BoxFuture<'static, WriteSide> + Send + Sync + 'static) -> Self {
        Self {
            write,
            again: Box::new(again),
            directory: None,
            url: String::new(),
            sequencer: CancellationToken::new(),
            kept: None,
        }
    }

    /// The embedded store in a temporary directory of its own.
    pub async fn sqlite() -> Self {
        let directory = std::env::temp_dir().join(format!("starscreen-contract-{}", Uuid::now_v7()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("write.db");
        let write = WriteSide::open(&path, "contract@1").await.unwrap();
        let again = move || -> BoxFuture<'static, WriteSide> {
            let path = path.clone();
            Box::pin(async move { WriteSide::open(&path, "contract@2").await.unwrap() })
        };
        let mut store = Self::new(write, again);
        store.directory = Some(directory);
        store
    }

    /// A migrated, empty database of PostgreSQL, with a sequencer of its own. `kept` is dropped with the store.
    pub async fn postgres(url: &str, kept: impl Any + Send + Sync) -> Self {
        let options = |role, max_connections| PostgresOptions { url: url.to_owned(), role, max_connections };
        let (operator, sequencer) = (options(Role::Operator, 12), options(Role::Sequencer, 1));
        let write = WriteSide::open_postgres(&operator, "contract@1").await.unwrap();
        let signals = write.signals.clone().unwrap();
        let stop = CancellationToken::new();
        Sequencer::start(sequencer, signals, "contract".to_owned(), stop.clone(), &TaskTracker::new());
        let again = move || -> BoxFuture<'static, WriteSide> {
            let operator = operator.clone();
            Box::pin(async move { WriteSide::open_postgres(&operator, "contract@2").await.unwrap() })
        };
        let mut store = Self::new(write, again);
        url.clone_into(&mut store.url);
        store.sequencer = stop;
        store.kept = Some(Box::new(kept));
        store
    }

    /// Where the embedded store's file lies.
    pub fn path(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join("write.db"))
    }

    /// Where PostgreSQL has it.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The same database with connections, writer and states of its own.
    pub async fn beside(&self) -> WriteSide {
        (self.again)().await
    }

    /// The same as workers have it, who on PostgreSQL may do what others may not.
    pub async fn as_worker(&self) -> WriteSide {
        match self.url.as_str() {
            "" => self.beside().await,
            _ => postgres::acting(self, Role::Worker).await,
        }
    }

    /// Lets a receipt be so much older, which nobody of the product may.
    async fn age_receipt(&self, key: &str, by: chrono::TimeDelta) {
        let at = (chrono::Utc::now() - by).timestamp_millis();
        match self.url.as_str() {
            "" => {
                let mut tx = self.db.begin(Scope::All).await.unwrap();
                let sql = "UPDATE receipts SET created_at_ms = $1 WHERE key = $2";
                assert_eq!(tx.execute(sql, vec![at.into(), key.into()]).await.unwrap(), 1);
                tx.commit().await.unwrap();
            }
            _ => postgres::age_receipt(self, key, at).await,
        }
    }
}

impl Deref for Store {
    type Target = WriteSide;

    fn deref(&self) -> &WriteSide {
        &self.write
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.sequencer.cancel();
        if let Some(directory) = self.directory.take() {
            let _ = std::fs::remove_dir_all(directory); // what stays behind is in the system's temporary directory
        }
    }
}

/// The same for what only a store of several processes keeps.
#[macro_export]
macro_rules! postgres_contract_tests {
    ($fresh:expr) => {
        $crate::contract_tests! { $fresh;
            postgres:
                the_gateway_sees_the_tenants_that_it_names_and_no_others,
                a_grouped_append_writes_for_the_tenants_that_it_names,
                nobody_changes_or_deletes_events_or_positions,
                an_older_transaction_holds_history_up_and_is_not_skipped,
                who_holds_history_up_is_told_also_where_it_is_hidden,
                nobody_removes_a_young_receipt_or_changes_one,
                many_processes_write_one_history_without_a_gap,
                a_standby_takes_over_from_a_leader_that_is_gone,
                a_leader_that_says_nothing_is_ended,
                a_leader_whose_place_was_taken_gives_no_positions,
                work_of_another_process_wakes_a_lane,
                migrations_go_up_and_back_and_never_lose_events,
                two_migrate_at_the_same_time,
                opposite_orders_of_streams_end_well;
        }
    };
}

/// One test for each contract, over stores made by the given expression.
#[macro_export]
macro_rules! contract_tests {
    ($fresh:expr) => {
        $crate::contract_tests! { $fresh;
            append:
                an_append_stores_all_that_it_carries,
                a_lost_race_leaves_nothing,
                a_repeated_receipt_leaves_nothing,
                a_lost_lease_leaves_nothing,
                a_command_that_fails_hurts_nobody_in_its_group,
                positions_have_no_gap_with_two_writers,
                a_writer_goes_on_behind_what_others_have_written,
                events_are_never_changed_or_deleted,
                an_event_may_have_256_kb_and_no_more,
                a_long_append_is_one_commit,
                what_waits_at_the_stop_is_written_and_the_rest_refused;
            bus:
                parallel_commands_on_one_aggregate_all_succeed,
                a_use_case_sees_its_own_decisions,
                the_same_request_again_gets_the_same_answer,
                receipts_are_removed_the_oldest_first_and_their_keys_are_new_again,
                the_same_request_many_times_at_once_has_one_effect,
                a_request_that_used_up_what_it_asks_for_is_answered_all_the_same,
                another_request_under_the_same_key_is_refused,
                a_refused_command_leaves_no_receipt,
                another_tenants_aggregate_is_invisible,
                a_caller_who_leaves_does_not_cut_the_command,
                foreign_commits_are_seen_by_the_next_decision,
                a_rule_that_is_broken_only_between_two_moments_is_not_broken,
                an_address_is_claimed_once,
                nul_is_neither_stored_nor_known;
            quota:
                five_slots_go_to_five_of_many,
                five_slots_go_to_five_of_many_in_two_processes,
                a_plan_change_never_oversells;
            bulk:
                an_archive_is_one_reservation,
                of_an_archive_the_first_that_fit_are_taken,
                an_archive_without_a_good_file_takes_nothing,
                a_thousand_resumes_are_one_commit,
                an_archive_waits_behind_single_uploads_whenever_its_rubric_comes,
                archives_and_single_uploads_never_oversell,
                the_same_archive_again_is_answered_from_its_receipt;
            retry:
                a_retry_takes_a_slot_again_and_ends_scored,
                only_what_failed_is_retried_and_only_by_its_tenant,
                without_a_free_slot_nothing_is_retried,
                the_same_retry_again_takes_no_second_slot,
                a_score_is_made_again_for_nothing,
                a_rubric_that_failed_is_drawn_up_again;
            log:
                events_come_in_order_without_a_gap,
                waiting_ends_with_a_commit_of_this_process,
                waiting_ends_with_a_commit_of_another_process,
                waiting_does_not_spin_when_the_writer_has_stopped,
                an_event_that_cannot_be_read_is_delivered_as_such;
            work:
                urgent_items_go_first,
                the_tenant_with_the_least_in_flight_goes_first,
                a_long_queue_does_not_delay_a_neighbour,
                tenants_are_served_in_turn,
                what_is_urgent_takes_nobodys_turn,
                a_claim_takes_as_many_as_asked_for,
                a_lease_that_ran_out_is_somebody_elses,
                an_extended_lease_lasts,
                what_is_given_back_comes_again_after_its_pause,
                a_finished_item_is_gone,
                all_leases_end_at_once,
                two_claimers_never_get_the_same_item,
                a_lane_knows_only_its_own_work,
                who_waits_is_woken_by_new_work;
            payments:
                a_notice_is_taken_in_once_and_followed_once,
                notices_in_any_order_lead_to_what_is_true,
                a_notice_about_nobody_of_ours_is_passed_over,
                a_notice_that_cannot_be_followed_is_given_up_and_redriven,
                a_customer_is_known_by_its_metadata_and_after_a_pause,
                a_customer_that_was_replaced_stays_the_tenants,
                an_order_is_placed_once_though_the_answer_was_lost,
                a_declined_order_says_why_and_changes_nothing,
                an_upgrade_counts_at_once_and_reaches_the_provider,
                a_downgrade_comes_with_the_next_period,
                a_downgrade_that_is_taken_back_costs_nothing_again,
                an_upgrade_that_is_not_paid_is_taken_back,
                an_upgrade_that_is_paid_outlives_one_that_is_not,
                another_price_for_new_customers_changes_nothing_for_others,
                a_cancellation_ends_with_the_paid_time_and_can_be_taken_back,
                without_a_key_decisions_wait_and_nothing_fails,
                whoever_does_not_pay_takes_in_nothing_after_the_time_of_grace,
                overage_is_billed_once_for_each_entry,
                overage_is_billed_to_whoever_pays_for_the_plan,
                what_is_billed_waits_for_a_provider_that_is_down,
                a_closed_period_takes_late_scores_as_entries_of_the_running_one;
            following:
                a_lost_notice_is_made_up_for_within_a_day,
                a_customer_that_is_gone_has_nothing_and_those_before_it_all_they_have,
                a_plan_does_not_end_because_its_customer_was_not_found,
                whoever_pays_nothing_is_asked_about_for_a_month,
                without_a_key_nobody_is_asked_and_nothing_waits,
                a_turn_is_taken_once;
            metering:
                an_entry_that_is_refused_for_good_is_given_up_and_redriven_as_itself,
                an_entry_is_refused_for_an_hour_before_it_is_given_up,
                only_refusals_count_against_an_entry,
                what_a_deleted_customer_was_to_pay_is_dead_until_another_is_linked,
                refused_entries_hold_up_no_others,
                an_outage_gives_up_no_entry;
            operations:
                a_pause_holds_over_restarts_whatever_workers_say,
                a_refusals_pause_shows_its_reason_while_it_holds,
                a_purged_resume_fails_frees_its_slot_and_can_be_redriven,
                a_redrive_without_a_free_slot_leaves_it_dead,
                a_purged_rubric_takes_who_waits_along_and_a_redrive_brings_all_back,
                a_purged_score_leaves_an_older_one_and_is_redriven_without_a_slot,
                a_purge_leaves_what_is_in_hand_and_takes_what_waits,
                a_purge_beside_workers_ends_everything_once,
                our_own_reactions_are_not_purged,
                what_nobody_wants_any_more_is_settled_by_a_redrive,
                what_is_given_up_is_dead_and_what_is_the_files_fault_is_not;
            workers:
                an_upload_is_scored,
                what_a_file_gives_is_sealed_and_stored,
                a_file_without_text_fails_and_frees_its_slot,
                a_late_rubric_scores_who_waited,
                a_rubric_that_fails_for_good_fails_who_waited,
                a_revised_job_is_scored_again,
                a_deleted_job_takes_its_candidates_along,
                an_upload_after_the_deletion_of_its_job_is_deleted,
                an_erased_person_ends_failed;
            workers_failing:
                a_busy_model_is_asked_again_and_nobody_fails,
                a_model_that_is_down_for_a_day_fails_the_candidate_at_last,
                failures_of_the_system_use_up_no_tries,
                an_outage_pauses_the_lane_and_ends_by_itself,
                a_pause_ends_with_the_last_item,
                a_refusal_of_one_resume_is_its_own_fault,
                a_refusal_of_all_pauses_the_lane_and_fails_nobody,
                a_broken_second_answer_leaves_the_first,
                an_old_rubric_item_does_not_fail_a_new_description,
                an_invented_quote_is_asked_for_once_more_and_then_put_before_a_person,
                an_unusable_rubric_is_drawn_up_again,
                an_extractor_that_is_down_fails_the_candidate_at_last,
                an_object_store_that_is_down_fails_nobody_for_a_day,
                a_result_that_fits_no_event_fails_the_candidate_at_last,
                a_panic_is_one_failed_try,
                work_that_hangs_is_cut_and_tried_again,
                work_that_takes_longer_than_its_lease_stays_with_who_has_it,
                a_worker_that_dies_leaves_its_items_to_others,
                a_late_report_is_refused,
                workers_finish_their_items_before_they_stop;
        }
    };
    ($fresh:expr; $($suite:ident: $($contract:ident),+;)+) => {$(
        mod $suite {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $contract() {
                    $crate::contracts::$suite::$contract($fresh.await).await;
                }
            )+
        }
    )+};
}
