//! Which prefixes a run has the service keep (`--cache-prefix`): found in the first pass, announced before the first
//! request, priced as they are used.

use super::confirm::Confirming;
use super::survey::{Survey, Versions};
use super::target::OpenedTarget;
use crate::config::{Cache, Settings};
use crate::domain::{Event, Problem, Problems, Progress, Request, Usage};
use crate::plan::Plan;
use crate::plan::price::{Prices, Tier};
use crate::run::gemini::{Caching, Prefix, RENEW_AFTER};
use std::sync::Arc;
use time::{Date, OffsetDateTime};

/// What the requests of one arm begin with.
#[derive(Debug, Default)]
pub(super) enum Common {
    /// No request was seen.
    #[default]
    Unseen,
    /// All of them with this.
    Shared(Prefix),
    /// Nothing that can be kept, or cached content that the prompt names itself.
    Nothing,
    /// Not all with the same.
    Differs,
}

impl Common {
    /// Takes note of a request.
    pub(super) fn note(&mut self, request: &Request) {
        if matches!(self, Common::Differs) {
            return;
        }
        let prefix = Prefix::of(request);
        *self = match (std::mem::take(self), prefix) {
            (Common::Unseen, Some(prefix)) => Common::Shared(prefix),
            (Common::Unseen | Common::Nothing, None) => Common::Nothing,
            (Common::Shared(shared), Some(prefix)) if shared == prefix => Common::Shared(shared),
            (Common::Shared(_) | Common::Nothing | Common::Differs, _) => Common::Differs,
        };
    }
}

/// The prefixes worth keeping, each once, and a sentence for each arm without one.
///
/// # Errors
/// A limit in dollars could not be kept, because the price of keeping one is not known.
pub(super) fn worth_keeping(
    settings: &Settings,
    versions: &Versions,
    survey: &Survey,
    plan: &Plan,
) -> Result<(Vec<Prefix>, Vec<Problem>), Problems> {
    let (mut prefixes, mut notes) = (Vec::<Prefix>::new(), Vec::new());
    if !settings.cache_prefix || settings.cache == Cache::Only {
        return Ok((prefixes, notes));
    }
    let answers = survey.answers(plan, Confirming::new(settings).least());
    for (version, common) in versions.all().zip(&survey.common) {
        let name = &version.info.name;
        let reason = match common {
            Common::Unseen => continue,
            Common::Nothing => format!("`{name}` has neither a system instruction nor tools to cache"),
            Common::Differs => {
                format!(
                    "the system instruction or the tools of `{name}` differ from case to case, so they are not cached"
                )
            }
            Common::Shared(prefix) if !prefix.may_be_kept() => format!(
                "the prefix of `{name}` has about {} tokens; {} caches {} and more, so it is not cached",
                prefix.estimated_tokens(),
                prefix.model(),
                prefix.least_tokens()
            ),
            Common::Shared(_) if answers < 2 => {
                format!("the prefix of `{name}` is not cached for a single answer")
            }
            Common::Shared(prefix) => {
                if !prefixes.contains(prefix) {
                    prefixes.push(prefix.clone());
                }
                continue;
            }
        };
        let note = Problem::new(format!("--cache-prefix: {reason}"));
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    affordable(settings, &prefixes)?;
    Ok((prefixes, notes))
}

fn affordable(settings: &Settings, prefixes: &[Prefix]) -> Result<(), Problems> {
    let mut problems = Problems::default();
    if settings.max_cost.is_some() {
        let today = today();
        let unpriced = prefixes
            .iter()
            .map(Prefix::model)
            .filter(|model| keeping_usd(&settings.prices, model, 0, 0.0, today).is_none());
        for model in unpriced {
            problems.push(
                Problem::new(format!(
                    "the price of storing cached content of `{model}` is not known, so --max-cost can't be kept"
                ))
                .hint(format!(
                    "set storage under [prices.\"{model}\"] in promptgate.toml, or leave --cache-prefix out"
                )),
            );
        }
    }
    problems.or(())
}

/// Has the target keep its prefixes from here on.
pub(super) fn announce(target: &OpenedTarget, settings: &Settings, progress: &Arc<dyn Progress>) {
    if target.prefixes.is_empty() {
        return;
    }
    let (prices, today, progress) = (settings.prices.clone(), today(), Arc::clone(progress));
    target.target.cache_prefixes(Caching {
        prefixes: target.prefixes.clone(),
        timeout: settings.timeout,
        renew_after: RENEW_AFTER,
        price: Arc::new(move |model, tokens, hours| keeping_usd(&prices, model, tokens, hours, today)),
        tell: Arc::new(move |message| progress.on(&Event::Note { message })),
    });
}

/// What making a cached prefix costs: its tokens at the standard input rate, whatever the tier of the requests.
pub(super) fn making_usd(prices: &Prices, model: &str, tokens: u64, day: Date) -> Option<f64> {
    let made = Usage {
        prompt: tokens,
        ..Usage::default()
    };
    prices.cost_usd(model, &made, Tier::Standard, day)
}

/// What making it and keeping it for some hours costs.
fn keeping_usd(prices: &Prices, model: &str, tokens: u64, hours: f64, day: Date) -> Option<f64> {
    let made = making_usd(prices, model, tokens, day)?;
    Some(made + prices.storage_usd(model, tokens, hours, day)?)
}

fn today() -> Date {
    OffsetDateTime::now_utc().date()
}
