//! A running product with its directory, checked when the test is over.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock, Weak},
    thread,
    time::Duration,
};

use crate::{
    client::{Base, Client},
    events::Events,
    home::{Ended, Home, Server},
    read_models::ReadModels,
    waiting::{AT_MOST, Log},
};

/// The product, running. When a test drops it, nothing may be left undone: no work item, no lagging read model.
pub struct TestApp {
    /// Before the directory, so that it is dropped first.
    server: Mutex<Option<Server>>,
    home: Home,
    environment: Vec<(String, String)>,
    base: Base,
    may_be_unfinished: bool,
    settle_at_most: Duration,
}

impl TestApp {
    /// Starts the product with nothing in its environment.
    pub fn start(binary: &Path) -> Self {
        Self::start_with(binary, &[])
    }

    pub fn start_with(binary: &Path, environment: &[(&str, &str)]) -> Self {
        let app = Self {
            home: Home::new(binary),
            server: Mutex::new(None),
            environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            base: Arc::new(RwLock::new(String::new())),
            may_be_unfinished: false,
            settle_at_most: AT_MOST,
        };
        app.start_again();
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

    pub fn home(&self) -> &Home {
        &self.home
    }

    pub fn log(&self) -> Log {
        self.home.log()
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn process_id(&self) -> u32 {
        self.server().as_ref().expect("the server runs").process_id()
    }

    /// A figure of the server's memory, such as `VmHWM`, as the kernel of Linux counts it.
    pub fn memory_kb(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process_id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
        value.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// SIGKILL of the whole process, in the middle of whatever it does.
    pub fn kill(&self) {
        self.server().take().expect("the server runs").kill();
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&self) {
        let server = self.server().take().expect("the server runs");
        server.stop(&self.log());
    }

    /// Starts the server over what is in its directory. Clients made before find it.
    pub fn start_again(&self) {
        let environment: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let server = self.home.serve(&environment);
        *self.base.write().unwrap() = format!("http://{}", server.address);
        *self.server() = Some(server);
    }

    /// A client without an account.
    pub fn client(&self) -> Client {
        Client::new(Arc::clone(&self.base), self.log())
    }

    /// Runs an operator's verb beside the server.
    pub fn operate(&self, arguments: &[&str]) -> Ended {
        self.home.run(arguments, &[])
    }

    pub fn events(&self) -> Events {
        Events::of(&self.home.data())
    }

    pub fn read_models(&self) -> ReadModels {
        ReadModels::of(&self.home.data())
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
        let runs = self.server().as_mut().is_some_and(Server::runs);
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
