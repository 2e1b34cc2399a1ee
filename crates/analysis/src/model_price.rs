//! What calls of language models cost.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use meterbox_core::{Timestamp, TokenUsage, Usd, contract::CostLine};
use meterbox_llm_codegen::chat::{ChatReply, ModelCard};
use meterbox_price_book::{AzureDeployments, ModelPrice, PriceBook, PriceError, Terms};

const AZURE: &str = "azure";
/// What a model on one's own machine is priced like where the book does not have it: imputed, as local computing is, so
/// that budgets bound it too.
const LOCAL_MODEL: &str = "openai/gpt-5-nano";

/// Finds what a model's calls cost. Cheap to clone; clones learn together.
#[derive(Debug, Clone)]
pub struct ModelPrices {
    book: PriceBook,
    like: Option<String>,
    deployments: Arc<Mutex<AzureDeployments>>,
    learnt_in: Option<PathBuf>,
}

/// What calls of one model cost at a moment.
#[derive(Debug, Clone)]
pub(crate) struct CallPrice {
    price: ModelPrice,
    terms: Terms,
}

impl ModelPrices {
    /// The prices of this book.
    pub fn new(book: PriceBook) -> Self {
        Self {
            book,
            like: None,
            deployments: Arc::default(),
            learnt_in: None,
        }
    }

    /// Which models the Azure deployments are. What replies tell beyond that is written to the file, where one is named.
    #[must_use]
    pub fn deployments(mut self, known: AzureDeployments, learnt_in: Option<PathBuf>) -> Self {
        self.deployments = Arc::new(Mutex::new(known));
        self.learnt_in = learnt_in;
        self
    }

    /// A model that the book does not have costs what this one does, such as `openai/gpt-5`. Without it such a model is
    /// refused, except on this machine.
    #[must_use]
    pub fn unknown_like(mut self, model: impl Into<String>) -> Self {
        self.like = Some(model.into());
        self
    }

    /// Is there a price for this model's calls?
    ///
    /// # Errors
    /// [`PriceError`] where there is none, or none at this moment.
    pub fn check(&self, card: &ModelCard, at: Timestamp) -> Result<(), PriceError> {
        self.of(card, at).map(drop)
    }

    pub(crate) fn of(&self, card: &ModelCard, at: Timestamp) -> Result<CallPrice, PriceError> {
        if card.provider == AZURE {
            let deployments = self.deployments.lock().unwrap_or_else(PoisonError::into_inner);
            let (price, terms, _) = deployments.price(&self.book, &card.model, at)?;
            return Ok(CallPrice { price, terms });
        }
        let name = format!("{}/{}", card.provider, card.model);
        let price = match (self.book.model(&name, at), &self.like) {
            (Err(PriceError::UnknownModel { .. }), Some(like)) => self.book.model(like, at)?.for_model(name),
            (Err(PriceError::UnknownModel { .. }), None) if card.is_loopback => {
                self.price_here(card, at)?.for_model(name)
            }
            (priced, _) => priced?,
        };
        Ok(CallPrice {
            price,
            terms: Terms::default(),
        })
    }

    /// What a model on this machine costs. One that is called like a provider's may be a gateway to that provider.
    fn price_here(&self, card: &ModelCard, at: Timestamp) -> Result<ModelPrice, PriceError> {
        let providers = ["", "openai/", "anthropic/"];
        let mut named = providers.iter().filter_map(|provider| {
            self.book
                .model(&[provider, card.model.as_str()].concat(), at)
                .ok()
        });
        named.next().map_or_else(|| self.book.model(LOCAL_MODEL, at), Ok)
    }

    /// Remembers which model a deployment turned out to be. Blocks for a moment where that is news.
    pub(crate) fn learn(&self, card: &ModelCard, reply: &ChatReply) {
        let Some(model) = reply.model.as_deref().filter(|_| card.provider == AZURE) else {
            return;
        };
        let mut deployments = self.deployments.lock().unwrap_or_else(PoisonError::into_inner);
        if !deployments.learn(&card.model, model) {
            return;
        }
        let Some(path) = &self.learnt_in else { return };
        if let Err(error) = deployments.keep(path) {
            tracing::warn!(%error, "which model a deployment is was not written down");
        }
    }
}

impl CallPrice {
    /// The line that stands for a call until its use is known.
    pub(crate) fn worst_case_line(
        &self,
        purpose: &str,
        input: u64,
        output: u64,
    ) -> Result<CostLine, PriceError> {
        self.price.worst_case_line(purpose, input, output, &self.terms)
    }

    pub(crate) fn worst_case(&self, input: u64, output: u64) -> Result<Usd, PriceError> {
        self.price.worst_case(input, output, &self.terms)
    }

    /// The output a call may ask for so that it costs no more than this.
    pub(crate) fn output_within(&self, money: Usd, input: u64) -> Result<Option<u64>, PriceError> {
        self.price.output_within(money, input, &self.terms)
    }

    /// The bill for a call, on the terms that the reply names. Where the book has no price for those, on the terms that were
    /// held for, as an estimate.
    pub(crate) fn lines(
        &self,
        purpose: &str,
        usage: &TokenUsage,
        tier: Option<&str>,
    ) -> Result<Vec<CostLine>, PriceError> {
        let served = Terms {
            tier: tier.map(str::to_owned),
            ..self.terms.clone()
        };
        match self.price.lines(purpose, usage, &served) {
            Err(error @ PriceError::UnknownTerms { .. }) => {
                tracing::warn!(%error, "a call was served on terms without a price; its bill is an estimate");
                let mut lines = self.price.lines(purpose, usage, &self.terms)?;
                lines.iter_mut().for_each(|line| line.estimated = true);
                Ok(lines)
            }
            lines => lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use meterbox_llm_codegen::chat::ProgramFormat;

    use super::*;

    fn price_of(provider: &str, model: &str, is_loopback: bool) -> Result<CallPrice, PriceError> {
        let card = ModelCard {
            provider: provider.to_owned(),
            model: model.to_owned(),
            server: "localhost:4000".to_owned(),
            is_loopback,
            program_format: ProgramFormat::Fenced,
            min_output_cap: 300,
            max_output_cap: 4_000,
            context_window: None,
        };
        let prices = ModelPrices::new(PriceBook::shipped());
        prices.of(&card, "2026-11-26T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_tier_without_a_price_is_billed_as_an_estimate() {
        let price = price_of("openai", "gpt-4o", false).unwrap();
        let usage = TokenUsage {
            input: 1_000,
            output: 200,
            ..TokenUsage::default()
        };
        let ordinary = price.lines("program", &usage, Some("default")).unwrap();
        let unheard = price.lines("program", &usage, Some("express")).unwrap();
        assert!(ordinary.len() >= 2 && ordinary.iter().all(|line| !line.estimated));
        let mut expected = ordinary;
        expected.iter_mut().for_each(|line| line.estimated = true);
        assert_eq!(unheard, expected);
    }

    #[test]
    fn a_gateway_on_this_machine_costs_what_its_provider_does() {
        let cost = |provider: &str, model: &str, is_loopback| {
            price_of(provider, model, is_loopback)?.worst_case(1_000_000, 1_000_000)
        };
        let local = cost("compatible", "smollm2:135m", true).unwrap();
        let gpt = cost("openai", "gpt-4o", false).unwrap();
        assert!(local < gpt);
        assert_eq!(cost("compatible", "gpt-4o", true).unwrap(), gpt);
        assert_eq!(cost("compatible", "openai/gpt-4o", true).unwrap(), gpt);
        assert!(
            cost("compatible", "gpt-4o", false).is_err(),
            "elsewhere nobody knows"
        );
    }
}
