//! nats.conf as it is shipped: who may do what, and that everybody can do their work under it.

use std::{
    collections::BTreeSet,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event};
use secrecy::ExposeSecret;
use starscreen::outbound::jetstream::{
    Credentials, JetStreamFeed, Relay, RelaySettings, StreamSettings, Topology, analytics::IssuerKey, connect,
    wake_workers,
};
use starscreen_commands::{
    append::{NewEvent, Wakes},
    contracts::Store,
};
use starscreen_domain::work::Lane;
use starscreen_projections::Feed;
use starscreen_tests::Nats;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{AT_MOST, Stage, some_event};

const CONF: &str = include_str!("../../../nats.conf");

/// The shipped configuration with passwords filled in, each its user's name behind `of-`.
pub(super) fn shipped(issuer: &str) -> String {
    let mut conf = CONF.replace("$NATS_CALLOUT_ISSUER", issuer);
    for user in ["RELAY", "PROJECTOR", "WORKER", "GATEWAY", "OPERATOR", "CALLOUT", "SYS"] {
        conf = conf.replace(&format!("$NATS_{user}_PASSWORD"), &format!("\"of-{}\"", user.to_lowercase()));
    }
    conf
}

pub(super) fn credentials(user: &str) -> Credentials {
    Credentials { user: user.to_owned(), password: format!("of-{user}").into() }
}

pub(super) async fn client_of(nats: &Nats, user: &str) -> Client {
    let client = connect(&nats.url(), Some(credentials(user)), user).await.unwrap();
    timeout(AT_MOST, client.flush()).await.unwrap().unwrap();
    client
}

fn server() -> Arc<Nats> {
    let (_, issuer) = IssuerKey::generate().unwrap();
    Arc::new(Nats::private(&shipped(&issuer)))
}

/// What a user may send; each is tried, harmlessly.
const PUBLISHES: &[&str] = &[
    "starscreen.events.v1.t.candidate.CandidateScored",
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.EVENTS",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.CREATE.EVENTS",
    "$JS.API.STREAM.CREATE.OTHER",
    "$JS.API.STREAM.UPDATE.EVENTS",
    "$JS.API.STREAM.PURGE.EVENTS",
    "$JS.API.STREAM.MSG.DELETE.EVENTS",
    "$JS.API.STREAM.DELETE.EVENTS",
    "$JS.API.DIRECT.GET.EVENTS",
    "$JS.API.CONSUMER.LIST.EVENTS",
    "$JS.API.CONSUMER.INFO.EVENTS.projector_jobs",
    "$JS.API.CONSUMER.CREATE.EVENTS.projector_jobs",
    "$JS.API.CONSUMER.DELETE.EVENTS.projector_jobs",
    "$JS.API.CONSUMER.MSG.NEXT.EVENTS.projector_jobs",
    "$JS.ACK.EVENTS.projector_jobs.1.1.1.1.1",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.SERVER.PING.CONNZ",
    "$SYS.REQ.USER.AUTH",
    "EVAPI.CONSUMER.MSG.NEXT.EVENTS.projector_jobs",
    "elsewhere",
];

const SUBSCRIBES: &[&str] = &[
    ">",
    "starscreen.events.v1.>",
    "$JS.EVENT.>",
    "_INBOX.>",
    "_INBOX_relay.>",
    "_INBOX_projector.>",
    "_INBOX_operator.>",
];

const EVENT: &str = "starscreen.events.v1.t.candidate.CandidateScored";

#[tokio::test(flavor = "multi_thread")]
async fn every_user_may_do_its_work_and_nothing_else() {
    let nats = server();
    let relay: &[&str] = &[
        EVENT,
        "$JS.API.STREAM.INFO.EVENTS",
        "$JS.API.STREAM.CREATE.EVENTS",
        "$JS.API.STREAM.UPDATE.EVENTS",
        "$JS.API.STREAM.DELETE.EVENTS",
        "$JS.API.DIRECT.GET.EVENTS",
        "$JS.API.CONSUMER.LIST.EVENTS",
        "$JS.API.CONSUMER.INFO.EVENTS.projector_jobs",
        "$JS.API.CONSUMER.CREATE.EVENTS.projector_jobs",
        "$JS.API.CONSUMER.DELETE.EVENTS.projector_jobs",
    ];
    let projector: &[&str] = &[
        "$JS.API.CONSUMER.INFO.EVENTS.projector_jobs",
        "$JS.API.CONSUMER.CREATE.EVENTS.projector_jobs",
        "$JS.API.CONSUMER.DELETE.EVENTS.projector_jobs",
        "$JS.API.CONSUMER.MSG.NEXT.EVENTS.projector_jobs",
        "$JS.ACK.EVENTS.projector_jobs.1.1.1.1.1",
    ];
    let operator: Vec<&str> = PUBLISHES.iter().copied().filter(|subject| subject.starts_with("$JS.")).collect();
    let events = "starscreen.events.v1.>";
    let rights: &[(&str, &[&str], &[&str])] = &[
        ("relay", relay, &["_INBOX_relay.>"]),
        ("projector", projector, &["_INBOX_projector.>"]),
        ("worker", &[], &[events]),
        ("gateway", &[], &[events]),
        ("operator", &operator, &[events, "$JS.EVENT.>", "_INBOX_operator.>"]),
        ("sys", &["$SYS.REQ.SERVER.PING.CONNZ"], &[]),
    ];
    for (user, publishes, subscribes) in rights {
        let (client, refusals) = listening(&nats, user).await;
        let may = |allowed: &[&'static str]| allowed.iter().copied().collect::<BTreeSet<_>>();
        let mut sent = BTreeSet::new();
        for subject in PUBLISHES {
            client.publish(*subject, "".into()).await.unwrap();
            if !refused(&client, &refusals).await {
                sent.insert(*subject);
            }
        }
        assert_eq!(sent, may(publishes), "what {user} may publish");
        let mut heard = BTreeSet::new();
        for subject in SUBSCRIBES {
            let _subscription = client.subscribe(*subject).await.unwrap();
            if !refused(&client, &refusals).await {
                heard.insert(*subject);
            }
        }
        assert_eq!(heard, may(subscribes), "what {user} may subscribe to");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_without_a_right_password() {
    let nats = server();
    let wrong = [("relay", "of-projector"), ("nobody", "of-relay"), ("an_1", "x"), ("", "")];
    for (user, password) in wrong {
        let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
        assert!(options.connect(nats.url()).await.is_err(), "{user} with {password}");
    }
    assert!(async_nats::connect(nats.url()).await.is_err(), "without a user");
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_projectors_and_workers_work_under_the_shipped_configuration() {
    let nats = server();
    let store = Store::sqlite().await;
    let settings = StreamSettings::default();
    let stop = CancellationToken::new();
    let _stopped = stop.clone().drop_guard();
    let wakes = Arc::new(Wakes::default());
    let worker = client_of(&nats, "worker").await;
    let (hearing, heard_until) = (Arc::clone(&wakes), stop.clone());
    tokio::spawn(async move { wake_workers(worker, "starscreen.events.v1", hearing, &heard_until).await });
    for lane in Lane::ALL {
        timeout(AT_MOST, wakes.woken(lane)).await.expect("every lane looks once when it begins to listen");
    }
    let stage = Stage { store, nats: Arc::clone(&nats), settings: settings.clone() };
    let relay = Relay::new(
        stage.store.log.clone(),
        Topology::new(client_of(&nats, "relay").await, settings.clone()),
        RelaySettings::default(),
    );
    let mut status = relay.status();
    let relayed_until = stop.clone();
    tokio::spawn(async move { relay.run(&relayed_until).await });
    let projector = Topology::new(client_of(&nats, "projector").await, settings.clone());
    let feed = JetStreamFeed::new(stage.store.log.clone(), projector, "jobs");
    stage.append(200).await; // asks for no work
    timeout(AT_MOST, status.wait_for(|status| status.published == 200)).await.unwrap().unwrap();
    let mut seen = 0;
    while seen < 200 {
        seen += feed.read(seen, 64).await.unwrap().len() as u64;
    }
    assert_eq!(feed.counters().streamed.load(std::sync::atomic::Ordering::Relaxed), 200, "all came from the stream");

    for lane in Lane::ALL {
        let woken = timeout(Duration::from_millis(50), wakes.woken(lane)).await;
        assert!(woken.is_err(), "nobody asked for {lane}");
    }
    let payload = r#"{"RubricRetried":{}}"#.to_owned();
    stage.append_these(vec![NewEvent { event_type: "RubricRetried".to_owned(), payload, ..some_event() }]).await;
    timeout(AT_MOST, wakes.woken(Lane::Rubric)).await.expect("the lane that is asked for is woken");
    assert!(timeout(Duration::from_millis(50), wakes.woken(Lane::Score)).await.is_err(), "and no other");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_configuration_takes_its_passwords_from_the_environment() {
    let (seed, issuer) = IssuerKey::generate().unwrap();
    assert!(IssuerKey::from_seed(&seed).is_ok() && seed.expose_secret().starts_with("SA"));
    let server = std::fs::read_link(format!("/proc/{}/exe", starscreen_tests::nats().pid())).unwrap();
    let conf = concat!(env!("CARGO_MANIFEST_DIR"), "/../nats.conf");
    let check = |without: &str| {
        let mut command = Command::new(&server);
        command.args(["-c", conf, "-t"]).env_clear();
        for name in CONF.split('$').skip(1).filter(|rest| rest.starts_with("NATS_")) {
            let name: String = name.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            let value = if name == "NATS_CALLOUT_ISSUER" { issuer.as_str() } else { "secret" };
            if name != without {
                command.env(name, value);
            }
        }
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (accepted, said) = check("");
    assert!(accepted, "{said}");
    let (accepted, said) = check("NATS_RELAY_PASSWORD");
    assert!(!accepted && said.contains("NATS_RELAY_PASSWORD"), "{said}");
}

type Refusals = Arc<Mutex<Vec<String>>>;

/// A client that notes what the server refuses.
async fn listening(nats: &Nats, user: &str) -> (Client, Refusals) {
    let refusals = Refusals::default();
    let noted = Arc::clone(&refusals);
    let client = ConnectOptions::with_user_and_password(user.to_owned(), format!("of-{user}"))
        .event_callback(move |event| {
            let noted = Arc::clone(&noted);
            async move {
                if let Event::ServerError(error) = event {
                    noted.lock().unwrap().push(error.to_string());
                }
            }
        })
        .connect(nats.url())
        .await
        .unwrap();
    (client, refusals)
}

/// Whether the server refused something since it was asked last.
async fn refused(client: &Client, refusals: &Refusals) -> bool {
    client.flush().await.unwrap();
    for _ in 0..20 {
        if !refusals.lock().unwrap().is_empty() {
            refusals.lock().unwrap().clear();
            return true;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    false
}
