//! One control group.

use std::{
    fs, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::{Mode, OFlags, open};
use tokio::runtime::Handle;

use super::{Groups, files, sweep};

/// Between two attempts to remove a group whose processes are being killed; each is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
/// Shares of the processor, as priorities are called: the least, and what a new group has.
const LEAST: &str = "19";
const USUAL: &str = "0";
const MOST_ATTEMPTS: u32 = 12;

/// What a group may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caps {
    pub(crate) memory_bytes: u64,
    /// Processes and threads.
    pub(crate) tasks: u64,
}

/// A group for one process. Dropping it kills what is in it and removes it.
#[derive(Debug)]
pub(crate) struct Group {
    folder: PathBuf,
    handle: OwnedFd,
    groups: Arc<Groups>,
}

impl Group {
    /// The folder is there already, and is removed where anything fails.
    pub(super) fn new(folder: PathBuf, groups: Arc<Groups>) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match open(&folder, flags, Mode::empty()) {
            Ok(handle) => Ok(Self {
                folder,
                handle,
                groups,
            }),
            Err(error) => {
                sweep::removed(&folder);
                Err(error.into())
            }
        }
    }

    /// One whose files are plain ones, below this folder.
    #[cfg(test)]
    pub(crate) fn of_plain_files(folder: &Path) -> Arc<Self> {
        let groups = Groups::of_plain_files(folder);
        let own = groups.folder().join("run-1");
        fs::create_dir(&own).unwrap();
        Arc::new(Self::new(own, groups).unwrap())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// For the call that makes a process in it.
    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Caps it from now on. Where memory runs out, all of it is killed at once.
    pub(crate) fn cap(&self, caps: Caps) -> io::Result<()> {
        self.write("memory.max", &caps.memory_bytes.to_string())?;
        self.write("memory.oom.group", "1")?;
        // A kernel without swap has no cap for it.
        match self.write("memory.swap.max", "0") {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.write("pids.max", &caps.tasks.to_string())
    }

    /// Moves a process that lives already.
    pub(crate) fn put(&self, process: u32) -> io::Result<()> {
        self.write(files::PROCESSES, &process.to_string())
    }

    pub(crate) fn holds(&self, process: i32) -> io::Result<bool> {
        Ok(files::processes(&self.folder)?.contains(&process))
    }

    /// Gives it the least share of the processor from now on, or its usual one, where that is shared among groups: there a
    /// priority counts only within one.
    pub(crate) fn goes_after_others(&self, after_others: bool) {
        let share = if after_others { LEAST } else { USUAL };
        // Where there is none, its priority counts.
        let _ = self.write("cpu.weight.nice", share);
    }

    /// Kills all that is in it.
    pub(crate) fn kill(&self) {
        // Fails only where it is gone, and on kernels before 5.14; there is one process in it, which has a handle.
        let _ = self.write(files::KILL, "1");
    }

    /// Of everything that was ever in it.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        files::processor_time(&self.read("cpu.stat")?)
    }

    /// Memory it has now, in bytes.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.read("memory.current")?.trim().parse().ok()
    }

    /// The most it ever had. A kernel before 5.19 keeps none.
    pub(crate) fn peak(&self) -> Option<u64> {
        self.read("memory.peak")?.trim().parse().ok()
    }

    /// What of its memory holds files, in bytes.
    pub(crate) fn file_bytes(&self) -> Option<u64> {
        files::file_bytes(&self.read("memory.stat")?)
    }

    /// Whether its own cap on memory has ended it.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.read("memory.events")
            .is_some_and(|events| files::ran_out_of_memory(&events))
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        files::write(&self.folder, name, text)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if sweep::removed(&self.folder) {
            return;
        }
        self.kill();
        if sweep::removed(&self.folder) {
            return;
        }
        self.groups.leave(self.folder.clone());
        // Where nothing can run any more, the last who holds the groups ends them.
        let Ok(threads) = Handle::try_current() else {
            return;
        };
        let groups = Arc::clone(&self.groups);
        threads.spawn(async move {
            for attempt in 0..MOST_ATTEMPTS {
                tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(attempt)).await;
                if groups.remove_left() {
                    return;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_share_of_the_processor_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let group = Group::of_plain_files(folder.path());
        let share = group.folder().join("cpu.weight.nice");
        group.goes_after_others(true);
        assert!(!share.exists(), "it is not shared among groups");
        for (after_others, nice) in [(true, "19"), (false, "0")] {
            fs::write(&share, "").unwrap();
            group.goes_after_others(after_others);
            assert_eq!(fs::read_to_string(&share).unwrap(), nice);
        }
    }
}
