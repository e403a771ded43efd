//! A database of a test's own.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use super::postgres::Cluster;

/// For one statement. Only a server that a test has paused takes longer.
const AT_MOST: Duration = Duration::from_secs(20);

static DATABASES: AtomicU32 = AtomicU32::new(0);

/// Dropped, with whoever is still connected, when this is.
#[derive(Debug)]
pub struct Database {
    pub name: String,
    /// Of the superuser.
    pub url: String,
    cluster: Cluster,
}

impl Database {
    pub(super) fn create(cluster: Cluster, template: Option<&str>) -> Self {
        // The server may be one that several test processes share.
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let template = template.unwrap_or("template0");
        cluster.execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).unwrap(); // of an earlier process with the same number
        cluster.execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).unwrap();
        Self { url: cluster.url(&name), name, cluster }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let dropped = self.cluster.execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        if let Err(error) = dropped {
            // The test may have killed the server, whose data go with it.
            eprintln!("database {} is left: {error}", self.name);
        }
    }
}

/// Runs `work` to its end, also where a runtime is: there is none in another thread.
pub(super) fn blocking<T: Send>(work: impl Future<Output = Result<T, sqlx::Error>> + Send) -> Result<T, sqlx::Error> {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let limited = async { tokio::time::timeout(AT_MOST, work).await };
        runtime.block_on(limited).unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
    };
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
