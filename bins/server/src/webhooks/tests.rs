//! A receiver that misbehaves, a ledger with events, and what becomes of them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use meterbox_budget_engine::{Budget, BudgetEngine, HoldRequest, MemoryLedger, Window};
use meterbox_core::{Clock, Scope, contract::CostLine};
use meterbox_testkit::{FaultyServer, Manner, ManualClock};
use tokio::{net::TcpListener, time::Instant};

use super::{
    delivery::{Delivery, Round},
    endpoint::Endpoint,
    message::Message,
    post::{Fault, HttpPost, Post},
};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

// === the HTTP side ===

fn endpoint_of(receiver: &FaultyServer) -> Endpoint {
    Endpoint::new(&format!("{}/hook?token=t", receiver.url()), SECRET, None).unwrap()
}

/// Of tests whose time is paused.
#[expect(
    clippy::disallowed_methods,
    reason = "the time of a paused runtime is virtual"
)]
fn virtual_now() -> Instant {
    Instant::now()
}

fn message() -> Message {
    Message {
        id: "evt_1".into(),
        body: "{\"type\":\"budget.resumed\"}".into(),
    }
}

async fn post_to(endpoint: &Endpoint) -> Result<(), Fault> {
    let post = HttpPost::new().unwrap();
    post.post(endpoint, &message(), 1_614_265_330).await
}

#[tokio::test]
async fn a_message_arrives_whole_and_signed() {
    let receiver = FaultyServer::start(Manner::answers("204 No Content")).await;
    post_to(&endpoint_of(&receiver)).await.unwrap();
    let heard = receiver.heard();
    let (head, body) = heard[0].split_once("\r\n\r\n").unwrap();
    let signature = endpoint_of(&receiver).signature("evt_1", 1_614_265_330, body);
    assert_eq!(body, message().body);
    for line in [
        "POST /hook?token=t HTTP/1.1",
        "content-type: application/json",
        "webhook-id: evt_1",
        "webhook-timestamp: 1614265330",
        &format!("webhook-signature: {signature}"),
    ] {
        assert!(head.lines().any(|heard| heard == line), "{line}: {head}");
    }
    assert!(!heard[0].contains("MfKQ9r8"), "the secret stays here");
}

#[tokio::test]
async fn what_is_no_success_is_a_fault_that_tells_no_secret() {
    let elsewhere = FaultyServer::start(Manner::answers("200 OK")).await;
    let redirect = format!("307 Temporary Redirect\r\nlocation: {}/", elsewhere.url());
    for (manner, said) in [
        (Manner::answers("500 Internal Server Error"), "it answered 500"),
        (Manner::answers("404 Not Found"), "it answered 404"),
        (Manner::answers(&redirect), "it answered 307"),
        (Manner::Closes, "the connection broke"),
    ] {
        let receiver = FaultyServer::start(manner).await;
        let fault = post_to(&endpoint_of(&receiver)).await.unwrap_err();
        assert_eq!(fault.to_string(), said);
        assert!(!format!("{fault:?}").contains("token"));
    }
    assert_eq!(elsewhere.heard(), [""; 0], "a redirect is not followed");

    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let endpoint = Endpoint::new(&format!("http://{closed}/?token=t"), SECRET, None).unwrap();
    let refused = post_to(&endpoint).await.unwrap_err();
    assert_eq!(refused.to_string(), "it could not be connected to");
}

#[tokio::test]
async fn an_endpoint_may_ask_for_time_when_it_is_overloaded() {
    for (answer, expected) in [
        ("503 Service Unavailable\r\nretry-after: 7", Some(7)),
        ("429 Too Many Requests\r\nretry-after: 9", Some(9)),
        ("500 Internal Server Error\r\nretry-after: 9", None),
        ("503 Service Unavailable\r\nretry-after: soon", None),
    ] {
        let receiver = FaultyServer::start(Manner::answers(answer)).await;
        let Err(Fault::Status { wish, .. }) = post_to(&endpoint_of(&receiver)).await else {
            panic!("{answer}")
        };
        assert_eq!(wish, expected.map(Duration::from_secs), "{answer}");
    }
}

/// Time is virtual: it passes when nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_or_drips_is_left_in_time() {
    for manner in [Manner::Hangs, Manner::Drips] {
        let receiver = FaultyServer::start(manner).await;
        let begun = virtual_now();
        let fault = post_to(&endpoint_of(&receiver)).await.unwrap_err();
        assert_eq!(fault.to_string(), "it did not answer in time");
        assert!(
            begun.elapsed() <= Duration::from_secs(16),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn a_reply_without_end_is_not_read() {
    let receiver = FaultyServer::start(Manner::Floods).await;
    post_to(&endpoint_of(&receiver)).await.unwrap();
}

// === the ledger side ===

/// Answers as scripted, then with success; keeps what it was sent.
#[derive(Debug, Clone, Default)]
struct FakePost {
    script: Arc<Mutex<VecDeque<Option<Duration>>>>,
    sent: Arc<Mutex<Vec<(Message, i64)>>>,
}

impl FakePost {
    /// The next attempts fail, with such wishes to wait.
    fn fails(&self, wishes: impl IntoIterator<Item = Option<Duration>>) {
        self.script.lock().unwrap().extend(wishes);
    }

    fn sent(&self) -> Vec<(Message, i64)> {
        self.sent.lock().unwrap().clone()
    }

    fn kinds(&self) -> Vec<String> {
        let kind = |body: &str| {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let rung = body["data"]["rung"].as_str().unwrap_or_default().to_owned();
            format!("{} {rung}", body["type"].as_str().unwrap())
                .trim_end()
                .to_owned()
        };
        self.sent()
            .iter()
            .map(|(message, _)| kind(&message.body))
            .collect()
    }
}

#[async_trait]
impl Post for FakePost {
    async fn post(&self, _: &Endpoint, message: &Message, timestamp: i64) -> Result<(), Fault> {
        self.sent.lock().unwrap().push((message.clone(), timestamp));
        match self.script.lock().unwrap().pop_front() {
            Some(wish) => Err(Fault::Status { status: 503, wish }),
            None => Ok(()),
        }
    }
}

struct House {
    engine: BudgetEngine,
    clock: ManualClock,
    post: FakePost,
}

impl House {
    async fn new() -> Self {
        let clock = ManualClock::at("2026-11-23T12:00:00Z".parse().unwrap());
        let engine = BudgetEngine::new(MemoryLedger::new(), clock.clone());
        let budget = Budget::new(ana(), "10".parse().unwrap(), Window::Lifetime);
        engine.define(budget).await.unwrap();
        Self {
            engine,
            clock,
            post: FakePost::default(),
        }
    }

    fn delivery(&self, kinds: Option<&[&str]>) -> Delivery<FakePost> {
        let kinds = kinds.map(|kinds| kinds.iter().map(|kind| (*kind).to_owned()).collect());
        let endpoint = Endpoint::new("https://example.org/", SECRET, kinds).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        Delivery::new(self.engine.clone(), endpoint, self.post.clone(), clock)
    }

    async fn spend(&self, amount: &str) {
        let amount = amount.parse().unwrap();
        let hold = self
            .engine
            .hold(HoldRequest::new([ana()], amount, "a test"))
            .await
            .unwrap();
        let line = CostLine {
            item: "output".into(),
            quantity: 1,
            unit: "tokens".into(),
            amount,
            estimated: false,
            price: None,
        };
        hold.draw(line).await.unwrap();
        hold.settle().await.unwrap();
    }
}

fn ana() -> Scope {
    "user/ana".parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_event_is_told_once_in_order_and_again_until_it_is_heard() {
    let house = House::new().await;
    let mut watcher = house.engine.watcher().unwrap();
    house.engine.stop_all("before anybody listened").await.unwrap();
    house.engine.resume().await.unwrap();
    let delivery = house.delivery(None);
    assert_eq!(
        delivery.round().await.unwrap(),
        Round::Done,
        "a new endpoint begins now"
    );

    house.spend("9").await;
    watcher.look_at([ana()]).await.unwrap();
    house.engine.stop_all("enough").await.unwrap();
    house.post.fails([None, None, Some(Duration::from_secs(20))]);
    let begun = virtual_now();
    assert_eq!(delivery.round().await.unwrap(), Round::More);
    assert_eq!(delivery.round().await.unwrap(), Round::Done);
    let told = ["budget.cap_reached warn"; 4]
        .into_iter()
        .chain(["budget.stopped"]);
    assert_eq!(house.post.kinds(), told.collect::<Vec<_>>());
    let sent = house.post.sent();
    assert!(
        sent[..4].iter().all(|(message, _)| *message == sent[0].0),
        "the same id each time"
    );
    let waited = begun.elapsed();
    assert!((21..24).contains(&waited.as_secs()), "{waited:?}");
    let body: serde_json::Value = serde_json::from_str(&sent[0].0.body).unwrap();
    let expected = serde_json::json!({
        "type": "budget.cap_reached",
        "timestamp": "2026-11-23T12:00:00Z",
        "data": { "scope": "user/ana", "period": "lifetime", "rung": "warn", "percent": 80, "limit": 10, "spent": 9 },
    });
    assert_eq!(body, expected);
    assert_eq!(sent[0].1, 1_795_435_200);
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_one_tells_and_the_other_goes_on_where_it_was() {
    let house = House::new().await;
    let (one, two) = (house.delivery(None), house.delivery(None));
    assert_eq!(one.round().await.unwrap(), Round::Done);
    assert_eq!(two.round().await.unwrap(), Round::OthersTurn);
    house.engine.stop_all("first").await.unwrap();
    assert_eq!(two.round().await.unwrap(), Round::OthersTurn);
    assert_eq!(one.round().await.unwrap(), Round::More);
    house.engine.resume().await.unwrap();
    // The first one dies; its turn ends.
    drop(one);
    house.clock.advance(Duration::from_secs(61));
    assert_eq!(two.round().await.unwrap(), Round::More);
    assert_eq!(house.post.kinds(), ["budget.stopped", "budget.resumed"]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_hears_only_what_it_asked_for() {
    let house = House::new().await;
    let delivery = house.delivery(Some(&["resumed"]));
    assert_eq!(delivery.round().await.unwrap(), Round::Done);
    house.engine.stop_all("unheard").await.unwrap();
    house.engine.resume().await.unwrap();
    assert_eq!(delivery.round().await.unwrap(), Round::More);
    assert_eq!(house.post.kinds(), ["budget.resumed"]);
}

/// An endpoint that is away keeps nobody waiting: the ledger goes on, and the events wait.
#[tokio::test(start_paused = true)]
async fn spending_goes_on_while_an_endpoint_is_away() {
    let house = House::new().await;
    let delivery = house.delivery(None);
    assert_eq!(delivery.round().await.unwrap(), Round::Done);
    house.post.fails(std::iter::repeat_n(None, 50));
    house.engine.stop_all("away").await.unwrap();
    let telling = tokio::spawn(delivery.run());
    house.engine.resume().await.unwrap();
    for _ in 0..100 {
        house.spend("0.01").await;
    }
    telling.abort();
    assert!(house.post.sent().len() <= 1, "nothing had to wait for it");
    assert_eq!(house.engine.events_behind(0).await.unwrap(), 2);
}
