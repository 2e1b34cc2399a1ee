use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use meterbox_core::{
    Clock, SystemClock,
    contract::{PrivacyLevel, Reading, Source},
};

use meterbox_core::telemetry;
use tracing::{Instrument as _, Span};

use super::{
    context::Detail,
    extract::extract,
    prompt, screen,
    spans::{ChatSpan, check_span},
};
use crate::{
    CodeGenerator, GenerateError, GenerateRequest, Generated,
    chat::{CallGate, ChatError, ChatErrorKind, ChatModel, ChatReply, ChatRequest, PlannedCall, RetryRule},
};

/// The longest prompt that is sent, in tokens: what a hold sets aside where the tables are not known yet.
const LARGEST_INPUT: u64 = 24_000;
/// One call takes no longer.
const CALL_TIME: Duration = Duration::from_secs(120);
/// All calls for one program, and the pauses between them, take no longer.
const PROGRAM_TIME: Duration = Duration::from_secs(180);

/// Has a language model write the program.
#[derive(Debug)]
pub struct ModelGenerator {
    model: Arc<dyn ChatModel>,
    name: String,
    largest_input: u64,
    retries: RetryRule,
    clock: Arc<dyn Clock>,
}

impl ModelGenerator {
    /// Programs of this model.
    pub fn new(model: Arc<dyn ChatModel>) -> Self {
        let card = model.card();
        let name = format!("{}/{} prompt/{}", card.provider, card.model, prompt::VERSION);
        let room = card
            .context_window
            .map(|window| window.saturating_sub(card.min_output_cap));
        let largest_input = room.map_or(LARGEST_INPUT, |room| room.min(LARGEST_INPUT));
        Self {
            model,
            name,
            largest_input,
            retries: RetryRule::default(),
            clock: Arc::new(SystemClock::default()),
        }
    }

    /// The longest prompt that is sent, in tokens. 24,000 where not set, or what the model's context leaves.
    #[must_use]
    pub fn largest_input(mut self, tokens: u64) -> Self {
        self.largest_input = tokens;
        self
    }

    /// When a call is made again. [`RetryRule::default`] where not set.
    #[must_use]
    pub fn retries(mut self, rule: RetryRule) -> Self {
        self.retries = rule;
        self
    }

    /// Where time comes from. The machine's clocks where not set.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The conversation in as much detail as fits, and its tokens.
    fn conversation(&self, request: &GenerateRequest) -> Result<(ChatRequest, u64), ChatError> {
        for detail in Detail::FALLING {
            let chat = prompt::compose(request, self.model.card().program_format, detail);
            let tokens = self.model.count_input(&chat);
            if tokens <= self.largest_input {
                return Ok((chat, tokens));
            }
        }
        let message = "the tables have too many columns for the model to be told of them; \
                       ask on fewer files at once";
        Err(ChatError::new(ChatErrorKind::ContextTooLong, message))
    }

    fn call(&self, purpose: &'static str, input_tokens: u64) -> PlannedCall<'_> {
        let card = self.model.card();
        let room = card
            .context_window
            .map(|window| window.saturating_sub(input_tokens));
        PlannedCall {
            card,
            purpose,
            input_tokens,
            wanted_output: room.map_or(card.max_output_cap, |room| room.min(card.max_output_cap)),
            least_output: card.min_output_cap,
        }
    }

    /// Calls until there is a reply, or no sense in another call. Each call is admitted, and paid for, by itself.
    async fn reply(
        &self,
        request: &GenerateRequest,
        calls: &dyn CallGate,
    ) -> Result<ChatReply, GenerateError> {
        let purpose = if request.failed.is_empty() {
            "program"
        } else {
            "repair"
        };
        let began = self.clock.monotonic();
        let left = || PROGRAM_TIME.saturating_sub(self.clock.monotonic().saturating_sub(began));
        let mut attempt = 0;
        loop {
            // Composed anew for each call: what the server does not take is known after the first.
            let (mut chat, tokens) = self.conversation(request)?;
            let planned = self.call(purpose, tokens);
            let mut permit = calls.admit(&planned).await?;
            chat.output_cap = permit.output_cap();
            let outgoing = self.model.encode(&chat);
            let span = ChatSpan::begin(self.model.card(), &chat, attempt, request.traced);
            span.enter(|| permit.sending(&outgoing));
            let called = self.clock.monotonic();
            let within = CALL_TIME.min(left());
            let replied = self.model.send(&outgoing, within).instrument(span.clone()).await;
            let took = self.clock.monotonic().saturating_sub(called);
            span.tell(replied.as_ref(), took >= within);
            permit.settle(replied.as_ref()).instrument(span.clone()).await;
            drop(span);
            let error = match replied {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            attempt += 1;
            let Some(pause) = self.retries.next(attempt, &error, left(), any_number()) else {
                return Err(error.into());
            };
            tokio::time::sleep(pause).await;
        }
    }
}

fn any_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[async_trait]
impl CodeGenerator for ModelGenerator {
    async fn generate(
        &self,
        request: &GenerateRequest,
        calls: &dyn CallGate,
    ) -> Result<Generated, GenerateError> {
        if request.privacy == PrivacyLevel::Nothing && !self.model.card().is_loopback {
            let message =
                "nothing of this data may leave the machine (privacy level 0), so no model is asked";
            return Err(GenerateError::CannotAnswer {
                message: message.to_owned(),
                not_understood: Vec::new(),
                suggestions: Vec::new(),
            });
        }
        Span::current().record(telemetry::PROMPT_VERSION, i64::from(prompt::VERSION));
        let reply = self.reply(request, calls).await?;

        let check = check_span();
        let Some(written) = extract(&reply.text) else {
            check.fail(["no_program"]);
            return Err(GenerateError::Rejected {
                code: reply.text,
                problem: "the reply has no program in it".to_owned(),
            });
        };
        let problems = screen::problems(&written.code, request);
        if !problems.is_empty() {
            check.fail(problems.iter().map(|problem| problem.rule));
            let words: Vec<_> = problems.into_iter().map(|problem| problem.words).collect();
            return Err(GenerateError::Rejected {
                code: written.code,
                problem: words.join("; "),
            });
        }
        drop(check);
        let text = if written.reading.is_empty() {
            request.question.trim().to_owned()
        } else {
            written.reading
        };
        Ok(Generated {
            code: written.code,
            source: Source::Model,
            generator: self.name.clone(),
            reading: Reading {
                text,
                assumptions: written.assumptions,
                ignored: Vec::new(),
                as_of: request.as_of,
            },
            plan: None,
            confidence: 0.0,
            warnings: Vec::new(),
        })
    }

    fn planned_call(&self, request: &GenerateRequest) -> Option<PlannedCall<'_>> {
        let known = if request.tables.is_empty() {
            None
        } else {
            self.conversation(request).ok()
        };
        let tokens = known.map_or(self.largest_input, |(_, tokens)| tokens);
        Some(self.call("program", tokens))
    }
}
