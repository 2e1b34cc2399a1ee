//! A collector: it takes what comes by OTLP over HTTP, in protobuf, keeps it, and is as strict as Langfuse and the
//! specification are.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Read as _,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::ExportMetricsServiceRequest,
        trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    common::v1::{AnyValue, KeyValue, any_value},
    metrics::v1::{Metric, metric, number_data_point},
    trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus},
};
use prost::Message as _;
use serde_json::{Map, Value, json};

use crate::WireFault;

/// The project's keys that it accepts from the start.
pub const LANGFUSE_KEYS: (&str, &str) = ("pk-lf-0123456789abcdef", "sk-lf-fedcba9876543210");
const MOST_BYTES: usize = 64 << 20;
const LATEST_INGESTION: u32 = 4;

/// The collector; gone when it is dropped. Langfuse's endpoint is below `/api/public/otel` and needs
/// [`LANGFUSE_KEYS`]; any other collector's is at its root and needs the headers that were asked for, if any.
#[derive(Debug)]
pub struct OtlpSink {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct World {
    spans: Vec<SunkSpan>,
    metrics: BTreeMap<String, SunkMetric>,
    requests: Vec<SunkRequest>,
    needed: Option<(&'static str, String)>,
    faults: VecDeque<WireFault>,
    always: Option<WireFault>,
    forgot_keys: bool,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct SunkRequest {
    /// Its path.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, unpacked.
    pub body: Vec<u8>,
    /// What it was answered with.
    pub status: u16,
}

/// A span as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct SunkSpan {
    /// Its name.
    pub name: String,
    /// `SPAN_KIND_INTERNAL` and so on.
    pub kind: &'static str,
    /// In hexadecimal.
    pub trace_id: String,
    /// In hexadecimal.
    pub span_id: String,
    /// In hexadecimal; empty for the first span of a trace.
    pub parent_id: String,
    /// Since 1970.
    pub start_nanos: u64,
    /// Since 1970.
    pub end_nanos: u64,
    /// Texts, numbers, and arrays of texts.
    pub attributes: Map<String, Value>,
    /// Of whatever told it.
    pub resource: Map<String, Value>,
    /// Is it an error?
    pub is_error: bool,
    /// Why.
    pub status_message: String,
    /// How many events it has.
    pub events: usize,
}

/// A metric as it came last.
#[derive(Debug, Clone, PartialEq)]
pub struct SunkMetric {
    /// Its unit.
    pub unit: String,
    /// For each set of attributes: how many values, and their sum.
    pub points: Vec<SunkPoint>,
}

/// A point of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct SunkPoint {
    /// What it is broken down by.
    pub attributes: Map<String, Value>,
    /// Values of a histogram.
    pub count: u64,
    /// The sum, of a histogram or counter.
    pub sum: f64,
    /// The bounds of a histogram's buckets.
    pub bounds: Vec<f64>,
}

impl SunkSpan {
    /// An attribute as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)?.as_str()
    }

    /// An attribute as a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.attributes.get(name)?.as_i64()
    }
}

impl OtlpSink {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// Where there is none.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let world = Arc::<Mutex<World>>::default();
        let app = Router::new().fallback(serve).with_state(Arc::clone(&world));
        let server = tokio::spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("it serves until it is ended");
        });
        Self {
            address,
            world,
            server,
        }
    }

    /// Its address, as Langfuse's and as any collector's.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on a collector's clients need this header.
    pub fn needs(&self, header: &'static str, value: &str) {
        self.world().needed = Some((header, value.to_owned()));
    }

    /// From now on nobody's keys are known.
    pub fn forgets_keys(&self) {
        self.world().forgot_keys = true;
    }

    /// The next request meets this.
    pub fn fail_next(&self, fault: WireFault) {
        self.world().faults.push_back(fault);
    }

    /// Every request meets this, until it recovers.
    pub fn fail_always(&self, fault: WireFault) {
        self.world().always = Some(fault);
    }

    /// Requests are taken again.
    pub fn recovers(&self) {
        self.world().always = None;
    }

    /// The spans so far, in the order they began.
    pub fn spans(&self) -> Vec<SunkSpan> {
        let mut spans = self.world().spans.clone();
        spans.sort_by_key(|span| span.start_nanos);
        spans
    }

    /// The metrics so far, by name.
    pub fn metrics(&self) -> BTreeMap<String, SunkMetric> {
        self.world().metrics.clone()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<SunkRequest> {
        self.world().requests.clone()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

impl Drop for OtlpSink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(State(world): State<Arc<Mutex<World>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let Ok(body) = to_bytes(body, MOST_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let fault = {
        let mut world = lock(&world);
        let next = world.faults.pop_front();
        next.or_else(|| world.always.clone())
    };
    let unpacked = unpacked(&parts.headers, &body);
    if let Some(fault) = fault {
        keep(&world, path, parts.headers, unpacked.unwrap_or_default(), 0);
        return fault.answer().await;
    }
    let taken = unpacked.and_then(|unpacked| {
        let taken = lock(&world).take(&path, &parts.headers, &unpacked);
        taken.map(|reply| (reply, unpacked))
    });
    let (status, reply, unpacked) = match taken {
        Ok((reply, unpacked)) => (StatusCode::OK, reply, unpacked),
        Err((status, why)) => (status, why.into_bytes(), body.to_vec()),
    };
    keep(&world, path, parts.headers, unpacked, status.as_u16());
    (status, reply).into_response()
}

fn keep(world: &Mutex<World>, path: String, headers: HeaderMap, body: Vec<u8>, status: u16) {
    lock(world).requests.push(SunkRequest {
        path,
        headers,
        body,
        status,
    });
}

type Refusal = (StatusCode, String);

fn bad(why: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, why.into())
}

fn unpacked(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Refusal> {
    match headers
        .get(header::CONTENT_ENCODING)
        .map(|value| value.as_bytes())
    {
        None => Ok(body.to_vec()),
        Some(b"gzip") => {
            let mut unpacked = Vec::new();
            let read = GzDecoder::new(body)
                .take(MOST_BYTES as u64)
                .read_to_end(&mut unpacked);
            read.map_err(|_| bad("no gzip"))?;
            Ok(unpacked)
        }
        Some(_) => Err(bad("an encoding that nobody knows")),
    }
}

impl World {
    fn take(&mut self, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let is_protobuf = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind == "application/x-protobuf");
        match path {
            "/api/public/otel/v1/traces" => self.admit_to_langfuse(headers)?,
            "/v1/traces" | "/v1/metrics" => self.admit(headers)?,
            _ => return Err((StatusCode::NOT_FOUND, "there is nothing here".to_owned())),
        }
        if !is_protobuf {
            return Err(bad("neither protobuf nor JSON"));
        }
        if path.ends_with("traces") {
            let request = ExportTraceServiceRequest::decode(body).map_err(|_| bad("no spans"))?;
            let spans = spans_of(&request).map_err(bad)?;
            self.spans.extend(spans);
        } else {
            let request = ExportMetricsServiceRequest::decode(body).map_err(|_| bad("no metrics"))?;
            self.metrics.extend(metrics_of(&request));
        }
        Ok(ExportTraceServiceResponse::default().encode_to_vec())
    }

    fn admit_to_langfuse(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let credentials = BASE64_STANDARD.encode(format!("{}:{}", LANGFUSE_KEYS.0, LANGFUSE_KEYS.1));
        let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        if self.forgot_keys || given != Some(format!("Basic {credentials}").as_bytes()) {
            return Err((
                StatusCode::UNAUTHORIZED,
                "{\"message\":\"Invalid credentials\"}".to_owned(),
            ));
        }
        let version = headers.get("x-langfuse-ingestion-version");
        let version: Option<u32> = version.and_then(|version| version.to_str().ok()?.parse().ok());
        match version {
            Some(version) if version <= LATEST_INGESTION => Ok(()),
            _ => Err(bad("a version of ingestion that nobody knows")),
        }
    }

    fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some((name, value)) = &self.needed else {
            return Ok(());
        };
        match headers.get(*name) {
            Some(given) if given == value => Ok(()),
            _ => Err((StatusCode::UNAUTHORIZED, "who are you?".to_owned())),
        }
    }
}

/// One span that is wrong makes all of them be refused.
fn spans_of(request: &ExportTraceServiceRequest) -> Result<Vec<SunkSpan>, String> {
    let mut sunk = Vec::new();
    for of_resource in &request.resource_spans {
        let resource = of_resource.resource.as_ref();
        let resource = attributes(resource.map_or(&[][..], |resource| &resource.attributes))?;
        for span in of_resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
            sunk.push(span_of(span, &resource)?);
        }
    }
    Ok(sunk)
}

fn span_of(span: &Span, resource: &Map<String, Value>) -> Result<SunkSpan, String> {
    if span.trace_id.len() != 16 || span.span_id.len() != 8 || ![0, 8].contains(&span.parent_span_id.len()) {
        return Err("an id of another length".to_owned());
    }
    if span.name.is_empty() || span.end_time_unix_nano < span.start_time_unix_nano {
        return Err("no name, or an end before the beginning".to_owned());
    }
    let status = span.status.clone().unwrap_or_default();
    Ok(SunkSpan {
        name: span.name.clone(),
        kind: SpanKind::try_from(span.kind)
            .map_err(|_| "no kind")?
            .as_str_name(),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        start_nanos: span.start_time_unix_nano,
        end_nanos: span.end_time_unix_nano,
        attributes: attributes(&span.attributes)?,
        resource: resource.clone(),
        is_error: status.code == SpanStatus::Error as i32,
        status_message: status.message,
        events: span.events.len(),
    })
}

fn attributes(pairs: &[KeyValue]) -> Result<Map<String, Value>, String> {
    let mut known = Map::new();
    for pair in pairs {
        let value = pair.value.as_ref().map_or(Value::Null, value_of);
        if known.insert(pair.key.clone(), value).is_some() {
            return Err(format!("{} comes twice", pair.key));
        }
    }
    Ok(known)
}

fn value_of(value: &AnyValue) -> Value {
    match &value.value {
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::BoolValue(is_so)) => json!(is_so),
        Some(any_value::Value::IntValue(number)) => json!(number),
        Some(any_value::Value::DoubleValue(number)) => json!(number),
        Some(any_value::Value::ArrayValue(array)) => array.values.iter().map(value_of).collect(),
        _ => Value::Null,
    }
}

fn metrics_of(request: &ExportMetricsServiceRequest) -> Vec<(String, SunkMetric)> {
    let scopes = request
        .resource_metrics
        .iter()
        .flat_map(|resource| &resource.scope_metrics);
    let metrics = scopes.flat_map(|scope| &scope.metrics);
    metrics
        .map(|metric| {
            let sunk = SunkMetric {
                unit: metric.unit.clone(),
                points: points_of(metric),
            };
            (metric.name.clone(), sunk)
        })
        .collect()
}

fn points_of(metric: &Metric) -> Vec<SunkPoint> {
    let named = |pairs: &[KeyValue]| attributes(pairs).unwrap_or_default();
    match &metric.data {
        Some(metric::Data::Histogram(histogram)) => {
            let points = histogram.data_points.iter().map(|point| SunkPoint {
                attributes: named(&point.attributes),
                count: point.count,
                sum: point.sum.unwrap_or_default(),
                bounds: point.explicit_bounds.clone(),
            });
            points.collect()
        }
        Some(metric::Data::Sum(sum)) => {
            let points = sum.data_points.iter().map(|point| SunkPoint {
                attributes: named(&point.attributes),
                count: 0,
                sum: match point.value {
                    Some(number_data_point::Value::AsInt(number)) => number as f64,
                    Some(number_data_point::Value::AsDouble(number)) => number,
                    None => 0.0,
                },
                bounds: Vec::new(),
            });
            points.collect()
        }
        _ => Vec::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
