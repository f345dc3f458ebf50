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
    let d = Differences::new(&BTreeMap::from([(-3, 4), (-2, 4), (-1, 8), (0, 170), (1, 9), (2, 3), (3, 2)]), 3);
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
    assert_eq!((none.mean(), none.variance(), none.interval(1.6, 0.5)), (None, None, (-1.0, 1.0)));
    assert_eq!(Differences::new(&BTreeMap::from([(1, 5)]), 0), Differences::new(&BTreeMap::new(), 0));
    let lost = pairs(9, 0, 9);
    assert_eq!(lost.z(-1.0, 0.5), 0.0);
    assert_eq!(lost.z(1.0, 0.5), f64::NEG_INFINITY);
    assert_eq!(pairs(0, 9, 9).z(-1.0, 0.5), f64::INFINITY);
    assert_eq!(lost.interval(1.6, 0.5).0, -1.0);
    assert_eq!((lost.z(f64::NAN, 0.5), lost.z(0.0, f64::NAN), lost.z(2.0, 0.5)), (0.0, 0.0, 0.0));
    // A single case, and a mean that equals mu0.
    assert!(pairs(0, 0, 1).z(-0.05, 0.0) > 0.0);
    assert_eq!(pairs(1, 1, 10).z(0.0, 0.0), 0.0);
    // Keys beyond the ends count as the ends.
    assert_eq!(Differences::new(&BTreeMap::from([(-7, 2)]), 1), Differences::new(&BTreeMap::from([(-1, 2)]), 1));
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
    bins.iter().for_each(|(size, sum, count)| units.add(Unit { size: *size, sum: *sum }, *count));
    units
}

/// Ten clusters by hand: sizes 1 and 3, mean size 2; five lost 1 of 1, five kept all 3. With mu0 = -0.05 the data stand
/// below: total = (-5 + 20 x 0.05) / 2, far = 1.05 m with m = (0.5² + 1.5²) / 2.
#[test]
fn clusters_of_different_size_are_taken_as_a_ratio() {
    let d = Differences::of_units(&units(&[(1, -1, 5), (3, 0, 5)]), 1, UnitKind::Cluster);
    close(d.mean().unwrap(), -0.25, 1e-15);
    // Of each kind, (y - s mean) / 2: -0.375 and 0.375.
    close(d.variance().unwrap(), 10.0 * 0.375 * 0.375 / 9.0, 1e-15);
    // X, mirrored: (1 - 0.05) / 2 = 0.475 and -0.15 / 2 = -0.075; no t in 0..1/far solves 5 x 0.475 / (1 + 0.475 t) =
    // 5 x 0.075 / (1 - 0.075 t) but t = (0.475 - 0.075) / (2 x 0.475 x 0.075), which is beyond 1/far.
    let (far, x, y): (f64, f64, f64) = (1.05 * 1.25, 0.475, -0.075);
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
    assert!(exact.cells.len() > KINDS && cells.cells.len() < CELLS as usize, "{}", cells.cells.len());
    assert_eq!((cells.n(), cells.mean()), (exact.n(), exact.mean()));
    for mu0 in [-0.5, -0.05, -0.021, -0.01, 0.2] {
        close(cells.z(mu0, 0.5) / exact.z(mu0, 0.5), 1.0, 1e-6);
    }
    close(cells.variance().unwrap(), exact.variance().unwrap(), 1e-12);
    assert!(cells.cells.iter().any(|cell| cell.from_lost == 0.0 && cell.units == 30.0));
    assert!(cells.cells.iter().any(|cell| cell.from_won == 0.0 && cell.units == 30.0));
}

#[test]
fn what_has_no_size_or_no_parts_is_no_unit() {
    let none = Differences::new(&BTreeMap::new(), 3);
    assert_eq!(Differences::of_units(&units(&[(0, 5, 3), (1, 0, 0)]), 3, UnitKind::Case), none);
    assert_eq!(Differences::of_units(&units(&[(1, 1, 3)]), 0, UnitKind::Case), none);
    // Sums beyond the ends count as the ends, also those that no integer could multiply.
    assert_eq!(
        Differences::of_units(&units(&[(2, i128::MIN, 3)]), 3, UnitKind::Case),
        Differences::of_units(&units(&[(2, -6, 3)]), 3, UnitKind::Case)
    );
    let huge =
        Differences::of_units(&units(&[(u64::MAX, i128::MAX, u64::MAX), (1, -1, 1)]), u64::MAX, UnitKind::Cluster);
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
