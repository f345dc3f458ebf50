//! Noise: with a given chance an answer is degraded. Keyed by seed, request and sample, never by a clock or an order, so
//! that runs repeat exactly at any concurrency.

/// What noise does to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Degrade {
    /// The second best passage answers.
    SecondBest,
    /// The asked-for form is forgotten.
    DropFormat,
}

/// Identity of one sample of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u64);

impl Key {
    /// From the seed, the path (it names model and method), the body, and the client's sample header.
    pub(super) fn new(seed: u64, path: &str, body: &[u8], sample: &[u8]) -> Key {
        let request: Vec<u64> = numbers(path.as_bytes()).chain(numbers(body)).collect();
        Key::of_request(seed, &request).sample(sample)
    }

    /// What the samples of a request have in common. The request is given by the [`numbers`] of its path and its body, which
    /// are the same under every seed.
    pub(super) fn of_request(seed: u64, request: &[u64]) -> Key {
        let mut state = mix(seed ^ 0x9e37_79b9_7f4a_7c15);
        for number in request {
            state = mix(state ^ number);
        }
        Key(state)
    }

    /// The key of one sample of the request that this one is of.
    pub(super) fn sample(self, sample: &[u8]) -> Key {
        Key(numbers(sample).fold(self.0, |state, number| mix(state ^ number)))
    }

    /// A number in 0..1 for one purpose; independent between purposes.
    pub(super) fn draw(self, purpose: u64) -> f64 {
        fastrand::Rng::with_seed(mix(self.0 ^ mix(purpose))).f64()
    }

    /// Hexadecimal, for the response's id.
    pub(super) fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// A text as numbers: eight bytes each, the rest of it, its length.
pub(super) fn numbers(piece: &[u8]) -> impl Iterator<Item = u64> {
    let words = piece.chunks_exact(8);
    let rest = words.remainder();
    words
        .chain([rest])
        .map(|word| {
            let mut bytes = [0; 8];
            bytes[..word.len()].copy_from_slice(word);
            u64::from_le_bytes(bytes)
        })
        .chain([piece.len() as u64])
}

/// The finaliser of SplitMix64.
pub(super) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Purpose of the draw whether to degrade, and how.
const WHETHER: u64 = 1 << 40;
const HOW: u64 = 2 << 40;

/// The share of degraded answers that come from the second best passage.
pub(super) const SECOND_BEST: f64 = 0.7;

/// Degrades with chance `noise`.
pub(super) fn degrade(key: Key, noise: f64) -> Option<Degrade> {
    if key.draw(WHETHER) >= noise {
        return None;
    }
    Some(if key.draw(HOW) < SECOND_BEST { Degrade::SecondBest } else { Degrade::DropFormat })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_key_counts() {
        let keys = [
            Key::new(0, "/p", b"body", b"1"),
            Key::new(1, "/p", b"body", b"1"),
            Key::new(0, "/q", b"body", b"1"),
            Key::new(0, "/p", b"bodz", b"1"),
            Key::new(0, "/p", b"body", b"2"),
            Key::new(0, "/p", b"body1", b""),
        ];
        for (i, a) in keys.iter().enumerate() {
            for b in &keys[i + 1..] {
                assert_ne!(a, b);
            }
        }
        assert_eq!(keys[0], Key::new(0, "/p", b"body", b"1"));
        // Recorded: whoever repeats a run with a newer version gets the same noise.
        let request = b"a body of more than eight bytes";
        assert_eq!(Key::new(7, "/v1beta/models/m:generateContent", request, b"1").hex(), "b0ae1f47619818f3");
    }

    #[test]
    fn the_share_of_degraded_answers_is_the_chance() {
        let degraded =
            |noise| (0..4000u32).filter(|i| degrade(Key::new(7, "/p", &i.to_le_bytes(), b""), noise).is_some()).count();
        assert_eq!(degraded(0.0), 0);
        assert_eq!(degraded(1.0), 4000);
        let quarter = degraded(0.25);
        assert!((880..1120).contains(&quarter), "{quarter}");
    }
}
