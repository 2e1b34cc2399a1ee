//! One child from its birth to its seal.

use core::ffi::CStr;

use crate::{
    config::Config,
    landlock::{READ, Rules, WRITE},
    only::Only,
    sys::{self, EACCES, EEXIST, EINVAL, ENAMETOOLONG, O_CREAT, O_DIRECTORY, O_RDWR, O_WRONLY, Result},
    text::Text,
    wire::{self, Failed, JobHeader, MOST_WHAT, STEPS, Scratch, USUAL_SCRATCH},
};

const STDIN: i32 = 0;
const STDOUT: i32 = 1;
const STDERR: i32 = 2;
const REPLY: i32 = 3;
const SETUP: i32 = 4;
/// Where the job comes from: what is left in it once the child is sealed is the prelude's document.
const DOCUMENT: i32 = 5;
const FIRST_FREE: i32 = 6;
const INNER_ID: u64 = 1000;

const MS_RDONLY: usize = 1;
const MS_NOSUID: usize = 2;
const MS_NODEV: usize = 4;
const MS_NOEXEC: usize = 8;
const MS_REMOUNT: usize = 0x20;
const MS_BIND: usize = 0x1000;
const MS_MOVE: usize = 0x2000;
const MS_REC: usize = 0x4000;
const MS_PRIVATE: usize = 0x4_0000;
const READ_ONLY: u64 = 1 | 2 | 4 | 8;

const CLONE_NEWCGROUP: usize = 0x0200_0000;
const PR_SET_PDEATHSIG: usize = 1;
const PR_SET_DUMPABLE: usize = 4;
const PR_CAPBSET_DROP: usize = 24;
const PR_SET_NO_NEW_PRIVS: usize = 38;
const PR_CAP_AMBIENT: usize = 47;
const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;
const SIGKILL: usize = 9;

/// Longer than the turns of others, in nanoseconds: whoever wakes up on the same processor, as the supervisor does whom a
/// program's output wakes, does not wait until the program's turn is over. Kernels before 6.12 give everybody turns of one
/// length.
const LONG_TURN: u64 = 20_000_000;

const INPUTS: &[u8] = b"/inputs/";
const DATA: &[u8] = b"/data/";
const SCRATCH: &CStr = c"/scratch";
const DATA_FOLDER: &CStr = c"/data";
/// Where that waits which hides the inputs of others.
const HIDDEN: &CStr = c"/hidden";

/// A child that has its own namespaces, and not yet a job.
pub(crate) struct Child {
    rules: Option<Rules>,
    /// It says where it works while it waits, which on its way to its program nobody then has to hear.
    tells_early: bool,
    /// It has used the processor for something of its own.
    rehearsed: bool,
}

/// Why a step could not be done.
struct Failure<'a> {
    step: &'static str,
    errno: i32,
    /// The path it was about.
    what: &'a [u8],
}

trait Step<T> {
    fn step(self, step: &'static str) -> core::result::Result<T, Failure<'static>>;
    fn about<'a>(self, step: &'static str, what: &'a [u8]) -> core::result::Result<T, Failure<'a>>;
}

impl<T> Step<T> for Result<T> {
    fn step(self, step: &'static str) -> core::result::Result<T, Failure<'static>> {
        self.about(step, b"")
    }

    fn about<'a>(self, step: &'static str, what: &'a [u8]) -> core::result::Result<T, Failure<'a>> {
        self.map_err(|errno| Failure { step, errno, what })
    }
}

impl Child {
    /// Does what needs no job: its own user, its own view of mounts and processes, and the first rules. Ends the
    /// process where anything of that fails.
    pub(crate) fn enter(config: &Config, setup: i32, warm: bool) -> Self {
        match enter(config, setup) {
            Ok(rules) => Self {
                rules,
                tells_early: warm && config.namespaces != 0,
                rehearsed: false,
            },
            Err(failure) => end(&failure),
        }
    }

    /// Waits for the job and closes every lock; the child again where it is to rehearse before. Ends the process where there
    /// is no job or anything fails.
    pub(crate) fn seal(self, config: &Config) -> Option<Self> {
        let job = match hear(self.tells_early) {
            Ok(Heard::Job(job)) => job,
            Ok(Heard::Rehearse) => {
                return Some(Self {
                    rehearsed: true,
                    ..self
                });
            }
            // The supervisor has no use for this child any more.
            Ok(Heard::Nothing) => sys::exit(125),
            Err(errno) => end(&Failure {
                step: "child",
                errno,
                what: b"",
            }),
        };
        let _ = sys::take_turns(LONG_TURN);
        let Job { header, texts } = job;
        let sealed = confine(config, self, &header, texts).and_then(|()| {
            if config.has("seccomp") {
                sys::install(config.last_filter()).step("seccomp")?;
            }
            Ok(())
        });
        if let Err(failure) = sealed {
            end(&failure);
        }
        // The program pays for its memory and finds nothing of the set-up's in it.
        if texts.len() > USUAL_TEXTS {
            sys::give_back(texts);
        } else {
            texts.fill(0);
        }
        // From here on only what the filter allows.
        if sys::write(SETUP, wire::SEALED).is_err() {
            sys::exit(125);
        }
        sys::close(SETUP);
        None
    }
}

/// Says what failed, as far as anybody still listens, and ends.
fn end(failure: &Failure<'_>) -> ! {
    let step = STEPS.iter().position(|name| *name == failure.step).unwrap_or(0) as u8;
    let mut text = Text::new();
    text.push(
        &Failed {
            step,
            errno: failure.errno,
        }
        .encode(),
    );
    text.push(&failure.what[..failure.what.len().min(MOST_WHAT)]);
    let _ = sys::write(SETUP, text.bytes());
    sys::exit(1)
}

fn enter(config: &Config, setup: i32) -> core::result::Result<Option<Rules>, Failure<'static>> {
    if config.has("own-group") {
        // A signal to process group 0 reaches the group's members outside the process namespace too. A session would do
        // as well, but some kernels give each an equal share of the processors, whatever the priorities in them.
        sys::own_group().step("child")?;
    }
    keep_only(config, setup).step("child")?;
    // Where memory runs out, a program goes before its zygote. Its own /proc/self has to be its own for that.
    sys::prctl(PR_SET_DUMPABLE, 1).step("child")?;
    let _ = sys::write_file(c"/proc/self/oom_score_adj", b"500");
    if config.namespaces != 0 {
        own_user(config)?;
        // So `/proc` does not name the machine's control groups. Names only: where this cannot be had, nothing is lost.
        let _ = sys::unshare(CLONE_NEWCGROUP);
        sys::mount(c"none", c"/", c"", MS_REC | MS_PRIVATE, c"").step("mounts")?;
        if config.has("own-proc") {
            mount_proc().about("mounts", b"/proc")?;
        }
        mount_writable()?;
        let caps = c"mode=755,size=1m,nr_inodes=16";
        sys::mount(c"data", DATA_FOLDER, c"tmpfs", MS_NOSUID | MS_NODEV, caps).about("mounts", b"/data")?;
        if config.has("hidden-inputs") {
            let nothing = c"size=4k,nr_inodes=1,mode=000";
            let flags = MS_NOSUID | MS_NODEV | MS_RDONLY;
            sys::mount(c"hidden", HIDDEN, c"tmpfs", flags, nothing).about("mounts", b"/inputs")?;
        }
    }
    if config.has("capabilities") {
        bound_capabilities().step("privileges")?;
    }
    if config.landlock == 0 || !config.has("landlock") {
        return Ok(None);
    }
    let rules = Rules::new(config.landlock).step("landlock")?;
    for path in config.readable() {
        rules.allow(path, READ).step("landlock")?;
    }
    for path in [c"/dev/null", c"/dev/full"] {
        rules.allow(path, WRITE).step("landlock")?;
    }
    Ok(Some(rules))
}

/// The socket at its place, and no other descriptor but the log.
fn keep_only(config: &Config, setup: i32) -> Result<()> {
    sys::prctl(PR_SET_PDEATHSIG, SIGKILL)?;
    // High numbers first: the places below may be taken by what is still needed.
    let (null, moved) = (sys::open(c"/dev/null", O_RDWR, 0)?, sys::duplicate(setup, 100)?);
    // What it prints before it has a job goes nowhere, but into a pipe: what it learns of the place stays true.
    let [from, into] = sys::pipe()?;
    for (fd, place) in [
        (null, STDIN),
        (into, STDOUT),
        (from, REPLY),
        (moved, SETUP),
        (null, DOCUMENT),
    ] {
        if fd != place {
            sys::place(fd, place)?;
        }
    }
    // The zygote may have died before the death signal was asked for; then this pipe has no writer.
    sys::close(config.alive_write as i32);
    let mut watch = [sys::PollFd {
        fd: config.alive_read as i32,
        events: sys::POLLIN | sys::POLLHUP,
        found: 0,
    }];
    if sys::poll(&mut watch, false)? > 0 {
        sys::exit(125);
    }
    sys::close_from(FIRST_FREE)
}

fn own_user(config: &Config) -> core::result::Result<(), Failure<'static>> {
    let map = |path: &CStr, id: u64| {
        let mut line = Text::new();
        line.push_number(INNER_ID);
        line.push(b" ");
        line.push_number(id);
        line.push(b" 1");
        sys::write_file(path, line.bytes())
    };
    sys::write_file(c"/proc/self/setgroups", b"deny")
        .and_then(|()| map(c"/proc/self/uid_map", config.uid))
        .and_then(|()| map(c"/proc/self/gid_map", config.gid))
        .step("id maps")?;
    if config.has("nested-namespaces") {
        // A second lock only: behind the filter none can be made.
        let _ = sys::write_file(c"/proc/sys/user/max_user_namespaces", b"0");
    }
    Ok(())
}

fn mount_proc() -> Result<()> {
    let flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    sys::mount(c"proc", c"/proc", c"proc", flags, c"subset=pid").or_else(|_| {
        // Masked outside, so it cannot be had inside: then no processes are shown at all.
        let nothing = c"size=4k,nr_inodes=1,mode=555";
        sys::mount(c"noproc", c"/proc", c"tmpfs", flags | MS_RDONLY, nothing)
    })
}

/// Its two writable folders, in one file system so that one cap holds for them together.
fn mount_writable() -> core::result::Result<(), Failure<'static>> {
    let mut caps = Text::of(&[b"mode=755,"]);
    push_caps(&mut caps, USUAL_SCRATCH);
    caps.whole()
        .ok_or(EINVAL)
        .and_then(|caps| sys::mount(c"scratch", SCRATCH, c"tmpfs", MS_NOSUID | MS_NODEV, caps))
        .about("mounts", b"/scratch")?;
    for folder in [c"/scratch/tmp", c"/scratch/work"] {
        sys::make_folder(folder, 0o700).about("mounts", b"/scratch")?;
    }
    sys::mount(c"/scratch/tmp", c"/tmp", c"", MS_BIND, c"").about("mounts", b"/tmp")?;
    sys::mount(c"/scratch/work", SCRATCH, c"", MS_BIND, c"").about("mounts", b"/scratch")
}

/// No capability can be gained any more; those that are held stay.
fn bound_capabilities() -> Result<()> {
    for capability in 0..64 {
        if sys::prctl(PR_CAPBSET_DROP, capability).is_err() {
            // EINVAL: past the kernel's last capability. EPERM: none left to drop with.
            break;
        }
    }
    sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL).map(drop)
}

/// What of a job is for the set-up; the document after it is the program's.
struct Job {
    header: JobHeader,
    /// What stands between the two.
    texts: &'static mut [u8],
}

/// Texts of most jobs, in memory of their own: the stack is the interpreter's.
const USUAL_TEXTS: usize = 4096;
static TEXTS: Only<[u8; USUAL_TEXTS]> = Only::new([0; USUAL_TEXTS]);

enum Heard {
    Nothing,
    Rehearse,
    /// Its descriptors are at their places then.
    Job(Job),
}

fn hear(tells_early: bool) -> Result<Heard> {
    let told = if tells_early {
        let scratch = sys::open(SCRATCH, O_DIRECTORY, 0)?;
        let told = sys::send(SETUP, wire::WAITING, Some(scratch));
        sys::close(scratch);
        told
    } else {
        sys::write(SETUP, wire::WAITING).map(drop)
    };
    if told.is_err() {
        return Ok(Heard::Nothing);
    }
    let mut word = [0; 8];
    let (length, descriptors) = sys::receive(SETUP, &mut word)?;
    if length == 0 {
        return Ok(Heard::Nothing);
    }
    if &word[..length] == wire::REHEARSE {
        return Ok(Heard::Rehearse);
    }
    let [document, streams @ .., cells] = descriptors;
    if &word[..length] != wire::JOB || document == -1 || streams.contains(&-1) {
        return Err(EINVAL);
    }
    for (fd, place) in streams.into_iter().zip([STDOUT, STDERR, REPLY]) {
        sys::place(fd, place)?;
        sys::close(fd);
    }
    if document != DOCUMENT {
        sys::place(document, DOCUMENT)?;
        sys::close(document);
    }
    if cells != -1 {
        sys::place(cells, STDIN)?;
        sys::close(cells);
    }
    let mut head = [0; JobHeader::LENGTH];
    sys::read_whole(DOCUMENT, &mut head)?;
    let header = JobHeader::decode(&head).ok_or(EINVAL)?;
    let length = (header.document as usize)
        .checked_sub(JobHeader::LENGTH)
        .ok_or(EINVAL)?;
    let texts = if length <= USUAL_TEXTS {
        // SAFETY: a process has one job.
        unsafe { &mut TEXTS.borrow()[..length] }
    } else {
        sys::memory(length)?
    };
    sys::read_whole(DOCUMENT, texts)?;
    Ok(Heard::Job(Job { header, texts }))
}

/// Closes every lock but the filter, and tells the supervisor the working folder where it does not know it yet.
fn confine<'job>(
    config: &Config,
    child: Child,
    header: &JobHeader,
    texts: &'job [u8],
) -> core::result::Result<(), Failure<'job>> {
    let Child {
        rules,
        tells_early,
        rehearsed,
    } = child;
    let [scratch, temporary, data] = if config.namespaces != 0 {
        mounts(config, header, texts)?;
        [b"/scratch" as &[u8], b"/tmp", b"/data"].map(|path| Text::of(&[path]))
    } else {
        let folder = each_text(texts).next().unwrap_or_default();
        [b"/scratch" as &[u8], b"/tmp", b"/data"].map(|path| Text::of(&[folder, path]))
    };
    let scratch_path = scratch.whole().ok_or(ENAMETOOLONG).step("working folder")?;
    sys::change_folder(scratch_path).step("working folder")?;
    let untold = if tells_early {
        None
    } else {
        Some(sys::open(scratch_path, O_DIRECTORY, 0).step("working folder")?)
    };
    if config.has("rlimits") {
        limits(config, header, rehearsed).step("limits")?;
    }
    if config.has("capabilities") {
        sys::drop_capabilities().step("privileges")?;
    }
    if config.has("dumpable") {
        sys::prctl(PR_SET_DUMPABLE, 0).step("privileges")?;
    }
    sys::prctl(PR_SET_NO_NEW_PRIVS, 1).step("privileges")?;
    // The change of rights took it away.
    sys::prctl(PR_SET_PDEATHSIG, SIGKILL).step("privileges")?;
    if let Some(rules) = rules {
        for (path, access) in [
            (scratch_path, WRITE),
            (temporary.path(), WRITE),
            (data.path(), READ),
        ] {
            rules.allow(path, access).step("landlock")?;
        }
        if config.namespaces == 0 {
            // Links in its data folder lead there.
            for (source, path) in inputs(header, texts) {
                rules
                    .allow(Text::of(&[source]).path(), READ)
                    .about("input", path)?;
            }
        }
        rules.enforce().step("landlock")?;
    }
    if let Some(folder) = untold {
        sys::send(SETUP, wire::PREPARED, Some(folder)).step("child")?;
        sys::close(folder);
    }
    Ok(())
}

fn mounts<'job>(
    config: &Config,
    header: &JobHeader,
    texts: &'job [u8],
) -> core::result::Result<(), Failure<'job>> {
    let scratch = Scratch {
        bytes: header.scratch_bytes,
        inodes: header.scratch_inodes,
    };
    if scratch != USUAL_SCRATCH {
        let mut caps = Text::new();
        push_caps(&mut caps, scratch);
        change(SCRATCH, &caps).about("mounts", b"/scratch")?;
    }
    if header.inputs > 0 {
        let mut caps = Text::of(&[b"nr_inodes="]);
        caps.push_number(16 + header.inputs + header.folders);
        change(DATA_FOLDER, &caps).about("mounts", b"/data")?;
    }
    for (source, path) in inputs(header, texts) {
        bind_input(source, path).about("input", path)?;
    }
    if config.has("read-only") {
        sys::restrict_mount(c"/data", READ_ONLY).about("mounts", b"/data")?;
    }
    if config.has("hidden-inputs") {
        sys::mount(HIDDEN, c"/inputs", c"", MS_MOVE, c"").about("mounts", b"/inputs")?;
    }
    Ok(())
}

fn push_caps(text: &mut Text, scratch: Scratch) {
    text.push(b"size=");
    text.push_number(scratch.bytes);
    text.push(b",nr_inodes=");
    // Three are its folders.
    text.push_number(scratch.inodes.saturating_add(3));
}

/// Changes the caps of a file system of ours.
fn change(target: &CStr, caps: &Text) -> Result<()> {
    let flags = MS_REMOUNT | MS_NOSUID | MS_NODEV;
    sys::mount(c"", target, c"", flags, caps.whole().ok_or(EINVAL)?)
}

/// The folder of the run, and then of each input its source and its path.
fn each_text(texts: &[u8]) -> impl Iterator<Item = &[u8]> {
    texts.split(|byte| *byte == 0)
}

/// The inputs as their places below the inputs root and their paths below the data.
fn inputs<'job>(
    header: &JobHeader,
    texts: &'job [u8],
) -> impl Iterator<Item = (&'job [u8], &'job [u8])> + use<'job> {
    let mut each = each_text(texts).skip(1);
    (0..header.inputs).map_while(move |_| Some((each.next()?, each.next()?)))
}

fn bind_input(source: &[u8], path: &[u8]) -> Result<()> {
    let mut target = Text::of(&[DATA]);
    for (index, folder) in path.split(|byte| *byte == b'/').enumerate() {
        if index > 0 {
            match sys::make_folder(target.whole().ok_or(ENAMETOOLONG)?, 0o755) {
                Ok(()) | Err(EEXIST) => target.push(b"/"),
                Err(errno) => return Err(errno),
            }
        }
        target.push(folder);
    }
    let target = target.whole().ok_or(ENAMETOOLONG)?;
    sys::close(sys::open(target, O_CREAT | O_WRONLY, 0o444)?);
    let source = Text::of(&[INPUTS, source]);
    sys::mount(source.whole().ok_or(ENAMETOOLONG)?, target, c"", MS_BIND, c"")?;
    sys::is_readable(target).map_err(|_| EACCES)
}

fn limits(config: &Config, header: &JobHeader, rehearsed: bool) -> Result<()> {
    const CPU: usize = 0;
    const FILE_SIZE: usize = 1;
    const DATA: usize = 2;
    const STACK: usize = 3;
    const CORE: usize = 4;
    const PROCESSES: usize = 6;
    const FILES: usize = 7;
    const LOCKED: usize = 8;
    const ADDRESS_SPACE: usize = 9;
    const SIGNALS: usize = 11;
    const QUEUES: usize = 12;
    // The kernel knows whole seconds, of all that the process has used. What it used before is not taken from its program,
    // which is ended by the supervisor then.
    let before = if rehearsed {
        sys::seconds_of_processor()? + 1
    } else {
        0
    };
    sys::limit(CPU, header.cpu_seconds.saturating_add(before))?;
    sys::limit(
        ADDRESS_SPACE,
        config.virtual_bytes.saturating_add(header.memory_bytes),
    )?;
    sys::limit(DATA, config.data_bytes.saturating_add(header.memory_bytes))?;
    sys::limit(FILE_SIZE, header.file_bytes)?;
    sys::limit(FILES, header.open_files)?;
    if config.namespaces != 0 {
        // Elsewhere it counts all the processes of a user, whosever they are.
        sys::limit(PROCESSES, header.threads)?;
    }
    sys::limit(STACK, header.memory_bytes.clamp(1 << 20, 8 << 20))?;
    sys::limit(SIGNALS, 64)?;
    for what in [CORE, LOCKED, QUEUES] {
        sys::limit(what, 0)?;
    }
    Ok(())
}
