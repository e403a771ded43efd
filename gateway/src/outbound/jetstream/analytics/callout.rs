//! The service that NATS asks whom to let in, and that puts out those whose grant is gone.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_nats::{Client, Message};
use chrono::Utc;
use futures::StreamExt;
use starscreen_domain::TenantId;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    AnalyticsGrants, Grant, GrantsError, IssuerKey,
    connections::{Connection, connections, put_out},
    consumer,
    jwt::Request,
    tenant_named,
};
use crate::outbound::jetstream::Topology;

const ASKED: &str = "$SYS.REQ.USER.AUTH";
/// Several relays share the questions.
const GROUP: &str = "starscreen";
/// How long a client may stay after its grant is gone, and a consumer be missing after its stream was made again.
const SWEEP: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_secs(2);

/// Lets analytics clients in and puts them out. It holds three connections: one of each account concerned.
pub struct Callout {
    /// In the account that is asked (`AUTH`).
    pub asked: Client,
    /// In the system account (`SYS`).
    pub system: Client,
    /// In the events' account, as the relay.
    pub topology: Topology,
    pub grants: Arc<dyn AnalyticsGrants>,
    pub issuer: IssuerKey,
}

#[derive(Debug, thiserror::Error)]
pub enum CalloutError {
    #[error(transparent)]
    Grants(#[from] GrantsError),
    #[error("NATS does not answer the callout")]
    Nats(#[source] async_nats::Error),
}

impl Callout {
    /// Answers until it is stopped, through every loss of connection.
    pub async fn run(&self, stop: &CancellationToken) {
        let both = async { tokio::join!(self.answer_for_ever(), self.sweep_for_ever()) };
        stop.run_until_cancelled(both).await;
    }

    async fn answer_for_ever(&self) {
        loop {
            match self.asked.queue_subscribe(ASKED, GROUP.to_owned()).await {
                Ok(questions) => questions.for_each_concurrent(16, |question| self.answer(question)).await,
                Err(error) => tracing::warn!(error = %error, "analytics clients cannot be let in"),
            }
            sleep(RETRY).await;
        }
    }

    async fn answer(&self, question: Message) {
        let Some(reply) = question.reply else { return };
        let request = match Request::parse(&question.payload) {
            Ok(request) => request,
            Err(error) => return tracing::warn!(error = %error, "not answered"),
        };
        let now = Utc::now();
        let grant = match self.granted(&request).await {
            Ok(grant) => grant,
            Err(error) => return tracing::warn!(error = &error as &dyn std::error::Error, "nobody is let in"),
        };
        let stream = &self.topology.settings().name;
        let user = grant.as_ref().map(|grant| self.issuer.user(&request, grant, stream, now)).transpose();
        let response =
            user.and_then(|user| self.issuer.response(&request, user.ok_or("credentials are not valid"), now));
        match response {
            Ok(response) => {
                if let Err(error) = self.asked.publish(reply, response.into()).await {
                    tracing::warn!(error = %error, "an answer to NATS is lost");
                }
            }
            Err(error) => tracing::error!(error = %error, "the callout's key cannot sign"),
        }
        if let Some(grant) = grant {
            tracing::info!(tenant.id = %grant.tenant_id, "an analytics client is let in");
            self.ensure_consumer(&grant).await;
        }
    }

    async fn granted(&self, request: &Request) -> Result<Option<Grant>, GrantsError> {
        let Some(tenant) = tenant_named(&request.connect_opts.user) else { return Ok(None) };
        let grant = self.grants.find(tenant).await?;
        Ok(grant.filter(|grant| grant.admits(&request.connect_opts.pass)))
    }

    async fn ensure_consumer(&self, grant: &Grant) {
        if let Err(error) = consumer(&self.topology, grant).await {
            tracing::debug!(error = %error, tenant.id = %grant.tenant_id, "the consumer is made later");
        }
    }

    async fn sweep_for_ever(&self) {
        let mut failing = false;
        loop {
            match self.sweep().await {
                Ok(()) => failing = false,
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "revoked analytics clients may stay connected"
                    );
                }
                Err(_) => {}
            }
            sleep(SWEEP).await;
        }
    }

    /// Puts out whoever came in under a grant that is gone, and makes the consumers that the others miss.
    async fn sweep(&self) -> Result<(), CalloutError> {
        let mut by_tenant: HashMap<Option<TenantId>, Vec<Connection>> = HashMap::new();
        for connection in connections(&self.system).await.map_err(CalloutError::Nats)? {
            by_tenant.entry(tenant_named(&connection.name)).or_default().push(connection);
        }
        for (tenant, connections) in by_tenant {
            let grant = match tenant {
                Some(tenant) => self.grants.find(tenant).await?,
                None => None,
            };
            for connection in &connections {
                if grant.as_ref().is_none_or(|grant| grant.mark() != connection.name) {
                    put_out(&self.system, connection).await.map_err(CalloutError::Nats)?;
                    tracing::info!(client = %connection.name, "an analytics client is put out: its grant is gone");
                }
            }
            if let Some(grant) = grant {
                self.ensure_consumer(&grant).await;
            }
        }
        Ok(())
    }
}
