//! Stripe by the letter of its API, as far as the product uses it: it keeps what it is told, has a clock that can be
//! moved, tells what changes by signed webhooks, and fails as a test has written down.

mod api;
mod billing;
mod customers;
mod form;
mod meters;
mod refusals;
mod subscriptions;
mod webhooks;
mod world;

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::{Router, routing::any};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

use api::Shared;
use world::{Meter, World};

pub use customers::{DECLINED_CARD, FAILING_CARD, GOOD_CARD};
pub use webhooks::{Signing, WEBHOOK_SECRET, Webhook};
pub use world::StripePrice;

/// The key that it lets in.
pub const STRIPE_KEY: &str = "sk_test_0123456789abcdef";
/// Pause before a webhook that was not taken is sent again.
const AGAIN: Duration = Duration::from_millis(50);

/// What goes wrong with one call.
#[derive(Clone, Debug)]
pub enum StripeFault {
    /// 429 with Retry-After in seconds.
    Busy(u64),
    /// Only this status; nothing was done.
    Status(u16),
    /// As [`StripeFault::Status`], and for the same key again, as Stripe does with its own failures.
    Remembered(u16),
    /// No answer, as long as the caller waits.
    Hang,
    /// The connection ends before anything was done.
    Cut,
    /// It was done, then the connection ends.
    CutAfter,
    /// A page of a proxy.
    Page,
}

/// One call, as it came.
#[derive(Clone, Debug)]
pub struct StripeCall {
    pub at: DateTime<Utc>,
    pub method: String,
    pub path: String,
    /// The form or query as nested maps; a list is a map by number.
    pub form: Value,
    pub idempotency_key: Option<String>,
    pub authorization: String,
    pub version: String,
}

/// Runs, on a thread of its own, until it is dropped.
pub struct StripeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl StripeServer {
    /// A server that sells nothing yet, with the machine's time.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let world = Mutex::new(World::new(STRIPE_KEY));
        let shared = Arc::new(Shared { world, forward_to: Mutex::default(), changed: Notify::new() });
        let running = Mutex::new(Some(run(listener, Arc::clone(&shared))));
        Self { address, shared, running }
    }

    /// For `STRIPE_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world()
    }

    /// Does it as somebody in Stripe's dashboard would, and tells of it.
    fn act<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let done = {
            let mut world = self.world();
            world.roll();
            act(&mut world)
        };
        self.shared.changed.notify_one();
        done
    }

    // What there is to buy.

    pub fn sell(&self, prices: &[StripePrice]) {
        self.world().prices.extend(prices.iter().map(|price| (price.id.clone(), price.clone())));
    }

    pub fn add_meter(&self, event_name: &str) -> String {
        let mut world = self.world();
        let id = world.id("mtr");
        world.meters.push(Meter { id: id.clone(), event_name: event_name.to_owned() });
        id
    }

    /// The only key that is let in from now on.
    pub fn let_in_only(&self, key: &str) {
        key.clone_into(&mut self.world().key);
    }

    // What people do there.

    /// Pays the checkout session of this id or address with a good card; the subscription.
    pub fn complete_checkout(&self, session: &str) -> Value {
        self.act(|world| world.complete(session))
    }

    /// Has the session paid at the very moment when somebody wants to close it.
    pub fn pay_when_closed(&self, session: &str) {
        let mut world = self.world();
        let found = world.sessions.values_mut().find(|found| found.id == session || found.url == session);
        found.expect("there is such a checkout session").is_being_paid = true;
    }

    /// Opens sessions again that were closed: as if they had all been made at once.
    pub fn reopen_checkouts(&self, customer: &str) {
        let mut world = self.world();
        let theirs = world.sessions.values_mut().filter(|session| session.form["customer"] == customer);
        theirs.filter(|session| session.status == "expired").for_each(|session| session.status = "open");
    }

    /// A call as the dashboard or the portal would make it: no key, no fault, not among the calls. Fails when it is
    /// refused.
    pub fn by_hand(&self, method: &str, path: &str, encoded: &str) -> Value {
        let form = form::parse(encoded);
        self.act(|world| api::handle(world, method, path, &form)).unwrap_or_else(|refused| panic!("{}", refused.body))
    }

    /// What Stripe does without a call, such as `paused` or `unpaid`.
    pub fn set_status(&self, subscription: &str, status: &str) {
        self.act(|world| {
            status.clone_into(&mut world.subscriptions.get_mut(subscription).unwrap().status);
            let now = world.now();
            world.tell_of("customer.subscription.updated", subscription, now);
        });
    }

    /// From now on every charge of the customer's present methods succeeds, or none does.
    pub fn let_payments_fail(&self, customer: &str, fails: bool) {
        let mut world = self.world();
        for method in world.methods.values_mut().filter(|method| method.customer == customer) {
            method.fails = fails;
        }
    }

    /// Tries again to charge what the customer owes.
    pub fn settle(&self, customer: &str) {
        self.act(|world| world.settle(customer));
    }

    /// Changes how subscriptions look from outside, for versions and fields to come.
    pub fn show_subscriptions(&self, edit: fn(&mut Value)) {
        self.world().edit = Some(edit);
    }

    // Time.

    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.world().now(), 0).unwrap()
    }

    /// Moves the clock on, and does on the way what is due: renewals, charges, cancellations. It goes on from there.
    pub fn advance_to(&self, time: DateTime<Utc>) {
        self.act(|world| {
            let ahead = time.timestamp() - Utc::now().timestamp();
            assert!(ahead >= world.ahead, "its clock goes forward only");
            world.ahead = ahead;
            world.roll();
        });
    }

    // What goes wrong.

    /// What happens to the next calls whose path begins so, in order.
    pub fn fail(&self, path: &str, faults: &[StripeFault]) {
        self.world().faults.push((path.to_owned(), faults.iter().cloned().collect()));
    }

    /// No longer there, as after a crash: connections end, new ones are refused. What it knows stays.
    pub fn go_down(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((stop, thread)) = running {
            let _ = stop.send(()); // it may have ended by a panic
            let _ = thread.join();
        }
    }

    /// There again, at the same address.
    pub fn come_back(&self) {
        let listener = TcpListener::bind(self.address).unwrap();
        let running = run(listener, Arc::clone(&self.shared));
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    }

    /// Most entries on one page of a list.
    pub fn set_page_size(&self, size: usize) {
        self.world().page_size = size;
    }

    /// While set, whoever asks for the subscriptions of a deleted customer is refused, as if it had never been there.
    pub fn forget_deleted(&self, forgets: bool) {
        self.world().forgets_deleted = forgets;
    }

    /// While set, usage is taken but not yet counted, as Stripe counts later.
    pub fn count_later(&self, later: bool) {
        let mut world = self.world();
        world.counts_from = later.then_some(world.usage.len());
    }

    // What was told, and how it is told.

    /// Everything that was ever told.
    pub fn webhooks(&self) -> Vec<Webhook> {
        self.act(|world| world.events.clone())
    }

    /// What is not told yet, in order. It is the caller's to send with [`Webhook::send`], or not to.
    pub fn take_webhooks(&self) -> Vec<Webhook> {
        self.act(|world| world.pending.drain(..).collect())
    }

    /// Sends what is not told yet, each once; the statuses of the answers.
    pub async fn deliver(&self, url: &str) -> Vec<Option<u16>> {
        let mut statuses = Vec::new();
        for webhook in self.take_webhooks() {
            statuses.push(webhook.send(url, &Signing::Good).await);
        }
        statuses
    }

    /// From now on webhooks go there by themselves, until they are taken; one that is not goes to the end of the queue.
    pub fn forward_to(&self, url: &str) {
        *self.shared.forward_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(url.to_owned());
        self.shared.changed.notify_one();
    }

    // What there is to see.

    pub fn subscriptions_of(&self, customer: &str) -> Vec<Value> {
        let query = serde_json::json!({"customer": customer, "status": "all"});
        self.act(|world| world.list_subscriptions(&query))
    }

    pub fn invoices_of(&self, customer: &str) -> Vec<Value> {
        let of = |world: &mut World| {
            let theirs = world.invoices.iter().filter(|invoice| invoice.customer == customer);
            theirs.map(|invoice| invoice.json(world.page_size)).collect()
        };
        self.act(of)
    }

    /// Ids of all customers that were made.
    pub fn customers(&self) -> Vec<String> {
        self.world().customers.keys().cloned().collect()
    }

    /// Of all usage that was taken, counted yet or not.
    pub fn meter_total(&self, event_name: &str, customer: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> i64 {
        let world = self.world();
        let theirs = world.usage.iter().filter(|usage| usage.event_name == event_name && usage.customer == customer);
        theirs
            .filter(|usage| (from.timestamp()..to.timestamp()).contains(&usage.timestamp))
            .map(|usage| usage.value)
            .sum()
    }

    /// The calls whose path begins so.
    pub fn calls(&self, path: &str) -> Vec<StripeCall> {
        self.world().calls.iter().filter(|call| call.path.starts_with(path)).cloned().collect()
    }
}

impl Drop for StripeServer {
    fn drop(&mut self) {
        self.go_down();
    }
}

fn run(listener: TcpListener, shared: Arc<Shared>) -> (oneshot::Sender<()>, JoinHandle<()>) {
    listener.set_nonblocking(true).unwrap();
    let (stop, stopped) = oneshot::channel();
    let routes = Router::new().fallback(any(api::serve)).with_state(Arc::clone(&shared));
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tokio::select! {
                served = async { axum::serve(listener, routes).await } => served.unwrap(),
                () = forward(&shared) => {}
                _ = stopped => {}
            }
        });
    });
    (stop, thread)
}

async fn forward(shared: &Shared) {
    loop {
        let url = shared.forward_to.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let next = url.and_then(|url| Some((url, shared.world().pending.front()?.clone())));
        let Some((url, webhook)) = next else {
            shared.changed.notified().await;
            continue;
        };
        let status = webhook.send(&url, &Signing::Good).await;
        // Only now, so that a crash in between loses nothing.
        shared.world().pending.retain(|waiting| waiting.id != webhook.id);
        if !status.is_some_and(|status| (200..300).contains(&status)) {
            shared.world().pending.push_back(webhook);
            tokio::time::sleep(AGAIN).await;
        }
    }
}
