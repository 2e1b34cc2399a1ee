//! Programs in a cloud sandbox, where one is chosen by its name, in the environment or `meterbox.toml`; the rest may be in
//! `.env` files too.
//!
//! ```toml
//! sandbox = "e2b"               # or "local", the default; a key alone chooses nothing
//!
//! [e2b]
//! template = "meterbox"         # code-interpreter-v1 where left out; see deploy/e2b-template
//! size = "2x2048"               # what its machines have: processors x MiB of memory
//! domain = "e2b.example.com"    # an E2B of one's own
//! addressing = "shared"         # or "direct", the default: a host name for each machine
//! ```
//!
//! The key is in the environment or in `.env` files alone.

mod owner;

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use meterbox_core::contract::Usage;
use meterbox_sandbox_client::{
    Capabilities, Job, Limits, Outcome, OutputSink, Sandbox, SandboxError, Session, SessionSetup,
    e2b::{
        Addressing, E2bClient, E2bError, E2bErrorKind, E2bSandbox, InvalidE2bConfig, MachineSize, http_client,
    },
};
use serde::Deserialize;

use self::owner::Owner;
use crate::{tls, variables::Variables};

const SANDBOX: &str = "METERBOX_SANDBOX";
const KEY: &str = "E2B_API_KEY";
const TEMPLATE: &str = "METERBOX_E2B_TEMPLATE";
const SIZE: &str = "METERBOX_E2B_SIZE";
const DOMAIN: &str = "E2B_DOMAIN";
const API_URL: &str = "E2B_API_URL";
const SANDBOX_URL: &str = "E2B_SANDBOX_URL";
const ADDRESSES: [&str; 3] = [DOMAIN, API_URL, SANDBOX_URL];
/// The variables that say which sandbox.
pub(crate) const VARIABLES: [&str; 7] = [SANDBOX, KEY, TEMPLATE, SIZE, DOMAIN, API_URL, SANDBOX_URL];
/// Those that `.env` files may set: a file that came with somebody's data must not send it anywhere.
pub(crate) const IN_FILES: [&str; 6] = [KEY, TEMPLATE, SIZE, DOMAIN, API_URL, SANDBOX_URL];

const STOCK_TEMPLATE: &str = "code-interpreter-v1";

/// `[e2b]` of `meterbox.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenE2b {
    template: Option<String>,
    size: Option<String>,
    domain: Option<String>,
    addressing: Option<String>,
}

/// The cloud sandbox that programs run in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CloudSettings {
    key: String,
    template: String,
    size: MachineSize,
    domain: Option<String>,
    api_url: Option<String>,
    sandbox_url: Option<String>,
    addressing: Addressing,
}

/// A cloud sandbox, with what has to be kept as long as it is used.
#[derive(Debug)]
pub(crate) struct Cloud {
    sandbox: E2bSandbox,
    owner: Owner,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloudError {
    #[error("{name} is {value:?}, and {known} are known. Fix: set one of these.")]
    Unknown {
        name: &'static str,
        value: String,
        known: &'static str,
    },
    #[error("the sandbox e2b is chosen, and {KEY} is not set. Fix: set it to a key of e2b.dev/dashboard.")]
    NoKey,
    #[error(
        "{SIZE} is {0:?}, which is no size of a machine. Fix: write processors and MiB of memory as the template was \
         built with, such as {SIZE}=2x2048."
    )]
    Size(String),
    #[error(
        "{0} comes from an .env file and {KEY} from the environment, and a file must not choose who is sent the \
         environment's key. Fix: set both in the same place."
    )]
    Mixed(&'static str),
    #[error("{0}. Fix: correct it, or choose METERBOX_SANDBOX=local.")]
    Invalid(#[from] InvalidE2bConfig),
    #[error("no connection to E2B can be made: {0}. Fix: check the certificates of this machine.")]
    Client(String),
    #[error("{path} cannot be used: {source}. Fix: make the data folder writable.")]
    Owner {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
}

impl CloudSettings {
    /// The cloud that these name; `None` where they name none, whatever keys there are.
    ///
    /// # Errors
    /// [`CloudError`] says which setting is wrong and what to do, and never shows the key.
    pub(crate) fn read(
        variables: &Variables,
        sandbox: Option<&str>,
        written: &WrittenE2b,
    ) -> Result<Option<Self>, CloudError> {
        match variables.value(SANDBOX).or(sandbox) {
            None | Some("local") => return Ok(None),
            Some("e2b") => {}
            Some(other) => {
                return Err(CloudError::Unknown {
                    name: SANDBOX,
                    value: other.chars().take(40).collect(),
                    known: "local, e2b",
                });
            }
        }
        let key = variables.value(KEY).ok_or(CloudError::NoKey)?;
        let mixed = ADDRESSES
            .into_iter()
            .find(|name| variables.is_from_file(name) && !variables.is_from_file(KEY));
        if let Some(address) = mixed {
            return Err(CloudError::Mixed(address));
        }
        let of = |name: &str, written: &Option<String>| {
            variables
                .value(name)
                .map(str::to_owned)
                .or_else(|| written.clone())
        };
        let size = match of(SIZE, &written.size) {
            None => MachineSize::default(),
            Some(text) => parse_size(&text).ok_or(CloudError::Size(text))?,
        };
        let addressing = match written.addressing.as_deref() {
            None | Some("direct") => Addressing::Direct,
            Some("shared") => Addressing::Shared,
            Some(other) => {
                return Err(CloudError::Unknown {
                    name: "addressing of [e2b]",
                    value: other.chars().take(40).collect(),
                    known: "direct, shared",
                });
            }
        };
        Ok(Some(Self {
            key: key.to_owned(),
            template: of(TEMPLATE, &written.template).unwrap_or_else(|| STOCK_TEMPLATE.to_owned()),
            size,
            domain: of(DOMAIN, &written.domain),
            api_url: variables.value(API_URL).map(str::to_owned),
            sandbox_url: variables.value(SANDBOX_URL).map(str::to_owned),
            addressing,
        }))
    }

    /// The place in the price book.
    pub(crate) fn place(&self) -> &'static str {
        "e2b"
    }

    /// A client of it.
    ///
    /// # Errors
    /// [`CloudError`] for settings that cannot be used.
    pub(crate) fn client(&self) -> Result<E2bClient, CloudError> {
        tls::install();
        let http = http_client().map_err(|error| CloudError::Client(error.to_string()))?;
        let mut builder = E2bClient::builder(http, &self.key).addressing(self.addressing);
        if let Some(domain) = &self.domain {
            builder = builder.domain(domain);
        }
        if let Some(url) = &self.api_url {
            builder = builder.api_url(url);
        }
        if let Some(url) = &self.sandbox_url {
            builder = builder.sandbox_url(url);
        }
        Ok(builder.build()?)
    }

    /// Asks E2B whether it accepts the key; makes nothing and costs nothing. What was found, or what to do.
    pub(crate) async fn check(&self) -> Result<String, (String, String)> {
        let client = self
            .client()
            .map_err(|error| (error.to_string(), format!("correct {API_URL} or {DOMAIN}")))?;
        let machines = client.list(&BTreeMap::new()).await.map_err(|error| {
            let fix = match error.kind() {
                E2bErrorKind::Unauthorized | E2bErrorKind::Forbidden => {
                    format!("set {KEY} to a key that may create sandboxes")
                }
                _ => "check the address, and that this machine may reach it".to_owned(),
            };
            (error.to_string(), fix)
        })?;
        Ok(format!("the key works; {} sandboxes there now", machines.len()))
    }

    /// The sandbox, for a process on this data folder. Nothing is asked of it yet.
    ///
    /// # Errors
    /// [`CloudError`].
    pub(crate) fn open(&self, data_dir: &Path) -> Result<Cloud, CloudError> {
        let owner = Owner::new(data_dir)?;
        let sandbox = E2bSandbox::new(self.client()?, &self.template)
            .with_size(self.size)
            .with_metadata("installation", owner.installation())
            .owned_by(owner.name());
        Ok(Cloud { sandbox, owner })
    }
}

impl Cloud {
    /// Ends what processes on this data folder left behind that have died. Says how many machines.
    ///
    /// # Errors
    /// [`E2bError`].
    pub(crate) async fn reap(&self) -> Result<u32, E2bError> {
        let ended = self.sandbox.reap(|owner| self.owner.is_gone(owner)).await?;
        self.owner.forget_those_gone();
        Ok(ended)
    }
}

/// As the sandbox does; whoever runs programs in it keeps its owner alive.
#[async_trait]
impl Sandbox for Cloud {
    async fn capabilities(&self) -> Result<Capabilities, SandboxError> {
        self.sandbox.capabilities().await
    }

    async fn run(&self, job: Job, output: Arc<dyn OutputSink>) -> Result<Outcome, SandboxError> {
        self.sandbox.run(job, output).await
    }

    async fn session(&self, setup: SessionSetup) -> Result<Box<dyn Session>, SandboxError> {
        self.sandbox.session(setup).await
    }

    fn worst_usage(&self, limits: &Limits) -> Usage {
        self.sandbox.worst_usage(limits)
    }
}

/// In words, for whoever looks at the settings.
impl fmt::Display for CloudSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MachineSize {
            processors,
            memory_mib,
        } = self.size;
        let template = &self.template;
        write!(
            f,
            "E2B, template {template}, {processors} processors and {memory_mib} MiB a machine"
        )
    }
}

/// Without the key.
impl fmt::Debug for CloudSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudSettings")
            .field("template", &self.template)
            .field("size", &self.size)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

fn parse_size(text: &str) -> Option<MachineSize> {
    let (processors, memory_mib) = text.split_once('x')?;
    let size = MachineSize {
        processors: processors.trim().parse().ok()?,
        memory_mib: memory_mib.trim().parse().ok()?,
    };
    (size.processors > 0 && size.memory_mib > 0).then_some(size)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn read(
        set: &[(&str, &str)],
        in_files: &[&str],
        written: &str,
    ) -> Result<Option<CloudSettings>, CloudError> {
        #[derive(Deserialize)]
        struct Written {
            sandbox: Option<String>,
            #[serde(default)]
            e2b: WrittenE2b,
        }
        let names = set
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let in_files: HashSet<String> = in_files.iter().map(|name| (*name).to_owned()).collect();
        let variables = Variables::of(&VARIABLES, &names.collect(), &in_files);
        let written: Written = toml::from_str(written).unwrap();
        CloudSettings::read(&variables, written.sandbox.as_deref(), &written.e2b)
    }

    #[test]
    fn it_is_chosen_by_its_name_and_never_by_a_key() {
        let key = (KEY, "e2b_hunter2");
        assert_eq!(read(&[key], &[], "").unwrap(), None);
        assert_eq!(
            read(&[key, (SANDBOX, "local")], &[], "sandbox = 'e2b'").unwrap(),
            None
        );
        let chosen = read(&[key, (SANDBOX, "e2b")], &[], "").unwrap().unwrap();
        assert_eq!(chosen.template, STOCK_TEMPLATE);
        assert_eq!(chosen.size, MachineSize::default());
        let written = "sandbox = 'e2b'\n[e2b]\ntemplate = 'ours'\nsize = '4x8192'\ndomain = 'e2b.example.com'\n\
                       addressing = 'shared'";
        let chosen = read(&[key, (TEMPLATE, "other")], &[], written).unwrap().unwrap();
        assert_eq!(chosen.template, "other", "the environment wins");
        assert_eq!((chosen.size.processors, chosen.size.memory_mib), (4, 8192));
        assert_eq!(chosen.addressing, Addressing::Shared);
        assert!(!format!("{chosen:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_fix_and_without_the_key() {
        let chosen = [(SANDBOX, "e2b"), (KEY, "e2b_hunter2")];
        let with = |more: (&'static str, &'static str)| [chosen[0], chosen[1], more];
        for (set, written, said) in [
            (vec![(SANDBOX, "e2b")], "", "E2B_API_KEY is not set"),
            (vec![(SANDBOX, "docker")], "", "local, e2b are known"),
            (vec![], "sandbox = 'cloud'", "local, e2b are known"),
            (with((SIZE, "2")).to_vec(), "", "METERBOX_E2B_SIZE is \"2\""),
            (with((SIZE, "0x512")).to_vec(), "", "is no size"),
            (
                chosen.to_vec(),
                "[e2b]\naddressing = 'odd'",
                "direct, shared are known",
            ),
        ] {
            let error = read(&set, &[], written).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("Fix: "), "{said}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let wrong = read(&with((API_URL, "http://api.e2b.app")), &[], "")
            .unwrap()
            .unwrap();
        let error = wrong.client().unwrap_err().to_string();
        assert!(
            error.contains("would send the key unencrypted") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn a_file_does_not_choose_who_is_sent_the_environments_key() {
        let set = [
            (SANDBOX, "e2b"),
            (KEY, "e2b_1"),
            (DOMAIN, "elsewhere.example.com"),
        ];
        let error = read(&set, &[DOMAIN], "").unwrap_err().to_string();
        assert!(error.starts_with("E2B_DOMAIN comes from an .env file"), "{error}");
        assert!(read(&set, &[DOMAIN, KEY], "").unwrap().is_some());
        assert!(read(&set, &[], "").unwrap().is_some());
    }
}
