//! `POST /api/execute`: one analysis, as one JSON document or as a stream of events.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, stream};
use meterbox_analysis::{Ask, Event as Happening, Prefer};
use meterbox_core::{AnalysisId, Usd, telemetry as attribute};
use meterbox_sandbox_client::OutputStream;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::Instrument as _;

use super::{AppState, Problem, body, caller::Caller, live::News, problem::reply_of};
use crate::{telemetry, writer::Writer};

const HINT: &str = "Send query or code, and if needed datasets and max_cost.";
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a cancelled analysis may take to say what it cost when the service stops.
const LAST_WORDS: Duration = Duration::from_secs(5);
const CONTENT_LOCATION: HeaderName = header::CONTENT_LOCATION;

/// What is asked: exactly one of `query` and `code`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExecuteRequest {
    /// A question in plain language.
    query: Option<String>,
    /// Or a Python program, to run as it is.
    code: Option<String>,
    /// The name or version of the dataset; not needed where there is one.
    datasets: Option<Vec<String>>,
    /// The most this may cost.
    max_cost: Option<Usd>,
    /// Who writes the program for a question; `any` where left out.
    by: Option<Writer>,
}

pub(super) async fn execute(State(state): State<AppState>, caller: Caller, request: Request) -> Response {
    let key = caller.key.as_ref().map(|key| key.id.to_string());
    let root = telemetry::request_root(&caller.principal, key.as_deref());
    let done = carry_out(state, caller, request).instrument(root.clone());
    let response = done.await.into_response();
    root.record(attribute::HTTP_STATUS, i64::from(response.status().as_u16()));
    response
}

async fn carry_out(state: AppState, caller: Caller, request: Request) -> Result<Response, Problem> {
    let wants_events = accepts_events(request.headers());
    let asked: ExecuteRequest = body::json_or_hint(request, HINT).await?;
    let ask = asked.ask()?;
    if matches!(asked.by, Some(Writer::Model)) && state.analyst.model().is_none() {
        return Err(Problem::bad_request(
            "by",
            "There is no model to ask.",
            "Leave `by` out, or have whoever runs Meterbox set up a model.",
        ));
    }
    let dataset = state.dataset(asked.datasets.as_deref())?;
    let running = state.analyst.start(meterbox_analysis::Request {
        ask,
        dataset,
        principal: caller.principal.clone(),
        max_cost: asked.max_cost,
        // The page draws the spec itself.
        chart_png: false,
        prefer: asked.by.map(Prefer::from).unwrap_or_default(),
    })?;
    let location = content_location(running.id());
    let news = state.live.follow(running, &caller, state.shutdown.clone());
    let response = if wants_events {
        let events = events(news, state);
        Sse::new(events)
            .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
            .into_response()
    } else {
        in_one_piece(news, &state).await.into_response()
    };
    Ok(([(CONTENT_LOCATION, location)], response).into_response())
}

impl ExecuteRequest {
    fn ask(&self) -> Result<Ask, Problem> {
        match (&self.query, &self.code) {
            (Some(question), None) => Ok(Ask::Question(question.clone())),
            (None, Some(code)) => Ok(Ask::Code(code.clone())),
            (None, None) => Err(Problem::bad_request(
                "query",
                "The request has neither query nor code.",
                r#"Send a question, such as {"query": "top 5 products by revenue"}."#,
            )),
            (Some(_), Some(_)) => Err(Problem::bad_request(
                "code",
                "The request has both query and code.",
                "Send either the question or the program.",
            )),
        }
    }
}

fn accepts_events(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut media_types = accepted
        .flat_map(|value| value.split(','))
        .filter_map(|part| part.split(';').next());
    media_types.any(|media_type| media_type.trim().eq_ignore_ascii_case("text/event-stream"))
}

fn content_location(id: AnalysisId) -> HeaderValue {
    // An id has only hexadecimal digits and hyphens.
    HeaderValue::try_from(format!("/api/analyses/{id}")).unwrap_or(HeaderValue::from_static("/api/analyses"))
}

async fn in_one_piece(mut news: UnboundedReceiver<News>, state: &AppState) -> Response {
    loop {
        match next(&mut news, state).await {
            News::Event(_) => {}
            News::Ended(Some(result)) => return reply_of(*result).map(Json).into_response(),
            News::Ended(None) => return Problem::interrupted().into_response(),
        }
    }
}

fn events(news: UnboundedReceiver<News>, state: AppState) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(Some((news, state)), async |open| {
        let (mut news, state) = open?;
        match next(&mut news, &state).await {
            News::Event(happening) => Some((Ok(event_of(&happening)), Some((news, state)))),
            News::Ended(result) => Some((Ok(last_event(result.map(|result| *result))), None)),
        }
    })
}

/// The next news; the end at the latest a while after the service began to stop.
async fn next(news: &mut UnboundedReceiver<News>, state: &AppState) -> News {
    let stopping = async {
        state.shutdown.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        biased;
        news = news.recv() => news.unwrap_or(News::Ended(None)),
        () = stopping => News::Ended(None),
    }
}

fn event_of(happening: &Happening) -> Event {
    match happening {
        Happening::Step(step) => event("step", step),
        Happening::Output { stream, text } => {
            let stream = match stream {
                OutputStream::Stdout => "stdout",
                OutputStream::Stderr => "stderr",
            };
            event("output", &json!({ "stream": stream, "text": text }))
        }
        _ => Event::default().comment("unknown"),
    }
}

fn last_event(result: Option<meterbox_core::contract::AnalysisResult>) -> Event {
    match result.map(reply_of) {
        Some(Ok(result)) => event("result", &result),
        Some(Err(problem)) => event("error", &problem.document()),
        None => event("error", &Problem::interrupted().document()),
    }
}

fn event(name: &str, content: &impl serde::Serialize) -> Event {
    // Our own types always serialise; JSON never has a bare line end.
    let data = serde_json::to_string(content).unwrap_or_else(|_| "{}".to_owned());
    Event::default().event(name).data(data)
}
