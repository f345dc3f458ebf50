//! What is asked twice: cases with the same input under different ids, and cases whose inputs nearly are the same.
//!
//! Two cases are *near duplicates* when they have the same variables, the same history, the same numbers in the same order,
//! and texts that are alike: the product over their variables of the Jaccard similarity of the sets of five consecutive
//! characters is at least [`NEAR`]. Letter case, punctuation and white space count for nothing. Cases that differ in a
//! number are a person's series, and no near duplicates.
//!
//! All pairs of 100,000 cases would be too many, so candidates are found by MinHash (A. Broder, "On the resemblance and
//! containment of documents", 1997): [`HASHES`] hashes in [`BANDS`] bands of 4; cases that agree in a band are compared
//! with the [`NEIGHBOURS`] before them in it, by an estimate first, and the few that are left exactly, when the cases come
//! a second time. A pair at the threshold is missed with a chance of less than one in a million by the bands, and of a few
//! per cent by the estimate. Of each case are kept: id and place, its 64 hashes of 4 bytes, and 16 bands of 16 bytes.

use super::checks::first_contradiction;
use super::claims::claims;
use super::finding::{Finding, Findings, Level};
use super::words::{START, hash, plain};
use super::{MAX_CASES, Matchers, named};
use crate::domain::{Case, CaseId, CheckSpec, Place, digest};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How alike near duplicates are.
pub(super) const NEAR: f64 = 0.9;
/// What the estimate must say before two cases are compared exactly: [`NEAR`] less two standard errors.
const PROMISING: f64 = 0.82;
const HASHES: usize = 64;
const BANDS: usize = 16;
const ROWS: usize = HASHES / BANDS;
/// How many earlier cases of a band a case is compared with.
const NEIGHBOURS: usize = 8;
/// How many pairs are compared exactly; bounds what the second pass keeps.
const MAX_PAIRS: usize = 2000;
const SHINGLE: usize = 5;
/// How much of a variable's text is cut into shingles, in bytes; what is behind it must be the same.
const MAX_TEXT: usize = 4096;

#[derive(Default)]
pub(super) struct Duplicates {
    cases: Vec<CaseSketch>,
    by_input: HashMap<[u8; 16], u32>,
    /// Bands and cases.
    bands: Vec<(u64, u32)>,
    /// Cases with the same input: the later one, and the first.
    same: Vec<(u32, u32)>,
    /// Cases that may be near duplicates: the later one, and an earlier one.
    near: Vec<(u32, u32)>,
    wanted: BTreeSet<u32>,
    /// Cases of the second pass so far.
    second_pass: u32,
    details: BTreeMap<u32, CaseDetail>,
    beyond: u64,
}

struct CaseSketch {
    id: CaseId,
    place: Place,
    hashes: Box<[u32; HASHES]>,
    is_first: bool,
}

/// What is kept of a case that came a second time.
struct CaseDetail {
    checks: Vec<CheckSpec>,
    shingles: Vec<BTreeSet<u64>>,
}

impl Duplicates {
    pub(super) fn add(&mut self, case: &Case) {
        if self.cases.len() >= MAX_CASES {
            self.beyond += 1;
            return;
        }
        let number = self.cases.len() as u32;
        let first = *self.by_input.entry(input(case)).or_insert(number);
        if first != number {
            self.same.push((number, first));
        }
        let texts = Texts::of(case);
        let hashes = texts.hashes();
        if first == number && texts.has_words() {
            for (band, rows) in hashes.chunks(ROWS).enumerate() {
                let start = hash(texts.frame, &[band as u8]);
                let key = rows.iter().fold(start, |key, row| hash(key, &row.to_le_bytes()));
                self.bands.push((key, number));
            }
        }
        self.cases.push(CaseSketch {
            id: case.id.clone(),
            place: case.place.clone(),
            hashes: Box::new(hashes),
            is_first: first == number,
        });
    }

    /// Finds the pairs that are worth a second look. There are some?
    pub(super) fn select_pairs(&mut self, findings: &mut Findings) -> bool {
        for (number, first) in &self.same {
            if let (Some(case), Some(first)) = (self.cases.get(*number as usize), self.cases.get(*first as usize)) {
                let message = format!(
                    "case `{}` asks the same as `{}` at {}: vars and history are equal",
                    case.id, first.id, first.place
                );
                let help = "put the checks of both into one case, so that the question does not count twice";
                findings.push(Finding::at(&case.place, Level::Warning, "duplicate-case", message, help));
            }
        }
        let mut near: BTreeMap<u32, (u32, usize)> = BTreeMap::new();
        let mut bands = std::mem::take(&mut self.bands);
        bands.sort_unstable();
        for band in bands.chunk_by(|one, other| one.0 == other.0) {
            for (at, (_, number)) in band.iter().enumerate() {
                for (_, earlier) in &band[at.saturating_sub(NEIGHBOURS)..at] {
                    let alike = self.alike(*number, *earlier);
                    if alike as f64 >= PROMISING * HASHES as f64 {
                        let best = near.entry(*number).or_insert((*earlier, alike));
                        // The most alike, and of those the first.
                        if alike > best.1 || (alike == best.1 && *earlier < best.0) {
                            *best = (*earlier, alike);
                        }
                    }
                }
            }
        }
        self.near = near.into_iter().map(|(number, (earlier, _))| (number, earlier)).collect();
        let left_out = self.near.len().saturating_sub(MAX_PAIRS) + self.same.len().saturating_sub(MAX_PAIRS);
        self.near.truncate(MAX_PAIRS);
        self.same.truncate(MAX_PAIRS);
        if left_out > 0 || self.beyond > 0 {
            let message = format!(
                "{left_out} pairs of cases that look alike, and {} cases beyond the first {MAX_CASES}, were not compared in \
                 full",
                self.beyond
            );
            let help = "remove the duplicates that are listed, and lint again";
            findings.push(Finding::incomplete(None, message, help));
        }
        let pairs = self.same.iter().chain(&self.near);
        self.wanted = pairs.flat_map(|(one, other)| [*one, *other]).collect();
        !self.wanted.is_empty()
    }

    fn alike(&self, one: u32, other: u32) -> usize {
        match (self.cases.get(one as usize), self.cases.get(other as usize)) {
            (Some(one), Some(other)) if one.is_first && other.is_first => {
                one.hashes.iter().zip(other.hashes.iter()).filter(|(a, b)| a == b).count()
            }
            (_, _) => 0,
        }
    }

    pub(super) fn add_detail(&mut self, case: Case) {
        let number = self.second_pass;
        self.second_pass += 1;
        if self.wanted.contains(&number) {
            let detail = CaseDetail { shingles: Texts::of(&case).shingles(), checks: case.checks };
            self.details.insert(number, detail);
        }
    }

    pub(super) fn finish(&self, matchers: &dyn Matchers, findings: &mut Findings) {
        for (number, first) in &self.same {
            if let (Some(case), Some(earlier)) = (self.find(*number), self.find(*first)) {
                contradictory(case, earlier, matchers, findings);
            }
        }
        for (number, earlier) in &self.near {
            let (Some((case, kept)), Some((earlier, other))) = (self.find(*number), self.find(*earlier)) else {
                continue;
            };
            let similarity: f64 =
                kept.shingles.iter().zip(&other.shingles).map(|(one, other)| jaccard(one, other)).product();
            if similarity >= NEAR {
                let message = format!(
                    "case `{}` asks nearly the same as `{}` at {}: {:.0} % alike",
                    case.id,
                    earlier.id,
                    earlier.place,
                    (similarity * 100.0).floor()
                );
                let help =
                    "make them differ, or keep one of them: cases that move together count for less than they seem to";
                findings.push(Finding::at(&case.place, Level::Note, "near-duplicate", message, help));
            }
        }
    }

    fn find(&self, number: u32) -> Option<(&CaseSketch, &CaseDetail)> {
        Some((self.cases.get(number as usize)?, self.details.get(&number)?))
    }
}

/// Two cases that ask the same and expect what excludes each other.
fn contradictory(
    (case, kept): (&CaseSketch, &CaseDetail),
    (first, earlier): (&CaseSketch, &CaseDetail),
    matchers: &dyn Matchers,
    findings: &mut Findings,
) {
    let (ours, theirs) = (claims(&kept.checks, matchers), claims(&earlier.checks, matchers));
    let pair = ours.iter().find_map(|a| {
        let (one, other) = first_contradiction(std::slice::from_ref(a), &theirs, matchers)?;
        // They may have been swapped to stand in order.
        Some(if std::ptr::eq(one, a) { (one, other) } else { (other, one) })
    });
    if let Some((a, b)) = pair {
        let name = |checks: &[CheckSpec], number: usize| {
            checks.get(number).map_or_else(String::new, |it| named(number, it, matchers))
        };
        let message = format!(
            "no prompt can pass both: {} of case `{}` and {} of case `{}` at {} exclude each other, and both ask the same",
            name(&kept.checks, a.from),
            case.id,
            name(&earlier.checks, b.from),
            first.id,
            first.place
        );
        let help = "decide which one is right";
        findings.push(Finding::at(&case.place, Level::Error, "contradictory-duplicates", message, help));
    }
}

fn jaccard(one: &BTreeSet<u64>, other: &BTreeSet<u64>) -> f64 {
    let common = one.intersection(other).count();
    match one.len() + other.len() - common {
        0 => 1.0,
        all => common as f64 / all as f64,
    }
}

/// Digest of vars and history; the order of keys says nothing.
pub(super) fn input(case: &Case) -> [u8; 16] {
    let history: Vec<Value> =
        case.history.iter().map(|turn| Value::from(vec![format!("{:?}", turn.role), turn.text.clone()])).collect();
    let vars = sorted(&Value::Object(case.vars.clone())).to_string();
    let whole = digest([vars.as_bytes(), Value::from(history).to_string().as_bytes()]);
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let entries: BTreeMap<&String, &Value> = map.iter().collect();
            entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        Value::Array(list) => list.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

struct Texts {
    /// The plain text of each variable that is a text, by name; at most [`MAX_TEXT`] bytes.
    texts: Vec<String>,
    /// Digest of all that must be the same.
    frame: u64,
}

impl Texts {
    fn of(case: &Case) -> Texts {
        let mut frame = START;
        let mut texts = Vec::new();
        let vars: BTreeMap<&String, &Value> = case.vars.iter().collect();
        for (name, value) in vars {
            frame = hash(hash(frame, name.as_bytes()), &[0]);
            let Some(text) = value.as_str() else {
                frame = hash(frame, sorted(value).to_string().as_bytes());
                continue;
            };
            let mut text = plain(text);
            let numbers = text.split(' ').filter(|word| word.contains(char::is_numeric));
            frame = numbers.fold(frame, |frame, number| hash(hash(frame, number.as_bytes()), &[1]));
            let mut end = MAX_TEXT.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            frame = hash(frame, &text.as_bytes()[end..]);
            text.truncate(end);
            texts.push(text);
        }
        for turn in &case.history {
            frame = hash(frame, &[turn.role as u8]);
            frame = hash(frame, plain(&turn.text).as_bytes());
        }
        Texts { texts, frame }
    }

    fn has_words(&self) -> bool {
        self.texts.iter().any(|text| !text.is_empty())
    }

    fn shingles(&self) -> Vec<BTreeSet<u64>> {
        self.texts.iter().map(|text| shingles(text)).collect()
    }

    /// One hash of all variables for each permutation: it agrees with the chance of the product of their similarities.
    fn hashes(&self) -> [u32; HASHES] {
        let mut all = [START; HASHES];
        for set in self.shingles() {
            let mut smallest = [u64::MAX; HASHES];
            for shingle in set {
                for (smallest, factor) in smallest.iter_mut().zip(FACTORS) {
                    *smallest = (*smallest).min(mix(shingle ^ factor));
                }
            }
            for (sum, smallest) in all.iter_mut().zip(smallest) {
                *sum = hash(*sum, &smallest.to_le_bytes());
            }
        }
        all.map(|sum| (mix(sum) >> 32) as u32)
    }
}

/// Hashes of all [`SHINGLE`] characters in a row; of a shorter text, of all of it.
fn shingles(text: &str) -> BTreeSet<u64> {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    if starts.len() <= SHINGLE {
        return BTreeSet::from([hash(START, text.as_bytes())]);
    }
    starts
        .windows(SHINGLE + 1)
        .filter_map(|places| text.get(places[0]..places[SHINGLE]))
        .map(|shingle| hash(START, shingle.as_bytes()))
        .collect()
}

/// The finalizer of SplitMix64 (G. Steele et al., 2014): a permutation of 64 bits without visible order.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What makes the permutations differ.
const FACTORS: [u64; HASHES] = {
    let mut factors = [0; HASHES];
    let mut i = 0;
    while i < HASHES {
        factors[i] = mix((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        i += 1;
    }
    factors
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Silent;

    impl Matchers for Silent {
        fn passes(&self, _: &CheckSpec, _: &str) -> Option<bool> {
            None
        }

        fn logic(&self, _: &CheckSpec) -> Option<crate::domain::Logic> {
            None
        }

        fn constraint(&self, _: &CheckSpec) -> Option<crate::domain::Constraint> {
            None
        }

        fn secrets(&self, _: &str) -> Vec<(&'static str, std::ops::Range<usize>)> {
            Vec::new()
        }

        fn personal_data(&self, _: &str) -> Vec<(&'static str, std::ops::Range<usize>)> {
            Vec::new()
        }
    }

    fn case(number: usize, vars: &Value) -> Case {
        Case {
            place: Place::at("f", number as u32 + 1, 1),
            vars: vars.as_object().unwrap().clone(),
            ..Case::new(number.to_string())
        }
    }

    /// Pairs of near duplicates: the later one, and the one it is like.
    fn near(vars: &[Value]) -> Vec<String> {
        let mut duplicates = Duplicates::default();
        let mut findings = Findings::default();
        let cases = || vars.iter().enumerate().map(|(number, vars)| case(number, vars));
        cases().for_each(|case| duplicates.add(&case));
        if duplicates.select_pairs(&mut findings) {
            cases().for_each(|case| duplicates.add_detail(case));
        }
        duplicates.finish(&Silent, &mut findings);
        let near = findings.sorted().into_iter().filter(|it| it.code == "near-duplicate");
        let words = |message: String| message.split('`').skip(1).step_by(2).take(2).collect::<Vec<_>>().join("-");
        near.map(|finding| words(finding.message)).collect()
    }

    /// Words that look alike in no way.
    fn text(seed: u64, words: u64) -> String {
        let word = |i: u64| format!("{:x}", mix(seed * 10_000 + i) >> 20).replace(|c: char| c.is_ascii_digit(), "z");
        (0..words).map(word).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_pair_that_is_alike_enough_is_found_among_many_others() {
        let mut vars: Vec<Value> = (0..300).map(|i| json!({"q": text(i, 40)})).collect();
        let expected: Vec<String> = (0..100)
            .map(|i| {
                // One word of forty is another one.
                let changed = text(i, 40).replacen(&text(i, 1), "another", 1);
                vars.push(json!({"q": changed}));
                format!("{}-{i}", 300 + i)
            })
            .collect();
        assert_eq!(near(&vars), expected);
    }

    #[test]
    fn a_long_text_that_all_cases_share_makes_none_alike() {
        let shared = text(1, 500);
        let same_context: Vec<Value> = (0..50).map(|i| json!({"context": shared, "q": text(2 + i, 8)})).collect();
        assert!(near(&same_context).is_empty());
        let same_question: Vec<Value> = (0..3).map(|_| json!({"q": text(1, 8), "n": 1})).collect();
        assert!(near(&same_question).is_empty(), "those are duplicates, not near ones");
    }

    #[test]
    fn what_is_not_text_and_what_lies_behind_the_bound_must_be_the_same() {
        let long = text(1, 2000);
        assert!(long.len() > 2 * MAX_TEXT);
        let pair = |one: Value, other: Value| near(&[one, other]).len();
        assert_eq!(pair(json!({"q": long}), json!({"q": format!("{long}!")})), 1);
        assert_eq!(pair(json!({"q": long}), json!({"q": format!("{long} more")})), 0);
        assert_eq!(pair(json!({"q": "a b c", "n": 1}), json!({"q": "A, b, c", "n": 2})), 0);
        assert_eq!(pair(json!({"q": "a b c", "n": 1}), json!({"q": "A, b, c", "n": 1})), 1);
        assert_eq!(pair(json!({"q": "a b c"}), json!({"p": "A, b, c"})), 0);
        assert_eq!(pair(json!({"q": "in 30 days"}), json!({"q": "In 30 days?"})), 1);
        assert_eq!(pair(json!({"q": format!("{long} 30")}), json!({"q": format!("{long} 31")})), 0);
    }

    #[test]
    fn many_cases_that_are_alike_cost_a_bounded_number_of_comparisons() {
        let question = text(1, 40);
        let vars: Vec<Value> = (0..2100).map(|i| json!({"q": format!("{question}{}", "!".repeat(i))})).collect();
        let mut duplicates = Duplicates::default();
        let mut findings = Findings::default();
        vars.iter().enumerate().for_each(|(number, vars)| duplicates.add(&case(number, vars)));
        assert!(duplicates.select_pairs(&mut findings));
        assert_eq!(duplicates.near.len(), MAX_PAIRS);
        let told: Vec<&str> = findings.sorted().iter().map(|it| it.code).collect();
        assert_eq!(told, ["incomplete"]);
    }
}
