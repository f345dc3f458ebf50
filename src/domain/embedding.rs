//! Texts whose meaning is asked for, as vectors.

use super::digest::digest;

/// A text for a model of embeddings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    pub by: String,
    pub text: String,
}

impl Meaning {
    /// Identity of the question: everything but what the model is.
    pub fn digest(&self) -> [u8; 32] {
        digest([b"promptgate.meaning/1".as_slice(), self.by.as_bytes(), self.text.as_bytes()])
    }
}

/// The cosine of the angle between two vectors, in -1..=1; `None` where there is none: they differ in length, have fewer
/// than two numbers, have no length, or hold what is no number.
pub fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    if a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum() };
    let lengths = dot(a, a).sqrt() * dot(b, b).sqrt();
    let cosine = dot(a, b) / lengths;
    (lengths > 0.0 && cosine.is_finite()).then(|| cosine.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_has_no_direction_has_no_cosine() {
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 2.0]), Some(0.0));
        assert_eq!(cosine(&[3.0, 4.0], &[3.0, 4.0]), Some(1.0));
        assert_eq!(cosine(&[1.0, 0.0], &[-7.0, 0.0]), Some(-1.0));
        assert_eq!(cosine(&[1.0], &[1.0]), None);
        for (a, b) in [
            (vec![], vec![]),
            (vec![0.0, 0.0], vec![1.0, 0.0]),
            (vec![1.0], vec![1.0, 0.0]),
            (vec![f32::NAN], vec![1.0]),
            (vec![f32::INFINITY], vec![1.0]),
        ] {
            assert_eq!(cosine(&a, &b), None, "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_text_is_one_question_for_each_model() {
        let of = |by: &str, text: &str| Meaning { by: by.to_owned(), text: text.to_owned() }.digest();
        assert_eq!(of("a", "b"), of("a", "b"));
        assert_ne!(of("a", "b"), of("ab", ""));
    }

    proptest! {
        #[test]
        fn it_lies_between_minus_one_and_one(pairs in prop::collection::vec((any::<f32>(), any::<f32>()), 0..20)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            if let Some(cosine) = cosine(&a, &b) {
                prop_assert!((-1.0..=1.0).contains(&cosine));
            }
        }
    }
}
