//! The OpenAPI 3.1 document, made from the list of routes and the types they take and give.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    problem::schema as problem_schema,
    routes::{self, Operation},
};

const PROBLEM: &str = "application/problem+json";

pub(super) async fn served() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}", document()));
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// The document. Its members are in one order, so that it can be compared as text.
pub(super) fn document() -> Value {
    let mut schemas = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in routes::all() {
        let operation = &endpoint.operation;
        let described = described(operation, &mut schemas);
        let methods = paths.entry(operation.path).or_insert_with(|| json!({}));
        methods[operation.method.as_str().to_lowercase()] = described;
    }
    let mut components = schemas.take_definitions(true);
    components.insert("Problem".to_owned(), problem_schema());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Meterbox",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Ask a question about your business data; the analysis runs in a sealed sandbox, under a \
                            budget. Money is in US dollars. Where the machine has no API keys, no key is needed on \
                            loopback.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "An API key, mbx_…" },
                "session": { "type": "apiKey", "in": "cookie", "name": super::caller::SESSION_COOKIE,
                             "description": "A browser that signed in" },
            },
        },
    })
}

fn described(operation: &Operation, schemas: &mut SchemaGenerator) -> Value {
    let mut described = json!({
        "summary": operation.summary,
        "operationId": operation_id(operation),
        "responses": responses(operation, schemas),
    });
    let parameters = parameters(operation, schemas);
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(body) = operation.body {
        described["requestBody"] = json!({
            "required": true, "content": { "application/json": { "schema": body(schemas) } },
        });
    }
    if let Some(role) = operation.role {
        described["security"] = json!([{ "key": [] }, { "session": [] }]);
        described["x-meterbox-role"] = json!(role);
    }
    described
}

/// `GET /api/budget/{scope}/forecast` is `get_budget_scope_forecast`.
fn operation_id(operation: &Operation) -> String {
    let words = operation
        .path
        .trim_start_matches("/api")
        .split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!("{}_{}", operation.method.as_str().to_lowercase(), words.join("_"))
}

fn parameters(operation: &Operation, schemas: &mut SchemaGenerator) -> Vec<Value> {
    let in_path = operation
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    if let Some((name, description)) = operation.header {
        parameters.push(json!({
            "name": name, "in": "header", "description": description, "schema": { "type": "string" },
        }));
    }
    let query = operation.query.map(|schema| schema(schemas).to_value());
    let members = query.as_ref().and_then(|schema| schema["properties"].as_object());
    for (name, schema) in members.into_iter().flatten() {
        parameters.push(json!({ "name": name, "in": "query", "required": false, "schema": schema }));
    }
    parameters
}

fn responses(operation: &Operation, schemas: &mut SchemaGenerator) -> Value {
    let problem = |description: &str| {
        json!({
            "description": description,
            "content": { PROBLEM: { "schema": { "$ref": "#/components/schemas/Problem" } } },
        })
    };
    let mut good = json!({ "description": "Done" });
    for (media_type, schema) in &operation.reply.content {
        good["content"][*media_type] = match schema {
            Some(schema) => json!({ "schema": schema(schemas) }),
            None => json!({}),
        };
    }
    let mut responses = json!({ "default": problem("What is wrong, and what to do about it") });
    responses[operation.reply.status.to_string()] = good;
    if let Some(role) = operation.role {
        responses["401"] = problem("A key is needed, and none that opens anything was given");
        if role != meterbox_access::Role::Viewer {
            responses["403"] = problem("The key's role is not enough");
        }
    }
    responses
}
