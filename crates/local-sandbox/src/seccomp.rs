//! The system calls a program may make: a short list of what analysis code needs, and nothing else.
//!
//! The policy is a list of names; the numbers are the processor's. Two filters follow from it. The first is installed by the
//! zygote and leaves it, beside the list, the calls by which it makes and locks its children, who are born with it. The last
//! is each child's last lock: it takes those calls back, and being short costs a tenth of the whole. The kernel follows
//! both and does what the stricter one says. That the list is long enough is shown by the programs under `tests/corpus`.

use std::collections::BTreeMap;

use crate::native::{numbers, wire::OWN_PID};

/// Allowed whatever the arguments. Old forms that only some processors have are among them.
#[rustfmt::skip]
const ALLOWED: &[&str] = &[
    // Files, as far as the mounts and Landlock leave any.
    "read", "write", "close", "lseek", "open", "openat", "stat", "lstat", "fstat", "newfstatat", "fstatat",
    "statx", "pread64", "pwrite64", "readv", "writev", "getdents64", "readlink", "readlinkat", "access",
    "faccessat", "faccessat2", "getcwd", "chdir", "dup", "dup2", "dup3", "pipe2", "poll", "ppoll",
    "select", "pselect6", "sendfile", "fsync", "fdatasync", "ftruncate", "fallocate", "fadvise64", "rename",
    "renameat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "link", "linkat", "symlink", "symlinkat",
    "chmod", "fchmod", "fchmodat", "fchown", "utimensat", "umask", "statfs", "fstatfs",
    // Memory.
    "munmap", "mprotect", "mremap", "madvise", "brk",
    // Threads, signals to itself, time.
    "futex", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "getrandom", "clock_gettime",
    "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "sigaltstack", "restart_syscall", "exit", "exit_group",
    // Questions about itself.
    "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo", "getrusage",
];

/// Landlock leaves these to the owner of a file, and on a machine without a root of its own a program's user owns others too. So
/// there they do nothing and say that they did: what copies and unpacks files asks for them.
const ATTRIBUTES: [&str; 5] = ["chmod", "fchmod", "fchmodat", "fchown", "utimensat"];

/// The C library, Python and others try these first and do without where the kernel has never heard of them.
#[rustfmt::skip]
const UNKNOWN: &[&str] = &[
    "clone3", "close_range", "openat2", "memfd_create", "io_uring_setup", "io_uring_enter",
    "io_uring_register", "copy_file_range", "membarrier", "epoll_create1", "eventfd2", "pidfd_open",
    "landlock_create_ruleset",
];

/// Attributes beside a file's content: copying a file copies them where there are any.
#[rustfmt::skip]
const UNSUPPORTED: &[&str] = &[
    "getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr", "setxattr", "lsetxattr",
    "fsetxattr",
];

/// What the zygote and its self-test call by number.
#[rustfmt::skip]
const NAMED: &[&str] = &[
    "pivot_root", "capset", "mount", "umount2", "prctl", "unshare", "mount_setattr", "socket", "execve",
    "ptrace", "io_uring_setup", "seccomp", "clone3",
];

const AUDIT_ARCH_X86_64: u32 = 0xC000_003E;
const AUDIT_ARCH_AARCH64: u32 = 0xC000_00B7;
const X32: u32 = 0x4000_0000;
const CLONE_THREAD: u32 = 0x1_0000;
/// Every flag that makes a namespace.
const CLONE_NEW: u32 = 0x7E02_0080;
const CLONE_NEWCGROUP: u32 = 0x0200_0000;
const SHARED_ANONYMOUS: u32 = 0x21;
/// What terminals answer, close-on-exec, bytes available, non-blocking; nothing that injects input.
const IOCTLS: [u32; 6] = [0x5401, 0x5413, 0x5450, 0x5451, 0x541B, 0x5421];
/// Commands of `fcntl` by which the kernel sends a program a signal when somebody reads what it wrote: who owns the signal,
/// which one it is, leases, and news of folders. One that is stopped would wake up by it.
const WAKING: [u32; 5] = [8, 10, 15, 1024, 1026];
const SIGCONT: u32 = 18;
const F_SETFL: u32 = 4;
/// Asks for such signals on a pipe.
const O_ASYNC: u32 = 0x2000;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const ENOTSUP: u32 = 95;

const KILL: u32 = 0x8000_0000;
const ALLOW: u32 = 0x7FFF_0000;
const REFUSE: u32 = 0x0005_0000;

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// A processor's system calls.
#[derive(Debug, Clone, Copy)]
struct Table {
    /// As a filter sees it.
    architecture: u32,
    /// From here on numbers belong to another table of the same processor.
    foreign_from: Option<u32>,
    number: fn(&str) -> Option<u32>,
}

const X86_64: Table = Table {
    architecture: AUDIT_ARCH_X86_64,
    foreign_from: Some(X32),
    number: |name| Some(name.parse::<syscalls::x86_64::Sysno>().ok()?.id().cast_unsigned()),
};
const AARCH64: Table = Table {
    architecture: AUDIT_ARCH_AARCH64,
    foreign_from: None,
    number: |name| {
        Some(
            name.parse::<syscalls::aarch64::Sysno>()
                .ok()?
                .id()
                .cast_unsigned(),
        )
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

/// This processor's filters.
#[derive(Debug)]
pub(crate) struct Filters<Code = Vec<u8>> {
    /// Of the zygote, and so of its children.
    pub(crate) first: Code,
    /// Of a child with a job. Where it compares with [`OWN_PID`], a child puts its own id.
    pub(crate) last: Code,
}

/// As bytes for the kernel.
pub(crate) fn filters(own_root: bool) -> Filters {
    let bytes = |instruction: Instruction| {
        let [a, b] = instruction.code.to_ne_bytes();
        let [c, d, e, f] = instruction.value.to_ne_bytes();
        [a, b, instruction.if_true, instruction.if_false, c, d, e, f]
    };
    let Filters { first, last } = build(here(), own_root);
    Filters {
        first: first.into_iter().flat_map(bytes).collect(),
        last: last.into_iter().flat_map(bytes).collect(),
    }
}

/// This processor's numbers of the calls that the zygote makes by itself.
pub(crate) fn named() -> BTreeMap<&'static str, u32> {
    let number = here().number;
    NAMED
        .iter()
        .filter_map(|name| Some((*name, number(name)?)))
        .collect()
}

fn here() -> Table {
    if cfg!(target_arch = "aarch64") {
        AARCH64
    } else {
        X86_64
    }
}

fn build(table: Table, own_root: bool) -> Filters<Vec<Instruction>> {
    let mut answers = answers(table, own_root);
    let mut taken_back = BTreeMap::new();
    for (number, block) in set_up(table) {
        let answer = answers.insert(number, block);
        let answer = answer.unwrap_or_else(|| vec![refuse(EPERM)]);
        if answer != [give(ALLOW)] {
            taken_back.insert(number, answer);
        }
    }
    let mut first = vec![
        load(ARCHITECTURE),
        Instruction {
            if_true: 1,
            if_false: 0,
            ..unless(JUMP_EQUAL, table.architecture, 1)
        },
        give(KILL),
        load(NUMBER),
    ];
    if let Some(border) = table.foreign_from {
        first.extend([unless(JUMP_AT_LEAST, border, 1), give(KILL)]);
    }
    first.extend(choose(&ranges(&answers, &[refuse(EPERM)])));
    // What is foreign has been killed.
    let mut last = vec![load(NUMBER)];
    last.extend(choose(&ranges(&taken_back, &[give(ALLOW)])));
    Filters { first, last }
}

/// What a zygote does to its children, and they to themselves, until their last lock; and what is asked of by a child's own
/// id, which only its own filter knows.
fn set_up(table: Table) -> BTreeMap<u32, Vec<Instruction>> {
    let native = numbers::ALL.iter().map(|(name, ..)| name.to_lowercase());
    let names = native.chain(["kill", "tgkill"].map(str::to_owned));
    let block = |name: &str| match name {
        // The one kind that a child makes after its birth.
        "unshare" => vec![
            load(argument(0)),
            unless(JUMP_EQUAL, CLONE_NEWCGROUP, 1),
            give(ALLOW),
            refuse(EPERM),
        ],
        _ => vec![give(ALLOW)],
    };
    names
        .filter_map(|name| Some(((table.number)(&name)?, block(&name))))
        .collect()
}

/// What becomes of each call that is not simply refused.
fn answers(table: Table, own_root: bool) -> BTreeMap<u32, Vec<Instruction>> {
    let mut answers = BTreeMap::new();
    let mut on = |name: &str, block: &[Instruction]| {
        if let Some(number) = (table.number)(name) {
            answers.entry(number).or_insert_with(|| block.to_vec());
        }
    };
    // Memory shared with nobody but outside every limit.
    on(
        "mmap",
        &[
            load(argument(3)),
            Instruction {
                code: AND,
                ..give(SHARED_ANONYMOUS)
            },
            unless(JUMP_EQUAL, SHARED_ANONYMOUS, 1),
            refuse(EPERM),
            give(ALLOW),
        ],
    );
    for name in ALLOWED {
        let pretended = !own_root && ATTRIBUTES.contains(name);
        on(name, &[give(if pretended { REFUSE } else { ALLOW })]);
    }
    // Threads, never processes.
    on(
        "clone",
        &[
            load(argument(0)),
            unless(JUMP_ANY_BIT, CLONE_NEW, 1),
            refuse(EPERM),
            unless(JUMP_ANY_BIT, CLONE_THREAD, 1),
            give(ALLOW),
            refuse(EPERM),
        ],
    );
    // Signals to itself, but for the one that takes back a stop.
    for (name, signal) in [("kill", 1), ("tgkill", 2)] {
        on(
            name,
            &[
                load(argument(0)),
                unless(JUMP_EQUAL, OWN_PID, 4),
                load(argument(signal)),
                unless(JUMP_EQUAL, SIGCONT, 1),
                refuse(EPERM),
                give(ALLOW),
                refuse(EPERM),
            ],
        );
    }
    // Its own limits. Lowering them is harmless, raising them is beyond its rights.
    on(
        "prlimit64",
        &[
            load(argument(0)),
            unless(JUMP_EQUAL, 0, 1),
            give(ALLOW),
            refuse(EPERM),
        ],
    );
    let mut fcntl = vec![load(argument(1))];
    for command in WAKING {
        fcntl.extend([unless(JUMP_EQUAL, command, 1), refuse(EPERM)]);
    }
    fcntl.extend([
        unless(JUMP_EQUAL, F_SETFL, 3),
        load(argument(2)),
        unless(JUMP_ANY_BIT, O_ASYNC, 1),
        refuse(EPERM),
        give(ALLOW),
    ]);
    on("fcntl", &fcntl);
    let mut ioctls = vec![load(argument(1))];
    for ioctl in IOCTLS {
        ioctls.extend([unless(JUMP_EQUAL, ioctl, 1), give(ALLOW)]);
    }
    ioctls.push(refuse(EPERM));
    on("ioctl", &ioctls);
    for name in UNKNOWN {
        on(name, &[refuse(ENOSYS)]);
    }
    for name in UNSUPPORTED {
        on(name, &[refuse(ENOTSUP)]);
    }
    answers
}

/// All numbers in order: from which on what holds.
fn ranges(answers: &BTreeMap<u32, Vec<Instruction>>, others: &[Instruction]) -> Vec<(u32, Vec<Instruction>)> {
    let mut ranges = vec![(0, others.to_vec())];
    for (&number, block) in answers {
        ranges.extend([(number, block.clone()), (number + 1, others.to_vec())]);
    }
    // Where two begin at one number, the second is meant.
    ranges.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = std::mem::take(&mut later.1);
        }
        same
    });
    ranges.dedup_by(|later, earlier| later.1 == earlier.1);
    ranges
}

/// Finds the number's range by halves. A kernel follows a filter once for every call there is when it is installed, and
/// one comparison after the other took it three times as long.
fn choose(ranges: &[(u32, Vec<Instruction>)]) -> Vec<Instruction> {
    let (lower, upper) = match ranges {
        [] => return vec![refuse(EPERM)],
        [(_, block)] => return block.clone(),
        ranges => ranges.split_at(ranges.len() / 2),
    };
    let (below, above) = (choose(lower), choose(upper));
    let border = upper[0].0;
    let mut chosen = match u8::try_from(below.len()) {
        Ok(past) => vec![Instruction {
            if_true: past,
            ..unless(JUMP_AT_LEAST, border, 0)
        }],
        // Only a jump without a test reaches that far.
        Err(_) => vec![
            unless(JUMP_AT_LEAST, border, 1),
            Instruction {
                code: JUMP,
                ..give(u32::try_from(below.len()).unwrap_or(u32::MAX))
            },
        ],
    };
    chosen.extend(below);
    chosen.extend(above);
    chosen
}

fn load(offset: u32) -> Instruction {
    Instruction {
        code: LOAD,
        if_true: 0,
        if_false: 0,
        value: offset,
    }
}

/// Goes on where the test holds, and otherwise past this many.
fn unless(test: u16, value: u32, past: usize) -> Instruction {
    Instruction {
        code: test,
        if_true: 0,
        if_false: u8::try_from(past).unwrap_or(u8::MAX),
        value,
    }
}

fn refuse(errno: u32) -> Instruction {
    give(REFUSE | errno)
}

fn give(value: u32) -> Instruction {
    Instruction {
        code: RETURN,
        if_true: 0,
        if_false: 0,
        value,
    }
}

/// Where the low half of an argument is. Nothing here looks at more, and the kernel neither: flags, ids and commands of
/// these calls are 32 bits wide.
fn argument(index: u32) -> u32 {
    16 + 8 * index
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call as a filter sees it.
    struct Call {
        architecture: u32,
        number: u32,
        arguments: [u64; 6],
    }

    /// The stricter of both, as in the kernel, for which actions are signed numbers.
    fn answer(filters: &Filters<Vec<Instruction>>, call: &Call) -> u32 {
        let (first, last) = (walk(&filters.first, call), walk(&filters.last, call));
        let action = |said: u32| (said & 0xffff_0000).cast_signed();
        if action(first) < action(last) { first } else { last }
    }

    /// Walks a filter as the kernel does.
    fn walk(filter: &[Instruction], call: &Call) -> u32 {
        let word = |offset: u32| match offset {
            NUMBER => call.number,
            ARCHITECTURE => call.architecture,
            offset if offset >= 16 && (offset - 16) % 8 == 0 => {
                call.arguments[(offset as usize - 16) / 8] as u32
            }
            other => panic!("nothing at {other}"),
        };
        let (mut at, mut held) = (0, 0);
        loop {
            let Instruction {
                code,
                if_true,
                if_false,
                value,
            } = filter[at];
            at += 1;
            let holds = match code {
                JUMP => {
                    at += value as usize;
                    continue;
                }
                LOAD => {
                    held = word(value);
                    continue;
                }
                AND => {
                    held &= value;
                    continue;
                }
                RETURN => return value,
                JUMP_EQUAL => held == value,
                JUMP_AT_LEAST => held >= value,
                JUMP_ANY_BIT => held & value != 0,
                other => panic!("unknown instruction {other:#x}"),
            };
            at += usize::from(if holds { if_true } else { if_false });
        }
    }

    fn ask(table: Table, name: &str, arguments: &[u64]) -> u32 {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        let call = Call {
            architecture: table.architecture,
            number: (table.number)(name).unwrap_or_else(|| panic!("no {name}")),
            arguments: all,
        };
        answer(&build(table, true), &call)
    }

    /// What the list says, as one filter would.
    fn listed(table: Table, own_root: bool) -> Vec<Instruction> {
        let mut filter = vec![load(NUMBER)];
        filter.extend(choose(&ranges(&answers(table, own_root), &[refuse(EPERM)])));
        filter
    }

    /// Numbers past the last call too, and the arguments that any answer depends on, in pairs.
    #[test]
    fn both_filters_together_say_what_the_list_says() {
        let looked_at = [
            "mmap",
            "clone",
            "kill",
            "tgkill",
            "prlimit64",
            "fcntl",
            "ioctl",
            "unshare",
        ];
        let few = vec![0, OWN_PID, u32::MAX, CLONE_NEWCGROUP];
        let mut many = [few.clone(), IOCTLS.to_vec(), WAKING.to_vec()].concat();
        many.extend([
            SIGCONT,
            F_SETFL,
            O_ASYNC | 0x800,
            SHARED_ANONYMOUS,
            0x22,
            0x31,
            0x3d_0f00,
        ]);
        many.extend((0..32).map(|bit| 1 << bit));
        for (table, own_root) in [X86_64, AARCH64]
            .map(|table| [(table, true), (table, false)])
            .concat()
        {
            let (filters, listed) = (build(table, own_root), listed(table, own_root));
            let looked_at = looked_at.map(|name| (table.number)(name).unwrap());
            for number in (0..1024).chain([X32 - 1]) {
                let values = if looked_at.contains(&number) { &many } else { &few };
                let pairs = values
                    .iter()
                    .flat_map(|one| values.iter().map(move |other| (*one, *other)));
                for (one, other) in pairs {
                    for [a, b, c, d] in [[one, other, other, other], [one, one, other, other]] {
                        let call = Call {
                            architecture: table.architecture,
                            number,
                            arguments: [a, b, c, d, 0, 0].map(u64::from),
                        };
                        let (said, expected) = (answer(&filters, &call), walk(&listed, &call));
                        assert_eq!(said, expected, "{number} {one:x} {other:x} {own_root}");
                    }
                }
            }
        }
    }

    #[test]
    fn both_processors_have_the_same_policy() {
        for table in [X86_64, AARCH64] {
            for (name, arguments, expected) in [
                ("read", &[][..], ALLOW),
                ("openat", &[], ALLOW),
                ("exit_group", &[], ALLOW),
                ("mmap", &[0, 4096, 3, 0x22], ALLOW),
                ("mmap", &[0, 4096, 3, 0x21], REFUSE | EPERM),
                ("clone", &[0x3d_0f00], ALLOW),
                ("clone", &[17], REFUSE | EPERM),
                ("clone", &[0x1000_0000 | 0x3d_0f00], REFUSE | EPERM),
                ("clone3", &[], REFUSE | ENOSYS),
                ("execve", &[], REFUSE | EPERM),
                ("execveat", &[], REFUSE | EPERM),
                ("socket", &[], REFUSE | EPERM),
                ("ptrace", &[], REFUSE | EPERM),
                ("mount", &[], REFUSE | EPERM),
                ("unshare", &[], REFUSE | EPERM),
                ("io_uring_setup", &[], REFUSE | ENOSYS),
                ("memfd_create", &[], REFUSE | ENOSYS),
                ("kill", &[u64::from(OWN_PID), 9], ALLOW),
                ("kill", &[0, 9], REFUSE | EPERM),
                ("kill", &[u64::MAX, 9], REFUSE | EPERM),
                ("tgkill", &[u64::from(OWN_PID), 5, 6], ALLOW),
                ("tgkill", &[7, 7, 9], REFUSE | EPERM),
                ("kill", &[u64::from(OWN_PID), 18], REFUSE | EPERM),
                ("tgkill", &[u64::from(OWN_PID), 5, 18], REFUSE | EPERM),
                ("prlimit64", &[0, 7], ALLOW),
                ("prlimit64", &[1, 7], REFUSE | EPERM),
                ("fcntl", &[1, 3], ALLOW),
                ("fcntl", &[1, 4, 0x800], ALLOW),
                ("fcntl", &[1, 4, 0x2800], REFUSE | EPERM),
                ("fcntl", &[1, 10, 18], REFUSE | EPERM),
                ("fcntl", &[1, 1024, 1], REFUSE | EPERM),
                ("fcntl", &[1, 1030], ALLOW),
                ("ioctl", &[1, 0x5401], ALLOW),
                ("ioctl", &[0, 0x5412], REFUSE | EPERM),
            ] {
                assert_eq!(ask(table, name, arguments), expected, "{name} {arguments:x?}");
            }
        }
        for name in ["fork", "vfork"] {
            assert_eq!(ask(X86_64, name, &[]), REFUSE | EPERM, "{name}");
        }
    }

    #[test]
    fn without_a_root_of_its_own_attributes_stay_as_they_are() {
        for table in [X86_64, AARCH64] {
            for name in ["fchmod", "fchmodat", "fchown", "utimensat"] {
                let call = Call {
                    architecture: table.architecture,
                    number: (table.number)(name).unwrap(),
                    arguments: [0; 6],
                };
                assert_eq!(answer(&build(table, true), &call), ALLOW, "{name}");
                assert_eq!(
                    answer(&build(table, false), &call),
                    REFUSE,
                    "{name}: no error, nothing done"
                );
            }
        }
    }

    #[test]
    fn another_table_of_calls_ends_the_program() {
        let foreign = |table: Table, architecture, number| {
            let call = Call {
                architecture,
                number,
                arguments: [0; 6],
            };
            answer(&build(table, true), &call)
        };
        assert_eq!(
            foreign(X86_64, 0x4000_0003, 20),
            KILL,
            "the calls of 32-bit programs"
        );
        assert_eq!(foreign(X86_64, AUDIT_ARCH_X86_64, X32 | 39), KILL, "x32");
        assert_eq!(foreign(AARCH64, AUDIT_ARCH_X86_64, 39), KILL);
        assert_eq!(foreign(X86_64, AUDIT_ARCH_AARCH64, 172), KILL);
    }

    /// Whatever is not on the list is refused, by number, also what later kernels will have.
    #[test]
    fn everything_else_is_refused() {
        for table in [X86_64, AARCH64] {
            let filters = build(table, true);
            let looked_at = ["mmap", "clone", "kill", "tgkill", "prlimit64", "fcntl", "ioctl"];
            let known: Vec<u32> = ALLOWED
                .iter()
                .chain(&looked_at)
                .filter_map(|name| (table.number)(name))
                .collect();
            for number in (0..2048).filter(|number| !known.contains(number)) {
                let call = Call {
                    architecture: table.architecture,
                    number,
                    arguments: [0; 6],
                };
                let said = answer(&filters, &call);
                assert!(
                    [EPERM, ENOSYS, ENOTSUP]
                        .map(|errno| REFUSE | errno)
                        .contains(&said),
                    "{number}: {said:#x}"
                );
            }
        }
    }

    /// The set-up has room for so many, and the kernel follows a filter for every call there is when it is installed.
    #[test]
    fn filters_are_short() {
        for table in [X86_64, AARCH64] {
            for own_root in [true, false] {
                let filters = build(table, own_root);
                assert!(filters.first.len() <= 512);
                assert!(filters.last.len() <= 128, "{}", filters.last.len());
            }
        }
    }

    /// A zygote may make children, and nothing else that a program may not.
    #[test]
    fn a_zygote_may_do_what_it_does_to_children() {
        for table in [X86_64, AARCH64] {
            let first = build(table, true).first;
            let ask = |number: u32, argument: u32| {
                let call = Call {
                    architecture: table.architecture,
                    number,
                    arguments: [u64::from(argument); 6],
                };
                walk(&first, &call)
            };
            for (name, x86_64, aarch64) in numbers::ALL {
                let number = if table.architecture == AUDIT_ARCH_X86_64 {
                    x86_64
                } else {
                    aarch64
                };
                assert_eq!(ask(*number as u32, CLONE_NEWCGROUP), ALLOW, "{name}");
            }
            for name in [
                "socket",
                "connect",
                "execve",
                "execveat",
                "unshare",
                "setns",
                "ptrace",
                "pivot_root",
                "umount2",
                "bpf",
                "init_module",
                "kexec_load",
                "keyctl",
                "perf_event_open",
                "userfaultfd",
                "process_vm_writev",
                "setuid",
            ] {
                assert_eq!(ask((table.number)(name).unwrap(), 0), REFUSE | EPERM, "{name}");
            }
        }
    }

    /// A name that no processor has would silently be left out.
    #[test]
    fn every_name_is_a_call() {
        for name in [ALLOWED, UNKNOWN, UNSUPPORTED, NAMED].concat() {
            assert!((X86_64.number)(name).is_some() || name == "fstatat", "{name}");
        }
        let old = [
            "open", "stat", "lstat", "readlink", "access", "dup2", "poll", "select", "rename", "mkdir",
            "rmdir", "unlink", "link", "symlink", "chmod", "time",
        ];
        // The newer table calls `fstatat` what x86-64 calls `newfstatat`.
        for name in ALLOWED.iter().filter(|name| !old.contains(name)).chain(NAMED) {
            assert!(
                (AARCH64.number)(name).is_some() || *name == "newfstatat",
                "{name}"
            );
        }
    }
}
