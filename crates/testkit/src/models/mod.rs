//! A double of the servers that language models are behind: Azure OpenAI (both kinds of paths), OpenAI (Chat
//! Completions and Responses) and Anthropic Messages, all at one address. It knows keys, deployments, quotas and a
//! content filter, answers by script, and fails on command. It streams nothing.

mod answer;
mod call;
mod chat;
mod face;
mod fault;
mod messages;
mod refusal;
mod responses;
mod rules;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::to_bytes,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

pub use self::{answer::ModelAnswer, call::ModelCall, fault::ModelFault, rules::ModelKind};
use self::{face::Face, refusal::Refusal};

/// The key it accepts from the start.
pub const MODEL_KEY: &str = "mk-0123456789abcdef";

/// The double; gone when it is dropped.
///
/// From the start it serves `gpt-4.1-mini` (also as the deployment `analyst`), `gpt-5-mini` (also as `thinker`) and
/// `claude-sonnet-4-5`. A call that no script covers is answered by 500, not to be tried again.
///
/// ```no_run
/// # async fn test() {
/// # use meterbox_testkit::{MODEL_KEY, ModelAnswer, ModelDouble, ModelFault};
/// let double = ModelDouble::start().await;
/// double.fail_next(ModelFault::Overloaded);
/// double.answer_next(ModelAnswer::text("```python\nresult = 1\n```").using(1_200, 80).cached(1_024));
/// // ... calls of `double.azure_url()` with MODEL_KEY ...
/// assert_eq!(double.calls().len(), 2);
/// # }
/// ```
#[derive(Debug)]
pub struct ModelDouble {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    world: Mutex<World>,
}

#[derive(Default)]
struct World {
    keys: BTreeSet<String>,
    tokens: BTreeSet<String>,
    /// By the name that a request gives, which may be a deployment's: the model behind it.
    models: BTreeMap<String, (String, ModelKind)>,
    filtered_words: Vec<String>,
    /// Calls that are still let through, and the pause asked for afterwards.
    quota: Option<(u32, Duration)>,
    script: VecDeque<Turn>,
    handler: Option<Handler>,
    calls: Vec<ModelCall>,
}

#[derive(Debug, Clone)]
enum Turn {
    Answer(ModelAnswer),
    Fault(ModelFault),
}

type Handler = Arc<dyn Fn(&ModelCall) -> ModelAnswer + Send + Sync>;

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("models", &self.models)
            .field("script", &self.script)
            .field("calls", &self.calls.len())
            .finish_non_exhaustive()
    }
}

impl ModelDouble {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// Where there is none.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::<Shared>::default();
        let app = Router::new().fallback(serve).with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("it serves until it is ended");
        });
        let double = Self {
            address,
            shared,
            server,
        };
        double.shared.world().keys.insert(MODEL_KEY.to_owned());
        for (name, model, kind) in [
            ("gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", ModelKind::Plain),
            ("analyst", "gpt-4.1-mini-2025-04-14", ModelKind::Plain),
            ("gpt-5-mini", "gpt-5-mini-2025-08-07", ModelKind::Reasoning),
            ("thinker", "gpt-5-mini-2025-08-07", ModelKind::Reasoning),
            (
                "claude-sonnet-4-5",
                "claude-sonnet-4-5-20250929",
                ModelKind::Plain,
            ),
        ] {
            double.serves(name, model, kind);
        }
        double
    }

    /// The address as an Azure resource's: both kinds of paths are below it.
    pub fn azure_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address as OpenAI's, with its version.
    pub fn openai_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The address as Anthropic's, without its version.
    pub fn anthropic_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An address where nobody listens.
    ///
    /// # Panics
    /// Where there is no free port.
    pub fn refusing_url() -> String {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        format!("http://{}/v1", listener.local_addr().expect("it is bound"))
    }

    /// The address as one of TLS, which this server does not speak.
    pub fn bad_tls_url(&self) -> String {
        format!("https://{}/v1", self.address)
    }

    /// Serves this model under this name of a model or deployment.
    pub fn serves(&self, name: &str, model: &str, kind: ModelKind) {
        let behind = (model.to_owned(), kind);
        self.shared.world().models.insert(name.to_owned(), behind);
    }

    /// Also accepts this key.
    pub fn accepts_key(&self, key: &str) {
        self.shared.world().keys.insert(key.to_owned());
    }

    /// Accepts no key any more but those that are added from now on.
    pub fn forgets_keys(&self) {
        self.shared.world().keys.clear();
    }

    /// Accepts this bearer token at its Azure paths; others that it accepted before no longer.
    pub fn accepts_token(&self, token: &str) {
        self.shared.world().tokens = [token.to_owned()].into();
    }

    /// Its content filter stops prompts and replies with this word.
    pub fn filters(&self, word: &str) {
        self.shared.world().filtered_words.push(word.to_owned());
    }

    /// Lets so many more calls through; the following ones meet 429 and are asked to pause for so long.
    pub fn lets_through(&self, calls: u32, pause: Duration) {
        self.shared.world().quota = Some((calls, pause));
    }

    /// The next call without a plan gets this answer.
    pub fn answer_next(&self, answer: ModelAnswer) {
        self.shared.world().script.push_back(Turn::Answer(answer));
    }

    /// The next call without a plan meets this fault.
    pub fn fail_next(&self, fault: impl Into<ModelFault>) {
        let fault = fault.into();
        self.shared.world().script.push_back(Turn::Fault(fault));
    }

    /// What calls get that the script does not cover.
    pub fn otherwise(&self, handler: impl Fn(&ModelCall) -> ModelAnswer + Send + Sync + 'static) {
        self.shared.world().handler = Some(Arc::new(handler));
    }

    /// Every call so far, oldest first, whatever became of it.
    pub fn calls(&self) -> Vec<ModelCall> {
        self.shared.world().calls.clone()
    }
}

impl Drop for ModelDouble {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 16 << 20).await.unwrap_or_default();
    let call = ModelCall::new(&head, body.to_vec());
    shared.world().calls.push(call.clone());
    if call.method == "GET" && call.path.ends_with("/models") {
        let listed = list(&shared, &call);
        return listed.unwrap_or_else(|(face, refusal)| refusal.in_form_of(face));
    }
    let Some((face, name)) = face::of(&call) else {
        return Refusal::no_such_path(&call.path).in_form_of(Face::OpenAiChat);
    };
    match decide(&shared, &call, face, name) {
        Ok(Decision::Reply(reply)) => reply,
        Ok(Decision::Wire(fault)) => fault.answer().await,
        Err(refusal) => refusal.in_form_of(face),
    }
}

/// Of Azure, models and not deployments.
fn list(shared: &Shared, call: &ModelCall) -> Result<Response, (Face, Refusal)> {
    let world = shared.world();
    let face = match call.path.as_str() {
        "/openai/v1/models" | "/openai/models" => Face::AzureChat,
        _ if call.headers.contains_key("anthropic-version") => Face::Messages,
        _ => Face::OpenAiChat,
    };
    face.check_credentials(call, &world.keys, &world.tokens)
        .map_err(|refusal| (face, refusal))?;
    let models: BTreeSet<&str> = match face.is_azure() {
        true => world.models.values().map(|(model, _)| model.as_str()).collect(),
        false => world.models.keys().map(String::as_str).collect(),
    };
    let data: Vec<Value> = models
        .into_iter()
        .map(|id| json!({ "id": id, "object": "model", "type": "model", "created": 0, "owned_by": "tests" }))
        .collect();
    Ok(axum::Json(json!({ "object": "list", "data": data, "has_more": false })).into_response())
}

enum Decision {
    Reply(Response),
    Wire(crate::WireFault),
}

/// In the order of a real server: who asks, for what, is it well-formed, is there quota, and only then the work.
fn decide(shared: &Shared, call: &ModelCall, face: Face, name: String) -> Result<Decision, Refusal> {
    let mut world = shared.world();
    face.check_credentials(call, &world.keys, &world.tokens)?;
    let (model, kind) = world
        .models
        .get(&name)
        .cloned()
        .ok_or_else(|| Refusal::no_such_model(face, &name))?;
    rules::check(call, face, kind)?;
    if let Some((left, pause)) = &mut world.quota {
        let pause = *pause;
        *left = left.checked_sub(1).ok_or_else(|| Refusal::rate_limited(pause))?;
    }
    let answer = match world.script.pop_front() {
        Some(Turn::Answer(answer)) => answer,
        Some(Turn::Fault(fault)) => return fault.met(face).map(Decision::Wire),
        None => {
            let handler = world.handler.clone().ok_or_else(Refusal::unscripted)?;
            drop(world);
            let answer = handler(call);
            world = shared.world();
            answer
        }
    };
    let stopped = |text: &str| {
        world
            .filtered_words
            .iter()
            .any(|word| text.contains(word.as_str()))
    };
    if stopped(&call.prompt()) {
        return Err(Refusal::filtered(face));
    }
    let answer = if stopped(&answer.text) {
        answer.filtered()
    } else {
        answer
    };
    let given = answer.given(call, &model);
    let number = world.calls.len();
    Ok(Decision::Reply(match face {
        Face::OpenAiChat => chat::reply(&given, number, false),
        Face::AzureChat => chat::reply(&given, number, true),
        Face::OpenAiResponses | Face::AzureResponses => responses::reply(&given, number),
        Face::Messages => messages::reply(&given, number),
    }))
}
