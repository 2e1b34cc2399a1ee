//! Other users and poorer machines, made of this one: tests of these binaries run again in them.

use std::{
    collections::BTreeSet,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use meterbox_local_sandbox::runtime::Runtime;

const NOBODY: &str = "65534";
/// Installs a filter that refuses calls, as old kernels and containers do, and goes on as another program.
const REFUSING: &str = r#"
import ctypes, os, struct, sys
EPERM, ENOSYS, NEW_USER = 1, 38, 0x10000000
LANDLOCK = [(number, ENOSYS) for number in (444, 445, 446)]
REFUSED = {
    "clone3": [(435, ENOSYS)],
    "landlock": LANDLOCK,
    "container": [(435, ENOSYS), (272, EPERM), (308, EPERM), (165, EPERM), (155, EPERM), (442, EPERM)],
}
rows = [(0x20, 0, 0, 0)]
for name in sys.argv[1].split(","):
    for number, errno in REFUSED[name]:
        rows += [(0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | errno)]
    if name == "container":
        # clone with a new user namespace
        rows += [(0x15, 0, 4, 56), (0x20, 0, 0, 16), (0x45, 0, 1, NEW_USER), (0x06, 0, 0, 0x50000 | EPERM)]
        rows += [(0x06, 0, 0, 0x7FFF0000)]
rows.append((0x06, 0, 0, 0x7FFF0000))
code = b"".join(struct.pack("HBBI", *row) for row in rows)
code = ctypes.create_string_buffer(code, len(code))
libc = ctypes.CDLL(None, use_errno=True)
program = struct.pack("HxxxxxxQ", len(rows), ctypes.addressof(code))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
os.execv(sys.argv[2], sys.argv[2:])
"#;

/// What a machine gives to a plain user.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Host {
    Whole,
    /// A namespace of users in which no more of them can be made.
    NoUserNamespaces,
    /// System calls that are refused: names in the script above.
    Without(&'static str),
    /// Parts of `/proc` are covered, as in a container.
    MaskedProc,
}

/// The latest build of a test binary.
pub(crate) fn newest(folder: &Path, binary: &str) -> PathBuf {
    let prefix = format!("{binary}-");
    let candidates = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    candidates
        .filter(|path| path.extension().is_none())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&prefix))
        .max_by_key(|path| path.metadata().unwrap().modified().unwrap())
        .expect("a built test")
}

/// Runs these tests of a binary as a plain user, in a mount namespace of its own where the folders above the runtime are
/// open to everybody. Only root can do that.
pub(crate) fn as_nobody(
    runtime: &Runtime,
    executable: &Path,
    names: &[&str],
    host: Host,
    variables: &[(&str, &str)],
) -> Output {
    // Every folder is kept aside, its closed parents are covered, and it is put back where it was.
    const SCRIPT: &str = r#"
        set -e
        aside=$ASIDE
        mount -t tmpfs tmpfs "$aside"
        chmod 755 "$aside"
        n=0
        for path in "$VENV" "$BASE" "$EXECUTABLE"; do
            n=$((n+1))
            if [ -d "$path" ]; then mkdir "$aside/$n"; else touch "$aside/$n"; fi
            mount --bind "$path" "$aside/$n"
        done
        for closed in $CLOSED; do mount -t tmpfs -o mode=755 tmpfs "$closed"; done
        n=0
        for path in "$VENV" "$BASE" "$EXECUTABLE"; do
            n=$((n+1))
            [ -e "$path" ] && continue
            if [ -d "$aside/$n" ]; then mkdir -p "$path"; else mkdir -p "$(dirname "$path")"; touch "$path"; fi
            mount --bind "$aside/$n" "$path"
        done
        cd /
        exec sh -c "$ENTER" sh "$@"
    "#;
    let plain = |program: &str| {
        format!(
            "exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {program} \"$EXECUTABLE\" \
             --test-threads=1 --exact \"$@\""
        )
    };
    let enter = match host {
        Host::Whole => plain(""),
        // The second shell has the rights of root there: the first began before anybody had a name.
        Host::NoUserNamespaces => {
            r#"exec unshare --user sh -c 'read go; exec sh -c "$FORBID" sh "$@"' sh "$@""#.to_owned()
        }
        Host::Without(calls) => plain(&format!("\"$VENV/bin/python\" -I -S -c \"$REFUSING\" {calls}")),
        Host::MaskedProc => format!("mount -t tmpfs tmpfs /proc/irq; {}", plain("")),
    };
    let (venv, base) = (&*runtime.venv, &*runtime.base_prefix);
    let closed: BTreeSet<&str> = [venv, base, executable]
        .iter()
        .filter_map(|path| {
            let parents: Vec<&Path> = path.ancestors().skip(1).collect();
            parents
                .into_iter()
                .rev()
                .find(|parent| parent.metadata().unwrap().permissions().mode() & 0o1 == 0)?
                .to_str()
        })
        .collect();
    let aside = tempfile::tempdir().unwrap();
    let mut process = Command::new("unshare")
        .args(["--mount", "sh", "-c", SCRIPT, "sh"])
        .args(names)
        .env("ASIDE", aside.path())
        .env("CLOSED", closed.into_iter().collect::<Vec<_>>().join(" "))
        .env("METERBOX_TEST_VENV", venv)
        .env("VENV", venv)
        .env("BASE", base)
        .env("EXECUTABLE", executable)
        .env("ENTER", enter)
        .env(
            "FORBID",
            format!("echo 0 > /proc/sys/user/max_user_namespaces; {}", plain("")),
        )
        .env("REFUSING", REFUSING)
        .env("HOME", "/")
        .env_remove("TMPDIR")
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if matches!(host, Host::NoUserNamespaces) {
        // Everybody is themselves there.
        let proc = format!("/proc/{}", process.id());
        let ours = std::fs::read_link("/proc/self/ns/user").unwrap();
        while std::fs::read_link(format!("{proc}/ns/user")).is_ok_and(|theirs| theirs == ours) {
            std::thread::sleep(Duration::from_millis(1));
        }
        for map in ["uid_map", "gid_map"] {
            std::fs::write(format!("{proc}/{map}"), "0 0 65536").unwrap();
        }
        process.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    process.wait_with_output().unwrap()
}
