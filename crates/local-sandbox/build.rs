//! Makes the shared library that a zygote loads from memory, from the sources in `native/`. It needs what every build
//! needs: the compiler, its `core`, and a linker.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=native");
    println!("cargo::rustc-check-cfg=cfg(jails)");
    if variable("CARGO_CFG_TARGET_OS")? != "linux" {
        // There the crate says what to use instead.
        return Ok(());
    }
    println!("cargo::rustc-cfg=jails");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let library = PathBuf::from(variable("OUT_DIR")?).join("jail.so");
    if matches!(&*variable("CARGO_CFG_TARGET_ARCH")?, "x86_64" | "aarch64") {
        compile(&library)
    } else {
        // On other processors nothing is started.
        Ok(fs::write(library, [])?)
    }
}

fn compile(library: &Path) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new(variable("RUSTC")?);
    command
        .args([
            "--edition",
            "2024",
            "--crate-name",
            "meterbox_jail",
            "--crate-type",
            "cdylib",
        ])
        .args(["--target", &variable("TARGET")?])
        .args(["-C", "panic=abort", "-C", "opt-level=2", "-C", "strip=symbols"])
        // No start-up code and no library: Python has a C library, whichever it is.
        .args(["-C", "link-arg=-nostdlib", "-C", "link-arg=-nostartfiles"])
        // One side of the protocol uses one half of it.
        .args(["-A", "dead_code"])
        .arg("-o")
        .arg(library)
        .arg("native/lib.rs");
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        command.arg(format!("-Clinker={linker}"));
    }
    let done = command.output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!(
        "the jail's library was not made: {}",
        String::from_utf8_lossy(&done.stderr)
    )
    .into())
}

fn variable(name: &str) -> Result<String, env::VarError> {
    env::var(name)
}
