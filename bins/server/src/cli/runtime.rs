//! `meterbox runtime`: the Python that programs run under; and having it ready before it is needed.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use meterbox_local_sandbox::runtime::{InstallOptions, Progress, Runtime, RuntimeError, RuntimeStatus};

use super::{exit, text};
use crate::settings::Settings;

const STEPS: u64 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum RuntimeCommand {
    /// Install it, or finish an installation that was broken off
    Install {
        /// Take wheels from this folder only, and nothing from the network
        #[arg(long, value_name = "DIR")]
        wheelhouse: Option<PathBuf>,
    },
    /// Say whether it is installed, and what is in it
    Status,
    /// Remove it
    Remove,
}

pub(super) fn runtime(command: RuntimeCommand, settings: &Settings) -> ExitCode {
    let folder = &settings.runtime_dir;
    let done = match command {
        RuntimeCommand::Install { wheelhouse } => {
            install(settings, wheelhouse, true).map(|runtime| describe(&runtime))
        }
        RuntimeCommand::Status => {
            return status(Runtime::status(folder), settings);
        }
        RuntimeCommand::Remove => Runtime::remove(folder).map(|removed| match removed {
            true => text::say(&format!("Removed {}.", folder.display())),
            false => text::say("There was no runtime."),
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::refused_to_start(&error.into()),
    }
}

/// The runtime, installed now if it is not there yet.
pub(super) fn ready(settings: &Settings, shows_progress: bool) -> Result<Runtime, RuntimeError> {
    match Runtime::locate(&settings.runtime_dir) {
        Some(runtime) => Ok(runtime),
        None => install(settings, None, shows_progress),
    }
}

fn install(
    settings: &Settings,
    wheelhouse: Option<PathBuf>,
    shows_progress: bool,
) -> Result<Runtime, RuntimeError> {
    let folder = &settings.runtime_dir;
    let options = InstallOptions {
        wheelhouse,
        search_path: std::env::var_os("PATH").unwrap_or_default(),
    };
    let bar = if shows_progress {
        progress_bar()
    } else {
        ProgressBar::hidden()
    };
    if shows_progress && bar.is_hidden() {
        text::note("Installing the Python runtime (about 500 MB, once).");
    }
    bar.println("Installing the Python runtime (about 500 MB, once).");
    let installed = Runtime::install(folder, &options, &mut |Progress { done, message, .. }| {
        // Truncation is fine: it is a bar.
        bar.set_position((done * STEPS as f64) as u64);
        bar.set_message(message);
    });
    bar.finish_and_clear();
    installed
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::new(STEPS);
    if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan} {percent:>3} %  {elapsed:>3}  {wide_msg}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn status(status: RuntimeStatus, settings: &Settings) -> ExitCode {
    match status {
        RuntimeStatus::Ready(runtime) => {
            describe(&runtime);
            ExitCode::SUCCESS
        }
        RuntimeStatus::Incomplete { reason } => {
            text::say(&format!(
                "The runtime in {} cannot be used: {reason}.",
                settings.runtime_dir.display()
            ));
            text::note("`meterbox runtime install` mends it.");
            ExitCode::from(exit::NO_SANDBOX)
        }
        _ => {
            text::say(&format!(
                "There is no runtime in {}.",
                settings.runtime_dir.display()
            ));
            text::note("`meterbox runtime install` installs it; so does the first question.");
            ExitCode::from(exit::NO_SANDBOX)
        }
    }
}

fn describe(runtime: &Runtime) {
    text::say(&format!(
        "Python {} in {}",
        runtime.version,
        runtime.venv.display()
    ));
    for (name, version) in &runtime.packages {
        text::say(&format!("  {name} {version}"));
    }
}
