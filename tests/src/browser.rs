use std::{env, fs::File, io::Write, path::PathBuf, process::Command};

use crate::{
    cache_folder,
    packages::{debian_packages, node_packages},
    python_packages, repository,
};

const DRIVERS: [&str; 2] = ["chromedriver", "chromium.chromedriver"];
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const REQUIRE: &str = "METERBOX_REQUIRE_BROWSER";

/// Chromium, its driver, a Python that can steer them, and what looks whether a page is accessible.
#[derive(Debug)]
pub struct Browser {
    chromium: PathBuf,
    chromedriver: PathBuf,
    selenium: PathBuf,
    /// Without it the pages are looked at all the same.
    axe: Option<PathBuf>,
}

/// Why nothing can be looked at here.
#[derive(Debug)]
pub struct NoBrowser(pub String);

impl Browser {
    /// Finds a browser, or installs Debian's where this is root on a Debian.
    ///
    /// # Errors
    /// [`NoBrowser`] with the missing piece.
    ///
    /// # Panics
    /// Instead of the error, where `METERBOX_REQUIRE_BROWSER=1`.
    pub fn find() -> Result<Self, NoBrowser> {
        let found = Self::look_around();
        if let Err(NoBrowser(reason)) = &found {
            assert!(
                env::var(REQUIRE).as_deref() != Ok("1"),
                "{REQUIRE}=1, but {reason}"
            );
        }
        found
    }

    fn look_around() -> Result<Self, NoBrowser> {
        // Of tests that begin at once on a fresh machine, one installs and the others wait for it.
        let turn = File::create(cache_folder("browser").join("turn.lock")).expect("the cache is writable");
        turn.lock().expect("the cache can be locked");
        let find = || on_path(&BROWSERS).zip(on_path(&DRIVERS));
        let pair = find().or_else(|| {
            debian_packages(&["chromium", "chromium-driver", "fonts-dejavu-core"]);
            find()
        });
        let missing = "there is no chromium with its chromedriver on PATH; install both (Debian's packages \
                       chromium and chromium-driver)";
        let (chromium, chromedriver) = pair.ok_or_else(|| NoBrowser(missing.to_owned()))?;
        let scripts = repository().join("tests/browser");
        Ok(Self {
            chromium,
            chromedriver,
            selenium: python_packages("selenium", &scripts.join("requirements.txt")).map_err(NoBrowser)?,
            axe: match node_packages("axe", &scripts) {
                Ok(folder) => Some(folder.join("node_modules/axe-core/axe.min.js")),
                Err(reason) => {
                    assert!(
                        env::var(REQUIRE).as_deref() != Ok("1"),
                        "{REQUIRE}=1, but {reason}"
                    );
                    // Past the harness, which keeps what a passing test prints to itself.
                    let _ = writeln!(
                        std::io::stderr(),
                        "SKIPPED, whether the pages are accessible: {reason}"
                    );
                    None
                }
            },
        })
    }

    /// Runs a Python script of `tests/browser/` with these arguments and returns what it said.
    ///
    /// # Panics
    /// Where the script fails; its output is in the message.
    pub fn run(&self, script: &str, arguments: &[&str]) -> String {
        let axe = self.axe.as_ref().map(|axe| ("AXE", axe));
        let output = Command::new("python3")
            .arg(repository().join("tests/browser").join(script))
            .args(arguments)
            .env("PYTHONPATH", &self.selenium)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("CHROMIUM", &self.chromium)
            .env("CHROMEDRIVER", &self.chromedriver)
            .envs(axe)
            // Selenium would otherwise ask the network which driver is newest.
            .env("SE_OFFLINE", "true")
            .output()
            .expect("python3 can be started");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(output.status.success(), "{script} failed:\n{said}");
        said.into_owned()
    }
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<_> = env::split_paths(&path).collect();
    names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
}
