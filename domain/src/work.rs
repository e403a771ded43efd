//! Which events ask for which work: everything that calls somebody else, and every reaction of ours.
//!
//! The append writes the work item beside the event that asks for it, so nothing is asked for and forgotten.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Event, EventId,
    candidate::{CandidateEvent, RetryFrom},
    job::JobEvent,
    subscription::SubscriptionEvent,
    usage::UsageEvent,
    webhook::WebhookEvent,
};

/// How long after its end a billing period takes entries of its own. Longer than anything is tried.
pub const PERIOD_CLOSES_AFTER: TimeDelta = TimeDelta::days(3);

/// How long after the last news of a tenant's subscription it is asked about unasked, at the earliest.
const QUIET_FOR: TimeDelta = TimeDelta::hours(12);

/// A kind of work with workers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Text out of a resume file.
    Extract,
    /// A rubric out of a job description.
    Rubric,
    /// A score out of a resume text.
    Score,
    /// Our own follow-ups to events.
    React,
    /// What is due at a time: periods that close, plans that come into force, subscriptions to be asked about.
    Clock,
    /// What the payment provider is told.
    Billing,
    /// What the payment provider told us.
    Webhook,
}

impl Lane {
    pub const ALL: [Lane; 7] =
        [Lane::Extract, Lane::Rubric, Lane::Score, Lane::React, Lane::Clock, Lane::Billing, Lane::Webhook];

    pub fn name(self) -> &'static str {
        match self {
            Self::Extract => "extract",
            Self::Rubric => "rubric",
            Self::Score => "score",
            Self::React => "react",
            Self::Clock => "clock",
            Self::Billing => "billing",
            Self::Webhook => "webhook",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Lane {
    type Err = UnknownLane;

    fn from_str(text: &str) -> Result<Self, UnknownLane> {
        Self::ALL.into_iter().find(|lane| lane.name() == text).ok_or_else(|| UnknownLane(text.to_owned()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no lane; there are extract, rubric, score, react, clock, billing and webhook")]
pub struct UnknownLane(String);

/// What a work item is to do. `subject` of the item names the aggregate it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    ExtractText,
    DrawUpRubric,
    Score,
    /// The rubric of the job is ready: score whoever waits for it or has a score by an older one.
    ScoreWaiting,
    /// This candidate found no rubric: look again, it may have come in between.
    AwaitRubric,
    /// The job's rubric failed for good: fail whoever waits for it.
    FailWaiting,
    /// The job is gone: delete its candidates.
    DeleteCandidates,
    /// The billing period is over: release what nothing came of.
    ClosePeriod,
    /// A plan comes into force.
    ApplyScheduledChange,
    /// Make the payment provider's subscription what was decided here.
    InformProvider,
    /// Subscribe there.
    PlaceOrder,
    /// Bill what is over the included candidates.
    MeterOverage {
        quantity: i64,
        at: DateTime<Utc>,
    },
    /// Bill again, under its own id, an entry that was given up.
    MeterAgain {
        entry: EventId,
        quantity: i64,
        at: DateTime<Utc>,
    },
    /// Once a day, whether or not there was a notice: have it asked how the subscription stands.
    FollowDaily,
    /// Ask what the notice is about, and record it.
    FollowWebhook,
    /// Ask how the tenant's subscription stands, and record it.
    FollowCustomer,
}

impl Task {
    pub fn lane(&self) -> Lane {
        match self {
            Self::ExtractText => Lane::Extract,
            Self::DrawUpRubric => Lane::Rubric,
            Self::Score => Lane::Score,
            Self::ScoreWaiting | Self::AwaitRubric | Self::FailWaiting | Self::DeleteCandidates => Lane::React,
            Self::ClosePeriod | Self::ApplyScheduledChange | Self::FollowDaily => Lane::Clock,
            Self::InformProvider | Self::PlaceOrder | Self::MeterOverage { .. } | Self::MeterAgain { .. } => {
                Lane::Billing
            }
            Self::FollowWebhook | Self::FollowCustomer => Lane::Webhook,
        }
    }
}

/// One piece of work an event asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub subject: Uuid,
    pub task: Task,
    /// Not to be done earlier.
    pub due: Option<DateTime<Utc>>,
}

/// The next moment after `after` at which the tenant is asked about: the same time of every day, another for each.
pub fn daily_turn(tenant: Uuid, after: DateTime<Utc>) -> DateTime<Utc> {
    const SECONDS: u128 = 86_400;
    let second = i64::try_from(tenant.as_u128() % SECONDS).unwrap_or_default();
    let turn = after.date_naive().and_time(NaiveTime::MIN).and_utc() + TimeDelta::seconds(second);
    if turn > after { turn } else { turn + Days::new(1) }
}

/// The work that `event` of aggregate `subject` asks for; `at`: its business time.
pub fn asked_by(subject: Uuid, event: &Event, at: DateTime<Utc>) -> Vec<Asked> {
    let mut due = None;
    let task = match event {
        Event::Candidate(event) => match event {
            CandidateEvent::ResumeUploaded { .. }
            | CandidateEvent::CandidateRetried { from: RetryFrom::Extraction, .. } => Task::ExtractText,
            CandidateEvent::ScoringAwaited {} => Task::AwaitRubric,
            CandidateEvent::ScoringRequested { .. } => Task::Score,
            CandidateEvent::ExtractionStarted {}
            | CandidateEvent::TextExtracted { .. }
            | CandidateEvent::HiddenTextDetected { .. }
            | CandidateEvent::CandidateRetried { from: RetryFrom::Scoring, .. }
            | CandidateEvent::ExtractionFailed { .. }
            | CandidateEvent::CandidateScored { .. }
            | CandidateEvent::ScoringFailed { .. }
            | CandidateEvent::CandidateDeleted { .. } => return vec![],
        },
        Event::Job(event) => match event {
            JobEvent::JobCreated { .. }
            | JobEvent::RubricRetried {}
            | JobEvent::JobRevised { rubric_outdated: true, .. } => Task::DrawUpRubric,
            JobEvent::RubricRecorded { .. } => Task::ScoreWaiting,
            JobEvent::RubricFailed { .. } => Task::FailWaiting,
            JobEvent::JobDeleted {} => Task::DeleteCandidates,
            JobEvent::JobRevised { rubric_outdated: false, .. } | JobEvent::RubricStarted {} => return vec![],
        },
        Event::Subscription(event) => match event {
            SubscriptionEvent::PlanChangeScheduled { effective_at, by_provider, .. } => {
                let mut asked = vec![Asked { subject, task: Task::ApplyScheduledChange, due: Some(*effective_at) }];
                if !by_provider {
                    asked.push(Asked { subject, task: Task::InformProvider, due: None });
                }
                return asked;
            }
            SubscriptionEvent::PlanChanged { by_provider: false, .. }
            | SubscriptionEvent::PlanChangeWithdrawn { by_provider: false, .. } => Task::InformProvider,
            SubscriptionEvent::PlanOrdered { .. } => Task::PlaceOrder,
            SubscriptionEvent::CustomerLinked { .. }
            | SubscriptionEvent::CustomerReplaced { .. }
            | SubscriptionEvent::ProviderStateRecorded { .. } => {
                due = Some(daily_turn(subject, at + QUIET_FOR));
                Task::FollowDaily
            }
            SubscriptionEvent::SubscriptionStarted { .. }
            | SubscriptionEvent::PlanChanged { by_provider: true, .. }
            | SubscriptionEvent::PlanChangeWithdrawn { by_provider: true, .. }
            | SubscriptionEvent::OrderDeclined { .. }
            | SubscriptionEvent::ProviderInformed { .. }
            | SubscriptionEvent::StatusChanged { .. } => return vec![],
        },
        Event::Usage(event) => match event {
            UsageEvent::PeriodOpened { period, .. } => {
                due = Some(period.end + PERIOD_CLOSES_AFTER);
                Task::ClosePeriod
            }
            UsageEvent::OverageMetered { quantity, at } => Task::MeterOverage { quantity: *quantity, at: *at },
            UsageEvent::MeteringRetried { entry, quantity, at } => {
                Task::MeterAgain { entry: *entry, quantity: *quantity, at: *at }
            }
            UsageEvent::LimitChanged { .. }
            | UsageEvent::MeteringGivenUp { .. }
            | UsageEvent::SlotsReserved { .. }
            | UsageEvent::SlotCommitted { .. }
            | UsageEvent::SlotReleased { .. }
            | UsageEvent::UsageAdjusted { .. }
            | UsageEvent::UsageThresholdReached { .. }
            | UsageEvent::PeriodClosed { .. } => return vec![],
        },
        Event::Webhook(event) => match event {
            WebhookEvent::WebhookReceived { .. } | WebhookEvent::WebhookRetried {} => Task::FollowWebhook,
            WebhookEvent::WebhookSettled { .. } | WebhookEvent::WebhookGivenUp { .. } => return vec![],
        },
        Event::Account(_) | Event::EmailClaim(_) | Event::Customer(_) => return vec![],
    };
    vec![Asked { subject, task, due }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        fixtures::{at, job, march},
        samples::{self, Sample},
        subscription::PlanTerms,
    };

    #[test]
    fn every_event_asks_for_the_work_that_is_written_here_and_no_other() {
        for sample in samples::all() {
            let asked = match sample.event_type.as_str() {
                "ResumeUploaded" => Some(Task::ExtractText),
                "CandidateRetried" if sample.payload["CandidateRetried"]["from"] == json!("extraction") => {
                    Some(Task::ExtractText)
                }
                "ScoringAwaited" => Some(Task::AwaitRubric),
                "ScoringRequested" => Some(Task::Score),
                "JobCreated" | "RubricRetried" => Some(Task::DrawUpRubric),
                "JobRevised" if sample.payload["JobRevised"]["rubric_outdated"] == json!(true) => {
                    Some(Task::DrawUpRubric)
                }
                "RubricRecorded" => Some(Task::ScoreWaiting),
                "RubricFailed" => Some(Task::FailWaiting),
                "JobDeleted" => Some(Task::DeleteCandidates),
                "PlanChanged" | "PlanChangeWithdrawn"
                    if sample.payload[&sample.event_type]["by_provider"] == json!(true) =>
                {
                    None
                }
                "PlanChangeScheduled" => continue, // asks for two; below
                "PlanChanged" | "PlanChangeWithdrawn" => Some(Task::InformProvider),
                "PlanOrdered" => Some(Task::PlaceOrder),
                "CustomerLinked" | "CustomerReplaced" | "ProviderStateRecorded" => Some(Task::FollowDaily),
                "PeriodOpened" => Some(Task::ClosePeriod),
                "OverageMetered" => Some(Task::MeterOverage { quantity: 3, at: at("2026-03-20T08:00:00Z") }),
                "MeteringRetried" => Some(again(3)),
                "WebhookReceived" | "WebhookRetried" => Some(Task::FollowWebhook),
                _ => None,
            };
            let subject = job().0;
            let asked: Vec<_> = asked.into_iter().collect();
            let found = asked_by(subject, &sample.event(), now()).into_iter();
            let found: Vec<Task> = found.map(|asked| asked.task).collect();
            assert_eq!(found, asked, "{}", sample.file);
        }
    }

    #[test]
    fn only_a_revision_of_the_text_asks_for_a_new_rubric() {
        let revised = |outdated: bool| {
            let mut sample: Sample =
                samples::all().into_iter().find(|sample| sample.event_type == "JobRevised").unwrap();
            sample.payload["JobRevised"]["rubric_outdated"] = json!(outdated);
            asked_by(job().0, &sample.event(), now()).pop().map(|asked| asked.task)
        };
        assert_eq!(revised(true), Some(Task::DrawUpRubric));
        assert_eq!(revised(false), None);
    }

    #[test]
    fn tasks_are_stored_under_stable_names_in_their_lanes() {
        let stored = [
            (Task::ExtractText, "extract_text", Lane::Extract),
            (Task::DrawUpRubric, "draw_up_rubric", Lane::Rubric),
            (Task::Score, "score", Lane::Score),
            (Task::ScoreWaiting, "score_waiting", Lane::React),
            (Task::AwaitRubric, "await_rubric", Lane::React),
            (Task::FailWaiting, "fail_waiting", Lane::React),
            (Task::DeleteCandidates, "delete_candidates", Lane::React),
            (Task::ClosePeriod, "close_period", Lane::Clock),
            (Task::ApplyScheduledChange, "apply_scheduled_change", Lane::Clock),
            (Task::FollowDaily, "follow_daily", Lane::Clock),
            (Task::InformProvider, "inform_provider", Lane::Billing),
            (Task::PlaceOrder, "place_order", Lane::Billing),
            (Task::FollowWebhook, "follow_webhook", Lane::Webhook),
            (Task::FollowCustomer, "follow_customer", Lane::Webhook),
        ];
        for (task, name, lane) in stored {
            assert_eq!(serde_json::to_value(&task).unwrap(), json!(name));
            assert_eq!(serde_json::from_value::<Task>(json!(name)).unwrap(), task);
            assert_eq!(task.lane(), lane);
        }
    }

    #[test]
    fn what_is_metered_is_stored_with_the_item() {
        let stored = json!({ "meter_overage": { "quantity": -2, "at": "2026-03-20T08:00:00Z" } });
        let task = Task::MeterOverage { quantity: -2, at: at("2026-03-20T08:00:00Z") };
        assert_eq!(serde_json::to_value(&task).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Task>(stored).unwrap(), task);
        assert_eq!(task.lane(), Lane::Billing);
        let stored = json!({ "meter_again": {
            "entry": "01a3c9d0-0000-7000-8000-0000000e0001", "quantity": -2, "at": "2026-03-20T08:00:00Z",
        } });
        assert_eq!(serde_json::to_value(again(-2)).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Task>(stored).unwrap(), again(-2));
        assert_eq!(again(-2).lane(), Lane::Billing);
    }

    fn again(quantity: i64) -> Task {
        let entry = "01a3c9d0-0000-7000-8000-0000000e0001".parse().unwrap();
        Task::MeterAgain { entry, quantity, at: at("2026-03-20T08:00:00Z") }
    }

    #[test]
    fn a_scheduled_plan_is_told_at_once_and_comes_into_force_when_it_is_due() {
        let effective_at = at("2026-04-14T09:26:53Z");
        let asked = |by_provider| {
            let (plan, reason) = (PlanTerms::default(), String::new());
            let event = SubscriptionEvent::PlanChangeScheduled { plan, effective_at, reason, by_provider };
            let asked = asked_by(job().0, &Event::Subscription(event), now());
            asked.into_iter().map(|asked| (asked.task, asked.due)).collect::<Vec<_>>()
        };
        let due = (Task::ApplyScheduledChange, Some(effective_at));
        assert_eq!(asked(true), vec![due.clone()]);
        assert_eq!(asked(false), [due, (Task::InformProvider, None)]);
    }

    #[test]
    fn a_period_is_closed_some_days_after_its_end() {
        let opened = UsageEvent::PeriodOpened { period: march(), plan: String::new(), limit: None, included: None };
        let asked = asked_by(job().0, &Event::Usage(opened), now());
        assert_eq!(asked[0].due, Some(at("2026-04-17T09:26:53Z")));
    }

    fn now() -> DateTime<Utc> {
        at("2026-03-20T08:00:00Z")
    }

    #[test]
    fn tenants_are_asked_about_once_a_day_each_at_a_time_of_its_own() {
        let tenant = |second: u128| Uuid::from_u128(86_400 * 7 + second);
        assert_eq!(daily_turn(tenant(0), now()), at("2026-03-21T00:00:00Z"));
        assert_eq!(daily_turn(tenant(28_799), now()), at("2026-03-21T07:59:59Z"));
        assert_eq!(daily_turn(tenant(28_800), now()), at("2026-03-21T08:00:00Z"), "its turn is over");
        assert_eq!(daily_turn(tenant(28_801), now()), at("2026-03-20T08:00:01Z"));
        assert_eq!(daily_turn(tenant(86_399), now()), at("2026-03-20T23:59:59Z"));
        for second in [0, 28_800, 50_000] {
            let first = daily_turn(tenant(second), now());
            assert_eq!(daily_turn(tenant(second), first) - first, TimeDelta::days(1));
        }
        // Nobody is asked about just after there was news.
        for second in (0..86_400).step_by(1_234) {
            let linked = Event::Subscription(SubscriptionEvent::CustomerLinked { customer: String::new() });
            let due = asked_by(tenant(second), &linked, now())[0].due.unwrap();
            assert!((TimeDelta::hours(12)..=TimeDelta::hours(36)).contains(&(due - now())), "{due}");
        }
    }

    #[test]
    fn lanes_are_read_by_the_name_they_are_written_by() {
        for lane in Lane::ALL {
            assert_eq!(lane.to_string().parse(), Ok(lane));
            assert_eq!(serde_json::to_value(lane).unwrap(), json!(lane.name()));
        }
    }

    #[test]
    fn an_unknown_lane_is_told_which_there_are() {
        let refusal = "scores".parse::<Lane>().unwrap_err().to_string();
        assert_eq!(
            refusal,
            "\"scores\" is no lane; there are extract, rubric, score, react, clock, billing and webhook"
        );
        assert!(Lane::ALL.iter().all(|lane| refusal.contains(lane.name())));
    }
}
