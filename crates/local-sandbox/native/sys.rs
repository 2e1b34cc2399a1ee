//! System calls, made without a C library.

use core::ffi::{CStr, c_void};

use crate::{numbers as nr, wire::OWN_PID};

pub(crate) const EINTR: i32 = 4;
pub(crate) const EEXIST: i32 = 17;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const ENAMETOOLONG: i32 = 36;
pub(crate) const ENOSYS: i32 = 38;
pub(crate) const ENOENT: i32 = 2;
pub(crate) const EACCES: i32 = 13;
pub(crate) const EAGAIN: i32 = 11;

pub(crate) const O_WRONLY: usize = 1;
pub(crate) const O_RDWR: usize = 2;
pub(crate) const O_CREAT: usize = 0o100;
pub(crate) const O_CLOEXEC: usize = 0o2000000;
#[cfg(target_arch = "x86_64")]
pub(crate) const O_DIRECTORY: usize = 0o200000;
#[cfg(target_arch = "aarch64")]
pub(crate) const O_DIRECTORY: usize = 0o40000;
pub(crate) const O_PATH: usize = 0o10000000;
pub(crate) const POLLIN: i16 = 1;
pub(crate) const POLLHUP: i16 = 16;
const AT_FDCWD: usize = -100_isize as usize;
const F_DUPFD_CLOEXEC: usize = 1030;
const SIGCHLD: u64 = 17;
const CLONE_PIDFD: u64 = 0x1000;
const CLONE_CHILD_SETTID: u64 = 0x0100_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Up to the thread storage; all kernels with the call know so much.
const OLDEST_CLONE: usize = 64;
const SCM_RIGHTS: i32 = 1;
const SOL_SOCKET: i32 = 1;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;

pub(crate) type Result<T> = core::result::Result<T, i32>;

/// One instruction of a filter.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

/// Makes a system call.
///
/// # Safety
/// The arguments have to be valid for it.
#[cfg(target_arch = "x86_64")]
unsafe fn raw(number: usize, a: [usize; 6]) -> isize {
    let result;
    // SAFETY: the caller's promise; the clobbers are those of the instruction.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Makes a system call.
///
/// # Safety
/// The arguments have to be valid for it.
#[cfg(target_arch = "aarch64")]
unsafe fn raw(number: usize, a: [usize; 6]) -> isize {
    let result;
    // SAFETY: the caller's promise; the kernel keeps all other registers.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a[0] as isize => result,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5],
            options(nostack),
        );
    }
    result
}

/// # Safety
/// The arguments have to be valid for the call.
pub(crate) unsafe fn call<const N: usize>(number: usize, arguments: [usize; N]) -> Result<usize> {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    // SAFETY: the caller's promise.
    let result = unsafe { raw(number, all) };
    if result < 0 {
        Err(-result as i32)
    } else {
        Ok(result as usize)
    }
}

pub(crate) fn exit(code: usize) -> ! {
    loop {
        // SAFETY: ends the process.
        let _ = unsafe { call(nr::EXIT_GROUP, [code]) };
    }
}

pub(crate) fn prctl(option: usize, argument: usize) -> Result<usize> {
    // SAFETY: only options that take numbers are used here.
    unsafe { call(nr::PRCTL, [option, argument]) }
}

pub(crate) fn own_group() -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call(nr::SETPGID, [0, 0]) }.map(drop)
}

/// The lowest ordinary priority.
pub(crate) const LOWEST: isize = 19;

/// Gives all threads of all processes of this group that priority. A plain user gets one back only as far as their
/// `RLIMIT_NICE` goes.
pub(crate) fn set_priority(group: i32, nice: isize) -> Result<()> {
    const PRIO_PGRP: usize = 1;
    // SAFETY: plain numbers.
    unsafe { call(nr::SETPRIORITY, [PRIO_PGRP, group as usize, nice as usize]) }.map(drop)
}

/// Of this thread.
pub(crate) fn own_priority() -> Result<isize> {
    const PRIO_PROCESS: usize = 0;
    // SAFETY: plain numbers. The kernel says 20 less it, for an answer below 0 would be an error.
    unsafe { call(nr::GETPRIORITY, [PRIO_PROCESS, 0]) }.map(|answer| 20 - answer as isize)
}

/// Takes the processor for so long at a time where others wait for it, under whatever policy there is.
pub(crate) fn take_turns(nanoseconds: u64) -> Result<()> {
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    const KEEP_POLICY: u64 = 8;
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: 0,
        flags: KEEP_POLICY,
        nice: own_priority()? as i32,
        priority: 0,
        runtime: nanoseconds,
        deadline: 0,
        period: 0,
    };
    // SAFETY: as large as it says.
    unsafe { call(nr::SCHED_SETATTR, [0, &raw const attributes as usize, 0]) }.map(drop)
}

/// Gives this process namespaces of its own of these kinds.
pub(crate) fn unshare(namespaces: usize) -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call(nr::UNSHARE, [namespaces]) }.map(drop)
}

pub(crate) fn open(path: &CStr, flags: usize, mode: usize) -> Result<i32> {
    // SAFETY: a text that ends with a zero.
    unsafe {
        call(
            nr::OPENAT,
            [AT_FDCWD, path.as_ptr() as usize, flags | O_CLOEXEC, mode],
        )
    }
    .map(|fd| fd as i32)
}

pub(crate) fn close(fd: i32) {
    // SAFETY: descriptors here are plain numbers that nobody else closes.
    let _ = unsafe { call(nr::CLOSE, [fd as usize]) };
}

pub(crate) fn close_from(first: i32) -> Result<()> {
    // SAFETY: as above; nothing else lives in this process.
    unsafe { call(nr::CLOSE_RANGE, [first as usize, u32::MAX as usize, 0]) }.map(drop)
}

/// Puts a copy of a descriptor at this place, closed by an exec.
pub(crate) fn place(fd: i32, place: i32) -> Result<()> {
    // SAFETY: plain numbers.
    unsafe { call(nr::DUP3, [fd as usize, place as usize, O_CLOEXEC]) }.map(drop)
}

pub(crate) fn duplicate(fd: i32, at_least: usize) -> Result<i32> {
    // SAFETY: plain numbers.
    unsafe { call(nr::FCNTL, [fd as usize, F_DUPFD_CLOEXEC, at_least]) }.map(|fd| fd as i32)
}

/// Where to read from, and where to write into.
pub(crate) fn pipe() -> Result<[i32; 2]> {
    let mut ends = [-1; 2];
    // SAFETY: room for two descriptors.
    unsafe { call(nr::PIPE2, [ends.as_mut_ptr() as usize, O_CLOEXEC]) }.map(|_| ends)
}

pub(crate) fn write(fd: i32, bytes: &[u8]) -> Result<usize> {
    // SAFETY: the buffer is ours for the call.
    unsafe { call(nr::WRITE, [fd as usize, bytes.as_ptr() as usize, bytes.len()]) }
}

pub(crate) fn write_file(path: &CStr, bytes: &[u8]) -> Result<()> {
    let file = open(path, O_WRONLY, 0)?;
    let written = write(file, bytes);
    close(file);
    written.map(drop)
}

/// Fills the buffer. Anything shorter is an error: whoever made the other side knows what is missing.
pub(crate) fn read_whole(fd: i32, bytes: &mut [u8]) -> Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        // SAFETY: the buffer is ours for the call.
        let read = unsafe { call(nr::READ, [fd as usize, rest.as_mut_ptr() as usize, rest.len()]) };
        match read {
            Ok(0) => return Err(EINVAL),
            Ok(read) => rest = &mut rest[read..],
            Err(EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// So much new memory, all zeroes.
pub(crate) fn memory(bytes: usize) -> Result<&'static mut [u8]> {
    const PROT_READ_WRITE: usize = 3;
    const MAP_PRIVATE_ANONYMOUS: usize = 0x22;
    let nowhere = usize::MAX;
    // SAFETY: a new mapping hurts nobody.
    let address = unsafe {
        call(
            nr::MMAP,
            [0, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, nowhere, 0],
        )
    }?;
    // SAFETY: just mapped, for nobody else.
    Ok(unsafe { core::slice::from_raw_parts_mut(address as *mut u8, bytes) })
}

/// Gives memory of that kind back.
pub(crate) fn give_back(memory: &'static mut [u8]) {
    // SAFETY: it was mapped alone, and this was the only reference into it.
    let _ = unsafe { call(nr::MUNMAP, [memory.as_mut_ptr() as usize, memory.len()]) };
}

pub(crate) fn make_folder(path: &CStr, mode: usize) -> Result<()> {
    // SAFETY: a text that ends with a zero.
    unsafe { call(nr::MKDIRAT, [AT_FDCWD, path.as_ptr() as usize, mode]) }.map(drop)
}

pub(crate) fn change_folder(path: &CStr) -> Result<()> {
    // SAFETY: a text that ends with a zero.
    unsafe { call(nr::CHDIR, [path.as_ptr() as usize]) }.map(drop)
}

pub(crate) fn is_readable(path: &CStr) -> Result<()> {
    const R_OK: usize = 4;
    // SAFETY: a text that ends with a zero.
    unsafe { call(nr::FACCESSAT, [AT_FDCWD, path.as_ptr() as usize, R_OK]) }.map(drop)
}

pub(crate) fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: usize, options: &CStr) -> Result<()> {
    let texts = [source, target, kind, options].map(|text| text.as_ptr() as usize);
    // SAFETY: texts that end with a zero.
    unsafe { call(nr::MOUNT, [texts[0], texts[1], texts[2], flags, texts[3]]) }.map(drop)
}

/// Adds attributes to a mount and those below it; unlike a remount it cannot drop one that was there.
pub(crate) fn restrict_mount(target: &CStr, attributes: u64) -> Result<()> {
    const AT_RECURSIVE: usize = 0x8000;
    let change = [attributes, 0, 0, 0];
    let (target, change) = (target.as_ptr() as usize, (&raw const change) as usize);
    // SAFETY: a text that ends with a zero, and a structure of the size given.
    unsafe { call(nr::MOUNT_SETATTR, [AT_FDCWD, target, AT_RECURSIVE, change, 32]) }.map(drop)
}

pub(crate) fn limit(what: usize, value: u64) -> Result<()> {
    let both = [value, value];
    // SAFETY: a structure of two words.
    unsafe { call(nr::PRLIMIT64, [0, what, (&raw const both) as usize, 0]) }.map(drop)
}

/// Processor time of this process, in whole seconds.
pub(crate) fn seconds_of_processor() -> Result<u64> {
    const CLOCK_PROCESS_CPUTIME_ID: usize = 2;
    let mut time = [0_u64; 2];
    // SAFETY: a structure of two words.
    unsafe {
        call(
            nr::CLOCK_GETTIME,
            [CLOCK_PROCESS_CPUTIME_ID, (&raw mut time) as usize],
        )
    }?;
    Ok(time[0])
}

pub(crate) fn drop_capabilities() -> Result<()> {
    let header = [0x2008_0522_u32, 0];
    let none = [0_u32; 6];
    // SAFETY: the structures of version 3.
    unsafe {
        call(
            nr::CAPSET,
            [(&raw const header) as usize, (&raw const none) as usize],
        )
    }
    .map(drop)
}

/// Installs a filter for this process, with its own id where [`OWN_PID`] stands.
pub(crate) fn install(filter: &[Instruction]) -> Result<()> {
    const MOST: usize = 512;
    #[repr(C)]
    struct Program {
        length: u16,
        filter: *const Instruction,
    }
    const SET_MODE_FILTER: usize = 1;
    let mut own = [Instruction {
        code: 0,
        if_true: 0,
        if_false: 0,
        value: 0,
    }; MOST];
    own.get_mut(..filter.len()).ok_or(EINVAL)?.copy_from_slice(filter);
    // SAFETY: takes nothing.
    let pid = unsafe { call(nr::GETPID, []) }? as u32;
    for instruction in &mut own {
        if instruction.value == OWN_PID {
            instruction.value = pid;
        }
    }
    let program = Program {
        length: filter.len() as u16,
        filter: own.as_ptr(),
    };
    // SAFETY: the kernel copies the filter during the call.
    unsafe { call(nr::SECCOMP, [SET_MODE_FILTER, 0, (&raw const program) as usize]) }.map(drop)
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct PollFd {
    pub(crate) fd: i32,
    pub(crate) events: i16,
    pub(crate) found: i16,
}

/// Waits for ever, or not at all.
pub(crate) fn poll(fds: &mut [PollFd], wait: bool) -> Result<usize> {
    let now = [0_u64; 2];
    let time = if wait { 0 } else { (&raw const now) as usize };
    // SAFETY: the array is ours for the call.
    unsafe { call(nr::PPOLL, [fds.as_mut_ptr() as usize, fds.len(), time, 0]) }
}

/// The end of a process as the kernel tells it.
pub(crate) struct Reaped {
    pub(crate) status: i32,
    pub(crate) cpu_micros: u64,
    pub(crate) peak_bytes: u64,
}

pub(crate) fn reap(pid: i32) -> Result<Reaped> {
    let mut status = 0_i32;
    // User time and system time in seconds and microseconds, the peak in kilobytes, and more.
    let mut usage = [0_u64; 18];
    let (status_at, usage_at) = ((&raw mut status) as usize, (&raw mut usage) as usize);
    // SAFETY: structures of the sizes that the call fills.
    unsafe { call(nr::WAIT4, [pid as usize, status_at, 0, usage_at]) }?;
    Ok(Reaped {
        status,
        cpu_micros: (usage[0] + usage[2]) * 1_000_000 + usage[1] + usage[3],
        peak_bytes: usage[4] * 1024,
    })
}

/// A process that was made: its id and a handle to it. `None` in the child. Where there is a group, it is born in it.
///
/// # Safety
/// The child may only do what is allowed after a fork. `thread_id` is 0 or where the C library keeps this thread's id.
pub(crate) unsafe fn clone(
    namespaces: u64,
    thread_id: u64,
    group: Option<i32>,
) -> Result<Option<(i32, i32)>> {
    let mut handle = -1_i32;
    let settid = if thread_id == 0 { 0 } else { CLONE_CHILD_SETTID };
    let flags = namespaces | CLONE_PIDFD | settid;
    let handle_at = (&raw mut handle) as u64;
    let (flags_3, group_3, size) = match group {
        Some(group) => (flags | CLONE_INTO_CGROUP, group as u64, size_of::<[u64; 11]>()),
        None => (flags, 0, OLDEST_CLONE),
    };
    // flags, handle, child's id, parent's copy of it, signal at its end, stack, its size, thread storage, ids to take,
    // how many, group
    let arguments = [flags_3, handle_at, thread_id, 0, SIGCHLD, 0, 0, 0, 0, 0, group_3];
    // SAFETY: the memory is not shared, so the child goes on here on a copy of this stack.
    let mut made = unsafe { call(nr::CLONE3, [(&raw const arguments) as usize, size]) };
    if made == Err(ENOSYS) && group.is_none() {
        // Some containers hide the new call, to look into the flags of the old one.
        let old = [(flags | SIGCHLD) as usize, 0, handle_at as usize];
        // SAFETY: as above. The order of the last two differs between processors.
        made = unsafe {
            if cfg!(target_arch = "x86_64") {
                call(nr::CLONE, [old[0], old[1], old[2], thread_id as usize, 0])
            } else {
                call(nr::CLONE, [old[0], old[1], old[2], 0, thread_id as usize])
            }
        };
    }
    match made? {
        0 => Ok(None),
        pid => Ok(Some((pid as i32, handle))),
    }
}

#[repr(C)]
struct Slice {
    start: *const c_void,
    length: usize,
}

#[repr(C)]
struct Message {
    name: usize,
    name_length: u32,
    slices: *const Slice,
    slice_count: usize,
    control: *mut Rights,
    control_length: usize,
    flags: i32,
}

const MOST_DESCRIPTORS: usize = 5;

/// Descriptors beside a message.
#[repr(C)]
struct Rights {
    length: usize,
    level: i32,
    kind: i32,
    descriptors: [i32; MOST_DESCRIPTORS],
}

const RIGHTS_HEADER: usize = 16;

impl Rights {
    const NONE: Self = Self {
        length: 0,
        level: 0,
        kind: 0,
        descriptors: [-1; MOST_DESCRIPTORS],
    };
}

/// Sends a message, with a descriptor beside it if there is one.
pub(crate) fn send(socket: i32, bytes: &[u8], descriptor: Option<i32>) -> Result<()> {
    let slice = Slice {
        start: bytes.as_ptr().cast(),
        length: bytes.len(),
    };
    let mut rights = Rights {
        length: RIGHTS_HEADER + size_of::<i32>(),
        level: SOL_SOCKET,
        kind: SCM_RIGHTS,
        ..Rights::NONE
    };
    if let Some(descriptor) = descriptor {
        rights.descriptors[0] = descriptor;
    }
    let message = Message {
        name: 0,
        name_length: 0,
        slices: &raw const slice,
        slice_count: 1,
        control: if descriptor.is_some() {
            &raw mut rights
        } else {
            core::ptr::null_mut()
        },
        // One descriptor, padded.
        control_length: if descriptor.is_some() {
            RIGHTS_HEADER + 8
        } else {
            0
        },
        flags: 0,
    };
    loop {
        // SAFETY: all that it points to lives through the call.
        let sent = unsafe {
            call(
                nr::SENDMSG,
                [socket as usize, (&raw const message) as usize, MSG_NOSIGNAL],
            )
        };
        if sent != Err(EINTR) {
            return sent.map(drop);
        }
    }
}

/// A message as it came: how many bytes, 0 once the other side hung up, and the descriptors beside it.
pub(crate) fn receive(socket: i32, bytes: &mut [u8]) -> Result<(usize, [i32; MOST_DESCRIPTORS])> {
    let slice = Slice {
        start: bytes.as_mut_ptr().cast(),
        length: bytes.len(),
    };
    let mut rights = Rights::NONE;
    let mut message = Message {
        name: 0,
        name_length: 0,
        slices: &raw const slice,
        slice_count: 1,
        control: &raw mut rights,
        control_length: size_of::<Rights>(),
        flags: 0,
    };
    let received = loop {
        // SAFETY: all that it points to lives through the call.
        let received = unsafe {
            call(
                nr::RECVMSG,
                [socket as usize, (&raw mut message) as usize, MSG_CMSG_CLOEXEC],
            )
        };
        if received != Err(EINTR) {
            break received?;
        }
    };
    let came =
        message.control_length >= RIGHTS_HEADER && rights.level == SOL_SOCKET && rights.kind == SCM_RIGHTS;
    let count = if came {
        (rights.length - RIGHTS_HEADER) / size_of::<i32>()
    } else {
        0
    };
    let mut descriptors = [-1; MOST_DESCRIPTORS];
    for (place, descriptor) in descriptors
        .iter_mut()
        .zip(&rights.descriptors[..count.min(MOST_DESCRIPTORS)])
    {
        *place = *descriptor;
    }
    Ok((received, descriptors))
}
