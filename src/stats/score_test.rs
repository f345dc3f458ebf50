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
//! X = (y - s mu0) / s̄        far = (mu0 + 1) s_max / s̄        s̄ = mean size, s_max = largest size
//! ```
//!
//! which is the form above where all sizes are equal. For clusters it is the score form of the usual robust variance of
//! clustered matched pairs (N. A. Obuchowski, Statistics in Medicine 17 (1998), 1495-1507). Single weighted cases use it too,
//! not `X = s d / s̄ - mu0`: with that form cases that all differ by the same amount would still vary by their weights, and a
//! cluster of one case would not be that case. The correction stays half a unit of mean size. Few clusters have a t
//! distribution, not a normal one: [`Differences::critical`].

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
    /// Largest size over mean size.
    largest: f64,
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
        let (mut count, mut size, mut sum, mut largest) = (0u128, 0u128, 0i128, 0u64);
        let mut all: Vec<Together> = Vec::new();
        // Where those of the present size begin, and whether they are put together already.
        let (mut start, mut merging) = (0, false);
        // One walk, because a million different units take longer to be walked over than to be looked at. They come by size,
        // then by sum.
        for (unit, alike) in units.iter().filter(|_| parts > 0) {
            let one = Together::new(unit.size, clamped(unit, parts), alike);
            count += u128::from(alike);
            size += u128::from(unit.size) * u128::from(alike);
            sum = sum.saturating_add(one.sum);
            largest = largest.max(unit.size);
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
            sum: if n > 0.0 {
                (sum as f64 / whole).clamp(-n, n)
            } else {
                0.0
            },
            largest: if n > 0.0 { largest as f64 / mean_size } else { 0.0 },
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
        let squares: f64 = self
            .cells
            .iter()
            .map(|cell| cell.units * ((cell.sum - cell.size * mean).powi(2) + cell.spread))
            .sum();
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
    /// -1..=1. 0 without units, and at an end.
    pub fn null_variance(&self, mu0: f64) -> f64 {
        let above = self.sum >= self.n * mu0;
        // From here on seen from the far end, the one opposite to the data.
        let reach = if above { 1.0 + mu0 } else { 1.0 - mu0 };
        let far = reach * self.largest;
        if self.n == 0.0 || far <= 0.0 {
            return 0.0;
        }
        // Per cell: units, and the distance `gap` from the far end, so that X = gap - far exactly where it matters. With
        // s = 1 - t far, 1 + t X = (gap (1 - s) + far s) / far: no digits are lost when t comes near to 1/far.
        let cells = || {
            self.cells.iter().map(|cell| {
                let from_far = if above { cell.from_lost } else { cell.from_won };
                (cell.units, from_far + (self.largest - cell.size) * reach, cell.spread)
            })
        };
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

    /// The units as the other statistics of this room take them: how many, their relative size (mean 1) and the sum of
    /// their differences in whole scores of a unit of mean size.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        self.cells.iter().map(|cell| Kind {
            units: cell.units,
            size: cell.size,
            sum: cell.sum,
        })
    }

    /// The largest relative size.
    pub(crate) fn largest(&self) -> f64 {
        self.largest
    }
}

/// Alike units, see [`Differences::kinds`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) units: f64,
    pub(crate) size: f64,
    pub(crate) sum: f64,
}

fn clamped(unit: Unit, parts: i128) -> i128 {
    let end = i128::from(unit.size).saturating_mul(parts);
    unit.sum.clamp(-end, end)
}

/// Units of one size that are put together in a cell, in integers: how large a whole score is, is known in the end only.
#[derive(Clone, Copy)]
struct Together {
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

impl Together {
    fn new(size: u64, sum: i128, units: u64) -> Together {
        Together {
            size,
            first: sum,
            place: None,
            units,
            sum: sum.saturating_mul(i128::from(units)),
            squares: 0.0,
        }
    }

    /// The sum of one of its units that won everything.
    fn end(&self, parts: i128) -> i128 {
        i128::from(self.size).saturating_mul(parts)
    }

    /// Puts it to the last of all, or after it.
    fn join(mut self, all: &mut Vec<Together>, parts: i128) {
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
        let next = if newton > low && newton < high && 2.0 * (newton - s).abs() < before {
            newton
        } else {
            halved
        };
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
mod tests {
    use super::super::normal::critical;
    use super::*;
    use proptest::prelude::*;

    fn pairs(losses: u64, wins: u64, n: u64) -> Differences {
        Differences::new(&BTreeMap::from([(-1, losses), (0, n - losses - wins), (1, wins)]), 1)
    }

    fn close(got: f64, want: f64, tolerance: f64) {
        assert!((got - want).abs() <= tolerance, "got {got}, want {want}");
    }

    /// Tango 1998 in closed form, for k = 1.
    fn tango(losses: u64, wins: u64, n: u64, mu0: f64, cc: f64) -> f64 {
        let (l, w, n) = (losses as f64, wins as f64, n as f64);
        let a = 2.0 * n;
        let b = -w - l + (2.0 * n - w + l) * mu0;
        let c = -l * mu0 * (1.0 - mu0);
        let q = ((b * b - 4.0 * a * c).max(0.0).sqrt() - b) / (2.0 * a);
        let v = n * (2.0 * q + mu0 * (1.0 - mu0));
        let total = w - l - n * mu0;
        total.signum() * (total.abs() - cc).max(0.0) / v.sqrt()
    }

    /// 95% intervals: Cavo et al. and Bentur et al. as in Fagerland et al. 2014, the example of R's PropCIs, and three
    /// wins of three; without correction.
    #[test]
    fn intervals_are_the_published_ones() {
        for (losses, wins, n, low, high) in [
            (16, 6, 161, -0.124_023_432_464_069, -0.005_433_395_731_677_088),
            (7, 1, 21, -0.517_232_276_421_377_5, -0.026_003_032_480_868_604),
            (20, 40, 160, 0.030_864_533_133_087_35, 0.218_064_244_166_820_55),
            (0, 3, 3, -0.122_994_063_510_090_53, 1.0),
        ] {
            let (l, h) = pairs(losses, wins, n).interval(critical(0.025), 0.0);
            close(l, low, 1e-9);
            close(h, high, 1e-9);
        }
    }

    #[test]
    fn no_difference_seen_is_not_no_difference() {
        let (low, high) = pairs(0, 0, 60).interval(critical(0.05), 0.0);
        close(low, -0.043_146_798_593_284_16, 1e-9);
        close(high, -low, 1e-12);
    }

    #[test]
    fn repeats_give_the_reference_numbers() {
        let d = Differences::new(
            &BTreeMap::from([(-3, 4), (-2, 4), (-1, 8), (0, 170), (1, 9), (2, 3), (3, 2)]),
            3,
        );
        close(d.mean().unwrap(), -0.011_666_666_666_666_665, 1e-15);
        close(d.z(-0.05, CORRECTION), 1.889_973_751_141_416_5, 1e-9);
        assert_eq!(d.z(-0.01, CORRECTION), 0.0);
        let (low, high) = d.interval(critical(0.05), CORRECTION);
        close(low, -0.044_643_176_859_432_49, 1e-8);
        close(high, 0.019_184_389_063_477_584, 1e-8);
    }

    #[test]
    fn degenerate_data_give_defined_numbers() {
        let none = Differences::new(&BTreeMap::new(), 3);
        assert_eq!((none.z(-0.05, 0.5), none.null_variance(-0.05)), (0.0, 0.0));
        assert_eq!(
            (none.mean(), none.variance(), none.interval(1.6, 0.5)),
            (None, None, (-1.0, 1.0))
        );
        assert_eq!(
            Differences::new(&BTreeMap::from([(1, 5)]), 0),
            Differences::new(&BTreeMap::new(), 0)
        );
        let lost = pairs(9, 0, 9);
        assert_eq!(lost.z(-1.0, 0.5), 0.0);
        assert_eq!(lost.z(1.0, 0.5), f64::NEG_INFINITY);
        assert_eq!(pairs(0, 9, 9).z(-1.0, 0.5), f64::INFINITY);
        assert_eq!(lost.interval(1.6, 0.5).0, -1.0);
        assert_eq!(
            (lost.z(f64::NAN, 0.5), lost.z(0.0, f64::NAN), lost.z(2.0, 0.5)),
            (0.0, 0.0, 0.0)
        );
        // A single case, and a mean that equals mu0.
        assert!(pairs(0, 0, 1).z(-0.05, 0.0) > 0.0);
        assert_eq!(pairs(1, 1, 10).z(0.0, 0.0), 0.0);
        // Keys beyond the ends count as the ends.
        assert_eq!(
            Differences::new(&BTreeMap::from([(-7, 2)]), 1),
            Differences::new(&BTreeMap::from([(-1, 2)]), 1)
        );
    }

    #[test]
    fn a_million_cases_with_few_losses_keep_their_digits() {
        for (losses, wins, mu0) in [(1, 0, -0.05), (3, 999_000, -0.01), (1, 1, -0.5)] {
            let want = tango(losses, wins, 1_000_000, mu0, 0.5);
            close(pairs(losses, wins, 1_000_000).z(mu0, 0.5) / want, 1.0, 1e-9);
        }
    }

    fn histogram() -> impl Strategy<Value = (BTreeMap<i64, u64>, u32)> {
        (1u32..=5).prop_flat_map(|k| {
            let k64 = i64::from(k);
            (prop::collection::btree_map(-k64..=k64, 0u64..40, 1..8), Just(k))
        })
    }

    fn units(bins: &[(u64, i128, u64)]) -> Units {
        let mut units = Units::default();
        bins.iter()
            .for_each(|(size, sum, count)| units.add(Unit { size: *size, sum: *sum }, *count));
        units
    }

    /// Ten clusters by hand: sizes 1 and 3, mean size 2; five lost 1 of 1, five kept all 3. With mu0 = -0.05 the data stand
    /// below: total = (-5 + 20 x 0.05) / 2, far = 1.05 x 1.5.
    #[test]
    fn clusters_of_different_size_are_taken_as_a_ratio() {
        let d = Differences::of_units(&units(&[(1, -1, 5), (3, 0, 5)]), 1, UnitKind::Cluster);
        close(d.mean().unwrap(), -0.25, 1e-15);
        // Of each kind, (y - s mean) / 2: -0.375 and 0.375.
        close(d.variance().unwrap(), 10.0 * 0.375 * 0.375 / 9.0, 1e-15);
        // X, mirrored: (1 - 0.05) / 2 = 0.475 and -0.15 / 2 = -0.075; no t in 0..1/far solves 5 x 0.475 / (1 + 0.475 t) =
        // 5 x 0.075 / (1 - 0.075 t) but t = (0.475 - 0.075) / (2 x 0.475 x 0.075), which is beyond 1/far.
        let (far, x, y): (f64, f64, f64) = (1.05 * 1.5, 0.475, -0.075);
        let t = 1.0 / far;
        let (p, q) = (0.5 / (1.0 + t * x), 0.5 / (1.0 + t * y));
        let variance = p * x * x + q * y * y + (1.0 - p - q).max(0.0) * far * far;
        close(d.null_variance(-0.05), variance, 1e-12);
        close(d.z(-0.05, 0.5), -(2.0 - 0.5) / (10.0 * variance).sqrt(), 1e-12);
        close(d.critical(0.05), 1.833_112_932_656_237_3, 1e-9);
    }

    #[test]
    fn copies_of_cases_are_no_more_than_the_cases() {
        let cases = Differences::new(&BTreeMap::from([(-1, 10), (0, 180), (1, 6)]), 1);
        let clusters = Differences::of_units(&units(&[(4, -4, 10), (4, 0, 180), (4, 4, 6)]), 1, UnitKind::Cluster);
        for mu0 in [-0.05, -0.01, 0.0, 0.3] {
            assert_eq!(cases.z(mu0, CORRECTION), clusters.z(mu0, CORRECTION));
        }
        assert_eq!(cases.interval(1.6, CORRECTION), clusters.interval(1.6, CORRECTION));
        assert_eq!(cases.critical(0.05), clusters.critical(0.05));
    }

    /// A million scores of their own on the finest grid: decided in cells, and as without them.
    #[test]
    fn cells_change_no_digit_that_matters() {
        let mut random = super::super::random::Random::new(11, 0);
        let (mut scores, mut few) = (Units::default(), Units::default());
        for _ in 0..20_000 {
            let d = (random.unit() - random.unit()) * 0.4 - 0.02;
            scores.add(Unit::case(1, (d * 1e6).round() as i64), 1);
        }
        for d in [-1_000_000, 1_000_000, -50_000, -50_001] {
            few.add(Unit::case(1, d), 30);
        }
        scores.merge(&few);
        let exact = Differences::together(&scores, 1_000_000, UnitKind::Case, usize::MAX);
        let cells = Differences::of_units(&scores, 1_000_000, UnitKind::Case);
        assert!(
            exact.cells.len() > KINDS && cells.cells.len() < CELLS as usize,
            "{}",
            cells.cells.len()
        );
        assert_eq!((cells.n(), cells.mean()), (exact.n(), exact.mean()));
        for mu0 in [-0.5, -0.05, -0.021, -0.01, 0.2] {
            close(cells.z(mu0, 0.5) / exact.z(mu0, 0.5), 1.0, 1e-6);
        }
        close(cells.variance().unwrap(), exact.variance().unwrap(), 1e-12);
        assert!(
            cells
                .cells
                .iter()
                .any(|cell| cell.from_lost == 0.0 && cell.units == 30.0)
        );
        assert!(
            cells
                .cells
                .iter()
                .any(|cell| cell.from_won == 0.0 && cell.units == 30.0)
        );
    }

    #[test]
    fn what_has_no_size_or_no_parts_is_no_unit() {
        let none = Differences::new(&BTreeMap::new(), 3);
        assert_eq!(
            Differences::of_units(&units(&[(0, 5, 3), (1, 0, 0)]), 3, UnitKind::Case),
            none
        );
        assert_eq!(Differences::of_units(&units(&[(1, 1, 3)]), 0, UnitKind::Case), none);
        // Sums beyond the ends count as the ends, also those that no integer could multiply.
        assert_eq!(
            Differences::of_units(&units(&[(2, i128::MIN, 3)]), 3, UnitKind::Case),
            Differences::of_units(&units(&[(2, -6, 3)]), 3, UnitKind::Case)
        );
        let huge = Differences::of_units(
            &units(&[(u64::MAX, i128::MAX, u64::MAX), (1, -1, 1)]),
            u64::MAX,
            UnitKind::Cluster,
        );
        assert!(huge.z(-0.05, 0.5).is_finite() && huge.mean().unwrap() <= 1.0 + 1e-9);
    }

    /// Clusters of weighted cases: (size, sum, how many), with sums in parts of a third.
    fn clusters() -> impl Strategy<Value = Vec<(u64, i128, u64)>> {
        let cluster = (1u64..6, 0u64..20).prop_flat_map(|(size, count)| {
            let end = i128::from(size) * 3;
            (Just(size), -end..=end, Just(count))
        });
        prop::collection::vec(cluster, 1..8)
    }

    #[test]
    fn all_lost_is_minus_one_and_no_less() {
        let d = Differences::of_units(&units(&[(1, -3, 8), (2, -6, 7)]), 3, UnitKind::Cluster);
        assert_eq!(d.mean(), Some(-1.0));
        assert_eq!(d.interval(critical(0.05), CORRECTION).0, -1.0);
    }

    proptest! {
        #[test]
        fn z_of_unequal_units_falls_as_the_hypothesis_rises(bins in clusters(), a in -1.0f64..=1.0, b in -1.0f64..=1.0) {
            let d = Differences::of_units(&units(&bins), 3, UnitKind::Cluster);
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(!d.z(low, 0.5).is_nan() && !d.z(high, 0.5).is_nan());
            prop_assert!(d.z(low, 0.5) >= d.z(high, 0.5) - 1e-9, "{} {}", d.z(low, 0.5), d.z(high, 0.5));
        }

        #[test]
        fn swapped_arms_mirror_z_of_unequal_units(bins in clusters(), mu0 in -0.99f64..0.99) {
            let swapped: Vec<(u64, i128, u64)> = bins.iter().map(|(size, sum, count)| (*size, -sum, *count)).collect();
            let d = Differences::of_units(&units(&bins), 3, UnitKind::Cluster);
            let swapped = Differences::of_units(&units(&swapped), 3, UnitKind::Cluster);
            prop_assert!((d.z(0.0, 0.5) + swapped.z(0.0, 0.5)).abs() < 1e-9);
            prop_assert!((d.z(mu0, 0.5) + swapped.z(-mu0, 0.5)).abs() < 1e-9);
        }

        /// So that an answer counted as failed never helps, in whatever cluster it is.
        #[test]
        fn a_pass_more_never_lowers_z_of_unequal_units(bins in clusters(), mu0 in -0.9f64..0.5, which in 0usize..8, by in 1i128..4) {
            let mut bins = bins;
            let at = which % bins.len();
            let (size, sum, count) = bins[at];
            bins[at].2 = count.max(1);
            let mut raised = bins.clone();
            raised[at].2 -= 1;
            raised.push((size, (sum + by).min(i128::from(size) * 3), 1));
            let before = Differences::of_units(&units(&bins), 3, UnitKind::Cluster);
            let after = Differences::of_units(&units(&raised), 3, UnitKind::Cluster);
            prop_assert!(after.z(mu0, 0.5) >= before.z(mu0, 0.5) - 1e-9);
        }

        /// In any order, in parts, merged.
        #[test]
        fn parts_of_units_are_the_whole(mut bins in clusters(), at in 0usize..8) {
            let whole = units(&bins);
            let at = at % bins.len();
            bins.rotate_left(at);
            bins.reverse();
            let (first, second) = bins.split_at(at);
            let mut merged = units(first);
            merged.merge(&units(second));
            let of = |units: &Units| Differences::of_units(units, 3, UnitKind::Cluster);
            prop_assert_eq!(of(&merged), of(&whole));
        }

        #[test]
        fn the_interval_of_unequal_units_agrees_with_z(bins in clusters()) {
            let d = Differences::of_units(&units(&bins), 3, UnitKind::Cluster);
            let z = critical(0.05);
            let (low, high) = d.interval(z, CORRECTION);
            if let Some(mean) = d.mean() {
                prop_assert!(-1.0 <= low && low <= mean && mean <= high && high <= 1.0);
                prop_assert_eq!(d.z(-0.05, CORRECTION) >= z, low >= -0.05);
                prop_assert_eq!(d.z(-0.01, CORRECTION) <= -z, high <= -0.01);
            }
        }

        /// Finer parts and common weights change nothing.
        #[test]
        fn only_proportions_matter((histogram, k) in histogram(), weight in 1u32..50, mu0 in -0.9f64..0.9) {
            let plain = Differences::new(&histogram, k);
            let mut fine = Units::default();
            for (d, cases) in &histogram {
                fine.add(Unit::case(weight, d * 1_000_000), *cases);
            }
            let fine = Differences::of_units(&fine, u64::from(k) * 1_000_000, UnitKind::Case);
            prop_assert!((plain.z(mu0, 0.5) - fine.z(mu0, 0.5)).abs() < 1e-9);
        }

        #[test]
        fn one_repeat_is_tango(losses in 0u64..60, wins in 0u64..60, ties in 1u64..200, mu0 in -0.9f64..0.9, cc in 0.0f64..1.0) {
            let n = losses + wins + ties;
            let got = pairs(losses, wins, n).z(mu0, cc);
            prop_assert!((got - tango(losses, wins, n, mu0, cc)).abs() < 1e-8);
        }

        #[test]
        fn z_falls_as_the_hypothesis_rises((histogram, k) in histogram(), a in -1.0f64..=1.0, b in -1.0f64..=1.0) {
            let d = Differences::new(&histogram, k);
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(!d.z(low, 0.5).is_nan() && !d.z(high, 0.5).is_nan());
            prop_assert!(d.z(low, 0.5) >= d.z(high, 0.5) - 1e-9);
        }

        #[test]
        fn swapped_arms_mirror_z((histogram, k) in histogram(), mu0 in -0.99f64..0.99) {
            let swapped = histogram.iter().map(|(d, cases)| (-d, *cases)).collect();
            let (d, swapped) = (Differences::new(&histogram, k), Differences::new(&swapped, k));
            prop_assert!((d.z(0.0, 0.5) + swapped.z(0.0, 0.5)).abs() < 1e-9);
            prop_assert!((d.z(mu0, 0.5) + swapped.z(-mu0, 0.5)).abs() < 1e-9);
        }

        /// One repeat more that passes never lowers z, so that an answer counted as failed never helps.
        #[test]
        fn a_pass_more_never_lowers_z((histogram, k) in histogram(), mu0 in -0.9f64..0.5, which in 0usize..8) {
            let movable: Vec<i64> =
                histogram.iter().filter(|(d, cases)| **cases > 0 && **d < i64::from(k)).map(|(d, _)| *d).collect();
            prop_assume!(!movable.is_empty());
            let from = movable[which % movable.len()];
            let mut raised = histogram.clone();
            *raised.get_mut(&from).unwrap() -= 1;
            *raised.entry(from + 1).or_default() += 1;
            let (before, after) = (Differences::new(&histogram, k), Differences::new(&raised, k));
            prop_assert!(after.z(mu0, 0.5) >= before.z(mu0, 0.5) - 1e-9);
        }

        #[test]
        fn the_interval_holds_the_mean_and_agrees_with_z((histogram, k) in histogram()) {
            let d = Differences::new(&histogram, k);
            let z = critical(0.05);
            let (low, high) = d.interval(z, CORRECTION);
            prop_assert!((-1.0..=1.0).contains(&low) && (-1.0..=1.0).contains(&high));
            if let Some(mean) = d.mean() {
                prop_assert!(low <= mean && mean <= high);
                prop_assert_eq!(d.z(-0.05, CORRECTION) >= z, low >= -0.05);
                prop_assert_eq!(d.z(-0.01, CORRECTION) <= -z, high <= -0.01);
            }
        }
    }
}
