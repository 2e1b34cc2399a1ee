//! Where requests go.

use meterbox_http_client::{BadAddress, parse_address};
use reqwest::Url;

use super::{Api, builder::Provider};

const OPENAI: &str = "https://api.openai.com/v1";
const ANTHROPIC: &str = "https://api.anthropic.com";

/// What an address is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) provider: Provider,
    pub(super) api: Api,
    pub(super) base_url: Option<&'a str>,
    /// Is the deployment part of the path?
    pub(super) deployment: Option<&'a str>,
    pub(super) api_version: Option<&'a str>,
    pub(super) may_be_unencrypted: bool,
}

/// Where calls go, and where the list of models is.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    pub(super) calls: Url,
    pub(super) models: Url,
}

impl Addresses {
    pub(super) fn of(place: Place<'_>) -> Result<Self, BadAddress> {
        let (root, folder) = (place.root()?, place.folder());
        let of_api: &[&str] = match place.api {
            Api::ChatCompletions => &["chat", "completions"],
            Api::Responses => &["responses"],
            Api::Messages => &["messages"],
        };
        let of_deployment = place.deployment.map(|name| ["deployments", name]);
        let below = |parts: &[&str]| -> Result<Url, BadAddress> {
            let mut url = root.clone();
            url.path_segments_mut()
                .map_err(|()| BadAddress::NoAddress)?
                .clear()
                .extend(folder_of(&root, folder))
                .extend(parts);
            if let Some(version) = place.api_version {
                url.query_pairs_mut().append_pair("api-version", version);
            }
            Ok(url)
        };
        let call: Vec<&str> = of_deployment.iter().flatten().chain(of_api).copied().collect();
        Ok(Self {
            calls: below(&call)?,
            models: below(&["models"])?,
        })
    }
}

impl Place<'_> {
    /// The address that was given, or the provider's own.
    fn root(&self) -> Result<Url, BadAddress> {
        let text = match (self.base_url, self.provider) {
            (Some(base), _) => base,
            (None, Provider::Anthropic) => ANTHROPIC,
            (None, _) => OPENAI,
        };
        match parse_address(text) {
            Err(BadAddress::Unencrypted) if self.may_be_unencrypted => {
                Url::parse(text.trim()).map_err(|_| BadAddress::NoAddress)
            }
            parsed => parsed,
        }
    }

    fn folder(&self) -> Folder {
        match self.provider {
            Provider::Azure if self.deployment.is_some() => Folder::OpenAi,
            Provider::Azure => Folder::OpenAiV1,
            Provider::Anthropic => Folder::V1,
            Provider::OpenAi | Provider::Compatible => Folder::V1UnlessNamed,
        }
    }
}

/// The folder of an address in which an API is. People give addresses with and without it.
#[derive(Debug, Clone, Copy)]
enum Folder {
    /// `/openai`.
    OpenAi,
    /// `/openai/v1`.
    OpenAiV1,
    /// `/v1`.
    V1,
    /// `/v1`, or whichever else the address has.
    V1UnlessNamed,
}

fn folder_of(root: &Url, folder: Folder) -> Vec<&str> {
    let mut path: Vec<&str> = root.path().split('/').filter(|part| !part.is_empty()).collect();
    let ends_with = |path: &[&str], part: &str| path.last() == Some(&part);
    match folder {
        Folder::OpenAiV1 | Folder::V1 if ends_with(&path, "v1") => {}
        Folder::OpenAi | Folder::OpenAiV1 => {
            if ends_with(&path, "v1") {
                path.pop();
            }
            if !ends_with(&path, "openai") {
                path.push("openai");
            }
            if matches!(folder, Folder::OpenAiV1) {
                path.push("v1");
            }
        }
        Folder::V1UnlessNamed if !path.is_empty() => {}
        Folder::V1 | Folder::V1UnlessNamed => path.push("v1"),
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(provider: Provider, api: Api, base: Option<&str>, deployment: Option<&str>) -> String {
        let place = Place {
            provider,
            api,
            base_url: base,
            deployment,
            api_version: deployment.map(|_| "2024-10-21"),
            may_be_unencrypted: false,
        };
        Addresses::of(place).expect("an address").calls.into()
    }

    #[test]
    fn both_paths_of_azure_are_found_from_however_much_of_them_is_given() {
        for base in [
            "shop.openai.azure.com",
            "https://shop.openai.azure.com/",
            "https://shop.openai.azure.com/openai",
            "https://shop.openai.azure.com/openai/v1/",
        ] {
            assert_eq!(
                at(Provider::Azure, Api::ChatCompletions, Some(base), None),
                "https://shop.openai.azure.com/openai/v1/chat/completions"
            );
            assert_eq!(
                at(
                    Provider::Azure,
                    Api::ChatCompletions,
                    Some(base),
                    Some("an alyst/1")
                ),
                "https://shop.openai.azure.com/openai/deployments/an%20alyst%2F1/chat/completions\
                 ?api-version=2024-10-21"
            );
        }
        assert_eq!(
            at(
                Provider::Azure,
                Api::Responses,
                Some("https://corp.azure-api.net/ai"),
                None
            ),
            "https://corp.azure-api.net/ai/openai/v1/responses"
        );
    }

    #[test]
    fn others_have_their_paths_too() {
        for (provider, api, base, expected) in [
            (
                Provider::OpenAi,
                Api::Responses,
                None,
                "https://api.openai.com/v1/responses",
            ),
            (
                Provider::Compatible,
                Api::ChatCompletions,
                Some("http://localhost:11434"),
                "http://localhost:11434/v1/chat/completions",
            ),
            (
                Provider::Compatible,
                Api::ChatCompletions,
                Some("https://gateway.example/api/v3/"),
                "https://gateway.example/api/v3/chat/completions",
            ),
            (
                Provider::Anthropic,
                Api::Messages,
                None,
                "https://api.anthropic.com/v1/messages",
            ),
            (
                Provider::Anthropic,
                Api::Messages,
                Some("http://127.0.0.1:8080/v1"),
                "http://127.0.0.1:8080/v1/messages",
            ),
        ] {
            assert_eq!(at(provider, api, base, None), expected);
        }
    }

    #[test]
    fn models_are_listed_beside() {
        for (provider, base, deployment, expected) in [
            (
                Provider::Azure,
                "shop.openai.azure.com",
                None,
                "https://shop.openai.azure.com/openai/v1/models",
            ),
            (
                Provider::Azure,
                "shop.openai.azure.com",
                Some("analyst"),
                "https://shop.openai.azure.com/openai/models?api-version=2024-10-21",
            ),
            (
                Provider::Compatible,
                "http://localhost:11434/v1",
                None,
                "http://localhost:11434/v1/models",
            ),
        ] {
            let place = Place {
                provider,
                api: Api::ChatCompletions,
                base_url: Some(base),
                deployment,
                api_version: deployment.map(|_| "2024-10-21"),
                may_be_unencrypted: false,
            };
            assert_eq!(
                Addresses::of(place).expect("an address").models.as_str(),
                expected
            );
        }
    }
}
