//! `meterbox serve`: the page and the API, until Ctrl-C.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use meterbox_access::Access;
use meterbox_analysis::{Analyst, Principal};
use meterbox_core::{Clock, SystemClock};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{exit, runtime, text};
use crate::{
    administration::{self, Local},
    http::{self, AppState, Hosts, Parts},
    settings::Settings,
    telemetry, webhooks,
    wiring::{Meterbox, StartError},
};

/// How long stopping waits for a store that takes results.
const LAST_DELIVERIES: Duration = Duration::from_secs(5);

#[derive(Debug, Default, Args)]
pub(super) struct ServeArgs {
    /// A folder or files to offer on the page, beside those offered before
    #[arg(long, num_args = 1.., value_name = "PATH")]
    data: Vec<PathBuf>,

    /// The address or port to listen on; other machines are let in only with API keys [default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

pub(super) async fn serve(args: ServeArgs, mut settings: Settings) -> ExitCode {
    if let Some(Err(error)) = args.listen.as_deref().map(|flag| settings.listen_on(flag)) {
        return exit::usage(&error.to_string());
    }
    let access = match open_access(&settings).await {
        Ok(access) => access,
        Err(error @ StartError::NoAdminKey(_)) => return exit::usage(&error.to_string()),
        Err(error) => return exit::refused_to_start(&error),
    };
    // The address before the rest: whoever has it already should not cost an installation.
    let listener = match TcpListener::bind(settings.listen).await {
        Ok(listener) => listener,
        Err(error) => {
            let address = settings.listen;
            return exit::usage(&format!(
                "{address} cannot be listened on: {error}. Try --listen 3001."
            ));
        }
    };
    let meterbox = match open(&args, &settings).await {
        Ok(meterbox) => meterbox,
        Err(error) => return exit::refused_to_start(&error),
    };
    let address = listener.local_addr().unwrap_or(settings.listen);
    let shutdown = CancellationToken::new();
    let state = AppState::new(parts(&meterbox, access, address, &settings), shutdown.clone());
    if !address.ip().is_loopback() && !settings.public_urls.iter().any(|url| url.is_https) {
        text::note(
            "Keys and answers go over the network unencrypted; put a proxy with TLS in front, and name it in METERBOX_PUBLIC_URL.",
        );
    }
    text::note(&format!("Meterbox is at http://{address} (Ctrl-C stops it)"));
    tokio::spawn(warm_up(meterbox.analyst.clone(), meterbox.local_user.clone()));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let tellers = webhooks::start(
        &meterbox.budget,
        meterbox.analyst.least_cost(),
        &settings.config.webhooks,
        &clock,
    );

    let traces = settings.telemetry.clone().map(|wanted| {
        tokio::spawn(telemetry::look(wanted));
        let told = telemetry::tell_events(meterbox.budget.clone(), meterbox.local_user.clone());
        tokio::spawn(told)
    });
    for name in &settings.unread {
        text::note(&format!(
            "{name} stands in a .env file and is not read there; set it in the environment to keep results there."
        ));
    }
    let retention = settings.keep_days.map(|days| {
        tokio::spawn(
            meterbox
                .results
                .clone()
                .keep_for(days, settings.data_dir.join("artifacts")),
        )
    });
    tokio::spawn(state.follow_revocations());
    let stop = shutdown.clone();
    tokio::spawn(async move {
        stop_signal().await;
        text::note("Stopping; what runs is settled first.");
        stop.cancel();
    });
    crate::serve::serve(listener, http::router(state), shutdown).await;
    meterbox.analyst.shut_down().await;
    // What was not told yet waits in the ledger, and what was not delivered in the outbox.
    tellers
        .iter()
        .chain(&retention)
        .chain(&traces)
        .for_each(JoinHandle::abort);
    let waiting = meterbox.results.flush(LAST_DELIVERIES).await;
    if waiting > 0 {
        text::note(&format!(
            "{waiting} results wait for their store; the next start delivers them."
        ));
    }
    ExitCode::SUCCESS
}

/// The keys, and proof that they keep others out where others could come in.
async fn open_access(settings: &Settings) -> Result<Access, StartError> {
    let access = Meterbox::open_access(settings)?;
    match settings.open_to_others() {
        Some(address) if !access.has_admin().await? => Err(StartError::NoAdminKey(address)),
        _ => Ok(access),
    }
}

fn parts(meterbox: &Meterbox, access: Access, address: SocketAddr, settings: &Settings) -> Parts {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let budget = meterbox.budget.clone();
    Parts {
        analyst: meterbox.analyst.clone(),
        local: Local::new(
            budget,
            access.clone(),
            settings.config.prices.clone(),
            Arc::clone(&clock),
            administration::at_the_machine(),
        ),
        access,
        clock,
        results: meterbox.results.clone(),
        local_user: meterbox.local_user.clone(),
        open_without_key: settings.open_to_others().is_none(),
        hosts: Hosts::new(address, settings.public_urls.clone()),
    }
}

async fn open(args: &ServeArgs, settings: &Settings) -> Result<Meterbox, StartError> {
    let python = runtime::ready(settings, true)?;
    let meterbox = Meterbox::open(settings, python).await?;
    let fit = meterbox.results.refuse_another_version().await;
    fit.map_err(StartError::Results)?;
    let catalog = meterbox.analyst.catalog();
    if !args.data.is_empty() {
        catalog.add(&args.data)?;
    }
    let sample = PathBuf::from("examples/data/shop");
    if catalog.list()?.is_empty() && sample.is_dir() {
        catalog.add(&[sample])?;
    }
    Ok(meterbox)
}

/// The first question should not wait for the interpreter, and the page should know its tables.
async fn warm_up(analyst: Analyst, user: Principal) {
    if let Err(error) = analyst.sandbox().await {
        text::complain(&format!("{error}. `meterbox doctor` says how to fix it."));
        return;
    }
    for dataset in analyst.catalog().list().unwrap_or_default() {
        let name = dataset.name().to_owned();
        if dataset.typed().is_some() {
            continue;
        }
        let root = telemetry::prepare_root(&user);
        let prepared = analyst.prepare(dataset, user.clone()).instrument(root);
        if let Err(failure) = prepared.await {
            text::complain(&format!("{name}: {}. {}", failure.message, failure.hint));
        }
    }
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
