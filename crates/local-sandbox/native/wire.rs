//! What the supervisor, the zygote and a child say to each other, as bytes in this machine's order. Both sides are
//! compiled from this one file.

/// How many children of one zygote may live at once.
pub const MOST_CHILDREN: usize = 512;
/// From a child, over its set-up socket: it waits for its job. With its working folder, where it has its own root and was warm.
pub const WAITING: &[u8] = b"waiting";
/// To a child, with four descriptors: job, stdout, stderr, reply. For a session a fifth: where its cells come from.
pub const JOB: &[u8] = b"job";
/// To one that waits: it may do what many programs do, and waits again.
pub const REHEARSE: &[u8] = b"rehearse";
/// From a child, with its working folder, where it has not come yet.
pub const PREPARED: &[u8] = b"prepared";
/// From a child, with the last lock closed. Its program begins.
pub const SEALED: &[u8] = b"sealed";
/// What most jobs may write, for which a child is set up before it has one; a test holds it against the ordinary limits.
pub const USUAL_SCRATCH: Scratch = Scratch {
    bytes: 64 << 20,
    inodes: 4096,
};
/// Stands in the filter for the id of the process that installs it.
pub const OWN_PID: u32 = 0xFFFF_FFFE;
/// The most bytes of a path that a failure names.
pub const MOST_WHAT: usize = 256;

/// Names for what a child cannot do. The order is the protocol's.
pub const STEPS: [&str; 9] = [
    "child",
    "id maps",
    "mounts",
    "input",
    "working folder",
    "limits",
    "privileges",
    "landlock",
    "seccomp",
];

/// Guards that the crate's own tests leave out, each a bit.
pub const GUARDS: [&str; 10] = [
    "own-group",
    "nested-namespaces",
    "own-proc",
    "capabilities",
    "landlock",
    "rlimits",
    "dumpable",
    "read-only",
    "hidden-inputs",
    "seccomp",
];

/// Caps of what a program may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scratch {
    pub bytes: u64,
    pub inodes: u64,
}

/// Asks the zygote for a child. Its end of its set-up socket comes beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What the child is called from then on.
    pub id: u64,
    /// Whether it walks the way of a program once before it waits for its job.
    pub warm: bool,
    /// Whether it is born in a control group, whose folder comes as a second descriptor.
    pub grouped: bool,
}

impl Request {
    /// Bytes of a request.
    pub const LENGTH: usize = 16;

    /// As it is sent.
    pub fn encode(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.id.to_ne_bytes());
        bytes[8] = u8::from(self.warm);
        bytes[9] = u8::from(self.grouped);
        bytes
    }

    /// From what was received.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LENGTH] = bytes.try_into().ok()?;
        Some(Self {
            id: word(bytes, 0)?,
            warm: bytes[8] != 0,
            grouped: bytes[9] != 0,
        })
    }
}

/// Tells the zygote whether the program of a child goes after others from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precedence {
    /// What the child is called.
    pub id: u64,
    /// Or as they do, as it was born.
    pub after_others: bool,
}

impl Precedence {
    /// Bytes of it; no other message from the supervisor has so many.
    pub const LENGTH: usize = 9;

    /// As it is sent.
    pub fn encode(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.id.to_ne_bytes());
        bytes[8] = u8::from(self.after_others);
        bytes
    }

    /// From what was received.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LENGTH] = bytes.try_into().ok()?;
        Some(Self {
            id: word(bytes, 0)?,
            after_others: bytes[8] != 0,
        })
    }
}

/// What the zygote says of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It lives. Comes with a handle to it.
    Started { id: u64, pid: i32 },
    /// The kernel made no process.
    Refused { id: u64, errno: i32 },
    /// It is dead and reaped.
    Ended {
        id: u64,
        /// As `wait` gives it.
        status: i32,
        cpu_micros: u64,
        peak_bytes: u64,
    },
}

impl News {
    /// Bytes of a piece of news.
    pub const LENGTH: usize = 40;

    /// As it is sent.
    pub fn encode(self) -> [u8; Self::LENGTH] {
        let (kind, id, number, cpu, peak) = match self {
            Self::Started { id, pid } => (1, id, pid, 0, 0),
            Self::Refused { id, errno } => (2, id, errno, 0, 0),
            Self::Ended {
                id,
                status,
                cpu_micros,
                peak_bytes,
            } => (3, id, status, cpu_micros, peak_bytes),
        };
        let mut bytes = [0; Self::LENGTH];
        let words = [kind, id, u64::from(number.cast_unsigned()), cpu, peak];
        for (place, word) in words.iter().enumerate() {
            bytes[place * 8..][..8].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// From what was received.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LENGTH] = bytes.try_into().ok()?;
        let id = word(bytes, 1)?;
        let number = u32::try_from(word(bytes, 2)?).ok()?.cast_signed();
        match word(bytes, 0)? {
            1 => Some(Self::Started { id, pid: number }),
            2 => Some(Self::Refused { id, errno: number }),
            3 => Some(Self::Ended {
                id,
                status: number,
                cpu_micros: word(bytes, 3)?,
                peak_bytes: word(bytes, 4)?,
            }),
            _ => None,
        }
    }
}

/// A step of the set-up that failed, as it begins a child's last message; the path it was about follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// Its place among [`STEPS`].
    pub step: u8,
    /// The kernel's reason.
    pub errno: i32,
}

impl Failed {
    /// Bytes before the path.
    pub const LENGTH: usize = 12;
    const MARK: [u8; 6] = *b"failed";

    /// As it is sent.
    pub fn encode(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..6].copy_from_slice(&Self::MARK);
        bytes[6] = self.step;
        bytes[8..].copy_from_slice(&self.errno.to_ne_bytes());
        bytes
    }

    /// From what was received: the failure and what it was about.
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, what) = bytes.split_first_chunk::<{ Self::LENGTH }>()?;
        if head[..6] != Self::MARK {
            return None;
        }
        let errno = i32::from_ne_bytes(head[8..].try_into().ok()?);
        let step = head[6];
        Some((Self { step, errno }, what))
    }
}

/// The beginning of a job: limits and where the rest is. After it come texts that end with a zero: the folder of the
/// run, which is empty where it has a root of its own, and for each input its place (below the inputs root, or as the
/// machine has it) and its path below the program's data. Then comes the document for the prelude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobHeader {
    pub cpu_seconds: u64,
    pub memory_bytes: u64,
    pub threads: u64,
    pub open_files: u64,
    pub file_bytes: u64,
    pub scratch_bytes: u64,
    pub scratch_inodes: u64,
    /// How many inputs there are.
    pub inputs: u64,
    /// Folders that the inputs need, at most.
    pub folders: u64,
    /// Where the document begins.
    pub document: u64,
}

impl JobHeader {
    /// Bytes of a header.
    pub const LENGTH: usize = 80;

    /// As it is sent.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let words = [
            self.cpu_seconds,
            self.memory_bytes,
            self.threads,
            self.open_files,
            self.file_bytes,
            self.scratch_bytes,
            self.scratch_inodes,
            self.inputs,
            self.folders,
            self.document,
        ];
        let mut bytes = [0; Self::LENGTH];
        for (place, word) in words.iter().enumerate() {
            bytes[place * 8..][..8].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// From what was received: the header, and the inputs and document after it.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            cpu_seconds: word(bytes, 0)?,
            memory_bytes: word(bytes, 1)?,
            threads: word(bytes, 2)?,
            open_files: word(bytes, 3)?,
            file_bytes: word(bytes, 4)?,
            scratch_bytes: word(bytes, 5)?,
            scratch_inodes: word(bytes, 6)?,
            inputs: word(bytes, 7)?,
            folders: word(bytes, 8)?,
            document: word(bytes, 9)?,
        })
    }
}

fn word(bytes: &[u8], place: usize) -> Option<u64> {
    let bytes = bytes.get(place * 8..)?.first_chunk::<8>()?;
    Some(u64::from_ne_bytes(*bytes))
}
