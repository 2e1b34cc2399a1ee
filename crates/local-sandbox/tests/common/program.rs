//! Hostile programs: what a header says, and whether it came true.
//!
//! ```text
//! # What it does.
//! # expect: an expectation, or several divided by ` | ` (where libraries and versions of Python differ)
//! # landlock: the same for the tier of that name, where it differs there
//! # limits: wall=0.5 memory=128        (seconds; MB; KB for output and reply)
//! # mode: analysis                     (where it sets `result` instead of calling `reply`)
//! # uses: cpu=0.3                      (seconds that are measured at least, whatever it says)
//! # off: guard NAME,… | limits … | none, WHY  (where there is no guard to lift)
//! # off-expect: …                      (where it is not that the program replies "worked")
//! ```
//!
//! Expectations: `wall`, `cpu`, `memory`, `output` (the limit's verdict), `broken-reply`, `signal N`,
//! `silent CODE` (no reply), `error CLASS` or `error`, `reply TEXT`, `answer` (a document that the host reads), `denied` and
//! `worked` (replies of that word), `files N` and `dropped N` (collected and not). What an attack is after when its
//! guard is off: `worked`, `lost` (the interpreter is gone), `believed TEXT`, `stolen` (the canary's content),
//! `copied NAME` and `marked` (a file came out as it is, or with the rights its program gave it).

use std::{path::Path, time::Duration};

use meterbox_sandbox_client::{Limits, Outcome, Program, Reply, Verdict, prelude};

use super::MB;

/// One program and what its header says.
#[derive(Debug)]
pub(crate) struct Hostile {
    pub(crate) name: String,
    code: String,
    analysis: bool,
    expect: Vec<Expected>,
    in_landlock: Option<Vec<Expected>>,
    limits: String,
    least_cpu: Duration,
    pub(crate) off: Off,
    off_expect: Vec<Expected>,
}

/// How to show that the attack is real.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Off {
    /// Without these guards.
    Guards(Vec<&'static str>),
    /// With these limits.
    Limits(String),
    /// There is nothing to lift.
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    Verdict(Verdict),
    BrokenReply,
    Silent(i32),
    Error(String),
    Reply(String),
    Answer,
    Files(usize),
    Dropped(usize),
    Lost,
    Believed(String),
    Stolen,
    Copied(String),
    Marked,
}

/// What was seen of one run.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) outcome: Outcome,
    pub(crate) elapsed: Duration,
    pub(crate) limits: Limits,
    pub(crate) files: Vec<Found>,
}

/// A file in the folder that files were collected into.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) mode: u32,
    /// Whether it holds the canary's content.
    pub(crate) stolen: bool,
}

impl Hostile {
    pub(crate) fn all() -> Vec<Self> {
        let mut paths: Vec<_> = std::fs::read_dir(folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "py"))
            .collect();
        paths.sort();
        let chosen = std::env::var("METERBOX_HOSTILE").unwrap_or_default();
        paths
            .iter()
            .map(|path| Self::read(path))
            .filter(|program| program.name.contains(&chosen))
            .collect()
    }

    fn read(path: &Path) -> Self {
        let code = std::fs::read_to_string(path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let header = |key: &str| {
            let prefix = format!("# {key}: ");
            let lines = code.lines().take_while(|line| line.starts_with('#'));
            lines.filter_map(|line| line.strip_prefix(&prefix)).next()
        };
        let required = |key| header(key).unwrap_or_else(|| panic!("{name} has no `{key}`"));
        let expected = |text: &str| -> Vec<Expected> {
            let parse = |one| Expected::parse(one).unwrap_or_else(|| panic!("{name}: unknown `{one}`"));
            text.split(" | ").map(parse).collect()
        };
        let uses = header("uses").map(|uses| uses.strip_prefix("cpu=").expect("uses: cpu=SECONDS"));
        Self {
            expect: expected(required("expect")),
            in_landlock: header("landlock").map(expected),
            limits: header("limits").unwrap_or_default().to_owned(),
            least_cpu: Duration::from_secs_f64(uses.map_or(0.0, |seconds| seconds.parse().unwrap())),
            off: Off::parse(required("off")).unwrap_or_else(|| panic!("{name}: unknown `off`")),
            off_expect: expected(header("off-expect").unwrap_or("worked")),
            analysis: header("mode").is_some_and(|mode| mode == "analysis"),
            name,
            code,
        }
    }

    pub(crate) fn program(&self, parameters: serde_json::Value) -> Program {
        let code = super::placed(&self.code);
        if self.analysis {
            return Program::Analysis { code };
        }
        Program::Service { code, parameters }
    }

    /// Its limits, with its guard on or off.
    pub(crate) fn limits(&self, guarded: bool) -> Limits {
        let more = match &self.off {
            Off::Limits(limits) if !guarded => limits,
            _ => "",
        };
        limits(&format!("{} {more}", self.limits))
    }

    fn expected(&self, guarded: bool, tier: &str) -> &[Expected] {
        match &self.in_landlock {
            _ if !guarded => &self.off_expect,
            Some(there) if tier == "landlock" => there,
            _ => &self.expect,
        }
    }

    /// Whether it takes everything around it along.
    pub(crate) fn loses_its_run(&self, guarded: bool) -> bool {
        self.expected(guarded, "").contains(&Expected::Lost)
    }

    /// Whether it ended as its header says; the rest has to hold for every program.
    pub(crate) fn judge(&self, seen: &Seen, guarded: bool) -> Result<(), String> {
        let Self { name, least_cpu, .. } = self;
        let expected = self.expected(guarded, &seen.outcome.sandbox.tier);
        if !expected.iter().any(|expected| expected.holds(seen)) {
            return Err(format!("{name}: expected {expected:?}, got {seen:#?}"));
        }
        // Processor time is counted in ticks, and some of it is its set-up's.
        let measured = Duration::from_millis(seen.outcome.usage.cpu_ms);
        assert!(
            measured >= *least_cpu / 2,
            "{name}: {measured:?} of {least_cpu:?}"
        );
        let asks_for = |wanted: fn(&Expected) -> bool| expected.iter().any(wanted);
        let steals = asks_for(|expected| *expected == Expected::Stolen);
        assert!(steals || !seen.is_stolen(), "{name} stole the canary");
        if !asks_for(|expected| {
            matches!(
                expected,
                Expected::Stolen | Expected::Copied(_) | Expected::Marked
            )
        }) {
            seen.claims_are_harmless(name);
        }
        Ok(())
    }
}

pub(crate) fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile")
}

impl Off {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once(' ')? {
            ("guard", names) => {
                let names = names.split(',').map(|name| &*String::leak(name.to_owned()));
                Some(Self::Guards(names.collect()))
            }
            ("limits", limits) => Some(Self::Limits(limits.to_owned())),
            ("none,", _) => Some(Self::Nothing),
            _ => None,
        }
    }
}

impl Expected {
    fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        Some(match word {
            "wall" => Self::Verdict(Verdict::WallLimit),
            "cpu" => Self::Verdict(Verdict::CpuLimit),
            "memory" => Self::Verdict(Verdict::MemoryLimit),
            "output" => Self::Verdict(Verdict::OutputLimit),
            "signal" => Self::Verdict(Verdict::Signalled {
                signal: rest.parse().ok()?,
            }),
            "broken-reply" => Self::BrokenReply,
            "silent" => Self::Silent(rest.parse().ok()?),
            "error" => Self::Error(rest.to_owned()),
            "reply" => Self::Reply(rest.to_owned()),
            "denied" | "worked" => Self::Reply(word.to_owned()),
            "answer" => Self::Answer,
            "files" => Self::Files(rest.parse().ok()?),
            "dropped" => Self::Dropped(rest.parse().ok()?),
            "lost" => Self::Lost,
            "believed" => Self::Believed(rest.to_owned()),
            "stolen" => Self::Stolen,
            "copied" => Self::Copied(rest.to_owned()),
            "marked" => Self::Marked,
            _ => return None,
        })
    }

    fn holds(&self, seen: &Seen) -> bool {
        let Seen { outcome, files, .. } = seen;
        let exited = |code| outcome.verdict == Verdict::Exited { code };
        let replied = match &outcome.reply {
            Some(Reply::Value(value)) => serde_json::from_str(value.get()).unwrap_or_default(),
            _ => serde_json::Value::Null,
        };
        match self {
            Self::Verdict(verdict) => outcome.verdict == *verdict,
            Self::BrokenReply => {
                matches!(outcome.verdict, Verdict::BrokenReply { .. }) && outcome.reply.is_none()
            }
            Self::Silent(code) => exited(*code) && outcome.reply.is_none(),
            Self::Error(class) => {
                exited(1)
                    && matches!(&outcome.reply, Some(Reply::Error(error)) if class.is_empty() || error.kind == *class)
            }
            Self::Reply(text) => exited(0) && replied == **text,
            Self::Answer => {
                exited(0)
                    && matches!(&outcome.reply, Some(Reply::Value(value)) if prelude::read_answer(value).is_ok())
            }
            Self::Files(count) => exited(0) && outcome.artifacts.len() == *count,
            Self::Dropped(count) => {
                exited(0) && outcome.artifacts.is_empty() && outcome.rejected.len() == *count
            }
            Self::Lost => false,
            Self::Believed(text) => exited(0) && replied.as_str().is_some_and(|reply| reply.contains(text)),
            Self::Stolen => exited(0) && seen.is_stolen(),
            Self::Copied(name) => exited(0) && files.iter().any(|file| file.name == *name),
            Self::Marked => exited(0) && files.iter().any(|file| file.mode & 0o7111 != 0),
        }
    }
}

impl Seen {
    fn is_stolen(&self) -> bool {
        self.files.iter().any(|file| file.stolen)
    }

    /// Whatever became of it, what is handed over keeps to its caps and is safe to have.
    fn claims_are_harmless(&self, name: &str) {
        let Self {
            outcome,
            limits,
            files,
            ..
        } = self;
        if let Some(Reply::Error(error)) = &outcome.reply {
            let lengths = [&error.kind, &error.message, &error.traceback].map(|text| text.chars().count());
            assert!(
                lengths[0] <= 200 && lengths[1] <= 2_000 && lengths[2] <= 8_000,
                "{name}: {lengths:?}"
            );
        }
        // An invalid byte becomes a character of three.
        let printed = (outcome.stdout.len() + outcome.stderr.len()) as u64;
        assert!(printed <= 3 * limits.output_bytes + 6, "{name} printed {printed}");
        assert!(outcome.artifacts.len() <= limits.artifacts as usize, "{name}");
        let total: u64 = outcome.artifacts.iter().map(|file| file.bytes).sum();
        assert!(total <= limits.artifacts_total_bytes, "{name}: {total} bytes");
        assert!(outcome.rejected.len() <= 101, "{name}");
        let mut kept: Vec<&str> = outcome.artifacts.iter().map(|file| &*file.name).collect();
        let mut found: Vec<&str> = files.iter().map(|file| &*file.name).collect();
        kept.sort_unstable();
        found.sort_unstable();
        assert_eq!(kept, found, "{name}");
        for file in files {
            assert!(is_safe(&file.name), "{name}: {:?}", file.name);
            assert_eq!(file.mode & 0o7133, 0, "{name}: {file:?}");
        }
        let mut folded: Vec<String> = kept.iter().map(|name| name.to_lowercase()).collect();
        folded.dedup();
        assert_eq!(folded.len(), kept.len(), "{name}: {kept:?}");
        for rejected in &outcome.rejected {
            assert!(!rejected.name.contains(char::is_control), "{name}: {rejected:?}");
        }
    }
}

/// A file name that harms no system and nobody who reads it.
fn is_safe(name: &str) -> bool {
    let harmful = |c: char| {
        c.is_control()
            || "/\\<>:\"|?*".contains(c)
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
    };
    let stem = name.split('.').next().unwrap_or_default().to_lowercase();
    (1..=130).contains(&name.len())
        && !name.contains(harmful)
        && !name.starts_with(['.', '-', ' ', '~'])
        && !name.ends_with(['.', ' '])
        && !["con", "prn", "aux", "nul", "com1", "lpt1"].contains(&&*stem)
}

fn limits(text: &str) -> Limits {
    let mut limits = Limits {
        // What a header sets is what its program is measured by.
        wall: super::patience(Duration::from_secs(20)),
        cpu: super::patience(Limits::default().cpu),
        memory_bytes: 256 * MB,
        ..Limits::default()
    };
    for setting in text.split_whitespace() {
        let (name, value) = setting.split_once('=').unwrap();
        let seconds = || Duration::from_secs_f64(value.parse().unwrap());
        let whole = || value.parse::<u32>().unwrap();
        match name {
            "wall" => limits.wall = seconds(),
            "cpu" => limits.cpu = seconds(),
            "memory" => limits.memory_bytes = u64::from(whole()) * MB,
            "threads" => limits.threads = whole(),
            "files" => limits.open_files = whole(),
            "file" => limits.file_bytes = u64::from(whole()) * MB,
            "scratch" => limits.scratch_bytes = u64::from(whole()) * MB,
            "inodes" => limits.scratch_inodes = whole(),
            "output" => limits.output_bytes = u64::from(whole()) * 1024,
            "reply" => limits.reply_bytes = u64::from(whole()) * 1024,
            other => panic!("unknown limit {other}"),
        }
    }
    limits
}
