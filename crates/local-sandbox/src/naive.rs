//! A supervisor that believes what it is given. This crate's tests put it in the place of a guard that they leave
//! out, over the very bytes and folder that the real one judges, to see that an attack on that guard is real.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    path::Path,
};

use meterbox_sandbox_client::{Outcome, Reply, Verdict};
use serde_json::{Value, value::to_raw_value};

/// Judges the run again without these guards.
pub(crate) fn judge(
    without: &[&str],
    reply: &[u8],
    scratch: BorrowedFd<'_>,
    artifacts_into: Option<&Path>,
    outcome: &mut Outcome,
) -> io::Result<()> {
    // `one-reply`: the first answer that comes is the answer, and what is no document is text.
    if without.contains(&"one-reply") && !reply.is_empty() {
        believe(first_answer(reply), outcome)?;
    }
    // `verdict`: the program says by its exit code that all went well, and prints its answer.
    let well = matches!(outcome.verdict, Verdict::Exited { code: 0 | 77 });
    if without.contains(&"verdict") && well && !outcome.stdout.is_empty() {
        believe(Value::from(outcome.stdout.trim()), outcome)?;
    }
    // `collect`: what opens as a file is a file of the program's.
    if let Some(into) = artifacts_into.filter(|_| without.contains(&"collect")) {
        copy_all(scratch, into)?;
    }
    Ok(())
}

fn believe(answer: Value, outcome: &mut Outcome) -> io::Result<()> {
    outcome.verdict = Verdict::Exited { code: 0 };
    outcome.reply = Some(Reply::Value(to_raw_value(&answer)?));
    Ok(())
}

fn first_answer(reply: &[u8]) -> Value {
    let first = serde_json::Deserializer::from_slice(reply).into_iter().next();
    match first {
        Some(Ok(Value::Object(mut frame))) => frame.remove("value").unwrap_or_default(),
        _ => String::from_utf8_lossy(reply).into(),
    }
}

fn copy_all(scratch: BorrowedFd<'_>, into: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(format!("/proc/self/fd/{}", scratch.as_raw_fd()))? {
        let entry = entry?;
        // Follows links, as the copy does.
        if entry.path().is_file() {
            std::fs::copy(entry.path(), into.join(entry.file_name()))?;
        }
    }
    Ok(())
}
