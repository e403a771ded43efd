//! `starscreen audit`: what happened, what was known at a time, and whether what is shown is what happened.

use std::io::{IsTerminal, Write, stderr};

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use starscreen_commands::operations;
use starscreen_domain::{CandidateId, Event, Recorded, candidate::CandidateEvent, usage::UsageEvent};
use starscreen_projections::{AsOf, Models, ReadModels, RebuildProgress, Rebuilt, RowValues, Whose};
use uuid::Uuid;

use super::{
    OperatorError, end_progress, known, ledger, open, show,
    table::{Table, exact, say, say_json, time},
};
use crate::{config::Settings, roles::Opened};

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Lists every event of a candidate and of its slot, in order
    History {
        candidate: CandidateId,
        #[arg(long)]
        json: bool,
    },
    /// Shows what was known at a time, by replaying the log up to there
    AsOf {
        /// Such as 2026-03-01T12:00:00Z; a day alone means its end
        #[arg(value_parser = moment)]
        time: DateTime<Utc>,
        noun: Noun,
        id: Uuid,
        #[arg(long)]
        json: bool,
    },
    /// Lists every entry of a billing period as the log has it, adds them up, and says whether the read model agrees;
    /// exit code 1 when it does not
    Usage {
        /// Id of a tenant, or the e-mail address of its account
        whose: String,
        /// The period that the end of this day lies in, or this time; the running one without
        #[arg(long, value_parser = moment)]
        period: Option<DateTime<Utc>>,
        #[arg(long)]
        json: bool,
    },
    /// Replays the whole log and compares the outcome with the live read models, which stay as they are
    Replay {
        /// Name of one read model; all without
        name: Option<String>,
        /// Compare; exit code 1 when a row differs
        #[arg(long, required = true)]
        diff: bool,
        /// Events folded at once
        #[arg(long, default_value_t = 5_000)]
        batch: usize,
        #[arg(long)]
        json: bool,
    },
}

/// What rows are asked for by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Noun {
    Candidate,
    /// With its candidates
    Job,
    Tenant,
}

pub fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let day =
        text.parse::<NaiveDate>().map_err(|_| "a time is written like 2026-03-01T12:00:00Z, a day like 2026-03-01")?;
    let next = day.succ_opt().unwrap_or(day).and_time(NaiveTime::MIN).and_utc();
    Ok(next - chrono::TimeDelta::microseconds(1))
}

/// False: what is shown is not what happened.
///
/// # Errors
/// An [`OperatorError`] that says what is in the way.
pub async fn run(settings: &Settings, command: AuditCommand) -> Result<bool, OperatorError> {
    let opened = open(settings).await?;
    let outcome = match command {
        AuditCommand::History { candidate, json } => history(&opened, candidate, json).await.map(|()| true),
        AuditCommand::AsOf { time, noun, id, json } => as_of(&opened, time, noun, id, json).await.map(|()| true),
        AuditCommand::Usage { whose, period, json } => ledger::audit(&opened, &whose, period, json).await,
        AuditCommand::Replay { name, batch, json, .. } => replay(&opened, name.as_deref(), batch, json).await,
    };
    opened.close().await;
    outcome
}

async fn history(opened: &Opened, candidate: CandidateId, as_json: bool) -> Result<(), OperatorError> {
    let deliveries = operations::history_of(&opened.write.queue, &opened.write.log, candidate).await?;
    if deliveries.is_empty() {
        return Err(OperatorError::Usage(format!("there is no candidate {candidate}")));
    }
    let mut table = Table::new(&["position", "recorded at", "event", "by", "what"]);
    let mut objects = vec![];
    for delivery in deliveries {
        let event = match delivery.event {
            Ok(event) => event,
            Err(unreadable) => {
                objects.push(json!({ "position": delivery.position, "event_type": unreadable.event_type,
                    "unreadable": unreadable.reason }));
                let position = delivery.position.to_string();
                table.row([position, String::new(), unreadable.event_type, String::new(), unreadable.reason]);
                continue;
            }
        };
        let summary = summary(&event, candidate);
        objects.push(event_json(&event, &summary));
        table.row([
            event.position.to_string(),
            exact(event.recorded_at),
            event.payload.event_type(),
            event.metadata.actor.to_string(),
            summary,
        ]);
    }
    if as_json {
        say_json(&objects);
    } else {
        table.print();
    }
    Ok(())
}

fn event_json(event: &Recorded<Event>, summary: &str) -> Value {
    json!({
        "position": event.position, "tenant_position": event.tenant_position, "tenant_id": event.tenant_id,
        "event_id": event.event_id, "event_type": event.payload.event_type(),
        "event_version": event.payload.event_version(), "aggregate_type": event.aggregate_type,
        "aggregate_id": event.aggregate_id, "sequence": event.sequence, "recorded_at": exact(event.recorded_at),
        "occurred_at": time(event.metadata.occurred_at), "actor": event.metadata.actor.to_string(),
        "command_id": event.metadata.command_id, "correlation_id": event.metadata.correlation_id,
        "causation_id": event.metadata.causation_id, "source": event.metadata.source, "summary": summary,
    })
}

/// What happened, without a word about the person.
fn summary(event: &Recorded<Event>, candidate: CandidateId) -> String {
    match &event.payload {
        Event::Candidate(event) => of_candidate(event),
        Event::Usage(event) => of_usage(event, candidate),
        // The history of a candidate has none of these.
        Event::Account(_)
        | Event::EmailClaim(_)
        | Event::Job(_)
        | Event::Subscription(_)
        | Event::Customer(_)
        | Event::Webhook(_) => String::new(),
    }
}

fn of_candidate(event: &CandidateEvent) -> String {
    match event {
        CandidateEvent::ResumeUploaded { job_id, file_kind, size_bytes, .. } => {
            format!("a {file_kind} of {size_bytes} bytes for job {job_id}")
        }
        CandidateEvent::ExtractionStarted {} => "the file is being read".to_owned(),
        CandidateEvent::TextExtracted { characters, pages, cut_short, .. } => {
            let rest = if *cut_short { "; the file goes on" } else { "" };
            format!("{characters} characters on {pages} pages{rest}")
        }
        CandidateEvent::HiddenTextDetected { findings, share_permille } => {
            let techniques: Vec<&str> = findings.iter().map(|finding| finding.technique.as_str()).collect();
            format!("{share_permille} ‰ of the text is hidden: {}", techniques.join(", "))
        }
        CandidateEvent::ExtractionFailed { failure } | CandidateEvent::ScoringFailed { failure } => {
            format!("{}: {}", failure.code, failure.sentence)
        }
        CandidateEvent::ScoringAwaited {} => "waits for the job's rubric".to_owned(),
        CandidateEvent::ScoringRequested { rubric_version } => format!("by rubric {rubric_version}"),
        CandidateEvent::CandidateScored { rubric_version, model, total, needs_review, .. } => {
            let total = total.map_or_else(
                || "no total".to_owned(),
                |total| format!("{}.{} points", total.tenths() / 10, total.tenths() % 10),
            );
            let doubts = if needs_review.is_empty() { String::new() } else { ", needs review".to_owned() };
            format!("{total} by rubric {rubric_version} and {model}{doubts}")
        }
        CandidateEvent::CandidateRetried { from, .. } => format!("from {from:?}").to_lowercase(),
        CandidateEvent::CandidateDeleted { reason } => format!("{reason:?}").to_lowercase(),
    }
}

fn of_usage(event: &UsageEvent, candidate: CandidateId) -> String {
    match event {
        UsageEvent::SlotsReserved { candidates } => {
            let place = candidates.iter().position(|id| *id == candidate).map_or(0, |index| index + 1);
            format!("a slot is reserved ({place} of {})", candidates.len())
        }
        UsageEvent::SlotCommitted { .. } => "the slot is used".to_owned(),
        UsageEvent::SlotReleased { reason, .. } => format!("the slot is free again: {reason:?}"),
        // Of the period, not of a slot.
        UsageEvent::PeriodOpened { .. }
        | UsageEvent::LimitChanged { .. }
        | UsageEvent::UsageAdjusted { .. }
        | UsageEvent::OverageMetered { .. }
        | UsageEvent::MeteringGivenUp { .. }
        | UsageEvent::MeteringRetried { .. }
        | UsageEvent::UsageThresholdReached { .. }
        | UsageEvent::PeriodClosed { .. } => String::new(),
    }
}

async fn as_of(opened: &Opened, at: DateTime<Utc>, noun: Noun, id: Uuid, as_json: bool) -> Result<(), OperatorError> {
    let whose = match noun {
        Noun::Candidate => Whose::Candidate(id),
        Noun::Job => Whose::Job(id),
        Noun::Tenant => Whose::Tenant(id),
    };
    let (feed, keys) = (opened.feed.clone(), opened.vault.clone());
    let terminal = stderr().is_terminal();
    let known = ReadModels::as_of(feed, keys, whose, at, |done, head| {
        if terminal {
            let _ = write!(stderr(), "{done} of {head} events\r"); // only to pass the time
        }
    })
    .await?;
    end_progress();
    if as_json {
        let tables: serde_json::Map<String, Value> =
            known.tables.iter().map(|(name, rows)| ((*name).to_owned(), json!(rows))).collect();
        say_json(&json!({ "as_of": exact(at), "position": known.position,
            "recorded_at": known.recorded_at.map(exact), "set_aside": known.set_aside, "read_models": tables }));
        return Ok(());
    }
    print_rows(at, &known);
    Ok(())
}

fn print_rows(at: DateTime<Utc>, known: &AsOf) {
    let last = known.recorded_at.map_or_else(String::new, |at| format!(", recorded at {}", exact(at)));
    say(format_args!("as of {}: position {}{last}", exact(at), known.position));
    if known.set_aside > 0 {
        say(format_args!("{} events could not be folded", known.set_aside));
    }
    if known.tables.is_empty() {
        say("nothing was known of it then");
    }
    for (name, rows) in &known.tables {
        for row in rows {
            say(format_args!("\n{name}"));
            print_row(row);
        }
    }
}

fn print_row(row: &RowValues) {
    let width = row.keys().map(String::len).max().unwrap_or(0);
    for (column, value) in row {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.escape_debug().to_string(),
            value => value.to_string(),
        };
        say(format_args!("  {column:<width$}  {text}"));
    }
}

async fn replay(opened: &Opened, name: Option<&str>, batch: usize, as_json: bool) -> Result<bool, OperatorError> {
    known(name)?;
    let names: Vec<&str> = name.map_or_else(|| Models::NAMES.to_vec(), |name| vec![name]);
    let mut outcomes = vec![];
    for name in names {
        let (feed, keys) = (opened.feed.clone(), opened.vault.clone());
        let progress = |progress: RebuildProgress| show(progress);
        outcomes.push(opened.reads.compare(name, feed, keys, batch, progress).await?);
    }
    end_progress();
    let equal = outcomes.iter().all(|outcome| outcome.diff.is_none_or(|diff| diff.is_empty()));
    if as_json {
        let models: Vec<Value> = outcomes.iter().map(outcome_json).collect();
        say_json(&json!({ "equal": equal, "read_models": models }));
        return Ok(equal);
    }
    for outcome in &outcomes {
        say(outcome_text(outcome));
    }
    Ok(equal)
}

fn outcome_json(outcome: &Rebuilt) -> Value {
    json!({
        "name": outcome.projector, "position": outcome.position, "seconds": outcome.seconds,
        "compared": outcome.diff.is_some(),
        "only_live": outcome.diff.map(|diff| diff.only_live),
        "only_replayed": outcome.diff.map(|diff| diff.only_rebuilt),
        "changed": outcome.diff.map(|diff| diff.changed), "rows": outcome.differing,
    })
}

fn outcome_text(outcome: &Rebuilt) -> String {
    let Rebuilt { projector, position, seconds, diff, differing } = outcome;
    let Some(diff) = diff else {
        return format!("{projector}: replayed to position {position}, there is nothing to compare with yet");
    };
    if diff.is_empty() {
        return format!("{projector}: 0 differences at position {} ({seconds:.1} s)", diff.position);
    }
    let rows: Vec<String> = differing.iter().map(ToString::to_string).collect();
    format!(
        "{projector}: {} differences at position {}: {} rows changed, {} only live, {} only in the log; rows {}; \
         `starscreen rebuild {projector}` puts it right",
        diff.only_live + diff.only_rebuilt + diff.changed,
        diff.position,
        diff.changed,
        diff.only_live,
        diff.only_rebuilt,
        rows.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_means_its_end_and_a_time_itself() {
        assert_eq!(moment("2026-03-01T12:00:00+02:00").map(time).as_deref(), Ok("2026-03-01T10:00:00.000Z"));
        assert_eq!(moment("2026-02-28").map(time).as_deref(), Ok("2026-02-28T23:59:59.999Z"));
        assert!(moment("yesterday").is_err());
    }
}
