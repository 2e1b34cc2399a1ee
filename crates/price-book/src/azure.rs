use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, TryLockError},
    io,
    path::Path,
    thread,
    time::Duration,
};

use meterbox_core::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{BookError, ModelPrice, PriceBook, PriceError, Terms};

const PROVIDER: &str = "azure/";
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Which model an Azure deployment is. A deployment's name says nothing, so it is an alias: configured, or learnt from
/// a reply and remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AzureDeployments {
    configured: BTreeMap<String, Deployment>,
    learnt: BTreeMap<String, String>,
    /// The names of those that this process learnt by itself: of the others another process may know better by now.
    news: BTreeSet<String>,
}

/// What is configured of a deployment: `"gpt-5-mini"`, or `{ model = "gpt-5-mini", type = "data_zone" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Configured")]
pub struct Deployment {
    /// The model, without provider.
    pub model: String,
    /// `global`, `data_zone`, `data_zone_apac` or `regional`; `None` for global.
    pub r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Configured {
    Model(String),
    Whole {
        model: String,
        #[serde(default)]
        r#type: Option<String>,
    },
}

/// How a deployment's price is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Known {
    /// Somebody wrote down which model it is.
    Configured,
    /// A reply said which model it is.
    Learnt,
    /// Nobody knows yet: the dearest Azure price counts.
    Unmapped,
}

impl AzureDeployments {
    /// These deployments, and nothing learnt yet.
    pub fn new(configured: BTreeMap<String, Deployment>) -> Self {
        Self {
            configured,
            ..Self::default()
        }
    }

    /// The price of calls to this deployment at this moment, and the terms they are priced on. One that is neither
    /// configured nor learnt costs the dearest Azure price.
    ///
    /// # Errors
    /// [`PriceError`], also where the configured model is not in the book.
    pub fn price(
        &self,
        book: &PriceBook,
        deployment: &str,
        at: Timestamp,
    ) -> Result<(ModelPrice, Terms, Known), PriceError> {
        let mut terms = Terms::default();
        let known = self.known(deployment);
        if let Some(configured) = self.configured.get(deployment) {
            terms.deployment.clone_from(&configured.r#type);
        }
        let price = match self.model(deployment) {
            Some(model) => book.model(&[PROVIDER, model].concat(), at),
            None => book.dearest(PROVIDER, at),
        };
        match price {
            Ok(price) => Ok((price, terms, known)),
            // What a reply calls a model need not be in the book.
            Err(PriceError::UnknownModel { .. }) if known == Known::Learnt => {
                Ok((book.dearest(PROVIDER, at)?, terms, Known::Unmapped))
            }
            Err(error) => Err(error),
        }
    }

    /// The deployments that are configured or were learnt, by name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let learnt = self
            .learnt
            .keys()
            .filter(|name| !self.configured.contains_key(*name));
        self.configured.keys().chain(learnt).map(String::as_str)
    }

    /// How this deployment's price is known.
    pub fn known(&self, deployment: &str) -> Known {
        if self.configured.contains_key(deployment) {
            Known::Configured
        } else if self.learnt.contains_key(deployment) {
            Known::Learnt
        } else {
            Known::Unmapped
        }
    }

    /// Remembers which model a reply of this deployment named; true where that is news. What is configured stays.
    pub fn learn(&mut self, deployment: &str, model: &str) -> bool {
        let is_plain =
            |text: &str| !text.is_empty() && text.len() <= 160 && !text.chars().any(char::is_control);
        if !is_plain(deployment) || !is_plain(model) || self.configured.contains_key(deployment) {
            return false;
        }
        let before = self.learnt.insert(deployment.to_owned(), model.to_owned());
        let is_news = before.as_deref() != Some(model);
        if is_news {
            self.news.insert(deployment.to_owned());
        }
        is_news
    }

    fn model(&self, deployment: &str) -> Option<&str> {
        let configured = self.configured.get(deployment).map(|known| known.model.as_str());
        configured.or_else(|| self.learnt.get(deployment).map(String::as_str))
    }

    /// Adds what an earlier process learnt and [kept](Self::keep) in this file, if there is one. Blocks.
    ///
    /// # Errors
    /// [`BookError`] where the file cannot be read, or is not such a file.
    pub fn recall(mut self, path: &Path) -> Result<Self, BookError> {
        self.learnt = learnt_in(path)?;
        Ok(self)
    }

    /// Adds what this process learnt to this file, which other processes may do as well; whole, or not at all. Blocks.
    /// Beside the file there will be one that ends in `.lock`.
    ///
    /// # Errors
    /// [`BookError::File`].
    pub fn keep(&self, path: &Path) -> Result<(), BookError> {
        let failed = |error| file(path, error);
        let lock = File::create(path.with_extension("lock")).map_err(failed)?;
        take(&lock).map_err(failed)?;
        let mut learnt = match learnt_in(path) {
            Ok(learnt) => learnt,
            // One that is damaged is begun anew.
            Err(BookError::Syntax { .. }) => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        let news = self.learnt.iter().filter(|(name, _)| self.news.contains(*name));
        learnt.extend(news.map(|(name, model)| (name.clone(), model.clone())));
        let json = serde_json::to_string_pretty(&learnt).map_err(|error| failed(error.into()))?;
        let beside = path.with_extension("new");
        fs::write(&beside, json)
            .and_then(|()| fs::rename(&beside, path))
            .map_err(failed)
    }
}

/// Whoever has it takes milliseconds, and one that is stopped meanwhile is not waited for.
fn take(lock: &File) -> io::Result<()> {
    for _ in 0..LOCK_ATTEMPTS {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::WouldBlock,
        "another process has it locked",
    ))
}

fn learnt_in(path: &Path) -> Result<BTreeMap<String, String>, BookError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(file(path, error)),
    };
    serde_json::from_str(&text).map_err(|error| BookError::Syntax {
        place: path.display().to_string(),
        message: format!("{error}; remove the file to forget what was learnt"),
    })
}

impl From<Configured> for Deployment {
    fn from(configured: Configured) -> Self {
        match configured {
            Configured::Model(model) => Self { model, r#type: None },
            Configured::Whole { model, r#type } => Self { model, r#type },
        }
    }
}

fn file(path: &Path, source: io::Error) -> BookError {
    BookError::File {
        path: path.to_owned(),
        source,
    }
}
