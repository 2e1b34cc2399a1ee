//! The settings that say where traces go, from the environment and `.env` files. That words of people and data go with
//! them is the environment's business alone.

use std::{fmt, time::Duration};

use meterbox_telemetry::{BadCollector, CheckError, Collector, Service, StartError, Telemetry};

use crate::{tls, variables::Variables};

const PUBLIC_KEY: &str = "LANGFUSE_PUBLIC_KEY";
const SECRET_KEY: &str = "LANGFUSE_SECRET_KEY";
const BASE_URL: &str = "LANGFUSE_BASE_URL";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const ENVIRONMENT: &str = "METERBOX_ENV";
/// Not what `.env` files may set.
pub(crate) const CONTENT: &str = "METERBOX_TRACE_CONTENT";

/// What `.env` files may set.
pub(crate) const VARIABLES: [&str; 6] = [PUBLIC_KEY, SECRET_KEY, BASE_URL, ENDPOINT, HEADERS, ENVIRONMENT];

/// Where Langfuse's own clients go.
const LANGFUSE_CLOUD: &str = "https://cloud.langfuse.com";
const CHECK: Duration = Duration::from_secs(10);

/// Where traces go, and with what in them.
#[derive(Debug, Clone)]
pub(crate) struct TelemetrySettings {
    collector: Collector,
    service: Service,
    has_content: bool,
    is_langfuse: bool,
}

/// A setting that stops the start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TelemetryError {
    #[error(
        "{set} is set, and {missing} is not. Fix: set {PUBLIC_KEY} and {SECRET_KEY} as the project's settings in Langfuse \
         show them, or neither."
    )]
    Incomplete {
        set: &'static str,
        missing: &'static str,
    },
    #[error(
        "{HEADERS} is set, and {ENDPOINT} is not. Fix: set {ENDPOINT}=https://collector.example.com or the like."
    )]
    NoEndpoint,
    #[error("{name} {source}. Fix: {fix}.")]
    Collector {
        name: &'static str,
        source: BadCollector,
        fix: &'static str,
    },
    #[error(
        "{address} is set in an .env file and {key} is not, so a key of yours would go where the file says. \
         Fix: set both in the same place."
    )]
    Mixed {
        address: &'static str,
        key: &'static str,
    },
    #[error("{CONTENT} is {0:?}, which is neither on nor off. Fix: set {CONTENT}=on or off.")]
    Content(String),
    #[error(
        "{CONTENT} is on, and there is nowhere to send traces. Fix: set {PUBLIC_KEY} or {ENDPOINT} too, or unset it."
    )]
    ContentForNobody,
}

impl TelemetrySettings {
    /// Where these settings say; `None` where nowhere. Langfuse wins over a collector that may be there for others.
    ///
    /// # Errors
    /// [`TelemetryError`], without keys.
    pub(crate) fn read(variables: &Variables, content: Option<&str>) -> Result<Option<Self>, TelemetryError> {
        let has_content = match content.map(str::to_lowercase).as_deref() {
            None | Some("off") => false,
            Some("on") => true,
            Some(other) => return Err(TelemetryError::Content(other.chars().take(40).collect())),
        };
        let langfuse = langfuse(variables)?;
        let is_langfuse = langfuse.is_some();
        let collector = match langfuse {
            Some(langfuse) => Some(langfuse),
            None => collector(variables)?,
        };
        let Some(collector) = collector else {
            return match has_content {
                true => Err(TelemetryError::ContentForNobody),
                false => Ok(None),
            };
        };
        let service = Service::new("meterbox", env!("CARGO_PKG_VERSION"));
        Ok(Some(Self {
            collector,
            service: service.in_environment(variables.value(ENVIRONMENT).unwrap_or_default()),
            has_content,
            is_langfuse,
        }))
    }

    /// May words of people and data go with them, as far as the data's privacy level allows?
    pub(crate) fn has_content(&self) -> bool {
        self.has_content
    }

    pub(super) fn start(&self) -> Result<Telemetry, StartError> {
        tls::install();
        Telemetry::start(&self.collector, &self.service)
    }

    /// Asks the collector whether it would take something; if not, what was found and what to do.
    pub(crate) async fn check(&self) -> Result<(), (String, String)> {
        tls::install();
        let http = meterbox_telemetry::http_client()
            .map_err(|error| (error.to_string(), "update the system's certificates".to_owned()))?;
        let checked = self.collector.check(&http, CHECK).await;
        checked.map_err(|error| (error.to_string(), self.fix(&error)))
    }

    fn fix(&self, error: &CheckError) -> String {
        match (error, self.is_langfuse) {
            (CheckError::Key { .. }, true) => format!(
                "Set {PUBLIC_KEY} and {SECRET_KEY} to a pair of the project's keys, and {BASE_URL} to its region"
            ),
            (CheckError::Key { .. }, false) => format!("Set {HEADERS} to what opens the collector"),
            (_, true) => format!("Check {BASE_URL}, and that this machine may reach it"),
            (_, false) => format!("Check {ENDPOINT}, and that this machine may reach it"),
        }
    }
}

/// In words, without keys.
impl fmt::Display for TelemetrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.collector)?;
        if let Some(environment) = self.service.environment() {
            write!(f, " as {environment}")?;
        }
        match self.has_content {
            true => f.write_str(", with content as far as the data's privacy level allows"),
            false => f.write_str(", without content"),
        }
    }
}

fn langfuse(variables: &Variables) -> Result<Option<Collector>, TelemetryError> {
    let (public_key, secret_key) = match (variables.value(PUBLIC_KEY), variables.value(SECRET_KEY)) {
        (Some(public_key), Some(secret_key)) => (public_key, secret_key),
        (None, None) => {
            return match variables.value(BASE_URL) {
                Some(_) => Err(TelemetryError::Incomplete {
                    set: BASE_URL,
                    missing: PUBLIC_KEY,
                }),
                None => Ok(None),
            };
        }
        (public_key, _) => {
            let (set, missing) = match public_key {
                Some(_) => (PUBLIC_KEY, SECRET_KEY),
                None => (SECRET_KEY, PUBLIC_KEY),
            };
            return Err(TelemetryError::Incomplete { set, missing });
        }
    };
    for key in [PUBLIC_KEY, SECRET_KEY] {
        refuse_mixed(variables, BASE_URL, key)?;
    }
    let base_url = variables.value(BASE_URL).unwrap_or(LANGFUSE_CLOUD);
    let collector = Collector::langfuse(base_url, public_key, secret_key);
    collector.map(Some).map_err(|source| {
        let (name, fix) = match source {
            BadCollector::PublicKey => (
                PUBLIC_KEY,
                "copy the public key, pk-lf-…, from the project's settings",
            ),
            BadCollector::SecretKey => (
                SECRET_KEY,
                "copy the secret key, sk-lf-…, from the project's settings",
            ),
            _ => (
                BASE_URL,
                "set LANGFUSE_BASE_URL=https://cloud.langfuse.com or the like",
            ),
        };
        TelemetryError::Collector { name, source, fix }
    })
}

fn collector(variables: &Variables) -> Result<Option<Collector>, TelemetryError> {
    let headers = variables.value(HEADERS);
    let Some(endpoint) = variables.value(ENDPOINT) else {
        return match headers {
            Some(_) => Err(TelemetryError::NoEndpoint),
            None => Ok(None),
        };
    };
    if headers.is_some() {
        refuse_mixed(variables, ENDPOINT, HEADERS)?;
    }
    let collector = Collector::otlp(endpoint, headers.unwrap_or_default());
    collector.map(Some).map_err(|source| {
        let (name, fix) = match source {
            BadCollector::Headers => (HEADERS, "set OTEL_EXPORTER_OTLP_HEADERS=api-key=KEY or the like"),
            _ => (
                ENDPOINT,
                "set OTEL_EXPORTER_OTLP_ENDPOINT=https://collector.example.com or the like",
            ),
        };
        TelemetryError::Collector { name, source, fix }
    })
}

/// A file that came with somebody's data must not say where a key of the environment goes.
fn refuse_mixed(
    variables: &Variables,
    address: &'static str,
    key: &'static str,
) -> Result<(), TelemetryError> {
    match variables.is_from_file(address) && !variables.is_from_file(key) {
        true => Err(TelemetryError::Mixed { address, key }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    const KEYS: [(&str, &str); 2] = [(PUBLIC_KEY, "pk-lf-hunter2"), (SECRET_KEY, "sk-lf-hunter2")];

    fn read_with(
        names: &[(&str, &str)],
        in_files: &[&str],
        content: Option<&str>,
    ) -> Result<Option<TelemetrySettings>, TelemetryError> {
        let names: HashMap<_, _> = names
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let in_files: HashSet<_> = in_files.iter().map(ToString::to_string).collect();
        TelemetrySettings::read(&Variables::of(&VARIABLES, &names, &in_files), content)
    }

    fn shown(names: &[(&str, &str)]) -> Option<String> {
        let settings = read_with(names, &[], None).unwrap();
        settings.map(|settings| {
            assert!(!format!("{settings:?} {settings}").contains("hunter2"));
            settings.to_string()
        })
    }

    #[test]
    fn traces_go_where_the_settings_say_and_without_content() {
        assert_eq!(shown(&[]), None);
        assert_eq!(shown(&[(ENVIRONMENT, "production")]), None);
        assert_eq!(
            shown(&KEYS).unwrap(),
            "Langfuse at cloud.langfuse.com, without content"
        );
        let own = [
            KEYS[0],
            KEYS[1],
            (BASE_URL, "http://127.0.0.1:3000"),
            (ENVIRONMENT, "Prod EU"),
        ];
        assert_eq!(
            shown(&own).unwrap(),
            "Langfuse at 127.0.0.1:3000 as prod-eu, without content"
        );
        let collector = [(ENDPOINT, "https://otel.example.com"), (HEADERS, "key=hunter2")];
        assert_eq!(
            shown(&collector).unwrap(),
            "a collector at otel.example.com, without content"
        );
        let both = [KEYS[0], KEYS[1], collector[0]];
        assert!(shown(&both).unwrap().starts_with("Langfuse"));
        let told = read_with(&KEYS, &[], Some("ON")).unwrap().unwrap();
        assert!(told.has_content() && told.to_string().contains("privacy level"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_fix_and_no_key_is_shown() {
        for (names, in_files, content, said) in [
            (vec![KEYS[0]], vec![], None, "LANGFUSE_SECRET_KEY is not"),
            (vec![KEYS[1]], vec![], None, "LANGFUSE_PUBLIC_KEY is not"),
            (
                vec![(BASE_URL, "https://a.example")],
                vec![],
                None,
                "LANGFUSE_PUBLIC_KEY is not",
            ),
            (
                vec![(PUBLIC_KEY, "sk-lf-hunter2"), KEYS[1]],
                vec![],
                None,
                "LANGFUSE_PUBLIC_KEY is no public key",
            ),
            (
                vec![KEYS[0], (SECRET_KEY, "hunter2")],
                vec![],
                None,
                "LANGFUSE_SECRET_KEY is no secret key",
            ),
            (
                vec![KEYS[0], KEYS[1], (BASE_URL, "http://langfuse.example")],
                vec![],
                None,
                "LANGFUSE_BASE_URL would send the key unencrypted",
            ),
            (
                vec![KEYS[0], KEYS[1], (BASE_URL, "https://evil.example")],
                vec![BASE_URL],
                None,
                "LANGFUSE_BASE_URL is set in an .env file and LANGFUSE_PUBLIC_KEY is not",
            ),
            (
                vec![KEYS[0], KEYS[1], (BASE_URL, "https://evil.example")],
                vec![BASE_URL, PUBLIC_KEY],
                None,
                "LANGFUSE_SECRET_KEY is not",
            ),
            (
                vec![(HEADERS, "key=hunter2")],
                vec![],
                None,
                "OTEL_EXPORTER_OTLP_ENDPOINT is not",
            ),
            (
                vec![(ENDPOINT, "https://otel.example"), (HEADERS, "hunter2")],
                vec![],
                None,
                "OTEL_EXPORTER_OTLP_HEADERS are no headers",
            ),
            (
                vec![(ENDPOINT, "https://evil.example"), (HEADERS, "key=hunter2")],
                vec![ENDPOINT],
                None,
                "OTEL_EXPORTER_OTLP_ENDPOINT is set in an .env file",
            ),
            (
                vec![(ENDPOINT, "ftp://a")],
                vec![],
                None,
                "OTEL_EXPORTER_OTLP_ENDPOINT is no http",
            ),
            (
                KEYS.to_vec(),
                vec![],
                Some("yes"),
                "METERBOX_TRACE_CONTENT is \"yes\"",
            ),
            (vec![], vec![], Some("on"), "nowhere to send"),
        ] {
            let error = read_with(&names, &in_files, content).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("Fix: "), "{said}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let all_in_a_file = [KEYS[0], KEYS[1], (BASE_URL, "https://langfuse.example")];
        let in_files = [PUBLIC_KEY, SECRET_KEY, BASE_URL];
        assert!(read_with(&all_in_a_file, &in_files, None).unwrap().is_some());
    }
}
