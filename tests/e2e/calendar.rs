//! Billing periods end when they should, to the second, whatever the calendar and the server's time zone do. The
//! product runs on a clock that stands still where the test puts it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use starscreen_tests::{Account, Clock, PASSWORD, Resume, TestApp};

use crate::product_binary;

/// As in New York: an hour is left out on 10 March 2024, and one comes twice on 3 November.
const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";
/// As in Auckland, where the next day begins while it is noon in UTC.
const AUCKLAND: &str = "NZST-12NZDT,M9.5.0,M4.1.0/3";
const LIMIT: u64 = 5;
/// Of tenants that registered on 31 January 2024.
const OLD: &str = "?period=2024-01-31";
const FULL: &str = "Monthly candidate limit reached (5/5). Please upgrade your plan or wait for next billing cycle.";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The product in `zone`, with its clock.
struct Stage {
    app: TestApp,
    clock: Clock,
}

/// An account with a job, and its address: its token is out of date when a month has passed.
struct Tenant {
    account: Account,
    job: String,
}

impl Stage {
    async fn new(zone: &str, now: &str) -> Self {
        let now = at(now);
        let clock = Clock::stopped_at(now);
        let [preload, file] = clock.environment();
        let environment = [(preload.0, preload.1.as_str()), (file.0, file.1.as_str()), ("TZ", zone)];
        let stage = Self { app: TestApp::start_with(&product_binary(), &environment), clock };
        let health = stage.app.client().get("/health").send().await.expect(200).json();
        assert_eq!(at(health["timestamp"].as_str().unwrap()), now, "the product goes by the clock of the test");
        stage
    }

    async fn register(&self, now: &str) -> Tenant {
        self.clock.set(at(now));
        let account = self.app.client().account().await;
        let job = account.ready_job().await;
        Tenant { account, job }
    }

    /// A caller with a token of that time.
    async fn sign_in(&self, tenant: &Tenant, now: DateTime<Utc>) -> Account {
        self.clock.set(now);
        let body = json!({ "username": tenant.account.email, "password": PASSWORD });
        let answer = self.app.client().post("auth/login").json(&body).send().await.expect(200).json();
        tenant.account.with_token(answer["access_token"].as_str().unwrap())
    }

    /// The period from `start` to `end` takes five candidates, and not one more until it ends.
    async fn ends(&self, tenant: &Tenant, start: &str, end: &str) {
        let (job, end_at) = (&tenant.job, at(end));
        let account = self.sign_in(tenant, end_at - TimeDelta::seconds(5)).await;
        assert_eq!(account.subscription().await["current_period_end"], end_at.timestamp_millis(), "{end}");
        let used = account.subscription().await["candidates_used_this_month"].as_u64().unwrap();
        for _ in used..LIMIT {
            account.take_in(job, &Resume::unique()).await;
        }
        for before in [TimeDelta::seconds(5), TimeDelta::nanoseconds(1)] {
            self.clock.set(end_at - before);
            let refused = account.upload(job, &Resume::unique()).send().await;
            assert_eq!(refused.problem(402, "quota_exhausted"), FULL, "{before} before {end}");
        }
        self.clock.set(end_at);
        let shown = account.subscription().await;
        let remaining = (&shown["candidates_used_this_month"], &shown["remaining_candidates"]);
        assert_eq!(remaining, (&json!(0), &json!(LIMIT)), "{end}: {shown}");
        for (after, left) in [(0, 4), (5, 3)] {
            self.clock.set(end_at + TimeDelta::seconds(after));
            let taken = account.upload(job, &Resume::unique()).send().await.expect(200).json();
            let message = taken["message"].as_str().unwrap();
            assert!(message.contains(&format!("({left} candidates remaining")), "{after} s after {end}: {message}");
        }
        account.until_used(2).await;

        self.app.settled().await;
        let old = usage(&account, &format!("?period={}", &start[..10])).await;
        assert_eq!((bounds(&old), &old["used"]), ((at(start), end_at), &json!(LIMIT)), "{old}");
        let new = usage(&account, "").await;
        assert_eq!((bounds(&new).0, &new["used"]), (end_at, &json!(2)), "{new}");
    }
}

async fn usage(account: &Account, query: &str) -> Value {
    account.get(&format!("subscriptions/usage{query}")).send().await.expect(200).json()
}

fn bounds(usage: &Value) -> (DateTime<Utc>, DateTime<Utc>) {
    (at(usage["period_start"].as_str().unwrap()), at(usage["period_end"].as_str().unwrap()))
}

fn kinds(usage: &Value) -> Vec<&str> {
    usage["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_month_ends_on_its_last_day_to_the_second_however_many_it_has() {
    const START: &str = "2024-01-31T23:59:50Z";
    let stage = Stage::new("UTC", START).await;
    let tenant = stage.register(START).await;
    stage.ends(&tenant, START, "2024-02-29T23:59:50Z").await;
    stage.ends(&tenant, "2024-02-29T23:59:50Z", "2024-03-31T23:59:50Z").await;
    stage.ends(&tenant, "2024-03-31T23:59:50Z", "2024-04-30T23:59:50Z").await;
}

#[tokio::test]
async fn who_starts_on_a_leap_day_has_it_again_after_four_years() {
    const START: &str = "2024-02-29T12:00:00Z";
    let stage = Stage::new(AUCKLAND, START).await;
    let tenant = stage.register(START).await;
    stage.ends(&tenant, START, "2024-03-29T12:00:00Z").await;
    stage.ends(&tenant, "2025-01-29T12:00:00Z", "2025-02-28T12:00:00Z").await;
    stage.ends(&tenant, "2025-02-28T12:00:00Z", "2025-03-29T12:00:00Z").await;
    stage.ends(&tenant, "2028-01-29T12:00:00Z", "2028-02-29T12:00:00Z").await;
}

#[tokio::test]
async fn clocks_that_are_put_forward_or_back_move_no_period() {
    let stage = Stage::new(NEW_YORK, "2024-02-10T07:30:00Z").await;
    // Half past two, which 10 March does not have.
    let in_the_hour_left_out = stage.register("2024-02-10T07:30:00Z").await;
    // Seven in the morning, when it is winter; eight, when it is summer.
    let over_the_change = stage.register("2024-02-20T12:00:00Z").await;
    stage.ends(&in_the_hour_left_out, "2024-02-10T07:30:00Z", "2024-03-10T07:30:00Z").await;
    stage.ends(&over_the_change, "2024-02-20T12:00:00Z", "2024-03-20T12:00:00Z").await;
    // Half past one, which comes twice on 3 November: this is the first.
    let in_the_hour_that_comes_twice = stage.register("2024-10-03T05:30:00Z").await;
    stage.ends(&in_the_hour_that_comes_twice, "2024-10-03T05:30:00Z", "2024-11-03T05:30:00Z").await;
}

#[tokio::test]
async fn what_was_taken_in_before_the_end_and_scored_after_it_counts_before() {
    const START: &str = "2024-01-31T12:00:00Z";
    let stage = Stage::new(NEW_YORK, START).await;
    let tenant = stage.register(START).await;
    let end = at("2024-02-29T12:00:00Z");
    let account = stage.sign_in(&tenant, end - TimeDelta::seconds(5)).await;
    stage.app.operate(&["queue", "pause", "extract"]).succeeded();
    let scored = account.take_in(&tenant.job, &Resume::unique()).await;
    let failing = account.take_in(&tenant.job, &Resume::fixture("legacy.doc")).await;
    stage.clock.set(end + TimeDelta::seconds(5));
    stage.app.operate(&["queue", "resume", "extract"]).succeeded();
    account.until_candidate_is(&tenant.job, &scored, "SCORED").await;
    account.until_candidate_is(&tenant.job, &failing, "FAILED").await;

    stage.app.settled().await;
    let old = usage(&account, OLD).await;
    let mut entries = kinds(&old);
    entries[3..].sort_unstable();
    assert_eq!(entries, ["opened", "reserved", "reserved", "committed", "released"], "{old}");
    assert_eq!((&old["used"], &old["committed"], &old["released"]), (&json!(1), &json!(1), &json!(1)), "{old}");
    let new = usage(&account, "").await;
    assert_eq!((bounds(&new).0, &new["used"], &new["total_entries"]), (end, &json!(0), &json!(0)), "{new}");
}

#[tokio::test]
async fn what_is_scored_when_its_period_is_closed_is_an_entry_of_the_next() {
    let stage = Stage::new(NEW_YORK, "2024-01-31T11:59:50Z").await;
    let earlier = stage.register("2024-01-31T11:59:50Z").await;
    let tenant = stage.register("2024-01-31T12:00:00Z").await;
    let end = at("2024-02-29T12:00:00Z");
    let account = stage.sign_in(&earlier, end - TimeDelta::seconds(15)).await;
    account.take_in(&earlier.job, &Resume::unique()).await;
    let account = stage.sign_in(&tenant, end - TimeDelta::seconds(5)).await;
    stage.app.operate(&["queue", "pause", "extract"]).succeeded();
    let scored = account.take_in(&tenant.job, &Resume::unique()).await;
    let failing = account.take_in(&tenant.job, &Resume::fixture("legacy.doc")).await;

    // Three days are for what is late. When the other period is closed, this one was looked at too.
    let closing = end + TimeDelta::days(3);
    closed(&stage.sign_in(&earlier, closing - TimeDelta::seconds(5)).await).await;
    assert_eq!(usage(&stage.sign_in(&tenant, closing - TimeDelta::seconds(5)).await, OLD).await["closed"], false);
    let account = stage.sign_in(&tenant, closing + TimeDelta::seconds(5)).await;
    let old = closed(&account).await;
    assert_eq!(kinds(&old), ["opened", "reserved", "reserved", "released", "released", "closed"], "{old}");
    assert_eq!((&old["used"], &old["released"]), (&json!(0), &json!(2)), "{old}");

    stage.app.operate(&["queue", "resume", "extract"]).succeeded();
    account.until_candidate_is(&tenant.job, &scored, "SCORED").await;
    account.until_candidate_is(&tenant.job, &failing, "FAILED").await;
    stage.app.settled().await;
    assert_eq!(usage(&account, OLD).await, old, "nothing is added to a closed period");
    let new = usage(&account, "").await;
    assert_eq!((kinds(&new), &new["used"]), (vec!["opened", "adjusted"], &json!(1)), "{new}");
    let reason = new["entries"][1]["reason"].as_str().unwrap();
    assert!(reason.contains(&scored), "{reason}");
}

/// The period that begins on 31 January, when it is closed: balance and entries are read models of their own.
async fn closed(account: &Account) -> Value {
    let look = async || {
        let old = usage(account, OLD).await;
        let is_closed = old["closed"] == true && kinds(&old).last() == Some(&"closed");
        if is_closed { Ok(old) } else { Err(old.to_string()) }
    };
    account.log().until("the period is closed", look).await
}
