//! The first span of each trace.

use std::sync::OnceLock;

use meterbox_analysis::{Ask, Principal};
use meterbox_core::telemetry::{self as attribute, TARGET, span};
use meterbox_telemetry::Whose;
use tracing::{Span, field::Empty};
use uuid::Uuid;

/// A span with room for what an analysis tells of itself.
macro_rules! root {
    ($name:expr, $kind:literal $(, { $field:expr } = $value:expr)*) => {
        tracing::info_span!(
            target: TARGET,
            parent: None,
            $name,
            { attribute::OTEL_KIND } = $kind,
            { attribute::OTEL_STATUS } = Empty,
            { attribute::OTEL_STATUS_DESCRIPTION } = Empty,
            { attribute::OBSERVATION_TYPE } = "span",
            { attribute::LEVEL } = Empty,
            { attribute::STATUS_MESSAGE } = Empty,
            { attribute::ERROR_TYPE } = Empty,
            { attribute::ANALYSIS_ID } = Empty,
            { attribute::BUDGET_SCOPE } = Empty,
            { attribute::ANALYSIS_STATUS } = Empty,
            { attribute::ANALYSIS_SOURCE } = Empty,
            { attribute::ANALYSIS_COST } = Empty,
            { attribute::INPUT } = Empty,
            { attribute::OUTPUT } = Empty
            $(, { $field } = $value)*
        )
    };
}

/// That of a request over HTTP by this principal, with this key.
pub(crate) fn request_root(principal: &Principal, key: Option<&str>) -> Span {
    let root = root!(
        span::EXECUTE,
        "server",
        { attribute::HTTP_METHOD } = "POST",
        { attribute::HTTP_ROUTE } = "/api/execute",
        { attribute::URL_PATH } = "/api/execute",
        { attribute::HTTP_STATUS } = Empty
    );
    whose(principal, key, span::EXECUTE, "api").begins(&root);
    root
}

/// That of a command, which asks this.
pub(crate) fn command_root(principal: &Principal, ask: &Ask) -> Span {
    let (root, name) = match ask {
        Ask::Question(_) => (root!(span::ASK, "internal"), span::ASK),
        Ask::Code(_) => (root!(span::RUN, "internal"), span::RUN),
    };
    whose(principal, None, name, "command_line").begins(&root);
    root
}

/// That of the typing of a dataset that nobody asked about yet.
pub(crate) fn prepare_root(principal: &Principal) -> Span {
    let root = root!(span::PREPARE, "internal");
    whose(principal, None, span::PREPARE, "prepare").begins(&root);
    root
}

fn whose(principal: &Principal, key: Option<&str>, name: &str, tag: &str) -> Whose {
    let user = principal.user.to_string();
    Whose::new(user, session(principal, key))
        .named(name)
        .tagged([tag])
}

/// What belongs together: a session that pays, or else what is done with one key, or in one process.
pub(super) fn session(principal: &Principal, key: Option<&str>) -> String {
    static PROCESS: OnceLock<String> = OnceLock::new();
    let pays = principal.groups.iter().find(|scope| scope.kind() == "session");
    match (pays, key) {
        (Some(scope), _) => scope.to_string(),
        (None, Some(key)) => format!("key/{key}"),
        (None, None) => PROCESS
            .get_or_init(|| format!("process/{}", Uuid::new_v4()))
            .clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_pays_comes_before_a_key_and_that_before_the_process() {
        let mut principal = Principal::user("user/ana".parse().unwrap());
        let here = session(&principal, None);
        assert!(here.starts_with("process/"));
        assert_eq!(session(&principal, None), here);
        assert_eq!(session(&principal, Some("k1")), "key/k1");
        principal.groups = vec!["org/acme".parse().unwrap(), "session/7".parse().unwrap()];
        assert_eq!(session(&principal, Some("k1")), "session/7");
    }
}
