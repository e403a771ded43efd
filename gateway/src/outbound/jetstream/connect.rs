//! A connection that is never given up: made in the background, and again after every loss.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

/// Bound of a request; a server that answers at all does so in milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that went away without a word is noticed after two of these.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// A user of nats.conf.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub user: String,
    pub password: SecretString,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("\"{url}\" is no address of a NATS server; write nats://host:4222, several with commas between them")]
    Address { url: String, source: std::io::Error },
    #[error("the connection to NATS cannot be set up")]
    SetUp(#[from] async_nats::ConnectError),
}

/// Returns at once, whether the servers are there or not. Answers come under `_INBOX_<user>.>`, so that nobody can
/// listen to those of others.
///
/// # Errors
/// [`ConnectError`] when an address cannot be read.
pub async fn connect(urls: &str, credentials: Option<Credentials>, name: &str) -> Result<Client, ConnectError> {
    let options = options(credentials, name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| {
            (FIRST_RETRY * 2_u32.saturating_pow(u32::try_from(attempts).unwrap_or(u32::MAX).min(10))).min(LAST_RETRY)
        })
        .event_callback(|event| async move { note(&event) });
    Ok(options.connect(addresses(urls)?).await?)
}

/// What the server last refused to this connection.
pub type Refusals = watch::Receiver<Option<String>>;

/// A connection for one look: it is there, or it fails.
///
/// # Errors
/// [`ConnectError`] when an address cannot be read, nobody answers or the user is not let in.
pub async fn connect_now(
    urls: &str,
    credentials: Option<Credentials>,
    name: &str,
) -> Result<(Client, Refusals), ConnectError> {
    let (refused, refusals) = watch::channel(None);
    let options = options(credentials, name).event_callback(move |event| {
        if let Event::ServerError(error) = event {
            refused.send_replace(Some(error.to_string()));
        }
        std::future::ready(())
    });
    Ok((options.connect(addresses(urls)?).await?, refusals))
}

fn addresses(urls: &str) -> Result<Vec<ServerAddr>, ConnectError> {
    let address = |url: &str| {
        url.trim().parse::<ServerAddr>().map_err(|source| ConnectError::Address { url: without_password(url), source })
    };
    urls.split(',').map(address).collect()
}

/// An address that cannot be read may hold a password all the same.
fn without_password(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => url.to_owned(),
    }
}

fn options(credentials: Option<Credentials>, name: &str) -> ConnectOptions {
    let options = ConnectOptions::new().name(name).ping_interval(PING_INTERVAL).request_timeout(Some(REQUEST_TIMEOUT));
    match credentials {
        Some(Credentials { user, password }) => options
            .custom_inbox_prefix(format!("_INBOX_{user}"))
            .user_and_password(user, password.expose_secret().to_owned()),
        None => options,
    }
}

fn note(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("the connection to NATS is lost; it is made again"),
        Event::LameDuckMode | Event::Draining | Event::Closed => {
            tracing::info!(nats.event = %event, "NATS says goodbye");
        }
        Event::SlowConsumer(_) => {
            tracing::warn!(nats.event = %event, "messages of NATS were dropped; polling finds what they told");
        }
        Event::ServerError(error) => tracing::warn!(error = %error, "NATS refuses something"),
        Event::ClientError(error) => tracing::debug!(error = %error, "NATS cannot be reached"),
    }
}
