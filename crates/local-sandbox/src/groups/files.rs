//! The files of a control group: what is read from them, what is written.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

pub(super) const PROCESSES: &str = "cgroup.procs";
pub(super) const KILL: &str = "cgroup.kill";
const CONTROLLERS: &str = "cgroup.controllers";
const BELOW: &str = "cgroup.subtree_control";
/// Without these there is no tier.
const NEEDED: [&str; 2] = ["memory", "pids"];
/// Shares the processor among runs and not among their threads, where it is there.
const WELCOME: &str = "cpu";

/// Of these lines, that of version 2: the group of the process that `/proc/PID/cgroup` is about.
pub(super) fn own_group(text: &str) -> Option<&str> {
    // A group that was removed is called so, and cannot be used.
    let group = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    (group.starts_with('/') && !group.ends_with(" (deleted)")).then_some(group)
}

/// Where this group is, according to the lines of `/proc/self/mountinfo`; several where it is mounted more than once.
pub(super) fn folders_of<'a>(group: &'a str, mounts: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    mounts.lines().filter_map(move |line| {
        let (mount, kind) = line.split_once(" - ")?;
        if kind.split(' ').next()? != "cgroup2" {
            return None;
        }
        // Number, its parent's, device, what of it is mounted, where.
        let mut words = mount.split(' ').skip(3);
        let (mounted, at) = (plain(words.next()?), plain(words.next()?));
        let below = group.strip_prefix(mounted.trim_end_matches('/'))?;
        if !below.is_empty() && !below.starts_with('/') {
            return None;
        }
        Some(Path::new(&at).join(below.trim_start_matches('/')))
    })
}

/// Blanks and the like stand there as numbers.
fn plain(word: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(word.to_owned(), |word, (escaped, plain)| {
            word.replace(escaped, plain)
        })
}

/// The number behind this name in a file of names and numbers.
pub(super) fn number(text: &str, name: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

/// Processor time, from `cpu.stat`.
pub(super) fn processor_time(text: &str) -> Option<Duration> {
    number(text, "usage_usec").map(Duration::from_micros)
}

/// Memory that holds files and not what a program has allocated, from `memory.stat`.
pub(super) fn file_bytes(text: &str) -> Option<u64> {
    number(text, "file")
}

/// Whether its own cap on memory ended it, from `memory.events`: where the whole machine has no memory left, a kill is
/// counted and no want of the group's own.
pub(super) fn ran_out_of_memory(text: &str) -> bool {
    let happened = |name| number(text, name).is_some_and(|times| times > 0);
    happened("oom") && happened("oom_kill")
}

/// The processes of a group, as this process counts them.
pub(super) fn processes(folder: &Path) -> io::Result<Vec<i32>> {
    let text = fs::read_to_string(folder.join(PROCESSES))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

/// Those of the needed controllers that a group does not have.
pub(super) fn missing_controllers(folder: &Path) -> io::Result<Vec<&'static str>> {
    let text = fs::read_to_string(folder.join(CONTROLLERS))?;
    let has = |name: &&str| text.split_whitespace().any(|word| word == *name);
    Ok(NEEDED.into_iter().filter(|name| !has(name)).collect())
}

/// Lets the groups below this one be capped.
pub(super) fn delegate_controllers(folder: &Path) -> io::Result<()> {
    let below = fs::read_to_string(folder.join(BELOW)).unwrap_or_default();
    let has = |name: &&str| below.split_whitespace().any(|word| word == *name);
    if !NEEDED.iter().all(has) {
        write(folder, BELOW, &NEEDED.map(|name| format!("+{name}")).join(" "))?;
    }
    if !has(&WELCOME) {
        // Not delegated, or taken by processes in real time: then there is none.
        let _ = write(folder, BELOW, &format!("+{WELCOME}"));
    }
    Ok(())
}

/// Writes one of a group's files. Unlike another file it is there, or there is no such thing here.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(folder.join(name))?;
    io::Write::write_all(&mut file, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_that_of_version_2() {
        let hybrid =
            "12:memory:/user\n4:pids:/\n1:name=systemd:/init.scope\n0::/system.slice/meterbox.service\n";
        assert_eq!(own_group(hybrid), Some("/system.slice/meterbox.service"));
        assert_eq!(own_group("0::/\n"), Some("/"));
        assert_eq!(own_group("3:cpu:/\n"), None);
        assert_eq!(own_group("0::/gone (deleted)\n"), None);
        assert_eq!(own_group(""), None);
    }

    #[test]
    fn a_group_is_found_below_what_is_mounted() {
        let found = |group: &str, mounts: &str| folders_of(group, mounts).collect::<Vec<_>>();
        let whole = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(found("/a/b", whole), [Path::new("/sys/fs/cgroup/a/b")]);
        assert_eq!(found("/", whole), [Path::new("/sys/fs/cgroup")]);
        let part = "29 23 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        assert_eq!(found("/docker/1/x", part), [Path::new("/sys/fs/cgroup/x")]);
        assert!(found("/docker/12", part).is_empty());
        assert!(found("/other", part).is_empty());
        let hybrid = "30 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      42 23 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(found("/x", hybrid), [Path::new("/sys/fs/cgroup/unified/x")]);
        let blank = "29 23 0:26 / /a\\040place rw - cgroup2 cgroup2 rw\n";
        assert_eq!(found("/x", blank), [Path::new("/a place/x")]);
        assert!(found("/x", "nothing of the kind\n\n- cgroup2\n").is_empty());
    }

    #[test]
    fn numbers_stand_behind_their_names() {
        let events = "low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(number(events, "max"), Some(12));
        assert_eq!(number(events, "oom"), Some(1));
        assert_eq!(number(events, "oo"), None);
        assert!(ran_out_of_memory(events));
        assert!(!ran_out_of_memory("oom 1\noom_kill 0\n"), "it could be helped");
        assert!(
            !ran_out_of_memory("oom 0\noom_kill 1\n"),
            "the machine's want, not its own"
        );
        assert!(!ran_out_of_memory(""));
        let time = processor_time("usage_usec 1500000\nuser_usec 1\nsystem_usec 2\n");
        assert_eq!(time, Some(Duration::from_millis(1500)));
        assert_eq!(processor_time("usage_usec much\n"), None);
        assert_eq!(file_bytes("anon 5\nfile 4096\nfile_mapped 1\n"), Some(4096));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let has = |text| fs::write(folder.path().join(CONTROLLERS), text).unwrap();
        has("hugetlb\n");
        assert_eq!(missing_controllers(folder.path()).unwrap(), ["memory", "pids"]);
        has("cpu memory_too pids\n");
        assert_eq!(missing_controllers(folder.path()).unwrap(), ["memory"]);
        has("cpu memory pids\n");
        assert!(missing_controllers(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn controllers_are_asked_for_once() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join(BELOW);
        fs::write(&below, "cpu memory pids\n").unwrap();
        delegate_controllers(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&below).unwrap(), "cpu memory pids\n");
        fs::write(&below, "").unwrap();
        delegate_controllers(folder.path()).unwrap();
        // A plain file keeps the last word at its beginning.
        assert_eq!(fs::read_to_string(&below).unwrap(), "+cpuory +pids");
        fs::remove_file(&below).unwrap();
        assert!(delegate_controllers(folder.path()).is_err());
    }
}
