//! Memory of the interpreter in pages as large as the machine has them: a clone copies, and an end frees, one entry
//! for two megabytes instead of 512.

use core::ffi::c_void;

use crate::{
    numbers as nr,
    only::Only,
    sys::{self, Result},
};

const HUGE: usize = 2 << 20;
const REGION: usize = 32 << 20;
const MADV_COLLAPSE: usize = 25;

/// Where the next arena of CPython's allocator comes from.
struct Regions {
    next: usize,
    end: usize,
    /// From the lowest to past the highest byte ever handed out.
    all: (usize, usize),
    /// The rest of the last region, which the kernel has again: what lies there is a child's.
    given_back: (usize, usize),
    /// Children take theirs from the kernel one by one, which counts them exactly.
    closed: bool,
}

static REGIONS: Only<Regions> = Only::new(Regions {
    next: 0,
    end: 0,
    all: (usize::MAX, 0),
    given_back: (0, 0),
    closed: false,
});

/// CPython's `PyObjectArenaAllocator`.
#[repr(C)]
pub struct ArenaAllocator {
    context: *mut c_void,
    allocate: extern "C" fn(*mut c_void, usize) -> *mut c_void,
    free: extern "C" fn(*mut c_void, *mut c_void, usize),
}

// SAFETY: the context is never used.
unsafe impl Sync for ArenaAllocator {}

/// For `PyObject_SetArenaAllocator`.
#[unsafe(no_mangle)]
pub static JAIL_ARENAS: ArenaAllocator = ArenaAllocator {
    context: core::ptr::null_mut(),
    allocate,
    free,
};

/// From now on arenas come from the kernel one by one.
#[unsafe(no_mangle)]
pub extern "C" fn jail_close_arenas() {
    // SAFETY: the zygote calls this while it holds CPython's lock, under which the allocator is called.
    let regions = unsafe { REGIONS.borrow() };
    regions.closed = true;
    let rest = regions.end - regions.next;
    // No child is to find room there that its limits count as the interpreter's.
    // SAFETY: nothing was ever handed out of it.
    if rest > 0 && unsafe { sys::call(nr::MUNMAP, [regions.next, rest]) }.is_ok() {
        regions.given_back = (regions.next, regions.end);
    }
}

/// Puts this range of private memory into huge pages, as far as that goes; how many were made.
#[unsafe(no_mangle)]
pub extern "C" fn jail_collapse(start: usize, end: usize) -> usize {
    let first = start.next_multiple_of(HUGE);
    (first..end)
        .step_by(HUGE)
        .filter(|page| page + HUGE <= end)
        // SAFETY: changes how the memory is held and nothing in it.
        .filter(|page| unsafe { sys::call(nr::MADVISE, [*page, HUGE, MADV_COLLAPSE]) }.is_ok())
        .count()
}

extern "C" fn allocate(_: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: CPython calls this under its lock.
    let regions = unsafe { REGIONS.borrow() };
    let start = if regions.closed {
        map(size)
    } else {
        regions.take(size)
    };
    start.map_or(core::ptr::null_mut(), |start| start as *mut c_void)
}

extern "C" fn free(_: *mut c_void, start: *mut c_void, size: usize) {
    // SAFETY: CPython calls this under its lock.
    let regions = unsafe { REGIONS.borrow() };
    let start = start as usize;
    let lies_in = |(lowest, highest)| (lowest..highest).contains(&start);
    if !lies_in(regions.all) || lies_in(regions.given_back) {
        // SAFETY: an arena that nobody uses any more.
        let _ = unsafe { sys::call(nr::MUNMAP, [start, size]) };
    }
}

impl Regions {
    fn take(&mut self, size: usize) -> Result<usize> {
        if self.end - self.next < size {
            // With room to begin at the border of a huge page.
            let start = map(REGION + HUGE)?;
            self.next = start.next_multiple_of(HUGE);
            self.end = self.next + REGION;
            self.all = (self.all.0.min(start), self.all.1.max(self.end));
        }
        if self.end - self.next < size {
            return map(size);
        }
        let start = self.next;
        self.next += size;
        Ok(start)
    }
}

fn map(size: usize) -> Result<usize> {
    sys::memory(size).map(|memory| memory.as_mut_ptr() as usize)
}
