use std::{
    env, fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    PostgresServer,
    cache::{cache_folder, required},
    gateway::Gateway,
};

const VERSION: &str = "3.1.0";
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: u32 = 1_500;

/// Runs the server until whoever asked for it is gone, however it went: then its end of the pipe is closed.
const SUPERVISOR: &str = r#""$1" >>"$2" 2>&1 & server=$!; read -r _; kill "$server"; wait "$server""#;

/// What a project of Supabase has before anybody touches it: roles, and everything granted to them.
const PROJECT: &str = "
    DO $$ BEGIN
        CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN; CREATE ROLE service_role NOLOGIN BYPASSRLS;
        CREATE ROLE authenticator LOGIN NOINHERIT;
        GRANT anon, authenticated, service_role TO authenticator;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$;
    GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role";

/// A server that speaks PostgREST's protocol (the independent `postrust-server`) over a database, for one test.
#[derive(Debug)]
pub struct PostgrestServer {
    supervisor: Child,
    address: SocketAddr,
    gateway: Gateway,
}

impl PostgresServer {
    /// A new database with the roles and the grants of a Supabase project.
    ///
    /// # Panics
    /// As [`database`](Self::database).
    pub fn supabase_project(&self) -> String {
        let address = self.database();
        self.sql(&address, PROJECT).expect("the roles can be made");
        address
    }
}

impl PostgrestServer {
    /// A server over this database of [`PostgresServer::supabase_project`], which believes tokens signed with this secret.
    /// `None` where there is no such server, which is said past the test harness: it is built from crates.io, which takes
    /// five minutes, and only where `METERBOX_REQUIRE_PEERS=1`. It stays in the user's cache folder.
    ///
    /// # Panics
    /// Instead of `None`, where `METERBOX_REQUIRE_PEERS=1`.
    pub fn start_or_skip(database: &str, jwt_secret: &str) -> Option<Self> {
        let binary = required("PostgREST", installed())?;
        Some(Self::start(&binary, database, jwt_secret, None))
    }

    /// The same, which gives at most so many rows at a time.
    ///
    /// # Panics
    /// As [`start_or_skip`](Self::start_or_skip).
    pub fn with_max_rows_or_skip(database: &str, jwt_secret: &str, rows: u32) -> Option<Self> {
        let binary = required("PostgREST", installed())?;
        Some(Self::start(&binary, database, jwt_secret, Some(rows)))
    }

    fn start(binary: &Path, database: &str, jwt_secret: &str, max_rows: Option<u32>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        drop(listener);
        let part = |name: &str| {
            let part = database.split(' ').find_map(|part| part.strip_prefix(name));
            part.expect("an address of our own").to_owned()
        };
        let (host, name) = (part("host="), part("dbname="));
        let log = Path::new(&host).join(format!("postrust-{}", address.port()));
        let child = Command::new("sh")
            .args(["-c", SUPERVISOR, "sh"])
            .arg(binary)
            .arg(log)
            .env(
                "PGRST_DB_URI",
                format!("postgres:///{name}?host={host}&user=authenticator"),
            )
            .env("PGRST_DB_SCHEMAS", "public")
            .env("PGRST_DB_ANON_ROLE", "anon")
            .env("PGRST_DB_POOL", "4")
            .env("PGRST_JWT_SECRET", jwt_secret)
            .env("PGRST_COMPAT_MODE", "true")
            .env("PGRST_SERVER_HOST", "127.0.0.1")
            .env("PGRST_SERVER_PORT", address.port().to_string())
            .envs(max_rows.map(|rows| ("PGRST_DB_MAX_ROWS", rows.to_string())))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell can be started");
        let server = Self {
            supervisor: child,
            address,
            gateway: Gateway::start(address),
        };
        for _ in 0..PATIENCE {
            if answers(address) {
                return server;
            }
            thread::sleep(PAUSE);
        }
        panic!("postrust does not answer at {address}");
    }

    /// `http://127.0.0.1:PORT`: tables are right below it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same as a project of Supabase: tables are below `/rest/v1`, and a request needs an API key.
    pub fn project_url(&self) -> String {
        self.gateway.url()
    }
}

impl Drop for PostgrestServer {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

fn answers(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut reply = [0; 12];
    stream.write_all(request.as_bytes()).is_ok() && stream.read_exact(&mut reply).is_ok()
}

/// The server, built where it has to be there.
fn installed() -> Result<PathBuf, String> {
    let place = cache_folder().join(format!("meterbox-test/postrust-server-{VERSION}"));
    let binary = place.join("bin/postrust");
    if binary.exists() {
        return Ok(binary);
    }
    if env::var("METERBOX_REQUIRE_PEERS").as_deref() != Ok("1") {
        return Err(format!(
            "it is not built yet; METERBOX_REQUIRE_PEERS=1 builds it, or: cargo install postrust-server --version \
             {VERSION} --root {}",
            place.display()
        ));
    }
    let folder = cache_folder().join("meterbox-test");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let turn = fs::File::create(folder.join("postrust.lock")).map_err(|error| error.to_string())?;
    turn.lock().map_err(|error| error.to_string())?;
    if binary.exists() {
        return Ok(binary);
    }
    let work = folder.join("postrust-build");
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "install",
            "postrust-server",
            "--version",
            VERSION,
            "--quiet",
            "--root",
        ])
        .arg(&place)
        .arg("--target-dir")
        .arg(&work)
        .env_remove("RUSTFLAGS")
        .output()
        .map_err(|error| error.to_string())?;
    let _ = fs::remove_dir_all(work);
    if binary.exists() {
        return Ok(binary);
    }
    Err(String::from_utf8_lossy(&built.stderr).trim().to_owned())
}
