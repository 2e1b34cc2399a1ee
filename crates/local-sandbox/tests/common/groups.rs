//! The control groups of this process, as the kernel shows them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// That of a process. A machine without groups of version 2 has this one folder.
pub(crate) fn group_of(process: &str) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    Path::new("/sys/fs/cgroup").join(group.unwrap_or_default())
}

/// What was delegated: this process has gone one down.
pub(crate) fn delegated() -> PathBuf {
    group_of("self").parent().unwrap().to_owned()
}

/// The folders in this one whose names begin so.
pub(crate) fn below(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix))
        .collect()
}

/// The groups of runs of this process.
pub(crate) fn runs() -> Vec<PathBuf> {
    let ours = below(&delegated(), &format!("meterbox-runs-{}-", std::process::id()));
    ours.iter().flat_map(|ours| below(ours, "run-")).collect()
}
