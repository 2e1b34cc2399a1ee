use std::{fmt, sync::Arc};

use meterbox_http_client::{Secret, is_on_this_machine, server_of};

use super::{
    Api, Effort, HttpModel, InstructionsRole, KeyStyle, OutputCapField, StructuredOutput, TokenSource,
    address::{Place, endpoint},
    capabilities::Capabilities,
    credentials::Credentials,
    family::{Family, family},
    model::Parts,
};
use crate::chat::{ModelCard, ProgramFormat};

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
    http: reqwest::Client,
    provider: Provider,
    model: String,
    base_url: Option<String>,
    underlying_model: Option<String>,
    billed_as: Option<String>,
    api: Option<Api>,
    api_version: Option<String>,
    deployment_in_path: bool,
    may_be_unencrypted: bool,
    key: Option<Secret>,
    key_style: Option<KeyStyle>,
    tokens: Option<Arc<dyn TokenSource>>,
    cap_field: Option<OutputCapField>,
    structured: Option<StructuredOutput>,
    role: Option<InstructionsRole>,
    temperature: Option<Option<f64>>,
    effort: Option<Effort>,
    output_caps: Option<(u64, u64)>,
    context_window: Option<u64>,
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

    /// Input and output together, in tokens.
    #[must_use]
    pub fn context_window(mut self, tokens: u64) -> Self {
        self.context_window = Some(tokens);
        self
    }

    /// The model.
    ///
    /// # Errors
    /// [`InvalidModelConfig`] names the setting, and never shows a key.
    pub fn build(self) -> Result<HttpModel, InvalidModelConfig> {
        let known_as = self.underlying_model.as_deref().unwrap_or(&self.model).to_owned();
        let family = family(&known_as);
        self.check_names()?;
        let api = self.chosen_api(family)?;
        let capabilities = self.capabilities(family)?;
        let deployment = self.deployment_in_path.then_some(self.model.as_str());
        let url = endpoint(Place {
            provider: self.provider,
            api,
            base_url: self.base_url.as_deref(),
            deployment,
            api_version: self.api_version.as_deref(),
            may_be_unencrypted: self.may_be_unencrypted,
        })
        .map_err(|problem| invalid("base_url", problem.to_string()))?;
        let (least, most) = self.chosen_output_caps(family)?;
        let card = ModelCard {
            provider: self
                .billed_as
                .clone()
                .unwrap_or_else(|| self.provider.to_string()),
            model: self.model.clone(),
            server: server_of(&url),
            is_loopback: is_on_this_machine(&url),
            program_format: ProgramFormat::Fenced,
            min_output_cap: least,
            max_output_cap: most,
            context_window: self.context_window.or_else(|| family?.context_window),
        };
        Ok(HttpModel::new(Parts {
            credentials: self.credentials()?,
            http: self.http,
            provider: self.provider,
            api,
            url,
            known_as,
            capabilities,
            card,
        }))
    }

    fn check_names(&self) -> Result<(), InvalidModelConfig> {
        for name in [Some(&self.model), self.underlying_model.as_ref()]
            .into_iter()
            .flatten()
        {
            let is_good = !name.trim().is_empty() && name.len() <= 200 && !name.chars().any(char::is_control);
            if !is_good || matches!(name.as_str(), "." | "..") {
                return Err(invalid(
                    "model",
                    "is empty, too long, or has characters that no name has",
                ));
            }
        }
        let is_version = |version: &String| {
            !version.is_empty()
                && version
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        };
        if !self.api_version.as_ref().is_none_or(is_version) {
            return Err(invalid("api_version", "is none; write it like 2024-10-21"));
        }
        if self.deployment_in_path && self.api_version.is_none() {
            return Err(invalid(
                "api_version",
                "is missing, and paths with a deployment need one; write it like 2024-10-21",
            ));
        }
        if self.deployment_in_path && self.provider != Provider::Azure {
            return Err(invalid(
                "base_url",
                "is not Azure's, and only Azure has the deployment in the path",
            ));
        }
        Ok(())
    }

    fn chosen_api(&self, family: Option<Family>) -> Result<Api, InvalidModelConfig> {
        let needs_responses = family.is_some_and(|family| family.needs_responses);
        let chosen = self.api.unwrap_or(match self.provider {
            Provider::Anthropic => Api::Messages,
            Provider::Azure | Provider::OpenAi if needs_responses => Api::Responses,
            _ => Api::ChatCompletions,
        });
        if chosen == Api::Responses && self.deployment_in_path {
            return Err(invalid(
                "api",
                "is Responses, which Azure has under v1 only; leave the deployment out of the path",
            ));
        }
        if chosen == Api::Messages && self.provider == Provider::Azure {
            return Err(invalid(
                "api",
                "is Messages, which is Anthropic's; name its address as one of Anthropic",
            ));
        }
        Ok(chosen)
    }

    fn credentials(&self) -> Result<Credentials, InvalidModelConfig> {
        let style = self.key_style.unwrap_or(match self.provider {
            Provider::Azure => KeyStyle::ApiKeyHeader,
            Provider::Anthropic => KeyStyle::XApiKey,
            Provider::OpenAi | Provider::Compatible => KeyStyle::Bearer,
        });
        match (&self.key, &self.tokens) {
            (Some(_), Some(_)) => Err(invalid("key", "is set, and a source of tokens too; choose one")),
            (None, Some(tokens)) => Ok(Credentials::Tokens(Arc::clone(tokens))),
            (Some(key), None) if key.is_plausible() => Ok(Credentials::Key(key.clone(), style)),
            (Some(_), None) => Err(invalid(
                "key",
                "is empty or has characters that no key has; copy it anew from the provider",
            )),
            (None, None) if self.provider == Provider::Compatible => Ok(Credentials::Nothing),
            (None, None) => Err(invalid("key", "is missing; set the provider's key")),
        }
    }

    fn capabilities(&self, family: Option<Family>) -> Result<Capabilities, InvalidModelConfig> {
        let of_openai = matches!(self.provider, Provider::Azure | Provider::OpenAi);
        let reasons = family.is_some_and(|family| family.reasons);
        let temperature = self.temperature.unwrap_or_else(|| {
            // What is unknown about a deployment is cheaper to find out than to leave to chance.
            let takes_none = reasons || self.provider == Provider::Anthropic;
            (!takes_none).then_some(0.0)
        });
        if !temperature.is_none_or(|temperature| (0.0..=2.0).contains(&temperature)) {
            return Err(invalid("temperature", "is not from 0 to 2"));
        }
        let structured = match (self.provider, family) {
            (Provider::Compatible, _) => StructuredOutput::None,
            (_, Some(family)) => family.structured,
            (_, None) => StructuredOutput::JsonSchema,
        };
        let cap_field = match of_openai {
            true => OutputCapField::MaxCompletionTokens,
            // All that some servers read; the others take it too.
            false => OutputCapField::MaxTokens,
        };
        Ok(Capabilities {
            cap_field: self.cap_field.unwrap_or(cap_field),
            structured: self.structured.unwrap_or(structured),
            role: self.role.unwrap_or(match of_openai && reasons {
                true => InstructionsRole::Developer,
                false => InstructionsRole::System,
            }),
            temperature,
            effort: self.effort,
            takes_store: true,
        })
    }

    fn chosen_output_caps(&self, family: Option<Family>) -> Result<(u64, u64), InvalidModelConfig> {
        let reasons = family.is_some_and(|family| family.reasons);
        let (least, most) = self.output_caps.unwrap_or(match reasons {
            true => (2_000, 16_000),
            false => (300, 4_000),
        });
        if least == 0 || least > most {
            return Err(invalid("output_cap", "is 0, or the least is more than the most"));
        }
        Ok((least, most))
    }
}

fn invalid(setting: &'static str, problem: impl Into<String>) -> InvalidModelConfig {
    InvalidModelConfig {
        setting,
        problem: problem.into(),
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
