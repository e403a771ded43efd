//! Every event version that was ever published, as golden JSON in `samples/`, never edited: a program that cannot read
//! one of them, or reads it as something else, has lost a piece of its tenants' history.
//!
//! `<EventType>.v<version>.json` has every field that the version was published with; beside it,
//! `<EventType>.v<version>.<what>.json` lacks the optional ones, takes another choice, or has fields added since.

use std::{collections::BTreeSet, fs, path::Path};

use cqrs_es::Aggregate;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    Event,
    account::{Account, AccountEvent},
    candidate::{Candidate, CandidateEvent},
    customer::{Customer, CustomerEvent},
    email_claim::{EmailClaim, EmailClaimEvent},
    job::{Job, JobEvent},
    subscription::{Subscription, SubscriptionEvent},
    usage::{Usage, UsageEvent},
    webhook::{Webhook, WebhookEvent},
};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    #[serde(skip)]
    pub file: String,
    pub aggregate_type: String,
    pub event_type: String,
    pub event_version: String,
    pub payload: Value,
}

impl Sample {
    pub fn event(&self) -> Event {
        let decoded = Event::decode(&self.aggregate_type, &self.event_type, &self.event_version, self.payload.clone());
        decoded.unwrap_or_else(|error| panic!("{}: {error}", self.file))
    }
}

pub fn all() -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut samples = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let sample: Sample = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        samples.push(Sample { file, ..sample });
    }
    samples.sort_by(|one, other| one.file.cmp(&other.file));
    samples
}

/// Name and current version of every event, by noun.
pub fn known() -> BTreeSet<(&'static str, &'static str, &'static str)> {
    let nouns = [
        (Account::TYPE, AccountEvent::TYPES),
        (EmailClaim::TYPE, EmailClaimEvent::TYPES),
        (Job::TYPE, JobEvent::TYPES),
        (Candidate::TYPE, CandidateEvent::TYPES),
        (Subscription::TYPE, SubscriptionEvent::TYPES),
        (Usage::TYPE, UsageEvent::TYPES),
        (Customer::TYPE, CustomerEvent::TYPES),
        (Webhook::TYPE, WebhookEvent::TYPES),
    ];
    nouns
        .into_iter()
        .flat_map(|(noun, types)| types.iter().map(move |(name, version)| (noun, *name, *version)))
        .collect()
}

pub fn payload(event: &Event) -> Value {
    match event {
        Event::Account(event) => json!(event),
        Event::EmailClaim(event) => json!(event),
        Event::Job(event) => json!(event),
        Event::Candidate(event) => json!(event),
        Event::Subscription(event) => json!(event),
        Event::Usage(event) => json!(event),
        Event::Customer(event) => json!(event),
        Event::Webhook(event) => json!(event),
    }
}

/// When a version is raised, its old samples are upcast before they come here.
#[test]
fn every_sample_is_read_and_written_back_the_same() {
    for sample in all() {
        nothing_is_lost(&sample.payload, &payload(&sample.event()), &sample.file);
    }
}

#[test]
fn every_event_has_a_sample_of_its_current_version() {
    let files: BTreeSet<String> = all().into_iter().map(|sample| sample.file).collect();
    for (_, event_type, version) in known() {
        let file = format!("{event_type}.v{version}.json");
        assert!(files.contains(&file), "there is no samples/{file}");
    }
}

#[test]
fn every_sample_is_of_a_known_event_and_named_after_it() {
    for sample in all() {
        let name = format!("{}.v{}", sample.event_type, sample.event_version);
        let what = sample.file.strip_prefix(&name).and_then(|rest| rest.strip_suffix(".json"));
        assert!(what.is_some_and(|what| what.is_empty() || what.starts_with('.')), "{} holds {name}", sample.file);
        let version: u32 = sample.event_version.parse().unwrap();
        let published = known().into_iter().any(|(noun, event_type, current)| {
            noun == sample.aggregate_type && event_type == sample.event_type && version <= current.parse().unwrap()
        });
        assert!(published, "{} names no known event", sample.file);
    }
}

#[test]
fn a_full_sample_leaves_no_field_out() {
    for sample in all().into_iter().filter(|sample| sample.file.matches('.').count() == 2) {
        assert_eq!(without_nulls(sample.payload.clone()), sample.payload, "{} holds a null", sample.file);
    }
}

/// An optional field is one that history may lack: a `null` in what we write must be readable when it is absent.
#[test]
fn what_may_be_null_may_be_absent() {
    for sample in all() {
        let absent = Sample { payload: without_nulls(payload(&sample.event())), ..sample.clone() };
        assert_eq!(absent.event(), sample.event(), "{}", sample.file);
    }
}

#[test]
fn every_optional_field_has_a_sample_without_it() {
    let lacking = |file: &str, field: &str| {
        let sample = all().into_iter().find(|sample| sample.file == file).unwrap_or_else(|| panic!("no {file}"));
        let fields = &payload(&sample.event())[&sample.event_type];
        let value = fields.pointer(field).unwrap_or_else(|| panic!("{file} has no {field}"));
        assert!(says_nothing(value), "{file}: {field} is {value}");
    };
    lacking("AccountRegistered.v1.minimal.json", "/full_name");
    lacking("AccountRegistered.v1.minimal.json", "/company_name");
    lacking("JobCreated.v1.minimal.json", "/location");
    lacking("JobRevised.v1.minimal.json", "/location");
    lacking("RubricRecorded.v1.minimal.json", "/rubric/desired_background_patterns/minimum_years");
    lacking("RubricRecorded.v1.minimal.json", "/rubric/desired_background_patterns/titles");
    lacking("RubricRecorded.v1.minimal.json", "/rubric/education_preferences/degrees");
    lacking("RubricRecorded.v1.minimal.json", "/rubric/education_preferences/required");
    lacking("ResumeUploaded.v1.minimal.json", "/given");
    lacking("TextExtracted.v1.minimal.json", "/found");
    lacking("CandidateScored.v1.minimal.json", "/total");
    lacking("CandidateScored.v1.minimal.json", "/categories/0/score");
    lacking("SubscriptionStarted.v1.minimal.json", "/plan/monthly_limit");
    lacking("PlanChanged.v1.minimal.json", "/plan/monthly_limit");
    lacking("PeriodOpened.v1.minimal.json", "/limit");
    lacking("LimitChanged.v1.minimal.json", "/limit");
    lacking("PlanChanged.v1.minimal.json", "/plan/included");
    lacking("PlanChanged.v1.minimal.json", "/plan/price");
    lacking("PlanChanged.v1.by_provider.json", "/plan/price/overage");
    lacking("PlanChanged.v1.minimal.json", "/by_provider");
    lacking("PlanChanged.v1.minimal.json", "/declined");
    lacking("PlanChangeScheduled.v1.minimal.json", "/by_provider");
    lacking("OrderDeclined.v1.minimal.json", "/code");
    lacking("ProviderInformed.v1.json", "/part");
    lacking("ProviderStateRecorded.v1.minimal.json", "/paid");
    lacking("ProviderStateRecorded.v1.unknown_end.json", "/paid/period_end");
    lacking("ProviderStateRecorded.v1.json", "/paid/customer");
    lacking("StatusChanged.v1.minimal.json", "/grace_until");
    lacking("PeriodOpened.v1.minimal.json", "/included");
    lacking("LimitChanged.v1.minimal.json", "/included");
    lacking("WebhookReceived.v1.minimal.json", "/customer");
    lacking("WebhookSettled.v1.minimal.json", "/tenant_id");
}

/// The vault binds each ciphertext to its field's name: a sealed value that is not listed would never be opened.
#[test]
fn every_sealed_value_is_listed_under_its_own_name() {
    for sample in all() {
        let mut event = sample.event();
        let listed: BTreeSet<String> = event.sealed_mut().into_iter().map(|(name, _)| name.to_owned()).collect();
        let mut found = BTreeSet::new();
        sealed_fields(&sample.payload, "", &mut found);
        assert_eq!(listed, found, "{}", sample.file);
        assert_eq!(event.keys().len(), found.len(), "{}", sample.file);
    }
}

fn sealed_fields(value: &Value, name: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if fields.len() == 2 && fields.contains_key("key") && fields.contains_key("data") => {
            assert!(found.insert(name.to_owned()), "two sealed values named {name}");
        }
        Value::Object(fields) => fields.iter().for_each(|(name, value)| sealed_fields(value, name, found)),
        Value::Array(values) => values.iter().for_each(|value| sealed_fields(value, name, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What was stored is written again, letter for letter; what is written beyond it says nothing.
fn nothing_is_lost(stored: &Value, written: &Value, place: &str) {
    match (stored, written) {
        (Value::Object(stored), Value::Object(written)) => {
            for (name, value) in stored {
                let place = format!("{place}/{name}");
                nothing_is_lost(value, written.get(name).unwrap_or(&Value::Null), &place);
            }
            for (name, value) in written.iter().filter(|(name, _)| !stored.contains_key(*name)) {
                assert!(says_nothing(value), "{place}/{name} was not stored and is written as {value}");
            }
        }
        (Value::Array(stored), Value::Array(written)) if stored.len() == written.len() => {
            stored.iter().zip(written).for_each(|(stored, written)| nothing_is_lost(stored, written, place));
        }
        _ => assert_eq!(stored, written, "{place}"),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().all(says_nothing),
        Value::Array(values) => values.is_empty(),
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: Map<String, Value> = fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect();
            Value::Object(fields)
        }
        Value::Array(values) => Value::Array(values.into_iter().map(without_nulls).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}
