//! From what a server or the network did to a [`ChatError`]: its kind, what it cost, and whether to come back.

use std::time::Duration;

use meterbox_core::Retryability;
use meterbox_http_client::{Fault, asked_pause, shown};
use reqwest::header::HeaderMap;

use super::{builder::Provider, credentials::Pass, refusal::Refusal};
use crate::chat::{Billed, ChatError, ChatErrorKind};

/// For a longer pause nobody waits, says the official SDKs' rule.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

/// A reply that says no.
#[derive(Debug)]
pub(super) struct Answered<'a> {
    pub(super) server: &'a str,
    pub(super) provider: Provider,
    /// The model or deployment that was asked for.
    pub(super) model: &'a str,
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    pub(super) refusal: &'a Refusal,
    pub(super) pass: &'a Pass,
}

impl Answered<'_> {
    pub(super) fn error(&self) -> ChatError {
        let kind = kind_of(self.status, self.refusal);
        let pause = asked_pause(self.headers).or_else(|| self.refusal.asked_pause());
        let error = ChatError::new(kind, self.message(kind))
            .with_status(self.status)
            .with_retry_after(pause)
            .with_billed(self.billed(kind));
        match self.word_on_retrying(kind, pause) {
            Some(word) => error.with_retryability(word),
            None => error,
        }
    }

    /// The server's own word; and a pause for which nobody waits.
    fn word_on_retrying(&self, kind: ChatErrorKind, pause: Option<Duration>) -> Option<Retryability> {
        if pause.is_some_and(|pause| pause > LONGEST_PAUSE) {
            return Some(Retryability::Never);
        }
        let word = self.headers.get("x-should-retry")?.to_str().ok()?;
        let stays_wrong = matches!(
            kind,
            ChatErrorKind::Auth
                | ChatErrorKind::DeploymentMissing
                | ChatErrorKind::Quota
                | ChatErrorKind::ContentFilter
                | ChatErrorKind::ContextTooLong
        );
        match word.trim() {
            "false" => Some(Retryability::Never),
            "true" if !stays_wrong => Some(Retryability::Safe),
            _ => None,
        }
    }

    /// Azure bills what its filter stopped, and may bill what was too long or took too long: it was read. A server that
    /// broke down may have worked before.
    fn billed(&self, kind: ChatErrorKind) -> Billed {
        let was_read = match kind {
            ChatErrorKind::ContentFilter => true,
            ChatErrorKind::ContextTooLong => self.provider == Provider::Azure,
            _ => matches!(self.status, 200..300 | 408 | 500 | 502 | 504),
        };
        if was_read {
            Billed::Unknown
        } else {
            Billed::Nothing
        }
    }

    fn message(&self, kind: ChatErrorKind) -> String {
        let Self { server, model, .. } = self;
        let said = shown(&self.pass.masked_in(&self.refusal.message));
        let status = self.status;
        match kind {
            ChatErrorKind::Auth => {
                format!(
                    "{server} does not accept the credentials (status {status}): {said}. Fix: check key and address."
                )
            }
            ChatErrorKind::DeploymentMissing => format!(
                "{server} has no model {model:?} (status {status}): {said}. Fix: check the name of the model or \
                 deployment, and the address."
            ),
            ChatErrorKind::Rate => format!("{server} has had too many requests or tokens for now: {said}"),
            ChatErrorKind::Quota => {
                format!("the account at {server} has nothing left: {said}. Fix: check its plan and billing.")
            }
            ChatErrorKind::ContentFilter => {
                format!("the content filter of {server} stopped the request: {said}")
            }
            ChatErrorKind::ContextTooLong => format!("the request is too long for {model:?}: {said}"),
            ChatErrorKind::Overloaded => format!("{server} failed (status {status}): {said}"),
            ChatErrorKind::Malformed => {
                format!("{server} answered something else than a reply (status {status}): {said}")
            }
            _ => format!("{server} finds the request wrong (status {status}): {said}"),
        }
    }
}

fn kind_of(status: u16, refusal: &Refusal) -> ChatErrorKind {
    let is_filtered = refusal.is_called(&[
        "content_filter",
        "ResponsibleAIPolicyViolation",
        "content_policy_violation",
    ]) || refusal.says(&["content filtering policy", "content management policy"]);
    if is_filtered {
        return ChatErrorKind::ContentFilter;
    }
    let is_too_long = status == 413
        || refusal.is_called(&[
            "context_length_exceeded",
            "exceed_context_size_error",
            "request_too_large",
            "string_above_max_length",
        ])
        || (status < 429
            && refusal.says(&[
                "maximum context length",
                "context length",
                "context size",
                "context window",
                "prompt is too long",
            ]));
    if is_too_long {
        return ChatErrorKind::ContextTooLong;
    }
    let is_out_of_quota = status == 402
        || refusal.is_called(&[
            "insufficient_quota",
            "billing_error",
            "billing_hard_limit_reached",
        ])
        || refusal.says(&["credit balance is too low", "exceeded your current quota"]);
    if is_out_of_quota {
        return ChatErrorKind::Quota;
    }
    let is_missing = refusal.is_called(&["DeploymentNotFound", "model_not_found", "ModelNotFound"]);
    match status {
        401 | 403 => ChatErrorKind::Auth,
        404 => ChatErrorKind::DeploymentMissing,
        _ if is_missing => ChatErrorKind::DeploymentMissing,
        429 => ChatErrorKind::Rate,
        408 | 409 | 425 | 500.. => ChatErrorKind::Overloaded,
        400..500 => ChatErrorKind::Rejected,
        // Some gateways say what went wrong in a reply that succeeds.
        200..300 if refusal.is_called(&["429", "rate_limit_exceeded", "rate_limit_error"]) => {
            ChatErrorKind::Rate
        }
        200..300 if refusal.is_called(&["500", "502", "503", "529", "server_error", "overloaded_error"]) => {
            ChatErrorKind::Overloaded
        }
        _ => ChatErrorKind::Malformed,
    }
}

/// What a fault of the network is.
pub(super) fn of_fault(fault: Fault, pass: &Pass) -> ChatError {
    let said = pass.masked_in(&fault.to_string());
    let error = |kind, billed| ChatError::new(kind, said.clone()).with_billed(billed);
    match fault {
        Fault::Unreachable { source, .. } => {
            error(ChatErrorKind::Unreachable, Billed::Nothing).with_source(source)
        }
        Fault::Broken { source, .. } => {
            error(ChatErrorKind::Interrupted, Billed::Unknown).with_source(source)
        }
        Fault::Redirected { .. } => error(ChatErrorKind::Malformed, Billed::Nothing),
        Fault::TooLarge { .. } => error(ChatErrorKind::Malformed, Billed::Unknown),
        _ => error(ChatErrorKind::Interrupted, Billed::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(provider: Provider, status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> ChatError {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect();
        Answered {
            server: "example.org",
            provider,
            model: "analyst",
            status,
            headers: &headers,
            refusal: &Refusal::read(body),
            pass: &Pass::default(),
        }
        .error()
    }

    /// Bodies as servers send them, and what was found in them.
    #[test]
    fn every_kind_is_told_by_status_code_or_words() {
        use ChatErrorKind::*;
        for (status, body, kind) in [
            (
                401,
                r#"{"error": {"code": "401", "message": "Access denied due to invalid subscription key"}}"#,
                Auth,
            ),
            (401, r#"{"statusCode": 401, "message": "Access denied"}"#, Auth),
            (
                401,
                r#"{"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}}"#,
                Auth,
            ),
            (
                403,
                r#"{"error": {"code": "403", "message": "Public access is disabled."}}"#,
                Auth,
            ),
            (
                404,
                r#"{"error": {"code": "DeploymentNotFound", "message": "The API deployment ..."}}"#,
                DeploymentMissing,
            ),
            (404, r#"{"error": "model 'qwen' not found"}"#, DeploymentMissing),
            (
                400,
                r#"{"error": {"code": "model_not_found", "message": "no"}}"#,
                DeploymentMissing,
            ),
            (
                429,
                r#"{"error": {"code": "429", "message": "Please retry after 3 seconds."}}"#,
                Rate,
            ),
            (
                429,
                r#"{"error": {"type": "insufficient_quota", "code": "insufficient_quota"}}"#,
                Quota,
            ),
            (
                400,
                r#"{"error": {"message": "Your credit balance is too low to access the Anthropic API."}}"#,
                Quota,
            ),
            (
                400,
                r#"{"error": {"code": "content_filter", "status": 400, "innererror": {}}}"#,
                ContentFilter,
            ),
            (
                400,
                r#"{"error": {"code": "context_length_exceeded", "message": "…"}}"#,
                ContextTooLong,
            ),
            (
                400,
                r#"{"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 6031}}"#,
                ContextTooLong,
            ),
            (
                400,
                r#"{"error": {"message": "prompt is too long: 210000 tokens > 200000 maximum"}}"#,
                ContextTooLong,
            ),
            (413, "", ContextTooLong),
            (400, r#"{"error": {"message": "Invalid value"}}"#, Rejected),
            (
                422,
                r#"{"detail": [{"loc": ["body"], "msg": "Field required"}]}"#,
                Rejected,
            ),
            (500, "", Overloaded),
            (502, "<html>Bad Gateway</html>", Overloaded),
            (
                529,
                r#"{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}"#,
                Overloaded,
            ),
            (200, r#"{"error": {"code": 429, "message": "upstream"}}"#, Rate),
            (200, r#"{"error": {"code": "?"}}"#, Malformed),
            (102, "", Malformed),
        ] {
            assert_eq!(
                error(Provider::OpenAi, status, &[], body.as_bytes()).kind(),
                kind,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn the_servers_word_on_retrying_counts_and_so_does_a_pause_for_which_nobody_waits() {
        for (status, headers, retryability, pause) in [
            (
                429,
                vec![("retry-after-ms", "1500"), ("retry-after", "2")],
                Retryability::Safe,
                Some(1_500),
            ),
            (
                429,
                vec![("retry-after", "120")],
                Retryability::Safe,
                Some(120_000),
            ),
            (
                429,
                vec![("retry-after", "86400")],
                Retryability::Never,
                Some(86_400_000),
            ),
            (503, vec![("x-should-retry", "false")], Retryability::Never, None),
            (400, vec![("x-should-retry", "true")], Retryability::Safe, None),
            (401, vec![("x-should-retry", "true")], Retryability::Never, None),
            (500, vec![], Retryability::Safe, None),
        ] {
            let error = error(Provider::OpenAi, status, &headers, b"no");
            let found = (
                error.retryability(),
                error.retry_after().map(|pause| pause.as_millis()),
            );
            assert_eq!(found, (retryability, pause), "{status} {headers:?}");
        }
        let azure = br#"{"error": {"code": "429", "message": "Please retry after 86400 seconds."}}"#;
        assert_eq!(
            error(Provider::Azure, 429, &[], azure).retryability(),
            Retryability::Never
        );
    }

    #[test]
    fn what_was_turned_down_before_any_work_costs_nothing_and_the_rest_may() {
        let filtered = br#"{"error": {"code": "content_filter"}}"#.as_slice();
        let too_long = br#"{"error": {"code": "context_length_exceeded"}}"#.as_slice();
        for (provider, status, body, billed) in [
            (Provider::Azure, 400, filtered, Billed::Unknown),
            (Provider::Azure, 400, too_long, Billed::Unknown),
            (Provider::OpenAi, 400, too_long, Billed::Nothing),
            (Provider::OpenAi, 408, b"", Billed::Unknown),
            (Provider::OpenAi, 500, b"", Billed::Unknown),
            (Provider::OpenAi, 503, b"", Billed::Nothing),
            (Provider::OpenAi, 429, b"", Billed::Nothing),
            (Provider::OpenAi, 401, b"", Billed::Nothing),
            (Provider::OpenAi, 200, b"{}", Billed::Unknown),
        ] {
            assert_eq!(error(provider, status, &[], body).billed(), billed, "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_panics_or_says_too_much(status in 100_u16..1_000, body: Vec<u8>) {
            let error = error(Provider::Azure, status, &[], &body);
            prop_assert!(error.to_string().chars().count() < 600);
            prop_assert!(!error.to_string().contains('\n'));
        }
    }
}
