//! What this machine can do, found by doing it in processes that are thrown away.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use meterbox_sandbox_client::SandboxError;
use serde::Deserialize;

use crate::{
    diagnosis,
    groups::{Groups, Refusal},
    patience::patience,
    tier::Tier,
    zygote::{self, Settings},
};

/// Each probe has two seconds of its own; this is for all of them and an interpreter's start.
const DEADLINE: Duration = Duration::from_secs(30);
/// No process, no memory, no descriptor.
const FULL: [i32; 4] = [11, 12, 23, 24];
const NAMESPACES: &str = "user and mount namespaces";
const NETWORK: &str = "network namespace";
const THREADS: &str = "thread limit of a namespace";
const LANDLOCK: &str = "landlock";
const SECCOMP: &str = "seccomp";
const CGROUP: &str = "cgroup";

/// What was tried, by name.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Probes {
    probed: BTreeMap<String, Probe>,
}

/// One thing that was tried.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Probe {
    pub(crate) works: bool,
    /// The kernel's reason, where it said one.
    pub(crate) errno: i32,
    /// What was found, good or bad.
    pub(crate) found: String,
    /// The step of a jail's set-up that failed, where it is one.
    #[serde(default)]
    pub(crate) step: String,
}

impl Probes {
    /// Tries everything. `groups`: the place for control groups that was found, or why there is none.
    pub(crate) async fn run(
        settings: &Settings,
        groups: Result<&Arc<Groups>, &Refusal>,
    ) -> Result<Self, SandboxError> {
        let said = tokio::time::timeout(patience(DEADLINE), zygote::probe(settings, groups.ok())).await;
        match said {
            Ok(Ok(bytes)) => serde_json::from_slice::<Self>(&bytes)
                .map_err(|error| SandboxError::platform("the probes said something unknown", error))?
                .with(groups.err())
                .unless_full(),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(SandboxError::platform(
                "the probes of this machine did not end",
                io::Error::from(io::ErrorKind::TimedOut),
            )),
        }
    }

    /// Without a place nothing could be tried in it.
    fn with(mut self, refusal: Option<&Refusal>) -> Self {
        if let Some(refusal) = refusal {
            let probe = Probe {
                works: false,
                errno: refusal.errno(),
                found: refusal.to_string(),
                step: String::new(),
            };
            self.probed.insert(CGROUP.to_owned(), probe);
        }
        self
    }

    /// On a full machine nothing can be tried; that says nothing about it.
    fn unless_full(self) -> Result<Self, SandboxError> {
        let full = |probe: &&Probe| !probe.works && FULL.contains(&probe.errno);
        match self.probed.values().find(full) {
            None => Ok(self),
            Some(probe) => Err(SandboxError::platform(
                "the machine has no room to try what it gives",
                io::Error::from_raw_os_error(probe.errno),
            )),
        }
    }

    /// The strongest tier that can be had.
    pub(crate) fn best(&self) -> Option<Tier> {
        Tier::ALL.into_iter().find(|tier| self.missing(*tier).is_none())
    }

    /// The first thing that a tier lacks here.
    pub(crate) fn missing(&self, tier: Tier) -> Option<(&'static str, &Probe)> {
        let needed: &[&'static str] = match tier {
            Tier::Seccomp => &[SECCOMP],
            Tier::Landlock => &[SECCOMP, LANDLOCK],
            Tier::Namespaces => &[SECCOMP, NAMESPACES, NETWORK, THREADS],
            Tier::ControlGroup => &[SECCOMP, NAMESPACES, NETWORK, THREADS, CGROUP],
        };
        needed.iter().find_map(|name| match self.probed.get(*name) {
            Some(probe) if probe.works => None,
            Some(probe) => Some((*name, probe)),
            None => Some((*name, NOT_TRIED)),
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Probe)> {
        self.probed.iter().map(|(name, probe)| (&**name, probe))
    }

    /// The strongest tier, where that is at least `least`; otherwise what is missing for that and what to do.
    pub(crate) fn tier(&self, least: Tier) -> Result<Tier, SandboxError> {
        match (self.best(), self.missing(least)) {
            (Some(best), _) if best >= least => Ok(best),
            (best, Some((name, probe))) => Err(diagnosis::below(least, best, name, probe)),
            // A stronger tier has all that a weaker one has, so there is always something missing.
            (_, None) => Ok(least),
        }
    }
}

const NOT_TRIED: &Probe = &Probe {
    works: false,
    errno: 0,
    found: String::new(),
    step: String::new(),
};

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(without: &[&str]) -> Probes {
        let names = [NAMESPACES, NETWORK, THREADS, LANDLOCK, SECCOMP, CGROUP];
        let probe = |name: &str| Probe {
            works: !without.contains(&name),
            errno: 1,
            found: "refused".to_owned(),
            step: String::new(),
        };
        Probes {
            probed: names
                .iter()
                .map(|name| ((*name).to_owned(), probe(name)))
                .collect(),
        }
    }

    #[test]
    fn the_strongest_that_works_is_used() {
        assert_eq!(machine(&[]).best(), Some(Tier::ControlGroup));
        assert_eq!(machine(&[LANDLOCK]).best(), Some(Tier::ControlGroup));
        assert_eq!(machine(&[CGROUP]).best(), Some(Tier::Namespaces));
        assert_eq!(machine(&[CGROUP, LANDLOCK]).best(), Some(Tier::Namespaces));
        for missing in [NAMESPACES, NETWORK, THREADS] {
            assert_eq!(machine(&[missing]).best(), Some(Tier::Landlock), "{missing}");
        }
        assert_eq!(machine(&[NAMESPACES, LANDLOCK]).best(), Some(Tier::Seccomp));
        assert_eq!(machine(&[SECCOMP]).best(), None);
    }

    #[test]
    fn without_a_place_for_groups_the_reason_is_said() {
        let nowhere = machine(&[]).with(Some(&Refusal::None));
        assert_eq!(nowhere.best(), Some(Tier::Namespaces));
        assert_eq!(nowhere.tier(Tier::Namespaces).unwrap(), Tier::Namespaces);
        let Err(SandboxError::Unavailable { missing, fix }) = nowhere.tier(Tier::ControlGroup) else {
            panic!("there is none")
        };
        assert!(missing.contains("no control groups of version 2"), "{missing}");
        assert!(
            fix.contains("Delegate=yes") && fix.contains("least tier to ns"),
            "{fix}"
        );
    }

    #[test]
    fn less_than_what_is_asked_for_is_refused_by_name() {
        let poor = machine(&[NETWORK, CGROUP]);
        assert_eq!(poor.tier(Tier::Landlock).unwrap(), Tier::Landlock);
        for least in [Tier::Namespaces, Tier::ControlGroup] {
            let Err(SandboxError::Unavailable { missing, fix }) = poor.tier(least) else {
                panic!("{least} is not there")
            };
            assert!(
                missing.contains(NETWORK) && missing.contains("refused"),
                "{missing}"
            );
            assert!(!fix.is_empty());
        }
    }
}
