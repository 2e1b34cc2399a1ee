//! What is administered: the data folder, or a server that has one.

use std::sync::Arc;

use clap::Args;
use meterbox_core::{Clock, SystemClock};

use super::text;
use crate::{
    administration::{AdminError, Administration, Local, Remote, at_the_machine},
    settings::Settings,
    wiring::{Meterbox, StartError},
};

/// Where to administer.
#[derive(Debug, Clone, Args)]
pub(super) struct TargetArgs {
    /// Administer the server at this address instead of the data folder
    #[arg(long, global = true, env = "METERBOX_SERVER", value_name = "URL")]
    server: Option<String>,

    /// The API key that opens the server; better kept in METERBOX_KEY, since others on this machine see arguments
    #[arg(
        long,
        global = true,
        env = "METERBOX_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    key: Option<String>,
}

/// Why nothing can be administered.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTarget {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl TargetArgs {
    /// The server, or else the data folder.
    pub(super) async fn open(&self, settings: &Settings) -> Result<Box<dyn Administration>, NoTarget> {
        let Some(server) = self.server() else {
            return Ok(Box::new(open_folder(settings).await?));
        };
        let key = self.key.clone().filter(|key| !key.trim().is_empty());
        let remote = Remote::new(server, key).map_err(AdminError::from)?;
        if remote.is_in_the_clear() {
            text::note("The key goes to this server unencrypted; use https beyond networks you trust.");
        }
        Ok(Box::new(remote))
    }

    fn server(&self) -> Option<&str> {
        self.server
            .as_deref()
            .map(str::trim)
            .filter(|server| !server.is_empty())
    }
}

/// The data folder, in the hands of whoever sits at the machine.
pub(super) async fn open_folder(settings: &Settings) -> Result<Local, StartError> {
    let engine = Meterbox::open_ledger(settings).await?;
    let access = Meterbox::open_access(settings)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let prices = settings.config.prices.clone();
    Ok(Local::new(engine, access, prices, clock, at_the_machine()))
}
