use std::process::{Command, Stdio};

/// Installs one of Debian's packages. Does nothing where this is not root on a Debian.
pub(crate) fn install(package: &str) {
    let script = "command -v apt-get >/dev/null && [ \"$(id -u)\" = 0 ] || exit 0
        apt-get install -qq -y \"$1\" || { apt-get update -qq && apt-get install -qq -y \"$1\"; }";
    let _ = Command::new("sh")
        .args(["-c", script, "sh", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
