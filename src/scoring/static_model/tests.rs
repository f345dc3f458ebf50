use super::StaticModel;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

fn oracle(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/static_models")).join(name)
}

/// How far a number may lie from that of the Python package, where numbers are about 1 (40 in the model of bytes).
const TOLERANCE: f32 = 1e-5;

#[test]
fn the_vectors_are_those_of_the_python_package() {
    let expected = fs::read(oracle("vectors.json")).unwrap();
    let models: BTreeMap<String, Vec<(String, Vec<f32>)>> = serde_json::from_slice(&expected).unwrap();
    assert_eq!(models.len(), 5);
    let mut wrong = Vec::new();
    for (name, rows) in models {
        let model = StaticModel::open(&oracle(&name)).unwrap();
        let mut known = 0;
        for (text, expected) in rows {
            match model.vector(&text) {
                Ok(vector) => {
                    known += 1;
                    let near = |(number, expected): (&f32, &f32)| (number - expected).abs() < TOLERANCE;
                    if vector.len() != expected.len() || !vector.iter().zip(&expected).all(near) {
                        wrong.push(format!("{name} {text:?}: {vector:?}, not {expected:?}"));
                    }
                }
                // Where no word is known the package says zeros, which have no direction.
                Err(why) => {
                    let nothing = expected.iter().all(|number| *number == 0.0);
                    if !nothing || why != "the static model knows no word of the text" {
                        wrong.push(format!("{name} {text:?}: {why}"));
                    }
                }
            }
        }
        assert!(known >= 12, "{name}: {known}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_end_of_a_text_is_left_out() {
    // Thousands of sums of 32 bits round by some 3e-5, in the Python package just the same; without the end it is 0.3.
    const ROUNDING: f32 = 1e-4;
    let model = StaticModel::open(&oracle("words")).unwrap();
    let long = "you ".repeat(2_000) + &"month ".repeat(2_000);
    let short = model.vector("you month").unwrap();
    for (long, short) in model.vector(&long).unwrap().iter().zip(&short) {
        assert!((long - short).abs() < ROUNDING, "{long}, not {short}");
    }
}
