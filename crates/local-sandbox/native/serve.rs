//! The zygote's one loop: makes children and reaps them.

use crate::{
    child::Child,
    config::Config,
    only::Only,
    sys::{self, EAGAIN, PollFd},
    wire::{MOST_CHILDREN, News, Precedence, Request},
};

/// The supervisor hung up.
const OVER: i32 = 0;
/// In a child that is sealed.
const SEALED: i32 = 1;
/// In a child that may do what programs do before it calls [`jail_seal`].
const WARMING: i32 = 2;
/// The two sides were not made from one source.
const MISMATCH: i32 = -1;
/// Its own filter could not be installed.
const UNLOCKED: i32 = -2;

/// Those that live, in the order of `watched`, whose first is the control socket.
struct Children {
    watched: [PollFd; MOST_CHILDREN + 1],
    known: [Known; MOST_CHILDREN + 1],
    count: usize,
}

#[derive(Clone, Copy)]
struct Known {
    id: u64,
    pid: i32,
}

/// Memory of its own: the stack would be copied with every page of the interpreter's around it.
static CHILDREN: Only<Children> = Only::new(Children {
    watched: [PollFd {
        fd: -1,
        events: 0,
        found: 0,
    }; MOST_CHILDREN + 1],
    known: [Known { id: 0, pid: 0 }; MOST_CHILDREN + 1],
    count: 0,
});
/// Of the only child there is in a process.
static WARM: Only<Option<Child>> = Only::new(None);

/// Makes children until the supervisor hangs up. Returns then, and in every child.
///
/// # Safety
/// `config` lives as long as the process. Called once, by the only thread, which holds CPython's lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jail_serve(config: *const Config) -> i32 {
    // SAFETY: the caller's promise.
    let config = unsafe { &*config };
    if !config.is_whole() {
        return MISMATCH;
    }
    // SAFETY: the only thread calls this once.
    let children = unsafe { CHILDREN.borrow() };
    children.watched[0] = PollFd {
        fd: config.control as i32,
        events: sys::POLLIN,
        found: 0,
    };
    if config.has("seccomp") && sys::install(config.first_filter()).is_err() {
        return UNLOCKED;
    }
    // The interpreter stays as it is before a fork; every child finds it so, and nothing here needs it.
    // SAFETY: the caller's promise.
    unsafe { config.before_fork() };
    loop {
        if sys::poll(&mut children.watched[..=children.count], true).is_err() {
            continue;
        }
        // Backwards: one that is removed is replaced by the last.
        for place in (1..=children.count).rev() {
            if children.watched[place].found != 0 {
                children.reap(config, place);
            }
        }
        if children.watched[0].found != 0 {
            match children.listen(config) {
                Heard::Nothing => return OVER,
                Heard::Request => {}
                Heard::Born(state) => return state,
            }
        }
    }
}

/// Waits for the job of a child that has warmed up, and seals it; the child may be told to warm up more before, and calls
/// this again then.
///
/// # Safety
/// `config` as above; called in a child only.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jail_seal(config: *const Config) -> i32 {
    // SAFETY: the caller's promise; a child has one thread until its program runs.
    let (config, warm) = unsafe { (&*config, WARM.borrow()) };
    let Some(child) = warm.take() else { sys::exit(125) };
    *warm = child.seal(config);
    if warm.is_some() { WARMING } else { SEALED }
}

enum Heard {
    Nothing,
    Request,
    /// This is the child.
    Born(i32),
}

impl Children {
    fn listen(&mut self, config: &Config) -> Heard {
        let control = config.control as i32;
        let mut bytes = [0; Request::LENGTH];
        let (setup, group, request) = match sys::receive(control, &mut bytes) {
            Ok((Precedence::LENGTH, _)) => {
                self.give_precedence(&bytes[..Precedence::LENGTH]);
                return Heard::Request;
            }
            Ok((length @ 1.., [setup, group, ..])) => (setup, group, Request::decode(&bytes[..length])),
            _ => return Heard::Nothing,
        };
        let Some(Request { id, warm, grouped }) = request else {
            return Heard::Nothing;
        };
        let made = if self.count == MOST_CHILDREN {
            Err(EAGAIN)
        } else {
            // Without its descriptor a group is refused, never done without.
            let group = grouped.then_some(group);
            // SAFETY: the child does nothing but what follows here and, in the end, CPython's own hook.
            unsafe { sys::clone(config.namespaces, config.thread_id, group) }
        };
        let made = match made {
            Ok(None) => return Heard::Born(born(config, setup, warm)),
            Ok(Some(made)) => Ok(made),
            Err(errno) => Err(errno),
        };
        // The supervisor counts descriptors, so what is done with is closed before it hears anything.
        sys::close(setup);
        if group != -1 {
            sys::close(group);
        }
        let told = match made {
            Ok((pid, handle)) => {
                self.count += 1;
                self.known[self.count] = Known { id, pid };
                self.watched[self.count] = PollFd {
                    fd: handle,
                    events: sys::POLLIN,
                    found: 0,
                };
                sys::send(control, &News::Started { id, pid }.encode(), Some(handle))
            }
            Err(errno) => sys::send(control, &News::Refused { id, errno }.encode(), None),
        };
        if told.is_ok() {
            Heard::Request
        } else {
            Heard::Nothing
        }
    }

    /// Nobody else reaps the child, so its number is still its own.
    fn give_precedence(&self, bytes: &[u8]) {
        let Some(Precedence { id, after_others }) = Precedence::decode(bytes) else {
            return;
        };
        let children = &self.known[1..=self.count];
        let Some(child) = children.iter().find(|child| child.id == id) else {
            return;
        };
        let nice = if after_others {
            Ok(sys::LOWEST)
        } else {
            // What it was born with.
            sys::own_priority()
        };
        // Where it cannot be done, the program goes on as before.
        let _ = nice.and_then(|nice| sys::set_priority(child.pid, nice));
    }

    fn reap(&mut self, config: &Config, place: usize) {
        let Known { id, pid } = self.known[place];
        sys::close(self.watched[place].fd);
        self.known[place] = self.known[self.count];
        self.watched[place] = self.watched[self.count];
        self.count -= 1;
        if let Ok(end) = sys::reap(pid) {
            let news = News::Ended {
                id,
                status: end.status,
                cpu_micros: end.cpu_micros,
                peak_bytes: end.peak_bytes,
            };
            // Where nobody listens any more, the next look at the control socket says so.
            let _ = sys::send(config.control as i32, &news.encode(), None);
        }
    }
}

fn born(config: &Config, setup: i32, warm: bool) -> i32 {
    let child = Child::enter(config, setup, warm);
    let state = if warm {
        // SAFETY: the only thread.
        unsafe { *WARM.borrow() = Some(child) };
        WARMING
    } else if child.seal(config).is_none() {
        SEALED
    } else {
        // Told to rehearse, though nobody has time for that.
        sys::exit(125)
    };
    // SAFETY: `jail_serve`'s caller holds CPython's lock, and the hook before the fork has run.
    unsafe { config.after_fork_in_child() };
    state
}
