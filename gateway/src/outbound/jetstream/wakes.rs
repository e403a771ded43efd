//! Workers in other processes are woken by the events that ask for their work.
//!
//! It is a hint and nothing more: work lives beside the events, and a slow poll finds what no message told.

use std::{sync::Arc, time::Duration};

use async_nats::Client;
use futures::StreamExt;
use starscreen_commands::append::Wakes;
use starscreen_domain::work::{Lane, asked_by};
use tokio_util::sync::CancellationToken;

use super::message;

const RETRY: Duration = Duration::from_secs(2);

/// Listens to the events below `subjects` and wakes the lanes they ask for, until it is stopped.
pub async fn wake_workers(client: Client, subjects: &str, wakes: Arc<Wakes>, stop: &CancellationToken) {
    let listening = async {
        loop {
            if let Err(error) = listen(&client, subjects, &wakes).await {
                tracing::warn!(error = %error, "workers are not woken by NATS; they poll");
            }
            tokio::time::sleep(RETRY).await;
        }
    };
    stop.run_until_cancelled(listening).await;
}

async fn listen(client: &Client, subjects: &str, wakes: &Wakes) -> Result<(), async_nats::SubscribeError> {
    let mut events = client.subscribe(format!("{subjects}.>")).await?;
    for lane in Lane::ALL {
        wakes.wake(lane); // what came in before is not told any more
    }
    while let Some(event) = events.next().await {
        for lane in lanes_asked(&event) {
            wakes.wake(lane);
        }
    }
    Ok(())
}

fn lanes_asked(message: &async_nats::Message) -> Vec<Lane> {
    let event = message.headers.as_ref().and_then(|headers| message::event(headers, &message.payload).ok());
    let Some(Ok(event)) = event.map(|event| event.delivery().event) else { return vec![] };
    let asked = asked_by(event.aggregate_id, &event.payload, event.metadata.occurred_at);
    asked.into_iter().map(|asked| asked.task.lane()).collect()
}
