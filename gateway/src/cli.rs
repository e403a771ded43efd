//! The command line: no verb runs every role in one process, verbs are for operators.

use std::{
    io::{Write, stderr, stdout},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Parser, Subcommand};
use starscreen_commands::subscription::Correction;
use starscreen_domain::work::Lane;

use crate::{
    config::{ConfigError, LoadOptions, Settings, Warning},
    demo, http,
    operator::{
        self, audit::AuditCommand, billing::BillingCommand, distribution::AnalyticsCommand, migrate::MigrateCommand,
        queue::QueueCommand,
    },
    outbound,
    roles::{self, Part},
    telemetry,
};

/// Resume screening with evidence. Without a command: runs the server, with all it needs, in this process.
#[derive(Parser)]
#[command(name = "starscreen", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Answers over HTTP, and does nothing else; over PostgreSQL, beside the other parts
    Gateway,
    /// Keeps the read models up to date: all, or one
    Projector {
        /// Name of the read model, such as `candidate_status`
        name: Option<String>,
    },
    /// Gives events their order and distributes them; of several one leads
    Relay {
        #[command(subcommand)]
        command: Option<RelayCommand>,
    },
    /// Works off what events ask for
    Worker {
        /// extract, rubric, score, react, clock, billing or webhook; all without
        lanes: Vec<Lane>,
    },
    /// Lets tenants' programs read their events on NATS
    Analytics {
        #[command(subcommand)]
        command: AnalyticsCommand,
    },
    /// Brings the schema of PostgreSQL up to date, or back
    Migrate {
        #[command(subcommand)]
        command: MigrateCommand,
    },
    /// Shows the product at work: a job, six resumes, the ranking with its evidence
    Demo,
    /// Changes that an operator makes; each is an event like any other
    Admin {
        #[command(subcommand)]
        command: AdminCommand,
    },
    /// Builds read models anew from the events, beside the running server
    Rebuild(RebuildArgs),
    /// Folds events that a projector has set aside once more, after the cause is mended
    Replay {
        /// Name of the read model, such as `candidate_status`
        name: String,
    },
    /// Shows and steers the work: what waits, what is in hand, what failed
    Queue {
        #[command(subcommand)]
        command: QueueCommand,
    },
    /// Tells what is in order and what is not, a line each, with what to do
    Doctor {
        #[arg(long)]
        json: bool,
    },
    /// Asks a server whether it answers; exits with 1 when it does not. For containers' health checks
    Health {
        /// Such as <http://127.0.0.1:8000/health/detailed>; without it, whether the server of these settings is ready
        url: Option<String>,
    },
    /// Tells what happened, what was known when, and whether what is shown is what happened
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Compares what the ledger has with what Stripe has
    Billing {
        #[command(subcommand)]
        command: BillingCommand,
    },
    /// Prints every setting with its value and where it came from; secrets are left out
    Config {
        #[arg(long)]
        json: bool,
    },
    /// Prints the description of the HTTP interface (OpenAPI 3.1)
    Openapi,
    /// Reads one file from standard input in a process with limits
    #[command(name = "extract-child", hide = true)]
    ExtractChild { kind: String },
}

impl Command {
    /// Runs until it is stopped, and tells in its log what it does.
    fn is_server(&self) -> bool {
        matches!(self, Self::Gateway | Self::Projector { .. } | Self::Relay { command: None } | Self::Worker { .. })
    }
}

#[derive(Subcommand)]
enum RelayCommand {
    /// Throws the events on NATS away and publishes them again from the database, at the same numbers
    RebuildStream,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Changes the plan of the account with this e-mail address, at once; the Stripe subscription of a paying tenant
    /// follows
    ChangePlan {
        email: String,
        /// Code name of a plan in the settings, such as `professional`
        plan: String,
        /// Kept with the change
        #[arg(long, default_value = "changed by an operator")]
        reason: String,
    },
    /// Corrects the running period's usage by an entry with its reason
    AdjustUsage {
        email: String,
        /// Added to what is used; negative gives slots back
        #[arg(allow_negative_numbers = true)]
        delta: i32,
        #[arg(long)]
        reason: String,
    },
    /// Gives all slots of the running period back, by an entry with its reason
    ResetUsage {
        email: String,
        #[arg(long)]
        reason: String,
    },
    /// Links the account with a customer that Stripe has already, such as one of the former application; for ever
    LinkCustomer {
        email: String,
        /// Such as `cus_NffrFeUfNV2Hib`
        customer: String,
        /// In the place of the customer that is linked, as when that was deleted at Stripe
        #[arg(long, requires = "reason")]
        replace: bool,
        /// Kept with the replacement
        #[arg(long, requires = "replace")]
        reason: Option<String>,
    },
}

#[derive(Args)]
struct RebuildArgs {
    /// Name of the read model, such as `candidate_status`
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    name: Option<String>,
    /// All read models, one after the other
    #[arg(long)]
    all: bool,
    /// Events folded at once
    #[arg(long, default_value_t = 5_000)]
    batch: usize,
    /// Compare with the live table before the switch, and report rows that differ
    #[arg(long)]
    diff: bool,
}

/// Whether the program would take these arguments, such as those of a container; it does nothing.
///
/// # Errors
/// What it would say instead.
pub fn check(arguments: &[&str]) -> Result<(), String> {
    let cli = Cli::try_parse_from([&["starscreen"], arguments].concat()).map_err(|error| error.to_string())?;
    match cli.command {
        Some(Command::Projector { name }) => operator::known(name.as_deref()).map_err(|error| error.to_string()),
        _ => Ok(()),
    }
}

/// Runs the program.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        // Before anything else is opened: the child must not have what it must not reach.
        Some(Command::ExtractChild { kind }) => return outbound::extract::run_child(&kind),
        Some(Command::Openapi) => return print_openapi(),
        _ => {}
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    if let Some(Command::Doctor { json }) = cli.command {
        // What is wrong with the settings is one of its lines.
        let healthy = runtime.block_on(operator::doctor::run(read_settings(), json));
        return if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let settings = match load_settings(cli.command.as_ref().is_none_or(Command::is_server)) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match runtime.block_on(dispatch(cli.command, settings)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failed(error.as_ref()),
    }
}

/// False: what was looked at is not in order.
async fn dispatch(
    command: Option<Command>,
    settings: Arc<Settings>,
) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    match command {
        None => {
            // One process is all there is: nobody else waits for the schema.
            if settings.database.url.is_some() {
                operator::migrate::up(&settings).await?;
            }
            roles::serve(settings, Part::all()).await?;
        }
        Some(Command::Gateway) => roles::serve(settings, vec![Part::Gateway]).await?,
        Some(Command::Projector { name }) => {
            operator::known(name.as_deref())?;
            roles::serve(settings, vec![Part::Projectors(name)]).await?;
        }
        Some(Command::Relay { command: None }) => roles::serve(settings, vec![Part::Relay]).await?,
        Some(Command::Relay { command: Some(RelayCommand::RebuildStream) }) => {
            operator::distribution::rebuild_stream(&settings).await?;
        }
        Some(Command::Analytics { command }) => operator::distribution::analytics(&settings, command).await?,
        Some(Command::Worker { lanes }) => {
            let lanes = if lanes.is_empty() { Lane::ALL.to_vec() } else { lanes };
            roles::serve(settings, vec![Part::Workers(lanes)]).await?;
        }
        Some(Command::Migrate { command }) => operator::migrate::run(&settings, &command).await?,
        Some(Command::Demo) => demo::run(settings).await?,
        Some(Command::Config { json }) => operator::print_settings(&settings, json),
        Some(Command::Admin { command: AdminCommand::ChangePlan { email, plan, reason } }) => {
            operator::change_plan(&settings, &email, &plan, reason).await?;
        }
        Some(Command::Admin { command: AdminCommand::AdjustUsage { email, delta, reason } }) => {
            operator::correct_usage(&settings, &email, Correction::By(delta), reason).await?;
        }
        Some(Command::Admin { command: AdminCommand::ResetUsage { email, reason } }) => {
            operator::correct_usage(&settings, &email, Correction::Reset, reason).await?;
        }
        Some(Command::Admin { command: AdminCommand::LinkCustomer { email, customer, replace, reason } }) => {
            let reason = reason.filter(|_| replace);
            operator::customer::link(&settings, &email, &customer, reason).await?;
        }
        Some(Command::Billing { command }) => return Ok(operator::billing::run(&settings, command).await?),
        Some(Command::Rebuild(RebuildArgs { name, batch, diff, .. })) => {
            operator::rebuild(&settings, name.as_deref(), batch, diff).await?;
        }
        Some(Command::Replay { name }) => operator::replay(&settings, &name).await?,
        Some(Command::Queue { command }) => operator::queue::run(&settings, command).await?,
        Some(Command::Health { url }) => return Ok(operator::health::run(&settings, url.as_deref()).await),
        Some(Command::Audit { command }) => return Ok(operator::audit::run(&settings, command).await?),
        // Done before there were settings.
        Some(Command::Openapi | Command::ExtractChild { .. } | Command::Doctor { .. }) => {}
    }
    Ok(true)
}

fn read_settings() -> Result<(Settings, Vec<Warning>), ConfigError> {
    let options = LoadOptions {
        working_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    };
    Settings::load(&options)
}

/// The settings, and the log that tells what is wrong with them.
fn load_settings(server: bool) -> Result<Arc<Settings>, ExitCode> {
    let (settings, warnings) = read_settings().map_err(|error| failed(&error))?;
    let mut log = settings.log.clone();
    if !server && !settings.sets_log() {
        log.filter = telemetry::default_filter("warn"); // a verb's own words are what its user wants to read
    }
    telemetry::init(&log).map_err(|error| failed(&error))?;
    telemetry::log_panics();
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(Arc::new(settings))
}

fn print_openapi() -> ExitCode {
    match http::openapi().to_pretty_json() {
        Ok(document) => {
            let _ = writeln!(stdout(), "{document}"); // who reads may have seen enough
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    let _ = writeln!(stderr(), "starscreen: {}", http::chain(error)); // the terminal may be gone

    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn arguments_are_checked_without_doing_anything() {
        super::check(&["worker", "score", "react"]).unwrap();
        super::check(&["projector", "jobs"]).unwrap();
        for wrong in [vec!["worker", "scores"], vec!["projector", "job"], vec!["serve"], vec!["migrate"]] {
            assert!(super::check(&wrong).is_err(), "{wrong:?}");
        }
    }
}
