//! Whose trace it is, on each of its spans.

use std::{sync::Arc, time::Duration};

use meterbox_core::telemetry as attribute;
use opentelemetry::{Array, Context, KeyValue, StringValue, Value, trace::Span as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// Whose trace it is, and how it is found again. Every span of it says so, in whichever task it is: what adds up costs
/// per person or session reads each span for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    user: String,
    session: String,
    name: String,
    tags: Vec<String>,
}

impl Whose {
    /// Of this person or service; `session` is the id of what belongs together, such as one conversation.
    pub fn new(user: impl Into<String>, session: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            session: session.into(),
            name: String::new(),
            tags: Vec::new(),
        }
    }

    /// The trace's name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What it is found by.
    #[must_use]
    pub fn tagged(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Makes a span that nothing happened in yet the first one of such a trace. Where nobody takes spans, nothing.
    pub fn begins(self, root: &tracing::Span) {
        // It fails where there is no exporter, and nobody reads the trace.
        let _ = root.set_parent(Context::new().with_value(Arc::new(self)));
    }

    fn attributes(&self) -> Vec<KeyValue> {
        let tags = self.tags.iter().cloned().map(StringValue::from).collect();
        let mut attributes = vec![
            KeyValue::new(attribute::USER, self.user.clone()),
            KeyValue::new(attribute::SESSION, self.session.clone()),
        ];
        if !self.name.is_empty() {
            attributes.push(KeyValue::new(attribute::TRACE_NAME, self.name.clone()));
        }
        if !self.tags.is_empty() {
            attributes.push(KeyValue::new(
                attribute::TRACE_TAGS,
                Value::Array(Array::String(tags)),
            ));
        }
        attributes
    }
}

/// Puts it on each span. Comes before what exports them.
#[derive(Debug)]
pub(crate) struct Named;

impl SpanProcessor for Named {
    fn on_start(&self, span: &mut Span, context: &Context) {
        if let Some(whose) = context.get::<Arc<Whose>>() {
            span.set_attributes(whose.attributes());
        }
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
