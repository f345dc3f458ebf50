//! Random numbers that are the same everywhere: for one seed, each piece of work (a resample, a simulated run) has a stream
//! of its own, so that neither threads nor their order matter.
//!
//! The generator is xoshiro256++ of D. Blackman and S. Vigna ("Scrambled linear pseudorandom number generators", ACM
//! Transactions on Mathematical Software 47 (2021), 36), its state filled by SplitMix64, as its authors recommend. It is
//! written out here because a generator of a library may change with its version, and with it published numbers.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of this number under this seed.
    pub(crate) fn new(seed: u64, stream: u64) -> Random {
        // Mixed twice: neighbouring seeds and streams share nothing, and seed and stream can't trade places.
        let of_seed = SplitMix(seed).next();
        let mut fill = SplitMix(SplitMix(of_seed.wrapping_add(stream)).next());
        Random { state: [fill.next(), fill.next(), fill.next(), fill.next()] }
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c2, d2) = (c ^ a, d ^ b);
        self.state = [a ^ d2, b ^ c2, c2 ^ (b << 17), d2.rotate_left(45)];
        result
    }

    /// Uniform in 0..1, on a grid of 2⁻⁵³.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with chance `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Uniform in `0..n`, without bias (D. Lemire, 2019); 0 for `n` = 0.
    pub(crate) fn index(&mut self, n: u64) -> u64 {
        let mut product = u128::from(self.next()) * u128::from(n);
        if (product as u64) < n {
            let threshold = n.wrapping_neg() % n;
            while (product as u64) < threshold {
                product = u128::from(self.next()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }
}

/// G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the reference implementations: SplitMix64 of seed 1234567, xoshiro256++ of state 1, 2, 3, 4.
    #[test]
    fn generators_are_the_published_ones() {
        let mut mix = SplitMix(1_234_567);
        assert_eq!(
            [mix.next(), mix.next(), mix.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
        let mut random = Random { state: [1, 2, 3, 4] };
        let drawn = [random.next(), random.next(), random.next(), random.next()];
        assert_eq!(drawn, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn streams_differ_and_repeat() {
        let first = |seed, stream| Random::new(seed, stream).next();
        assert_eq!(first(1, 2), first(1, 2));
        assert_ne!(first(1, 2), first(2, 1));
        assert_ne!(first(1, 2), first(1, 3));
        assert_ne!(first(0, 0), 0);
    }

    #[test]
    fn an_index_is_uniform() {
        let mut random = Random::new(7, 0);
        let mut seen = [0u32; 7];
        (0..7_000).for_each(|_| seen[random.index(7) as usize] += 1);
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
        assert_eq!(random.index(0), 0);
    }
}
