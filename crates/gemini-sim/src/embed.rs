//! Embeddings without a model: a text's vector is the sum of one fixed random vector for each of its words, so texts that
//! share words point the same way. The first numbers of a long vector, scaled to length one, are the short vector.

use super::noise::mix;
use super::words::terms;
use std::collections::BTreeMap;

/// Numbers of a vector unless the request asks for fewer.
pub(super) const DIMENSIONS: usize = 3072;

/// A vector of length one. A word's weight grows with the logarithm of its count.
pub(super) fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    for term in terms(text) {
        *counts.entry(term).or_default() += 1;
    }
    if counts.is_empty() {
        // Nothing but stop words, or nothing: still a direction of its own.
        let all = text.bytes().fold(0, |state, byte| mix(state ^ u64::from(byte)));
        counts.insert(all, 1);
    }
    let mut sum = vec![0_f32; dimensions];
    for (term, count) in counts {
        let weight = 1.0 + (count as f32).ln();
        let mut signs = 0;
        for (at, number) in sum.iter_mut().enumerate() {
            // Each 64 numbers take their signs from the bits of one draw.
            if at % 64 == 0 {
                signs = mix(term ^ mix(at as u64 + 1));
            }
            *number += if signs >> (at % 64) & 1 == 1 { weight } else { -weight };
        }
    }
    let length = sum.iter().map(|n| f64::from(*n) * f64::from(*n)).sum::<f64>().sqrt();
    if length > 0.0 {
        for number in &mut sum {
            *number = (f64::from(*number) / length) as f32;
        }
    } else if let Some(first) = sum.first_mut() {
        // An even number of words can cancel out in very few dimensions.
        *first = 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn alike_texts_are_near() {
        let of = |text| vector(text, DIMENSIONS);
        let refund = of("How do I get a refund for my shoes?");
        let near = cosine(&refund, &of("I want my shoes refunded"));
        let far = cosine(&refund, &of("The lions sleep all day"));
        assert!(near > 0.5 && far.abs() < 0.1, "{near} {far}");
        assert!((cosine(&refund, &refund) - 1.0).abs() < 1e-5);
        assert_eq!(refund, of("How do I get a refund for my shoes?"));
    }

    #[test]
    fn every_length_is_one() {
        for text in ["", "the of", "one word", "lions and goats and lions"] {
            for dimensions in [1, 2, 64, 65, 768, DIMENSIONS] {
                let vector = vector(text, dimensions);
                assert_eq!(vector.len(), dimensions);
                assert!((cosine(&vector, &vector) - 1.0).abs() < 1e-4, "{text} {dimensions}");
            }
        }
    }

    #[test]
    fn short_vectors_begin_long_ones() {
        let (short, long) = (vector("lions sleep daily", 64), vector("lions sleep daily", 128));
        let scale = long[0] / short[0];
        for (short, long) in short.iter().zip(&long) {
            assert!((short * scale - long).abs() < 1e-6);
        }
    }
}
