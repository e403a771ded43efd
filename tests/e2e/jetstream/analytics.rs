//! A tenant's analytics program reads its tenant's events and nothing else, until its grant is gone.

use std::{
    collections::HashMap,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event,
    jetstream::{self, consumer::PullConsumer},
};
use async_trait::async_trait;
use chrono::Utc;
use futures::StreamExt;
use secrecy::ExposeSecret;
use starscreen::outbound::jetstream::{
    Relay, RelaySettings, StreamSettings, Topology,
    analytics::{
        API_PREFIX, AnalyticsCredentials, AnalyticsGrants, Callout, From, Grant, GrantsError, IssuerKey, grant, revoke,
    },
    event,
};
use starscreen_commands::{append::NewEvent, contracts::Store};
use starscreen_domain::TenantId;
use starscreen_tests::Nats;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::{AT_MOST, Stage, some_event, users};

#[derive(Default)]
struct InMemory(Mutex<HashMap<TenantId, Grant>>);

#[async_trait]
impl AnalyticsGrants for InMemory {
    async fn put(&self, grant: Grant) -> Result<(), GrantsError> {
        self.0.lock().unwrap().insert(grant.tenant_id, grant);
        Ok(())
    }

    async fn find(&self, tenant: TenantId) -> Result<Option<Grant>, GrantsError> {
        Ok(self.0.lock().unwrap().get(&tenant).cloned())
    }

    async fn delete(&self, tenant: TenantId) -> Result<bool, GrantsError> {
        Ok(self.0.lock().unwrap().remove(&tenant).is_some())
    }
}

/// Relay and callout over the shipped configuration, with two tenants: 30 events of one, 20 of the other.
struct Served {
    stage: Stage,
    topology: Topology,
    grants: Arc<InMemory>,
    one: TenantId,
    other: TenantId,
    _stop: DropGuard,
}

impl Served {
    async fn new() -> Self {
        let (seed, issuer) = IssuerKey::generate().unwrap();
        let nats = Arc::new(Nats::private(&users::shipped(&issuer)));
        let settings = StreamSettings::default();
        let stage = Stage { store: Store::sqlite().await, nats: Arc::clone(&nats), settings: settings.clone() };
        let (one, other) = (TenantId(Uuid::now_v7()), TenantId(Uuid::now_v7()));
        for _ in 0..10 {
            let of = |tenant| NewEvent { tenant_id: Some(tenant), ..some_event() };
            stage.append_these(vec![of(one), of(one)]).await;
            stage.append_these(vec![of(other), of(other)]).await;
            stage.append_these(vec![of(one)]).await;
        }
        let topology = Topology::new(users::client_of(&nats, "relay").await, settings);
        let grants = Arc::new(InMemory::default());
        let stop = CancellationToken::new();
        let relay = Relay::new(stage.store.log.clone(), topology.clone(), RelaySettings::default());
        let callout = Callout {
            asked: users::client_of(&nats, "callout").await,
            system: users::client_of(&nats, "sys").await,
            topology: topology.clone(),
            grants: Arc::<InMemory>::clone(&grants),
            issuer: IssuerKey::from_seed(&seed).unwrap(),
        };
        let (mut status, stopped) = (relay.status(), stop.clone());
        tokio::spawn(async move { tokio::join!(relay.run(&stopped), callout.run(&stopped)) });
        timeout(AT_MOST, status.wait_for(|status| status.published == 50)).await.unwrap().unwrap();
        Self { stage, topology, grants, one, other, _stop: stop.drop_guard() }
    }

    async fn grant(&self, tenant: TenantId, from: From) -> AnalyticsCredentials {
        grant(&*self.grants, &self.topology, tenant, from, Utc::now()).await.unwrap()
    }

    async fn stream_ends(&self) -> u64 {
        self.topology.state().await.unwrap().unwrap().last
    }
}

/// What a client saw of the server's refusals and of its own end.
type Seen = Arc<Mutex<Vec<String>>>;

fn options(credentials: &AnalyticsCredentials) -> ConnectOptions {
    let password = credentials.password.expose_secret().to_owned();
    ConnectOptions::with_user_and_password(credentials.user.clone(), password)
        .custom_inbox_prefix(&credentials.inbox_prefix)
}

async fn connected(served: &Served, credentials: &AnalyticsCredentials) -> (Client, Seen) {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let client = options(credentials)
        .event_callback(move |event: Event| {
            noted.lock().unwrap().push(event.to_string());
            async {}
        })
        .connect(served.stage.nats.url())
        .await
        .unwrap();
    (client, seen)
}

async fn consumer(client: &Client, credentials: &AnalyticsCredentials) -> PullConsumer {
    let context = jetstream::context::ContextBuilder::new().api_prefix(API_PREFIX).build(client.clone());
    context.get_consumer_from_stream(&credentials.consumer, &credentials.stream).await.unwrap()
}

async fn read(client: &Client, credentials: &AnalyticsCredentials) -> Vec<(TenantId, u64)> {
    let mut messages = consumer(client, credentials).await.fetch().max_messages(1_000).messages().await.unwrap();
    let mut read = vec![];
    while let Some(message) = timeout(AT_MOST, messages.next()).await.unwrap() {
        let message = message.unwrap();
        let event = event(message.headers.as_ref().unwrap(), &message.payload).unwrap();
        message.double_ack().await.unwrap();
        read.push((TenantId(event.tenant_id.unwrap()), event.tenant_position.unwrap()));
    }
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_program_reads_its_events_from_the_beginning_and_goes_on() {
    let served = Served::new().await;
    let credentials = served.grant(served.one, From::Beginning).await;
    let (client, _) = connected(&served, &credentials).await;

    let all: Vec<_> = (1..=30).map(|place| (served.one, place)).collect();
    assert_eq!(read(&client, &credentials).await, all);
    assert_eq!(read(&client, &credentials).await, [], "what is acknowledged does not come again");

    served.stage.append_these(vec![NewEvent { tenant_id: Some(served.one), ..some_event() }]).await;
    let next = consumer(&client, &credentials).await.batch().max_messages(1).expires(AT_MOST).messages().await;
    let message = timeout(AT_MOST, next.unwrap().next()).await.unwrap().unwrap().unwrap();
    assert_eq!(message.headers.as_ref().unwrap().get("ce-tenantposition").unwrap().as_str(), "31");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_may_begin_with_what_is_new() {
    let served = Served::new().await;
    let credentials = served.grant(served.other, From::After(45)).await;
    let (client, _) = connected(&served, &credentials).await;
    assert_eq!(read(&client, &credentials).await, [(served.other, 19), (served.other, 20)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_else_is_refused_to_a_tenants_program() {
    let served = Served::new().await;
    let other = served.grant(served.other, From::Beginning).await;
    let credentials = served.grant(served.one, From::Beginning).await;
    let (client, seen) = connected(&served, &credentials).await;
    let (own, foreign) = (&credentials.consumer, &other.consumer);
    let event = format!("starscreen.events.v1.{}.candidate.CandidateScored", served.one);

    let refused = [
        event.clone(),
        format!("EVAPI.CONSUMER.MSG.NEXT.EVENTS.{foreign}"),
        format!("EVAPI.CONSUMER.INFO.EVENTS.{foreign}"),
        format!("$JS.ACK.EVENTS.{foreign}.1.1.1.1.1"),
        format!("$JS.API.CONSUMER.MSG.NEXT.EVENTS.{own}"),
        "$JS.API.STREAM.INFO.EVENTS".to_owned(),
        "EVAPI.STREAM.INFO.EVENTS".to_owned(),
        "EVAPI.STREAM.PURGE.EVENTS".to_owned(),
        "EVAPI.STREAM.MSG.GET.EVENTS".to_owned(),
        "EVAPI.DIRECT.GET.EVENTS".to_owned(),
        format!("EVAPI.CONSUMER.DELETE.EVENTS.{own}"),
        format!("EVAPI.CONSUMER.CREATE.EVENTS.{own}"),
        "EVAPI.CONSUMER.LIST.EVENTS".to_owned(),
        "$SYS.REQ.SERVER.PING".to_owned(),
        "$SYS.REQ.USER.AUTH".to_owned(),
    ];
    for subject in refused {
        seen.lock().unwrap().clear();
        client.publish(subject.clone(), "".into()).await.unwrap();
        client.flush().await.unwrap();
        assert!(is_refused(&seen).await, "{subject}");
    }
    for subject in [">", "starscreen.>", "_INBOX.>", &format!("{}.>", other.inbox_prefix)] {
        seen.lock().unwrap().clear();
        let _subscription = client.subscribe(subject.to_owned()).await.unwrap();
        client.flush().await.unwrap();
        assert!(is_refused(&seen).await, "{subject}");
    }

    // Naming an event's subject for the answer writes nothing.
    let ends = served.stream_ends().await;
    for asked in [format!("EVAPI.CONSUMER.MSG.NEXT.EVENTS.{own}"), format!("EVAPI.CONSUMER.INFO.EVENTS.{own}")] {
        client.publish_with_reply(asked, event.clone(), "".into()).await.unwrap();
    }
    client.flush().await.unwrap();
    assert_eq!(read(&client, &credentials).await.len(), 30, "nobody listens there, so nothing is given");
    assert_eq!(served.stream_ends().await, ends);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_program_is_put_out_and_does_not_come_back() {
    let served = Served::new().await;
    let credentials = served.grant(served.one, From::Beginning).await;
    let kept = served.grant(served.other, From::Beginning).await;
    let (client, seen) = connected(&served, &credentials).await;
    let (neighbour, neighbours) = connected(&served, &kept).await;
    assert_eq!(read(&client, &credentials).await.len(), 30);

    assert!(revoke(&*served.grants, &served.topology, served.one).await.unwrap());

    disconnected(&seen).await;
    assert!(options(&credentials).connect(served.stage.nats.url()).await.is_err(), "and does not come in again");
    assert_eq!(read(&neighbour, &kept).await.len(), 20, "its neighbour reads on");
    assert!(!neighbours.lock().unwrap().contains(&Event::Disconnected.to_string()));
    assert!(!revoke(&*served.grants, &served.topology, served.one).await.unwrap(), "there is nothing left to revoke");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_grant_ends_the_old_one() {
    let served = Served::new().await;
    let old = served.grant(served.one, From::Beginning).await;
    let (_client, seen) = connected(&served, &old).await;
    let new = served.grant(served.one, From::Beginning).await;
    disconnected(&seen).await;
    assert!(options(&old).connect(served.stage.nats.url()).await.is_err());
    let (client, _) = connected(&served, &new).await;
    assert_eq!(read(&client, &new).await.len(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_token_is_no_key() {
    let served = Served::new().await;
    let one = served.grant(served.one, From::Beginning).await;
    let other = served.grant(served.other, From::Beginning).await;
    let crossed = AnalyticsCredentials { user: other.user, ..one };
    assert!(options(&crossed).connect(served.stage.nats.url()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_hash_of_the_token_is_kept() {
    let served = Served::new().await;
    let credentials = served.grant(served.one, From::Beginning).await;
    let kept = format!("{:?}", served.grants.find(served.one).await.unwrap().unwrap());
    assert!(!kept.contains(credentials.password.expose_secret()));
    assert_eq!(credentials.password.expose_secret().len(), 43, "256 bits");
    assert!(!format!("{credentials:?}").contains(credentials.password.expose_secret()), "nor is it shown in a log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_finds_its_consumer_again_after_the_stream_was_lost() {
    let served = Served::new().await;
    let credentials = served.grant(served.one, From::Beginning).await;
    let (client, _) = connected(&served, &credentials).await;
    assert_eq!(read(&client, &credentials).await.len(), 30);
    served.topology.recreate(1).await.unwrap();
    let context = jetstream::context::ContextBuilder::new().api_prefix(API_PREFIX).build(client.clone());
    let found = async {
        loop {
            let found = context.get_consumer_from_stream::<jetstream::consumer::pull::Config, _, _>(
                &credentials.consumer,
                &credentials.stream,
            );
            if found.await.is_ok_and(|consumer| consumer.cached_info().num_pending == 30) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(AT_MOST, found).await.is_ok(), "the consumer is made again");
}

/// A public client of another language, as the guide shows it.
const PROGRAM: &str = r#"
import asyncio, sys, nats
from nats.js.api import ConsumerConfig

async def main(url, user, password, stream, consumer, prefix):
    client = await nats.connect(url, user=user, password=password, inbox_prefix=prefix.encode(), allow_reconnect=False)
    js = client.jetstream(prefix="EVAPI")
    events = await js.pull_subscribe_bind(consumer, stream)
    for message in await events.fetch(100, timeout=5):
        await message.ack_sync()
        print(message.headers["ce-tenantid"], message.headers["ce-tenantposition"])
    try:
        await client.jetstream(prefix="EVAPI", timeout=1).stream_info(stream)
        print("the stream itself can be reached")
    except Exception:
        pass
    await client.close()

asyncio.run(main(*sys.argv[1:]))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_program_in_python_reads_the_same() {
    let served = Served::new().await;
    let credentials = served.grant(served.one, From::Beginning).await;
    let mut program = Command::new(starscreen_tests::python());
    program.args(["-c", PROGRAM, &served.stage.nats.url(), &credentials.user, credentials.password.expose_secret()]);
    program.args([&credentials.stream, &credentials.consumer, &credentials.inbox_prefix]);
    let output = tokio::task::spawn_blocking(move || program.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let all: Vec<_> = (1..=30).map(|place| format!("{} {place}", served.one)).collect();
    assert_eq!(said.lines().collect::<Vec<_>>(), all, "{}", String::from_utf8_lossy(&output.stderr));
}

async fn is_refused(seen: &Seen) -> bool {
    for _ in 0..50 {
        if seen.lock().unwrap().iter().any(|event| event.to_lowercase().contains("permissions violation")) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    false
}

async fn disconnected(seen: &Seen) {
    let gone = async {
        while !seen.lock().unwrap().contains(&Event::Disconnected.to_string()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(AT_MOST, gone).await.is_ok(), "it is put out: {:?}", seen.lock().unwrap());
}
