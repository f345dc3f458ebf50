//! What a run has sent and spent, and whether it may send more.

use super::Limits;
use crate::model::{PrefixCaches, Usage};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts requests, tokens and dollars against their limits.
#[derive(Debug)]
pub(super) struct Budget {
    max_requests: Option<u64>,
    max_tokens: Option<u64>,
    max_cost_usd: Option<f64>,
    spent: Mutex<Spent>,
}

/// What is known so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent {
    /// Requests sent.
    pub(super) requests: u64,
    /// Of these, repeated attempts.
    pub(super) retries: u64,
    /// Tokens of the answers, input and output.
    tokens: u64,
    cost_usd: f64,
    /// A model whose answers have no known price.
    unpriced: Option<String>,
}

impl Spent {
    /// What the answers cost; `None` when the price of one of them is not known.
    pub(super) fn cost_usd(&self) -> Option<f64> {
        self.unpriced.is_none().then_some(self.cost_usd)
    }
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Budget {
        Budget {
            max_requests: limits.max_requests,
            max_tokens: limits.max_tokens,
            max_cost_usd: limits.max_cost_usd,
            spent: Mutex::default(),
        }
    }

    /// Counts one request that is about to leave; `attempt` counts from 1. What was used `beside` the answers counts, too,
    /// but for requests: those are asked for answers.
    ///
    /// # Errors
    /// The limit that forbids it, in a sentence.
    pub(super) fn take(&self, attempt: u32, beside: &PrefixCaches) -> Result<(), String> {
        let mut spent = self.spent();
        if let Some(max) = self.max_requests
            && spent.requests >= max
        {
            return Err(format!("the limit of {max} requests is reached"));
        }
        let tokens = spent.tokens.saturating_add(beside.tokens);
        if let Some(max) = self.max_tokens
            && tokens >= max
        {
            return Err(format!("{tokens} of at most {max} tokens are used"));
        }
        if let Some(max) = self.max_cost_usd {
            if let Some(model) = &spent.unpriced {
                return Err(format!(
                    "the price of `{model}` is not known, so the limit of ${max} can't be kept"
                ));
            }
            let Some(cached) = beside.cost_usd else {
                return Err(format!(
                    "the price of a cached prefix is not known, so the limit of ${max} can't be kept"
                ));
            };
            let cost = spent.cost_usd + cached;
            if cost >= max {
                return Err(format!("${cost:.4} of at most ${max} are spent"));
            }
        }
        spent.requests += 1;
        spent.retries += u64::from(attempt > 1);
        Ok(())
    }

    /// Adds what an answer of `model` used and cost.
    pub(super) fn add(&self, model: &str, usage: &Usage, cost_usd: Option<f64>) {
        let mut spent = self.spent();
        // A service that sends no total has still used what it lists.
        let listed = usage.prompt.saturating_add(usage.output).saturating_add(usage.thinking);
        spent.tokens = spent.tokens.saturating_add(usage.total.max(listed));
        match cost_usd.filter(|cost| cost.is_finite()) {
            Some(cost) => spent.cost_usd += cost,
            None => spent.unpriced = Some(model.to_owned()),
        }
    }

    /// What is known so far.
    pub(super) fn so_far(&self) -> Spent {
        self.spent().clone()
    }

    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
