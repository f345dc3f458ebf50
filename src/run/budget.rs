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
    /// Tokens and dollars that what is submitted may still use.
    reserved: (u64, f64),
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

    /// Counts one request that is submitted long before its answer comes, with what that may use and cost at most;
    /// `attempt` counts from 1. Nothing is counted if there is no room for it.
    ///
    /// # Errors
    /// The limit that forbids it, in a sentence.
    pub(super) fn reserve(&self, attempt: u32, expected: &Usage, cost_usd: Option<f64>) -> Result<(), String> {
        let tokens = listed(expected);
        {
            let spent = self.spent();
            let (reserved_tokens, reserved_usd) = spent.reserved;
            if let Some(max) = self.max_tokens
                && spent.tokens.saturating_add(reserved_tokens).saturating_add(tokens) > max
            {
                return Err(format!(
                    "{} of at most {max} tokens are used, {reserved_tokens} more may be by what is submitted, and the next \
                     answer may use {tokens}",
                    spent.tokens
                ));
            }
            if let Some(max) = self.max_cost_usd {
                let Some(cost) = cost_usd else {
                    return Err(format!("a price is not known, so the limit of ${max} can't be kept"));
                };
                if spent.cost_usd + reserved_usd + cost > max {
                    return Err(format!(
                        "${:.4} of at most ${max} are spent, ${reserved_usd:.4} more may be by what is submitted, and the \
                         next answer may cost ${cost:.4}",
                        spent.cost_usd
                    ));
                }
            }
        }
        self.take(attempt, &PrefixCaches::default())?;
        let mut spent = self.spent();
        spent.reserved.0 = spent.reserved.0.saturating_add(tokens);
        spent.reserved.1 += cost_usd.unwrap_or(0.0);
        Ok(())
    }

    /// Gives back what was reserved for a request that has its answer, or will get none.
    pub(super) fn release(&self, expected: &Usage, cost_usd: f64) {
        let mut spent = self.spent();
        spent.reserved.0 = spent.reserved.0.saturating_sub(listed(expected));
        spent.reserved.1 = (spent.reserved.1 - cost_usd).max(0.0);
    }

    /// Adds what an answer of `model` used and cost.
    pub(super) fn add(&self, model: &str, usage: &Usage, cost_usd: Option<f64>) {
        let mut spent = self.spent();
        // A service that sends no total has still used what it lists.
        spent.tokens = spent.tokens.saturating_add(usage.total.max(listed(usage)));
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

fn listed(usage: &Usage) -> u64 {
    usage.prompt.saturating_add(usage.output).saturating_add(usage.thinking)
}
