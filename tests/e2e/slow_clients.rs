//! Clients that say nothing, or next to nothing, or never listen: they are parted with, and nobody else notices.

use std::time::{Duration, Instant};

use futures::future::join_all;
use starscreen_tests::{Account, Client, Resume, TestApp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{interval, sleep, timeout},
};

use crate::product_binary;

const OF_EACH_KIND: usize = 50;
/// No slow client may keep its connection for longer.
const CLOSED_AFTER: Duration = Duration::from_secs(15);
/// Nor may it lose it sooner: an honest client may falter for a while.
const PATIENCE: Duration = Duration::from_secs(8);
const DRIP: Duration = Duration::from_millis(500);
/// Between two requests of a good client, slow enough that the whole lasts as long as the slow ones do.
const PACE: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slow {
    Silent,
    DripsHeader,
    DripsBody,
    NeverReads,
}

/// A large answer, several times: more than any buffer between the two holds.
const LARGE: &str = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: test\r\n\r\n";

async fn connect(client: &Client) -> TcpStream {
    TcpStream::connect(client.address()).await.unwrap()
}

/// Is slow in its way until the server has closed the connection; says how long that took.
async fn be_slow(kind: Slow, account: &Account, job: &str) -> Duration {
    let stream = connect(account).await;
    let start = Instant::now();
    let (mut from, mut to) = stream.into_split();
    let begin = match kind {
        Slow::Silent => vec![],
        Slow::DripsHeader => b"GET /health HTTP/1.1\r\nHost: test\r\nX-Slow: ".to_vec(),
        Slow::DripsBody => account.upload_bytes(job, &Resume::fixture("long_many_pages.pdf"))[..2_000].to_vec(),
        Slow::NeverReads => LARGE.repeat(8).into_bytes(),
    };
    to.write_all(&begin).await.unwrap();
    let drip = async {
        let mut drops = interval(DRIP);
        loop {
            drops.tick().await;
            if kind != Slow::Silent && to.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    let listen = async {
        let mut answer = [0; 1_024];
        while kind == Slow::NeverReads || matches!(from.read(&mut answer).await, Ok(1..)) {
            sleep(DRIP).await; // one that never reads is not told of the end; it finds out by its next drop
        }
    };
    tokio::select! {
        () = drip => {}
        () = listen => {}
        () = sleep(2 * CLOSED_AFTER) => {}
    }
    start.elapsed()
}

/// Reads over a connection that is kept, and uploads over fresh ones; answers the longest wait.
async fn be_good(account: &Account, job: &str, until: Instant) -> Duration {
    let mut longest = Duration::ZERO;
    let mut number = 0;
    while Instant::now() < until {
        let start = Instant::now();
        account.get("jobs").send().await.expect(200);
        account.nobody().get("/health").header("Connection", "close").send().await.expect(200);
        if number % 8 == 0 {
            account.upload(job, &Resume::unique()).send().await.expect(200);
        }
        longest = longest.max(start.elapsed());
        number += 1;
        sleep(PACE).await;
    }
    longest
}

/// At 16 KB a second, with a pause that a bad line makes.
async fn upload_over_a_slow_line(account: &Account, job: &str) -> (u16, Duration) {
    let start = Instant::now();
    let mut stream = connect(account).await;
    let mut content = Resume::fixture("p00_single.pdf").content;
    content.extend(std::iter::repeat_n(b'\n', 190_000 - content.len())); // space after the end of a PDF is allowed
    let upload = account.upload_bytes(job, &Resume::new("slow.pdf", content));
    for (number, part) in upload.chunks(1_600).enumerate() {
        stream.write_all(part).await.unwrap();
        sleep(if number == 20 { Duration::from_secs(3) } else { Duration::from_millis(80) }).await;
    }
    (status(&mut stream).await, start.elapsed())
}

async fn status(stream: &mut TcpStream) -> u16 {
    let mut head = [0; 12];
    timeout(CLOSED_AFTER, stream.read_exact(&mut head)).await.unwrap().unwrap(); // there is an answer
    let head = std::str::from_utf8(&head).unwrap();
    head.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("{head}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_slow_clients_are_parted_with_and_hurt_nobody() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    app.operate(&["admin", "change-plan", &account.email, "enterprise"]).succeeded();
    let job = account.ready_job().await;
    let until = Instant::now() + Duration::from_secs(11);
    let kinds = [Slow::Silent, Slow::DripsHeader, Slow::DripsBody, Slow::NeverReads];
    let slow = join_all(kinds.iter().flat_map(|kind| std::iter::repeat_n(*kind, OF_EACH_KIND)).map(|kind| {
        let (account, job) = (account.clone(), job.clone());
        async move { (kind, tokio::spawn(async move { be_slow(kind, &account, &job).await }).await.unwrap()) }
    }));
    let good = join_all((0..4).map(|_| {
        let (account, job) = (account.clone(), job.clone());
        tokio::spawn(async move { be_good(&account, &job, until).await })
    }));
    let ((slow_status, took), slow, good) = tokio::join!(upload_over_a_slow_line(&account, &job), slow, good);
    let longest = good.into_iter().map(Result::unwrap).max().unwrap();
    for kind in kinds {
        let times: Vec<Duration> = slow.iter().filter(|(of, _)| *of == kind).map(|(_, time)| *time).collect();
        let (least, most) = (*times.iter().min().unwrap(), *times.iter().max().unwrap());
        println!("{kind:?}: {} closed after {least:.1?} to {most:.1?}", times.len());
        assert!(least >= PATIENCE && most <= CLOSED_AFTER, "{kind:?}: closed after {least:?} to {most:?}");
    }
    println!("good clients waited {longest:.1?} at most; the upload over a slow line took {took:.1?}");
    assert_eq!(slow_status, 200, "an honest client on a slow line");
    assert!(longest < Duration::from_secs(5), "a good client waited {longest:?}");
}

/// As a browser or a proxy keeps them: without any effect when they are not needed, and gone when others need the room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_kept_for_nothing_give_way_to_those_that_ask() {
    let app = TestApp::start(&product_binary());
    let client = app.client();
    let mut kept = vec![];
    for _ in 0..1_100 {
        let mut stream = connect(&client).await;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        let answered = timeout(Duration::from_secs(5), stream.read(&mut [0; 4_096])).await;
        assert!(answered.expect("there is an answer").unwrap() > 0, "after {} connections", kept.len());
        kept.push(stream);
    }
    client.get("/health").send().await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_what_has_begun_and_for_nothing_else() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let job = account.ready_job().await;
    let (mut silent, mut kept) = (vec![], vec![]);
    for _ in 0..20 {
        silent.push(connect(&account).await);
        let mut stream = connect(&account).await;
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
        assert_eq!(status(&mut stream).await, 200);
        kept.push(stream);
    }
    let upload = account.upload_bytes(&job, &Resume::unique());
    let (first, rest) = upload.split_at(upload.len() - 500);
    let mut uploading = connect(&account).await;
    uploading.write_all(first).await.unwrap();
    let settled = async || app.unfinished().await;
    app.log().until("the job's work is done", settled).await;

    let start = Instant::now();
    let finish = async {
        let refused = async || match TcpStream::connect(account.address()).await {
            Ok(_) => Err("it accepts".to_owned()),
            Err(_) => Ok(()),
        };
        app.log().until("nobody new is let in", refused).await;
        uploading.write_all(rest).await.unwrap();
        let mut answer = vec![];
        uploading.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    // The stop blocks its thread until the server has ended.
    let app = &app;
    let answer = std::thread::scope(|scope| {
        let stop = scope.spawn(|| app.stop());
        let answer = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(finish));
        stop.join().unwrap();
        answer
    });
    let took = start.elapsed();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.to_lowercase().contains("\r\nconnection: close\r\n"),
        "{answer}"
    );
    assert!(took < Duration::from_secs(5), "the stop took {took:?}");
    app.start_again();
    assert_eq!(account.candidates(&job).await.len(), 1);
    drop((silent, kept));
}

/// Bodies that come, but slowly, are nobody's loss: not the memory of all uploads, however much they declare.
#[tokio::test]
async fn slow_uploads_leave_the_others_their_room() {
    let app = TestApp::start(&product_binary());
    let account = app.client().account().await;
    let other = app.client().account().await;
    let job = other.ready_job().await;
    let theirs = account.ready_job().await;
    let begun = account.upload_bytes(&theirs, &Resume::fixture("long_many_pages.pdf"));
    let head_end = begun.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(begun[..head_end].to_vec()).unwrap();
    let length = head.lines().find(|line| line.to_lowercase().starts_with("content-length:")).unwrap().to_owned();
    let mut slow = vec![];
    for megabytes in [70, 10, 10, 10, 10, 10, 10, 10] {
        let head = head.replace(&length, &format!("Content-Length: {}", (megabytes << 20) + 2_000));
        let mut stream = connect(&account).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(tokio::spawn(async move {
            let mut drops = interval(DRIP);
            loop {
                drops.tick().await;
                stream.write_all(&[b'x'; 4 * 1_024]).await.unwrap();
            }
        }));
    }
    sleep(DRIP * 3).await;
    for _ in 0..3 {
        other.take_in(&job, &Resume::unique()).await; // while the slow ones are still at it, as is seen below
    }
    assert!(slow.iter().all(|slow| !slow.is_finished()), "they are no slow uploads");
    slow.iter().for_each(tokio::task::JoinHandle::abort);
}
