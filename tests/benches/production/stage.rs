//! The servers and processes that figures are taken of.

use std::path::Path;

use starscreen_commands::{
    db::{PostgresOptions, Role},
    write_side::WriteSide,
};
use starscreen_tests::{Client, Database, Ended, Home, Nats, Postgres, Server};

pub const BINARY: &str = env!("CARGO_BIN_EXE_starscreen-under-test");

/// PostgreSQL that waits for the disk, NATS, and whatever processes of the product are started over them.
pub struct Stage {
    /// Before what they use, so that they are dropped first.
    processes: Vec<Server>,
    pub home: Home,
    pub database: Database,
    _postgres: Postgres,
    pub nats: Nats,
    environment: Vec<(String, String)>,
}

impl Stage {
    /// Both servers and a migrated database; no process yet.
    pub fn new(environment: &[(&str, &str)]) -> Self {
        let options = starscreen_tests::PostgresOptions { fsync: true, ..Default::default() };
        let (postgres, nats) = (Postgres::private(&options), Nats::private(""));
        let database = postgres.fresh_database(None);
        let home = Home::new(Path::new(BINARY));
        home.run(&["migrate", "up"], &[("DATABASE_URL", &database.url)]).succeeded();
        let nats_url = nats.url();
        let servers = [("DATABASE_URL", database.url.as_str()), ("NATS_URL", nats_url.as_str())];
        let environment = servers.iter().chain(environment);
        let environment = environment.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { processes: vec![], home, database, _postgres: postgres, nats, environment }
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// A process that stays until the end.
    pub fn start(&mut self, verb: &[&str]) {
        let process = self.home.run_on(verb, &self.environment());
        self.processes.push(process);
    }

    /// A process that stays until what is returned is dropped.
    pub fn run(&self, verb: &[&str]) -> Server {
        self.home.run_on(verb, &self.environment())
    }

    /// A gateway that listens, and a client of it.
    pub fn gateway(&mut self) -> Client {
        let gateway = self.home.serve_as(&["gateway"], &self.environment());
        let client = Client::of(&gateway, self.home.log());
        self.processes.push(gateway);
        client
    }

    /// The relay has made its stream.
    pub async fn distributes(&self) {
        let look = async || match self.nats.streams()? {
            0 => Err("there is no stream".to_owned()),
            _ => Ok(()),
        };
        self.home.log().until("the relay has made its stream", look).await;
    }

    /// The write side as a gateway's process opens it.
    pub async fn write_side(&self) -> WriteSide {
        let options = PostgresOptions { url: self.database.url.clone(), role: Role::Gateway, max_connections: 6 };
        WriteSide::open_postgres(&options, "bench@1").await.unwrap()
    }

    /// Runs an operator's verb.
    pub fn operate(&self, arguments: &[&str]) -> Ended {
        self.home.run(arguments, &[("DATABASE_URL", &self.database.url)]).succeeded()
    }
}
