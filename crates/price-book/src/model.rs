use std::collections::{BTreeMap, BTreeSet};

use meterbox_core::{UnitPrice, Usd, contract::CostLine};

use crate::{
    Component, PriceBook, PriceError, Terms, TokenUsage,
    rate::{Rate, RowKey},
};

/// What a model costs at a moment.
#[derive(Debug, Clone)]
pub struct ModelPrice {
    name: String,
    /// On bills, where it is another model that is priced like this one.
    shown: Option<String>,
    rows: BTreeMap<RowKey, Rate>,
    source: Option<String>,
    /// One price whatever the terms.
    any_terms: bool,
    book: PriceBook,
}

impl ModelPrice {
    pub(crate) fn new(name: &str, rows: BTreeMap<RowKey, Rate>, book: PriceBook) -> Self {
        Self {
            name: name.to_owned(),
            shown: None,
            rows,
            source: None,
            any_terms: false,
            book,
        }
    }

    pub(crate) fn for_any_terms(mut self) -> Self {
        self.any_terms = true;
        self
    }

    pub(crate) fn told_by(mut self, source: Option<String>) -> Self {
        self.source = source;
        self
    }

    /// The same price for another model, which bills name: the rate beside still says whose price it is.
    #[must_use]
    pub fn for_model(mut self, name: impl Into<String>) -> Self {
        self.shown = Some(name.into());
        self
    }

    /// The name on bills.
    fn shown(&self) -> &str {
        self.shown.as_deref().unwrap_or(&self.name)
    }

    /// The name it is priced under: of the model, `fallback`, or `azure/*` for the dearest there.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who says so.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// The price of a million tokens of this part in a call of so many input tokens.
    ///
    /// # Errors
    /// [`PriceError::UnknownTerms`].
    pub fn per_million(&self, component: Component, input: u64, terms: &Terms) -> Result<Usd, PriceError> {
        let (_, rate) = self.row(terms, input)?;
        Ok(rate.per_million(component))
    }

    /// The bill for a call, a line a part, each rounded up once; a part of nothing has none. An amount beyond
    /// [`Usd::MAX`] is that.
    ///
    /// # Errors
    /// [`PriceError::UnknownTerms`].
    pub fn lines(
        &self,
        purpose: &str,
        usage: &TokenUsage,
        terms: &Terms,
    ) -> Result<Vec<CostLine>, PriceError> {
        let (key, rate) = self.row(terms, usage.context())?;
        // Reasoning is a line of its own only where it has a price of its own.
        let apart = if rate.reasoning.is_some() {
            usage.reasoning
        } else {
            0
        };
        let parts = [
            (Component::Input, usage.plain_input()),
            (Component::Cached, usage.cached),
            (Component::CacheWrite, usage.cache_write),
            (Component::CacheWrite1h, usage.cache_write_1h),
            (
                Component::Output,
                usage.output.max(usage.reasoning).saturating_sub(apart),
            ),
            (Component::Reasoning, apart),
        ];
        let lines = parts.into_iter().filter(|(_, tokens)| *tokens > 0);
        Ok(lines
            .map(|(component, tokens)| CostLine {
                item: format!("{purpose}: {} {}", self.shown(), component.as_str()),
                quantity: tokens,
                unit: "tokens".to_owned(),
                amount: rate.price(component).times(tokens).unwrap_or(Usd::MAX),
                estimated: false,
                price: Some(
                    self.book
                        .tag(&format!("{}:{}{key}", self.name, component.as_str())),
                ),
            })
            .collect())
    }

    /// What a call costs.
    ///
    /// # Errors
    /// As [`lines`](Self::lines).
    pub fn cost(&self, usage: &TokenUsage, terms: &Terms) -> Result<Usd, PriceError> {
        let lines = self.lines("", usage, terms)?;
        Ok(lines
            .iter()
            .fold(Usd::ZERO, |sum, line| sum.saturating_add(line.amount)))
    }

    /// The most a call can cost that sends so many tokens and gets at most so many: nothing is found in a cache, all
    /// is written to the dearest one, and the output is the dearer of text and reasoning.
    ///
    /// # Errors
    /// [`PriceError::UnknownTerms`].
    pub fn worst_case(&self, input: u64, output: u64, terms: &Terms) -> Result<Usd, PriceError> {
        let rate = self.worst_rate(terms, input)?;
        let of = |price: Usd, tokens| UnitPrice::per_million(price).times(tokens).unwrap_or(Usd::MAX);
        let most = of(rate.dearest_input(), input).saturating_add(of(rate.dearest_output(), output));
        // Each of the six parts may be rounded up by less than a nano-dollar.
        let rounding = Usd::from_nanos(ROUNDING).unwrap_or(Usd::ZERO);
        Ok(if most.is_zero() {
            most
        } else {
            most.saturating_add(rounding)
        })
    }

    /// The line that stands for a call until its use is known.
    ///
    /// # Errors
    /// As [`worst_case`](Self::worst_case).
    pub fn worst_case_line(
        &self,
        purpose: &str,
        input: u64,
        output: u64,
        terms: &Terms,
    ) -> Result<CostLine, PriceError> {
        Ok(CostLine {
            item: format!("{purpose}: {} worst case", self.shown()),
            quantity: input.saturating_add(output),
            unit: "tokens".to_owned(),
            amount: self.worst_case(input, output, terms)?,
            estimated: true,
            price: Some(self.book.worst_case_tag(&self.name)),
        })
    }

    /// How many output tokens a call with so much input may ask for, so that its worst case is not above this sum;
    /// `None` where the sum does not even cover the input.
    ///
    /// # Errors
    /// [`PriceError::UnknownTerms`].
    pub fn output_within(&self, money: Usd, input: u64, terms: &Terms) -> Result<Option<u64>, PriceError> {
        let without = self.worst_case(input, 0, terms)?;
        let rate = self.worst_rate(terms, input)?;
        let rounding = Usd::from_nanos(ROUNDING).unwrap_or(Usd::ZERO);
        let left = match money.checked_sub(without.max(rounding)) {
            Some(left) => left,
            None if rate.dearest_output().is_zero() && money >= without => Usd::ZERO,
            None => return Ok(None),
        };
        Ok(Some(
            UnitPrice::per_million(rate.dearest_output()).affordable(left),
        ))
    }

    /// Of each part the dearest price of contexts up to this length.
    fn worst_rate(&self, terms: &Terms, input: u64) -> Result<Rate, PriceError> {
        let (longest, rate) = self.row(terms, input)?;
        let is_shorter = |key: &RowKey| {
            key.deployment == longest.deployment && key.tier == longest.tier && key.above < longest.above
        };
        let shorter = self.rows.iter().filter(|(key, _)| is_shorter(key));
        Ok(shorter.fold(*rate, |dearest, (_, rate)| dearest.dearer(rate)))
    }

    /// The row of these terms for so long a context.
    fn row(&self, terms: &Terms, input: u64) -> Result<(&RowKey, &Rate), PriceError> {
        let (deployment, tier) = if self.any_terms {
            ("", "")
        } else {
            (terms.row_deployment(), terms.row_tier())
        };
        let is_meant = |key: &RowKey| {
            let is_reached = key.above == 0 || input > key.above;
            key.deployment == deployment && key.tier == tier && is_reached
        };
        let found = self.rows.iter().rev().find(|(key, _)| is_meant(key));
        found.ok_or_else(|| self.unknown_terms(deployment, tier))
    }

    fn unknown_terms(&self, deployment: &str, tier: &str) -> PriceError {
        let shown = |deployment: &str, tier: &str| {
            let deployment = if deployment.is_empty() {
                "global"
            } else {
                deployment
            };
            let tier = if tier.is_empty() { "standard" } else { tier };
            format!("{deployment} {tier}")
                .chars()
                .take(80)
                .collect::<String>()
        };
        let known: BTreeSet<String> = self
            .rows
            .keys()
            .map(|key| shown(&key.deployment, &key.tier))
            .collect();
        PriceError::UnknownTerms {
            model: self.name.clone(),
            asked: shown(deployment, tier),
            known: known.into_iter().collect::<Vec<_>>().join(", "),
        }
    }
}

/// Nano-dollars by which the lines of a call may be rounded up beyond those of its worst case: a call has at most four
/// lines of input and two of output, its worst case one of each.
const ROUNDING: u64 = 4;
