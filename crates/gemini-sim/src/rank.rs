//! Ranking of passages against a question: BM25 over stems, with the surroundings of a passage at a lower weight.

use super::reader::{Document, Passage};
use super::words::Term;

/// Saturation of repeated terms.
const K1: f32 = 1.2;
/// How much a long passage is held back.
const B: f32 = 0.35;
/// Weight of a term in a passage's surroundings.
const CONTEXT: f32 = 0.55;
/// Terms of a question beyond this many are ignored.
const MOST_TERMS: usize = 96;

/// What is looked for: terms with weights, no term twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Query {
    terms: Vec<(Term, f32)>,
}

impl Query {
    /// Looks for these terms, all of one weight.
    pub(super) fn of(terms: impl Iterator<Item = Term>) -> Query {
        let mut query = Query::default();
        query.add(terms, 1.0);
        query
    }

    /// Adds terms; one that is already there keeps the larger weight.
    pub(super) fn add(&mut self, terms: impl Iterator<Item = Term>, weight: f32) {
        for term in terms {
            if let Some((_, known)) = self.terms.iter_mut().find(|(known, _)| *known == term) {
                *known = known.max(weight);
            } else if self.terms.len() < MOST_TERMS {
                self.terms.push((term, weight));
            }
        }
    }

    /// The term is looked for.
    pub(super) fn has(&self, term: Term) -> bool {
        self.terms.iter().any(|(known, _)| *known == term)
    }
}

/// A passage and how well it answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct RankedPassage<'a> {
    pub(super) document: &'a Document,
    pub(super) passage: &'a Passage,
    /// 0 or more; comparable within one question.
    pub(super) score: f32,
    /// Share of the question's weight that the passage covers, 0..=1.
    pub(super) coverage: f32,
}

/// All passages that share anything with the question, best first; ties in the order of the text.
///
/// `favours` is asked for a factor on each passage's score, for instance because a number is wanted.
pub(super) fn rank<'a>(
    documents: &[&'a Document],
    query: &Query,
    favours: impl Fn(&Passage) -> f32,
) -> Vec<RankedPassage<'a>> {
    let passages = || documents.iter().flat_map(|document| document.passages.iter().map(move |p| (*document, p)));
    let count = documents.iter().map(|document| document.passages.len()).sum::<usize>();
    let length = passages().map(|(_, passage)| passage.terms.len()).sum::<usize>();
    let mean = (length as f32 / count.max(1) as f32).max(1.0);
    let weights = weights(passages().map(|(_, passage)| passage), query, count);
    let whole: f32 = weights.iter().sum();

    let mut ranked = Vec::with_capacity(count.min(64));
    for (document, passage) in passages() {
        let held = K1 * (1.0 - B + B * passage.terms.len() as f32 / mean);
        let mut score = 0.0;
        let mut covered = 0.0;
        for ((term, _), weight) in query.terms.iter().zip(&weights) {
            let own = passage.terms.iter().filter(|known| *known == term).count() as f32;
            let near = if own == 0.0 && passage.context.contains(term) { CONTEXT } else { 0.0 };
            let frequency = own + near;
            if frequency > 0.0 {
                score += weight * frequency * (K1 + 1.0) / (frequency + held);
                covered += weight * frequency.min(1.0);
            }
        }
        if score > 0.0 {
            ranked.push(RankedPassage {
                document,
                passage,
                score: score * favours(passage),
                coverage: covered / whole,
            });
        }
    }
    ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
    ranked
}

/// Inverse document frequency of each term of the question, times its own weight.
fn weights<'a>(passages: impl Iterator<Item = &'a Passage>, query: &Query, count: usize) -> Vec<f32> {
    let mut found = vec![0u32; query.terms.len()];
    for passage in passages {
        for ((term, _), found) in query.terms.iter().zip(&mut found) {
            *found += u32::from(passage.terms.contains(term) || passage.context.contains(term));
        }
    }
    let count = count as f32;
    query
        .terms
        .iter()
        .zip(found)
        .map(|((_, weight), found)| {
            let found = found as f32;
            weight * (1.0 + (count - found + 0.5) / (found + 0.5)).ln()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::terms;

    fn best(text: &str, question: &str) -> (String, f32) {
        let document = Document::read(text);
        let ranked = rank(&[&document], &Query::of(terms(question)), |_| 1.0);
        (ranked[0].passage.text.clone(), ranked[0].coverage)
    }

    #[test]
    fn rare_words_weigh_more() {
        let text = "The zoo opens at nine. The zoo shows lions. The zoo feeds penguins at noon.";
        assert_eq!(best(text, "When does the zoo feed the penguins?").0, "The zoo feeds penguins at noon.");
        assert_eq!(best(text, "Are there lions in the zoo?").0, "The zoo shows lions.");
    }

    #[test]
    fn ties_go_to_the_first_and_headings_count() {
        assert_eq!(best("Red door. Red gate.", "red?").0, "Red door.");
        let text = "# Winter\nWe open at ten.\n# Summer\nWe open at nine.";
        assert_eq!(best(text, "When do you open in summer?").0, "We open at nine.");
    }

    #[test]
    fn coverage_tells_strangers() {
        let text = "The zoo opens at nine. Lions sleep.";
        assert!(best(text, "When does the zoo open?").1 > 0.9);
        assert!(best(text, "Does the zoo sell second-hand bicycles?").1 < 0.4);
    }
}
