//! `meterbox runtime`: the Python that programs run under; and having it ready before it is needed.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use meterbox_local_sandbox::runtime::{
    InstallOptions, Packages, Phase, Progress, Runtime, RuntimeError, RuntimeStatus,
};

use super::{exit, text};
use crate::settings::Settings;

const STEPS: u64 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum RuntimeCommand {
    /// Install it, or finish an installation that was broken off
    Install {
        /// Also scipy, statsmodels and scikit-learn; what runs with a smaller one goes on with it
        #[arg(long)]
        full: bool,
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
        RuntimeCommand::Install { full, wheelhouse } => {
            let packages = if full { Packages::Full } else { Packages::Base };
            install(settings, packages, wheelhouse, true).map(|runtime| describe(&runtime))
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
    match Runtime::locate(&settings.runtime_dir)? {
        Some(runtime) => Ok(runtime),
        None => install(settings, Packages::Base, None, shows_progress),
    }
}

fn install(
    settings: &Settings,
    packages: Packages,
    wheelhouse: Option<PathBuf>,
    shows_progress: bool,
) -> Result<Runtime, RuntimeError> {
    let folder = &settings.runtime_dir;
    let options = InstallOptions {
        packages,
        wheelhouse,
        search_path: std::env::var_os("PATH").unwrap_or_default(),
    };
    let bar = if shows_progress {
        progress_bar()
    } else {
        ProgressBar::hidden()
    };
    let say = |line: &str| match bar.is_hidden() {
        true if shows_progress => text::note(line),
        _ => bar.println(line),
    };
    let size = match packages {
        Packages::Full => "700 MB",
        _ => "450 MB",
    };
    say(&format!("Installing the Python runtime (about {size}, once)."));
    let installed = Runtime::install(folder, &options, &mut |Progress { phase, done, message }| {
        if phase == Phase::Wait {
            say(&format!("{message} to end"));
        }
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
        RuntimeStatus::Incomplete { reason, command } => {
            text::say(&format!(
                "The runtime in {} cannot be used: {reason}.",
                settings.runtime_dir.display()
            ));
            text::note(&format!("`{command}` mends it."));
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
        "Python {} with the {} packages in {}",
        runtime.version,
        runtime.list,
        runtime.venv.display()
    ));
    for (name, version) in &runtime.packages {
        text::say(&format!("  {name} {version}"));
    }
}
