use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{InstallOptions, RuntimeError, interpreter::{Interpreter, programs}};

/// Prints the pip wheel that ensurepip or the distribution keeps, if any.
const FIND_WHEEL: &str = "\
import glob, importlib.util, os
spec = importlib.util.find_spec('ensurepip')
folders = [os.path.join(os.path.dirname(spec.origin), '_bundled')] if spec and spec.origin else []
wheels = [w for f in folders + ['/usr/share/python-wheels'] for w in sorted(glob.glob(os.path.join(f, 'pip-*.whl')))]
print(wheels[0] if wheels else '')";

/// What fills the environment: the first of these that is there. All of them honour pip's own configuration
/// (its environment variables and `pip.conf`) as far as they know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Installer {
    /// `python3 -m pip`, new enough to install into another environment.
    Pip,
    /// `uv pip`.
    Uv(PathBuf),
    /// The pip inside the wheel that ensurepip carries.
    Wheel(PathBuf),
}

impl Installer {
    pub(super) fn find(interpreter: &Interpreter, search_path: &OsStr) -> Result<Self, RuntimeError> {
        let python = &interpreter.executable;
        let asked = |arguments: &[&str]| {
            let output = Command::new(python).args(arguments).stdin(Stdio::null()).output().ok()?;
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        if asked(&["-m", "pip", "--python", &python.to_string_lossy(), "--version"]).is_some() {
            return Ok(Self::Pip);
        }
        if let Some(uv) = programs(search_path, "uv").into_iter().next() {
            return Ok(Self::Uv(uv));
        }
        match asked(&["-I", "-c", FIND_WHEEL]) {
            Some(wheel) if !wheel.is_empty() => Ok(Self::Wheel(wheel.into())),
            _ => Err(RuntimeError::NoInstaller { python: python.clone() }),
        }
    }

    /// The command that installs exactly the locked wheels into the environment of `target`.
    pub(super) fn command(
        &self,
        interpreter: &Interpreter,
        target: &Path,
        lock_file: &Path,
        options: &InstallOptions,
    ) -> Command {
        let mut command = match self {
            Self::Pip => {
                let mut command = Command::new(&interpreter.executable);
                command.args(["-m", "pip"]);
                command
            }
            Self::Wheel(wheel) => {
                let mut command = Command::new(&interpreter.executable);
                command.arg(wheel.join("pip"));
                command
            }
            Self::Uv(uv) => Command::new(uv),
        };
        match self {
            Self::Uv(_) => command.args(["pip", "install", "--python"]).arg(target),
            _ => command.arg("--python").arg(target).args([
                "install",
                "--no-input",
                "--disable-pip-version-check",
                "--progress-bar=off",
                "--no-compile",
                "--no-warn-script-location",
            ]),
        };
        command.args(["--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement"]).arg(lock_file);
        if let Some(wheelhouse) = &options.wheelhouse {
            command.arg("--no-index").arg("--find-links").arg(wheelhouse);
        }
        command
    }
}
