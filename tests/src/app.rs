//! A running product with its directory, checked when the test is over.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    thread,
    time::Duration,
};

use crate::{
    backend::{Backend, Store},
    client::{Base, Client},
    events::Events,
    home::{Ended, Home, Server},
    read_models::ReadModels,
    servers::{Database, Nats},
    waiting::{AT_MOST, Log},
};

/// The product, running. When a test drops it, nothing may be left undone: no work item, no lagging read model.
pub struct TestApp {
    /// Before the directory and the database, so that it is dropped first.
    servers: Mutex<Option<Servers>>,
    home: Home,
    database: Option<Database>,
    nats: Option<Nats>,
    environment: Vec<(String, String)>,
    base: Base,
    may_be_unfinished: bool,
    settle_at_most: Duration,
}

/// The processes of one product.
struct Servers {
    gateway: Server,
    others: Vec<Server>,
}

impl TestApp {
    /// Starts the product with nothing in its environment.
    pub fn start(binary: &Path) -> Self {
        Self::start_with(binary, &[])
    }

    pub fn start_with(binary: &Path, environment: &[(&str, &str)]) -> Self {
        let database = Backend::current().database(binary);
        let nats = (Backend::current() == Backend::Apart).then(|| Nats::private(""));
        let nats_url = nats.as_ref().map(Nats::url);
        let url = database.iter().map(|database| ("DATABASE_URL", database.url.as_str()));
        let url = url.chain(nats_url.iter().map(|url| ("NATS_URL", url.as_str())));
        let environment = url.chain(environment.iter().copied());
        let app = Self {
            home: Home::new(binary),
            servers: Mutex::new(None),
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            database,
            nats,
            base: Arc::new(RwLock::new(String::new())),
            may_be_unfinished: false,
            settle_at_most: AT_MOST,
        };
        app.start_again();
        if let Some(nats) = &app.nats {
            // Without it all would go on from the log, and nothing would be said of NATS.
            app.log().until_blocking("the relay has made its stream", || match nats.streams()? {
                0 => Err("there is none".to_owned()),
                _ => Ok(()),
            });
        }
        app
    }

    /// For a test that leaves work undone on purpose.
    pub fn may_be_unfinished(&mut self) {
        self.may_be_unfinished = true;
    }

    /// How long the work that a test leaves may take.
    pub fn settle_at_most(&mut self, limit: Duration) {
        self.settle_at_most = limit;
    }

    /// Where the parts run apart.
    pub fn nats(&self) -> &Nats {
        self.nats.as_ref().expect("events are distributed")
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    pub fn log(&self) -> Log {
        self.home.log()
    }

    fn servers(&self) -> std::sync::MutexGuard<'_, Option<Servers>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the process that answers.
    pub fn process_id(&self) -> u32 {
        self.servers().as_ref().expect("the server runs").gateway.process_id()
    }

    /// A figure of the server's memory, such as `VmHWM`, as the kernel of Linux counts it.
    pub fn memory_kb(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process_id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// SIGKILL of all its processes, in the middle of whatever they do.
    pub fn kill(&self) {
        let Servers { gateway, others } = self.servers().take().expect("the server runs");
        gateway.kill();
        others.into_iter().for_each(Server::kill);
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&self) {
        let Servers { gateway, others } = self.servers().take().expect("the server runs");
        gateway.stop(&self.log());
        for other in others {
            other.stop(&self.log());
        }
    }

    /// Starts the server over what is in its directory. Clients made before find it.
    pub fn start_again(&self) {
        let environment: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let others = match Backend::current() {
            Backend::Embedded | Backend::Postgres => vec![],
            Backend::Apart => {
                let parts = [["relay"], ["projector"], ["worker"]];
                parts.iter().map(|part| self.home.run_on(part, &environment)).collect()
            }
        };
        let gateway: &[&str] = if others.is_empty() { &[] } else { &["gateway"] };
        let gateway = self.home.serve_as(gateway, &environment);
        *self.base.write().unwrap() = format!("http://{}", gateway.address);
        *self.servers() = Some(Servers { gateway, others });
    }

    /// A client without an account.
    pub fn client(&self) -> Client {
        Client::new(Arc::clone(&self.base), self.log())
    }

    /// Runs an operator's verb beside the server.
    pub fn operate(&self, arguments: &[&str]) -> Ended {
        let url: Vec<(&str, &str)> = self.database.iter().map(|db| ("DATABASE_URL", db.url.as_str())).collect();
        self.home.run(arguments, &url)
    }

    pub fn events(&self) -> Events {
        Events::of(self.store("write.db", "write"))
    }

    pub fn read_models(&self) -> ReadModels {
        ReadModels::of(self.store("read.db", "read"))
    }

    fn store(&self, file: &str, schema: &'static str) -> Store {
        match &self.database {
            None => Store::File(self.home.data().join(file)),
            Some(database) => Store::Schema { url: database.url.clone(), name: schema },
        }
    }

    /// Nothing is left to do, and every read model has seen everything.
    pub async fn settled(&self) {
        let look = async || self.unfinished().await;
        self.log().until_at_most(self.settle_at_most, "everything asked for is done and seen", look).await;
    }

    /// `Err` says what is left to do.
    ///
    /// # Errors
    /// What is left to do.
    pub async fn unfinished(&self) -> Result<(), String> {
        let events = self.events();
        let work = events.work().await;
        if !work.is_empty() {
            return Err(format!("{} work items: {}", work.len(), work.join("; ")));
        }
        self.read_models().lagging(events.head().await).await
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let runs = self.servers().as_mut().is_some_and(|servers| servers.gateway.runs());
        if thread::panicking() || self.may_be_unfinished || !runs {
            return;
        }
        let app: &Self = self;
        // Drop may run inside a runtime, and there is none in another thread.
        let checked = thread::scope(|scope| {
            let check = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(app.settled());
            });
            check.join()
        });
        if let Err(panic) = checked {
            std::panic::resume_unwind(panic);
        }
    }
}

/// One server for all tests of a module that run at the same time; it ends, checked, with the last of them.
pub struct Shared(Mutex<Weak<TestApp>>);

impl Shared {
    pub const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    pub fn app(&self, binary: &Path) -> Arc<TestApp> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let app = Arc::new(TestApp::start(binary));
            *shared = Arc::downgrade(&app);
            app
        })
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new()
    }
}
