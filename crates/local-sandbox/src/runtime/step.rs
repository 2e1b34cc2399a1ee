//! Running the programs that an installation is made of, and saying why one failed.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use super::{RuntimeError, turn::Turn};

const KEPT_LINES: usize = 12;

/// One program of an installation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) name: &'static str,
    /// What to do where it fails and nothing better is known.
    pub(super) fix: &'static str,
    /// The runtime folder.
    pub(super) folder: &'a Path,
    /// Held by the program as well.
    pub(super) turn: &'a Turn,
}

impl Step<'_> {
    /// Runs it to its end, telling each line it prints.
    pub(super) fn run(&self, command: Command, mut line: impl FnMut(&str)) -> Result<(), RuntimeError> {
        let mut child = self.spawn(command)?;
        let stderr = child.stderr.take();
        let errors = thread::spawn(move || all(stderr));
        let mut printed = Vec::new();
        let stdout = child.stdout.take();
        // Whatever it prints is read to its end: who is not heard any more fails by that.
        for said in stdout
            .into_iter()
            .flat_map(|stdout| BufReader::new(stdout).split(b'\n'))
            .map_while(Result::ok)
        {
            let said = String::from_utf8_lossy(&said).into_owned();
            line(&said);
            printed.push(said);
        }
        let status = child.wait().map_err(|error| self.failed(&error.to_string()))?;
        let errors = errors.join().unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        // Installers tell on both what went wrong.
        printed.extend(errors.lines().map(str::to_owned));
        Err(self.failed(&printed.join("\n")))
    }

    fn spawn(&self, mut command: Command) -> Result<Child, RuntimeError> {
        let held = self
            .turn
            .as_stdin()
            .map_err(|source| RuntimeError::io(self.folder, source))?;
        command
            .stdin(held)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.failed(&error.to_string()))
    }

    fn failed(&self, output: &str) -> RuntimeError {
        let said = |signs: &[&str]| signs.iter().any(|sign| output.contains(sign));
        if said(&["No space left on device", "Disk quota exceeded", "(os error 28)"]) {
            return RuntimeError::no_room(self.folder, None);
        }
        let output = last_lines(output);
        if said(&["DO NOT MATCH THE HASHES", "Hash mismatch"]) {
            let fix = "look where the packages come from (`pip config list`, the wheelhouse), for it is not what was \
                       locked; nothing of it is used";
            return RuntimeError::Altered { output, fix };
        }
        if said(&[
            "NewConnectionError",
            "Failed to establish a new connection",
            "Failed to connect",
            "NameResolutionError",
            "ConnectTimeoutError",
            "ReadTimeoutError",
            "ProxyError",
            "SSLError",
            "ProtocolError",
            "Connection refused",
            "error sending request",
        ]) {
            return RuntimeError::Network { output };
        }
        RuntimeError::Step {
            step: self.name,
            output,
            fix: self.fix,
        }
    }
}

fn all(stream: Option<impl Read>) -> String {
    let mut text = Vec::new();
    if let Some(mut stream) = stream {
        // What was read so far is worth showing even if the rest cannot be.
        let _ = stream.read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(KEPT_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_does_not_break_a_step_off() {
        let folder = tempfile::tempdir().unwrap();
        let turn = Turn::take(folder.path(), || {}).unwrap();
        let step = Step {
            name: "a step",
            fix: "",
            folder: folder.path(),
            turn: &turn,
        };
        let mut command = Command::new("sh");
        command.args(["-ec", r"printf 'one\n\377\n'; seq 20000; echo last"]);
        let mut heard = Vec::new();
        step.run(command, |line| heard.push(line.to_owned())).unwrap();
        assert_eq!(heard.len(), 20_003);
        assert_eq!(
            (&*heard[0], &*heard[1], &*heard[20_002]),
            ("one", "\u{fffd}", "last")
        );
    }
}
