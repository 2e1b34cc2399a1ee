//! `meterbox.toml` in the data folder: what is too long for a variable. Variables of the environment win over it.
//!
//! ```toml
//! sandbox = "e2b"               # where programs run: see the module `cloud`
//!
//! [prices]
//! book = "prices.toml"          # laid over the shipped prices; beside this file
//!
//! [azure.deployments]
//! our-chat = "gpt-5-mini"
//! our-zone = { model = "gpt-4o", type = "data_zone" }
//!
//! [soft_caps]                   # of the limits in .env, in percent of them
//! warn = 80
//! degrade = 95
//! features_off = 97
//! squeeze = 98
//! squeeze_to = 1
//!
//! [[webhook]]
//! url = "https://example.org/meterbox"
//! secret = "whsec_..."
//! events = ["cap_reached", "stopped", "resumed", "spike"]   # all where left out
//!
//! [model]                       # see the module `model`
//!
//! [e2b]                         # see the module `cloud`
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

use meterbox_budget_engine::SoftCaps;
use meterbox_price_book::{AzureDeployments, BookError, Deployment, PriceBook};
use serde::Deserialize;

use crate::{
    cloud::{CloudError, CloudSettings, WrittenE2b},
    model::{ModelError, ModelSettings, WrittenModel},
    variables::Variables,
    webhooks::{Endpoint, EndpointError},
};

const FILE: &str = "meterbox.toml";
const PRICE_BOOK: &str = "PRICE_BOOK";
const SOFT_CAPS: &str = "SOFT_CAPS";
const WEBHOOK_URL: &str = "WEBHOOK_URL";
const WEBHOOK_SECRET: &str = "WEBHOOK_SECRET";
pub(crate) const LEARNT: &str = "azure-deployments.json";

/// What the file and the environment say, put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// The shipped prices, with one's own laid over them.
    pub(crate) prices: PriceBook,
    /// Which models the Azure deployments are.
    pub(crate) deployments: AzureDeployments,
    /// Of the budgets that settings define.
    pub(crate) soft_caps: SoftCaps,
    /// Who is told of events.
    pub(crate) webhooks: Vec<Endpoint>,
    /// Who writes programs, where it is a model.
    pub(crate) model: Option<ModelSettings>,
    /// Where programs run, where it is a cloud.
    pub(crate) cloud: Option<CloudSettings>,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{path} cannot be read: {source}. Fix: make it readable, or remove it.")]
    File { path: PathBuf, source: io::Error },
    #[error("{path}: {message}")]
    Syntax { path: PathBuf, message: String },
    #[error("{0}. Fix: correct the price book, or unset it in meterbox.toml and {PRICE_BOOK}.")]
    Prices(#[from] BookError),
    #[error("{place} {message}. Fix: set rising percentages, such as {SOFT_CAPS}=80,95,97,98.")]
    SoftCaps { place: String, message: String },
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Cloud(#[from] CloudError),
    #[error("{place}: {source}")]
    Webhook { place: String, source: EndpointError },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    prices: WrittenPrices,
    #[serde(default)]
    azure: WrittenAzure,
    soft_caps: Option<WrittenCaps>,
    #[serde(default)]
    webhook: Vec<WrittenWebhook>,
    #[serde(default)]
    model: WrittenModel,
    sandbox: Option<String>,
    #[serde(default)]
    e2b: WrittenE2b,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPrices {
    book: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAzure {
    #[serde(default)]
    deployments: BTreeMap<String, Deployment>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCaps {
    warn: Option<u8>,
    degrade: Option<u8>,
    features_off: Option<u8>,
    squeeze: Option<u8>,
    squeeze_to: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWebhook {
    url: String,
    secret: String,
    events: Option<Vec<String>>,
}

/// Without the secret.
impl std::fmt::Debug for WrittenWebhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WrittenWebhook")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            prices: PriceBook::shipped(),
            deployments: AzureDeployments::default(),
            soft_caps: SoftCaps::default(),
            webhooks: Vec::new(),
            model: None,
            cloud: None,
        }
    }
}

impl Config {
    /// Reads the file of this data folder, if there is one, and the environment.
    pub(crate) fn load(data_dir: &Path, model: &Variables, cloud: &Variables) -> Result<Self, ConfigError> {
        let named =
            [PRICE_BOOK, SOFT_CAPS, WEBHOOK_URL, WEBHOOK_SECRET].map(|name| (name, std::env::var(name)));
        let set = named
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.ok()?)));
        Self::from_parts(data_dir, &set.collect(), model, cloud)
    }

    fn from_parts(
        data_dir: &Path,
        environment: &HashMap<&str, String>,
        model: &Variables,
        cloud: &Variables,
    ) -> Result<Self, ConfigError> {
        let path = data_dir.join(FILE);
        let written = match fs::read_to_string(&path) {
            Ok(text) => parse(&path, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Written::default(),
            Err(source) => return Err(ConfigError::File { path, source }),
        };
        let set = |name: &str| {
            let value = environment.get(name).map(|value| value.trim());
            value.filter(|value| !value.is_empty())
        };
        let book = match set(PRICE_BOOK) {
            Some(book) => Some(PathBuf::from(book)),
            None => written.prices.book.map(|book| data_dir.join(book)),
        };
        let prices = match book {
            Some(book) => PriceBook::shipped().overridden_by(&PriceBook::open(&book)?),
            None => PriceBook::shipped(),
        };
        let deployments = AzureDeployments::new(written.azure.deployments).recall(&data_dir.join(LEARNT))?;
        let soft_caps = match (set(SOFT_CAPS), written.soft_caps) {
            (Some(text), _) => caps_of_text(text),
            (None, Some(caps)) => caps_of_file(&path, caps),
            (None, None) => Ok(SoftCaps::default()),
        }?;
        let mut webhooks = Vec::new();
        for (number, webhook) in (1..).zip(written.webhook) {
            let endpoint = Endpoint::new(&webhook.url, &webhook.secret, webhook.events);
            webhooks.push(endpoint.map_err(|source| ConfigError::Webhook {
                place: format!("the {number}. webhook of {}", path.display()),
                source,
            })?);
        }
        if let Some(url) = set(WEBHOOK_URL) {
            let endpoint = Endpoint::new(url, set(WEBHOOK_SECRET).unwrap_or_default(), None);
            webhooks.push(endpoint.map_err(|source| ConfigError::Webhook {
                place: format!("{WEBHOOK_URL} and {WEBHOOK_SECRET}"),
                source,
            })?);
        }
        Ok(Self {
            prices,
            deployments,
            soft_caps,
            webhooks,
            model: ModelSettings::read(model, &written.model)?,
            cloud: CloudSettings::read(cloud, written.sandbox.as_deref(), &written.e2b)?,
        })
    }
}

fn parse(path: &Path, text: &str) -> Result<Written, ConfigError> {
    toml::from_str(text).map_err(|error| {
        // The words of the parser, and not the line itself: it may have a secret in it.
        let place = error
            .span()
            .map(|span| text.get(..span.start).unwrap_or_default().lines().count());
        let line = place
            .map(|lines| format!("line {}: ", lines.max(1)))
            .unwrap_or_default();
        ConfigError::Syntax {
            path: path.to_owned(),
            message: format!("{line}{}", error.message()),
        }
    })
}

fn caps_of_file(path: &Path, written: WrittenCaps) -> Result<SoftCaps, ConfigError> {
    let default = SoftCaps::default();
    let degrade = written.degrade.unwrap_or(default.degrade_percent);
    let mut caps = SoftCaps::new(written.warn.unwrap_or(default.warn_percent), degrade);
    caps.features_off_percent = written.features_off.unwrap_or(caps.features_off_percent);
    let least = caps.squeeze_percent.max(caps.features_off_percent);
    caps.squeeze_percent = written.squeeze.unwrap_or(least);
    caps.squeeze_to = written.squeeze_to.unwrap_or(caps.squeeze_to);
    checked(caps, &format!("soft_caps of {}", path.display()))
}

/// `80,95,97,98`; the last ones may be left out.
fn caps_of_text(text: &str) -> Result<SoftCaps, ConfigError> {
    let wrong = |_| ConfigError::SoftCaps {
        place: SOFT_CAPS.to_owned(),
        message: format!(
            "is {:?}, which are no percentages",
            text.chars().take(40).collect::<String>()
        ),
    };
    let percents: Vec<u8> = text
        .split(',')
        .map(|percent| percent.trim().parse())
        .collect::<Result<_, _>>()
        .map_err(wrong)?;
    let caps = match percents.as_slice() {
        [warn] => SoftCaps::new(*warn, SoftCaps::default().degrade_percent.max(*warn)),
        [warn, degrade, rest @ ..] if rest.len() <= 2 => {
            let mut caps = SoftCaps::new(*warn, *degrade);
            caps.features_off_percent = *rest.first().unwrap_or(&caps.features_off_percent);
            let least = caps.squeeze_percent.max(caps.features_off_percent);
            caps.squeeze_percent = *rest.get(1).unwrap_or(&least);
            caps
        }
        _ => {
            return Err(ConfigError::SoftCaps {
                place: SOFT_CAPS.to_owned(),
                message: format!("has {} percentages, and there are four", percents.len()),
            });
        }
    };
    checked(caps, SOFT_CAPS)
}

fn checked(caps: SoftCaps, place: &str) -> Result<SoftCaps, ConfigError> {
    caps.check().map_err(|error| ConfigError::SoftCaps {
        place: place.to_owned(),
        message: format!("cannot be: {error}"),
    })?;
    Ok(caps)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn load(text: &str, environment: &[(&'static str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), text).unwrap();
        let prices =
            "models = [{ model = 'openai/gpt-5-mini', prices = [{ rates = [{ input = 1, output = 2 }] }] }]";
        fs::write(folder.path().join("own.toml"), prices).unwrap();
        let set = environment
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        Config::from_parts(
            folder.path(),
            &set.collect(),
            &Variables::default(),
            &Variables::default(),
        )
    }

    #[test]
    fn without_a_file_all_is_as_shipped() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::from_parts(
            folder.path(),
            &HashMap::new(),
            &Variables::default(),
            &Variables::default(),
        )
        .unwrap();
        assert_eq!(config, Config::default());
    }

    #[test]
    fn the_file_is_read_and_the_environment_wins() {
        let text = format!(
            "[prices]\nbook = 'own.toml'\n[azure.deployments]\nours = 'gpt-4o'\n[soft_caps]\nwarn = 50\ndegrade = 99\n
             [[webhook]]\nurl = 'https://example.org/x'\nsecret = '{SECRET}'\nevents = ['spike']"
        );
        let config = load(&text, &[]).unwrap();
        assert!(config.prices.name().ends_with("own.toml"));
        assert_ne!(config.prices, PriceBook::shipped());
        assert_eq!(config.soft_caps, SoftCaps::new(50, 99));
        assert_eq!(config.webhooks.len(), 1);
        let config = load(
            &text,
            &[
                (SOFT_CAPS, "60, 70,80"),
                (WEBHOOK_URL, "http://127.0.0.1:1/"),
                (WEBHOOK_SECRET, SECRET),
            ],
        )
        .unwrap();
        assert_eq!(
            (config.soft_caps.warn_percent, config.soft_caps.squeeze_percent),
            (60, 98)
        );
        assert_eq!(config.soft_caps.features_off_percent, 80);
        assert_eq!(config.webhooks.len(), 2);
        assert!(!format!("{config:?}").contains("MfKQ9r8"), "{config:?}");
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_shown() {
        for (text, environment, said) in [
            ("[soft_cap]\nwarn = 1", vec![], "line 1: unknown field `soft_cap`"),
            ("[soft_caps]\nwarn = 96\ndegrade = 95", vec![], "rising order"),
            ("[soft_caps]\nwarn = 300", vec![], "line 2"),
            ("", vec![(SOFT_CAPS, "a,b")], "no percentages"),
            ("", vec![(SOFT_CAPS, "1,2,3,4,5")], "5 percentages"),
            (
                "[prices]\nbook = 'missing.toml'",
                vec![],
                "missing.toml cannot be used",
            ),
            (
                "",
                vec![(PRICE_BOOK, "/missing.json")],
                "/missing.json cannot be used",
            ),
            (
                "[[webhook]]\nurl = 'https://e.org'\nsecret = 'hunter2'",
                vec![],
                "the 1. webhook of",
            ),
            (
                "",
                vec![(WEBHOOK_URL, "https://e.org")],
                "WEBHOOK_URL and WEBHOOK_SECRET",
            ),
            (
                "[[webhook]]\nurl = 'https://e.org'\nsecret = whsec_hunter2",
                vec![],
                "line 3",
            ),
        ] {
            let error = load(text, &environment).unwrap_err().to_string();
            assert!(error.contains(said), "{said}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
