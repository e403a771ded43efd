//! What Prometheus reads: counts of each process, and how far everybody is.

use std::collections::BTreeSet;

use serde_json::json;
use starscreen_tests::{Account, Client, Home, Nats, Resume, Server};

use crate::{product_binary, stores::database};

const LISTEN: (&str, &str) = ("STARSCREEN_METRICS_LISTEN", "127.0.0.1:0");

/// Where a process tells its metrics.
#[derive(Clone, Debug)]
struct Told(String);

impl Told {
    /// Of the process that was started last; `before`: how many others told theirs before it.
    fn after(home: &Home, before: usize) -> Self {
        home.log().until_blocking("a process tells its metrics", || {
            let log = home.log().text();
            let addresses: Vec<&str> = log.split("metrics are told on ").skip(1).collect();
            let address = addresses.get(before).and_then(|rest| rest.split("/metrics").next());
            address.map(|address| Self(address.to_owned())).ok_or_else(|| format!("{} do", addresses.len()))
        })
    }

    async fn page(&self) -> String {
        let answer = reqwest::get(format!("{}/metrics", self.0)).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let page = answer.text().await.unwrap();
        assert_is_well_formed(&page);
        page
    }

    /// Waits until the value of `series` is as wanted.
    async fn until(&self, home: &Home, series: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        let look = async || {
            let page = self.page().await;
            match value(&page, series) {
                Some(value) if wanted(value) => Ok(value),
                value => Err(format!("{series} is {value:?} in\n{page}")),
            }
        };
        home.log().until(&format!("{series} is as wanted"), look).await
    }
}

/// A series is a name and its labels, as they are written.
fn value(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

fn is_one(value: f64) -> bool {
    (1.0..=1.0).contains(&value)
}

/// Every series belongs to a family that was described before it, and none stands there twice.
fn assert_is_well_formed(page: &str) {
    let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
    for line in page.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            assert!(families.insert(described.split(' ').next().unwrap().to_owned()), "twice: {line}");
        } else if !line.starts_with("# HELP ") {
            let (name, number) = line.rsplit_once(' ').unwrap();
            assert!(number.parse::<f64>().is_ok() && series.insert(name), "{line}");
            let name = name.split('{').next().unwrap();
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let known = families.contains(name) || of_histogram.is_some_and(|name| families.contains(name));
            assert!(known && name.starts_with("starscreen_"), "{line}");
        }
    }
}

async fn scored(account: &Account) -> [String; 2] {
    let job = account.ready_job().await;
    let candidate = account.take_in(&job, &Resume::unique()).await;
    account.until_candidate_is(&job, &candidate, "SCORED").await;
    [job, candidate]
}

#[tokio::test]
async fn one_process_tells_everything_and_nothing_of_tenants() {
    let home = Home::new(&product_binary());
    let server = home.serve(&[LISTEN]);
    let told = Told::after(&home, 0);
    let account = Client::of(&server, home.log()).account().await;
    let ids = scored(&account).await;
    account.get("jobs/0198c0de-0000-7000-8000-000000000001").send().await.expect(404);
    told.until(&home, r#"starscreen_projector_lag_events{read_model="candidate_status"}"#, |lag| lag == 0.0).await;
    for lane in ["extract", "rubric", "score", "react"] {
        told.until(&home, &format!(r#"starscreen_work_oldest_seconds{{lane="{lane}"}}"#), |age| age == 0.0).await;
    }
    let page = told.page().await;
    let upload = "/api/v1/jobs/{job_id}/candidates/upload";
    for (series, wanted) in [
        (format!(r#"starscreen_http_requests_total{{method="POST",route="{upload}",status="2xx"}}"#), 1.0),
        (format!(r#"starscreen_http_request_seconds_count{{method="POST",route="{upload}"}}"#), 1.0),
        (r#"starscreen_http_requests_total{method="GET",route="/api/v1/jobs/{job_id}",status="4xx"}"#.to_owned(), 1.0),
        (r#"starscreen_uploads_total{status="2xx"}"#.to_owned(), 1.0),
        (r#"starscreen_model_calls_total{call="rubric",outcome="answered"}"#.to_owned(), 1.0),
        (r#"starscreen_model_calls_total{call="grade",outcome="answered"}"#.to_owned(), 1.0),
        (r#"starscreen_work_items{lane="score",state="ready"}"#.to_owned(), 0.0),
        (r#"starscreen_work_dead{lane="score"}"#.to_owned(), 0.0),
        (r#"starscreen_scrape_failed{source="work"}"#.to_owned(), 0.0),
    ] {
        assert_eq!(value(&page, &series), Some(wanted), "{series} in\n{page}");
    }
    let tenant = account.get("auth/me").send().await.expect(200).json()["tenant_id"].as_str().unwrap().to_owned();
    for secret in ids.iter().chain([&tenant, &account.email]) {
        assert!(!page.contains(secret.as_str()), "{secret} in\n{page}");
    }

    let elsewhere = reqwest::get(format!("{}/health", told.0)).await.unwrap();
    assert_eq!(elsewhere.status(), 404, "it tells metrics and nothing else");
    let inside_out = reqwest::get(format!("http://{}/metrics", server.address)).await.unwrap();
    assert_eq!(inside_out.status(), 404, "the interface does not tell them");
    let taken = told.0.strip_prefix("http://").unwrap();
    let refused = Home::new(&product_binary()).run(&[], &[("STARSCREEN_METRICS_LISTEN", taken)]).refused();
    assert!(refused.contains("check STARSCREEN_METRICS_LISTEN"), "{refused}");
}

#[tokio::test]
async fn nobody_is_told_without_being_asked_to() {
    let home = Home::new(&product_binary());
    let server = home.serve(&[]);
    scored(&Client::of(&server, home.log()).account().await).await;
    assert!(!home.log().text().contains("metrics are told on"));
}

#[tokio::test]
async fn every_part_tells_its_own_and_the_outage_of_nats_is_seen() {
    let (home, database, nats) = (Home::new(&product_binary()), database(), Nats::private(""));
    let url = nats.url();
    let environment = [("DATABASE_URL", database.url.as_str()), ("NATS_URL", url.as_str()), LISTEN];
    let mut servers: Vec<Server> = vec![];
    let mut told = vec![];
    for (place, part) in ["relay", "projector", "worker"].into_iter().enumerate() {
        servers.push(home.run_on(&[part], &environment));
        told.push(Told::after(&home, place));
    }
    let gateway = home.serve_as(&["gateway"], &environment);
    let at_gateway = Told::after(&home, 3);
    let [relay, projector, worker] = &told[..] else { panic!("three parts") };

    relay.until(&home, "starscreen_sequencer_leads", is_one).await;
    let account = Client::of(&gateway, home.log()).account().await;
    scored(&account).await;
    for page in [relay, &at_gateway] {
        page.until(&home, "starscreen_relay_lag_events", |lag| lag == 0.0).await;
        page.until(&home, "starscreen_sequencer_lag_events", |lag| lag == 0.0).await;
        page.until(&home, r#"starscreen_relay_blocked{by="unreachable"}"#, |blocked| blocked == 0.0).await;
    }
    relay.until(&home, "starscreen_relay_published_position", |position| position > 0.0).await;
    relay.until(&home, "starscreen_relay_streams_made_total", is_one).await;
    let by_log = r#"starscreen_feed_events_total{read_model="candidate_status",way="log"}"#;
    // The first events may have come by the log: then nobody had made the stream yet.
    let by_stream = async || {
        account
            .post("jobs")
            .json(&json!({ "title": "Baker", "description": "Bakes bread and rolls." }))
            .send()
            .await
            .expect(201);
        let page = projector.page().await;
        let events = value(&page, &by_log.replace("log", "stream"));
        events.filter(|events| *events > 0.0).ok_or(page)
    };
    home.log().until("events come by the stream", by_stream).await;
    projector.until(&home, r#"starscreen_projector_lag_events{read_model="jobs"}"#, |lag| lag == 0.0).await;
    let before = value(&projector.page().await, by_log).unwrap();
    worker.until(&home, r#"starscreen_model_calls_total{call="grade",outcome="answered"}"#, is_one).await;
    worker.until(&home, r#"starscreen_work_items{lane="rubric",state="active"}"#, |items| items == 0.0).await;
    at_gateway.until(&home, r#"starscreen_uploads_total{status="2xx"}"#, is_one).await;

    nats.stop();
    scored(&account).await;
    for page in [relay, &at_gateway] {
        page.until(&home, r#"starscreen_relay_blocked{by="unreachable"}"#, is_one).await;
        page.until(&home, "starscreen_relay_lag_events", |lag| lag > 0.0).await;
        page.until(&home, "starscreen_relay_lag_seconds", |lag| lag > 0.0).await;
    }
    projector.until(&home, by_log, |events| events > before).await;

    nats.start();
    at_gateway.until(&home, "starscreen_relay_lag_events", |lag| lag == 0.0).await;
    at_gateway.until(&home, r#"starscreen_relay_blocked{by="unreachable"}"#, |blocked| blocked == 0.0).await;
}
