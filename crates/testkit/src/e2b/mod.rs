//! A double of E2B on loopback: it keeps state, runs programs for real (confined by bubblewrap) and fails on command.
//! Code goes to IPython's own kernels (`peers/ipykernel.txt`), of which it has Python's alone; no kernel starts before a
//! machine is asked for one.
//!
//! The control plane and the machines share one address, as with `E2B_API_URL` and `E2B_SANDBOX_URL`: a request with
//! the header `E2b-Sandbox-Id` is for a machine.

mod control;
mod events;
mod interpreter;
mod kernels;
mod machine;
mod process;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use serde_json::json;

use self::machine::Machine;
use crate::python::TestPython;
use crate::wire_fault::{self, WireFault as E2bFault};

/// The only key it accepts.
pub const E2B_KEY: &str = "e2b_0123456789abcdef";

/// The double; gone, with all its machines, when it is dropped.
#[derive(Debug)]
pub struct E2bDouble {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<World>,
}

#[derive(Debug, Default)]
struct World {
    machines: BTreeMap<String, Arc<Machine>>,
    /// By idempotency key: the request and its reply.
    created: BTreeMap<String, (serde_json::Value, serde_json::Value)>,
    faults: VecDeque<(String, E2bFault)>,
    /// Method and path of each request.
    requests: Vec<String>,
    has_only_v1: bool,
    /// Of new machines, unless it is the tests' own.
    python: Option<TestPython>,
    kills: u32,
}

impl E2bDouble {
    /// Starts one on a free port, after what machines need is installed.
    ///
    /// # Panics
    /// Where there is none, or no bubblewrap or Python can be had.
    pub async fn start() -> Self {
        // What is not there yet is installed before anybody counts the seconds.
        tokio::task::spawn_blocking(process::prepare)
            .await
            .expect("the tests have what they need");
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::<Shared>::default();
        let app = Router::new()
            .merge(control::routes())
            .merge(machine::routes())
            .layer(from_fn_with_state(Arc::clone(&shared), misbehave))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move {
            axum::serve(listener, app)
                .await
                .expect("it serves until it is ended");
        });
        Self {
            address,
            shared,
            server,
        }
    }

    /// Its address, for the control plane and for the machines.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request whose method and path begin like this meets that fault.
    pub fn fail_next(&self, request: &str, fault: E2bFault) {
        self.shared.world().faults.push_back((request.to_owned(), fault));
    }

    /// No request meets a fault any more.
    pub fn forget_faults(&self) {
        self.shared.world().faults.clear();
    }

    /// From now on machines have this interpreter, with its packages.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn has_python(&self, python: &std::path::Path) {
        self.shared.world().python = Some(TestPython::at(python));
    }

    /// From now on it is a server of the old kind.
    pub fn has_only_v1(&self) {
        self.shared.world().has_only_v1 = true;
    }

    /// Ids of the machines that run.
    pub fn running(&self) -> Vec<String> {
        self.shared.world().machines.keys().cloned().collect()
    }

    /// What opens the daemon of a machine.
    pub fn token_of(&self, id: &str) -> Option<String> {
        let world = self.shared.world();
        world.machines.get(id).map(|machine| machine.token.clone())
    }

    /// Ends a machine as a crash would.
    pub fn lose(&self, id: &str) {
        self.shared.world().end(id);
    }

    /// How many machines were ended by request.
    pub fn kills(&self) -> u32 {
        self.shared.world().kills
    }

    /// Method and path of each request so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared.world().requests.clone()
    }
}

impl Drop for E2bDouble {
    fn drop(&mut self) {
        self.server.abort();
        let mut world = self.shared.world();
        for (_, machine) in std::mem::take(&mut world.machines) {
            machine.is_gone.cancel();
        }
    }
}

impl World {
    /// With all that runs in it.
    fn end(&mut self, id: &str) {
        if let Some(machine) = self.machines.remove(id) {
            machine.is_gone.cancel();
        }
    }
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes each request down, and lets the ordered fault happen instead of an answer.
async fn misbehave(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let line = format!("{} {}", request.method(), request.uri().path());
    let fault = {
        let mut world = shared.world();
        world.requests.push(line.clone());
        let meant = world
            .faults
            .iter()
            .position(|(start, _)| line.starts_with(start.as_str()));
        meant.and_then(|place| world.faults.remove(place))
    };
    match fault {
        None => next.run(request).await,
        Some((_, E2bFault::LostReply)) => {
            // Done, and nobody learns of it.
            drop(next.run(request).await);
            wire_fault::cut()
        }
        Some((_, fault)) => fault.answer().await,
    }
}

/// An error in E2B's form.
fn refusal(status: u16, message: &str) -> Response {
    let status = axum::http::StatusCode::from_u16(status).expect("a status");
    let body = json!({ "code": status.as_u16(), "message": message });
    (status, axum::Json(body)).into_response()
}
