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

/// The address of a call.
pub(super) fn endpoint(place: Place<'_>) -> Result<Url, BadAddress> {
    let base = match (place.base_url, place.provider) {
        (Some(base), _) => base,
        (None, Provider::Anthropic) => ANTHROPIC,
        (None, _) => OPENAI,
    };
    let mut url = match parse_address(base) {
        Err(BadAddress::Unencrypted) if place.may_be_unencrypted => {
            Url::parse(base.trim()).map_err(|_| BadAddress::NoAddress)?
        }
        parsed => parsed?,
    };
    {
        let own_path = url.path().trim_end_matches('/').to_owned();
        let mut path = url.path_segments_mut().map_err(|()| BadAddress::NoAddress)?;
        path.pop_if_empty();
        match place.provider {
            Provider::Azure => {
                let is_v1 = place.deployment.is_none();
                if own_path.ends_with("/v1") && !is_v1 {
                    path.pop();
                } else if !own_path.ends_with("/openai") && !own_path.ends_with("/v1") {
                    path.push("openai");
                }
                match place.deployment {
                    Some(deployment) => path.extend(["deployments", deployment]),
                    None if own_path.ends_with("/v1") => &mut path,
                    None => path.push("v1"),
                };
            }
            Provider::Anthropic if own_path.ends_with("/v1") => {}
            Provider::Anthropic => drop(path.push("v1")),
            Provider::OpenAi | Provider::Compatible if own_path.is_empty() => drop(path.push("v1")),
            Provider::OpenAi | Provider::Compatible => {}
        }
        path.extend(match place.api {
            Api::ChatCompletions => ["chat", "completions"].as_slice(),
            Api::Responses => &["responses"],
            Api::Messages => &["messages"],
        });
    }
    if let Some(version) = place.api_version {
        url.query_pairs_mut().append_pair("api-version", version);
    }
    Ok(url)
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
        endpoint(place).expect("an address").into()
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
}
