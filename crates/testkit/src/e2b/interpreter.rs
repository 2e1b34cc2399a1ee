//! The code interpreter of a machine: contexts, each of which is a kernel, and `/execute`. It has Python alone.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, mpsc};

use super::{
    events::{Progress, Step, error},
    kernels::{Ear, Kernels, Said},
    machine::Machine,
};
use crate::wire_fault::broken;

const KEEP_ALIVE: Duration = Duration::from_secs(5);
const HOME: &str = "/home/user";
const MOST_BYTES: usize = 16 << 20;

/// Started when it is first needed: few machines of the tests execute code here.
#[derive(Debug, Default)]
pub(super) struct Interpreter {
    kernels: OnceCell<Kernels>,
    contexts: Mutex<BTreeMap<String, Arc<Context>>>,
    /// The context of whoever names none.
    default: tokio::sync::Mutex<Option<String>>,
}

#[derive(Debug)]
struct Context {
    /// That of its kernel.
    id: String,
    cwd: String,
    /// One execution at a time.
    turn: tokio::sync::Mutex<()>,
}

/// Lines of JSON, or that the connection breaks.
type Lines = mpsc::Sender<io::Result<Bytes>>;
type Refused = Box<Response>;

pub(super) async fn serve(machine: Arc<Machine>, request: Request) -> Response {
    let path = percent_encoding::percent_decode_str(request.uri().path())
        .decode_utf8_lossy()
        .into_owned();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let method = request.method().clone();
    let served = match (&method, &parts[..]) {
        (&Method::GET, ["health"]) => Ok(Json("OK").into_response()),
        (&Method::POST, ["execute"]) => execute(machine, request).await,
        (&Method::GET, ["contexts"]) => list(&machine).await,
        (&Method::POST, ["contexts"]) => create(&machine, request).await,
        (&Method::DELETE, ["contexts", id]) => remove(&machine, id).await,
        (&Method::POST, ["contexts", id, "restart"]) => restart(&machine, id).await,
        (_, ["health" | "execute" | "contexts"] | ["contexts", _] | ["contexts", _, "restart"]) => Err(
            detail(StatusCode::METHOD_NOT_ALLOWED, json!("Method Not Allowed")),
        ),
        _ => Err(detail(StatusCode::NOT_FOUND, json!("Not Found"))),
    };
    served.unwrap_or_else(|refused| *refused)
}

async fn execute(machine: Arc<Machine>, request: Request) -> Result<Response, Refused> {
    let body = fields(request).await?;
    let code = text(&body, "code")?.ok_or_else(|| invalid("missing", &["code"], "Field required"))?;
    let id = text(&body, "context_id")?.filter(|id| !id.is_empty());
    let language = text(&body, "language")?.filter(|language| !language.is_empty());
    let env = variables(&body)?;
    if id.is_some() && language.is_some() {
        let message = "Only one of context_id or language can be provided";
        return Err(plain(StatusCode::BAD_REQUEST, message));
    }
    let context = match id {
        Some(id) => machine.interpreter.find(&id)?,
        None => machine.default_context(language).await?,
    };
    let (lines, mut receive) = mpsc::channel(16);
    tokio::spawn(async move {
        tokio::select! {
            () = machine.is_gone.cancelled() => { let _ = lines.send(Err(broken())).await; }
            () = machine.converse(&context, &code, &env, &lines) => {}
        }
    });
    let stream = futures_util::stream::poll_fn(move |context| receive.poll_recv(context));
    // Without a content type, as the original.
    Ok(Body::from_stream(stream).into_response())
}

async fn list(machine: &Machine) -> Result<Response, Refused> {
    machine.default_context(None).await?;
    let contexts = machine.interpreter.contexts();
    let all: Vec<Value> = contexts.values().map(|context| context.shown()).collect();
    Ok(Json(all).into_response())
}

async fn create(machine: &Machine, request: Request) -> Result<Response, Refused> {
    let body = fields(request).await?;
    let language = text(&body, "language")?;
    let cwd = text(&body, "cwd")?.filter(|cwd| !cwd.is_empty());
    let context = machine
        .new_context(language, cwd.unwrap_or_else(|| HOME.to_owned()))
        .await?;
    Ok(Json(context.shown()).into_response())
}

async fn remove(machine: &Machine, id: &str) -> Result<Response, Refused> {
    machine.interpreter.find(id)?;
    let removed = machine.kernels().await?.remove(id).await;
    removed.map_err(|reason| went_wrong(&format!("Failed to remove context {id}: {reason}")))?;
    machine.interpreter.contexts().remove(id);
    Ok(Json(Value::Null).into_response())
}

/// In the folder that kernels start in, whatever its own was.
async fn restart(machine: &Machine, id: &str) -> Result<Response, Refused> {
    machine.interpreter.find(id)?;
    let restarted = machine.kernels().await?.restart(id).await;
    restarted.map_err(|reason| went_wrong(&format!("Failed to restart context {id}: {reason}")))?;
    Ok(Json(Value::Null).into_response())
}

impl Machine {
    async fn kernels(&self) -> Result<&Kernels, Refused> {
        let kernels = &self.interpreter.kernels;
        kernels
            .get_or_try_init(|| Kernels::start(self))
            .await
            .map_err(not_made)
    }

    async fn default_context(&self, language: Option<String>) -> Result<Arc<Context>, Refused> {
        let mut default = self.interpreter.default.lock().await;
        let known = default.as_ref().map(|id| self.interpreter.find(id));
        if let (Some(Ok(context)), true) = (known, is_python(language.as_deref())) {
            return Ok(context);
        }
        let context = self.new_context(language, HOME.to_owned()).await?;
        *default = Some(context.id.clone());
        Ok(context)
    }

    async fn new_context(&self, language: Option<String>, cwd: String) -> Result<Arc<Context>, Refused> {
        if !is_python(language.as_deref()) {
            return Err(not_made(format!("no kernel of {language:?}")));
        }
        let kernels = self.kernels().await?;
        let id = kernels.add().await.map_err(not_made)?;
        finish(kernels.run(&id, &format!("%cd {cwd}"), true).await).await;
        let turn = tokio::sync::Mutex::default();
        let context = Arc::new(Context { id, cwd, turn });
        let id = context.id.clone();
        self.interpreter.contexts().insert(id, Arc::clone(&context));
        Ok(context)
    }

    /// Says what becomes of the code, to its end or for as long as anybody listens.
    async fn converse(&self, context: &Context, code: &str, env: &BTreeMap<String, String>, lines: &Lines) {
        let _turn = context.turn.lock().await;
        let Ok(kernels) = self.kernels().await else {
            return;
        };
        let mut ear = kernels.run(&context.id, &with_env(code, env), false).await;
        let mut progress = Progress::default();
        loop {
            let (event, ends) = match tokio::time::timeout(KEEP_ALIVE, ear.next()).await {
                Err(_) => (json!({ "type": "keepalive" }), false),
                Ok(Some(Said::Message(message))) => match progress.step(message) {
                    Step::Event(event) => (event, false),
                    Step::Nothing => continue,
                    Step::End => break,
                },
                Ok(Some(Said::Restarts)) => (error("ContextRestarting", "Context was restarted", ""), true),
                Ok(None) => {
                    let value = "Connection to the execution was closed before the execution was finished";
                    (error("UnexpectedEndOfExecution", value, ""), true)
                }
            };
            if lines.send(Ok(line(&event))).await.is_err() {
                // Nobody listens any more, which is noticed here and not before. Whoever comes next may come before
                // the kernel has stopped.
                let _ = kernels.interrupt(&context.id).await;
                return;
            }
            if ends {
                break;
            }
        }
        let _ = lines.send(Ok(line(&json!({ "type": "end_of_execution" })))).await;
        if !env.is_empty() {
            let code = without_env(env, &self.env);
            finish(kernels.run(&context.id, &code, true).await).await;
        }
    }
}

impl Interpreter {
    fn contexts(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Context>>> {
        self.contexts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &str) -> Result<Arc<Context>, Refused> {
        self.contexts()
            .get(id)
            .map(Arc::clone)
            .ok_or_else(|| plain(StatusCode::NOT_FOUND, &format!("Context {id} not found")))
    }
}

impl Context {
    fn shown(&self) -> Value {
        json!({ "id": self.id, "language": "python", "cwd": self.cwd })
    }
}

/// To the end of something that nobody hears of.
async fn finish(mut ear: Ear) {
    let mut progress = Progress::silent();
    while let Some(Said::Message(message)) = ear.next().await {
        if progress.step(message) == Step::End {
            return;
        }
    }
}

/// As the original: pasted into code, quotes or not, before the first line and as far in as that.
fn with_env(code: &str, env: &BTreeMap<String, String>) -> String {
    let first = code
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let indent = &first[..first.len() - first.trim_start().len()];
    let mut pasted: String = env
        .iter()
        .map(|(name, value)| format!("{indent}{}\n", setting(name, value)))
        .collect();
    pasted.push_str(code);
    pasted
}

fn without_env(env: &BTreeMap<String, String>, of_machine: &BTreeMap<String, String>) -> String {
    let lines = env.keys().map(|name| match of_machine.get(name) {
        Some(value) => setting(name, value),
        None => format!("import os; del os.environ['{name}']"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn setting(name: &str, value: &str) -> String {
    format!("import os; os.environ['{name}'] = '{value}'")
}

fn is_python(language: Option<&str>) -> bool {
    language.is_none_or(|language| {
        let language = language.trim();
        language.is_empty() || language.eq_ignore_ascii_case("python")
    })
}

async fn fields(request: Request) -> Result<Value, Refused> {
    let body = to_bytes(request.into_body(), MOST_BYTES)
        .await
        .unwrap_or_default();
    let body: Value =
        serde_json::from_slice(&body).map_err(|_| invalid("json_invalid", &[], "JSON decode error"))?;
    if body.is_object() {
        return Ok(body);
    }
    Err(invalid(
        "model_attributes_type",
        &[],
        "Input should be a valid dictionary",
    ))
}

fn text(body: &Value, name: &str) -> Result<Option<String>, Refused> {
    match &body[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(invalid("string_type", &[name], "Input should be a valid string")),
    }
}

fn variables(body: &Value) -> Result<BTreeMap<String, String>, Refused> {
    let env: Option<BTreeMap<String, String>> = serde_json::from_value(body["env_vars"].clone())
        .map_err(|_| invalid("dict_type", &["env_vars"], "Input should be a valid dictionary"))?;
    Ok(env.unwrap_or_default())
}

fn invalid(kind: &str, place: &[&str], message: &str) -> Refused {
    let place: Vec<&str> = ["body"].iter().chain(place).copied().collect();
    let wrong = json!([{ "type": kind, "loc": place, "msg": message }]);
    detail(StatusCode::UNPROCESSABLE_ENTITY, wrong)
}

fn detail(status: StatusCode, detail: Value) -> Refused {
    Box::new((status, Json(json!({ "detail": detail }))).into_response())
}

fn plain(status: StatusCode, message: &str) -> Refused {
    Box::new((status, message.to_owned()).into_response())
}

fn not_made(reason: String) -> Refused {
    went_wrong(&format!("Failed to create context: {reason}"))
}

fn went_wrong(message: &str) -> Refused {
    plain(StatusCode::INTERNAL_SERVER_ERROR, message)
}

fn line(event: &Value) -> Bytes {
    format!("{event}\n").into()
}
