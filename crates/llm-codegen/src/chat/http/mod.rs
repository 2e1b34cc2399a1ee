//! Models behind HTTP: [`HttpModel`] speaks to Azure OpenAI, OpenAI, servers that are like it, and Anthropic.
//!
//! - One call is one request: nothing here tries again. Redirects are errors: hand in a client that does not follow
//!   them, as [`http_client`] makes one.
//! - One deadline covers everything, the look-up of a token and a slow body included. Replies are read up to 4 MiB.
//! - What a server can do is known by its model's family, configured, or learnt: a parameter that it names as
//!   unsupported is left out of the requests that are encoded afterwards
//!   ([`ChatErrorKind::Unsupported`](super::ChatErrorKind::Unsupported)).
//! - Input is counted here, by the model's own tokenizer or generously by another; the first count of a process takes a
//!   tenth of a second.
//! - Keys and tokens travel in headers and are in no error and no debug output.
//!
//! ```
//! # use meterbox_llm_codegen::chat::{ChatModel, http::{self, HttpModel}};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let _ = rustls::crypto::ring::default_provider().install_default();
//! let client = http::http_client()?;
//! let model = HttpModel::azure(client.clone(), "shop.openai.azure.com", "analyst")
//!     .key("0123456789abcdef")
//!     .underlying_model("gpt-5-mini")
//!     .build()?;
//! assert_eq!(model.card().server, "shop.openai.azure.com");
//! let local = HttpModel::compatible(client, "http://localhost:11434/v1", "qwen3-coder").build()?;
//! assert!(local.card().is_loopback);
//! # Ok(())
//! # }
//! ```
//!
//! Sources: OpenAI's published OpenAPI document, Microsoft's pages on Azure OpenAI, the official Python SDKs of OpenAI
//! and Anthropic, and llama.cpp's server.

mod address;
mod build;
mod builder;
mod capabilities;
mod classify;
mod credentials;
mod dialect;
mod family;
mod model;
mod refusal;
mod settings;
mod tokens;

pub use builder::{HttpModelBuilder, InvalidModelConfig};
pub use credentials::{KeyStyle, TokenSource};
pub use meterbox_http_client::{Secret, http_client};
pub use model::{HttpModel, Listing};
pub use settings::{Api, Effort, InstructionsRole, OutputCapField, StructuredOutput};
