//! The test behind the verdict: a score test for the mean of paired differences.
//!
//! For pass/fail answers asked once it is the test of T. Tango, "Equivalence test and confidence interval for the
//! difference in proportions for the paired-sample design", Statistics in Medicine 17 (1998), 891-908. For k repeats,
//! where a case's difference d is one of -1, -1+1/k, …, 1, it is generalised the way empirical likelihood does it: the
//! variance of d is taken under the distribution that fits the data best among those with mean `mu0`, where mass may
//! also sit on -1 and 1 although no case was seen there. So a candidate that answered like the baseline everywhere still
//! has a variance, and a handful of cases proves nothing.
//!
//! Let `tot = Σ (d - mu0)`, positive for the moment (else mirror everything), `X = d - mu0`, and `far = mu0 + 1` the
//! distance from `mu0` to the end opposite to the data. The fitted weights are `p = 1 / (n (1 + t X))` with
//! `Σ p X = 0`; if no `t` in `0..1/far` solves that, `t = 1/far` and the missing mass sits on the far end. Then
//!
//! ```text
//! V = Σ p X² + rest far²        Z(mu0) = (|tot| - cc) / √(n V), with the sign of tot; 0 when |tot| <= cc
//! ```
//!
//! `cc` = 1/2 keeps the chance of a wrong promotion under its nominal 5% also for small n, where it would reach 5.9%
//! without it.
//!
//! # Units that are no single cases
//!
//! What is independent is the unit: a case, or a cluster of cases. A unit has a size `s` (the weights of its cases, without
//! weights their number) and the sum `y` of its weighted differences, and the mean difference is the ratio `Σ y / Σ s`. The
//! test is the same with
//!
//! ```text
//! X = (y - s mu0) / s̄        far = (mu0 + 1) m        s̄ = mean size, m = mean of (s / s̄)²
//! ```
//!
//! which is the form above where all sizes are equal: there `m = 1`. No unit has lost everything perhaps, and which ones could
//! is not known. V takes the chance of it to be the same for every unit, so that what breaks has the mean size of what an
//! average case stands in. A unit seen further away than `far` moves `far` there.
//!
//! Few heavy units tell little of their own variance. So V is at least what it would be if a difference had nothing to do with
//! the size: that of `y / s`, fitted as above with the units counted by their sizes, times `m` (the design effect of L. Kish).
//!
//! For clusters the first is the score form of the usual robust variance of clustered matched pairs (N. A. Obuchowski,
//! Statistics in Medicine 17 (1998), 1495-1507). Single weighted cases use it too, not `X = s d / s̄ - mu0`: with that form
//! cases that all differ by the same amount would still vary by their weights, and a cluster of one case would not be that
//! case. The correction stays half a unit of mean size. Few clusters have a t distribution, not a normal one:
//! [`Differences::critical`].

use super::{normal, student};
use crate::domain::{Unit, Units};
use std::collections::BTreeMap;

/// The continuity correction of the gate, on the scale of a sum of differences of units of mean size.
pub const CORRECTION: f64 = 0.5;

/// Fewer clusters than this are compared with Student's t.
const FEW_CLUSTERS: f64 = 40.0;

/// The bisections end when doubles do; this only bounds them.
const STEPS: usize = 200;

/// More kinds of units of one size than this are put together in cells. That bounds the time of a decision: a million
/// different scores cost no more than this many.
const KINDS: usize = 8_192;
/// Cells over the differences -1..=1.
const CELLS: f64 = 4_096.0;

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// A case.
    Case,
    /// A cluster of cases.
    Cluster,
}

/// Differences of units, as a histogram.
///
/// Sums are exact. Units of one size that have more than some thousand different means are put together in cells 1/2048
/// wide; a cell keeps the mean of its units and their variance, so that Z moves by less than 1e-6 of itself in data that
/// vary by more than a few cells, and the ends -1 and 1 are never mixed with anything.
#[derive(Clone, Debug, PartialEq)]
pub struct Differences {
    cells: Vec<Cell>,
    kind: UnitKind,
    /// Number of units.
    n: f64,
    /// Sum of differences, in whole scores of a unit of mean size.
    sum: f64,
    /// Mean of the squared relative sizes: 1 where all are equal.
    unevenness: f64,
}

/// Alike units, in whole scores of a unit of mean size.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cell {
    units: f64,
    size: f64,
    /// Mean sum of differences.
    sum: f64,
    /// `sum + size` and `size - sum`: how far it is from all lost and from all won; without cancellation.
    from_lost: f64,
    from_won: f64,
    /// Variance of the sums put together here; 0 for a single kind.
    spread: f64,
}

impl Differences {
    /// Takes cases by passes(candidate) - passes(baseline), which lies in `-repeats..=repeats`; what lies outside is
    /// moved to the nearer end. Without repeats there are no cases.
    pub fn new(histogram: &BTreeMap<i64, u64>, repeats: u32) -> Differences {
        let mut units = Units::default();
        for (difference, cases) in histogram {
            units.add(Unit::case(1, *difference), *cases);
        }
        Differences::of_units(&units, u64::from(repeats), UnitKind::Case)
    }

    /// Takes units whose sums have `parts` parts of a whole score. A sum beyond `size x parts` is moved to that end.
    /// Without parts there are no units.
    pub fn of_units(units: &Units, parts: u64, kind: UnitKind) -> Differences {
        Differences::together(units, parts, kind, KINDS)
    }

    /// Puts units of one size together in cells if they are of more than `most` kinds.
    fn together(units: &Units, parts: u64, kind: UnitKind, most: usize) -> Differences {
        let parts = i128::from(parts);
        let (mut count, mut size, mut sum, mut squares) = (0u128, 0u128, 0i128, 0u128);
        let mut all: Vec<CellSum> = Vec::new();
        // Where those of the present size begin, and whether they are put together already.
        let (mut start, mut merging) = (0, false);
        // One walk, because a million different units take longer to be walked over than to be looked at. They come by size,
        // then by sum.
        for (unit, alike) in units.iter().filter(|_| parts > 0) {
            let one = CellSum::new(unit.size, clamped(unit, parts), alike);
            count += u128::from(alike);
            size += u128::from(unit.size) * u128::from(alike);
            squares = squares.saturating_add(u128::from(unit.size).pow(2).saturating_mul(u128::from(alike)));
            sum = sum.saturating_add(one.sum);
            if all.last().is_some_and(|last| last.size != unit.size) {
                (start, merging) = (all.len(), false);
            }
            if merging {
                one.join(&mut all, parts);
                continue;
            }
            all.push(one);
            if all.len() - start > most {
                merging = true;
                let singles = all.split_off(start);
                for one in singles {
                    one.join(&mut all, parts);
                }
            }
        }
        let n = count as f64;
        let mean_size = size as f64 / n.max(1.0);
        let whole = parts as f64 * mean_size;
        let cells = all.iter().map(|one| one.cell(parts, whole, mean_size)).collect();
        Differences {
            cells,
            kind,
            n,
            // Rounding must not carry it beyond the ends.
            sum: if n > 0.0 { (sum as f64 / whole).clamp(-n, n) } else { 0.0 },
            // Equal sizes give the very same number twice.
            unevenness: if n > 0.0 {
                (count.saturating_mul(squares) as f64 / size.saturating_mul(size) as f64).max(1.0)
            } else {
                1.0
            },
        }
    }

    /// Number of units.
    pub fn n(&self) -> f64 {
        self.n
    }

    /// Mean difference, in -1..=1; `None` without units.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0.0).then(|| self.sum / self.n)
    }

    /// Sample variance (divisor n - 1) of a unit's difference, for units of different size of what it adds to the mean,
    /// `(y - s mean) / s̄`; `None` below two units.
    pub fn variance(&self) -> Option<f64> {
        let mean = self.mean()?;
        let squares: f64 =
            self.cells.iter().map(|cell| cell.units * ((cell.sum - cell.size * mean).powi(2) + cell.spread)).sum();
        (self.n > 1.0).then(|| squares / (self.n - 1.0))
    }

    /// The critical value that |Z| has to reach for error `alpha`: that of the normal distribution, or for fewer than 40
    /// clusters that of Student's t with one degree of freedom fewer than there are clusters. A single cluster decides
    /// nothing: infinity.
    pub fn critical(&self, alpha: f64) -> f64 {
        match self.kind {
            UnitKind::Cluster if self.n < FEW_CLUSTERS => student::critical(alpha, self.n - 1.0),
            UnitKind::Cluster | UnitKind::Case => normal::critical(alpha),
        }
    }

    /// The chance of data so far below a true mean of `mu0`, or further: small where the mean is below it. By the distribution
    /// of [`Differences::critical`]; 1 for a single cluster.
    pub fn chance_below(&self, mu0: f64, cc: f64) -> f64 {
        let z = self.z(mu0, cc);
        match self.kind {
            UnitKind::Cluster if self.n < FEW_CLUSTERS => student::above(-z, self.n - 1.0),
            UnitKind::Cluster | UnitKind::Case => normal::below(z),
        }
    }

    /// Z(mu0): how far the data stand above (positive) or below (negative) a true mean of `mu0`, in standard errors, with
    /// continuity correction `cc` (see [`CORRECTION`]). Falls as `mu0` grows.
    ///
    /// Never NaN. 0 without units and for a `mu0` that is no number in -1..=1. Infinite only at `mu0` = ±1, which data
    /// not all at that end exclude outright.
    pub fn z(&self, mu0: f64, cc: f64) -> f64 {
        if self.n == 0.0 || !(-1.0..=1.0).contains(&mu0) {
            return 0.0;
        }
        let total = self.sum - self.n * mu0;
        let distance = total.abs() - cc;
        if distance.is_nan() || distance <= 0.0 {
            return 0.0;
        }
        (distance / (self.n * self.null_variance(mu0)).sqrt()).copysign(total)
    }

    /// V: the variance of one unit's difference under the best fitting distribution with mean `mu0`, for `mu0` in
    /// -1..=1; for units of unequal size at least that of units whose differences don't follow their sizes. 0 without units,
    /// and at an end.
    pub fn null_variance(&self, mu0: f64) -> f64 {
        let above = self.sum >= self.n * mu0;
        // From here on seen from the far end, the one opposite to the data.
        let reach = if above { 1.0 + mu0 } else { 1.0 - mu0 };
        if self.n == 0.0 || reach <= 0.0 {
            return 0.0;
        }
        let from_far = |cell: &Cell| if above { cell.from_lost } else { cell.from_won };
        let seen = self.cells.iter().map(|cell| cell.size * reach - from_far(cell)).fold(0.0, f64::max);
        let far = seen.max(reach * self.unevenness);
        let own = self.fitted_variance(far, |cell| {
            (cell.units, (from_far(cell) + (far - cell.size * reach)).max(0.0), cell.spread)
        });
        if self.unevenness == 1.0 {
            return own;
        }
        let alike = self.fitted_variance(reach, |cell| {
            (cell.units * cell.size, from_far(cell) / cell.size, cell.spread / cell.size.powi(2))
        });
        own.max(self.unevenness * alike)
    }

    /// The variance under the best fitting distribution with mean 0 of X, of cells as units, distance `gap` of X from its far
    /// end -`far`, and spread.
    fn fitted_variance(&self, far: f64, view: impl Fn(&Cell) -> (f64, f64, f64)) -> f64 {
        // With s = 1 - t far, 1 + t X = (gap (1 - s) + far s) / far: no digits are lost when t comes near to 1/far.
        let cells = || self.cells.iter().map(&view);
        // Slope at s, and its own derivative.
        let slope = |s: f64| -> (f64, f64) {
            cells().fold((0.0, 0.0), |(slope, steeper), (units, gap, _)| {
                let share = (gap - far) / (gap * (1.0 - s) + far * s);
                (slope + units * share, steeper + units * share * share)
            })
        };

        // The slope grows with s, is >= 0 at s = 1 and, with a unit at the far end, minus infinity at s = 0.
        let mut low = 0.0;
        if cells().any(|(_, gap, _)| gap == 0.0) || slope(0.0).0 < 0.0 {
            low = root(slope);
        }
        let (mut variance, mut mass) = (0.0, 0.0);
        for (units, gap, spread) in cells() {
            let p = units * far / (self.n * (gap * (1.0 - low) + far * low));
            variance += p * ((gap - far).powi(2) + spread);
            mass += p;
        }
        variance + (1.0 - mass).max(0.0) * far * far
    }

    /// The interval of the `mu0` that the data do not exclude at critical value `z`: the lower end is where Z falls to
    /// `z`, the upper end where it falls to `-z`. -1..1 without units.
    pub fn interval(&self, z: f64, cc: f64) -> (f64, f64) {
        let Some(mean) = self.mean() else {
            return (-1.0, 1.0);
        };
        let low = edge(-1.0, mean, |mu0| self.z(mu0, cc) >= z);
        let high = edge(1.0, mean, |mu0| self.z(mu0, cc) <= -z);
        (low, high)
    }

    /// Mean of the squared relative sizes: 1 where all are equal.
    pub(crate) fn unevenness(&self) -> f64 {
        self.unevenness
    }
}

fn clamped(unit: Unit, parts: i128) -> i128 {
    let end = i128::from(unit.size).saturating_mul(parts);
    unit.sum.clamp(-end, end)
}

/// Units of one size that are put together in a cell, in integers: how large a whole score is, is known in the end only.
#[derive(Clone, Copy)]
struct CellSum {
    size: u64,
    /// The sum of the first of them.
    first: i128,
    /// Which cell, once several kinds share cells: -1 and 1 have one of their own.
    place: Option<i64>,
    units: u64,
    sum: i128,
    /// Sum of the squared distances to `first`; 0 for a single kind.
    squares: f64,
}

impl CellSum {
    fn new(size: u64, sum: i128, units: u64) -> CellSum {
        CellSum { size, first: sum, place: None, units, sum: sum.saturating_mul(i128::from(units)), squares: 0.0 }
    }

    /// The sum of one of its units that won everything.
    fn end(&self, parts: i128) -> i128 {
        i128::from(self.size).saturating_mul(parts)
    }

    /// Puts it to the last of all, or after it.
    fn join(mut self, all: &mut Vec<CellSum>, parts: i128) {
        let end = self.end(parts);
        let place = if self.first <= -end {
            i64::MIN
        } else if self.first >= end {
            i64::MAX
        } else {
            (self.first as f64 / end as f64 * CELLS / 2.0).floor() as i64
        };
        self.place = Some(place);
        match all.last_mut() {
            Some(last) if last.size == self.size && last.place == self.place => {
                last.units = last.units.saturating_add(self.units);
                last.sum = last.sum.saturating_add(self.sum);
                last.squares += ((self.first - last.first) as f64).powi(2) * self.units as f64;
            }
            Some(_) | None => all.push(self),
        }
    }

    fn cell(&self, parts: i128, whole: f64, mean_size: f64) -> Cell {
        let (end, count) = (self.end(parts), i128::from(self.units));
        let units = self.units as f64;
        let mean = |sum: i128| sum as f64 / units / whole;
        // Of what lies in one cell, so that nothing is lost by taking the difference.
        let beyond_first = self.sum.saturating_sub(self.first.saturating_mul(count)) as f64 / units;
        Cell {
            units,
            size: self.size as f64 / mean_size,
            sum: mean(self.sum),
            from_lost: mean(end.saturating_mul(count).saturating_add(self.sum)),
            from_won: mean(end.saturating_mul(count).saturating_sub(self.sum)),
            spread: ((self.squares / units - beyond_first.powi(2)) / (whole * whole)).max(0.0),
        }
    }
}

/// Where a function that grows from below 0 to 0 or above crosses 0, between 0 and 1: by Newton's method, with a halving
/// wherever that leaves what is known of the root or gains less than one.
fn root(at: impl Fn(f64) -> (f64, f64)) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    let (mut s, mut step, mut before): (f64, f64, f64) = (0.5, 0.5, 0.5);
    for _ in 0..STEPS {
        let (value, growth) = at(s);
        if value < 0.0 {
            low = s;
        } else {
            high = s;
        }
        let newton = s - value / growth;
        let halved = 0.5 * (low + high);
        let next = if newton > low && newton < high && 2.0 * (newton - s).abs() < before { newton } else { halved };
        (before, step) = (step, (next - s).abs());
        if next == s || step <= f64::EPSILON * s || halved <= low || halved >= high {
            return next;
        }
        s = next;
    }
    s
}

/// The last point on the way from `outside` to `inside` that is excluded; `outside` itself if not even that one is.
fn edge(outside: f64, inside: f64, excluded: impl Fn(f64) -> bool) -> f64 {
    let (mut outside, mut inside) = (outside, inside);
    if !excluded(outside) {
        return outside;
    }
    for _ in 0..STEPS {
        let middle = 0.5 * (outside + inside);
        if middle == outside || middle == inside {
            break;
        }
        if excluded(middle) {
            outside = middle;
        } else {
            inside = middle;
        }
    }
    outside
}

#[cfg(test)]
mod tests;
