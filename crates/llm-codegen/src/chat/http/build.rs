//! From settings to a model: what is wrong with them, and what follows where nothing was set.

use std::sync::Arc;

use meterbox_http_client::{is_on_this_machine, server_of};

use super::{
    Api, HttpModel, HttpModelBuilder, InstructionsRole, InvalidModelConfig, KeyStyle, OutputCapField,
    StructuredOutput,
    address::{Addresses, Place},
    builder::Provider,
    capabilities::Capabilities,
    credentials::Credentials,
    family::{Family, family},
    model::Parts,
};
use crate::chat::{ModelCard, ProgramFormat};

impl HttpModelBuilder {
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
        let addresses = Addresses::of(Place {
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
            server: server_of(&addresses.calls),
            is_loopback: is_on_this_machine(&addresses.calls),
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
            addresses,
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
        let (least, most) = self
            .max_output
            .map_or((least, most), |most| (least.min(most), most));
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
