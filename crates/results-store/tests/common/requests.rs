//! Our client's requests, and what a request says however it is written. Shared with the comparison in `oracles/`.

use std::collections::{BTreeMap, BTreeSet};

use meterbox_results_store::postgrest::{
    Credentials, Filter, OnConflict, Order, Postgrest, UserToken, http_client,
};
use meterbox_testkit::{FaultyServer, Manner};
use serde_json::{Value, json};

pub const KEY: &str = "sb_publishable_test";
pub const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln";

/// A server that is content with everything.
pub async fn recorder() -> FaultyServer {
    let head = "200 OK\r\ncontent-type: application/json\r\ncontent-range: */0";
    FaultyServer::start(Manner::replies(head, "[]")).await
}

/// What a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub method: String,
    pub path: String,
    /// Decoded.
    pub query: BTreeSet<(String, String)>,
    pub prefer: BTreeSet<String>,
    /// Those that matter to the server.
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

/// Reads a request of HTTP/1.1.
pub fn said(request: &str) -> Said {
    let (head, body) = request.split_once("\r\n\r\n").expect("a whole request");
    let mut lines = head.lines();
    let mut first = lines.next().expect("a request line").split(' ');
    let method = first.next().expect("a method").to_owned();
    let target = first.next().expect("a target");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let query = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').expect("a key and a value");
        (decoded(key), decoded(value))
    });
    let mut prefer = BTreeSet::new();
    let mut headers = BTreeMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header");
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "prefer" => prefer.extend(value.split(',').map(|wish| wish.trim().to_owned())),
            "apikey" | "authorization" | "accept-profile" | "content-profile" => {
                headers.insert(name, value.to_owned());
            }
            _ => {}
        }
    }
    Said {
        query: query.collect(),
        method,
        path: path.to_owned(),
        prefer,
        headers,
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

/// As forms are: `+` is a space.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.expect("an escape"));
                let digits = std::str::from_utf8(&digits).expect("digits").to_owned();
                bytes.push(u8::from_str_radix(&digits, 16).expect("digits"));
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// The list: the first seven are what every client can.
pub async fn ours() -> Vec<Said> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = recorder().await;
    let builder = || {
        let http = http_client().expect("TLS can be set up");
        Postgrest::builder(http, server.url(), Credentials::key(KEY))
    };
    let client = builder().build().expect("all is well-formed");
    let user = UserToken::new(TOKEN);
    let things = || client.table("things").as_user(Some(&user));
    let text = |text: &str| text.to_owned();
    let done = "the recorder is content";

    let older = Filter::Lt(text("01990000-0000-7000-8000-000000000000"));
    let query = things()
        .select(&["id", "document"])
        .filter("principal", &Filter::Eq(text("user/ana")))
        .filter("id", &older)
        .order("id", Order::Descending);
    query.fetch::<Value>().await.expect(done);
    let query = things()
        .select(&["name"])
        .filter("name", &Filter::Eq(text("say \"hi\" & ü=+%, (a)")))
        .filter("note", &Filter::IsNull);
    query.fetch::<Value>().await.expect(done);
    let query = things()
        .select(&["size"])
        .filter("size", &Filter::Gte(text("2")))
        .filter("size", &Filter::Neq(text("4")))
        .order("size", Order::Ascending)
        .order("name", Order::Descending);
    query.fetch_counted::<Value>().await.expect(done);
    things()
        .insert(&[json!({ "name": "a", "size": 1 })])
        .await
        .expect(done);
    let row = [json!({ "name": "a", "size": 2 })];
    let key = ["principal", "name"];
    things().upsert(&row, &key, OnConflict::Merge).await.expect(done);
    let query = things().select(&["name"]).filter("name", &Filter::Eq(text("a")));
    query.delete().await.expect(done);
    let sum: Value = client
        .call("sum_of", &json!({ "one": 40, "two": 2 }), Some(&user))
        .await
        .expect(done);
    assert_eq!(sum, json!([]));

    let query = things().select(&["name"]).order("name", Order::Ascending);
    query.offset(2).limit(3).fetch::<Value>().await.expect(done);
    let list = ["plain", "b,c", "(d)", "user/ana"].map(str::to_owned);
    let query = things()
        .select(&["name"])
        .filter("name", &Filter::In(list.to_vec()));
    query.fetch::<Value>().await.expect(done);
    things()
        .upsert(&row, &["name"], OnConflict::Ignore)
        .await
        .expect(done);
    let other = builder().schema("other").build().expect("all is well-formed");
    let query = other.table("things").as_user(Some(&user)).select(&["name"]);
    let query = query
        .filter("size", &Filter::Gt(text("1")))
        .filter("size", &Filter::Lte(text("9")));
    query.fetch::<Value>().await.expect(done);
    let things = other.table("things").as_user(Some(&user));
    things.insert(&[json!({ "name": "b" })]).await.expect(done);
    server.heard().iter().map(|request| said(request)).collect()
}
