//! Files a program left, taken over by the handle of its working folder.
//!
//! Nothing moves any more: the program is dead and only this handle keeps the folder in being, or all its threads are
//! stopped between two cells of a session. The folder's contents are still hostile: links, pipes, sparse giants, names made
//! to escape.

use std::{
    collections::{HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::{fd::BorrowedFd, unix::fs::OpenOptionsExt},
    path::Path,
};

use meterbox_sandbox_client::{Artifact, ArtifactNames, Limits, RejectedArtifact, printable};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use sha2::{Digest, Sha256};

/// More rejections than anybody reads.
const MOST_REJECTED: usize = 100;

#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) kept: Vec<Artifact>,
    pub(crate) rejected: Vec<RejectedArtifact>,
}

/// What a session's cells left that was told of before. Only what is still there is remembered.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    files: HashMap<Vec<u8>, Content>,
    rejected: HashSet<(Vec<u8>, String)>,
}

/// What is in a file: its length and its SHA-256. Its dates are coarser than cells are quick.
type Content = (u64, [u8; 32]);

/// Copies the regular files at the top of `from` into the folder `into`. Blocking.
pub(crate) fn collect(from: BorrowedFd<'_>, into: &Path, limits: &Limits) -> io::Result<Collected> {
    collect_all(from, into, limits, None)
}

/// The same of what is new or other than it was, under names that nothing in `into` has yet. Blocking.
pub(crate) fn collect_new(
    from: BorrowedFd<'_>,
    into: &Path,
    limits: &Limits,
    seen: &mut Seen,
) -> io::Result<Collected> {
    collect_all(from, into, limits, Some(seen))
}

fn collect_all(
    from: BorrowedFd<'_>,
    into: &Path,
    limits: &Limits,
    mut seen: Option<&mut Seen>,
) -> io::Result<Collected> {
    let mut names = list(from)?;
    // The folder's order is the kernel's affair; which files stay below the caps has to be repeatable.
    names.sort_unstable();
    let before = seen.as_deref_mut().map(std::mem::take);
    let mut collected = Collected::default();
    let mut safe_names = ArtifactNames::default();
    let mut room = limits.artifacts_total_bytes;
    // Files with holes are longer altogether than their folder is large, and reading them all again takes its time.
    let mut to_look_at = limits.scratch_bytes;
    let mut not_listed = 0_usize;
    for name in names {
        let known = before.as_ref().map(|before| before.files.get(&name));
        let is_full = collected.kept.len() >= limits.artifacts as usize;
        let taken = if is_full && !matches!(known, Some(Some(_))) {
            Err(full(limits))
        } else {
            let place = Place {
                into,
                most: limits.artifact_bytes.min(room),
                is_full,
                known,
            };
            take(from, &name, &mut safe_names, &place, limits, &mut to_look_at)
        };
        if let Err(Rejection::Because(reason)) = &taken {
            let told = (name.clone(), reason.clone());
            let was_told = before
                .as_ref()
                .is_some_and(|before| before.rejected.contains(&told));
            if let Some(seen) = seen.as_deref_mut() {
                seen.rejected.insert(told);
                if let Some(Some(content)) = known {
                    seen.files.insert(name.clone(), *content);
                }
            }
            if was_told {
                continue;
            }
        }
        match taken {
            Ok((artifact, content)) => {
                room -= artifact.bytes;
                collected.kept.push(artifact);
                if let Some((seen, content)) = seen.as_deref_mut().zip(content) {
                    seen.files.insert(name, content);
                }
            }
            Err(Rejection::Unchanged(content)) => {
                if let Some(seen) = seen.as_deref_mut() {
                    seen.files.insert(name, content);
                }
            }
            Err(Rejection::Fault(error)) => return Err(error),
            Err(Rejection::Because(_)) if collected.rejected.len() >= MOST_REJECTED => not_listed += 1,
            Err(Rejection::Because(reason)) => {
                let name = printable(&name);
                collected.rejected.push(RejectedArtifact { name, reason });
            }
        }
    }
    if not_listed > 0 {
        let reason = format!("{not_listed} more were not collected");
        let name = "…".to_owned();
        collected.rejected.push(RejectedArtifact { name, reason });
    }
    Ok(collected)
}

enum Rejection {
    /// The file's own doing.
    Because(String),
    /// It was collected as it is.
    Unchanged(Content),
    /// Ours: the folder to collect into does not take it.
    Fault(io::Error),
}

impl Rejection {
    fn because(reason: impl Into<String>) -> Self {
        Self::Because(reason.into())
    }
}

fn full(limits: &Limits) -> Rejection {
    Rejection::Because(format!("more than {} files", limits.artifacts))
}

fn list(folder: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    // A program may have closed its folder to everybody, itself included.
    rustix::fs::fchmod(folder, Mode::RWXU)?;
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    Ok(names)
}

/// Where a file goes, and what is known of it.
struct Place<'a> {
    into: &'a Path,
    most: u64,
    is_full: bool,
    /// In a session: what was in it when it was collected, if it was.
    known: Option<Option<&'a Content>>,
}

fn take(
    from: BorrowedFd<'_>,
    name: &[u8],
    safe_names: &mut ArtifactNames,
    place: &Place<'_>,
    limits: &Limits,
    to_look_at: &mut u64,
) -> Result<(Artifact, Option<Content>), Rejection> {
    let mut file = open(from, name)?;
    let about = fstat(&file).map_err(|error| Rejection::Fault(error.into()))?;
    match FileType::from_raw_mode(about.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => {
            return Err(Rejection::because(
                "a folder; only files at the top are collected",
            ));
        }
        _ => return Err(Rejection::because("not a regular file")),
    }
    if about.st_nlink != 1 {
        return Err(Rejection::because("it has more than one name (a hard link)"));
    }
    let size = u64::try_from(about.st_size).unwrap_or(u64::MAX);
    if size > limits.artifact_bytes {
        let reason = format!("{size} bytes, more than {}", limits.artifact_bytes);
        return Err(Rejection::Because(reason));
    }
    if let Some(Some(before)) = place
        .known
        .filter(|known| known.is_some_and(|(bytes, _)| *bytes == size))
    {
        let Some(left) = to_look_at.checked_sub(size) else {
            return Err(Rejection::because(
                "it is not looked at again: with their holes, all files are longer than the folder may be large",
            ));
        };
        *to_look_at = left;
        let content = (size, digest(&mut file, size).map_err(Rejection::Fault)?);
        if content == *before {
            return Err(Rejection::Unchanged(content));
        }
        file.rewind().map_err(Rejection::Fault)?;
    }
    if place.is_full {
        return Err(full(limits));
    }
    if size > place.most {
        let reason = format!(
            "all files together are more than {} bytes",
            limits.artifacts_total_bytes
        );
        return Err(Rejection::Because(reason));
    }
    let mut safe = safe_names.safe(name);
    // An earlier cell's file may have this name.
    while place.known.is_some() && place.into.join(&safe).symlink_metadata().is_ok() {
        safe = safe_names.safe(name);
    }
    let path = place.into.join(&safe);
    let mut digest = place.known.is_some().then(Sha256::new);
    let bytes = copy(file, &path, size, digest.as_mut()).map_err(Rejection::Fault)?;
    let content = digest.map(|digest| (bytes, digest.finalize().into()));
    let name = safe;
    Ok((Artifact { name, path, bytes }, content))
}

fn open(folder: BorrowedFd<'_>, name: &[u8]) -> Result<File, Rejection> {
    // Not blocking, or a named pipe would hold us up for ever.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let inside = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    match openat2(folder, name, flags, Mode::empty(), inside) {
        Ok(file) => Ok(file.into()),
        Err(rustix::io::Errno::LOOP) => Err(Rejection::because("a symbolic link")),
        Err(rustix::io::Errno::XDEV) => Err(Rejection::because("it lies outside the working folder")),
        Err(rustix::io::Errno::ACCESS) => {
            Err(Rejection::because("the program took the right to read it away"))
        }
        Err(rustix::io::Errno::NOENT) => Err(Rejection::because("it was there for a moment only")),
        // Where it lives, it may have asked to be told before others read.
        Err(rustix::io::Errno::AGAIN) => Err(Rejection::because("the program keeps it from being read")),
        Err(rustix::io::Errno::NXIO) => Err(Rejection::because("not a regular file")),
        Err(error) => Err(Rejection::Fault(error.into())),
    }
}

/// A new file, never one that is there already, with plain rights whatever the original's were.
fn copy(from: File, to: &Path, size: u64, digest: Option<&mut Sha256>) -> io::Result<u64> {
    let target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(to)?;
    pour(from.take(size), target, digest)
}

fn digest(from: &mut File, size: u64) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    pour(from.take(size), io::sink(), Some(&mut digest))?;
    Ok(digest.finalize().into())
}

fn pour(mut from: impl Read, mut to: impl Write, digest: Option<&mut Sha256>) -> io::Result<u64> {
    let Some(digest) = digest else {
        return io::copy(&mut from, &mut to);
    };
    let mut chunk = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        let read = from.read(&mut chunk)?;
        if read == 0 {
            return Ok(bytes);
        }
        digest.update(&chunk[..read]);
        to.write_all(&chunk[..read])?;
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::{fd::AsFd, unix::fs::PermissionsExt},
    };

    use super::*;

    fn collected(prepare: impl FnOnce(&Path), limits: &Limits) -> (Collected, tempfile::TempDir) {
        let (from, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        prepare(from.path());
        let folder = File::open(from.path()).unwrap();
        let collected = collect(folder.as_fd(), into.path(), limits).unwrap();
        (collected, into)
    }

    #[test]
    fn only_plain_files_are_taken() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        fs::write(secret.path(), "secret").unwrap();
        let (collected, into) = collected(
            |folder| {
                fs::write(folder.join("good.csv"), "a,b").unwrap();
                fs::set_permissions(folder.join("good.csv"), fs::Permissions::from_mode(0o4755)).unwrap();
                std::os::unix::fs::symlink(secret.path(), folder.join("link")).unwrap();
                std::os::unix::fs::symlink("good.csv", folder.join("link-inside")).unwrap();
                fs::create_dir(folder.join("folder")).unwrap();
                fs::write(folder.join("one"), "x").unwrap();
                fs::hard_link(folder.join("one"), folder.join("other")).unwrap();
                let fifo = folder.join("fifo");
                rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
                let _ = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
            },
            &Limits::default(),
        );
        let kept: Vec<&str> = collected.kept.iter().map(|kept| kept.name.as_str()).collect();
        assert_eq!(kept, ["good.csv"]);
        let mode = fs::metadata(&collected.kept[0].path)
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7111, 0, "{mode:o}");
        assert_eq!(collected.rejected.len(), 7, "{:?}", collected.rejected);
        assert_eq!(fs::read_dir(into.path()).unwrap().count(), 1);
    }

    #[test]
    fn caps_hold_and_are_said() {
        let limits = Limits {
            artifacts: 3,
            artifact_bytes: 10,
            artifacts_total_bytes: 16,
            ..Limits::default()
        };
        let (collected, _into) = collected(
            |folder| {
                fs::write(folder.join("a"), [0; 10]).unwrap();
                fs::write(folder.join("b"), [0; 11]).unwrap();
                fs::write(folder.join("c"), [0; 7]).unwrap();
                for name in ["d", "e", "f"] {
                    fs::write(folder.join(name), [0; 1]).unwrap();
                }
                // A giant that takes no room.
                File::create(folder.join("sparse"))
                    .unwrap()
                    .set_len(1 << 40)
                    .unwrap();
            },
            &limits,
        );
        let kept: Vec<&str> = collected.kept.iter().map(|kept| kept.name.as_str()).collect();
        assert_eq!(kept, ["a", "d", "e"]);
        let reasons: Vec<&str> = collected
            .rejected
            .iter()
            .map(|file| file.reason.as_str())
            .collect();
        assert_eq!(
            reasons,
            [
                "11 bytes, more than 10",
                "all files together are more than 16 bytes",
                "more than 3 files",
                "more than 3 files",
            ]
        );
    }

    #[test]
    fn a_session_is_not_read_again_beyond_its_folder() {
        let (from, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = |name: &str| File::create(from.path().join(name)).unwrap();
        for name in ["a", "b", "c"] {
            file(name).set_len(400).unwrap();
        }
        let limits = Limits {
            scratch_bytes: 1_000,
            ..Limits::default()
        };
        let folder = File::open(from.path()).unwrap();
        let mut seen = Seen::default();
        let mut collect = || {
            let collected = collect_new(folder.as_fd(), into.path(), &limits, &mut seen).unwrap();
            let kept: Vec<String> = collected.kept.into_iter().map(|kept| kept.name).collect();
            let rejected: Vec<String> = collected.rejected.into_iter().map(|file| file.name).collect();
            (kept, rejected)
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(collect(), (names(&["a", "b", "c"]), names(&[])));
        assert_eq!(
            collect(),
            (names(&[]), names(&["c"])),
            "with its holes it is too much"
        );
        assert_eq!(collect(), (names(&[]), names(&[])), "that was told");
        // It is not new when there is room again, and what is new is taken.
        fs::remove_file(from.path().join("a")).unwrap();
        file("d").set_len(400).unwrap();
        assert_eq!(collect(), (names(&["d"]), names(&[])));
    }

    #[test]
    fn a_flood_of_rejections_is_summed_up() {
        let limits = Limits {
            artifacts: 0,
            ..Limits::default()
        };
        let (collected, _into) = collected(
            |folder| (0..150).for_each(|i| fs::write(folder.join(i.to_string()), "").unwrap()),
            &limits,
        );
        assert_eq!(collected.rejected.len(), MOST_REJECTED + 1);
        assert_eq!(
            collected.rejected[MOST_REJECTED].reason,
            "50 more were not collected"
        );
    }
}
