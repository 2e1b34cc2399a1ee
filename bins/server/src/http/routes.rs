//! Every route of the API, with the role it needs and what it takes and gives: the router and the OpenAPI document
//! are both made from this one list.

use axum::{
    handler::Handler,
    http::Method,
    middleware,
    routing::{MethodFilter, MethodRouter, on},
};
use meterbox_access::Role;
use meterbox_core::contract::AnalysisResult;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::{AppState, budgets, caller, catalog, execute, health, history, keys, ledger, openapi, session};
use crate::administration::wire::{
    AuditLog, AuditQuery, BudgetChange, BudgetView, Budgets, CheckReply, CheckRequest, CreatedKeyView,
    Events, EventsQuery, ForecastQuery, ForecastView, KeyView, Keys, NewKey, NewTopUp, RangeQuery,
    ReconcileRequest, ReconcileView, ReplayRequest, ReplayView, RerateRequest, RerateView, RotateRequest,
    SpendingView, Standing, StopReply, StopRequest, TopUpView, VerifyView,
};

const JSON: &str = "application/json";

/// A route and what is to be known of it.
pub(super) struct Endpoint {
    pub(super) operation: Operation,
    handler: MethodRouter<AppState>,
}

/// One method at one address.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// Who may call; `None` for everybody.
    pub(super) role: Option<Role>,
    pub(super) query: Option<SchemaOf>,
    pub(super) header: Option<(&'static str, &'static str)>,
    pub(super) body: Option<SchemaOf>,
    pub(super) reply: Reply,
}

/// What is answered where all goes well.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content: Vec<(&'static str, Option<SchemaOf>)>,
}

pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// All of the API.
#[rustfmt::skip]
pub(super) fn all() -> Vec<Endpoint> {
    use Role::{Admin, Analyst, Viewer};
    vec![
        get("/api/session", session::whoami, "Who is signed in").needs(Viewer).replies::<session::Whoami>(200),
        post("/api/session", session::sign_in, "Trade an API key for the cookie of a browser").takes::<session::SignIn>(),
        delete("/api/session", session::sign_out, "Sign a browser out"),

        post("/api/execute", execute::execute, "Run one analysis").needs(Analyst)
            .takes::<execute::ExecuteRequest>().replies::<AnalysisResult>(200).or_as("text/event-stream"),
        get("/api/analyses", history::page, "Earlier analyses of the caller, newest first").needs(Viewer)
            .query::<history::PageQuery>().replies::<history::PageView>(200),
        get("/api/analyses/{id}", history::one, "One analysis of the caller").needs(Viewer).replies::<AnalysisResult>(200),
        delete("/api/analyses/{id}", history::forget, "Forget an analysis of the caller with its files; its cost stays in the ledger")
            .needs(Analyst),
        post("/api/analyses/{id}/cancel", history::cancel, "Stop an analysis of the caller; what it used is charged")
            .needs(Analyst).replies::<history::Cancelled>(202),
        get("/api/analyses/{id}/artifacts/{name}", history::artifact, "A file that an analysis left").needs(Viewer)
            .replies_as(200, "application/octet-stream").or_as("image/png"),
        get("/api/datasets", catalog::datasets, "What data there is, and what can be asked of it").needs(Viewer)
            .replies::<catalog::Datasets>(200),
        patch("/api/datasets/{version}", catalog::change, "Change what of a dataset may leave this machine").needs(Admin)
            .takes::<catalog::DatasetChange>().replies::<catalog::DatasetView>(200),
        get("/api/metrics", history::metrics, "What may still be spent: the tightest budget of the caller").needs(Viewer)
            .header("x-budget-scope-key", "Another scope to look at, such as team/ops: one of the caller's own, or any for an admin")
            .replies::<Standing>(200),

        get("/api/budget", budgets::list, "All budgets and where they stand").needs(Admin).replies::<Budgets>(200),
        put("/api/budget", budgets::set, "Define a budget, or change it and keep what was spent").needs(Admin)
            .takes::<BudgetChange>().replies::<BudgetView>(200),
        delete("/api/budget/{scope}", budgets::remove, "Remove a budget; what was spent stays in the ledger").needs(Admin),
        post("/api/budget/{scope}/top-ups", budgets::top_up, "Add money to a limit, once").needs(Admin)
            .takes::<NewTopUp>().replies::<TopUpView>(200),
        get("/api/budget/{scope}/forecast", budgets::forecast, "How fast money goes, and when the limit will be reached")
            .needs(Admin).query::<ForecastQuery>().replies::<ForecastView>(200),
        post("/api/budget/check", budgets::check, "Would this amount be admitted? Nothing is set aside").needs(Admin)
            .takes::<CheckRequest>().replies::<CheckReply>(200),
        get("/api/spending", budgets::spending, "Who spent how much, and what for").needs(Admin)
            .query::<RangeQuery>().replies::<SpendingView>(200),
        get("/api/ledger/verify", ledger::verify, "Add up the whole ledger anew").needs(Admin).replies::<VerifyView>(200),
        get("/api/ledger/export.csv", ledger::export_csv, "The ledger, one posting a row").needs(Admin)
            .query::<RangeQuery>().replies_as(200, "text/csv"),
        get("/api/ledger/export.jsonl", ledger::export_json_lines, "The ledger, one posting a line").needs(Admin)
            .query::<RangeQuery>().replies_as(200, "application/jsonl"),
        post("/api/ledger/replay", ledger::replay, "What the ledger would have been under another policy; nothing is written")
            .needs(Admin).takes::<ReplayRequest>().replies::<ReplayView>(200),
        post("/api/ledger/rerate", ledger::rerate, "What the spending would have cost at other prices; nothing is written")
            .needs(Admin).takes::<RerateRequest>().replies::<RerateView>(200),
        post("/api/ledger/reconcile", ledger::reconcile, "Correct calls booked at their worst case by a usage export")
            .needs(Admin).takes::<ReconcileRequest>().replies::<ReconcileView>(200),
        get("/api/events", ledger::events, "Thresholds reached, spikes and stops, each once, oldest first").needs(Admin)
            .query::<EventsQuery>().replies::<Events>(200),
        put("/api/stop", budgets::stop, "The kill switch: stop all spending, in every process").needs(Admin)
            .takes::<StopRequest>().replies::<StopReply>(200),
        delete("/api/stop", budgets::resume, "Let spending go on").needs(Admin).replies::<StopReply>(200),

        get("/api/keys", keys::list, "All API keys, without their secrets").needs(Admin).replies::<Keys>(200),
        post("/api/keys", keys::create, "Make an API key; its secret is shown this once").needs(Admin)
            .takes::<NewKey>().replies::<CreatedKeyView>(201),
        delete("/api/keys/{id}", keys::revoke, "Revoke an API key, at once").needs(Admin).replies::<KeyView>(200),
        post("/api/keys/{id}/rotate", keys::rotate, "Replace an API key by a new one of the same rights").needs(Admin)
            .takes::<RotateRequest>().replies::<CreatedKeyView>(201),
        get("/api/audit", keys::audit, "Administrative acts, newest first").needs(Admin)
            .query::<AuditQuery>().replies::<AuditLog>(200),

        get("/api/openapi.json", openapi::served, "This document").replies_as(200, JSON),
        get("/healthz", health::alive, "Is the process alive?").replies_as(200, JSON),
        get("/readyz", health::ready, "Could it run a program now?").replies_as(200, JSON),
    ]
}

impl Endpoint {
    fn new<H, T>(method: Method, path: &'static str, handler: H, summary: &'static str) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        let filter = match method {
            Method::PUT => MethodFilter::PUT,
            Method::POST => MethodFilter::POST,
            Method::DELETE => MethodFilter::DELETE,
            Method::PATCH => MethodFilter::PATCH,
            // HEAD goes with it.
            _ => MethodFilter::GET,
        };
        Self {
            operation: Operation {
                method,
                path,
                summary,
                role: None,
                query: None,
                header: None,
                body: None,
                reply: Reply {
                    status: 204,
                    content: Vec::new(),
                },
            },
            handler: on(filter, handler),
        }
    }

    /// The path, and what answers there: only callers of the role reach the handler.
    pub(super) fn guarded(self, state: &AppState) -> (&'static str, MethodRouter<AppState>) {
        let Some(role) = self.operation.role else {
            return (self.operation.path, self.handler);
        };
        let guard = middleware::from_fn_with_state((state.clone(), role), caller::admit);
        (self.operation.path, self.handler.route_layer(guard))
    }

    fn needs(mut self, role: Role) -> Self {
        self.operation.role = Some(role);
        self
    }

    fn query<T: JsonSchema>(mut self) -> Self {
        self.operation.query = Some(T::json_schema);
        self
    }

    fn header(mut self, name: &'static str, description: &'static str) -> Self {
        self.operation.header = Some((name, description));
        self
    }

    fn takes<T: JsonSchema>(mut self) -> Self {
        self.operation.body = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    fn replies<T: JsonSchema>(mut self, status: u16) -> Self {
        self.operation.reply.status = status;
        self.operation
            .reply
            .content
            .push((JSON, Some(SchemaGenerator::subschema_for::<T>)));
        self
    }

    fn replies_as(mut self, status: u16, media_type: &'static str) -> Self {
        self.operation.reply.status = status;
        self.or_as(media_type)
    }

    fn or_as(mut self, media_type: &'static str) -> Self {
        self.operation.reply.content.push((media_type, None));
        self
    }
}

fn get<H: Handler<T, AppState>, T: 'static>(
    path: &'static str,
    handler: H,
    summary: &'static str,
) -> Endpoint {
    Endpoint::new(Method::GET, path, handler, summary)
}

fn put<H: Handler<T, AppState>, T: 'static>(
    path: &'static str,
    handler: H,
    summary: &'static str,
) -> Endpoint {
    Endpoint::new(Method::PUT, path, handler, summary)
}

fn post<H: Handler<T, AppState>, T: 'static>(
    path: &'static str,
    handler: H,
    summary: &'static str,
) -> Endpoint {
    Endpoint::new(Method::POST, path, handler, summary)
}

fn patch<H: Handler<T, AppState>, T: 'static>(
    path: &'static str,
    handler: H,
    summary: &'static str,
) -> Endpoint {
    Endpoint::new(Method::PATCH, path, handler, summary)
}

fn delete<H: Handler<T, AppState>, T: 'static>(
    path: &'static str,
    handler: H,
    summary: &'static str,
) -> Endpoint {
    Endpoint::new(Method::DELETE, path, handler, summary)
}
