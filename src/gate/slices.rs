//! Does a part of the cases get worse, whatever the average says? Tag by tag.
//!
//! Each tag is a test of its own: the score statistic of its cases' differences against "no worse" gives a chance p. Many
//! tags make a small p somewhere likely, so a tag blocks only where p is small even among all of them (`multiplicity::believed`)
//! and the loss seen is at least `slice_margin`; where it is small for itself only, the tag holds a promotion. A critical
//! tag must moreover show that a loss of `critical_margin` is excluded. There nothing is adjusted: all of them have to
//! show it, and the chance that all do wrongly is no larger than that of one (R. L. Berger, "Multiparameter hypothesis
//! testing and acceptance sampling", Technometrics 24 (1982), 295-300).

use super::looks::Levels;
use super::statistics::differences;
use super::{phrases, reason};
use crate::domain::{Comparison, Estimand, Policy, Reason, ReasonCode, Slice, SliceGate};
use crate::stats::multiplicity::reject_hypotheses;
use crate::stats::planning::fewest_cases;
use crate::stats::score_test::{CORRECTION, Differences};

/// Tags with fewer cases, or clusters of them, are too small for a decision of their own.
const FEWEST: f64 = 10.0;
/// Losses are compared with the margin as computed; this much is rounding.
const ROUNDING: f64 = 1e-12;
const MAX_NAMED: usize = 3;

pub(super) struct SliceFindings {
    pub(super) slices: Vec<Slice>,
    pub(super) reasons: Vec<Reason>,
}

/// The numbers of all tags, without a decision.
pub(super) fn unanalyzed(comparison: &Comparison) -> Vec<Slice> {
    comparison.slices.iter().map(|sums| sums.slice.clone()).collect()
}

/// One tag in question.
struct Tag {
    missing_against: Differences,
    missing_for: Differences,
    large_enough: bool,
    critical: bool,
}

/// Decides for every tag. Blocks with every missing answer in the candidate's favour, holds with every one against it.
pub(super) fn analyze(policy: &Policy, levels: &Levels, comparison: &Comparison) -> SliceFindings {
    let mut slices = unanalyzed(comparison);
    let fewest = match comparison.estimand {
        Estimand::Population => FEWEST,
        // There a unit is one repeat of a case.
        Estimand::Dataset => FEWEST * f64::from(comparison.repeats),
    };
    let tags: Vec<Tag> = comparison
        .slices
        .iter()
        .map(|sums| {
            let missing_against = differences(comparison, &sums.missing_against);
            Tag {
                large_enough: missing_against.n() >= fewest,
                critical: policy.critical_tags.contains(&sums.slice.tag),
                missing_for: differences(comparison, &sums.missing_for),
                missing_against,
            }
        })
        .collect();
    let lost =
        |differences: &Differences| differences.mean().is_some_and(|mean| mean <= -policy.slice_margin + ROUNDING);
    let chance = |differences: &Differences| differences.chance_below(0.0, CORRECTION);
    let tested: Vec<usize> = (0..tags.len()).filter(|i| tags[*i].large_enough).collect();
    let chances: Vec<f64> = tested.iter().map(|i| chance(&tags[*i].missing_for)).collect();
    for (tag, slice) in tags.iter().zip(&mut slices) {
        slice.gate = if tag.large_enough { SliceGate::Ok } else { SliceGate::Unpowered };
    }
    // What blocked must at least hold once answers are missing, so it holds up to the larger of both errors.
    let doubtful = policy.alpha.max(policy.slice_q);
    for ((i, p), believed) in tested.iter().zip(&chances).zip(reject_hypotheses(&chances, policy.slice_q)) {
        let (tag, slice) = (&tags[*i], &mut slices[*i]);
        slice.p = Some(*p);
        if believed && lost(&tag.missing_for) {
            slice.gate = SliceGate::Block;
        } else if chance(&tag.missing_against) <= doubtful && lost(&tag.missing_against) {
            slice.gate = SliceGate::Hold;
        }
    }

    let named = |gate: SliceGate| -> Vec<String> {
        let of_gate = slices.iter().filter(|slice| slice.gate == gate);
        of_gate.map(described).collect()
    };
    let (blocked, held) = (named(SliceGate::Block), named(SliceGate::Hold));
    let tags_in = |named: &[String]| phrases::count(named.len() as u64, "tag");
    let mut reasons = Vec::new();
    if !blocked.is_empty() {
        let message = format!("{} got worse, whatever the average says: {}", tags_in(&blocked), listed(blocked));
        reasons.push(reason(ReasonCode::Slice, message));
    }
    if !held.is_empty() {
        let message = format!(
            "{} probably got worse, but not clearly enough to block: {}; more cases of the tag would settle it",
            tags_in(&held),
            listed(held)
        );
        reasons.push(reason(ReasonCode::SliceOpen, message));
    }
    if let Some(margin) = policy.critical_margin {
        let excluded = |missing_against: &Differences| {
            missing_against.z(-margin, CORRECTION) >= missing_against.critical(levels.promote)
        };
        let open: Vec<usize> =
            (0..tags.len()).filter(|i| tags[*i].critical && !excluded(&tags[*i].missing_against)).collect();
        // A tag that the comparison doesn't have is as open as one without cases.
        let absent = policy.critical_tags.iter().filter(|tag| !slices.iter().any(|slice| slice.tag == **tag));
        let mut parts: Vec<String> = open.iter().map(|i| described(&slices[*i])).collect();
        parts.extend(absent.map(|tag| format!("{} (no case)", phrases::quoted(tag))));
        if !parts.is_empty() {
            let message = format!(
                "for {} a loss of {} is not excluded: {}; {} that all come out alike would be enough for a tag",
                phrases::count(parts.len() as u64, "critical tag"),
                phrases::points(margin),
                listed(parts),
                phrases::count(fewest_cases(margin, levels.promote), "case")
            );
            reasons.push(reason(ReasonCode::SliceOpen, message));
        }
        for i in open {
            if slices[i].gate != SliceGate::Block {
                slices[i].gate = SliceGate::Hold;
            }
        }
    }
    SliceFindings { slices, reasons }
}

/// `refunds (60% against 84% in 25 cases, p 0.003)`.
fn described(slice: &Slice) -> String {
    let rates = match (slice.candidate, slice.baseline) {
        (Some(candidate), Some(baseline)) => {
            format!("{} against {} in ", phrases::percent(candidate), phrases::percent(baseline))
        }
        (_, _) => String::new(),
    };
    let cases = match slice.n {
        0 => "no case".to_owned(),
        n => phrases::count(n, "case"),
    };
    let p = slice.p.map_or_else(String::new, |p| format!(", {}", phrases::chance(p)));
    format!("{} ({rates}{cases}{p})", phrases::quoted(&slice.tag))
}

fn listed(names: Vec<String>) -> String {
    let total = names.len() as u64;
    phrases::list(names, total, MAX_NAMED)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{compared_tags as compared, draw_differences, policy, tag, units};
    use super::*;
    use crate::domain::{Look, TagSums, Unit, Units};
    use std::collections::BTreeMap;

    fn analyze(policy: &Policy, comparison: &Comparison) -> SliceFindings {
        let levels = Levels::of(policy, &Look::ONLY).unwrap();
        super::analyze(policy, &levels, comparison)
    }

    fn gates(looked: &SliceFindings) -> Vec<(&str, SliceGate)> {
        looked.slices.iter().map(|slice| (slice.tag.as_str(), slice.gate)).collect()
    }

    fn codes(looked: &SliceFindings) -> Vec<ReasonCode> {
        looked.reasons.iter().map(|reason| reason.code).collect()
    }

    #[test]
    fn each_tag_is_judged_for_itself() {
        use SliceGate::{Block, Hold, Ok, Unpowered};
        for (histogram, gate) in [
            // Ten cases are the fewest; nine that all break are none.
            (&[(-3, 9)][..], Unpowered),
            (&[(-3, 10)], Block),
            (&[(0, 25)], Ok),
            (&[(3, 25)], Ok),
            // A loss of 10 points in one case after the other is shown, 8 points are below the margin.
            (&[(-1, 30), (0, 70)], Block),
            (&[(-1, 24), (0, 76)], Ok),
            // A large loss in few cases is not shown.
            (&[(-3, 2), (0, 8)], Ok),
        ] {
            let looked = analyze(&policy(), &compared(3, vec![tag("a", histogram)]));
            assert_eq!(gates(&looked), [("a", gate)], "{histogram:?}");
            let expected: &[ReasonCode] = if gate == Block { &[ReasonCode::Slice] } else { &[] };
            assert_eq!(codes(&looked), expected, "{histogram:?}");
        }
        // Among many tags the same loss is likely by chance: it only holds.
        let lost = &[(-3, 6), (0, 14)];
        let mut many = vec![tag("lost", lost)];
        assert_eq!(gates(&analyze(&policy(), &compared(3, many.clone())))[0].1, Block);
        many.extend((0..40).map(|i| tag(&format!("other-{i}"), &[(-1, 2), (0, 16), (1, 2)])));
        let looked = analyze(&policy(), &compared(3, many));
        assert_eq!((gates(&looked)[0].1, codes(&looked)), (Hold, vec![ReasonCode::SliceOpen]));
    }

    #[test]
    fn missing_answers_keep_a_tag_from_blocking_and_may_hold_it() {
        let mut sums = tag("a", &[(-3, 10), (0, 10)]);
        sums.missing_for = units(&BTreeMap::from([(0, 20)]));
        let looked = analyze(&policy(), &compared(3, vec![sums]));
        assert_eq!(gates(&looked), [("a", SliceGate::Hold)]);
    }

    /// Five clusters of ten cases are five units, and one of them alone excludes nothing.
    #[test]
    fn clusters_are_the_units_of_tags() {
        let clusters = |count, lost: i128| {
            let mut all = Units::default();
            all.add(Unit { size: 10, sum: -lost }, count);
            let sums = TagSums { missing_against: all.clone(), missing_for: all, ..tag("a", &[]) };
            Comparison { clustered: true, ..compared(3, vec![sums]) }
        };
        for (count, lost, gate) in [(9, 30, SliceGate::Unpowered), (10, 30, SliceGate::Block), (10, 0, SliceGate::Ok)] {
            assert_eq!(gates(&analyze(&policy(), &clusters(count, lost))), [("a", gate)], "{count}");
        }
        let critical = Policy { critical_tags: vec!["a".to_owned()], critical_margin: Some(0.1), ..policy() };
        for (count, open) in [(1, true), (40, false)] {
            assert_eq!(!analyze(&critical, &clusters(count, 0)).reasons.is_empty(), open, "{count}");
        }
    }

    #[test]
    fn critical_tags_have_to_exclude_a_loss() {
        let critical = |margin, tags: &[&str]| Policy {
            critical_tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            critical_margin: Some(margin),
            ..policy()
        };
        for (n, margin, gate) in [(33, 0.10, SliceGate::Hold), (34, 0.10, SliceGate::Ok), (34, 0.05, SliceGate::Hold)] {
            let comparison = compared(3, vec![tag("a", &[(0, n)]), tag("b", &[(0, 5)])]);
            let looked = analyze(&critical(margin, &["a"]), &comparison);
            assert_eq!(gates(&looked), [("a", gate), ("b", SliceGate::Unpowered)], "{n} {margin}");
            assert_eq!(looked.reasons.is_empty(), gate == SliceGate::Ok);
        }
        // One that no case has is never settled by that.
        for slices in [Vec::new(), vec![tag("a", &[])]] {
            let looked = analyze(&critical(0.10, &["a"]), &compared(3, slices));
            assert_eq!(codes(&looked), [ReasonCode::SliceOpen]);
        }
        insta::assert_snapshot!(
            analyze(&critical(0.10, &["a", "b", "c", "d"]), &compared(3, vec![tag("a", &[(0, 33)])])).reasons[0].message, @"for 4 critical tags a loss of 10 points is not excluded: a (33 cases, p 0.500), b (no case), c (no case) and 1 more; 34 cases that all come out alike would be enough for a tag");
    }

    #[test]
    fn reasons_name_the_tags_and_their_numbers() {
        let mut sums: Vec<TagSums> = ["a", "b", "c", "d", "e"].map(|name| tag(name, &[(-3, 10), (0, 10)])).into();
        sums[0].slice.candidate = Some(0.5);
        sums[0].slice.baseline = Some(1.0);
        let looked = analyze(&policy(), &compared(3, sums));
        insta::assert_snapshot!(looked.reasons[0].message, @"5 tags got worse, whatever the average says: a (50% against 100% in 20 cases, p 0.001), b (20 cases, p 0.001), c (20 cases, p 0.001) and 2 more");
    }

    /// Cases as in the table of docs/statistics.md, of which the candidate loses the given share in the first tag.
    fn simulated(tags: usize, cases: u32, loss: f64, random: &mut fastrand::Rng) -> Comparison {
        let slices = (0..tags).map(|i| {
            let loss = if i == 0 { loss } else { 0.0 };
            tag(&i.to_string(), &draw_differences(cases, 3, loss, random))
        });
        compared(3, slices.collect())
    }

    /// Shares of runs, in percent, in which the first tag (any, without a loss) blocks, and in which it holds or blocks.
    fn shares(tags: usize, cases: u32, loss: f64, runs: u32) -> (f64, f64) {
        let mut random = fastrand::Rng::with_seed(20_260_101);
        let (mut blocks, mut stops) = (0u32, 0u32);
        for _ in 0..runs {
            let looked = analyze(&policy(), &simulated(tags, cases, loss, &mut random));
            let of = if loss > 0.0 { 1 } else { tags };
            let any = |gate| looked.slices[..of].iter().any(|slice| slice.gate == gate);
            blocks += u32::from(any(SliceGate::Block));
            stops += u32::from(any(SliceGate::Block) || any(SliceGate::Hold));
        }
        let percent = |n: u32| 100.0 * f64::from(n) / f64::from(runs);
        (percent(blocks), percent(stops))
    }

    /// Cells of the table in docs/gate.md, within four standard errors of this simulation.
    #[test]
    fn tags_block_as_often_as_the_documentation_says() {
        for (tags, cases, loss, runs, block, stop, within) in [
            (8, 25, 0.0, 400, 0.0, 0.2, 1.0),
            (8, 25, 0.2, 400, 1.8, 71.0, 9.0),
            (8, 100, 0.2, 100, 98.0, 99.0, 6.0),
            (5, 20, 0.3, 400, 12.0, 86.0, 7.0),
        ] {
            let (blocks, stops) = shares(tags, cases, loss, runs);
            assert!(
                (blocks - block).abs() <= within && (stops - stop).abs() <= within,
                "{tags} x {cases}, {loss}: {blocks}, {stops}"
            );
        }
    }
}
