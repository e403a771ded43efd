//! The product in many processes over servers of its own, each of which can be killed in the middle of whatever it does
//! and is started again, as an init system would; or is stopped there for a while, and goes on.

use std::{
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    Account, Client, Database, Ended, Events, Home, Log, Nats, Postgres, PostgresOptions, ReadModels, Server,
    backend::{Store, migrate},
    servers::free_port,
};

/// How often a keeper looks whether its process runs.
const LOOK: Duration = Duration::from_millis(20);
/// Before a process that ended by itself is started again.
const AFTER_AN_END: Duration = Duration::from_millis(200);
/// Lines of each log in a failure.
const TAIL_LINES: usize = 25;

/// What a [`Fleet`] consists of, each twice where two may run.
const PROCESSES: [(&str, &[&str]); 8] = [
    ("gateway-1", &["gateway"]),
    ("gateway-2", &["gateway"]),
    ("relay-1", &["relay"]),
    ("relay-2", &["relay"]),
    ("projector-1", &["projector"]),
    ("projector-2", &["projector"]),
    ("worker-1", &["worker"]),
    ("worker-2", &["worker"]),
];
const POSTGRES: &str = "postgres";
const NATS: &str = "nats";

/// Gateways, relays, projectors and workers, two of each, over PostgreSQL that waits for the disk and NATS.
pub struct Fleet {
    /// Before what they use, so that they are dropped first.
    keepers: Vec<Keeper>,
    home: Arc<Home>,
    database: Database,
    postgres: Arc<Postgres>,
    nats: Arc<Nats>,
    addresses: [String; 2],
    ends: Ends,
}

/// Processes that ended although nobody killed them, and what they said.
type Ends = Arc<Mutex<Vec<String>>>;

/// A thread that owns one process or server, and starts it again whenever it is gone.
struct Keeper {
    name: &'static str,
    orders: Option<Sender<Order>>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy)]
enum Order {
    /// SIGKILL; it is started again after this.
    Kill(Duration),
    /// SIGSTOP; it goes on after this.
    Freeze(Duration),
}

#[derive(Default)]
struct State {
    runs: AtomicBool,
    kills: AtomicUsize,
    freezes: AtomicUsize,
}

impl State {
    fn note(&self, order: Order) {
        let count = if matches!(order, Order::Kill(_)) { &self.kills } else { &self.freezes };
        count.fetch_add(1, Ordering::SeqCst);
    }

    fn is_up(&self, up: bool) {
        self.runs.store(up, Ordering::SeqCst);
    }
}

/// What can be done to a server.
struct Acts<S> {
    kill: fn(&S),
    start: fn(&S),
    freeze: fn(&S),
    resume: fn(&S),
}

impl Fleet {
    /// Starts everything, and waits until both gateways answer. `environment` goes to all processes of the product.
    pub fn start(binary: &std::path::Path, environment: &[(&str, &str)]) -> Self {
        let postgres = Arc::new(Postgres::private(&PostgresOptions { fsync: true, ..PostgresOptions::default() }));
        let nats = Arc::new(Nats::private(""));
        let database = postgres.fresh_database(None);
        migrate(binary, &database);
        let home = Arc::new(Home::new(binary));
        let ports = [free_port(), free_port()];
        let addresses = ports.map(|port| format!("127.0.0.1:{port}"));
        let shared = [("DATABASE_URL", database.url.clone()), ("NATS_URL", nats.url())];
        let given = environment.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let environment: Vec<(String, String)> =
            shared.into_iter().chain(given).map(|(name, value)| (name.to_owned(), value)).collect();
        let ends = Ends::default();
        let mut keepers = vec![];
        for (place, (name, verb)) in PROCESSES.into_iter().enumerate() {
            let mut environment = environment.clone();
            if let Some(address) = addresses.get(place) {
                environment.push(("STARSCREEN_LISTEN".to_owned(), address.clone()));
            }
            keepers.push(Keeper::of_process(name, verb, &home, environment, &ends));
        }
        let (kill, start, freeze, resume) = (Postgres::kill, Postgres::start, Postgres::pause, Postgres::resume);
        keepers.push(Keeper::of_server(POSTGRES, Arc::clone(&postgres), &Acts { kill, start, freeze, resume }));
        let (kill, start, freeze, resume) = (Nats::kill, Nats::start, Nats::pause, Nats::resume);
        keepers.push(Keeper::of_server(NATS, Arc::clone(&nats), &Acts { kill, start, freeze, resume }));
        let fleet = Self { keepers, home, database, postgres, nats, addresses, ends };
        for gateway in &fleet.addresses {
            fleet.log_of(PROCESSES[0].0).until_blocking(&format!("{gateway} listens"), || {
                std::net::TcpStream::connect(gateway).map(drop).map_err(|error| error.to_string())
            });
        }
        fleet
    }

    /// Names of all that can be killed.
    pub fn names(&self) -> Vec<&'static str> {
        self.keepers.iter().map(|keeper| keeper.name).collect()
    }

    /// Names of what runs at the moment.
    pub fn running(&self) -> Vec<&'static str> {
        let running = self.keepers.iter().filter(|keeper| keeper.state.runs.load(Ordering::SeqCst));
        running.map(|keeper| keeper.name).collect()
    }

    /// SIGKILL; it is started again after `pause`.
    pub fn kill(&self, name: &str, pause: Duration) {
        self.order(name, Order::Kill(pause));
    }

    /// SIGSTOP, and SIGCONT after `pause`: in the middle of whatever it did.
    pub fn freeze(&self, name: &str, pause: Duration) {
        self.order(name, Order::Freeze(pause));
    }

    fn order(&self, name: &str, order: Order) {
        let keeper = self.keepers.iter().find(|keeper| keeper.name == name).expect("one of the fleet");
        keeper.state.is_up(false);
        keeper.orders.as_ref().expect("it is kept").send(order).expect("its keeper lives");
    }

    /// Kills and freezes by name.
    pub fn faults(&self) -> Vec<(&'static str, usize, usize)> {
        let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        let of = |keeper: &Keeper| (keeper.name, count(&keeper.state.kills), count(&keeper.state.freezes));
        self.keepers.iter().map(of).collect()
    }

    /// Processes that ended although nobody killed them, with the last line that each said.
    pub fn ended_by_themselves(&self) -> Vec<String> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Clients of both gateways, without an account.
    pub fn clients(&self) -> [Client; 2] {
        let client = |address: &String| {
            Client::new(Arc::new(RwLock::new(format!("http://{address}"))), self.log_of(PROCESSES[0].0))
        };
        [client(&self.addresses[0]), client(&self.addresses[1])]
    }

    /// The account as both gateways see it.
    pub fn at_both(&self, account: &Account) -> [Account; 2] {
        self.clients().map(|client| account.at(&client))
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    pub fn nats(&self) -> &Nats {
        &self.nats
    }

    fn log_of(&self, name: &str) -> Log {
        self.home.log_called(name)
    }

    /// Runs an operator's verb.
    pub fn operate(&self, arguments: &[&str]) -> Ended {
        self.home.run(arguments, &[("DATABASE_URL", &self.database.url)])
    }

    pub fn events(&self) -> Events {
        Events::of(Store::Schema { url: self.database.url.clone(), name: "write" })
    }

    pub fn read_models(&self) -> ReadModels {
        ReadModels::of(Store::Schema { url: self.database.url.clone(), name: "read" })
    }

    /// `Err` says what is left to do.
    ///
    /// # Errors
    /// What is left to do.
    pub async fn unfinished(&self) -> Result<(), String> {
        let down: Vec<_> = self.names().into_iter().filter(|name| !self.running().contains(name)).collect();
        if !down.is_empty() {
            return Err(format!("not up: {}", down.join(", ")));
        }
        let events = self.events();
        let work = events.work().await;
        if !work.is_empty() {
            return Err(format!("{} work items: {}", work.len(), work.join("; ")));
        }
        self.read_models().lagging(events.head().await).await
    }

    /// The ends of all logs.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        let mut add = |name: &str, log: &Log| {
            let lines = log.text();
            let lines: Vec<&str> = lines.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
            let _ = write!(text, "\n--- {name}\n{tail}\n"); // writing to a String cannot fail
        };
        for (name, _) in PROCESSES {
            add(name, &self.log_of(name));
        }
        add(NATS, &self.nats.log());
        if let Some(log) = self.postgres.log() {
            add(POSTGRES, log);
        }
        text
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("home", &self.home).field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Keeper {
    fn of_process(
        name: &'static str,
        verb: &'static [&'static str],
        home: &Arc<Home>,
        environment: Vec<(String, String)>,
        ends: &Ends,
    ) -> Self {
        let (orders, received) = mpsc::channel::<Order>();
        let state = Arc::<State>::default();
        let (known, ends, home) = (Arc::clone(&state), Arc::clone(ends), Arc::clone(home));
        let thread = thread::spawn(move || {
            let environment: Vec<(&str, &str)> =
                environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let start = || {
                let process = home.run_into(name, verb, &environment);
                known.is_up(true);
                process
            };
            let mut process: Server = start();
            loop {
                match received.recv_timeout(LOOK) {
                    Ok(order @ Order::Kill(pause)) => {
                        process.kill();
                        known.note(order);
                        thread::sleep(pause); // the pause of an init system, not a wait for anything
                        process = start();
                    }
                    Ok(order @ Order::Freeze(pause)) => {
                        process.freeze();
                        known.note(order);
                        thread::sleep(pause); // the length of the fault
                        process.resume();
                        known.is_up(true);
                    }
                    Err(RecvTimeoutError::Timeout) => {
                        if let Some(status) = process.ended() {
                            known.is_up(false);
                            let log = home.log_called(name).text();
                            let last = log.lines().last().unwrap_or_default();
                            let end = format!("{name} ended with {status}: {last}");
                            ends.lock().unwrap_or_else(PoisonError::into_inner).push(end);
                            thread::sleep(AFTER_AN_END); // as above
                            process = start();
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Self { name, orders: Some(orders), state, thread: Some(thread) }
    }

    /// Of a server that runs.
    fn of_server<S: Send + Sync + 'static>(name: &'static str, server: Arc<S>, acts: &Acts<S>) -> Self {
        let &Acts { kill, start, freeze, resume } = acts;
        let (orders, received) = mpsc::channel::<Order>();
        let state = Arc::<State>::default();
        state.is_up(true);
        let known = Arc::clone(&state);
        let thread = thread::spawn(move || {
            for order in received {
                let (begin, pause, end) = match order {
                    Order::Kill(pause) => (kill, pause, start),
                    Order::Freeze(pause) => (freeze, pause, resume),
                };
                begin(&server);
                known.note(order);
                thread::sleep(pause); // as above
                end(&server);
                known.is_up(true);
            }
        });
        Self { name, orders: Some(orders), state, thread: Some(thread) }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // when it panicked, the test has failed by now
        }
    }
}
