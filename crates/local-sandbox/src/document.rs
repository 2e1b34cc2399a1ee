//! The job as its child reads it, and the checks before there is one.

use std::{collections::BTreeMap, io, os::fd::OwnedFd, path::Path, time::Duration};

use meterbox_sandbox_client::{InputFile, Job, Limits, Program, SandboxError, SessionSetup};
use rustix::{
    fs::{MemfdFlags, SealFlags},
    pipe::{PipeFlags, pipe_with},
};
use serde::Serialize;

use crate::{folder::Folder, native::wire::JobHeader};

const DATA: &str = "/data";

#[derive(Debug, Serialize)]
pub(crate) struct JobDocument<'a> {
    mode: &'static str,
    code: &'a str,
    parameters: Option<&'a serde_json::Value>,
    tables: &'a BTreeMap<String, String>,
    as_of: Option<String>,
    seed: u64,
    reply_bytes: u64,
    /// What the runner of a session answers with when it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    /// For the set-up, which reads no JSON.
    #[serde(skip)]
    inputs: Vec<(String, &'a str)>,
    #[serde(skip)]
    limits: JobHeader,
}

impl<'a> JobDocument<'a> {
    /// Checks the job against the folder its inputs have to lie in (an absolute path without links).
    pub(crate) fn new(job: &'a Job, inputs_root: Option<&Path>) -> Result<Self, SandboxError> {
        let (mode, code, parameters) = match &job.program {
            Program::Analysis { code } => ("analysis", code, None),
            Program::Service { code, parameters } => ("service", code, Some(parameters)),
        };
        job.check()?;
        let inputs = sources(&job.inputs, inputs_root)?;
        Ok(Self {
            mode,
            code,
            parameters,
            tables: &job.tables,
            as_of: job.as_of.map(|date| date.to_string()),
            seed: job.seed,
            reply_bytes: job.limits.reply_bytes,
            nonce: None,
            inputs,
            limits: header(&job.limits)?,
        })
    }

    /// What a session begins with. Its programs come later.
    pub(crate) fn session(
        setup: &'a SessionSetup,
        nonce: String,
        inputs_root: Option<&Path>,
    ) -> Result<Self, SandboxError> {
        setup.check()?;
        let whole = Limits {
            // The kernel counts for the whole life of a process, with its set-up. What each cell may use is watched from
            // outside, which is closer; this is for where nobody outside gets to it in time.
            cpu: setup.totals.cpu.saturating_add(Duration::from_secs(1)),
            ..setup.limits.clone()
        };
        Ok(Self {
            mode: "session",
            code: "",
            parameters: None,
            tables: &setup.tables,
            as_of: setup.as_of.map(|date| date.to_string()),
            seed: setup.seed,
            reply_bytes: 0,
            nonce: Some(nonce),
            inputs: sources(&setup.inputs, inputs_root)?,
            limits: header(&whole)?,
        })
    }

    /// The trial that every zygote has to pass.
    pub(crate) fn selftest(tables: &'a BTreeMap<String, String>) -> Result<Self, SandboxError> {
        Ok(Self {
            mode: "selftest",
            code: "",
            parameters: None,
            tables,
            as_of: None,
            seed: 0,
            reply_bytes: 0,
            nonce: None,
            inputs: Vec::new(),
            limits: header(&Limits::default())?,
        })
    }

    /// A folder for its run on a machine where it has no root of its own, with links to its inputs in their root.
    pub(crate) fn folder(&self, base: &Folder, inputs_root: Option<&str>) -> io::Result<Folder> {
        base.for_run(&self.on_machine(inputs_root))
    }

    /// The inputs as the machine has them.
    fn on_machine(&self, inputs_root: Option<&str>) -> Vec<(String, &'a str)> {
        let root = inputs_root.unwrap_or_default();
        self.inputs
            .iter()
            .map(|(source, path)| (format!("{root}/{source}"), *path))
            .collect()
    }

    /// The job as its child reads it from there: header, folder, inputs, document.
    pub(crate) fn bytes(&self, folder: Option<&Folder>, inputs_root: Option<&str>) -> io::Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Placed<'a> {
            #[serde(flatten)]
            job: &'a JobDocument<'a>,
            folder: &'a str,
            data_dir: String,
        }
        let mut bytes = vec![0; JobHeader::LENGTH];
        let mut say = |text: &str| {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        };
        let place = folder.map_or("", Folder::path);
        say(place);
        let on_machine = folder.map(|_| self.on_machine(inputs_root));
        for (source, path) in on_machine.as_ref().unwrap_or(&self.inputs) {
            say(source);
            say(path);
        }
        let folders = self.inputs.iter().map(|(_, path)| path.matches('/').count());
        let header = JobHeader {
            inputs: self.inputs.len() as u64,
            folders: folders.sum::<usize>() as u64,
            document: bytes.len() as u64,
            ..self.limits
        };
        bytes[..JobHeader::LENGTH].copy_from_slice(&header.encode());
        let placed = Placed {
            job: self,
            folder: place,
            data_dir: format!("{place}{DATA}"),
        };
        serde_json::to_writer(&mut bytes, &placed)?;
        Ok(bytes)
    }
}

/// A pipe for one job: for what fits into it less work than a file in memory, here and in the child.
#[derive(Debug)]
pub(crate) struct JobPipe {
    from: OwnedFd,
    into: OwnedFd,
}

impl JobPipe {
    pub(crate) fn new() -> io::Result<Self> {
        let (from, into) = pipe_with(PipeFlags::CLOEXEC)?;
        // A machine may give a user's pipes little room, and then nobody is to wait here.
        rustix::io::ioctl_fionbio(&into, true)?;
        Ok(Self { from, into })
    }

    /// What a child is handed to read the job from, up to its end.
    pub(crate) fn filled(self, job: &[u8]) -> io::Result<OwnedFd> {
        match rustix::io::write(&self.into, job) {
            Ok(written) if written == job.len() => Ok(self.from),
            _ => sealed_memory(job),
        }
    }
}

/// These bytes in memory that nobody can change any more, to be read from their beginning.
pub(crate) fn sealed_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create("meterbox", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut rest = bytes;
    let mut offset = 0;
    while !rest.is_empty() {
        let written = rustix::io::pwrite(&memory, rest, offset)?;
        rest = &rest[written..];
        offset += written as u64;
    }
    rustix::fs::fcntl_add_seals(
        &memory,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )?;
    Ok(memory)
}

/// The limits as the kernel will be told them, checked.
fn header(limits: &Limits) -> Result<JobHeader, SandboxError> {
    // Kernel limits are signed, and tmpfs rounds up to pages: far beyond any machine, far below overflow.
    const MOST: u64 = 1 << 50;
    // Below these an interpreter cannot even start a program.
    let least = [
        ("memory_bytes", limits.memory_bytes, 1 << 20),
        ("threads", limits.threads.into(), 1),
        ("open_files", limits.open_files.into(), 16),
        ("scratch_bytes", limits.scratch_bytes, 4096),
    ];
    if let Some((name, value, least)) = least.into_iter().find(|(_, value, least)| value < least) {
        return Err(bad(format!(
            "the limit {name} is {value} and has to be at least {least}"
        )));
    }
    let whole_seconds = limits.cpu.as_secs() + u64::from(limits.cpu.subsec_nanos() > 0);
    Ok(JobHeader {
        cpu_seconds: whole_seconds.clamp(1, MOST),
        memory_bytes: limits.memory_bytes.min(MOST),
        threads: limits.threads.into(),
        open_files: limits.open_files.into(),
        file_bytes: limits.file_bytes.min(MOST),
        scratch_bytes: limits.scratch_bytes.min(MOST),
        scratch_inodes: limits.scratch_inodes.into(),
        ..JobHeader::default()
    })
}

fn bad(reason: String) -> SandboxError {
    SandboxError::BadJob { reason }
}

/// From the inputs' places below the inputs root to their paths below the data.
fn sources<'a>(inputs: &'a [InputFile], root: Option<&Path>) -> Result<Vec<(String, &'a str)>, SandboxError> {
    let each = inputs.iter();
    each.map(|input| Ok((source(input, root)?, input.path.as_str())))
        .collect()
}

/// The input's place relative to the inputs root.
fn source(input: &InputFile, root: Option<&Path>) -> Result<String, SandboxError> {
    let shown = input.source.display();
    let real = input
        .source
        .canonicalize()
        .map_err(|error| bad(format!("the input {shown} cannot be found: {error}")))?;
    let Some(root) = root else {
        return Err(bad(format!(
            "the input {shown} cannot be used: this sandbox has no inputs root"
        )));
    };
    let relative = real.strip_prefix(root).map_err(|_| {
        bad(format!(
            "the input {shown} is not in the inputs root {}; put it there",
            root.display()
        ))
    })?;
    relative
        .to_str()
        .map(str::to_owned)
        .ok_or_else(|| bad(format!("the input {shown} has a name that is not UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::wire::USUAL_SCRATCH;

    #[test]
    fn inputs_have_to_lie_in_the_inputs_root() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        let root = inside.path().canonicalize().unwrap();
        std::fs::write(outside.path().join("a.csv"), "x").unwrap();
        std::os::unix::fs::symlink(outside.path().join("a.csv"), root.join("link.csv")).unwrap();
        for source in [outside.path().join("a.csv"), root.join("link.csv"), root.clone()] {
            let mut job = Job::new(Program::Analysis { code: String::new() });
            job.inputs = vec![InputFile {
                source: source.clone(),
                path: "a.csv".to_owned(),
            }];
            let error = JobDocument::new(&job, Some(&root)).unwrap_err();
            assert!(error.to_string().contains(source.to_str().unwrap()), "{error}");
        }
    }

    /// Also where the machine gives a pipe less room than usual.
    #[test]
    fn a_job_that_its_pipe_has_no_room_for_is_handed_over_all_the_same() {
        for room in [None, Some(4096)] {
            for length in [1, 4096, 4097, 65_536, 65_537, 1 << 20] {
                let pipe = JobPipe::new().unwrap();
                if let Some(room) = room {
                    rustix::pipe::fcntl_setpipe_size(&pipe.into, room).unwrap();
                }
                let job: Vec<u8> = (0..length).map(|place: usize| place.to_le_bytes()[0]).collect();
                let mut arrived = Vec::new();
                let mut from = std::fs::File::from(pipe.filled(&job).unwrap());
                let is_pipe = !from.metadata().unwrap().is_file();
                assert_eq!(is_pipe, length <= room.unwrap_or(65_536), "{room:?} {length}");
                io::Read::read_to_end(&mut from, &mut arrived).unwrap();
                assert!(arrived == job, "{room:?} {length}");
            }
        }
    }

    /// For that a ready child is set up before it has a job.
    #[test]
    fn ordinary_limits_are_the_usual_ones() {
        let header = header(&Limits::default()).unwrap();
        let usual = (USUAL_SCRATCH.bytes, USUAL_SCRATCH.inodes);
        assert_eq!((header.scratch_bytes, header.scratch_inodes), usual);
    }

    #[test]
    fn a_limit_too_small_to_start_is_named() {
        let mut job = Job::new(Program::Analysis { code: String::new() });
        job.limits.open_files = 3;
        let error = JobDocument::new(&job, None).unwrap_err();
        assert!(error.to_string().contains("open_files"), "{error}");
    }
}
