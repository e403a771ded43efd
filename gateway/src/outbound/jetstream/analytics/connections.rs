//! Who is connected as an analytics client, and putting them out.

use std::time::Duration;

use async_nats::Client;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::ACCOUNT;

/// Servers of a cluster answer one by one; this long is listened.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);
/// As many as a server shows at once.
const MAX_CONNECTIONS: u32 = 10_000;

/// One analytics client on one server.
#[derive(Debug)]
pub(super) struct Connection {
    server: String,
    number: u64,
    /// Of the token it came in with.
    pub name: String,
}

#[derive(Deserialize)]
struct Answer {
    server: Server,
    data: Data,
}

#[derive(Deserialize)]
struct Server {
    id: String,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    connections: Vec<Shown>,
}

#[derive(Deserialize)]
struct Shown {
    cid: u64,
    #[serde(default)]
    authorized_user: String,
}

/// All analytics clients of all servers that answer in time.
pub(super) async fn connections(system: &Client) -> Result<Vec<Connection>, async_nats::Error> {
    let inbox = system.new_inbox();
    let mut answers = system.subscribe(inbox.clone()).await?;
    let asked = json!({"acc": ACCOUNT, "auth": true, "limit": MAX_CONNECTIONS}).to_string();
    system.publish_with_reply("$SYS.REQ.SERVER.PING.CONNZ", inbox, asked.into()).await?;
    let until = Instant::now() + ANSWERS_WITHIN;
    let mut found = vec![];
    while let Ok(Some(message)) = timeout_at(until, answers.next()).await {
        let Answer { server, data } = serde_json::from_slice(&message.payload)?;
        found.extend(data.connections.into_iter().map(|shown| Connection {
            server: server.id.clone(),
            number: shown.cid,
            name: shown.authorized_user,
        }));
    }
    Ok(found)
}

pub(super) async fn put_out(system: &Client, connection: &Connection) -> Result<(), async_nats::Error> {
    let subject = format!("$SYS.REQ.SERVER.{}.KICK", connection.server);
    system.request(subject, json!({"cid": connection.number}).to_string().into()).await?;
    Ok(())
}
