use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    RuntimeError,
    interpreter::{Interpreter, programs},
};

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

/// Settings that would put the packages somewhere else, or run another Python.
const ELSEWHERE: [&str; 8] = [
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "VIRTUAL_ENV",
];

/// Options of pip for a program that reads what it prints.
const QUIET: [&str; 3] = ["--no-input", "--disable-pip-version-check", "--progress-bar=off"];

impl Installer {
    pub(super) fn find(interpreter: &Interpreter, search_path: &OsStr) -> Result<Self, RuntimeError> {
        let python = &interpreter.executable;
        let asked = |arguments: &[&str]| {
            let output = Command::new(python)
                .args(arguments)
                .stdin(Stdio::null())
                .output()
                .ok()?;
            output
                .status
                .success()
                .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        if asked(&["-m", "pip", "--version"]).is_some_and(|said| can_serve_another(&said)) {
            return Ok(Self::Pip);
        }
        if let Some(uv) = programs(search_path, "uv").into_iter().next() {
            return Ok(Self::Uv(uv));
        }
        match asked(&["-I", "-c", FIND_WHEEL]) {
            Some(wheel) if !wheel.is_empty() => Ok(Self::Wheel(wheel.into())),
            _ => Err(RuntimeError::NoInstaller {
                python: python.clone(),
            }),
        }
    }

    /// A command that brings the wheels of a requirements file into a folder, where this installer can do that alone.
    pub(super) fn download(
        &self,
        interpreter: &Interpreter,
        requirements: &Path,
        wheels: &Path,
    ) -> Option<Command> {
        if matches!(self, Self::Uv(_)) {
            return None;
        }
        let mut command = self.program(interpreter);
        // For the interpreter that pip itself runs in: the environment is of the same one.
        command.env("PIP_REQUIRE_VIRTUALENV", "0");
        command.arg("download").args(QUIET).arg("--dest").arg(wheels);
        only_locked(&mut command, requirements);
        Some(command)
    }

    /// The command that installs exactly the locked wheels into the environment of `target`: those of a folder, or
    /// from the index.
    pub(super) fn install(
        &self,
        interpreter: &Interpreter,
        target: &Path,
        requirements: &Path,
        wheels: Option<&Path>,
    ) -> Command {
        let mut command = self.program(interpreter);
        match self {
            // Copies, because a hard link would share its mode with uv's cache.
            Self::Uv(_) => command
                .args(["pip", "install", "--link-mode=copy", "--python"])
                .arg(target),
            _ => command
                .arg("--python")
                .arg(target)
                .arg("install")
                .args(QUIET)
                .args(["--no-compile", "--no-warn-script-location"]),
        };
        only_locked(&mut command, requirements);
        if let Some(wheels) = wheels {
            command.arg("--no-index").arg("--find-links").arg(wheels);
        }
        command
    }

    /// Where it fetches packages by itself: keeps what it has in this folder, whatever its settings say.
    pub(super) fn keep_downloads(&self, command: &mut Command, folder: &Path) {
        if matches!(self, Self::Uv(_)) {
            command.env_remove("UV_NO_CACHE").arg("--cache-dir").arg(folder);
        }
    }

    fn program(&self, interpreter: &Interpreter) -> Command {
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
        for name in ELSEWHERE {
            command.env_remove(name);
        }
        command
    }
}

/// Whether a pip that says this of itself can install into an environment other than its own: from 22.3 on.
fn can_serve_another(said: &str) -> bool {
    let version = said.strip_prefix("pip ").unwrap_or_default();
    let mut numbers = version
        .split(['.', ' '])
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next().or(Some(0))) >= (Some(22), Some(3))
}

fn only_locked(command: &mut Command, requirements: &Path) {
    command
        .args([
            "--require-hashes",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--requirement",
        ])
        .arg(requirements);
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::{
        super::{Packages, lock::SUPPORTED},
        *,
    };

    /// A Python that says what it is and, asked anything else, runs `rest`.
    fn python(folder: &Path, rest: &str) -> Interpreter {
        let program = folder.join("python3");
        let about = format!(
            r#"{{"executable": "{}", "base_prefix": "/x", "major": 3, "minor": 11, "version": "3.11.1", "platform": "linux x86_64 glibc"}}"#,
            program.display()
        );
        let script = format!("#!/bin/sh\ncase \"$*\" in *platform*) echo '{about}';; *) {rest};; esac\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Interpreter::find(folder.as_os_str(), Packages::Base, SUPPORTED)
            .unwrap()
            .0
    }

    #[test]
    fn pip_comes_before_uv_and_uv_before_the_bundled_wheel() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().as_os_str();
        let nothing = Installer::find(&python(folder.path(), "exit 1"), path).unwrap_err();
        assert!(matches!(nothing, RuntimeError::NoInstaller { .. }), "{nothing}");
        assert!(
            nothing.to_string().contains("apt install python3-pip"),
            "{nothing}"
        );

        let bundled = "case \"$2\" in pip) exit 1;; *) echo /x/pip-24.0-py3-none-any.whl;; esac";
        let only_wheel = python(folder.path(), bundled);
        let wheel = Installer::Wheel("/x/pip-24.0-py3-none-any.whl".into());
        assert_eq!(Installer::find(&only_wheel, path).unwrap(), wheel);

        fs::write(folder.path().join("uv"), "").unwrap();
        assert_eq!(
            Installer::find(&only_wheel, path).unwrap(),
            Installer::Uv(folder.path().join("uv"))
        );

        for (version, serves) in [
            ("22.2.2", false),
            ("22.3", true),
            ("26.0.1", true),
            ("9.0", false),
        ] {
            let with_pip = python(folder.path(), &format!("echo pip {version} from /x"));
            let found = Installer::find(&with_pip, path).unwrap();
            assert_eq!(found == Installer::Pip, serves, "pip {version}: {found:?}");
        }
    }

    #[test]
    fn every_installer_takes_locked_wheels_only() {
        let folder = tempfile::tempdir().unwrap();
        let interpreter = python(folder.path(), "exit 0");
        let said = |command: Command| {
            let said: Vec<_> = command
                .get_args()
                .map(|argument| argument.to_string_lossy())
                .collect();
            said.join(" ")
        };
        let [target, list, wheels] = ["/t/python", "/t/lock", "/wheels"].map(Path::new);
        let locked = "--require-hashes --no-deps --only-binary :all: --requirement /t/lock";
        for installer in [
            Installer::Pip,
            Installer::Uv("/x/uv".into()),
            Installer::Wheel("/x/pip.whl".into()),
        ] {
            let offline = said(installer.install(&interpreter, target, list, Some(wheels)));
            for wanted in ["--python /t/python", locked, "--no-index --find-links /wheels"] {
                assert!(offline.contains(wanted), "{wanted} in {offline}");
            }
            let online = said(installer.install(&interpreter, target, list, None));
            assert!(
                online.contains(locked) && !online.contains("--no-index"),
                "{online}"
            );
            if let Some(download) = installer.download(&interpreter, list, wheels) {
                let download = said(download);
                assert!(
                    download.contains(locked) && download.contains("--dest /wheels"),
                    "{download}"
                );
            }
        }
    }
}
