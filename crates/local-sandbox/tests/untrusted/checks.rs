//! What holds for any bytes whatever: shared by the property tests and the fuzzers.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::{self, File},
    io::Write,
    os::{
        fd::AsFd,
        unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink},
    },
    path::Path,
};

use meterbox_local_sandbox::fuzzing;
use meterbox_sandbox_client::{Limits, Reply, Verdict, prelude};
use rustix::fs::{CWD, FileType, Mode};

const SECRET: &[u8] = b"canary-7f3a91";

/// A reply is read or refused, and whatever is handed on keeps to its caps.
pub(crate) fn reply(bytes: &[u8]) {
    match fuzzing::read_reply(bytes) {
        Ok(None) => assert!(bytes.is_empty()),
        Ok(Some(Reply::Value(value))) => {
            assert!(value.get().len() <= bytes.len());
            match prelude::read_answer(&value) {
                Ok(document) => {
                    assert!(document.warnings.len() <= 40 && document.charts.len() <= 10);
                    prelude::verify(&document);
                    serde_json::to_string(&document).expect("what was read can be written");
                }
                Err(error) => assert!(error.to_string().len() <= 4_000),
            }
        }
        Ok(Some(Reply::Error(error))) => {
            let lengths = [&error.kind, &error.message, &error.traceback].map(|text| text.chars().count());
            assert!(
                lengths[0] <= 200 && lengths[1] <= 2_000 && lengths[2] <= 8_000,
                "{lengths:?}"
            );
        }
        Err(reason) => {
            let Verdict::BrokenReply { reason } = Verdict::broken_reply(reason) else {
                unreachable!("it is one")
            };
            assert!(reason.chars().count() <= Verdict::LONGEST_REASON);
        }
    }
}

/// A folder of anything is collected within its caps, and nothing that lies outside comes along.
pub(crate) fn collector(bytes: &[u8]) {
    let (from, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let outside = tempfile::NamedTempFile::new().unwrap();
    fs::write(outside.path(), SECRET).unwrap();
    let mut choices = Choices(bytes);
    let limits = Limits {
        artifacts: u32::from(choices.below(12)),
        artifact_bytes: u64::from(choices.below(100)),
        artifacts_total_bytes: u64::from(choices.below(200)),
        ..Limits::default()
    };
    while !choices.0.is_empty() {
        make_one(from.path(), outside.path(), &mut choices);
    }
    let entries = fs::read_dir(from.path()).unwrap().count();
    let folder = File::open(from.path()).unwrap();
    let (kept, rejected) = fuzzing::collect(folder.as_fd(), into.path(), &limits).unwrap();

    assert!(kept.len() <= limits.artifacts as usize);
    assert!(kept.len() + rejected.len() <= entries + 1 && rejected.len() <= 101);
    assert!(kept.iter().map(|file| file.bytes).sum::<u64>() <= limits.artifacts_total_bytes);
    let mut names = HashSet::new();
    for file in &kept {
        assert_eq!(file.path, into.path().join(&file.name));
        assert!(
            is_plain(&file.name) && names.insert(file.name.to_lowercase()),
            "{:?}",
            file.name
        );
        let about = file.path.symlink_metadata().unwrap();
        assert!(
            about.is_file() && about.permissions().mode() & 0o7133 == 0,
            "{about:?}"
        );
        assert!(file.bytes <= limits.artifact_bytes && about.len() == file.bytes);
        let content = fs::read(&file.path).unwrap();
        assert!(!content.windows(SECRET.len()).any(|part| part == SECRET));
    }
    assert_eq!(fs::read_dir(into.path()).unwrap().count(), kept.len());
    assert!(rejected.iter().all(|file| !file.name.contains(char::is_control)));
}

fn make_one(folder: &Path, outside: &Path, choices: &mut Choices<'_>) {
    let kind = choices.below(10);
    let path = folder.join(OsStr::from_bytes(&choices.name()));
    // What cannot be made (a name that is taken or too long) is left out. To open a pipe that is there would wait for ever.
    let _ = match kind {
        0..=3 => File::create_new(&path)
            .and_then(|mut file| file.write_all(&vec![b'x'; usize::from(choices.below(120))])),
        4 => symlink(outside, &path),
        5 => fs::create_dir(&path),
        6 => rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR, 0).map_err(Into::into),
        7 => fs::hard_link(folder.join(OsStr::from_bytes(&choices.name())), &path),
        8 => File::create_new(&path).and_then(|file| file.set_len(1 << 40)),
        _ => fs::set_permissions(
            &path,
            fs::Permissions::from_mode(u32::from(choices.below(255)) << 4),
        ),
    };
}

fn is_plain(name: &str) -> bool {
    let harmful = |c: char| c.is_control() || "/\\<>:\"|?*\u{202e}\u{200b}".contains(c);
    (1..=130).contains(&name.len()) && !name.contains(harmful) && !name.starts_with(['.', '-', ' ', '~'])
}

/// Decisions taken from bytes, one after another.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn below(&mut self, most: u8) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        first % most
    }

    fn name(&mut self) -> Vec<u8> {
        let length = usize::from(self.below(40)).min(self.0.len());
        let (name, rest) = self.0.split_at(length);
        self.0 = rest;
        let name: Vec<u8> = name
            .iter()
            .map(|byte| if matches!(byte, 0 | b'/') { b'_' } else { *byte })
            .collect();
        match name.as_slice() {
            b"" | b"." | b".." => b"-name".to_vec(),
            _ => name,
        }
    }
}
