//! Everything before a program's first line: its machine looked at, its files and the prelude uploaded.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::Serialize;

use super::{DATA, E2bSandbox, HOME, SET_UP, USER, WIND_UP, WORK, bill::Bill, lease::Lease, sent::Sending};
use crate::{
    Capabilities, Job, OutputSink, Program, SandboxError,
    e2b::{Command, E2bError, Process},
    prelude,
};

const RUNNER: &str = include_str!("../../../prelude/e2b_runner.py");
const ROOT: &str = "root";
const PARQUET: &str = ".parquet";

impl E2bSandbox {
    pub(super) async fn set_up(
        &self,
        lease: &Lease,
        job: &Job,
        bill: &mut Bill,
        output: &Arc<dyn OutputSink>,
    ) -> Result<Process, E2bError> {
        let (client, access) = (&self.client, lease.access());
        client.wait_until_ready(access).await?;
        self.check_size(lease, bill).await?;
        let found = self.found.get_or_try_init(|| self.look_around(lease)).await?;
        let placed = Placed::new(job, found)?;
        let document = serde_json::to_string(&JobDocument::new(job, &placed.tables))
            .map_err(|error| E2bError::Invalid(format!("the job is no JSON: {error}")))?;
        let to = client.host_of(access);
        Sending::text(&to, "job", &document, output);
        let files = [
            ("prelude.py", prelude::SOURCE.as_bytes().to_vec()),
            ("runner.py", RUNNER.as_bytes().to_vec()),
            ("job.json", document.into_bytes()),
        ];
        for (name, bytes) in files {
            client
                .write_file(access, &format!("{HOME}/{name}"), USER, bytes)
                .await?;
        }
        client
            .write_file(access, &format!("{WORK}/.keep"), USER, Vec::new())
            .await?;
        for (source, path) in &placed.files {
            // Root's, so that the program can only read it.
            let sending = Sending::new(&to, path, output);
            let seen = sending.seen();
            let place = format!("{DATA}/{path}");
            client
                .upload_seen(access, &place, ROOT, source, SET_UP, move |bytes| seen.add(bytes))
                .await?;
        }
        let mut command = Command::new("python3", ["-u".to_owned(), format!("{HOME}/runner.py")]);
        command.folder = Some(WORK.to_owned());
        command.user = Some(USER.to_owned());
        command.limit = job.limits.wall.saturating_add(WIND_UP);
        command.env.insert("MPLBACKEND".to_owned(), "Agg".to_owned());
        client.start(access, &command).await
    }
}

/// Before anything costs.
pub(super) fn check_readable(job: &Job) -> Result<(), SandboxError> {
    let portable = job.portable_tables.values();
    let portable = portable.flat_map(|table| [&table.csv, &table.types]);
    for source in job.inputs.iter().map(|input| &input.source).chain(portable) {
        std::fs::File::open(source).map_err(|error| SandboxError::BadJob {
            reason: format!("the input {} cannot be read: {error}", source.display()),
        })?;
    }
    Ok(())
}

/// A job's files and tables as its machine will have them.
struct Placed {
    files: Vec<(PathBuf, String)>,
    tables: BTreeMap<String, String>,
}

impl Placed {
    /// Tables as CSV where this Python cannot read Parquet.
    fn new(job: &Job, found: &Capabilities) -> Result<Self, E2bError> {
        let mut files: Vec<(PathBuf, String)> = job
            .inputs
            .iter()
            .map(|input| (input.source.clone(), input.path.clone()))
            .collect();
        let mut tables = job.tables.clone();
        if found.packages.contains_key("pyarrow") {
            return Ok(Self { files, tables });
        }
        for (name, path) in &mut tables {
            let Some(stem) = path.strip_suffix(PARQUET).map(str::to_owned) else {
                continue;
            };
            let portable = job.portable_tables.get(name).ok_or_else(|| {
                E2bError::Invalid(format!(
                    "the table {name} is a Parquet file, which the template's Python cannot read without pyarrow; \
                     use a template that has it"
                ))
            })?;
            files.retain(|(_, to)| to != path);
            *path = format!("{stem}.csv");
            files.push((portable.csv.clone(), path.clone()));
            files.push((portable.types.clone(), format!("{stem}.types.json")));
        }
        Ok(Self { files, tables })
    }
}

#[derive(Serialize)]
struct JobDocument<'a> {
    mode: &'static str,
    code: &'a str,
    parameters: Option<&'a serde_json::Value>,
    tables: &'a BTreeMap<String, String>,
    as_of: Option<String>,
    seed: u64,
    reply_bytes: u64,
    data_dir: &'static str,
    limits: LimitsDocument,
}

#[derive(Serialize)]
struct LimitsDocument {
    cpu_seconds: u64,
    memory_bytes: u64,
    open_files: u32,
    file_bytes: u64,
}

impl<'a> JobDocument<'a> {
    fn new(job: &'a Job, tables: &'a BTreeMap<String, String>) -> Self {
        let (mode, code, parameters) = match &job.program {
            Program::Analysis { code } => ("analysis", code, None),
            Program::Service { code, parameters } => ("service", code, Some(parameters)),
        };
        let cpu = job.limits.cpu;
        Self {
            mode,
            code,
            parameters,
            tables,
            as_of: job.as_of.map(|date| date.to_string()),
            seed: job.seed,
            reply_bytes: job.limits.reply_bytes,
            data_dir: DATA,
            limits: LimitsDocument {
                cpu_seconds: (cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0)).max(1),
                memory_bytes: job.limits.memory_bytes,
                open_files: job.limits.open_files,
                file_bytes: job.limits.file_bytes,
            },
        }
    }
}
