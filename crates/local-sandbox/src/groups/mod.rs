//! Control groups of version 2: one for each child, below one that this supervisor was given.
//!
//! ```text
//! what was delegated
//! ├── meterbox-supervisor    the supervisor itself: a group with groups below it may hold no process
//! └── meterbox-runs-PID-N    ours, locked as long as we live
//!     ├── zygote-N
//!     └── run-N              one child, from its birth to its death
//! ```

mod files;
mod group;
mod place;
mod sweep;

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::chown},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::process::{geteuid, getpid};

pub(crate) use self::{
    group::{Caps, Group},
    place::{Given, Refusal},
};

/// What the groups of all supervisors are called; the process and a number follow.
const OURS: &str = "meterbox-runs-";
/// More supervisors than this in one process are a mistake.
const MOST_OURS: u32 = 1000;

/// The groups of one supervisor. The last who holds it removes them.
#[derive(Debug)]
pub(crate) struct Groups {
    folder: PathBuf,
    /// Nobody sweeps it while this is open.
    _lock: OwnedFd,
    /// Who makes children, where that is somebody else.
    maker: Option<(u32, u32)>,
    next: AtomicU64,
    /// Could not be removed yet: the death of what was in them takes its time.
    left: Mutex<Vec<PathBuf>>,
}

impl Groups {
    /// Takes a place among the groups that are delegated to this process, or below the folder that was named, and removes
    /// what supervisors left there that are dead. `maker`: who makes children where this is root.
    ///
    /// # Errors
    /// Where there is none, why.
    pub(crate) fn find(named: Option<&Path>, maker: (u32, u32)) -> Result<Arc<Self>, Refusal> {
        let place = Given::of_this_machine(named)?.take()?;
        Self::below(&place, geteuid().is_root().then_some(maker))
    }

    /// Below a group that may have groups.
    fn below(place: &Path, maker: Option<(u32, u32)>) -> Result<Arc<Self>, Refusal> {
        sweep::dead(place);
        let failed = |error| Refusal::failed("making a group", place, error);
        let (folder, lock) = own(place).map_err(failed)?;
        let groups = Self {
            folder,
            _lock: lock,
            maker,
            next: AtomicU64::new(1),
            left: Mutex::default(),
        };
        files::delegate_controllers(&groups.folder)
            .and_then(|()| groups.hand_over(&groups.folder))
            .map_err(|error| Refusal::failed("preparing a group", &groups.folder, error))?;
        Ok(Arc::new(groups))
    }

    #[cfg(test)]
    fn of_plain_files(place: &Path) -> Arc<Self> {
        let (folder, lock) = own(place).unwrap();
        Arc::new(Self {
            folder,
            _lock: lock,
            maker: None,
            next: AtomicU64::new(1),
            left: Mutex::default(),
        })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new group. `caps`: none for what is trusted.
    pub(crate) fn make(self: &Arc<Self>, kind: &str, caps: Option<Caps>) -> io::Result<Group> {
        self.remove_left();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.folder.join(format!("{kind}-{number}"));
        fs::create_dir(&folder)?;
        // From here on, dropping it removes it.
        let group = Group::new(folder, Arc::clone(self))?;
        self.hand_over(group.folder())?;
        if let Some(caps) = caps {
            group.cap(caps)?;
        }
        Ok(group)
    }

    /// Lets whoever makes children put them in here; what caps a group stays ours.
    fn hand_over(&self, folder: &Path) -> io::Result<()> {
        match self.maker {
            Some((uid, gid)) => chown(folder.join(files::PROCESSES), Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// Remembers a group that is not empty yet.
    fn leave(&self, folder: PathBuf) {
        self.left().push(folder);
    }

    /// Removes those that are empty by now, and says whether all are gone.
    fn remove_left(&self) -> bool {
        let mut left = self.left();
        left.retain(|folder| !sweep::removed(folder));
        left.is_empty()
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Vec<PathBuf>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        sweep::end(&self.folder);
    }
}

/// Makes a folder of our own that nobody else sweeps.
fn own(place: &Path) -> io::Result<(PathBuf, OwnedFd)> {
    let process = getpid().as_raw_nonzero();
    for number in 1..=MOST_OURS {
        let folder = place.join(format!("{OURS}{process}-{number}"));
        match fs::create_dir(&folder) {
            Ok(()) => {}
            // Another of this process, or of a dead one with the same number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        }
        // Somebody may have swept it already: it was nobody's.
        if let Some(lock) = sweep::lock(&folder)? {
            return Ok((folder, lock));
        }
    }
    Err(io::Error::other(format!(
        "there are {MOST_OURS} groups of this process already"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folders behave as groups do as far as nobody looks into their files.
    fn delegated() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        folder
    }

    fn ours(place: &Path) -> Vec<String> {
        let entries = fs::read_dir(place)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let names = entries.map(|name| name.into_string().unwrap());
        names.filter(|name| name.starts_with(OURS)).collect()
    }

    #[test]
    fn each_supervisor_has_a_folder_of_its_own() {
        let place = delegated();
        let (first, lock) = own(place.path()).unwrap();
        let (second, _other) = own(place.path()).unwrap();
        assert_ne!(first, second);
        assert!(sweep::lock(&first).unwrap().is_none(), "it is ours");
        drop(lock);
        assert!(sweep::lock(&first).unwrap().is_some(), "it is nobody's");
    }

    #[test]
    fn what_a_dead_supervisor_left_is_removed_and_no_more() {
        let place = delegated();
        let (dead, lock) = own(place.path()).unwrap();
        for name in ["zygote-1", "run-2"] {
            fs::create_dir(dead.join(name)).unwrap();
        }
        let (alive, _lock) = own(place.path()).unwrap();
        fs::create_dir(alive.join("run-1")).unwrap();
        for name in ["somebody-elses", "meterbox-supervisor"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        drop(lock);
        sweep::dead(place.path());
        assert!(!dead.exists());
        assert!(alive.join("run-1").exists());
        assert_eq!(ours(place.path()).len(), 1);
        assert!(place.path().join("somebody-elses").exists());
        assert!(place.path().join("meterbox-supervisor").exists());
    }

    #[test]
    fn a_folder_with_a_strangers_group_in_it_stays() {
        let place = delegated();
        let (dead, lock) = own(place.path()).unwrap();
        fs::create_dir(dead.join("precious")).unwrap();
        drop(lock);
        sweep::dead(place.path());
        assert!(dead.join("precious").exists());
    }

    #[test]
    fn where_no_group_can_be_made_the_reason_is_said() {
        let place = delegated();
        fs::remove_dir_all(place.path()).unwrap();
        let refused = Groups::below(place.path(), None).unwrap_err();
        assert!(refused.to_string().contains("making a group"), "{refused}");
    }
}
