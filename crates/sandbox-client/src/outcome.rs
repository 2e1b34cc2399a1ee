use std::{fmt::Display, path::PathBuf};

use meterbox_core::contract::{SandboxReport, Usage};
use serde::{Deserialize, Serialize};

/// What became of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// How it ended, as seen from outside.
    pub verdict: Verdict,
    /// What the program replied; a claim.
    pub reply: Option<Reply>,
    /// What it printed to standard output: at most the output limit, invalid UTF-8 replaced.
    pub stdout: String,
    /// What it printed to standard error: at most the output limit, invalid UTF-8 replaced.
    pub stderr: String,
    /// Files it left, collected after its death.
    pub artifacts: Vec<Artifact>,
    /// Files it left that were not collected, and why.
    pub rejected: Vec<RejectedArtifact>,
    /// What it used, measured from outside. To collect its files after its death is no time of it.
    pub usage: Usage,
    /// Where it ran and how it was confined.
    pub sandbox: SandboxReport,
    /// What its generators were seeded with: [`Job::seed`](crate::Job::seed), to run it again with.
    pub seed: u64,
}

/// How a run ended. Comes only from what the back end saw.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The program ended by itself.
    Exited {
        /// Its exit code; 0 says nothing about the answer.
        code: i32,
    },
    /// A signal ended the program, and not because of a limit.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// It ran longer than allowed and was killed.
    WallLimit,
    /// It used more processor time than allowed and was killed.
    CpuLimit,
    /// It used more memory than allowed and was killed.
    MemoryLimit,
    /// It printed or replied more than allowed and was killed.
    OutputLimit,
    /// Its reply was not in the agreed form.
    BrokenReply {
        /// What is wrong with it.
        reason: String,
    },
    /// The caller cancelled it.
    Cancelled,
}

impl Verdict {
    /// The longest reason of a [broken reply](Self::BrokenReply), in characters.
    pub const LONGEST_REASON: usize = 500;

    /// A reply that was not in the agreed form. What a parser says may quote a program's own words, so it is cut.
    pub fn broken_reply(reason: impl Display) -> Self {
        let mut reason = reason.to_string();
        cut(&mut reason, Self::LONGEST_REASON);
        Self::BrokenReply { reason }
    }
}

/// A program's reply, as JSON that nobody has believed yet.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The value it replied with.
    Value(Box<serde_json::value::RawValue>),
    /// It raised an error.
    Error(ProgramError),
}

/// An error a program raised, in its own words. Plain text, capped; show it inert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramError {
    /// The exception's class, such as `KeyError`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The exception's message.
    pub message: String,
    /// The traceback, only of the program's own frames.
    #[serde(default)]
    pub traceback: String,
    /// The line of the program that raised it, counted from 1.
    #[serde(default)]
    pub line: Option<u32>,
}

impl ProgramError {
    /// The longest [`kind`](Self::kind), in characters.
    pub const LONGEST_KIND: usize = 200;
    /// The longest [`message`](Self::message), in characters.
    pub const LONGEST_MESSAGE: usize = 2_000;
    /// The longest [`traceback`](Self::traceback), in characters.
    pub const LONGEST_TRACEBACK: usize = 8_000;

    /// The error with each text cut to its cap. Every back end calls it: a program may write its own error past the
    /// prelude, which keeps to the same caps.
    #[must_use]
    pub fn capped(mut self) -> Self {
        cut(&mut self.kind, Self::LONGEST_KIND);
        cut(&mut self.message, Self::LONGEST_MESSAGE);
        cut(&mut self.traceback, Self::LONGEST_TRACEBACK);
        self
    }
}

/// Leaves at most so many characters; the last one then tells that there were more.
pub(crate) fn cut(text: &mut String, longest: usize) {
    if text.chars().nth(longest).is_none() {
        return;
    }
    if let Some((end, _)) = text.char_indices().nth(longest - 1) {
        text.truncate(end);
        text.push('…');
    }
}

/// A file collected after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its name: safe as a file name on any system, unique within the run.
    pub name: String,
    /// Where it was collected to.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// A file that was left but not collected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedArtifact {
    /// Its name, made printable.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl Outcome {
    /// An outcome with this verdict and nothing else.
    pub fn new(verdict: Verdict, sandbox: SandboxReport) -> Self {
        Self {
            verdict,
            reply: None,
            stdout: String::new(),
            stderr: String::new(),
            artifacts: Vec::new(),
            rejected: Vec::new(),
            usage: Usage::default(),
            sandbox,
            seed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_cut_at_characters_and_says_so() {
        let long = |character: &str| character.repeat(10_000);
        let error = ProgramError {
            kind: long("K"),
            message: long("ü"),
            traceback: long("€"),
            line: Some(1),
        }
        .capped();
        let lengths = [&error.kind, &error.message, &error.traceback].map(|text| text.chars().count());
        assert_eq!(lengths, [200, 2_000, 8_000]);
        assert!(error.message.ends_with("ü…"));
        let short = ProgramError {
            message: "ü".repeat(2_000),
            ..error
        };
        assert_eq!(short.clone().capped().message, short.message);
    }
}
