//! How strong a jail is, and what each strength promises.

use std::{collections::BTreeMap, fmt, str::FromStr};

use meterbox_core::contract::SandboxReport;

/// What a jail is made of, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// A filter on system calls, resource limits and a user without rights. A program can read whatever that user can
    /// read on the machine, which is why this is never used unless it is asked for by name.
    Seccomp,
    /// The same behind Landlock: of the machine's files only the runtime's and the run's own. There is no cap on all that a
    /// program writes together, and the names of other files can be found out.
    Landlock,
    /// Namespaces of its own on top: another root, no network, no other processes, a cap on everything it writes.
    Namespaces,
    /// The same, each in a control group of its own, which counts and caps what the kernel gives it: memory of every form,
    /// processes, and its share of the processor among other runs.
    ControlGroup,
}

/// What could not be understood as a tier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no tier; there are seccomp, landlock, ns and ns+cg")]
pub struct UnknownTier(String);

impl Tier {
    /// From the strongest to the weakest.
    pub(crate) const ALL: [Self; 4] = [
        Self::ControlGroup,
        Self::Namespaces,
        Self::Landlock,
        Self::Seccomp,
    ];

    /// As configuration and reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::Namespaces => "ns",
            Self::ControlGroup => "ns+cg",
        }
    }

    /// Whether a child has a root, a network and a list of processes of its own.
    pub(crate) fn has_namespaces(self) -> bool {
        self >= Self::Namespaces
    }

    /// What a run in it promises, each with where that comes from. `landlock`: the kernel's version, 0 for none.
    pub(crate) fn report(self, landlock: u32) -> SandboxReport {
        let locked = match landlock {
            0 => String::new(),
            version => format!(" + Landlock (version {version})"),
        };
        let (filesystem, network, disk, processes, kill) = if self.has_namespaces() {
            (
                format!("own root, read-only{locked}"),
                "own empty network namespace + no sockets (seccomp)",
                "size and number of files capped (tmpfs) + file size (resource limit)",
                "no fork, no exec (seccomp) + own process namespace, threads capped (resource limit)",
                "the process namespace dies with its only process",
            )
        } else {
            let filesystem = match self {
                Self::Landlock => {
                    format!("runtime and own files only{locked}; names of others can be found out")
                }
                _ => "not limited: whatever the sandbox's user can read".to_owned(),
            };
            (
                filesystem,
                "no sockets (seccomp)",
                "file size (resource limit); no cap on all files together",
                "no fork, no exec (seccomp); threads capped by address space only (resource limit)",
                "its only process is killed",
            )
        };
        let (memory, processes, kill) = if self == Self::ControlGroup {
            (
                "all of it capped, with its files and its copies of the interpreter's (control group) + resource limits + \
                 watched from outside",
                "no fork, no exec (seccomp) + own process namespace, threads capped (control group + resource limit)",
                "all of its control group at once + the process namespace dies with its only process",
            )
        } else {
            ("resource limits + watched from outside", processes, kill)
        };
        let guarantees: [(&str, String); 6] = [
            ("filesystem", filesystem),
            ("network", network.to_owned()),
            ("disk", disk.to_owned()),
            ("processes", processes.to_owned()),
            ("memory", memory.to_owned()),
            ("kill", kill.to_owned()),
        ];
        let guarantees: BTreeMap<String, String> = guarantees
            .into_iter()
            .map(|(name, by)| (name.to_owned(), by))
            .collect();
        SandboxReport {
            provider: "local".to_owned(),
            tier: self.name().to_owned(),
            guarantees,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tier {
    type Err = UnknownTier;

    fn from_str(text: &str) -> Result<Self, UnknownTier> {
        let tier = Self::ALL.into_iter().find(|tier| tier.name() == text);
        tier.ok_or_else(|| UnknownTier(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_have_an_order_and_a_name() {
        assert!(Tier::ALL.windows(2).all(|pair| pair[0] > pair[1]));
        for tier in Tier::ALL {
            assert_eq!(tier.to_string().parse(), Ok(tier));
        }
        assert!(
            "docker"
                .parse::<Tier>()
                .unwrap_err()
                .to_string()
                .contains("ns+cg")
        );
    }

    #[test]
    fn a_report_says_only_what_its_tier_gives() {
        let weak = Tier::Seccomp.report(0);
        assert_eq!(weak.tier, "seccomp");
        assert!(weak.guarantees["filesystem"].contains("not limited"));
        assert!(!Tier::Landlock.report(3).guarantees["network"].contains("namespace"));
        assert!(Tier::Landlock.report(3).guarantees["filesystem"].contains("version 3"));
        assert!(!Tier::Namespaces.report(0).guarantees["filesystem"].contains("Landlock"));
        for (guarantee, by) in Tier::ControlGroup.report(0).guarantees {
            let grouped = matches!(&*guarantee, "memory" | "processes" | "kill");
            assert_eq!(by.contains("control group"), grouped, "{guarantee}: {by}");
            assert!(!Tier::Namespaces.report(0).guarantees[&guarantee].contains("control group"));
        }
    }
}
