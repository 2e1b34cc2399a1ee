//! What this machine can do, found by doing it, and how to fix what it cannot.

use std::{fs, sync::Arc};

use meterbox_sandbox_client::SandboxError;

use crate::{
    check::{Check, Diagnosis},
    groups::{Groups, Refusal},
    probe::{Probe, Probes},
    run,
    tier::Tier,
    zygote::{FailedStep, Settings, Zygote, plain},
};

const PROCESSORS: &str = "Linux on x86-64 or aarch64";
const EPERM: i32 = 1;
const EACCES: i32 = 13;
const ENOSPC: i32 = 28;
const ENOSYS: i32 = 38;
/// Ubuntu's rule that takes the rights of a user namespace away again.
const APPARMOR_RULE: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
/// Debian's switch.
const DEBIAN_SWITCH: &str = "/proc/sys/kernel/unprivileged_userns_clone";
/// A unit of systemd is alone in its group, so nobody else is moved.
const GROUPS_FIX: &str = "start Meterbox alone in a control group of version 2 that is delegated with memory and pids: as a \
    systemd service with the line `Delegate=yes` under `[Service]`, or by `systemd-run --user --scope -p Delegate=yes \
    meterbox ...`; or prepare a group for it and name its folder (METERBOX_CONTROL_GROUP)";
const MOST_NAMESPACES: &str = "/proc/sys/user/max_user_namespaces";

/// Probes the machine, starts a zygote of its own and lets it go again.
pub(crate) async fn diagnose(
    settings: &Settings,
    least: Tier,
    groups: Result<&Arc<Groups>, &Refusal>,
) -> Diagnosis {
    let mut checks = vec![processor()];
    if !checks[0].ok {
        return Diagnosis { checks };
    }
    let probes = match Probes::run(settings, groups).await {
        Ok(probes) => probes,
        Err(error) => {
            checks.push(failed("the probes of this machine", &error));
            return Diagnosis { checks };
        }
    };
    checks.extend(probes.iter().map(|(name, probe)| {
        // What the wanted tier does without is no fault of the machine.
        let found = match (probe.works, &*probe.found) {
            (true, "") => "works".to_owned(),
            (true, found) => found.to_owned(),
            (false, found) => format!("not here, and not needed for the tier {least}: {found}"),
        };
        Check::works(name, found)
    }));
    let tier = match probes.tier(least) {
        Ok(tier) => tier,
        Err(error) => {
            if let Some((name, _)) = probes.missing(least) {
                checks.retain(|check| check.check != name);
            }
            checks.push(failed("the tier", &error));
            return Diagnosis { checks };
        }
    };
    checks.push(Check::works(
        "the tier",
        format!("{tier}, at least {least} is asked for"),
    ));
    let groups = groups.ok().filter(|_| tier == Tier::ControlGroup);
    let zygote = match Zygote::start(settings, tier, groups.map(Arc::clone)).await {
        Ok(zygote) => zygote,
        Err(error) => {
            checks.push(failed("a prepared interpreter", &error));
            return Diagnosis { checks };
        }
    };
    let python = format!(
        "Python {}, {} packages",
        zygote.ready.python,
        zygote.ready.packages.len()
    );
    checks.push(Check::works("a prepared interpreter", python));
    checks.push(match run::trial(&zygote).await {
        Ok(failed) if failed.is_empty() => Check::works("a jail", "every trial was refused as it has to be"),
        Ok(failures) => failed("a jail", &unsafe_jail(&failures)),
        Err(error) => failed("a jail", &error),
    });
    Diagnosis { checks }
}

fn processor() -> Check {
    let found = std::env::consts::ARCH;
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return Check::works(PROCESSORS, found);
    }
    let fix = "use a machine with one of these processors, or the cloud sandbox (E2B)";
    Check::fails(PROCESSORS, found, fix)
}

/// Fails where the jail's system calls are not known.
pub(crate) fn require_processor() -> Result<(), SandboxError> {
    let Check { ok, found, fix, .. } = processor();
    if ok {
        return Ok(());
    }
    Err(SandboxError::Unavailable {
        missing: format!("the local sandbox needs {PROCESSORS}, and this is {found}"),
        fix: fix.unwrap_or_default(),
    })
}

fn failed(check: &str, error: &SandboxError) -> Check {
    match error {
        SandboxError::Unavailable { missing, fix } => Check::fails(check, missing.clone(), fix.clone()),
        other => Check::fails(
            check,
            other.to_string(),
            "run it again; if it stays, report it with this text",
        ),
    }
}

/// The error for a machine that gives less than is asked for.
pub(crate) fn below(least: Tier, best: Option<Tier>, name: &str, probe: &Probe) -> SandboxError {
    let have = best.map_or_else(|| "no tier at all".to_owned(), |best| format!("{best} at most"));
    let fix = match name {
        "landlock" => {
            "use a kernel of 5.13 or later with `landlock` in the list of its boot option `lsm=`; in a \
                       container, allow the landlock calls"
                .to_owned()
        }
        "seccomp" => "use a kernel with seccomp filters; in a container, allow the seccomp call".to_owned(),
        "cgroup" => GROUPS_FIX.to_owned(),
        _ => match unavailable(&FailedStep {
            step: if probe.step.is_empty() {
                "namespaces"
            } else {
                &probe.step
            }
            .to_owned(),
            errno: probe.errno,
            message: String::new(),
        }) {
            SandboxError::Unavailable { fix, .. } => fix,
            _ => namespaces_fix(probe.errno),
        },
    };
    let weaker = match best {
        Some(best) if best < least => format!("; or accept less: set the sandbox's least tier to {best}"),
        _ => String::new(),
    };
    SandboxError::Unavailable {
        missing: format!(
            "the tier {least} needs what this machine does not give ({have}): {name}: {}",
            probe.found
        ),
        fix: format!("{fix}{weaker}"),
    }
}

/// The error for a place for control groups that was there when it was tried and is not any more.
pub(crate) fn no_groups(refusal: &Refusal) -> SandboxError {
    SandboxError::Unavailable {
        missing: format!("the tier {} needs a control group: {refusal}", Tier::ControlGroup),
        fix: GROUPS_FIX.to_owned(),
    }
}

/// The error for a set-up step that the machine refused to a zygote.
pub(crate) fn unavailable(failed: &FailedStep) -> SandboxError {
    let FailedStep { step, errno, message } = failed;
    let (missing, fix) = match step.as_str() {
        "namespaces" | "id maps" | "mounts" | "child" => (
            format!("this machine refuses namespaces: {message}"),
            namespaces_fix(*errno),
        ),
        "runtime" => (
            format!("the sandbox's user cannot read the Python runtime: {message}"),
            "install the runtime in a folder that everybody may enter, or run Meterbox as a plain user"
                .to_owned(),
        ),
        "user" => (
            format!("the sandbox's own user cannot be taken: {message}"),
            "run Meterbox as a plain user, or give this container the ids 61184 of users and groups"
                .to_owned(),
        ),
        "seccomp" | "privileges" | "limits" | "landlock" => (
            format!("this machine refuses a part of the jail: {message}"),
            "use a kernel of 5.14 or later with seccomp; in a container, allow the seccomp call".to_owned(),
        ),
        _ => (
            format!("the Python runtime does not work: {message}"),
            "run `meterbox runtime remove` and `meterbox runtime install`".to_owned(),
        ),
    };
    SandboxError::Unavailable { missing, fix }
}

/// The error for a set-up step that failed for one run, on a machine where it worked before.
pub(crate) fn failed_run(failed: &FailedStep) -> SandboxError {
    if failed.step == "input" {
        let reason = format!(
            "an input cannot be read in the sandbox ({}); let everybody read it (mode 0644) and enter its \
             folders (mode 0755)",
            failed.message
        );
        return SandboxError::BadJob { reason };
    }
    if matches!(failed.errno, EPERM | EACCES | ENOSPC | ENOSYS) {
        return unavailable(failed);
    }
    plain(format!("a jail could not be set up: {}", failed.message))
}

/// The error for a jail that stands but does not hold.
pub(crate) fn unsafe_jail(failed: &[String]) -> SandboxError {
    SandboxError::Unavailable {
        missing: format!(
            "the jail does not hold on this machine; not true: {}",
            failed.join("; ")
        ),
        fix: "use a kernel that enforces seccomp and namespaces, not one that emulates them, or the cloud \
              sandbox"
            .to_owned(),
    }
}

/// The switches are hints only: what counts is that it did not work.
fn namespaces_fix(errno: i32) -> String {
    let off = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    if errno == ENOSPC || off(MOST_NAMESPACES, "0") {
        return "allow user namespaces: `sysctl -w user.max_user_namespaces=10000`".to_owned();
    }
    if off(DEBIAN_SWITCH, "0") {
        return "allow user namespaces: `sysctl -w kernel.unprivileged_userns_clone=1`".to_owned();
    }
    if off(APPARMOR_RULE, "1") {
        return "Ubuntu's AppArmor takes the rights of user namespaces away: load a profile for meterbox with \
                the line `userns,`, or `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
            .to_owned();
    }
    if errno == ENOSYS {
        return "use a kernel of 5.14 or later; in Docker, the default seccomp profile hides clone3: start the \
                container with `--security-opt seccomp=unconfined`"
            .to_owned();
    }
    "in Docker, start the container with `--security-opt seccomp=unconfined --security-opt \
     apparmor=unconfined`; elsewhere, allow user namespaces to this user"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: &str, errno: i32) -> FailedStep {
        FailedStep {
            step: step.to_owned(),
            errno,
            message: "unshare: refused".to_owned(),
        }
    }

    #[test]
    fn every_refusal_names_the_fix() {
        let text = |error| match error {
            SandboxError::Unavailable { missing, fix } => (missing, fix),
            other => panic!("{other}"),
        };
        let (missing, fix) = text(unavailable(&step("namespaces", ENOSPC)));
        assert!(missing.contains("unshare") && fix.contains("max_user_namespaces"));
        let (_, fix) = text(unavailable(&step("python", 0)));
        assert!(fix.contains("runtime install"));
        let (_, fix) = text(failed_run(&step("seccomp", EPERM)));
        assert!(fix.contains("seccomp"));
    }

    #[test]
    fn an_unreadable_input_is_the_jobs_fault() {
        let error = failed_run(&step("input", EACCES));
        assert!(matches!(error, SandboxError::BadJob { .. }), "{error}");
    }
}
