//! What a program uses while it runs, looked at from outside.

use std::{
    io::Read,
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use meterbox_core::contract::Usage;
use rustix::fs::{Dir, Mode, OFlags};

use crate::{groups::Group, run::SIGKILL, zygote::Ended};

const MB: u64 = 1 << 20;
/// By how much the kernel's counts may be off: it counts pages in batches for each processor, of some hundred kilobytes in
/// all on two of them, and of this much where a program moves among eight of sixty-four.
const COUNTING: u64 = 4 * MB;
/// A program that has so little is looked at no closer.
const LITTLE: u64 = 4 * MB;
/// Pages of libraries that a program may take up between two looks, beyond that: they are everybody's, and the kernel's peak
/// has them in it. Ordinary programs take up 11 MB at most.
const BETWEEN_LOOKS: u64 = 16 * MB;

/// Watches one process. Where the machine hides it, nothing is measured and the limits of the kernel remain.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The process's folder under `/proc`: it stays this process's, whoever gets the number next.
    folder: Option<OwnedFd>,
    /// Memory it may have beyond what it was born with.
    limit: u64,
    /// So much the kernel lets it map, files too: all that a process may have, of which a cell's limit may be a part.
    mappable: u64,
    /// Memory it was born with: pages of the prepared interpreter, which it does not pay for.
    at_start: u64,
    /// Of that, what belongs to files; and the most of it that was seen since.
    files_at_start: u64,
    files: u64,
    peak: u64,
    cpu: Duration,
    /// Processor time of its set-up, which is not the program's.
    cpu_at_start: Duration,
    /// Its control group, where it has one; what that counts is exact.
    group: Option<Arc<Group>>,
    /// Memory of the group when the program began, and the most that was seen of it where the kernel keeps no peak.
    group_at_start: u64,
    group_seen: Option<u64>,
    /// The kernel's own peaks, of the process and of the group, when the cell began that is measured now.
    peak_before: u64,
    group_peak_before: u64,
}

/// A thread of the watched process, as seen at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thread {
    id: String,
    state: String,
    /// How often it has had a processor.
    turns: String,
}

impl Thread {
    /// It does nothing, and will not before it is woken.
    pub(crate) fn is_still(&self) -> bool {
        matches!(self.state.as_str(), "T" | "t" | "Z" | "X")
    }
}

impl Meter {
    /// Of a program that may have any memory, until that is [limited](Self::limit).
    pub(crate) fn new(pid: i32, pidfd: &OwnedFd, group: Option<&Arc<Group>>) -> Self {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty()).ok();
        // Still there after the folder was opened, so the folder is its own.
        Self {
            folder: folder.filter(|_| is_unreaped(pidfd)),
            limit: u64::MAX,
            mappable: u64::MAX,
            at_start: 0,
            files_at_start: 0,
            files: 0,
            peak: 0,
            cpu: Duration::ZERO,
            cpu_at_start: Duration::ZERO,
            peak_before: 0,
            group_peak_before: 0,
            group: group.map(Arc::clone),
            group_at_start: 0,
            group_seen: None,
        }
    }

    /// The program may have so much memory of its own, and its process may map as much.
    pub(crate) fn limit(&mut self, memory_bytes: u64) {
        (self.limit, self.mappable) = (memory_bytes, memory_bytes);
    }

    /// Begins, or looks once more where it has begun long ago.
    pub(crate) fn begin_or_look_again(&mut self, of_others: u64) {
        if self.at_start == 0 {
            return self.begin(of_others);
        }
        self.look_again();
    }

    /// What is there is not the program's yet, or not only: the less of it counts, for while a child waits the kernel may have
    /// taken pages of files from it.
    pub(crate) fn look_again(&mut self) {
        let resident = self.resident_and_files().filter(|(resident, _)| *resident > 0);
        if let Some(less) = resident.filter(|(resident, _)| *resident < self.at_start) {
            (self.at_start, self.files_at_start) = less;
            (self.peak, self.files) = less;
        }
    }

    /// What it has now is what it was born with; where it is over already, that is what others were born with.
    pub(crate) fn begin(&mut self, of_others: u64) {
        let resident = self.resident_and_files().filter(|(resident, _)| *resident > 0);
        (self.at_start, self.files_at_start) = resident.unwrap_or((of_others, 0));
        (self.peak, self.files) = (self.at_start, self.files_at_start);
        let cpu = self.time_of_group().or_else(|| self.time_of_only_thread());
        self.cpu_at_start = cpu.unwrap_or_default();
        if let Some(group) = &self.group {
            self.group_at_start = group.memory().unwrap_or_default();
            self.group_seen = group.peak().is_none().then_some(self.group_at_start);
        }
    }

    /// The same once it has rehearsed: what it had at most until then is not its program's.
    pub(crate) fn begin_after_rehearsal(&mut self, of_others: u64) {
        self.begin(of_others);
        self.note_peaks();
    }

    pub(crate) fn is_over(&mut self) -> bool {
        let resident = self.resident().unwrap_or_default();
        self.peak = self.peak.max(resident);
        if let (Some(group), Some(seen)) = (&self.group, &mut self.group_seen) {
            *seen = (*seen).max(group.memory().unwrap_or_default());
        }
        if resident.saturating_sub(self.at_start) <= LITTLE {
            return false;
        }
        let Some(status) = self.status() else { return false };
        self.files = self.files.max(status.files);
        let own_at_start = self.at_start - self.files_at_start;
        status.own.saturating_sub(own_at_start) > self.limit.saturating_add(COUNTING)
    }

    /// Whether it had more memory than it may at any moment, as the kernel has measured it: what is taken and given back
    /// between two looks is not seen otherwise. The peak has pages of files in it, and a cell that may have less than its
    /// process may map a larger file for as short: what that explains is no verdict.
    fn was_beyond(&self, peak: u64) -> bool {
        let files = self.files - self.files_at_start + BETWEEN_LOOKS;
        let most = self.limit.max(self.mappable).saturating_add(files + COUNTING);
        self.folder.is_some() && peak.saturating_sub(self.at_start) > most
    }

    /// Whether that end was for want of memory, whatever else it seems.
    pub(crate) fn has_starved(&self, ended: &Ended) -> bool {
        // All of a group is killed at once.
        let killed = ended.status.is_none_or(|status| status & 0x7f == SIGKILL);
        let beyond = ended.peak_bytes > self.peak_before && self.was_beyond(ended.peak_bytes);
        beyond || killed && self.group.as_ref().is_some_and(|group| group.ran_out_of_memory())
    }

    /// Whether the program had used more processor time than this, in whole seconds, when that was last looked at. The
    /// kernel's own limit counts the ticks that it saw a process run in, and on a busy machine it misses many.
    pub(crate) fn was_over(&self, limit: Duration) -> bool {
        let whole = limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
        self.cpu > Duration::from_secs(whole)
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

    /// What comes from now on is another cell's, which may have so much beyond what the process was born with.
    pub(crate) fn begin_cell(&mut self, memory_bytes: u64) {
        self.limit = memory_bytes;
        let status = self.note_peaks();
        self.files = status.files.max(self.files_at_start);
        self.peak = (status.own + status.files).max(self.at_start);
    }

    fn note_peaks(&mut self) -> Status {
        let status = self.status().unwrap_or_default();
        self.peak_before = status.peak;
        if let Some(group) = &self.group {
            self.group_peak_before = group.peak().unwrap_or_default();
            self.group_seen = group.memory();
        }
        status
    }

    /// The kernel's peak so far, of a process at rest, and whether that has risen beyond what the cell may have.
    pub(crate) fn kernels_peak(&mut self) -> (u64, bool) {
        let status = self.status().unwrap_or_default();
        self.files = self.files.max(status.files);
        let beyond = status.peak > self.peak_before && self.was_beyond(status.peak);
        (status.peak, beyond)
    }

    fn status(&self) -> Option<Status> {
        Status::read(&self.read("status")?)
    }

    /// What the program itself has now.
    pub(crate) fn held(&self) -> u64 {
        let of_process = self.resident().unwrap_or_default().saturating_sub(self.at_start);
        let in_group = self.group.as_ref().and_then(|group| group.memory());
        let of_group = in_group.and_then(|memory| self.share_of_group(memory));
        of_process.max(of_group.unwrap_or_default())
    }

    /// What the program itself has used of the processor so far.
    pub(crate) fn busy(&mut self) -> Duration {
        // Ticks count all threads, and to the nanosecond there is the first one.
        let precise = self.time_of_only_thread().unwrap_or_default();
        let cpu = self.processor_time().unwrap_or_default().max(precise);
        self.cpu = self.cpu.max(self.own_time(cpu));
        self.cpu
    }

    /// All its threads; `None` where the machine does not show them.
    pub(crate) fn threads(&self) -> Option<Vec<Thread>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let tasks = rustix::fs::openat(self.folder.as_ref()?, "task", flags, Mode::empty()).ok()?;
        let mut threads = Vec::new();
        for entry in Dir::read_from(&tasks).ok()? {
            let id = entry.ok()?.file_name().to_str().ok()?.to_owned();
            if id.starts_with('.') {
                continue;
            }
            // One that ends meanwhile is none, and then its turns are of no matter.
            let Some(stat) = self.read(&format!("task/{id}/stat")) else {
                continue;
            };
            let state = stat
                .rsplit(')')
                .next()?
                .split_ascii_whitespace()
                .next()?
                .to_owned();
            let turns = self.read(&format!("task/{id}/schedstat")).unwrap_or_default();
            threads.push(Thread { id, state, turns });
        }
        (!threads.is_empty()).then_some(threads)
    }

    /// Of a peak that the kernel has measured, what the program itself used, or its cell. The kernel counts pages in batches for
    /// each processor, so a program that needs less than such a batch (some hundred kilobytes) may have used nothing. Its peaks
    /// are of the whole life of a process and its group, so they tell of what comes after something else only where they have
    /// risen; below that, what was seen counts. Where there is a control group, that counts, and what was copied of the
    /// interpreter too.
    pub(crate) fn own_share(&self, peak: u64) -> u64 {
        let risen = if peak > self.peak_before { peak } else { 0 };
        let of_process = risen.max(self.peak).saturating_sub(self.at_start);
        of_process.max(self.own_share_of_group().unwrap_or_default())
    }

    fn own_share_of_group(&self) -> Option<u64> {
        let group = self.group.as_ref()?;
        let risen = group.peak().filter(|peak| *peak > self.group_peak_before);
        self.share_of_group(risen.max(group.memory()).max(self.group_seen)?)
    }

    /// Of so much memory of the group. Without what holds files in the end: those that the program wrote have a limit of
    /// their own, and those it read are anybody's.
    fn share_of_group(&self, memory: u64) -> Option<u64> {
        let files = self.group.as_ref()?.file_bytes()?;
        Some(memory.saturating_sub(self.group_at_start.saturating_add(files)))
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
        self.resident_and_files().map(|(resident, _)| resident)
    }

    /// All of it, and what of that belongs to files or is shared.
    fn resident_and_files(&self) -> Option<(u64, u64)> {
        let statm = self.read("statm")?;
        let mut pages = statm.split_ascii_whitespace().skip(1);
        let mut bytes = || Some(pages.next()?.parse::<u64>().ok()? * rustix::param::page_size() as u64);
        Some((bytes()?, bytes()?))
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

/// Memory of a process, as the kernel tells it apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Status {
    /// What it has written, and what it shares, though with nobody but its own threads.
    own: u64,
    /// Pages of files that it has mapped.
    files: u64,
    /// The most that both were together.
    peak: u64,
}

impl Status {
    fn read(text: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
            Some(kilobytes * 1024)
        };
        Some(Self {
            own: bytes("RssAnon:")? + bytes("RssShmem:")?,
            files: bytes("RssFile:")?,
            peak: bytes("VmHWM:")?,
        })
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

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use rustix::process::{PidfdFlags, getpid, pidfd_open};

    use super::*;

    const GB: u64 = 1 << 30;

    fn has(group: &Path, current: u64, peak: u64, files: u64) {
        let write = |name: &str, text: String| fs::write(group.join(name), text).unwrap();
        write("memory.current", format!("{current}\n"));
        write("memory.peak", format!("{peak}\n"));
        write("memory.stat", format!("anon 1\nfile {files}\n"));
    }

    fn of_itself(limit: u64) -> Meter {
        let pidfd = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        let mut meter = Meter::new(getpid().as_raw_nonzero().get(), &pidfd, None);
        meter.limit(limit);
        meter.begin(0);
        meter
    }

    fn exited(peak_bytes: u64) -> Ended {
        Ended {
            status: Some(0),
            cpu: Duration::ZERO,
            peak_bytes,
        }
    }

    #[test]
    fn a_peak_that_nobody_saw_is_for_want_of_memory() {
        let mut meter = of_itself(GB);
        let most = meter.at_start + GB + BETWEEN_LOOKS + COUNTING;
        assert!(!meter.has_starved(&exited(most)));
        assert!(meter.has_starved(&exited(most + 1)));
        // Libraries that it was seen to have taken up are not its own.
        meter.files += GB;
        assert!(!meter.has_starved(&exited(most + GB)));
        assert!(meter.has_starved(&exited(most + GB + 1)));
    }

    #[test]
    fn the_peak_of_a_cell_before_is_no_want_of_this_one() {
        let mut meter = of_itself(GB);
        meter.begin_cell(GB);
        meter.peak_before = meter.at_start + 9 * GB;
        assert!(!meter.has_starved(&exited(meter.peak_before)));
        assert!(meter.has_starved(&exited(meter.peak_before + 1)));
    }

    #[test]
    fn more_of_its_own_than_it_may_have_is_over() {
        // So much that other tests beside this one are nothing.
        let mut meter = of_itself(64 * MB);
        assert!(!meter.is_over());
        let held = std::hint::black_box(vec![1_u8; 192 << 20]);
        assert!(meter.is_over());
        meter.limit = 256 * MB;
        assert!(!meter.is_over());
        drop(held);
    }

    #[test]
    fn what_a_cell_may_map_is_no_want_of_memory() {
        let mut meter = of_itself(GB);
        meter.begin_cell(64 * MB);
        let most = meter.at_start + (meter.files - meter.files_at_start) + GB + BETWEEN_LOOKS + COUNTING;
        meter.peak_before = 0;
        assert!(!meter.has_starved(&exited(most)));
        assert!(meter.has_starved(&exited(most + 1)));
    }

    #[test]
    fn a_status_is_told_apart() {
        let text = "Name:\tx\nVmHWM:\t  90 kB\nVmRSS:\t 70 kB\nRssAnon:\t 10 kB\nRssFile:\t 40 kB\nRssShmem:\t 20 kB\n";
        let status = Status {
            own: 30 << 10,
            files: 40 << 10,
            peak: 90 << 10,
        };
        assert_eq!(Status::read(text), Some(status));
        assert_eq!(Status::read("Name:\tdead\n"), None);
    }

    /// With the folder that its counts lie in.
    fn of_this_process_in_a_group() -> (tempfile::TempDir, PathBuf, Meter) {
        let folder = tempfile::tempdir().unwrap();
        let group = Group::of_plain_files(folder.path());
        let pidfd = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
        let meter = Meter::new(getpid().as_raw_nonzero().get(), &pidfd, Some(&group));
        (folder, group.folder().to_owned(), meter)
    }

    #[test]
    fn what_was_rehearsed_is_not_billed() {
        let (_folder, file, mut meter) = of_this_process_in_a_group();
        has(&file, 10 * GB, 30 * GB, 0);
        meter.begin_after_rehearsal(0);
        assert!(meter.own_share(0) < GB);
        has(&file, 12 * GB, 30 * GB, 0);
        assert!(!meter.is_over());
        assert_eq!(meter.own_share(0), 2 * GB, "what was seen");
        has(&file, 12 * GB, 35 * GB, 0);
        assert_eq!(meter.own_share(0), 25 * GB, "the peak has risen");
    }

    /// What the kernel counts for a group is what is billed, of a run and of each cell. So much that what this process itself
    /// has is nothing beside it.
    #[test]
    fn the_group_counts_for_each_cell() {
        let (_folder, file, mut meter) = of_this_process_in_a_group();
        has(&file, 10 * GB, 11 * GB, 0);
        meter.begin(0);
        assert!(meter.held() < GB);

        meter.begin_cell(u64::MAX);
        has(&file, 20 * GB, 50 * GB, 3 * GB);
        assert_eq!(meter.own_share(0), 37 * GB, "the peak has risen");
        assert_eq!(meter.held(), 7 * GB);
        assert_eq!(meter.own_share(0), 37 * GB);

        has(&file, 15 * GB, 50 * GB, 0);
        meter.begin_cell(u64::MAX);
        assert_eq!(meter.own_share(0), 5 * GB, "that was the cell before");
        has(&file, 30 * GB, 50 * GB, 0);
        assert!(!meter.is_over());
        has(&file, 15 * GB, 50 * GB, 0);
        assert_eq!(meter.own_share(0), 20 * GB, "what was seen");
    }
}
