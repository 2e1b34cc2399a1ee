use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::Packages;

impl Packages {
    /// The command that installs them.
    pub(super) fn command(self) -> &'static str {
        match self {
            Self::Base => "meterbox runtime install",
            Self::Full => "meterbox runtime install --full",
        }
    }
}

/// The lists of packages, each for one minor version of Python 3. Of those that are installed the first one is used.
pub(super) const SUPPORTED: &[Lock] = &[
    full(14, include_str!("../../locks/full-py3.14.txt")),
    full(13, include_str!("../../locks/full-py3.13.txt")),
    full(12, include_str!("../../locks/full-py3.12.txt")),
    full(11, include_str!("../../locks/full-py3.11.txt")),
    base(14, include_str!("../../locks/base-py3.14.txt")),
    base(13, include_str!("../../locks/base-py3.13.txt")),
    base(12, include_str!("../../locks/base-py3.12.txt")),
    base(11, include_str!("../../locks/base-py3.11.txt")),
];

/// Uses what is most likely to be broken. Fills the font cache on the way, with matplotlib's own fonts only: those of
/// the machine are not there inside a sandbox.
const TRY_BASE: &str = "\
import glob, io, os, tempfile, duckdb, matplotlib, numpy, openpyxl, pandas, pyarrow
matplotlib.use('Agg')
from matplotlib import font_manager as fonts
every_font = fonts.findSystemFonts
fonts.findSystemFonts = lambda folders=None, fontext='ttf': every_font(folders, fontext) if folders else []
[cache] = glob.glob(os.path.join(matplotlib.get_cachedir(), 'fontlist*.json'))
fonts.json_dump(fonts.FontManager(), cache)
import matplotlib.pyplot as plt
frame = pandas.DataFrame({'a': [1, 2, 3]})
with tempfile.NamedTemporaryFile(suffix='.parquet') as file:
    frame.to_parquet(file.name)
    assert pandas.read_parquet(file.name)['a'].sum() == 6
assert duckdb.sql('select 41 + 1').fetchall() == [(42,)]
figure, axes = plt.subplots()
axes.bar(['x', 'y'], [1, 2])
figure.savefig(io.BytesIO(), format='png')
";

const TRY_FULL: &str = "\
import scipy.optimize, scipy.stats, sklearn.linear_model, statsmodels.api
assert abs(scipy.optimize.brentq(lambda x: x * x - 2, 0, 2) ** 2 - 2) < 1e-9
slope = sklearn.linear_model.LinearRegression().fit([[0], [1], [2]], [1, 3, 5]).coef_[0]
assert abs(slope - 2) < 1e-9
fitted = statsmodels.api.OLS([1, 3, 5], statsmodels.api.add_constant([0.0, 1.0, 2.0])).fit()
assert abs(fitted.params[1] - 2) < 1e-9
";

/// Which wheels, by hash, make the runtime for one minor version of Python 3.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) minor: u32,
    pub(super) list: Packages,
    /// What an installation takes up in bytes while it goes on: the packages and the wheels they come from.
    pub(super) bytes: u64,
    text: &'static str,
    trials: &'static [&'static str],
}

const MB: u64 = 1 << 20;

const fn base(minor: u32, text: &'static str) -> Lock {
    Lock {
        minor,
        list: Packages::Base,
        bytes: 650 * MB,
        text,
        trials: &[TRY_BASE],
    }
}

const fn full(minor: u32, text: &'static str) -> Lock {
    Lock {
        minor,
        list: Packages::Full,
        bytes: 1_000 * MB,
        text,
        trials: &[TRY_BASE, TRY_FULL],
    }
}

impl Lock {
    /// A list of a test's own, with a program that tries its packages out.
    #[cfg(feature = "test-guards")]
    pub(super) fn of_a_test(
        minor: u32,
        list: Packages,
        bytes: u64,
        text: &'static str,
        trial: &'static str,
    ) -> Self {
        let trials = Box::leak(Box::new([trial]));
        Self {
            minor,
            list,
            bytes,
            text,
            trials,
        }
    }

    pub(super) fn text(&self) -> &'static str {
        self.text
    }

    /// A program that imports and uses the packages.
    pub(super) fn trial(&self) -> String {
        self.trials.concat()
    }

    /// SHA-256 of the list, in hexadecimal.
    pub(super) fn hash(&self) -> String {
        hex(&Sha256::digest(self.text))
    }

    /// The name of its folder below the runtime folder.
    pub(super) fn name(&self) -> String {
        format!("{}-3.{}-{}", self.list, self.minor, &self.hash()[..12])
    }

    /// Where a runtime of this lock lives below the runtime folder.
    pub(super) fn home(&self, folder: &Path) -> PathBuf {
        folder.join(self.name())
    }

    /// Names and versions of the packages.
    pub(super) fn packages(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.requirements().filter_map(|requirement| {
            let line = requirement.lines().next()?;
            line.trim_end_matches(['\\', ' ']).split_once("==")
        })
    }

    /// Each package with its hashes, as an installer reads it.
    pub(super) fn requirements(&self) -> impl Iterator<Item = &'static str> {
        let text = self.text;
        let starts = text.match_indices('\n').map(|(at, _)| at + 1).chain([0]);
        let mut starts: Vec<_> = starts
            .filter(|at| text[*at..].starts_with(|first: char| first.is_ascii_alphanumeric()))
            .collect();
        starts.sort_unstable();
        let ends: Vec<_> = starts.iter().skip(1).copied().chain([text.len()]).collect();
        starts.into_iter().zip(ends).map(|(start, end)| &text[start..end])
    }
}

pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_lock_pins_every_package_by_hash_and_names_no_host() {
        for lock in SUPPORTED {
            let what = lock.name();
            let packages: BTreeMap<_, _> = lock.packages().collect();
            let mut wanted = vec![
                "pandas",
                "numpy",
                "pyarrow",
                "duckdb",
                "matplotlib",
                "openpyxl",
                "tzdata",
            ];
            if lock.list == Packages::Full {
                wanted.extend(["scipy", "statsmodels", "scikit-learn"]);
            }
            for name in wanted {
                assert!(packages.contains_key(name), "{name} in {what}");
            }
            let mut lines = lock.text().lines().peekable();
            while let Some(line) = lines.next() {
                if !line.starts_with(' ') {
                    assert!(line.contains("=="), "{line:?} in {what}");
                    let next = lines.peek().copied().unwrap_or_default();
                    assert!(
                        next.trim_start().starts_with("--hash=sha256:"),
                        "{line} has no hash"
                    );
                }
            }
            assert!(!lock.text().contains("://"), "{what} names a host");
        }
    }

    #[test]
    fn a_lock_is_the_sum_of_its_requirements() {
        for lock in SUPPORTED {
            let requirements: Vec<_> = lock.requirements().collect();
            assert_eq!(requirements.concat(), lock.text());
            assert_eq!(requirements.len(), lock.packages().count());
            assert!(requirements.iter().all(|one| one.contains("--hash=sha256:")));
        }
    }

    #[test]
    fn a_full_list_has_every_wheel_of_the_base_list_and_more() {
        for full in SUPPORTED.iter().filter(|lock| lock.list == Packages::Full) {
            let base = SUPPORTED
                .iter()
                .find(|lock| lock.minor == full.minor && lock.list == Packages::Base);
            let all: Vec<_> = full.requirements().collect();
            let mut count = 0;
            for wanted in base.expect("a base list").requirements() {
                assert!(all.contains(&wanted), "{wanted} in {}", full.name());
                count += 1;
            }
            assert!(count < all.len());
        }
    }

    #[test]
    fn another_lock_lives_in_another_folder() {
        let homes: Vec<_> = SUPPORTED.iter().map(|lock| lock.home(Path::new("/r"))).collect();
        assert!(homes.iter().all(|home| home.parent() == Some(Path::new("/r"))));
        let mut different = homes.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), homes.len(), "{homes:?}");
    }
}
