//! One installation at a time in a folder.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
    process::Stdio,
};

const FILE: &str = "install.lock";

/// The right to change a runtime folder. It ends with this process and with every program that was started with
/// [`Turn::as_stdin`]: one that outlives an installer that was killed still writes.
#[derive(Debug)]
pub(super) struct Turn(File);

impl Turn {
    /// Waits for it, and says so first where somebody else has it.
    pub(super) fn take(folder: &Path, mut waits: impl FnMut()) -> io::Result<Self> {
        loop {
            fs::create_dir_all(folder)?;
            let file = open(folder)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    waits();
                    file.lock()?;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if is_in_place(&file, folder) {
                return Ok(Self(file));
            }
        }
    }

    /// Takes it where nobody has it.
    pub(super) fn try_take(folder: &Path) -> io::Result<Option<Self>> {
        let file = open(folder)?;
        match file.try_lock() {
            Ok(()) => Ok(is_in_place(&file, folder).then_some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The lock as an empty file to read from, so that the program that gets it holds the turn too.
    pub(super) fn as_stdin(&self) -> io::Result<Stdio> {
        Ok(self.0.try_clone()?.into())
    }
}

fn open(folder: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(folder.join(FILE))
}

/// Whether the file is still the one that the next comer locks: the folder may have been removed meanwhile.
fn is_in_place(file: &File, folder: &Path) -> bool {
    is_at(file, &folder.join(FILE))
}

/// Whether the file is the one that is there now.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use std::{process::Command, sync::mpsc, thread, time::Duration};

    use super::*;

    #[test]
    fn a_program_that_outlives_its_installer_holds_the_turn() {
        let folder = tempfile::tempdir().unwrap();
        let turn = Turn::take(folder.path(), || panic!("nobody has it")).unwrap();
        let mut program = Command::new("sleep")
            .arg("60")
            .stdin(turn.as_stdin().unwrap())
            .spawn()
            .unwrap();
        drop(turn);
        assert!(Turn::try_take(folder.path()).unwrap().is_none());
        program.kill().unwrap();
        program.wait().unwrap();
        assert!(Turn::try_take(folder.path()).unwrap().is_some());
    }

    #[test]
    fn a_lock_that_was_removed_is_nobodys_turn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let first = Turn::take(&path, || {}).unwrap();
        let (waiting, heard) = mpsc::channel();
        let there = path.clone();
        let second = thread::spawn(move || Turn::take(&there, || waiting.send(()).unwrap()).unwrap());
        heard.recv_timeout(Duration::from_secs(20)).unwrap();
        fs::remove_file(path.join(FILE)).unwrap();
        drop(first);
        let second = second.join().unwrap();
        assert!(Turn::try_take(&path).unwrap().is_none(), "two have the turn");
        drop(second);
        assert!(Turn::try_take(&path).unwrap().is_some());
    }
}
