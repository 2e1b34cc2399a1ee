//! `meterbox runtime`: the Python that programs run under; and having it ready before it is needed.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use meterbox_local_sandbox::runtime::{
    InstallOptions, OldRuntime, Packages, Phase, Progress, Runtime, RuntimeError, RuntimeStatus,
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
    Remove {
        /// Only what is not used any more: of earlier versions, or beside a larger one
        #[arg(long)]
        old: bool,
    },
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
        RuntimeCommand::Remove { old: true } => Runtime::remove_old(folder).map(|old| {
            for old in &old {
                text::say(&match old.in_use {
                    true => format!("{} is in use, and stays.", old.home.display()),
                    false => format!("Removed {} ({}).", old.home.display(), megabytes(old.bytes)),
                });
            }
            if old.is_empty() {
                text::say("There was no old runtime.");
            }
        }),
        RuntimeCommand::Remove { old: false } => Runtime::remove(folder).map(|removed| match removed {
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
            if let Some(old) = old_ones(settings) {
                text::note(&format!("Old runtimes: {old}."));
            }
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

/// How much runtimes take up that are not used any more, and what to do; `None` where there is none.
pub(super) fn old_ones(settings: &Settings) -> Option<String> {
    told(&Runtime::old(&settings.runtime_dir).ok()?)
}

fn told(old: &[OldRuntime]) -> Option<String> {
    let (used, unused): (Vec<_>, Vec<_>) = old.iter().partition(|old| old.in_use);
    let all = |old: &[&OldRuntime]| {
        let bytes = old.iter().map(|old| old.bytes).sum();
        format!("{} of {}", old.len(), megabytes(bytes))
    };
    match (&unused[..], &used[..]) {
        ([], []) => None,
        ([], used) => Some(format!("{}, in use by processes that began earlier", all(used))),
        (unused, _) => {
            let command = "`meterbox runtime remove --old` removes what nobody uses";
            Some(format!("{}; {command}", all(unused)))
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_runtimes_are_told_of_with_what_removes_them() {
        let old = |megabytes: u64, in_use| OldRuntime {
            home: PathBuf::from("/r"),
            bytes: megabytes * 1_000_000,
            in_use,
        };
        assert_eq!(told(&[]), None);
        let used = told(&[old(450, true)]).unwrap();
        assert_eq!(used, "1 of 450 MB, in use by processes that began earlier");
        let some = told(&[old(450, true), old(700, false), old(450, false)]).unwrap();
        assert_eq!(
            some,
            "2 of 1150 MB; `meterbox runtime remove --old` removes what nobody uses"
        );
    }
}
