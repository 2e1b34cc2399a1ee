use std::process::Command;

/// What could switch on a service of the person who runs the tests.
const SERVICES: &[&str] = &[
    "ANTHROPIC_",
    "AZURE_OPENAI_",
    "DATABASE_URL",
    "E2B_",
    "LANGFUSE_",
    "METERBOX_",
    "MODEL_",
    "OPENAI_",
    "OTEL_",
    "PRICE_BOOK",
    "SOFT_CAPS",
    "SUPABASE_",
    "WEBHOOK_",
];

/// The tests' own settings alone count: keys of whoever runs them must neither be used nor change what comes out.
pub(crate) fn without_services(command: &mut Command) -> &mut Command {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| SERVICES.iter().any(|service| name.starts_with(service))) {
        command.env_remove(name);
    }
    command
}
