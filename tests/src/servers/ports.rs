//! Free ports that nobody is given by chance while their server is down.

use std::{collections::BTreeSet, net::TcpListener, ops::Range, sync::Mutex};

use rand::RngExt;

/// Below those that systems give to outgoing connections.
const PORTS: Range<u16> = 11_000..32_000;

static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// Another one each time. A process of somebody else may still take it before the server does.
pub fn free_port() -> u16 {
    loop {
        let port = rand::rng().random_range(PORTS);
        let is_new = GIVEN.lock().unwrap().insert(port);
        if is_new && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
