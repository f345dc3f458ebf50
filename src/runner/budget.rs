//! What a run has sent and spent, and whether it may send more.

use super::{Limits, RunSummary, Spend, StopReason};
use crate::domain::Usage;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts requests, tokens and dollars against their limits.
#[derive(Debug)]
pub(super) struct Budget {
    max_requests: Option<u64>,
    max_tokens: Option<u64>,
    max_cost_usd: Option<f64>,
    /// Before this run.
    taken: Spend,
    spent: Mutex<Totals>,
}

/// What is known so far.
#[derive(Clone, Debug, Default)]
struct Totals {
    /// Requests sent.
    requests: u64,
    /// Of these, repeated attempts.
    retries: u64,
    /// Tokens of the answers, input and output.
    tokens: u64,
    cost_usd: f64,
    /// Tokens and dollars that what is submitted may still use.
    reserved: (u64, f64),
    /// A model whose answers have no known price.
    unpriced: Option<String>,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Budget {
        Budget {
            max_requests: limits.max_requests,
            max_tokens: limits.max_tokens,
            max_cost_usd: limits.max_cost_usd,
            taken: limits.taken,
            spent: Mutex::default(),
        }
    }

    /// Counts one request that is about to leave; `attempt` counts from 1.
    ///
    /// # Errors
    /// The limit that forbids it, in a sentence.
    pub(super) fn take(&self, attempt: u32) -> Result<(), String> {
        let mut spent = self.spent();
        if let Some(max) = self.max_requests
            && self.taken.requests.saturating_add(spent.requests) >= max
        {
            return Err(format!("the limit of {max} requests is reached"));
        }
        let tokens = self.tokens(&spent);
        if let Some(max) = self.max_tokens
            && tokens >= max
        {
            return Err(format!("{tokens} of at most {max} tokens are used"));
        }
        if let Some(max) = self.max_cost_usd {
            if let Some(model) = &spent.unpriced {
                return Err(format!("the price of `{model}` is not known, so the limit of ${max} can't be kept"));
            }
            let cost = self.taken.cost_usd + spent.cost_usd;
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
                && self.tokens(&spent).saturating_add(reserved_tokens).saturating_add(tokens) > max
            {
                return Err(format!(
                    "{} of at most {max} tokens are used, {reserved_tokens} more may be by what is submitted, and the next \
                     answer may use {tokens}",
                    self.tokens(&spent)
                ));
            }
            if let Some(max) = self.max_cost_usd {
                let Some(cost) = cost_usd else {
                    return Err(format!("a price is not known, so the limit of ${max} can't be kept"));
                };
                let before = self.taken.cost_usd + spent.cost_usd;
                if before + reserved_usd + cost > max {
                    return Err(format!(
                        "${before:.4} of at most ${max} are spent, ${reserved_usd:.4} more may be by what is submitted, and \
                         the next answer may cost ${cost:.4}"
                    ));
                }
            }
        }
        self.take(attempt)?;
        self.hold(expected, cost_usd);
        Ok(())
    }

    /// No request more may be sent, whatever comes back.
    pub(super) fn is_out_of_requests(&self) -> bool {
        self.max_requests.is_some_and(|max| self.taken.requests.saturating_add(self.spent().requests) >= max)
    }

    /// Reserves for a request that was submitted earlier, whatever the limits.
    pub(super) fn hold(&self, expected: &Usage, cost_usd: Option<f64>) {
        let mut spent = self.spent();
        spent.reserved.0 = spent.reserved.0.saturating_add(listed(expected));
        spent.reserved.1 += cost_usd.unwrap_or(0.0);
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

    /// Tokens of the limit that are used.
    fn tokens(&self, spent: &Totals) -> u64 {
        self.taken.tokens.saturating_add(spent.tokens)
    }

    /// How a run ended, with what it has spent.
    pub(super) fn summary(&self, ended: StopReason) -> RunSummary {
        let Totals { requests, retries, tokens, cost_usd, unpriced, .. } = self.spent().clone();
        RunSummary { ended, requests, retries, tokens, cost_usd: unpriced.is_none().then_some(cost_usd) }
    }

    fn spent(&self) -> MutexGuard<'_, Totals> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listed(usage: &Usage) -> u64 {
    usage.prompt.saturating_add(usage.output).saturating_add(usage.thinking)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(limits: Limits, cost_usd: f64) -> (u64, String) {
        let budget = Budget::new(&limits);
        let mut taken = 0;
        loop {
            match budget.take(1) {
                Ok(()) => taken += 1,
                Err(reason) => return (taken, reason),
            }
            let usage = Usage { prompt: 6, output: 4, ..Usage::default() };
            budget.add("m", &usage, Some(cost_usd));
        }
    }

    #[test]
    fn what_was_taken_before_counts_and_the_limit_keeps_its_name() {
        let taken = Spend { requests: 17, tokens: 170, cost_usd: 0.17 };
        let limits = |set: &dyn Fn(&mut Limits)| {
            let mut limits = Limits { taken, ..Limits::default() };
            set(&mut limits);
            limits
        };
        let requests = limits(&|limits| limits.max_requests = Some(20));
        assert_eq!(refusal(requests, 0.01), (3, "the limit of 20 requests is reached".to_owned()));
        let tokens = limits(&|limits| limits.max_tokens = Some(200));
        assert_eq!(refusal(tokens, 0.01), (3, "200 of at most 200 tokens are used".to_owned()));
        let cost = limits(&|limits| limits.max_cost_usd = Some(0.195));
        assert_eq!(refusal(cost, 0.01), (3, "$0.2000 of at most $0.195 are spent".to_owned()));
        let spent = limits(&|limits| limits.max_requests = Some(17));
        assert_eq!(refusal(spent, 0.01).0, 0);
        let over = Budget::new(&limits(&|limits| limits.max_requests = Some(3)));
        assert!(over.is_out_of_requests());
        assert_eq!(over.summary(StopReason::Complete).requests, 0, "what this run has spent");
    }

    #[test]
    fn reservations_count_what_was_taken_before() {
        let budget = Budget::new(&Limits {
            max_tokens: Some(200),
            taken: Spend { tokens: 190, ..Spend::default() },
            ..Limits::default()
        });
        let expected = |output| Usage { output, ..Usage::default() };
        assert!(budget.reserve(1, &expected(11), Some(0.0)).is_err());
        assert!(budget.reserve(1, &expected(10), Some(0.0)).is_ok());
    }
}
