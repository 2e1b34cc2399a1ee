//! Runs a helper program and keeps its last lines.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Read},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

const LAST_LINES: usize = 8;

/// Runs to the end. `on_line` sees each line of standard output and standard error as it comes.
///
/// # Errors
/// The program's last lines when it cannot be started or does not end with 0.
pub(super) fn run(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<(), String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let (sender, lines) = mpsc::channel();
    let readers = [
        child.stdout.take().map(|pipe| forward(pipe, sender.clone())),
        child.stderr.take().map(|pipe| forward(pipe, sender)),
    ];
    let mut last = VecDeque::with_capacity(LAST_LINES);
    for line in lines {
        on_line(&line);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    for reader in readers.into_iter().flatten() {
        // A reader only forwards lines; if it failed, the lines are cut short and nothing else.
        let _ = reader.join();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    if last.is_empty() {
        return Err(status.to_string());
    }
    Err(last.make_contiguous().join(" | "))
}

/// Runs to the end and returns standard output.
///
/// # Errors
/// The last line it wrote, or how it ended.
pub(super) fn output(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(describe)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let last = complaint.lines().rev().find(|line| !line.trim().is_empty());
    Err(last.map_or_else(|| output.status.to_string(), |line| line.trim().to_owned()))
}

fn describe(error: io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound { "not there".to_owned() } else { error.to_string() }
}

fn forward(pipe: impl Read + Send + 'static, sender: mpsc::Sender<String>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0) {
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            line.clear();
            if !text.is_empty() && sender.send(text).is_err() {
                return;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_the_last_lines() {
        let mut seen = 0;
        let failed = run(Command::new("sh").args(["-c", "seq 20; exit 3"]), |_| seen += 1);
        assert_eq!(failed.expect_err("exit 3"), "13 | 14 | 15 | 16 | 17 | 18 | 19 | 20");
        assert_eq!(seen, 20);
    }

    #[test]
    fn a_silent_failure_says_how_it_ended() {
        let failed = run(Command::new("sh").args(["-c", "exit 3"]), |_| {}).expect_err("exit 3");
        assert!(failed.contains('3'), "{failed}");
        assert_eq!(output(&mut Command::new("/nowhere/python3")).expect_err("not there"), "not there");
    }
}
