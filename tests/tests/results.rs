//! Results kept elsewhere: the server answers while the store is away, dies, comes back, and delivers.

use std::{thread::sleep, time::Duration};

use meterbox_testkit::{PostgresServer, PostgrestServer};
use meterbox_tests::{Server, Terminal};
use serde_json::{Value, json};

const POLL: Duration = Duration::from_millis(200);
const POLLS: u32 = 150;
const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";
/// Signed with it: {"role":"anon"} and {"role":"service_role"}, both good for ever.
const ANON_KEY: &str = include_str!("keys/anon.jwt");
const SERVICE_KEY: &str = include_str!("keys/service_role.jwt");

struct World {
    terminal: Terminal,
    data: std::path::PathBuf,
}

impl World {
    fn new() -> Self {
        let terminal = Terminal::new();
        let data = terminal.write("sales.csv", "product,revenue\nTea,10\nCoffee,32\n");
        std::fs::create_dir_all(terminal.folder().join("kept")).expect("the folder can be made");
        Self { terminal, data }
    }

    fn kept(&self) -> std::path::PathBuf {
        self.terminal.folder().join("kept")
    }

    fn serve(&self, settings: &[(&str, &str)]) -> Server {
        Server::start_with(&self.kept(), &self.data, settings)
    }
}

/// Asks, and has the answer whatever becomes of it: the id.
fn ask(server: &Server) -> String {
    let question = json!({ "query": "total revenue", "datasets": ["sales"] });
    let (status, answer) = server.post("/api/execute", &question);
    assert_eq!((status, &answer["status"]), (200, &json!("ok")), "{answer}");
    answer["id"].as_str().expect("a result has an id").to_owned()
}

fn results_of(server: &Server) -> Value {
    let (_, ready) = server.get("/readyz");
    let ready: Value = serde_json::from_str(&ready).expect("it is JSON");
    ready["results"].clone()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..POLLS {
        if is_so() {
            return;
        }
        sleep(POLL);
    }
    panic!("{what} does not come");
}

#[test]
fn answers_do_not_wait_for_postgres_and_arrive_there_once() {
    let Some(postgres) = PostgresServer::start_or_skip() else {
        return;
    };
    let address = postgres.database();
    let world = World::new();
    let settings = [("DATABASE_URL", &*address)];

    postgres.crash();
    let server = world.serve(&settings);
    let first = ask(&server);
    let results = results_of(&server);
    assert_eq!(results["place"], "postgres");
    assert_eq!(results["state"], "unavailable");
    assert_eq!(results["outbox"]["waiting"], 1);
    let (status, found) = server.get(&format!("/api/analyses/{first}"));
    assert!(status == 200 && found.contains("42"), "{status} {found}");
    server.kill();

    // Whoever forgets the setting is told what waits for it.
    let forgetful = world.terminal.run(&["results", "status"]);
    assert_eq!(forgetful.code, Some(4), "{forgetful:?}");
    assert!(forgetful.stderr.contains("1 results still wait"), "{forgetful:?}");

    let server = world.serve(&settings);
    let second = ask(&server);
    postgres.restart();
    wait_until("the delivery", || results_of(&server)["outbox"]["waiting"] == 0);
    let stored = postgres
        .sql(&address, "SELECT id FROM meterbox_results.results ORDER BY id")
        .expect("the table is there");
    assert_eq!(stored.lines().collect::<Vec<_>>(), [&*first, &*second]);
    let (_, history) = server.get("/api/analyses");
    assert!(history.contains(&first) && history.contains(&second), "{history}");
    drop(server);

    let doctor = world.terminal.run_with(&["doctor", "--online"], &settings);
    assert!(
        doctor
            .stdout
            .contains("✓ online: results              Postgres of DATABASE_URL"),
        "{doctor:?}"
    );
    let status = world.terminal.run_with(&["results", "status"], &settings);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert!(status.stdout.contains("Nothing waits"), "{status:?}");
}

#[test]
fn a_project_of_supabase_is_set_up_checked_and_used() {
    let Some(postgres) = PostgresServer::shared() else {
        return;
    };
    let database = postgres.supabase_project();
    let world = World::new();
    let terminal = &world.terminal;
    let schema = terminal.run(&["results", "schema"]);
    assert_eq!(schema.code, Some(0), "{schema:?}");
    postgres.sql(&database, &schema.stdout).expect("the script runs");
    let Some(project) = PostgrestServer::start_or_skip(&database, SECRET) else {
        return;
    };
    let url = project.project_url();
    let anonymous = [("SUPABASE_URL", &*url), ("SUPABASE_ANON_KEY", ANON_KEY.trim())];

    // The anonymous key opens nothing where tenants are kept apart, and doctor says what to do.
    let doctor = terminal.run_with(&["doctor", "--online"], &anonymous);
    assert!(doctor.stdout.contains("! results"), "{doctor:?}");
    assert!(doctor.stdout.contains("✗ online: results"), "{doctor:?}");
    assert!(doctor.stdout.contains("meterbox results schema"), "{doctor:?}");
    assert_hides_keys(&doctor.stdout);

    let users = [anonymous[0], anonymous[1], ("SUPABASE_JWT_SECRET", SECRET)];
    let service = [anonymous[0], ("SUPABASE_SERVICE_ROLE_KEY", SERVICE_KEY.trim())];
    for settings in [&users[..], &service[..]] {
        let asked = terminal.run_with(
            &["ask", "total revenue", "--data", "sales.csv", "--json"],
            settings,
        );
        assert_eq!(asked.code, Some(0), "{asked:?}");
        let answer: Value = serde_json::from_str(&asked.stdout).expect("one document");
        let id = answer["id"].as_str().expect("a result has an id");
        let sql = format!("SELECT principal FROM public.meterbox_results WHERE id = '{id}'");
        let owner = postgres.sql(&database, &sql).expect("the table is there");
        assert_eq!(owner.trim(), "user/local");
        let doctor = terminal.run_with(&["doctor", "--online"], settings);
        assert!(doctor.stdout.contains("✓ online: results"), "{doctor:?}");
        assert_hides_keys(&format!("{doctor:?}{asked:?}"));
    }
}

#[test]
fn a_wrong_setting_stops_the_start_with_its_name_and_the_fix() {
    let terminal = Terminal::new();
    for (settings, said) in [
        (
            &[("SUPABASE_URL", "https://abc.supabase.co")][..],
            "no key opens it",
        ),
        (&[("SUPABASE_JWT_SECRET", SECRET)][..], "SUPABASE_URL is not"),
        (&[("DATABASE_URL", "mysql://a:hunter2@b/c")][..], "DATABASE_URL"),
        (
            &[("DATABASE_URL", "postgres://a:hunter2@b:port/c")][..],
            "DATABASE_URL",
        ),
        (
            &[("RESULTS_KEEP_DAYS", "soon")][..],
            "RESULTS_KEEP_DAYS is \"soon\"",
        ),
    ] {
        let ended = terminal.run_with(&["results", "status"], settings);
        assert_ne!(ended.code, Some(0), "{ended:?}");
        assert!(ended.stderr.contains(said), "{said}: {ended:?}");
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
        assert_hides_keys(&ended.stderr);
    }

    // A file beside the data sends nothing elsewhere and deletes nothing, and is not passed over in silence.
    terminal.write(
        ".env",
        "DATABASE_URL=postgres://eve@127.0.0.1:1/x\nRESULTS_KEEP_DAYS=never\n",
    );
    let status = terminal.run(&["results", "status"]);
    assert!(status.stdout.contains("kept in: data folder"), "{status:?}");
    let doctor = terminal.run(&["doctor"]);
    for unread in ["! DATABASE_URL", "! RESULTS_KEEP_DAYS"] {
        assert!(doctor.stdout.contains(unread), "{doctor:?}");
    }
}

fn assert_hides_keys(said: &str) {
    for secret in [SECRET, ANON_KEY.trim(), SERVICE_KEY.trim()] {
        assert!(!said.contains(secret), "{said}");
    }
}
