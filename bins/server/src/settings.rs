//! What can be set, from where, in rising order: `.env`, `.env.local`, the environment. Flags come on top.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use meterbox_analysis::ModelPrices;
use meterbox_core::{MoneyError, Usd};
use meterbox_local_sandbox::{Tier, UnknownTier};

use crate::{
    cloud,
    config::{Config, ConfigError},
    model,
    results::{InvalidPlace, ResultsPlace, VARIABLES},
    telemetry::{self, TelemetryError, TelemetrySettings},
    variables::Variables,
};

const DATA_DIR: &str = "METERBOX_DATA_DIR";
const RUNTIME_DIR: &str = "METERBOX_RUNTIME_DIR";
const LISTEN: &str = "METERBOX_LISTEN";
const PUBLIC_URL: &str = "METERBOX_PUBLIC_URL";
const MAX_COST: &str = "MAX_BUDGET_PER_ANALYSIS";
const MONTHLY_LIMIT: &str = "DEFAULT_BUDGET_LIMIT";
const GLOBAL_LIMIT: &str = "GLOBAL_BUDGET_LIMIT";
const DEGRADED_ALLOWANCE: &str = "DEGRADED_ALLOWANCE";
const KEEP_DAYS: &str = "RESULTS_KEEP_DAYS";
const MIN_TIER: &str = "METERBOX_MIN_TIER";
const CONTROL_GROUP: &str = "METERBOX_CONTROL_GROUP";

/// What `.env` files may set; where things are kept is the environment's business alone.
const IN_FILES: [&str; 6] = [
    LISTEN,
    PUBLIC_URL,
    MAX_COST,
    MONTHLY_LIMIT,
    GLOBAL_LIMIT,
    DEGRADED_ALLOWANCE,
];

/// The effective settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where everything is kept.
    pub(crate) data_dir: PathBuf,
    /// Where the Python runtime is kept.
    pub(crate) runtime_dir: PathBuf,
    /// Where the page is served.
    pub(crate) listen: SocketAddr,
    /// Under which further addresses browsers reach it.
    pub(crate) public_urls: Vec<PublicUrl>,
    /// The most one analysis may cost.
    pub(crate) max_cost: Usd,
    /// What each user may spend in a calendar month.
    pub(crate) monthly_limit: Usd,
    /// What all users together may spend in a calendar month.
    pub(crate) global_limit: Usd,
    /// How much of each user's limit is kept for answers without a model.
    pub(crate) degraded_allowance: Usd,
    /// What is set of models outside of `meterbox.toml`.
    pub(crate) model: Variables,
    /// What is set of a cloud sandbox outside of `meterbox.toml`.
    pub(crate) cloud: Variables,
    /// Where results are kept.
    pub(crate) results: ResultsPlace,
    /// Where traces go, if anywhere.
    pub(crate) telemetry: Option<TelemetrySettings>,
    /// For how many days results are kept; for ever where not set.
    pub(crate) keep_days: Option<u32>,
    /// The least that programs are confined by on this machine.
    pub(crate) min_tier: Tier,
    /// The control group that programs get groups below; the one the process is in where not set.
    pub(crate) control_group: Option<PathBuf>,
    /// What says in a `.env` file where results are kept and for how long, and is not read from there.
    pub(crate) unread: Vec<&'static str>,
    /// Prices, soft caps, webhooks, the model, the sandbox: see [`Config`].
    pub(crate) config: Config,
}

/// A setting that stops the start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{name} is {value:?}, which is no amount of money: {source}. Fix: set {name}=5 or the like.")]
    Money {
        name: &'static str,
        value: String,
        source: MoneyError,
    },
    #[error("{name} is {value:?}, which is no address. Fix: set {name}=127.0.0.1:3000 or the like.")]
    Address { name: &'static str, value: String },
    #[error(
        "--listen is {0:?}, which is no address or port. Fix: write --listen 127.0.0.1:3000 or --listen 3001."
    )]
    ListenFlag(String),
    #[error(
        "{PUBLIC_URL} is {0:?}, which is no address a browser shows. \
         Fix: set {PUBLIC_URL}=https://meterbox.example.com or the like, several with commas between."
    )]
    PublicUrl(String),
    #[error("no place for the data folder: HOME is not set. Fix: set {DATA_DIR} to a folder of your own.")]
    NoHome,
    #[error("{path} cannot be read: {source}. Fix: write it as lines of NAME=value.")]
    EnvFile { path: PathBuf, source: dotenvy::Error },
    #[error("{MIN_TIER}: {0}. Fix: set {MIN_TIER}=ns, or a weaker one knowingly.")]
    Tier(UnknownTier),
    #[error("{KEEP_DAYS} is {0:?}, which is no number of days. Fix: set {KEEP_DAYS}=90 or the like.")]
    KeepDays(String),
    #[error(transparent)]
    Results(#[from] InvalidPlace),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Settings {
    /// Reads the settings of this process, started in `folder`.
    pub(crate) fn load(folder: &Path) -> Result<Self, SettingsError> {
        let mut names = HashMap::new();
        // A file that came with somebody's data must not choose the ledger or the interpreter.
        let may_set = |name: &str| {
            let lists = [
                &IN_FILES[..],
                &model::VARIABLES,
                &cloud::IN_FILES,
                &telemetry::VARIABLES,
            ];
            lists.iter().any(|names| names.contains(&name))
        };
        let mut unread = BTreeSet::new();
        for file in [".env", ".env.local"] {
            let settings = env_file(&folder.join(file))?;
            let of_results = VARIABLES.into_iter().chain([KEEP_DAYS]);
            unread.extend(of_results.filter(|name| settings.contains_key(*name)));
            names.extend(settings.into_iter().filter(|(name, _)| may_set(name)));
        }
        let mut in_files: HashSet<String> = names.keys().cloned().collect();
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        for (name, value) in environment {
            in_files.remove(&name);
            unread.remove(&*name);
            names.insert(name, value);
        }
        let mut settings = Self::from_names(&names)?;
        settings.model = Variables::of(&model::VARIABLES, &names, &in_files);
        settings.cloud = Variables::of(&cloud::VARIABLES, &names, &in_files);
        let traces = Variables::of(&telemetry::VARIABLES, &names, &in_files);
        let content = names.get(telemetry::CONTENT).map(|value| value.trim());
        settings.telemetry = TelemetrySettings::read(&traces, content.filter(|value| !value.is_empty()))?;
        settings.unread = unread.into_iter().collect();
        Ok(settings)
    }

    /// Reads `meterbox.toml` of the data folder, once that is known.
    pub(crate) fn read_config(&mut self) -> Result<(), SettingsError> {
        self.config = Config::load(&self.data_dir, &self.model, &self.cloud)?;
        Ok(())
    }

    /// Keeps everything in this folder; a runtime kept elsewhere on purpose stays there.
    pub(crate) fn keep_in(&mut self, data_dir: &Path) {
        if self.runtime_dir == self.data_dir.join("runtime") {
            self.runtime_dir = data_dir.join("runtime");
        }
        data_dir.clone_into(&mut self.data_dir);
    }

    fn from_names(names: &HashMap<String, String>) -> Result<Self, SettingsError> {
        let set = |name: &str| {
            names
                .get(name)
                .map(|value| value.trim())
                .filter(|value| !value.is_empty())
        };
        let money = |name: &'static str, default: Usd| {
            let Some(value) = set(name) else {
                return Ok(default);
            };
            value.parse().map_err(|source| SettingsError::Money {
                name,
                value: value.to_owned(),
                source,
            })
        };
        let listen = match set(LISTEN) {
            None => SocketAddr::from(([127, 0, 0, 1], 3000)),
            Some(value) => parse_listen(value).ok_or_else(|| SettingsError::Address {
                name: LISTEN,
                value: value.to_owned(),
            })?,
        };
        let public_urls = match set(PUBLIC_URL) {
            None => Vec::new(),
            Some(urls) => urls
                .split(',')
                .map(str::parse)
                .collect::<Result<_, SettingsError>>()?,
        };
        let keep_days = match set(KEEP_DAYS) {
            None => None,
            Some(text) => match text.parse() {
                Ok(days @ 1..) => Some(days),
                _ => return Err(SettingsError::KeepDays(text.to_owned())),
            },
        };
        let data_dir = match set(DATA_DIR) {
            Some(folder) => PathBuf::from(folder),
            None => default_data_dir(set("XDG_DATA_HOME"), set("HOME"))?,
        };
        Ok(Self {
            runtime_dir: set(RUNTIME_DIR).map_or_else(|| data_dir.join("runtime"), PathBuf::from),
            data_dir,
            listen,
            public_urls,
            max_cost: money(MAX_COST, Usd::from_dollars(5))?,
            monthly_limit: money(MONTHLY_LIMIT, Usd::from_dollars(10))?,
            global_limit: money(GLOBAL_LIMIT, Usd::from_dollars(100))?,
            // Five cents.
            degraded_allowance: money(
                DEGRADED_ALLOWANCE,
                Usd::from_nanos(50_000_000).unwrap_or(Usd::ZERO),
            )?,
            model: Variables::default(),
            cloud: Variables::default(),
            results: ResultsPlace::from_names(set)?,
            telemetry: None,
            keep_days,
            min_tier: set(MIN_TIER)
                .map_or(Ok(Tier::Namespaces), str::parse)
                .map_err(SettingsError::Tier)?,
            control_group: set(CONTROL_GROUP).map(PathBuf::from),
            unread: Vec::new(),
            config: Config::default(),
        })
    }

    /// What calls of models cost; which models Azure's deployments are is remembered in the data folder.
    pub(crate) fn model_prices(&self) -> ModelPrices {
        let learnt_in = self.data_dir.join(crate::config::LEARNT);
        ModelPrices::new(self.config.prices.clone())
            .deployments(self.config.deployments.clone(), Some(learnt_in))
    }

    /// Where others could reach the service: directly, or through what stands in front of it under a public address.
    pub(crate) fn open_to_others(&self) -> Option<String> {
        let public = self.public_urls.first().map(|url| url.authority.clone());
        let beyond_loopback = !self.listen.ip().is_loopback();
        beyond_loopback.then(|| self.listen.to_string()).or(public)
    }

    /// Listens where `--listen` says.
    pub(crate) fn listen_on(&mut self, flag: &str) -> Result<(), SettingsError> {
        self.listen = parse_listen(flag).ok_or_else(|| SettingsError::ListenFlag(flag.to_owned()))?;
        Ok(())
    }
}

/// An address under which browsers reach the service: a scheme, a host, and perhaps a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl {
    pub(crate) is_https: bool,
    /// As a `Host` header has it.
    pub(crate) authority: String,
}

impl PublicUrl {
    pub(crate) fn is_origin(&self, origin: &str) -> bool {
        let scheme = if self.is_https { "https://" } else { "http://" };
        origin
            .strip_prefix(scheme)
            .is_some_and(|authority| authority.eq_ignore_ascii_case(&self.authority))
    }
}

impl FromStr for PublicUrl {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let wrong = || SettingsError::PublicUrl(text.to_owned());
        let url: axum::http::Uri = text.trim().parse().map_err(|_| wrong())?;
        let authority = url.authority().ok_or_else(wrong)?.as_str();
        let is_https = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        if url.path() != "/" || url.query().is_some() || authority.contains('@') {
            return Err(wrong());
        }
        // A browser leaves out the port that goes without saying.
        let usual_port = if is_https { ":443" } else { ":80" };
        let authority = authority.strip_suffix(usual_port).unwrap_or(authority);
        Ok(Self {
            is_https,
            authority: authority.to_owned(),
        })
    }
}

/// An address to listen on, or a port of this machine's own.
fn parse_listen(value: &str) -> Option<SocketAddr> {
    let on_loopback = || Some(SocketAddr::from(([127, 0, 0, 1], value.parse().ok()?)));
    value.parse().ok().or_else(on_loopback)
}

fn default_data_dir(xdg_data_home: Option<&str>, home: Option<&str>) -> Result<PathBuf, SettingsError> {
    if let Some(folder) = xdg_data_home {
        return Ok(Path::new(folder).join("meterbox"));
    }
    let home = home.ok_or(SettingsError::NoHome)?;
    Ok(Path::new(home).join(".local/share/meterbox"))
}

fn env_file(path: &Path) -> Result<HashMap<String, String>, SettingsError> {
    let failed = |source| SettingsError::EnvFile {
        path: path.to_owned(),
        source,
    };
    if !path.is_file() {
        return Ok(HashMap::new());
    }
    dotenvy::from_path_iter(path)
        .map_err(failed)?
        .collect::<Result<_, _>>()
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(names: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_names(
            &names
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        )
    }

    #[test]
    fn defaults_need_only_a_home() {
        let settings = settings(&[("HOME", "/home/ana"), (LISTEN, " ")]).unwrap();
        assert_eq!(settings.data_dir, Path::new("/home/ana/.local/share/meterbox"));
        assert_eq!(
            settings.runtime_dir,
            Path::new("/home/ana/.local/share/meterbox/runtime")
        );
        assert_eq!(settings.listen, "127.0.0.1:3000".parse().unwrap());
        assert_eq!(settings.max_cost, Usd::from_dollars(5));
        assert_eq!(settings.monthly_limit, Usd::from_dollars(10));
        assert_eq!(settings.global_limit, Usd::from_dollars(100));
        assert_eq!(settings.degraded_allowance, "0.05".parse().unwrap());
    }

    #[test]
    fn a_wrong_setting_is_named_with_its_fix() {
        for (name, value, expected) in [
            (MAX_COST, "five", "MAX_BUDGET_PER_ANALYSIS is \"five\""),
            (MONTHLY_LIMIT, "-1", "DEFAULT_BUDGET_LIMIT is \"-1\""),
            (LISTEN, "somewhere", "METERBOX_LISTEN is \"somewhere\""),
            (LISTEN, "99999", "is no address"),
            (KEEP_DAYS, "0", "RESULTS_KEEP_DAYS is \"0\""),
            (MIN_TIER, "docker", "METERBOX_MIN_TIER: \"docker\" is no tier"),
            ("SUPABASE_ANON_KEY", "x", "SUPABASE_URL is not"),
            (PUBLIC_URL, "meterbox.example.com", "METERBOX_PUBLIC_URL is"),
            (
                PUBLIC_URL,
                "https://a.example.com,ftp://b.example.com",
                "\"ftp://",
            ),
            (PUBLIC_URL, "https://a.example.com/path", "no address a browser"),
        ] {
            let message = settings(&[("HOME", "/h"), (name, value)])
                .unwrap_err()
                .to_string();
            assert!(message.contains(expected), "{message}");
            assert!(message.contains("Fix: "), "{message}");
        }
        assert!(matches!(settings(&[]), Err(SettingsError::NoHome)));
    }

    #[test]
    fn a_bare_port_listens_on_loopback() {
        assert_eq!(parse_listen("8080"), Some("127.0.0.1:8080".parse().unwrap()));
        assert_eq!(parse_listen("[::1]:80"), Some("[::1]:80".parse().unwrap()));
        assert_eq!(parse_listen("localhost"), None);
    }

    #[test]
    fn a_wrong_flag_is_blamed_itself() {
        let mut settings = settings(&[("HOME", "/h"), (LISTEN, "127.0.0.1:4000")]).unwrap();
        let message = settings.listen_on("somewhere").unwrap_err().to_string();
        assert!(message.starts_with("--listen is \"somewhere\""), "{message}");
        assert!(!message.contains(LISTEN), "{message}");
        assert_eq!(settings.listen, "127.0.0.1:4000".parse().unwrap());
    }

    #[test]
    fn public_addresses_are_as_browsers_write_them() {
        let urls = "https://a.example.com:443, http://10.0.0.1:8080/";
        let settings = settings(&[("HOME", "/h"), (PUBLIC_URL, urls)]).unwrap();
        let authorities: Vec<&str> = settings.public_urls.iter().map(|url| &*url.authority).collect();
        assert_eq!(authorities, ["a.example.com", "10.0.0.1:8080"]);
        assert!(settings.public_urls[0].is_https && !settings.public_urls[1].is_https);
        assert_eq!(settings.open_to_others().as_deref(), Some("a.example.com"));
    }
}
