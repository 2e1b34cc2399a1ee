//! A model called by hand: count, encode, send, and call again by the rule, with every call's cost in view.
//!
//! Run it with `cargo run -p meterbox-examples --example call_a_model`. It needs no key: a fake answers, unless
//! `OPENAI_BASE_URL` and `MODEL` name a server like OpenAI's (Ollama: `http://localhost:11434/v1`), with
//! `OPENAI_API_KEY` where it wants one.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{env, error::Error, time::Duration};

use meterbox_core::{Clock, SystemClock};
use meterbox_llm_codegen::chat::{
    Billed, ChatErrorKind, ChatModel, ChatRequest, FakeModel, FakeTurn, Message, RetryRule, Role,
    http::{self, HttpModel},
};

const ALL_ATTEMPTS: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let model = model()?;
    let request = ChatRequest {
        instructions: "Answer with one line of Python.".to_owned(),
        messages: vec![Message {
            role: Role::User,
            text: "The sum of the numbers from 1 to 10.".to_owned(),
        }],
        output_cap: 200,
        schema: None,
    };
    println!("model     {} at {}", model.card().model, model.card().server);
    println!("input     at most {} tokens", model.count_input(&request));

    let (rule, clock) = (RetryRule::default(), SystemClock::default());
    let deadline = clock.monotonic() + ALL_ATTEMPTS;
    for attempt in 1.. {
        // Encoded anew each time: after `Unsupported` the bytes are others.
        let outgoing = model.encode(&request);
        println!(
            "call {attempt}    {} bytes to {}",
            outgoing.body.len(),
            outgoing.url
        );
        let left = || deadline.saturating_sub(clock.monotonic());
        let error = match model.send(&outgoing, left()).await {
            Ok(reply) => {
                println!("answer    {}", reply.text.trim());
                println!("cost      {}", cost(reply.billed()));
                return Ok(());
            }
            Err(error) => error,
        };
        println!(
            "failed    {}: {error}; cost: {}",
            error.kind(),
            cost(error.billed())
        );
        let Some(wait) = rule.next(attempt, &error, left(), 0) else {
            return Err(error.into());
        };
        tokio::time::sleep(wait).await;
    }
    Ok(())
}

fn model() -> Result<Box<dyn ChatModel>, Box<dyn Error>> {
    if let (Ok(address), Ok(name)) = (env::var("OPENAI_BASE_URL"), env::var("MODEL")) {
        // One TLS provider a process; an error means that there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = HttpModel::compatible(http::http_client()?, address, name);
        if let Ok(key) = env::var("OPENAI_API_KEY") {
            builder = builder.key(key);
        }
        return Ok(Box::new(builder.build()?));
    }
    let fake = FakeModel::new();
    fake.next(FakeTurn::fails(ChatErrorKind::Overloaded));
    fake.next(FakeTurn::says("result = sum(range(1, 11))"));
    Ok(Box::new(fake))
}

fn cost(billed: Billed) -> String {
    match billed {
        Billed::Nothing => "nothing".to_owned(),
        Billed::Tokens(used) => format!("{} input and {} output tokens", used.input, used.output),
        Billed::Unknown => "unknown: the worst case".to_owned(),
    }
}
