//! Two gateways: restarted one after the other without a client that notices, and one truth for both.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use rand::RngExt;
use serde_json::json;
use starscreen_tests::{Account, Resume, Server, free_port};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::block_in_place,
};

use crate::{apart::Apart, product_binary};

const CLIENTS: usize = 32;
const RESTARTS: usize = 8;
/// From one restart to the next.
const REQUESTS: usize = 1_300;
/// A client pauses for less than this between two requests.
const LONGEST_PAUSE_MS: u64 = 20;
/// Of a client whose connection was turned away: its system waits for a second before it tries again, and twice as
/// long after that.
const LONGEST_REQUEST: Duration = Duration::from_secs(8);

/// One answer read to its end over `stream`: its status, and whether the connection ends with it.
async fn ask(stream: &mut TcpStream, request: &[u8]) -> Result<(u16, bool), String> {
    stream.write_all(request).await.map_err(|error| format!("not sent: {error}"))?;
    let mut answer = Vec::with_capacity(2_048);
    let head_end = loop {
        if let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read_buf(&mut answer).await {
            Ok(0) => return Err(format!("closed after {} bytes", answer.len())),
            Ok(_) => {}
            Err(error) => return Err(format!("not answered: {error}")),
        }
    };
    let head = String::from_utf8_lossy(&answer[..head_end]).to_lowercase();
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length: usize = value("content-length:").ok_or("an answer without a length")?.parse().unwrap();
    while answer.len() < head_end + length {
        match stream.read_buf(&mut answer).await {
            Ok(0) => return Err("closed in the middle of a body".to_owned()),
            Ok(_) => {}
            Err(error) => return Err(format!("half answered: {error}")),
        }
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    Ok((status, value("connection:") == Some("close")))
}

/// What the clients of a restart saw.
#[derive(Default)]
struct Seen {
    requests: AtomicUsize,
    stop: AtomicBool,
}

/// Asks without a second try until it is told to stop; every failure is one. Half of the clients keep their connections
/// for as long as they are let. Answers the longest time that a request took.
async fn be_a_client(number: usize, address: SocketAddr, requests: [Vec<u8>; 2], seen: Arc<Seen>) -> Duration {
    let keeps = number.is_multiple_of(2);
    let mut kept: Option<TcpStream> = None;
    let mut longest = Duration::ZERO;
    let mut turn = number;
    while !seen.stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let what = if kept.is_some() { "on a kept connection" } else { "on a new connection" };
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => TcpStream::connect(address).await.unwrap_or_else(|error| panic!("not let in: {error}")),
        };
        turn += 1;
        let asked = ask(&mut stream, &requests[usize::from(turn.is_multiple_of(10))]).await;
        let (status, ends) = asked.unwrap_or_else(|error| panic!("client {number} {what}: {error}"));
        assert!(matches!(status, 200 | 201), "client {number} {what}: {status}");
        seen.requests.fetch_add(1, Ordering::Relaxed);
        longest = longest.max(begun.elapsed());
        if keeps && !ends {
            kept = Some(stream);
        }
        let pause = Duration::from_millis(rand::rng().random_range(0..LONGEST_PAUSE_MS));
        tokio::time::sleep(pause).await; // as clients do; not a wait for anything
    }
    longest
}

fn raw(account: &Account, method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} /api/v1/{path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\nContent-Type: \
        application/json\r\nContent-Length: {}\r\n\r\n{body}",
        account.access_token,
        body.len()
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_on_one_port_are_restarted_one_after_the_other_and_no_request_fails() {
    let apart = Apart::new(&[]);
    let _others = apart.run_all();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut gateways: Vec<Server> = (0..2).map(|_| apart.gateway_on(address)).collect();
    let account = apart.account(&gateways[0]).await;
    let job = account.ready_job().await;
    let posted = json!({ "title": "Engineer", "description": "Builds services with Rust and PostgreSQL" }).to_string();
    let requests = [raw(&account, "GET", &format!("jobs/{job}"), ""), raw(&account, "POST", "jobs", &posted)];
    let seen = Arc::new(Seen::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(be_a_client(number, address, requests.clone(), Arc::clone(&seen))))
        .collect();
    let (mut restarts, mut stops) = (0, vec![]);
    let asked = async |least: usize| match seen.requests.load(Ordering::Relaxed) {
        _ if clients.iter().any(tokio::task::JoinHandle::is_finished) => Ok(false),
        asked if asked >= least => Ok(true),
        asked => Err(format!("{asked}")),
    };
    while restarts < RESTARTS {
        let what = format!("{} requests are answered", (restarts + 1) * REQUESTS);
        let go_on = apart.home().log().until(&what, async || asked((restarts + 1) * REQUESTS).await).await;
        if !go_on {
            println!("a client failed after {restarts} restarts");
            break;
        }
        block_in_place(|| {
            let stopping = Instant::now();
            gateways.remove(0).stop(&apart.home().log());
            stops.push(stopping.elapsed());
            gateways.push(apart.gateway_on(address));
        });
        restarts += 1;
    }
    seen.stop.store(true, Ordering::Relaxed);
    let longest = join_all(clients).await.into_iter().map(|longest| longest.unwrap()).max().unwrap();
    let requests = seen.requests.load(Ordering::Relaxed);
    let stop = stops.iter().max().unwrap();
    println!(
        "{requests} requests over {restarts} restarts, none failed; the longest took {longest:?}, a stop {stop:?}"
    );
    assert!(longest < LONGEST_REQUEST, "a request took {longest:?}");
    apart.settled_within(Duration::from_mins(1)).await;
}

#[tokio::test]
async fn a_port_is_shared_by_gateways_and_by_nobody_else() {
    let apart = Apart::new(&[]);
    let gateway = apart.gateway();
    let another = apart.gateway_on(gateway.address);
    assert_eq!(another.address, gateway.address);
    let address = gateway.address.to_string();
    // A whole product has its port alone.
    let refused = starscreen_tests::Home::new(&product_binary()).run(&[], &[("STARSCREEN_LISTEN", &address)]).refused();
    assert!(refused.contains(&format!("port {} is taken", gateway.address.port())), "{refused}");
    // And a gateway does not push its way in beside somebody who does not share.
    let theirs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = theirs.local_addr().unwrap().to_string();
    let urls = [("DATABASE_URL", apart.url()), ("STARSCREEN_LISTEN", address.as_str())];
    let refused = apart.home().run(&["gateway"], &urls).refused();
    assert!(refused.contains("is taken") && refused.contains("STARSCREEN_LISTEN"), "{refused}");
}

const ROUNDS: usize = 50;
const AT_ONCE: usize = 64;
const FREE_LIMIT: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_uploads_to_two_gateways_exactly_the_five_that_are_left_are_taken_fifty_times() {
    let apart = Apart::new(&[]);
    let _others = apart.run_all();
    let gateways = [apart.gateway(), apart.gateway()];
    for round in 0..ROUNDS {
        let account = apart.client(&gateways[round % 2]).account().await;
        let job = account.create_job("Engineer", "Builds services with Rust and PostgreSQL").await;
        let callers = gateways.each_ref().map(|gateway| account.moved_to(gateway.address));
        let calls = (0..AT_ONCE).map(|number| tokio::spawn(callers[number % 2].upload(&job, &Resume::unique()).send()));
        let answers = join_all(calls.collect::<Vec<_>>()).await.into_iter().map(|answer| answer.unwrap());
        let (taken, refused): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status == 200);
        for answer in &refused {
            answer.problem(402, "quota_exhausted");
        }
        assert_eq!((taken.len(), refused.len()), (FREE_LIMIT, AT_ONCE - FREE_LIMIT), "round {round}");
    }
    apart.settled_within(Duration::from_mins(1)).await;
    let ledgers = apart.events().ledgers().await;
    assert_eq!(ledgers.len(), ROUNDS);
    assert!(ledgers.values().all(|ledger| ledger.reserved.len() == FREE_LIMIT), "{ledgers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_at_one_gateway_is_read_at_the_other_at_once() {
    let apart = Apart::new(&[]);
    let _others = apart.run_all();
    let gateways = [apart.gateway(), apart.gateway()];
    let account = apart.account(&gateways[0]).await;
    let callers = gateways.each_ref().map(|gateway| account.moved_to(gateway.address));
    let mut waits = vec![];
    for round in 0..ROUNDS {
        let (one, other) = (&callers[round % 2], &callers[1 - round % 2]);
        let begun = Instant::now();
        let job = one.create_job("Engineer", "Builds services with Rust and PostgreSQL").await;
        waits.push(begun.elapsed());
        other.get(&format!("jobs/{job}")).send().await.expect(200);
        let begun = Instant::now();
        let candidate = other.take_in(&job, &Resume::unique()).await;
        waits.push(begun.elapsed());
        one.get(&format!("jobs/{job}/candidates/{candidate}")).send().await.expect(200);
        let used = one.subscription().await["candidates_used_this_month"].clone();
        assert!(used.as_u64().is_some_and(|used| used > round as u64), "round {round}: {used} used");
        one.delete(&format!("jobs/{job}/candidates/{candidate}")).send().await.expect(204);
        other.get(&format!("jobs/{job}/candidates/{candidate}")).send().await.expect(404);
        // By another device, which signed in at the other gateway.
        let title = json!({ "title": format!("Engineer {round}") });
        one.put(&format!("jobs/{job}")).json(&title).send().await.expect(200);
        assert_eq!(other.job(&job).await["title"], title["title"]);
    }
    waits.sort_unstable();
    println!("a write took {:?} at the median, {:?} at most", waits[waits.len() / 2], waits[waits.len() - 1]);
    apart.settled_within(Duration::from_mins(1)).await;
}
