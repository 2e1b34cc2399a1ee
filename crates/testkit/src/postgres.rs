use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use crate::{
    cache::{required, skipped},
    certificate::self_signed,
    debian,
};

const SUPERUSER: &str = "meterbox";
/// Of a server that only its socket is known of, whose name it is a part of.
const PORT: u16 = 5432;
const CERTIFICATE: &str = "server.crt";
const PAUSE: Duration = Duration::from_millis(10);
const PATIENCE: u32 = 3_000;

/// Runs the server until whoever asked for it is gone, however it went: then its end of the pipe is closed.
const SUPERVISOR: &str = r#"
cd "$1"
start() { "$2/postgres" -D "$1/data" -k "$1" >>"$1/log" 2>&1 & server=$!; }
start "$1" "$2"
while read -r word; do
    case "$word" in
        crash) kill -QUIT "$server"; wait "$server"; echo down >"$1/state" ;;
        start) start "$1" "$2"; echo up >"$1/state" ;;
    esac
done
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$1"
"#;

/// Mounts a small disk that nobody else sees, then becomes a plain user, who cannot take the disk away again.
const WITH_SMALL_DISK: &str = r#"
mkdir -p "$2/small"
mount -t tmpfs -o "size=$4,uid=$5,gid=$6,mode=0700" meterbox-test "$2/small"
setpriv --reuid="$5" --regid="$6" --clear-groups sh -c "$1" sh "$2" "$3" || true
umount "$2/small"
rm -rf "$2"
"#;

const SETTINGS: &str = "
listen_addresses = ''
max_connections = 60
shared_buffers = 32MB
max_wal_size = 256MB
";

/// A Postgres server of a test's own, in a folder that goes with it. Its disk writes are real.
#[derive(Debug)]
pub struct PostgresServer {
    folder: PathBuf,
    binaries: PathBuf,
    supervisor: Mutex<Supervisor>,
    databases: AtomicU32,
    /// Of its socket, and of loopback where it speaks TLS.
    port: u16,
}

#[derive(Debug)]
struct Supervisor {
    child: Child,
    /// Closed with this process.
    orders: Option<ChildStdin>,
}

/// Whom the server runs as where the tests run as root, which it refuses to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    user: u32,
    group: u32,
}

impl PostgresServer {
    /// The server that all tests of this process share, started by the first of them. `None` where there is no
    /// Postgres, which is said past the test harness.
    ///
    /// # Panics
    /// Instead of `None`, where `METERBOX_REQUIRE_PEERS=1`.
    pub fn shared() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<PostgresServer>> = OnceLock::new();
        SERVER.get_or_init(Self::start_or_skip).as_ref()
    }

    /// A server for one test, which may break it.
    ///
    /// # Panics
    /// As [`shared`](Self::shared).
    pub fn start_or_skip() -> Option<Self> {
        required("Postgres", Self::start(None, false))
    }

    /// A server for one test, which also listens on `127.0.0.1`, where it speaks TLS with a certificate that nobody trusts
    /// by itself.
    ///
    /// # Panics
    /// As [`shared`](Self::shared).
    pub fn with_tls_or_skip() -> Option<Self> {
        required("Postgres", Self::start(None, true))
    }

    /// The address over TLS of a [`database`](Self::database), without `sslmode`; and the file of the certificate.
    ///
    /// # Panics
    /// Where the server was not started with TLS.
    pub fn tls_address(&self, database: &str) -> (String, PathBuf) {
        let (_, name) = database.rsplit_once("dbname=").expect("an address of our own");
        let port = self.port;
        assert_ne!(port, PORT, "this server speaks no TLS");
        let url = format!("postgres://{SUPERUSER}@127.0.0.1:{port}/{name}");
        (url, self.folder.join("data").join(CERTIFICATE))
    }

    /// A server whose [small databases](Self::small_database) have a disk of so many bytes. It takes a mount, so a
    /// plain user skips the test.
    ///
    /// # Panics
    /// Where root has no such server and `METERBOX_REQUIRE_PEERS=1`.
    pub fn with_small_disk_or_skip(bytes: u32) -> Option<Self> {
        if identity() == Ok(None) {
            skipped("Postgres", "only root can mount a small disk");
            return None;
        }
        required("Postgres", Self::start(Some(bytes), false))
    }

    fn start(small_disk: Option<u32>, tls: bool) -> Result<Self, String> {
        let missing = "there is no Postgres server on this machine; install it (Debian's package postgresql)";
        let binaries = binaries().or_else(|| {
            debian::install("postgresql");
            binaries()
        });
        let binaries = binaries.ok_or(missing)?;
        let folder = tempfile::Builder::new()
            .prefix("meterbox-postgres-")
            .tempdir()
            .map_err(|error| format!("no temporary folder can be made: {error}"))?;
        let identity = identity()?;
        if let Some(Identity { user, group }) = identity {
            chown(folder.path(), Some(user), Some(group)).map_err(|error| error.to_string())?;
        }
        initialise(&binaries, folder.path(), identity)?;
        let port = if tls {
            speak_tls(folder.path(), identity)?
        } else {
            PORT
        };
        let folder = folder.keep();
        let mut child = supervisor(&folder, &binaries, identity, small_disk)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What ends a test's whole group would end it too, before it could clear away.
            .process_group(0)
            .spawn()
            .map_err(|error| error.to_string())?;
        let orders = child.stdin.take();
        let server = Self {
            folder,
            binaries,
            supervisor: Mutex::new(Supervisor { child, orders }),
            databases: AtomicU32::new(0),
            port,
        };
        server.wait_until_ready();
        Ok(server)
    }

    /// A new, empty database: the address for clients.
    ///
    /// # Panics
    /// Where the server does not make one.
    pub fn database(&self) -> String {
        self.database_on("pg_default")
    }

    /// The same on the small disk, of which it takes about eight megabytes.
    ///
    /// # Panics
    /// As [`database`](Self::database), and where there is no small disk.
    pub fn small_database(&self) -> String {
        let address = self.address_of("postgres");
        let location = self.folder.join("small");
        let sql = format!("CREATE TABLESPACE small LOCATION '{}'", location.display());
        self.sql(&address, &sql).expect("the disk is mounted");
        self.database_on("small")
    }

    fn database_on(&self, tablespace: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let output = Command::new(self.binaries.join("createdb"))
            .arg("-h")
            .arg(&self.folder)
            .args(["-p", &self.port.to_string()])
            .args(["-U", SUPERUSER, "-T", "template0", "-D", tablespace, &name])
            .output()
            .expect("createdb lies beside the server");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        self.address_of(&name)
    }

    fn address_of(&self, name: &str) -> String {
        let folder = self.folder.display();
        let port = self.port;
        format!("host={folder} port={port} user={SUPERUSER} dbname={name}")
    }

    /// Does this in a database, as its owner.
    ///
    /// # Errors
    /// What the server says.
    ///
    /// # Panics
    /// Where there is no `psql`.
    pub fn sql(&self, address: &str, sql: &str) -> Result<String, String> {
        let output = Command::new(self.binaries.join("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                address,
                "-c",
                sql,
            ])
            .output()
            .expect("psql lies beside the server");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Stops the server as a crash would: no connection is told, nothing is tidied up.
    pub fn crash(&self) {
        self.order("crash", "down");
    }

    /// Starts it again after [`crash`](Self::crash).
    pub fn restart(&self) {
        self.order("start", "up");
        self.wait_until_ready();
    }

    /// How often the server has written this into its log.
    ///
    /// # Panics
    /// Where the log cannot be read.
    pub fn count_in_log(&self, words: &str) -> usize {
        let log = fs::read_to_string(self.folder.join("log")).expect("the server keeps a log");
        log.matches(words).count()
    }

    fn order(&self, word: &str, state: &str) {
        let mut supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner);
        let orders = supervisor.orders.as_mut().expect("the server is not yet dropped");
        writeln!(orders, "{word}").expect("the supervisor lives");
        wait_for("the server", || {
            fs::read_to_string(self.folder.join("state")).is_ok_and(|now| now.trim() == state)
        });
    }

    fn wait_until_ready(&self) {
        wait_for("the server", || {
            let mut command = Command::new(self.binaries.join("pg_isready"));
            command
                .args(["-q", "-p", &self.port.to_string(), "-h"])
                .arg(&self.folder);
            command.status().is_ok_and(|status| status.success())
        });
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let supervisor = self.supervisor.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(supervisor.orders.take());
        let _ = supervisor.child.wait();
    }
}

fn supervisor(
    folder: &Path,
    binaries: &Path,
    identity: Option<Identity>,
    small_disk: Option<u32>,
) -> Command {
    if let (Some(Identity { user, group }), Some(bytes)) = (identity, small_disk) {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-ec", WITH_SMALL_DISK, "sh", SUPERVISOR])
            .arg(folder)
            .arg(binaries)
            .args([bytes, user, group].map(|number| number.to_string()));
        return command;
    }
    let mut command = Command::new("sh");
    command.args(["-c", SUPERVISOR, "sh"]).arg(folder).arg(binaries);
    as_identity(command, identity)
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..PATIENCE {
        if is_so() {
            return;
        }
        thread::sleep(PAUSE);
    }
    panic!("{what} does not come");
}

fn initialise(binaries: &Path, folder: &Path, identity: Option<Identity>) -> Result<(), String> {
    let mut command = Command::new(binaries.join("initdb"));
    command
        .arg("-D")
        .arg(folder.join("data"))
        .args([
            "-U",
            SUPERUSER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ])
        .current_dir(folder);
    let output = as_identity(command, identity)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!(
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    append(&folder.join("data/postgresql.conf"), SETTINGS)
}

/// Makes the server listen on loopback too, with TLS and nothing else: the port.
fn speak_tls(folder: &Path, identity: Option<Identity>) -> Result<u16, String> {
    let data = folder.join("data");
    let (certificate, key) = self_signed();
    for (name, pem) in [(CERTIFICATE, certificate), ("server.key", key)] {
        let file = data.join(name);
        fs::write(&file, pem).map_err(|error| error.to_string())?;
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&file, private).map_err(|error| error.to_string())?;
        if let Some(Identity { user, group }) = identity {
            chown(&file, Some(user), Some(group)).map_err(|error| error.to_string())?;
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let settings = format!("listen_addresses = '127.0.0.1'\nport = {port}\nssl = on\n");
    append(&data.join("postgresql.conf"), &settings)?;
    fs::write(
        data.join("pg_hba.conf"),
        "local all all trust\nhostssl all all 127.0.0.1/32 trust\n",
    )
    .map_err(|error| error.to_string())?;
    Ok(port)
}

fn append(file: &Path, text: &str) -> Result<(), String> {
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(file)
        .map_err(|error| error.to_string())?;
    file.write_all(text.as_bytes()).map_err(|error| error.to_string())
}

fn as_identity(mut command: Command, identity: Option<Identity>) -> Command {
    if let Some(Identity { user, group }) = identity {
        command.gid(group).uid(user);
    }
    command
}

/// The newest installed server.
fn binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let number = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin")))
        })
        .filter(|(_, folder)| folder.join("initdb").exists() && folder.join("postgres").exists())
        .collect();
    folders.sort();
    folders.pop().map(|(_, folder)| folder)
}

fn identity() -> Result<Option<Identity>, String> {
    if id(&["-u"])? != 0 {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let (Ok(user), Ok(group)) = (id(&["-u", name]), id(&["-g", name])) {
            return Ok(Some(Identity { user, group }));
        }
    }
    Err("the tests run as root, and there is no plain user to run Postgres as".to_owned())
}

fn id(arguments: &[&str]) -> Result<u32, String> {
    let output = Command::new("id")
        .args(arguments)
        .output()
        .map_err(|error| format!("id: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .map_err(|_| format!("id {arguments:?} says {text:?}"))
}
