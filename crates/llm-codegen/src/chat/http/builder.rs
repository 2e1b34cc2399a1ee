use std::{fmt, sync::Arc};

use meterbox_http_client::Secret;

use super::{
    Api, Effort, HttpModel, InstructionsRole, KeyStyle, OutputCapField, StructuredOutput, TokenSource,
};
#[cfg(doc)]
use crate::chat::ModelCard;

/// A setting of a model cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {problem}")]
pub struct InvalidModelConfig {
    /// Which: `model`, `base_url`, `key`, `api_version`, `api`, `temperature` or `output_cap`.
    pub setting: &'static str,
    /// What is wrong, and the way out. Never shows a key.
    pub problem: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Provider {
    Azure,
    OpenAi,
    Anthropic,
    Compatible,
}

/// A model under construction. What is not set follows from provider and model.
#[derive(Clone)]
pub struct HttpModelBuilder {
    pub(super) http: reqwest::Client,
    pub(super) provider: Provider,
    pub(super) model: String,
    pub(super) base_url: Option<String>,
    pub(super) underlying_model: Option<String>,
    pub(super) billed_as: Option<String>,
    pub(super) api: Option<Api>,
    pub(super) api_version: Option<String>,
    pub(super) deployment_in_path: bool,
    pub(super) may_be_unencrypted: bool,
    pub(super) key: Option<Secret>,
    pub(super) key_style: Option<KeyStyle>,
    pub(super) tokens: Option<Arc<dyn TokenSource>>,
    pub(super) cap_field: Option<OutputCapField>,
    pub(super) structured: Option<StructuredOutput>,
    pub(super) role: Option<InstructionsRole>,
    pub(super) temperature: Option<Option<f64>>,
    pub(super) effort: Option<Effort>,
    pub(super) output_caps: Option<(u64, u64)>,
    pub(super) max_output: Option<u64>,
    pub(super) context_window: Option<u64>,
}

impl HttpModel {
    /// A deployment of Azure OpenAI. `endpoint` is the resource's address; a bare host means https.
    ///
    /// Asked by the v1 paths, with the key in `api-key`, unless set otherwise.
    pub fn azure(
        http: reqwest::Client,
        endpoint: impl Into<String>,
        deployment: impl Into<String>,
    ) -> HttpModelBuilder {
        HttpModelBuilder::new(http, Provider::Azure, deployment.into()).base_url(endpoint)
    }

    /// A model of OpenAI.
    pub fn openai(http: reqwest::Client, model: impl Into<String>) -> HttpModelBuilder {
        HttpModelBuilder::new(http, Provider::OpenAi, model.into())
    }

    /// A model behind a server that has Chat Completions: Ollama, llama.cpp, vLLM, a gateway. The address ends with the
    /// version, such as `http://localhost:11434/v1`.
    pub fn compatible(
        http: reqwest::Client,
        base_url: impl Into<String>,
        model: impl Into<String>,
    ) -> HttpModelBuilder {
        HttpModelBuilder::new(http, Provider::Compatible, model.into()).base_url(base_url)
    }

    /// A model of Anthropic.
    pub fn anthropic(http: reqwest::Client, model: impl Into<String>) -> HttpModelBuilder {
        HttpModelBuilder::new(http, Provider::Anthropic, model.into())
    }
}

impl HttpModelBuilder {
    fn new(http: reqwest::Client, provider: Provider, model: String) -> Self {
        Self {
            http,
            provider,
            model,
            base_url: None,
            underlying_model: None,
            billed_as: None,
            api: None,
            api_version: None,
            deployment_in_path: false,
            may_be_unencrypted: false,
            key: None,
            key_style: None,
            tokens: None,
            cap_field: None,
            structured: None,
            role: None,
            temperature: None,
            effort: None,
            output_caps: None,
            max_output: None,
            context_window: None,
        }
    }

    /// Where the server is, instead of the provider's own address.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// The key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(Secret::new(key));
        self
    }

    /// Where the key is put: in `api-key` for Azure, in `x-api-key` for Anthropic, as a bearer token otherwise.
    #[must_use]
    pub fn key_style(mut self, style: KeyStyle) -> Self {
        self.key_style = Some(style);
        self
    }

    /// Bearer tokens instead of a key, such as Entra ID's. They are asked for within the time of a call.
    #[must_use]
    pub fn token_source(mut self, tokens: Arc<dyn TokenSource>) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Which model it really is, where the name is an alias: of an Azure deployment, or of a gateway. What it can do and
    /// how its tokens are counted follows from this.
    #[must_use]
    pub fn underlying_model(mut self, model: impl Into<String>) -> Self {
        self.underlying_model = Some(model.into());
        self
    }

    /// Whose prices count, instead of the provider's: [`ModelCard::provider`].
    #[must_use]
    pub fn billed_as(mut self, provider: impl Into<String>) -> Self {
        self.billed_as = Some(provider.into());
        self
    }

    /// By which API the server is asked: Responses for models of OpenAI that have no other, Messages for Anthropic,
    /// Chat Completions otherwise.
    #[must_use]
    pub fn api(mut self, api: Api) -> Self {
        self.api = Some(api);
        self
    }

    /// The `api-version` of Azure's query.
    #[must_use]
    pub fn api_version(mut self, version: impl Into<String>) -> Self {
        self.api_version = Some(version.into());
        self
    }

    /// Puts the deployment into the path, as Azure had it before v1. Needs an [`api_version`](Self::api_version).
    #[must_use]
    pub fn deployment_in_path(mut self, is_there: bool) -> Self {
        self.deployment_in_path = is_there;
        self
    }

    /// Lets a key and what is asked travel over a network unencrypted. Otherwise http is for this machine only.
    #[must_use]
    pub fn allow_unencrypted(mut self, is_allowed: bool) -> Self {
        self.may_be_unencrypted = is_allowed;
        self
    }

    /// The name of the output cap in Chat Completions.
    #[must_use]
    pub fn output_cap_field(mut self, field: OutputCapField) -> Self {
        self.cap_field = Some(field);
        self
    }

    /// How a reply's form is asked for.
    #[must_use]
    pub fn structured_output(mut self, structured: StructuredOutput) -> Self {
        self.structured = Some(structured);
        self
    }

    /// Who speaks the instructions in Chat Completions.
    #[must_use]
    pub fn instructions_role(mut self, role: InstructionsRole) -> Self {
        self.role = Some(role);
        self
    }

    /// The temperature, from 0 to 2; `None` leaves it to the server. It is 0 unless the model takes none.
    #[must_use]
    pub fn temperature(mut self, temperature: Option<f64>) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// How much the model reasons; left to the server otherwise.
    #[must_use]
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = Some(effort);
        self
    }

    /// The smallest output cap worth a call and the one that is asked for where money allows, in tokens.
    #[must_use]
    pub fn output_caps(mut self, least: u64, most: u64) -> Self {
        self.output_caps = Some((least, most));
        self
    }

    /// The output cap that is asked for where money allows, in tokens; the least stays what fits the model.
    #[must_use]
    pub fn max_output(mut self, tokens: u64) -> Self {
        self.max_output = Some(tokens);
        self
    }

    /// Input and output together, in tokens.
    #[must_use]
    pub fn context_window(mut self, tokens: u64) -> Self {
        self.context_window = Some(tokens);
        self
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Azure => "azure",
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Compatible => "compatible",
        })
    }
}

/// Without the address, in which people put keys.
impl fmt::Debug for HttpModelBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpModelBuilder")
            .field("provider", &self.provider)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}
