//! Any event of any noun, for properties that hold for all of them.

use chrono::{DateTime, Utc};
use proptest::{collection::vec, option::of, prelude::*};
use uuid::Uuid;

use crate::{
    AttemptId, CandidateId, ClaimId, Event, EventId, JobId, Sealed, TenantId, UsageId, UserId,
    account::AccountEvent,
    candidate::{CandidateEvent, CategoryScore, DeletionReason, Failure, HiddenText, RetryFrom},
    customer::CustomerEvent,
    email_claim::EmailClaimEvent,
    job::{BackgroundPatterns, Category, EducationPreferences, JobEvent, Rubric},
    period::Period,
    score::{Importance, Score, Total},
    subscription::{Interval, Paid, PlanTerms, Price, Reached, SubscriptionEvent, SubscriptionStatus},
    usage::{ReleaseReason, UsageEvent},
    webhook::{WebhookEvent, WebhookOutcome},
};

pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => account().prop_map(Event::Account),
        2 => email_claim().prop_map(Event::EmailClaim),
        6 => job().prop_map(Event::Job),
        9 => candidate().prop_map(Event::Candidate),
        9 => subscription().prop_map(Event::Subscription),
        9 => usage().prop_map(Event::Usage),
        1 => customer().prop_map(Event::Customer),
        4 => webhook().prop_map(Event::Webhook),
    ]
}

fn account() -> impl Strategy<Value = AccountEvent> {
    (id(UserId), id(ClaimId), sealed(), of(sealed()), of(sealed())).prop_map(
        |(user_id, claim_id, email, full_name, company_name)| AccountEvent::AccountRegistered {
            user_id,
            claim_id,
            email,
            full_name,
            company_name,
        },
    )
}

fn email_claim() -> impl Strategy<Value = EmailClaimEvent> {
    prop_oneof![
        (id(TenantId), id(UserId))
            .prop_map(|(tenant_id, user_id)| EmailClaimEvent::EmailClaimed { tenant_id, user_id }),
        Just(EmailClaimEvent::EmailReleased {}),
    ]
}

fn job() -> impl Strategy<Value = JobEvent> {
    prop_oneof![
        (text(), text(), of(text()), any::<bool>(), id(UserId)).prop_map(
            |(title, description, location, work_authorization_required, created_by)| JobEvent::JobCreated {
                title,
                description,
                location,
                work_authorization_required,
                created_by,
            }
        ),
        (text(), text(), of(text()), any::<bool>(), any::<bool>()).prop_map(
            |(title, description, location, work_authorization_required, rubric_outdated)| JobEvent::JobRevised {
                title,
                description,
                location,
                work_authorization_required,
                rubric_outdated,
            }
        ),
        Just(JobEvent::RubricStarted {}),
        (any::<u32>(), rubric(), text(), text()).prop_map(|(version, rubric, model, prompt_version)| {
            JobEvent::RubricRecorded { version, rubric, model, prompt_version }
        }),
        failure().prop_map(|failure| JobEvent::RubricFailed { failure }),
        Just(JobEvent::RubricRetried {}),
        Just(JobEvent::JobDeleted {}),
    ]
}

fn candidate() -> impl Strategy<Value = CandidateEvent> {
    let file = (text(), text(), any::<u64>(), text(), sealed(), of(sealed()));
    let score = (vec(category_score(), 0..4), of(total()), vec(text(), 0..3), sealed(), of(sealed()));
    prop_oneof![
        (id(JobId), id(UsageId), file, id(UserId)).prop_map(|(job_id, usage_id, file, uploaded_by)| {
            let (blob_key, file_kind, size_bytes, content_hash, file_name, given) = file;
            CandidateEvent::ResumeUploaded {
                job_id,
                usage_id,
                blob_key,
                file_kind,
                size_bytes,
                content_hash,
                file_name,
                given,
                uploaded_by,
            }
        }),
        Just(CandidateEvent::ExtractionStarted {}),
        (text(), any::<u64>(), any::<u32>(), of(sealed()), any::<bool>()).prop_map(
            |(text_key, characters, pages, found, cut_short)| CandidateEvent::TextExtracted {
                text_key,
                characters,
                pages,
                found,
                cut_short,
            }
        ),
        (vec((text(), any::<u64>()), 0..3), any::<u32>()).prop_map(|(found, share_permille)| {
            let findings =
                found.into_iter().map(|(technique, characters)| HiddenText { technique, characters }).collect();
            CandidateEvent::HiddenTextDetected { findings, share_permille }
        }),
        failure().prop_map(|failure| CandidateEvent::ExtractionFailed { failure }),
        Just(CandidateEvent::ScoringAwaited {}),
        any::<u32>().prop_map(|rubric_version| CandidateEvent::ScoringRequested { rubric_version }),
        (id(AttemptId), any::<u32>(), text(), text(), score).prop_map(
            |(attempt, rubric_version, prompt_version, model, (categories, total, needs_review, evaluation, found))| {
                CandidateEvent::CandidateScored {
                    attempt,
                    rubric_version,
                    prompt_version,
                    model,
                    categories,
                    total,
                    needs_review,
                    evaluation,
                    found,
                }
            }
        ),
        failure().prop_map(|failure| CandidateEvent::ScoringFailed { failure }),
        (id(UsageId), prop_oneof![Just(RetryFrom::Extraction), Just(RetryFrom::Scoring)])
            .prop_map(|(usage_id, from)| CandidateEvent::CandidateRetried { usage_id, from }),
        prop_oneof![Just(DeletionReason::Requested), Just(DeletionReason::JobDeleted)]
            .prop_map(|reason| CandidateEvent::CandidateDeleted { reason }),
    ]
}

fn subscription() -> impl Strategy<Value = SubscriptionEvent> {
    prop_oneof![
        (plan(), moment()).prop_map(|(plan, anchor)| SubscriptionEvent::SubscriptionStarted { plan, anchor }),
        (text(), plan(), text(), any::<[bool; 2]>()).prop_map(|(from, plan, reason, [by_provider, declined])| {
            SubscriptionEvent::PlanChanged { from, plan, reason, by_provider, declined }
        }),
        (plan(), moment(), text(), any::<bool>()).prop_map(|(plan, effective_at, reason, by_provider)| {
            SubscriptionEvent::PlanChangeScheduled { plan, effective_at, reason, by_provider }
        }),
        (text(), any::<bool>())
            .prop_map(|(reason, by_provider)| SubscriptionEvent::PlanChangeWithdrawn { reason, by_provider }),
        text().prop_map(|customer| SubscriptionEvent::CustomerLinked { customer }),
        (text(), text(), text()).prop_map(|(former, customer, reason)| SubscriptionEvent::CustomerReplaced {
            former,
            customer,
            reason
        }),
        (any::<u128>(), plan(), text(), text()).prop_map(|(order, plan, price, payment_method)| {
            SubscriptionEvent::PlanOrdered { order: Uuid::from_u128(order), plan, price, payment_method }
        }),
        (any::<u128>(), of(text()), text()).prop_map(|(order, code, reason)| SubscriptionEvent::OrderDeclined {
            order: Uuid::from_u128(order),
            code,
            reason
        }),
        of(reached()).prop_map(|part| SubscriptionEvent::ProviderInformed { part }),
        of(paid()).prop_map(|paid| SubscriptionEvent::ProviderStateRecorded { paid }),
        (status(), of(moment()))
            .prop_map(|(status, grace_until)| SubscriptionEvent::StatusChanged { status, grace_until }),
    ]
}

fn reached() -> impl Strategy<Value = Reached> {
    (any::<u64>(), plan(), plan()).prop_map(|(revision, paid_for, told)| Reached { revision, paid_for, told })
}

fn paid() -> impl Strategy<Value = Paid> {
    (text(), text(), status(), any::<bool>(), of(moment()), of(text())).prop_map(
        |(id, price, status, cancel_at_period_end, period_end, customer)| Paid {
            id,
            price,
            status,
            cancel_at_period_end,
            period_end,
            customer,
        },
    )
}

fn status() -> impl Strategy<Value = SubscriptionStatus> {
    let spelled = prop_oneof![
        Just("active"),
        Just("trialing"),
        Just("past_due"),
        Just("unpaid"),
        Just("paused"),
        Just("incomplete"),
        Just("incomplete_expired"),
        Just("canceled"),
        Just("from_the_future"),
    ];
    spelled.prop_map(SubscriptionStatus::of)
}

fn customer() -> impl Strategy<Value = CustomerEvent> {
    (text(), id(TenantId)).prop_map(|(customer, tenant_id)| CustomerEvent::CustomerClaimed { customer, tenant_id })
}

fn webhook() -> impl Strategy<Value = WebhookEvent> {
    let outcome =
        prop_oneof![Just(WebhookOutcome::Applied), Just(WebhookOutcome::Unchanged), Just(WebhookOutcome::Ignored)];
    prop_oneof![
        (text(), text(), of(text()), moment()).prop_map(|(notice, kind, customer, created)| {
            WebhookEvent::WebhookReceived { notice, kind, customer, created }
        }),
        (outcome, of(id(TenantId)))
            .prop_map(|(outcome, tenant_id)| WebhookEvent::WebhookSettled { outcome, tenant_id }),
        text().prop_map(|reason| WebhookEvent::WebhookGivenUp { reason }),
        Just(WebhookEvent::WebhookRetried {}),
    ]
}

fn usage() -> impl Strategy<Value = UsageEvent> {
    let period = (moment(), moment()).prop_map(|(start, end)| Period { start, end });
    let release_reason = prop_oneof![
        Just(ReleaseReason::ExtractionFailed),
        Just(ReleaseReason::ScoringFailed),
        Just(ReleaseReason::Expired)
    ];
    prop_oneof![
        (period, text(), of(any::<u32>()), of(any::<u32>()))
            .prop_map(|(period, plan, limit, included)| { UsageEvent::PeriodOpened { period, plan, limit, included } }),
        (text(), of(any::<u32>()), of(any::<u32>())).prop_map(|(plan, limit, included)| UsageEvent::LimitChanged {
            plan,
            limit,
            included
        }),
        vec(id(CandidateId), 0..5).prop_map(|candidates| UsageEvent::SlotsReserved { candidates }),
        id(CandidateId).prop_map(|candidate| UsageEvent::SlotCommitted { candidate }),
        (id(CandidateId), release_reason)
            .prop_map(|(candidate, reason)| UsageEvent::SlotReleased { candidate, reason }),
        (any::<i32>(), text()).prop_map(|(delta, reason)| UsageEvent::UsageAdjusted { delta, reason }),
        (any::<i64>(), moment()).prop_map(|(quantity, at)| UsageEvent::OverageMetered { quantity, at }),
        (id(EventId), any::<i64>(), moment(), text())
            .prop_map(|(entry, quantity, at, reason)| { UsageEvent::MeteringGivenUp { entry, quantity, at, reason } }),
        (id(EventId), any::<i64>(), moment()).prop_map(|(entry, quantity, at)| UsageEvent::MeteringRetried {
            entry,
            quantity,
            at
        }),
        (any::<u8>(), any::<u32>(), any::<u32>())
            .prop_map(|(percent, used, limit)| UsageEvent::UsageThresholdReached { percent, used, limit }),
        any::<u32>().prop_map(|used| UsageEvent::PeriodClosed { used }),
    ]
}

fn rubric() -> impl Strategy<Value = Rubric> {
    let background = (of(any::<u32>()), texts(), texts(), texts()).prop_map(
        |(minimum_years, titles, industries, certifications)| BackgroundPatterns {
            minimum_years,
            titles,
            industries,
            certifications,
        },
    );
    let education = (texts(), texts(), any::<bool>()).prop_map(|(degrees, fields, required)| EducationPreferences {
        degrees,
        fields,
        required,
    });
    let category = (text(), text(), importance(), text(), texts()).prop_map(
        |(category_id, name, importance, description, examples_of_evidence)| Category {
            category_id,
            name,
            importance,
            description,
            examples_of_evidence,
        },
    );
    (text(), text(), text(), texts(), vec(category, 0..4), background, education).prop_map(
        |(
            title,
            seniority_level,
            role_summary,
            core_responsibilities,
            categories,
            desired_background_patterns,
            education_preferences,
        )| {
            Rubric {
                title,
                seniority_level,
                role_summary,
                core_responsibilities,
                categories,
                desired_background_patterns,
                education_preferences,
            }
        },
    )
}

fn category_score() -> impl Strategy<Value = CategoryScore> {
    let score = (0_u8..=100).prop_map(|points| Score::try_new(points).unwrap());
    (text(), importance(), of(score)).prop_map(|(category_id, importance, score)| CategoryScore {
        category_id,
        importance,
        score,
    })
}

fn importance() -> impl Strategy<Value = Importance> {
    (1_u8..=5).prop_map(|weight| Importance::try_new(weight).unwrap())
}

fn total() -> impl Strategy<Value = Total> {
    (0_u16..=1_000).prop_map(|tenths| Total::try_new(tenths).unwrap())
}

fn plan() -> impl Strategy<Value = PlanTerms> {
    let interval = prop_oneof![Just(Interval::Monthly), Just(Interval::Annual)];
    let price = (any::<u32>(), text(), interval, of(any::<u32>()))
        .prop_map(|(amount, currency, interval, overage)| Price { amount, currency, interval, overage });
    (text(), text(), of(any::<u32>()), of(any::<u32>()), of(price)).prop_map(
        |(code, display_name, monthly_limit, included, price)| PlanTerms {
            code,
            display_name,
            monthly_limit,
            included,
            price,
        },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    (text(), text()).prop_map(|(code, sentence)| Failure { code, sentence })
}

fn sealed() -> impl Strategy<Value = Sealed> {
    (any::<u128>(), vec(any::<u8>(), 0..40)).prop_map(|(key, data)| Sealed::new(Uuid::from_u128(key), data))
}

/// Any nanosecond of the years 1 to 9999: what RFC 3339 can write.
fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    (-62_135_596_800_i64..253_402_300_800, 0_u32..1_000_000_000)
        .prop_map(|(seconds, nanos)| DateTime::from_timestamp(seconds, nanos).unwrap())
}

fn id<T: std::fmt::Debug>(new: fn(Uuid) -> T) -> impl Strategy<Value = T> {
    any::<u128>().prop_map(move |id| new(Uuid::from_u128(id)))
}

/// Any characters, controls and quotation marks among them.
fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..12).prop_map(String::from_iter)
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..3)
}
