//! The rule of a paired comparison: which losses block, and which have to be excluded.

use super::score_test::{CORRECTION, Differences};
use crate::domain::Policy;

/// The two thresholds and their error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// A loss of this much has to be excluded to promote; above 0.
    pub margin: f64,
    /// A loss of more than this, once it is shown, blocks; above 0, at most the margin.
    pub tolerance: f64,
    /// Error of promoting, one-sided.
    pub alpha: f64,
    /// Error of blocking, one-sided.
    pub block_alpha: f64,
}

impl Rule {
    pub fn of(policy: &Policy) -> Rule {
        let Policy { margin, tolerance, alpha, block_alpha, .. } = *policy;
        Rule { margin, tolerance, alpha, block_alpha }
    }

    /// The numbers are thresholds and an error: `0 < tolerance <= margin < 1`, `both errors in 0..1/2.
    pub fn is_sound(&self) -> bool {
        self.tolerance > 0.0
            && self.tolerance <= self.margin
            && self.margin < 1.0
            && [self.alpha, self.block_alpha].iter().all(|alpha| *alpha > 0.0 && *alpha < 0.5)
    }

    /// A loss beyond the tolerance is shown: Z(-tolerance) is at most minus the critical value of these units.
    pub fn blocks(&self, differences: &Differences) -> bool {
        self.blocks_at(differences, differences.critical(self.block_alpha))
    }

    /// A loss of the margin is excluded: Z(-margin) is at least the critical value of these units; and none beyond the
    /// tolerance is shown, with the larger of both errors.
    pub fn promotes(&self, differences: &Differences) -> bool {
        self.promotes_at(differences, differences.critical(self.alpha))
            && !self.blocks_at(differences, differences.critical(self.alpha.max(self.block_alpha)))
    }

    /// Whether it promotes, and whether it blocks.
    pub fn decide(&self, differences: &Differences) -> (bool, bool) {
        (self.promotes(differences), self.blocks(differences))
    }

    /// [`Rule::blocks`] at another critical value, like the bound of a look that is not the last.
    pub fn blocks_at(&self, differences: &Differences, critical: f64) -> bool {
        differences.z(-self.tolerance, CORRECTION) <= -critical
    }

    /// [`Rule::promotes`] at another critical value.
    pub fn promotes_at(&self, differences: &Differences, critical: f64) -> bool {
        differences.z(-self.margin, CORRECTION) >= critical
    }
}

#[cfg(test)]
mod tests {
    use super::super::score_test::UnitKind;
    use super::*;
    use crate::domain::{Unit, Units};

    const RULE: Rule = Rule { margin: 0.05, tolerance: 0.01, alpha: 0.05, block_alpha: 0.015 };

    fn alike(units: u64, kind: UnitKind) -> Differences {
        let mut all = Units::default();
        all.add(Unit::case(1, 0), units);
        Differences::of_units(&all, 1, kind)
    }

    #[test]
    fn seventy_equal_cases_promote_and_nothing_decides_nothing() {
        for (units, promotes) in [(0, false), (69, false), (70, true)] {
            let differences = alike(units, UnitKind::Case);
            assert_eq!(RULE.promotes(&differences), promotes, "{units}");
            assert!(!RULE.blocks(&differences));
        }
    }

    /// With a margin of 15 points 22 equal cases are enough by the normal distribution, and 22 clusters are not.
    #[test]
    fn few_clusters_have_to_show_more() {
        let wide = Rule { margin: 0.15, ..RULE };
        assert!(wide.promotes(&alike(22, UnitKind::Case)));
        assert!(!wide.promotes(&alike(22, UnitKind::Cluster)));
        assert!(wide.promotes(&alike(26, UnitKind::Cluster)));
        // A single cluster never decides, whatever it says.
        let mut one = Units::default();
        one.add(Unit { size: 1000, sum: -1000 }, 1);
        let one = Differences::of_units(&one, 1, UnitKind::Cluster);
        assert!(!RULE.blocks(&one) && !RULE.promotes(&one));
    }

    #[test]
    fn an_early_look_has_to_show_more() {
        let differences = alike(100, UnitKind::Case);
        assert!(RULE.promotes(&differences));
        assert!(!RULE.promotes_at(&differences, 2.961));
        assert!(!RULE.blocks_at(&differences, 2.961));
    }
}
