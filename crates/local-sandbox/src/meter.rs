//! What a program uses while it runs, looked at from outside.

use std::{
    io::Read,
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use meterbox_core::contract::Usage;
use rustix::fs::{Mode, OFlags};

use crate::{groups::Group, zygote::Ended};

/// Watches one process. Where the machine hides it, nothing is measured and the limits of the kernel remain.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The process's folder under `/proc`: it stays this process's, whoever gets the number next.
    folder: Option<OwnedFd>,
    /// Memory it may have, with what it was born with.
    most: u64,
    /// Memory it was born with: pages of the prepared interpreter, which it does not pay for.
    at_start: u64,
    peak: u64,
    cpu: Duration,
    /// Processor time of its set-up, which is not the program's.
    cpu_at_start: Duration,
    /// Its control group, where it has one; what that counts is exact.
    group: Option<Arc<Group>>,
    /// Memory of the group when the program began, and the most that was seen of it where the kernel keeps no peak.
    group_at_start: u64,
    group_seen: Option<u64>,
}

impl Meter {
    pub(crate) fn new(pid: i32, pidfd: &OwnedFd, most: u64, group: Option<&Arc<Group>>) -> Self {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()).ok();
        // Still there after the folder was opened, so the folder is its own.
        Self {
            folder: folder.filter(|_| is_unreaped(pidfd)),
            most,
            at_start: 0,
            peak: 0,
            cpu: Duration::ZERO,
            cpu_at_start: Duration::ZERO,
            group: group.map(Arc::clone),
            group_at_start: 0,
            group_seen: None,
        }
    }

    /// Where nobody watches, the kernel's own limits remain. For tests.
    #[cfg(feature = "test-guards")]
    pub(crate) fn watch_unless(&mut self, unwatched: bool) {
        if unwatched {
            self.most = u64::MAX;
        }
    }

    /// What it has now is what it was born with; where it is over already, that is what others were born with.
    pub(crate) fn begin(&mut self, of_others: u64) {
        let resident = self.resident().filter(|resident| *resident > 0);
        self.at_start = resident.unwrap_or(of_others);
        self.peak = self.at_start;
        let cpu = self.time_of_group().or_else(|| self.time_of_only_thread());
        self.cpu_at_start = cpu.unwrap_or_default();
        if let Some(group) = &self.group {
            self.group_at_start = group.memory().unwrap_or_default();
            self.group_seen = group.peak().is_none().then_some(self.group_at_start);
        }
    }

    pub(crate) fn is_over(&mut self) -> bool {
        let resident = self.resident().unwrap_or_default();
        self.peak = self.peak.max(resident);
        if let (Some(group), Some(seen)) = (&self.group, &mut self.group_seen) {
            *seen = (*seen).max(group.memory().unwrap_or_default());
        }
        resident > self.most
    }

    /// Whether its group's cap on memory has ended it.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.ran_out_of_memory())
    }

    /// What was used so far.
    pub(crate) fn usage(&mut self, wall: Duration, output_bytes: u64) -> Usage {
        if let Some(cpu) = self.time_of_group().or_else(|| self.processor_time()) {
            self.cpu = self.cpu.max(cpu.saturating_sub(self.cpu_at_start));
        }
        Usage {
            wall_ms: millis(wall),
            cpu_ms: millis(self.cpu),
            peak_memory_bytes: self.peak - self.at_start,
            output_bytes,
        }
    }

    /// Of a peak that the kernel has measured, what the program itself used. The kernel counts pages in batches for each
    /// processor, so a program that needs less than such a batch (some hundred kilobytes) may have used nothing. Where it
    /// has a control group, that counts, and what it copied of the interpreter too.
    pub(crate) fn own_share(&self, peak: u64) -> u64 {
        let of_process = peak.max(self.peak).saturating_sub(self.at_start);
        of_process.max(self.own_share_of_group().unwrap_or_default())
    }

    /// Without what holds files in the end: those that the program wrote have a limit of their own, and those it read are
    /// anybody's.
    fn own_share_of_group(&self) -> Option<u64> {
        let group = self.group.as_ref()?;
        let peak = group.peak().or(self.group_seen)?;
        Some(peak.saturating_sub(self.group_at_start.saturating_add(group.file_bytes()?)))
    }

    /// Of all its processor time, what the program itself used.
    pub(crate) fn own_time(&self, cpu: Duration) -> Duration {
        self.time_of_group()
            .unwrap_or(cpu)
            .saturating_sub(self.cpu_at_start)
    }

    fn time_of_group(&self) -> Option<Duration> {
        self.group.as_ref()?.processor_time()
    }

    /// How a process ended that nobody has reaped yet, as its entry in the list of processes has it. Its peak is what was
    /// seen of it while it ran.
    pub(crate) fn end(&self) -> Option<Ended> {
        let stat = self.read("stat")?;
        // After the name: the state, and as the last word how it ended.
        let mut words = stat.rsplit(')').next()?.split_ascii_whitespace();
        let (state, status) = (words.next()?, words.next_back()?);
        if !matches!(state, "Z" | "X") {
            return None;
        }
        Some(Ended {
            // To whom it is not shown, the kernel says 0.
            status: if self.may_look_into() {
                Some(status.parse().ok()?)
            } else {
                None
            },
            cpu: self.processor_time()?,
            peak_bytes: self.peak,
        })
    }

    /// Whether this process may see more of that one than everybody; its folder then is gone, and otherwise closed.
    fn may_look_into(&self) -> bool {
        let closed = [rustix::io::Errno::ACCESS, rustix::io::Errno::PERM];
        let folder = self
            .folder
            .as_ref()
            .map(|proc| rustix::fs::readlinkat(proc, "cwd", Vec::new()));
        matches!(folder, Some(Err(error)) if !closed.contains(&error))
    }

    /// To the nanosecond, where the kernel keeps it.
    fn time_of_only_thread(&self) -> Option<Duration> {
        let nanos = self
            .read("schedstat")?
            .split_ascii_whitespace()
            .next()?
            .parse()
            .ok()?;
        Some(Duration::from_nanos(nanos))
    }

    fn resident(&self) -> Option<u64> {
        let pages: u64 = self
            .read("statm")?
            .split_ascii_whitespace()
            .nth(1)?
            .parse()
            .ok()?;
        Some(pages * rustix::param::page_size() as u64)
    }

    /// Of all its threads.
    fn processor_time(&self) -> Option<Duration> {
        let stat = self.read("stat")?;
        // After the name, which may hold anything, the 12th and 13th word: ticks as user and as system.
        let mut words = stat.rsplit(')').next()?.split_ascii_whitespace().skip(11);
        let mut ticks = || words.next()?.parse::<u64>().ok();
        let ticks = ticks()? + ticks()?;
        Some(Duration::from_millis(
            ticks * 1000 / rustix::param::clock_ticks_per_second(),
        ))
    }

    fn read(&self, file: &str) -> Option<String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.folder.as_ref()?, file, flags, Mode::empty()).ok()?;
        let mut text = String::new();
        std::fs::File::from(file).read_to_string(&mut text).ok()?;
        Some(text)
    }
}

/// Does the kernel still keep its number for it, living or dead? Asked without a signal, which a program under a tracer
/// would stop at.
fn is_unreaped(pidfd: &OwnedFd) -> bool {
    let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()));
    let number = about
        .iter()
        .flat_map(|text| text.lines())
        .find_map(|line| line.strip_prefix("Pid:"));
    number
        .and_then(|number| number.trim().parse::<i32>().ok())
        .is_some_and(|pid| pid > 0)
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
