//! Which language model writes programs, if any: from the environment, `.env` files, and `[model]` in `meterbox.toml`.
//!
//! ```toml
//! [model]
//! provider = "azure"            # azure, openai, anthropic, compatible, or none; needed only where several keys are set
//! model = "our-chat"            # the model; of Azure, the deployment
//! base_url = "https://our-resource.openai.azure.com"   # without a key of Azure or Anthropic: a server like OpenAI's
//! api = "responses"             # chat, responses or messages; what fits the model where left out
//! api_version = "2024-10-21"    # of Azure's older paths and of gateways
//! deployment_in_path = true     # likewise
//! key_style = "bearer"          # api-key, bearer or x-api-key
//! underlying_model = "gpt-5-mini"
//! effort = "low"
//! max_output = 8000
//! context_window = 128000
//! priced_like = "openai/gpt-5"  # what a model that the price book does not have costs
//! cheaper = "gpt-5-nano"        # a model of the same provider, for budgets past their soft cap
//! router = "proven"             # off, proven, always: when an answer of the rules is enough
//! ```
//!
//! Keys are in the environment or in `.env` files alone.

mod words;

use std::sync::Arc;

use meterbox_analysis::ModelPrices;
use meterbox_core::{Clock, SystemClock};
use meterbox_llm_codegen::{
    CodeGenerator,
    chat::{
        ChatModel, ModelCard,
        http::{Api, Effort, HttpModel, HttpModelBuilder, KeyStyle, Secret, http_client},
    },
    model::{Cached, ModelGenerator, ProgramCache, Router, Trust},
};
use meterbox_price_book::PriceError;
use serde::Deserialize;

use self::words::{api, chosen, cut, effort, key_style, trust};
use crate::variables::Variables;

const PROVIDER: &str = "MODEL_PROVIDER";
const ROUTER: &str = "MODEL_ROUTER";
const PRICED_LIKE: &str = "MODEL_PRICED_LIKE";
const CHEAPER: &str = "MODEL_CHEAPER";
const AZURE_VERSION: &str = "AZURE_OPENAI_API_VERSION";

/// The variables that say which model. What `.env` files may set.
pub(crate) const VARIABLES: [&str; 14] = [
    PROVIDER,
    ROUTER,
    PRICED_LIKE,
    CHEAPER,
    AZURE.key,
    AZURE.address,
    AZURE.model,
    AZURE_VERSION,
    OPENAI.key,
    OPENAI.address,
    OPENAI.model,
    ANTHROPIC.key,
    ANTHROPIC.address,
    ANTHROPIC.model,
];

/// A provider's variables.
#[derive(Debug, Clone, Copy)]
struct Names {
    key: &'static str,
    address: &'static str,
    model: &'static str,
}

const AZURE: Names = Names {
    key: "AZURE_OPENAI_API_KEY",
    address: "AZURE_OPENAI_ENDPOINT",
    model: "AZURE_OPENAI_DEPLOYMENT_NAME",
};
const OPENAI: Names = Names {
    key: "OPENAI_API_KEY",
    address: "OPENAI_BASE_URL",
    model: "OPENAI_MODEL",
};
const ANTHROPIC: Names = Names {
    key: "ANTHROPIC_API_KEY",
    address: "ANTHROPIC_BASE_URL",
    model: "ANTHROPIC_MODEL",
};

/// `[model]` of `meterbox.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenModel {
    provider: Option<String>,
    model: Option<String>,
    base_url: Option<String>,
    api: Option<String>,
    api_version: Option<String>,
    #[serde(default)]
    deployment_in_path: bool,
    key_style: Option<String>,
    underlying_model: Option<String>,
    effort: Option<String>,
    max_output: Option<u64>,
    context_window: Option<u64>,
    priced_like: Option<String>,
    router: Option<String>,
    cheaper: Option<String>,
}

/// The model that is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelSettings {
    provider: Provider,
    model: String,
    address: Option<String>,
    key: Option<Secret>,
    api: Option<Api>,
    api_version: Option<String>,
    deployment_in_path: bool,
    key_style: Option<KeyStyle>,
    underlying_model: Option<String>,
    effort: Option<Effort>,
    max_output: Option<u64>,
    context_window: Option<u64>,
    priced_like: Option<String>,
    trust: Trust,
    cheaper: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider {
    Azure,
    OpenAi,
    Anthropic,
    Compatible,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    #[error("{name} is {value:?}, which is none of {known}. Fix: set one of these.")]
    Unknown {
        name: &'static str,
        value: String,
        known: &'static str,
    },
    #[error(
        "{0} and {1} are both set, and one model is asked. Fix: set {PROVIDER} to the one that is meant, or unset the other."
    )]
    Several(&'static str, &'static str),
    #[error("{missing} is not set, and {because}. Fix: set {missing}.")]
    Missing { missing: &'static str, because: String },
    #[error(
        "{address} comes from an .env file and {key} from the environment, and a file must not choose who is sent \
         the environment's key. Fix: set both in the same place."
    )]
    Mixed {
        key: &'static str,
        address: &'static str,
    },
    #[error("the model's {setting} {problem}. Fix: see `model` in .env.example and meterbox.toml.")]
    Invalid { setting: &'static str, problem: String },
    #[error("{0}. Fix: set {PRICED_LIKE}=openai/gpt-5 or the like, or add the model to your price book.")]
    Price(#[from] PriceError),
    #[error("no connection of the model's can be made: {0}. Fix: check the certificates of this machine.")]
    Client(String),
}

impl ModelSettings {
    /// The model that these name; `None` where they name none.
    ///
    /// # Errors
    /// [`ModelError`] says which setting is wrong and what to do.
    pub(crate) fn read(variables: &Variables, written: &WrittenModel) -> Result<Option<Self>, ModelError> {
        let Some(provider) = provider(variables, written)? else {
            return Ok(None);
        };
        let names = provider.names();
        let address = written
            .base_url
            .as_deref()
            .or_else(|| variables.value(names.address));
        let key = variables.value(names.key);
        let from_file = |name| variables.is_from_file(name);
        let is_mixed = written.base_url.is_none() && from_file(names.address) && !from_file(names.key);
        if is_mixed && key.is_some() {
            return Err(ModelError::Mixed {
                key: names.key,
                address: names.address,
            });
        }
        let model = written.model.as_deref().or_else(|| variables.value(names.model));
        let model = model.ok_or_else(|| ModelError::Missing {
            missing: names.model,
            because: format!("nobody knows which model of {} is meant", provider.name()),
        })?;
        if key.is_none() && provider != Provider::Compatible {
            return Err(ModelError::Missing {
                missing: names.key,
                because: format!("{} asks for a key", provider.name()),
            });
        }
        if address.is_none() && matches!(provider, Provider::Azure | Provider::Compatible) {
            return Err(ModelError::Missing {
                missing: names.address,
                because: "nobody knows where the model is".to_owned(),
            });
        }
        let priced_like = variables.value(PRICED_LIKE).or(written.priced_like.as_deref());
        let router = variables.value(ROUTER).or(written.router.as_deref());
        let version = variables.value(AZURE_VERSION).or(written.api_version.as_deref());
        Ok(Some(Self {
            provider,
            model: model.to_owned(),
            address: address.map(str::to_owned),
            key: key.map(Secret::new),
            api: chosen("api", written.api.as_deref(), "chat, responses, messages", api)?,
            api_version: version.filter(|_| provider == Provider::Azure).map(str::to_owned),
            // Who names a version by the variable has the paths that go with it.
            deployment_in_path: written.deployment_in_path || variables.value(AZURE_VERSION).is_some(),
            key_style: chosen(
                "key_style",
                written.key_style.as_deref(),
                "api-key, bearer, x-api-key",
                key_style,
            )?,
            underlying_model: written.underlying_model.clone(),
            effort: chosen(
                "effort",
                written.effort.as_deref(),
                "none, minimal, low, medium, high, xhigh, max",
                effort,
            )?,
            max_output: written.max_output,
            context_window: written.context_window,
            priced_like: priced_like.map(str::to_owned),
            cheaper: variables
                .value(CHEAPER)
                .or(written.cheaper.as_deref())
                .map(str::to_owned),
            trust: chosen(ROUTER, router, "off, proven, always", trust)?.unwrap_or_default(),
        }))
    }

    /// The same for the model that is asked past a soft cap, where one is named. What was said of the first model alone
    /// does not hold for it.
    pub(crate) fn cheaper(&self) -> Option<Self> {
        Some(Self {
            model: self.cheaper.clone()?,
            cheaper: None,
            underlying_model: None,
            api: None,
            effort: None,
            max_output: None,
            context_window: None,
            ..self.clone()
        })
    }

    /// The model, ready to be asked.
    ///
    /// # Errors
    /// [`ModelError`] for settings that do not go together.
    pub(crate) fn model(&self) -> Result<HttpModel, ModelError> {
        let http = http_client().map_err(|error| ModelError::Client(error.to_string()))?;
        let address = self.address.clone().unwrap_or_default();
        let mut builder = match self.provider {
            Provider::Azure => HttpModel::azure(http, address, &self.model),
            Provider::OpenAi => HttpModel::openai(http, &self.model),
            Provider::Anthropic => HttpModel::anthropic(http, &self.model),
            Provider::Compatible => HttpModel::compatible(http, address, &self.model),
        };
        if let Some(key) = &self.key {
            builder = builder.key(key.expose());
        }
        self.with_the_rest(builder)
            .build()
            .map_err(|error| ModelError::Invalid {
                setting: error.setting,
                problem: error.problem,
            })
    }

    fn with_the_rest(&self, mut builder: HttpModelBuilder) -> HttpModelBuilder {
        if let (Some(address), Provider::Anthropic) = (&self.address, self.provider) {
            builder = builder.base_url(address);
        }
        if let Some(api) = self.api {
            builder = builder.api(api);
        }
        if let Some(version) = &self.api_version {
            builder = builder.api_version(version);
        }
        if self.deployment_in_path && self.provider == Provider::Azure {
            builder = builder.deployment_in_path(true);
        }
        if let Some(style) = self.key_style {
            builder = builder.key_style(style);
        }
        if let Some(model) = &self.underlying_model {
            builder = builder.underlying_model(model);
        }
        if let Some(effort) = self.effort {
            builder = builder.effort(effort);
        }
        if let Some(most) = self.max_output {
            builder = builder.max_output(most);
        }
        if let Some(tokens) = self.context_window {
            builder = builder.context_window(tokens);
        }
        builder
    }

    /// What writes programs with this model: rules first where they are proven, then programs that answered before.
    pub(crate) fn generator(
        &self,
        model: HttpModel,
        programs: Arc<dyn ProgramCache>,
    ) -> Arc<dyn CodeGenerator> {
        let name = format!("{} {}", model.card().server, model.card().model);
        let written = ModelGenerator::new(Arc::new(model));
        let kept = Cached::new(written, name, programs);
        Arc::new(Router::new(kept).trust(self.trust))
    }

    /// These prices, and what a model costs that the book does not have.
    ///
    /// # Errors
    /// [`ModelError::Price`] where there is no price for this model.
    pub(crate) fn priced(&self, prices: ModelPrices, card: &ModelCard) -> Result<ModelPrices, ModelError> {
        let prices = match &self.priced_like {
            Some(like) => prices.unknown_like(like),
            None => prices,
        };
        prices.check(card, SystemClock::default().now())?;
        Ok(prices)
    }
}

impl Provider {
    fn names(self) -> Names {
        match self {
            Self::Azure => AZURE,
            Self::OpenAi | Self::Compatible => OPENAI,
            Self::Anthropic => ANTHROPIC,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Azure => "Azure OpenAI",
            Self::OpenAi => "OpenAI",
            Self::Anthropic => "Anthropic",
            Self::Compatible => "the server",
        }
    }
}

/// The provider that is named, or the one that has a key or an address.
fn provider(variables: &Variables, written: &WrittenModel) -> Result<Option<Provider>, ModelError> {
    // An address of one's own is a server that is like OpenAI's.
    let has_address = variables.value(OPENAI.address).is_some();
    let openai = if has_address || written.base_url.is_some() {
        Provider::Compatible
    } else {
        Provider::OpenAi
    };
    let named = variables.value(PROVIDER).or(written.provider.as_deref());
    if let Some(named) = named {
        return match named {
            "azure" => Ok(Some(Provider::Azure)),
            "openai" => Ok(Some(openai)),
            "anthropic" => Ok(Some(Provider::Anthropic)),
            "compatible" => Ok(Some(Provider::Compatible)),
            "none" => Ok(None),
            other => Err(ModelError::Unknown {
                name: PROVIDER,
                value: cut(other),
                known: "azure, openai, anthropic, compatible, none",
            }),
        };
    }
    let openai_name = if has_address { OPENAI.address } else { OPENAI.key };
    let candidates = [
        (Provider::Azure, AZURE.key),
        (openai, openai_name),
        (Provider::Anthropic, ANTHROPIC.key),
    ];
    let mut set = candidates
        .into_iter()
        .filter(|(_, name)| variables.value(name).is_some());
    match (set.next(), set.next()) {
        (Some((_, first)), Some((_, second))) => Err(ModelError::Several(first, second)),
        (Some((provider, _)), None) => Ok(Some(provider)),
        // A server that wants no key.
        (None, _) => Ok(written.base_url.is_some().then_some(Provider::Compatible)),
    }
}

#[cfg(test)]
mod tests;
