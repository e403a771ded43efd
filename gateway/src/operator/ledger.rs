//! `starscreen audit usage`: every entry of a billing period as the log has it, added up, and whether the read model
//! agrees.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use starscreen_commands::account;
use starscreen_domain::{
    CandidateId, Delivery, Event, Recorded, TenantId, UsageId, period::Period, subscription::Subscription,
    usage::UsageEvent,
};
use starscreen_projections::{
    Projector,
    monthly_usage::{MonthlyUsage, MonthlyUsageRow},
    usage_entries::{UsageEntries, UsageEntry, UsageEntryRow},
};

use super::{
    OperatorError,
    table::{Table, exact, say, say_json, time},
};
use crate::roles::Opened;

/// Entries read at once.
const PAGE: u64 = 100;
/// How long the read model may take to see what the log has.
const CATCH_UP: Duration = Duration::from_secs(2);

/// A billing period as its events add up.
struct Ledger {
    tenant: TenantId,
    id: UsageId,
    period: Period,
    entries: Vec<Entry>,
    counts: Option<MonthlyUsageRow>,
    /// Positions and reasons of events that this version cannot read.
    unreadable: Vec<(u64, String)>,
}

struct Entry {
    event: Recorded<Event>,
    shown: UsageEntry,
}

/// What the read model says to it.
enum Verdict {
    Agrees,
    /// It has not seen everything yet.
    Behind,
    Differs(Vec<String>),
}

/// False: the read model says something else.
pub(super) async fn audit(
    opened: &Opened,
    whose: &str,
    at: Option<DateTime<Utc>>,
    as_json: bool,
) -> Result<bool, OperatorError> {
    let tenant = tenant(opened, whose).await?;
    let subscription: Subscription = opened.write.bus.read(tenant, tenant).await?;
    let period = subscription
        .period(at.unwrap_or_else(Utc::now))
        .map_err(|_| OperatorError::Usage(format!("tenant {tenant} has no subscription")))?;
    let id = UsageId::of(tenant, &period);
    let events = opened.write.log.of_aggregate("usage", id.0).await.map_err(starscreen_commands::CommandError::from)?;
    let ledger = Ledger::of(tenant, id, period, events);
    let verdict = compare(opened, &ledger).await?;
    if as_json {
        say_json(&ledger.json(&verdict));
    } else {
        ledger.print(&verdict);
    }
    Ok(!matches!(verdict, Verdict::Differs(_)))
}

pub(super) async fn tenant(opened: &Opened, whose: &str) -> Result<TenantId, OperatorError> {
    if let Ok(tenant) = whose.parse() {
        return Ok(tenant);
    }
    let holder = account::holder_of(&opened.write.bus, opened.vault.as_ref(), whose).await?;
    holder.map(|(tenant, _)| tenant).ok_or_else(|| OperatorError::UnknownAccount(whose.to_owned()))
}

/// Waits a moment for what was only just written.
async fn compare(opened: &Opened, ledger: &Ledger) -> Result<Verdict, OperatorError> {
    let models = [UsageEntries::NAME, MonthlyUsage::NAME];
    if !opened.reads.wait_for(&models, ledger.position(), CATCH_UP).await {
        return Ok(Verdict::Behind);
    }
    let (mut live, mut after) = (vec![], None);
    loop {
        let page = opened.reads.usage_entries().list(ledger.tenant, ledger.id, PAGE, after).await?;
        live.extend(page.rows.into_iter().map(|entry| entry.row));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let counts = opened.reads.monthly_usage().get(ledger.tenant, ledger.id).await?;
    Ok(ledger.compared_with(&live, counts.as_ref()))
}

impl Ledger {
    fn of(tenant: TenantId, id: UsageId, period: Period, events: Vec<Delivery>) -> Self {
        let mut ledger = Self { tenant, id, period, entries: vec![], counts: None, unreadable: vec![] };
        let mut balance = 0_i64;
        for Delivery { position, event } in events {
            let event = match event {
                Ok(event) => event,
                Err(unreadable) => {
                    ledger.unreadable.push((position, unreadable.reason));
                    continue;
                }
            };
            ledger.counts = MonthlyUsage::fold(ledger.counts.take(), &event);
            if let Some(row) = UsageEntries::fold(None, &event) {
                balance = balance.saturating_add(row.delta);
                ledger.entries.push(Entry { event, shown: UsageEntry { row, balance } });
            }
        }
        ledger
    }

    /// Of the last entry; 0 without one.
    fn position(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.event.position)
    }

    fn used(&self) -> u32 {
        self.entries.last().map_or(0, |entry| entry.shown.used())
    }

    /// Entries that came after the log was read are left out.
    fn compared_with(&self, live: &[UsageEntryRow], counts: Option<&MonthlyUsageRow>) -> Verdict {
        let last = self.position();
        let mut live: BTreeMap<u64, &UsageEntryRow> =
            live.iter().filter(|row| row.position <= last).map(|row| (row.position, row)).collect();
        let mut differences: Vec<String> = vec![];
        for Entry { shown: UsageEntry { row, .. }, .. } in &self.entries {
            match live.remove(&row.position) {
                Some(shown) if shown == row => {}
                Some(_) => differences.push(format!("usage_entries has position {} otherwise", row.position)),
                None => differences.push(format!("usage_entries lacks position {}", row.position)),
            }
        }
        let unknown =
            live.into_keys().map(|position| format!("usage_entries has position {position}, the log has not"));
        differences.extend(unknown);
        let is_later = counts.is_some_and(|counts| counts.position > last);
        if counts != self.counts.as_ref() && !is_later {
            differences.push("monthly_usage counts otherwise".to_owned());
        }
        if differences.is_empty() { Verdict::Agrees } else { Verdict::Differs(differences) }
    }

    fn print(&self, verdict: &Verdict) {
        let (start, end) = (time(self.period.start), time(self.period.end));
        say(format_args!("tenant {}, period {start} to {end}, stream {}", self.tenant, self.id));
        if !self.entries.is_empty() {
            let mut table = Table::new(&["position", "occurred at", "entry", "change", "used", "billed", "by", "what"]);
            for Entry { event, shown } in &self.entries {
                table.row([
                    event.position.to_string(),
                    exact(event.metadata.occurred_at),
                    shown.row.kind.to_string(),
                    signed(shown.row.delta),
                    shown.used().to_string(),
                    signed(shown.row.quantity),
                    shown.row.actor.clone(),
                    what(&event.payload, &shown.row),
                ]);
            }
            table.print();
        }
        for (position, reason) in &self.unreadable {
            say(format_args!("position {position} cannot be read: {reason}"));
        }
        match &self.counts {
            None => say("there is no entry in this period"),
            Some(counts) => say(format_args!(
                "used {} of {}: {} reserved, {} committed, {} adjusted; {} released, {} billed over the included{}",
                self.used(),
                limit(counts.monthly_limit),
                counts.reserved,
                counts.committed,
                counts.adjusted,
                counts.released,
                counts.metered,
                if counts.closed { "; closed" } else { "" }
            )),
        };
        match verdict {
            Verdict::Agrees => say("the read model agrees"),
            Verdict::Behind => say("the read model has not seen everything yet"),
            Verdict::Differs(differences) => say(format_args!(
                "the read model differs: {}; `starscreen rebuild {}` and `starscreen rebuild {}` put it right",
                differences.join(", "),
                UsageEntries::NAME,
                MonthlyUsage::NAME
            )),
        };
    }

    fn json(&self, verdict: &Verdict) -> Value {
        let counts = self.counts.as_ref();
        let (read_model, differences) = match verdict {
            Verdict::Agrees => ("agrees", &[][..]),
            Verdict::Behind => ("behind", &[][..]),
            Verdict::Differs(differences) => ("differs", &differences[..]),
        };
        let unreadable: Vec<Value> =
            self.unreadable.iter().map(|(position, why)| json!({ "position": position, "reason": why })).collect();
        json!({
            "tenant_id": self.tenant, "usage_id": self.id,
            "period_start": time(self.period.start), "period_end": time(self.period.end),
            "plan": counts.map(|counts| &counts.plan), "limit": counts.and_then(|counts| counts.monthly_limit),
            "included": counts.and_then(|counts| counts.included), "used": self.used(),
            "reserved": counts.map_or(0, |counts| counts.reserved),
            "committed": counts.map_or(0, |counts| counts.committed),
            "released": counts.map_or(0, |counts| counts.released),
            "adjusted": counts.map_or(0, |counts| counts.adjusted),
            "metered": counts.map_or(0, |counts| counts.metered),
            "closed": counts.is_some_and(|counts| counts.closed),
            "entries": self.entries.iter().map(Entry::json).collect::<Vec<_>>(), "unreadable": unreadable,
            "read_model": read_model, "differences": differences,
        })
    }
}

impl Entry {
    fn json(&self) -> Value {
        let (event, row) = (&self.event, &self.shown.row);
        json!({
            "position": event.position, "tenant_position": event.tenant_position, "sequence": event.sequence,
            "event_id": event.event_id, "event_type": event.payload.event_type(), "kind": row.kind.as_str(),
            "recorded_at": exact(event.recorded_at), "occurred_at": exact(event.metadata.occurred_at),
            "actor": row.actor, "command_id": event.metadata.command_id,
            "correlation_id": event.metadata.correlation_id, "causation_id": event.metadata.causation_id,
            "source": event.metadata.source, "delta": row.delta, "used": self.shown.used(), "metered": row.quantity,
            "candidates": candidates(&event.payload), "reason": row.reason, "plan": row.plan,
            "limit": row.monthly_limit, "included": row.included, "percent": row.percent,
        })
    }
}

fn candidates(event: &Event) -> &[CandidateId] {
    match event {
        Event::Usage(UsageEvent::SlotsReserved { candidates }) => candidates,
        Event::Usage(UsageEvent::SlotCommitted { candidate } | UsageEvent::SlotReleased { candidate, .. }) => {
            std::slice::from_ref(candidate)
        }
        Event::Usage(
            UsageEvent::PeriodOpened { .. }
            | UsageEvent::LimitChanged { .. }
            | UsageEvent::UsageAdjusted { .. }
            | UsageEvent::OverageMetered { .. }
            | UsageEvent::MeteringGivenUp { .. }
            | UsageEvent::MeteringRetried { .. }
            | UsageEvent::UsageThresholdReached { .. }
            | UsageEvent::PeriodClosed { .. },
        )
        | Event::Account(_)
        | Event::EmailClaim(_)
        | Event::Job(_)
        | Event::Candidate(_)
        | Event::Subscription(_)
        | Event::Customer(_)
        | Event::Webhook(_) => &[],
    }
}

/// Terms, candidates and reason, as far as there are any.
fn what(event: &Event, row: &UsageEntryRow) -> String {
    let mut parts = vec![];
    match (&row.plan, row.percent) {
        (Some(plan), _) => {
            parts.push(format!("{plan}, {}", limit(row.monthly_limit)));
            parts.extend(row.included.map(|included| format!("{included} included")));
        }
        (None, Some(percent)) => parts.push(format!("{percent} % of {}", limit(row.monthly_limit))),
        (None, None) => {}
    }
    match candidates(event) {
        [] => {}
        [one] => parts.push(format!("candidate {one}")),
        [first, rest @ ..] => parts.push(format!("candidate {first} and {} more", rest.len())),
    }
    parts.extend(row.reason.clone());
    parts.join(", ")
}

fn limit(limit: Option<u32>) -> String {
    limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string())
}

fn signed(change: i64) -> String {
    if change == 0 { String::new() } else { format!("{change:+}") }
}
