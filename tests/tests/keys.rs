//! `meterbox keys`, `audit`, and administration of a server, from the outside.

use meterbox_tests::{Ended, Server, Terminal, lose_calls};
use serde_json::{Value, json};

/// A terminal, a server over its data folder, and the key of an administrator.
struct World {
    terminal: Terminal,
    server: Server,
    boss: String,
}

impl World {
    fn new() -> Self {
        let terminal = Terminal::new();
        let data = terminal.write("sales.csv", "product,revenue\nTea,10\nCoffee,32\n");
        terminal.write("sum.py", "result = tables['sales'].groupby('product').sum()\n");
        let ran = terminal.run(&["run", "sum.py", "--data", "sales.csv", "--quiet"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let server = Server::start(&terminal.folder().join("kept"), &data);
        let made = terminal.run(&["keys", "create", "user/boss", "org/acme", "--role", "admin"]);
        let boss = made.stdout.trim().to_owned();
        Self {
            terminal,
            server,
            boss,
        }
    }

    fn at_the_folder(&self, arguments: &[&str]) -> Ended {
        self.terminal.run(arguments)
    }

    fn at_the_server(&self, arguments: &[&str]) -> Ended {
        self.with_key(&self.boss, arguments)
    }

    fn with_key(&self, key: &str, arguments: &[&str]) -> Ended {
        let settings = [("METERBOX_SERVER", &*self.server.url()), ("METERBOX_KEY", key)];
        self.terminal.run_with(arguments, &settings)
    }
}

fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn a_key_is_shown_once_and_then_listed_replaced_and_revoked() {
    let terminal = Terminal::new();
    let none = terminal.run(&["keys", "list"]);
    assert!(none.stdout.contains("There are no keys"), "{none:?}");

    let made = terminal.run(&[
        "keys",
        "create",
        "user/ana",
        "team/ops",
        "--name",
        "laptop",
        "--expires",
        "30",
    ]);
    let key = made.stdout.trim().to_owned();
    assert!(
        made.code == Some(0) && key.starts_with("mbx_") && key.len() == 66,
        "{made:?}"
    );
    assert!(
        made.stderr.contains("only time") && !made.stderr.contains(&key),
        "{made:?}"
    );
    let id = &key[4..16];

    let listed = terminal.run(&["keys", "list"]);
    for shown in [id, "laptop", "analyst", "user/ana team/ops", "active"] {
        assert!(listed.stdout.contains(shown), "{shown}: {listed:?}");
    }
    let replaced = terminal.run(&["keys", "rotate", id, "--json"]);
    let new = json_of(&replaced);
    assert_eq!(new["key"]["scopes"], json!(["user/ana", "team/ops"]));
    let revoked = terminal.run(&["keys", "revoke", new["key"]["id"].as_str().unwrap_or_default()]);
    assert_eq!(revoked.code, Some(0), "{revoked:?}");
    let states = json_of(&terminal.run(&["keys", "list", "--json"]));
    assert_eq!([&states[0]["state"], &states[1]["state"]], ["revoked", "revoked"]);

    let log = terminal.run(&["audit", "--json"]);
    let acts: Vec<Value> = json_of(&log)
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| entry["act"].clone())
        .collect();
    assert_eq!(acts, ["key.revoke", "key.rotate", "key.create"]);
    assert!(
        !log.stdout.contains(&key[17..60]) && log.stdout.contains("command line"),
        "{log:?}"
    );
}

#[test]
fn a_wrong_call_says_what_to_do() {
    let terminal = Terminal::new();
    for (arguments, code, said) in [
        (&["keys", "create", "org/acme"][..], 2, "exactly one user"),
        (&["keys", "create", "user/*"], 2, "stands for many"),
        (
            &["keys", "create", "user/ana", "--expires", "0"],
            2,
            "number of days",
        ),
        (
            &["keys", "create", "user/ana", "--role", "root"],
            2,
            "viewer, analyst and admin",
        ),
        (&["keys", "revoke", "mbx"], 2, "12 letters and digits"),
        (&["keys", "revoke", "000000000000"], 2, "no key 000000000000"),
        (&["audit", "--limit", "0"], 2, "1 to 1,000"),
        (
            &["budget", "list", "--server", "ftp://x"],
            2,
            "no address of a server",
        ),
        (
            &["budget", "list", "--server", "http://127.0.0.1:9/"],
            6,
            "cannot be reached",
        ),
        (&["serve", "--listen", "somewhere"], 2, "--listen is"),
        (&["serve", "--listen", "0.0.0.0:0"], 2, "meterbox keys create"),
    ] {
        let ended = terminal.run(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(said), "{arguments:?}: {ended:?}");
        assert!(!ended.stderr.contains("METERBOX_LISTEN"), "{ended:?}");
    }
    let behind_a_proxy = [("METERBOX_PUBLIC_URL", "https://box.example.com")];
    let ended = terminal.run_with(&["serve"], &behind_a_proxy);
    assert!(
        ended.code == Some(2) && ended.stderr.contains("meterbox keys create"),
        "{ended:?}"
    );
    // A key that may not administer keeps nobody out who could make such a key.
    terminal.run(&["keys", "create", "user/ana"]);
    let ended = terminal.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn a_server_says_what_its_data_folder_says() {
    let world = World::new();
    let set = world.at_the_server(&[
        "budget",
        "set",
        "org/acme",
        "20",
        "--warn-percent",
        "50",
        "--json",
    ]);
    let caps = &json_of(&set)["soft_caps"];
    assert!(
        caps["warn_percent"] == 50 && caps["degrade_percent"] == 95,
        "{set:?}"
    );
    let topped_up = world.at_the_server(&["budget", "top-up", "org/acme", "5", "--expires", "2999-01-01"]);
    assert!(topped_up.stdout.contains("org/acme has $5 more"), "{topped_up:?}");
    for arguments in [
        &["budget", "list"][..],
        &["budget", "list", "--json"],
        &["budget", "status", "org/acme"],
        &["budget", "status", "user/local", "--json"],
        &["budget", "status", "org/none"],
        &["budget", "check", "user/ana", "org/acme", "3"],
        &["budget", "check", "user/ana", "org/acme", "11"],
        &["budget", "check", "user/ana", "11", "--json"],
        &["budget", "report"],
        &["budget", "report", "--json", "--since", "2020-01-01"],
        &["budget", "verify"],
        &["budget", "export"],
        &["budget", "export", "--format", "json"],
        &["budget", "export", "--until", "2020-01-01"],
        &["budget", "top-up", "org/acme", "0"],
        &["budget", "remove", "org/none"],
        &["keys", "list"],
        &["audit", "--json", "--limit", "3"],
        &["audit"],
    ] {
        let (here, there) = (world.at_the_folder(arguments), world.at_the_server(arguments));
        assert_eq!(
            (here.code, &here.stdout),
            (there.code, &there.stdout),
            "{arguments:?}: {there:?}"
        );
    }
    let audit = world.at_the_folder(&["audit"]).stdout;
    assert!(
        audit.contains("user/boss (boss)") && audit.contains("127.0.0.1"),
        "{audit}"
    );
}

#[test]
fn a_server_tries_and_corrects_its_ledger_as_its_data_folder_does() {
    let world = World::new();
    let terminal = &world.terminal;
    lose_calls(terminal, &["req-1", "i1abc"]);
    terminal.write(
        "same.toml",
        "[[budget]]\nscope = 'user/*'\nlimit = 10\nwindow = 'month UTC'\n",
    );
    terminal.write(
        "tight.toml",
        "[[budget]]\nscope = 'user/*'\nlimit = 0.000000001\nwindow = 'month UTC'\n",
    );
    terminal.write(
        "fortnight.toml",
        "[[budget]]\nscope = 'user/*'\nlimit = 1\nwindow = 'fortnight'\n",
    );
    terminal.write(
        "dearer.toml",
        "units = [{ unit = 'sandbox/local/vcpu_second', prices = [{ price = 0.000028 }] }]\n",
    );
    terminal.write("broken.json", "{");
    let header = "reference,item,quantity,unit,amount\n";
    terminal.write("usage.csv", format!("{header}req-1,output,5,tokens,0.25\n"));
    terminal.write("bad.csv", format!("{header}req-1,output,many,tokens,1\n"));
    terminal.write(
        "events.json",
        r#"[{"id":"e1","type":"sandbox.lifecycle.killed","sandbox_id":"i1abc","event_data":{"execution":
            {"vcpu_count":2,"memory_mb":2048,"execution_time":1000}}},
            {"id":"e2","type":"sandbox.lifecycle.paused","sandbox_id":"i2","event_data":{"execution":
            {"vcpu_count":2,"memory_mb":2048,"execution_time":1000}}}]"#,
    );
    world.at_the_folder(&["stop-all", "a test"]);
    world.at_the_folder(&["resume"]);
    for arguments in [
        &["replay", "same.toml"][..],
        &["replay", "tight.toml", "--json"],
        &["replay", "tight.toml", "--until", "2020-01-01"],
        &["replay", "fortnight.toml"],
        &["rerate"],
        &["rerate", "dearer.toml", "--json"],
        &["rerate", "dearer.toml", "--since", "2999-01-01"],
        &["rerate", "broken.json"],
        &["events"],
        &["events", "--json", "--after", "1"],
        &["events", "--limit", "0"],
        &["reconcile", "bad.csv"],
        &["reconcile", "usage.csv", "--dry-run"],
        &[
            "reconcile",
            "events.json",
            "--format",
            "e2b",
            "--dry-run",
            "--json",
        ],
    ] {
        let arguments = [&["budget"], arguments].concat();
        let (here, there) = (world.at_the_folder(&arguments), world.at_the_server(&arguments));
        assert_eq!(
            (here.code, &here.stdout),
            (there.code, &there.stdout),
            "{arguments:?}: {there:?}"
        );
        assert_eq!(
            here.stdout.is_empty(),
            here.code != Some(0),
            "{arguments:?}: {here:?}"
        );
    }
    let wrong = world.at_the_server(&["budget", "reconcile", "bad.csv"]);
    assert!(
        wrong
            .stderr
            .contains("ine 2, quantity: \"many\" is no whole number"),
        "{wrong:?}"
    );

    let spent =
        || json_of(&world.at_the_folder(&["budget", "status", "user/local", "--json"]))["spent"].clone();
    let before = spent();
    let done = world.at_the_server(&["budget", "reconcile", "usage.csv"]);
    assert!(
        done.code == Some(0) && done.stdout.contains("1 corrected"),
        "{done:?}"
    );
    assert_ne!(spent(), before);
    let paused = world.at_the_server(&["budget", "reconcile", "events.json", "--format", "e2b"]);
    assert!(paused.stderr.contains("i2 was paused"), "{paused:?}");
    let known = world.at_the_folder(&["budget", "reconcile", "usage.csv", "--json"]);
    assert_eq!(json_of(&known)["already_known"], json!(["req-1"]));
    let log = json_of(&world.at_the_folder(&["audit", "--json"]));
    let corrections: Vec<[Value; 3]> = log
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["act"] == "ledger.reconcile")
        .map(|entry| ["actor", "target", "outcome"].map(|member| entry[member].clone()))
        .collect();
    assert_eq!(
        corrections[1..],
        [
            [json!("user/boss (boss)"), json!("events.json"), json!("done")],
            [json!("user/boss (boss)"), json!("usage.csv"), json!("done")],
        ]
    );

    let too_large = terminal.folder().join("large.csv");
    std::fs::write(&too_large, "\n".repeat((16 << 20) + 1)).expect("the file can be written");
    let refused = world.at_the_server(&["budget", "reconcile", "large.csv"]);
    assert!(
        refused.code == Some(2) && refused.stderr.contains("16777216 at most; split it"),
        "{refused:?}"
    );
    let clean = world.at_the_folder(&["budget", "verify"]);
    assert_eq!(clean.code, Some(0), "{clean:?}");
}

#[test]
fn what_is_done_at_the_server_is_so_in_its_folder_and_the_other_way_round() {
    let world = World::new();
    let stopped = world.at_the_server(&["stop-all", "a test"]);
    assert_eq!(stopped.code, Some(0), "{stopped:?}");
    let refused = world.at_the_folder(&["run", "sum.py", "--data", "sales.csv", "--quiet"]);
    assert_eq!(refused.code, Some(5), "{refused:?}");
    let resumed = world.at_the_folder(&["resume"]);
    assert_eq!(resumed.code, Some(0));
    assert!(
        world
            .at_the_server(&["resume"])
            .stdout
            .contains("Nothing was stopped")
    );

    let made = world.at_the_server(&["keys", "create", "user/ana", "--role", "viewer"]);
    let key = made.stdout.trim().to_owned();
    assert_eq!(key.len(), 66, "{made:?}");
    let own = world.with_key(&key, &["budget", "status", "user/ana", "--json"]);
    assert_eq!(json_of(&own)["scope"], "user/ana", "{own:?}");
    let refused = world.with_key(&key, &["budget", "list"]);
    assert!(
        refused.code == Some(2) && refused.stderr.contains("needs the role admin"),
        "{refused:?}"
    );

    // Revoked at the folder, it opens nothing of the running server any more.
    world.at_the_folder(&["keys", "revoke", &key[4..16]]);
    let revoked = world.with_key(&key, &["budget", "list"]);
    assert!(
        revoked.code == Some(2) && revoked.stderr.contains("was revoked"),
        "{revoked:?}"
    );
    let malformed = world.with_key("mbx_nonsense", &["budget", "list"]);
    assert!(
        malformed.code == Some(2) && malformed.stderr.contains("no key of Meterbox"),
        "{malformed:?}"
    );
    let none = world.with_key("", &["budget", "list"]);
    assert!(
        none.code == Some(2) && none.stderr.contains("needs an API key"),
        "{none:?}"
    );

    let last = world.at_the_server(&["keys", "revoke", &world.boss[4..16]]);
    assert!(
        last.code == Some(4) && last.stderr.contains("last key that may administer"),
        "{last:?}"
    );
    let clean = world.at_the_folder(&["budget", "verify"]);
    assert_eq!(clean.code, Some(0), "{clean:?}");
}
