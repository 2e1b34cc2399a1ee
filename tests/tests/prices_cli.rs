//! Prices, the policy ladder and webhooks from the outside.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose world cannot be set up has failed"
)]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use meterbox_core::Usd;
use meterbox_tests::{Ended, Server, Terminal};
use serde_json::Value;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A terminal in whose data folder a script was run.
fn used() -> Terminal {
    let terminal = Terminal::new();
    terminal.write("sales.csv", "product,revenue\nTea,10\nCoffee,32\n");
    terminal.write("sum.py", "result = tables['sales'].groupby('product').sum()\n");
    let ran = terminal.run(&["run", "sum.py", "--data", "sales.csv", "--quiet"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    terminal
}

fn json(ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn dollars(value: &Value) -> Usd {
    serde_json::from_value(value.clone()).unwrap()
}

/// Twice the price of a vCPU-second, and the memory as it was.
const DEARER: &str = "units = [{ unit = 'sandbox/local/vcpu_second', prices = [{ price = 0.000028 }] }]\n";

#[test]
fn the_ledger_is_priced_anew_by_another_book() {
    let terminal = used();
    let same = json(&terminal.run(&["budget", "rerate", "--json"]));
    assert_eq!(same["recorded"], same["would_be"], "{same}");
    assert_eq!(same["left"], 0, "{same}");
    assert_eq!(same["differences"], serde_json::json!([]));

    terminal.write("dearer.toml", DEARER);
    let dearer = json(&terminal.run(&["budget", "rerate", "dearer.toml", "--json"]));
    let rates = dearer["rates"].as_array().unwrap();
    let rate = |name: &str| rates.iter().find(|rate| rate["rate"] == name).unwrap();
    let vcpu = rate("sandbox/local/vcpu_second");
    assert!(dollars(&vcpu["would_be"]) > dollars(&vcpu["recorded"]), "{vcpu}");
    let memory = rate("sandbox/local/gib_second");
    assert_eq!(memory["would_be"], memory["recorded"]);
    assert_ne!(dearer["fingerprint"], same["fingerprint"]);
    assert_eq!(vcpu["books"], serde_json::json!([same["fingerprint"]]));
    let spent = json(&terminal.run(&["budget", "status", "user/local", "--json"]))["spent"].clone();
    assert_eq!(dearer["recorded"], spent);
    let words = terminal.run(&["budget", "rerate", "dearer.toml", "--until", "2020-01-01"]);
    assert!(words.stdout.contains("0 lines that cost $0"), "{words:?}");

    // A book in force prices what runs from then on, and each line says which it was.
    let book = terminal.folder().join("dearer.toml");
    let in_force = [("PRICE_BOOK", book.to_str().unwrap())];
    let ran = terminal.run_with(
        &["run", "sum.py", "--data", "sales.csv", "--quiet", "--json"],
        &in_force,
    );
    let tag = json(&ran)["cost_lines"][0]["price"].as_str().unwrap().to_owned();
    assert!(tag.ends_with(dearer["fingerprint"].as_str().unwrap()), "{tag}");
    let export = terminal.run(&["budget", "export"]).stdout;
    assert!(
        export.lines().next().unwrap().contains(",estimated,price,"),
        "{export}"
    );
    assert!(export.contains(&tag), "{export}");
}

#[test]
fn prices_are_listed_and_a_wrong_book_is_explained() {
    let terminal = Terminal::new();
    let listed = terminal.run(&["prices", "list", "gpt-5-mini"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(
        listed.stdout.contains("openai/gpt-5-mini") && listed.stdout.contains("$0.025"),
        "{listed:?}"
    );
    assert!(
        terminal
            .run(&["prices", "list", "sandbox/"])
            .stdout
            .contains("$0.000014")
    );
    terminal.write("own.toml", DEARER);
    let checked = terminal.run(&["prices", "check", "own.toml"]);
    assert!(checked.stdout.contains("0 models and 1 units"), "{checked:?}");

    terminal.write("wrong.toml", "models = [\n{ model = 'openai/x', prices = [] }]");
    let wrong = terminal.run(&["prices", "check", "wrong.toml"]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong
            .stderr
            .contains("wrong.toml: model \"openai/x\": it has no price"),
        "{wrong:?}"
    );
    let at_start = terminal.run_with(&["budget", "list"], &[("PRICE_BOOK", "wrong.toml")]);
    assert_eq!(at_start.code, Some(2));
    assert!(
        at_start.stderr.contains("it has no price") && at_start.stderr.contains("Fix:"),
        "{at_start:?}"
    );
}

#[test]
fn soft_caps_are_settings_and_the_state_follows_the_ladder() {
    let terminal = used();
    let caps = [("SOFT_CAPS", "50,60,70,80")];
    let ran = terminal.run_with(&["run", "sum.py", "--data", "sales.csv", "--quiet"], &caps);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let list = json(&terminal.run(&["budget", "list", "--json"]));
    let everybody = list
        .as_array()
        .unwrap()
        .iter()
        .find(|budget| budget["scope"] == "global/all")
        .unwrap();
    assert_eq!(everybody["soft_caps"]["squeeze_percent"], 80, "{everybody}");
    let spent = dollars(&json(&terminal.run(&["budget", "status", "user/local", "--json"]))["spent"]);
    for (percent, state) in [(40, "active"), (55, "warned"), (65, "degraded"), (100, "stopped")] {
        // The limit at which what was spent is this percentage, or a little more.
        let nanos = spent.nanos() * 100 / percent;
        let limit = format!("0.{nanos:09}");
        let set = [
            "budget",
            "set",
            "user/local",
            &limit,
            "--warn-percent",
            "50",
            "--degrade-percent",
            "60",
        ];
        assert_eq!(terminal.run(&set).code, Some(0));
        let status = json(&terminal.run(&["budget", "status", "user/local", "--json"]));
        assert_eq!(status["state"], state, "{percent} {status}");
        let list = terminal.run(&["budget", "list"]).stdout;
        let line = list.lines().find(|line| line.contains("user/local")).unwrap();
        assert!(line.contains(state), "{line}");
    }
    let wrong = terminal.run_with(&["budget", "list"], &[("SOFT_CAPS", "90,80")]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("rising order") && wrong.stderr.contains("Fix:"),
        "{wrong:?}"
    );
}

/// What was reached by one command is told to the webhook of the server, and a stop as well: signed, to the address
/// in the data folder's file.
#[test]
fn a_server_tells_its_webhooks_what_happens_in_the_data_folder() {
    let terminal = used();
    let kept = terminal.folder().join("kept");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            if tell.send(receive(stream.unwrap())).is_err() {
                return;
            }
        }
    });
    let file = format!("[[webhook]]\nurl = 'http://{address}/hook'\nsecret = '{SECRET}'\n");
    std::fs::write(kept.join("meterbox.toml"), file).unwrap();
    let server = Server::start(&kept, &terminal.folder().join("sales.csv"));

    let spent = dollars(&json(&terminal.run(&["budget", "status", "user/local", "--json"]))["spent"]);
    let limit = format!("0.{:09}", spent.nanos() * 100 / 85);
    assert_eq!(
        terminal.run(&["budget", "set", "user/local", &limit]).code,
        Some(0)
    );
    assert_eq!(terminal.run(&["stop-all", "that is enough"]).code, Some(0));
    let request = told.recv_timeout(Duration::from_secs(60)).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["type"], "budget.stopped", "{body}");
    assert_eq!(body["data"]["reason"], "that is enough");
    assert!(
        head.contains("webhook-signature: v1,") && head.contains("webhook-id: evt_"),
        "{head}"
    );
    assert!(!server.log().contains("MfKQ9r8"), "{}", server.log());
}

/// Reads a request by its content-length, and says that it was heard.
fn receive(mut stream: TcpStream) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body.len());
        if read == 0 || body.zip(length).is_some_and(|(body, length)| body >= length) {
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
            return text;
        }
    }
}
