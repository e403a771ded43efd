//! What works without being asked over HTTP: the sequencer, projectors, workers.

use std::{sync::Arc, time::Duration};

use starscreen_commands::{
    catalog::Catalog,
    ports::{Llm, Payments},
    sequencer::Sequencer,
    workers::{HOLD, LaneSettings, Ports, Workers},
};
use starscreen_domain::work::Lane;
use starscreen_projections::{Models, Running};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Acting, DRAIN, Opened, Part, StartError, broker, opened::sequencer_options};
use crate::{
    config::Settings,
    data_dir::DataDir,
    metrics::{Metrics, Source},
    outbound::{
        extract::Extractor,
        jetstream::{JetStreamFeed, wake_workers},
        stripe::{self, StripeOptions, StripePayments},
    },
    reconcile::{self, Figures},
    sweep,
};

/// What one try may take besides the answers of others.
const AT_MOST: Duration = Duration::from_secs(100);
/// Calls that one work item may make, one after the other.
const CALLS_AN_ITEM: u32 = 2;
/// The same of the payment provider.
const PAYMENT_CALLS: u32 = 6;
/// Places of lanes whose number is no matter for an operator: they seldom have work.
pub const CLOCK_PLACES: usize = 2;
pub const BILLING_PLACES: usize = 4;
pub const WEBHOOK_PLACES: usize = 4;

/// Parts of the product at work.
#[derive(Default)]
pub struct Background {
    projectors: Vec<Running>,
    stop_projectors: watch::Sender<bool>,
    stop_workers: CancellationToken,
    workers: TaskTracker,
    /// Ends last: what the others still commit wants its place in history.
    stop_relay: CancellationToken,
    relay: TaskTracker,
    reconciled: watch::Sender<Option<Figures>>,
    /// Stores opened for a part alone.
    own: Vec<Opened>,
}

impl Background {
    /// Starts all of `parts` but the gateway over `opened`.
    ///
    /// # Errors
    /// A [`StartError`] that says what is in the way.
    pub async fn start(
        settings: &Settings,
        dir: &DataDir,
        opened: &Opened,
        parts: &[Part],
        llm: Option<Arc<dyn Llm>>,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let mut background = Self::default();
        for part in parts {
            match (part, &llm) {
                (Part::Relay, _) => background.relay(settings, dir, opened, metrics).await?,
                (Part::Projectors(only), _) => {
                    background.projectors(settings, dir, opened, only.as_deref(), metrics).await?;
                }
                (Part::Workers(lanes), Some(llm)) => {
                    background.workers(settings, dir, opened, lanes, Arc::clone(llm)).await?;
                    metrics.add([Source::Reconciled(background.reconciled.subscribe())]);
                }
                (Part::Workers(_) | Part::Gateway, _) => {}
            }
        }
        Ok(background)
    }

    /// An embedded store gives positions itself.
    async fn relay(
        &mut self,
        settings: &Settings,
        dir: &DataDir,
        opened: &Opened,
        metrics: &Metrics,
    ) -> Result<(), StartError> {
        let Some(signals) = opened.write.signals.clone() else { return Ok(()) };
        let process = format!("process {}", std::process::id());
        let options = sequencer_options(settings)?;
        let leads = Sequencer::start(options, signals, process, self.stop_relay.clone(), &self.relay);
        metrics.add([Source::Sequencer(leads.clone())]);
        if settings.nats.url.is_some() {
            let own = self.acting(settings, dir, opened, Acting::Relay).await?;
            let status = broker::relay(settings, &own.write, leads, &self.stop_relay, &self.relay).await?;
            metrics.add(status.map(Source::Relay));
        }
        Ok(())
    }

    async fn projectors(
        &mut self,
        settings: &Settings,
        dir: &DataDir,
        opened: &Opened,
        only: Option<&str>,
        metrics: &Metrics,
    ) -> Result<(), StartError> {
        let own = self.acting(settings, dir, opened, Acting::Projector).await?;
        let stop = self.stop_projectors.subscribe();
        let Some(topology) = broker::topology(settings, "starscreen projector").await? else {
            self.projectors.push(own.reads.start(own.feed.clone(), own.vault.clone(), only, &stop)?);
            return Ok(());
        };
        for name in Models::NAMES.iter().filter(|name| only.is_none_or(|only| only == **name)) {
            let feed = Arc::new(JetStreamFeed::new(own.write.log.clone(), topology.clone(), name));
            metrics.add([Source::Feed { read_model: name, feed: Arc::clone(&feed) }]);
            self.projectors.push(own.reads.start(feed, own.vault.clone(), Some(name), &stop)?);
        }
        Ok(())
    }

    async fn workers(
        &mut self,
        settings: &Settings,
        dir: &DataDir,
        opened: &Opened,
        lanes: &[Lane],
        llm: Arc<dyn Llm>,
    ) -> Result<(), StartError> {
        let executable = std::env::current_exe().map_err(StartError::Executable)?;
        let own = self.acting(settings, dir, opened, Acting::Worker).await?;
        if settings.database.url.is_none() {
            // Nobody else works here: whoever had a lease is gone.
            own.write.queue.end_all_leases().await.map_err(starscreen_commands::CommandError::from)?;
        }
        let ports = Ports {
            vault: own.vault.clone(),
            objects: own.objects.clone(),
            extractor: Arc::new(Extractor::new(executable, settings.workers.extract_parallel)),
            llm,
            payments: payments(settings)?,
            catalog: Arc::new(settings.catalog()),
        };
        if let (Some(payments), true) = (&ports.payments, lanes.contains(&Lane::Billing)) {
            let pause = Duration::from_secs(settings.stripe.reconcile_seconds);
            self.reconcile(&own, pause, Arc::clone(&ports.catalog), Arc::clone(payments));
        }
        let workers = Workers::new(own.write.bus.clone(), own.write.queue.clone(), ports);
        if let Some(topology) = broker::topology(settings, "starscreen worker").await? {
            let (wakes, stop) = (own.write.writer.wakes(), self.stop_workers.clone());
            let subjects = topology.settings().subjects.clone();
            self.workers.spawn(async move { wake_workers(topology.client(), &subjects, wakes, &stop).await });
        }
        let (objects, registry) = (own.objects.clone(), own.write.registry.clone());
        let stop_sweep = self.stop_workers.clone();
        self.workers
            .spawn(async move { stop_sweep.run_until_cancelled(Box::pin(sweep::run(&objects, &registry))).await });
        for lane in lanes {
            let answers = Duration::from_secs(settings.openai.timeout_seconds) * CALLS_AN_ITEM;
            let (parallel, at_most) = match lane {
                Lane::Extract => (settings.workers.extract_parallel, AT_MOST),
                Lane::Rubric => (settings.workers.rubric_parallel, AT_MOST + answers),
                Lane::Score => (settings.workers.score_parallel, AT_MOST + answers),
                Lane::React => (settings.workers.react_parallel, AT_MOST),
                Lane::Clock => (CLOCK_PLACES, AT_MOST),
                Lane::Billing => (BILLING_PLACES, AT_MOST + PAYMENT_CALLS * stripe::TIMEOUT),
                Lane::Webhook => (WEBHOOK_PLACES, AT_MOST + PAYMENT_CALLS * stripe::TIMEOUT),
            };
            let settings = LaneSettings { parallel, at_most, hold: HOLD };
            workers.start(*lane, settings, self.stop_workers.clone(), &self.workers);
        }
        Ok(())
    }

    /// Tells in the log where ledger and payment provider differ.
    fn reconcile(&mut self, own: &Opened, pause: Duration, catalog: Arc<Catalog>, payments: Arc<dyn Payments>) {
        let (write, told, stop) = (own.write.clone(), self.reconciled.clone(), self.stop_workers.clone());
        self.workers.spawn(async move {
            let run = reconcile::run(&write, &catalog, &payments, pause, &told);
            stop.run_until_cancelled(Box::pin(run)).await
        });
    }

    async fn acting(
        &mut self,
        settings: &Settings,
        dir: &DataDir,
        opened: &Opened,
        acting: Acting,
    ) -> Result<Opened, StartError> {
        let own = opened.also(settings, dir, acting).await?;
        if settings.database.url.is_some() {
            self.own.push(own.clone());
        }
        Ok(own)
    }

    /// Lets what has begun come to its end, for a bounded time; what does not is taken up at the next start.
    pub async fn stop(self) {
        self.stop_workers.cancel();
        self.workers.close();
        if tokio::time::timeout(DRAIN, self.workers.wait()).await.is_err() {
            tracing::warn!(
                waited_ms = DRAIN.as_millis(),
                "workers did not finish; their items are taken up again later"
            );
        }
        let _ = self.stop_projectors.send(true); // nobody listens any more: they have stopped already
        for projectors in self.projectors {
            if let Err(error) = projectors.stopped().await {
                tracing::error!(error = %error, "a projector ended by a panic");
            }
        }
        self.stop_relay.cancel();
        self.relay.close();
        self.relay.wait().await;
        for own in self.own {
            own.close().await;
        }
    }
}

/// The payment provider, where there is a key of it.
pub fn payments(settings: &Settings) -> Result<Option<Arc<dyn Payments>>, StartError> {
    Ok(stripe_payments(settings, stripe::TIMEOUT)?.map(|payments| Arc::new(payments) as Arc<dyn Payments>))
}

/// The same as what it is; `timeout`: of one call.
///
/// # Errors
/// When key or address cannot be one.
pub fn stripe_payments(settings: &Settings, timeout: Duration) -> Result<Option<StripePayments>, StartError> {
    let Some(api_key) = settings.stripe.api_key.clone() else { return Ok(None) };
    let page = |path: &str| format!("{}{path}", settings.frontend_url);
    let options = StripeOptions {
        api_key,
        base_url: settings.stripe.base_url.clone(),
        meter_event_name: settings.stripe.meter_event_name.clone(),
        checkout_success_url: page("/billing?checkout=success"),
        checkout_cancel_url: page("/billing?checkout=canceled"),
        portal_return_url: page("/billing"),
        timeout,
    };
    StripePayments::connect(options).map(Some).map_err(StartError::Payments)
}
