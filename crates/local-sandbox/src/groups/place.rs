//! Which group is ours to use, and taking it.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::process::{geteuid, getpid};

use super::files;

/// Where a supervisor goes that was alone in the group it was given.
const SUPERVISOR: &str = "meterbox-supervisor";
/// By these systemd says that a group is delegated; the second came first, and only root can read it.
const MARKS: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// Why no group can be used.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The machine has none of version 2.
    None,
    /// Nobody has delegated the group of this process.
    NotDelegated(PathBuf),
    /// Others live where only groups may.
    Shared(PathBuf),
    /// It cannot cap what has to be capped.
    Controllers(PathBuf, Vec<&'static str>),
    /// The kernel refused.
    Failed {
        doing: &'static str,
        at: PathBuf,
        error: io::Error,
    },
}

impl Refusal {
    pub(super) fn failed(doing: &'static str, at: &Path, error: io::Error) -> Self {
        let at = at.to_owned();
        Self::Failed { doing, at, error }
    }

    /// The kernel's reason, where it said one; otherwise 0.
    pub(crate) fn errno(&self) -> i32 {
        match self {
            Self::Failed { error, .. } => error.raw_os_error().unwrap_or_default(),
            _ => 0,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("this machine has no control groups of version 2"),
            Self::NotDelegated(at) => write!(f, "the control group {} is not delegated", at.display()),
            Self::Shared(at) => write!(
                f,
                "the control group {} has other processes in it, and one with groups below it may have none",
                at.display()
            ),
            Self::Controllers(at, missing) => write!(
                f,
                "the control group {} has no {}",
                at.display(),
                missing.join(" and no ")
            ),
            Self::Failed { doing, at, error } => write!(f, "{doing} at {}: {error}", at.display()),
        }
    }
}

/// A group that is ours to use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Given {
    folder: PathBuf,
    /// This process is in it, and has to leave it first.
    within: bool,
}

impl Given {
    /// What this machine gives to this process.
    pub(super) fn of_this_machine(named: Option<&Path>) -> Result<Self, Refusal> {
        let read = |path: &str| {
            fs::read_to_string(path).map_err(|error| Refusal::failed("reading", Path::new(path), error))
        };
        let (group, mounts) = (read("/proc/self/cgroup")?, read("/proc/self/mountinfo")?);
        let own = files::own_group(&group)
            .and_then(|group| files::folders_of(group, &mounts).find(|folder| folder.is_dir()));
        Self::choose(own.as_deref(), named, is_marked, belongs_to_this_user)
    }

    /// `own`: the folder of this process's group. `is_marked`: as delegated. `is_theirs`: of the plain user who this is.
    fn choose(
        own: Option<&Path>,
        named: Option<&Path>,
        is_marked: impl Fn(&Path) -> bool,
        is_theirs: impl Fn(&Path) -> bool,
    ) -> Result<Self, Refusal> {
        if let Some(named) = named {
            let folder = named
                .canonicalize()
                .map_err(|error| Refusal::failed("finding the group that was named", named, error))?;
            let within = own.is_some_and(|own| own == folder);
            return Ok(Self { folder, within });
        }
        let own = own.ok_or(Refusal::None)?;
        if let Some(above) = own.parent() {
            // Where another sandbox of this process, or systemd (`DelegateSubgroup=`), has put it.
            let ours = own.file_name().is_some_and(|name| name == SUPERVISOR);
            if ours || is_marked(above) {
                return Ok(Self {
                    folder: above.to_owned(),
                    within: false,
                });
            }
        }
        // Not every manager of a user's services marks what it delegates.
        if is_marked(own) || is_theirs(own) {
            return Ok(Self {
                folder: own.to_owned(),
                within: true,
            });
        }
        Err(Refusal::NotDelegated(own.to_owned()))
    }

    /// Makes it a group that may have groups: nobody lives in it, and it hands its controllers down. Only this process
    /// itself is ever moved, and only where it is alone.
    pub(super) fn take(self) -> Result<PathBuf, Refusal> {
        let Self { folder, within } = self;
        let reading = |error| Refusal::failed("reading", &folder, error);
        let missing = files::missing_controllers(&folder).map_err(reading)?;
        if !missing.is_empty() {
            return Err(Refusal::Controllers(folder, missing));
        }
        let own = getpid().as_raw_nonzero().get();
        let processes = files::processes(&folder).map_err(reading)?;
        if processes.iter().any(|process| !within || *process != own) {
            return Err(Refusal::Shared(folder));
        }
        if !processes.is_empty() {
            leave(&folder, own).map_err(|error| Refusal::failed("leaving the group", &folder, error))?;
        }
        files::delegate_controllers(&folder)
            .map_err(|error| Refusal::failed("handing down the controllers", &folder, error))?;
        Ok(folder)
    }
}

fn leave(folder: &Path, own: i32) -> io::Result<()> {
    let below = folder.join(SUPERVISOR);
    match fs::create_dir(&below) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    files::write(&below, files::PROCESSES, &own.to_string())
}

fn is_marked(folder: &Path) -> bool {
    let mut value = [0; 8];
    MARKS.iter().any(|mark| {
        let length = rustix::fs::getxattr(folder, *mark, &mut value[..]);
        length.is_ok_and(|length| &value[..length] == b"1")
    })
}

/// Root owns every group, so that says nothing.
fn belongs_to_this_user(folder: &Path) -> bool {
    let user = geteuid();
    let owner = folder.metadata().map(|about| about.uid());
    !user.is_root() && owner.is_ok_and(|owner| owner == user.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "/groups/system.slice/meterbox.service";

    fn choose(own: &str, delegated: &str) -> Result<Given, Refusal> {
        let is_marked = |folder: &Path| folder == Path::new(delegated);
        Given::choose(Some(Path::new(own)), None, is_marked, |_| false)
    }

    fn given(folder: &str, within: bool) -> Given {
        Given {
            folder: folder.into(),
            within,
        }
    }

    #[test]
    fn only_what_is_delegated_is_used() {
        assert_eq!(choose(SERVICE, SERVICE).unwrap(), given(SERVICE, true));
        let below = format!("{SERVICE}/main");
        assert_eq!(choose(&below, SERVICE).unwrap(), given(SERVICE, false));
        let moved = format!("{SERVICE}/{SUPERVISOR}");
        assert_eq!(choose(&moved, "").unwrap(), given(SERVICE, false));
        let refused = choose(SERVICE, "").unwrap_err().to_string();
        assert!(
            refused.contains(SERVICE) && refused.contains("not delegated"),
            "{refused}"
        );
        let deeper = choose(&format!("{SERVICE}/main/more"), SERVICE);
        assert!(matches!(deeper, Err(Refusal::NotDelegated(_))));
        let nowhere = Given::choose(None, None, |_| true, |_| true);
        assert!(matches!(nowhere, Err(Refusal::None)));
        let theirs = |folder: &Path| folder.starts_with("/groups/user.slice");
        // What is above belongs to them as well, and others live there.
        let scope = "/groups/user.slice/app.slice/run-1.scope";
        let chosen = Given::choose(Some(Path::new(scope)), None, |_| false, theirs).unwrap();
        assert_eq!(chosen, given(scope, true));
    }

    #[test]
    fn a_folder_that_is_named_needs_no_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let named = |own| Given::choose(own, Some(&path), |_| false, |_| false).unwrap();
        assert!(!named(None).within && !named(Some(Path::new(SERVICE))).within);
        assert!(named(Some(&path)).within);
        let nowhere = Given::choose(None, Some(&path.join("nowhere")), |_| false, |_| false).unwrap_err();
        assert!(nowhere.to_string().contains("nowhere"), "{nowhere}");
    }

    /// Files in the place of a group's own.
    fn group(controllers: &str, processes: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("cgroup.controllers", controllers),
            ("cgroup.procs", processes),
            ("cgroup.subtree_control", "cpu memory pids"),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn take(folder: &Path, within: bool) -> Result<PathBuf, Refusal> {
        let folder = folder.to_owned();
        Given { folder, within }.take()
    }

    #[test]
    fn a_group_is_taken_only_where_nobody_else_lives_in_it() {
        let own = getpid().as_raw_nonzero().get();
        let empty = group("memory pids", "");
        assert_eq!(take(empty.path(), false).unwrap(), empty.path());
        for (processes, within) in [
            (format!("{own}\n"), false),
            (format!("{own}\n1\n"), true),
            ("1\n".to_owned(), true),
        ] {
            let folder = group("memory pids", &processes);
            let refused = take(folder.path(), within).unwrap_err();
            assert!(matches!(refused, Refusal::Shared(_)), "{processes:?}: {refused}");
            assert!(!folder.path().join(SUPERVISOR).exists());
        }
    }

    #[test]
    fn who_is_alone_moves_down() {
        let own = getpid().as_raw_nonzero().get();
        let folder = group("memory pids", &format!("{own}\n"));
        let below = folder.path().join(SUPERVISOR);
        fs::create_dir(&below).unwrap();
        fs::write(below.join("cgroup.procs"), "").unwrap();
        take(folder.path(), true).unwrap();
        assert_eq!(
            fs::read_to_string(below.join("cgroup.procs")).unwrap(),
            own.to_string()
        );
    }

    #[test]
    fn without_its_controllers_a_group_is_of_no_use() {
        let folder = group("hugetlb", "");
        let refused = take(folder.path(), true).unwrap_err();
        assert!(refused.to_string().contains("no memory and no pids"), "{refused}");
        assert_eq!(refused.errno(), 0);
        let refused = take(Path::new("/nowhere"), true).unwrap_err();
        assert_eq!(refused.errno(), 2, "{refused}");
    }
}
