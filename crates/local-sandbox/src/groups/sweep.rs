//! Removing groups: of runs that ended, and of supervisors that died.

use std::{fs, io, os::fd::OwnedFd, path::Path, thread::sleep, time::Duration};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, fstat, open, stat},
    io::Errno,
};

use super::{OURS, files};

/// What is in a supervisor's folder, by the beginning of its name.
const KINDS: [&str; 3] = ["run-", "zygote-", "probe-"];
/// A killed process is gone within some of these.
const PAUSE: Duration = Duration::from_millis(5);
const MOST_PAUSES: u32 = 40;

/// Removes what dead supervisors left in this place. What is not ours by its name stays, and what somebody alive has
/// locked.
pub(super) fn dead(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else {
        return;
    };
    for entry in entries.flatten() {
        let is_ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(OURS));
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let folder = entry.path();
        if let Ok(Some(_lock)) = lock(&folder) {
            end(&folder);
        }
    }
}

/// Ends whatever is in a supervisor's folder and removes it. What is still not dead after a fifth of a second is left
/// to the next sweep.
pub(super) fn end(folder: &Path) {
    // Everything below is killed with it.
    let _ = files::write(folder, files::KILL, "1");
    for _ in 0..MOST_PAUSES {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let known = |name: &str| KINDS.iter().any(|kind| name.starts_with(kind));
            if name.to_str().is_some_and(known) {
                removed(&entry.path());
            }
        }
        match fs::remove_dir(folder) {
            Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => sleep(PAUSE),
            _ => return,
        }
    }
}

/// Removes a group and says whether it is gone. Not yet, where something in it still dies.
pub(super) fn removed(folder: &Path) -> bool {
    match fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Locks a folder for as long as this is open. `None` where somebody else has, or where it is gone meanwhile.
pub(super) fn lock(folder: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let opened = match open(folder, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let (ours, there) = (fstat(&opened)?, stat(folder));
    let is_there = there.is_ok_and(|there| (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino));
    Ok(is_there.then_some(opened))
}
