//! `meterbox doctor --online`: what each configured service says when it is asked. One check a service.

use std::{future::Future, pin::Pin, time::Duration};

use meterbox_llm_codegen::chat::{ChatModel, http::Listing};
use meterbox_results_store::ResultsStore;
use tokio::time::timeout;

use crate::{results::Results, settings::Settings};

/// More than any service needs that works.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a look at a service came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// It works; in which way.
    Well(String),
    /// It does not.
    Ill { found: String, fix: String },
}

/// A look at one service.
pub(super) struct Check {
    pub(super) name: &'static str,
    look: Pin<Box<dyn Future<Output = Finding> + Send>>,
}

impl Check {
    fn new(name: &'static str, look: impl Future<Output = Finding> + Send + 'static) -> Self {
        Self {
            name,
            look: Box::pin(look),
        }
    }

    /// Looks, for twenty seconds at most.
    pub(super) async fn finding(self) -> Finding {
        timeout(PATIENCE, self.look)
            .await
            .unwrap_or_else(|_| Finding::Ill {
                found: format!("no answer within {} s", PATIENCE.as_secs()),
                fix: "check the address, and that this machine may reach it".to_owned(),
            })
    }
}

/// The checks of the services that are configured.
pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    [
        model(settings),
        sandbox(settings),
        results(settings),
        traces(settings),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The model, by its provider's list of models: nothing is generated, and nothing paid.
fn model(settings: &Settings) -> Option<Check> {
    let wanted = settings.config.model.clone()?;
    Some(Check::new("model", async move {
        let fix = "set the provider's key and address anew; see .env.example".to_owned();
        let model = match wanted.model() {
            Ok(model) => model,
            Err(error) => {
                let found = error.to_string();
                return Finding::Ill { found, fix };
            }
        };
        let card = model.card().clone();
        let name = format!("{} at {}", card.model, card.server);
        match model.look_up(PATIENCE).await {
            Ok(Listing::Listed) => Finding::Well(format!("{name} is there")),
            // A deployment or a gateway's name need not be on a list.
            Ok(Listing::NotListed) => Finding::Well(format!("{name}: the key works; the name is on no list")),
            Err(error) => Finding::Ill {
                found: format!("{name}: {error}"),
                fix,
            },
        }
    }))
}

/// The cloud sandbox, by its list of machines.
fn sandbox(settings: &Settings) -> Option<Check> {
    let cloud = settings.config.cloud.clone()?;
    Some(Check::new("sandbox", async move {
        match cloud.check().await {
            Ok(found) => Finding::Well(found),
            Err((found, fix)) => Finding::Ill { found, fix },
        }
    }))
}

/// Where results are kept, if that is not the data folder.
fn results(settings: &Settings) -> Option<Check> {
    const NAME: &str = "results";
    let fix = "check the settings SUPABASE_… or DATABASE_URL".to_owned();
    let place = settings.results.to_string();
    let store = match Results::elsewhere(&settings.results) {
        Ok(store) => store?,
        Err(error) => {
            let found = error.to_string();
            return Some(Check::new(NAME, async { Finding::Ill { found, fix } }));
        }
    };
    Some(Check::new(NAME, async move {
        match store.check().await {
            Ok(()) => Finding::Well(place),
            Err(error) => Finding::Ill {
                found: error.to_string(),
                fix,
            },
        }
    }))
}

/// Where traces go.
fn traces(settings: &Settings) -> Option<Check> {
    let wanted = settings.telemetry.clone()?;
    Some(Check::new("traces", async move {
        match wanted.check().await {
            Ok(()) => Finding::Well(wanted.to_string()),
            Err((found, fix)) => Finding::Ill { found, fix },
        }
    }))
}
