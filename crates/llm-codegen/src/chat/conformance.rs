//! What every [`ChatModel`] does, whoever wrote it. A client's tests call [`all`] on itself, on its `Box` and on its
//! `Arc`, with a [`Script`] for the server behind it.

use std::time::Duration;

use meterbox_core::{Retryability, TokenUsage};

use super::{Billed, ChatError, ChatErrorKind, ChatModel, ChatRequest, Finish, Message, Role};

/// The server behind the model, which does as it is told.
pub trait Script: Send + Sync {
    /// The next call is answered with this text and this usage.
    fn answer(&self, text: &str, usage: TokenUsage);

    /// The next call meets 429 and is asked to pause for so long.
    fn limit_rate(&self, pause: Duration);

    /// The next call is stopped by the content filter before the model sees it.
    fn filter(&self);

    /// The next call never ends.
    fn hang(&self);

    /// The bodies of all calls so far.
    fn bodies(&self) -> Vec<Vec<u8>>;
}

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(100);

/// Every property, one after the other.
///
/// # Panics
/// Where a property does not hold.
pub async fn all(model: &dyn ChatModel, server: &dyn Script) {
    says_what_it_is(model);
    counts_more_for_more(model);
    encodes_the_same_alike_and_shows_no_credentials(model);
    sends_exactly_what_was_encoded_and_hands_back_text_and_usage(model, server).await;
    reports_a_cut_off_reply_with_its_usage(model, server).await;
    reports_a_limit_with_its_pause_and_does_not_try_again(model, server).await;
    reports_a_filter_once(model, server).await;
    keeps_to_its_deadline(model, server).await;
    survives_a_dropped_call(model, server).await;
}

fn asking(text: &str) -> ChatRequest {
    ChatRequest {
        instructions: "You write short programs.".to_owned(),
        messages: vec![Message {
            role: Role::User,
            text: text.to_owned(),
        }],
        output_cap: 64,
        schema: None,
    }
}

fn used(output: u64) -> TokenUsage {
    TokenUsage {
        input: 40,
        cached: 30,
        output,
        ..TokenUsage::default()
    }
}

fn says_what_it_is(model: &dyn ChatModel) {
    let card = model.card();
    assert!(!card.provider.is_empty() && !card.model.is_empty() && !card.server.is_empty());
    assert!(
        (1..=card.max_output_cap).contains(&card.min_output_cap),
        "{card:?}"
    );
    assert!(!card.server.contains(['/', '@', '?']), "{card:?}");
}

fn counts_more_for_more(model: &dyn ChatModel) {
    let (short, long) = (asking("one"), asking(&"one two three ".repeat(200)));
    let (short, long) = (model.count_input(&short), model.count_input(&long));
    assert!(short > 0 && long >= short + 400, "{short} and {long}");
    let mut more = asking("one");
    more.messages.push(Message {
        role: Role::Assistant,
        text: "two".to_owned(),
    });
    assert!(model.count_input(&more) > short);
}

fn encodes_the_same_alike_and_shows_no_credentials(model: &dyn ChatModel) {
    let request = asking("Say \"ü\" and \u{0} and ✓.");
    let outgoing = model.encode(&request);
    assert_eq!(outgoing, model.encode(&request));
    assert!(!outgoing.url.contains(['?', '@', '#']), "{}", outgoing.url);
    let body: serde_json::Value = serde_json::from_slice(&outgoing.body).expect("the body is JSON");
    assert!(body.to_string().contains("Say \\\"ü\\\""), "{body}");
}

async fn sends_exactly_what_was_encoded_and_hands_back_text_and_usage(
    model: &dyn ChatModel,
    server: &dyn Script,
) {
    let calls = server.bodies().len();
    server.answer("result = 1", used(7));
    let outgoing = model.encode(&asking("Write one."));
    assert_eq!(server.bodies().len(), calls, "encoding sends nothing");
    let reply = model.send(&outgoing, LONG).await.expect("a reply");
    assert_eq!(
        (reply.text.as_str(), &reply.finish),
        ("result = 1", &Finish::Stop)
    );
    assert_eq!(reply.billed(), Billed::Tokens(used(7)));
    assert!(reply.model.is_some());
    assert_eq!(server.bodies()[calls..], [outgoing.body]);
}

async fn reports_a_cut_off_reply_with_its_usage(model: &dyn ChatModel, server: &dyn Script) {
    server.answer(&"result = 1\n".repeat(1_000), used(64));
    let error = failed(model, LONG).await;
    assert_eq!(
        (error.kind(), error.billed()),
        (ChatErrorKind::Truncated, Billed::Tokens(used(64)))
    );
    assert_eq!(error.retryability(), Retryability::Never);
}

async fn reports_a_limit_with_its_pause_and_does_not_try_again(model: &dyn ChatModel, server: &dyn Script) {
    let calls = server.bodies().len();
    server.limit_rate(Duration::from_millis(1_500));
    let error = failed(model, LONG).await;
    assert_eq!(
        (error.kind(), error.billed()),
        (ChatErrorKind::Rate, Billed::Nothing)
    );
    assert_eq!(error.retry_after(), Some(Duration::from_millis(1_500)));
    assert_eq!(error.retryability(), Retryability::Safe);
    assert_eq!(server.bodies().len(), calls + 1, "one call is one request");
}

async fn reports_a_filter_once(model: &dyn ChatModel, server: &dyn Script) {
    let calls = server.bodies().len();
    server.filter();
    let error = failed(model, LONG).await;
    assert_eq!(error.kind(), ChatErrorKind::ContentFilter, "{error}");
    assert_ne!(error.billed(), Billed::Nothing, "a filter reads what it stops");
    assert_eq!(error.retryability(), Retryability::Never);
    assert_eq!(server.bodies().len(), calls + 1);
}

async fn keeps_to_its_deadline(model: &dyn ChatModel, server: &dyn Script) {
    server.hang();
    let error = tokio::time::timeout(LONG, failed(model, SHORT))
        .await
        .expect("it ends at its own deadline");
    assert_eq!(
        (error.kind(), error.billed()),
        (ChatErrorKind::Interrupted, Billed::Unknown)
    );
}

async fn survives_a_dropped_call(model: &dyn ChatModel, server: &dyn Script) {
    server.hang();
    let outgoing = model.encode(&asking("Never mind."));
    let dropped = tokio::time::timeout(SHORT, model.send(&outgoing, LONG)).await;
    assert!(dropped.is_err(), "an endless call ended");
    sends_exactly_what_was_encoded_and_hands_back_text_and_usage(model, server).await;
}

async fn failed(model: &dyn ChatModel, within: Duration) -> ChatError {
    let outgoing = model.encode(&asking("Fail."));
    model.send(&outgoing, within).await.expect_err("a failure")
}
