//! PostgreSQL, NATS and a process for each part, to be stopped, frozen and killed one by one.

use std::{net::SocketAddr, time::Duration};

use starscreen_projections::Models;
use starscreen_tests::{
    Account, Client, Database, Ended, Events, Home, Ledger, Lives, Nats, Postgres, PostgresOptions, ReadModels, Server,
};
use uuid::Uuid;

use crate::product_binary;

/// Servers of a test's own, migrated. Processes that it starts are to be dropped first.
pub(crate) struct Apart {
    home: Home,
    database: Database,
    pub(crate) postgres: Postgres,
    pub(crate) nats: Nats,
    environment: Vec<(String, String)>,
}

impl Apart {
    pub(crate) fn new(environment: &[(&str, &str)]) -> Self {
        let (postgres, nats) = (Postgres::private(&PostgresOptions::default()), Nats::private(""));
        let database = postgres.fresh_database(None);
        Self::over(postgres, database, nats, environment)
    }

    pub(crate) fn over(postgres: Postgres, database: Database, nats: Nats, environment: &[(&str, &str)]) -> Self {
        let urls = [("DATABASE_URL", database.url.clone()), ("NATS_URL", nats.url())];
        let environment = environment.iter().map(|(name, value)| (*name, (*value).to_owned())).chain(urls);
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).collect();
        let apart = Self { home: Home::new(&product_binary()), database, postgres, nats, environment };
        apart.operate(&["migrate", "up"]).succeeded();
        apart
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn url(&self) -> &str {
        &self.database.url
    }

    /// Starts a part that runs until it is stopped.
    pub(crate) fn run(&self, part: &[&str]) -> Server {
        self.home.run_on(part, &self.environment())
    }

    /// One of each part but the gateway.
    pub(crate) fn run_all(&self) -> Vec<Server> {
        [["relay"], ["projector"], ["worker"]].iter().map(|part| self.run(part)).collect()
    }

    /// Starts a gateway, on a port of the system's choice, and waits until it listens.
    pub(crate) fn gateway(&self) -> Server {
        self.home.serve_as(&["gateway"], &self.environment())
    }

    pub(crate) fn gateway_on(&self, address: SocketAddr) -> Server {
        let address = address.to_string();
        let mut environment = self.environment();
        environment.push(("STARSCREEN_LISTEN", &address));
        self.home.serve_as(&["gateway"], &environment)
    }

    pub(crate) fn client(&self, gateway: &Server) -> Client {
        Client::at(gateway.address, self.home.log())
    }

    /// A new account without a monthly limit.
    pub(crate) async fn account(&self, gateway: &Server) -> Account {
        let account = self.client(gateway).account().await;
        self.operate(&["admin", "change-plan", &account.email, "enterprise"]).succeeded();
        account
    }

    pub(crate) fn operate(&self, arguments: &[&str]) -> Ended {
        self.home.run(arguments, &self.environment())
    }

    pub(crate) fn events(&self) -> Events {
        Events::in_database(self.url())
    }

    /// Waits until everything asked for is done and every read model has seen everything.
    pub(crate) async fn settled_within(&self, limit: Duration) {
        let look = async || {
            let events = self.events();
            let work = events.work().await;
            if !work.is_empty() {
                return Err(format!("{} work items: {}", work.len(), work.join("; ")));
            }
            ReadModels::in_database(self.url()).lagging(events.head().await).await
        };
        self.home.log().until_at_most(limit, "everything asked for is done and seen", look).await;
    }

    /// Every one of `told` is there, none besides, each came to one end and took one slot of the only tenant with
    /// candidates; and the read models show what happened.
    pub(crate) async fn check(&self, told: &[Uuid]) {
        let lives = Lives::of(self.events().all().await);
        lives.check(told);
        let ledgers = self.events().ledgers().await.into_values().filter(|ledger| !ledger.reserved.is_empty());
        let ledgers: Vec<Ledger> = ledgers.collect();
        assert_eq!(ledgers.len(), 1, "one billing period of one tenant");
        ledgers[0].check(told, &lives);
        let rebuilt = self.operate(&["rebuild", "--all", "--diff"]).succeeded();
        assert_eq!(rebuilt.stdout.matches(", 0 rows differed").count(), Models::NAMES.len(), "{}", rebuilt.stdout);
        let log = self.home.log().text();
        assert!(!log.contains("panicked"), "{}", self.home.log().tail());
    }
}
