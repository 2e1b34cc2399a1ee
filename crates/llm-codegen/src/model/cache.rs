//! Programs that answered before, to be used again for the same question on tables of the same form. The program is
//! kept, never its answer: it runs on the data of the day, and costs no call of a model.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use meterbox_core::contract::{CONTRACT_VERSION, Reading, Source};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::prompt;
use crate::{
    CodeGenerator, GenerateError, GenerateRequest, Generated, Prefer,
    chat::{CallGate, PlannedCall},
};

/// Where programs are kept. A cache may forget whenever it likes, and loses nothing but money.
#[async_trait]
pub trait ProgramCache: Send + Sync + fmt::Debug + 'static {
    /// The program kept under this key.
    async fn find(&self, key: &ProgramKey) -> Option<KeptProgram>;

    /// Keeps a program, in the place of what was there.
    async fn keep(&self, key: ProgramKey, program: KeptProgram);
}

/// What has to be the same for a program to be used again: tenant, question (but for case and spaces), form of the
/// tables, what may be told of them (a program may have values in it), generator, and the versions of prompt and contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgramKey([u8; 32]);

/// A program that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptProgram {
    /// Python source.
    pub code: String,
    /// Who wrote it.
    pub generator: String,
    /// How the question was understood.
    pub reading: Reading,
}

impl ProgramKey {
    /// The key of a request to a generator that calls itself this.
    pub fn new(generator: &str, request: &GenerateRequest) -> Self {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        };
        add(&request.tenant);
        let words: Vec<String> = request
            .question
            .split_whitespace()
            .map(str::to_lowercase)
            .collect();
        add(&words.join(" "));
        add(generator);
        add(&format!(
            "{} {CONTRACT_VERSION} {}",
            prompt::VERSION,
            request.privacy
        ));
        for table in &*request.tables {
            add(&table.name);
            for column in &table.columns {
                add(&column.name);
                add(&format!("{:?} {:?}", column.column_type, column.currency));
            }
            add("");
        }
        for package in request.packages.keys() {
            add(package);
        }
        Self(hash.finalize().into())
    }

    /// The key as 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The last programs, as many as are allowed, for as long as the process lives.
#[derive(Debug)]
pub struct MemoryPrograms {
    most: usize,
    kept: Mutex<VecDeque<(ProgramKey, KeptProgram)>>,
}

impl MemoryPrograms {
    /// Keeps so many programs; the one that was kept first goes first.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            kept: Mutex::default(),
        }
    }
}

#[async_trait]
impl ProgramCache for MemoryPrograms {
    async fn find(&self, key: &ProgramKey) -> Option<KeptProgram> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter()
            .find(|(known, _)| known == key)
            .map(|(_, program)| program.clone())
    }

    async fn keep(&self, key: ProgramKey, program: KeptProgram) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != key);
        kept.push_back((key, program));
        while kept.len() > self.most {
            kept.pop_front();
        }
    }
}

/// A generator whose programs are used again.
#[derive(Debug)]
pub struct Cached<G> {
    generator: G,
    name: String,
    cache: Arc<dyn ProgramCache>,
}

impl<G: CodeGenerator> Cached<G> {
    /// Keeps what this generator writes, in this cache. The name, such as the model's, tells its programs from others'.
    pub fn new(generator: G, name: impl Into<String>, cache: Arc<dyn ProgramCache>) -> Self {
        Self {
            generator,
            name: name.into(),
            cache,
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<G: CodeGenerator> CodeGenerator for Cached<G> {
    async fn generate(
        &self,
        request: &GenerateRequest,
        calls: &dyn CallGate,
    ) -> Result<Generated, GenerateError> {
        // A program that failed is not asked for again.
        let known = if request.failed.is_empty() {
            self.cache.find(&ProgramKey::new(&self.name, request)).await
        } else {
            None
        };
        let Some(known) = known else {
            return self.generator.generate(request, calls).await;
        };
        Ok(Generated {
            code: known.code,
            source: Source::Saved,
            generator: known.generator,
            reading: Reading {
                as_of: request.as_of,
                ..known.reading
            },
            plan: None,
            confidence: 0.0,
            warnings: Vec::new(),
        })
    }

    fn planned_call(&self, request: &GenerateRequest) -> Option<PlannedCall<'_>> {
        if request.prefer == Prefer::Rules {
            return None;
        }
        self.generator.planned_call(request)
    }

    fn fallback(&self, request: &GenerateRequest, why: &str) -> Option<Generated> {
        self.generator.fallback(request, why)
    }

    fn second_opinion(&self, request: &GenerateRequest) -> Option<Generated> {
        self.generator.second_opinion(request)
    }

    async fn keep(&self, request: &GenerateRequest, generated: &Generated) {
        if generated.source == Source::Model {
            let program = KeptProgram {
                code: generated.code.clone(),
                generator: generated.generator.clone(),
                reading: generated.reading.clone(),
            };
            self.cache
                .keep(ProgramKey::new(&self.name, request), program)
                .await;
        }
        self.generator.keep(request, generated).await;
    }
}
